/* What survives a restart, and what no weather can do: random walks of everything that comes in.
 *
 * A report must be the same whether or not the daemon was restarted in the middle of it; bytes that
 * are not ours must be harmless. */
#include "tests/unit/runoff_world.h"

#include <time.h>

static uint64_t seed;

static double chance(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(seed >> 11) / (double)(UINT64_C(1) << 53);
}

static size_t below(size_t count)
{
    return (size_t)(chance() * (double)count);
}

static void begin_random(void)
{
    const char *given = getenv("LIFELINE_SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
}

/* ---- restarts ---- */

static size_t save(const struct world *world, uint8_t *bytes)
{
    size_t length = runoff_save(world->runoff, bytes, RUNOFF_SAVE_MAX);
    assert_true(length > 0);
    return length;
}

/* The daemon goes and comes back: on another boot when the mono clock moves. */
static void restart(struct world *world, int64_t mono_moves_ms)
{
    uint8_t bytes[RUNOFF_SAVE_MAX];
    size_t length = save(world, bytes);
    runoff_free(world->runoff);
    world_open(world);
    assert_true(runoff_load(world->runoff, bytes, length));
    world->mono_ms += mono_moves_ms;
}

static bool same_numbers(const struct runoff_event *a, const struct runoff_event *b)
{
    const double left[] = {a->rain_mm,     a->rain_m3,     a->outflow_m3,    a->base_flow_m3_s,
                           a->captured,    a->uncertainty, a->rain_coverage, a->flow_coverage,
                           a->peak_m3_s,   a->gross_m3,    a->base_m3,       a->below_base_m3,
                           a->not_known_m3};
    const double right[] = {b->rain_mm,     b->rain_m3,     b->outflow_m3,    b->base_flow_m3_s,
                            b->captured,    b->uncertainty, b->rain_coverage, b->flow_coverage,
                            b->peak_m3_s,   b->gross_m3,    b->base_m3,       b->below_base_m3,
                            b->not_known_m3};
    return memcmp(left, right, sizeof left) == 0;
}

static void same_event(const struct runoff_event *a, const struct runoff_event *b)
{
    bool same = strcmp(a->id, b->id) == 0 && a->grade == b->grade && a->from_ms == b->from_ms &&
                a->to_ms == b->to_ms && a->peak_ms == b->peak_ms && a->lag_ms == b->lag_ms &&
                a->dry_before_ms == b->dry_before_ms && a->doubt_count == b->doubt_count &&
                same_numbers(a, b);
    for (size_t i = 0; same && i < a->doubt_count; i++)
        same = strcmp(a->doubts[i].text, b->doubts[i].text) == 0;
    if (same)
        return;
    world_show(a);
    world_show(b);
    fail_msg("the reports differ");
}

/* Two gauges, two outfalls with a daily pattern, if there was the time to learn it; gaps, a reset,
 * a burst. Read every 20 s; restarted after `at` readings of the event (-1: never). */
static struct runoff_event played(int dry_minutes, int at, int64_t mono_moves_ms)
{
    struct world world;
    world_start(&world);
    world.catchment.gauge_count = world.catchment.outfall_count = world.catchment.outfalls_total =
        2;
    world.outfalls[0].base_is_own = world.outfalls[1].base_is_own = true;
    world.outfalls[1].cutoff_m3_s = 0.035;
    world.catchment.area_ha = 4;
    world_open(&world);
    for (int i = 0; i < dry_minutes; i++)
        world_run(&world, 1, 0, 0.005 + 0.002 * (i / WORLD_HOUR % 24) / 24);
    for (int i = 0; i < 3 * 30 * WORLD_HOUR && world.events == 0; i++) {
        if (i == at)
            restart(&world, mono_moves_ms);
        world.rain_dead[1] = i >= 90 && i < 99;
        world.flow_dead[0] = i >= 210 && i < 225;
        for (size_t g = 0; g < 2; g++)
            world.mm[g] += i >= 60 && i < 65 ? 1.5 : i < 270 ? 0.1 : 0;
        if (i == 150)
            world.mm[0] = 0;
        world.m3_s[0] = world.m3_s[1] = 0.006 + (i > 60 && i < 600 ? 0.03 : 0);
        world_step(&world, 20000);
    }
    assert_int_equal(world.events, 1);
    assert_true(world.event.has_captured && world.event.doubt_count >= 5 &&
                world_doubt(&world, RUNOFF_CUTOFF) != NULL &&
                world_doubt(&world, RUNOFF_RAIN_SUSPECT) != NULL);
    struct runoff_event event = world.event;
    world_close(&world);
    return event;
}

static void a_restart_changes_no_report(void **state)
{
    (void)state;
    static const int dry_minutes[] = {7 * WORLD_HOUR, 3 * WORLD_DAY};
    static const int moments[] = {0, 1, 61, 62, 63, 64, 65, 95, 151, 215, 300, 601, 1000};
    for (size_t d = 0; d < 2; d++) {
        struct runoff_event whole = played(dry_minutes[d], -1, 0);
        for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
            struct runoff_event same_boot = played(dry_minutes[d], moments[i], 0);
            struct runoff_event other_boot = played(dry_minutes[d], moments[i], -24000000);
            same_event(&whole, &same_boot);
            same_event(&whole, &other_boot);
        }
    }
}

