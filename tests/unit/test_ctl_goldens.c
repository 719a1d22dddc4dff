/* What lifelinectl shows of canned results, in Chinese and in English, against files.
 *
 * tests/unit/ctl/NAME.json is an array of results, NAME.zh.txt and NAME.en.txt what is to be seen
 * of them. LIFELINE_GOLDEN=write writes these anew: look at the difference before it is committed.
 * Whatever is shown fits a terminal, and no Chinese text has English words in it but those that
 * come from elsewhere. */
#include <ctype.h>
#include <time.h>

#include "gateway/ctl/commands.h"
#include "gateway/ctl/probe.h"
#include "tests/unit/ctl_shown.h"
#include "tests/unit/true_clock.h"

#define GOLDEN TESTS_DIR "/unit/ctl/"

static const char *const languages[][2] = {{"zh_CN.UTF-8", "zh"}, {"C.UTF-8", "en"}};

/* English that no text of ours is: names, what other programs and floors say. */
static const char *const foreign[] = {
    "lifelined",
    "lifelinectl query",
    "lifelinectl alarms",
    "--format text",
    "MQTT",
    "PLC",
    "Connection refused",
    "Ctrl-C",
    "line rs485-2",
    /* what a pack gives as its source, the second half of a hint, doubts of a report */
    "cm closes the road in Beijing",
    "sewer gas",
    "ethane not measured",
    "mm of rain: below 2 mm no share is given",
    "flow was measured for 61 % of the event",
    "partial: 1 of 3 outlets are gauged, the captured share is at most this",
};

/* What lasts until now, and what is of today: it is 07:35 in the morning. */
int clock_gettime(clockid_t clock, struct timespec *out)
{
    int rc = true_clock(clock, out);
    if (clock == CLOCK_REALTIME)
        *out = (struct timespec){.tv_sec = 1795390500};
    return rc;
}

static void compare(const char *name, const char *language)
{
    char path[512], wanted[sizeof shown];
    const char *mode = getenv("LIFELINE_GOLDEN");
    snprintf(path, sizeof path, GOLDEN "%s.%s.txt", name, language);
    bool is_written = mode && strcmp(mode, "write") == 0;
    FILE *file = fopen(path, is_written ? "we" : "re");
    if (!file)
        fail_msg("no %s", path);
    if (is_written) {
        fputs(shown, file);
    } else {
        wanted[fread(wanted, 1, sizeof wanted - 1, file)] = '\0';
        if (strcmp(wanted, shown) != 0)
            fail_msg("%s\n---- wanted:\n%s---- shown:\n%s", path, wanted, shown);
    }
    fclose(file);
}

/* Two words with a blank between them, of two letters or more. */
static void assert_no_english(void)
{
    static char text[sizeof shown];
    memcpy(text, shown, sizeof text);
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        for (char *at; (at = strstr(text, foreign[i])) != NULL;)
            memset(at, '#', strlen(foreign[i]));
    }
    for (const char *at = strchr(text, ' '); at; at = strchr(at + 1, ' ')) {
        if (at - text >= 2 && islower(at[-1]) && islower(at[-2]) && islower(at[1]) &&
            islower(at[2]))
            fail_msg("English: ...%.60s", at - 2);
    }
}

static void show(const char *name, const char *golden)
{
    char path[512];
    snprintf(path, sizeof path, GOLDEN "%s.json", golden);
    json_t *results = json_load_file(path, 0, NULL), *result;
    const struct command *command = commands_find(name);
    size_t index;
    if (!results || !command)
        fail_msg("%s and %s are there", path, name);
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++) {
        shown_in(languages[i][0]);
        shown_catch(STDOUT_FILENO);
        json_array_foreach(results, index, result)
        {
            command->text(result);
        }
        shown_release();
        shown_fits();
        compare(name, languages[i][1]);
        if (i == 0 && strcmp(name, "check") != 0) /* diagnostics are English */
            assert_no_english();
    }
    json_decref(results);
}

static void status_shows(void **state)
{
    (void)state;
    show("status", "status");
}

static void tail_shows(void **state)
{
    (void)state;
    show("tail", "readings");
}

static void query_shows(void **state)
{
    (void)state;
    show("query", "readings");
}

static void read_shows(void **state)
{
    (void)state;
    show("read", "read");
}

static void alarms_shows(void **state)
{
    (void)state;
    show("alarms", "alarms");
}

static void watch_shows(void **state)
{
    (void)state;
    show("watch", "watch");
}

