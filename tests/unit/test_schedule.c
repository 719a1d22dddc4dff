/* schedule.c under a fake clock.
 * No drift over a day, phases that stay spread, what all that rests takes of the line together, how
 * soon a unit that comes back is seen, what goes first, and what becomes of a line that is asked
 * for more than it can do. No threads, no real time. */
#include "gateway/poll/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { COST_MS = 20, DEAD_MS = 300, ENTRIES_MAX = 64 };

/* A line where an answer takes COST_MS and a dead unit DEAD_MS. */
struct stage {
    struct schedule schedule;
    struct schedule_entry entries[ENTRIES_MAX];
    struct schedule_unit units[ENTRIES_MAX];
    size_t count;
    mono_time now;
    bool dead[256];               /* [unit] */
    enum schedule_answer failure; /* of the dead */
    uint32_t polls[ENTRIES_MAX], failed[ENTRIES_MAX];
    int64_t dead_ms;
    int64_t worst_late_ms;
};

static void add(struct stage *stage, uint8_t unit, int64_t every_ms)
{
    stage->entries[stage->count++] = (struct schedule_entry){.unit = unit, .every_ms = every_ms};
}

static void begin(struct stage *stage)
{
    if (stage->failure == SCHEDULE_ANSWERED)
        stage->failure = SCHEDULE_SILENT;
    schedule_start(&stage->schedule, stage->entries, stage->units, stage->count, stage->now);
}

static size_t step(struct stage *stage)
{
    struct schedule_turn turn = schedule_next(&stage->schedule, stage->now);
    if (turn.due.ns > stage->now.ns) {
        stage->now = turn.due;
        turn = schedule_next(&stage->schedule, stage->now);
    }
    bool dead = stage->dead[stage->entries[turn.entry].unit];
    int64_t cost_ms = dead ? DEAD_MS : COST_MS;
    int64_t late_ms = turn.extra ? 0 : clock_ms_between(turn.due, stage->now);
    if (late_ms > stage->worst_late_ms)
        stage->worst_late_ms = late_ms;
    stage->now = clock_after_ms(stage->now, cost_ms);
    stage->dead_ms += dead ? cost_ms : 0;
    stage->polls[turn.entry]++;
    stage->failed[turn.entry] += dead;
    schedule_done(&stage->schedule, &turn, dead ? stage->failure : SCHEDULE_ANSWERED, stage->now,
                  cost_ms);
    return turn.entry;
}

static void play(struct stage *stage, int64_t span_ms)
{
    mono_time end = clock_after_ms(stage->now, span_ms);
    for (;;) {
        struct schedule_turn turn = schedule_next(&stage->schedule, stage->now);
        if (turn.due.ns >= end.ns || stage->now.ns >= end.ns)
            break;
        step(stage);
    }
    if (stage->now.ns < end.ns)
        stage->now = end;
}

static void forget(struct stage *stage)
{
    memset(stage->polls, 0, sizeof stage->polls);
    memset(stage->failed, 0, sizeof stage->failed);
    stage->dead_ms = 0;
}

static void a_day_has_its_number_of_polls(void **state)
{
    (void)state;
    static const int64_t every_ms[] = {1000, 60000, 700, 333};
    struct stage stage = {.now = {123456789}};
    for (uint8_t i = 0; i < 4; i++)
        add(&stage, i, every_ms[i]);
    begin(&stage);
    mono_time start = stage.now;
    play(&stage, 86400000);
    for (size_t i = 0; i < 4; i++) {
        assert_in_range(stage.polls[i], 86400000 / every_ms[i], 86400000 / every_ms[i] + 2);
        /* The next deadline lies exactly on the grid that began with the first one. */
        int64_t phase_ns = every_ms[i] * 1000000 * (int64_t)(i + 1) / 4;
        int64_t off_ns = (stage.entries[i].due.ns - start.ns - phase_ns) % (every_ms[i] * 1000000);
        assert_int_equal(off_ns, 0);
        assert_int_equal(stage.entries[i].slipped, 0);
    }
    assert_int_equal(stage.schedule.slipped, 0);
    assert_true(stage.worst_late_ms <= 4 * COST_MS);
}

