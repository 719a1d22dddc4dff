/* The shipped scenarios as drills: against a configuration with a device of every shipped profile.
 *
 * Each must load, take at least a point or a device, and reach the gateway: what drivers/decode.c
 * reads out of the simulated registers is GOOD and is what the scenario says, to the precision of
 * the sensor, all the way through. And each must cross the levels of domain.md 2.1 that its story
 * tells of, and come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>

#include "drivers/class.h"
#include "drivers/decode.h"

#include "drivers/sim/sim_scenario.c"
#include "drivers/sim/sim_scenario_read.c"
#include "drivers/sim/sim_span.c"
#include "drivers/sim/sim_value.c"

enum { MOMENTS = 211, TEXT = 20000 };

#define SCENARIOS SOURCE_DIR "/config/scenarios/"

static struct diagnostics *diagnostics;
static struct settings *settings;

static void add(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(char *text, const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text + used, TEXT - used, format, arguments);
    va_end(arguments);
    assert_true(length > 0 && (size_t)length < TEXT - used);
}

/* High enough above the water for every shipped sensor that looks down on it. */
static void add_mounts(char *text, const struct profile *profile)
{
    const char *comma = "";
    add(text, ", points: { ");
    for (size_t i = 0; i < profile->point_count; i++) {
        if (profile->points[i].below_mount) {
            add(text, "%s%s: { mount_height: 5.2 }", comma, profile->points[i].name);
            comma = ", ";
        }
    }
    add(text, " }");
}

