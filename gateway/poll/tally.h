/* What a unit or a line has been through: requests by how they ended, values by what they were
 * worth, and how long answers took. Pure; whoever owns it locks it. */
#ifndef LIFELINE_TALLY_H
#define LIFELINE_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "drivers/transport.h"
#include "proto/names.h"
#include "proto/value.h"

/* Round trips of 64 µs to 67 s in steps of a quarter of 64, 128, 256 µs and so on. */
enum { TALLY_TIMES = 80, TALLY_QUALITIES = QUALITY_STALE + 1 };

struct tally {
    uint64_t requests, good, timeout, exception, garbled, link;
    uint64_t late;                     /* answers that came when nobody waited any more */
    uint64_t foreign;                  /* frames of others heard while it was asked */
    uint64_t values[TALLY_QUALITIES];  /* decoded values by quality (enum quality) */
    uint64_t waited_us;                /* the sum of all round trips */
    uint16_t round_trips[TALLY_TIMES]; /* of good answers and exceptions; halved when one is full */
};

/* One request that ended so; round_trip_us counts for OK and EXCEPTION. */
void tally_request(struct tally *tally, enum outcome outcome, int64_t round_trip_us);

void tally_values(struct tally *tally, const struct value *values, size_t count);

/* Requests that were answered, whatever the answer: those that took a round trip. */
static inline uint64_t tally_answers(const struct tally *tally)
{
    return tally->good + tally->exception;
}

/* Adds what another has been through: those of one poll to those since the start. */
void tally_add(struct tally *tally, const struct tally *other);

/* The round trip that so many percent of the newer answers (the last few ten thousand) did not
 * exceed, µs: the upper end of its step, so never too little and at most a fifth of itself too
 * much (below 64 µs it says 80). 0 when there was none. */
uint32_t tally_percentile_us(const struct tally *tally, unsigned percent);

#endif
