/* lifelinectl status as people see it: canned answers of a daemon, stdout caught in a file.
 *
 * The daemon's answers come from here, one thing made worse at a time; that every line fits a
 * terminal is looked at each time. What the whole of it looks like, in both languages, is in
 * test_ctl_goldens.c. */
#include "gateway/ctl/client.h"
#include "tests/unit/ctl_shown.h"

static json_t *answer_status, *answer_lines;

enum ctl_exit client_ask(const struct ctl *ctl, const char *method, const char *path, json_t **body)
{
    (void)ctl;
    assert_string_equal(method, "GET");
    *body = json_deep_copy(strcmp(path, "/v1/lines") == 0 ? answer_lines : answer_status);
    return CTL_FINE;
}

static void write_text(const struct command *command, const json_t *result)
{
    command->text(result);
}

/* A device that is well; the tests make it worse. */
static json_t *device(const char *name)
{
    return json_pack("{s:s, s:s, s:s, s:n, s:i, s:i, s:b, s:f, s:{s:i, s:i, s:i, s:i, s:i, s:i}}",
                     "name", name, "title", "", "outcome", "ok", "exception", "good_age_ms", 800,
                     "next_ms", 42000, "resting", false, "stretch", 1.0, "counts", "requests", 1000,
                     "good", 1000, "timeout", 0, "exception", 0, "garbled", 0, "late", 0);
}

static int setup(void **state)
{
    (void)state;
    answer_status =
        json_pack("{s:{}, s:{}, s:{}, s:[]}", "gateway", "store", "pipeline", "uplinks");
    answer_lines = json_pack("{s:[{s:s, s:s, s:b, s:i, s:f, s:i, s:i, s:i, s:n, s:n, s:[]}]}",
                             "lines", "name", "rs485-1", "place", "/dev/ttyS1", "open", true,
                             "load_percent", 62, "forecast_percent", 60.2, "devices", 1, "silent",
                             0, "slipping", 0, "round_trip_p50_us", "round_trip_p99_us", "units");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(answer_status);
    json_decref(answer_lines);
    return 0;
}

static json_t *first_line(void)
{
    return json_array_get(json_object_get(answer_lines, "lines"), 0);
}

static json_t *put(json_t *unit)
{
    json_array_append_new(json_object_get(first_line(), "units"), unit);
    return unit;
}

static void count(json_t *unit, const char *kind, json_int_t number)
{
    json_object_set_new(json_object_get(unit, "counts"), kind, json_integer(number));
}

/* All that is printed; no line of it is wider than a terminal. */
static const char *status(void)
{
    static const struct writer writer = {"text", write_text};
    struct ctl ctl = {.writer = &writer, .command = &status_command};
    shown_catch(STDOUT_FILENO);
    enum ctl_exit code = status_command.run(&ctl);
    shown_release();
    assert_int_equal(code, CTL_FINE);
    shown_fits();
    return shown;
}

static void assert_shown(const char *text)
{
    if (!strstr(status(), text))
        fail_msg("no \"%s\" in\n%s", text, shown);
}

static void assert_not_shown(const char *text)
{
    if (strstr(status(), text))
        fail_msg("\"%s\" in\n%s", text, shown);
}

static void a_line_on_one_row(void **state)
{
    (void)state;
    put(device("well-1"));
    assert_shown("line     state  devices  silent  slipping  load  p50/p99  place\n"
                 "rs485-1  open         1       0         0  62 %        -  /dev/ttyS1\n");
    json_object_set_new(first_line(), "round_trip_p50_us", json_integer(1536));
    json_object_set_new(first_line(), "round_trip_p99_us", json_integer(81920));
    assert_shown("  1.5/82 ms  /dev/ttyS1\n");
    json_object_set_new(first_line(), "round_trip_p50_us", json_integer(12288));
    assert_shown("  12/82 ms  /dev/ttyS1\n");
    json_object_set_new(first_line(), "open", json_false());
    json_object_set_new(first_line(), "slipping", json_integer(7));
    assert_shown("rs485-1  closed        1       0         7  62 %  12/82 ms  /dev/ttyS1\n");
}

