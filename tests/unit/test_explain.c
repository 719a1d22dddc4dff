/* lifelinectl check --explain: whose each number is, what is switched off and what a pack leaves
 * out, as JSON, which the text for people is made of.
 *
 * The shipped gb-default lies under a small configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "config/settings.h"
#include "drivers/class.h"
#include "gateway/ctl/explain.h"

static const char *const PROFILES[] = {TESTS_DIR "/replay/wrong/profiles"};
static const char *const PACKS[] = {SOURCE_DIR "/config/alarms"};
static const char TEXT[] =
    "gateway: { id: gw-1, region: \"140502\" }\n"
    "lines: [ { name: plc, transport: tcp, host: 192.168.1.10 } ]\n"
    "devices:\n"
    "  - name: pit-1\n"
    "    line: plc\n"
    "    unit: 1\n"
    "    profile: flow\n"
    "    points:\n"
    "      discharge: { alarms: { high: { above: { 3: 2 }, source: survey of 2024 } } }\n"
    "      depth:\n"
    "        alarms:\n"
    "          flooded: { above: { 3: 250 } }\n"
    "          jump: off\n";

static const json_t *find(const json_t *list, const char *key, const char *value)
{
    const json_t *item;
    size_t index;
    json_array_foreach((json_t *)(uintptr_t)list, index, item)
    {
        if (strcmp(json_string_value(json_object_get(item, key)), value) == 0)
            return item;
    }
    fail_msg("there is no %s %s", key, value);
    return NULL;
}

static const char *text(const json_t *item, const char *key)
{
    return json_string_value(json_object_get(item, key));
}

static void check_number(const json_t *rule, const char *what, bool own, const char *source,
                         const char *place)
{
    const json_t *number = find(json_object_get(rule, "numbers"), "what", what);
    assert_int_equal(json_is_true(json_object_get(number, "own")), own);
    assert_non_null(strstr(text(number, "source"), source));
    assert_non_null(strstr(text(number, "place"), place));
}

static void whose_each_number_is(void **state)
{
    (void)state;
    const struct settings_sources sources = {.profile_dirs = PROFILES,
                                             .profile_dir_count = 1,
                                             .quantity = class_quantity,
                                             .pack_dirs = PACKS,
                                             .pack_dir_count = 1,
                                             .diagnosis = diagnosis_form_of};
    struct diagnostics *diagnostics = diagnostics_new();
    const struct source *source =
        diagnostics_source(diagnostics, "gateway.yaml", TEXT, strlen(TEXT));
    struct settings *settings = settings_parse(source, &sources, diagnostics);
    assert_string_equal(diagnostics_text(diagnostics), "");
    assert_non_null(settings);

    json_t *sites = explain_rules(settings, "pit-1");
    const json_t *depth = find(sites, "where", "pit-1.depth");
    const json_t *flooded = find(json_object_get(depth, "rules"), "name", "flooded");
    check_number(flooded, "yellow", true, "configuration", "gateway.yaml:12");
    check_number(flooded, "orange", false, "engineering proposal", "gb-default.yaml:");
    assert_string_equal(text(flooded, "pack"), "gb-default 1");
    assert_string_equal(text(find(json_object_get(depth, "out"), "name", "jump"), "place"),
                        "gateway.yaml:13");
    const json_t *discharge = find(sites, "where", "pit-1.discharge");
    const json_t *high = find(json_object_get(discharge, "rules"), "name", "high");
    check_number(high, "yellow", true, "survey of 2024", "gateway.yaml:9");
    assert_non_null(strstr(
        text(find(json_object_get(discharge, "omitted"), "pack", "gb-default 1"), "why"), "80 %"));
    json_decref(sites);
    settings->devices[0].points[2].max = 500; /* a short gauge */
    sites = explain_rules(settings, "pit-1.depth");
    assert_int_equal(json_array_size(sites), 1);
    flooded = find(json_object_get(json_array_get(sites, 0), "rules"), "name", "flooded");
    const json_t *numbers = json_object_get(flooded, "numbers");
    assert_true(json_is_true(json_object_get(find(numbers, "what", "red"), "beyond")));
    assert_null(json_object_get(find(numbers, "what", "orange"), "beyond"));
    json_decref(sites);
    sites = explain_rules(settings, "pit-2");
    assert_int_equal(json_array_size(sites), 0);
    json_decref(sites);
    settings_free(settings);
    diagnostics_free(diagnostics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whose_each_number_is)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
