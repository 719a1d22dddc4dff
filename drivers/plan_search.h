/* Which of a unit's registers share a request, for the least time of line. Pure; for plan.c. */
#ifndef LIFELINE_PLAN_SEARCH_H
#define LIFELINE_PLAN_SEARCH_H

#include <stddef.h>

#include "drivers/plan_bundle.h"

struct plan_item {
    struct plan_layer layer;
    uint32_t read;   /* out */
    uint32_t device; /* the caller's own */
    uint16_t point;  /* the caller's own */
};

/* Gives every item the number of its read, from 0 on by the reads' first registers. Changes the
 * order of the items. False when there is no memory. */
bool plan_search(const struct plan_wire *wire, struct plan_item *items, size_t count);

#endif
