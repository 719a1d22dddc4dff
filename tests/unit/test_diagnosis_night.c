/* What is learned over nights, in virtual time: leaks and drifting zeros, over restarts and clocks
 * that are not set.
 *
 * A value every 10 minutes between two and four, for weeks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/diagnosis_world.h"

static struct diagnosis_world world;

static int start_leak(void **state)
{
    (void)state;
    world_start(&world, SECTOR_WATER, "night_leak");
    world_level(&world, LEVEL_YELLOW, 1.5);
    world_level(&world, LEVEL_ORANGE, 2);
    world_param(&world, "nights", 14);
    return 0;
}

static int start_drift(void **state)
{
    (void)state;
    world_start(&world, SECTOR_WATERLOGGING, "drift");
    world_level(&world, LEVEL_BLUE, 20);
    world_param(&world, "nights", 14);
    world.unit = "mm";
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_end(&world);
    return 0;
}

/* To that hour of the day, the next one. */
static void go_to(int64_t of_day)
{
    int64_t now = (world.wall_ms - MONDAY) % DAY;
    world_wait(&world, (of_day - now + DAY) % DAY);
}

static const char *role(void)
{
    return world.diagnosis->form.roles[0].name;
}

/* From midnight to noon: by day twice as much as at night, and the least of the night once between.
 */
static void pass_night(double least)
{
    go_to(HOUR);
    for (int i = 0; i < 26; i++) {
        int64_t of_day = (world.wall_ms - MONDAY) % DAY;
        bool is_night = of_day >= 2 * HOUR && of_day < 4 * HOUR;
        bool is_least = of_day >= 3 * HOUR && of_day < 3 * HOUR + 30 * MINUTE;
        world_say(&world, role(), is_least ? least : is_night ? least * 1.1 : least * 0.3);
        world_wait(&world, 10 * MINUTE);
    }
    go_to(12 * HOUR);
}

static void pass_weeks(int weeks, double weekday, double weekend)
{
    for (int day = 0; day < 7 * weeks; day++) {
        int64_t today = (world.wall_ms + 12 * HOUR - MONDAY) / DAY % 7; /* of the night to come */
        pass_night(today >= 5 ? weekend : weekday);
    }
}

/* ---- leaks ---- */

