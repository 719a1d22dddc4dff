/* Honesty rules 2 to 4 at the head of gateway/flow/runoff.h: how much of an event was measured, how
 * much rain it takes, and what rain gauges can be believed.
 *
 * Each has a case that refuses or doubts, beside one that does not. */
#include "tests/unit/runoff_rules.h"

/* ---- 2: coverage ---- */

/* So many minutes of 90 without a word from one kind of sensor. */
static void silence(bool rain_is_silent, int minutes)
{
    dry(0);
    world_run(&world, 40, 0.5, 0);
    world_run(&world, 10, 0, 10 / 60.0);
    (rain_is_silent ? world.rain_dead : world.flow_dead)[0] = true;
    world_run(&world, minutes, 0, 10 / 60.0);
    (rain_is_silent ? world.rain_dead : world.flow_dead)[0] = false;
    world_run(&world, minutes < 40 ? 40 - minutes : 0, 0, 10 / 60.0);
    end();
}

static void little_silence_is_none(void **state)
{
    (void)state;
    silence(false, 5);
    assert_true(world.event.flow_coverage >= 0.95);
    has_not(RUNOFF_FLOW_COVERAGE);
    has(RUNOFF_FLOW_GAP);
    graded(RUNOFF_GRADE_B);
    is_near(world.event.outflow_m3, 500, 10);
}

static void silent_flow_makes_it_an_indication(void **state)
{
    (void)state;
    silence(false, 20);
    assert_true(world.event.flow_coverage < 0.95 && world.event.flow_coverage > 0.8);
    has(RUNOFF_FLOW_COVERAGE);
    graded(RUNOFF_GRADE_C);
    assert_true(fabs(world.event.captured - 0.75) <= world.event.uncertainty);
    assert_true(world.event.uncertainty > 0.1); /* what flowed then is not known */
}

static void silent_flow_refuses(void **state)
{
    (void)state;
    silence(false, 45);
    assert_true(world.event.flow_coverage < 0.8);
    graded(RUNOFF_GRADE_INSUFFICIENT);
}

static void silent_rain_makes_it_an_indication(void **state)
{
    (void)state;
    silence(true, 20);
    assert_true(world.event.rain_coverage < 0.95 && world.event.rain_coverage > 0.8);
    has(RUNOFF_RAIN_COVERAGE);
    graded(RUNOFF_GRADE_C);
}

static void silent_rain_refuses(void **state)
{
    (void)state;
    silence(true, 45);
    assert_true(world.event.rain_coverage < 0.8);
    graded(RUNOFF_GRADE_INSUFFICIENT);
}

/* Both die in the storm and never come back: nobody may say that it ended dry. */
static void everything_dies(void **state)
{
    (void)state;
    dry(0);
    rain();
    world.rain_dead[0] = world.flow_dead[0] = true;
    world_run(&world, 26 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 1);
    has(RUNOFF_NOT_BACK);
    graded(RUNOFF_GRADE_INSUFFICIENT);
}

/* Only one of them dies: it is not known to be dry, or to be back at base. */
static void rain_dies(void **state)
{
    (void)state;
    dry(0);
    rain();
    world.rain_dead[0] = true;
    world_run(&world, 20 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 0);
    world_run(&world, 5 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 1);
    has(RUNOFF_NOT_BACK);
    graded(RUNOFF_GRADE_INSUFFICIENT);
}

static void flow_dies(void **state)
{
    (void)state;
    dry(0);
    rain();
    world.flow_dead[0] = true;
    world_run(&world, 20 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 0);
    world_run(&world, 5 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 1);
    has(RUNOFF_NOT_BACK);
    graded(RUNOFF_GRADE_INSUFFICIENT);
}

/* Nobody calls for three hours: these minutes were not covered. */
static void the_machine_stands_still(void **state)
{
    (void)state;
    dry(0);
    world_run(&world, 120, 0.2, 0.05);
    world_step(&world, 180 * WORLD_MINUTE_MS);
    world_run(&world, 60, 0, 0.05);
    end();
    is_near(world.event.flow_coverage, 0.5, 0.1);
    is_near(world.event.outflow_m3, 360 * 60 * 0.05, 10);
    graded(RUNOFF_GRADE_INSUFFICIENT);
}

/* One of two outfalls is silent: the minute is not covered. */
static void every_outfall_counts(void **state)
{
    (void)state;
    world.catchment.outfall_count = world.catchment.outfalls_total = 2;
    dry(0);
    world_run(&world, 20, 0.5, 0);
    world.flow_dead[0] = true;
    world_run(&world, 45, 0.2, 0.05);
    world.flow_dead[0] = false;
    end();
    graded(RUNOFF_GRADE_INSUFFICIENT);
}

static void outfalls_add_up(void **state)
{
    (void)state;
    world.catchment.outfall_count = world.catchment.outfalls_total = 3;
    dry(0);
    rain();
    end();
    is_near(world.event.outflow_m3, 1500, 3);
    is_near(world.event.peak_m3_s, 0.5, 1e-9);
    is_near(world.event.captured, 0.25, 0.002);
    graded(RUNOFF_GRADE_A);
}

