/* How long to wait before the next connect, so that a city full of gateways does not come back as
 * one herd. Pure.
 *
 * Whoever loses its broker because of the broker loses it together with ten thousand others: such a
 * pause is drawn from `spread`. Whoever loses it because of its own link is alone: it tries again
 * after a second, and doubles that up to a minute. */
#ifndef LIFELINE_BACKOFF_H
#define LIFELINE_BACKOFF_H

#include <stdint.h>

enum {
    BACKOFF_MIN_MS = 1000,
    BACKOFF_MAX_MS = 60000,
    BACKOFF_TAKEN_MS = 60000,
    BACKOFF_HURRIES = 16
};

/* The worse, the further down. */
enum backoff_cause {
    BACKOFF_LINK,   /* nothing was heard, or there was no way to it */
    BACKOFF_BROKER, /* it closed the connection or refused it */
    BACKOFF_TAKEN,  /* it gave our place to another client with our id */
};

struct backoff {
    uint32_t failures; /* in a row */
    uint32_t hurries;  /* in between */
};

/* The pause after one more failure; random: any 64 bits.
 *
 * Of our own link: 1 s doubled per failure up to 40 s, and a random share of up to a half more.
 * Of the broker: at least that, and at least a draw from 1 s to `spread`; after the first one from
 * half of it to one and a half, so that whoever was refused does not come twice in one spread.
 * Another client with our id: 1 to 2 minutes. */
uint32_t backoff_next(struct backoff *backoff, enum backoff_cause cause, uint32_t spread_ms,
                      uint64_t random);

/* The pause where the last connection ended for a reason that the next one avoids: from 1 s on over
 * half of `spread`, and neither doubled nor more than BACKOFF_HURRIES times in a row, enough to
 * find one row among thousands by halves; then 0. Not at once: a broker that dies while it
 * acknowledges slowly gives a whole city such a reason. */
uint32_t backoff_hurry(struct backoff *backoff, uint32_t spread_ms, uint64_t random);

/* The pause between two attempts that belong together: 1 to 1.5 s. */
uint32_t backoff_step(uint64_t random);

#endif
