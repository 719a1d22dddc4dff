/* An open segment: readings of up to some 500 points, packed as they arrive.
 *
 * Each Block keeps a byte buffer of dt_ms, each Column one of packed steps (or floats) and one of
 * quality runs; a reading appends one varint. segment_encode() writes headers and copies buffers.
 * What it writes is the body of a Segment message without its seq: the seq is given when the
 * segment closes, and segment_row() then makes the row that the store keeps and the wire carries.
 * Buffers grow during the first segments and are kept over segment_reset(): later nothing is
 * allocated. */
#ifndef LIFELINE_SEGMENT_H
#define LIFELINE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/names.h"
#include "proto/value.h"

struct segment_column {
    uint32_t point;   /* id in the Manifest */
    uint8_t decimals; /* 0 for a float column */
    bool is_float;
};

struct segment_block {
    uint32_t device; /* id in the Manifest */
    size_t column_count;
    const struct segment_column *columns;
};

struct segment_start {
    int64_t base_ms; /* wall time, UTC */
    int64_t mono_ms;
    enum clock_state clock;
    uint32_t boot;
};

struct segment;

/* Shapes are copied. NULL when there is no memory. */
struct segment *segment_new(const struct segment_block *blocks, size_t block_count);
void segment_free(struct segment *segment);

/* Empties it and starts anew. */
void segment_reset(struct segment *segment, const struct segment_start *start);

/* Appends one row to a block: time_ms is wall time, values has one entry a column of the block.
 * False, with nothing changed, when memory is short or dt does not fit 32 bits. */
bool segment_add(struct segment *segment, size_t block, int64_t time_ms, const struct value *values)
    __attribute__((warn_unused_result));

/* Values appended since the reset (rows x columns); 0 = nothing to encode. */
uint32_t segment_readings(const struct segment *segment);
int64_t segment_base_ms(const struct segment *segment);
/* Of the earliest and the latest row: the one that was added first need not be the earliest. */
int64_t segment_first_ms(const struct segment *segment);
int64_t segment_last_ms(const struct segment *segment);

/* Exact size of what segment_encode() writes now. */
size_t segment_size(const struct segment *segment);

/* The Segment body without seq, blocks without rows left out. Returns segment_size(), or 0 when the
 * capacity is too small or nothing was added. */
size_t segment_encode(const struct segment *segment, uint8_t *out, size_t capacity);

/* Bytes that segment_row() needs around a body. */
#define SEGMENT_ROW_OVERHEAD 24

/* A DataBatch.segments field, tag and length included: seq first, then the body.
 * Returns its length, or 0 when the capacity is too small. */
size_t segment_row(uint64_t seq, const uint8_t *body, size_t length, uint8_t *out, size_t capacity);

/* What a body, or a stored row behind its seq, says of its beginning. False when it is none of
 * ours.
 */
bool segment_start_of(const uint8_t *body, size_t length, struct segment_start *out)
    __attribute__((warn_unused_result));

/* Where the body of a row begins; `length` becomes the body's. NULL when it is no row. */
const uint8_t *segment_row_body(const uint8_t *row, size_t *length)
    __attribute__((warn_unused_result));

/* What the first bytes of a row say of its beginning, however many follow. */
bool segment_row_start(const uint8_t *row, size_t length, struct segment_start *out)
    __attribute__((warn_unused_result));

/* Gives a body another base_ms and the mark CORRECTED, in place: its length stays. */
void segment_correct(uint8_t *body, int64_t base_ms);

#endif