/* ---- 3: little rain ---- */

static void less_than_2_mm_is_not_evaluated(void **state)
{
    (void)state;
    dry(0);
    world_run(&world, 19, 0.1, 0);
    end();
    is_near(world.event.rain_mm, 1.9, 1e-6);
    has(RUNOFF_LITTLE_RAIN);
    graded(RUNOFF_GRADE_NOT_EVALUATED);
}

/* What was not seen may have been more. */
static void little_rain_that_was_not_seen(void **state)
{
    (void)state;
    dry(0);
    world_run(&world, 10, 0.1, 0);
    world.rain_dead[0] = true;
    world_run(&world, 30, 0, 0);
    world.rain_dead[0] = false;
    world_run(&world, 5, 0.1, 0);
    end();
    has_not(RUNOFF_LITTLE_RAIN);
    graded(RUNOFF_GRADE_INSUFFICIENT);
}

static void a_little_more_is(void **state)
{
    (void)state;
    dry(0);
    world_run(&world, 21, 0.1, 0);
    end();
    has_not(RUNOFF_LITTLE_RAIN);
    graded(RUNOFF_GRADE_A);
    is_near(world.event.captured, 1, 0);
    assert_int_equal(world.event.lag_ms, 0);
}

/* ---- 4: rain gauges ---- */

/* The second gauge shows that many times what the first does. */
static void two_gauges(double ratio)
{
    world.catchment.gauge_count = 2;
    dry(0);
    for (int i = 0; i < 40; i++) {
        world.mm[0] += 0.5;
        world.mm[1] += 0.5 * ratio;
        world_step(&world, WORLD_MINUTE_MS);
    }
    world_run(&world, 50, 0, 10 / 60.0);
    end();
    is_near(world.event.rain_mm, 10 + 10 * ratio, 1e-6);
}

static void gauges_that_agree(void **state)
{
    (void)state;
    two_gauges(1.9);
    has_not(RUNOFF_RAIN_RATIO);
    graded(RUNOFF_GRADE_A);
    assert_true(world.event.uncertainty > 0.25 / 1.45 * 0.3); /* they are 31 % from their mean */
}

static void gauges_that_do_not(void **state)
{
    (void)state;
    two_gauges(2.1);
    has(RUNOFF_RAIN_RATIO);
    graded(RUNOFF_GRADE_C);
}

static void a_blocked_gauge(void **state)
{
    (void)state;
    two_gauges(0);
    has(RUNOFF_RAIN_RATIO);
    graded(RUNOFF_GRADE_C);
}

/* A gauge that was silent for long is left out, and its rain when it comes back is not rain of
 * then. */
static void a_gauge_that_was_away(void **state)
{
    (void)state;
    world.catchment.gauge_count = 2;
    dry(0);
    world.rain_dead[1] = true;
    rain();
    struct runoff_now now;
    runoff_look(world.runoff, &now);
    is_near(now.rain_mm, 20, 1e-6);
    world_run(&world, 9 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 1);
    has(RUNOFF_GAUGE_OUT);
    has_not(RUNOFF_RAIN_RATIO);
    is_near(world.event.rain_mm, 20, 1e-6);
    graded(RUNOFF_GRADE_B);
    world.rain_dead[1] = false;
    world_run(&world, 10, 0, 0);
    runoff_look(world.runoff, &now);
    assert_false(now.event);
    rain();
    world_run(&world, 9 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 2);
    is_near(world.event.rain_mm, 20, 1e-6);
    graded(RUNOFF_GRADE_A);
}

static void a_counter_that_wraps(void **state)
{
    (void)state;
    world.mm[0] = 6543.6;
    dry(0);
    rain();
    end();
    is_near(world.event.rain_mm, 20, 1e-6);
    has_not(RUNOFF_RAIN_RESET);
    graded(RUNOFF_GRADE_A);
}

static void a_counter_that_is_reset(void **state)
{
    (void)state;
    world.mm[0] = 300;
    dry(0);
    world_run(&world, 20, 0.5, 0);
    world.mm[0] = 3;
    world_run(&world, 20, 0.5, 0);
    world_run(&world, 50, 0, 10 / 60.0);
    end();
    is_near(world.event.rain_mm, 19.5, 1e-6); /* the minute of the reset is not known */
    has(RUNOFF_RAIN_RESET);
    graded(RUNOFF_GRADE_B);
    double share = world.event.outflow_m3 / world.event.rain_m3;
    assert_true(world.event.uncertainty > share * (0.115 + 3 / 19.5)); /* up to 3 mm are missing */
}

