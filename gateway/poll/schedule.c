/* Earliest deadline first over the blocks of one line.
 * Pure; the line thread owns the struct and the clock. A period counts from the deadline before,
 * not from the answer, so that a day has its exact number of polls; what could not be asked in time
 * is left out and counted, never bunched. Never sleeps. */
#include "gateway/poll/schedule.h"

enum {
    PATIENCE = 2,    /* failures in a row that change nothing yet */
    DEAD_SHARE = 20, /* a dead unit takes at most 1/20 of the line */
    BACK_OFF_MAX_MS = 60000,
};

void schedule_start(struct schedule *schedule, struct schedule_entry *entries, size_t count,
                    mono_time start)
{
    *schedule = (struct schedule){.entries = entries, .count = count};
    for (size_t i = 0; i < count; i++) {
        entries[i].due = start;
        entries[i].asked = false;
    }
}

static mono_time due_of(const struct schedule *schedule, const struct schedule_entry *entry)
{
    const struct schedule_unit *unit = &schedule->units[entry->unit];
    return unit->failures > PATIENCE && unit->until.ns > entry->due.ns ? unit->until : entry->due;
}

size_t schedule_next(const struct schedule *schedule, mono_time *due)
{
    size_t best = 0;
    *due = due_of(schedule, &schedule->entries[0]);
    for (size_t i = 1; i < schedule->count; i++) {
        mono_time candidate = due_of(schedule, &schedule->entries[i]);
        if (candidate.ns < due->ns) {
            *due = candidate;
            best = i;
        }
    }
    return best;
}

/* The first deadline lies a share of the period after the start, so that blocks of one period
 * spread over it and later ones keep their distance. */
static void advance(struct schedule *schedule, size_t index, mono_time now)
{
    struct schedule_entry *entry = &schedule->entries[index];
    int64_t period_ns = entry->every_ms * 1000000;
    if (!entry->asked)
        entry->due.ns += period_ns * (int64_t)(index + 1) / (int64_t)schedule->count;
    else
        entry->due.ns += period_ns;
    if (entry->due.ns + period_ns <= now.ns) {
        int64_t missed = (now.ns - entry->due.ns) / period_ns;
        entry->due.ns += missed * period_ns;
        if (entry->asked && schedule->units[entry->unit].failures == 0)
            schedule->slipped += (uint64_t)missed;
    }
    entry->asked = true;
}

void schedule_done(struct schedule *schedule, size_t entry, bool answered, mono_time now,
                   int64_t cost_ms)
{
    struct schedule_unit *unit = &schedule->units[schedule->entries[entry].unit];
    unit->failures = answered ? 0 : unit->failures + 1;
    int64_t pause_ms = cost_ms * DEAD_SHARE;
    unit->until = clock_after_ms(now, pause_ms < BACK_OFF_MAX_MS ? pause_ms : BACK_OFF_MAX_MS);
    advance(schedule, entry, now);
}

void schedule_now(struct schedule *schedule, size_t entry, mono_time now)
{
    schedule->entries[entry].due = now;
    schedule->units[schedule->entries[entry].unit].failures = 0;
}
