/* judge.c: the ordinary life of each kind of rule, and the cases that are easily got wrong.
 *
 * Values on the threshold and at the end of the hysteresis, samples rarer than the dwell, sensors
 * that drown, rain through a wrap and a reset. Restarts: test_judge_restart.c; at random:
 * test_judge_model.c. Pure; no clock. */
#include "gateway/flow/judge.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/judge_bench.h"

/* ---- each kind ---- */

static void above_and_back(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, RULE_ABOVE, water);
    b.rule.hysteresis = number(20);
    start(&b);
    static const struct {
        double value;
        uint8_t level;
    } steps[] = {{149, 0}, {150, 4}, {149, 4}, {131, 4}, {130, 4}, {129, 0}, {149, 0},
                 {399, 3}, {400, 2}, {600, 1}, {580, 1}, {579, 2}, {251, 3}, {0, 0}};
    for (int i = 0; i < (int)(sizeof steps / sizeof *steps); i++)
        assert_int_equal(value(&b, i, steps[i].value), steps[i].level);
}

static void below_and_back(void **state)
{
    (void)state;
    static const double pressure[LEVEL_COUNT] = {NAN, NAN, NAN, 0.14, 0.20};
    struct bench b;
    begin(&b, RULE_BELOW, pressure);
    b.rule.hysteresis = number(0.0625);
    start(&b);
    assert_int_equal(value(&b, 0, 0.21), 0);
    assert_int_equal(value(&b, 1, 0.20), 4);
    assert_int_equal(value(&b, 2, 0.14), 3);
    assert_int_equal(value(&b, 3, 0.15), 3);
    assert_int_equal(value(&b, 4, 0.21), 4);
    assert_int_equal(value(&b, 5, 0.27), 0);
}

static void rise_over_a_minute(void **state)
{
    (void)state;
    static const double two[LEVEL_COUNT] = {NAN, NAN, 10, NAN, NAN};
    struct bench b;
    begin(&b, RULE_RISE, two);
    b.rule.window = number(60000);
    start(&b);
    for (int s = 0; s < 300; s += 10) /* 9 in a minute */
        assert_int_equal(value(&b, s, s * 0.15), 0);
    assert_int_equal(value(&b, 300, 54), 2);
    assert_int_equal(value(&b, 310, 54), 2); /* it did rise within the last minute */
    assert_int_equal(value(&b, 420, 54), 0);
    assert_int_equal(value(&b, 430, 0), 0); /* a fall is no rise */
    assert_int_equal(value(&b, 440, 10), 2);
}

static void fall_over_a_minute(void **state)
{
    (void)state;
    static const double two[LEVEL_COUNT] = {NAN, NAN, 10, NAN, NAN};
    struct bench b;
    begin(&b, RULE_FALL, two);
    b.rule.window = number(60000);
    start(&b);
    assert_int_equal(value(&b, 0, 50), 0);
    assert_int_equal(value(&b, 10, 60), 0);
    assert_int_equal(value(&b, 20, 50.5), 0);
    assert_int_equal(value(&b, 30, 50), 2);
    assert_int_equal(value(&b, 100, 50), 0);
}

/* Tips of 0.1 mm as the register tells them, over its wrap; tenths of a bar. */
static void tenths_add_up(void **state)
{
    (void)state;
    static const double fifty[LEVEL_COUNT] = {NAN, NAN, NAN, 50, NAN};
    static const double tenth[LEVEL_COUNT] = {NAN, NAN, NAN, 0.1, NAN};
    struct bench b;
    begin(&b, RULE_SUM, fifty);
    b.rule.window = number(6 * 3600e3);
    start(&b);
    b.judge.wrap = 6553.6;
    for (int tip = 0; tip <= 500; tip++)
        assert_int_equal(value(&b, tip, (65203 + tip) % 65536 / 10.0), tip < 500 ? 0 : 3);
    begin(&b, RULE_RISE, tenth);
    b.rule.window = number(60e3);
    start(&b);
    assert_int_equal(value(&b, 0, 0.2), 0);
    assert_int_equal(value(&b, 1, 0.3), 3); /* 0.3 - 0.2 is less than 0.1 */
}

