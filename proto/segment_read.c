/* A Segment read back, reading by reading, for whoever looks into the store (history).
 *
 * Pure: no thread of its own, no memory, no state but the caller's cursors. The fields are found in
 * one walk over tags and lengths; a column that nobody wants costs its header. Deltas are undone as
 * they are read, and wrap where segment.c wrapped. Trusts no byte: every length is checked against
 * its enclosing field. Never judges a reading, never resolves an id. */
#include "proto/segment_read.h"

#include <endian.h>
#include <string.h>

#include "proto/names.h"
#include "proto/varint.h"

/* Field numbers, as in lifeline.proto. */
enum { SEGMENT_BASE_MS = 2, SEGMENT_BLOCKS = 6 };
enum { BLOCK_DEVICE = 1, BLOCK_DT_MS = 2, BLOCK_COLUMNS = 3 };
enum { COLUMN_POINT = 1, COLUMN_DECIMALS, COLUMN_STEPS, COLUMN_FLOATS, COLUMN_QUALITY };

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct field {
    uint64_t number;
    enum wire_type type;
    uint64_t value;                  /* of a varint or fixed field */
    struct segment_read_bytes bytes; /* of one with a length */
};

static bool take_fixed(struct segment_read_bytes *from, size_t size, uint64_t *out)
{
    uint64_t number = 0;
    if ((size_t)(from->end - from->at) < size)
        return false;
    memcpy(&number, from->at, size);
    from->at += size;
    *out = le64toh(number);
    return true;
}

/* The next field; false at the end (*whole stays true) and at what is none (it becomes false). */
static bool next_field(struct segment_read_bytes *from, struct field *field, bool *whole)
{
    uint64_t tag;
    if (from->at == from->end)
        return false;
    *whole = false;
    if (!varint_get(&from->at, from->end, &tag) || tag >> 3 == 0)
        return false;
    field->number = tag >> 3;
    field->type = (enum wire_type)(tag & 7);
    switch (tag & 7) {
    case WIRE_VARINT:
        return *whole = varint_get(&from->at, from->end, &field->value);
    case WIRE_FIXED64:
        return *whole = take_fixed(from, 8, &field->value);
    case WIRE_FIXED32:
        return *whole = take_fixed(from, 4, &field->value);
    case WIRE_BYTES:
        if (!varint_get(&from->at, from->end, &field->value) ||
            field->value > (uint64_t)(from->end - from->at))
            return false;
        field->bytes = (struct segment_read_bytes){from->at, from->at + field->value};
        from->at += field->value;
        return *whole = true;
    default:
        return false;
    }
}

static bool is_bytes(const struct field *field, uint64_t number)
{
    return field->number == number && field->type == WIRE_BYTES;
}

static bool is_varint(const struct field *field, uint64_t number)
{
    return field->number == number && field->type == WIRE_VARINT;
}

bool segment_read_begin(struct segment_read *segment, const uint8_t *body, size_t length)
{
    struct segment_read_bytes left = {body, body + length};
    struct field field;
    bool whole = true;
    *segment = (struct segment_read){.left = left};
    while (next_field(&left, &field, &whole)) {
        if (field.number == SEGMENT_BASE_MS && field.type == WIRE_FIXED64)
            segment->base_ms = (int64_t)field.value;
    }
    segment->malformed = !whole;
    return whole;
}

/* What all columns of a block share may stand anywhere in it. */
static bool begin_block(struct segment_read *segment, struct segment_read_bytes block)
{
    struct segment_read_bytes left = block;
    struct field field;
    bool whole = true;
    segment->block = block;
    segment->device = 0;
    segment->dt = (struct segment_read_bytes){block.end, block.end};
    while (next_field(&left, &field, &whole)) {
        if (is_varint(&field, BLOCK_DEVICE))
            segment->device = (uint32_t)field.value;
        else if (is_bytes(&field, BLOCK_DT_MS))
            segment->dt = field.bytes;
    }
    return whole;
}

