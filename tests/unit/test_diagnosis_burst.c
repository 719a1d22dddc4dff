/* A burst main in virtual time: the story, and everything that looks like one and is none.
 *
 * Every 5 s a pressure, at the numbers of [S21]: 0.2 MPa within 60 s, watched for 5 minutes, 70 %.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/diagnosis_world.h"

static struct diagnosis_world world;

static int start(void **state)
{
    (void)state;
    world_start(&world, SECTOR_WATER, "burst");
    world_level(&world, LEVEL_RED, 0.20);
    world_param(&world, "within", 60 * SECOND);
    world_param(&world, "watch", 5 * MINUTE);
    world_param(&world, "recovered", 70);
    world_param(&world, "flow_rise", 30);
    world_param(&world, "pump_stop", 30 * SECOND);
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_end(&world);
    return 0;
}

static void calm(void)
{
    world_repeat(&world, "pressure", 0.42, 40, 5 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_false(world.finding.hurry);
}

static void a_drop_that_lasts_is_told_after_the_watch(void **state)
{
    (void)state;
    calm();
    mono_time began = world.now;
    for (int i = 0; i < 60; i++) {
        world_say(&world, "pressure", 0.11);
        assert_int_equal(world.finding.level, LEVEL_NONE);
        assert_true(world.finding.hurry);
        world_wait(&world, 5 * SECOND);
    }
    world_say(&world, "pressure", 0.11);
    assert_int_equal(clock_ms_between(began, world.now), 5 * MINUTE);
    assert_int_equal(world.finding.level, LEVEL_RED);
    assert_int_equal(world.finding.confidence, 70);
    assert_true(world.finding.since.ns == began.ns);
    assert_true(fabs(world.finding.value - 0.31) < 1e-9);
    assert_true(world.finding.threshold == 0.20);
    assert_string_equal(world.zh, "压力 60 秒内下降 0.31 MPa，5 分钟未恢复到 70 %，疑似爆管");
    assert_string_equal(world.en, "pressure fell by 0.31 MPa in 60 s, not back to 70 % after "
                                  "5 min: suspected burst");
}

static void it_ends_when_the_pressure_is_back_twice(void **state)
{
    (void)state;
    calm();
    world_repeat(&world, "pressure", 0.11, 70, 5 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_RED);
    world_say(&world, "pressure", 0.40);
    assert_int_equal(world.finding.level, LEVEL_RED);
    world_wait(&world, 5 * SECOND);
    world_say(&world, "pressure", 0.11);
    world_wait(&world, 5 * SECOND);
    world_say(&world, "pressure", 0.40);
    assert_int_equal(world.finding.level, LEVEL_RED);
    world_wait(&world, 5 * SECOND);
    world_say(&world, "pressure", 0.30);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_false(world.finding.hurry);
}

static void a_flow_that_rises_says_the_same(void **state)
{
    (void)state;
    world_play(&world, "flow", 1);
    for (int i = 0; i < 5; i++) {
        world_repeat(&world, "pressure", 0.42, 10, 5 * SECOND);
        world_say(&world, "flow", 100);
    }
    for (int i = 0; i < 7; i++) {
        world_repeat(&world, "pressure", 0.11, 10, 5 * SECOND);
        world_say(&world, "flow", 142);
    }
    assert_int_equal(world.finding.level, LEVEL_RED);
    assert_int_equal(world.finding.confidence, 90);
    assert_non_null(strstr(world.zh, "流量上升 42 %，疑似爆管"));
    assert_non_null(strstr(world.en, "flow up by 42 %: suspected burst"));
    world_say(&world, "flow", 101);
    assert_int_equal(world.finding.confidence, 55);
}

static void what_recovers_in_time_was_none(void **state)
{
    (void)state;
    calm();
    world_repeat(&world, "pressure", 0.11, 50, 5 * SECOND);
    world_repeat(&world, "pressure", 0.30, 200, 5 * SECOND); /* 71 % */
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_false(world.finding.hurry);
}

static void not_quite_back_is_not_back(void **state)
{
    (void)state;
    calm();
    world_repeat(&world, "pressure", 0.11, 50, 5 * SECOND);
    world_repeat(&world, "pressure", 0.29, 12, 5 * SECOND); /* 69 % */
    assert_int_equal(world.finding.level, LEVEL_RED);
}

