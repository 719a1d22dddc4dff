/* Scenarios of lifeline-sim: who plays, what they measure when, and what is said about wrong files.
 *
 * The wrong files lie in tests/replay/wrong_scenarios with their golden texts;
 * LIFELINE_GOLDEN=write writes these anew: read the difference before it is committed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "drivers/class.h"
#include "drivers/setup.h"

#include "drivers/sim/sim_find.c"
#include "drivers/sim/sim_scenario.c"
#include "drivers/sim/sim_scenario_read.c"

enum { MAIN_A, MAIN_B, MAIN_C, COVER_A, COVER_B, RAIN_A, STATION, DEVICES };

#define NEARLY 1e-9

static const char config[] =
    "gateway: { id: gw-1, region: \"140502\" }\n"
    "store: { path: /nowhere/store.db }\n"
    "lines:\n"
    "  - { name: plc, transport: tcp, host: 127.0.0.1 }\n"
    "  - { name: bus, transport: tcp, host: 127.0.0.2 }\n"
    "devices:\n"
    "  - { name: main-a, line: plc, unit: 1, profile: press-level-b }\n"
    "  - { name: main-b, line: plc, unit: 2, profile: press-level-b }\n"
    "  - { name: main-c, line: bus, unit: 3, profile: press-level-b }\n"
    "  - { name: cover-a, line: bus, unit: 4, profile: rs-dip-n01 }\n"
    "  - { name: cover-b, line: plc, unit: 5, profile: rs-dip-n01 }\n"
    "  - { name: rain-a, line: bus, unit: 6, profile: rs-gyl-n01 }\n"
    "  - { name: station, line: bus, unit: 7, profile: pump-station-plc, sector: drainage }\n";

static struct diagnostics *diagnostics;
static struct settings *settings;

static void assert_near(double a, double b, double by)
{
    if (!(fabs(a - b) <= by))
        fail_msg("%.12g is not %.12g", a, b);
}

static int load_config(void **state)
{
    static const char *const folders[] = {SOURCE_DIR "/config/profiles"};
    const struct settings_sources sources = {
        .profile_dirs = folders, .profile_dir_count = 1, .quantity = class_quantity};
    (void)state;
    diagnostics = diagnostics_new();
    settings =
        settings_parse(diagnostics_source(diagnostics, "gateway.yaml", config, strlen(config)),
                       &sources, diagnostics);
    if (settings == NULL)
        print_error("%s", diagnostics_text(diagnostics));
    return settings != NULL && settings->device_count == DEVICES ? 0 : -1;
}

static int free_config(void **state)
{
    (void)state;
    settings_free(settings);
    diagnostics_free(diagnostics);
    return 0;
}

/* A scenario of ten hours with these targets. */
static struct sim_scenario *play(const char *targets)
{
    char text[2000];
    snprintf(text, sizeof text,
             "scenario: test\ntitle: { zh: 测试, en: test }\nlasts: 10h\ntargets:\n%s\n", targets);
    struct diagnostics *own = diagnostics_new();
    struct sim_scenario *scenario =
        sim_scenario_parse(diagnostics_source(own, "test.yaml", text, strlen(text)), settings, own);
    if (scenario == NULL)
        fail_msg("%s", diagnostics_text(own));
    diagnostics_free(own);
    return scenario;
}

static uint32_t point_of(uint32_t device, const char *name)
{
    const struct profile *profile = settings->devices[device].profile;
    for (uint32_t i = 0; i < profile->point_count; i++) {
        if (strcmp(profile->points[i].name, name) == 0)
            return i;
    }
    fail_msg("%s has no %s", settings->devices[device].name, name);
    return 0;
}

static double value_at(const struct sim_scenario *scenario, uint32_t device, const char *point,
                       double since_s)
{
    double value = -1e9;
    if (!sim_scenario_value(scenario, device, point_of(device, point), (int64_t)(since_s * 1000),
                            &value))
        fail_msg("%s.%s plays no part", settings->devices[device].name, point);
    return value;
}

static bool plays_a_part(const struct sim_scenario *scenario, uint32_t device, const char *point)
{
    double value = 7;
    bool played = sim_scenario_value(scenario, device, point_of(device, point), 0, &value);
    if (!played)
        assert_near(value, 7, 0);
    return played;
}

