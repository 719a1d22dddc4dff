/* The counters of a unit: every end of a request once, and percentiles against a sorted list.
 *
 * Round trips are random over the whole scale, in several shapes; the seed is printed and
 * LIFELINE_SEED repeats it. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "gateway/poll/tally.h"

enum { SHORTEST_US = 64, ANSWERS_MAX = 3000, FULL = 32767 };

static uint64_t random_state;

static uint64_t roll(void)
{
    random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int group_setup(void **state)
{
    const char *seed = getenv("LIFELINE_SEED");
    (void)state;
    random_state = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    printf("seed %" PRIu64 " (LIFELINE_SEED repeats it)\n", random_state);
    return 0;
}

static void answer(struct tally *tally, int64_t us)
{
    tally_request(tally, OUTCOME_OK, us);
}

static void every_end_is_counted_once(void **state)
{
    struct tally tally = {0};
    (void)state;
    for (int i = 0; i < 3; i++)
        tally_request(&tally, OUTCOME_OK, 1000);
    for (int i = 0; i < 5; i++)
        tally_request(&tally, OUTCOME_TIMEOUT, 300000);
    for (int i = 0; i < 7; i++)
        tally_request(&tally, OUTCOME_EXCEPTION, 2000);
    for (int i = 0; i < 11; i++)
        tally_request(&tally, OUTCOME_GARBLED, 5000);
    for (int i = 0; i < 13; i++)
        tally_request(&tally, OUTCOME_LINK, 1);
    assert_int_equal(tally.requests, 39);
    assert_int_equal(tally.good, 3);
    assert_int_equal(tally.timeout, 5);
    assert_int_equal(tally.exception, 7);
    assert_int_equal(tally.garbled, 11);
    assert_int_equal(tally.link, 13);
    assert_int_equal(tally.late + tally.foreign, 0);
}

/* What never came, or was no answer, took no round trip. */
static void only_answers_have_a_round_trip(void **state)
{
    struct tally tally = {0};
    (void)state;
    tally_request(&tally, OUTCOME_TIMEOUT, 300000);
    tally_request(&tally, OUTCOME_GARBLED, 300000);
    tally_request(&tally, OUTCOME_LINK, 300000);
    for (unsigned percent = 0; percent <= 100; percent++)
        assert_int_equal(tally_percentile_us(&tally, percent), 0);
    assert_int_equal(tally_answers(&tally), 0);
    assert_int_equal(tally.waited_us, 0);
    tally_request(&tally, OUTCOME_EXCEPTION, 1000);
    assert_in_range(tally_percentile_us(&tally, 50), 1000, 1250);
    assert_int_equal(tally_answers(&tally), 1);
    assert_int_equal(tally.waited_us, 1000);
}

/* Never too little, at most a fifth of itself too much. */
static void assert_close(uint32_t told, int64_t true_us)
{
    int64_t at_least = true_us > SHORTEST_US ? true_us : SHORTEST_US;
    if (told < true_us || (double)told * 0.8 > (double)at_least)
        fail_msg("%" PRId64 " µs told as %" PRIu32, true_us, told);
}

static void every_round_trip_has_its_step(void **state)
{
    (void)state;
    for (int64_t us = 0; us < 66000000; us += 1 + us / 1000) {
        struct tally tally = {0};
        answer(&tally, us);
        assert_close(tally_percentile_us(&tally, 50), us);
        assert_close(tally_percentile_us(&tally, 99), us);
    }
}

/* The first of each step: one less belongs to the step before. (After 67 s comes no other.) */
static void steps_begin_where_the_one_before_ends(void **state)
{
    (void)state;
    for (int64_t base = SHORTEST_US; base < INT64_C(1) << 25; base *= 2) {
        for (int64_t quarter = 1; quarter <= 4; quarter++) {
            struct tally below = {0}, at = {0};
            int64_t edge = base + base * quarter / 4;
            answer(&below, edge - 1);
            answer(&at, edge);
            assert_int_equal(tally_percentile_us(&below, 50), edge);
            assert_true(tally_percentile_us(&at, 50) > edge);
        }
    }
}

static void nonsense_stays_on_the_scale(void **state)
{
    static const int64_t wild[] = {INT64_MIN, -1, 0, INT64_C(67108864), INT64_MAX};
    struct tally tally = {0};
    (void)state;
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++)
        answer(&tally, wild[i]);
    assert_int_equal(tally_percentile_us(&tally, 0), 80);
    assert_int_equal(tally_percentile_us(&tally, 60), 80);
    assert_int_equal(tally_percentile_us(&tally, 61), 67108864);
    assert_int_equal(tally_percentile_us(&tally, 1000), 67108864);
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* Somewhere on the scale, evenly in the doublings, or a narrow peak with a tail. */
static int64_t random_round_trip(bool narrow)
{
    if (narrow && roll() % 20)
        return 9000 + (int64_t)(roll() % 2000);
    uint64_t top = UINT64_C(64) << (roll() % 20);
    return (int64_t)(top + roll() % top);
}

static void percentiles_are_those_of_the_sorted_list(void **state)
{
    static int64_t list[ANSWERS_MAX];
    (void)state;
    for (int run = 0; run < 200; run++) {
        struct tally tally = {0};
        size_t count = 1 + (size_t)roll() % ANSWERS_MAX;
        for (size_t i = 0; i < count; i++) {
            list[i] = random_round_trip(run % 2);
            answer(&tally, list[i]);
        }
        qsort(list, count, sizeof *list, compare);
        for (unsigned percent = 1; percent <= 100; percent++) {
            size_t rank = (count * percent + 99) / 100;
            assert_close(tally_percentile_us(&tally, percent), list[rank - 1]);
        }
    }
}