static void deadlines_are_spread_over_their_period(void **state)
{
    (void)state;
    struct stage stage = {.now = {0}};
    for (uint8_t i = 0; i < 10; i++)
        add(&stage, i, 1000);
    begin(&stage);
    play(&stage, 3600000);
    for (int i = 0; i < 10; i++)
        assert_int_equal(stage.entries[i].due.ns % 1000000000, (i + 1) % 10 * 100000000);
}

/* All of them together, however many there are. */
static void the_dead_take_a_twentieth(void **state)
{
    (void)state;
    for (int dead = 1; dead <= 20; dead += 4) {
        struct stage stage = {.now = {0}};
        for (uint8_t i = 0; i < 31; i++) {
            add(&stage, i, 1000);
            stage.dead[i] = i < dead;
        }
        begin(&stage);
        play(&stage, 600000);
        forget(&stage);
        play(&stage, 3600000);
        print_message("%d dead: %d ms of an hour\n", dead, (int)stage.dead_ms);
        assert_true(stage.dead_ms <= 3600000 / 20 + DEAD_MS);
        assert_true(stage.dead_ms > 3600000 / 50);
        for (int i = dead; i < 31; i++)
            assert_true(stage.polls[i] >= 3600 * 95 / 100);
    }
}

/* Also the many reads of one unit, and a single read that fails beside others that do not. */
static void one_read_that_fails_rests_alone(void **state)
{
    (void)state;
    struct stage stage = {.now = {0}};
    for (int i = 0; i < 5; i++)
        add(&stage, 7, 1000);
    begin(&stage);
    for (mono_time end = {600 * INT64_C(1000000000)}; stage.now.ns < end.ns;) {
        struct schedule_turn turn = schedule_next(&stage.schedule, stage.now);
        if (turn.due.ns > stage.now.ns)
            stage.now = turn.due;
        bool bad = turn.entry == 2;
        stage.now = clock_after_ms(stage.now, bad ? DEAD_MS : COST_MS);
        stage.polls[turn.entry]++;
        schedule_done(&stage.schedule, &turn, bad ? SCHEDULE_SILENT : SCHEDULE_ANSWERED, stage.now,
                      bad ? DEAD_MS : COST_MS);
    }
    assert_true(stage.polls[2] < 600000 / 20 / DEAD_MS + 5);
    assert_true(schedule_rests(&stage.schedule, 2));
    assert_false(schedule_rests(&stage.schedule, 1));
    assert_true(stage.polls[0] >= 595);
}

static void who_comes_back_is_seen_within_a_step(void **state)
{
    (void)state;
    struct stage stage = {.now = {0}};
    for (uint8_t i = 0; i < 10; i++)
        add(&stage, i, 1000);
    stage.dead[4] = true;
    begin(&stage);
    play(&stage, 600000);
    assert_true(schedule_rests(&stage.schedule, 4));
    int64_t step_ms = clock_ms_between(stage.now, schedule_due(&stage.schedule, 4));
    assert_true(step_ms <= DEAD_MS * 20);
    stage.dead[4] = false;
    forget(&stage);
    uint64_t slipped = stage.schedule.slipped;
    play(&stage, step_ms + COST_MS * 10);
    assert_true(stage.polls[4] >= 1);
    assert_false(schedule_rests(&stage.schedule, 4));
    forget(&stage);
    play(&stage, 60000);
    assert_in_range(stage.polls[4], 59, 61);
    assert_int_equal(stage.schedule.slipped, slipped); /* its rest was no overload */
}

/* Garbage for a while, from a neighbour's drive or a second master. */
static void who_was_garbled_is_well_within_three_periods(void **state)
{
    (void)state;
    struct stage stage = {.now = {0}, .failure = SCHEDULE_GARBLED};
    for (uint8_t i = 0; i < 10; i++)
        add(&stage, i, 1000);
    begin(&stage);
    play(&stage, 20000);
    stage.dead[4] = true;
    play(&stage, 10000);
    stage.dead[4] = false;
    forget(&stage);
    play(&stage, 3000);
    assert_true(stage.polls[4] >= 1);
    /* One that is garbled for good takes no more than one that is silent. */
    stage.dead[4] = true;
    play(&stage, 60000);
    forget(&stage);
    play(&stage, 600000);
    for (int i = 0; i < 10; i++)
        assert_true(i == 4 || stage.polls[i] >= 595);
    assert_true(stage.dead_ms <= 600000 / 20 + DEAD_MS);
}

