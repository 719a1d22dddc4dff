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
    transport_debt_add(&debt, transport_debt_kind(&ten), 5000, true);
    transport_debt_add(&debt, transport_debt_kind(&ten), 5000, true);
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

static void test_proofs(void **state)
{
    (void)state;
    struct transport_debt debt = {0};
    transport_debt_add(&debt, transport_debt_kind(&ten), 5000, true);
    for (uint16_t count = 1; count <= 5; count++) {
        struct transport_request proof = ten;
        assert_true(transport_debt_choose_proof(&debt, &proof));
        assert_int_equal(proof.count, count);
        assert_int_equal(proof.address, ten.address);
        transport_debt_add(&debt, transport_debt_kind(&proof), 5000, true);
    }
    assert_int_equal(debt.owed, 6);
    struct transport_request proof = two;
    assert_false(transport_debt_choose_proof(&debt, &proof)); /* 1 and 3 are owed */
    assert_true(transport_debt_must_rest(&debt, &two));
    assert_int_equal(proof.count, 2);
    proof = coils;
    assert_true(transport_debt_choose_proof(&debt, &proof));
    assert_int_equal(proof.count, 8);
    for (uint16_t kind = 1; kind <= DEBT_KINDS; kind++) {
        transport_debt_add_kind(&debt, kind);
    }
    assert_false(transport_debt_choose_proof(&debt, &proof)); /* too many to know */
}

/* One register has no part: then two tell it apart, unless the unit does not like that. */
static void test_more_is_a_proof_too(void **state)
{
    (void)state;
    const struct transport_request one = {1, FUNCTION_HOLDING, 65534, 1, 0};
    const struct transport_request last = {1, FUNCTION_HOLDING, 65535, 1, 0};
    const struct transport_request most = {1, FUNCTION_HOLDING, 0, 1, 0};
    struct transport_debt debt = {0};
    struct transport_request proof = one;
    transport_debt_add(&debt, transport_debt_kind(&one), 5000, true);
    assert_true(transport_debt_choose_proof(&debt, &proof));
    assert_int_equal(proof.count, 2);
    proof = last;
    assert_false(transport_debt_choose_proof(&debt, &proof)); /* no register behind it */
    assert_false(transport_debt_must_rest(&debt, &last));
    debt.no_more = true;
    proof = most;
    assert_false(transport_debt_choose_proof(&debt, &proof));
    transport_debt_add(&debt, transport_debt_kind(&one), 5000, true);
    transport_debt_add(&debt, transport_debt_kind(&one), 5000, true);
    assert_true(transport_debt_must_rest(&debt, &one));
    transport_debt_clear(&debt);
    assert_false(debt.no_more);
    assert_false(transport_debt_must_rest(&debt, &one));
}

static const uint8_t frame[] = {1, FUNCTION_HOLDING, 20, 0};

static void test_stragglers(void **state)
{
    (void)state;
    struct transport_debt debt = {0};
    transport_debt_add(&debt, transport_debt_kind(&ten), 5000, true);
    assert_true(transport_debt_straggler(&debt, frame, 5000, (mono_time){1000}));
    assert_int_equal(debt.heard.ns, 1000);
    assert_false(transport_debt_straggler(&debt, frame, 5000, (mono_time){2000}));
    assert_int_equal(debt.heard.ns, 1000);
    assert_int_equal(debt.owed, 1);
}

/* The longest patience of all that was asked counts, from the last sign on. */
static void test_when_it_is_over(void **state)
{
    (void)state;
    struct transport_debt debt = {.asked = clock_after_ms((mono_time){0}, 100)};
    transport_debt_add(&debt, transport_debt_kind(&ten), 6000, true);
    transport_debt_add(&debt, transport_debt_kind(&two), 5000, true);
    assert_false(transport_debt_is_over(&debt, clock_after_ms((mono_time){0}, 6099)));
    assert_true(transport_debt_is_over(&debt, clock_after_ms((mono_time){0}, 6100)));
    debt.heard = clock_after_ms((mono_time){0}, 1000);
    assert_false(transport_debt_is_over(&debt, clock_after_ms((mono_time){0}, 6999)));
}

/* An answer that nobody asked for may come a third time, when somebody does. */
static void test_repeats(void **state)
{
    (void)state;
    struct transport_debt debt = {0};
    assert_false(transport_debt_straggler(&debt, frame, 5000, (mono_time){0}));
    assert_int_equal(debt.owed, 1);
    assert_true(transport_debt_may_be(&debt, transport_debt_kind(&ten)));
    for (int i = 0; i < 10; i++) {
        assert_false(transport_debt_straggler(&debt, frame, 5000, (mono_time){1000}));
    }
    assert_int_equal(debt.owed, 1);
    assert_int_equal(debt.heard.ns, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),      cmocka_unit_test(test_what_may_be_late),
        cmocka_unit_test(test_proofs),     cmocka_unit_test(test_more_is_a_proof_too),
        cmocka_unit_test(test_stragglers), cmocka_unit_test(test_when_it_is_over),
        cmocka_unit_test(test_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