/* It never wraps: what falls is always a reset. */
static void a_counter_without_wrap(void **state)
{
    (void)state;
    world.gauges[0].wrap_mm = 0;
    world.mm[0] = 6553;
    world_open(&world);
    for (int i = 0; i < 7 * WORLD_HOUR; i++)
        world_step(&world, WORLD_MINUTE_MS);
    for (int i = 0; i < 40; i++) {
        world.mm[0] = i < 20 ? 6553 + 0.5 * i : 0.5 * i;
        world_step(&world, WORLD_MINUTE_MS);
    }
    for (int i = 0; i < 9 * WORLD_HOUR; i++)
        world_step(&world, WORLD_MINUTE_MS);
    assert_int_equal(world.events, 1);
    is_near(world.event.rain_mm, 19, 1e-6);
    has(RUNOFF_RAIN_RESET);
}

/* A reset in dry weather is no rain, and what was before is not known any more. */
static void a_reset_in_dry_weather(void **state)
{
    (void)state;
    world.mm[0] = 300;
    dry(0);
    world.mm[0] = 3;
    world_run(&world, 60, 0, 0);
    struct runoff_now now;
    runoff_look(world.runoff, &now);
    assert_false(now.event);
    rain();
    end();
    is_near(world.event.rain_mm, 20, 1e-6);
    has(RUNOFF_BEGIN_UNKNOWN);
    graded(RUNOFF_GRADE_C);
}

static void heavy_rain(double mm_min)
{
    dry(0);
    world_run(&world, 20, 0.5, 0);
    world_run(&world, 1, mm_min, 0);
    world_run(&world, 50, 0, 10 / 60.0);
    end();
}

static void rain_that_can_be(void **state)
{
    (void)state;
    heavy_rain(3.9);
    has_not(RUNOFF_RAIN_SUSPECT);
    graded(RUNOFF_GRADE_A);
}

static void rain_that_is_suspect(void **state)
{
    (void)state;
    heavy_rain(4.5);
    has(RUNOFF_RAIN_SUSPECT);
    is_near(world.event.rain_mm, 14.5, 1e-6);
    graded(RUNOFF_GRADE_B);
}

static void rain_that_cannot_be(void **state)
{
    (void)state;
    heavy_rain(9);
    has(RUNOFF_RAIN_IMPOSSIBLE);
    is_near(world.event.rain_mm, 10, 1e-6);
    graded(RUNOFF_GRADE_C);
}

/* Read each second, a tip of 0.5 mm is no 30 mm/min; twenty of them in a minute are too many. */
static void tips_of_a_bucket(void **state)
{
    (void)state;
    dry(0);
    for (int i = 0; i < 600; i++) {
        world.mm[0] += i % 10 == 0 ? 0.5 : 0;
        world_step(&world, 1000);
    }
    end();
    has_not(RUNOFF_RAIN_SUSPECT);
    is_near(world.event.rain_mm, 30, 1e-6);
    graded(RUNOFF_GRADE_A);
    world.events = 0;
    for (int i = 0; i < 60; i++) {
        world.mm[0] += i % 3 == 0 ? 0.5 : 0;
        world_step(&world, 1000);
    }
    end();
    has(RUNOFF_RAIN_IMPOSSIBLE);
    has(RUNOFF_RAIN_SUSPECT);
    is_near(world.event.rain_mm, 8, 1e-6);
}

/* The counter goes on while nobody reads it. */
static void rain_in_a_gap_is_rain(void **state)
{
    (void)state;
    dry(0);
    world_run(&world, 10, 0.5, 0);
    world.rain_dead[0] = true;
    world_run(&world, 15, 0.5, 0);
    world.rain_dead[0] = false;
    world_run(&world, 15, 0.5, 0);
    world_run(&world, 4 * WORLD_HOUR, 0, 500 / 4.0 / 3600);
    end();
    is_near(world.event.rain_mm, 20, 1e-6);
    has(RUNOFF_RAIN_GAP);
    graded(RUNOFF_GRADE_B);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(little_silence_is_none),
        RULE(silent_flow_makes_it_an_indication),
        RULE(silent_flow_refuses),
        RULE(silent_rain_makes_it_an_indication),
        RULE(silent_rain_refuses),
        RULE(everything_dies),
        RULE(rain_dies),
        RULE(flow_dies),
        RULE(the_machine_stands_still),
        RULE(every_outfall_counts),
        RULE(outfalls_add_up),
        RULE(less_than_2_mm_is_not_evaluated),
        RULE(little_rain_that_was_not_seen),
        RULE(a_little_more_is),
        RULE(gauges_that_agree),
        RULE(gauges_that_do_not),
        RULE(a_blocked_gauge),
        RULE(a_gauge_that_was_away),
        RULE(a_counter_that_wraps),
        RULE(a_counter_that_is_reset),
        RULE(a_counter_without_wrap),
        RULE(a_reset_in_dry_weather),
        RULE(rain_that_can_be),
        RULE(rain_that_is_suspect),
        RULE(rain_that_cannot_be),
        RULE(tips_of_a_bucket),
        RULE(rain_in_a_gap_is_rain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
