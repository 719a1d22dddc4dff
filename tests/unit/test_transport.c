/* The Modbus master against a peer that answers rightly or in many wrong ways, on a real pty and on
 * real sockets: every outcome, nothing handed out that was not asked for, and the line usable again
 * afterwards.
 *
 * The peer runs in its own thread (transport_peer.h). Late answers have their own program,
 * test_transport_late.c. Here a unit rests for LATE_MS, not for the seconds of the product. */
#define TRANSPORT_LATE_WIRE_MS    1000
#define TRANSPORT_LATE_NETWORK_MS 1000
#include "drivers/transport_ask.c"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "drivers/clock.h"
#include "tests/unit/transport_peer.h"

enum { TIMEOUT_MS = 150, LATE_MS = TRANSPORT_LATE_WIRE_MS, UNTOUCHED = 0xabcd };

static const enum transport_kind kinds[] = {TRANSPORT_RTU, TRANSPORT_TCP, TRANSPORT_RTU_OVER_TCP};

/* One transport on one peer, and the last read. */
struct fixture {
    struct peer peer;
    struct transport *transport;
    uint16_t registers[2001]; /* one more than any answer fills */
    uint8_t exception;
    char why[128];
    int64_t took_ms;
};

static void start(struct fixture *f, enum transport_kind kind, uint32_t timeout_ms)
{
    memset(f, 0, sizeof *f);
    peer_start(&f->peer, kind, 1);
    struct settings_line line = peer_line(&f->peer, timeout_ms);
    f->transport = transport_new(&line);
    assert_non_null(f->transport);
    assert_false(transport_is_open(f->transport));
    assert_int_equal(transport_open(f->transport, f->why, sizeof f->why), OUTCOME_OK);
    assert_true(transport_is_open(f->transport));
}

static void stop(struct fixture *f)
{
    transport_free(f->transport);
    peer_stop(&f->peer);
}

static enum outcome ask(struct fixture *f, enum behaviour behaviour,
                        struct transport_request request)
{
    f->peer.behaviour = (int)behaviour;
    f->exception = 0;
    f->why[0] = '\0';
    for (size_t i = 0; i < sizeof f->registers / sizeof f->registers[0]; i++) {
        f->registers[i] = UNTOUCHED;
    }
    mono_time begin = clock_mono();
    enum outcome outcome =
        transport_read(f->transport, &request, f->registers, &f->exception, f->why, sizeof f->why);
    f->took_ms = clock_ms_between(begin, clock_mono());
    return outcome;
}

/* The registers are the answer to this request, and nothing beside. */
static void assert_right(const struct fixture *f, struct transport_request request)
{
    for (unsigned i = 0; i < request.count; i++) {
        unsigned at = request.address + i;
        assert_int_equal(f->registers[i],
                         request.function >= FUNCTION_HOLDING ? (uint16_t)at : at % 3 == 0);
    }
    assert_int_equal(f->registers[request.count], UNTOUCHED);
}

static const struct transport_request plain = {7, FUNCTION_HOLDING, 0x1234, 10, 0};

/* A failed read hands out nothing, says why, and the next one is right again. */
static void assert_fails(struct fixture *f, enum behaviour behaviour, enum outcome expected)
{
    enum outcome outcome = ask(f, behaviour, plain);
    if (outcome != expected) {
        print_error("kind %d, behaviour %d: %s (%s)\n", (int)f->peer.kind, (int)behaviour,
                    transport_outcome_name(outcome), f->why);
    }
    assert_int_equal(outcome, expected);
    assert_int_equal(f->registers[0], UNTOUCHED);
    assert_true(f->why[0] != '\0');
    assert_int_equal(ask(f, PEER_GOOD, plain), OUTCOME_OK);
    assert_right(f, plain);
}

