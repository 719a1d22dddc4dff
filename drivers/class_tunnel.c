/* Sensor class tunnel 隧道: air, sight and water in road tunnels.
 *
 * Const data, read by any thread; the numbers' sources stand beside them ("domain" is the project's
 * page of domain research, [own] own knowledge, [eng] an engineering proposal). A range is what can
 * be true, not what is good: outside of it a reading is OUT_OF_RANGE. 0, 0 = no range. */
#include "drivers/class.h"
#include "drivers/diagnosis_parts.h"

static const struct quantity quantities[] = {
    {"co", "一氧化碳", "carbon monoxide", "mg/m³", 0, 1200000}, /* the pure gas [calc] */
    {"visibility", "能见度", "visibility (extinction)", "m⁻¹", 0,
     1},                                                     /* extinction coefficient [eng] */
    {"depth", "积水深度", "water depth", "mm", -20, 2500},   /* as waterlogging */
    {"wind_speed", "风速", "wind speed", "m/s", -30, 30},    /* signed by direction [eng] */
    {"o2", "氧气", "oxygen", "%VOL", 0, 30},                 /* domain 2.1 */
    {"ch4", "甲烷", "methane", "%VOL", 0, 100},              /* domain 2.1 */
    {"lel", "可燃气体", "combustible gas", "%LEL", 0, 2000}, /* pure methane at LEL 5 %VOL [calc] */
    {"h2s", "硫化氢", "hydrogen sulphide", "mg/m³", 0, 1500000}, /* the pure gas [calc] */
    {"temperature", "温度", "temperature", "°C", -40, 85},       /* [eng] */
    {"humidity", "湿度", "humidity", "%RH", 0, 100},             /* physical */
    {"run", "运行", "running", "1", 0, 1},                       /* state, of a fan or pump */
    {"fault", "故障", "fault", "1", 0, 1},                       /* state */
};

static const struct diagnosis *const diagnoses[] = {
    &diagnosis_onset,
    &diagnosis_biogas,
    &diagnosis_drift,
};

const struct sensor_class class_tunnel = {
    .sector = SECTOR_TUNNEL,
    .quantities = quantities,
    .count = CLASS_COUNT(quantities),
    .diagnoses = diagnoses,
    .diagnosis_count = CLASS_COUNT(diagnoses),
};