static void who_is_well_is_only_counted(void **state)
{
    (void)state;
    put(device("well-1"));
    put(device("well-2"));
    assert_shown("\n2 of 2 devices are well\n");
    assert_not_shown("well-1");
    assert_not_shown("trouble");
}

static void who_is_not_well_is_named(void **state)
{
    (void)state;
    put(device("well-1"));
    json_t *dead = put(device("well-2"));
    json_object_set_new(dead, "title", json_string("东侧雨水井"));
    json_object_set_new(dead, "outcome", json_string("timeout"));
    json_object_set_new(dead, "good_age_ms", json_null());
    json_object_set_new(dead, "resting", json_true());
    assert_shown("device  line     last good  trouble                       title\n"
                 "well-2  rs485-1          -  timeout, asked again in 42 s  东侧雨水井\n");
    assert_shown("\n1 of 2 devices are well\n");
    assert_not_shown("well-1");
}

static void every_trouble_has_its_words(void **state)
{
    (void)state;
    json_t *unit = put(device("d"));
    json_object_set_new(unit, "outcome", json_null());
    assert_shown("not asked yet");
    json_object_set_new(unit, "outcome", json_string("exception"));
    json_object_set_new(unit, "exception", json_integer(2));
    assert_shown("exception 2\n");
    json_object_set_new(unit, "outcome", json_string("ok"));
    json_object_set_new(unit, "stretch", json_real(1.7));
    assert_shown("slips to 1.7 x its period");
    json_object_set_new(unit, "stretch", json_real(1.05));
    assert_shown("slips to 1.1 x its period");
    json_object_set_new(unit, "stretch", json_real(1.04));
    assert_shown("1 of 1 devices are well");
    json_object_set_new(unit, "stretch", json_real(9.0)); /* it has no pace to keep */
    json_object_set_new(unit, "resting", json_true());
    assert_not_shown("slips");
}

static void shares_are_told_from_where_they_matter(void **state)
{
    (void)state;
    json_t *unit = put(device("d"));
    count(unit, "garbled", 9);
    count(unit, "late", 9);
    count(unit, "timeout", 49);
    assert_shown("1 of 1 devices are well");
    count(unit, "garbled", 10);
    count(unit, "late", 30);
    count(unit, "timeout", 200);
    assert_shown("20 % timeout, 1 % garbled, 3 % late");
    json_object_set_new(unit, "outcome", json_string("timeout")); /* not said twice */
    assert_shown("timeout, 1 % garbled, 3 % late");
    assert_not_shown("20 %");
    count(unit, "requests", 0);
    assert_not_shown("nan");
}

/* Everything at once, with the longest names: still on one line each, cut where it must be. */
static void the_worst_fits(void **state)
{
    char name[65];
    (void)state;
    memset(name, 'x', 64);
    name[64] = '\0';
    json_object_set_new(first_line(), "name", json_stringn(name, 32));
    json_object_set_new(first_line(), "place", json_string(name));
    json_object_set_new(first_line(), "round_trip_p50_us", json_integer(33554432));
    json_object_set_new(first_line(), "round_trip_p99_us", json_integer(67108864));
    json_t *unit = put(device(name));
    json_object_set_new(unit, "title", json_string("西侧雨水井西侧雨水井西侧雨水井西侧雨水井"));
    json_object_set_new(unit, "outcome", json_string("exception"));
    json_object_set_new(unit, "stretch", json_real(123456.0));
    json_object_set_new(unit, "next_ms", json_integer(INT64_MAX));
    count(unit, "garbled", INT32_MAX);
    count(unit, "timeout", INT32_MAX);
    count(unit, "late", INT32_MAX);
    assert_shown("0 of 1 devices are well");
    assert_shown("…");
}