/* One gauge, four rules, through its wrap at 100 and a reset. 10 mm an hour for six hours. */
static void rain_of_1_3_6_and_12_hours(void **state)
{
    (void)state;
    static const struct {
        int hours;
        double mm;
    } rules[] = {{1, 9.5}, {3, 29.5}, {6, 59.5}, {12, 59.5}};
    struct bench b[4];
    for (int r = 0; r < 4; r++) {
        const double mm[LEVEL_COUNT] = {NAN, NAN, NAN, rules[r].mm, NAN};
        begin(&b[r], RULE_SUM, mm);
        b[r].rule.window = number(rules[r].hours * 3600e3);
        start(&b[r]);
        b[r].judge.wrap = 100;
    }
    double counter = 60; /* wraps after four hours */
    for (int minute = 0; minute <= 20 * 60; minute++) {
        bool rains = minute > 0 && minute <= 360;
        counter += rains ? 1.0 / 6 : 0;
        counter -= counter >= 100 ? 100 : 0;
        if (minute == 8 * 60)
            counter = 0; /* the logger was changed: adds nothing, takes nothing */
        for (int r = 0; r < 4; r++) {
            uint8_t level = value(&b[r], minute * 60.0, counter);
            int up = rules[r].hours * 60 < 360 ? rules[r].hours * 60 : 360;
            int slot = (rules[r].hours * 60 + WINDOW_SLOTS - 1) / WINDOW_SLOTS;
            if (minute < up - 3)
                assert_int_equal(level, 0);
            else if (minute >= up && minute <= 360)
                assert_int_equal(level, 3);
            else if (minute > 366 - 6 + rules[r].hours * 60 + 2 * slot)
                assert_int_equal(level, 0);
        }
    }
}

static void a_reset_adds_nothing(void **state)
{
    (void)state;
    static const double jumps[][3] = {
        /* from, to, wrap: 1 when it is a small step over the wrap */
        {95, 3, 100}, {80, 4.5, 100}, {80, 5, 100}, {50, 0, 100}, {95, 3, 0}, {200, 1, 100},
    };
    static const double added[] = {8, 24.5, 0, 0, 0, 0};
    for (int i = 0; i < 6; i++) {
        struct bench b;
        begin(&b, RULE_SUM, yellow_30);
        b.rule.window = number(3600e3);
        start(&b);
        b.judge.wrap = jumps[i][2];
        (void)value(&b, 0, jumps[i][0]);
        (void)value(&b, 1, jumps[i][1]);
        assert_true(b.judge.measure == added[i]);
        (void)value(&b, 2, jumps[i][1] + 2);
        assert_true(b.judge.measure == added[i] + 2);
    }
}

static void a_state(void **state)
{
    (void)state;
    static const double states[LEVEL_COUNT] = {NAN, NAN, 1, 2, NAN};
    struct bench b;
    begin(&b, RULE_EQUALS, states);
    b.rule.hysteresis = number(5); /* means nothing here */
    start(&b);
    assert_int_equal(value(&b, 0, 0), 0);
    assert_int_equal(value(&b, 1, 1), 2);
    assert_int_equal(value(&b, 2, 2), 3);
    assert_int_equal(value(&b, 3, 3), 0);
    assert_int_equal(value(&b, 4, 1), 2);
    assert_int_equal(value(&b, 5, 0), 0); /* 0 -> 1 -> 0: both are seen */
}

static void silence(void **state)
{
    (void)state;
    static const double quarter[LEVEL_COUNT] = {NAN, NAN, 3600e3, 900e3, NAN};
    struct bench b;
    begin(&b, RULE_SILENT, quarter);
    start(&b);
    assert_true(due(&b) == 900); /* a sensor that never spoke */
    assert_int_equal(value(&b, 100, 0), 0);
    assert_true(due(&b) == 1000);
    assert_int_equal(tick(&b, 999), 0);
    assert_int_equal(tick(&b, 1000), 3);
    assert_true(first(&b) == 100);
    assert_true(due(&b) == 100 + HOUR);
    assert_int_equal(tick(&b, 100 + HOUR), 2);
    assert_true(due(&b) == INFINITY);
    assert_int_equal(value(&b, 100 + HOUR, NAN), 2);
    assert_int_equal(value(&b, 5000, 0), 0);
    assert_true(due(&b) == 5900);
}

/* It spoke, and was silent again before `clear` was over: that was no end. */
static void silence_between_clears_nothing(void **state)
{
    (void)state;
    static const double minute[LEVEL_COUNT] = {NAN, NAN, NAN, 60e3, NAN};
    struct bench b;
    begin(&b, RULE_SILENT, minute);
    b.rule.clear = number(120e3);
    set_dwell(&b, 5e3);
    start(&b);
    assert_int_equal(tick(&b, 64), 0);
    assert_int_equal(tick(&b, 65), 3);
    assert_int_equal(value(&b, 100, 0), 3);
    assert_int_equal(value(&b, 300, 0), 3);
    for (int s = 330; s < 420; s += 30)
        assert_int_equal(value(&b, s, 0), 3);
    assert_int_equal(value(&b, 420, 0), 0);
}