static void test_every_function(void **state)
{
    (void)state;
    static const struct transport_request requests[] = {
        {1, FUNCTION_COIL, 0, 1, 0},           {1, FUNCTION_COIL, 5, 2000, 0},
        {247, FUNCTION_DISCRETE, 65000, 9, 0}, {1, FUNCTION_HOLDING, 0, 1, 0},
        {1, FUNCTION_HOLDING, 9999, 125, 0},   {3, FUNCTION_INPUT, 65410, 125, 0},
        {0, FUNCTION_INPUT, 30, 2, 0},         {255, FUNCTION_HOLDING, 512, 4, 0},
    };
    for (size_t k = 0; k < 3; k++) {
        struct fixture f;
        start(&f, kinds[k], TIMEOUT_MS);
        for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
            /* A serial unit has a number from 0 to 247. */
            if (kinds[k] != TRANSPORT_TCP && requests[i].unit > 247) {
                assert_int_equal(ask(&f, PEER_GOOD, requests[i]), OUTCOME_TIMEOUT);
                continue;
            }
            assert_int_equal(ask(&f, PEER_GOOD, requests[i]), OUTCOME_OK);
            assert_right(&f, requests[i]);
            assert_int_equal(ask(&f, PEER_PIECES, requests[i]), OUTCOME_OK);
            assert_right(&f, requests[i]);
        }
        assert_true(f.peer.connections <= 1);
        stop(&f);
    }
}

static void test_wrong_answers(void **state)
{
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        bool tcp = kinds[k] == TRANSPORT_TCP;
        struct fixture f;
        start(&f, kinds[k], TIMEOUT_MS);
        assert_fails(&f, PEER_MUTE, OUTCOME_TIMEOUT);
        assert_fails(&f, PEER_WRONG_CRC, OUTCOME_GARBLED);
        assert_fails(&f, PEER_WRONG_UNIT, OUTCOME_GARBLED);
        assert_fails(&f, PEER_WRONG_FUNCTION, OUTCOME_GARBLED);
        assert_fails(&f, PEER_WRONG_COUNT, OUTCOME_GARBLED);
        assert_fails(&f, PEER_SHORT, OUTCOME_GARBLED);
        assert_fails(&f, PEER_ECHO, OUTCOME_GARBLED);
        assert_fails(&f, PEER_ECHO_THEN_GOOD, OUTCOME_GARBLED);
        assert_fails(&f, PEER_GARBAGE, OUTCOME_GARBLED);
        assert_int_equal(ask(&f, PEER_EXCEPTION, plain), OUTCOME_EXCEPTION);
        assert_int_equal(f.exception, 2);
        assert_int_equal(f.registers[0], UNTOUCHED);
        assert_true(transport_is_open(f.transport));
        /* The answer is right, only followed by something: the next one must be right too. */
        assert_int_equal(ask(&f, PEER_LONG, plain), OUTCOME_OK);
        assert_right(&f, plain);
        enum outcome next = ask(&f, PEER_GOOD, plain);
        assert_true(next == OUTCOME_OK || (tcp && next == OUTCOME_GARBLED));
        assert_int_equal(ask(&f, PEER_GOOD, plain), OUTCOME_OK);
        assert_right(&f, plain);
        stop(&f);
    }
}

/* No noise gives a value, and the first clean answer after it counts. */
static void test_noise(void **state)
{
    (void)state;
    unsigned seed = (unsigned)clock_wall().ms;
    print_message("seed %u\n", seed);
    for (size_t k = 0; k < 3; k += 2) {
        struct fixture f;
        start(&f, kinds[k], TIMEOUT_MS);
        f.peer.seed = seed;
        for (int i = 0; i < 40; i++) {
            enum outcome outcome = ask(&f, i % 2 ? PEER_FLIP : PEER_NOISE, plain);
            assert_true(outcome == OUTCOME_GARBLED || outcome == OUTCOME_TIMEOUT);
            assert_int_equal(f.registers[0], UNTOUCHED);
            if (rand_r(&seed) % 3 == 0) {
                assert_int_equal(ask(&f, PEER_GOOD, plain), OUTCOME_OK);
                assert_right(&f, plain);
            }
        }
        assert_int_equal(ask(&f, PEER_GOOD, plain), OUTCOME_OK);
        stop(&f);
    }
}

