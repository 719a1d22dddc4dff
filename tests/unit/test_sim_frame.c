/* The simulator's framing.
 *
 * Frames from sensors' documents, every truncation and every flipped bit of a request, requests
 * that come in pieces, the longest answers, and the time that a character takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "drivers/sim/sim_frame.c"

static void a_known_request_is_read(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0x01, 0x03, 0x00, 0x70, 0x00, 0x06, 0xc4, 0x13};
    struct sim_request request;
    assert_int_equal(sim_frame_rtu(bytes, 8, &request), SIM_FRAME_COMPLETE);
    assert_int_equal(request.unit, 1);
    assert_int_equal(request.function, 3);
    assert_int_equal(request.address, 0x70);
    assert_int_equal(request.count, 6);
}

static void a_known_reply_is_built(void **state)
{
    (void)state;
    const uint8_t want[] = {0x01, 0x03, 0x06, 0x00, 0x7d, 0xff, 0xdd, 0x00, 0x05, 0x2d, 0x52};
    const uint16_t registers[] = {0x007d, 0xffdd, 0x0005};
    struct sim_request request = {.unit = 1, .function = 3, .count = 3};
    uint8_t pdu[SIM_FRAME_PDU_MAX], frame[SIM_FRAME_MAX];
    size_t length = sim_frame_read_pdu(pdu, &request, registers);
    assert_int_equal(sim_frame_wrap_rtu(frame, 1, pdu, length), sizeof want);
    assert_memory_equal(frame, want, sizeof want);
}

static void bits_are_packed_low_first(void **state)
{
    (void)state;
    const uint16_t bits[10] = {1, 0, 1, 1, 0, 0, 1, 1, 1, 0};
    struct sim_request request = {.function = 2, .count = 10};
    uint8_t pdu[SIM_FRAME_PDU_MAX];
    const uint8_t want[] = {0x02, 0x02, 0xcd, 0x01};
    assert_int_equal(sim_frame_read_pdu(pdu, &request, bits), sizeof want);
    assert_memory_equal(pdu, want, sizeof want);
}

static void a_damaged_rtu_frame_is_refused(void **state)
{
    (void)state;
    const uint8_t good[] = {0x01, 0x03, 0x00, 0x70, 0x00, 0x06, 0xc4, 0x13};
    struct sim_request request;
    for (size_t length = 0; length < sizeof good; length++)
        assert_int_equal(sim_frame_rtu(good, length, &request), SIM_FRAME_BAD);
    for (size_t bit = 0; bit < 8 * sizeof good; bit++) {
        uint8_t bad[sizeof good];
        memcpy(bad, good, sizeof good);
        bad[bit / 8] ^= (uint8_t)(1 << (bit % 8));
        assert_int_equal(sim_frame_rtu(bad, sizeof bad, &request), SIM_FRAME_BAD);
    }
}

static void a_request_of_another_length_is_no_read(void **state)
{
    (void)state;
    uint8_t pdu[] = {0x03, 0x00, 0x70, 0x00, 0x06, 0x00}, frame[SIM_FRAME_MAX];
    struct sim_request request;
    size_t length = sim_frame_wrap_rtu(frame, 1, pdu, sizeof pdu);
    assert_int_equal(sim_frame_rtu(frame, length, &request), SIM_FRAME_COMPLETE);
    assert_int_equal(request.count, 0);
}

static void tcp_frames_come_in_pieces(void **state)
{
    (void)state;
    uint8_t stream[] = {0x12, 0x34, 0, 0, 0, 6, 9, 4, 0x10, 0x18, 0, 2, 0x12, 0x35, 0, 0, 0, 6};
    struct sim_request request;
    size_t used;
    for (size_t length = 0; length < 12; length++)
        assert_int_equal(sim_frame_tcp(stream, length, &used, &request), SIM_FRAME_PARTIAL);
    assert_int_equal(sim_frame_tcp(stream, sizeof stream, &used, &request), SIM_FRAME_COMPLETE);
    assert_int_equal(used, 12);
    assert_int_equal(request.transaction, 0x1234);
    assert_int_equal(request.unit, 9);
    assert_int_equal(request.address, 0x1018);
    assert_int_equal(request.count, 2);
    stream[3] = 1; /* protocol id */
    assert_int_equal(sim_frame_tcp(stream, sizeof stream, &used, &request), SIM_FRAME_BAD);
    stream[3] = 0;
    stream[5] = 1; /* length: a unit and nothing */
    assert_int_equal(sim_frame_tcp(stream, sizeof stream, &used, &request), SIM_FRAME_BAD);
    stream[4] = 1;
    assert_int_equal(sim_frame_tcp(stream, sizeof stream, &used, &request), SIM_FRAME_BAD);
}

static void the_longest_answers_fit(void **state)
{
    (void)state;
    uint16_t words[2000] = {0};
    uint8_t pdu[SIM_FRAME_PDU_MAX], frame[SIM_FRAME_MAX];
    struct sim_request request = {.function = 3, .count = 125};
    size_t length = sim_frame_read_pdu(pdu, &request, words);
    assert_int_equal(length, 252);
    assert_int_equal(sim_frame_wrap_rtu(frame, 1, pdu, length), 255);
    assert_int_equal(sim_frame_wrap_tcp(frame, 1, 1, pdu, length), 259);
    request = (struct sim_request){.function = 1, .count = 2000};
    assert_int_equal(sim_frame_read_pdu(pdu, &request, words), 252);
}

static void line_time_is_that_of_the_wire(void **state)
{
    (void)state;
    struct serial slow = {9600, 8, 'N', 1}, odd = {9600, 8, 'E', 1}, fast = {115200, 8, 'N', 1};
    assert_int_equal(sim_frame_pace(&slow, 4).char_ns, 1041666);
    assert_int_equal(sim_frame_pace(&slow, 4).silence_ns, 3645831);
    assert_int_equal(sim_frame_pace(&slow, 4).turnaround_ns, 4000000);
    assert_int_equal(sim_frame_pace(&odd, 4).char_ns, 1145833);
    assert_int_equal(sim_frame_pace(&fast, 4).silence_ns, 1750000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_request_is_read),
        cmocka_unit_test(a_known_reply_is_built),
        cmocka_unit_test(bits_are_packed_low_first),
        cmocka_unit_test(a_damaged_rtu_frame_is_refused),
        cmocka_unit_test(a_request_of_another_length_is_no_read),
        cmocka_unit_test(tcp_frames_come_in_pieces),
        cmocka_unit_test(the_longest_answers_fit),
        cmocka_unit_test(line_time_is_that_of_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