/* Two devices of every profile, and a sensor of each gas in every sector that scenarios name. */
static char *write_config(void)
{
    static char text[TEXT];
    static const char *const sectors[] = {"", ", sector: drainage", ", sector: manhole"};
    glob_t found;
    int unit = 0;
    add(text, "gateway: { id: gw-1, region: \"140502\" }\nstore: { path: /nowhere/s.db }\nlines:\n"
              "  - { name: plc, transport: tcp, host: 127.0.0.1 }\ndevices:\n");
    assert_int_equal(glob(SOURCE_DIR "/config/profiles/*.yaml", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct diagnostics *own = diagnostics_new();
        struct profile *profile = profile_load(found.gl_pathv[i], class_quantity, own);
        if (profile == NULL)
            fail_msg("%s", diagnostics_text(own));
        bool is_gas = strncmp(profile->name, "gas", 3) == 0;
        for (int again = 0; again < (is_gas ? 3 : 2); again++) {
            unit++;
            add(text, "  - { name: d%d, line: plc, unit: %d, profile: %s%s", unit, unit,
                profile->name, is_gas ? sectors[again] : "");
            add_mounts(text, profile);
            add(text, " }\n");
        }
        profile_free(profile);
        diagnostics_free(own);
    }
    globfree(&found);
    return text;
}

static int load_config(void **state)
{
    static const char *const folders[] = {SOURCE_DIR "/config/profiles"};
    const struct settings_sources sources = {
        .profile_dirs = folders, .profile_dir_count = 1, .quantity = class_quantity};
    (void)state;
    const char *text = write_config();
    diagnostics = diagnostics_new();
    settings = settings_parse(diagnostics_source(diagnostics, "gateway.yaml", text, strlen(text)),
                              &sources, diagnostics);
    if (settings == NULL)
        print_error("%s", diagnostics_text(diagnostics));
    return settings != NULL ? 0 : -1;
}

static int free_config(void **state)
{
    (void)state;
    settings_free(settings);
    diagnostics_free(diagnostics);
    return 0;
}

static struct sim_scenario *load(const char *path)
{
    struct diagnostics *own = diagnostics_new();
    struct sim_scenario *scenario = sim_scenario_load(path, settings, own);
    if (scenario == NULL)
        fail_msg("%s", diagnostics_text(own));
    diagnostics_free(own);
    return scenario;
}

static struct value decode_one(const struct settings_device *device, uint16_t index,
                               const uint16_t *registers)
{
    struct value value;
    struct plan_block block = {.function = device->profile->points[index].function,
                               .count = 10000,
                               .points = &index,
                               .point_count = 1};
    decode_block(device, &block, registers, &value);
    return value;
}

/* How far apart two values are that the sensor tells apart. */
static double precision(const struct sim_value *value, size_t index, double told)
{
    const struct profile_point *point = &value->device->profile->points[index];
    const struct walk *walk = &value->walks[index];
    double gain = fabs(point->scale * walk->factor / walk->divisor) * grain_of(point->type);
    double shown = point->is_float ? 0 : pow(10, -(double)point->decimals);
    return gain + shown + fabs(told) * 1e-6 + 1e-9;
}

static void check_point(const struct sim_scenario *scenario, const struct sim_value *value,
                        uint32_t device, uint16_t index, int64_t since_ms)
{
    static uint16_t registers[10000];
    const struct profile_point *point = &value->device->profile->points[index];
    const struct sim_moment moment = {.counter = 1, .since_ms = since_ms};
    double told, wrap = point->wrap > 0 ? point->wrap : INFINITY;
    if (!sim_scenario_value(scenario, device, index, since_ms, &told))
        return;
    memset(registers, 0, sizeof registers);
    sim_value_fill(value, point->function, 0, 10000, moment, registers);
    struct value got = decode_one(value->device, index, registers);
    double shown =
        point->is_float ? (double)got.real : (double)got.steps / pow(10, point->decimals);
    double off = fabs(shown - told);
    if (got.quality != QUALITY_GOOD)
        fail_msg("%s: %s.%s is %s at %lld s, told %g", scenario->story.name,
                 value->device->profile->name, point->name,
                 names_quality((enum quality)got.quality), (long long)since_ms / 1000, told);
    if (fmin(off, wrap - off) > 0.51 * precision(value, index, told))
        fail_msg("%s: %s.%s shows %g at %lld s, told %g", scenario->story.name,
                 value->device->profile->name, point->name, shown, (long long)since_ms / 1000,
                 told);
    if (point->is_float)
        assert_true(sim_value_real(value, index, moment) == got.real);
    else
        assert_int_equal(sim_value_steps(value, index, moment), got.steps);
}

static void check_device(const struct sim_scenario *scenario, uint32_t device)
{
    int64_t lasts_ms = sim_scenario_lasts_ms(scenario);
    struct sim_value *value = sim_value_new(&settings->devices[device]);
    assert_non_null(value);
    sim_value_follow(value, scenario, device);
    for (int64_t i = -1; i <= MOMENTS + 5; i++) {
        for (uint16_t point = 0; point < value->device->profile->point_count; point++)
            check_point(scenario, value, device, point, lasts_ms * i / MOMENTS);
    }
    sim_value_free(value);
}

static void every_scenario_reaches_the_gateway(void **state)
{
    glob_t found;
    (void)state;
    assert_int_equal(glob(SCENARIOS "*.yaml", 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 8);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct sim_scenario *scenario = load(found.gl_pathv[i]);
        char file[100];
        snprintf(file, sizeof file, "/%s.yaml", sim_scenario_name(scenario));
        assert_non_null(strstr(found.gl_pathv[i], file));
        assert_true(scenario->played + scenario->hush_count > 0);
        print_message("%s: %zu points, %zu silences\n", sim_scenario_name(scenario),
                      scenario->played, scenario->hush_count);
        for (uint32_t device = 0; device < settings->device_count; device++)
            check_device(scenario, device);
        sim_scenario_free(scenario);
    }
    globfree(&found);
}

/* A level that a story tells of: the first point that a quantity plays is beyond it in the midst of
 * the story, and on the other side at its start and at its end. */
struct crossing {
    const char *scenario;
    enum sector sector;
    const char *quantity;
    double level; /* negative: below it */
};

static const struct crossing crossings[] = {
    {"storm", SECTOR_WATERLOGGING, "depth", 150},
    {"storm", SECTOR_WATERLOGGING, "depth", 270},
    {"storm", SECTOR_WATERLOGGING, "depth", 400},
    {"storm", SECTOR_WATERLOGGING, "depth", 600},
    {"storm", SECTOR_DRAINAGE, "fault", 0.5},
    {"storm", SECTOR_DRAINAGE, "run", 0.5},
    {"storm", SECTOR_DRAINAGE, "level", 4},
    {"storm", SECTOR_SPONGE, "rain_rate", 1.3},
    {"gas-leak", SECTOR_GAS, "lel", 10},
    {"gas-leak", SECTOR_GAS, "lel", 20},
    {"gas-leak", SECTOR_GAS, "lel", 50},
    {"gas-leak", SECTOR_GAS, "lel", 100},
    {"burst", SECTOR_WATER, "pressure", -0.2},
    {"burst", SECTOR_WATER, "pressure", -0.14},
    {"burst", SECTOR_WATER, "pressure", -0.1},
    {"burst", SECTOR_WATER, "flow", 400},
    {"cover-theft", SECTOR_MANHOLE, "tilt", 10},
    {"cover-theft", SECTOR_MANHOLE, "tilt", 45},
    {"biogas", SECTOR_DRAINAGE, "lel", 10},
    {"biogas", SECTOR_DRAINAGE, "h2s", 5},
    {"biogas", SECTOR_DRAINAGE, "o2", -20},
    {"heat-drop", SECTOR_HEAT, "t_supply", -0.9 * 95},
    {"heat-drop", SECTOR_HEAT, "t_supply", -0.8 * 95},
    {"heat-drop", SECTOR_HEAT, "dp", -0.8 * 0.45},
    {"heat-drop", SECTOR_HEAT, "makeup_flow", 4},
    {"heat-drop", SECTOR_HEAT, "pressure", -0.7},
    {"tunnel-flood", SECTOR_TUNNEL, "depth", 270},
    {"tunnel-flood", SECTOR_TUNNEL, "depth", 600},
    {"tunnel-flood", SECTOR_TUNNEL, "co", 30},
    {"tunnel-flood", SECTOR_TUNNEL, "run", 0.5},
};

/* False when no point of this configuration plays it. */
static bool find_player(const struct sim_scenario *scenario, const struct crossing *crossing,
                        uint32_t *device, uint32_t *point)
{
    double told;
    for (*device = 0; *device < settings->device_count; (*device)++) {
        const struct settings_device *own = &settings->devices[*device];
        for (*point = 0; *point < own->profile->point_count; (*point)++) {
            if (own->sector == crossing->sector &&
                strcmp(own->profile->points[*point].quantity, crossing->quantity) == 0 &&
                sim_scenario_value(scenario, *device, *point, 0, &told))
                return true;
        }
    }
    return false;
}

static bool is_beyond(const struct sim_scenario *scenario, const struct crossing *crossing,
                      uint32_t device, uint32_t point, int64_t since_ms)
{
    double told = 0;
    assert_true(sim_scenario_value(scenario, device, point, since_ms, &told));
    return crossing->level < 0 ? told < -crossing->level : told >= crossing->level;
}

static void the_stories_cross_their_levels_and_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof crossings / sizeof crossings[0]; i++) {
        const struct crossing *crossing = &crossings[i];
        char path[300];
        uint32_t device, point;
        snprintf(path, sizeof path, SCENARIOS "%s.yaml", crossing->scenario);
        struct sim_scenario *scenario = load(path);
        if (!find_player(scenario, crossing, &device, &point)) {
            /* No shipped profile measures it. */
            print_message("%s: nobody plays %s\n", crossing->scenario, crossing->quantity);
            assert_string_equal(crossing->quantity, "rain_rate");
            sim_scenario_free(scenario);
            continue;
        }
        int64_t lasts_ms = sim_scenario_lasts_ms(scenario);
        int beyond = 0;
        for (int64_t minute = 0; minute * 60000 <= lasts_ms; minute++)
            beyond += is_beyond(scenario, crossing, device, point, minute * 60000);
        if (beyond < 5 || is_beyond(scenario, crossing, device, point, 0) ||
            is_beyond(scenario, crossing, device, point, lasts_ms))
            fail_msg("%s: %s and %g: beyond for %d minutes", crossing->scenario, crossing->quantity,
                     crossing->level, beyond);
        sim_scenario_free(scenario);
    }
}

