/* When which fault strikes: the schedule of a script. Pure; times are milliseconds since its start.
 */
#ifndef LIFELINE_SIM_FAULT_H
#define LIFELINE_SIM_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_fault_kind {
    SIM_FAULT_NONE,
    SIM_FAULT_MUTE,       /* no answer */
    SIM_FAULT_LATE,       /* the answer comes `delay` later */
    SIM_FAULT_GARBLED,    /* flipped bits; on TCP a broken header */
    SIM_FAULT_EXCEPTION,  /* refused with `code` */
    SIM_FAULT_WRONG_UNIT, /* answered in the name of another unit */
    SIM_FAULT_SHORT,      /* the end of the frame is missing */
    SIM_FAULT_NOISE,      /* a few bytes that mean nothing, and the answer right behind them */
    SIM_FAULT_FOREIGN,    /* a whole answer of the next unit that nobody asked for, then the own */
    SIM_FAULT_TWIN,       /* a second sensor of the same address: its answer follows the first */
    SIM_FAULT_HOLE,       /* registers that the unit does not have */
    SIM_FAULT_DROP_LINK,  /* connections and pty closed, and refused while it lasts */
    SIM_FAULT_COUNT,
};

#define SIM_FAULT_ANY (-1)

struct sim_fault {
    enum sim_fault_kind kind;
    int64_t at_ms, for_ms; /* for_ms 0: for ever */
    int64_t repeat_ms;     /* begins anew so often; 0: once */
    int32_t line;          /* index; always given */
    int32_t device;        /* index, or SIM_FAULT_ANY for all on the line */
    uint32_t delay_ms;
    uint8_t code;
    uint8_t unit; /* of the device; a hole is the unit's, whoever's registers are asked */
    uint16_t address, count; /* of the hole, on the wire */
    bool silent;             /* a request that meets the hole is not even refused */
    uint32_t every;          /* strikes each Nth request that it matches; 1 = all */
    uint32_t seen;           /* requests it matched so far */
};

struct sim_faults {
    struct sim_fault *list;
    size_t count;
};

/* A request, as far as it matters here. */
struct sim_fault_target {
    int32_t line, device; /* indices */
    uint8_t unit;
    uint16_t address, count;
};

/* As it stands in a script and in the journal ("wrong-unit"); "none". */
const char *sim_fault_name(enum sim_fault_kind kind);

/* The first fault that strikes this request now; NULL for none. Counts it for `every`.
 * SIM_FAULT_DROP_LINK is never among them. */
const struct sim_fault *sim_fault_strike(struct sim_faults *faults, int64_t now_ms,
                                         const struct sim_fault_target *target);

bool sim_fault_link_down(const struct sim_faults *faults, int64_t now_ms, int32_t line);

/* When a link next goes down or comes back; INT64_MAX for never. */
int64_t sim_fault_next_link_change(const struct sim_faults *faults, int64_t now_ms);

#endif
