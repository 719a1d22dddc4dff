/* Rates over the last day, from marks set once an hour. Pure. */
#ifndef LIFELINE_GAUGE_H
#define LIFELINE_GAUGE_H

#include <stdint.h>

#include "drivers/clock.h"

enum { GAUGE_HOURS = 24 };

/* What was written since start, at a moment. */
struct gauge_mark {
    mono_time at;
    uint64_t flash_bytes; /* by the process */
    uint64_t row_bytes;   /* in closed segments */
};

struct gauge {
    struct gauge_mark marks[GAUGE_HOURS]; /* a ring */
    uint32_t count;                       /* ever set */
};

/* Bytes a day since the oldest mark, which is at most a day old; 0 while it is too young. Sets a
 * mark when the newest is an hour old. */
struct gauge_rate {
    uint64_t flash_day, rows_day;
};
struct gauge_rate gauge_note(struct gauge *gauge, const struct gauge_mark *now);

/* Bytes that the process wrote, out of /proc/self/io; `before` where that cannot be read now. */
uint64_t gauge_flash(const char *path, uint64_t before);

/* Until so many bytes are full, at least 1; 0 = not known. */
uint64_t gauge_hours(uint64_t bytes, const struct gauge_rate *rate);

#endif
