/* Alarm rules as people write them at a point or a device: what is wrong is said at its place, what
 * is right changes a default level by level and nothing else.
 *
 * The shipped packs lie under every case, so that what is changed is what people change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config/pack.h"
#include "config/settings.h"
#include "config/settings_diff.h"
#include "drivers/class.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const char *const PROFILES[] = {TESTS_DIR "/replay/wrong/profiles"};
static const char *const PACKS[] = {SOURCE_DIR "/config/alarms"};

/* Line 17 of the file is the rule of the point, line 12 the rule of the device. */
static struct settings *load(const char *of_device, const char *of_point,
                             struct diagnostics *diagnostics)
{
    static char text[4096];
    const struct settings_sources sources = {.profile_dirs = PROFILES,
                                             .profile_dir_count = 1,
                                             .quantity = class_quantity,
                                             .pack_dirs = PACKS,
                                             .pack_dir_count = 1,
                                             .diagnosis = diagnosis_form_of};
    int length = snprintf(text, sizeof text,
                          "gateway: { id: gw-1, region: \"140502\" }\n"
                          "lines:\n"
                          "  - { name: plc, transport: tcp, host: 192.168.1.10 }\n"
                          "devices:\n"
                          "  - { name: gauge-1, line: plc, unit: 1, profile: rain }\n"
                          "  - name: pit-1\n"
                          "    line: plc\n"
                          "    unit: 2\n"
                          "    profile: flow\n"
                          "    alarms:\n"
                          "      dead: { silent: { 3: 20m } }\n"
                          "      %s\n"
                          "    points:\n"
                          "      depth:\n"
                          "        alarms:\n"
                          "          jump: { spike: 120 }\n"
                          "          %s\n",
                          of_device, of_point);
    assert_true(length > 0 && (size_t)length < sizeof text);
    const struct source *source =
        diagnostics_source(diagnostics, "gateway.yaml", text, (size_t)length);
    return settings_parse(source, &sources, diagnostics);
}

struct wrong {
    const char *rule;
    const char *said; /* from the line on */
};

static const struct wrong of_point[] = {
    {"flooded: { abvoe: { 3: 250 } }",
     "17:22: error: a rule has no \"abvoe\"; did you mean \"above\"?"},
    {"high: { above: { 3: 250 }, below: { 3: 20 } }",
     "17:45: error: a rule is of one kind: above or below"},
    {"flooded: { above: { 4: 300 } }", "17:34: error: level 4 (300) must lie below level 3 (270)"},
    {"low: { below: { 4: 10, 3: 20 } }", "17:30: error: level 4 (10) must lie above level 3 (20)"},
    {"flooded: { hysteresis: 120 }",
     "17:34: error: hysteresis 120 is not smaller than the distance"},
    {"flooded: { hysteresis: -1 }", "17:34: error: hysteresis is 0 or more"},
    {"flooded: { above: { 1: 2600 } }",
     "17:34: error: 2600 lies outside of what depth can be: -20 to 2500 mm"},
    {"flooded: { above: { 5: 700 } }",
     "17:34: error: \"5\" is no level: 1 red, 2 orange, 3 yellow, 4 blue"},
    {"flooded: { above: 270 }", "17:29: error: a number for each level is wanted here"},
    {"flooded: { above: { 3: deep } }", "17:34: error: a number is wanted here"},
    {"flooded: { dwell: soon }", "17:29: error: a length of time is wanted here"},
    {"flooded: { dwell: 25h }", "17:29: error: dwell is a day at most"},
    {"fast: { rise: { 3: 50 } }", "17:11: error: rise needs a window, like window: 60s"},
    {"fast: { sum: { 3: 50 }, window: 1h }",
     "17:11: error: sum is for counters; depth has no `wrap`"},
    {"floded: { above: { 3: 250 }, level: 2 }", "17:40: error: level is for all and any"},
    {"flooded: { window: 60s }", "17:22: error: window is for rise, fall and sum"},
    {"floded: off",
     "17:11: error: there is no rule \"floded\" here to change; did you mean \"flooded\"?"},
    {"Flooded: off", "17:11: error: a rule's name is 1 to 32 of a-z 0-9 _"},
    {"flooded: on", "17:20: error: a rule is a map like { above: { 3: 270 } }, or off"},
    {"flooded: { above: { 4: off, 3: off, 2: off, 1: off } }",
     "17:11: error: flooded has no level; to switch it off write flooded: off"},
    {"high: { above: { 3: 250 }, dwell: { 4: 10s } }",
     "17:50: error: dwell of level 4, which has no number"},
    {"flooded: { above: { 4: off }, dwell: { 4: 5s } }",
     "17:53: error: dwell of level 4, which has no number"},
    {"flooded: { levels: { 3: 250 } }", "17:22: error: levels is for diagnoses"},
    {"flooded: { above: { 3: 250 }, source: { three: survey } }",
     "17:58: error: \"three\" is no level and not `rest`"},
    {"jump2: { spike: 0 }", "17:11: error: spike is more than 0"},
    {"rain: { diagnose: blocked_gage }",
     "17:29: error: this sensor class has no diagnosis \"blocked_gage\""},
};

