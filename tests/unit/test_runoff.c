/* Rain events end to end: where they begin and end, and that storms with a known truth lie within
 * the uncertainty that is told, whatever their shape, the sensors' errors and their noise.
 *
 * LIFELINE_SEED=N plays the storms of that seed again, LIFELINE_LONG=1 plays 3000 of them. */
#include "tests/unit/runoff_world.h"

#include <time.h>

static uint64_t seed;

static double chance(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(seed >> 11) / (double)(UINT64_C(1) << 53);
}

static double between(double low, double high)
{
    return low + (high - low) * chance();
}

/* About normal, sigma 1. */
static double noise(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += chance();
    return sum - 6;
}

/* ---- one plain event ---- */

/* 20 mm in 40 minutes, 500 m³ out of 2000: a quarter. */
static void a_plain_event(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    world_open(&world);
    world_run(&world, 7 * WORLD_HOUR, 0, 0);
    struct runoff_now now;
    runoff_look(world.runoff, &now);
    assert_false(now.event);
    world_run(&world, 40, 0.5, 0);
    runoff_look(world.runoff, &now);
    assert_true(now.event);
    is_near(now.rain_mm, 20, 1e-6);
    assert_int_equal(now.duration_ms, 40 * 60000);
    assert_int_equal(now.from_ms, WORLD_WALL_MS + 7 * 3600000);
    world_run(&world, 50, 0, 10 / 60.0);
    runoff_look(world.runoff, &now);
    is_near(now.outflow_m3, 500, 6);
    is_near(now.flow_m3_s, 10 / 60.0, 1e-9);
    assert_int_equal(world.events, 0);
    world_run(&world, 8 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 1);
    const struct runoff_event *event = &world.event;
    assert_string_equal(event->catchment, "park");
    assert_string_equal(event->id, "park-20260717T230000Z");
    assert_int_equal(event->from_ms, WORLD_WALL_MS + 7 * 3600000);
    assert_true(event->to_ms >= event->from_ms + 90 * 60000);
    assert_true(event->to_ms < event->from_ms + 4 * 3600000);
    is_near(event->rain_mm, 20, 1e-6);
    is_near(event->rain_m3, 2000, 1e-3);
    is_near(event->area_ha, 10, 0);
    is_near(event->outflow_m3, 500, 1);
    assert_true(event->has_captured);
    is_near(event->captured, 0.75, 0.001);
    is_near(event->uncertainty, 0.25 * sqrt(0.01 + 0.0025 + 0.0009), 0.002);
    is_near(event->rain_coverage, 1, 0);
    is_near(event->flow_coverage, 1, 0);
    is_near(event->peak_m3_s, 10 / 60.0, 1e-9);
    assert_int_equal(event->peak_ms, WORLD_WALL_MS + (7 * 60 + 41) * 60000);
    assert_int_equal(event->lag_ms, 21 * 60000);
    assert_false(event->partial);
    assert_int_equal(event->grade, RUNOFF_GRADE_A);
    assert_int_equal(event->doubt_count, 0);
    runoff_look(world.runoff, &now);
    assert_false(now.event);
    world_close(&world);
}

/* Less than 0.2 mm is no event; 0.2 mm in two tips is one that begins at the first. */
static void drizzle(void **state)
{
    (void)state;
    struct world world;
    struct runoff_now now;
    world_start(&world);
    world_open(&world);
    world_run(&world, 7 * WORLD_HOUR, 0, 0);
    world_run(&world, 1, 0.1, 0);
    world_run(&world, 7 * WORLD_HOUR, 0, 0);
    world_run(&world, 1, 0.1, 0);
    runoff_look(world.runoff, &now);
    assert_false(now.event);
    world_run(&world, 59, 0, 0);
    world_run(&world, 1, 0.1, 0);
    runoff_look(world.runoff, &now);
    assert_true(now.event);
    assert_int_equal(now.duration_ms, 61 * 60000);
    world_run(&world, 8 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 1);
    assert_int_equal(world.event.grade, RUNOFF_GRADE_NOT_EVALUATED);
    world_close(&world);
}