/* Reading 17 to 24 coils from 0x03xx, an echo has the form of an answer, its CRC included. */
static void test_echo_that_looks_right(void **state)
{
    (void)state;
    const struct transport_request coils = {7, FUNCTION_COIL, 0x0301, 24, 0};
    for (size_t k = 0; k < 3; k++) {
        struct fixture f;
        start(&f, kinds[k], TIMEOUT_MS);
        assert_int_equal(ask(&f, PEER_ECHO, coils), OUTCOME_GARBLED);
        assert_non_null(strstr(f.why, "echo"));
        assert_int_equal(f.registers[0], UNTOUCHED);
        stop(&f);
    }
}

/* Reading one register at 0x02xx, the first seven bytes of an echo can be a whole answer. */
static void test_echo_that_begins_right(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, TRANSPORT_RTU, TIMEOUT_MS);
    int found = 0;
    for (unsigned i = 0; i < 247 * 256 && found < 3; i++) {
        struct transport_request one = {(uint8_t)(1 + i % 247), FUNCTION_HOLDING,
                                        (uint16_t)(0x0200 + i / 247), 1, 0};
        uint8_t sent[FRAME_REQUEST_LENGTH + FRAME_CRC_LENGTH];
        transport_frame_rtu_request(&one, sent);
        if (transport_frame_rtu_whole(sent, sizeof sent) != 7) {
            continue;
        }
        found++;
        assert_int_equal(ask(&f, PEER_ECHO, one), OUTCOME_GARBLED);
        assert_non_null(strstr(f.why, "echo"));
        assert_int_equal(f.registers[0], UNTOUCHED);
    }
    assert_int_equal(found, 3);
    stop(&f);
}

static void test_foreign_frames_are_skipped(void **state)
{
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct fixture f;
        start(&f, kinds[k], TIMEOUT_MS);
        for (uint16_t i = 0; i < 20; i++) {
            struct transport_request request = {9, FUNCTION_INPUT, (uint16_t)(100 * i), 3, 0};
            enum behaviour behaviour = i % 2 ? PEER_FOREIGN : PEER_TWICE;
            assert_int_equal(ask(&f, behaviour, request), OUTCOME_OK);
            assert_right(&f, request);
        }
        /* RTU: who is heard uninvited is asked for a proof from then on. */
        assert_in_range(f.peer.requests, 20, kinds[k] == TRANSPORT_TCP ? 20 : 40);
        assert_true(f.peer.connections <= 1);
        assert_int_equal(ask(&f, PEER_CHATTER, plain), OUTCOME_GARBLED);
        assert_in_range(f.took_ms, TIMEOUT_MS - 1, 2 * TIMEOUT_MS + 150);
        stop(&f);
    }
}

static void test_timeouts(void **state)
{
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct fixture f;
        start(&f, kinds[k], 1500); /* libmodbus takes seconds and microseconds apart */
        f.peer.delay_ms = 1300;
        assert_int_equal(ask(&f, PEER_LATE, plain), OUTCOME_OK);
        assert_right(&f, plain);
        assert_int_equal(ask(&f, PEER_MUTE, plain), OUTCOME_TIMEOUT);
        assert_in_range(f.took_ms, 1499, 1900);
        stop(&f);
        start(&f, kinds[k], 20);
        assert_int_equal(ask(&f, PEER_MUTE, plain), OUTCOME_TIMEOUT);
        assert_in_range(f.took_ms, 19, 200);
        stop(&f);
    }
}

/* The line's own time at 1200 baud: a frame may take longer than the timeout, and between two there
 * are 3.5 characters of silence. */
static void test_slow_line(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, TRANSPORT_RTU, 1);
    struct settings_line line = peer_line(&peer, TIMEOUT_MS);
    line.serial.baud = 1200;
    struct fixture f = {.transport = transport_new(&line)};
    struct transport_request request = {1, FUNCTION_HOLDING, 0, 100, 0};
    uint8_t exception = 0;
    char why[128] = "";
    peer.delay_ms = 100;
    peer.behaviour = PEER_PIECES;
    mono_time begin = clock_mono();
    assert_int_equal(
        transport_read(f.transport, &request, f.registers, &exception, why, sizeof why),
        OUTCOME_OK);
    assert_in_range(clock_ms_between(begin, clock_mono()), 1200, 2000);
    f.registers[request.count] = UNTOUCHED;
    assert_right(&f, request);
    peer.behaviour = PEER_GOOD;
    begin = clock_mono();
    for (int i = 0; i < 5; i++) {
        assert_int_equal(
            transport_read(f.transport, &request, f.registers, &exception, why, sizeof why),
            OUTCOME_OK);
    }
    assert_in_range(clock_ms_between(begin, clock_mono()), 5 * 29, 600);
    transport_free(f.transport);
    peer_stop(&peer);
}