static void a_spike_is_none(void **state)
{
    (void)state;
    calm();
    world_say(&world, "pressure", 0.02);
    world_wait(&world, 5 * SECOND);
    world_repeat(&world, "pressure", 0.42, 200, 5 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_false(world.finding.hurry);
}

/* One sample at 0.9 would make a drop of what stands still. */
static void a_spike_up_is_no_pressure_before(void **state)
{
    (void)state;
    calm();
    world_say(&world, "pressure", 0.90);
    world_wait(&world, 5 * SECOND);
    for (int i = 0; i < 200; i++) {
        world_repeat(&world, "pressure", 0.42, 1, 5 * SECOND);
        assert_false(world.finding.hurry);
        assert_int_equal(world.finding.level, LEVEL_NONE);
    }
}

static void a_slow_fall_is_none(void **state)
{
    (void)state;
    calm();
    for (int i = 0; i < 300; i++) {
        world_repeat(&world, "pressure", 0.42 - 0.001 * i, 1, 5 * SECOND);
        assert_int_equal(world.finding.level, LEVEL_NONE);
        assert_false(world.finding.hurry);
    }
}

static void a_dip_that_is_shallow_afterwards_is_none(void **state)
{
    (void)state;
    calm();
    world_say(&world, "pressure", 0.10); /* once */
    world_wait(&world, 5 * SECOND);
    world_repeat(&world, "pressure", 0.28, 200, 5 * SECOND); /* below 70 %, but 0.14 MPa */
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_false(world.finding.hurry);
}

static void stop_a_pump(int64_t before_ms)
{
    world_play(&world, "run", 1);
    for (int i = 0; i < 20; i++) {
        world_say(&world, "run", 1);
        world_repeat(&world, "pressure", 0.42, 1, 5 * SECOND);
    }
    world_say(&world, "run", 0);
    for (int64_t t = 0; t < before_ms; t += 5 * SECOND)
        world_repeat(&world, "pressure", 0.42, 1, 5 * SECOND);
    for (int i = 0; i < 100; i++) {
        world_say(&world, "run", 0);
        world_repeat(&world, "pressure", 0.11, 1, 5 * SECOND);
    }
}

static void a_pump_that_stopped_explains_it(void **state)
{
    (void)state;
    stop_a_pump(30 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_false(world.finding.hurry);
}

static void a_pump_that_stopped_long_ago_does_not(void **state)
{
    (void)state;
    stop_a_pump(35 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_RED);
}

/* The pump's sample comes once a minute, after the drop was seen. */
static void a_stop_that_is_heard_late_explains_it_too(void **state)
{
    (void)state;
    world_play(&world, "run", 1);
    world_say(&world, "run", 1);
    calm();
    world_say(&world, "run", 1);
    world_wait(&world, 5 * SECOND);
    world_repeat(&world, "pressure", 0.11, 8, 5 * SECOND);
    assert_true(world.finding.hurry);
    world_say(&world, "run", 0);
    world_repeat(&world, "pressure", 0.11, 100, 5 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

/* ... but one that was stopped because of it does not. */
static void a_stop_after_the_drop_explains_nothing(void **state)
{
    (void)state;
    world_play(&world, "run", 1);
    world_say(&world, "run", 1);
    calm();
    world_repeat(&world, "pressure", 0.11, 20, 5 * SECOND);
    world_say(&world, "run", 1);
    world_repeat(&world, "pressure", 0.11, 8, 5 * SECOND);
    world_say(&world, "run", 0);
    world_repeat(&world, "pressure", 0.11, 40, 5 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_RED);
}

static void missing_samples_change_nothing(void **state)
{
    (void)state;
    calm();
    world_repeat(&world, "pressure", 0.11, 10, 5 * SECOND);
    for (int i = 0; i < 60; i++) {
        world_fail(&world, "pressure");
        assert_int_equal(world.finding.level, LEVEL_NONE);
        world_wait(&world, 5 * SECOND);
    }
    world_say(&world, "pressure", 0.11);
    assert_int_equal(world.finding.level, LEVEL_RED);
    assert_int_equal(world.finding.confidence, 70);
}

static void a_sensor_that_drowns_is_told_later_and_less_surely(void **state)
{
    (void)state;
    calm();
    mono_time began = world.now;
    world_repeat(&world, "pressure", 0.11, 10, 5 * SECOND);
    world_wait(&world, 10 * MINUTE - 51 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    world_wait(&world, SECOND);
    assert_int_equal(clock_ms_between(began, world.now), 10 * MINUTE);
    assert_int_equal(world.finding.level, LEVEL_RED);
    assert_int_equal(world.finding.confidence, 50);
    assert_non_null(strstr(world.hint, "无压力数据"));
}

static void one_low_sample_and_silence_is_none(void **state)
{
    (void)state;
    calm();
    world_say(&world, "pressure", 0.01);
    world_wait(&world, HOUR);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_false(world.finding.hurry);
    assert_true(world.finding.due.ns == 0);
}

/* What was before an hour of silence says nothing about a drop within a minute. */
static void silence_before_the_drop_hides_it(void **state)
{
    (void)state;
    calm();
    world_wait(&world, HOUR);
    world_repeat(&world, "pressure", 0.11, 200, 5 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void one_sample_after_silence_is_no_pressure_before(void **state)
{
    (void)state;
    calm();
    world_wait(&world, HOUR);
    world_repeat(&world, "pressure", 0.42, 1, 5 * SECOND);
    world_repeat(&world, "pressure", 0.11, 1, 5 * SECOND);
    assert_false(world.finding.hurry);
}

/* One sample at the end of the watch neither ends nor tells it: the next one does. */
static void back_for_a_moment_is_not_back(void **state)
{
    (void)state;
    calm();
    world_repeat(&world, "pressure", 0.11, 60, 5 * SECOND);
    world_repeat(&world, "pressure", 0.40, 1, 5 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_true(world.finding.hurry);
    world_say(&world, "pressure", 0.11);
    assert_int_equal(world.finding.level, LEVEL_RED);
}

static void a_minute_between_samples_is_enough(void **state)
{
    (void)state;
    world_repeat(&world, "pressure", 0.42, 10, MINUTE);
    world_repeat(&world, "pressure", 0.11, 5, MINUTE);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    world_say(&world, "pressure", 0.11);
    assert_int_equal(world.finding.level, LEVEL_RED);
}

static void deeper_is_graver_and_never_eases(void **state)
{
    (void)state;
    world_level(&world, LEVEL_ORANGE, 0.10);
    calm();
    world_repeat(&world, "pressure", 0.28, 70, 5 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    world_repeat(&world, "pressure", 0.10, 1, 5 * SECOND);
    world_repeat(&world, "pressure", 0.28, 1, 5 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_ORANGE); /* one sample is a spike */
    world_repeat(&world, "pressure", 0.10, 2, 5 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_RED);
    world_repeat(&world, "pressure", 0.28, 5, 5 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_RED);
}

static void a_burst_goes_on_after_a_restart(void **state)
{
    (void)state;
    calm();
    world_repeat(&world, "pressure", 0.11, 70, 5 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_RED);
    assert_true(world_restart(&world, MINUTE));
    world_repeat(&world, "pressure", 0.12, 61, 5 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_RED);
    assert_true(fabs(world.finding.value - 0.31) < 1e-9);
    world_repeat(&world, "pressure", 0.40, 2, 5 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_false(world_restart(&world, MINUTE));
}

static void one_that_was_mended_meanwhile_does_not(void **state)
{
    (void)state;
    calm();
    world_repeat(&world, "pressure", 0.11, 10, 5 * SECOND); /* in the middle of the watch */
    assert_true(world_restart(&world, MINUTE));
    world_repeat(&world, "pressure", 0.40, 100, 5 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_false(world.finding.hurry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_drop_that_lasts_is_told_after_the_watch, start, end),
        cmocka_unit_test_setup_teardown(it_ends_when_the_pressure_is_back_twice, start, end),
        cmocka_unit_test_setup_teardown(a_flow_that_rises_says_the_same, start, end),
        cmocka_unit_test_setup_teardown(what_recovers_in_time_was_none, start, end),
        cmocka_unit_test_setup_teardown(not_quite_back_is_not_back, start, end),
        cmocka_unit_test_setup_teardown(a_spike_is_none, start, end),
        cmocka_unit_test_setup_teardown(a_spike_up_is_no_pressure_before, start, end),
        cmocka_unit_test_setup_teardown(a_slow_fall_is_none, start, end),
        cmocka_unit_test_setup_teardown(a_dip_that_is_shallow_afterwards_is_none, start, end),
        cmocka_unit_test_setup_teardown(a_pump_that_stopped_explains_it, start, end),
        cmocka_unit_test_setup_teardown(a_pump_that_stopped_long_ago_does_not, start, end),
        cmocka_unit_test_setup_teardown(a_stop_that_is_heard_late_explains_it_too, start, end),
        cmocka_unit_test_setup_teardown(a_stop_after_the_drop_explains_nothing, start, end),
        cmocka_unit_test_setup_teardown(missing_samples_change_nothing, start, end),
        cmocka_unit_test_setup_teardown(a_sensor_that_drowns_is_told_later_and_less_surely, start,
                                        end),
        cmocka_unit_test_setup_teardown(one_low_sample_and_silence_is_none, start, end),
        cmocka_unit_test_setup_teardown(silence_before_the_drop_hides_it, start, end),
        cmocka_unit_test_setup_teardown(one_sample_after_silence_is_no_pressure_before, start, end),
        cmocka_unit_test_setup_teardown(back_for_a_moment_is_not_back, start, end),
        cmocka_unit_test_setup_teardown(a_minute_between_samples_is_enough, start, end),
        cmocka_unit_test_setup_teardown(a_burst_goes_on_after_a_restart, start, end),
        cmocka_unit_test_setup_teardown(one_that_was_mended_meanwhile_does_not, start, end),
        cmocka_unit_test_setup_teardown(deeper_is_graver_and_never_eases, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
