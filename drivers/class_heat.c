/* Sensor class heat 供热: supply and return of district heating.
 *
 * Const data, read by any thread; the numbers' sources stand beside them ("domain" is the project's
 * page of domain research, [own] own knowledge, [eng] an engineering proposal). A range is what can
 * be true, not what is good: outside of it a reading is OUT_OF_RANGE. 0, 0 = no range. */
#include "drivers/class.h"
#include "drivers/diagnosis_parts.h"

static const struct quantity quantities[] = {
    {"t_supply", "供水温度", "supply temperature", "°C", 0, 150}, /* domain 2.1 */
    {"t_return", "回水温度", "return temperature", "°C", 0, 150}, /* domain 2.1 */
    {"pressure", "压力", "pressure", "MPa", -0.1, 2.5},           /* domain 2.1 */
    {"flow", "瞬时流量", "flow", "m³/h", 0, 0}, /* the meter's own, +-1.2 Qmax: in the profile */
    {"flow_total", "累计流量", "total flow", "m³", 0, 0},   /* a counter */
    {"velocity", "流速", "velocity", "m/s", -7, 7},         /* as water mains */
    {"heat_flow", "瞬时热量", "heat flow", "GJ/h", 0, 0},   /* the meter's own */
    {"heat_total", "累计热量", "heat, total", "GJ", 0, 0},  /* a counter */
    {"temperature", "温度", "temperature", "°C", -40, 150}, /* [eng] */
    {"humidity", "湿度", "humidity", "%RH", 0, 100},        /* physical */
    {"dp", "供回水压差", "supply-return pressure difference", "MPa", -0.1,
     2.5},                                                     /* as pressure, domain 2.1 */
    {"makeup_flow", "补水流量", "make-up flow", "m³/h", 0, 0}, /* the meter's own; domain 2.1 */
    {"run", "运行", "running", "1", 0, 1},                     /* state, of a pump */
    {"fault", "故障", "fault", "1", 0, 1},                     /* state */
};

static const struct diagnosis *const diagnoses[] = {
    &diagnosis_drift,
};

const struct sensor_class class_heat = {
    .sector = SECTOR_HEAT,
    .quantities = quantities,
    .count = CLASS_COUNT(quantities),
    .diagnoses = diagnoses,
    .diagnosis_count = CLASS_COUNT(diagnoses),
};