/* Rain after 5 h is the same event, after 7 h it is another one. */
static void the_dry_gap_parts_events(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    world_open(&world);
    world_run(&world, 7 * WORLD_HOUR, 0, 0);
    world_run(&world, 20, 0.2, 0);
    world_run(&world, 5 * WORLD_HOUR, 0, 0);
    world_run(&world, 20, 0.2, 0);
    assert_int_equal(world.events, 0);
    world_run(&world, 7 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 1);
    is_near(world.event.rain_mm, 8, 1e-6);
    world_run(&world, 20, 0.2, 0);
    world_run(&world, 7 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 2);
    is_near(world.event.rain_mm, 4, 1e-6);
    world_close(&world);
}

/* It lasts until the basin has emptied, long after the rain. */
static void an_event_waits_for_the_flow(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    world_open(&world);
    world_run(&world, 7 * WORLD_HOUR, 0, 0);
    world_run(&world, 60, 0.5, 0);
    world_run(&world, 15 * WORLD_HOUR, 0, 0.02);
    assert_int_equal(world.events, 0);
    world_run(&world, 5 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 1);
    is_near(world.event.outflow_m3, 15 * 3600 * 0.02, 2);
    assert_int_equal(world.event.grade, RUNOFF_GRADE_A);
    world_close(&world);
}

/* A pump empties the basin in strokes of half an hour, as long again apart: one event. */
static void an_event_waits_for_the_pump(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    world_open(&world);
    world_run(&world, 7 * WORLD_HOUR, 0, 0);
    world_run(&world, 60, 0.5, 0);
    for (int i = 0; i < 10; i++) {
        world_run(&world, 30, 0, 0.05);
        world_run(&world, 30, 0, 0);
    }
    assert_int_equal(world.events, 0);
    world_run(&world, 4 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 1);
    is_near(world.event.outflow_m3, 10 * 1800 * 0.05, 15);
    world_close(&world);
}

/* The outfall is read every 10 minutes: it rises from 0 to 0.6 m³/s while the rain begins in the
 * middle of that. */
static void flow_is_counted_from_the_begin(void **state)
{
    (void)state;
    struct world world;
    struct runoff_now now;
    world_start(&world);
    world.outfalls[0].every_ms = 10 * WORLD_MINUTE_MS;
    world_open(&world);
    world_run(&world, 7 * WORLD_HOUR, 0, 0);
    world.flow_dead[0] = true;
    world_run(&world, 5, 0, 0);
    world_run(&world, 4, 0.5, 0);
    world.flow_dead[0] = false;
    world_run(&world, 1, 0.5, 0.6);
    runoff_look(world.runoff, &now);
    is_near(now.outflow_m3, 300 * 0.45, 1e-6);
    world_close(&world);
}

/* ---- storms with a known truth ---- */

enum shape { BLOCK, TRIANGLE, BURSTS, SPIKE, DRIZZLE, SHAPES };

struct storm {
    enum shape shape;
    int minutes;
    double total_mm;
    double share; /* that runs off */
    double reservoir_min;
    double base, swing; /* m³/s */
    double noise;       /* of flow readings */
    double cutoff;
    double rain_gain, flow_gain, area_gain;
};

/* Relative intensity, any scale. */
static double intensity(const struct storm *storm, int minute)
{
    double x = (minute + 0.5) / storm->minutes;
    switch (storm->shape) {
    case BLOCK:
        return 1;
    case TRIANGLE:
        return x < 0.3 ? x / 0.3 : (1 - x) / 0.7;
    case BURSTS:
        return x < 0.2 ? 1 : x < 0.6 ? 0 : x < 0.7 ? 2 : 0.2;
    case SPIKE:
        return exp(-fabs(x - 0.4) * 12);
    case DRIZZLE:
        return 1 + sin(x * 40);
    case SHAPES:
        break;
    }
    return 0;
}

static double dry_flow(const struct storm *storm, const struct world *world)
{
    double hour = (double)((world->wall_ms + 8 * 3600000) % 86400000) / 3600000;
    return storm->base + storm->swing * sin(hour / 24 * 2 * M_PI);
}

