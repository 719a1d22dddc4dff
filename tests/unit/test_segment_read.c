/* Segments read back: what segment.c wrote comes out as it went in, and any cut or wrong byte ends
 * the cursor inside its bytes.
 *
 * The random round trip prints its seed (LIFELINE_SEED repeats it). Malformed columns are packed by
 * protobuf-c, which writes any lengths that it is told. Buffers are exactly as long as their
 * content, so that AddressSanitizer sees a byte read too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"
#include "proto/segment.h"
#include "proto/segment_read.h"

enum { ROOM = 1 << 16, BLOCKS = 3, COLUMNS = 2, ROWS_MAX = 300 };

#define BASE INT64_C(1760000000000)

static const struct segment_column columns[BLOCKS][COLUMNS] = {
    {{.point = 1, .decimals = 2}, {.point = 2, .is_float = true}},
    {{.point = 3}, {.point = 4, .decimals = 9}},
    {{.point = 70000, .is_float = true}, {.point = 5, .decimals = 1}},
};
static const struct segment_block blocks[BLOCKS] = {
    {1, COLUMNS, columns[0]}, {2, COLUMNS, columns[1]}, {300, COLUMNS, columns[2]}};
static const struct segment_start start = {BASE, 1000, CLOCK_STATE_SYNCED, 7};

/* What was put in, block by block. */
struct script {
    size_t rows[BLOCKS];
    int64_t time_ms[BLOCKS][ROWS_MAX];
    struct value values[BLOCKS][ROWS_MAX][COLUMNS];
};

static struct value random_value(bool is_float)
{
    static const uint8_t qualities[] = {QUALITY_GOOD, QUALITY_GOOD, QUALITY_GOOD, QUALITY_SPIKE,
                                        QUALITY_TIMEOUT};
    struct value value = {.quality = qualities[rand() % 5]};
    if (!names_quality_usable((enum quality)value.quality))
        return value;
    if (is_float)
        value.real = (float)(rand() % 20000 - 10000) / 16;
    else
        value.steps = rand() % 10 ? rand() % 1000 - 500 : -VALUE_STEPS_MAX + rand();
    return value;
}

static size_t write_random(struct script *script, uint8_t out[ROOM])
{
    struct segment *segment = segment_new(blocks, BLOCKS);
    segment_reset(segment, &start);
    for (size_t b = 0; b < BLOCKS; b++) {
        int64_t now_ms = BASE;
        script->rows[b] = (size_t)rand() % ROWS_MAX;
        for (size_t r = 0; r < script->rows[b]; r++) {
            now_ms += rand() % 1200 - 100;
            script->time_ms[b][r] = now_ms;
            for (size_t c = 0; c < COLUMNS; c++)
                script->values[b][r][c] = random_value(columns[b][c].is_float);
            assert_true(segment_add(segment, b, now_ms, script->values[b][r]));
        }
    }
    size_t length = segment_encode(segment, out, ROOM);
    segment_free(segment);
    return length;
}

static bool is_same(const struct segment_read_column *column, const struct value *a,
                    const struct value *b)
{
    return a->quality == b->quality &&
           (column->is_float ? a->real == b->real : a->steps == b->steps);
}

/* Reads what is there against the script; the number of readings. Whatever comes is right; when
 * `whole`, everything comes. */
static size_t read_against(const struct script *script, const uint8_t *bytes, size_t length,
                           bool whole)
{
    uint8_t *copy = malloc(length ? length : 1);
    struct segment_read segment;
    struct segment_read_column column;
    struct segment_reading reading;
    size_t count = 0;
    memcpy(copy, bytes, length);
    bool sound = segment_read_begin(&segment, copy, length);
    assert_true(sound || !whole);
    while (sound && segment_read_column(&segment, &column)) {
        size_t b = column.device == 1 ? 0 : column.device == 2 ? 1 : 2, row = 0;
        size_t c = columns[b][0].point == column.point ? 0 : 1;
        assert_int_equal(columns[b][c].point, column.point);
        assert_int_equal(columns[b][c].decimals, column.decimals);
        assert_int_equal(columns[b][c].is_float, column.is_float);
        for (; segment_read_next(&column, &reading); row++) {
            assert_true(row < script->rows[b]);
            assert_int_equal(reading.time_ms, script->time_ms[b][row]);
            assert_true(is_same(&column, &reading.value, &script->values[b][row][c]));
            count++;
        }
        assert_false(column.malformed);
        assert_int_equal(row, script->rows[b]);
    }
    assert_true(!whole || !segment.malformed);
    free(copy);
    return count;
}

