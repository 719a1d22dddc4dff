/* Sensor class water 供水: mains pressure, flow and the sound of leaks.
 *
 * Const data, read by any thread; the numbers' sources stand beside them ("domain" is the project's
 * page of domain research, [own] own knowledge, [eng] an engineering proposal). A range is what can
 * be true, not what is good: outside of it a reading is OUT_OF_RANGE. 0, 0 = no range. */
#include "drivers/class.h"
#include "drivers/diagnosis_parts.h"

static const struct quantity quantities[] = {
    {"pressure", "压力", "pressure", "MPa", -0.1, 1.6}, /* domain 2.1 */
    {"flow", "瞬时流量", "flow", "m³/h", 0, 0}, /* the meter's own, +-1.2 Qmax: in the profile */
    {"flow_total", "累计流量", "total flow", "m³", 0, 0}, /* a counter */
    {"velocity", "流速", "velocity", "m/s", -7, 7},       /* v <= 7 m/s, domain 2.1 */
    {"level", "液位", "level", "m", -0.5, 100}, /* submersible gauges end at 100 m, domain 2.2 P5 */
    {"leak_noise", "噪声值", "leak noise", "dB", 0, 120},             /* domain 2.1 */
    {"leak_freq", "噪声频率", "leak noise frequency", "Hz", 0, 4000}, /* domain 2.1 */
    {"temperature", "温度", "temperature", "°C", -40, 85},            /* [eng] */
    {"run", "运行", "running", "1", 0, 1},                            /* state, of a pump */
    {"fault", "故障", "fault", "1", 0, 1},                            /* state */
    {"current", "电流", "current", "A", 0, 1000},                     /* [eng] */
};

static const struct diagnosis *const diagnoses[] = {
    &diagnosis_burst,
    &diagnosis_night_leak,
    &diagnosis_drift,
};

const struct sensor_class class_water = {
    .sector = SECTOR_WATER,
    .quantities = quantities,
    .count = CLASS_COUNT(quantities),
    .diagnoses = diagnoses,
    .diagnosis_count = CLASS_COUNT(diagnoses),
};
