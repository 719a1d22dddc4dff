/* alarm_text.c: what each kind of rule says at each step, against tests/unit/alarm_text.txt
 * (LIFELINE_GOLDEN=write writes it anew: look at the difference).
 *
 * And at random: what is said is always whole characters, fits, and never loses its number or its
 * end. LIFELINE_SEED=n repeats one. */
#include "gateway/flow/alarm_text.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "drivers/clock.h"

#define GOLDEN TESTS_DIR "/unit/alarm_text.txt"

enum { DEPTH, PRESSURE, OPEN, FLOAT, POINTS };

static struct profile_point points[POINTS] = {
    [DEPTH] = {.title_zh = (char *)(uintptr_t) "积水深度",
               .title_en = (char *)(uintptr_t) "water depth",
               .unit = (char *)(uintptr_t) "mm"},
    [PRESSURE] = {.title_zh = (char *)(uintptr_t) "压力",
                  .title_en = (char *)(uintptr_t) "pressure",
                  .unit = (char *)(uintptr_t) "MPa",
                  .decimals = 3},
    [OPEN] = {.title_zh = (char *)(uintptr_t) "开合",
              .title_en = (char *)(uintptr_t) "open",
              .unit = (char *)(uintptr_t) "1"},
    [FLOAT] = {.title_zh = (char *)(uintptr_t) "流量",
               .title_en = (char *)(uintptr_t) "flow",
               .unit = (char *)(uintptr_t) "m³/h",
               .is_float = true},
};

static struct profile profile = {.points = points, .point_count = POINTS};

static struct settings_device devices[] = {
    {.name = (char *)(uintptr_t) "ponding-07",
     .title = (char *)(uintptr_t) "泽州路积水点",
     .profile = &profile},
    {.name = (char *)(uintptr_t) "well-3", .title = (char *)(uintptr_t) "", .profile = &profile},
};

static const struct settings settings = {.devices = devices, .device_count = 2};

static struct rule_condition conditions[RULE_CONDITIONS_MAX] = {
    {.point = {0, DEPTH}, .kind = RULE_ABOVE, .value = 250},
    {.point = {1, OPEN}, .kind = RULE_EQUALS, .value = 0},
    {.point = {1, PRESSURE}, .kind = RULE_BELOW, .value = 0.14},
};

static const struct diagnosis_form form = {.title_zh = "爆管", .title_en = "pipe burst"};

/* One of each kind, with the point and the value that go with it. */
static const struct {
    struct rule rule;
    uint32_t point;
    double value;
} kinds[] = {
    {{.kind = RULE_ABOVE,
      .levels = {{.given = false},
                 {.given = true, .value = 600},
                 {.given = true, .value = 400},
                 {.given = true, .value = 270},
                 {.given = true, .value = 150}}},
     DEPTH,
     285},
    {{.kind = RULE_BELOW,
      .levels = {{.given = false},
                 {.given = false},
                 {.given = true, .value = 0.1},
                 {.given = true, .value = 0.14},
                 {.given = true, .value = 0.2}}},
     PRESSURE,
     0.132},
    {{.kind = RULE_RISE,
      .levels = {{.given = false},
                 {.given = false},
                 {.given = true, .value = 20},
                 {.given = true, .value = 10},
                 {.given = true, .value = 5}},
      .window = {.given = true, .value = 60000}},
     DEPTH,
     12},
    {{.kind = RULE_FALL,
      .levels = {{.given = false},
                 {.given = false},
                 {.given = true, .value = 0.3},
                 {.given = true, .value = 0.1},
                 {.given = true, .value = 0.05}},
      .window = {.given = true, .value = 60000}},
     PRESSURE,
     0.12},
    {{.kind = RULE_SUM,
      .levels = {{.given = false},
                 {.given = true, .value = 100},
                 {.given = true, .value = 70},
                 {.given = true, .value = 50},
                 {.given = true, .value = 30}},
      .window = {.given = true, .value = 5400000}},
     FLOAT,
     52.4},
    {{.kind = RULE_EQUALS,
      .levels = {{.given = false},
                 {.given = false},
                 {.given = true, .value = 1},
                 {.given = true, .value = 1},
                 {.given = true, .value = 1}}},
     OPEN,
     1},
    {{.kind = RULE_SILENT,
      .levels = {{.given = false},
                 {.given = false},
                 {.given = true, .value = 3600000},
                 {.given = true, .value = 900000},
                 {.given = true, .value = 600000}}},
     DEPTH,
     900000},
    {{.kind = RULE_SILENT,
      .levels = {{.given = false},
                 {.given = false},
                 {.given = true, .value = 3600000},
                 {.given = true, .value = 900000},
                 {.given = true, .value = 600000}}},
     UINT32_MAX,
     905000},
    {{.kind = RULE_FLAT,
      .levels = {{.given = false},
                 {.given = false},
                 {.given = false},
                 {.given = false},
                 {.given = true, .value = 21600000}}},
     PRESSURE,
     21600000},
    {{.kind = RULE_ALL, .conditions = conditions, .condition_count = 2}, UINT32_MAX, 1},
    {{.kind = RULE_ANY, .conditions = conditions, .condition_count = 3}, UINT32_MAX, 1},
    {{.kind = RULE_DIAGNOSE,
      .diagnosis = &form,
      .levels = {{.given = false}, {.given = true, .value = 0.2}}},
     PRESSURE,
     0.25},
};

