/* What `config --explain` tells of the files is what their readers take: each key where its path
 * says, and no other there; both languages; on a terminal.
 *
 * A place that is new in the tables needs a line in `places` below. */
#include <unistd.h>

#include "config/profile.h"
#include "config/reference.h"
#include "config/settings.h"
#include "drivers/class.h"
#include "gateway/ctl/commands.h"
#include "tests/unit/ctl_shown.h"

#define HEAD                                                                                       \
    "gateway: { id: gw-1, region: \"140502\" }\n"                                                  \
    "lines: [ { name: plc, transport: tcp, host: 192.168.1.10 } ]\n"
#define DEVICE HEAD "devices: [ { name: d, line: plc, unit: 1, profile: flow, "
#define POINT                                                                                      \
    "profile: p\nsector: water\nstatus: beta\npoints: [ { name: a, quantity: raw, function: "      \
    "holding, address: 1, type: u16, "
#define PACK "pack: mine\nversion: 1\n"

/* What a key is written into. */
static const struct {
    const char *place, *text;
} places[] = {
    {"", "%s\n"},
    {"gateway", "gateway: { %s }\n"},
    {"store", "store: { %s }\n"},
    {"lines", "lines: [ { %s } ]\n"},
    {"devices", "devices: [ { %s } ]\n"},
    {"devices.alarms", DEVICE "alarms: { r: { %s } } } ]\n"},
    {"devices.points", DEVICE "points: { depth: { %s } } } ]\n"},
    {"devices.points.alarms", DEVICE "points: { depth: { alarms: { r: { %s } } } } } ]\n"},
    {"catchments", "catchments: [ { %s } ]\n"},
    {"catchments.outfalls", HEAD "catchments: [ { outfalls: [ { %s } ] } ]\n"},
    {"uplinks", "uplinks: [ { %s } ]\n"},
    {"uplinks.tls", "uplinks: [ { tls: { %s } } ]\n"},
    {"alarms", "alarms: { %s }\n"},
    {"api", "api: { %s }\n"},
    {"profile", "%s\n"},
    {"profile.title", "title: { %s }\n"},
    {"profile.points", "points: [ { %s } ]\n"},
    {"profile.points.title", "points: [ { title: { %s } } ]\n"},
    {"profile.points.unit_from", POINT "unit_from: { %s } } ]\n"},
    {"profile.points.decimals_from", POINT "decimals_from: { %s } } ]\n"},
    {"profile.points.status_from", POINT "status_from: { %s } } ]\n"},
    {"profile.fingerprint", "fingerprint: [ { %s } ]\n"},
    {"profile.vectors", POINT "} ]\nvectors: [ { %s } ]\n"},
    {"pack", "%s\n"},
    {"pack.title", PACK "title: { %s }\n"},
    {"pack.alarms", PACK "alarms: [ { %s } ]\n"},
    {"pack.alarms.rules", PACK "alarms: [ { quantity: flow, rules: { r: { %s } } } ]\n"},
    {"pack.omitted", PACK "omitted: [ { %s } ]\n"},
};

static char folder[] = "/tmp/lifeline-reference-XXXXXX";

static void read_gateway(const char *text, struct diagnostics *out)
{
    static const char *const profiles[] = {TESTS_DIR "/replay/wrong/profiles"};
    const char *const packs[] = {folder};
    const struct settings_sources sources = {.profile_dirs = profiles,
                                             .profile_dir_count = 1,
                                             .quantity = class_quantity,
                                             .pack_dirs = packs,
                                             .pack_dir_count = 1,
                                             .diagnosis = diagnosis_form_of};
    settings_free(
        settings_parse(diagnostics_source(out, "gateway.yaml", text, strlen(text)), &sources, out));
}

