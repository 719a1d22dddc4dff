/* Honesty rules 1 and 5 to 9 at the head of gateway/flow/runoff.h: flow that nobody sees or that
 * runs backwards, the dry-weather flow, the target, shares that cannot be, outlets without a gauge;
 * and what is not known of an event's begin and end.
 *
 * Each has a case that refuses or doubts, beside one that does not. */
#include "tests/unit/runoff_rules.h"

/* ---- 1: never alone ---- */

static void without_a_base_flow_there_is_no_share(void **state)
{
    (void)state;
    world.outfalls[0].base_is_own = true;
    world.flow_dead[0] = true;
    dry(0);
    world.flow_dead[0] = false;
    rain();
    end();
    has(RUNOFF_NO_BASE);
    graded(RUNOFF_GRADE_INSUFFICIENT);
}

static void a_share_has_all_it_stands_on(void **state)
{
    (void)state;
    world.outfalls[0].base_m3_s = 0.01;
    dry(0.01);
    world_run(&world, 40, 0.5, 0.01);
    world_run(&world, 50, 0, 0.1);
    world_run(&world, 9 * WORLD_HOUR, 0, 0.01);
    assert_int_equal(world.events, 1);
    const struct runoff_event *event = &world.event;
    graded(RUNOFF_GRADE_A);
    assert_true(event->rain_mm > 0 && event->area_ha > 0 && event->outflow_m3 > 0);
    is_near(event->base_flow_m3_s, 0.01, 1e-9);
    assert_true(event->rain_coverage > 0 && event->flow_coverage > 0 && event->uncertainty > 0);
    has(RUNOFF_BASE_TAKEN);
}

/* ---- 5: the cut-off ---- */

/* Of a trickle of 30 m³/h over 20 h nothing is seen; it is not zero. */
static void below_the_cutoff_is_not_zero(void **state)
{
    (void)state;
    world.outfalls[0].cutoff_m3_s = 0.01;
    dry(0);
    rain();
    end();
    has(RUNOFF_CUTOFF);
    int blind_minutes = (int)((world.event.to_ms - world.event.from_ms) / 60000) - 49;
    char said[100];
    snprintf(said, sizeof said, "for %d min:", blind_minutes);
    assert_non_null(strstr(world_doubt(&world, RUNOFF_CUTOFF), said));
    graded(RUNOFF_GRADE_B);
    /* 40 minutes of rain and what is left of the first hour: 0 to 0.01 m³/s */
    double hidden = (double)(world.event.to_ms - world.event.from_ms - 50 * 60000) / 1000 * 0.005;
    is_near(world.event.outflow_m3, 500 + hidden, 1);
    assert_true(world.event.not_known_m3 >= hidden - 1);
    assert_true(world.event.uncertainty >= 0.25 * 0.1157 + hidden / 2000 - 0.001);
}

/* ---- 6: reverse flow, base flow ---- */

static void backwater_counts_as_negative(void **state)
{
    (void)state;
    dry(0);
    rain();
    world_run(&world, 20, 0, -0.05);
    end();
    has(RUNOFF_REVERSE);
    is_near(world.event.reverse_m3, 20 * 60 * 0.05, 3);
    is_near(world.event.outflow_m3, 500 - 20 * 60 * 0.05, 6);
    graded(RUNOFF_GRADE_B);
}