/* The cable is cut and mended: when the first one answers all are asked. */
static void a_whole_line_comes_back_at_once(void **state)
{
    (void)state;
    struct stage stage = {.now = {0}};
    for (uint8_t i = 0; i < 31; i++)
        add(&stage, i, 3000);
    begin(&stage);
    play(&stage, 100000);
    memset(stage.dead, true, sizeof stage.dead);
    play(&stage, 600000);
    memset(stage.dead, false, sizeof stage.dead);
    forget(&stage);
    play(&stage, DEAD_MS * 20 + 31 * COST_MS);
    for (int i = 0; i < 31; i++)
        assert_true(stage.polls[i] >= 1);
}

/* After its return a unit that falls silent again rests at the first failure. */
static void a_flapping_unit_is_not_trusted(void **state)
{
    (void)state;
    struct stage stage = {.now = {0}};
    for (uint8_t i = 0; i < 10; i++)
        add(&stage, i, 1000);
    begin(&stage);
    play(&stage, 60000);
    forget(&stage);
    for (int i = 0; i < 60; i++) {
        stage.dead[3] = i % 2 == 0;
        play(&stage, 5000);
    }
    print_message("a unit that comes and goes every 5 s: %d of %d polls failed\n",
                  (int)stage.failed[3], (int)stage.polls[3]);
    assert_true(stage.dead_ms < 300000 / 10);
    for (int i = 0; i < 10; i++) {
        if (i != 3)
            assert_true(stage.polls[i] >= 295);
    }
}

static void what_is_wanted_goes_first(void **state)
{
    (void)state;
    struct stage stage = {.now = {0}};
    for (uint8_t i = 0; i < 40; i++)
        add(&stage, i, 1000); /* 40 × 20 ms: busy */
    begin(&stage);
    play(&stage, 10000);
    stage.dead[17] = true;
    play(&stage, 10000);
    assert_true(schedule_rests(&stage.schedule, 17));
    schedule_now(&stage.schedule, 17);
    schedule_now(&stage.schedule, 39);
    size_t first = step(&stage), second = step(&stage), third = step(&stage);
    assert_true((first == 17 && third == 39) || (first == 39 && third == 17));
    assert_true(second != 17 && second != 39); /* every second turn is for the periods */
    /* Its own periods go on as if nothing had been. */
    assert_int_equal(stage.entries[39].due.ns % 1000000000, 0);
}

/* Somebody who reads two devices in a loop. */
static void wishes_starve_nobody(void **state)
{
    (void)state;
    struct stage stage = {.now = {0}};
    for (uint8_t i = 0; i < 20; i++)
        add(&stage, i, 1000);
    begin(&stage);
    play(&stage, 5000);
    forget(&stage);
    for (mono_time end = clock_after_ms(stage.now, 60000); stage.now.ns < end.ns;) {
        schedule_now(&stage.schedule, 3);
        schedule_now(&stage.schedule, 4);
        step(&stage);
    }
    for (int i = 0; i < 20; i++)
        assert_true(stage.polls[i] >= 59);
    assert_true(stage.polls[3] > 500);
}

static void boosted_goes_first_and_starves_nobody(void **state)
{
    (void)state;
    struct stage stage = {.now = {0}};
    for (uint8_t i = 0; i < 20; i++)
        add(&stage, i, 1000);
    begin(&stage);
    play(&stage, 10000);
    forget(&stage);
    for (size_t i = 0; i < 5; i++)
        schedule_boost(&stage.schedule, i, 50, stage.now); /* 5 × 20 polls/s: twice the line */
    play(&stage, 60000);
    for (int i = 0; i < 5; i++)
        assert_true(stage.polls[i] >= 60 * 4);
    for (int i = 5; i < 20; i++)
        assert_true(stage.polls[i] >= 25);
    for (size_t i = 0; i < 5; i++)
        schedule_boost(&stage.schedule, i, 0, stage.now);
    play(&stage, 5000);
    forget(&stage);
    play(&stage, 60000);
    for (int i = 0; i < 20; i++)
        assert_in_range(stage.polls[i], 59, 61);
}

