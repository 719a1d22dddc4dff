/* report.c: a rain event to its bytes and back, every field; more doubts than fit; what is refused
 * of what comes from a disk or a broker.
 *
 * The bytes themselves are held against another decoder in tests/replay/wire. */
#include "proto/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "gateway/flow/runoff.h"
#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"

static const struct report_runoff whole = {
    .gateway = "gw-140502-0001",
    .sector = SECTOR_SPONGE,
    .at_ms = 1784336400000,
    .catchment = "park",
    .id = "park-20260718T031500Z",
    .grade = REPORT_GRADE_B,
    .from_ms = 1784344500000,
    .to_ms = 1784373300000,
    .rain_mm = 31.5,
    .area_ha = 12.5,
    .rain_m3 = 3937.5,
    .outflow_m3 = 787.5,
    .base_flow_m3_s = 0.004,
    .captured = 0.8,
    .uncertainty = 0.03,
    .rain_coverage = 1,
    .flow_coverage = 0.97,
    .peak_m3_s = 0.35,
    .peak_ms = 1784350000000,
    .lag_ms = 1500000,
    .doubts = {"排口流量计低于切除值", "0.4 m3 flowed back"},
    .doubt_count = 2,
    .partial = true,
};

static void assert_same(const struct report_runoff *a, const struct report_runoff *b)
{
    assert_string_equal(a->gateway, b->gateway);
    assert_int_equal(a->sector, b->sector);
    assert_int_equal(a->at_ms, b->at_ms);
    assert_string_equal(a->catchment, b->catchment);
    assert_string_equal(a->id, b->id);
    assert_int_equal(a->grade, b->grade);
    assert_int_equal(a->from_ms, b->from_ms);
    assert_int_equal(a->to_ms, b->to_ms);
    assert_true(a->rain_mm == b->rain_mm && a->area_ha == b->area_ha && a->rain_m3 == b->rain_m3);
    assert_true(a->outflow_m3 == b->outflow_m3 && a->base_flow_m3_s == b->base_flow_m3_s);
    assert_true(a->captured == b->captured && a->uncertainty == b->uncertainty);
    assert_true(a->rain_coverage == b->rain_coverage && a->flow_coverage == b->flow_coverage);
    assert_true(a->peak_m3_s == b->peak_m3_s);
    assert_int_equal(a->peak_ms, b->peak_ms);
    assert_int_equal(a->lag_ms, b->lag_ms);
    assert_int_equal(a->doubt_count, b->doubt_count);
    for (size_t i = 0; i < a->doubt_count; i++)
        assert_string_equal(a->doubts[i], b->doubts[i]);
    assert_int_equal(a->partial, b->partial);
}

static void there_and_back(void **state)
{
    (void)state;
    uint8_t bytes[REPORT_MAX];
    struct report_runoff back;
    size_t length = report_pack_runoff(&whole, bytes, sizeof bytes);
    assert_true(length > 0);
    struct report_memory *memory = report_unpack_runoff(bytes, length, &back);
    assert_non_null(memory);
    assert_same(&whole, &back);
    report_free(memory);
    report_free(NULL);
}

static void needs_room(void **state)
{
    (void)state;
    uint8_t bytes[REPORT_MAX];
    size_t length = report_pack_runoff(&whole, bytes, sizeof bytes);
    memset(bytes, 0xaa, sizeof bytes);
    assert_int_equal(report_pack_runoff(&whole, bytes, length - 1), 0);
    assert_int_equal(bytes[length - 1], 0xaa);
    assert_int_equal(report_pack_runoff(&whole, bytes, length), length);
}

