/* Good configurations become the structs they say, with every default where nothing is said.
 *
 * Also the notation of single values, the suggestions, and the example that is shipped: it must
 * pass without a warning. What is refused, and how, is test_settings_wrong.c. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "config/scalar.h"
#include "config/settings.h"
#include "config/suggest.h"
#include "drivers/class.h"
#include "drivers/decode.h"

static const char *const FOLDERS[] = {"/nonexistent", TESTS_DIR "/replay/wrong/profiles"};
static const char *const PACKS[] = {SOURCE_DIR "/config/alarms"};
static const char *const SHIPPED[] = {SOURCE_DIR "/config/profiles"};

static const char FULL[] = "gateway:\n"
                           "  id: gw-140502-0001\n"
                           "  region: 140502\n"
                           "  name: 泽州路泵站\n"
                           "  position: [112.8513, 35.4907]\n"
                           "  crs: WGS84\n"
                           "  trusted_rtc: true\n";

static const char MINIMAL[] =
    "gateway: { id: gw-1, region: 140502 }\n"
    "lines:\n"
    "  - { name: rs485-1, transport: rtu, device: /dev/ttyS1 }\n"
    "  - { name: plc, transport: tcp, host: 192.168.1.10 }\n"
    "  - { name: dtu, transport: rtu-over-tcp, host: \"fe80::1\", port: 4196, serial: 4800 7E2,\n"
    "      close_between_polls: true }\n"
    "devices:\n"
    "  - { name: well-017, line: plc, unit: 255, profile: tilt }\n"
    "  - name: pit-1\n"
    "    line: dtu\n"
    "    unit: 0x10\n"
    "    base: 100\n"
    "    profile: gauge\n"
    "    sector: waterlogging\n"
    "    title: 集水坑\n"
    "    asset: 1405020101000017\n"
    "    grid: 820102110152102\n"
    "    every: 10s\n"
    "    every_alarm: 500ms\n"
    "    points: { level: { mount_height: 4.2, deadband: 0.01, every: 2s } }\n"
    "  - { name: pit-2, line: dtu, unit: 2, profile: gauge, every: 0s, every_alarm: 0s,\n"
    "      points: { level: { mount_height: 0, every: 1ms } } }\n"
    "uplinks:\n"
    "  - { name: city, urls: [ \"mqtt://broker-a\", \"mqtts://[fe80::2]\", \"mqtts://b:1\" ],\n"
    "      username: gw, password_file: /s, tls: { ca: /ca, cert: /c, key: /k },\n"
    "      sectors: [manhole, gas], max_payload: 1MiB, root: a/b, keepalive: 5m }\n"
    "  - { name: local, urls: [ \"mqtt://localhost\", \"mqtt://b:1\" ], spread: 0s }\n";

static struct settings *load(const char *text, struct diagnostics *diagnostics)
{
    struct settings_sources sources = {
        .profile_dirs = FOLDERS, .profile_dir_count = 2, .quantity = class_quantity};
    const struct source *source =
        diagnostics_source(diagnostics, "gateway.yaml", text, strlen(text));
    assert_non_null(source);
    struct settings *settings = settings_parse(source, &sources, diagnostics);
    if (settings == NULL)
        print_error("%s", diagnostics_text(diagnostics));
    assert_non_null(settings);
    assert_int_equal(diagnostics_errors(diagnostics), 0);
    return settings;
}

static void defaults(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    struct settings *settings = load(MINIMAL, diagnostics);

    assert_string_equal(settings->gateway.id, "gw-1");
    assert_string_equal(settings->gateway.region, "140502");
    assert_string_equal(settings->gateway.name, "");
    assert_false(settings->gateway.position.present);
    assert_int_equal(settings->gateway.crs, CRS_UNSPECIFIED);
    assert_false(settings->gateway.trusted_rtc);
    assert_string_equal(settings->store.path, "/var/lib/lifeline/store.db");
    assert_int_equal(settings->store.sync_ms, 1000);
    assert_int_equal(settings->store.segment_ms, 60000);
    assert_int_equal(settings->store.heartbeat_ms, 3600000);
    assert_true(settings->store.retain_ms == 30 * INT64_C(86400000));
    assert_true(settings->store.max_size == 256 << 20);
    assert_string_equal(settings->api.socket, "/run/lifeline/api.sock");
    assert_null(settings->api.http);

    const struct settings_line *line = &settings->lines[0];
    assert_int_equal(settings->line_count, 3);
    assert_int_equal(line->transport, TRANSPORT_RTU);
    assert_string_equal(line->device, "/dev/ttyS1");
    assert_null(line->host);
    assert_int_equal(line->serial.baud, 9600);
    assert_int_equal(line->serial.data_bits, 8);
    assert_int_equal(line->serial.parity, 'N');
    assert_int_equal(line->serial.stop_bits, 1);
    assert_int_equal(line->timeout_ms, 300);
    assert_int_equal(line->retries, 1);
    assert_int_equal(line->place.line, 3);
    assert_int_equal(line->place.column, 13);
    assert_int_equal(settings->lines[1].port, 502);
    assert_int_equal(settings->lines[2].transport, TRANSPORT_RTU_OVER_TCP);
    assert_string_equal(settings->lines[2].host, "fe80::1");
    assert_int_equal(settings->lines[2].serial.parity, 'E');
    assert_false(settings->lines[1].close_between_polls);
    assert_true(settings->lines[2].close_between_polls);

    const struct settings_uplink *local = &settings->uplinks[1];
    assert_int_equal(local->url_count, 2);
    assert_string_equal(local->root, "lifeline/v1");
    assert_null(local->username);
    assert_null(local->password_file);
    assert_null(local->ca);
    assert_int_equal(local->keepalive_ms, 60000);
    assert_int_equal(local->max_payload, 128 << 10);
    for (unsigned int i = 1; i < SECTOR_COUNT; i++)
        assert_true(local->sectors[i]);

    settings_free(settings);
    diagnostics_free(diagnostics);
}

static void devices(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    struct settings *settings = load(MINIMAL, diagnostics);
    assert_int_equal(settings->device_count, 3);
    assert_int_equal(settings->profile_count, 2);
    /* both pits: 9600 8N1 by their profile, 4800 7E2 by their line */
    assert_int_equal(diagnostics_warnings(diagnostics), 2);

    const struct settings_device *well = &settings->devices[0], *pit = &settings->devices[1];
    assert_int_equal(well->line, 1);
    assert_int_equal(well->unit, 255);
    assert_int_equal(well->base, 0);
    assert_int_equal(well->sector, SECTOR_MANHOLE);
    assert_string_equal(well->asset, "");
    assert_string_equal(well->grid, "");
    assert_string_equal(well->title, "");
    assert_int_equal(well->every_ms, 60000);
    assert_false(well->has_every_alarm);
    assert_int_equal(well->points[1].every_ms, 60000);
    assert_false(well->points[1].has_deadband);

    assert_int_equal(pit->line, 2);
    assert_int_equal(pit->unit, 16);
    assert_int_equal(pit->base, 100);
    assert_int_equal(pit->sector, SECTOR_WATERLOGGING);
    assert_string_equal(pit->title, "集水坑");
    assert_string_equal(pit->asset, "1405020101000017");
    assert_string_equal(pit->grid, "820102110152102");
    assert_int_equal(pit->every_ms, 10000);
    assert_true(pit->has_every_alarm);
    assert_int_equal(pit->every_alarm_ms, 500);
    assert_true(pit->points[0].has_deadband);
    assert_true(pit->points[0].deadband == 0.01);
    assert_true(pit->points[0].mount_height == 4.2);
    assert_int_equal(pit->points[0].every_ms, 2000);
    assert_ptr_equal(pit->profile, settings->devices[2].profile);

    const struct settings_device *without_a_pause = &settings->devices[2];
    assert_int_equal(without_a_pause->every_ms, 0);
    assert_true(without_a_pause->has_every_alarm);
    assert_int_equal(without_a_pause->every_alarm_ms, 0);
    assert_int_equal(without_a_pause->points[0].every_ms, 1);

    settings_free(settings);
    diagnostics_free(diagnostics);
}