/* A pipe with a daily pattern: taken off is the flow of the same hour. */
static void the_pattern_of_the_same_hour(void **state)
{
    (void)state;
    world.outfalls[0].base_is_own = true;
    world_open(&world);
    int64_t minute = 0;
    for (; minute < 4 * WORLD_DAY + 6 * WORLD_HOUR; minute++)
        world_run(&world, 1, 0, minute / WORLD_HOUR % 24 < 12 ? 0.01 : 0.04);
    for (; world.events == 0 && minute < 6 * WORLD_DAY; minute++) {
        double base = minute / WORLD_HOUR % 24 < 12 ? 0.01 : 0.04;
        int64_t since = minute - 4 * WORLD_DAY - 6 * WORLD_HOUR;
        world_run(&world, 1, since < 40 ? 0.5 : 0,
                  base + (since < 90 && since >= 40 ? 1 / 6.0 : 0));
    }
    assert_int_equal(world.events, 1);
    has(RUNOFF_BASE_TAKEN);
    has_not(RUNOFF_BASE_YOUNG);
    is_near(world.event.outflow_m3, 500, 3);
    is_near(world.event.base_flow_m3_s, 0.01, 1e-4);
    graded(RUNOFF_GRADE_A);
}

/* Days that differ by half of their mean: so far the number can be trusted. */
static void a_pattern_of_days_that_differ(void **state)
{
    (void)state;
    world.outfalls[0].base_is_own = true;
    world_open(&world);
    for (int day = 0; day < 8; day++)
        world_run(&world, WORLD_DAY, 0, day % 2 ? 0.03 : 0.01);
    world_run(&world, 40, 0.5, 0.02);
    world_run(&world, 30 * WORLD_HOUR, 0, 0.02);
    assert_int_equal(world.events, 1);
    has_not(RUNOFF_BASE_YOUNG);
    double s = (double)(world.event.to_ms - world.event.from_ms) / 1000;
    assert_true(world.event.not_known_m3 > 0.007 * s);
}

/* What seeps on, too little to wait for it, is not known. */
static void a_slow_tail(void **state)
{
    (void)state;
    dry(0);
    rain();
    world_run(&world, 9 * WORLD_HOUR, 0, 0.0005);
    assert_int_equal(world.events, 1);
    assert_true(world.event.not_known_m3 > 0.0005 * 6 * 3600);
    graded(RUNOFF_GRADE_A);
}

static void a_young_pattern(void **state)
{
    (void)state;
    world.outfalls[0].base_is_own = true;
    world_open(&world);
    world_run(&world, 40 * WORLD_HOUR, 0, 0.01);
    world_run(&world, 40, 0.5, 0.01);
    world_run(&world, 10 * WORLD_HOUR, 0, 0.01);
    assert_int_equal(world.events, 1);
    has(RUNOFF_BASE_YOUNG);
    double s = (double)(world.event.to_ms - world.event.from_ms) / 1000;
    is_near(world.event.not_known_m3, 0.2 * 0.01 * s, 1);
    graded(RUNOFF_GRADE_B);
}

/* Nothing is learned soon after rain. */
static void a_pattern_of_other_hours(void **state)
{
    (void)state;
    world.outfalls[0].base_is_own = true;
    world_open(&world);
    world_run(&world, 9 * WORLD_HOUR + 1, 0, 0.01);
    world_run(&world, 40, 0.5, 0.01);
    world_run(&world, 10 * WORLD_HOUR, 0, 0.01);
    assert_int_equal(world.events, 1);
    has(RUNOFF_BASE_OTHER_HOURS);
    graded(RUNOFF_GRADE_B);
}

static void the_flow_before_the_rain(void **state)
{
    (void)state;
    world.outfalls[0].base_is_own = true;
    dry(0.01);
    world_run(&world, 40, 0.5, 0.01);
    world_run(&world, 50, 0, 0.01 + 10 / 60.0);
    world_run(&world, 9 * WORLD_HOUR, 0, 0.01);
    assert_int_equal(world.events, 1);
    has(RUNOFF_BASE_BEFORE);
    is_near(world.event.outflow_m3, 500, 3);
    graded(RUNOFF_GRADE_C);
}