/* All that the runoff can say at its longest. */
static void doubts_that_do_not_fit_are_counted(void **state)
{
    (void)state;
    struct report_runoff report = whole, back;
    uint8_t bytes[REPORT_MAX];
    char text[RUNOFF_TEXT_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_in_range(RUNOFF_DOUBT_COUNT, 1, REPORT_DOUBTS_MAX);
    report.doubt_count = RUNOFF_DOUBT_COUNT;
    for (size_t i = 0; i < report.doubt_count; i++)
        report.doubts[i] = text;
    size_t length = report_pack_runoff(&report, bytes, sizeof bytes);
    assert_in_range(length, REPORT_MAX - RUNOFF_TEXT_MAX - 10, REPORT_MAX);
    struct report_memory *memory = report_unpack_runoff(bytes, length, &back);
    assert_non_null(memory);
    assert_int_equal(back.doubt_count, 17);
    assert_string_equal(back.doubts[15], text);
    assert_string_equal(back.doubts[16], "and 11 doubts more");
    report_free(memory);
}

static void other_text_than_utf8_is_not_packed(void **state)
{
    (void)state;
    struct report_runoff report = whole;
    uint8_t bytes[REPORT_MAX];
    report.doubts[1] = "\xe6\xb3";
    assert_int_equal(report_pack_runoff(&report, bytes, sizeof bytes), 0);
}

/* A message that our encoder would not write. */
static bool is_taken(int sector, int grade, size_t doubts, bool with_event)
{
    uint8_t bytes[REPORT_MAX];
    char *texts[REPORT_DOUBTS_MAX + 1];
    Lifeline__V1__Report report = LIFELINE__V1__REPORT__INIT;
    Lifeline__V1__RunoffEvent event = LIFELINE__V1__RUNOFF_EVENT__INIT;
    for (size_t i = 0; i < doubts; i++)
        texts[i] = (char *)(uintptr_t) "?";
    event.grade = (Lifeline__V1__RunoffGrade)grade;
    event.n_doubts = doubts;
    event.doubts = texts;
    report.sector = (Lifeline__V1__Sector)sector;
    if (with_event) {
        report.what_case = LIFELINE__V1__REPORT__WHAT_RUNOFF;
        report.runoff = &event;
    }
    struct report_runoff out;
    size_t length = message_pack(&report.base, bytes, sizeof bytes);
    struct report_memory *memory = report_unpack_runoff(bytes, length, &out);
    report_free(memory);
    return memory != NULL;
}

static void what_none_of_ours_says_is_refused(void **state)
{
    (void)state;
    assert_true(is_taken(SECTOR_SPONGE, REPORT_GRADE_IMPLAUSIBLE, REPORT_DOUBTS_MAX, true));
    assert_false(is_taken(SECTOR_SPONGE, REPORT_GRADE_A, REPORT_DOUBTS_MAX + 1, true));
    assert_false(is_taken(SECTOR_SPONGE, REPORT_GRADE_A, 0, false));
    assert_false(is_taken(SECTOR_UNSPECIFIED, REPORT_GRADE_A, 0, true));
    assert_false(is_taken(SECTOR_COUNT, REPORT_GRADE_A, 0, true));
    assert_false(is_taken(-1, REPORT_GRADE_A, 0, true));
    assert_false(is_taken(SECTOR_SPONGE, REPORT_GRADE_UNSPECIFIED, 0, true));
    assert_false(is_taken(SECTOR_SPONGE, REPORT_GRADE_IMPLAUSIBLE + 1, 0, true));
    assert_false(is_taken(SECTOR_SPONGE, -1, 0, true));
}

static void garbage_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[REPORT_MAX] = {0};
    struct report_runoff out;
    size_t length = report_pack_runoff(&whole, bytes, sizeof bytes);
    assert_null(report_unpack_runoff(bytes, 0, &out));
    assert_null(report_unpack_runoff(bytes, length - 1, &out));
    assert_null(report_unpack_runoff(bytes, REPORT_MAX + 1, &out));
}

static void grades_are_those_of_the_runoff(void **state)
{
    (void)state;
    assert_int_equal(REPORT_GRADE_A, RUNOFF_GRADE_A);
    assert_int_equal(REPORT_GRADE_B, RUNOFF_GRADE_B);
    assert_int_equal(REPORT_GRADE_C, RUNOFF_GRADE_C);
    assert_int_equal(REPORT_GRADE_INSUFFICIENT, RUNOFF_GRADE_INSUFFICIENT);
    assert_int_equal(REPORT_GRADE_NOT_EVALUATED, RUNOFF_GRADE_NOT_EVALUATED);
    assert_int_equal(REPORT_GRADE_IMPLAUSIBLE, RUNOFF_GRADE_IMPLAUSIBLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(needs_room),
        cmocka_unit_test(doubts_that_do_not_fit_are_counted),
        cmocka_unit_test(other_text_than_utf8_is_not_packed),
        cmocka_unit_test(what_none_of_ours_says_is_refused),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(grades_are_those_of_the_runoff),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