static void report_shows(void **state)
{
    (void)state;
    show("report", "report");
}

static void check_shows(void **state)
{
    (void)state;
    show("check", "check");
}

static void probe_shows(void **state)
{
    (void)state;
    show("probe", "probe");
}

static void help_shows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++) {
        shown_in(languages[i][0]);
        shown_catch(STDOUT_FILENO);
        commands_help(stdout, NULL);
        commands_help(stdout, commands_find("query"));
        shown_release();
        shown_fits();
        compare("help", languages[i][1]);
        if (i == 0)
            assert_no_english();
    }
}

/* ---- advice of probe, every kind of it ---- */

static json_t *unit(int number, enum probe_presence presence, bool twin, uint32_t garbled)
{
    const struct probe_unit unit = {.unit = (uint8_t)number,
                                    .serial = {9600, 8, 'N', 1},
                                    .presence = presence,
                                    .twin = twin,
                                    .garbled = garbled,
                                    .round_trip_us = 12345};
    return probe_report_unit(&unit);
}

/* What probe would say of a line on which everything is wrong. */
static json_t *all_advice(bool scanned)
{
    const struct settings_line line = {
        .name = (char *)"rs485-1",
        .transport = TRANSPORT_RTU,
        .serial = {.baud = scanned ? 4800 : 9600, .data_bits = 8, .parity = 'N', .stop_bits = 1}};
    const struct probe_device device = {(char *)"well-017", (char *)"rs-dip-n01", 4, 0};
    json_t *units = json_array(), *report, *models;
    json_array_append_new(units, unit(1, PROBE_SILENT, false, 0));
    json_array_append_new(units, unit(2, PROBE_GARBLED, false, 3));
    json_array_append_new(units, unit(3, PROBE_THERE, true, 0));
    report = unit(4, PROBE_THERE, false, 2);
    json_array_append_new(json_object_get(report, "devices"),
                          probe_report_device(&device, true, NULL));
    json_array_append_new(json_object_get(report, "devices"),
                          probe_report_device(&device, false, NULL));
    json_array_append_new(units, report);
    report = unit(5, PROBE_THERE, false, 0);
    models = json_object_get(report, "models");
    for (int i = 0; i < 2; i++)
        json_array_append_new(
            models, json_pack("{s:s, s:s, s:s, s:b, s:[{s:s, s:f, s:s, s:s, s:i}, {s:s, s:n, s:s, "
                              "s:s, s:i}]}",
                              "profile", i ? "press-level-a" : "press-level-b", "zh",
                              "压力式液位计", "en", "level gauge", "recognised", 0, "values",
                              "point", "level", "value", i ? 1.25 : 12.5, "unit", "m", "quality",
                              "good", "decimals", 2, "point", "temperature", "value", "unit", "°C",
                              "quality", "out_of_range", "decimals", 1));
    json_array_append_new(units, report);
    report = unit(6, PROBE_THERE, false, 0);
    json_array_append(json_object_get(report, "models"), json_array_get(models, 0));
    json_array_append_new(units, report);
    json_t *entry;
    size_t index;
    json_array_foreach(units, index, entry)
    {
        probe_report_advice(entry, &line, scanned);
    }
    return units;
}

static void probe_advises(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++) {
        shown_in(languages[i][0]);
        shown_catch(STDOUT_FILENO);
        for (int scanned = 0; scanned < 2; scanned++) {
            json_t *result =
                json_pack("{s:s, s:s, s:s, s:b, s:b, s:n, s:n, s:o}", "line", "rs485-1",
                          "transport", "rtu", "serial", "9600 8N1", "daemon", scanned, "complete",
                          0, "why", "why_zh", "units", all_advice(scanned));
            assert_non_null(result);
            probe_text_show(result);
            json_decref(result);
        }
        shown_release();
        shown_fits();
        compare("advice", languages[i][1]);
        if (i == 0)
            assert_no_english();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_shows), cmocka_unit_test(tail_shows),
        cmocka_unit_test(query_shows),  cmocka_unit_test(read_shows),
        cmocka_unit_test(check_shows),  cmocka_unit_test(probe_shows),
        cmocka_unit_test(help_shows),   cmocka_unit_test(probe_advises),
        cmocka_unit_test(alarms_shows), cmocka_unit_test(watch_shows),
        cmocka_unit_test(report_shows),
    };
    setenv("TZ", "CST-8", 1); /* 中国标准时间 */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