/* A profile in memory with so much of its head, in one device on a line of 500 ms and 2 retries. */
static void patience(const char *head, uint32_t timeout_ms, uint8_t retries)
{
    char folder[] = "/tmp/lifeline-settings-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/slow.yaml", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "profile: slow\nsector: water\nstatus: beta\n%s"
            "points: [ { name: a, quantity: raw, function: input, address: 0, type: u16 } ]\n",
            head);
    assert_int_equal(fclose(file), 0);
    static const char text[] =
        "gateway: { id: gw-1, region: 140502 }\n"
        "lines: [ { name: plc, transport: tcp, host: h, timeout: 500ms, retries: 2 } ]\n"
        "devices: [ { name: d, line: plc, unit: 1, profile: slow } ]\n";
    const char *const folders[] = {folder};
    struct settings_sources sources = {
        .profile_dirs = folders, .profile_dir_count = 1, .quantity = class_quantity};
    struct diagnostics *diagnostics = diagnostics_new();
    const struct source *source =
        diagnostics_source(diagnostics, "gateway.yaml", text, strlen(text));
    struct settings *settings = settings_parse(source, &sources, diagnostics);
    assert_string_equal(diagnostics_text(diagnostics), "");
    assert_non_null(settings);
    assert_int_equal(settings->devices[0].timeout_ms, timeout_ms);
    assert_int_equal(settings->devices[0].retries, retries);
    settings_free(settings);
    diagnostics_free(diagnostics);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void a_profile_knows_how_patient_to_be(void **state)
{
    (void)state;
    patience("", 500, 2);
    patience("timeout: 20ms\nretries: 0\n", 500, 0);
    patience("timeout: 60s\n", 60000, 2);
    patience("retries: 5\n", 500, 5);
}

