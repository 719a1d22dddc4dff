/* schedule.c under a fake clock.
 * No drift over a day, phases that stay spread, a dead unit's share of the line, and what becomes
 * of a line that is asked for more than it can do.
 * No threads, no real time. */
#include "gateway/poll/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { COST_MS = 20, DEAD_MS = 600 };

/* A line where an answer takes COST_MS and a dead unit DEAD_MS; returns polls per entry. */
static void play(struct schedule *schedule, mono_time *now, int64_t span_ms, int dead_unit,
                 uint32_t *polls, int64_t *dead_ms)
{
    mono_time end = clock_after_ms(*now, span_ms), due;
    for (;;) {
        size_t entry = schedule_next(schedule, &due);
        if (due.ns > now->ns)
            *now = due;
        if (now->ns >= end.ns)
            return;
        bool dead = schedule->entries[entry].unit == dead_unit;
        int64_t cost_ms = dead ? DEAD_MS : COST_MS;
        *now = clock_after_ms(*now, cost_ms);
        *dead_ms += dead ? cost_ms : 0;
        polls[entry]++;
        schedule_done(schedule, entry, !dead, *now, cost_ms);
    }
}

static void a_day_has_its_number_of_polls(void **state)
{
    (void)state;
    struct schedule schedule;
    struct schedule_entry entries[] = {{.every_ms = 1000, .unit = 1},
                                       {.every_ms = 60000, .unit = 2},
                                       {.every_ms = 700, .unit = 3}};
    mono_time now = {123456789};
    uint32_t polls[3] = {0};
    int64_t dead_ms = 0;
    schedule_start(&schedule, entries, 3, now);
    play(&schedule, &now, 86400000, -1, polls, &dead_ms);
    assert_in_range(polls[0], 86400, 86401);
    assert_in_range(polls[1], 1440, 1441);
    assert_in_range(polls[2], 86400000 / 700, 86400000 / 700 + 2);
    assert_int_equal(schedule.slipped, 0);
}

static void deadlines_keep_their_phase(void **state)
{
    (void)state;
    struct schedule schedule;
    struct schedule_entry entries[] = {{.every_ms = 1000, .unit = 1},
                                       {.every_ms = 1000, .unit = 2}};
    schedule_start(&schedule, entries, 2, (mono_time){0});
    uint32_t polls[2] = {0};
    int64_t dead_ms = 0;
    mono_time now = {0};
    play(&schedule, &now, 3600000, -1, polls, &dead_ms);
    assert_int_equal(entries[0].due.ns % 1000000000, 500000000);
    assert_int_equal(entries[1].due.ns % 1000000000, 0);
}

static void a_dead_unit_leaves_the_line_to_the_others(void **state)
{
    (void)state;
    struct schedule schedule;
    struct schedule_entry entries[10];
    for (uint8_t i = 0; i < 10; i++)
        entries[i] = (struct schedule_entry){.every_ms = 1000, .unit = i};
    uint32_t polls[10] = {0};
    int64_t dead_ms = 0;
    mono_time now = {0};
    schedule_start(&schedule, entries, 10, now);
    play(&schedule, &now, 600000, 4, polls, &dead_ms);
    assert_true(dead_ms <= 600000 / 20 + 3 * DEAD_MS);
    for (int i = 0; i < 10; i++) {
        if (i != 4)
            assert_true(polls[i] >= 570); /* 95 % */
    }
    /* and when it answers again its pace comes back */
    uint32_t before = polls[4];
    play(&schedule, &now, 60000, -1, polls, &dead_ms);
    assert_true(polls[4] - before >= 60 - 12 - 1);
}

static void too_much_is_counted_not_bunched(void **state)
{
    (void)state;
    struct schedule schedule;
    struct schedule_entry entries[] = {{.every_ms = 10, .unit = 1}};
    uint32_t polls[1] = {0};
    int64_t dead_ms = 0;
    mono_time now = {0};
    schedule_start(&schedule, entries, 1, now);
    play(&schedule, &now, 10000, -1, polls, &dead_ms);
    assert_in_range(polls[0], 495, 505);
    assert_true(schedule.slipped > 480);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_has_its_number_of_polls),
        cmocka_unit_test(deadlines_keep_their_phase),
        cmocka_unit_test(a_dead_unit_leaves_the_line_to_the_others),
        cmocka_unit_test(too_much_is_counted_not_bunched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