static void a_flat_line(void **state)
{
    (void)state;
    static const double six[LEVEL_COUNT] = {NAN, NAN, NAN, NAN, 6 * 3600e3};
    struct bench b;
    begin(&b, RULE_FLAT, six);
    b.rule.hysteresis = number(0.5);
    start(&b);
    for (int s = 0; s < 6 * HOUR; s += 600)
        assert_int_equal(value(&b, s, 7 + (s / 600 % 2 ? 0.5 : -0.5)), 0); /* it moves */
    double since = 6 * HOUR - 600;
    for (int i = 1; i < 36; i++)
        assert_int_equal(value(&b, since + i * 600, 7.5 + (i % 2 ? 0.5 : -0.5)), 0);
    assert_int_equal(value(&b, since + 36 * 600, 7.5), 4);
    assert_true(due(&b) == INFINITY); /* silence is another rule's affair */
    assert_int_equal(tick(&b, 100 * HOUR), 4);
    assert_int_equal(value(&b, 100 * HOUR, 8.25), 0);
}

static void conditions(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, RULE_ALL, yellow_1);
    set_dwell(&b, 20e3);
    start(&b);
    assert_int_equal(judge_truth(&b.judge, JUDGE_TRUE, at(0)), 0);
    assert_int_equal(judge_truth(&b.judge, JUDGE_UNKNOWN, at(10)), 0);
    assert_int_equal(judge_truth(&b.judge, JUDGE_TRUE, at(20)), 3);
    assert_int_equal(judge_truth(&b.judge, JUDGE_UNKNOWN, at(30)), 3);
    assert_int_equal(judge_truth(&b.judge, JUDGE_FALSE, at(40)), 0);
    assert_int_equal(judge_truth(&b.judge, JUDGE_TRUE, at(50)), 0);
    assert_int_equal(judge_truth(&b.judge, JUDGE_UNKNOWN, at(79)), 0);
    assert_int_equal(judge_truth(&b.judge, JUDGE_UNKNOWN, at(80)), 3); /* dwell and patience */
}

/* ---- what is easily got wrong ---- */

static void a_level_at_once_beside_one_that_waits(void **state)
{
    (void)state;
    static const double gas[LEVEL_COUNT] = {NAN, 100, 50, 20, 10};
    struct bench b;
    begin(&b, RULE_ABOVE, gas);
    b.rule.dwell[LEVEL_BLUE] = number(120e3);
    start(&b);
    assert_int_equal(value(&b, 0, 12), 0);
    assert_true(judge_is_counting(&b.judge));
    assert_int_equal(value(&b, 60, 25), 3); /* level 4 goes on counting beneath */
    assert_true(first(&b) == 60);
    assert_int_equal(value(&b, 90, 12), 0);
    assert_int_equal(value(&b, 119, 12), 0);
    assert_int_equal(value(&b, 120, 12), 4);
    assert_true(first(&b) == 0);
    assert_int_equal(value(&b, 121, 100), 1);
    assert_true(first(&b) == 0); /* one alarm, one beginning */
    assert_int_equal(value(&b, 122, 9), 0);
}

static void one_sample_is_not_enough(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, RULE_ABOVE, yellow_30);
    set_dwell(&b, 10e3);
    start(&b);
    b.judge.patience_ms = 120e3; /* polled every minute */
    assert_int_equal(value(&b, 0, 40), 0);
    assert_true(due(&b) == 130);
    assert_int_equal(tick(&b, 59), 0);
    assert_int_equal(value(&b, 60, 29), 0); /* it was one */
    assert_int_equal(value(&b, 120, 40), 0);
    assert_int_equal(value(&b, 180, 40), 3); /* the second, long after the dwell */
    assert_true(first(&b) == 120);
}

static void a_sensor_that_drowns(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, RULE_ABOVE, yellow_30);
    set_dwell(&b, 10e3);
    start(&b);
    assert_int_equal(value(&b, 0, 40), 0);
    for (int s = 1; s < 20; s++)
        assert_int_equal(tick(&b, s), 0); /* polls that failed */
    assert_int_equal(tick(&b, 20), 3);
    assert_true(first(&b) == 0);
    assert_int_equal(tick(&b, 100 * HOUR), 3); /* never by silence */
    assert_int_equal(value(&b, 100 * HOUR, 0), 0);
}

