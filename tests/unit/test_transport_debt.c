/* What a unit owes, without any line: which answers can be mistaken for a late one, and which part
 * of a question cannot.
 *
 * The kinds are function and byte count; what the transport makes of them on real lines stands in
 * test_transport_late.c, and in masses in tests/fault/line.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "drivers/transport_debt.h"

static const struct transport_request ten = {1, FUNCTION_HOLDING, 100, 10, 0};
static const struct transport_request two = {1, FUNCTION_HOLDING, 500, 2, 0};
static const struct transport_request input = {1, FUNCTION_INPUT, 100, 10, 0};
static const struct transport_request coils = {1, FUNCTION_COIL, 0, 30, 0};

static void test_kinds(void **state)
{
    (void)state;
    const uint8_t answer[] = {1, FUNCTION_HOLDING, 20, 0};
    assert_int_equal(transport_debt_kind(&ten), transport_debt_answer_kind(answer));
    assert_int_not_equal(transport_debt_kind(&ten), transport_debt_kind(&two));
    assert_int_not_equal(transport_debt_kind(&ten), transport_debt_kind(&input));
    struct transport_request fewer = coils;
    fewer.count = 25; /* four bytes too */
    assert_int_equal(transport_debt_kind(&coils), transport_debt_kind(&fewer));
}

static void test_what_may_be_late(void **state)
{
    (void)state;
    struct transport_debt debt = {0};
    assert_false(transport_debt_may_be(&debt, transport_debt_kind(&ten)));
    transport_debt_add(&debt, transport_debt_kind(&ten), DEBT_MAX);
    transport_debt_add(&debt, transport_debt_kind(&ten), DEBT_MAX);
    assert_int_equal(debt.owed, 2);
    assert_int_equal(debt.kind_count, 1);
    assert_true(transport_debt_may_be(&debt, transport_debt_kind(&ten)));
    assert_false(transport_debt_may_be(&debt, transport_debt_kind(&input)));
    transport_debt_add_kind(&debt, transport_debt_kind(&input));
    assert_true(transport_debt_may_be(&debt, transport_debt_kind(&input)));
    /* Asked often enough, only the newest question can still be answered. */
    transport_debt_settle(&debt, transport_debt_kind(&two));
    assert_int_equal(debt.owed, 2);
    assert_false(transport_debt_may_be(&debt, transport_debt_kind(&ten)));
    assert_true(transport_debt_may_be(&debt, transport_debt_kind(&two)));
    for (uint16_t kind = 1; kind <= DEBT_KINDS; kind++) {
        transport_debt_add_kind(&debt, kind);
    }
    assert_true(transport_debt_may_be(&debt, transport_debt_kind(&coils))); /* too many to know */
    transport_debt_clear(&debt);
    assert_int_equal(debt.owed, 0);
    assert_false(transport_debt_may_be(&debt, transport_debt_kind(&two)));
}

static void test_parts(void **state)
{
    (void)state;
    struct transport_debt debt = {0};
    transport_debt_add(&debt, transport_debt_kind(&ten), DEBT_MAX);
    for (uint16_t count = 1; count <= 5; count++) {
        struct transport_request part = ten;
        assert_true(transport_debt_choose_part(&debt, &part));
        assert_int_equal(part.count, count);
        assert_int_equal(part.address, ten.address);
        transport_debt_add(&debt, transport_debt_kind(&part), DEBT_MAX);
    }
    assert_int_equal(debt.owed, DEBT_MAX);
    struct transport_request part = two;
    assert_false(transport_debt_choose_part(&debt, &part)); /* its only part is owed */
    assert_int_equal(part.count, 2);
    part = coils;
    assert_true(transport_debt_choose_part(&debt, &part));
    assert_int_equal(part.count, 8);
    transport_debt_add_kind(&debt, 1);
    transport_debt_add_kind(&debt, 2);
    assert_false(transport_debt_choose_part(&debt, &part));
}

static void test_stragglers(void **state)
{
    (void)state;
    struct transport_debt debt = {0};
    mono_time now = {1000};
    assert_false(transport_debt_straggler(&debt, now));
    transport_debt_add(&debt, 7, DEBT_MAX);
    assert_true(transport_debt_straggler(&debt, now));
    assert_int_equal(debt.heard.ns, 1000);
    assert_false(transport_debt_straggler(&debt, (mono_time){2000}));
    assert_int_equal(debt.heard.ns, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_what_may_be_late),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_stragglers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
