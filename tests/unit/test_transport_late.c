/* Late answers: no register may ever come from the answer to an earlier question.
 *
 * Every read asks for two registers at a random address, and a register holds its own address, so a
 * late answer has the right unit, function and length and gives itself away only by its value. The
 * peer answers some requests late, after one to several timeouts, and some never; in between it
 * works through whatever has piled up, like the worst of serial gateways. The seed is printed.
 *
 * Late is up to LATE_MS here, not the seconds of the product. */
#define TRANSPORT_LATE_WIRE_MS    1000
#define TRANSPORT_LATE_NETWORK_MS 1000
#include "drivers/transport_ask.c"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "drivers/clock.h"
#include "tests/unit/transport_peer.h"

enum { TIMEOUT_MS = 30, UNITS = 40, LATE_MS = TRANSPORT_LATE_WIRE_MS };

static unsigned seed;
static int trial_count = 120;

struct tally {
    int ok, timeout, garbled, link;
};

static enum outcome read_random(struct transport *transport, struct tally *tally, uint8_t unit)
{
    struct transport_request request = {unit, FUNCTION_HOLDING, (uint16_t)(rand_r(&seed) % 60000),
                                        2, 0};
    uint16_t registers[2] = {0};
    uint8_t exception = 0;
    char why[128] = "";
    enum outcome outcome =
        transport_read(transport, &request, registers, &exception, why, sizeof why);
    switch (outcome) {
    case OUTCOME_OK:
        tally->ok++;
        assert_int_equal(registers[0], request.address);
        assert_int_equal(registers[1], request.address + 1);
        break;
    case OUTCOME_TIMEOUT:
        tally->timeout++;
        break;
    case OUTCOME_GARBLED:
        tally->garbled++;
        break;
    case OUTCOME_LINK:
        tally->link++;
        break;
    case OUTCOME_EXCEPTION:
        fail_msg("an exception that nobody sent");
    }
    return outcome;
}

static void trials(enum transport_kind kind, enum behaviour behaviour, int delay_ms)
{
    print_message("kind %d seed %u\n", (int)kind, seed);
    struct peer peer;
    peer_start(&peer, kind, seed);
    struct settings_line line = peer_line(&peer, TIMEOUT_MS);
    struct transport *transport = transport_new(&line);
    peer.behaviour = (int)behaviour;
    peer.delay_ms = delay_ms;
    struct tally tally = {0};
    for (int i = 0; i < trial_count; i++) {
        (void)read_random(transport, &tally, (uint8_t)(1 + rand_r(&seed) % UNITS));
        if (rand_r(&seed) % 4 == 0) {
            peer_sleep_ms(rand_r(&seed) % (2 * TIMEOUT_MS));
        }
    }
    print_message("ok %d timeout %d garbled %d link %d, peer asked %d times\n", tally.ok,
                  tally.timeout, tally.garbled, tally.link, peer.requests);
    /* A machine that stands still does not connect in TIMEOUT_MS. */
    assert_in_range(tally.link, 0, kind == TRANSPORT_TCP ? trial_count / 10 : 0);
    assert_true(tally.timeout > 0);
    assert_true(behaviour == PEER_LATE || tally.ok > trial_count / 8);
    peer.behaviour = PEER_GOOD;
    /* What has piled up comes now; it counts from when it is heard. */
    peer_sleep_ms(200);
    (void)read_random(transport, &tally, UNITS + 1);
    peer_sleep_ms(LATE_MS + 100);
    for (int i = 0; i < 3 * UNITS; i++) {
        assert_int_equal(read_random(transport, &tally, (uint8_t)(1 + i % UNITS)), OUTCOME_OK);
    }
    transport_free(transport);
    peer_stop(&peer);
}

static void test_late_rtu(void **state)
{
    (void)state;
    trials(TRANSPORT_RTU, PEER_SOMETIMES_LATE, 4 * TIMEOUT_MS);
}

static void test_late_tcp(void **state)
{
    (void)state;
    trials(TRANSPORT_TCP, PEER_SOMETIMES_LATE, 4 * TIMEOUT_MS);
}

static void test_late_rtu_over_tcp(void **state)
{
    (void)state;
    trials(TRANSPORT_RTU_OVER_TCP, PEER_SOMETIMES_LATE, 4 * TIMEOUT_MS);
}

/* A unit that is always a little slower than the timeout never gets a value, and none is wrong. */
static void test_always_late(void **state)
{
    (void)state;
    trials(TRANSPORT_RTU, PEER_LATE, TIMEOUT_MS + 10);
    trials(TRANSPORT_TCP, PEER_LATE, TIMEOUT_MS + 10);
}

