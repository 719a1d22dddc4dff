/* watch_carry.c: alarms over a reload and over a restart, with the rules that stand in a
 * configuration.
 *
 * A rain gauge and a water level, sampled by hand; times are minutes. What is told is kept as text:
 * status, level and rule of every step. Pure but for the configuration, which is a file in /tmp. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "drivers/setup.h"
#include "gateway/flow/watch.h"

enum { RAIN, LEVEL, DEVICES };

/* One configuration and its watch; the newer one takes over from the one before. */
struct side {
    struct setup setup;
    struct store_ids ids;
    uint32_t device_ids[DEVICES];
    uint32_t point_ids[DEVICES][64];
    uint32_t *points[DEVICES];
    struct watch *watch;
};

struct world {
    struct side sides[2];
    struct side *now;
    char told[4096];
    struct alarm_event last; /* with its strings */
    char key[256], rule[64], hint[ALARM_TEXT_MAX], text[ALARM_TEXT_MAX];
    int boosted[DEVICES];
};

static struct watch_clock clock_at(double minute)
{
    int64_t ms = (int64_t)(minute * 60000);
    return (struct watch_clock){
        {(1000 + ms) * 1000000}, {INT64_C(1782835200000) + ms}, CLOCK_STATE_SYNCED};
}

/* ---- what is told ---- */

static void emit(void *context, const struct alarm_event *event)
{
    struct world *world = context;
    size_t length = strlen(world->told);
    snprintf(world->told + length, sizeof world->told - length, "%s %d %s\n",
             names_alarm_status(event->status), event->level, event->rule);
    world->last = *event;
    snprintf(world->key, sizeof world->key, "%s", event->key);
    snprintf(world->rule, sizeof world->rule, "%s", event->rule);
    snprintf(world->hint, sizeof world->hint, "%s", event->hint);
    snprintf(world->text, sizeof world->text, "%s", event->text_en);
    world->last.key = world->key;
    world->last.rule = world->rule;
    world->last.actor = world->last.note = world->last.hint = "";
}

static void boost(void *context, uint32_t device, bool on)
{
    struct world *world = context;
    world->boosted[device] = on;
}

static void ask_again(void *context, uint32_t device)
{
    (void)context;
    (void)device;
}

#define assert_told(world, text)                                                                   \
    do {                                                                                           \
        assert_string_equal((world)->told, text);                                                  \
        (world)->told[0] = '\0';                                                                   \
    } while (0)

/* ---- configurations ---- */

static const char *of_device = ""; /* rules of the well as a whole */

static void load(struct setup *setup, const char *rain, const char *level)
{
    char path[] = "/tmp/test_watch_carry.XXXXXX";
    struct setup_path profiles = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    fprintf(file,
            "gateway: { id: gw-140502-0001, region: \"140502\", name: t }\n"
            "lines: [ { name: l, transport: tcp, host: 127.0.0.1, port: 1502 } ]\n"
            "alarms: { packs: [] }\n"
            "devices:\n"
            "  - { name: gauge, line: l, unit: 1, profile: rs-gyl-n01, every: 60s,\n"
            "      points: { rain: { alarms: { %s } } } }\n"
            "  - { name: well, line: l, unit: 2, profile: submersible-level-a, every: 60s,\n"
            "      every_alarm: 10s, alarms: { %s }, points: { level: { alarms: { %s } } } }\n",
            rain, of_device, level);
    assert_int_equal(fclose(file), 0);
    assert_true(setup_path_add(&profiles, SOURCE_DIR "/config/profiles"));
    bool loaded = setup_load(setup, path, &profiles, false);
    unlink(path);
    if (!loaded)
        fail_msg("%s", diagnostics_text(setup->diagnostics));
}