static void write_pack(const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/gb-default.yaml", folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void read_file(const char *place, const char *text, struct diagnostics *out)
{
    if (strncmp(place, "profile", 7) == 0) {
        profile_free(profile_parse(diagnostics_source(out, "p.yaml", text, strlen(text)),
                                   class_quantity, out));
        return;
    }
    bool is_pack = strncmp(place, "pack", 4) == 0;
    write_pack(is_pack ? text : "pack: gb-default\nversion: 1\n");
    read_gateway(is_pack ? HEAD : text, out);
}

static const char *text_of_place(const char *place)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (strcmp(places[i].place, place) == 0)
            return places[i].text;
    }
    fail_msg("no line for \"%s\" in the table of this test", place);
    return NULL;
}

/* Whether the reader knows the key at that place; and it does look there. */
static bool is_taken(const char *place, const char *key)
{
    char text[1000], member[120], unknown[120], unruly[120];
    struct diagnostics *out = diagnostics_new();
    snprintf(member, sizeof member, "%s: { z: 0 }", key);
    const char *form = text_of_place(place), *at = strstr(form, "%s");
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - form), form, member, at + 2);
    read_file(place, text, out);
    snprintf(unknown, sizeof unknown, "has no key \"%s\"", key);
    snprintf(unruly, sizeof unruly, "a rule has no \"%s\"", key);
    const char *said = diagnostics_text(out);
    bool taken = !strstr(said, unknown) && !strstr(said, unruly);
    diagnostics_free(out);
    return taken;
}

static void every_key_stands_where_its_path_says(void **state)
{
    struct reference reference = reference_new(reference_files);
    (void)state;
    assert_in_range(reference.count, 150, 400);
    for (size_t k = 0; k < reference.count; k++) {
        char place[REFERENCE_PATH_MAX] = "";
        const char *path = reference.keys[k].path, *dot = strrchr(path, '.');
        if (dot)
            snprintf(place, sizeof place, "%.*s", (int)(dot - path), path);
        if (!is_taken(place, dot ? dot + 1 : path))
            fail_msg("%s is explained, but refused", path);
        if (is_taken(place, "qqq"))
            fail_msg("the test does not reach %s", path);
    }
    reference_free(&reference);
}

/* A list of which nobody says what its items hold has no keys. */
static void every_place_is_explained(void **state)
{
    struct reference reference = reference_new(reference_files);
    (void)state;
    for (size_t i = 1; i < sizeof places / sizeof *places; i++) {
        size_t below = 0, length = strlen(places[i].place);
        for (size_t k = 0; k < reference.count; k++)
            below += reference_is_under(&reference.keys[k], places[i].place) &&
                     reference.keys[k].path[length] == '.';
        if (!below)
            fail_msg("nothing is explained of %s", places[i].place);
    }
    reference_free(&reference);
}

static void every_key_has_words(void **state)
{
    struct reference reference = reference_new(reference_files);
    char facts[REFERENCE_TEXT_MAX];
    (void)state;
    for (size_t k = 0; k < reference.count; k++) {
        const struct field *field = reference.keys[k].field;
        if (!field->help.zh || !field->help.en || !field->type->name.zh || !field->type->name.en)
            fail_msg("%s has no words", reference.keys[k].path);
        for (int zh = 0; zh < 2; zh++) {
            reference_facts(field, zh, facts);
            assert_in_range(strlen(facts), 3, REFERENCE_TEXT_MAX - 2);
        }
    }
    reference_free(&reference);
}

static void facts_are_what_the_tables_say(void **state)
{
    static const struct {
        const char *path, *en, *zh;
    } cases[] = {
        {"store.sync", "duration; 100ms to 60s; default 1s", "时长；100ms 到 60s；默认 1s"},
        {"gateway.id", "name; 1 to 32 characters; of a-z 0-9 -; required",
         "名称；1 到 32 个字符；只含 a-z 0-9 -；必填"},
        {"gateway.name", "text; 1 to 200 bytes", "文本；1 到 200 字节（一个汉字 3 字节）"},
        {"gateway.region", "code; 6 digits; required", "数字代码；6 位数字；必填"},
        {"lines.transport", "choice: rtu, tcp, rtu-over-tcp; required",
         "选项：rtu、tcp、rtu-over-tcp；必填"},
        {"devices.base", "whole number; 0 to 65535; default 0", "整数；0 到 65535；默认 0"},
        {"uplinks.urls", "list of addresses; not empty; required", "地址列表；不能为空；必填"},
        {"devices.sector",
         "sector: gas, water, drainage, heat, manhole, waterlogging, sponge, bridge, tunnel, "
         "corridor",
         "专业：gas、water、drainage、heat、manhole、waterlogging、sponge、bridge、tunnel、"
         "corridor"},
    };
    struct reference reference = reference_new(reference_files);
    char facts[REFERENCE_TEXT_MAX];
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        size_t k = 0;
        while (k < reference.count && strcmp(reference.keys[k].path, cases[c].path) != 0)
            k++;
        assert_in_range(k, 0, reference.count - 1);
        reference_facts(reference.keys[k].field, false, facts);
        assert_string_equal(facts, cases[c].en);
        reference_facts(reference.keys[k].field, true, facts);
        assert_string_equal(facts, cases[c].zh);
    }
    reference_free(&reference);
}

