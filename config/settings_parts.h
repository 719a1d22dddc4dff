/* The parts that settings.c puts together; nobody else's. */
#ifndef LIFELINE_SETTINGS_PARTS_H
#define LIFELINE_SETTINGS_PARTS_H

#include "config/field.h"
#include "config/settings.h"

/* The sections of the file. What SETTINGS reads goes into a struct settings, what the others read
 * into the struct below or of their name. */
extern const struct section SETTINGS, SETTINGS_LINE, SETTINGS_DEVICE, SETTINGS_POINT,
    SETTINGS_UPLINK, SETTINGS_CATCHMENT;

/* Those of a pack, and of a rule wherever it stands: a rule is read by rule_read(). */
extern const struct section SETTINGS_PACK, SETTINGS_RULE;

#define SETTINGS_HOST_CHARACTERS "a-z A-Z 0-9 - _ . : %"

/* Types of the tables (settings_value.c), and what `out` is for each. */
extern const struct field_type SETTINGS_VALUE_POSITION, /* struct position */
    SETTINGS_VALUE_CRS,                                 /* enum crs */
    SETTINGS_VALUE_CODE,                                /* char *, `max` digits, first a region */
    SETTINGS_VALUE_PATH,                                /* char *, absolute */
    SETTINGS_VALUE_ROOT,                                /* char * */
    SETTINGS_VALUE_URLS,                                /* struct settings_uplink */
    SETTINGS_VALUE_SECTORS,                             /* bool[SECTOR_COUNT] */
    SETTINGS_VALUE_POINTS, /* nothing: they are read with their profile */
    SETTINGS_VALUE_RULES;  /* nothing: they are read when all devices are known */

/* Of a line whose transport could not be read. */
#define TRANSPORT_UNKNOWN ((enum transport_kind)99)

/* A device before its references are looked up. */
struct device_draft {
    struct settings_device device;
    char *line, *profile;
};

/* What is being loaded, with the node that each struct came from. A struct whose node had an error
 * is kept: its name can be referred to, and the rest of it can be judged. Strings may be NULL. */
struct loader {
    struct reader reader;
    struct settings *settings;
    const struct node *root;
    const struct node **line_nodes, **device_nodes, **uplink_nodes;
};

/* The catchments, when the devices are known (catchment.c). */
void catchment_read(struct loader *loader);

/* Everything that no single field can know. */
void settings_check(const struct loader *loader, quantity_lookup quantity);

/* The value of a key when it was given, or the node itself: where to show an error. */
const struct node *settings_at(const struct node *map, const char *key);

#endif
