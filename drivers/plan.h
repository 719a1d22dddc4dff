/* The read plan: which requests answer all points of all devices in the fewest milliseconds of
 * line. Pure.
 *
 *     point ──> block: points of one device and one period, a Block on the wire
 *     block ──> read:  blocks of one unit and function that one request answers
 *
 * A read is asked every every_ms; that is the shortest period of its blocks, of the others' each is
 * a multiple of the next shorter one. A block of k times the period takes part each k-th time only,
 * so nothing is sampled more often than asked. Bridging registers that nobody wants is weighed in
 * line time. */
#ifndef LIFELINE_PLAN_H
#define LIFELINE_PLAN_H

#include "config/settings.h"

struct plan_block {
    uint32_t line;    /* index into settings->lines */
    uint32_t of_line; /* its place among the blocks of its line */
    uint32_t device;  /* index into settings->devices */
    uint8_t unit;
    enum function function;
    uint16_t address, count; /* its hull on the wire: the device's base is added */
    uint32_t every_ms;
    const uint16_t *points; /* indices into the profile's points, ascending */
    uint16_t point_count;
};

struct plan_read {
    uint32_t line;
    uint8_t unit;
    enum function function;
    uint32_t every_ms;      /* 0 = without a pause */
    const uint32_t *blocks; /* indices into plan->blocks, by address */
    uint16_t block_count;
};

struct plan {
    struct plan_block *blocks; /* ordered by device, then function, address and period */
    size_t block_count;
    struct plan_read *reads; /* ordered by line, unit, function, address */
    size_t read_count;
    uint16_t *points;      /* what the blocks' points lie in */
    uint32_t *read_blocks; /* what the reads' blocks lie in */
};

/* NULL when there is no memory. (A point whose registers do not fit one request was refused when
 * the profile was loaded.) */
struct plan *plan_new(const struct settings *settings);
void plan_free(struct plan *plan);

#endif