static void the_nearest_is_named(void **state)
{
    static const char *const cases[][2] = {
        {"store.snyc", "store.sync"},
        {"uplnks", "uplinks"},
        {"tls.ca", "uplinks.tls.ca"},
        {"sectors", "uplinks.sectors"},
        {"Heartbeat", "store.heartbeat"},
        {"profile.points.ordr", "profile.points.order"},
        {"zzzzzzzz", NULL},
        {"", NULL},
    };
    struct reference reference = reference_new(reference_files);
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const char *nearest = reference_nearest(&reference, cases[c][0]);
        if (!cases[c][1])
            assert_null(nearest);
        else
            assert_string_equal(nearest, cases[c][1]);
    }
    reference_free(&reference);
}

static const char *explained(const char *key, const char *locale, enum ctl_exit wanted)
{
    char *arguments[] = {(char *)key};
    struct ctl ctl = {.explain_keys = true, .arguments = arguments, .argument_count = key != NULL};
    shown_in(locale);
    shown_catch(wanted == CTL_FINE ? STDOUT_FILENO : STDERR_FILENO);
    ctl.command = &config_command;
    bool chosen = commands_choose_form(&ctl, "text");
    enum ctl_exit code = config_command.run(&ctl);
    shown_release();
    assert_true(chosen);
    assert_int_equal(code, wanted);
    shown_fits();
    return shown;
}

static void it_is_told_on_a_terminal(void **state)
{
    (void)state;
    assert_non_null(strstr(explained(NULL, "C", CTL_FINE), "\nuplinks.tls.ca  absolute path\n"));
    assert_non_null(strstr(explained(NULL, "zh_CN", CTL_FINE), "\nuplinks.tls.ca  绝对路径\n"));
    assert_string_equal(explained("api.http", "C", CTL_FINE),
                        "api.http  text\n    HOST:PORT, to serve it on TCP too\n");
    assert_non_null(strstr(explained("devices.points.alarms", "C", CTL_FINE),
                           "its keys are those of devices.alarms\n"));
    assert_string_equal(explained("diagnoses.burst.within", "C", CTL_FINE),
                        "diagnoses.burst.within  duration; 1s to 1h; required in packs\n"
                        "    the drop happens in at most so long\n");
    assert_string_equal(explained("diagnoses.burst.within", "zh_CN", CTL_FINE),
                        "diagnoses.burst.within  时长；1s 到 1h；规则包中必填\n"
                        "    压降最多在这么久内发生\n");
    assert_string_equal(explained("api.htp", "C", CTL_FINDING),
                        "lifelinectl: no key \"api.htp\"; did you mean \"api.http\"?\n");
    assert_string_equal(explained("api.htp", "zh_CN", CTL_FINDING),
                        "lifelinectl: 没有键 \"api.htp\"；是不是 \"api.http\"？\n");
}

static int begin(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/gb-default.yaml", folder);
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_stands_where_its_path_says),
        cmocka_unit_test(every_place_is_explained),
        cmocka_unit_test(every_key_has_words),
        cmocka_unit_test(facts_are_what_the_tables_say),
        cmocka_unit_test(the_nearest_is_named),
        cmocka_unit_test(it_is_told_on_a_terminal),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