static void flow_below_base_is_said(void **state)
{
    (void)state;
    world.outfalls[0].base_m3_s = 0.03;
    dry(0.03);
    world_run(&world, 40, 0.5, 0.03);
    world_run(&world, 30, 0, 0);
    world_run(&world, 50, 0, 10 / 60.0 + 0.03);
    world_run(&world, 9 * WORLD_HOUR, 0, 0.03);
    assert_int_equal(world.events, 1);
    has(RUNOFF_BELOW_BASE);
    graded(RUNOFF_GRADE_B);
    is_near(world.event.below_base_m3, 30 * 60 * 0.03, 2);
    is_near(world.event.outflow_m3, 500, 6);
    is_near(world.event.gross_m3,
            world.event.outflow_m3 + world.event.base_m3 - world.event.below_base_m3, 1e-6);
}

/* ---- 7: the target ---- */

static void a_target_within_the_uncertainty(void **state)
{
    (void)state;
    world.catchment.target = 0.77;
    dry(0);
    rain();
    end();
    has(RUNOFF_NOT_JUDGED);
    graded(RUNOFF_GRADE_A);
}

static void a_target_beyond_it(void **state)
{
    (void)state;
    world.catchment.target = 0.80;
    dry(0);
    rain();
    end();
    has_not(RUNOFF_NOT_JUDGED);
}

/* ---- 8: never clipped ---- */

static void more_flows_out_than_fell(void **state)
{
    (void)state;
    dry(0);
    world_run(&world, 40, 0.5, 0);
    world_run(&world, 60, 0, 2600 / 3600.0);
    end();
    has(RUNOFF_OUTSIDE);
    is_near(world.event.captured, -0.3, 0.01);
    graded(RUNOFF_GRADE_IMPLAUSIBLE);
}

static void more_flows_back_than_out(void **state)
{
    (void)state;
    dry(0);
    world_run(&world, 40, 0.5, 0);
    world_run(&world, 30, 0, 0.1);
    world_run(&world, 60, 0, -0.1);
    end();
    has(RUNOFF_OUTSIDE);
    assert_true(world.event.captured > 1.05);
    graded(RUNOFF_GRADE_IMPLAUSIBLE);
}

/* A meter that shows -0.1 L/s at rest makes no event implausible, and nothing is clipped. */
static void the_zero_of_a_meter(void **state)
{
    (void)state;
    dry(-0.0001);
    world_run(&world, 40, 0.5, -0.0001);
    world_run(&world, 9 * WORLD_HOUR, 0, -0.0001);
    assert_int_equal(world.events, 1);
    has(RUNOFF_ABOUT_ONE);
    assert_true(world.event.captured > 1 && world.event.captured < 1.001);
    graded(RUNOFF_GRADE_A);
}

/* ---- 9: outlets ---- */

static void one_outlet_is_not_the_catchment(void **state)
{
    (void)state;
    world.catchment.outfall_count = 2;
    world.catchment.outfalls_total = 3;
    dry(0);
    rain();
    end();
    assert_true(world.event.partial);
    has(RUNOFF_PARTIAL);
    const char *text = world_doubt(&world, RUNOFF_PARTIAL);
    assert_non_null(strstr(text, "2 of 3"));
    assert_non_null(strstr(text, "out-1.flow out-2.flow"));
    graded(RUNOFF_GRADE_C);
}

/* ---- what is not known of its begin and end ---- */

static void rain_soon_after_the_start(void **state)
{
    (void)state;
    world_open(&world);
    world_run(&world, WORLD_HOUR, 0, 0);
    rain();
    end();
    has(RUNOFF_BEGIN_UNKNOWN);
    graded(RUNOFF_GRADE_C);
}

static void a_flow_that_stays_up(void **state)
{
    (void)state;
    dry(0);
    world_run(&world, 40, 0.5, 0);
    world_run(&world, 25 * WORLD_HOUR, 0, 0.02);
    assert_int_equal(world.events, 1);
    has(RUNOFF_NOT_BACK);
    graded(RUNOFF_GRADE_C);
    is_near(world.event.outflow_m3, 24 * 3600 * 0.02, 5);
}