/* An RTU unit that stays silent, and of which nothing more can be asked than one register, rests;
 * it is asked again as soon as it owes nothing. */
static void test_silent_unit_rests(void **state)
{
    (void)state;
    struct fixture f;
    struct transport_request one = plain;
    one.count = 1;
    start(&f, TRANSPORT_RTU, 20);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(ask(&f, PEER_MUTE, one), OUTCOME_TIMEOUT);
    }
    assert_int_equal(f.peer.requests, 3);
    struct transport_request neighbour = plain;
    neighbour.unit++;
    assert_int_equal(ask(&f, PEER_GOOD, neighbour), OUTCOME_OK);
    mono_time asked = f.transport->units[plain.unit].debt.asked;
    while (ask(&f, PEER_GOOD, one) == OUTCOME_TIMEOUT) {
        peer_sleep_ms(10);
    }
    assert_in_range(clock_ms_between(asked, clock_mono()), LATE_MS, LATE_MS + 100);
    assert_right(&f, one);
    assert_int_equal(f.peer.requests, 5);
    stop(&f);
}

/* A unit that is only garbled is always told as garbled, and one lost answer is not paid for ever.
 */
static void test_debt_is_forgiven(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, TRANSPORT_RTU, 50);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(ask(&f, PEER_WRONG_CRC, plain), OUTCOME_GARBLED);
    }
    for (int i = 0; i < 30; i++) {
        assert_int_equal(ask(&f, PEER_GOOD, plain), OUTCOME_OK);
    }
    f.peer.requests = 0;
    assert_int_equal(ask(&f, PEER_GOOD, plain), OUTCOME_OK);
    assert_int_equal(f.peer.requests, 1);
    stop(&f);
}

static void test_peer_closes(void **state)
{
    (void)state;
    for (size_t k = 1; k < 3; k++) {
        struct fixture f;
        start(&f, kinds[k], TIMEOUT_MS);
        assert_fails(&f, PEER_CLOSE, OUTCOME_LINK);
        assert_int_equal(ask(&f, PEER_CLOSE, plain), OUTCOME_LINK);
        assert_false(transport_is_open(f.transport));
        stop(&f);
    }
}

static void test_connection_refused(void **state)
{
    (void)state;
    for (size_t k = 1; k < 3; k++) {
        struct peer nobody = {.kind = kinds[k]};
        close(peer_listen(&nobody.port));
        struct settings_line line = peer_line(&nobody, TIMEOUT_MS);
        struct transport *transport = transport_new(&line);
        char why[128] = "";
        assert_int_equal(transport_open(transport, why, sizeof why), OUTCOME_LINK);
        assert_non_null(strstr(why, "refused"));
        assert_false(transport_is_open(transport));
        transport_free(transport);
    }
}

/* The kernel accepts, nobody ever answers; and once the backlog is full nobody even accepts. */
static void test_nobody_accepts(void **state)
{
    (void)state;
    struct peer nobody = {.kind = TRANSPORT_TCP};
    int listener = peer_listen(&nobody.port);
    listen(listener, 0);
    struct settings_line line = peer_line(&nobody, TIMEOUT_MS);
    struct transport *transports[4];
    enum outcome outcome = OUTCOME_OK;
    for (size_t i = 0; i < 4; i++) {
        transports[i] = transport_new(&line);
        char why[128] = "";
        uint16_t registers[10];
        uint8_t exception = 0;
        mono_time begin = clock_mono();
        outcome = transport_read(transports[i], &plain, registers, &exception, why, sizeof why);
        assert_in_range(clock_ms_between(begin, clock_mono()), TIMEOUT_MS - 1,
                        2 * TIMEOUT_MS + 150);
        if (i == 0) {
            assert_int_equal(outcome, OUTCOME_TIMEOUT);
        }
    }
    assert_int_equal(outcome, OUTCOME_LINK);
    for (size_t i = 0; i < 4; i++) {
        transport_free(transports[i]);
    }
    close(listener);
}

