/* Sensor class drainage 排水: level, flow and gas in sewers, and pump stations.
 *
 * Const data, read by any thread; the numbers' sources stand beside them ("domain" is the project's
 * page of domain research, [own] own knowledge, [eng] an engineering proposal). A range is what can
 * be true, not what is good: outside of it a reading is OUT_OF_RANGE. 0, 0 = no range. */
#include "drivers/class.h"
#include "drivers/diagnosis_parts.h"

static const struct quantity quantities[] = {
    {"level", "液位", "level", "m", -0.5, 100}, /* submersible gauges end at 100 m, domain 2.2 P5 */
    {"distance", "空高", "distance to the surface", "m", 0, 100}, /* as level [eng] */
    {"fill", "充满度", "fill", "%", 0, 100},                      /* 100 = full pipe, domain 2.1 */
    {"velocity", "流速", "velocity", "m/s", -3, 6},               /* domain 2.1 */
    {"flow", "瞬时流量", "flow", "m³/h", 0, 0}, /* the meter's own, +-1.2 Qmax: in the profile */
    {"flow_total", "累计流量", "total flow", "m³", 0, 0},        /* a counter */
    {"discharge", "断面流量", "discharge", "m³/s", 0, 0},        /* the site's own */
    {"v_surface", "表面流速", "surface velocity", "m/s", 0, 15}, /* domain 2.1 [S27] */
    {"pressure", "压力", "pressure", "MPa", -0.1, 1.6},          /* rising mains, as water [eng] */
    {"run", "运行", "running", "1", 0, 1},                       /* state */
    {"fault", "故障", "fault", "1", 0, 1},                       /* state */
    {"current", "电流", "current", "A", 0, 1000},                /* [eng] */
    {"ch4", "甲烷", "methane", "%VOL", 0, 100},                  /* 0..100 %VOL, domain 2.1 */
    {"lel", "可燃气体", "combustible gas", "%LEL", 0, 2000}, /* pure methane at LEL 5 %VOL [calc] */
    {"h2s", "硫化氢", "hydrogen sulphide", "mg/m³", 0, 1500000}, /* the pure gas [calc] */
    {"co", "一氧化碳", "carbon monoxide", "mg/m³", 0, 1200000},  /* the pure gas [calc] */
    {"o2", "氧气", "oxygen", "%VOL", 0, 30},                     /* domain 2.1 */
    {"temperature", "温度", "temperature", "°C", -40, 85}, /* [eng], what the sensors survive */
    {"humidity", "湿度", "humidity", "%RH", 0, 100},       /* physical */
    {"starts", "启动次数", "starts", "1", 0, 0}, /* a counter; starts in an hour, domain 2.1 */
};

static const struct diagnosis *const diagnoses[] = {
    &diagnosis_overflow,
    &diagnosis_biogas,
    &diagnosis_drift,
};

const struct sensor_class class_drainage = {
    .sector = SECTOR_DRAINAGE,
    .quantities = quantities,
    .count = CLASS_COUNT(quantities),
    .diagnoses = diagnoses,
    .diagnosis_count = CLASS_COUNT(diagnoses),
};