/* Rain of the last `hours` at a time, and its most. */
static double rain_of(const struct sim_scenario *scenario, uint32_t device, int64_t minute,
                      int hours)
{
    double now = 0, before = 0;
    assert_true(sim_scenario_value(scenario, device, 0, minute * 60000, &now));
    assert_true(sim_scenario_value(scenario, device, 0, (minute - hours * 60) * 60000, &before));
    return fmod(now - before + 6553.6, 6553.6);
}

static void the_storm_rains_to_the_red_level(void **state)
{
    static const struct {
        int hours;
        double mm;
    } levels[] = {{3, 100}, {3, 50}, {6, 50}, {12, 50}};
    struct sim_scenario *scenario = load(SCENARIOS "storm.yaml");
    uint32_t device = 0;
    (void)state;
    while (strcmp(settings->devices[device].profile->name, "rs-gyl-n01") != 0)
        device++;
    int64_t end = sim_scenario_lasts_ms(scenario) / 60000;
    for (size_t i = 0; i < 4; i++) {
        double most = 0;
        for (int64_t minute = 0; minute <= end; minute++)
            most = fmax(most, rain_of(scenario, device, minute, levels[i].hours));
        assert_true(most >= levels[i].mm);
        assert_true(rain_of(scenario, device, end, levels[i].hours) < levels[i].mm);
    }
    /* No gauge believes more than 4 mm in a minute. */
    for (int64_t minute = 1; minute <= end; minute++) {
        double now = 0, before = 0;
        assert_true(sim_scenario_value(scenario, device, 0, minute * 60000, &now));
        assert_true(sim_scenario_value(scenario, device, 0, minute * 60000 - 60000, &before));
        assert_true(fmod(now - before + 6553.6, 6553.6) <= 1.5);
    }
    sim_scenario_free(scenario);
}

