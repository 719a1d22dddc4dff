/* Sliding windows in slots: a ring of the slots that have samples, the oldest first.
 *
 * Pure; whoever holds a window calls it. A sample costs one comparison with the newest slot; asking
 * walks the slots. Never allocates. */
#include "drivers/window.h"

#include <string.h>

#include "drivers/diagnosis_bytes.h"

enum {
    ROOM = WINDOW_SLOTS + 1, /* the one that leaves and the one that fills, both in part */
    VERSION = 1,             /* of what is saved */
};

#define AGE_MAX_MS (INT64_C(1) << 40) /* 34 years */

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

/* ---- over a restart ---- */

size_t window_save(const struct window *window, mono_time now, wall_time wall, uint8_t *out,
                   size_t capacity)
{
    struct diagnosis_bytes bytes = {.out = out, .size = capacity};
    if (!window->begun)
        return 0;
    diagnosis_bytes_put(&bytes, VERSION, 1);
    diagnosis_bytes_put(&bytes, (uint64_t)window->span_ms, 8);
    diagnosis_bytes_put(&bytes, (uint64_t)(wall.ms - clock_ms_between(window->origin, now)), 8);
    diagnosis_bytes_put(&bytes, window->count, 1);
    for (uint16_t i = 0; i < window->count; i++) {
        const struct window_slot *it = &window->slots[(window->first + i) % ROOM];
        diagnosis_bytes_put(&bytes, (uint64_t)it->number, 8);
        diagnosis_bytes_put_real(&bytes, it->low);
        diagnosis_bytes_put_real(&bytes, it->high);
        diagnosis_bytes_put_real(&bytes, it->sum);
    }
    return diagnosis_bytes_written(&bytes);
}

/* Slots lie in order, and none before the first sample or after `newest`. */
static void load_slots(struct window *window, struct diagnosis_bytes *bytes, int64_t newest)
{
    int64_t last = -1;
    for (uint16_t i = 0; i < window->count && !bytes->failed; i++) {
        struct window_slot *it = &window->slots[i];
        it->number = (int64_t)diagnosis_bytes_get(bytes, 8);
        it->low = diagnosis_bytes_get_real(bytes);
        it->high = diagnosis_bytes_get_real(bytes);
        it->sum = diagnosis_bytes_get_real(bytes);
        bytes->failed |=
            it->number <= last || it->number > newest || it->low > it->high || it->sum < 0;
        last = it->number;
    }
}

bool window_load(struct window *window, mono_time now, wall_time wall, const uint8_t *in,
                 size_t length)
{
    struct diagnosis_bytes bytes = {.in = in, .size = length};
    struct window read;
    uint64_t version = diagnosis_bytes_get(&bytes, 1);
    int64_t span_ms = (int64_t)diagnosis_bytes_get(&bytes, 8);
    int64_t origin_ms = (int64_t)diagnosis_bytes_get(&bytes, 8);
    uint64_t count = diagnosis_bytes_get(&bytes, 1);
    if (bytes.failed || version != VERSION || span_ms != window->span_ms || count > ROOM ||
        origin_ms > wall.ms || origin_ms < wall.ms - AGE_MAX_MS)
        return false;
    window_start(&read, span_ms);
    read.begun = true;
    read.origin = clock_after_ms(now, origin_ms - wall.ms);
    read.count = (uint16_t)count;
    load_slots(&read, &bytes, (wall.ms - origin_ms) / read.width_ms);
    if (!diagnosis_bytes_are_read(&bytes))
        return false;
    *window = read;
    window_age(window, now);
    return true;
}
