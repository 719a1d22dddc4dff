/* When to ask which block of a line: earliest deadline first, periods without drift. Pure.
 *
 * Time comes from the caller (a fake clock in tests). A unit that does not answer is asked less
 * often, so that the dead take no more than a twentieth of the line each. */
#ifndef LIFELINE_SCHEDULE_H
#define LIFELINE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/clock.h"

struct schedule_entry {
    int64_t every_ms;
    uint8_t unit;
    mono_time due;
    bool asked; /* at least once */
};

struct schedule_unit {
    uint32_t failures; /* in a row */
    mono_time until;   /* not to be asked before; only with failures */
};

struct schedule {
    struct schedule_entry *entries;
    size_t count;
    struct schedule_unit units[256];
    uint64_t slipped; /* periods left out because the line was too busy */
};

/* Entries with every_ms and unit filled in; all are due at start, in their order. */
void schedule_start(struct schedule *schedule, struct schedule_entry *entries, size_t count,
                    mono_time start);

/* The entry to ask next and when; count must not be 0. */
size_t schedule_next(const struct schedule *schedule, mono_time *due);

/* It was asked, and the unit answered (anything at all) or not; cost_ms: line time it took. */
void schedule_done(struct schedule *schedule, size_t entry, bool answered, mono_time now,
                   int64_t cost_ms);

/* Asks all entries of these units (or one entry) at once. */
void schedule_now(struct schedule *schedule, size_t entry, mono_time now);

#endif
