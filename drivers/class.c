/* The list of sensor classes and the look-up of a quantity by sector and name.
 *
 * Const tables only: any thread may read them. A new sector is a new file class_NAME.c and a line
 * here. Quantities that any sensor may report about itself stand here once. */
#include "drivers/class.h"

#include <string.h>

static const struct sensor_class *const classes[SECTOR_COUNT] = {
    [SECTOR_GAS] = &class_gas,           [SECTOR_WATER] = &class_water,
    [SECTOR_DRAINAGE] = &class_drainage, [SECTOR_HEAT] = &class_heat,
    [SECTOR_MANHOLE] = &class_manhole,   [SECTOR_WATERLOGGING] = &class_waterlogging,
    [SECTOR_SPONGE] = &class_sponge,     [SECTOR_BRIDGE] = &class_bridge,
    [SECTOR_TUNNEL] = &class_tunnel,     [SECTOR_CORRIDOR] = &class_corridor,
};

/* raw: whatever a register says, without a range or a rule. Battery in % or V and signal (0..31 of
 * 3GPP 27.007, 99 unknown) come from the cover class of domain 2.1; ranges [eng]. */
const struct quantity class_common[] = {
    {"raw", "原始值", "raw value", "1", 0, 0},
    {"battery", "电量", "battery", "%", 0, 100},
    {"battery_voltage", "电池电压", "battery voltage", "V", 0, 60},
    {"csq", "信号强度", "signal", "1", 0, 99},
    {0},
};

const struct sensor_class *class_of(enum sector sector)
{
    return (unsigned)sector < SECTOR_COUNT ? classes[sector] : NULL;
}

static const struct quantity *find(const struct quantity *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    }
    return NULL;
}

const struct quantity *class_quantity(enum sector sector, const char *name)
{
    const struct sensor_class *class = class_of(sector);
    if (class == NULL)
        return NULL;
    const struct quantity *found = find(class->quantities, class->count, name);
    return found != NULL ? found : find(class_common, CLASS_COUNT(class_common) - 1, name);
}

bool class_never_hidden(const char *quantity, double value)
{
    static const struct {
        const char *quantity;
        double from;
    } gases[] = {{"ch4", 1}, {"lel", 20}};
    for (size_t i = 0; i < CLASS_COUNT(gases); i++) {
        if (strcmp(quantity, gases[i].quantity) == 0)
            return value >= gases[i].from;
    }
    return false;
}
