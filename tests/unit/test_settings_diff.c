/* What a reload takes for a difference.
 *
 * Every key of the file, once, against the same file without the change: it must count for the line
 * or uplink that it belongs to and for nobody else. What is none: a comment, another order of keys,
 * another notation, a device of another line. */
#include "config/settings_diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "drivers/class.h"

static const char *const SHIPPED[] = {SOURCE_DIR "/config/profiles"};

static const char TEXT[] =
    "gateway: { id: gw-1, region: \"140502\", name: here, position: [112.5, 35.5], crs: WGS84,\n"
    "  trusted_rtc: true }\n"
    "store: { path: /s.db, sync: 2s, segment: 30s, heartbeat: 2h, retain: 20d, max_size: 64MiB }\n"
    "lines:\n"
    "  - { name: bus, transport: rtu, device: /dev/ttyS1, serial: 9600 8N1, timeout: 400ms,\n"
    "      retries: 2 }\n"
    "  - { name: plc, transport: tcp, host: 10.0.0.1, port: 503, close_between_polls: true }\n"
    "devices:\n"
    "  - { name: one, line: bus, unit: 3, profile: rs-dip-n01, every: 10s, title: first }\n"
    "  - { name: two, line: plc, unit: 4, base: 7, profile: rs-dip-n01, sector: manhole,\n"
    "      asset: \"1405020101000017\", grid: \"820102110152102\", position: [112.6, 35.6],\n"
    "      every: 20s, every_alarm: 3s, points: { tilt_x: { deadband: 0.5, every: 40s } } }\n"
    "  - { name: six, line: bus, unit: 6, profile: press-level-a, every: 15s }\n"
    "uplinks:\n"
    "  - { name: city, urls: [ \"mqtts://a:8883\", \"mqtt://b:1883\" ], root: x/y, username: u,\n"
    "      password_file: /p, tls: { ca: /ca, cert: /c, key: /k }, keepalive: 50s, spread: 9s,\n"
    "      sectors: [gas, manhole], confirm: broker, compress: none, max_payload: 100KiB }\n"
    "api: { socket: /a.sock }\n";

struct world {
    struct diagnostics *diagnostics;
    struct settings *settings;
};

static struct world load(const char *text)
{
    struct settings_sources sources = {
        .profile_dirs = SHIPPED, .profile_dir_count = 1, .quantity = class_quantity};
    struct world world = {.diagnostics = diagnostics_new()};
    const struct source *source =
        diagnostics_source(world.diagnostics, "gateway.yaml", text, strlen(text));
    world.settings = settings_parse(source, &sources, world.diagnostics);
    if (!world.settings)
        fail_msg("%s", diagnostics_text(world.diagnostics));
    return world;
}

static void unload(struct world *world)
{
    settings_free(world->settings);
    diagnostics_free(world->diagnostics);
}

/* The text with `from` replaced once by `to`. */
static struct world load_changed(const char *from, const char *to)
{
    char text[2 * sizeof TEXT];
    const char *at = strstr(TEXT, from);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - TEXT), TEXT, to, at + strlen(from));
    return load(text);
}

enum { BUS = 1, PLC = 2, UPLINK = 4, RESTART = 8, GATEWAY = 16 };

static const struct {
    const char *from, *to;
    unsigned differs;
    const char *restart;
} changes[] = {
    {"id: gw-1", "id: gw-2", RESTART | UPLINK, "gateway.id"}, /* its client id */
    {"\"140502\"", "\"140503\"", RESTART, "gateway.region"},
    {"name: here", "name: there", GATEWAY, ""},
    {"[112.5, 35.5]", "[112.5, 35.25]", GATEWAY, ""},
    {"crs: WGS84", "crs: CGCS2000", GATEWAY, ""},
    {"trusted_rtc: true", "trusted_rtc: false", GATEWAY, ""},
    {"/s.db", "/t.db", RESTART, "store.path"},
    {"sync: 2s", "sync: 3s", RESTART, "store.sync"},
    {"segment: 30s", "segment: 31s", RESTART, "store.segment"},
    {"heartbeat: 2h", "heartbeat: 3h", RESTART, "store.heartbeat"},
    {"retain: 20d", "retain: 21d", RESTART, "store.retain"},
    {"64MiB", "65MiB", RESTART, "store.max_size"},
    {"/a.sock", "/b.sock", RESTART, "api.socket"},
    {"/s.db, sync: 2s", "/t.db, sync: 3s", RESTART, "store.path, store.sync"},
    {"/dev/ttyS1", "/dev/ttyS2", BUS, ""},
    {"9600 8N1", "9600 8E1", BUS, ""},
    {"timeout: 400ms", "timeout: 401ms", BUS, ""},
    {"retries: 2", "retries: 1", BUS, ""},
    {"host: 10.0.0.1", "host: 10.0.0.2", PLC, ""},
    {"port: 503", "port: 504", PLC, ""},
    {"close_between_polls: true", "close_between_polls: false", PLC, ""},
    {"transport: tcp", "transport: rtu-over-tcp", PLC, ""},
    {"name: one", "name: eno", BUS, ""},
    {"name: one, line: bus", "name: one, line: plc", BUS | PLC, ""},
    {"unit: 3", "unit: 5", BUS, ""},
    {"base: 7", "base: 8", PLC, ""},
    {"profile: press-level-a", "profile: rs-dip-n01", BUS, ""},
    {"sector: manhole", "sector: bridge", PLC, ""},
    {"title: first", "title: second", BUS, ""},
    {"1405020101000017", "1405020101000018", PLC, ""},
    {"820102110152102", "820102110152103", PLC, ""},
    {"[112.6, 35.6]", "[112.6, 35.7]", PLC, ""},
    {"every: 10s", "every: 11s", BUS, ""},
    {"every_alarm: 3s", "every_alarm: 4s", PLC, ""},
    {"every_alarm: 3s, ", "", PLC, ""},
    {"deadband: 0.5", "deadband: 0.25", PLC, ""},
    {"deadband: 0.5, ", "", PLC, ""},
    {"every: 40s", "every: 60s", PLC, ""},
    {"  - { name: six, line: bus, unit: 6, profile: press-level-a, every: 15s }\n", "", BUS, ""},
    {"a:8883", "aa:8883", UPLINK, ""},
    {"a:8883", "a:8884", UPLINK, ""},
    {"mqtts://a", "mqtt://a", UPLINK, ""},
    {", \"mqtt://b:1883\"", "", UPLINK, ""},
    {"root: x/y", "root: x/z", UPLINK, ""},
    {"username: u", "username: v", UPLINK, ""},
    {"password_file: /p", "password_file: /q", UPLINK, ""},
    {"ca: /ca", "ca: /cb", UPLINK, ""},
    {"cert: /c", "cert: /d", UPLINK, ""},
    {"key: /k", "key: /l", UPLINK, ""},
    {"keepalive: 50s", "keepalive: 51s", UPLINK, ""},
    {"spread: 9s", "spread: 8s", UPLINK, ""},
    {"[gas, manhole]", "[gas]", UPLINK, ""},
    {"100KiB", "101KiB", UPLINK, ""},
    {"lines:\n", "# a comment\n\nlines:\n", 0, ""},
    {"{ name: one, line: bus,", "{ line: bus, name: one,", 0, ""},
    {"sync: 2s", "sync: 2000ms", 0, ""},
};

