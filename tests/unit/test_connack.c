/* connack.c: what brokers send is let through, also byte by byte; what no broker sends is not.
 * The bytes of a real mosquitto 2.0.11, the seven that made libmosquitto abort, and random garbage
 * (the seed is printed).
 * Pure; no socket. */
#include "gateway/uplink/connack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

static const uint8_t mosquitto_311[] = {0x20, 0x02, 0x00, 0x00};
static const uint8_t mosquitto_5[] = {0x20, 0x09, 0x00, 0x00, 0x06, 0x22,
                                      0x00, 0x0a, 0x21, 0x00, 0x14};
static const uint8_t refused_5[] = {0x20, 0x03, 0x00, 0x84, 0x00};
static const uint8_t with_pair[] = {0x20, 0x0a, 0x00, 0x00, 0x07, 0x26,
                                    0x00, 0x01, 'a',  0x00, 0x01, 'b'};

static void byte_by_byte(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        assert_int_equal(connack_judge(bytes, i), CONNACK_MORE);
    assert_int_equal(connack_judge(bytes, length), CONNACK_FINE);
}

static void brokers_are_let_through(void **state)
{
    (void)state;
    byte_by_byte(mosquitto_311, sizeof mosquitto_311);
    byte_by_byte(mosquitto_5, sizeof mosquitto_5);
    byte_by_byte(refused_5, sizeof refused_5);
    byte_by_byte(with_pair, sizeof with_pair);
}

static void others_are_not(void **state)
{
    (void)state;
    static const uint8_t unknown_property[] = {0x20, 0x05, 0x00, 0x00, 0x02, 0x7f, 0x00};
    static const uint8_t cut_string[] = {0x20, 0x06, 0x00, 0x00, 0x03, 0x12, 0x00, 0x05};
    static const uint8_t cut_pair[] = {0x20, 0x08, 0x00, 0x00, 0x05, 0x26, 0x00, 0x01, 'a', 0x00};
    static const uint8_t long_properties[] = {0x20, 0x03, 0x00, 0x00, 0x02};
    static const uint8_t http[] = "HTTP/1.1 400 Bad Request";
    static const uint8_t endless[] = {0x20, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t empty[] = {0x20, 0x00};
    assert_int_equal(connack_judge(unknown_property, sizeof unknown_property), CONNACK_ALIEN);
    assert_int_equal(connack_judge(cut_string, sizeof cut_string), CONNACK_ALIEN);
    assert_int_equal(connack_judge(cut_pair, sizeof cut_pair), CONNACK_ALIEN);
    assert_int_equal(connack_judge(long_properties, sizeof long_properties), CONNACK_ALIEN);
    assert_int_equal(connack_judge(http, sizeof http), CONNACK_ALIEN);
    assert_int_equal(connack_judge(endless, sizeof endless), CONNACK_ALIEN);
    assert_int_equal(connack_judge(empty, sizeof empty), CONNACK_ALIEN);
}

static void garbage_is_read_within_its_bounds(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    for (int i = 0; i < 200000; i++) {
        size_t length = (size_t)(rand() % 40);
        uint8_t *bytes = malloc(length + 1); /* its own block: ASan sees one byte too far */
        for (size_t j = 0; j < length; j++)
            bytes[j] = (uint8_t)(rand() % 3 ? rand() % 48 : rand());
        if (length > 1) {
            bytes[0] = 0x20;
            bytes[1] = (uint8_t)(length - 2);
        }
        enum connack_verdict verdict = connack_judge(bytes, length);
        assert_in_range(verdict, CONNACK_FINE, CONNACK_ALIEN);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(brokers_are_let_through),
        cmocka_unit_test(others_are_not),
        cmocka_unit_test(garbage_is_read_within_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