static bool begin_column(const struct segment_read *segment, struct segment_read_bytes left,
                         struct segment_read_column *column)
{
    struct field field;
    bool whole = true;
    *column = (struct segment_read_column){.device = segment->device,
                                           .time_ms = segment->base_ms,
                                           .dt = segment->dt,
                                           .values = {left.end, left.end},
                                           .qualities = {left.end, left.end}};
    uint64_t decimals = 0;
    while (next_field(&left, &field, &whole)) {
        if (is_varint(&field, COLUMN_POINT))
            column->point = (uint32_t)field.value;
        else if (is_varint(&field, COLUMN_DECIMALS))
            decimals = field.value;
        else if (is_bytes(&field, COLUMN_STEPS) || is_bytes(&field, COLUMN_FLOATS))
            column->values = field.bytes;
        else if (is_bytes(&field, COLUMN_QUALITY))
            column->qualities = field.bytes;
        column->is_float = column->is_float || is_bytes(&field, COLUMN_FLOATS);
    }
    column->decimals = (uint8_t)decimals;
    column->all_good = column->qualities.at == column->qualities.end;
    return whole && decimals <= SEGMENT_READ_DECIMALS_MAX;
}

bool segment_read_column(struct segment_read *segment, struct segment_read_column *column)
{
    struct field field;
    bool whole = true;
    while (!segment->malformed) {
        if (next_field(&segment->block, &field, &whole)) {
            if (!is_bytes(&field, BLOCK_COLUMNS))
                continue;
            segment->malformed = !begin_column(segment, field.bytes, column);
            return !segment->malformed;
        }
        if (whole && !next_field(&segment->left, &field, &whole) && whole)
            return false;
        segment->malformed =
            !whole || (is_bytes(&field, SEGMENT_BLOCKS) && !begin_block(segment, field.bytes));
    }
    return false;
}

static int64_t unfold(uint64_t number)
{
    return (int64_t)(number >> 1) ^ -(int64_t)(number & 1);
}

static bool next_time(struct segment_read_column *column)
{
    uint64_t folded;
    if (!varint_get(&column->dt.at, column->dt.end, &folded) || folded > UINT32_MAX)
        return false;
    column->time_ms = (int64_t)((uint64_t)column->time_ms + (uint64_t)unfold(folded));
    return true;
}

static bool next_quality(struct segment_read_column *column)
{
    uint64_t code;
    if (column->all_good)
        return true;
    while (column->run == 0) {
        if (!varint_get(&column->qualities.at, column->qualities.end, &column->run) ||
            !varint_get(&column->qualities.at, column->qualities.end, &code) || code > UINT8_MAX)
            return false;
        column->quality = (uint8_t)code;
    }
    column->run--;
    return true;
}

static bool next_value(struct segment_read_column *column, struct value *value)
{
    uint64_t number;
    *value = (struct value){.quality = column->quality};
    if (column->is_float) {
        if (!take_fixed(&column->values, 4, &number))
            return false;
        uint32_t bits = (uint32_t)number;
        if (names_quality_usable((enum quality)value->quality))
            memcpy(&value->real, &bits, sizeof bits);
        return true;
    }
    if (!varint_get(&column->values.at, column->values.end, &number))
        return false;
    column->steps = (int64_t)((uint64_t)column->steps + (uint64_t)unfold(number));
    if (names_quality_usable((enum quality)value->quality))
        value->steps = column->steps;
    return true;
}

bool segment_read_next(struct segment_read_column *column, struct segment_reading *reading)
{
    if (column->malformed)
        return false;
    if (column->dt.at == column->dt.end) {
        /* a column is as long as dt_ms, and so are its runs */
        column->malformed = column->values.at != column->values.end || column->run != 0 ||
                            column->qualities.at != column->qualities.end;
        return false;
    }
    column->malformed =
        !next_time(column) || !next_quality(column) || !next_value(column, &reading->value);
    reading->time_ms = column->time_ms;
    return !column->malformed;
}