static void a_curve_is_straight_between_and_held_outside(void **state)
{
    static const struct {
        double since_s, value;
    } expected[] = {
        {-1e6, 0.4},
        {0, 0.4},
        {60, 0.4},
        {75, 0.3},
        {89.999, 0.2 + 0.2 / 30 * 0.001},
        {90, 0.2},
        {3600, 0.35},
        {7110, 0.5},
        {7111, 0.5},
        {1e9, 0.5},
        {61, 0.4 - 0.2 / 30},
        {1845, 0.275},
    };
    (void)state;
    struct sim_scenario *scenario = play("  - { sector: water, quantity: pressure,\n"
                                         "      curve: [[1m, 0.4], [90s, 0.2], [7110s, 0.5]] }");
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_near(value_at(scenario, MAIN_A, "pressure", expected[i].since_s), expected[i].value,
                    NEARLY);
    assert_string_equal(sim_scenario_name(scenario), "test");
    assert_int_equal(sim_scenario_lasts_ms(scenario), 36000000);
    sim_scenario_free(scenario);
}

static void a_step_holds_until_the_next(void **state)
{
    (void)state;
    struct sim_scenario *scenario = play(
        "  - { sector: drainage, quantity: run, nth: 2, steps: [[10s, 0], [20s, 1], [30s, 0]] }");
    static const double values[] = {0, 0, 1, 0, 0};
    for (int i = 0; i < 5; i++) {
        assert_near(value_at(scenario, STATION, "pump2_run", i * 10), values[i], 0);
        assert_near(value_at(scenario, STATION, "pump2_run", i * 10 + 9.999), values[i], 0);
    }
    assert_false(plays_a_part(scenario, STATION, "pump1_run"));
    sim_scenario_free(scenario);
}

static void many_pairs_are_found(void **state)
{
    char text[2000] = "  - { sector: water, quantity: pressure, steps: [";
    (void)state;
    for (int i = 0; i < 100; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s[%ds, 0.%03d]",
                 i > 0 ? "," : "", i, i);
    snprintf(text + strlen(text), sizeof text - strlen(text), "] }");
    struct sim_scenario *scenario = play(text);
    for (int i = 0; i < 100; i++)
        assert_near(value_at(scenario, MAIN_C, "pressure", i + 0.5), i / 1000.0, NEARLY);
    sim_scenario_free(scenario);
}

static void each_further_device_is_later(void **state)
{
    (void)state;
    struct sim_scenario *scenario = play(
        "  - { sector: water, quantity: pressure, spread: 30s, curve: [[0s, 0.4], [100s, 0.2]] }\n"
        "  - { sector: manhole, spread: 1m, silent: [[10s, 20s]] }");
    for (uint32_t device = MAIN_A; device <= MAIN_C; device++) {
        double late_s = 30.0 * device;
        assert_near(value_at(scenario, device, "pressure", late_s), 0.4, NEARLY);
        assert_near(value_at(scenario, device, "pressure", late_s + 50), 0.3, NEARLY);
        assert_near(value_at(scenario, device, "pressure", late_s + 100), 0.2, NEARLY);
    }
    assert_true(sim_scenario_silent(scenario, COVER_A, 10000));
    assert_false(sim_scenario_silent(scenario, COVER_B, 10000));
    assert_true(sim_scenario_silent(scenario, COVER_B, 79999));
    assert_false(sim_scenario_silent(scenario, COVER_B, 80000));
    sim_scenario_free(scenario);
}

static void a_silence_begins_and_ends_to_the_millisecond(void **state)
{
    (void)state;
    struct sim_scenario *scenario =
        play("  - { sector: manhole, quantity: tilt, devices: 1, curve: [[0s, 62]],\n"
             "      silent: [[10s, 20s], [1m, 10h]] }");
    static const struct {
        int64_t since_ms;
        bool silent;
    } expected[] = {{-1, false},      {0, false},       {9999, false},  {10000, true},
                    {19999, true},    {20000, false},   {59999, false}, {60000, true},
                    {35999999, true}, {36000000, false}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_int_equal(sim_scenario_silent(scenario, COVER_A, expected[i].since_ms),
                         expected[i].silent);
        assert_false(sim_scenario_silent(scenario, COVER_B, expected[i].since_ms));
    }
    assert_near(value_at(scenario, COVER_A, "tilt_z", 15), 62, 0);
    assert_false(plays_a_part(scenario, COVER_B, "tilt_x"));
    assert_false(sim_scenario_silent(scenario, DEVICES, 10000));
    sim_scenario_free(scenario);
}