/* A pressure of 2.0 MPa is none of a water main, but one of a heat main. */
static void ranges_are_the_sectors(void **state)
{
    (void)state;
    struct settings_sources sources = {
        .profile_dirs = SHIPPED, .profile_dir_count = 1, .quantity = class_quantity};
    static const char text[] =
        "gateway: { id: gw-1, region: 140502 }\n"
        "lines: [ { name: plc, transport: tcp, host: 192.168.1.10 } ]\n"
        "devices:\n"
        "  - { name: main-1, line: plc, unit: 1, profile: press-level-a, sector: heat }\n"
        "  - { name: main-2, line: plc, unit: 2, profile: press-level-a }\n"
        "  - { name: well-1, line: plc, unit: 3, profile: urm12, sector: manhole,\n"
        "      points: { level: { mount_height: 5 } } }\n";
    struct diagnostics *diagnostics = diagnostics_new();
    const struct source *source =
        diagnostics_source(diagnostics, "gateway.yaml", text, strlen(text));
    struct settings *settings = settings_parse(source, &sources, diagnostics);
    assert_string_equal(diagnostics_text(diagnostics), "");
    const struct settings_point *heat = settings->devices[0].points;
    const struct settings_point *water = settings->devices[1].points;
    const struct settings_point *well = settings->devices[2].points;
    assert_true(heat->has_range && heat->min == -0.1 && heat->max == 2.5);
    assert_true(water->has_range && water->max == 1.6);
    assert_true(well[0].min == 0.7 && well[0].max == 15); /* the profile's own, in any sector */
    assert_true(well[1].min == -0.5 && well[1].max == 100);

    static const uint16_t registers[] = {0, 3, 2000}; /* MPa, three decimals */
    static const uint16_t first = 0;
    struct plan_block block = {
        .function = FUNCTION_HOLDING, .address = 2, .count = 3, .points = &first, .point_count = 1};
    struct value value;
    decode_block(&settings->devices[0], &block, registers, &value);
    assert_int_equal(value.quality, QUALITY_GOOD);
    assert_true(value.steps == 200000);
    decode_block(&settings->devices[1], &block, registers, &value);
    assert_int_equal(value.quality, QUALITY_OUT_OF_RANGE);
    settings_free(settings);
    diagnostics_free(diagnostics);
}

