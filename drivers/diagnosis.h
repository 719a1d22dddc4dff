/* Diagnoses: what a sensor class can tell from several points and their course that no single
 * threshold can. Pure: time comes in with every call, nothing is allocated, nothing is printed.
 *
 * A diagnosis is a state of `memory` bytes (zeroed at first, without pointers) and a step that is
 * called with every new sample of one of its points, and whenever `due` has come. It says which
 * level it wants; dwell, hysteresis and the end are its own affair. It says what it knows: value
 * against threshold, a confidence, a hint; never a cause that it cannot see. One const table a
 * sensor class (class_*.c); numbers come from the rule, none stand in code. */
#ifndef LIFELINE_DIAGNOSIS_H
#define LIFELINE_DIAGNOSIS_H

#include "config/rule.h"
#include "drivers/clock.h"

/* China has one zone; night windows are in local time. */
enum { DIAGNOSIS_ZONE_MS = 8 * 3600 * 1000 };

/* What is known of one point that plays a role. */
struct diagnosis_input {
    bool ever;        /* it had a usable value */
    bool usable;      /* its newest sample is one */
    bool fresh;       /* the newest sample is the reason for this call */
    double value;     /* the newest usable one, in the point's unit */
    mono_time at;     /* of that one */
    mono_time failed; /* of the newest sample that was not usable; ns 0 = none yet */
};

struct diagnosis_role_inputs {
    const struct diagnosis_input *inputs;
    size_t count; /* 0 = nobody plays it */
};

struct diagnosis_moment {
    mono_time now;
    wall_time wall;
    bool wall_is_true; /* the clock is set: hours of the day mean something */
    const struct rule *rule;
    const char *quantity, *unit; /* of the point that the rule is about; NULL = none */
    const struct diagnosis_role_inputs *roles; /* in the form's order */
};

struct finding {
    uint8_t level; /* enum level that is wanted now */
    uint8_t confidence;
    double value, threshold;
    mono_time since; /* when it began; ns 0 = now */
    mono_time due;   /* call again then at the latest; ns 0 = with the next sample */
    bool hurry;      /* poll its points at every_alarm: something is under way */
};

enum { DIAGNOSIS_TEXT_MAX = 200 };

struct diagnosis {
    struct diagnosis_form form;
    size_t memory;
    void (*step)(void *memory, const struct diagnosis_moment *moment, struct finding *out);
    /* One sentence each of what is known at this moment, and a hint ("" = none). */
    void (*tell)(const void *memory, const struct diagnosis_moment *moment,
                 const struct finding *finding, char zh[DIAGNOSIS_TEXT_MAX],
                 char en[DIAGNOSIS_TEXT_MAX], char hint[DIAGNOSIS_TEXT_MAX]);
    /* What was learned over days, for the store; both NULL where nothing was. save returns the
     * length, 0 = nothing yet; load is given hostile bytes and may refuse. Times are wall times. */
    size_t (*save)(const void *memory, const struct diagnosis_moment *moment, uint8_t *out,
                   size_t capacity);
    bool (*load)(void *memory, const struct diagnosis_moment *moment, const uint8_t *bytes,
                 size_t length);
};

/* A diagnosis_lookup: NULL when the sector's class has none of that name. */
const struct diagnosis_form *diagnosis_form_of(enum sector sector, const char *name);

/* The diagnosis that a form is the head of. */
const struct diagnosis *diagnosis_of(const struct diagnosis_form *form);

#endif