static void a_line_dies_as_a_whole(void **state)
{
    static const bool dead[DEVICES] = {[MAIN_A] = true, [MAIN_B] = true, [COVER_B] = true};
    (void)state;
    struct sim_scenario *scenario = play("  - { lines: 1, silent: [[0s, 1m]] }");
    for (uint32_t i = 0; i < DEVICES; i++)
        assert_int_equal(sim_scenario_silent(scenario, i, 1000), dead[i]);
    sim_scenario_free(scenario);
}

/* The first target that takes a point keeps it, and its devices are not counted in the next. */
static void the_first_target_takes_the_point(void **state)
{
    (void)state;
    struct sim_scenario *scenario = play(
        "  - { sector: water, quantity: pressure, device: main-b, curve: [[0s, 0.1]] }\n"
        "  - { sector: water, quantity: pressure, devices: 1, curve: [[0s, 0.2]] }\n"
        "  - { sector: [sponge, water], quantity: flow_total, curve: [[0s, 0]] }\n"
        "  - { sector: water, quantity: pressure, spread: 1h, curve: [[0s, 0.3], [1h, 0.4]] }\n"
        "  - { sector: water, quantity: pressure, curve: [[0s, 0.5]] }");
    assert_near(value_at(scenario, MAIN_A, "pressure", 0), 0.2, 0);
    assert_near(value_at(scenario, MAIN_B, "pressure", 0), 0.1, 0);
    assert_near(value_at(scenario, MAIN_C, "pressure", 3600), 0.4, 0);
    assert_false(plays_a_part(scenario, MAIN_A, "temperature"));
    double value;
    assert_false(sim_scenario_value(scenario, DEVICES, 0, 0, &value));
    assert_false(sim_scenario_value(scenario, MAIN_A, 2, 0, &value));
    assert_false(sim_scenario_value(scenario, MAIN_A, UINT32_MAX, 0, &value));
    sim_scenario_free(scenario);
}

static void a_counter_goes_on_from_where_it_stood(void **state)
{
    (void)state;
    struct sim_scenario *scenario =
        play("  - { sector: sponge, quantity: rain, curve: [[0s, 0], [1h, 50], [2h, 7000]] }");
    double wrap = settings->devices[RAIN_A].profile->points[0].wrap;
    double start = value_at(scenario, RAIN_A, "rain", 0);
    assert_near(wrap, 6553.6, NEARLY);
    assert_true(start > 0 && start < wrap && start == floor(start));
    double last = start, fallen = 0;
    for (int second = 0; second <= 7200; second++) {
        double value = value_at(scenario, RAIN_A, "rain", second);
        double added = second <= 3600 ? 50.0 * second / 3600 : 50 + 6950.0 * (second - 3600) / 3600;
        fallen += value < last;
        assert_true(value >= 0 && value < wrap);
        assert_near(value, fmod(start + added, wrap), 1e-6);
        last = value;
    }
    assert_near(fallen, 1 + (start + 7000 >= 2 * wrap), 0);
    sim_scenario_free(scenario);
}

static void noise_stays_small_and_comes_again(void **state)
{
    (void)state;
    struct sim_scenario *scenario =
        play("  - { sector: water, quantity: pressure, noise: 0.02, curve: [[0s, 0.4]] }");
    struct sim_scenario *again =
        play("  - { sector: water, quantity: pressure, noise: 0.02, curve: [[0s, 0.4]] }");
    double low = 1, high = 0, sum = 0, together = 0;
    for (int second = 0; second < 10000; second++) {
        double a = value_at(scenario, MAIN_A, "pressure", second);
        double b = value_at(scenario, MAIN_B, "pressure", second);
        assert_near(a, value_at(scenario, MAIN_A, "pressure", second + 0.999), 0);
        assert_near(a, value_at(again, MAIN_A, "pressure", second), 0);
        low = fmin(low, a);
        high = fmax(high, a);
        sum += a - 0.4;
        together += (a - 0.4) * (b - 0.4);
    }
    assert_true(low >= 0.38 && low < 0.381 && high <= 0.42 && high > 0.419);
    assert_true(fabs(sum / 10000) < 0.001);
    assert_true(fabs(together / 10000) < 0.02 * 0.02 / 30);
    sim_scenario_free(scenario);
    sim_scenario_free(again);
}