/* Nobody asked in time (the machine slept): what had to be said then is still held. */
static void a_late_sample_does_not_unsay_it(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, RULE_ABOVE, yellow_30);
    set_dwell(&b, 10e3);
    b.rule.clear = number(60e3);
    start(&b);
    assert_int_equal(value(&b, 0, 40), 0);
    assert_int_equal(value(&b, 500, 0), 3);
    assert_int_equal(value(&b, 559, 0), 3);
    assert_int_equal(value(&b, 560, 0), 0);
}

static void clear_starts_again(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, RULE_ABOVE, yellow_30);
    b.rule.clear = number(60e3);
    b.rule.hysteresis = number(2);
    start(&b);
    assert_int_equal(value(&b, 0, 30), 3);
    assert_int_equal(value(&b, 10, 27), 3);
    assert_int_equal(tick(&b, 100), 3);
    assert_int_equal(value(&b, 65, 28), 3); /* within the hysteresis: not gone */
    assert_int_equal(value(&b, 70, 27), 3);
    assert_int_equal(value(&b, 129, 27), 3);
    assert_int_equal(value(&b, 130, 27), 0);
}

static void hysteresis_wider_than_the_levels_lie_apart(void **state)
{
    (void)state;
    static const double close[LEVEL_COUNT] = {NAN, NAN, NAN, 160, 150};
    struct bench b;
    begin(&b, RULE_ABOVE, close);
    b.rule.hysteresis = number(20);
    start(&b);
    assert_int_equal(value(&b, 0, 165), 3);
    assert_int_equal(value(&b, 1, 145), 3);
    assert_int_equal(value(&b, 2, 139), 4);
    assert_int_equal(value(&b, 3, 155), 4); /* level 3 begins at 160 again */
    assert_int_equal(value(&b, 4, 129), 0);
}

static void what_is_no_number_changes_nothing(void **state)
{
    (void)state;
    static const double none[] = {NAN, INFINITY, -INFINITY};
    static const enum rule_kind kinds[] = {RULE_ABOVE, RULE_BELOW, RULE_EQUALS, RULE_RISE,
                                           RULE_FALL,  RULE_SUM,   RULE_FLAT};
    for (int k = 0; k < 7; k++) {
        struct bench b;
        begin(&b, kinds[k], yellow_30);
        b.rule.window = number(60e3);
        set_dwell(&b, 3600e3);
        start(&b);
        (void)value(&b, 0, 31);
        const struct bench before = b;
        for (int i = 0; i < 3; i++)
            assert_int_equal(value(&b, 1 + i, none[i]), 0);
        assert_memory_equal(&b, &before, sizeof b);
    }
}

static void the_largest_numbers_do_no_harm(void **state)
{
    (void)state;
    static const enum rule_kind kinds[] = {RULE_ABOVE, RULE_BELOW, RULE_EQUALS, RULE_RISE,
                                           RULE_FALL,  RULE_SUM,   RULE_FLAT};
    for (int k = 0; k < 7; k++) {
        struct bench b;
        begin(&b, kinds[k], yellow_30);
        b.rule.window = number(60e3);
        start(&b);
        b.judge.wrap = 65536;
        for (int s = 0; s < 1000; s++) {
            (void)value(&b, s, s % 3 == 0 ? 1.7e308 : s % 3 == 1 ? -1.7e308 : 29);
            assert_true(b.judge.measure == b.judge.measure); /* not NaN */
        }
        uint8_t last = 0;
        for (int s = 2000; s < 2200; s++)
            last = value(&b, s, 29);
        bool stays = kinds[k] == RULE_BELOW || kinds[k] == RULE_FLAT;
        assert_int_equal(last, stays ? LEVEL_YELLOW : LEVEL_NONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(above_and_back),
        cmocka_unit_test(below_and_back),
        cmocka_unit_test(rise_over_a_minute),
        cmocka_unit_test(fall_over_a_minute),
        cmocka_unit_test(tenths_add_up),
        cmocka_unit_test(rain_of_1_3_6_and_12_hours),
        cmocka_unit_test(a_reset_adds_nothing),
        cmocka_unit_test(a_state),
        cmocka_unit_test(silence),
        cmocka_unit_test(silence_between_clears_nothing),
        cmocka_unit_test(a_flat_line),
        cmocka_unit_test(conditions),
        cmocka_unit_test(a_level_at_once_beside_one_that_waits),
        cmocka_unit_test(one_sample_is_not_enough),
        cmocka_unit_test(a_sensor_that_drowns),
        cmocka_unit_test(a_late_sample_does_not_unsay_it),
        cmocka_unit_test(clear_starts_again),
        cmocka_unit_test(hysteresis_wider_than_the_levels_lie_apart),
        cmocka_unit_test(what_is_no_number_changes_nothing),
        cmocka_unit_test(the_largest_numbers_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
