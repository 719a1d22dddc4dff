/* The read plan: which requests answer all points of all devices. Pure.
 *
 * A block is the points answered by one request: neighbouring registers of one function and one
 * period, with the registers that a point needs beside its own (unit, decimals, status) always in
 * the same request. It is a Block on the wire too. */
#ifndef LIFELINE_PLAN_H
#define LIFELINE_PLAN_H

#include "config/settings.h"

struct plan_block {
    uint32_t line;   /* index into settings->lines */
    uint32_t device; /* index into settings->devices */
    uint8_t unit;
    enum function function;
    uint16_t address, count; /* on the wire: the device's base is added */
    uint32_t every_ms;
    const uint16_t *points; /* indices into the profile's points, ascending */
    uint16_t point_count;
};

struct plan {
    struct plan_block *blocks; /* ordered by device, then function, address and period */
    size_t block_count;
    uint16_t *points; /* what the blocks' points lie in */
};

/* NULL when there is no memory. (A point whose registers do not fit one request was refused when
 * the profile was loaded.) */
struct plan *plan_new(const struct settings *settings);
void plan_free(struct plan *plan);

#endif
