/* Water where none should be, in virtual time: onset on the road, water without rain, wells that
 * spill.
 *
 * A depth every minute at the numbers of domain 4: 50 mm, or 30 mm and 10 mm/min [S26]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/diagnosis_world.h"

static struct diagnosis_world world;

static int start_onset(void **state)
{
    (void)state;
    world_start(&world, SECTOR_WATERLOGGING, "onset");
    world_level(&world, LEVEL_BLUE, 50);
    world_param(&world, "early", 30);
    world_param(&world, "rise", 10);
    world_param(&world, "end", 30);
    world_param(&world, "quiet", 10 * MINUTE);
    world_param(&world, "next1", 150);
    world_param(&world, "next2", 270);
    return 0;
}

static int start_without_rain(void **state)
{
    (void)state;
    world_start(&world, SECTOR_WATERLOGGING, "without_rain");
    world_level(&world, LEVEL_YELLOW, 50);
    world_param(&world, "rain_window", 2 * HOUR);
    return 0;
}

static int start_overflow(void **state)
{
    (void)state;
    world_start(&world, SECTOR_MANHOLE, "overflow");
    world_level(&world, LEVEL_ORANGE, 0);
    world_level(&world, LEVEL_RED, 0.1);
    world_param(&world, "cover", 2.5);
    world_param(&world, "near", 0.1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_end(&world);
    return 0;
}

static void depths(const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        world_repeat(&world, "depth", values[i], 1, MINUTE);
}
#define DEPTHS(...)                                                                                \
    depths((const double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / sizeof(double))

/* ---- onset ---- */

static void it_tells_the_rate_and_the_time_to_what_comes(void **state)
{
    (void)state;
    DEPTHS(0, 0, 0, 12, 24);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    DEPTHS(36);
    assert_int_equal(world.finding.level, LEVEL_NONE); /* two samples have to be beyond 30 */
    DEPTHS(48);
    assert_int_equal(world.finding.level, LEVEL_BLUE); /* early */
    assert_int_equal(world.finding.confidence, 70);
    assert_true(world.finding.threshold == 30);
    DEPTHS(60, 72);
    assert_int_equal(world.finding.confidence, 90);
    assert_true(world.finding.threshold == 50);
    DEPTHS(84, 96);
    assert_string_equal(world.zh,
                        "积水 96 毫米，每分钟上升 12.0 毫米，约 5 分钟后到 150 毫米，约 15 "
                        "分钟后到 270 毫米");
    assert_string_equal(world.en, "96 mm of water, rising by 12.0 mm/min, 150 mm in about 5 min, "
                                  "270 mm in about 15 min");
}

static void slow_water_counts_from_its_level_twice(void **state)
{
    (void)state;
    DEPTHS(0, 8, 16, 24, 32, 40, 45, 49, 52);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_true(world.finding.hurry);
    DEPTHS(55);
    assert_int_equal(world.finding.level, LEVEL_BLUE);
    assert_int_equal(clock_ms_between(world.finding.since, world.now), 2 * MINUTE);
}

