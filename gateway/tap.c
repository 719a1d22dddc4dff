/* A queue of copies that forgets the oldest.
 *
 * Any thread, under its owner's mutex. Closed it costs nothing, so that a gateway to which nobody
 * listens pays nothing for it. Owns the copies. Never waits for who listens: what he does not take
 * in time is counted and gone, for the store has all of it. */
#include "gateway/tap.h"

#include <stdlib.h>
#include <string.h>

struct tap_item {
    struct tap_item *next;
    size_t size;
    uint8_t bytes[]; /* a struct lane_event, as far as its message goes */
};

static void drop(struct tap *tap)
{
    struct tap_item *item = tap->first;
    tap->first = item->next;
    tap->count--;
    free(item);
}

void tap_open(struct tap *tap, bool open)
{
    if (open && tap->open)
        return;
    while (tap->first)
        drop(tap);
    *tap = (struct tap){.open = open};
}

void tap_put(struct tap *tap, const struct lane_event *event)
{
    size_t size = offsetof(struct lane_event, bytes) + event->length;
    if (!tap->open)
        return;
    struct tap_item *item = malloc(sizeof *item + size);
    if (!item) {
        tap->missed++;
        return;
    }
    if (tap->count == TAP_EVENTS) {
        drop(tap);
        tap->missed++;
    }
    *item = (struct tap_item){.size = size};
    memcpy(item->bytes, event, size);
    if (tap->first)
        tap->last->next = item;
    else
        tap->first = item;
    tap->last = item;
    tap->count++;
}

bool tap_take(struct tap *tap, struct lane_event *out, uint64_t *missed)
{
    const struct tap_item *item = tap->first;
    *missed += tap->missed;
    tap->missed = 0;
    if (!item)
        return false;
    memcpy(out, item->bytes, item->size);
    drop(tap);
    return true;
}