/* Half an hour without power: what nobody saw is not covered, what the counter kept is rain. */
static void a_power_cut_in_the_storm(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    world_open(&world);
    world_run(&world, 7 * WORLD_HOUR, 0, 0);
    world_run(&world, 30, 0.5, 0.05);
    restart(&world, 5000 - world.mono_ms);
    world.wall_ms += 29 * WORLD_MINUTE_MS;
    world.mm[0] += 6;
    world_step(&world, WORLD_MINUTE_MS);
    world_run(&world, 60, 0, 0.05);
    world_run(&world, 9 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 1);
    is_near(world.event.rain_mm, 21, 1e-6);
    is_near(world.event.outflow_m3, 120 * 60 * 0.05, 10);
    assert_true(world.event.rain_coverage < 0.85 && world.event.rain_coverage > 0.7);
    assert_non_null(world_doubt(&world, RUNOFF_RAIN_GAP));
    assert_null(world_doubt(&world, RUNOFF_CLOCK));
    world_close(&world);
}

/* After the power cut nobody knows what time it is: how long it took is not known, and is said. */
static void a_power_cut_without_a_clock(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    world_open(&world);
    world_run(&world, 7 * WORLD_HOUR, 0, 0);
    world_run(&world, 30, 0.5, 0.05);
    restart(&world, 5000 - world.mono_ms);
    int64_t wall_ms = world.wall_ms;
    world.wall_ms = 100000;
    world_run(&world, 30, 0, 0.05);
    struct runoff_now now;
    runoff_look(world.runoff, &now);
    assert_int_equal(now.from_ms, WORLD_WALL_MS + 7 * 3600000);
    world.wall_ms = wall_ms + 40 * WORLD_MINUTE_MS;
    world_run(&world, 9 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 1);
    assert_non_null(world_doubt(&world, RUNOFF_CLOCK));
    assert_null(world_doubt(&world, RUNOFF_BEGIN_UNKNOWN));
    assert_int_equal(world.event.grade, RUNOFF_GRADE_C);
    assert_true(world.event.from_ms > WORLD_WALL_MS);
    world_close(&world);
}

/* Other sensors: the event cannot go on, but what an outfall taught stays with it. */
static void a_reload_with_other_sensors(void **state)
{
    (void)state;
    uint8_t bytes[RUNOFF_SAVE_MAX];
    struct world world;
    struct runoff_now now;
    world_start(&world);
    world.catchment.outfall_count = world.catchment.outfalls_total = 2;
    world.outfalls[0].base_is_own = world.outfalls[1].base_is_own = true;
    world_open(&world);
    world_run(&world, 3 * WORLD_DAY, 0, 0.02);
    world_run(&world, 20, 0.5, 0.02);
    size_t length = save(&world, bytes);
    runoff_free(world.runoff);
    world.outfalls[0] = world.outfalls[1];
    world.catchment.outfall_count = world.catchment.outfalls_total = 1;
    world_open(&world);
    assert_true(runoff_load(world.runoff, bytes, length));
    world_run(&world, 1, 0, 0.02);
    runoff_look(world.runoff, &now);
    assert_false(now.event);
    assert_true(now.base_known);
    is_near(now.base_m3_s, 0.02, 1e-9);
    world_close(&world);
}

