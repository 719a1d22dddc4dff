/* Catchments of gateway.yaml become the structs they say, in m³/s and mm; a reload sees every
 * change.
 *
 * What is refused, and how, is tests/replay/wrong/34-catchments.yaml. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "config/settings_diff.h"
#include "drivers/class.h"

static const char *const FOLDERS[] = {TESTS_DIR "/replay/wrong/profiles"};

static const char TEXT[] =
    "gateway: { id: gw-1, region: \"140502\" }\n"
    "lines: [ { name: plc, transport: tcp, host: h } ]\n"
    "devices:\n"
    "  - { name: rain-1, line: plc, unit: 1, profile: rain, every: 10s }\n"
    "  - { name: rain.2, line: plc, unit: 2, profile: rain }\n"
    "  - { name: out-1, line: plc, unit: 3, profile: flow, every: 15m }\n"
    "  - { name: out-2, line: plc, unit: 4, profile: flow }\n"
    "catchments:\n"
    "  - { name: small, area: 0.5, rain: rain-1.rain, outfalls: out-1.flow }\n"
    "  - name: park\n"
    "    area: 12.5\n"
    "    rain: [ rain-1.rain, rain.2.rain ]\n"
    "    outfalls: [ out-1.flow, { point: out-2.discharge, cutoff: 0.004, base_flow: own },\n"
    "      { point: out-2.flow, cutoff: 7.2, base_flow: 36 } ]\n"
    "    outfalls_total: 4\n"
    "    dry_gap: 8h\n"
    "    flow_error: 8\n"
    "    rain_error: 4\n"
    "    area_error: 2\n"
    "    base_flow: 18\n"
    "    target: 0.75\n"
    "    design_rain: 27.3\n";

struct world {
    struct diagnostics *diagnostics;
    struct settings *settings;
};

static struct world load(const char *text)
{
    struct settings_sources sources = {
        .profile_dirs = FOLDERS, .profile_dir_count = 1, .quantity = class_quantity};
    struct world world = {.diagnostics = diagnostics_new()};
    const struct source *source =
        diagnostics_source(world.diagnostics, "gateway.yaml", text, strlen(text));
    world.settings = settings_parse(source, &sources, world.diagnostics);
    assert_string_equal(diagnostics_text(world.diagnostics), "");
    assert_non_null(world.settings);
    return world;
}

static void unload(struct world *world)
{
    settings_free(world->settings);
    diagnostics_free(world->diagnostics);
}

static void is_near(double value, double expected, double error)
{
    if (!(fabs(value - expected) <= error))
        fail_msg("%g is not %g", value, expected);
}

static void defaults(void **state)
{
    (void)state;
    struct world world = load(TEXT);
    assert_int_equal(world.settings->catchment_count, 2);
    const struct catchment *small = &world.settings->catchments[0];
    assert_string_equal(small->name, "small");
    assert_int_equal(small->place.line, 9);
    is_near(small->area_ha, 0.5, 0);
    assert_int_equal(small->gauge_count, 1);
    assert_string_equal(small->gauges[0].name, "rain-1.rain");
    assert_int_equal(small->gauges[0].every_ms, 10000);
    is_near(small->gauges[0].to_mm, 1, 0);
    is_near(small->gauges[0].wrap_mm, 6553.6, 0);
    assert_int_equal(small->outfall_count, 1);
    assert_int_equal(small->outfalls_total, 1);
    assert_true(small->outfalls[0].base_is_own);
    is_near(small->outfalls[0].cutoff_m3_s, 0, 0);
    is_near(small->outfalls[0].to_m3_s, 1 / 3600.0, 1e-12);
    assert_int_equal(small->outfalls[0].point.device, 2);
    assert_int_equal(small->outfalls[0].point.point, 0);
    assert_int_equal(small->dry_gap_ms, 6 * 3600 * 1000);
    is_near(small->flow_error_percent, 10, 0);
    is_near(small->rain_error_percent, 5, 0);
    is_near(small->area_error_percent, 3, 0);
    is_near(small->target, 0, 0);
    is_near(small->design_rain_mm, 0, 0);
    unload(&world);
}

static void units_and_overrides(void **state)
{
    (void)state;
    struct world world = load(TEXT);
    const struct catchment *park = &world.settings->catchments[1];
    assert_int_equal(park->gauge_count, 2);
    assert_string_equal(park->gauges[1].name, "rain.2.rain");
    assert_int_equal(park->gauges[1].point.device, 1);
    assert_int_equal(park->outfall_count, 3);
    assert_int_equal(park->outfalls_total, 4);
    const struct catchment_outfall *outfall = park->outfalls;
    assert_false(outfall[0].base_is_own);
    is_near(outfall[0].base_m3_s, 0.005, 1e-12);
    assert_string_equal(outfall[1].name, "out-2.discharge");
    assert_true(outfall[1].base_is_own);
    is_near(outfall[1].to_m3_s, 1, 0);
    is_near(outfall[1].cutoff_m3_s, 0.004, 1e-12);
    assert_int_equal(outfall[1].point.point, 1);
    is_near(outfall[2].cutoff_m3_s, 0.002, 1e-12);
    is_near(outfall[2].base_m3_s, 0.01, 1e-12);
    assert_int_equal(park->dry_gap_ms, 8 * 3600 * 1000);
    is_near(park->flow_error_percent, 8, 0);
    is_near(park->rain_error_percent, 4, 0);
    is_near(park->area_error_percent, 2, 0);
    is_near(park->target, 0.75, 0);
    is_near(park->design_rain_mm, 27.3, 0);
    unload(&world);
}

static const struct {
    const char *from, *to;
    bool same;
} changes[] = {
    {"name: small", "name: tiny", false},
    {"area: 12.5", "area: 12.6", false},
    {"rain-1.rain, rain.2.rain", "rain-1.rain", false},
    {"rain-1.rain, rain.2.rain", "rain.2.rain, rain-1.rain", false},
    {"out-1.flow, {", "{", false},
    {"cutoff: 0.004", "cutoff: 0.005", false},
    {"base_flow: own", "base_flow: 0", false},
    {"base_flow: 36", "base_flow: 35", false},
    {"base_flow: 18", "base_flow: own", false},
    {"outfalls_total: 4", "outfalls_total: 3", false},
    {"dry_gap: 8h", "dry_gap: 9h", false},
    {"flow_error: 8", "flow_error: 9", false},
    {"rain_error: 4", "rain_error: 5", false},
    {"area_error: 2", "area_error: 3", false},
    {"target: 0.75", "target: 0.8", false},
    {"design_rain: 27.3", "design_rain: 27.4", false},
    {"    target: 0.75\n", "", false},
    {"  - { name: small, area: 0.5, rain: rain-1.rain, outfalls: out-1.flow }\n", "", false},
    {"outfalls: out-1.flow", "outfalls: [ { point: out-1.flow } ]", true},
    {"dry_gap: 8h", "dry_gap: 480m", true},
    {"catchments:", "# parks\ncatchments:", true},
};

static void a_reload_sees_every_change(void **state)
{
    (void)state;
    struct world before = load(TEXT);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char text[2 * sizeof TEXT];
        const char *at = strstr(TEXT, changes[i].from);
        assert_non_null(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - TEXT), TEXT, changes[i].to,
                 at + strlen(changes[i].from));
        struct world after = load(text);
        if (settings_diff_same(before.settings, after.settings) != changes[i].same)
            fail_msg("%s -> %s", changes[i].from, changes[i].to);
        unload(&after);
    }
    unload(&before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(units_and_overrides),
        cmocka_unit_test(a_reload_sees_every_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
