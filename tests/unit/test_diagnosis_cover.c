/* Manhole covers in virtual time: opened, shut, aslant, spiked, broken, gone.
 *
 * Three axes every 10 s at the numbers of [S23][S24]: 10 degrees for 10 s; 45 degrees, half an hour
 * or silence for a cover that may be gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/diagnosis_world.h"

static struct diagnosis_world world;

static int start_opened(void **state)
{
    (void)state;
    world_start(&world, SECTOR_MANHOLE, "cover_opened");
    world_play(&world, "tilt", 3);
    world_level(&world, LEVEL_ORANGE, 10);
    world_param(&world, "held", 10 * SECOND);
    return 0;
}

static int start_missing(void **state)
{
    (void)state;
    world_start(&world, SECTOR_MANHOLE, "cover_missing");
    world_play(&world, "tilt", 3);
    world_level(&world, LEVEL_RED, 45);
    world_param(&world, "open_for", 30 * MINUTE);
    world_param(&world, "silent", 2 * HOUR);
    world_param(&world, "opened", 10);
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_end(&world);
    return 0;
}

static void lie(double x, double y, double z, int count)
{
    for (int i = 0; i < count; i++) {
        world_say_nth(&world, "tilt", 0, x);
        world_say_nth(&world, "tilt", 1, y);
        world_say_nth(&world, "tilt", 2, z);
        world_wait(&world, 10 * SECOND);
    }
}

/* ---- opened ---- */

static void a_cover_that_stays_open_is_told(void **state)
{
    (void)state;
    lie(1.25, -0.35, 0.05, 400);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    lie(1.25, 12.9, 0.05, 1);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_true(world.finding.hurry);
    lie(1.25, 12.9, 0.05, 1);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    assert_int_equal(world.finding.confidence, 85);
    assert_true(fabs(world.finding.value - 13.25) < 1e-9); /* from where it lay */
    assert_string_equal(world.zh, "井盖较安装位置倾斜 13.2°（阈值 10°），已 10 秒");
    assert_string_equal(world.en,
                        "cover tilted 13.2° from where it was mounted (threshold 10°), for 10 s");
}

static void it_is_shut_when_it_has_lain_flat_as_long(void **state)
{
    (void)state;
    lie(0, 0, 0, 10);
    lie(0, 30, 0, 5);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    lie(0, 2, 0, 1);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    lie(0, 30, 0, 1);
    lie(0, 2, 0, 1);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    lie(0, 2, 0, 1);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_false(world.finding.hurry);
}

static void a_spike_opens_nothing(void **state)
{
    (void)state;
    lie(0, 0, 0, 10);
    for (int i = 0; i < 50; i++) {
        lie(i % 3 == 0 ? 80 : 0, i % 3 == 1 ? 80 : 0, i % 3 == 2 ? 80 : 0, 1);
        assert_int_equal(world.finding.level, LEVEL_NONE);
        for (size_t k = 0; k < 9; k++) {
            world_say_nth(&world, "tilt", k % 3, 0);
            assert_int_equal(world.finding.level, LEVEL_NONE);
            world_wait(&world, k % 3 == 2 ? 10 * SECOND : 0);
        }
    }
}

/* The sensor says so once, and then nothing more: that is no spike. */
/* The first axis of an answer beside the others of the answer before. */
static void half_an_answer_neither_opens_nor_shuts(void **state)
{
    (void)state;
    lie(0, 0, 0, 10);
    lie(0, 30, 0, 5);
    lie(0, 2, 0, 1);
    world_say_nth(&world, "tilt", 0, 0);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    world_say_nth(&world, "tilt", 1, 30);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
}

