/* Sliding windows in slots: a ring of the slots that have samples, the oldest first.
 *
 * Pure; whoever holds a window calls it. A sample costs one comparison with the newest slot; asking
 * walks the slots. Never allocates. */
#include "drivers/window.h"

#include <string.h>

enum { ROOM = WINDOW_SLOTS + 1 }; /* the one that leaves and the one that fills, both in part */

void window_start(struct window *window, int64_t span_ms)
{
    memset(window, 0, sizeof *window);
    window->span_ms = span_ms;
    window->width_ms = span_ms > WINDOW_SLOTS ? (span_ms + WINDOW_SLOTS - 1) / WINDOW_SLOTS : 1;
}

static struct window_slot *slot(struct window *window, uint16_t index)
{
    return &window->slots[(window->first + index) % ROOM];
}

/* The moment from which on nothing of a slot is inside. */
static int64_t end_ns(const struct window *window, const struct window_slot *it)
{
    return window->origin.ns +
           ((it->number + 1) * window->width_ms + window->span_ms) * INT64_C(1000000);
}

void window_age(struct window *window, mono_time now)
{
    while (window->count && end_ns(window, slot(window, 0)) <= now.ns) {
        window->first = (uint16_t)((window->first + 1) % ROOM);
        window->count--;
    }
}

void window_add(struct window *window, mono_time at, double value, double increase)
{
    if (!window->begun) {
        window->begun = true;
        window->origin = at;
    }
    window_age(window, at);
    int64_t number = clock_ms_between(window->origin, at) / window->width_ms;
    struct window_slot *last = window->count ? slot(window, (uint16_t)(window->count - 1)) : NULL;
    if (last && last->number >= number) {
        last->low = value < last->low ? value : last->low;
        last->high = value > last->high ? value : last->high;
        last->sum += increase;
        return;
    }
    *slot(window, window->count++) = (struct window_slot){number, value, value, increase};
}

bool window_range(const struct window *window, double *low, double *high)
{
    for (uint16_t i = 0; i < window->count; i++) {
        const struct window_slot *it = &window->slots[(window->first + i) % ROOM];
        if (i == 0 || it->low < *low)
            *low = it->low;
        if (i == 0 || it->high > *high)
            *high = it->high;
    }
    return window->count > 0;
}

double window_sum(const struct window *window)
{
    double sum = 0;
    for (uint16_t i = 0; i < window->count; i++)
        sum += window->slots[(window->first + i) % ROOM].sum;
    return sum;
}

bool window_is_full(const struct window *window, mono_time now)
{
    return window->begun && clock_ms_between(window->origin, now) >= window->span_ms;
}
