/* The parts that the files of the watch share; nobody else's. */
#ifndef LIFELINE_WATCH_PARTS_H
#define LIFELINE_WATCH_PARTS_H

#include "drivers/diagnosis.h"
#include "gateway/flow/judge.h"
#include "gateway/flow/life.h"
#include "gateway/flow/spike.h"
#include "gateway/flow/watch.h"

enum {
    WATCH_EVIDENCE = 5,         /* readings of a point that an event shows */
    WATCH_KEY_MAX = 200,        /* DEVICE.POINT/RULE */
    WATCH_RESETTLE_MS = 900000, /* an alarm of before, that is held, has so long to be said again,
                                   from the first sample that it gets */
};

#define WATCH_NONE UINT32_MAX

struct watch_reading {
    int64_t at_ms;
    double value;
    uint8_t quality;
};

/* A point that a rule looks at. */
struct watched {
    uint32_t device, point; /* of the settings */
    double divisor;         /* of its steps; 0 = it is a float */
    struct diagnosis_input input;
    const struct rule *spike_rule; /* NULL = none */
    struct spike spike;
    struct watch_reading ring[WATCH_EVIDENCE];
    uint8_t next, kept;
    uint32_t first_use, use_count; /* in watch->uses */
};

/* Who is to be asked when a point has a sample: a sentry, and for a diagnosis as which of its
 * inputs. */
struct watch_use {
    uint32_t sentry;
    uint32_t input; /* WATCH_NONE: it judges the value itself, or conditions */
};

/* One rule where it is in force, with the alarm that it makes. */
struct sentry {
    const struct rule *rule;
    uint32_t device, point; /* WATCH_NONE: of the whole device */
    uint32_t watched;       /* its own point; WATCH_NONE likewise */
    char *key;              /* DEVICE.POINT/RULE or DEVICE/RULE */
    struct judge judge;
    const struct diagnosis *diagnosis; /* NULL: the judge judges */
    void *memory;
    struct diagnosis_role_inputs roles[RULE_ROLES_MAX];
    struct diagnosis_input *inputs; /* of all roles, one after the other */
    uint32_t *input_points;         /* what they are, in watch->watched */
    size_t input_count;
    struct finding finding;
    uint8_t level; /* that the rule wants */
    uint8_t held;  /* of before a restart or reload, that the rule has not said again */
    mono_time held_until;
    struct life life;
    double peak;
    int64_t peak_ms, first_ms;
    char actor[64], note[128]; /* of the acknowledgement; "" = none */
    bool urges;                /* its device is to be asked faster */
};

struct watch {
    const struct settings *settings;
    const struct plan *plan;
    uint32_t *device_ids; /* [device] on the wire: copies, for the store's own change at a reload */
    uint32_t *point_ids;  /* [point_first + point] */
    struct watch_sink sink;
    struct watched *watched;
    size_t watched_count;
    uint32_t *point_first;  /* [device] into point_index */
    uint32_t *point_index;  /* [point_first + point] watched, or WATCH_NONE */
    uint32_t *block_first;  /* [block] into block_points */
    uint32_t *block_points; /* [block_first + place in the block] watched, or WATCH_NONE */
    struct sentry *sentries;
    size_t sentry_count;
    int64_t *dues; /* [sentry] mono ns; apart, because all of them are looked at often */
    struct watch_use *uses;
    uint32_t *silent_first; /* [device] into silent; [device_count] is the end */
    uint32_t *silent;       /* sentries that any good sample of the device speaks to */
    uint32_t *by_key;       /* sentries in the order of their keys */
    mono_time next;
    uint32_t *urging;          /* [device] sentries that urge */
    mono_time *maintained;     /* [device] until then */
    uint32_t up[SECTOR_COUNT]; /* [0]: all */
};

/* The watched point, or NULL. */
struct watched *watch_point(const struct watch *watch, uint32_t device, uint32_t point);
struct sentry *watch_find(const struct watch *watch, const char *key);

/* The number that its rule compares: the value, a change, a sum, a time in ms. */
double watch_worth(const struct watch *watch, const struct sentry *sentry);

struct diagnosis_moment watch_moment(const struct watch *watch, const struct sentry *sentry,
                                     const struct watch_clock *clock);

/* What follows from sentry->level: the alarm's next step, its due, its urge. */
void watch_settle(struct watch *watch, struct sentry *sentry, const struct watch_clock *clock);

/* Who has acknowledged it; "" = nobody. */
void watch_keep_person(struct sentry *sentry, const char *actor, const char *note);

/* Counts anew what is up. */
void watch_count(struct watch *watch);

/* The event of a step, told to the sink (watch_event.c). */
void watch_tell(struct watch *watch, struct sentry *sentry, const struct life_step *step,
                const struct watch_clock *clock);

#endif