static const enum alarm_status statuses[] = {ALARM_STATUS_RAISED,     ALARM_STATUS_ESCALATED,
                                             ALARM_STATUS_EASED,      ALARM_STATUS_ACKED,
                                             ALARM_STATUS_SUPPRESSED, ALARM_STATUS_CLEARED};

static char zh[ALARM_TEXT_MAX], en[ALARM_TEXT_MAX];

static struct alarm_subject subject_of(size_t kind, enum alarm_status status)
{
    return (struct alarm_subject){
        .settings = &settings,
        .device = kind % 2,
        .point = kinds[kind].point,
        .rule = &kinds[kind].rule,
        .status = status,
        .level = status == ALARM_STATUS_CLEARED ? LEVEL_NONE : LEVEL_YELLOW,
        .previous_level = LEVEL_YELLOW,
        .value = kinds[kind].value,
        .lasted_ms = 720000,
    };
}

static void every_kind_at_every_step(void **state)
{
    (void)state;
    static char shown[32768], wanted[sizeof shown];
    const char *mode = getenv("LIFELINE_GOLDEN");
    bool is_written = mode && strcmp(mode, "write") == 0;
    size_t used = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
            const struct alarm_subject subject = subject_of(k, statuses[i]);
            alarm_text(&subject, zh, en);
            used += (size_t)snprintf(shown + used, sizeof shown - used, "%s %s\n    %s\n    %s\n",
                                     rule_kind_name(kinds[k].rule.kind),
                                     names_alarm_status(statuses[i]), zh, en);
        }
    }
    FILE *file = fopen(GOLDEN, is_written ? "we" : "re");
    assert_non_null(file);
    if (is_written)
        fputs(shown, file);
    else
        wanted[fread(wanted, 1, sizeof wanted - 1, file)] = '\0';
    fclose(file);
    if (!is_written && strcmp(wanted, shown) != 0)
        fail_msg("---- wanted:\n%s---- shown:\n%s", wanted, shown);
}

static void a_diagnosis_in_its_own_words(void **state)
{
    (void)state;
    struct alarm_subject subject = subject_of(11, ALARM_STATUS_RAISED);
    alarm_text_of_diagnosis(&subject, "压力骤降 0.25 MPa，5 分钟未恢复",
                            "pressure fell by 0.25 MPa and stayed for 5 min", zh, en);
    assert_string_equal(zh, "well-3 压力骤降 0.25 MPa，5 分钟未恢复");
    assert_string_equal(en, "well-3: pressure fell by 0.25 MPa and stayed for 5 min");
    subject.status = ALARM_STATUS_SUPPRESSED;
    alarm_text_of_diagnosis(&subject, "爆管", "burst", zh, en);
    assert_string_equal(zh, "well-3 爆管（维护中）");
    assert_string_equal(en, "well-3: burst (maintenance)");
}

/* ---- numbers ---- */

static void says(uint32_t point, double value, const char *words)
{
    struct alarm_subject subject = subject_of(0, ALARM_STATUS_CLEARED);
    struct rule rule = kinds[0].rule;
    char expected[ALARM_TEXT_MAX];
    subject.rule = &rule;
    subject.point = point;
    subject.value = value;
    subject.lasted_ms = -1; /* the wall clock went back */
    snprintf(expected, sizeof expected, "泽州路积水点: %s; over", words);
    alarm_text(&subject, zh, en);
    assert_string_equal(en, expected);
}

static void numbers_as_their_point_has_them(void **state)
{
    (void)state;
    says(DEPTH, 285, "water depth 285 mm");
    says(DEPTH, -0.2, "water depth 0 mm");
    says(DEPTH, -0.0, "water depth 0 mm");
    says(PRESSURE, 0.1, "pressure 0.100 MPa");
    says(PRESSURE, -0.0004, "pressure 0.000 MPa");
    says(PRESSURE, -0.0006, "pressure -0.001 MPa");
    says(OPEN, 1, "open 1");
    says(FLOAT, 12.5, "flow 12.5 m³/h");
    says(FLOAT, (double)0.1f, "flow 0.1 m³/h");
    says(FLOAT, 1234567, "flow 1234567 m³/h");
    says(FLOAT, 123456789012, "flow 123456789012 m³/h");
    says(FLOAT, 0.00001, "flow 0.000010 m³/h");
    says(FLOAT, 0, "flow 0 m³/h");
    says(FLOAT, -1e-9, "flow 0 m³/h");
    says(FLOAT, NAN, "flow ? m³/h");
    says(FLOAT, -INFINITY, "flow ? m³/h");
}