static void open_side(struct world *world, struct side *side, const char *rain, const char *level,
                      double minute)
{
    memset(side, 0, sizeof *side);
    load(&side->setup, rain, level);
    for (uint32_t d = 0; d < DEVICES; d++) {
        side->device_ids[d] = d + 1;
        for (uint32_t p = 0; p < 64; p++)
            side->point_ids[d][p] = 1 + d * 64 + p;
        side->points[d] = side->point_ids[d];
    }
    side->ids = (struct store_ids){.device = side->device_ids, .point = side->points};
    side->watch = watch_new(side->setup.settings, side->setup.plan, &side->ids);
    assert_non_null(side->watch);
    const struct watch_sink sink = {emit, boost, ask_again, world};
    watch_start(side->watch, &sink, clock_at(minute).mono);
    world->now = side;
}

static void close_side(struct side *side)
{
    watch_free(side->watch);
    setup_free(&side->setup);
    memset(side, 0, sizeof *side);
}

static void open_world(struct world *world, const char *rain, const char *level)
{
    memset(world, 0, sizeof *world);
    open_side(world, &world->sides[0], rain, level, 0);
}

static void reload(struct world *world, const char *rain, const char *level, double minute)
{
    struct side *before = world->now;
    open_side(world, &world->sides[before == &world->sides[0]], rain, level, minute);
    const struct watch_clock clock = clock_at(minute);
    watch_carry(world->now->watch, before->watch, &clock);
    close_side(before);
}

/* As it is after a power cut: only what was told last is known. */
static void restart(struct world *world, const char *rain, const char *level, double minute)
{
    struct side *before = world->now;
    open_side(world, &world->sides[before == &world->sides[0]], rain, level, minute);
    close_side(before);
    const struct watch_clock clock = clock_at(minute);
    assert_true(watch_restore(world->now->watch, &world->last, &clock));
    watch_tick(world->now->watch, &clock);
}

/* As it is after an end in good order: what was learned comes back. Returns how much that is. */
static size_t end_and_begin(struct world *world, const char *rain, const char *level,
                            double saved_at, double minute)
{
    static uint8_t bytes[WATCH_MEMORY_MAX], again[WATCH_MEMORY_MAX];
    struct side *before = world->now;
    const struct watch_clock saved = clock_at(saved_at);
    open_side(world, &world->sides[before == &world->sides[0]], rain, level, minute);
    size_t total = 0, at = 0, length;
    const char *name;
    while (watch_save(before->watch, &at, &saved, &name, bytes, &length)) {
        char key[256];
        snprintf(key, sizeof key, "%s", name);
        watch_load(world->now->watch, key, bytes, length - 1,
                   &saved); /* cut: nothing comes of it */
        watch_load(world->now->watch, "nobody/nothing", bytes, length, &saved);
        watch_load(world->now->watch, key, bytes, length, &saved);
        size_t back = at - 1, second = 0;
        assert_true(watch_save(world->now->watch, &back, &saved, &name, again, &second));
        assert_string_equal(name, key);
        assert_int_equal(second, length);
        assert_memory_equal(again, bytes, length);
        total += length;
    }
    close_side(before);
    return total;
}

/* ---- samples ---- */

static void sample(struct world *world, uint32_t device, double minute, double value)
{
    const struct plan *plan = world->now->setup.plan;
    const struct watch_clock clock = clock_at(minute);
    for (uint32_t b = 0; b < plan->block_count; b++) {
        const struct plan_block *block = &plan->blocks[b];
        struct value values[64] = {0};
        if (block->device != device)
            continue;
        const struct profile_point *point =
            &world->now->setup.settings->devices[device].profile->points[block->points[0]];
        double scale = 1;
        for (int i = 0; i < point->decimals; i++)
            scale *= 10;
        assert_false(point->is_float);
        values[0].steps = (int64_t)(value * scale + 0.5);
        const struct sample it = {.points = block->point_count,
                                  .count = block->point_count,
                                  .mono = clock.mono,
                                  .wall = clock.wall};
        watch_sample(world->now->watch, b, &it, values, clock.state);
    }
    if (watch_due(world->now->watch).ns <= clock.mono.ns)
        watch_tick(world->now->watch, &clock);
}