static void what_went_in_comes_out(void **state)
{
    static struct script script;
    static uint8_t out[ROOM];
    (void)state;
    for (int i = 0; i < 200; i++) {
        size_t length = write_random(&script, out), wanted = 0;
        for (size_t b = 0; b < BLOCKS; b++)
            wanted += script.rows[b] * COLUMNS;
        if (length)
            assert_int_equal(read_against(&script, out, length, true), wanted);
    }
}

static void a_cut_segment_is_never_wrong(void **state)
{
    static struct script script;
    static uint8_t out[ROOM];
    (void)state;
    size_t length = write_random(&script, out);
    for (size_t cut = 0; cut < length; cut += 1 + cut / 200)
        read_against(&script, out, cut, false);
}

/* One column of hand-made lengths in a block of three rows. */
struct bad {
    size_t steps, floats;
    uint32_t quality[4];
    size_t quality_count;
    uint32_t decimals;
    size_t readings; /* that come before the end */
    bool malformed;
};

static void read_bad(const struct bad *bad)
{
    int32_t dt[] = {0, 10, 10};
    int64_t steps[] = {5, 1, 1, 1};
    float floats[] = {1, 2, 3, 4};
    uint8_t bytes[256];
    Lifeline__V1__Segment segment = LIFELINE__V1__SEGMENT__INIT;
    Lifeline__V1__Block block = LIFELINE__V1__BLOCK__INIT, *block_at = &block;
    Lifeline__V1__Column column = LIFELINE__V1__COLUMN__INIT, *column_at = &column;
    segment.n_blocks = 1;
    segment.blocks = &block_at;
    block.n_dt_ms = 3;
    block.dt_ms = dt;
    block.n_columns = 1;
    block.columns = &column_at;
    column.decimals = bad->decimals;
    column.n_steps = bad->steps;
    column.steps = steps;
    column.n_floats = bad->floats;
    column.floats = floats;
    column.n_quality = bad->quality_count;
    column.quality = (uint32_t *)bad->quality;
    size_t length = message_pack(&segment.base, bytes, sizeof bytes), count = 0;

    struct segment_read read;
    struct segment_read_column cursor;
    struct segment_reading reading;
    assert_true(segment_read_begin(&read, bytes, length));
    bool any = segment_read_column(&read, &cursor);
    while (any && segment_read_next(&cursor, &reading))
        count++;
    assert_int_equal(count, bad->readings);
    assert_int_equal(any ? cursor.malformed : read.malformed, bad->malformed);
    if (any) /* and stays there */
        assert_false(segment_read_next(&cursor, &reading));
}

