/* Golden timelines: each shipped scenario in virtual time, hours in seconds, gives exactly the
 * events that stand in timelines/NAME.txt: time, step, level, key, values, words, evidence.
 *
 * The world is what the simulator shows (drivers/sim/sim_scenario.h), sampled at the periods of
 * timelines/NAME.yaml, faster where an alarm asks for it; the watch is the daemon's own. Nothing
 * else of the daemon runs. LIFELINE_GOLDEN=write writes what it sees instead of comparing: then
 * read the difference before you believe it. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/setup.h"
#include "drivers/sim/sim_scenario.h"
#include "gateway/flow/watch.h"

/* 2026-07-01 00:00 in China, when the scenarios begin. */
#define BEGIN_MS INT64_C(1782835200000)

enum { TICK_MS = 1000, POINTS_MAX = 64 };

struct world {
    struct setup setup;
    struct sim_scenario *scenario;
    struct watch *watch;
    struct store_ids ids;
    int64_t *due_ms; /* [block] */
    bool *boosted;   /* [device] */
    FILE *out;
    int64_t now_ms;
    size_t events;
};

/* ---- what the watch says ---- */

static void print_time(FILE *out, int64_t ms)
{
    int64_t s = ms / 1000;
    fprintf(out, "%02d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
}

static void emit(void *context, const struct alarm_event *event)
{
    struct world *world = context;
    FILE *out = world->out;
    print_time(out, world->now_ms);
    fprintf(out, " %-9s %-6s %s", names_alarm_status(event->status),
            names_level(event->level ? event->level : event->previous_level), event->key);
    if (event->step > 1)
        fprintf(out, " step %u", event->step);
    fprintf(out, "\n         %s\n         %s\n", event->text_zh, event->text_en);
    if (event->hint[0])
        fprintf(out, "         hint: %s\n", event->hint);
    if (event->confidence)
        fprintf(out, "         confidence %u %%\n", event->confidence);
    if (event->status != ALARM_STATUS_RAISED)
        return;
    fprintf(out, "         threshold %g (%s)\n", event->threshold, event->threshold_source);
    for (size_t i = 0; i < event->evidence_count; i++) {
        const struct alarm_evidence *e = &event->evidence[i];
        fprintf(out, "         ");
        print_time(out, e->at_ms - BEGIN_MS);
        fprintf(out, " %s %g%s%s\n", e->name, e->value, e->quality == QUALITY_GOOD ? "" : " ",
                e->quality == QUALITY_GOOD ? "" : names_quality(e->quality));
    }
    world->events++;
}

static void boost(void *context, uint32_t device, bool on)
{
    struct world *world = context;
    const struct settings_device *own = &world->setup.settings->devices[device];
    world->boosted[device] = on && own->has_every_alarm;
}

static void ask_again(void *context, uint32_t device)
{
    struct world *world = context;
    const struct plan *plan = world->setup.plan;
    for (size_t b = 0; b < plan->block_count; b++) {
        if (plan->blocks[b].device == device)
            world->due_ms[b] = world->now_ms + TICK_MS;
    }
}

/* ---- what the sensors say ---- */

static struct value measure(const struct world *world, uint32_t device, uint16_t index)
{
    const struct settings_device *own = &world->setup.settings->devices[device];
    const struct profile_point *point = &own->profile->points[index];
    const struct settings_point *range = &own->points[index];
    double value = 0;
    struct value out = {.steps = 0};
    if (!sim_scenario_value(world->scenario, device, index, world->now_ms, &value) &&
        range->has_range && (range->min > 0 || range->max < 0))
        value = range->min;
    if (point->is_float)
        out.real = (float)value;
    else
        out.steps = (int64_t)nearbyint(value * pow(10, point->decimals));
    return out;
}

static void sample(struct world *world, uint32_t b)
{
    const struct plan_block *block = &world->setup.plan->blocks[b];
    bool silent = sim_scenario_silent(world->scenario, block->device, world->now_ms);
    struct value values[POINTS_MAX];
    struct sample sample = {
        .points = block->point_count,
        .count = silent ? 0 : block->point_count,
        .failure = silent ? QUALITY_TIMEOUT : QUALITY_GOOD,
        .mono = {(world->now_ms + 1) * 1000000},
        .wall = {BEGIN_MS + world->now_ms},
    };
    for (uint16_t i = 0; i < block->point_count; i++)
        values[i] = measure(world, block->device, block->points[i]);
    watch_sample(world->watch, b, &sample, values, CLOCK_STATE_SYNCED);
}

static void step(struct world *world)
{
    const struct plan *plan = world->setup.plan;
    for (uint32_t b = 0; b < plan->block_count; b++) {
        const struct plan_block *block = &plan->blocks[b];
        const struct settings_device *device = &world->setup.settings->devices[block->device];
        if (world->due_ms[b] > world->now_ms && !world->boosted[block->device])
            continue;
        int64_t every_ms = world->boosted[block->device] ? device->every_alarm_ms : block->every_ms;
        if (world->now_ms < world->due_ms[b] &&
            world->due_ms[b] - world->now_ms > block->every_ms - every_ms)
            continue;
        world->due_ms[b] = world->now_ms + block->every_ms;
        sample(world, b);
    }
    const struct watch_clock clock = {
        {(world->now_ms + 1) * 1000000}, {BEGIN_MS + world->now_ms}, CLOCK_STATE_SYNCED};
    if (watch_due(world->watch).ns <= clock.mono.ns)
        watch_tick(world->watch, &clock);
    world->now_ms += TICK_MS;
}

/* ---- one scenario ---- */

static void make_ids(struct world *world)
{
    const struct settings *settings = world->setup.settings;
    world->ids.device = calloc(settings->device_count, sizeof *world->ids.device);
    world->ids.point = calloc(settings->device_count, sizeof *world->ids.point);
    uint32_t id = 0;
    for (size_t d = 0; d < settings->device_count; d++) {
        size_t points = settings->devices[d].profile->point_count;
        world->ids.device[d] = (uint32_t)d + 1;
        world->ids.point[d] = calloc(points, sizeof(uint32_t));
        for (size_t p = 0; p < points; p++)
            world->ids.point[d][p] = ++id;
    }
}

static void open_world(struct world *world, const char *name)
{
    char config[512], scenario[512];
    struct setup_path path = {0};
    snprintf(config, sizeof config, "%s/replay/timelines/%s.yaml", TESTS_DIR, name);
    snprintf(scenario, sizeof scenario, "%s/config/scenarios/%s.yaml", SOURCE_DIR, name);
    assert_true(setup_path_add(&path, SOURCE_DIR "/config/profiles"));
    if (!setup_load(&world->setup, config, &path, false))
        fail_msg("%s", diagnostics_text(world->setup.diagnostics));
    world->scenario = sim_scenario_load(scenario, world->setup.settings, world->setup.diagnostics);
    if (!world->scenario)
        fail_msg("%s", diagnostics_text(world->setup.diagnostics));
    make_ids(world);
    world->due_ms = calloc(world->setup.plan->block_count, sizeof *world->due_ms);
    world->boosted = calloc(world->setup.settings->device_count, sizeof *world->boosted);
    world->watch = watch_new(world->setup.settings, world->setup.plan, &world->ids);
    const struct watch_sink sink = {emit, boost, ask_again, world};
    watch_start(world->watch, &sink, (mono_time){1000000});
}

static void close_world(struct world *world)
{
    for (size_t d = 0; d < world->setup.settings->device_count; d++)
        free(world->ids.point[d]);
    free(world->ids.point);
    free(world->ids.device);
    free(world->due_ms);
    free(world->boosted);
    watch_free(world->watch);
    sim_scenario_free(world->scenario);
    setup_free(&world->setup);
}

static char *play(const char *name)
{
    char *text = NULL;
    size_t length;
    struct world world = {.out = open_memstream(&text, &length)};
    open_world(&world, name);
    while (world.now_ms <= sim_scenario_lasts_ms(world.scenario))
        step(&world);
    fclose(world.out);
    if (!world.events)
        fail_msg("%s: not one alarm", name);
    close_world(&world);
    return text;
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 1 << 20);
    if (file && fread(text, 1, (1 << 20) - 1, file) == 0)
        text[0] = '\0';
    if (file)
        fclose(file);
    return text;
}

static void compare(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/replay/timelines/%s.txt", TESTS_DIR, name);
    char *is = play(name), *wanted = read_file(path);
    const char *golden = getenv("LIFELINE_GOLDEN");
    if (golden && strcmp(golden, "write") == 0) {
        FILE *file = fopen(path, "w");
        fputs(is, file);
        fclose(file);
    } else if (strcmp(is, wanted) != 0) {
        size_t at = 0;
        while (is[at] == wanted[at])
            at++;
        while (at && is[at - 1] != '\n')
            at--;
        print_error("%s differs at byte %zu; it is\n%.600s\nwanted was\n%.600s\n", name, at,
                    is + at, wanted + at);
        fail();
    }
    free(is);
    free(wanted);
}

/* Every scenario that is shipped has its timeline. */
static void every_scenario(void **state)
{
    (void)state;
    DIR *folder = opendir(SOURCE_DIR "/config/scenarios");
    unsigned count = 0;
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char name[64];
        size_t length = strlen(entry->d_name);
        if (length < 6 || length > sizeof name || strcmp(entry->d_name + length - 5, ".yaml") != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(length - 5), entry->d_name);
        compare(name);
        count++;
    }
    closedir(folder);
    assert_int_equal(count, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_scenario)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