static void a_spike_is_no_water(void **state)
{
    (void)state;
    DEPTHS(0, 0, 0, 900, 0, 0, 2, 900, 1, 0);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    DEPTHS(8, 16, 24, 30, 33, 35, 35, 35, 35, 800, 35, 35, 800, 35);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void it_ends_after_ten_quiet_minutes(void **state)
{
    (void)state;
    DEPTHS(0, 60, 80, 80, 60, 40);
    assert_int_equal(world.finding.level, LEVEL_BLUE);
    DEPTHS(20, 20, 20, 20, 31);
    for (int i = 0; i < 10; i++) {
        DEPTHS(20);
        assert_int_equal(world.finding.level, LEVEL_BLUE);
    }
    DEPTHS(20);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void a_gauge_that_drowns_does_not_end_it(void **state)
{
    (void)state;
    DEPTHS(0, 60, 80);
    for (int i = 0; i < 100; i++) {
        world_fail(&world, "depth");
        world_wait(&world, MINUTE);
    }
    assert_int_equal(world.finding.level, LEVEL_BLUE);
    world_tell(&world);
    assert_string_equal(world.zh, "积水 80 毫米，涨速未知");
}

static void levels_follow_with_hysteresis(void **state)
{
    (void)state;
    world_level(&world, LEVEL_YELLOW, 100);
    world.rule.hysteresis = (struct rule_number){.given = true, .value = 20};
    DEPTHS(0, 60, 60, 110);
    assert_int_equal(world.finding.level, LEVEL_BLUE);
    DEPTHS(110, 90, 90);
    assert_int_equal(world.finding.level, LEVEL_YELLOW);
    DEPTHS(79);
    assert_int_equal(world.finding.level, LEVEL_BLUE);
}

/* ---- without rain ---- */

static void rain_and_wait(size_t gauges, const double *values, int64_t ms)
{
    for (int64_t t = 0; t < ms; t += 5 * MINUTE) {
        for (size_t i = 0; i < gauges; i++)
            world_say_nth(&world, "rain", i, values[i]);
        world_say(&world, "depth", 5);
        world_wait(&world, 5 * MINUTE);
    }
}

static void water_without_rain_is_told(void **state)
{
    (void)state;
    world_play(&world, "rain", 2);
    rain_and_wait(2, (const double[]){12.4, 800}, 3 * HOUR);
    DEPTHS(60);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    DEPTHS(70);
    assert_int_equal(world.finding.level, LEVEL_YELLOW);
    assert_int_equal(world.finding.confidence, 75);
    assert_string_equal(world.zh, "积水 70 毫米，此前 2 小时内 2 个雨量站无雨");
    assert_string_equal(world.en, "70 mm of water, no rain at 2 gauges in the 2 h before");
    assert_non_null(strstr(world.hint, "供水管破裂或雨水口堵塞"));
    assert_null(strstr(world.hint, "暴雨"));
    rain_and_wait(2, (const double[]){14.4, 802}, 5 * MINUTE);
    DEPTHS(5);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void any_rain_will_do(void **state)
{
    (void)state;
    world_play(&world, "rain", 2);
    rain_and_wait(2, (const double[]){12.4, 800}, 3 * HOUR);
    rain_and_wait(2, (const double[]){12.4, 800.2}, 110 * MINUTE);
    DEPTHS(60, 70, 80);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    rain_and_wait(2, (const double[]){12.4, 800.2}, 30 * MINUTE);
    DEPTHS(60, 70);
    assert_int_equal(world.finding.level, LEVEL_YELLOW);
}

static void a_silent_gauge_is_not_a_dry_one(void **state)
{
    (void)state;
    rain_and_wait(1, (const double[]){12.4}, 3 * HOUR);
    world_fail(&world, "rain");
    DEPTHS(60, 70);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    world_say(&world, "rain", 12.4);
    DEPTHS(70);
    assert_int_equal(world.finding.level, LEVEL_YELLOW);
    assert_int_equal(world.finding.confidence, 60);
}

static void nor_is_one_that_was_just_started(void **state)
{
    (void)state;
    rain_and_wait(1, (const double[]){12.4}, 115 * MINUTE);
    DEPTHS(60, 70);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_false(world_restart(&world, MINUTE));
    rain_and_wait(1, (const double[]){12.4}, 60 * MINUTE);
    DEPTHS(60, 70);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void a_counter_that_was_reset_is_no_rain(void **state)
{
    (void)state;
    rain_and_wait(1, (const double[]){6553.5}, 3 * HOUR);
    rain_and_wait(1, (const double[]){0}, 60 * MINUTE);
    DEPTHS(60, 70);
    assert_int_equal(world.finding.level, LEVEL_YELLOW);
    DEPTHS(5, 5);
    rain_and_wait(1, (const double[]){0.4}, 5 * MINUTE);
    rain_and_wait(1, (const double[]){0.2}, 5 * MINUTE); /* went round: it rained */
    DEPTHS(60, 70);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void a_spike_of_depth_without_rain_is_nothing(void **state)
{
    (void)state;
    rain_and_wait(1, (const double[]){12.4}, 3 * HOUR);
    DEPTHS(5, 900, 5, 5, 900, 5);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

/* ---- overflow ---- */

static void levels(const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        world_repeat(&world, "level", values[i], 1, MINUTE);
}
#define WELL(...)                                                                                  \
    levels((const double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / sizeof(double))

static void water_that_comes_up_to_the_cover_is_told(void **state)
{
    (void)state;
    WELL(1.0, 1.5, 2.2, 2.42);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    WELL(2.45);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    assert_int_equal(world.finding.confidence, 80);
    assert_string_equal(world.zh, "水位低于井盖 0.05 m，上升，可能外溢");
    WELL(2.51, 2.52);
    assert_int_equal(world.finding.level, LEVEL_RED);
    assert_string_equal(world.en, "water 0.02 m above the cover, rising: suspected overflow");
    WELL(2.45, 2.39);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    WELL(2.3);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void a_gauge_that_stands_at_the_cover_is_none(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        WELL(2.48, 2.49, 2.48);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    WELL(2.49, 2.50, 2.51); /* but it may rise */
    assert_int_equal(world.finding.level, LEVEL_RED);
}

static void rain_explains_a_gauge_that_stands_there(void **state)
{
    (void)state;
    world_play(&world, "rain", 1);
    world_param(&world, "rain_window", HOUR);
    world_say(&world, "rain", 10);
    WELL(2.45, 2.45);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    world_say(&world, "rain", 10.4);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    assert_int_equal(world.finding.confidence, 75);
    assert_non_null(strstr(world.zh, "正在降雨"));
}

static void a_cover_lifted_by_the_water_is_graver(void **state)
{
    (void)state;
    world_play(&world, "tilt", 1);
    world_param(&world, "lifted", 5);
    world_repeat(&world, "tilt", 1, 3, MINUTE);
    WELL(2.0, 2.41, 2.42);
    world_repeat(&world, "tilt", 12, 1, MINUTE);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    world_repeat(&world, "tilt", 12, 1, MINUTE);
    assert_int_equal(world.finding.level, LEVEL_RED);
    assert_int_equal(world.finding.confidence, 85);
    assert_non_null(strstr(world.hint, "疑似被水顶起"));
}

static void a_lifted_cover_over_a_dry_well_is_no_overflow(void **state)
{
    (void)state;
    world_play(&world, "tilt", 1);
    world_param(&world, "lifted", 5);
    WELL(1, 1, 1);
    world_repeat(&world, "tilt", 0, 3, MINUTE);
    world_repeat(&world, "tilt", 30, 10, MINUTE);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void a_spike_or_silence_spills_nothing(void **state)
{
    (void)state;
    WELL(1, 1, 9, 1, 1, 2.6, 1);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    WELL(2.45, 2.46);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    for (int i = 0; i < 50; i++) {
        world_fail(&world, "level");
        world_wait(&world, MINUTE);
    }
    assert_int_equal(world.finding.level, LEVEL_ORANGE); /* nor does it end so */
    WELL(1);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    WELL(1);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

static void it_goes_on_after_a_restart(void **state)
{
    (void)state;
    WELL(1, 2.42, 2.45);
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    assert_true(world_restart(&world, MINUTE));
    WELL(2.45);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    WELL(2.45); /* it stands, but it had risen */
    assert_int_equal(world.finding.level, LEVEL_ORANGE);
    assert_true(world_restart(&world, MINUTE));
    WELL(1, 1, 2.0, 2.45);
    assert_int_equal(world.finding.level, LEVEL_NONE);
    assert_false(world_restart(&world, MINUTE));
}

static void water_without_rain_goes_on_after_a_restart(void **state)
{
    (void)state;
    rain_and_wait(1, (const double[]){12.4}, 3 * HOUR);
    DEPTHS(60, 70);
    assert_int_equal(world.finding.level, LEVEL_YELLOW);
    assert_true(world_restart(&world, MINUTE));
    DEPTHS(70, 70);
    assert_int_equal(world.finding.level, LEVEL_YELLOW);
    assert_int_equal(world.finding.confidence, 60);
    assert_true(world_restart(&world, MINUTE));
    DEPTHS(5, 5, 70, 70);
    assert_int_equal(world.finding.level, LEVEL_NONE);
}

int main(void)
{
#define ONSET(test)    cmocka_unit_test_setup_teardown(test, start_onset, end)
#define DRY(test)      cmocka_unit_test_setup_teardown(test, start_without_rain, end)
#define OVERFLOW(test) cmocka_unit_test_setup_teardown(test, start_overflow, end)
    const struct CMUnitTest tests[] = {
        ONSET(it_tells_the_rate_and_the_time_to_what_comes),
        ONSET(slow_water_counts_from_its_level_twice),
        ONSET(a_spike_is_no_water),
        ONSET(it_ends_after_ten_quiet_minutes),
        ONSET(a_gauge_that_drowns_does_not_end_it),
        ONSET(levels_follow_with_hysteresis),
        DRY(water_without_rain_is_told),
        DRY(any_rain_will_do),
        DRY(a_silent_gauge_is_not_a_dry_one),
        DRY(nor_is_one_that_was_just_started),
        DRY(a_counter_that_was_reset_is_no_rain),
        DRY(a_spike_of_depth_without_rain_is_nothing),
        OVERFLOW(water_that_comes_up_to_the_cover_is_told),
        OVERFLOW(a_gauge_that_stands_at_the_cover_is_none),
        OVERFLOW(rain_explains_a_gauge_that_stands_there),
        OVERFLOW(a_cover_lifted_by_the_water_is_graver),
        OVERFLOW(a_lifted_cover_over_a_dry_well_is_no_overflow),
        OVERFLOW(it_goes_on_after_a_restart),
        DRY(water_without_rain_goes_on_after_a_restart),
        OVERFLOW(a_spike_or_silence_spills_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
