/* The last so many ms of a value: lowest, highest and the sum of increases. Pure, fixed size.
 *
 * A window of w ms is kept as slots of w / WINDOW_SLOTS ms (rounded up, at least 1 ms),
 * counted from the first sample; a slot leaves when all of it is older than w. So what is asked for
 * reaches at most one slot further back than w, never less. */
#ifndef LIFELINE_WINDOW_H
#define LIFELINE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/clock.h"

enum { WINDOW_SLOTS = 64 };

struct window_slot {
    int64_t number; /* of the slot since `origin` */
    double low, high, sum;
};

struct window {
    int64_t width_ms; /* of a slot */
    int64_t span_ms;
    bool begun;
    mono_time origin;
    uint16_t first, count; /* the slots in use */
    struct window_slot slots[WINDOW_SLOTS + 1];
};

void window_start(struct window *window, int64_t span_ms);
void window_add(struct window *window, mono_time at, double value, double increase);

/* Lets go of what is too old at that moment. */
void window_age(struct window *window, mono_time now);

/* False when it is empty. */
bool window_range(const struct window *window, double *low, double *high);
double window_sum(const struct window *window);

/* It knows the whole span: its first sample is as old. */
bool window_is_full(const struct window *window, mono_time now);

/* Over a restart, in wall times: now and wall are the same moment. Returns the length; 0 = nothing
 * is known, or it does not fit. */
enum { WINDOW_SAVE_MAX = 18 + 32 * (WINDOW_SLOTS + 1) };
size_t window_save(const struct window *window, mono_time now, wall_time wall, uint8_t *out,
                   size_t capacity);

/* After window_start(). False, and nothing is changed, for bytes that are none of a window of this
 * span or that speak of what is still to come. */
bool window_load(struct window *window, mono_time now, wall_time wall, const uint8_t *bytes,
                 size_t length) __attribute__((warn_unused_result));

#endif