static void silence_after_it_opened_does_not_hide_it(void **state)
{
    (void)state;
    lie(0, 0, 0, 10);
    world_say_nth(&world, "tilt", 1, 30);
    world_wait(&world, 19 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    world_wait(&world, SECOND);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    assert_int_equal(world.finding.confidence, 65);
    for (int i = 0; i < 10; i++) {
        world_fail(&world, "tilt");
        world_wait(&world, MINUTE);
    }
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    lie(0, 0, 0, 2);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void a_broken_axis_neither_opens_nor_shuts(void **state)
{
    (void)state;
    lie(0, 0, 0, 10);
    for (int i = 0; i < 10; i++) {
        world_fail(&world, "tilt");
        world_say_nth(&world, "tilt", 1, 0);
        world_wait(&world, 10 * SECOND);
    }
    assert_int_equal(world.finding.level, LEVEL_NONE);
    for (int i = 0; i < 3; i++) {
        world_fail(&world, "tilt");
        world_say_nth(&world, "tilt", 1, 20);
        world_wait(&world, 10 * SECOND);
    }
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
}

static void an_axis_broken_from_the_start_does_not_blind_the_others(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        world_fail(&world, "tilt");
        world_say_nth(&world, "tilt", 1, i < 10 ? 1 : 30);
        world_say_nth(&world, "tilt", 2, 0);
        world_wait(&world, 10 * SECOND);
    }
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
}

static void one_mounted_aslant_is_known_after_an_hour(void **state)
{
    (void)state;
    lie(0, 35, 90, 359);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    lie(0, 35, 90, 10);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    lie(0, 47, 90, 2);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    lie(0, 35, 90, 2);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

/* The zero of a flat one is never the position that it has as an open cover. */
static void an_open_cover_does_not_become_a_shut_one(void **state)
{
    (void)state;
    lie(0, 0, 0, 3);
    lie(0, 90, 0, 1000);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    assert_true(world_restart(&world, MINUTE));
    lie(0, 90, 0, 1000);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    lie(0, 0, 0, 2);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void the_zero_survives_a_restart(void **state)
{
    (void)state;
    lie(4, 0, 0, 370);
    assert_true(world_restart(&world, MINUTE));
    lie(13, 0, 0, 5);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    lie(14.5, 0, 0, 5);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
}

static void what_goes_round_is_near(void **state)
{
    (void)state;
    lie(179, 0, 0, 370);
    lie(-178, 0, 0, 5);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    lie(-160, 0, 0, 5);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    assert_true(fabs(world.finding.value - 21) < 1e-9);
}

static void a_contact_alone_will_do(void **state)
{
    (void)state;
    world_play(&world, "tilt", 0);
    world_play(&world, "open", 1);
    world_repeat(&world, "open", 1, 1, MINUTE); /* once, and nothing to compare it with */
    world_fail(&world, "open");
    assert_int_equal(world.finding.level, LEVEL_NONE);
    world_repeat(&world, "open", 0, 5, 10 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    world_repeat(&world, "open", 1, 2, 10 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    assert_int_equal(world.finding.confidence, 80);
    assert_string_equal(world.zh, "井盖开合触点为开，已 10 秒");
    world_repeat(&world, "open", 0, 2, 10 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void two_that_agree_are_surer_than_two_that_do_not(void **state)
{
    (void)state;
    world_play(&world, "open", 1);
    world_say(&world, "open", 0);
    lie(0, 0, 0, 5);
    lie(0, 20, 0, 3);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    assert_int_equal(world.finding.confidence, 60);
    world_say(&world, "open", 1);
    assert_int_equal(world.finding.confidence, 95);
}

static void a_graver_level_needs_two_moments(void **state)
{
    (void)state;
    world_level(&world, LEVEL_RED, 45);
    lie(0, 0, 0, 5);
    lie(0, 20, 0, 5);
    lie(0, 60, 0, 1);
    lie(0, 20, 0, 1);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    lie(0, 60, 0, 2);
    assert_int_equal(world.finding.level, LEVEL_RED);
    lie(0, 20, 0, 2);
    assert_int_equal(world.finding.level, LEVEL_RED); /* a cover that was off is not back yet */
}

/* ---- missing ---- */

static void one_that_is_turned_over_may_be_gone(void **state)
{
    (void)state;
    lie(0, 0, 0, 5);
    lie(0, 78, 0, 1);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    lie(0, 78, 0, 1);
    assert_int_equal(world.finding.level, LEVEL_RED);
    assert_int_equal(world.finding.confidence, 80);
    assert_string_equal(world.zh, "井盖较安装位置倾斜 78°，疑似丢失");
    lie(0, 1, 0, 2);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void one_that_is_open_for_long_may_be_gone(void **state)
{
    (void)state;
    lie(0, 0, 0, 5);
    lie(0, 20, 0, 180);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    lie(0, 20, 0, 1);
    assert_int_equal(world.finding.level, LEVEL_RED);
    assert_int_equal(world.finding.confidence, 50);
    assert_string_equal(world.en, "cover open for 30 min: suspected missing");
    assert_non_null(strstr(world.hint, "作业"));
}

static void one_that_is_open_and_then_silent_may_be_gone(void **state)
{
    (void)state;
    lie(0, 0, 0, 5);
    world_play(&world, "open", 1);
    lie(0, 20, 0, 3);
    for (int i = 0; i < 119; i++) {
        world_fail(&world, "tilt");
        world_wait(&world, MINUTE);
    }
    /* it had been open for half an hour without a word against it */
    assert_int_equal(world.finding.level, LEVEL_RED);
    assert_int_equal(world.finding.confidence, 50);
    world_wait(&world, 2 * MINUTE);
    assert_int_equal(world.finding.confidence, 70);
    assert_non_null(strstr(world.zh, "打开后 2 小时"));
}

static void one_that_moved_and_then_is_silent_may_be_gone(void **state)
{
    (void)state;
    world_play(&world, "moved", 1);
    lie(0, 0, 0, 5);
    world_say(&world, "moved", 1);
    lie(0, 0, 0, 1);
    world_wait(&world, 2 * HOUR - 11 * SECOND);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    world_wait(&world, SECOND);
    assert_int_equal(world.finding.level, LEVEL_RED);
    assert_int_equal(world.finding.confidence, 45);
    assert_string_equal(world.en, "cover moved, and then no data for 2 h: suspected missing");
    lie(0, 0, 0, 2);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void silence_alone_is_no_theft(void **state)
{
    (void)state;
    world_play(&world, "moved", 1);
    world_say(&world, "moved", 1); /* long before */
    lie(0, 0, 0, 1000);
    world_wait(&world, DAY);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_true(world.finding.due.ns == 0);
}

static void one_that_was_gone_is_gone_after_a_restart(void **state)
{
    (void)state;
    world_play(&world, "moved", 1);
    lie(0, 0, 0, 5);
    world_say(&world, "moved", 1);
    world_wait(&world, 3 * HOUR);
    assert_int_equal(world.finding.level, LEVEL_RED);
    assert_true(world_restart(&world, MINUTE));
    world_wait(&world, 9 * MINUTE);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    world_wait(&world, MINUTE);
    assert_int_equal(world.finding.level, LEVEL_RED);
    assert_true(world_restart(&world, MINUTE));
    lie(0, 0, 0, 5); /* it was found */
    world_wait(&world, DAY);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

int main(void)
{
#define OPENED(test)  cmocka_unit_test_setup_teardown(test, start_opened, end)
#define MISSING(test) cmocka_unit_test_setup_teardown(test, start_missing, end)
    const struct CMUnitTest tests[] = {
        OPENED(a_cover_that_stays_open_is_told),
        OPENED(it_is_shut_when_it_has_lain_flat_as_long),
        OPENED(a_spike_opens_nothing),
        OPENED(half_an_answer_neither_opens_nor_shuts),
        OPENED(silence_after_it_opened_does_not_hide_it),
        OPENED(a_broken_axis_neither_opens_nor_shuts),
        OPENED(an_axis_broken_from_the_start_does_not_blind_the_others),
        OPENED(one_mounted_aslant_is_known_after_an_hour),
        OPENED(an_open_cover_does_not_become_a_shut_one),
        OPENED(the_zero_survives_a_restart),
        OPENED(what_goes_round_is_near),
        OPENED(a_contact_alone_will_do),
        OPENED(two_that_agree_are_surer_than_two_that_do_not),
        OPENED(a_graver_level_needs_two_moments),
        MISSING(one_that_is_turned_over_may_be_gone),
        MISSING(one_that_is_open_for_long_may_be_gone),
        MISSING(one_that_is_open_and_then_silent_may_be_gone),
        MISSING(one_that_moved_and_then_is_silent_may_be_gone),
        MISSING(one_that_was_gone_is_gone_after_a_restart),
        MISSING(silence_alone_is_no_theft),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
