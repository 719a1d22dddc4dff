/* filter.c: which samples become rows.
 * A block without deadbands keeps every poll; one with deadbands on all points keeps what moved,
 * what changed its quality, and one row a heartbeat; a poll that goes on failing alike is one row a
 * heartbeat in either case. Random walks check that nothing that is left out lay beyond a deadband.
 * The seed is printed. */
#include "gateway/flow/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "proto/names.h"

enum { POINTS = 2, HEARTBEAT_MS = 10000 };

struct bench {
    struct filter filter;
    struct value last[POINTS];
    double deadband[POINTS];
    bool is_float[POINTS];
};

static void set_up(struct bench *bench, bool all_deadband)
{
    *bench = (struct bench){.deadband = {5, 0.5}, .is_float = {false, true}};
    bench->filter = (struct filter){.count = POINTS,
                                    .all_deadband = all_deadband,
                                    .heartbeat_ms = HEARTBEAT_MS,
                                    .last = bench->last,
                                    .deadband = bench->deadband,
                                    .is_float = bench->is_float};
}

static bool good(struct bench *bench, int64_t ms, int64_t steps, float real)
{
    const struct value values[POINTS] = {{.steps = steps}, {.real = real}};
    const struct sample sample = {.count = POINTS, .mono = {ms * 1000000}};
    return filter_keep(&bench->filter, &sample, values);
}

static bool failed(struct bench *bench, int64_t ms, enum quality failure)
{
    const struct sample sample = {.failure = (uint8_t)failure, .mono = {ms * 1000000}};
    return filter_keep(&bench->filter, &sample, NULL);
}

static void every_poll_is_a_row(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench, false);
    for (int64_t ms = 0; ms < 5000; ms += 1000)
        assert_true(good(&bench, ms, 7, 7));
}

static void small_moves_are_left_out(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench, true);
    assert_true(good(&bench, 0, 100, 1));
    assert_false(good(&bench, 1000, 105, 1.5f));
    assert_false(good(&bench, 2000, 95, 0.5f)); /* against the kept row, not the one before */
    assert_true(good(&bench, 3000, 106, 1));
    assert_true(good(&bench, 4000, 106, 1.75f));
    assert_false(good(&bench, 5000, 106, 1.75f));
    assert_true(good(&bench, 4000 + HEARTBEAT_MS, 106, 1.75f));
}

static void a_quality_is_a_move(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench, true);
    const struct sample sample = {.count = POINTS};
    struct value values[POINTS] = {{.steps = 1}, {.real = 1}};
    assert_true(filter_keep(&bench.filter, &sample, values));
    values[1].quality = QUALITY_OUT_OF_RANGE;
    assert_true(filter_keep(&bench.filter, &sample, values));
    values[1].real = 1000; /* the value under it means nothing */
    assert_false(filter_keep(&bench.filter, &sample, values));
}

static void failing_alike_is_one_row_a_heartbeat(void **state)
{
    (void)state;
    for (int deadbands = 0; deadbands < 2; deadbands++) {
        struct bench bench;
        set_up(&bench, deadbands);
        assert_true(good(&bench, 0, 1, 1));
        assert_true(failed(&bench, 1000, QUALITY_TIMEOUT));
        assert_false(failed(&bench, 2000, QUALITY_TIMEOUT));
        assert_true(failed(&bench, 3000, QUALITY_EXCEPTION));
        assert_false(failed(&bench, 4000, QUALITY_EXCEPTION));
        assert_true(failed(&bench, 3000 + HEARTBEAT_MS, QUALITY_EXCEPTION));
        assert_true(good(&bench, 4000 + HEARTBEAT_MS, 1, 1)); /* back, though nothing moved */
    }
}

static void nothing_beyond_the_deadband_is_left_out(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    struct bench bench;
    set_up(&bench, true);
    int64_t steps = 0, kept_steps = 0, kept_ms = 0;
    for (int64_t ms = 0; ms < 10000000; ms += 1000) {
        steps += rand() % 7 - 3;
        if (good(&bench, ms, steps, 0)) {
            assert_true(ms == 0 || llabs(steps - kept_steps) > 5 || ms - kept_ms >= HEARTBEAT_MS);
            kept_steps = steps;
            kept_ms = ms;
        }
        assert_true(llabs(steps - kept_steps) <= 5);
        assert_true(ms - kept_ms < HEARTBEAT_MS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_poll_is_a_row),
        cmocka_unit_test(small_moves_are_left_out),
        cmocka_unit_test(a_quality_is_a_move),
        cmocka_unit_test(failing_alike_is_one_row_a_heartbeat),
        cmocka_unit_test(nothing_beyond_the_deadband_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
