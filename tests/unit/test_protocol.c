/* protocol.c: the way down to MQTT 3.1.1 and back.
 * Each test is a broker of some temper, played against the choice: one that knows 5, one that
 * refuses it, one that hangs up on it, one that is only going down, one that is down for long.
 * Pure; no socket. */
#include "gateway/uplink/protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void a_broker_of_5_is_spoken_to_in_5(void **state)
{
    (void)state;
    struct protocol protocol;
    protocol_start(&protocol);
    assert_true(protocol.is_5);
    assert_true(protocol_accepted(&protocol));
    protocol_ended(&protocol, PROTOCOL_END_USED);
    for (int i = 0; i < 5; i++) {
        protocol_ended(&protocol, PROTOCOL_END_HUNG_UP); /* going down, coming up */
        assert_true(protocol.is_5);
    }
}

static void a_refusal_of_the_version_leads_to_311_at_once(void **state)
{
    (void)state;
    struct protocol protocol;
    protocol_start(&protocol);
    protocol_ended(&protocol, PROTOCOL_END_VERSION);
    assert_false(protocol.is_5);
    protocol_ended(&protocol, PROTOCOL_END_OTHER); /* a timeout changes nothing */
    assert_false(protocol.is_5);
    assert_true(protocol_accepted(&protocol));
    protocol_ended(&protocol, PROTOCOL_END_USED);
    assert_true(protocol.is_5); /* it may have been updated */
}

static void a_broker_that_hangs_up_has_to_do_so_twice(void **state)
{
    (void)state;
    struct protocol protocol;
    protocol_start(&protocol);
    protocol_ended(&protocol, PROTOCOL_END_HUNG_UP);
    assert_false(protocol.is_5);
    assert_false(protocol_accepted(&protocol)); /* 3.1.1 taken: ask for 5 once more */
    protocol_ended(&protocol, PROTOCOL_END_OTHER);
    assert_true(protocol.is_5);
    protocol_ended(&protocol, PROTOCOL_END_HUNG_UP);
    assert_false(protocol.is_5);
    assert_true(protocol_accepted(&protocol));
}

static void one_that_was_only_going_down_gets_5(void **state)
{
    (void)state;
    struct protocol protocol;
    protocol_start(&protocol);
    protocol_ended(&protocol, PROTOCOL_END_HUNG_UP);
    assert_false(protocol_accepted(&protocol));
    protocol_ended(&protocol, PROTOCOL_END_OTHER);
    assert_true(protocol.is_5);
    assert_true(protocol_accepted(&protocol));
    assert_true(protocol.knows_5);
}

static void one_that_is_down_for_long_gets_5_when_it_is_back(void **state)
{
    (void)state;
    struct protocol protocol;
    protocol_start(&protocol);
    for (int i = 0; i < 10; i++) {
        protocol_ended(&protocol, PROTOCOL_END_HUNG_UP);
        assert_false(protocol.is_5);
        protocol_ended(&protocol, PROTOCOL_END_OTHER);
        assert_true(protocol.is_5);
    }
    protocol_ended(&protocol, PROTOCOL_END_HUNG_UP);
    assert_false(protocol_accepted(&protocol));
}

static void one_that_takes_neither_is_asked_for_both(void **state)
{
    (void)state;
    struct protocol protocol;
    protocol_start(&protocol);
    protocol_ended(&protocol, PROTOCOL_END_HUNG_UP);
    protocol_ended(&protocol, PROTOCOL_END_HUNG_UP);
    assert_true(protocol.is_5);
    protocol_ended(&protocol, PROTOCOL_END_OTHER);
    assert_true(protocol.is_5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broker_of_5_is_spoken_to_in_5),
        cmocka_unit_test(a_refusal_of_the_version_leads_to_311_at_once),
        cmocka_unit_test(a_broker_that_hangs_up_has_to_do_so_twice),
        cmocka_unit_test(one_that_was_only_going_down_gets_5),
        cmocka_unit_test(one_that_is_down_for_long_gets_5_when_it_is_back),
        cmocka_unit_test(one_that_takes_neither_is_asked_for_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