/* A counter that was kept in millimetres means something else in another unit. */
static void a_gauge_of_another_unit(void **state)
{
    (void)state;
    uint8_t bytes[RUNOFF_SAVE_MAX];
    struct world world;
    struct runoff_now now;
    world_start(&world);
    world_open(&world);
    world_run(&world, WORLD_DAY, 0, 0.02);
    world_run(&world, 20, 0.5, 0.02);
    runoff_look(world.runoff, &now);
    assert_true(now.event);
    size_t length = save(&world, bytes);
    runoff_free(world.runoff);
    world.gauges[0].to_mm *= 2;
    world_open(&world);
    assert_true(runoff_load(world.runoff, bytes, length));
    runoff_look(world.runoff, &now);
    assert_false(now.event);
    world_close(&world);
}

static void what_is_saved_fits(void **state)
{
    (void)state;
    uint8_t bytes[RUNOFF_SAVE_MAX];
    struct world world;
    world_start(&world);
    for (size_t i = 0; i < CATCHMENT_GAUGES_MAX; i++)
        world.gauges[i] = world.gauges[0];
    for (size_t i = 0; i < CATCHMENT_OUTFALLS_MAX; i++)
        world.outfalls[i] = world.outfalls[0];
    world.catchment.gauge_count = CATCHMENT_GAUGES_MAX;
    world.catchment.outfall_count = CATCHMENT_OUTFALLS_MAX;
    world_open(&world);
    world_run(&world, 100, 0.1, 0.1);
    size_t length = save(&world, bytes);
    assert_int_equal(runoff_save(world.runoff, bytes, length), length);
    assert_int_equal(runoff_save(world.runoff, bytes, length - 1), 0);
    assert_int_equal(runoff_save(world.runoff, bytes, 0), 0);
    assert_true(runoff_load(world.runoff, bytes, length));
    world_close(&world);
}

/* ---- hostile bytes ---- */

static bool is_finite_event(const struct runoff_event *event)
{
    const double numbers[] = {
        event->rain_mm,       event->rain_m3,       event->outflow_m3, event->base_flow_m3_s,
        event->captured,      event->uncertainty,   event->peak_m3_s,  event->gross_m3,
        event->rain_coverage, event->flow_coverage, event->base_m3,    event->not_known_m3,
    };
    bool good = true;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        good = good && isfinite(numbers[i]);
    return good && event->rain_coverage >= 0 && event->rain_coverage <= 1 &&
           event->flow_coverage >= 0 && event->flow_coverage <= 1 && event->uncertainty >= 0;
}

static void hostile_bytes_are_harmless(void **state)
{
    (void)state;
    uint8_t bytes[RUNOFF_SAVE_MAX], changed[RUNOFF_SAVE_MAX];
    struct world world;
    size_t taken = 0, rounds = getenv("LIFELINE_LONG") ? 200000 : 5000;
    begin_random();
    world_start(&world);
    world.outfalls[0].base_is_own = true;
    world_open(&world);
    world_run(&world, 2 * WORLD_DAY, 0, 0.02);
    world_run(&world, 80, 0.3, 0.05);
    size_t length = save(&world, bytes);
    for (size_t n = 0; n <= length; n++)
        assert_true(runoff_load(world.runoff, bytes, n) == (n == length));
    for (size_t round = 0; round < rounds; round++) {
        memcpy(changed, bytes, length);
        for (size_t i = 0; i <= below(3); i++) {
            size_t at = below(4) ? length / 8 - 1 - below(70) : below(length / 8);
            changed[at * 8 + below(8)] = (uint8_t)(below(2) ? below(256) : below(2) * 255);
        }
        struct world other = world;
        world_open(&other);
        if (runoff_load(other.runoff, changed, length)) {
            taken++;
            world_run(&other, 3, 0.2, 0.1);
            other.mono_ms += 40 * WORLD_HOUR * (int64_t)WORLD_MINUTE_MS;
            other.wall_ms += 40 * WORLD_HOUR * (int64_t)WORLD_MINUTE_MS;
            world_run(&other, 3, 0, 0);
            if (other.events > 0 && !is_finite_event(&other.event)) {
                world_show(&other.event);
                fail_msg("round %zu", round);
            }
        }
        world_close(&other);
    }
    print_message("%zu of %zu were taken\n", taken, rounds);
    assert_true(taken > rounds / 20 && taken < rounds);
    world_close(&world);
}

/* ---- random walks ---- */

struct walk {
    int rain_left;
    double rain, flow;
};