static void uplinks(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    struct settings *settings = load(MINIMAL, diagnostics);
    const struct settings_uplink *city = &settings->uplinks[0];
    assert_int_equal(settings->uplink_count, 2);
    assert_int_equal(city->url_count, 3);
    assert_string_equal(city->urls[0].host, "broker-a");
    assert_int_equal(city->urls[0].port, 1883);
    assert_false(city->urls[0].tls);
    assert_string_equal(city->urls[1].host, "fe80::2");
    assert_int_equal(city->urls[1].port, 8883);
    assert_true(city->urls[1].tls);
    assert_int_equal(city->urls[2].port, 1);
    assert_string_equal(city->username, "gw");
    assert_string_equal(city->password_file, "/s");
    assert_string_equal(city->ca, "/ca");
    assert_string_equal(city->cert, "/c");
    assert_string_equal(city->key, "/k");
    assert_string_equal(city->root, "a/b");
    assert_int_equal(city->keepalive_ms, 300000);
    assert_int_equal(city->spread_ms, 60000);
    assert_int_equal(settings->uplinks[1].spread_ms, 0);
    assert_string_equal(city->client_id, "gw-1");
    assert_string_equal(settings->uplinks[1].client_id, "gw-1-local");
    assert_int_equal(city->max_payload, 1 << 20);
    assert_int_equal(city->confirm, CONFIRM_BROKER);
    assert_int_equal(city->compress, COMPRESS_NONE);
    for (unsigned int i = 1; i < SECTOR_COUNT; i++)
        assert_int_equal(city->sectors[i], i == SECTOR_MANHOLE || i == SECTOR_GAS);
    settings_free(settings);
    diagnostics_free(diagnostics);
}

/* Nothing in the urls says that broker-a is 10.0.0.9. */
static void clients_never_share_an_id(void **state)
{
    (void)state;
    struct settings_sources sources = {
        .profile_dirs = SHIPPED, .profile_dir_count = 1, .quantity = class_quantity};
    static const char text[] =
        "gateway: { id: gw-1, region: 140502 }\n"
        "lines: [ { name: plc, transport: tcp, host: 192.168.1.10 } ]\n"
        "devices: [ { name: one, line: plc, unit: 1, profile: press-level-a } ]\n"
        "uplinks:\n"
        "  - { name: city, urls: [ \"mqtt://broker-a\" ] }\n"
        "  - { name: local, urls: [ \"mqtt://10.0.0.9:1884\" ] }\n";
    struct diagnostics *diagnostics = diagnostics_new();
    struct settings *settings = settings_parse(
        diagnostics_source(diagnostics, "gateway.yaml", text, strlen(text)), &sources, diagnostics);
    assert_string_equal(diagnostics_text(diagnostics), "");
    assert_string_equal(settings->uplinks[0].client_id, "gw-1");
    assert_string_equal(settings->uplinks[1].client_id, "gw-1-local");
    settings_free(settings);
    diagnostics_free(diagnostics);
}

static void gateway_section(void **state)
{
    (void)state;
    char text[1024];
    snprintf(text, sizeof(text), "%slines: []\ndevices: []\n", FULL);
    struct diagnostics *diagnostics = diagnostics_new();
    struct settings *settings = load(text, diagnostics);
    assert_string_equal(settings->gateway.name, "泽州路泵站");
    assert_true(settings->gateway.position.present);
    assert_true(settings->gateway.position.longitude == 112.8513);
    assert_true(settings->gateway.position.latitude == 35.4907);
    assert_int_equal(settings->gateway.crs, CRS_WGS84);
    assert_true(settings->gateway.trusted_rtc);
    settings_free(settings);
    diagnostics_free(diagnostics);
}

/* The example that is shipped says nothing that a deployer would have to excuse. */
/* Every version brought an example with all of its keys. */
static void take_example(const char *path, bool sectors[SECTOR_COUNT])
{
    struct settings_sources sources = {.profile_dirs = SHIPPED,
                                       .profile_dir_count = 1,
                                       .quantity = class_quantity,
                                       .pack_dirs = PACKS,
                                       .pack_dir_count = 1,
                                       .diagnosis = diagnosis_form_of};
    struct diagnostics *diagnostics = diagnostics_new();
    struct settings *settings = settings_load(path, &sources, diagnostics);
    assert_string_equal(diagnostics_text(diagnostics), "");
    assert_non_null(settings);
    for (size_t i = 0; i < settings->device_count; i++)
        sectors[settings->devices[i].sector] = true;
    settings_free(settings);
    diagnostics_free(diagnostics);
}