/* ---- cases ---- */

#define RAIN_50  "wet: { sum: { 3: 50 }, window: 6h }"
#define RAIN_40  "wet: { sum: { 3: 40 }, window: 6h }"
#define FULL     "full: { above: { 4: 2, 3: 3 }, hysteresis: 0.1, dwell: 5m }"
#define NO_RULES ""

static void rain_goes_on_under_a_changed_threshold(void **state)
{
    (void)state;
    static struct world world;
    open_world(&world, RAIN_50, FULL);
    for (int minute = 0; minute <= 60; minute++)
        sample(&world, RAIN, minute, 100 + minute * 0.5);
    reload(&world, RAIN_40, FULL, 60.5);
    for (int minute = 61; minute < 80; minute++)
        sample(&world, RAIN, minute, 100 + minute * 0.5);
    assert_told(&world, "");
    sample(&world, RAIN, 80, 140);
    assert_told(&world, "raised 3 wet\n");
    reload(&world, RAIN_50, FULL, 80.5); /* what was learned is enough to say that it is over */
    sample(&world, RAIN, 81, 140);
    assert_told(&world, "");
    sample(&world, RAIN, 81 + 6 * 60, 140);
    assert_told(&world, "cleared 0 wet\n");
    close_side(world.now);
}

static void rain_is_not_unsaid_by_a_restart(void **state)
{
    (void)state;
    static struct world world;
    open_world(&world, RAIN_50, FULL);
    for (int minute = 0; minute <= 60; minute++)
        sample(&world, RAIN, minute, 100 + minute);
    assert_told(&world, "raised 3 wet\n");
    restart(&world, RAIN_50, FULL, 61);
    for (int minute = 62; minute < 62 + 6 * 60; minute++)
        sample(&world, RAIN, minute, 160);
    assert_told(&world, "");
    sample(&world, RAIN, 62 + 6 * 60, 160);
    assert_told(&world, "cleared 0 wet\n");
    close_side(world.now);
}

static void rain_before_a_restart_counts(void **state)
{
    (void)state;
    static struct world world;
    open_world(&world, RAIN_50, FULL);
    for (int minute = 0; minute <= 30; minute++)
        sample(&world, RAIN, minute, 100 + minute);
    assert_true(end_and_begin(&world, RAIN_50, FULL, 30, 40) > 0);
    sample(&world, RAIN, 40, 149.5); /* some of it fell meanwhile */
    assert_told(&world, "");
    sample(&world, RAIN, 41, 150);
    assert_told(&world, "raised 3 wet\n");
    close_side(world.now);
}

static void what_a_diagnosis_learned_survives(void **state)
{
    (void)state;
    static const char drift[] = "slow: { diagnose: drift, levels: { 4: 0.05 }, nights: 14 }";
    static struct world world;
    open_world(&world, RAIN_50, drift);
    for (int minute = 0; minute <= 20 * 1440; minute += 5)
        sample(&world, LEVEL, minute, 1 + (minute / 5 % 2) * 0.01);
    assert_true(end_and_begin(&world, RAIN_50, drift, 20 * 1440, 20 * 1440 + 5) > 100);
    close_side(world.now);
}

static void a_dwell_goes_on(void **state)
{
    (void)state;
    static struct world world;
    open_world(&world, RAIN_50, FULL);
    sample(&world, LEVEL, 0, 2.5);
    sample(&world, LEVEL, 1, 2.5);
    assert_true(world.boosted[LEVEL]);
    reload(&world, RAIN_40, FULL, 2); /* another rule was changed */
    assert_true(world.boosted[LEVEL]);
    sample(&world, LEVEL, 4, 2.5);
    assert_told(&world, "");
    sample(&world, LEVEL, 5, 2.5);
    assert_told(&world, "raised 4 full\n");
    reload(&world, RAIN_40, FULL, 6);
    sample(&world, LEVEL, 7, 2.5);
    assert_told(&world, "");
    sample(&world, LEVEL, 8, 1);
    assert_told(&world, "cleared 0 full\n");
    assert_false(world.boosted[LEVEL]);
    close_side(world.now);
}

