/* Readings out of a Segment: the rows that segment.c wrote, undone.
 *
 *     segment_read_begin(&segment, body, length) &&
 *     while (segment_read_column(&segment, &column))
 *         while (segment_read_next(&column, &reading)) ...
 *
 * Cursors into the caller's bytes, which must outlive them; nothing is allocated and a column can
 * be left half read, so that many can be merged by time. Any bytes are safe: what is malformed ends
 * the cursor and is said in `malformed`; what was read before it stands. */
#ifndef LIFELINE_SEGMENT_READ_H
#define LIFELINE_SEGMENT_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/value.h"

/* More than any point has; a column that says more is malformed. */
enum { SEGMENT_READ_DECIMALS_MAX = 18 };

struct segment_read_bytes {
    const uint8_t *at, *end;
};

struct segment_read {
    int64_t base_ms;
    bool malformed;
    struct segment_read_bytes left;  /* of the segment, behind the block */
    struct segment_read_bytes block; /* left of the block */
    struct segment_read_bytes dt;    /* of the block */
    uint32_t device;                 /* of the block */
};

struct segment_read_column {
    uint32_t device, point; /* ids in the Manifest */
    uint8_t decimals;
    bool is_float, malformed;
    uint8_t quality; /* of the run */
    uint64_t run;    /* readings left in it */
    int64_t time_ms, steps;
    struct segment_read_bytes dt, values, qualities;
    bool all_good; /* there are no runs */
};

struct segment_reading {
    int64_t time_ms;
    struct value value; /* real when the column is_float */
};

/* A body, with or without its seq. False when it is malformed as a whole. */
bool segment_read_begin(struct segment_read *segment, const uint8_t *body, size_t length)
    __attribute__((warn_unused_result));

/* The next column; false at the end, or where segment->malformed. */
bool segment_read_column(struct segment_read *segment, struct segment_read_column *column);

/* The next reading of a column; false at its end, or where column->malformed. */
bool segment_read_next(struct segment_read_column *column, struct segment_reading *reading);

#endif