static void too_much_is_counted_not_bunched(void **state)
{
    (void)state;
    struct stage stage = {.now = {0}};
    add(&stage, 1, 10);
    begin(&stage);
    play(&stage, 10000);
    assert_in_range(stage.polls[0], 495, 505);
    assert_true(stage.schedule.slipped > 480);
    assert_true(stage.entries[0].stretch > 1.9F && stage.entries[0].stretch < 2.1F);
}

/* 150 % of a line: nobody starves, and each is told how much it slips. */
static void overload_is_shared(void **state)
{
    (void)state;
    struct stage stage = {.now = {0}};
    for (uint8_t i = 0; i < 75; i++) {
        if (i < ENTRIES_MAX - 4)
            add(&stage, i, 800);
    }
    begin(&stage);
    play(&stage, 600000);
    for (size_t i = 0; i < stage.count; i++) {
        double rate = stage.polls[i] / 600.0;
        assert_true(rate > 0.7 / 0.8 / 1.5 && rate < 1.3 / 0.8 / 1.5);
        assert_true(stage.entries[i].stretch > 1.1F && stage.entries[i].stretch < 2.2F);
    }
    assert_true(stage.schedule.slipped > 10000);
}

/* `every: 0s` takes what is left, and no more. */
static void without_a_pause_takes_what_is_left(void **state)
{
    (void)state;
    struct stage stage = {.now = {0}};
    add(&stage, 1, 0);
    add(&stage, 2, 100);
    add(&stage, 3, 0);
    begin(&stage);
    play(&stage, 60000);
    assert_in_range(stage.polls[1], 598, 602);
    assert_in_range(stage.polls[0] + stage.polls[2], 2390, 2402);
    assert_in_range(stage.polls[0], stage.polls[2] - 2, stage.polls[2] + 2);
    assert_int_equal(stage.schedule.slipped, 0);
}

/* Neither a link that is down nor a unit that fails without costing time makes the line spin. */
static void without_a_pause_is_not_without_end(void **state)
{
    (void)state;
    static const enum schedule_answer answers[] = {SCHEDULE_DOWN, SCHEDULE_SILENT,
                                                   SCHEDULE_GARBLED};
    for (size_t a = 0; a < 3; a++) {
        struct stage stage = {.now = {0}};
        add(&stage, 1, 0);
        begin(&stage);
        for (int i = 0; i < 100; i++) {
            struct schedule_turn turn = schedule_next(&stage.schedule, stage.now);
            if (turn.due.ns > stage.now.ns)
                stage.now = turn.due;
            schedule_done(&stage.schedule, &turn, answers[a], stage.now, 0);
        }
        assert_true(stage.now.ns >= INT64_C(9000000000));
    }
}

static void a_doubtful_unit_is_asked_once(void **state)
{
    (void)state;
    struct stage stage = {.now = {0}};
    add(&stage, 1, 1000);
    begin(&stage);
    assert_false(schedule_may_retry(&stage.schedule, 0)); /* never asked */
    step(&stage);
    assert_true(schedule_may_retry(&stage.schedule, 0));
    stage.dead[1] = true;
    step(&stage);
    assert_false(schedule_may_retry(&stage.schedule, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_has_its_number_of_polls),
        cmocka_unit_test(deadlines_are_spread_over_their_period),
        cmocka_unit_test(the_dead_take_a_twentieth),
        cmocka_unit_test(one_read_that_fails_rests_alone),
        cmocka_unit_test(who_comes_back_is_seen_within_a_step),
        cmocka_unit_test(who_was_garbled_is_well_within_three_periods),
        cmocka_unit_test(a_whole_line_comes_back_at_once),
        cmocka_unit_test(a_flapping_unit_is_not_trusted),
        cmocka_unit_test(what_is_wanted_goes_first),
        cmocka_unit_test(wishes_starve_nobody),
        cmocka_unit_test(boosted_goes_first_and_starves_nobody),
        cmocka_unit_test(too_much_is_counted_not_bunched),
        cmocka_unit_test(overload_is_shared),
        cmocka_unit_test(without_a_pause_takes_what_is_left),
        cmocka_unit_test(without_a_pause_is_not_without_end),
        cmocka_unit_test(a_doubtful_unit_is_asked_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
