/* The least value of a night, 02 to 04 h local, and a row of such nights. Only for
 * drivers/diagnosis*.c. */
#ifndef LIFELINE_DIAGNOSIS_NIGHT_H
#define LIFELINE_DIAGNOSIS_NIGHT_H

#include "drivers/diagnosis.h"
#include "drivers/diagnosis_bytes.h"

enum { DIAGNOSIS_NIGHTS_MAX = 60, DIAGNOSIS_DAY_MAX = 1000000 /* beyond any calendar */ };

/* The night that is going on. */
struct diagnosis_night {
    bool on;
    int32_t day;     /* local, since 1970-01-01 */
    int64_t last_ms; /* of the day: the newest sample */
    int64_t gap_ms;  /* the longest time without one */
    bool has_previous, has_low;
    double previous, low;
};

/* Nights that are over, oldest first. */
struct diagnosis_nights {
    uint32_t count;
    int32_t days[DIAGNOSIS_NIGHTS_MAX];
    double lows[DIAGNOSIS_NIGHTS_MAX];
};

/* Every call of the diagnosis goes through it. True when a night has ended that had samples all
 * through (no gap above half an hour): its day, and the least value that two samples in a row did
 * not exceed. A clock that is not true ends a night without a word. */
bool diagnosis_night_hear(struct diagnosis_night *night, const struct diagnosis_moment *moment,
                          const struct diagnosis_input *input, int32_t *day, double *low);

/* The end of the night that is going on; ns 0 = none is. */
mono_time diagnosis_night_due(const struct diagnosis_night *night,
                              const struct diagnosis_moment *moment);

bool diagnosis_night_is_weekend(int32_t day);

/* Nights from that day on: they come from a clock that was wrong. */
void diagnosis_nights_forget_from(struct diagnosis_nights *nights, int32_t day);

/* Forgets those from that day on, and keeps the newest `most`. */
void diagnosis_nights_add(struct diagnosis_nights *nights, int32_t day, double low, uint32_t most);
void diagnosis_nights_put(const struct diagnosis_nights *nights, struct diagnosis_bytes *bytes);

/* What is not in order has failed. */
void diagnosis_nights_get(struct diagnosis_nights *nights, struct diagnosis_bytes *bytes);

#endif