static void every_key_counts_where_it_belongs(void **state)
{
    (void)state;
    struct world before = load(TEXT);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct world after = load_changed(changes[i].from, changes[i].to);
        const struct settings *a = before.settings, *b = after.settings;
        char keys[100];
        unsigned differs = 0;
        differs |= settings_diff_same_line(a, 0, b, 0) ? 0 : BUS;
        differs |= settings_diff_same_line(a, 1, b, 1) ? 0 : PLC;
        differs |= settings_diff_same_uplink(&a->uplinks[0], &b->uplinks[0]) ? 0 : UPLINK;
        differs |= settings_diff_restart(a, b, keys, sizeof keys) ? RESTART : 0;
        if (differs != (changes[i].differs & ~(unsigned)GATEWAY))
            fail_msg("%s -> %s: %u", changes[i].from, changes[i].to, differs);
        assert_string_equal(keys, changes[i].restart ? changes[i].restart : "");
        assert_int_equal(settings_diff_same(a, b), changes[i].differs == 0);
        unload(&after);
    }
    unload(&before);
}

static void devices_of_other_lines_do_not_matter(void **state)
{
    (void)state;
    struct world before = load(TEXT);
    struct world after = load_changed("  - { name: one,",
                                      "  - { name: new, line: plc, unit: 9, profile: rs-dip-n01 }\n"
                                      "  - { name: one,");
    assert_true(settings_diff_same_line(before.settings, 0, after.settings, 0));
    assert_false(settings_diff_same_line(before.settings, 1, after.settings, 1));
    assert_false(settings_diff_same(before.settings, after.settings));
    unload(&before);
    unload(&after);
}

/* What a profile says is what its file says. */
static void a_profile_of_another_text_is_another(void **state)
{
    (void)state;
    struct world before = load(TEXT), after = load(TEXT);
    assert_true(settings_diff_same(before.settings, after.settings));
    assert_true(after.settings->devices[0].profile->digest != 0);
    for (size_t p = 0; p < after.settings->profile_count; p++) {
        if (strcmp(after.settings->profiles[p]->name, "press-level-a") == 0)
            after.settings->profiles[p]->digest ^= 1;
    }
    assert_false(settings_diff_same_line(before.settings, 0, after.settings, 0));
    assert_true(settings_diff_same_line(before.settings, 1, after.settings, 1));
    unload(&before);
    unload(&after);
}

/* Not every build takes every word of these. */
static void confirm_and_compress_count(void **state)
{
    (void)state;
    struct world world = load(TEXT);
    struct settings_uplink other = world.settings->uplinks[0];
    other.confirm = CONFIRM_SUBSCRIBER;
    assert_false(settings_diff_same_uplink(&world.settings->uplinks[0], &other));
    other = world.settings->uplinks[0];
    other.compress = COMPRESS_ZSTD;
    assert_false(settings_diff_same_uplink(&world.settings->uplinks[0], &other));
    unload(&world);
}

/* However little room there is, the count is right and the text ends. */
static void a_short_buffer_is_not_overrun(void **state)
{
    (void)state;
    struct world before = load(TEXT), after = load_changed("/s.db, sync: 2s", "/t.db, sync: 3s");
    char keys[12];
    memset(keys, 'x', sizeof keys);
    assert_int_equal(settings_diff_restart(before.settings, after.settings, keys, 8), 2);
    assert_string_equal(keys, "store.p");
    assert_int_equal(keys[8], 'x');
    unload(&before);
    unload(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_counts_where_it_belongs),
        cmocka_unit_test(devices_of_other_lines_do_not_matter),
        cmocka_unit_test(a_profile_of_another_text_is_another),
        cmocka_unit_test(confirm_and_compress_count),
        cmocka_unit_test(a_short_buffer_is_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
