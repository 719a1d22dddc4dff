/* Sensor class gas 燃气: combustible and toxic gas in the spaces beside a gas main, and what the
 * main itself carries.
 *
 * Const data, read by any thread; the numbers' sources stand beside them ("domain" is the project's
 * page of domain research, [own] own knowledge, [eng] an engineering proposal). A range is what can
 * be true, not what is good: outside of it a reading is OUT_OF_RANGE. 0, 0 = no range. */
#include "drivers/class.h"
#include "drivers/diagnosis_parts.h"

static const struct quantity quantities[] = {
    {"ch4", "甲烷", "methane", "%VOL", 0, 100},              /* 0..100 %VOL, domain 2.1 */
    {"lel", "可燃气体", "combustible gas", "%LEL", 0, 2000}, /* pure methane at LEL 5 %VOL [calc] */
    {"h2s", "硫化氢", "hydrogen sulphide", "mg/m³", 0, 1500000}, /* the pure gas [calc] */
    {"co", "一氧化碳", "carbon monoxide", "mg/m³", 0, 1200000},  /* the pure gas [calc] */
    {"o2", "氧气", "oxygen", "%VOL", 0, 30},                     /* domain 2.1 */
    {"pressure", "压力", "pressure", "MPa", -0.1, 4.0}, /* high pressure A ends there [own] */
    {"flow", "瞬时流量", "flow", "m³/h", 0, 0}, /* the meter's own, +-1.2 Qmax: in the profile */
    {"flow_total", "累计流量", "total flow", "m³", 0, 0},  /* a counter */
    {"temperature", "温度", "temperature", "°C", -40, 85}, /* [eng], what the sensors survive */
    {"humidity", "湿度", "humidity", "%RH", 0, 100},       /* physical */
};

static const struct diagnosis *const diagnoses[] = {
    &diagnosis_biogas,
    &diagnosis_drift,
};

const struct sensor_class class_gas = {
    .sector = SECTOR_GAS,
    .quantities = quantities,
    .count = CLASS_COUNT(quantities),
    .diagnoses = diagnoses,
    .diagnosis_count = CLASS_COUNT(diagnoses),
};
