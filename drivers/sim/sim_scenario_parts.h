/* What reading and playing a scenario share; nobody else includes it. */
#ifndef LIFELINE_SIM_SCENARIO_PARTS_H
#define LIFELINE_SIM_SCENARIO_PARTS_H

#include "config/field.h"
#include "drivers/sim/sim_scenario.h"

struct sim_pair {
    int64_t at_ms;
    double value;
};

struct sim_pairs {
    struct sim_pair *list;
    size_t count;
};

struct sim_silence {
    int64_t from_ms, to_ms;
};

struct sim_silences {
    struct sim_silence *list;
    size_t count;
};

/* One entry of `targets`, as it is written. */
struct sim_target {
    struct place place;
    unsigned int sectors;         /* a bit each; none: any */
    const char *quantity;         /* NULL: whole devices */
    const char *device;           /* NULL: any */
    uint16_t devices, lines, nth; /* 0: all */
    struct sim_pairs curve, steps;
    double noise;
    uint32_t spread_ms;
    struct sim_silences silent;
};

/* The file, as it is written. */
struct sim_story {
    const char *name, *title_zh, *title_en;
    uint64_t lasts_ms;
    struct sim_target *targets;
    size_t target_count;
};

/* False when anything is wrong; all of it is in the reader's diagnostics. */
bool sim_scenario_read(const struct reader *reader, const struct source *source,
                       struct sim_story *out);

/* True for a quantity that only goes up. */
bool sim_scenario_counts(const char *quantity);

#endif
