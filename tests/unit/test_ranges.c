/* ranges.c against a bitmap.
 * Random adds and removes over 64 numbers; after every step the members are the same and there are
 * the fewest ranges that can hold them.
 * The seed is printed. */
#include "gateway/store/ranges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { NUMBERS = 64 };

static void assert_same(const struct ranges *set, const bool *member)
{
    size_t runs = 0;
    for (uint64_t n = 0; n < NUMBERS; n++) {
        assert_int_equal(ranges_contains(set, n), member[n]);
        if (member[n] && (n == 0 || !member[n - 1]))
            runs++;
        struct range next;
        uint64_t expected = n;
        while (expected < NUMBERS && !member[expected])
            expected++;
        assert_int_equal(ranges_next(set, n, &next), expected < NUMBERS);
        if (expected < NUMBERS)
            assert_int_equal(next.first, expected);
    }
    assert_int_equal(set->count, runs);
}

static void random_against_bitmap(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    struct ranges set = {0}, copy = {0};
    bool member[NUMBERS] = {false};
    for (int step = 0; step < 20000; step++) {
        uint64_t first = 1 + (uint64_t)(rand() % (NUMBERS - 1)); /* numbers start at 1 */
        uint64_t last = first + (uint64_t)(rand() % 9) - 1;
        if (last >= NUMBERS)
            last = NUMBERS - 1;
        bool add = rand() % 2;
        assert_true(add ? ranges_add(&set, first, last) : ranges_remove(&set, first, last));
        for (uint64_t n = first; n <= last; n++)
            member[n] = add;
        assert_same(&set, member);
    }
    assert_true(ranges_copy(&copy, &set));
    assert_same(&copy, member);
    ranges_free(&copy);
    ranges_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_against_bitmap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