/* [S21]: 0.2 MPa or more, five minutes later not back at 70 %, the flow up by 30 %. */
static void the_burst_does_not_come_back(void **state)
{
    struct sim_scenario *scenario = load(SCENARIOS "burst.yaml");
    struct crossing pressure = {"burst", SECTOR_WATER, "pressure", 0};
    struct crossing flow = {"burst", SECTOR_WATER, "flow", 0};
    uint32_t device, point;
    double before = 0, dropped = 0, watched = 0;
    (void)state;
    assert_true(find_player(scenario, &pressure, &device, &point));
    assert_true(sim_scenario_value(scenario, device, point, 3600000, &before));
    assert_true(sim_scenario_value(scenario, device, point, 3620000, &dropped));
    assert_true(sim_scenario_value(scenario, device, point, 3920000, &watched));
    assert_true(before - dropped >= 0.29 && watched < 0.7 * before);
    assert_true(find_player(scenario, &flow, &device, &point));
    assert_true(sim_scenario_value(scenario, device, point, 3600000, &before));
    assert_true(sim_scenario_value(scenario, device, point, 3920000, &watched));
    assert_true(watched >= 1.3 * before);
    sim_scenario_free(scenario);
}

/* Offline is 15 minutes; what is away for less is not. */
static void silences_last_as_long_as_they_must(void **state)
{
    static const char *const names[] = {"cover-theft", "dead-bus"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        char path[300];
        snprintf(path, sizeof path, SCENARIOS "%s.yaml", names[i]);
        struct sim_scenario *scenario = load(path);
        uint32_t device = scenario->hushes[0].device;
        int longest_s = 0, silent_s = 0;
        int64_t lasts_s = sim_scenario_lasts_ms(scenario) / 1000;
        for (int64_t second = 0; second <= lasts_s; second++) {
            silent_s = sim_scenario_silent(scenario, device, second * 1000) ? silent_s + 1 : 0;
            longest_s = silent_s > longest_s ? silent_s : longest_s;
        }
        assert_true(longest_s >= 3600 && silent_s == 0);
        sim_scenario_free(scenario);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scenario_reaches_the_gateway),
        cmocka_unit_test(the_stories_cross_their_levels_and_come_back),
        cmocka_unit_test(the_storm_rains_to_the_red_level),
        cmocka_unit_test(the_burst_does_not_come_back),
        cmocka_unit_test(silences_last_as_long_as_they_must),
    };
    return cmocka_run_group_tests(tests, load_config, free_config);
}
