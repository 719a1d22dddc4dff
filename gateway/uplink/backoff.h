/* How long to wait before the next connect: doubling, with jitter, so that a city full of gateways
 * does not come back as one herd. Pure. */
#ifndef LIFELINE_BACKOFF_H
#define LIFELINE_BACKOFF_H

#include <stdint.h>

enum { BACKOFF_MIN_MS = 1000, BACKOFF_MAX_MS = 60000 };

struct backoff {
    uint32_t failures; /* in a row */
};

/* The pause after one more failure: BACKOFF_MIN_MS doubled per failure up to BACKOFF_MAX_MS, of
 * which a random share of up to a half (random: any 32 bits) is left out; never below
 * BACKOFF_MIN_MS. */
uint32_t backoff_next(struct backoff *backoff, uint32_t random);

#endif