static void wrong_lengths_are_noticed(void **state)
{
    static const struct bad cases[] = {
        {.steps = 3, .readings = 3},
        {.floats = 3, .readings = 3},
        {.steps = 2, .readings = 2, .malformed = true},
        {.steps = 4, .readings = 3, .malformed = true},
        {.floats = 2, .readings = 2, .malformed = true},
        {.readings = 0, .malformed = true},
        {.steps = 3, .quality = {1, 0, 2, 19}, .quality_count = 4, .readings = 3},
        {.steps = 3, .quality = {0, 7, 3, 19}, .quality_count = 4, .readings = 3},
        {.steps = 3, .quality = {2, 0}, .quality_count = 2, .readings = 2, .malformed = true},
        {.steps = 3, .quality = {4, 0}, .quality_count = 2, .readings = 3, .malformed = true},
        {.steps = 3, .quality = {3, 0, 1}, .quality_count = 3, .readings = 3, .malformed = true},
        {.steps = 3, .quality = {3, 256}, .quality_count = 2, .malformed = true},
        {.steps = 3, .quality = {0, 0}, .quality_count = 2, .malformed = true},
        {.steps = 3, .decimals = 18, .readings = 3},
        {.steps = 3, .decimals = 19, .malformed = true},
        {.steps = 3, .decimals = 256, .malformed = true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        read_bad(&cases[i]);
}

static void fields_may_stand_in_any_order(void **state)
{
    /* block before base_ms; in it an unknown field, the column, dt_ms, the device */
    static const uint8_t bytes[] = {
        0x32, 19,                                      /* blocks */
        0x7d, 1,    2,    3,    4,                     /* field 15, fixed32 */
        0x1a, 6,    0x08, 9,    0x1a, 2, 0x0a, 0x02,   /* column: point 9, steps 5, 6 */
        0x12, 2,    0x00, 0x14,                        /* dt_ms: 0, 10 */
        0x08, 0x2c,                                    /* device 44 */
        0x11, 100,  0,    0,    0,    0, 0,    0,    0 /* base_ms 100 */
    };
    struct segment_read segment;
    struct segment_read_column column;
    struct segment_reading reading;
    (void)state;
    assert_true(segment_read_begin(&segment, bytes, sizeof bytes));
    assert_true(segment_read_column(&segment, &column));
    assert_int_equal(column.device, 44);
    assert_int_equal(column.point, 9);
    assert_true(segment_read_next(&column, &reading));
    assert_int_equal(reading.time_ms, 100);
    assert_int_equal(reading.value.steps, 5);
    assert_true(segment_read_next(&column, &reading));
    assert_int_equal(reading.time_ms, 110);
    assert_int_equal(reading.value.steps, 6);
    assert_false(segment_read_next(&column, &reading));
    assert_false(column.malformed);
    assert_false(segment_read_column(&segment, &column));
    assert_false(segment.malformed);
}

static void a_step_of_time_has_32_bits(void **state)
{
    /* dt_ms: 2^32, then one column of one value */
    static const uint8_t bytes[] = {0x32, 14,   0x12, 5, 0x80, 0x80, 0x80, 0x80,
                                    0x10, 0x1a, 5,    8, 9,    0x1a, 1,    2};
    struct segment_read segment;
    struct segment_read_column column;
    struct segment_reading reading;
    (void)state;
    assert_true(segment_read_begin(&segment, bytes, sizeof bytes));
    assert_true(segment_read_column(&segment, &column));
    assert_false(segment_read_next(&column, &reading));
    assert_true(column.malformed);
}

static void sums_wrap_as_they_were_written(void **state)
{
    struct value values[COLUMNS] = {{.steps = INT64_MAX}, {.steps = INT64_MIN}};
    struct segment *segment = segment_new(blocks, BLOCKS);
    uint8_t out[256];
    struct segment_read read;
    struct segment_read_column column;
    struct segment_reading reading;
    (void)state;
    segment_reset(segment, &start);
    for (int i = 0; i < 3; i++) {
        assert_true(segment_add(segment, 1, BASE, values));
        int64_t swap = values[0].steps;
        values[0].steps = values[1].steps;
        values[1].steps = swap;
    }
    size_t length = segment_encode(segment, out, sizeof out);
    assert_true(segment_read_begin(&read, out, length));
    assert_true(segment_read_column(&read, &column));
    for (int i = 0; i < 3; i++) {
        assert_true(segment_read_next(&column, &reading));
        assert_true(reading.value.steps == (i % 2 ? INT64_MIN : INT64_MAX));
    }
    segment_free(segment);
}

int main(void)
{
    const char *given = getenv("LIFELINE_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    printf("seed %u (LIFELINE_SEED repeats it)\n", seed);
    srand(seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_went_in_comes_out),
        cmocka_unit_test(a_cut_segment_is_never_wrong),
        cmocka_unit_test(wrong_lengths_are_noticed),
        cmocka_unit_test(fields_may_stand_in_any_order),
        cmocka_unit_test(a_step_of_time_has_32_bits),
        cmocka_unit_test(sums_wrap_as_they_were_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
