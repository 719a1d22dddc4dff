/* route.c: a list of brokers, walked by an uplink to which this and that happens.
 * Each test is a story: brokers that are away, that drop whoever they took, that come back. The
 * minutes between two looks for the first one are written out. What a whole city makes of it is in
 * test_retry.
 * Pure; no socket, no clock. */
#include "gateway/uplink/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void a_round_tries_each_once_and_then_pauses(void **state)
{
    (void)state;
    struct route route;
    route_start(&route, 3);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(route.url, 0);
        assert_false(route_failed(&route));
        assert_int_equal(route.url, 1);
        assert_false(route_failed(&route));
        assert_int_equal(route.url, 2);
        assert_true(route_failed(&route));
    }
    assert_int_equal(route.returns, 0); /* nobody went back to anything */
}

static void one_broker_pauses_after_each_failure(void **state)
{
    (void)state;
    struct route route;
    route_start(&route, 1);
    assert_true(route_failed(&route));
    assert_true(route_failed(&route));
    route_steady(&route);
    route_lost(&route);
    assert_int_equal(route.url, 0);
    assert_int_equal(route_return_ms(&route), 0);
}

static void a_lost_connection_begins_with_the_first(void **state)
{
    (void)state;
    struct route route;
    route_start(&route, 3);
    assert_false(route_failed(&route));
    assert_false(route_failed(&route));
    route_steady(&route);
    route_lost(&route);
    assert_int_equal(route.url, 0);
}

static void looks_for_the_first_grow_rarer_up_to_an_hour(void **state)
{
    (void)state;
    struct route route;
    route_start(&route, 2);
    assert_false(route_failed(&route));
    static const uint32_t minutes[] = {5, 10, 20, 40, 60, 60, 60};
    for (size_t i = 0; i < sizeof minutes / sizeof *minutes; i++) {
        assert_int_equal(route_return_ms(&route), minutes[i] * 60000);
        route_absent(&route);
    }
}

/* Takes connections and drops them after seconds: each return to it ends on the second again. */
static void a_first_that_drops_everybody_does_not_pin(void **state)
{
    (void)state;
    struct route route;
    route_start(&route, 2);
    assert_false(route_failed(&route)); /* a short life counts as a failure */
    static const uint32_t minutes[] = {5, 10, 20, 40, 60, 60};
    for (size_t i = 0; i < sizeof minutes / sizeof *minutes; i++) {
        assert_int_equal(route.url, 1);
        route_steady(&route);
        assert_int_equal(route_return_ms(&route), minutes[i] * 60000);
        route_return(&route);
        assert_int_equal(route.url, 0);
        assert_false(route_failed(&route));
    }
    route_return(&route);
    route_steady(&route); /* at last it holds */
    route_lost(&route);
    assert_false(route_failed(&route));
    assert_int_equal(route_return_ms(&route), 5 * 60000);
}

static void one_broker_alone_is_given_all_the_time(void **state)
{
    (void)state;
    struct route route;
    route_start(&route, 1);
    assert_int_equal(route_spread_ms(&route, 60000), 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_tries_each_once_and_then_pauses),
        cmocka_unit_test(one_broker_pauses_after_each_failure),
        cmocka_unit_test(a_lost_connection_begins_with_the_first),
        cmocka_unit_test(looks_for_the_first_grow_rarer_up_to_an_hour),
        cmocka_unit_test(a_first_that_drops_everybody_does_not_pin),
        cmocka_unit_test(one_broker_alone_is_given_all_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
