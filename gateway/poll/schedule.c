/* Earliest deadline first over the reads of one line.
 * Pure; the line thread owns the struct and the clock. A period counts from the deadline before,
 * not from the answer, so that a day has its exact number of polls; what could not be asked in time
 * is left out and counted, never bunched. A unit that rests is asked one of its reads at a time,
 * the oldest first. Never sleeps. */
#include "gateway/poll/schedule.h"

enum {
    PATIENCE = 2,     /* failures in a row that change nothing yet, of a unit that is trusted */
    TRUSTED = 8,      /* good answers in a row after which a unit that came back is trusted */
    REST_FACTOR = 20, /* what rests takes at most 1/20 of the line, all of it together */
    GARBLED_REST = 2, /* periods: a bus is to be well within three of them after a disturbance, */
    DISTURBED = 10,   /* which is not longer than so many polls */
    FAILED_PAUSE_MS = 100, /* of a read without a pause */
    NS_PER_MS = 1000000,
};

static struct schedule_unit *find_unit(struct schedule *schedule, uint8_t unit)
{
    for (size_t u = 0; u < schedule->unit_count; u++) {
        if (schedule->units[u].unit == unit)
            return &schedule->units[u];
    }
    struct schedule_unit *added = &schedule->units[schedule->unit_count++];
    *added = (struct schedule_unit){.unit = unit, .trust = TRUSTED};
    return added;
}

void schedule_start(struct schedule *schedule, struct schedule_entry *entries,
                    struct schedule_unit *units, size_t count, mono_time start)
{
    *schedule = (struct schedule){.entries = entries, .count = count, .units = units};
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct schedule_entry){.every_ms = entries[i].every_ms,
                                             .unit = entries[i].unit,
                                             .of = find_unit(schedule, entries[i].unit),
                                             .due = start,
                                             .stretch = 1};
}

static bool unit_rests(const struct schedule_unit *unit)
{
    return unit->failures > (unit->trust == TRUSTED ? PATIENCE : 0);
}

bool schedule_rests(const struct schedule *schedule, size_t entry)
{
    const struct schedule_entry *e = &schedule->entries[entry];
    return e->failures > PATIENCE || unit_rests(e->of);
}

static mono_time later(mono_time a, mono_time b)
{
    return a.ns > b.ns ? a : b;
}

static mono_time due_of_periods(const struct schedule_entry *entry)
{
    mono_time due = entry->failures > PATIENCE ? later(entry->due, entry->rest_until) : entry->due;
    return unit_rests(entry->of) ? later(due, entry->of->rest_until) : due;
}

static bool is_extra(const struct schedule *schedule, size_t index, mono_time now)
{
    const struct schedule_entry *entry = &schedule->entries[index];
    return entry->urgent || (entry->boost_ms != 0 && entry->boost_due.ns <= now.ns &&
                             !schedule_rests(schedule, index));
}

mono_time schedule_due(const struct schedule *schedule, size_t entry)
{
    const struct schedule_entry *e = &schedule->entries[entry];
    mono_time due = due_of_periods(e);
    if (e->boost_ms != 0 && !schedule_rests(schedule, entry) && e->boost_due.ns < due.ns)
        due = e->boost_due;
    return due;
}

/* Of two that are due: what is wanted first, then the earlier deadline; of one unit that rests all
 * are due at once, and the one that waits longest goes first. */
static bool goes_before(const struct schedule *schedule, const struct schedule_turn *a,
                        const struct schedule_turn *b, bool a_first, bool b_first)
{
    if (a_first != b_first)
        return a_first;
    if (a->due.ns != b->due.ns)
        return a->due.ns < b->due.ns;
    return schedule->entries[a->entry].due.ns < schedule->entries[b->entry].due.ns;
}

struct schedule_turn schedule_next(const struct schedule *schedule, mono_time now)
{
    struct schedule_turn best = {.entry = 0};
    bool best_first = false;
    for (size_t i = 0; i < schedule->count; i++) {
        const struct schedule_entry *entry = &schedule->entries[i];
        struct schedule_turn turn = {i, schedule_due(schedule, i), is_extra(schedule, i, now)};
        if (entry->urgent)
            turn.due = schedule->extra_last ? now : (mono_time){0};
        bool overdue = entry->every_ms != 0 && turn.due.ns + entry->every_ms * NS_PER_MS < now.ns;
        bool first =
            (turn.extra && !schedule->extra_last) || (overdue && !schedule_rests(schedule, i));
        if (i == 0 || goes_before(schedule, &turn, &best, first, best_first)) {
            best = turn;
            best_first = first;
        }
    }
    return best;
}

/* Moves the deadline over the periods that are wholly gone; how many. */
static int64_t skip(struct schedule_entry *entry, mono_time now)
{
    int64_t period_ns = entry->every_ms * NS_PER_MS;
    if (period_ns == 0 || entry->due.ns + period_ns > now.ns)
        return 0;
    int64_t gone = (now.ns - entry->due.ns) / period_ns;
    entry->due.ns += gone * period_ns;
    entry->tick += (uint64_t)gone;
    return gone;
}

/* The first deadline lies a share of the period after the start, so that reads of one period spread
 * over it and keep their distance. */