static const struct wrong of_device[] = {
    {"wet: { all: [ { point: dept, above: 20 } ], level: 3 }",
     "12:30: error: there is no point \"dept\"; did you mean \"depth\"?"},
    {"wet: { all: [ { point: gauge-1.rian, above: 20 } ], level: 3 }",
     "12:30: error: there is no point \"gauge-1.rian\"; did you mean \"gauge-1.rain\"?"},
    {"wet: { all: [ { point: depth } ], level: 3 }", "12:21: error: a condition is like"},
    {"wet: { all: [ { point: depth, above: 20, below: 30 } ], level: 3 }",
     "12:21: error: a condition is like"},
    {"wet: { any: [], level: 3 }", "12:19: error: a list of 1 to 8 conditions is wanted here"},
    {"wet: { all: [ { point: depth, above: 20 } ] }", "12:7: error: wet has no level"},
    {"wet: { all: [ { point: depth, above: 20 } ], level: 5 }", "12:59: error: level is 1 (red)"},
    {"dark: { silent: { 3: 401d } }", "12:28: error: \"401d\" is no more than 400d"},
};

static size_t judge(const struct wrong *wrong, bool at_point)
{
    char expected[300];
    struct diagnostics *diagnostics = diagnostics_new();
    struct settings *settings =
        load(at_point ? "" : wrong->rule, at_point ? wrong->rule : "", diagnostics);
    snprintf(expected, sizeof expected, "gateway.yaml:%s", wrong->said);
    const char *text = diagnostics_text(diagnostics);
    bool right = !settings && strncmp(text, expected, strlen(expected)) == 0;
    if (!right)
        print_error("%s\nexpected %s\nbut it is %s\n", wrong->rule, expected,
                    settings ? "taken" : text);
    settings_free(settings);
    diagnostics_free(diagnostics);
    return !right;
}

static void what_is_wrong_is_said_at_its_place(void **state)
{
    (void)state;
    size_t bad = 0;
    for (size_t i = 0; i < COUNT(of_point); i++)
        bad += judge(&of_point[i], true);
    for (size_t i = 0; i < COUNT(of_device); i++)
        bad += judge(&of_device[i], false);
    assert_int_equal(bad, 0);
}

/* ---- what is right ---- */

struct loaded {
    struct diagnostics *diagnostics;
    struct settings *settings;
};

static struct loaded load_good(const char *device_rule, const char *point_rule)
{
    struct loaded loaded = {.diagnostics = diagnostics_new()};
    loaded.settings = load(device_rule, point_rule, loaded.diagnostics);
    if (!loaded.settings)
        print_error("%s", diagnostics_text(loaded.diagnostics));
    assert_non_null(loaded.settings);
    return loaded;
}

static void unload(struct loaded *loaded)
{
    settings_free(loaded->settings);
    diagnostics_free(loaded->diagnostics);
}

static const struct rule *rule_of(const struct rules *rules, const char *name)
{
    for (size_t r = 0; r < rules->count; r++) {
        if (strcmp(rules->rules[r]->name, name) == 0)
            return rules->rules[r];
    }
    return NULL;
}

static const struct rules *depth_of(const struct loaded *loaded)
{
    const struct settings_device *pit = &loaded->settings->devices[1];
    return &pit->points[profile_point_index(pit->profile, "depth")].rules;
}

static void switched_off(void **state)
{
    (void)state;
    struct loaded loaded = load_good("", "flooded: off");
    const struct rules *rules = depth_of(&loaded);
    assert_null(rule_of(rules, "flooded"));
    assert_int_equal(rules->out_count, 1);
    assert_string_equal(rules->out[0].rule->name, "flooded");
    assert_null(rules->out[0].missing);
    assert_int_equal(rules->out[0].place.line, 17);
    unload(&loaded);
}