/* Weather, failures and nonsense. */
static void walk_on(struct world *world, struct walk *walk)
{
    if (below(600) == 0)
        walk->rain_left = (int)below(300);
    walk->rain = walk->rain_left-- > 0 ? chance() * 2 : 0;
    walk->flow = walk->flow * 0.97 + walk->rain * 0.05 + (chance() - 0.52) * 0.002;
    for (size_t i = 0; i < world->catchment.gauge_count; i++) {
        world->mm[i] = fmod(world->mm[i] + walk->rain * (0.5 + chance()), 6553.6);
        if (below(2000) == 0)
            world->mm[i] = chance() * 6553;
        if (below(300) == 0)
            world->rain_dead[i] = below(3) == 0;
    }
    for (size_t i = 0; i < world->catchment.outfall_count; i++) {
        world->m3_s[i] = walk->flow * (0.8 + 0.4 * chance());
        if (below(5000) == 0)
            world->m3_s[i] = below(2) ? NAN : (chance() - 0.5) * 1e7;
        if (below(300) == 0)
            world->flow_dead[i] = below(3) == 0;
    }
    if (below(3000) == 0)
        world->wall_ms += (int64_t)((chance() - 0.5) * 1e9);
    world_step(world, below(2000) == 0 ? (int64_t)(chance() * 1e8) : 1 + (int64_t)below(120000));
}

static void check_event(const struct world *world)
{
    const struct runoff_event *event = &world->event;
    double sum = event->outflow_m3 + event->base_m3 - event->below_base_m3;
    double size = fabs(event->gross_m3) + fabs(event->outflow_m3) + fabs(event->base_m3) + 1;
    bool good = is_finite_event(event) && fabs(sum - event->gross_m3) <= 1e-6 * size &&
                event->to_ms >= event->from_ms && event->rain_mm >= 0 &&
                event->doubt_count <= RUNOFF_DOUBT_COUNT;
    bool refused = event->rain_coverage < 0.8 || event->flow_coverage < 0.8 || event->rain_mm < 2;
    good = good && !(refused && event->has_captured);
    if (event->has_captured) {
        double captured = 1 - event->outflow_m3 / event->rain_m3;
        good = good && fabs(event->captured - captured) <= 1e-9 * fmax(1, fabs(captured));
        bool outside = captured < 0 || captured > 1.001;
        good = good && outside == (event->grade == RUNOFF_GRADE_IMPLAUSIBLE);
        good = good && (event->grade == RUNOFF_GRADE_IMPLAUSIBLE || event->grade < 4);
    } else {
        good = good && event->grade > 3 && event->grade != RUNOFF_GRADE_IMPLAUSIBLE &&
               event->doubt_count > 0;
    }
    if (!good) {
        world_show(event);
        fail_msg("no event is like that");
    }
}

/* Never NaN, never clipped, and the volumes add up, also over restarts. */
static void random_walks(void **state)
{
    (void)state;
    size_t events = 0, numbers = 0, steps = getenv("LIFELINE_LONG") ? 10000000 : 400000;
    begin_random();
    for (size_t done = 0; done < steps; done += 20000) {
        struct world world;
        struct walk walk = {0};
        world_start(&world);
        world.catchment.gauge_count = 1 + below(3);
        world.catchment.outfall_count = world.catchment.outfalls_total = (uint16_t)(1 + below(3));
        world.catchment.target = 0.5;
        world.catchment.design_rain_mm = 30;
        for (size_t i = 0; i < 3; i++) {
            world.outfalls[i].base_is_own = below(2) == 0;
            world.outfalls[i].cutoff_m3_s = below(2) ? 0.002 : 0;
        }
        world_open(&world);
        for (size_t i = 0; i < 20000; i++) {
            size_t before = world.events;
            walk_on(&world, &walk);
            if (below(4000) == 0)
                restart(&world, (int64_t)((chance() - 0.5) * 1e8));
            if (world.events == before)
                continue;
            check_event(&world);
            numbers += world.event.has_captured;
        }
        events += world.events;
        world_close(&world);
    }
    print_message("%zu events, %zu with a share\n", events, numbers);
    assert_true(events > steps / 4000 && numbers > events / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restart_changes_no_report),
        cmocka_unit_test(a_power_cut_in_the_storm),
        cmocka_unit_test(a_power_cut_without_a_clock),
        cmocka_unit_test(a_reload_with_other_sensors),
        cmocka_unit_test(a_gauge_of_another_unit),
        cmocka_unit_test(what_is_saved_fits),
        cmocka_unit_test(hostile_bytes_are_harmless),
        cmocka_unit_test(random_walks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
