/* tap.c: what is heard, in its order, whole; what is too much is counted, the oldest first.
 *
 * Against a plain list of numbers, with listeners that are slow, stop and begin again. Under ASan
 * nothing leaks, whatever is left in it. The seed is printed. */
#include "gateway/tap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static struct lane_event in, out;

static const struct lane_event *event(uint64_t n)
{
    in = (struct lane_event){.n = n, .step = (uint32_t)n, .length = (size_t)(n * 37 % 3000)};
    for (size_t i = 0; i < in.length; i++)
        in.bytes[i] = (uint8_t)(n + i);
    return &in;
}

static void is(const struct lane_event *seen, uint64_t n)
{
    const struct lane_event *wanted = event(n);
    assert_int_equal(seen->n, n);
    assert_int_equal(seen->step, wanted->step);
    assert_int_equal(seen->length, wanted->length);
    assert_memory_equal(seen->bytes, wanted->bytes, wanted->length);
}

static void closed_it_keeps_nothing(void **state)
{
    (void)state;
    struct tap tap = {0};
    uint64_t missed = 0;
    tap_put(&tap, event(1));
    assert_false(tap_take(&tap, &out, &missed));
    tap_open(&tap, true);
    tap_put(&tap, event(2));
    tap_open(&tap, true); /* a second listener takes nothing away */
    assert_true(tap_take(&tap, &out, &missed));
    is(&out, 2);
    tap_put(&tap, event(3));
    tap_open(&tap, false);
    tap_open(&tap, true);
    assert_false(tap_take(&tap, &out, &missed));
    assert_int_equal(missed, 0);
    tap_open(&tap, false);
}

static void the_oldest_are_missed(void **state)
{
    (void)state;
    const char *given = getenv("LIFELINE_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("seed %u (LIFELINE_SEED repeats it)\n", seed);
    srandom(seed);
    struct tap tap = {0};
    uint64_t put = 0, next = 1, lost = 0, missed = 0;
    tap_open(&tap, true);
    for (int turn = 0; turn < 300; turn++) {
        for (long i = random() % 200; i > 0; i--)
            tap_put(&tap, event(++put));
        for (long i = random() % 150; i > 0; i--) {
            if (put - (next - 1) > TAP_EVENTS) {
                lost += put - (next - 1) - TAP_EVENTS;
                next = put - TAP_EVENTS + 1;
            }
            assert_int_equal(tap_take(&tap, &out, &missed), next <= put);
            assert_int_equal(missed, lost);
            if (next <= put)
                is(&out, next++);
        }
    }
    assert_true(lost > 0);
    tap_open(&tap, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_it_keeps_nothing),
        cmocka_unit_test(the_oldest_are_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
