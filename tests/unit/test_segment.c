/* Segments: the exact bytes of a small one, and the corners.
 *
 * Quality runs, ignored values, refusals that change nothing, a segment used again. The random
 * round trip, against a decoder that is not ours, is tests/replay/wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"
#include "proto/segment.h"

enum { ROOM = 65536 };

#define BASE INT64_C(1760000000000)

static const struct segment_column columns[] = {
    {.point = 7, .decimals = 2},
    {.point = 8, .is_float = true},
};

static const struct segment_block blocks[] = {
    {.device = 3, .column_count = 2, .columns = columns},
    {.device = 300, .column_count = 1, .columns = columns},
};

static const struct segment_start start = {
    .base_ms = BASE, .mono_ms = 1000, .clock = CLOCK_STATE_SYNCED, .boot = 0x01020304};

static struct segment *fresh(void)
{
    struct segment *segment = segment_new(blocks, 2);
    assert_non_null(segment);
    segment_reset(segment, &start);
    return segment;
}

static void add(struct segment *segment, int64_t dt, int64_t steps, float real,
                enum quality quality)
{
    struct value values[] = {{.steps = steps, .quality = (uint8_t)quality},
                             {.real = real, .quality = (uint8_t)quality}};
    assert_true(segment_add(segment, 0, BASE + dt, values));
}

/* Encodes, and unpacks the body as a Segment without seq. */
static Lifeline__V1__Segment *encode(const struct segment *segment)
{
    static uint8_t out[ROOM];
    size_t length = segment_encode(segment, out, sizeof(out));
    assert_true(length > 0);
    assert_int_equal(length, segment_size(segment));
    Lifeline__V1__Segment *read =
        (void *)message_unpack(&lifeline__v1__segment__descriptor, out, length, ROOM);
    assert_non_null(read);
    return read;
}

static void test_exact_bytes(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        0x42, 0x3b, 0x08, 0x09,                               /* segments, seq 9 */
        0x11, 0x00, 0xc0, 0x2c, 0xc8, 0x99, 0x01, 0x00, 0x00, /* base_ms */
        0x19, 0xe8, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* mono_ms */
        0x20, 0x01, 0x2d, 0x04, 0x03, 0x02, 0x01,             /* clock, boot */
        0x32, 0x1e, 0x08, 0x03, 0x12, 0x02, 0x14, 0x28,       /* block, device, dt 10 and 20 */
        0x1a, 0x08, 0x08, 0x07, 0x10, 0x02, 0x1a, 0x02, 0x0a, 0x03, /* steps 5 and 3 */
        0x1a, 0x0c, 0x08, 0x08, 0x22, 0x08, 0x00, 0x00, 0x80, 0x3f, 0x00, 0x00, 0x00, 0x40,
    };
    uint8_t body[ROOM], row[ROOM];
    struct segment *segment = fresh();
    add(segment, 10, 5, 1.0f, QUALITY_GOOD);
    add(segment, 30, 3, 2.0f, QUALITY_GOOD);
    size_t length = segment_encode(segment, body, sizeof(body));
    size_t row_length = segment_row(9, body, length, row, sizeof(row));
    assert_int_equal(row_length, sizeof(expected));
    assert_memory_equal(row, expected, sizeof(expected));
    assert_true(row_length <= length + SEGMENT_ROW_OVERHEAD);
    assert_true(segment_row(UINT64_MAX, body, length, row, sizeof(row)) <=
                length + SEGMENT_ROW_OVERHEAD);
    segment_free(segment);
}

static void test_counters(void **state)
{
    (void)state;
    struct segment *segment = fresh();
    assert_int_equal(segment_readings(segment), 0);
    assert_int_equal(segment_base_ms(segment), BASE);
    add(segment, -50, 1, 1, QUALITY_GOOD);
    assert_int_equal(segment_last_ms(segment), BASE - 50);
    assert_int_equal(segment_first_ms(segment), BASE - 50);
    add(segment, 700, 1, 1, QUALITY_TIMEOUT);
    struct value value = {.steps = 1};
    assert_true(segment_add(segment, 1, BASE + 300, &value));
    assert_int_equal(segment_readings(segment), 5);
    assert_int_equal(segment_last_ms(segment), BASE + 700);
    assert_int_equal(segment_first_ms(segment), BASE - 50);
    segment_free(segment);
}

static void test_empty_writes_nothing(void **state)
{
    (void)state;
    uint8_t out[ROOM];
    struct segment *segment = fresh();
    assert_int_equal(segment_size(segment), 0);
    assert_int_equal(segment_encode(segment, out, sizeof(out)), 0);
    segment_free(segment);
    segment_free(NULL);
}