static json_t *store_card(void)
{
    json_t *card = json_pack("{s:s, s:I, s:n, s:f, s:i, s:i}", "name", "mmcblk0", "bytes",
                             (json_int_t)8 << 30, "worn_percent", "years", 29.4, "counted_cycles",
                             3000, "counted_amplification", 4);
    json_object_set_new(json_object_get(answer_status, "store"), "card", card);
    return card;
}

static void how_long_the_card_lasts(void **state)
{
    (void)state;
    assert_shown("card not known, no forecast of its wear\n");
    json_t *card = store_card();
    assert_shown("card mmcblk0, 8.0 GiB: 29 years at this rate\n"
                 "  counting 3000 erase cycles, 4 bytes of flash for each byte written\n");
    json_object_set_new(card, "worn_percent", json_integer(30));
    json_object_set_new(card, "years", json_real(2.5));
    assert_shown("card mmcblk0, 8.0 GiB, up to 30 % worn: 2.5 years at this rate\n");
    json_object_set_new(card, "years", json_real(100));
    assert_shown(": over 100 years at this rate\n");
    json_object_set_new(card, "years", json_null());
    assert_shown("worn: too early for a forecast\n");
}

static void what_ails_the_store_is_said_in_words(void **state)
{
    (void)state;
    json_t *store = json_object_get(answer_status, "store");
    json_object_set_new(store, "mode", json_string("ok"));
    assert_not_shown("disk");
    json_object_set_new(store, "mode", json_string("memory"));
    assert_shown("the disk fails: readings are kept in memory, which a power cut empties\n");
    json_object_set_new(store, "mode", json_string("read_only"));
    assert_shown("the disk is read-only: readings are kept in memory, which a power cut empties\n");
    json_object_set_new(store, "mode", json_string("full"));
    assert_shown("the disk is full: the oldest readings make way for new ones\n");
}

static void rates_are_told_when_they_are_known(void **state)
{
    (void)state;
    json_t *store = json_object_get(answer_status, "store");
    json_object_set_new(store, "flash_bytes", json_integer(2048));
    assert_shown("flash written 2.0 KiB; 0 commits");
    assert_not_shown("full in");
    json_object_set_new(store, "flash_bytes_day", json_integer(4096));
    json_object_set_new(store, "hours_left", json_integer(72));
    assert_shown("flash written 2.0 KiB, 4.0 KiB a day; 0 commits");
    assert_shown("full in 3 d at this rate\n");
}

static void what_a_broker_would_not_take(void **state)
{
    (void)state;
    json_t *uplink = json_pack("{s:s, s:b, s:{s:i, s:i}}", "name", "city", "connected", true,
                               "backlog", "readings", 7, "set_aside", 0);
    json_array_append(json_object_get(answer_status, "uplinks"), uplink);
    assert_not_shown("set aside");
    json_object_set_new(json_object_get(uplink, "backlog"), "set_aside", json_integer(2));
    assert_shown("uplink city: 2 segments set aside, which the broker does not take\n");
    json_decref(uplink);
}

static void a_thread_that_hangs(void **state)
{
    (void)state;
    assert_not_shown("HANGS");
    json_object_set_new(answer_status, "watchdog", json_pack("{s:[s]}", "hanging", "line rs485-1"));
    assert_shown("line rs485-1 HANGS: the supervisor is no longer told that all is well\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_on_one_row, setup, teardown),
        cmocka_unit_test_setup_teardown(who_is_well_is_only_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(who_is_not_well_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(every_trouble_has_its_words, setup, teardown),
        cmocka_unit_test_setup_teardown(shares_are_told_from_where_they_matter, setup, teardown),
        cmocka_unit_test_setup_teardown(how_long_the_card_lasts, setup, teardown),
        cmocka_unit_test_setup_teardown(what_ails_the_store_is_said_in_words, setup, teardown),
        cmocka_unit_test_setup_teardown(rates_are_told_when_they_are_known, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_broker_would_not_take, setup, teardown),
        cmocka_unit_test_setup_teardown(a_thread_that_hangs, setup, teardown),
        cmocka_unit_test_setup_teardown(the_worst_fits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