static void rain_without_end(void **state)
{
    (void)state;
    dry(0);
    for (int i = 0; i < 7 * 24 + 1; i++) {
        world_run(&world, 1, 0.3, 0.001);
        world_run(&world, 59, 0, 0.001);
    }
    assert_int_equal(world.events, 1);
    has(RUNOFF_TOO_LONG);
    graded(RUNOFF_GRADE_C);
    world_run(&world, 2, 0.2, 0);
    world_run(&world, 30 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 2);
    has(RUNOFF_BEGIN_UNKNOWN);
}

/* ---- the design rain ---- */

static void design(double design_mm, int dry_hours)
{
    world.catchment.design_rain_mm = design_mm;
    world_open(&world);
    world_run(&world, dry_hours * WORLD_HOUR, 0, 0);
    rain();
    end();
}

static void an_event_for_the_design_check(void **state)
{
    (void)state;
    design(21, 25);
    assert_true(world.event.qualifies);
    has(RUNOFF_QUALIFIES);
    graded(RUNOFF_GRADE_A);
}

static void too_soon_for_the_design_check(void **state)
{
    (void)state;
    design(21, 23);
    assert_false(world.event.qualifies);
    has_not(RUNOFF_QUALIFIES);
}

static void too_little_for_the_design_check(void **state)
{
    (void)state;
    design(23, 25);
    assert_false(world.event.qualifies);
}

static void too_much_for_the_design_check(void **state)
{
    (void)state;
    design(19.9, 25);
    assert_false(world.event.qualifies);
}

/* ---- readings that are none ---- */

static void nonsense_changes_nothing(void **state)
{
    (void)state;
    static const double nonsense[] = {NAN, INFINITY, -INFINITY, -1, 1e300};
    dry(0);
    rain();
    mono_time now = world_mono(&world), past = {now.ns - 1000000000};
    for (size_t i = 0; i < 5; i++) {
        mono_time later = {now.ns + 1000000};
        runoff_rain(world.runoff, 0, nonsense[i], true, later, world_wall(&world));
        runoff_flow(world.runoff, 0, nonsense[i] * (nonsense[i] < 0 ? 1e300 : 1), true, later,
                    world_wall(&world));
        runoff_rain(world.runoff, 1 + i, 50, true, later, world_wall(&world));
        runoff_flow(world.runoff, 1 + i, 50, true, later, world_wall(&world));
    }
    runoff_rain(world.runoff, 0, 99, true, past, world_wall(&world));
    runoff_flow(world.runoff, 0, 99, true, past, world_wall(&world));
    end();
    is_near(world.event.rain_mm, 20, 1e-6);
    is_near(world.event.outflow_m3, 500, 1);
    graded(RUNOFF_GRADE_A);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(without_a_base_flow_there_is_no_share),
        RULE(a_share_has_all_it_stands_on),
        RULE(below_the_cutoff_is_not_zero),
        RULE(backwater_counts_as_negative),
        RULE(the_pattern_of_the_same_hour),
        RULE(a_pattern_of_days_that_differ),
        RULE(a_slow_tail),
        RULE(a_young_pattern),
        RULE(a_pattern_of_other_hours),
        RULE(the_flow_before_the_rain),
        RULE(flow_below_base_is_said),
        RULE(a_target_within_the_uncertainty),
        RULE(a_target_beyond_it),
        RULE(more_flows_out_than_fell),
        RULE(more_flows_back_than_out),
        RULE(the_zero_of_a_meter),
        RULE(one_outlet_is_not_the_catchment),
        RULE(rain_soon_after_the_start),
        RULE(a_flow_that_stays_up),
        RULE(rain_without_end),
        RULE(an_event_for_the_design_check),
        RULE(too_soon_for_the_design_check),
        RULE(too_little_for_the_design_check),
        RULE(too_much_for_the_design_check),
        RULE(nonsense_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