static void a_rule_that_is_gone_ends_its_alarm(void **state)
{
    (void)state;
    static struct world world;
    open_world(&world, RAIN_50, "full: { above: { 4: 2 } }");
    sample(&world, LEVEL, 0, 2.5);
    assert_told(&world, "raised 4 full\n");
    reload(&world, RAIN_50, NO_RULES, 1);
    assert_told(&world, "cleared 0 full\n");
    sample(&world, LEVEL, 2, 2.5);
    assert_told(&world, "");
    close_side(world.now);
}

static void a_changed_level_is_told_at_the_next_sample(void **state)
{
    (void)state;
    static struct world world;
    open_world(&world, RAIN_50, "full: { above: { 4: 2, 3: 3 } }");
    sample(&world, LEVEL, 0, 3.5);
    assert_told(&world, "raised 3 full\n");
    reload(&world, RAIN_50, "full: { above: { 4: 2, 3: 4 } }", 1);
    assert_told(&world, "");
    sample(&world, LEVEL, 2, 3.5);
    assert_told(&world, "eased 4 full\n");
    reload(&world, RAIN_50, "full: { above: { 4: 2, 1: 3 } }", 3);
    sample(&world, LEVEL, 4, 3.5);
    assert_told(&world, "escalated 1 full\n");
    close_side(world.now);
}

static void silence_goes_on(void **state)
{
    (void)state;
    static struct world world;
    open_world(&world, RAIN_50, "dead: { silent: { 3: 15m } }");
    sample(&world, LEVEL, 0, 1);
    reload(&world, RAIN_50, "dead: { silent: { 3: 20m } }", 10);
    reload(&world, RAIN_40, "dead: { silent: { 3: 20m } }", 12);
    assert_int_equal(watch_due(world.now->watch).ns, clock_at(20).mono.ns);
    struct watch_clock clock = clock_at(20);
    watch_tick(world.now->watch, &clock);
    assert_told(&world, "raised 3 dead\n");
    restart(&world, RAIN_50, "dead: { silent: { 3: 20m } }", 30);
    assert_told(&world, "");
    clock = clock_at(90);
    watch_tick(world.now->watch, &clock);
    assert_told(&world, "");
    sample(&world, LEVEL, 91, 1);
    assert_told(&world, "cleared 0 dead\n");
    close_side(world.now);
}

static void a_flat_line_goes_on(void **state)
{
    (void)state;
    static struct world world;
    open_world(&world, RAIN_50, "stuck: { flat: { 4: 6h } }");
    for (int minute = 0; minute <= 360; minute++)
        sample(&world, LEVEL, minute, 1);
    assert_told(&world, "raised 4 stuck\n");
    restart(&world, RAIN_50, "stuck: { flat: { 4: 6h } }", 361);
    sample(&world, LEVEL, 362, 1);
    sample(&world, LEVEL, 363, 1);
    assert_told(&world, "");
    sample(&world, LEVEL, 364, 1.5);
    assert_told(&world, "cleared 0 stuck\n");
    close_side(world.now);
}

/* ---- maintenance, and alarms that nobody can judge ---- */

static void maintain(struct world *world, double until, double minute)
{
    const struct watch_clock clock = clock_at(minute);
    watch_maintain(world->now->watch, LEVEL, clock_at(until).mono, &clock);
}

static void tick(struct world *world, double minute)
{
    const struct watch_clock clock = clock_at(minute);
    watch_tick(world->now->watch, &clock);
}

static void a_window_goes_on_though_no_point_has_a_rule(void **state)
{
    (void)state;
    static struct world world;
    of_device = "mute: { silent: { 2: 15m } }";
    open_world(&world, RAIN_50, NO_RULES);
    maintain(&world, 60, 1);
    tick(&world, 16);
    assert_told(&world, "suppressed 2 mute\n");
    reload(&world, RAIN_40, NO_RULES, 20);
    tick(&world, 59);
    assert_told(&world, "");
    tick(&world, 60);
    assert_told(&world, "raised 2 mute\n");
    close_side(world.now);
    of_device = "";
}