/* One unit, one late answer, and the next question at once: the very trap of libmodbus. */
static void test_the_next_question(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, TRANSPORT_RTU, seed);
    struct settings_line line = peer_line(&peer, 100);
    struct transport *transport = transport_new(&line);
    struct tally tally = {0};
    assert_int_equal(read_random(transport, &tally, 1), OUTCOME_OK);
    for (int i = 0; i < 2; i++) {
        peer.delay_ms = 150;
        peer.behaviour = PEER_LATE;
        assert_int_equal(read_random(transport, &tally, 1), OUTCOME_TIMEOUT);
        peer.behaviour = PEER_GOOD;
        peer.requests = 0;
        assert_int_equal(read_random(transport, &tally, 1), OUTCOME_OK);
        assert_int_equal(peer.requests, 2);
        peer_sleep_ms(LATE_MS + 50);
        assert_int_equal(read_random(transport, &tally, 1), OUTCOME_OK);
        assert_int_equal(peer.requests, 3);
    }
    transport_free(transport);
    peer_stop(&peer);
}

/* A reload puts another transport in the place of the one that asked. */
static void test_the_next_transport(void **state)
{
    (void)state;
    static const enum transport_kind kinds[] = {TRANSPORT_RTU, TRANSPORT_RTU_OVER_TCP};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct peer peer;
        peer_start(&peer, kinds[i], seed);
        struct settings_line line = peer_line(&peer, 100);
        struct transport *before = transport_new(&line), *transport = transport_new(&line);
        struct tally tally = {0};
        line.port++;
        line.device = NULL;
        struct transport *other = transport_new(&line);
        peer.delay_ms = 150;
        peer.behaviour = PEER_LATE;
        assert_int_equal(read_random(before, &tally, 1), OUTCOME_TIMEOUT);
        peer.behaviour = PEER_GOOD;
        transport_inherit(other, before);
        assert_int_equal(other->units[1].debt.owed, 0);
        transport_inherit(transport, before);
        transport_free(before);
        assert_int_equal(read_random(transport, &tally, 1), OUTCOME_OK);
        transport_free(transport);
        transport_free(other);
        peer_stop(&peer);
    }
}

static void read_block(struct transport *transport, uint16_t address, uint16_t count,
                       enum outcome expected)
{
    struct transport_request request = {1, FUNCTION_HOLDING, address, count, 0};
    uint16_t registers[125] = {0};
    uint8_t exception = 0;
    char why[128] = "";
    assert_int_equal(transport_read(transport, &request, registers, &exception, why, sizeof why),
                     expected);
    for (uint16_t i = 0; expected == OUTCOME_OK && i < count; i++) {
        assert_int_equal(registers[i], address + i);
    }
}

/* What it costs to have lost one answer: nothing when the next question is of another length, else
 * one question for a part of the block, or for one register more. */
static void test_price(void **state)
{
    (void)state;
    static const struct {
        uint16_t late, next;
        int requests, requests_then;
    } cases[] = {{10, 4, 1, 1}, {10, 10, 2, 1}, {1, 1, 2, 1}, {1, 2, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peer peer;
        peer_start(&peer, TRANSPORT_RTU, seed);
        struct settings_line line = peer_line(&peer, 100);
        struct transport *transport = transport_new(&line);
        peer.delay_ms = 150;
        peer.behaviour = PEER_LATE;
        read_block(transport, 300, cases[i].late, OUTCOME_TIMEOUT);
        peer.behaviour = PEER_GOOD;
        peer.requests = 0;
        read_block(transport, 700, cases[i].next, OUTCOME_OK);
        assert_int_equal(peer.requests, cases[i].requests);
        peer.requests = 0;
        read_block(transport, 800, cases[i].late, OUTCOME_OK);
        assert_int_equal(peer.requests, cases[i].requests_then);
        assert_int_equal(transport_noise(transport, 1).foreign, 0);
        assert_true(cases[i].late == 1 || transport_noise(transport, 1).late == 1);
        transport_free(transport);
        peer_stop(&peer);
    }
}

/* A sensor that is deaf for a while after each answer: asked for a part and the whole in one breath
 * it must not fall silent for good. With its gap told it misses nothing. */
static void test_deaf_after_answer(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, TRANSPORT_RTU, seed);
    struct settings_line line = peer_line(&peer, 60);
    struct transport *transport = transport_new(&line);
    int lost[3] = {0};
    for (int round = 0; round < 3; round++) {
        transport_set_gap(transport, round < 2 ? 0 : 40);
        peer.behaviour = PEER_MUTE;
        read_block(transport, 300, 10, OUTCOME_TIMEOUT);
        peer.behaviour = PEER_DEAF_FOR;
        peer.delay_ms = 30;
        struct transport_request request = {1, FUNCTION_HOLDING, 300, 10, 0};
        uint16_t registers[10];
        uint8_t exception = 0;
        char why[128] = "";
        peer_sleep_ms(40);
        while (lost[round] < 10 && transport_read(transport, &request, registers, &exception, why,
                                                  sizeof why) != OUTCOME_OK) {
            lost[round]++;
            peer_sleep_ms(40);
        }
        transport->units[1].debt.hurried = round < 1 ? transport->units[1].debt.hurried : 0;
    }
    assert_int_equal(lost[0], 3);
    assert_int_equal(lost[1], 1); /* it has learnt */
    assert_int_equal(lost[2], 0);
    transport_free(transport);
    peer_stop(&peer);
}

