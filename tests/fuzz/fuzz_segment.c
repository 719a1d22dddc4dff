/* Any bytes as a stored row: the reader stays inside them, ends, and says what protobuf-c says.
 *
 * Input: a DataBatch.segments field, else a bare Segment. Where protobuf-c would write the very
 * same bytes again, nothing in them is odd: then times and sums must be those of its arrays, and a
 * column is malformed just when its lengths differ. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"
#include "proto/names.h"
#include "proto/segment.h"
#include "proto/segment_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void insist(bool truth)
{
    if (!truth)
        abort();
}

/* The unpacked message when it packs into the same bytes. */
static Lifeline__V1__Segment *canonical(const uint8_t *body, size_t length)
{
    Lifeline__V1__Segment *segment =
        (void *)message_unpack(&lifeline__v1__segment__descriptor, body, length, length);
    uint8_t *again = malloc(length + 1);
    bool same = segment && again && protobuf_c_message_get_packed_size(&segment->base) == length &&
                message_pack(&segment->base, again, length) == length &&
                memcmp(again, body, length) == 0;
    free(again);
    if (same)
        return segment;
    if (segment)
        message_free(&segment->base);
    return NULL;
}

static void compare(struct segment_read_column column, const Lifeline__V1__Segment *segment,
                    const Lifeline__V1__Block *block, const Lifeline__V1__Column *wanted)
{
    struct segment_reading reading;
    uint64_t time = (uint64_t)segment->base_ms, sum = 0;
    size_t rows = 0;
    bool one_kind = !wanted->n_steps || !wanted->n_floats;
    insist(column.device == block->device && column.point == wanted->point &&
           column.decimals == wanted->decimals);
    for (; segment_read_next(&column, &reading); rows++) {
        insist(rows < block->n_dt_ms);
        time += (uint64_t)(int64_t)block->dt_ms[rows];
        insist((uint64_t)reading.time_ms == time);
        if (!one_kind || column.is_float)
            continue;
        sum += (uint64_t)wanted->steps[rows];
        insist(!names_quality_usable((enum quality)reading.value.quality) ||
               (uint64_t)reading.value.steps == sum);
    }
    size_t values = wanted->n_floats ? wanted->n_floats : wanted->n_steps;
    insist(!one_kind || column.malformed || (rows == block->n_dt_ms && rows == values));
    insist(!one_kind || !column.malformed || wanted->n_quality || values != block->n_dt_ms);
}

static void read_all(const uint8_t *body, size_t length)
{
    struct segment_read segment;
    struct segment_read_column column;
    struct segment_reading reading;
    size_t block = 0, at = 0;
    if (!segment_read_begin(&segment, body, length))
        return;
    Lifeline__V1__Segment *wanted = canonical(body, length);
    while (segment_read_column(&segment, &column)) {
        while (wanted && at == wanted->blocks[block]->n_columns) {
            block++;
            at = 0;
        }
        if (wanted)
            compare(column, wanted, wanted->blocks[block], wanted->blocks[block]->columns[at++]);
        size_t rows = 0, most = (size_t)(column.dt.end - column.dt.at);
        while (segment_read_next(&column, &reading))
            insist(rows++ < most);
        insist(!segment_read_next(&column, &reading));
    }
    insist(!segment_read_column(&segment, &column));
    if (wanted)
        message_free(&wanted->base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 16)
        return 0;
    const uint8_t *body = segment_row_body(data, &size);
    read_all(body ? body : data, size);
    return 0;
}