static void advance(struct schedule *schedule, size_t index, bool answered, mono_time now)
{
    struct schedule_entry *entry = &schedule->entries[index];
    int64_t period_ns = entry->every_ms * NS_PER_MS, missed = 0;
    entry->tick++;
    if (period_ns == 0)
        entry->due = answered ? now : clock_after_ms(now, FAILED_PAUSE_MS);
    else if (!entry->asked)
        entry->due.ns += period_ns * (int64_t)(index + 1) / (int64_t)schedule->count;
    else
        entry->due.ns += period_ns;
    if (entry->failures > 0 || !entry->asked)
        (void)skip(entry, now);
    else
        missed = skip(entry, now);
    entry->slipped += (uint64_t)missed;
    schedule->slipped += (uint64_t)missed;
    entry->stretch += ((float)(1 + missed) - entry->stretch) / 10;
    entry->asked = true;
}

/* Those that share the twentieth; *well: some unit of the line answers. */
static int64_t count_resting(const struct schedule *schedule, bool *well)
{
    int64_t resting = 0;
    *well = false;
    for (size_t u = 0; u < schedule->unit_count; u++) {
        bool rests = unit_rests(&schedule->units[u]);
        resting += rests;
        *well |= !rests;
    }
    for (size_t i = 0; i < schedule->count; i++) {
        const struct schedule_entry *entry = &schedule->entries[i];
        resting += entry->failures > PATIENCE && !unit_rests(entry->of);
    }
    return resting;
}

static void failed(struct schedule *schedule, struct schedule_entry *entry, bool garbled,
                   mono_time now, int64_t cost_ms)
{
    struct schedule_unit *unit = entry->of;
    bool well;
    entry->failures++;
    unit->failures++;
    bool rests = unit_rests(unit);
    if (!rests && entry->failures <= PATIENCE)
        return;
    int64_t resting = count_resting(schedule, &well);
    /* Where nobody answers there is nobody to protect: each is asked as if it were the only one. */
    int64_t rest_ms = cost_ms * REST_FACTOR * (well ? resting : 1);
    int64_t soon_ms = entry->every_ms ? GARBLED_REST * entry->every_ms : FAILED_PAUSE_MS;
    if (garbled && entry->failures <= DISTURBED && rest_ms > soon_ms)
        rest_ms = soon_ms;
    if (rests) {
        unit->trust = 0;
        unit->rest_until = clock_after_ms(now, rest_ms);
    } else {
        entry->rest_until = clock_after_ms(now, rest_ms);
    }
}

/* It need not rest any more. What went by while it did was not for want of line time. */
static void forgive(struct schedule *schedule, struct schedule_unit *unit, mono_time now)
{
    for (size_t i = 0; unit_rests(unit) && i < schedule->count; i++) {
        if (schedule->entries[i].of == unit)
            (void)skip(&schedule->entries[i], now);
    }
    unit->failures = 0;
}

/* A line where nobody answered, a cable or a supply, may be whole again: all are asked at once. */
static void answered_again(struct schedule *schedule, mono_time now)
{
    bool others_well;
    (void)count_resting(schedule, &others_well);
    for (size_t u = 0; !others_well && u < schedule->unit_count; u++)
        schedule->units[u].rest_until = now;
}

void schedule_done(struct schedule *schedule, const struct schedule_turn *turn,
                   enum schedule_answer answer, mono_time now, int64_t cost_ms)
{
    struct schedule_entry *entry = &schedule->entries[turn->entry];
    struct schedule_unit *unit = entry->of;
    if (answer == SCHEDULE_GARBLED || answer == SCHEDULE_SILENT) {
        failed(schedule, entry, answer == SCHEDULE_GARBLED, now, cost_ms);
    } else {
        if (answer == SCHEDULE_ANSWERED && unit_rests(unit))
            answered_again(schedule, now);
        if (answer == SCHEDULE_ANSWERED && unit->trust < TRUSTED)
            unit->trust++;
        if (entry->failures > 0)
            (void)skip(entry, now);
        entry->failures = 0;
        forgive(schedule, unit, now);
    }
    entry->urgent = false;
    schedule->extra_last = turn->extra;
    if (entry->boost_ms != 0 && entry->boost_due.ns <= now.ns) {
        int64_t period_ns = entry->boost_ms * NS_PER_MS;
        entry->boost_due.ns += ((now.ns - entry->boost_due.ns) / period_ns + 1) * period_ns;
    }
    if (!turn->extra || entry->due.ns <= now.ns)
        advance(schedule, turn->entry, answer == SCHEDULE_ANSWERED, now);
}

void schedule_defer(struct schedule *schedule, size_t entry, mono_time until)
{
    schedule->entries[entry].due = until;
}

void schedule_now(struct schedule *schedule, size_t entry)
{
    schedule->entries[entry].urgent = true;
}

void schedule_boost(struct schedule *schedule, size_t entry, int64_t every_ms, mono_time now)
{
    schedule->entries[entry].boost_ms = every_ms;
    schedule->entries[entry].boost_due = now;
}

bool schedule_may_retry(const struct schedule *schedule, size_t entry)
{
    const struct schedule_entry *e = &schedule->entries[entry];
    return e->asked && e->failures == 0 && e->of->failures == 0;
}
