/* What `lifelinectl setup` writes is what it was told.
 *
 * The configuration's own parser reads the same out of it, whatever people call things, and what
 * was typed for one key never becomes another. No file, no line, no terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config/settings.h"
#include "drivers/class.h"
#include "gateway/ctl/commission.h"

static const char *const PROFILES[] = {SOURCE_DIR "/config/profiles"};
static const char *const PACKS[] = {SOURCE_DIR "/config/alarms"};

static struct settings *read_back(const struct commission *commission)
{
    struct settings_sources sources = {.profile_dirs = PROFILES,
                                       .profile_dir_count = 1,
                                       .quantity = class_quantity,
                                       .pack_dirs = PACKS,
                                       .pack_dir_count = 1,
                                       .diagnosis = diagnosis_form_of};
    struct diagnostics *diagnostics = diagnostics_new();
    char *text = commission_text(commission);
    assert_non_null(text);
    struct settings *settings = settings_parse(
        diagnostics_source(diagnostics, "gateway.yaml", text, strlen(text)), &sources, diagnostics);
    if (!settings)
        fail_msg("%s\n%s", diagnostics_text(diagnostics), text);
    assert_string_equal(diagnostics_text(diagnostics), "");
    diagnostics_free(diagnostics);
    free(text);
    return settings;
}

static struct commission whole(void)
{
    struct commission commission = {
        .id = "gw-140502-0001",
        .region = "140502",
        .url = "mqtt://10.0.0.2:1883",
        .lines = {{.name = "rs485-1",
                   .transport = TRANSPORT_RTU,
                   .place = "/dev/ttyS1",
                   .serial = "4800 8N1"},
                  {.name = "tcp-1", .transport = TRANSPORT_TCP, .place = "fe80::1", .port = 1502}},
        .line_count = 2,
        .devices = {{.line = 0, .unit = 3, .profile = "rs-dip-n01"},
                    {.line = 1, .unit = 3, .profile = "rs-dip-n01"},
                    {.line = 1, .unit = 4, .why = "one of a, b; its nameplate tells"},
                    {.line = 1, .unit = 255, .profile = "gas10"}},
        .device_count = 4,
    };
    return commission;
}

static void all_of_it_is_read_back(void **state)
{
    (void)state;
    static struct commission commission;
    commission = whole();
    commission.username = "gw \"0001\": #1";
    commission.password_file = "/etc/life line/secret/'city'";
    struct settings *settings = read_back(&commission);
    assert_string_equal(settings->gateway.id, commission.id);
    assert_string_equal(settings->gateway.region, commission.region);
    assert_int_equal(settings->line_count, 2);
    assert_string_equal(settings->lines[0].device, "/dev/ttyS1");
    assert_int_equal(settings->lines[0].serial.baud, 4800);
    assert_string_equal(settings->lines[1].host, "fe80::1");
    assert_int_equal(settings->lines[1].port, 1502);
    assert_int_equal(settings->device_count, 3); /* what nobody can tell is none */
    assert_string_equal(settings->devices[0].name, "rs-dip-n01-rs485-1-3");
    assert_string_equal(settings->devices[1].name, "rs-dip-n01-tcp-1-3");
    assert_string_equal(settings->devices[2].name, "gas10-255");
    assert_int_equal(settings->devices[2].unit, 255);
    assert_string_equal(settings->uplinks[0].username, commission.username);
    assert_string_equal(settings->uplinks[0].password_file, commission.password_file);
    settings_free(settings);
}

static void a_name_may_be_anything(void **state)
{
    (void)state;
    static const char *const names[] = {"泽州路泵站",
                                        "a: b # c",
                                        "\"quoted\" \\ it's",
                                        "{ [ } ], & *",
                                        "- 1",
                                        "~",
                                        "true",

                                        "%YAML",
                                        "0x10",
                                        "trailing space ",
                                        "~~"};
    static struct commission commission;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        commission = whole();
        commission.name = names[i];
        struct settings *settings = read_back(&commission);
        assert_string_equal(settings->gateway.name, names[i]);
        settings_free(settings);
    }
}

/* Each answer is tried beside what is not known yet. */
static void what_is_not_known_yet_is_no_error(void **state)
{
    (void)state;
    static struct commission commission;
    commission = whole();
    commission.id = commission.url = NULL;
    settings_free(read_back(&commission));
    commission = whole();
    commission.region = NULL;
    commission.url = "mqtts://broker.example"; /* and no CA */
    settings_free(read_back(&commission));
}

static void nothing_that_is_typed_is_more_than_a_value(void **state)
{
    (void)state;
    static struct commission commission;
    commission = whole();
    snprintf(commission.lines[0].serial, sizeof commission.lines[0].serial, "%s",
             "9600 8N1, timeout: 9s");
    struct diagnostics *diagnostics = diagnostics_new();
    struct settings_sources sources = {
        .profile_dirs = PROFILES, .profile_dir_count = 1, .quantity = class_quantity};
    char *text = commission_text(&commission);
    assert_null(settings_parse(diagnostics_source(diagnostics, "gateway.yaml", text, strlen(text)),
                               &sources, diagnostics));
    assert_non_null(strstr(diagnostics_text(diagnostics), "serial"));
    diagnostics_free(diagnostics);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_is_read_back),
        cmocka_unit_test(a_name_may_be_anything),
        cmocka_unit_test(what_is_not_known_yet_is_no_error),
        cmocka_unit_test(nothing_that_is_typed_is_more_than_a_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
