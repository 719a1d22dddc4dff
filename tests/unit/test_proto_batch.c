/* Batches by appending.
 *
 * Header, rows and gaps come out of one unpack. What is not a row stays out: bare Segment bytes
 * would unpack, and overwrite the epoch and the sector of the batch; one test shows it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/batch.h"
#include "proto/message.h"
#include "proto/segment.h"

enum { ROOM = 1024 };

static const uint64_t epoch = (UINT64_C(1) << 53) - 1;

static const struct batch_gap gap = {
    .epoch = (UINT64_C(1) << 53) - 1,
    .sector = SECTOR_GAS,
    .first_seq = 17,
    .last_seq = 19,
    .from_ms = INT64_C(1760000000000),
    .to_ms = INT64_C(1760000060000),
    .readings = 360,
    .reason = GAP_REASON_CRASH,
};

static size_t make_body(uint8_t *out)
{
    struct segment_column column = {.point = 7, .decimals = 1};
    struct segment_block block = {.device = 3, .column_count = 1, .columns = &column};
    struct segment *segment = segment_new(&block, 1);
    struct segment_start start = {
        .base_ms = INT64_C(1760000000000), .clock = CLOCK_STATE_SYNCED, .boot = 5};
    segment_reset(segment, &start);
    struct value value = {.steps = 215};
    assert_true(segment_add(segment, 0, start.base_ms + 250, &value));
    size_t length = segment_encode(segment, out, ROOM);
    segment_free(segment);
    return length;
}

static size_t make_row(uint64_t seq, uint8_t *out)
{
    uint8_t body[ROOM];
    return segment_row(seq, body, make_body(body), out, ROOM);
}

static Lifeline__V1__DataBatch *unpack(const uint8_t *bytes, size_t length)
{
    return (void *)message_unpack(&lifeline__v1__data_batch__descriptor, bytes, length, ROOM);
}

static void test_batch_by_appending(void **state)
{
    (void)state;
    uint8_t out[ROOM], row[ROOM];
    size_t used = batch_head("gw-1", epoch, SECTOR_GAS, out, sizeof(out));
    used = batch_append(row, make_row(20, row), out, used, sizeof(out));
    used = batch_append(row, batch_gap(&gap, row, sizeof(row)), out, used, sizeof(out));
    used = batch_append(row, make_row(21, row), out, used, sizeof(out));
    assert_true(used > 0);
    Lifeline__V1__DataBatch *batch = unpack(out, used);
    assert_non_null(batch);
    assert_string_equal(batch->gateway, "gw-1");
    assert_true(batch->epoch == epoch);
    assert_int_equal(batch->sector, SECTOR_GAS);
    assert_int_equal(batch->n_segments, 2);
    assert_int_equal(batch->segments[0]->seq, 20);
    assert_int_equal(batch->segments[1]->seq, 21);
    assert_int_equal(batch->segments[1]->blocks[0]->columns[0]->steps[0], 215);
    assert_int_equal(batch->n_gaps, 1);
    const Lifeline__V1__Gap *read = batch->gaps[0];
    assert_true(read->epoch == epoch && read->sector == LIFELINE__V1__SECTOR__SECTOR_GAS);
    assert_int_equal(read->first_seq, 17);
    assert_int_equal(read->last_seq, 19);
    assert_int_equal(read->from_ms, gap.from_ms);
    assert_int_equal(read->to_ms, gap.to_ms);
    assert_int_equal(read->readings, 360);
    assert_int_equal(read->reason, GAP_REASON_CRASH);
    message_free(&batch->base);
}

static void test_several_rows_at_once(void **state)
{
    (void)state;
    uint8_t out[ROOM], rows[2 * ROOM];
    size_t length = make_row(1, rows);
    length += make_row(2, rows + length);
    size_t head = batch_head("gw-1", epoch, SECTOR_GAS, out, sizeof(out));
    assert_int_equal(batch_append(rows, length, out, head, sizeof(out)), head + length);
}

/* Without seq (a body) it even unpacks, and overwrites epoch and sector: hence the refusal. */
static void test_bare_segment_is_refused(void **state)
{
    (void)state;
    uint8_t out[ROOM], body[ROOM], row[ROOM];
    size_t used = batch_head("gw-1", epoch, SECTOR_GAS, out, sizeof(out));
    size_t length = make_body(body);
    assert_int_equal(batch_append(body, length, out, used, sizeof(out)), 0);
    memcpy(out + used, body, length);
    Lifeline__V1__DataBatch *nonsense = unpack(out, used + length);
    assert_non_null(nonsense);
    assert_true(nonsense->epoch != epoch && nonsense->n_segments == 0);
    message_free(&nonsense->base);

    /* The content of a row: a whole Segment with its seq. */
    length = make_row(20, row);
    assert_int_equal(batch_append(row + 2, length - 2, out, used, sizeof(out)), 0);
}