static void shipped_example(void **state)
{
    (void)state;
    bool sectors[SECTOR_COUNT] = {false};
    take_example(SOURCE_DIR "/config/gateway.yaml", sectors);
    assert_true(sectors[SECTOR_GAS] && sectors[SECTOR_WATER] && sectors[SECTOR_DRAINAGE]);
    assert_true(sectors[SECTOR_HEAT] && sectors[SECTOR_MANHOLE] && sectors[SECTOR_SPONGE]);
}

/* A configuration of an earlier version stays good, without a word. */
static void earlier_examples(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(TESTS_DIR "/replay/earlier/*/gateway.yaml", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        bool sectors[SECTOR_COUNT] = {false};
        take_example(found.gl_pathv[i], sectors);
        assert_true(sectors[SECTOR_GAS] && sectors[SECTOR_WATER]);
    }
    globfree(&found);
}

static void scalars(void **state)
{
    (void)state;
    int64_t integer = 0;
    double number = 0;
    assert_true(scalar_integer("-12", &integer) && integer == -12);
    assert_true(scalar_integer("0x1F", &integer) && integer == 31);
    assert_true(scalar_integer("010", &integer) && integer == 10);
    assert_true(scalar_duration("0s", &integer) && integer == 0);
    assert_true(scalar_duration("30d", &integer) && integer == INT64_C(2592000000));
    assert_true(scalar_size("3GiB", &integer) && integer == INT64_C(3) << 30);
    assert_true(scalar_number("-1.5e3", &number) && number == -1500);

    static const char *const bad[] = {"",  "-", "0x", "1 ", " 1", "1.0", "99999999999999999999",
                                      "1s"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(scalar_integer(bad[i], &integer));
    static const char *const bad_durations[] = {
        "", "1", "s", "-1s", "1S", "1 s", "1.5s", "999999999999999999d", "1sec"};
    for (size_t i = 0; i < sizeof(bad_durations) / sizeof(bad_durations[0]); i++)
        assert_false(scalar_duration(bad_durations[i], &integer));
    static const char *const bad_numbers[] = {"",      "nan", "inf", "0x1p3",
                                              "1e999", "1,5", " 1",  "1 "};
    for (size_t i = 0; i < sizeof(bad_numbers) / sizeof(bad_numbers[0]); i++)
        assert_false(scalar_number(bad_numbers[i], &number));
    struct serial serial;
    static const char *const bad_serials[] = {"",          "9600",     "9600 8N",
                                              "9600 9N1",  "9600 8N3", "9600  8N1",
                                              "12345 8N1", "9600 8n1", "99999999 8N1"};
    for (size_t i = 0; i < sizeof(bad_serials) / sizeof(bad_serials[0]); i++)
        assert_false(scalar_serial(bad_serials[i], &serial));
}

static void suggestions(void **state)
{
    (void)state;
    static const struct {
        const char *word, *text;
    } cases[] = {
        {"manhol", "; did you mean \"manhole\"?"},
        {"MANHOLE", "; did you mean \"manhole\"?"},
        {"amnhoel", "; did you mean \"manhole\"?"},
        {"ags", "; did you mean \"gas\"?"},
        {"x", ""},
        {"", ""},
        {"something else", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct suggest suggest = suggest_start(cases[i].word);
        suggest_offer(&suggest, "gas");
        suggest_offer(&suggest, "manhole");
        assert_string_equal(suggest_text(&suggest), cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(devices),
        cmocka_unit_test(a_profile_knows_how_patient_to_be),
        cmocka_unit_test(ranges_are_the_sectors),
        cmocka_unit_test(uplinks),
        cmocka_unit_test(clients_never_share_an_id),
        cmocka_unit_test(gateway_section),
        cmocka_unit_test(shipped_example),
        cmocka_unit_test(earlier_examples),
        cmocka_unit_test(scalars),
        cmocka_unit_test(suggestions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
