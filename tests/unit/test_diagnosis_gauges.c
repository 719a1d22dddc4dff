/* A blocked rain gauge, and the hint at sewer gas, in virtual time.
 *
 * Neither may say what it cannot know: a silent gauge is not blocked, and no hint stands beside gas
 * at 20 %LEL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/diagnosis_world.h"

static struct diagnosis_world world;

static int start_gauge(void **state)
{
    (void)state;
    world_start(&world, SECTOR_SPONGE, "blocked_gauge");
    world_level(&world, LEVEL_BLUE, 5);
    world_param(&world, "window", 6 * HOUR);
    world_play(&world, "neighbours", 2);
    return 0;
}

static int start_biogas(void **state)
{
    (void)state;
    world_start(&world, SECTOR_DRAINAGE, "biogas");
    world_param(&world, "rising", 0.2);
    world_param(&world, "h2s_from", 2);
    world_param(&world, "days", 3);
    world.quantity = "ch4";
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_end(&world);
    return 0;
}

/* ---- the gauge ---- */

/* For so long; the counters at the end, mm/h added each hour. */
static double counters[3];
static void pass(int64_t ms, double own, double first, double second)
{
    const double rates[] = {own, first, second};
    for (int64_t t = 0; t < ms; t += 10 * MINUTE) {
        for (size_t i = 0; i < 3; i++)
            counters[i] += rates[i] / 6;
        world_say(&world, "rain", counters[0]);
        world_say_nth(&world, "neighbours", 0, counters[1]);
        world_say_nth(&world, "neighbours", 1, counters[2]);
        world_wait(&world, 10 * MINUTE);
    }
}

