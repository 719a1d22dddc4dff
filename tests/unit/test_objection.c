/* objection.c: who is blamed when a broker refuses or hangs up, and for how long.
 *
 * A world of topics of which some are poison plays the herald's part: what is suspect goes alone,
 * the rest together. Whatever the poison, nothing innocent may ever rest for it, and all of the
 * poison rests in the end.
 * Nothing is mocked; the seed is printed. */
#include "gateway/uplink/objection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static void a_refusal_rests_for_a_minute(void **state)
{
    (void)state;
    struct objection o = {0};
    assert_false(objection_rests(&o, 1000));
    assert_true(objection_refused(&o, 1000));
    assert_true(objection_rests(&o, 1000 + OBJECTION_REST_MS - 1));
    assert_false(objection_rests(&o, 1000 + OBJECTION_REST_MS));
    assert_false(objection_refused(&o, 70000)); /* said once */
    assert_true(objection_rests(&o, 70000 + OBJECTION_REST_MS - 1));
    assert_true(objection_taken(&o));
    assert_false(objection_rests(&o, 70001));
    assert_false(objection_taken(&o));
}

static void one_end_may_be_the_links(void **state)
{
    (void)state;
    struct objection o = {0};
    for (int i = 0; i < 10; i++)
        assert_false(objection_ended(&o, false, i)); /* with others: only suspect */
    assert_true(o.suspect);
    assert_false(objection_ended(&o, true, 20));
    assert_false(objection_rests(&o, 20));
    assert_true(objection_ended(&o, true, 30));
    assert_true(objection_rests(&o, 30));
    assert_false(o.suspect);
    /* after its rest one end is enough, and it is not said again */
    assert_false(objection_ended(&o, false, 70000));
    assert_false(objection_rests(&o, 70000));
    assert_false(objection_ended(&o, true, 70001));
    assert_true(objection_rests(&o, 70001));
}

static void what_is_taken_was_innocent(void **state)
{
    (void)state;
    struct objections all = {0};
    struct objection *o = &all.of[OBJECTION_REPORT][SECTOR_GAS];
    assert_false(objection_ended(o, true, 1));
    assert_true(objections_suspect(&all));
    assert_false(objection_taken(o));
    assert_false(objections_suspect(&all));
    assert_false(objection_ended(o, true, 2));
    assert_false(objection_rests(o, 2));
    objections_acquit(&all, OBJECTION_ALARM);
    assert_true(objections_suspect(&all));
    objections_acquit(&all, OBJECTION_REPORT);
    assert_false(objections_suspect(&all));
    assert_false(objection_ended(o, true, 3));
}

/* One connection: what goes out on it, and what the broker makes of that. */
static void connection(struct objections *all, const bool *poison, int64_t now)
{
    struct objection *of = &all->of[0][0];
    const size_t count = sizeof all->of / sizeof *of;
    bool way[sizeof all->of / sizeof *of] = {0}, ended = false;
    while (objections_suspect(all)) {
        size_t i = 0;
        while (!of[i].suspect)
            i++;
        if (poison[i]) {
            if (objection_ended(&of[i], true, now))
                assert_true(objection_rests(&of[i], now));
            return;
        }
        assert_false(objection_taken(&of[i]));
    }
    for (size_t i = 0; i < count; i++) {
        way[i] = !objection_rests(&of[i], now);
        ended |= way[i] && poison[i];
    }
    for (size_t i = 0; i < count && ended; i++) {
        if (way[i])
            assert_false(objection_ended(&of[i], false, now));
    }
}

static void only_the_poison_rests(void **state)
{
    (void)state;
    const char *given = getenv("LIFELINE_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("seed %u (LIFELINE_SEED repeats it)\n", seed);
    srandom(seed);
    enum { COUNT = OBJECTION_TOPICS * SECTOR_COUNT };
    for (int world = 0; world < 500; world++) {
        struct objections all = {0};
        bool poison[COUNT];
        size_t bad = 0;
        for (size_t i = 0; i < COUNT; i++)
            bad += poison[i] = random() % 8 == 0;
        for (size_t c = 0; c < 1 + 3 * bad; c++)
            connection(&all, poison, (int64_t)c);
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(objection_rests(&all.of[0][0] + i, 100), poison[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_rests_for_a_minute),
        cmocka_unit_test(one_end_may_be_the_links),
        cmocka_unit_test(what_is_taken_was_innocent),
        cmocka_unit_test(only_the_poison_rests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