static void a_target_without_a_point_is_a_warning(void **state)
{
    (void)state;
    static const char text[] =
        "scenario: some\ntitle: { zh: 一些, en: some }\nlasts: 1h\ntargets:\n"
        "  - { sector: bridge, quantity: strain, curve: [[0s, 1]] }\n"
        "  - { sector: water, quantity: pressure, curve: [[0s, 0.3]] }\n"
        "  - { sector: water, quantity: pressure, curve: [[0s, 0.4]] }\n";
    struct diagnostics *own = diagnostics_new();
    struct sim_scenario *scenario =
        sim_scenario_parse(diagnostics_source(own, "some.yaml", text, strlen(text)), settings, own);
    char said[200];
    assert_non_null(scenario);
    assert_int_equal(diagnostics_errors(own), 0);
    assert_int_equal(diagnostics_warnings(own), 2);
    sim_scenario_describe(scenario, said, sizeof said);
    assert_string_equal(said, "some 一些 (some): 1.0 h, 3 points, 0 devices fall silent");
    sim_scenario_free(scenario);
    diagnostics_free(own);
}

static void a_name_is_found_beside_the_configuration(void **state)
{
    char out[4000];
    struct setup_path none = {0}, profiles = {.dirs = {SOURCE_DIR "/config/profiles/"}, .count = 1};
    (void)state;
    assert_true(
        sim_find_scenario("storm", SOURCE_DIR "/config/gateway.yaml", &none, out, sizeof out));
    assert_string_equal(out, SOURCE_DIR "/config/scenarios/storm.yaml");
    assert_true(sim_find_scenario("storm", "gateway.yaml", &profiles, out, sizeof out));
    assert_string_equal(out, SOURCE_DIR "/config/scenarios/storm.yaml");
    assert_true(sim_find_scenario("./storm", "gateway.yaml", &none, out, sizeof out));
    assert_string_equal(out, "./storm");
    assert_true(sim_find_scenario("storm.yaml", "gateway.yaml", &none, out, sizeof out));
    assert_string_equal(out, "storm.yaml");
    assert_false(sim_find_scenario("storn", "/etc/x/gateway.yaml", &none, out, sizeof out));
    assert_string_equal(out, "no storn.yaml in /etc/x/scenarios, /usr/share/lifeline/scenarios");
}

static int is_yaml(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 5 && strcmp(entry->d_name + length - 5, ".yaml") == 0;
}

static void compare_golden(const char *name, const char *said)
{
    char path[300], expected[16384] = "";
    const char *golden = getenv("LIFELINE_GOLDEN");
    bool write = golden != NULL && strcmp(golden, "write") == 0;
    snprintf(path, sizeof path, "%.*s.txt", (int)strlen(name) - 5, name);
    FILE *file = fopen(path, write ? "w+" : "r");
    if (file == NULL)
        fail_msg("%s is missing", path);
    if (write) {
        fputs(said, file);
        rewind(file);
    }
    expected[fread(expected, 1, sizeof expected - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(said, expected);
}

static void wrong_files(void **state)
{
    struct dirent **entries;
    (void)state;
    assert_int_equal(chdir(TESTS_DIR "/replay/wrong_scenarios"), 0);
    int count = scandir(".", &entries, is_yaml, alphasort);
    assert_true(count >= 9);
    for (int i = 0; i < count; i++) {
        struct diagnostics *own = diagnostics_new();
        assert_null(sim_scenario_load(entries[i]->d_name, settings, own));
        assert_true(diagnostics_errors(own) > 0);
        compare_golden(entries[i]->d_name, diagnostics_text(own));
        diagnostics_free(own);
        free(entries[i]);
    }
    free(entries);
    struct diagnostics *own = diagnostics_new();
    assert_null(sim_scenario_load("no-such-file.yaml", settings, own));
    assert_true(diagnostics_errors(own) > 0);
    diagnostics_free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_curve_is_straight_between_and_held_outside),
        cmocka_unit_test(a_step_holds_until_the_next),
        cmocka_unit_test(many_pairs_are_found),
        cmocka_unit_test(each_further_device_is_later),
        cmocka_unit_test(a_silence_begins_and_ends_to_the_millisecond),
        cmocka_unit_test(a_line_dies_as_a_whole),
        cmocka_unit_test(the_first_target_takes_the_point),
        cmocka_unit_test(a_counter_goes_on_from_where_it_stood),
        cmocka_unit_test(noise_stays_small_and_comes_again),
        cmocka_unit_test(a_target_without_a_point_is_a_warning),
        cmocka_unit_test(a_name_is_found_beside_the_configuration),
        cmocka_unit_test(wrong_files),
    };
    return cmocka_run_group_tests(tests, load_config, free_config);
}
