/* Sensor class sponge 海绵设施: rain, outfall and runoff.
 *
 * Const data, read by any thread; the numbers' sources stand beside them ("domain" is the project's
 * page of domain research, [own] own knowledge, [eng] an engineering proposal). A range is what can
 * be true, not what is good: outside of it a reading is OUT_OF_RANGE. 0, 0 = no range. */
#include "drivers/class.h"
#include "drivers/diagnosis_parts.h"

static const struct quantity quantities[] = {
    {"rain", "累计降雨量", "rain, cumulative", "mm", 0, 0}, /* a counter */
    {"rain_rate", "雨强", "rain rate", "mm/min", 0,
     8},                                        /* 0..4, at most 8 mm/min, domain 2.1 [S16] */
    {"level", "液位", "level", "m", -0.5, 100}, /* as drainage */
    {"distance", "空高", "distance to the surface", "m", 0, 100}, /* as level [eng] */
    {"depth", "积水深度", "water depth", "mm", -20, 2500},        /* as waterlogging */
    {"velocity", "流速", "velocity", "m/s", -3, 6},               /* as drainage */
    {"v_surface", "表面流速", "surface velocity", "m/s", 0, 15},  /* domain 2.1 [S27] */
    {"flow", "瞬时流量", "flow", "m³/h", 0, 0}, /* the meter's own, +-1.2 Qmax: in the profile */
    {"flow_total", "累计流量", "total flow", "m³", 0, 0},  /* a counter */
    {"discharge", "断面流量", "discharge", "m³/s", 0, 0},  /* the site's own */
    {"temperature", "温度", "temperature", "°C", -40, 85}, /* [eng], what the sensors survive */
    {"humidity", "湿度", "humidity", "%RH", 0, 100},       /* physical */
};

static const struct diagnosis *const diagnoses[] = {
    &diagnosis_blocked_gauge,
    &diagnosis_drift,
};

const struct sensor_class class_sponge = {
    .sector = SECTOR_SPONGE,
    .quantities = quantities,
    .count = CLASS_COUNT(quantities),
    .diagnoses = diagnoses,
    .diagnosis_count = CLASS_COUNT(diagnoses),
};
