/* The open segment: readings in, the body of a Segment message out.
 *
 * Belongs to whoever made it (the pipeline thread); nothing here locks. It owns its shapes and
 * buffers, which only grow. The packed fields (dt_ms, steps, floats, quality) are kept as the very
 * bytes of the wire, so that encoding, which happens at every sync, is headers and memcpy.
 * A Column remembers its last value (the next step counts from it) and its unfinished run of
 * quality. Never judges a value, never gives a seq, never logs. */
#include "proto/segment.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "proto/varint.h"

/* Tags: field number * 8 + wire type (0 varint, 1 eight bytes, 2 length-prefixed, 5 four bytes). */
enum tag {
    TAG_BATCH_SEGMENTS = 8 * 8 + 2,
    TAG_SEGMENT_SEQ = 1 * 8 + 0,
    TAG_SEGMENT_BASE_MS = 2 * 8 + 1,
    TAG_SEGMENT_MONO_MS = 3 * 8 + 1,
    TAG_SEGMENT_CLOCK = 4 * 8 + 0,
    TAG_SEGMENT_BOOT = 5 * 8 + 5,
    TAG_SEGMENT_BLOCKS = 6 * 8 + 2,
    TAG_BLOCK_DEVICE = 1 * 8 + 0,
    TAG_BLOCK_DT_MS = 2 * 8 + 2,
    TAG_BLOCK_COLUMNS = 3 * 8 + 2,
    TAG_COLUMN_POINT = 1 * 8 + 0,
    TAG_COLUMN_DECIMALS = 2 * 8 + 0,
    TAG_COLUMN_STEPS = 3 * 8 + 2,
    TAG_COLUMN_FLOATS = 4 * 8 + 2,
    TAG_COLUMN_QUALITY = 5 * 8 + 2,
};

/* base_ms, mono_ms, clock and boot are written even when zero: base_ms can be corrected in place.
 */
#define HEAD_SIZE (1 + 8 + 1 + 8 + 1 + 1 + 1 + 4)

/* Where their values stand in a body. */
enum head { HEAD_BASE_MS = 1, HEAD_MONO_MS = 10, HEAD_CLOCK = 19, HEAD_BOOT = 21 };

/* The most bytes that one run of quality takes: its length and its code. */
#define RUN_MAX (5 + 2)

struct buffer {
    uint8_t *bytes;
    size_t used;
    size_t capacity;
};

struct column {
    struct segment_column shape;
    uint8_t run_quality;
    uint32_t run; /* length of the unfinished run; not yet in quality */
    int64_t last_steps;
    float last_real;
    struct buffer values;
    struct buffer quality; /* finished runs */
};

struct block {
    uint32_t device;
    size_t column_count;
    struct column *columns;
    int64_t last_ms; /* base_ms before the first row */
    struct buffer dt;
};

struct segment {
    struct segment_start start;
    int64_t first_ms, last_ms;
    uint32_t readings;
    size_t block_count;
    struct block *blocks;
};

