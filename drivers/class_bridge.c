/* Sensor class bridge 桥梁: features of a bridge: raw vibration at 20 to 50 Hz is not for a Modbus
 * poller. Ranges are the design's own, so only what is physical is bounded here.
 *
 * Const data, read by any thread; the numbers' sources stand beside them ("domain" is the project's
 * page of domain research, [own] own knowledge, [eng] an engineering proposal). A range is what can
 * be true, not what is good: outside of it a reading is OUT_OF_RANGE. 0, 0 = no range. */
#include "drivers/class.h"
#include "drivers/diagnosis_parts.h"

static const struct quantity quantities[] = {
    {"strain", "应变", "strain", "µε", 0, 0},                  /* from design, domain 2.1 */
    {"tilt", "倾角", "tilt", "°", -180, 180},                  /* physical */
    {"acceleration", "加速度", "acceleration", "mm/s²", 0, 0}, /* from design */
    {"frequency", "主频", "main frequency", "Hz", 0, 50},      /* half of 100 Hz sampling [eng] */
    {"crack", "裂缝宽度", "crack width", "mm", 0, 0},          /* from design */
    {"displacement", "位移", "displacement", "mm", 0, 0},      /* from design */
    {"temperature", "温度", "temperature", "°C", -40, 85},     /* [eng], what the sensors survive */
    {"humidity", "湿度", "humidity", "%RH", 0, 100},           /* physical */
    {"wind_speed", "风速", "wind speed", "m/s", 0, 75},        /* [eng] */
    {"acceleration_rms", "加速度均方根", "acceleration, RMS", "mm/s²", 0, 0}, /* from design */
    {"acceleration_peak", "加速度峰值", "acceleration, peak", "mm/s²", 0, 0}, /* from design */
    {"deflection", "挠度", "deflection", "mm", 0,
     0}, /* from design; Hefei has them, domain 2.1 [S28] */
};

static const struct diagnosis *const diagnoses[] = {
    &diagnosis_drift,
};

const struct sensor_class class_bridge = {
    .sector = SECTOR_BRIDGE,
    .quantities = quantities,
    .count = CLASS_COUNT(quantities),
    .diagnoses = diagnoses,
    .diagnosis_count = CLASS_COUNT(diagnoses),
};
