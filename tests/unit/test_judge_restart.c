/* judge.c over a restart and a reload: what was told stands until somebody knows better, what was
 * seen counts.
 *
 * A restart knows less than the window, or than the hours that a value has stood; a reload may
 * change the rule while it rains. At random: test_judge_model.c. Pure; no clock. */
#include "gateway/flow/judge.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/judge_bench.h"

static void a_level_told_before_stands_until_a_sample(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, RULE_ABOVE, water);
    set_dwell(&b, 60e3);
    start(&b);
    judge_restore(&b.judge, LEVEL_ORANGE, at(0));
    assert_int_equal(b.judge.level, LEVEL_ORANGE);
    assert_int_equal(b.judge.first.ns, 0);
    assert_true(due(&b) == INFINITY);
    assert_int_equal(tick(&b, 10), LEVEL_ORANGE);
    assert_int_equal(value(&b, 20, 300), LEVEL_YELLOW); /* no dwell anew for what was up */
    assert_int_equal(value(&b, 30, 10), 0);
}

static void a_level_that_the_rule_has_no_more(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, RULE_ABOVE, yellow_30);
    start(&b);
    judge_restore(&b.judge, LEVEL_RED, at(0));
    assert_int_equal(b.judge.level, LEVEL_YELLOW);
    start(&b);
    judge_restore(&b.judge, LEVEL_BLUE, at(0));
    assert_int_equal(b.judge.level, LEVEL_NONE);
}

/* 50 mm in six hours were told; the gateway has been up for ten minutes and counted nothing. */
static void a_window_longer_than_the_uptime(void **state)
{
    (void)state;
    static const double rain[LEVEL_COUNT] = {NAN, NAN, 100, 50, NAN};
    struct bench b;
    begin(&b, RULE_SUM, rain);
    b.rule.window = number(6 * 3600e3);
    start(&b);
    for (int s = 0; s <= 600; s += 60)
        assert_int_equal(value(&b, s, s * 0.125),
                         s >= 400 ? LEVEL_YELLOW : LEVEL_NONE); /* no need to be full */
    start(&b);
    judge_restore(&b.judge, LEVEL_YELLOW, at(0));
    for (int s = 0; s < 6 * HOUR; s += 60)
        assert_int_equal(value(&b, s, 1000), 3);
    assert_int_equal(value(&b, 6 * HOUR, 1000), 0);
    start(&b);
    judge_restore(&b.judge, LEVEL_YELLOW, at(0));
    assert_int_equal(value(&b, 0, 1000), 3);
    assert_int_equal(value(&b, 60, 1101), 2);
}

static void a_flat_line_goes_on_over_a_restart(void **state)
{
    (void)state;
    static const double six[LEVEL_COUNT] = {NAN, NAN, NAN, 12 * 3600e3, 6 * 3600e3};
    struct bench b;
    begin(&b, RULE_FLAT, six);
    start(&b);
    judge_restore(&b.judge, LEVEL_BLUE, at(0));
    assert_int_equal(value(&b, 5, 7), 4);
    assert_int_equal(value(&b, 6 * HOUR - 1, 7), 4);
    assert_int_equal(value(&b, 6 * HOUR, 7), 3); /* it had stood for six hours */
    start(&b);
    judge_restore(&b.judge, LEVEL_BLUE, at(0));
    assert_int_equal(value(&b, 5, 7), 4);
    assert_int_equal(value(&b, 6, 8), 0);
}

static void a_dwell_goes_on_over_a_reload(void **state)
{
    (void)state;
    struct bench b, next;
    begin(&b, RULE_RISE, yellow_30);
    b.rule.window = number(600e3);
    set_dwell(&b, 60e3);
    start(&b);
    (void)value(&b, 0, 0);
    (void)value(&b, 10, 40);
    next = b;
    next.judge.patience_ms = 99000;
    next.judge.window = &next.window;
    judge_start(&next.judge, &next.rule, at(20));
    judge_carry(&next.judge, &b.judge);
    memset(&b, 0x5a, sizeof b);
    assert_true(due(&next) == 10 + 60 + 99);
    assert_int_equal(value(&next, 69, 40), 0);
    assert_int_equal(value(&next, 70, 40), 3);
    assert_true(first(&next) == 10);
}