static bool reserve(struct buffer *buffer, size_t more)
{
    if (buffer->capacity - buffer->used >= more)
        return true;
    /* 24 is what the smallest block of malloc holds: thousands of columns never need more quality
     */
    size_t capacity = buffer->capacity ? buffer->capacity * 2 : 24;
    uint8_t *bytes = realloc(buffer->bytes, capacity);
    if (!bytes)
        return false;
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

static void append_varint(struct buffer *buffer, uint64_t number)
{
    uint8_t *end = varint_put(buffer->bytes + buffer->used, number);
    buffer->used = (size_t)(end - buffer->bytes);
}

static bool copy_block(struct block *block, const struct segment_block *shape)
{
    block->device = shape->device;
    block->columns = calloc(shape->column_count ? shape->column_count : 1, sizeof(*block->columns));
    if (!block->columns)
        return false;
    block->column_count = shape->column_count;
    for (size_t i = 0; i < shape->column_count; i++)
        block->columns[i].shape = shape->columns[i];
    return true;
}

struct segment *segment_new(const struct segment_block *blocks, size_t block_count)
{
    struct segment *segment = calloc(1, sizeof(*segment));
    if (!segment)
        return NULL;
    segment->blocks = calloc(block_count ? block_count : 1, sizeof(*segment->blocks));
    if (!segment->blocks)
        goto out;
    segment->block_count = block_count;
    for (size_t i = 0; i < block_count; i++) {
        if (!copy_block(&segment->blocks[i], &blocks[i]))
            goto out;
    }
    return segment;
out:
    segment_free(segment);
    return NULL;
}

void segment_free(struct segment *segment)
{
    if (!segment)
        return;
    for (size_t i = 0; i < segment->block_count; i++) {
        struct block *block = &segment->blocks[i];
        for (size_t j = 0; j < block->column_count; j++) {
            free(block->columns[j].values.bytes);
            free(block->columns[j].quality.bytes);
        }
        free(block->columns);
        free(block->dt.bytes);
    }
    free(segment->blocks);
    free(segment);
}

void segment_reset(struct segment *segment, const struct segment_start *start)
{
    segment->start = *start;
    segment->first_ms = segment->last_ms = start->base_ms;
    segment->readings = 0;
    for (size_t i = 0; i < segment->block_count; i++) {
        struct block *block = &segment->blocks[i];
        block->last_ms = start->base_ms;
        block->dt.used = 0;
        for (size_t j = 0; j < block->column_count; j++) {
            struct column *column = &block->columns[j];
            column->run = 0;
            column->run_quality = QUALITY_GOOD;
            column->last_steps = 0;
            column->last_real = 0;
            column->values.used = 0;
            column->quality.used = 0;
        }
    }
}

/* Room for one more row, so that appending cannot fail half way. */
static bool reserve_row(struct block *block)
{
    if (!reserve(&block->dt, VARINT_MAX))
        return false;
    for (size_t i = 0; i < block->column_count; i++) {
        struct column *column = &block->columns[i];
        if (!reserve(&column->values, VARINT_MAX) || !reserve(&column->quality, RUN_MAX))
            return false;
    }
    return true;
}

static void append_quality(struct column *column, uint8_t quality)
{
    if (quality != column->run_quality && column->run) {
        append_varint(&column->quality, column->run);
        append_varint(&column->quality, column->run_quality);
        column->run = 0;
    }
    column->run_quality = quality;
    column->run++;
}

static void append_value(struct column *column, const struct value *value)
{
    bool usable = names_quality_usable((enum quality)value->quality);
    if (column->shape.is_float) {
        if (usable)
            column->last_real = value->real;
        uint32_t bits;
        memcpy(&bits, &column->last_real, sizeof(bits));
        bits = htole32(bits);
        memcpy(column->values.bytes + column->values.used, &bits, sizeof(bits));
        column->values.used += sizeof(bits);
    } else {
        /* Unsigned, so that a wrap is defined; the reader's running sum wraps back. */
        int64_t steps = usable ? value->steps : column->last_steps;
        int64_t delta = (int64_t)((uint64_t)steps - (uint64_t)column->last_steps);
        append_varint(&column->values, varint_zigzag(delta));
        column->last_steps = steps;
    }
    append_quality(column, value->quality);
}

bool segment_add(struct segment *segment, size_t block_index, int64_t time_ms,
                 const struct value *values)
{
    struct block *block = &segment->blocks[block_index];
    int32_t dt;
    if (__builtin_sub_overflow(time_ms, block->last_ms, &dt) || !reserve_row(block))
        return false;
    append_varint(&block->dt, (uint32_t)varint_zigzag(dt));
    for (size_t i = 0; i < block->column_count; i++)
        append_value(&block->columns[i], &values[i]);
    block->last_ms = time_ms;
    if (segment->readings == 0 || time_ms < segment->first_ms)
        segment->first_ms = time_ms;
    if (segment->readings == 0 || time_ms > segment->last_ms)
        segment->last_ms = time_ms;
    segment->readings += (uint32_t)block->column_count;
    return true;
}

uint32_t segment_readings(const struct segment *segment)
{
    return segment->readings;
}

int64_t segment_base_ms(const struct segment *segment)
{
    return segment->start.base_ms;
}

int64_t segment_first_ms(const struct segment *segment)
{
    return segment->first_ms;
}

int64_t segment_last_ms(const struct segment *segment)
{
    return segment->last_ms;
}

/* A length-prefixed field of a one-byte tag. */
static size_t field_size(size_t length)
{
    return 1 + varint_size(length) + length;
}

/* A number is left out when zero, as proto3 does. */
static size_t number_size(uint64_t number)
{
    return number ? 1 + varint_size(number) : 0;
}

static uint8_t *put_head(uint8_t *out, enum tag tag, size_t length)
{
    *out++ = (uint8_t)tag;
    return varint_put(out, length);
}

static uint8_t *put_number(uint8_t *out, enum tag tag, uint64_t number)
{
    if (!number)
        return out;
    *out++ = (uint8_t)tag;
    return varint_put(out, number);
}

static uint8_t *put_bytes(uint8_t *out, enum tag tag, const struct buffer *buffer)
{
    out = put_head(out, tag, buffer->used);
    memcpy(out, buffer->bytes, buffer->used);
    return out + buffer->used;
}

static uint8_t *put_fixed64(uint8_t *out, enum tag tag, int64_t number)
{
    *out++ = (uint8_t)tag;
    uint64_t little = htole64((uint64_t)number);
    memcpy(out, &little, sizeof(little));
    return out + sizeof(little);
}

static uint8_t *put_fixed32(uint8_t *out, enum tag tag, uint32_t number)
{
    *out++ = (uint8_t)tag;
    uint32_t little = htole32(number);
    memcpy(out, &little, sizeof(little));
    return out + sizeof(little);
}

/* Length of the quality field's content with the unfinished run; 0 while all is GOOD. */
static size_t quality_length(const struct column *column)
{
    if (!column->quality.used && column->run_quality == QUALITY_GOOD)
        return 0;
    return column->quality.used + varint_size(column->run) + varint_size(column->run_quality);
}

static size_t column_length(const struct column *column)
{
    size_t quality = quality_length(column);
    return number_size(column->shape.point) + number_size(column->shape.decimals) +
           field_size(column->values.used) + (quality ? field_size(quality) : 0);
}

static size_t block_length(const struct block *block)
{
    size_t length = number_size(block->device) + field_size(block->dt.used);
    for (size_t i = 0; i < block->column_count; i++)
        length += field_size(column_length(&block->columns[i]));
    return length;
}

static uint8_t *put_column(uint8_t *out, const struct column *column)
{
    out = put_head(out, TAG_BLOCK_COLUMNS, column_length(column));
    out = put_number(out, TAG_COLUMN_POINT, column->shape.point);
    out = put_number(out, TAG_COLUMN_DECIMALS, column->shape.decimals);
    out = put_bytes(out, column->shape.is_float ? TAG_COLUMN_FLOATS : TAG_COLUMN_STEPS,
                    &column->values);
    size_t quality = quality_length(column);
    if (!quality)
        return out;
    out = put_head(out, TAG_COLUMN_QUALITY, quality);
    memcpy(out, column->quality.bytes, column->quality.used);
    out = varint_put(out + column->quality.used, column->run);
    return varint_put(out, column->run_quality);
}

static uint8_t *put_block(uint8_t *out, const struct block *block)
{
    out = put_head(out, TAG_SEGMENT_BLOCKS, block_length(block));
    out = put_number(out, TAG_BLOCK_DEVICE, block->device);
    out = put_bytes(out, TAG_BLOCK_DT_MS, &block->dt);
    for (size_t i = 0; i < block->column_count; i++)
        out = put_column(out, &block->columns[i]);
    return out;
}

size_t segment_size(const struct segment *segment)
{
    if (!segment->readings)
        return 0;
    size_t size = HEAD_SIZE;
    for (size_t i = 0; i < segment->block_count; i++) {
        if (segment->blocks[i].dt.used)
            size += field_size(block_length(&segment->blocks[i]));
    }
    return size;
}

size_t segment_encode(const struct segment *segment, uint8_t *out, size_t capacity)
{
    size_t size = segment_size(segment);
    if (size > capacity)
        return 0;
    if (!size)
        return 0;
    out = put_fixed64(out, TAG_SEGMENT_BASE_MS, segment->start.base_ms);
    out = put_fixed64(out, TAG_SEGMENT_MONO_MS, segment->start.mono_ms);
    out = put_head(out, TAG_SEGMENT_CLOCK, segment->start.clock);
    out = put_fixed32(out, TAG_SEGMENT_BOOT, segment->start.boot);
    for (size_t i = 0; i < segment->block_count; i++) {
        if (segment->blocks[i].dt.used)
            out = put_block(out, &segment->blocks[i]);
    }
    return size;
}

size_t segment_row(uint64_t seq, const uint8_t *body, size_t length, uint8_t *out, size_t capacity)
{
    size_t content = number_size(seq) + length;
    size_t size = field_size(content);
    if (size > capacity)
        return 0;
    out = put_head(out, TAG_BATCH_SEGMENTS, content);
    out = put_number(out, TAG_SEGMENT_SEQ, seq);
    memcpy(out, body, length);
    return size;
}

bool segment_start_of(const uint8_t *body, size_t length, struct segment_start *out)
{
    if (length < HEAD_SIZE || body[HEAD_BASE_MS - 1] != TAG_SEGMENT_BASE_MS ||
        body[HEAD_MONO_MS - 1] != TAG_SEGMENT_MONO_MS ||
        body[HEAD_CLOCK - 1] != TAG_SEGMENT_CLOCK || body[HEAD_BOOT - 1] != TAG_SEGMENT_BOOT)
        return false;
    uint64_t base_ms, mono_ms;
    uint32_t boot;
    memcpy(&base_ms, body + HEAD_BASE_MS, sizeof(base_ms));
    memcpy(&mono_ms, body + HEAD_MONO_MS, sizeof(mono_ms));
    memcpy(&boot, body + HEAD_BOOT, sizeof(boot));
    *out = (struct segment_start){.base_ms = (int64_t)le64toh(base_ms),
                                  .mono_ms = (int64_t)le64toh(mono_ms),
                                  .clock = (enum clock_state)body[HEAD_CLOCK],
                                  .boot = le32toh(boot)};
    return true;
}

/* Behind the row's tag, length and seq; NULL when it has none. `content`: what its length says. */
static const uint8_t *skip_head(const uint8_t *row, const uint8_t *end, uint64_t *content,
                                const uint8_t **content_at)
{
    const uint8_t *at = row;
    uint64_t seq;
    if (at == end || *at++ != TAG_BATCH_SEGMENTS || !varint_get(&at, end, content))
        return NULL;
    *content_at = at;
    if (at == end || *at++ != TAG_SEGMENT_SEQ || !varint_get(&at, end, &seq))
        return NULL;
    return at;
}

const uint8_t *segment_row_body(const uint8_t *row, size_t *length)
{
    const uint8_t *end = row + *length, *content_at;
    uint64_t content;
    const uint8_t *at = skip_head(row, end, &content, &content_at);
    if (!at || content != (uint64_t)(end - content_at))
        return NULL;
    *length = (size_t)(end - at);
    return at;
}

bool segment_row_start(const uint8_t *row, size_t length, struct segment_start *out)
{
    const uint8_t *end = row + length, *content_at;
    uint64_t content;
    const uint8_t *at = skip_head(row, end, &content, &content_at);
    return at && segment_start_of(at, (size_t)(end - at), out);
}

void segment_correct(uint8_t *body, int64_t base_ms)
{
    uint64_t little = htole64((uint64_t)base_ms);
    memcpy(body + HEAD_BASE_MS, &little, sizeof(little));
    body[HEAD_CLOCK] = CLOCK_STATE_CORRECTED;
}