static void lasts(int64_t ms, const char *words_zh, const char *words_en)
{
    struct alarm_subject subject = subject_of(5, ALARM_STATUS_CLEARED);
    char expected[ALARM_TEXT_MAX];
    subject.lasted_ms = ms;
    alarm_text(&subject, zh, en);
    snprintf(expected, sizeof expected, "well-3 开合为 1，已恢复，持续 %s", words_zh);
    assert_string_equal(zh, expected);
    snprintf(expected, sizeof expected, "well-3: open is 1; over after %s", words_en);
    assert_string_equal(en, expected);
}

static void durations_as_people_say_them(void **state)
{
    (void)state;
    lasts(0, "0 秒", "0 s");
    lasts(1500, "1.5 秒", "1.5 s");
    lasts(59000, "59 秒", "59 s");
    lasts(60000, "1 分钟", "1 min");
    lasts(90000, "1.5 分钟", "1.5 min");
    lasts(720000, "12 分钟", "12 min");
    lasts(3600000, "1 小时", "1 h");
    lasts(5400000, "1.5 小时", "1.5 h");
    lasts(129600000, "36 小时", "36 h");
    lasts(172800000, "2 天", "2 d");
    lasts(INT64_C(864000000) * 3, "30 天", "30 d");
}

static void a_level_that_the_rule_lost_has_no_number(void **state)
{
    (void)state;
    struct alarm_subject subject = subject_of(1, ALARM_STATUS_ACKED);
    subject.level = LEVEL_RED;
    alarm_text(&subject, zh, en);
    assert_string_equal(zh, "well-3 压力 0.132 MPa，低至红色");
    assert_string_equal(en, "well-3: pressure 0.132 MPa, red");
}

/* ---- room ---- */

static bool is_whole(const char *text)
{
    size_t length = strlen(text), i = 0;
    while (i < length) {
        unsigned char c = (unsigned char)text[i++];
        for (int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0; more > 0; more--) {
            if (((unsigned char)text[i++] & 0xc0) != 0x80)
                return false;
        }
    }
    return i == length && length < ALARM_TEXT_MAX;
}

static size_t below(unsigned *seed, int limit)
{
    return (size_t)(rand_r(seed) % limit);
}

static void fill(char *out, size_t length, unsigned *seed)
{
    static const char *const characters[] = {"积", "a", "³", " ", "🚨"};
    out[0] = '\0';
    for (size_t used = 0; used + 4 < length;) {
        const char *next = characters[below(seed, 5)];
        memcpy(out + used, next, strlen(next) + 1);
        used += strlen(next);
    }
}

/* Titles, units and places as long as anybody may write them. */
static void it_always_fits(void **state)
{
    (void)state;
    static char title[2][600], unit[100], place[600];
    const char *given = getenv("LIFELINE_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)getpid();
    print_message("LIFELINE_SEED=%u\n", seed);
    struct profile_point before = points[PRESSURE];
    struct settings_device device = devices[1];
    points[PRESSURE].title_zh = title[0];
    points[PRESSURE].title_en = title[1];
    points[PRESSURE].unit = unit;
    devices[1].title = place;
    for (size_t i = 3; i < RULE_CONDITIONS_MAX; i++)
        conditions[i] = conditions[2];
    for (int run = 0; run < 20000; run++) {
        size_t kind = 1 + 2 * below(&seed, 6); /* on device 1 */
        struct alarm_subject subject = subject_of(kind, statuses[below(&seed, 6)]);
        struct rule rule = kinds[kind].rule;
        fill(title[0], below(&seed, 600), &seed);
        fill(title[1], below(&seed, 600), &seed);
        fill(unit, below(&seed, 100), &seed);
        fill(place, below(&seed, 600), &seed);
        if (rule.condition_count)
            rule.condition_count = 1 + below(&seed, RULE_CONDITIONS_MAX);
        subject.rule = &rule;
        if (subject.point != UINT32_MAX && rule.kind != RULE_EQUALS)
            subject.point = PRESSURE;
        alarm_text(&subject, zh, en);
        assert_true(is_whole(zh) && is_whole(en));
        if (rule.kind == RULE_BELOW || rule.kind == RULE_FALL) {
            assert_non_null(strstr(zh, rule.kind == RULE_BELOW ? " 0.132" : " 0.120"));
            assert_non_null(strstr(en, rule.kind == RULE_BELOW ? " 0.132" : " 0.120"));
        }
        if (subject.status == ALARM_STATUS_CLEARED)
            assert_non_null(strstr(zh, "已恢复，持续 12 分钟"));
        alarm_text_of_diagnosis(&subject, title[0], title[1], zh, en);
        assert_true(is_whole(zh) && is_whole(en));
    }
    points[PRESSURE] = before;
    devices[1] = device;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_at_every_step),
        cmocka_unit_test(a_diagnosis_in_its_own_words),
        cmocka_unit_test(numbers_as_their_point_has_them),
        cmocka_unit_test(durations_as_people_say_them),
        cmocka_unit_test(a_level_that_the_rule_lost_has_no_number),
        cmocka_unit_test(it_always_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