/* What the sensors make of it. */
static void read_sensors(const struct storm *storm, struct world *world, double fallen, double flow)
{
    world->mm[0] = fmod(floor(fallen * storm->rain_gain * 10) / 10 + 6540, 6553.6);
    double shown = flow * storm->flow_gain + storm->noise * noise() * fmax(flow, 0.002);
    world->m3_s[0] = fabs(shown) < storm->cutoff ? 0 : shown;
    world_step(world, WORLD_MINUTE_MS);
}

/* Returns the true captured share. */
static double play(const struct storm *storm, struct world *world)
{
    double scale = 0, fallen = 0, stored = 0, left = 0;
    int wait = storm->base > 0 ? 4 * WORLD_DAY : 7 * WORLD_HOUR;
    for (int i = 0; i < storm->minutes; i++)
        scale += intensity(storm, i);
    for (int i = 0; i < wait; i++)
        read_sensors(storm, world, 0, dry_flow(storm, world));
    for (int i = 0; i < storm->minutes + 30 * WORLD_HOUR && world->events == 0; i++) {
        double mm = i < storm->minutes ? intensity(storm, i) / scale * storm->total_mm : 0;
        fallen += mm;
        double out = 0;
        for (int s = 0; s < 10; s++) {
            stored += mm / 10 * 10 * world->catchment.area_ha * storm->area_gain * storm->share;
            double one = stored / storm->reservoir_min / 10;
            stored -= one;
            out += one;
        }
        left += out;
        read_sensors(storm, world, fallen,
                     stored / storm->reservoir_min / 60 + dry_flow(storm, world));
    }
    (void)left;
    return 1 - storm->share;
}

/* Errors of the sensors anywhere within what is stated, all of it together; a fifth is left for the
 * noise, which is part of it. */
static void choose_errors(struct storm *storm)
{
    double a = noise(), b = noise(), c = noise(), r = sqrt(a * a + b * b + c * c) + 1e-9;
    double far = 0.8 * cbrt(chance());
    storm->flow_gain = 1 + 0.10 * a / r * far;
    storm->rain_gain = 1 + 0.05 * b / r * far;
    storm->area_gain = 1 + 0.03 * c / r * far;
}

static struct storm choose_storm(int number)
{
    struct storm storm = {
        .shape = (enum shape)(number % SHAPES),
        .minutes = (int)between(30, 600),
        .total_mm = between(4, 60),
        .share = between(0.02, 0.9),
        .reservoir_min = between(10, 120),
        .noise = between(0, 0.04),
    };
    if (number % 2) {
        storm.base = between(0.005, 0.02);
        storm.swing = storm.base * between(0, 0.4);
    }
    if (number % 3 == 0)
        storm.cutoff = between(0.0005, 0.004);
    choose_errors(&storm);
    /* Faster rain than any gauge believes is another test's. */
    double most = 0, sum = 0;
    for (int i = 0; i < storm.minutes; i++) {
        most = fmax(most, intensity(&storm, i));
        sum += intensity(&storm, i);
    }
    if (storm.total_mm * most / sum > 3)
        storm.total_mm = 3 * sum / most;
    return storm;
}

