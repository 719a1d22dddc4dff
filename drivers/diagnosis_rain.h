/* What a rain gauge has counted in the last so long. Only for drivers/diagnosis*.c. */
#ifndef LIFELINE_DIAGNOSIS_RAIN_H
#define LIFELINE_DIAGNOSIS_RAIN_H

#include "drivers/diagnosis.h"

enum { DIAGNOSIS_RAIN_SLOTS = 9 }; /* of an eighth of the window each: the whole of it, and a bit */

struct diagnosis_rain {
    bool begun;
    double value;     /* of the counter */
    mono_time since;  /* it is known without a break */
    mono_time rained; /* the newest increase; ns 0 = none yet */
    int64_t slot;
    double slots[DIAGNOSIS_RAIN_SLOTS];
    mono_time at;
};

/* A sample of the gauge; nothing when it is none. A counter that falls was reset or went round:
 * what it says then has fallen since. More than can fall is a counter that was set: what is known
 * begins anew. */
void diagnosis_rain_hear(struct diagnosis_rain *rain, const struct diagnosis_input *input,
                         int64_t window_ms);

double diagnosis_rain_sum(const struct diagnosis_rain *rain, mono_time now, int64_t window_ms);

/* It is known what has fallen in all of the window: the gauge speaks, has spoken since before it,
 * and its last word is younger than a quarter of it. */
bool diagnosis_rain_is_known(const struct diagnosis_rain *rain, const struct diagnosis_input *input,
                             mono_time now, int64_t window_ms);

#endif
