/* Alarm rules: what makes an alarm of a value, as typed data. The same form in packs and in the
 * configuration's overrides:
 *
 *     flooded: { above: { 4: 150, 3: 270, 2: 400, 1: 600 }, hysteresis: 20, dwell: 10s }
 *     low:     { below: { 4: 0.20, 3: 0.14 } }
 *     surge:   { rise: { 2: 10 }, window: 60s }             fall: likewise
 *     storm6h: { sum: { 3: 50 }, window: 6h }               a counter's increase
 *     open:    { equals: { 2: 1 } }
 *     dead:    { silent: { 3: 15m } }                       no good reading for so long
 *     stuck:   { flat: { 4: 6h } }                          the same value for so long
 *     jumps:   { spike: 0.5 }                               no alarm: it is asked for again
 *     no_pump: { all: [ { point: level, above: 2.5 }, { point: pump-1.run, equals: 0 } ],
 *                level: 3 }
 *     trouble: { any: [ ... ], level: 2 }
 *     burst:   { diagnose: burst, levels: { 1: 0.2 }, watch: 5m, points: { run: pump-1.run } }
 *     flooded: off                                          switches a default off
 *
 * dwell and clear say how long a condition must last, and be gone; dwell may differ by level:
 * { 4: 2m, 3: 0s }. `fault: true` makes it a fault of the device, not a public alarm; silent and
 * flat are that anyway. `source` says where the numbers come from: one text, or by level and for
 * the `rest`; mandatory in packs. An override of a name that exists changes what it gives, level by
 * level ({ above: { 3: 300, 4: off } }), and keeps the rest. */
#ifndef LIFELINE_RULE_H
#define LIFELINE_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/diagnostics.h"
#include "proto/names.h"
#include "proto/words.h"

enum rule_kind {
    RULE_ABOVE,
    RULE_BELOW,
    RULE_RISE, /* over `window`: value - lowest */
    RULE_FALL, /* over `window`: highest - value */
    RULE_SUM,  /* over `window`, of a counter */
    RULE_EQUALS,
    RULE_SILENT,
    RULE_FLAT,
    RULE_SPIKE,
    RULE_ALL,
    RULE_ANY,
    RULE_DIAGNOSE,
};

const char *rule_kind_name(enum rule_kind kind); /* the key: "above" */

/* It looks at a stretch of time: rise, fall, sum. */
bool rule_has_window(enum rule_kind kind);

/* What it compares is how long: silent, flat. These speak of the device. */
bool rule_is_time(enum rule_kind kind);

/* One number, and where it comes from. Durations are in ms. */
struct rule_number {
    bool given;
    double value;
    struct place place; /* of the pack or the configuration */
    const char *source; /* "GB 50014-2021 ..."; of an override without one: "configuration" */
};

enum {
    RULE_CONDITIONS_MAX = 8,
    RULE_PARAMS_MAX = 8,
    RULE_ROLES_MAX = 8,
    RULE_ROLE_POINTS_MAX = 16
};

/* A point of the settings. */
struct rule_point {
    uint32_t device, point;
};

struct rule_condition {
    struct place place;
    struct rule_point point;
    enum rule_kind kind; /* RULE_ABOVE, RULE_BELOW or RULE_EQUALS */
    double value;
};

/* What a diagnosis takes, so that the configuration can be read and checked without knowing it; the
 * tables are drivers/class_*.c. */
struct diagnosis_param {
    const char *key;
    bool is_duration;
    bool required; /* a pack must give it: there is no default in code */
    double min, max;
    struct words help;
};

/* A point that it looks at, by the quantity. */
struct diagnosis_role {
    const char *name;        /* "flow" */
    const char *quantity;    /* of any sector; NULL, only [0]: whatever the rule stands under */
    const char *alternative; /* another quantity that will do; NULL */
    bool required;           /* without it the rule is not in force */
    bool elsewhere; /* one of another device will do: the only one of the gateway, or named */
    bool many;      /* all there are, but the rule's own device's (neighbours); with elsewhere:
                     * those too */
    bool siblings;  /* all there are on the rule's own device, in the profile's order */
};

struct diagnosis_form {
    const char *name;
    const char *title_zh, *title_en;
    struct words levels_mean; /* what the number of a level is: "drop in MPa" */
    bool fault;               /* speaks of the device, not of what it measures */
    bool of_device;  /* one a device, not one a point: a device's rule in packs (no quantity).
                      * In force where at least one of its roles is played by the own device;
                      * it is about the first point of the first role that is */
    bool only_hints; /* takes no levels and wants none: its hint goes with the other alarms of
                      * its point */
    const struct diagnosis_param *params;
    size_t param_count;
    const struct diagnosis_role *roles; /* [0] is the point that the rule is about, but of_device */
    size_t role_count;
};

/* NULL when the sector's class has none of that name. */
typedef const struct diagnosis_form *(*diagnosis_lookup)(enum sector sector, const char *name);

/* The points that play a role; count 0 = nobody does. */
struct rule_role {
    size_t count;
    struct rule_point *points;
};

struct rule {
    struct place place;
    const char *name; /* [a-z0-9_]{1,32} */
    enum rule_kind kind;
    struct rule_number levels[LEVEL_COUNT]; /* [0] unused; all, any: 1 at its level; spike: none */
    struct rule_number hysteresis;          /* in the value's unit; 0 */
    struct rule_number dwell[LEVEL_COUNT];  /* 0; never more than a day */
    struct rule_number clear;               /* 0 */
    struct rule_number window;              /* rise, fall, sum */
    struct rule_number spike;
    bool fault;
    const char *pack; /* "gb-default 1"; NULL: the configuration's own */
    bool overridden;  /* the configuration changed some of it */
    struct rule_condition *conditions;
    size_t condition_count;
    const struct diagnosis_form *diagnosis;
    struct rule_number params[RULE_PARAMS_MAX]; /* in the form's order */
    struct rule_role roles[RULE_ROLES_MAX];
};

/* One that is not in force, and why. */
struct rule_out {
    const struct rule *rule;
    struct place place;  /* where it was switched off */
    const char *missing; /* what nobody plays, or there is not; NULL: it was switched off */
};

/* The rules in force on a point, or on a device as a whole. */
struct rules {
    const struct rule *const *rules;
    size_t count;
    const struct rule_out *out;
    size_t out_count;
};

/* Two rules that judge alike: what was learned under one counts under the other. Their sources may
 * differ. */
bool rule_same(const struct rule *a, const struct rule *b);

#endif