static void a_window_that_is_over_asks_for_nothing(void **state)
{
    (void)state;
    static struct world world;
    open_world(&world, RAIN_50, "full: { above: { 4: 2 } }");
    for (int i = 0; i < 4; i++) { /* it flaps: the end has to wait */
        sample(&world, LEVEL, i, 2.5);
        sample(&world, LEVEL, i + 0.5, 1);
    }
    sample(&world, LEVEL, 4.5, 2.5);
    maintain(&world, 5.2, 4.6);
    sample(&world, LEVEL, 5, 1);
    world.told[0] = '\0';
    tick(&world, 5.3);
    assert_told(&world, ""); /* not wanted, but not over: nobody is told */
    assert_true(watch_due(world.now->watch).ns >= clock_at(5.9).mono.ns);
    close_side(world.now);
}

/* What nobody can judge goes on; the time in which a diagnosis is to say it again begins when there
 * is something to judge. */
static void an_alarm_of_before_waits_for_a_sample(void **state)
{
    (void)state;
    static const char drift[] = "slow: { diagnose: drift, levels: { 4: 0.05 }, nights: 14 }";
    static struct world world;
    open_world(&world, RAIN_50, drift);
    world.last = (struct alarm_event){.id = "01ARZ3NDEKTSV4RRFFQ69G5FAV",
                                      .step = 1,
                                      .sector = SECTOR_DRAINAGE,
                                      .level = 4,
                                      .status = ALARM_STATUS_RAISED,
                                      .key = "well.level/slow",
                                      .actor = "",
                                      .note = ""};
    restart(&world, RAIN_50, drift, 0);
    for (int minute = 1; minute < 300; minute++)
        tick(&world, minute);
    assert_told(&world, "");
    reload(&world, RAIN_40, drift, 300);
    sample(&world, LEVEL, 301, 1);
    tick(&world, 315.9);
    assert_told(&world, "");
    tick(&world, 316);
    assert_told(&world, "cleared 0 slow\n");
    close_side(world.now);
}

/* No level of the rule is left that can stand for the one that was told. */
static void a_regraded_alarm_waits_for_a_sample(void **state)
{
    (void)state;
    static struct world world;
    open_world(&world, RAIN_50, "full: { above: { 4: 2 } }");
    sample(&world, LEVEL, 0, 2.5);
    assert_told(&world, "raised 4 full\n");
    reload(&world, RAIN_50, "full: { above: { 3: 2 } }", 1);
    tick(&world, 200);
    assert_told(&world, "");
    sample(&world, LEVEL, 201, 2.5);
    assert_told(&world, "escalated 3 full\n");
    reload(&world, RAIN_50, "full: { above: { 2: 2 }, dwell: 5m }", 202);
    sample(&world, LEVEL, 203, 1);
    tick(&world, 217);
    assert_told(&world, "");
    tick(&world, 218);
    assert_told(&world, "cleared 0 full\n");
    close_side(world.now);
}

static void a_regraded_silence_ends_when_it_is_heard(void **state)
{
    (void)state;
    static struct world world;
    of_device = "mute: { silent: { 3: 15m } }";
    open_world(&world, RAIN_50, "full: { above: { 4: 2 } }");
    tick(&world, 15);
    assert_told(&world, "raised 3 mute\n");
    of_device = "mute: { silent: { 2: 30m } }";
    reload(&world, RAIN_50, "full: { above: { 4: 2 } }", 16);
    assert_told(&world, "");
    sample(&world, LEVEL, 17, 1);
    tick(&world, 32);
    assert_told(&world, "cleared 0 mute\n");
    close_side(world.now);
    of_device = "";
}

