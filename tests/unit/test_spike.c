/* spike.c: one broken reading, a step of the world, and what must never be held back twice.
 *
 * Random walks with jumps run beside a list of all values, from which the verdicts are told anew by
 * the words of the header. Pure; no clock. LIFELINE_SEED repeats a run. */
#include "gateway/flow/spike.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { STEPS = 300000 };

static enum spike_verdict look(struct spike *spike, double value, int64_t at_s)
{
    return spike_look(spike, 10, value, (mono_time){at_s * INT64_C(1000000000)});
}

static void fill(struct spike *spike)
{
    static const double calm[] = {20, 21, 19, 20, 22};
    *spike = (struct spike){0};
    for (int i = 0; i < 5; i++)
        assert_int_equal(look(spike, calm[i], i), SPIKE_NO);
}

static void one_broken_reading(void **state)
{
    (void)state;
    struct spike spike;
    fill(&spike);
    assert_int_equal(look(&spike, 900, 5), SPIKE_SUSPECT);
    assert_int_equal(look(&spike, 21, 6), SPIKE_WAS);
    assert_int_equal(look(&spike, 21, 7), SPIKE_NO);
    assert_int_equal(look(&spike, -900, 8), SPIKE_SUSPECT);
    assert_int_equal(look(&spike, 21, 9), SPIKE_WAS);
}

static void a_step_of_the_world(void **state)
{
    (void)state;
    struct spike spike;
    fill(&spike);
    assert_int_equal(look(&spike, 900, 5), SPIKE_SUSPECT);
    assert_int_equal(look(&spike, 905, 6), SPIKE_CONFIRMED);
    assert_int_equal(look(&spike, 20, 7), SPIKE_NO); /* nothing is usual any more */
}

static void a_level_that_was_confirmed_is_usual_after_five(void **state)
{
    (void)state;
    struct spike spike;
    fill(&spike);
    (void)look(&spike, 900, 5);
    (void)look(&spike, 900, 6);
    for (int i = 7; i < 10; i++)
        assert_int_equal(look(&spike, 900, i), SPIKE_NO);
    assert_int_equal(look(&spike, 20, 10), SPIKE_SUSPECT);
    assert_int_equal(look(&spike, 900, 11), SPIKE_WAS);
}

static void before_five_values_nothing_is(void **state)
{
    (void)state;
    struct spike spike = {0};
    for (int i = 0; i < 5; i++)
        assert_int_equal(look(&spike, i % 2 ? 1e6 : -1e6, i), SPIKE_NO);
}

static void exactly_the_limit_is_none(void **state)
{
    (void)state;
    struct spike spike = {0};
    for (int i = 0; i < 5; i++)
        (void)look(&spike, 20, i);
    assert_int_equal(look(&spike, 30, 5), SPIKE_NO);
    assert_int_equal(look(&spike, 30.5, 6), SPIKE_SUSPECT);
}

/* Deviations of 2 make 12 usual, though the limit says 10. */
static void what_scatters_may_scatter(void **state)
{
    (void)state;
    static const double scatter[] = {18, 22, 20, 18, 22};
    struct spike spike = {0};
    for (int i = 0; i < 5; i++)
        (void)look(&spike, scatter[i], i);
    assert_int_equal(look(&spike, 32, 5), SPIKE_NO);
    fill(&spike);
    assert_int_equal(look(&spike, 32, 5), SPIKE_SUSPECT); /* deviations of 1 */
}

/* A poll of once in an hour whose repetition fails: what lasts is judged at the second sight. */
static void a_suspect_is_held_back_once(void **state)
{
    (void)state;
    struct spike spike;
    fill(&spike);
    assert_int_equal(look(&spike, 900, 5), SPIKE_SUSPECT);
    assert_int_equal(look(&spike, 900, 3605), SPIKE_CONFIRMED);
    fill(&spike);
    assert_int_equal(look(&spike, 900, 5), SPIKE_SUSPECT);
    assert_int_equal(look(&spike, -900, 6), SPIKE_CONFIRMED);
}