static void a_night_above_its_base_is_told_at_four(void **state)
{
    (void)state;
    pass_weeks(2, 10, 16);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    pass_night(16); /* Tuesday: 1.6 of a weekday, though a weekend is like that */
    assert_int_equal(world.finding.level, LEVEL_YELLOW);
    assert_true(fabs(world.finding.value - 1.6) < 1e-6);
    assert_int_equal(world.finding.confidence, 80); /* ten weekdays, all alike */
    assert_string_equal(world.zh,
                        "夜间（2–4 时）最小流量 16.0 m³/h，为工作日基准 10.0 的 1.60 倍，已 1 "
                        "夜，疑似漏损");
    pass_night(21);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    assert_int_equal(world.finding.confidence, 90);
    pass_night(10);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void a_weekend_has_its_own_base(void **state)
{
    (void)state;
    pass_weeks(2, 10, 16);
    for (int i = 0; i < 4; i++)
        pass_night(10);
    pass_night(16); /* Saturday */
    assert_int_equal(world.finding.level, LEVEL_NONE);
    pass_night(25);
    assert_int_equal(world.finding.level, LEVEL_YELLOW);
    assert_non_null(strstr(world.en, "weekend base of 16.0"));
}

static void nothing_is_said_before_there_are_enough_nights(void **state)
{
    (void)state;
    for (int i = 0; i < 13; i++)
        pass_night(10);
    pass_night(100);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    pass_night(100);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
}

static void a_leak_is_not_learned_at_once(void **state)
{
    (void)state;
    pass_weeks(2, 10, 10);
    for (int i = 0; i < 20; i++) {
        pass_night(18);
        assert_int_equal(world.finding.level, LEVEL_YELLOW);
    }
    assert_non_null(strstr(world.en, "base of 10.0, 20 nights"));
    for (int i = 0; i < 40; i++) /* how it is, in the end */
        pass_night(18);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

/* One bad sample makes no night, and a hole makes none. */
static void a_spike_or_a_hole_makes_no_night(void **state)
{
    (void)state;
    pass_weeks(2, 10, 10);
    go_to(HOUR);
    for (int i = 0; i < 20; i++) {
        world_say(&world, "flow", i == 10 ? 0.0 : 18);
        world_wait(&world, 10 * MINUTE);
    }
    assert_int_equal(world.finding.level, LEVEL_YELLOW); /* the 0 hides nothing */
    go_to(HOUR);
    for (int i = 0; i < 20; i++) {
        if (i < 8 || i > 11)
            world_say(&world, "flow", 10);
        else
            world_fail(&world, "flow");
        world_wait(&world, 10 * MINUTE);
    }
    assert_int_equal(world.finding.level, LEVEL_YELLOW); /* nor does half a night end it */
    pass_night(10);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void without_a_clock_there_are_no_nights(void **state)
{
    (void)state;
    world.wall_is_true = false;
    pass_weeks(4, 10, 10);
    pass_night(30);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_true(world.finding.due.ns == 0);
    world.wall_is_true = true;
    pass_weeks(2, 10, 10);
    world.wall_is_true = false;
    pass_night(30);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    world.wall_is_true = true;
    pass_night(30);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
}

static void what_was_learned_survives_a_restart(void **state)
{
    (void)state;
    pass_weeks(1, 10, 16);
    assert_true(world_restart(&world, 6 * HOUR));
    pass_weeks(1, 10, 16);
    pass_night(16);
    assert_int_equal(world.finding.level, LEVEL_YELLOW);
    assert_true(world_restart(&world, HOUR)); /* and it is still wanted */
    assert_int_equal(world.finding.level, LEVEL_YELLOW);
    assert_int_equal(world.finding.confidence, 80);
    pass_night(10);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void a_restart_in_the_night_costs_that_night(void **state)
{
    (void)state;
    pass_weeks(2, 10, 10);
    go_to(2 * HOUR);
    world_repeat(&world, "flow", 30, 6, 10 * MINUTE);
    assert_true(world_restart(&world, MINUTE));
    world_repeat(&world, "flow", 30, 10, 10 * MINUTE);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    pass_night(30);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
}

/* Nights that a wrong clock put years ahead are dropped with the first true one. */
static void a_clock_that_was_ahead_is_forgiven(void **state)
{
    (void)state;
    world.wall_ms += 3650 * DAY;
    pass_weeks(2, 5, 5);
    world.wall_ms -= 3664 * DAY;
    pass_weeks(2, 10, 10);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    pass_night(16);
    assert_int_equal(world.finding.level, LEVEL_YELLOW);
}

static void a_base_of_nothing_is_no_base(void **state)
{
    (void)state;
    pass_weeks(3, 0, 0);
    pass_night(5);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

/* ---- drift ---- */

static void a_zero_that_wanders_is_told(void **state)
{
    (void)state;
    for (int i = 0; i < 13; i++)
        pass_night(2 + i);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    pass_night(15);
    assert_int_equal(world.finding.level, LEVEL_BLUE);
    assert_true(fabs(world.finding.value - 30) < 1.5);
    assert_int_equal(world.finding.confidence, 95);
    assert_string_equal(world.zh,
                        "夜间零点趋势 +30.000 mm/30 天（14 夜，2.000 → 15.000），建议校准");
    assert_string_equal(
        world.en,
        "zero at night moves by +30.000 mm in 30 days (14 nights, 2.000 to 15.000): calibrate");
}

static void down_is_as_bad_as_up(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        pass_night(-5 - i);
    assert_int_equal(world.finding.level, LEVEL_BLUE);
    assert_true(world.finding.value > 20);
    assert_non_null(strstr(world.en, "moves by -3"));
}

static void wet_nights_are_no_drift(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++) {
        bool is_wet = i % 11 == 3 || i % 11 == 4 || i > 36;
        pass_night(is_wet ? 300 + i : 2 + i % 3);
        assert_int_equal(world.finding.level, LEVEL_NONE);
    }
}

static void what_goes_up_and_down_is_no_drift(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++) {
        pass_night(i % 7 * 10);
        assert_int_equal(world.finding.level, LEVEL_NONE);
    }
}

static void drift_survives_a_restart(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        pass_night(2 + i);
    assert_true(world_restart(&world, HOUR));
    for (int i = 10; i < 14; i++)
        pass_night(2 + i);
    assert_int_equal(world.finding.level, LEVEL_BLUE);
    assert_true(world_restart(&world, HOUR));
    assert_int_equal(world.finding.level, LEVEL_BLUE);
}

int main(void)
{
#define LEAK(test)  cmocka_unit_test_setup_teardown(test, start_leak, end)
#define DRIFT(test) cmocka_unit_test_setup_teardown(test, start_drift, end)
    const struct CMUnitTest tests[] = {
        LEAK(a_night_above_its_base_is_told_at_four),
        LEAK(a_weekend_has_its_own_base),
        LEAK(nothing_is_said_before_there_are_enough_nights),
        LEAK(a_leak_is_not_learned_at_once),
        LEAK(a_spike_or_a_hole_makes_no_night),
        LEAK(without_a_clock_there_are_no_nights),
        LEAK(what_was_learned_survives_a_restart),
        LEAK(a_restart_in_the_night_costs_that_night),
        LEAK(a_clock_that_was_ahead_is_forgiven),
        LEAK(a_base_of_nothing_is_no_base),
        DRIFT(a_zero_that_wanders_is_told),
        DRIFT(down_is_as_bad_as_up),
        DRIFT(wet_nights_are_no_drift),
        DRIFT(what_goes_up_and_down_is_no_drift),
        DRIFT(drift_survives_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