static void test_room(void **state)
{
    (void)state;
    uint8_t body[ROOM], row[ROOM];
    struct segment *segment = fresh();
    add(segment, 10, 5, 1.0f, QUALITY_LINK);
    size_t length = segment_size(segment);
    body[length] = 0xaa;
    assert_int_equal(segment_encode(segment, body, length - 1), 0);
    assert_int_equal(segment_encode(segment, body, length), length);
    assert_int_equal(body[length], 0xaa);
    size_t row_length = segment_row(1, body, length, row, sizeof(row));
    assert_int_equal(segment_row(1, body, length, row, row_length - 1), 0);
    assert_int_equal(segment_row(1, body, length, row, row_length), row_length);
    segment_free(segment);
}

static void assert_quality(const Lifeline__V1__Column *column, const uint32_t *pairs, size_t count)
{
    assert_int_equal(column->n_quality, count);
    assert_memory_equal(column->quality, pairs, count * sizeof(*pairs));
}

static void test_quality_runs(void **state)
{
    (void)state;
    struct segment *segment = fresh();
    for (int i = 0; i < 200; i++)
        add(segment, i, i, 0, QUALITY_GOOD);
    Lifeline__V1__Segment *read = encode(segment);
    assert_int_equal(read->blocks[0]->columns[0]->n_quality, 0);
    message_free(&read->base);

    add(segment, 200, 0, 0, QUALITY_SPIKE);
    read = encode(segment);
    assert_quality(read->blocks[0]->columns[1], (const uint32_t[]){200, 0, 1, QUALITY_SPIKE}, 4);
    message_free(&read->base);

    add(segment, 201, 0, 0, QUALITY_SPIKE);
    add(segment, 202, 0, 0, QUALITY_GOOD);
    read = encode(segment);
    assert_quality(read->blocks[0]->columns[1], (const uint32_t[]){200, 0, 2, QUALITY_SPIKE, 1, 0},
                   6);
    message_free(&read->base);
    segment_free(segment);
}

static void test_bad_from_the_start(void **state)
{
    (void)state;
    struct segment *segment = fresh();
    add(segment, 0, 99, 99, QUALITY_TIMEOUT);
    Lifeline__V1__Segment *read = encode(segment);
    assert_quality(read->blocks[0]->columns[0], (const uint32_t[]){1, QUALITY_TIMEOUT}, 2);
    assert_int_equal(read->blocks[0]->columns[0]->steps[0], 0);
    assert_true(read->blocks[0]->columns[1]->floats[0] == 0.0f);
    message_free(&read->base);
    segment_free(segment);
}

static void test_ignored_value_repeats(void **state)
{
    (void)state;
    struct segment *segment = fresh();
    add(segment, 0, 1000, 2.5f, QUALITY_GOOD);
    add(segment, 1, 0, 0, QUALITY_LINK);
    add(segment, 2, 1001, 3.5f, QUALITY_UNCERTAIN);
    Lifeline__V1__Segment *read = encode(segment);
    const Lifeline__V1__Column *steps = read->blocks[0]->columns[0];
    const Lifeline__V1__Column *floats = read->blocks[0]->columns[1];
    assert_int_equal(steps->steps[0], 1000);
    assert_int_equal(steps->steps[1], 0);
    assert_int_equal(steps->steps[2], 1);
    assert_true(floats->floats[0] == 2.5f && floats->floats[1] == 2.5f);
    assert_true(floats->floats[2] == 3.5f);
    message_free(&read->base);
    segment_free(segment);
}

static void test_extreme_steps(void **state)
{
    (void)state;
    struct segment *segment = fresh();
    int64_t values[] = {VALUE_STEPS_MAX, -VALUE_STEPS_MAX, INT64_MAX, INT64_MIN, 0};
    for (int i = 0; i < 5; i++)
        add(segment, i, values[i], 0, QUALITY_GOOD);
    Lifeline__V1__Segment *read = encode(segment);
    uint64_t sum = 0;
    for (int i = 0; i < 5; i++) {
        sum += (uint64_t)read->blocks[0]->columns[0]->steps[i];
        assert_true((int64_t)sum == values[i]);
    }
    message_free(&read->base);
    segment_free(segment);
}

static void test_far_time_changes_nothing(void **state)
{
    (void)state;
    struct segment *segment = fresh();
    add(segment, 5, 1, 1, QUALITY_GOOD);
    uint8_t before[ROOM], after[ROOM];
    size_t length = segment_encode(segment, before, sizeof(before));
    struct value values[2] = {{.steps = 9}, {.real = 9}};
    static const int64_t far[] = {BASE + 5 + INT64_C(0x80000000), BASE + 5 - INT64_C(0x80000001),
                                  INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < 4; i++)
        assert_false(segment_add(segment, 0, far[i], values));
    assert_int_equal(segment_readings(segment), 2);
    assert_int_equal(segment_encode(segment, after, sizeof(after)), length);
    assert_memory_equal(before, after, length);
    assert_true(segment_add(segment, 0, BASE + 5 + INT64_C(0x7fffffff), values));
    segment_free(segment);
}

