/* Counts how requests ended, what values were worth and how long answers took.
 * Pure: the line's thread counts under the line's mutex, readers get copies. A round trip is
 * remembered only as its step on a scale of quarter doublings; when a step is full all are halved,
 * so that newer answers weigh more than those of last month: memory stays what it is for ever. */
#include "gateway/poll/tally.h"

enum {
    SHORTEST_LOG2 = 6, /* 64 µs */
    STEPS = 4,         /* a doubling */
    STEP_FULL = 32767, /* the sum of two can be held */
};

/* The step whose answers took less than step_us(step). */
static size_t step_of(int64_t us)
{
    size_t step = 0;
    uint64_t above = us > 0 ? (uint64_t)us >> SHORTEST_LOG2 : 0;
    if (above == 0)
        return 0;
    int doublings = 63 - __builtin_clzll(above);
    uint64_t quarter = ((uint64_t)us >> (doublings + SHORTEST_LOG2 - 2)) & 3;
    step = (size_t)doublings * STEPS + (size_t)quarter;
    return step < TALLY_TIMES ? step : TALLY_TIMES - 1;
}

static uint32_t step_us(size_t step)
{
    uint64_t base = UINT64_C(1) << (SHORTEST_LOG2 + step / STEPS);
    return (uint32_t)(base + base * (step % STEPS + 1) / STEPS);
}

/* All are halved until none is above full: shares stay, and newer answers weigh more. */
static void make_room(struct tally *tally, uint32_t highest)
{
    for (; highest > STEP_FULL; highest /= 2) {
        for (size_t i = 0; i < TALLY_TIMES; i++)
            tally->round_trips[i] /= 2;
    }
}

static void note_round_trip(struct tally *tally, int64_t us)
{
    uint16_t *count = &tally->round_trips[step_of(us)];
    tally->waited_us += us > 0 ? (uint64_t)us : 0;
    make_room(tally, ++*count);
}

void tally_request(struct tally *tally, enum outcome outcome, int64_t round_trip_us)
{
    tally->requests++;
    switch (outcome) {
    case OUTCOME_OK:
        tally->good++;
        note_round_trip(tally, round_trip_us);
        break;
    case OUTCOME_TIMEOUT:
        tally->timeout++;
        break;
    case OUTCOME_EXCEPTION:
        tally->exception++;
        note_round_trip(tally, round_trip_us);
        break;
    case OUTCOME_GARBLED:
        tally->garbled++;
        break;
    case OUTCOME_LINK:
        tally->link++;
        break;
    }
}

void tally_values(struct tally *tally, const struct value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i].quality < TALLY_QUALITIES)
            tally->values[values[i].quality]++;
    }
}

void tally_add(struct tally *tally, const struct tally *other)
{
    tally->requests += other->requests;
    tally->good += other->good;
    tally->timeout += other->timeout;
    tally->exception += other->exception;
    tally->garbled += other->garbled;
    tally->link += other->link;
    tally->late += other->late;
    tally->foreign += other->foreign;
    tally->waited_us += other->waited_us;
    for (size_t i = 0; i < TALLY_QUALITIES; i++)
        tally->values[i] += other->values[i];
    uint32_t highest = 0;
    for (size_t i = 0; i < TALLY_TIMES; i++) {
        tally->round_trips[i] = (uint16_t)(tally->round_trips[i] + other->round_trips[i]);
        if (tally->round_trips[i] > highest)
            highest = tally->round_trips[i];
    }
    make_room(tally, highest);
}

uint32_t tally_percentile_us(const struct tally *tally, unsigned percent)
{
    uint64_t total = 0, below = 0;
    for (size_t i = 0; i < TALLY_TIMES; i++)
        total += tally->round_trips[i];
    uint64_t rank = (total * (percent < 100 ? percent : 100) + 99) / 100;
    for (size_t i = 0; i < TALLY_TIMES; i++) {
        below += tally->round_trips[i];
        if (below > 0 && below >= rank)
            return step_us(i);
    }
    return 0;
}