/* However long it runs: no overflow, and rare slow answers keep their share. */
static void full_steps_keep_the_shares(void **state)
{
    struct tally tally = {0};
    (void)state;
    for (uint32_t i = 0; i < 1000000; i++)
        answer(&tally, i % 50 ? 10000 : 500000);
    for (size_t i = 0; i < TALLY_TIMES; i++)
        assert_in_range(tally.round_trips[i], 0, FULL);
    assert_close(tally_percentile_us(&tally, 50), 10000);
    assert_close(tally_percentile_us(&tally, 97), 10000);
    assert_close(tally_percentile_us(&tally, 99), 500000);
    assert_int_equal(tally.good, 1000000);
    assert_int_equal(tally.waited_us, UINT64_C(980000) * 10000 + UINT64_C(20000) * 500000);
}

/* A unit that has become slow shows it long before its old answers are outnumbered. */
static void newer_answers_weigh_more(void **state)
{
    struct tally tally = {0};
    (void)state;
    for (uint32_t i = 0; i < 1000000; i++)
        answer(&tally, 10000);
    for (uint32_t i = 0; i < 70000; i++)
        answer(&tally, 80000);
    assert_close(tally_percentile_us(&tally, 50), 80000);
}

static void values_are_counted_by_quality(void **state)
{
    static const struct value values[] = {
        {.steps = 1, .quality = QUALITY_GOOD},      {.steps = 2, .quality = QUALITY_GOOD},
        {.steps = 0, .quality = QUALITY_INVALID},   {.steps = 0, .quality = QUALITY_STALE},
        {.steps = 0, .quality = QUALITY_STALE + 1}, {.steps = 0, .quality = 255},
        {.steps = 9, .quality = QUALITY_UNCERTAIN},
    };
    struct tally tally = {0};
    uint64_t sum = 0;
    (void)state;
    tally_values(&tally, values, sizeof values / sizeof *values);
    tally_values(&tally, values, 1);
    tally_values(&tally, NULL, 0);
    assert_int_equal(tally.values[QUALITY_GOOD], 3);
    assert_int_equal(tally.values[QUALITY_UNCERTAIN], 1);
    assert_int_equal(tally.values[QUALITY_INVALID], 1);
    assert_int_equal(tally.values[QUALITY_STALE], 1);
    for (size_t i = 0; i < TALLY_QUALITIES; i++)
        sum += tally.values[i];
    assert_int_equal(sum, 6); /* a quality that does not exist is nobody's */
    assert_int_equal(tally.requests, 0);
}

static void random_tally(struct tally *tally, uint32_t requests)
{
    *tally = (struct tally){.late = roll() % 100, .foreign = roll() % 100};
    for (uint32_t i = 0; i < requests; i++) {
        const struct value value = {.quality = (uint8_t)(roll() % TALLY_QUALITIES)};
        tally_request(tally, (enum outcome)(roll() % (OUTCOME_LINK + 1)), random_round_trip(false));
        tally_values(tally, &value, 1);
    }
}

static void a_sum_holds_every_counter(void **state)
{
    struct tally a, b, sum = {0};
    (void)state;
    random_tally(&a, 500);
    random_tally(&b, 700);
    tally_add(&sum, &a);
    assert_memory_equal(&sum, &a, sizeof sum);
    tally_add(&sum, &b);
    /* Every member is a counter: added up one by one, whatever they are called. */
    const uint64_t *x = &a.requests, *y = &b.requests, *z = &sum.requests;
    for (size_t i = 0; i < offsetof(struct tally, round_trips) / sizeof *x; i++)
        assert_int_equal(z[i], x[i] + y[i]);
    for (size_t i = 0; i < TALLY_TIMES; i++)
        assert_int_equal(sum.round_trips[i], a.round_trips[i] + b.round_trips[i]);
    assert_int_equal(sum.requests, 1200);
}

/* The line's thread counts a poll of its own and adds it: that must be the same as counting on. */
static void adding_poll_by_poll_is_counting(void **state)
{
    struct tally counted = {0}, added = {0};
    (void)state;
    for (uint32_t i = 0; i < 300000; i++) {
        struct tally poll = {0};
        int64_t us = random_round_trip(true);
        answer(&poll, us);
        answer(&counted, us);
        tally_add(&added, &poll);
    }
    assert_memory_equal(&added, &counted, sizeof added);
}

/* Full ones too: no step of the sum overflows, however many they are. */
static void full_sums_keep_the_shares(void **state)
{
    struct tally unit = {0}, sum = {0};
    (void)state;
    for (uint32_t i = 0; i < FULL; i++)
        answer(&unit, i % 50 ? 10000 : 500000);
    for (int i = 0; i < 100000; i++) {
        tally_add(&sum, &unit);
        for (size_t t = 0; t < TALLY_TIMES; t++)
            assert_in_range(sum.round_trips[t], 0, FULL);
    }
    assert_close(tally_percentile_us(&sum, 97), 10000);
    assert_close(tally_percentile_us(&sum, 99), 500000);
    assert_int_equal(sum.good, UINT64_C(100000) * FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_is_counted_once),
        cmocka_unit_test(only_answers_have_a_round_trip),
        cmocka_unit_test(every_round_trip_has_its_step),
        cmocka_unit_test(steps_begin_where_the_one_before_ends),
        cmocka_unit_test(nonsense_stays_on_the_scale),
        cmocka_unit_test(percentiles_are_those_of_the_sorted_list),
        cmocka_unit_test(full_steps_keep_the_shares),
        cmocka_unit_test(newer_answers_weigh_more),
        cmocka_unit_test(values_are_counted_by_quality),
        cmocka_unit_test(a_sum_holds_every_counter),
        cmocka_unit_test(adding_poll_by_poll_is_counting),
        cmocka_unit_test(full_sums_keep_the_shares),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
