/* Which of a unit's registers share a request, for the least time of line. Pure; for plan.c. */
#ifndef LIFELINE_PLAN_SEARCH_H
#define LIFELINE_PLAN_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/plan_bundle.h"

/* Registers (or bits) that come with one answer, every so often. */
struct plan_item {
    uint32_t first, end; /* on the wire, `end` behind the last */
    uint32_t every_ms;   /* 0 = without a pause */
    uint32_t cap;        /* the most that a request with this item may ask for */
    int64_t overhead_ns; /* of a request with this item, without its values */
    uint32_t read;       /* out */
    uint32_t device;     /* the caller's own */
    uint16_t point;      /* the caller's own */
    uint32_t leader;     /* the search's own */
};

/* Gives every item the number of its read, from 0 on by the reads' first registers. Changes the
 * order of the items. False when there is no memory. */
bool plan_search(const struct plan_wire *wire, struct plan_item *items, size_t count);

#endif