static void test_reset_forgets(void **state)
{
    (void)state;
    struct segment *used = fresh(), *fresh_one = fresh();
    for (int i = 0; i < 500; i++)
        add(used, i * 3, i * 1000, (float)i, i % 3 ? QUALITY_GOOD : QUALITY_GARBLED);
    struct value value = {.steps = 4};
    assert_true(segment_add(used, 1, BASE, &value));
    segment_reset(used, &start);
    add(used, 9, 11, 12, QUALITY_GOOD);
    add(fresh_one, 9, 11, 12, QUALITY_GOOD);
    uint8_t one[ROOM], other[ROOM];
    size_t length = segment_encode(used, one, sizeof(one));
    assert_int_equal(segment_encode(fresh_one, other, sizeof(other)), length);
    assert_memory_equal(one, other, length);
    segment_free(used);
    segment_free(fresh_one);
}

static void test_block_without_rows_is_left_out(void **state)
{
    (void)state;
    struct segment *segment = fresh();
    struct value value = {.steps = 4};
    assert_true(segment_add(segment, 1, BASE, &value));
    Lifeline__V1__Segment *read = encode(segment);
    assert_int_equal(read->n_blocks, 1);
    assert_int_equal(read->blocks[0]->device, 300);
    assert_int_equal(read->clock, CLOCK_STATE_SYNCED);
    message_free(&read->base);
    segment_free(segment);
}

/* What a store corrects in a row: base_ms and clock; everything else stays, byte for byte. */
static void test_correction_in_place(void **state)
{
    (void)state;
    struct segment *segment = fresh();
    for (int i = 0; i < 100; i++)
        add(segment, i * 10, i, (float)i, QUALITY_GOOD);
    uint8_t body[ROOM], row[ROOM], before[ROOM];
    size_t body_length = segment_encode(segment, body, sizeof(body));
    const uint64_t seqs[] = {1, 127, 128, UINT64_C(1) << 39};
    for (size_t i = 0; i < sizeof(seqs) / sizeof(*seqs); i++) {
        size_t length = segment_row(seqs[i], body, body_length, row, sizeof(row)), found = length;
        memcpy(before, row, length);
        uint8_t *at = row + (segment_row_body(row, &found) - row);
        assert_int_equal(found, body_length);
        assert_memory_equal(at, body, body_length);
        struct segment_start read;
        assert_true(segment_start_of(at, found, &read));
        assert_int_equal(read.base_ms, BASE);
        assert_int_equal(read.mono_ms, 1000);
        assert_int_equal(read.clock, CLOCK_STATE_SYNCED);
        assert_int_equal(read.boot, 0x01020304);
        segment_correct(at, INT64_C(-5));
        assert_true(segment_start_of(at, found, &read));
        assert_int_equal(read.base_ms, -5);
        assert_int_equal(read.mono_ms, 1000);
        assert_int_equal(read.clock, CLOCK_STATE_CORRECTED);
        size_t changed = 0;
        for (size_t b = 0; b < length; b++)
            changed += before[b] != row[b];
        assert_true(changed > 1 && changed <= 9);
    }
    segment_free(segment);
}

static void test_what_is_no_row_is_not_read(void **state)
{
    (void)state;
    struct segment *segment = fresh();
    add(segment, 0, 1, 2, QUALITY_GOOD);
    uint8_t body[ROOM], row[ROOM];
    size_t body_length = segment_encode(segment, body, sizeof(body));
    size_t length = segment_row(9, body, body_length, row, sizeof(row));
    struct segment_start read;
    for (size_t cut = 0; cut < length; cut++) {
        size_t left = cut;
        assert_null(segment_row_body(row, &left));
    }
    for (size_t cut = 0; cut < 25; cut++)
        assert_false(segment_start_of(body, cut, &read));
    assert_true(segment_start_of(body, 25, &read));
    assert_false(segment_start_of(row, length, &read));
    segment_free(segment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_bytes),
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_empty_writes_nothing),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_quality_runs),
        cmocka_unit_test(test_bad_from_the_start),
        cmocka_unit_test(test_ignored_value_repeats),
        cmocka_unit_test(test_extreme_steps),
        cmocka_unit_test(test_far_time_changes_nothing),
        cmocka_unit_test(test_reset_forgets),
        cmocka_unit_test(test_block_without_rows_is_left_out),
        cmocka_unit_test(test_correction_in_place),
        cmocka_unit_test(test_what_is_no_row_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
