/* ULIDs: known values, order by time, and what is none.
 *
 * The time of the known ones is the example of the ULID specification, worked out apart from the
 * code under test. */
#include "proto/ulid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void known_values(void **state)
{
    (void)state;
    static const uint8_t ones[ULID_RANDOM] = {0xff, 0xff, 0xff, 0xff, 0xff,
                                              0xff, 0xff, 0xff, 0xff, 0xff};
    char id[ULID_LENGTH + 1];
    ulid_first(id, 1469918176385);
    assert_string_equal(id, "01ARYZ6S410000000000000000");
    ulid_encode(id, 1469918176385, ones);
    assert_string_equal(id, "01ARYZ6S41ZZZZZZZZZZZZZZZZ");
    ulid_encode(id, (INT64_C(1) << 48) - 1, ones);
    assert_string_equal(id, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    ulid_first(id, -5);
    assert_string_equal(id, "00000000000000000000000000");
    ulid_encode(id, INT64_MAX, ones);
    assert_string_equal(id, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
}

static void later_is_greater(void **state)
{
    (void)state;
    char before[ULID_LENGTH + 1], id[ULID_LENGTH + 1];
    ulid_first(before, 0);
    for (int64_t ms = 1; ms < (INT64_C(1) << 48); ms = ms * 3 / 2 + 1) {
        ulid_first(id, ms);
        assert_true(strcmp(before, id) < 0);
        memcpy(before, id, sizeof id);
    }
}

static void what_is_one(void **state)
{
    (void)state;
    assert_true(ulid_is("01ARYZ6S410000000000000000"));
    assert_false(ulid_is(""));
    assert_false(ulid_is("01ARYZ6S41000000000000000"));
    assert_false(ulid_is("01ARYZ6S4100000000000000000"));
    assert_false(ulid_is("01ARYZ6S41000000000000000I"));
    assert_false(ulid_is("01aryz6s410000000000000000"));
    assert_false(ulid_is("81ARYZ6S410000000000000000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(later_is_greater),
        cmocka_unit_test(what_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
