/* The parts that settings.c puts together; nobody else's. */
#ifndef LIFELINE_SETTINGS_PARTS_H
#define LIFELINE_SETTINGS_PARTS_H

#include "config/field.h"
#include "config/settings.h"

/* The sections of the file. What SETTINGS reads goes into a struct settings, what the others read
 * into the struct below or of their name. */
extern const struct section SETTINGS, SETTINGS_LINE, SETTINGS_DEVICE, SETTINGS_POINT,
    SETTINGS_UPLINK;

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

/* Everything that no single field can know. */
void settings_check(const struct loader *loader, quantity_lookup quantity);

/* The value of a key when it was given, or the node itself: where to show an error. */
const struct node *settings_at(const struct node *map, const char *key);

#endif