static void a_number_stays_with_its_source(void **state)
{
    (void)state;
    struct loaded loaded =
        load_good("", "flooded: { above: { 3: 250 }, dwell: { 3: 0s }, source: survey of 2024 }");
    const struct rule *rule = rule_of(depth_of(&loaded), "flooded");
    assert_true(rule->levels[4].value == 150 && rule->levels[3].value == 250);
    assert_true(rule->dwell[4].value == 10000 && rule->dwell[3].given && rule->dwell[3].value == 0);
    assert_string_equal(rule->levels[3].source, "survey of 2024");
    assert_non_null(strstr(rule->levels[4].source, "GB 50014-2021"));
    assert_string_equal(rule->pack, "gb-default 1");
    assert_true(rule->overridden);
    unload(&loaded);
}

/* One time for all levels is for those that have a number. */
static void one_dwell_for_all(void **state)
{
    (void)state;
    struct loaded loaded = load_good("", "flooded: { above: { 4: off }, dwell: 30s }");
    const struct rule *rule = rule_of(depth_of(&loaded), "flooded");
    assert_true(!rule->levels[4].given && rule->dwell[3].value == 30000);
    assert_true(rule->dwell[1].value == 30000);
    unload(&loaded);
}

static void another_kind_is_another_rule(void **state)
{
    (void)state;
    struct loaded loaded = load_good("", "flooded: { below: { 3: -10 } }");
    const struct rule *rule = rule_of(depth_of(&loaded), "flooded");
    assert_int_equal(rule->kind, RULE_BELOW);
    assert_true(!rule->hysteresis.given && !rule->levels[2].given && !rule->overridden);
    assert_null(rule->pack);
    unload(&loaded);
}

static void conditions_of_two_devices(void **state)
{
    (void)state;
    struct loaded loaded = load_good("wet: { all: [ { point: depth, above: 20 }, { point: "
                                     "gauge-1.rain, equals: 0 } ], level: 3 }",
                                     "");
    const struct rule *rule = rule_of(&loaded.settings->devices[1].rules, "wet");
    assert_int_equal(rule->condition_count, 2);
    assert_int_equal(rule->conditions[0].point.device, 1);
    assert_int_equal(rule->conditions[0].point.point, 2);
    assert_int_equal(rule->conditions[1].point.device, 0);
    assert_int_equal(rule->conditions[1].kind, RULE_EQUALS);
    assert_true(rule->levels[3].given && !rule->levels[2].given);
    const struct rule *dead = rule_of(&loaded.settings->devices[1].rules, "dead");
    assert_true(dead->levels[3].value == 1200000 && dead->overridden);
    unload(&loaded);
}

/* A reload has to take it, and no line goes down for it. */
static void a_changed_rule_alone(void **state)
{
    static const char *const changed[] = {"flooded: { above: { 3: 255 } }", "flooded: off",
                                          "flooded: { above: { 3: 250 }, source: another }",
                                          "flooded: { above: { 3: 250 }, clear: 1m }"};
    (void)state;
    struct loaded a = load_good("", "flooded: { above: { 3: 250 } }");
    struct loaded same = load_good("# a comment", "flooded: { above: { 3: 250.0 } }");
    assert_true(settings_diff_same(a.settings, same.settings));
    for (size_t i = 0; i < COUNT(changed); i++) {
        struct loaded b = load_good("", changed[i]);
        assert_false(settings_diff_same(a.settings, b.settings));
        assert_true(settings_diff_same_line(a.settings, 0, b.settings, 0));
        unload(&b);
    }
    unload(&same);
    unload(&a);
}

static void one_rule_too_many_is_said(void **state)
{
    char rules[3500];
    size_t length = 0;
    (void)state;
    for (int i = 0; i < 65; i++)
        length += (size_t)snprintf(rules + length, sizeof rules - length,
                                   "r%d: { above: { 3: 9 } }\n          ", i);
    struct diagnostics *diagnostics = diagnostics_new();
    struct settings *settings = load("", rules, diagnostics);
    if (!strstr(diagnostics_text(diagnostics), "is one rule more than the 64 that there may be"))
        fail_msg("%s", diagnostics_text(diagnostics));
    settings_free(settings);
    diagnostics_free(diagnostics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_said_at_its_place),
        cmocka_unit_test(switched_off),
        cmocka_unit_test(a_number_stays_with_its_source),
        cmocka_unit_test(one_dwell_for_all),
        cmocka_unit_test(another_kind_is_another_rule),
        cmocka_unit_test(conditions_of_two_devices),
        cmocka_unit_test(a_changed_rule_alone),
        cmocka_unit_test(one_rule_too_many_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