/* The thresholds of the rain were changed while it rained. */
static void what_was_seen_counts_under_a_changed_rule(void **state)
{
    (void)state;
    struct bench b, next;
    begin(&b, RULE_SUM, yellow_30);
    b.rule.window = number(3600e3);
    start(&b);
    (void)value(&b, 0, 0);
    (void)value(&b, 60, 25);
    next = b;
    next.judge.window = &next.window;
    next.judge.rule = &next.rule;
    next.rule.levels[LEVEL_YELLOW] = number(26);
    judge_start(&next.judge, &next.rule, at(70));
    judge_restore(&next.judge, LEVEL_NONE, at(70));
    judge_inherit(&next.judge, &b.judge);
    assert_true(next.judge.measure == 25);
    assert_int_equal(value(&next, 80, 26), 3);
    b.rule.window = number(7200e3); /* another window begins anew, the counter goes on */
    judge_start(&b.judge, &b.rule, at(90));
    judge_restore(&b.judge, LEVEL_NONE, at(90));
    judge_inherit(&b.judge, &next.judge);
    assert_int_equal(value(&b, 100, 29), 0);
    assert_true(b.judge.measure == 3);
}

static void silence_and_stillness_count_under_a_changed_rule(void **state)
{
    (void)state;
    static const enum rule_kind kinds[] = {RULE_SILENT, RULE_FLAT};
    static const double hours[LEVEL_COUNT] = {NAN, NAN, NAN, 7200e3, 3600e3};
    for (int k = 0; k < 2; k++) {
        struct bench b, next;
        begin(&b, kinds[k], hours);
        start(&b);
        assert_int_equal(value(&b, 0, 1), 0);
        next = b;
        next.rule.levels[LEVEL_BLUE] = number(1800e3);
        judge_start(&next.judge, &next.rule, at(1000));
        judge_restore(&next.judge, LEVEL_NONE, at(1000));
        judge_inherit(&next.judge, &b.judge);
        assert_int_equal(kinds[k] == RULE_FLAT ? value(&next, 1799, 1) : tick(&next, 1799), 0);
        assert_int_equal(kinds[k] == RULE_FLAT ? value(&next, 1800, 1) : tick(&next, 1800), 4);
    }
}

/* Two changes after a restart, and the sensor has not spoken since. */
static void nothing_seen_is_nothing_learned(void **state)
{
    (void)state;
    static const enum rule_kind kinds[] = {RULE_SILENT, RULE_FLAT};
    static const double hour[LEVEL_COUNT] = {NAN, NAN, NAN, 3600e3, NAN};
    for (int k = 0; k < 2; k++) {
        struct bench b, next;
        begin(&b, kinds[k], hour);
        start(&b);
        judge_restore(&b.judge, kinds[k] == RULE_FLAT ? LEVEL_YELLOW : LEVEL_NONE, at(10));
        next = b;
        next.rule.levels[LEVEL_YELLOW] = number(7200e3);
        judge_start(&next.judge, &next.rule, at(20));
        judge_restore(&next.judge, b.judge.level, at(20));
        judge_inherit(&next.judge, &b.judge);
        if (kinds[k] == RULE_FLAT)
            assert_int_equal(value(&next, 30, 1), 3); /* nothing says that it has moved */
        else
            assert_true(due(&next) == 10 + 7200);
    }
}

/* A rule of that name that is of another kind now. */
static void another_kind_learns_nothing(void **state)
{
    (void)state;
    struct bench b, next;
    begin(&b, RULE_ABOVE, yellow_30);
    start(&b);
    (void)value(&b, 0, 7);
    begin(&next, RULE_FLAT, water);
    start(&next);
    judge_restore(&next.judge, LEVEL_NONE, at(10));
    judge_inherit(&next.judge, &b.judge);
    (void)value(&next, 20, 7);
    assert_true(next.judge.measure == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_level_told_before_stands_until_a_sample),
        cmocka_unit_test(a_level_that_the_rule_has_no_more),
        cmocka_unit_test(a_window_longer_than_the_uptime),
        cmocka_unit_test(a_flat_line_goes_on_over_a_restart),
        cmocka_unit_test(a_dwell_goes_on_over_a_reload),
        cmocka_unit_test(what_was_seen_counts_under_a_changed_rule),
        cmocka_unit_test(silence_and_stillness_count_under_a_changed_rule),
        cmocka_unit_test(nothing_seen_is_nothing_learned),
        cmocka_unit_test(another_kind_learns_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
