/* Values as JSON, and which of them a client's patterns select.
 *
 * A hand-made device of four points in one block; the samples go through the real table of newest
 * values. Numbers are looked at as the text that a client gets. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/api/internal.h"

enum { LEVEL, COUNT, FLOW, STATE, POINTS };

static struct profile_point points[POINTS] = {
    [LEVEL] = {.name = "level", .unit = "m", .decimals = 3},
    [COUNT] = {.name = "count", .unit = "1"},
    [FLOW] = {.name = "flow", .unit = "m³/h", .is_float = true},
    [STATE] = {.name = "state", .unit = "1"},
};
static struct profile profile = {.points = points, .point_count = POINTS};
static struct settings_device device = {.name = "sump-1", .profile = &profile};
static struct settings settings = {.devices = &device, .device_count = 1};
static const uint16_t indices[POINTS] = {LEVEL, COUNT, FLOW, STATE};
static struct plan_block block = {.points = indices, .point_count = POINTS};
static struct plan plan = {.blocks = &block, .block_count = 1};
static struct setup setup = {.settings = &settings, .plan = &plan};

struct bench {
    struct api api;
    struct value scratch[POINTS];
};

static int bench_setup(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    bench->api.rooms.setup = &setup;
    bench->api.rooms.latest = latest_new(&plan);
    bench->api.values = bench->scratch;
    *state = bench;
    return 0;
}

static int bench_teardown(void **state)
{
    struct bench *bench = *state;
    latest_free(bench->api.rooms.latest);
    free(bench);
    return 0;
}

static void put(struct bench *bench, enum quality failure, int64_t at_ms,
                const struct value values[POINTS])
{
    const struct sample sample = {.count = failure ? 0 : POINTS,
                                  .failure = (uint8_t)failure,
                                  .mono = {at_ms * 1000000},
                                  .wall = {1700000000000 + at_ms}};
    latest_set(bench->api.rooms.latest, 0, &sample, values);
}

/* What a client gets at that moment, the point's object as text. */
static void expect(struct bench *bench, size_t point, int64_t now_ms, const char *text)
{
    json_t *out = json_array();
    reading_append(&bench->api, 0, NULL, (mono_time){now_ms * 1000000}, out);
    assert_int_equal(json_array_size(out), POINTS);
    char *got = json_dumps(json_array_get(out, point), JSON_COMPACT | JSON_REAL_PRECISION(15));
    assert_string_equal(got, text);
    free(got);
    json_decref(out);
}

static void before_the_first_sample_all_is_null(void **state)
{
    expect(*state, LEVEL, 0,
           "{\"device\":\"sump-1\",\"point\":\"level\",\"unit\":\"m\",\"decimals\":3,"
           "\"value\":null,\"quality\":null,\"time_ms\":null,\"age_ms\":null,"
           "\"last_value\":null,\"last_age_ms\":null}");
}

static void a_good_sample_has_its_decimals(void **state)
{
    const struct value values[POINTS] = {{.steps = -1025},
                                         {.steps = INT64_C(9007199254740991)},
                                         {.real = 0.1f},
                                         {.steps = 1, .quality = 17}};
    put(*state, QUALITY_GOOD, 5000, values);
    expect(*state, LEVEL, 5250,
           "{\"device\":\"sump-1\",\"point\":\"level\",\"unit\":\"m\",\"decimals\":3,"
           "\"value\":-1.025,\"quality\":\"good\",\"time_ms\":1700000005000,\"age_ms\":250}");
    expect(*state, COUNT, 5000,
           "{\"device\":\"sump-1\",\"point\":\"count\",\"unit\":\"1\",\"decimals\":0,"
           "\"value\":9007199254740991,\"quality\":\"good\",\"time_ms\":1700000005000,"
           "\"age_ms\":0}");
    expect(*state, FLOW, 5000,
           "{\"device\":\"sump-1\",\"point\":\"flow\",\"unit\":\"m³/h\",\"value\":0.1,"
           "\"quality\":\"good\",\"time_ms\":1700000005000,\"age_ms\":0}");
    expect(*state, STATE, 5000,
           "{\"device\":\"sump-1\",\"point\":\"state\",\"unit\":\"1\",\"decimals\":0,"
           "\"value\":null,\"quality\":\"invalid\",\"time_ms\":1700000005000,\"age_ms\":0}");
}

static void a_failed_poll_keeps_the_last_value_apart(void **state)
{
    const struct value values[POINTS] = {[LEVEL] = {.steps = 2310}};
    put(*state, QUALITY_GOOD, 1000, values);
    put(*state, QUALITY_TIMEOUT, 4000, NULL);
    expect(*state, LEVEL, 4100,
           "{\"device\":\"sump-1\",\"point\":\"level\",\"unit\":\"m\",\"decimals\":3,"
           "\"value\":null,\"quality\":\"timeout\",\"time_ms\":1700000004000,\"age_ms\":100,"
           "\"last_value\":2.31,\"last_age_ms\":3100}");
}

static void no_float_makes_bad_json(void **state)
{
    static const float odd[] = {INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        const struct value values[POINTS] = {[FLOW] = {.real = odd[i]}};
        put(*state, QUALITY_GOOD, 1000, values);
        expect(*state, FLOW, 1000,
               "{\"device\":\"sump-1\",\"point\":\"flow\",\"unit\":\"m³/h\",\"value\":null,"
               "\"quality\":\"good\",\"time_ms\":1700000001000,\"age_ms\":0}");
    }
}

static bool selects(const char *text)
{
    struct evkeyvalq query;
    assert_int_equal(evhttp_parse_query_str(text, &query), 0);
    bool wanted = reading_wanted(&query, "sump-1", "level");
    evhttp_clear_headers(&query);
    return wanted;
}

static void patterns_select_points(void **state)
{
    static const char *const fit[] = {
        "",         "point=sump-1",  "point=sump-1.level", "point=*",      "point=sump-*",
        "other=x",  "point=*.level", "point=sump-?.l*l",   "point=?ump-1", "point=x&point=sump-1",
        "point=**", "point=*l*e*v*l"};
    static const char *const differ[] = {"point=sump", "point=level",   "point=sump-1.",
                                         "point=",     "point=sump-1?", "point=sump-1.levels",
                                         "point=*.x*", "point=SUMP-1",  "point=[s]ump-1",
                                         "point=?",    "point=*level?"};
    (void)state;
    for (size_t i = 0; i < sizeof fit / sizeof *fit; i++) {
        if (!selects(fit[i]))
            fail_msg("\"%s\" does not select", fit[i]);
    }
    for (size_t i = 0; i < sizeof differ / sizeof *differ; i++) {
        if (selects(differ[i]))
            fail_msg("\"%s\" selects", differ[i]);
    }
}

/* A pattern on which a recursive matcher would run for years. */
static void no_pattern_takes_long(void **state)
{
    char query[1024] = "point=";
    size_t length = strlen(query);
    (void)state;
    for (; length < 700; length += 2)
        memcpy(query + length, "*u", 3);
    assert_false(selects(query));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(before_the_first_sample_all_is_null, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(a_good_sample_has_its_decimals, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(a_failed_poll_keeps_the_last_value_apart, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(no_float_makes_bad_json, bench_setup, bench_teardown),
        cmocka_unit_test(patterns_select_points),
        cmocka_unit_test(no_pattern_takes_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
