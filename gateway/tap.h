/* Copies of events for somebody who listens to all of them, and may be slow. */
#ifndef LIFELINE_TAP_H
#define LIFELINE_TAP_H

#include "gateway/lane.h"

enum { TAP_EVENTS = 1024 }; /* waiting; beyond them the oldest are missed */

struct tap_item;

/* Zeroed: closed. Its owner has the mutex. */
struct tap {
    bool open;
    struct tap_item *first, *last;
    size_t count;
    uint64_t missed;
};

/* Empty, unless it was open and stays so. */
void tap_open(struct tap *tap, bool open);

void tap_put(struct tap *tap, const struct lane_event *event);

/* False: there is none. *missed goes up by those that were missed since the last call. */
bool tap_take(struct tap *tap, struct lane_event *out, uint64_t *missed);

#endif
