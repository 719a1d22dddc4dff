/* Sensor classes: what each sector measures, in which unit, and which values can be true.
 *
 * Ranges leave room where being outside would mislead: levels and pressures reach a little below
 * zero, because an empty well with a drifting zero is no fault, and gases reach up to the pure gas,
 * because no filter may hide a gas alarm.
 *
 * One file a sector, each ending in its const table. What every sensor may say about itself
 * (battery, signal) and `raw` belong to all of them. */
#ifndef LIFELINE_CLASS_H
#define LIFELINE_CLASS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/profile.h"
#include "drivers/diagnosis.h"

struct sensor_class {
    enum sector sector;
    const struct quantity *quantities;
    size_t count;
    const struct diagnosis *const *diagnoses;
    size_t diagnosis_count;
};

extern const struct sensor_class class_gas, class_water, class_drainage, class_heat, class_manhole,
    class_waterlogging, class_sponge, class_bridge, class_tunnel, class_corridor;

/* NULL for SECTOR_UNSPECIFIED and numbers without a sector. */
const struct sensor_class *class_of(enum sector sector);

/* A quantity_lookup (config/profile.h): NULL when the sector's class has none of that name. */
const struct quantity *class_quantity(enum sector sector, const char *name);

/* What every sensor may say about itself, and `raw`; ends with one that has no name. */
extern const struct quantity class_common[];

/* True for gas at or above 20 %LEL (1 %VOL of methane): no filter, maintenance window or
 * acknowledgement may hide it. GB 50838-2015 [S11], CJJ/T 146. */
bool class_never_hidden(const char *quantity, double value);

#define CLASS_COUNT(table) (sizeof(table) / sizeof((table)[0]))

#endif