static void storms_lie_within_their_uncertainty(void **state)
{
    (void)state;
    const char *given = getenv("LIFELINE_SEED");
    uint64_t first = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    int storms = getenv("LIFELINE_LONG") ? 3000 : 200;
    double widest = 0, mean = 0, off = 0;
    print_message("seed %llu\n", (unsigned long long)first);
    for (int i = 0; i < storms; i++) {
        seed = ((first << 20) + (uint64_t)i) * UINT64_C(0x9e3779b97f4a7c15);
        chance();
        struct storm storm = choose_storm(i);
        struct world world;
        world_start(&world);
        world.outfalls[0].base_is_own = storm.base > 0;
        world.outfalls[0].cutoff_m3_s = storm.cutoff;
        world_open(&world);
        double truth = play(&storm, &world);
        const struct runoff_event *event = &world.event;
        bool good = world.events == 1 && event->has_captured &&
                    fabs(event->captured - truth) <= event->uncertainty;
        if (!good) {
            world_show(event);
            fail_msg(
                "storm %d (LIFELINE_SEED=%llu): %zu events, truth %.4f; shape %d, %d min, %.1f "
                "mm, reservoir %.0f min, base %.4f, swing %.4f, noise %.3f, cutoff %.4f, "
                "errors %.3f %.3f %.3f",
                i, (unsigned long long)first, world.events, truth, (int)storm.shape, storm.minutes,
                storm.total_mm, storm.reservoir_min, storm.base, storm.swing, storm.noise,
                storm.cutoff, storm.flow_gain, storm.rain_gain, storm.area_gain);
        }
        widest = fmax(widest, event->uncertainty);
        mean += event->uncertainty / storms;
        off += fabs(event->captured - truth) / storms;
        world_close(&world);
    }
    print_message(
        "%d storms: uncertainty %.3f in the mean, %.3f at most; off by %.3f in the mean\n", storms,
        mean, widest, off);
    assert_true(mean < 0.15); /* a wide answer is no answer */
}

/* ---- clocks ---- */

/* However the wall clock steps, the numbers are those of the monotonic one; the labels are what it
 * says at the end. */
static void a_step_of_the_clock_moves_labels_only(void **state)
{
    (void)state;
    struct runoff_event events[2];
    for (int stepped = 0; stepped < 2; stepped++) {
        struct world world;
        world_start(&world);
        world_open(&world);
        world_run(&world, 7 * WORLD_HOUR, 0, 0);
        world_run(&world, 20, 0.5, 0);
        world.wall_ms -= stepped * 5 * INT64_C(3600000);
        world_run(&world, 20, 0.5, 0.1);
        world.wall_ms += stepped * 40 * INT64_C(86400000);
        world_run(&world, 10 * WORLD_HOUR, 0, 0);
        assert_int_equal(world.events, 1);
        events[stepped] = world.event;
        world_close(&world);
    }
    int64_t moved = 40 * INT64_C(86400000) - 5 * INT64_C(3600000);
    assert_int_equal(events[1].from_ms - events[0].from_ms, moved);
    assert_int_equal(events[1].to_ms - events[0].to_ms, moved);
    assert_int_equal(events[1].peak_ms - events[0].peak_ms, moved);
    assert_int_equal(events[1].lag_ms, events[0].lag_ms);
    is_near(events[1].outflow_m3, events[0].outflow_m3, 0);
    is_near(events[1].captured, events[0].captured, 0);
    is_near(events[1].rain_coverage, 1, 0);
    assert_int_equal(events[1].doubt_count, 0);
}

/* A board without a clock: nothing is learned of hours that nobody knows. */
static void a_clock_that_is_not_set_teaches_nothing(void **state)
{
    (void)state;
    struct world world;
    struct runoff_now now;
    world_start(&world);
    world.outfalls[0].base_is_own = true;
    world.wall_ms = 5000;
    world_open(&world);
    world_run(&world, 2 * WORLD_DAY, 0, 0.01);
    world.wall_ms = WORLD_WALL_MS;
    world_run(&world, 10, 0.5, 0.01);
    runoff_look(world.runoff, &now);
    assert_int_equal(now.from_ms, WORLD_WALL_MS);
    world_run(&world, 10 * WORLD_HOUR, 0, 0.01);
    assert_int_equal(world.events, 1);
    assert_non_null(world_doubt(&world, RUNOFF_BASE_BEFORE));
    assert_null(world_doubt(&world, RUNOFF_BASE_YOUNG));
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_event),
        cmocka_unit_test(drizzle),
        cmocka_unit_test(the_dry_gap_parts_events),
        cmocka_unit_test(an_event_waits_for_the_flow),
        cmocka_unit_test(an_event_waits_for_the_pump),
        cmocka_unit_test(flow_is_counted_from_the_begin),
        cmocka_unit_test(storms_lie_within_their_uncertainty),
        cmocka_unit_test(a_step_of_the_clock_moves_labels_only),
        cmocka_unit_test(a_clock_that_is_not_set_teaches_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