static void test_serial_device(void **state)
{
    (void)state;
    struct settings_line line = {.transport = TRANSPORT_RTU,
                                 .device = (char[]){"/dev/lifeline-no-such-port"},
                                 .serial = {9600, 8, 'N', 1},
                                 .timeout_ms = TIMEOUT_MS};
    struct transport *transport = transport_new(&line);
    char why[128] = "";
    assert_int_equal(transport_open(transport, why, sizeof why), OUTCOME_LINK);
    assert_non_null(strstr(why, "No such file"));
    transport_free(transport);

    struct fixture f;
    start(&f, TRANSPORT_RTU, TIMEOUT_MS);
    line = peer_line(&f.peer, TIMEOUT_MS);
    transport = transport_new(&line);
    assert_int_equal(transport_open(transport, why, sizeof why), OUTCOME_LINK);
    assert_non_null(strstr(why, "in use"));
    transport_close(f.transport);
    assert_int_equal(transport_open(transport, why, sizeof why), OUTCOME_OK);
    transport_free(transport);
    assert_int_equal(ask(&f, PEER_GOOD, plain), OUTCOME_OK);

    peer_stop(&f.peer); /* the adapter is pulled out */
    assert_int_equal(ask(&f, PEER_GOOD, plain), OUTCOME_LINK);
    assert_false(transport_is_open(f.transport));
    transport_free(f.transport);
}

static void *interrupt_later(void *argument)
{
    peer_sleep_ms(200);
    transport_interrupt(argument);
    return NULL;
}

static void test_interrupt(void **state)
{
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct fixture f;
        start(&f, kinds[k], 5000);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, interrupt_later, f.transport), 0);
        assert_int_equal(ask(&f, PEER_MUTE, plain), OUTCOME_LINK);
        assert_in_range(f.took_ms, 190, 300);
        pthread_join(thread, NULL);
        assert_int_equal(ask(&f, PEER_MUTE, plain), OUTCOME_LINK);
        assert_in_range(f.took_ms, 0, 100);
        stop(&f);
    }
}

/* libmodbus 3.1.6 has an fd_set on its stack and does not look; nothing here may select. */
static void test_high_descriptor(void **state)
{
    (void)state;
    struct rlimit old, more;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    more = old;
    more.rlim_cur = old.rlim_max < 1100 ? old.rlim_max : 1100;
    if (more.rlim_cur < 1100 || setrlimit(RLIMIT_NOFILE, &more) != 0) {
        skip();
    }
    struct fixture f;
    start(&f, TRANSPORT_TCP, TIMEOUT_MS);
    transport_close(f.transport);
    int filler[1100];
    size_t count = 0;
    while (count < 1100 && (filler[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 1030) {
        count++;
    }
    assert_int_equal(ask(&f, PEER_GOOD, plain), OUTCOME_OK);
    assert_right(&f, plain);
    assert_true(f.transport->link.fd >= 1024);
    while (count > 0) {
        close(filler[--count]);
    }
    stop(&f);
    setrlimit(RLIMIT_NOFILE, &old);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_function),
        cmocka_unit_test(test_wrong_answers),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_echo_that_looks_right),
        cmocka_unit_test(test_echo_that_begins_right),
        cmocka_unit_test(test_foreign_frames_are_skipped),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_slow_line),
        cmocka_unit_test(test_silent_unit_rests),
        cmocka_unit_test(test_debt_is_forgiven),
        cmocka_unit_test(test_peer_closes),
        cmocka_unit_test(test_connection_refused),
        cmocka_unit_test(test_nobody_accepts),
        cmocka_unit_test(test_serial_device),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_high_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