/* It was raised by a clock that was not set, and ends after a restart by one that is. */
static void a_time_that_never_was_makes_no_duration(void **state)
{
    (void)state;
    static struct world world;
    const struct watch_clock clock = clock_at(1);
    struct alarm_event event = {.id = "000000JC340VYH2BW1W58W8TEX",
                                .step = 1,
                                .sector = SECTOR_DRAINAGE,
                                .level = 4,
                                .status = ALARM_STATUS_RAISED,
                                .raised_ms = 602212,
                                .key = "well.level/full",
                                .actor = "",
                                .note = ""};
    open_world(&world, RAIN_50, "full: { above: { 4: 2 } }");
    assert_true(watch_restore(world.now->watch, &event, &clock));
    sample(&world, LEVEL, 2, 1);
    assert_told(&world, "cleared 0 full\n");
    assert_non_null(strstr(world.text, "; over"));
    assert_null(strstr(world.text, "after"));
    close_side(world.now);
}

static void what_flaps_says_so(void **state)
{
    (void)state;
    static struct world world;
    open_world(&world, RAIN_50, "full: { above: { 4: 2 } }");
    for (int i = 0; i < 3; i++) {
        sample(&world, LEVEL, i, 2.5);
        assert_string_equal(world.hint, "");
        sample(&world, LEVEL, i + 0.5, 1);
    }
    sample(&world, LEVEL, 3, 2.5);
    assert_string_equal(world.hint, "反复报警：连续第 3 次，恢复延后报告 / "
                                    "flapping: back 3 times in a row, its end is told later");
    close_side(world.now);
}

/* A disk that was out of reach came back with an alarm that was raised anew meanwhile. */
static void of_two_under_one_key_the_older_ends(void **state)
{
    (void)state;
    static struct world world;
    const struct watch_clock clock = clock_at(1);
    struct alarm_event event = {.id = "01ARZ3NDEKTSV4RRFFQ69G5FAV",
                                .step = 3,
                                .sector = SECTOR_DRAINAGE,
                                .level = 4,
                                .status = ALARM_STATUS_RAISED,
                                .key = "well.level/full",
                                .actor = "",
                                .note = ""};
    open_world(&world, RAIN_50, "full: { above: { 4: 2 } }");
    assert_true(watch_restore(world.now->watch, &event, &clock));
    assert_told(&world, "");
    event.id[ALARM_ID_LENGTH - 1] = 'W';
    event.step = 1;
    assert_true(watch_restore(world.now->watch, &event, &clock));
    assert_told(&world, "cleared 0 full\n");
    assert_string_equal(world.last.id, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    assert_int_equal(world.last.step, 4);
    sample(&world, LEVEL, 2, 1);
    assert_told(&world, "cleared 0 full\n");
    assert_string_equal(world.last.id, event.id);
    close_side(world.now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rain_goes_on_under_a_changed_threshold),
        cmocka_unit_test(rain_is_not_unsaid_by_a_restart),
        cmocka_unit_test(rain_before_a_restart_counts),
        cmocka_unit_test(what_a_diagnosis_learned_survives),
        cmocka_unit_test(a_dwell_goes_on),
        cmocka_unit_test(a_rule_that_is_gone_ends_its_alarm),
        cmocka_unit_test(a_changed_level_is_told_at_the_next_sample),
        cmocka_unit_test(silence_goes_on),
        cmocka_unit_test(a_flat_line_goes_on),
        cmocka_unit_test(a_window_goes_on_though_no_point_has_a_rule),
        cmocka_unit_test(a_window_that_is_over_asks_for_nothing),
        cmocka_unit_test(an_alarm_of_before_waits_for_a_sample),
        cmocka_unit_test(what_flaps_says_so),
        cmocka_unit_test(a_regraded_alarm_waits_for_a_sample),
        cmocka_unit_test(a_regraded_silence_ends_when_it_is_heard),
        cmocka_unit_test(a_time_that_never_was_makes_no_duration),
        cmocka_unit_test(of_two_under_one_key_the_older_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
