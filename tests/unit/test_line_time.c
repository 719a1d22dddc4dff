/* Line time: characters, silences and requests, worked out by hand.
 *
 * Planner and forecast stand on these, and so does the simulator's test of the forecast, which has
 * arithmetic of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "drivers/line_time.h"

static const struct profile quiet, patient = {.min_gap_ms = 500}, brisk = {.min_gap_ms = 1};

static struct settings_line rtu(uint32_t baud, uint8_t data_bits, char parity, uint8_t stop_bits)
{
    return (struct settings_line){.transport = TRANSPORT_RTU,
                                  .serial = {baud, data_bits, parity, stop_bits}};
}

/* Times are nanoseconds cut off per character; a request has less than 300 of them. */
static void assert_about(int64_t ns, double ms)
{
    int64_t off = ns - (int64_t)(ms * 1e6);
    if (llabs(off) > 400)
        fail_msg("%lld ns is not %.6f ms", (long long)ns, ms);
}

static int64_t request_ns(struct settings_line line, const struct profile *profile, uint16_t count)
{
    return line_time_request_ns(&line, profile, FUNCTION_HOLDING, count);
}

static void characters_and_silences(void **state)
{
    (void)state;
    static const struct {
        struct serial serial;
        double character_ms, silence_ms;
    } cases[] = {
        {{9600, 8, 'N', 1}, 10 / 9.6, 35 / 9.6},      {{4800, 8, 'E', 1}, 11 / 4.8, 38.5 / 4.8},
        {{19200, 7, 'O', 2}, 11 / 19.2, 38.5 / 19.2}, {{19201, 8, 'N', 1}, 10 / 19.201, 1.75},
        {{115200, 8, 'N', 2}, 11 / 115.2, 1.75},      {{0, 8, 'N', 1}, 10 / 9.6, 35 / 9.6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_about(line_time_character_ns(&cases[i].serial), cases[i].character_ms);
        assert_about(line_time_silence_ns(&cases[i].serial), cases[i].silence_ms);
    }
}

static void a_request_by_hand(void **state)
{
    (void)state;
    /* 8 + 5 + 2 and two silences of 3.5 are 22 characters of 10 bits, and 4 ms of thinking */
    assert_about(request_ns(rtu(9600, 8, 'N', 1), &quiet, 1), 22 * 10 / 9.6 + 4);
    assert_about(request_ns(rtu(4800, 8, 'N', 1), &quiet, 3), 26 * 10 / 4.8 + 4);
    assert_about(request_ns(rtu(9600, 8, 'E', 1), &quiet, 1), 22 * 11 / 9.6 + 4);
    assert_about(request_ns(rtu(115200, 8, 'N', 1), &quiet, 125), 263 * 10 / 115.2 + 3.5 + 4);
    /* the gap holds our own silence */
    assert_about(request_ns(rtu(9600, 8, 'N', 1), &patient, 1), 18.5 * 10 / 9.6 + 4 + 500);
    assert_about(request_ns(rtu(9600, 8, 'N', 1), &brisk, 1), 22 * 10 / 9.6 + 4);
    struct settings_line dtu = rtu(9600, 8, 'N', 1);
    dtu.transport = TRANSPORT_RTU_OVER_TCP;
    assert_about(request_ns(dtu, &quiet, 1), 22 * 10 / 9.6 + 4);
}

static void a_round_trip_on_tcp(void **state)
{
    (void)state;
    struct settings_line tcp = {.transport = TRANSPORT_TCP};
    assert_about(request_ns(tcp, &quiet, 125), 4 + 250 * 0.0008);
    assert_about(request_ns(tcp, &patient, 1), 504 + 2 * 0.0008);
    assert_true(request_ns(tcp, &quiet, 125) < 2 * request_ns(tcp, &quiet, 1));
}

static void eight_bits_are_a_byte(void **state)
{
    (void)state;
    struct settings_line line = rtu(9600, 8, 'N', 1);
    static const struct {
        uint32_t bits, bytes;
    } cases[] = {{1, 1}, {8, 1}, {9, 2}, {16, 2}, {2000, 250}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(line_time_bytes(FUNCTION_COIL, cases[i].bits), cases[i].bytes);
        assert_int_equal(line_time_request_ns(&line, &quiet, FUNCTION_DISCRETE, cases[i].bits),
                         line_time_overhead_ns(&line, &quiet) +
                             cases[i].bytes * line_time_byte_ns(&line));
    }
    assert_int_equal(line_time_bytes(FUNCTION_INPUT, 125), 250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_and_silences),
        cmocka_unit_test(a_request_by_hand),
        cmocka_unit_test(a_round_trip_on_tcp),
        cmocka_unit_test(eight_bits_are_a_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
