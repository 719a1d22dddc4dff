/* When to ask which read of a line: earliest deadline first, periods without drift. Pure.
 *
 * Time comes from the caller (a fake clock in tests). What does not answer rests: all units and
 * reads that rest together are asked in no more than a twentieth of the line's time, and the first
 * good answer of a unit restores its pace. */
#ifndef LIFELINE_SCHEDULE_H
#define LIFELINE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/clock.h"

struct schedule_unit {
    uint32_t failures; /* in a row, of whatever it was asked */
    uint8_t trust;     /* good answers in a row, as far as they count */
    uint8_t unit;
    mono_time rest_until;
};

struct schedule_entry {
    int64_t every_ms; /* 0 = without a pause */
    uint8_t unit;     /* Modbus address */
    /* The rest is the schedule's to write. */
    struct schedule_unit *of; /* the unit's */
    uint64_t tick;    /* the period that is due next, counted from the start; left-out ones count */
    mono_time due;    /* of that period */
    bool asked;       /* at least once */
    bool urgent;      /* wanted at once, beside its periods */
    int64_t boost_ms; /* asked so often beside its periods; 0 = not */
    mono_time boost_due;
    uint32_t failures; /* in a row */
    mono_time rest_until;
    uint64_t slipped; /* periods left out because the line was too busy */
    float stretch; /* how many periods go by for one poll, of the newest ten or so; 1 = all kept */
};

struct schedule {
    struct schedule_entry *entries;
    size_t count;
    struct schedule_unit *units;
    size_t unit_count;
    uint64_t slipped; /* of all entries */
    bool extra_last;  /* the last turn was beside its periods */
};

/* Whose turn it is. */
struct schedule_turn {
    size_t entry;
    mono_time due; /* not before; may lie in the past */
    bool extra;    /* beside its periods: urgent or boosted */
};

/* Entries with every_ms and unit filled in; all are due at start, in their order, and spread over
 * their periods from then on. units has room for as many as there are entries. */
void schedule_start(struct schedule *schedule, struct schedule_entry *entries,
                    struct schedule_unit *units, size_t count, mono_time start);

/* The entry to ask next and when; count must not be 0. What is urgent or boosted goes before what
 * is not, but every second turn is for the periods, if one is due; and what is late by more than
 * its period is as urgent. */
struct schedule_turn schedule_next(const struct schedule *schedule, mono_time now);

/* What came of a turn. */
enum schedule_answer {
    SCHEDULE_ANSWERED, /* anything right, a refusal too */
    SCHEDULE_DOWN,     /* the link is down, which is not the unit's fault */
    SCHEDULE_GARBLED,  /* somebody speaks: at first it rests two of its periods at most */
    SCHEDULE_SILENT,
};

/* The turn was taken; cost_ms: line time it took. */
void schedule_done(struct schedule *schedule, const struct schedule_turn *turn,
                   enum schedule_answer answer, mono_time now, int64_t cost_ms);

/* Not before that moment, although nothing stands in its way: for reads without a pause. */
void schedule_defer(struct schedule *schedule, size_t entry, mono_time until);

/* Asks an entry at once, even when it rests. */
void schedule_now(struct schedule *schedule, size_t entry);

/* Asks an entry so often beside its periods; 0 ends it. */
void schedule_boost(struct schedule *schedule, size_t entry, int64_t every_ms, mono_time now);

/* It does not answer and is asked less often for it. */
bool schedule_rests(const struct schedule *schedule, size_t entry);

/* When the entry is asked next if the line is free. */
mono_time schedule_due(const struct schedule *schedule, size_t entry);

/* Whether a request that fails is worth repeating now: not for who did not answer last time. */
bool schedule_may_retry(const struct schedule *schedule, size_t entry);

#endif