/* A whole answer of this unit that nobody waits for, or one with a wrong CRC. */
static void send_straggler(struct peer *peer, uint8_t unit, bool whole)
{
    const uint8_t request[] = {unit, FUNCTION_HOLDING, 0, 100, 0, 2, 0};
    uint8_t frame[300], wrapped[320];
    size_t length = peer_wrap(peer, request, frame, peer_answer(request, 0, frame), wrapped);
    wrapped[length - 1] ^= whole ? 0 : 1;
    peer_send(peer, wrapped, length);
}

/* A line later than LATE_MS is given away by the first straggler within it: the unit rests on, so
 * that those behind are nobody's answer. Each unit owes three; after that a straggler counts no
 * more, nor does one of another unit or with a wrong CRC. */
static void stragglers(enum transport_kind kind)
{
    enum { STEP_MS = LATE_MS * 3 / 4, NEIGHBOUR = 20 };
    static const struct {
        uint8_t unit, from;
        bool whole;
        int count, counted;
    } cases[] = {
        {1, 1, true, 0, 0}, {2, 2, true, 1, 1}, {3, 3, false, 1, 0},
        {4, 9, true, 1, 0}, {5, 5, true, 5, 3}, {NEIGHBOUR + 1, 0, true, 1, 1},
    };
    enum { CASES = sizeof cases / sizeof cases[0] };
    struct peer peer;
    peer_start(&peer, kind, seed);
    struct settings_line line = peer_line(&peer, TIMEOUT_MS);
    struct transport *transport = transport_new(&line);
    struct tally tally = {0};
    peer.behaviour = PEER_MUTE;
    mono_time begin = clock_mono(), last[CASES]; /* asked or heard; 0 = it does not rest */
    for (size_t i = 0; i < 3 * CASES; i++) {
        assert_int_equal(read_random(transport, &tally, cases[i / 3].unit), OUTCOME_TIMEOUT);
        size_t at = i / 3;
        last[at] = cases[at].counted > 0 ? clock_after_ms(begin, cases[at].counted * STEP_MS)
                                         : transport->units[cases[at].unit].debt.asked;
    }
    size_t back = 0;
    for (int step = 1; back < CASES; step++) {
        while (clock_ms_between(begin, clock_mono()) < step * STEP_MS) {
            peer.behaviour = PEER_GOOD;
            for (size_t i = 0; i < CASES; i++) {
                if (last[i].ns == 0 ||
                    read_random(transport, &tally, cases[i].unit) == OUTCOME_TIMEOUT) {
                    continue;
                }
                int64_t rested_ms = clock_ms_between(last[i], clock_mono());
                print_message("unit %d rested %d ms\n", cases[i].unit, (int)rested_ms);
                assert_in_range(rested_ms, LATE_MS, LATE_MS + STEP_MS / 2);
                last[i].ns = 0;
                back++;
            }
            peer_sleep_ms(5);
        }
        for (size_t i = 0; i < CASES; i++) {
            if (step <= cases[i].count && cases[i].from != 0) {
                send_straggler(&peer, cases[i].from, cases[i].whole);
            }
        }
        if (step == 1) { /* one comes while a neighbour is asked */
            (void)read_random(transport, &tally, NEIGHBOUR);
            peer.behaviour = PEER_FOREIGN;
            assert_int_equal(read_random(transport, &tally, NEIGHBOUR), OUTCOME_OK);
        }
    }
    transport_free(transport);
    peer_stop(&peer);
}

static void test_stragglers(void **state)
{
    (void)state;
    stragglers(TRANSPORT_RTU);
    stragglers(TRANSPORT_RTU_OVER_TCP);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : (unsigned)clock_wall().ms;
    trial_count = argc > 2 ? (int)strtol(argv[2], NULL, 10) : trial_count;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deaf_after_answer), cmocka_unit_test(test_price),

        cmocka_unit_test(test_the_next_question), cmocka_unit_test(test_the_next_transport),
        cmocka_unit_test(test_late_rtu),          cmocka_unit_test(test_late_tcp),
        cmocka_unit_test(test_late_rtu_over_tcp), cmocka_unit_test(test_always_late),
        cmocka_unit_test(test_stragglers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