static void one_that_counts_nothing_while_its_neighbours_do_is_told(void **state)
{
    (void)state;
    pass(6 * HOUR, 0, 0, 0);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    pass(2 * HOUR, 0, 2, 2);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    pass(1 * HOUR, 0, 2, 2);
    assert_int_equal(world.finding.level, LEVEL_BLUE);
    assert_int_equal(world.finding.confidence, 70);
    assert_non_null(strstr(world.zh, "6 小时内本站雨量 0，邻站"));
    assert_non_null(strstr(world.en, "suspected blocked"));
    pass(DAY, 0, 0, 0); /* the rain is over, the gauge is as it was */
    assert_int_equal(world.finding.level, LEVEL_BLUE);
    pass(10 * MINUTE, 1.2, 0, 0);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void local_rain_is_less_sure(void **state)
{
    (void)state;
    pass(6 * HOUR, 0, 0, 0);
    pass(2 * HOUR, 0, 6, 0);
    assert_int_equal(world.finding.level, LEVEL_BLUE);
    assert_int_equal(world.finding.confidence, 40);
    assert_non_null(strstr(world.hint, "局地降雨"));
}

static void one_that_counts_at_all_is_not_blocked(void **state)
{
    (void)state;
    pass(6 * HOUR, 0, 0, 0);
    pass(10 * MINUTE, 1.2, 20, 20);
    pass(5 * HOUR, 0, 6, 6);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void a_silent_one_is_not_blocked(void **state)
{
    (void)state;
    pass(6 * HOUR, 0, 0, 0);
    for (int i = 0; i < 30; i++) {
        world_fail(&world, "rain");
        counters[1] += 1;
        world_say_nth(&world, "neighbours", 0, counters[1]);
        world_wait(&world, 10 * MINUTE);
    }
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

/* A counter that jumps by more than can rain is no rain. */
static void a_jump_of_a_neighbour_is_no_rain(void **state)
{
    (void)state;
    pass(6 * HOUR, 0, 0, 0);
    counters[1] += 5000;
    pass(7 * HOUR, 0, 0, 0);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void blocked_stays_blocked_over_a_restart(void **state)
{
    (void)state;
    pass(6 * HOUR, 0, 0, 0);
    pass(3 * HOUR, 0, 3, 3);
    assert_int_equal(world.finding.level, LEVEL_BLUE);
    assert_true(world_restart(&world, HOUR));
    assert_int_equal(world.finding.level, LEVEL_BLUE);
    pass(HOUR, 0, 0, 0);
    assert_int_equal(world.finding.level, LEVEL_BLUE);
    pass(10 * MINUTE, 2, 0, 0);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_false(world_restart(&world, HOUR));
}

/* ---- sewer gas ---- */

static double daily(int64_t wall_ms)
{
    int64_t hour = (wall_ms - MONDAY) % DAY / HOUR;
    return 0.4 + 0.015 * (double)(hour < 12 ? hour : 24 - hour);
}

static void live(int days, bool has_course)
{
    for (int i = 0; i < days * 24 * 6; i++) {
        double noise = (i * 7919 % 13) * 0.002;
        world_say(&world, "gas", (has_course ? daily(world.wall_ms) : 0.5) + noise);
        world_wait(&world, 10 * MINUTE);
        assert_int_equal(world.finding.level, LEVEL_NONE);
    }
}

static void what_speaks_for_sewer_gas_is_named(void **state)
{
    (void)state;
    world_play(&world, "h2s", 1);
    world_say(&world, "h2s", 3.2);
    live(5, true);
    world_say(&world, "gas", 0.6);
    assert_int_equal(world.finding.confidence, 100);
    assert_string_equal(world.hint, "沼气可能性 100%，无快升，有硫化氢，有日变化；未测乙烷 / "
                                    "sewer gas 100 %, slow, H2S, daily; ethane not measured");
}

static void what_comes_fast_looks_like_a_leak(void **state)
{
    (void)state;
    world_play(&world, "h2s", 1);
    world_say(&world, "h2s", 0.1);
    live(5, false);
    assert_int_equal(world.finding.confidence, 50 + 15 - 15 - 15);
    world_repeat(&world, "gas", 0.8, 3, MINUTE);
    assert_int_equal(world.finding.confidence, 0);
    assert_non_null(strstr(world.hint, "曾快升，无硫化氢"));
}

static void a_spike_is_no_rise(void **state)
{
    (void)state;
    live(2, false);
    world_say(&world, "gas", 0.95);
    world_wait(&world, MINUTE);
    world_say(&world, "gas", 0.0);
    world_wait(&world, MINUTE);
    world_repeat(&world, "gas", 0.5, 5, MINUTE);
    assert_non_null(strstr(world.hint, "无快升"));
}

/* The rule that matters: at 20 %LEL it is a gas alarm and nothing else. */
static void it_is_silent_from_twenty_percent_on(void **state)
{
    (void)state;
    world_play(&world, "h2s", 1);
    world_say(&world, "h2s", 30);
    live(5, true);
    world_say(&world, "gas", 0.99);
    assert_true(world.hint[0] != '\0');
    world_say(&world, "gas", 1.0);
    assert_string_equal(world.hint, "");
    assert_int_equal(world.finding.confidence, 0);
    world.quantity = "lel";
    world_say(&world, "gas", 19.9);
    assert_true(world.hint[0] != '\0');
    world_say(&world, "gas", 20);
    assert_string_equal(world.hint, "");
    world.quantity = NULL; /* not known: the stricter of both */
    world_say(&world, "gas", 1.5);
    assert_string_equal(world.hint, "");
}

static void a_day_is_needed_and_a_clock_for_the_course(void **state)
{
    (void)state;
    world.wall_is_true = false;
    live(5, true);
    assert_int_equal(world.finding.confidence, 65);
    assert_null(strstr(world.hint, "日变化"));
}

static void the_course_survives_a_restart(void **state)
{
    (void)state;
    live(3, true);
    assert_true(world_restart(&world, MINUTE));
    live(2, true);
    assert_non_null(strstr(world.hint, "有日变化"));
}

static void a_silent_sensor_gives_no_hint(void **state)
{
    (void)state;
    live(5, true);
    world_fail(&world, "gas");
    assert_string_equal(world.hint, "");
}

int main(void)
{
#define GAUGE(test)  cmocka_unit_test_setup_teardown(test, start_gauge, end)
#define BIOGAS(test) cmocka_unit_test_setup_teardown(test, start_biogas, end)
    const struct CMUnitTest tests[] = {
        GAUGE(one_that_counts_nothing_while_its_neighbours_do_is_told),
        GAUGE(local_rain_is_less_sure),
        GAUGE(one_that_counts_at_all_is_not_blocked),
        GAUGE(a_silent_one_is_not_blocked),
        GAUGE(a_jump_of_a_neighbour_is_no_rain),
        GAUGE(blocked_stays_blocked_over_a_restart),
        BIOGAS(what_speaks_for_sewer_gas_is_named),
        BIOGAS(what_comes_fast_looks_like_a_leak),
        BIOGAS(a_spike_is_no_rise),
        BIOGAS(it_is_silent_from_twenty_percent_on),
        BIOGAS(a_day_is_needed_and_a_clock_for_the_course),
        BIOGAS(the_course_survives_a_restart),
        BIOGAS(a_silent_sensor_gives_no_hint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
