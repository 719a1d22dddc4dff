/* Values that jump: is it the world, or one broken reading? Pure, fixed size.
 *
 * A value is suspect when it lies further than `limit` from the median of the last five, and
 * further than six times their median deviation. The next value decides: one that lies as far
 * confirms it, wherever it lies and however late it comes (a value is held back once, never twice:
 * what lasts is not missed); one like those before makes it a spike, unless it comes more than
 * SPIKE_MS later and says nothing of that time. Before five values nothing is suspect, nor just
 * after one was confirmed. A number that is not finite changes nothing. */
#ifndef LIFELINE_SPIKE_H
#define LIFELINE_SPIKE_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/clock.h"

enum { SPIKE_VALUES = 5, SPIKE_MS = 600000 };

struct spike {
    double values[SPIKE_VALUES]; /* the last ones that were believed */
    uint8_t next, count;
    bool suspects;
    double suspect;
    mono_time since;
};

enum spike_verdict {
    SPIKE_NO,
    SPIKE_SUSPECT,   /* ask again; not to be judged yet */
    SPIKE_CONFIRMED, /* it was true: this value is like it */
    SPIKE_WAS,       /* it was a spike: this value is like those before */
};

enum spike_verdict spike_look(struct spike *spike, double limit, double value, mono_time at);

#endif