static void an_old_suspect_was_none(void **state)
{
    (void)state;
    struct spike spike;
    fill(&spike);
    assert_int_equal(look(&spike, 900, 5), SPIKE_SUSPECT);
    assert_int_equal(look(&spike, 20, 5 + SPIKE_MS / 1000), SPIKE_WAS);
    fill(&spike);
    assert_int_equal(look(&spike, 900, 5), SPIKE_SUSPECT);
    assert_int_equal(look(&spike, 20, 6 + SPIKE_MS / 1000), SPIKE_NO);
}

static void what_is_no_number_changes_nothing(void **state)
{
    (void)state;
    static const double none[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        struct spike spike;
        fill(&spike);
        const struct spike before = spike;
        assert_int_equal(look(&spike, none[i], 5), SPIKE_NO);
        assert_memory_equal(&spike, &before, sizeof spike);
        (void)look(&spike, 900, 6);
        assert_int_equal(look(&spike, none[i], 7), SPIKE_NO);
        assert_int_equal(look(&spike, 900, 8), SPIKE_CONFIRMED);
    }
}

/* ---- against a list ---- */

struct list {
    double values[STEPS]; /* that were believed since the last time that everything changed */
    size_t count;
    double held; /* the newest sample, when it is a suspect */
    bool holds;
    int64_t held_ms;
};

/* The third smallest of five, without sorting: two at most are smaller, two at most larger. */
static double third(const double five[5])
{
    for (int i = 0; i < 5; i++) {
        int smaller = 0, larger = 0;
        for (int j = 0; j < 5; j++) {
            smaller += five[j] < five[i];
            larger += five[j] > five[i];
        }
        if (smaller <= 2 && larger <= 2)
            return five[i];
    }
    fail();
    return 0;
}

static bool stands_out(const struct list *list, double limit, double value)
{
    if (list->count < 5)
        return false;
    const double *last = &list->values[list->count - 5];
    double off[5];
    for (int i = 0; i < 5; i++)
        off[i] = fabs(last[i] - third(last));
    double distance = fabs(value - third(last));
    return distance > limit && distance > 6 * third(off);
}

static enum spike_verdict expected(struct list *list, double limit, double value, int64_t ms)
{
    bool held = list->holds;
    bool out = stands_out(list, limit, value);
    list->holds = false;
    if (out && !held) {
        list->holds = true;
        list->held = value;
        list->held_ms = ms;
        return SPIKE_SUSPECT;
    }
    if (out) {
        list->count = 0;
        list->values[list->count++] = list->held;
    }
    list->values[list->count++] = value;
    return out ? SPIKE_CONFIRMED : held && ms - list->held_ms <= SPIKE_MS ? SPIKE_WAS : SPIKE_NO;
}

static int64_t random_gap_ms(void)
{
    return rand() % 50 == 0   ? SPIKE_MS + rand() % 3 - 1
           : rand() % 50 == 0 ? rand() % (2 * SPIKE_MS)
                              : rand() % 60000;
}

static void it_agrees_with_a_list(void **state)
{
    (void)state;
    static struct list list;
    const char *given = getenv("LIFELINE_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    struct spike spike = {0};
    double level = 0;
    int64_t ms = 0;
    size_t seen[4] = {0};
    for (int i = 0; i < STEPS; i++) {
        ms += random_gap_ms();
        level += rand() % 5 - 2 + (rand() % 60 == 0 ? rand() % 201 - 100 : 0);
        double value = level + (rand() % 20 == 0 ? rand() % 201 - 100 : 0);
        enum spike_verdict due = expected(&list, 7, value, ms);
        assert_int_equal(spike_look(&spike, 7, value, (mono_time){ms * 1000000}), due);
        seen[due]++;
    }
    for (int i = 0; i < 4; i++)
        assert_true(seen[i] > STEPS / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_broken_reading),
        cmocka_unit_test(a_step_of_the_world),
        cmocka_unit_test(a_level_that_was_confirmed_is_usual_after_five),
        cmocka_unit_test(before_five_values_nothing_is),
        cmocka_unit_test(exactly_the_limit_is_none),
        cmocka_unit_test(what_scatters_may_scatter),
        cmocka_unit_test(a_suspect_is_held_back_once),
        cmocka_unit_test(an_old_suspect_was_none),
        cmocka_unit_test(what_is_no_number_changes_nothing),
        cmocka_unit_test(it_agrees_with_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