/* Whole fields, but header fields or none of a batch: they would overwrite or vanish. */
static void test_other_fields_are_refused(void **state)
{
    (void)state;
    static const uint8_t tags[] = {0x0a, 0x32, 0x41, 0x40, 0x48, 0x7a};
    uint8_t row[ROOM];
    size_t length = make_row(20, row);
    assert_true(batch_rows_valid(row, length));
    for (size_t i = 0; i < sizeof(tags); i++) {
        row[0] = tags[i];
        assert_false(batch_rows_valid(row, length));
    }
}

static void test_broken_rows_are_refused(void **state)
{
    (void)state;
    uint8_t out[ROOM], row[ROOM];
    size_t used = batch_head("gw-1", epoch, SECTOR_GAS, out, sizeof(out));
    size_t length = make_row(20, row);
    for (size_t cut = 0; cut < length; cut++)
        assert_int_equal(batch_append(row, cut, out, used, sizeof(out)), 0);
    row[length] = 0;
    assert_int_equal(batch_append(row, length + 1, out, used, sizeof(out)), 0);
    memset(row + 1, 0xff, 12); /* a length that never ends */
    assert_int_equal(batch_append(row, length, out, used, sizeof(out)), 0);
    uint8_t huge[] = {0x42, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0};
    assert_false(batch_rows_valid(huge, sizeof(huge)));
}

static void test_room(void **state)
{
    (void)state;
    uint8_t out[ROOM], row[ROOM];
    size_t head = batch_head("gw-1", epoch, SECTOR_GAS, out, sizeof(out));
    assert_int_equal(batch_head("gw-1", epoch, SECTOR_GAS, out, head - 1), 0);
    assert_int_equal(batch_head("gw-1", epoch, SECTOR_GAS, out, head), head);
    size_t length = make_row(20, row);
    assert_int_equal(batch_append(row, length, out, head, head + length - 1), 0);
    assert_int_equal(batch_append(row, length, out, head + length, head), 0);
    assert_int_equal(batch_append(row, length, out, head, head + length), head + length);
    size_t gap_length = batch_gap(&gap, row, sizeof(row));
    assert_int_equal(batch_gap(&gap, row, gap_length - 1), 0);
    assert_int_equal(batch_gap(&gap, row, gap_length), gap_length);
}

static void test_maxima_hold(void **state)
{
    (void)state;
    uint8_t out[ROOM];
    struct batch_gap most = {
        UINT64_MAX, (enum sector)INT32_MAX, UINT64_MAX, UINT64_MAX, -1, INT64_MIN,
        UINT64_MAX, GAP_REASON_DISK};
    size_t length = batch_gap(&most, out, sizeof(out));
    assert_true(length > 0 && length <= BATCH_GAP_MAX);
    length = batch_head("gateway-of-thirty-two-characters", UINT64_MAX, SECTOR_CORRIDOR, out,
                        BATCH_HEAD_MAX);
    assert_true(length > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_by_appending),
        cmocka_unit_test(test_several_rows_at_once),
        cmocka_unit_test(test_bare_segment_is_refused),
        cmocka_unit_test(test_broken_rows_are_refused),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_other_fields_are_refused),
        cmocka_unit_test(test_maxima_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
