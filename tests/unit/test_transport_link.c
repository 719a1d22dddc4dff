/* The port and the connection under a transport: RS-485 direction by a driver that is not there,
 * settings changed while the port is open, servers that have room for one connection, what is heard
 * beside the answers.
 *
 * ioctl is replaced: no machine of ours has a driver that knows TIOCSRS485. */
#include <linux/serial.h>
#include <sys/ioctl.h>

static int fake_ioctl(int fd, unsigned long request, struct serial_rs485 *mode);
#define ioctl fake_ioctl
#include "drivers/transport_link.c"
#undef ioctl

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/transport_peer.h"

enum { TIMEOUT_MS = 200, GAP_MS = 200 };

static struct {
    bool known, refuses;
    int set;
    struct serial_rs485 mode;
} driver;

static int fake_ioctl(int fd, unsigned long request, struct serial_rs485 *mode)
{
    (void)fd;
    if (!driver.known) {
        errno = ENOTTY;
        return -1;
    }
    if (request == TIOCGRS485) {
        *mode = driver.mode;
        return 0;
    }
    assert_int_equal(request, TIOCSRS485);
    driver.set++;
    driver.mode = driver.refuses ? driver.mode : *mode;
    return driver.refuses ? -1 : 0;
}

static enum outcome ask(struct transport *transport, struct transport_request request,
                        uint16_t *registers)
{
    uint8_t exception = 0;
    char why[128] = "";
    enum outcome outcome =
        transport_read(transport, &request, registers, &exception, why, sizeof why);
    assert_true(outcome == OUTCOME_OK || why[0] != '\0');
    if (outcome == OUTCOME_LINK) {
        print_error("%s\n", why);
    }
    return outcome;
}

static void assert_answers(struct transport *transport, struct transport_request request)
{
    uint16_t registers[125];
    assert_int_equal(ask(transport, request, registers), OUTCOME_OK);
    for (unsigned i = 0; i < request.count; i++) {
        assert_int_equal(registers[i], request.address + i);
    }
}

static const struct transport_request plain = {7, FUNCTION_HOLDING, 0x1234, 10, 0};

static void test_rs485(void **state)
{
    (void)state;
    enum {
        ENABLED = SER_RS485_ENABLED,
        HIGH = SER_RS485_RTS_ON_SEND,
        LOW = SER_RS485_RTS_AFTER_SEND,
        HEARS_ITSELF = SER_RS485_RX_DURING_TX,
    };
    static const struct {
        bool known, refuses;
        uint32_t before, after;
        int set;
    } cases[] = {
        {false, false, 0, 0, 0},
        {true, false, 0, ENABLED | HIGH, 1},
        {true, false, LOW, ENABLED | LOW, 1}, /* the board's own polarity */
        {true, false, HEARS_ITSELF, ENABLED | HIGH | HEARS_ITSELF, 1},
        {true, false, ENABLED | LOW, ENABLED | LOW, 0},
        {true, true, 0, 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        driver.known = cases[i].known;
        driver.refuses = cases[i].refuses;
        driver.set = 0;
        driver.mode = (struct serial_rs485){
            .flags = cases[i].before, .delay_rts_before_send = 3, .delay_rts_after_send = 5};
        struct peer peer;
        peer_start(&peer, TRANSPORT_RTU, 1);
        struct settings_line line = peer_line(&peer, TIMEOUT_MS);
        struct transport *transport = transport_new(&line);
        assert_answers(transport, plain);
        assert_int_equal(driver.set, cases[i].set);
        assert_int_equal(driver.mode.flags, cases[i].after);
        assert_int_equal(driver.mode.delay_rts_before_send, 3);
        assert_int_equal(driver.mode.delay_rts_after_send, 5);
        transport_free(transport);
        peer_stop(&peer);
    }
    driver.known = false;
}

static void assert_speed(const struct peer *peer, speed_t speed)
{
    struct termios set;
    assert_int_equal(tcgetattr(peer->keep_open, &set), 0);
    assert_int_equal(cfgetospeed(&set), speed);
    assert_int_equal(cfgetispeed(&set), speed);
}

static int64_t cycle_ms(struct transport *transport)
{
    mono_time begin = clock_mono();
    for (int i = 0; i < 5; i++) {
        assert_answers(transport, plain);
    }
    return clock_ms_between(begin, clock_mono());
}

/* A baud that is tried, with its silences, kept over a reopen; one that no port has. */
static void test_set_serial(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, TRANSPORT_RTU, 1);
    struct settings_line line = peer_line(&peer, TIMEOUT_MS);
    struct transport *transport = transport_new(&line);
    char why[128] = "";
    struct serial slow = {1200, 8, 'E', 1};
    assert_answers(transport, plain);
    assert_speed(&peer, B115200);
    assert_true(cycle_ms(transport) < 100);
    assert_true(transport_set_serial(transport, &slow, why, sizeof why));
    assert_speed(&peer, B1200);
    /* From request to request the peer answers at once: 8 characters + 3.5, of 11 bits each. */
    assert_in_range(cycle_ms(transport), 4 * 32, 600);
    transport_close(transport);
    struct serial odd = {12345, 8, 'N', 1};
    assert_answers(transport, plain);
    assert_speed(&peer, B1200);
    assert_false(transport_set_serial(transport, &odd, why, sizeof why));
    assert_non_null(strstr(why, "12345"));
    assert_speed(&peer, B1200);
    assert_answers(transport, plain);
    assert_true(transport_set_serial(transport, &line.serial, why, sizeof why));
    assert_true(cycle_ms(transport) < 100);
    transport_close(transport);
    /* Closed, it shows at the next open. */
    assert_true(transport_set_serial(transport, &odd, why, sizeof why));
    assert_int_equal(transport_open(transport, why, sizeof why), OUTCOME_LINK);
    assert_non_null(strstr(why, "12345"));
    transport_free(transport);
    peer_stop(&peer);

    peer_start(&peer, TRANSPORT_RTU_OVER_TCP, 1);
    line = peer_line(&peer, TIMEOUT_MS);
    transport = transport_new(&line);
    why[0] = '\0';
    assert_false(transport_set_serial(transport, &slow, why, sizeof why));
    assert_true(why[0] != '\0');
    transport_free(transport);
    peer_stop(&peer);
}

static void test_timeout_of_a_request(void **state)
{
    (void)state;
    static const enum transport_kind kinds[] = {TRANSPORT_RTU, TRANSPORT_TCP,
                                                TRANSPORT_RTU_OVER_TCP};
    for (size_t k = 0; k < 3; k++) {
        struct peer peer;
        peer_start(&peer, kinds[k], 1);
        struct settings_line line = peer_line(&peer, 50);
        struct transport *transport = transport_new(&line);
        struct transport_request patient = {1, FUNCTION_HOLDING, 5, 2, 1200};
        peer.behaviour = PEER_LATE;
        peer.delay_ms = 1050;
        assert_answers(transport, patient);
        peer.behaviour = PEER_MUTE;
        struct transport_request hasty = {2, FUNCTION_HOLDING, 5, 2, 20};
        uint16_t registers[2];
        mono_time begin = clock_mono();
        assert_int_equal(ask(transport, hasty, registers), OUTCOME_TIMEOUT);
        assert_in_range(clock_ms_between(begin, clock_mono()), 19, 45);
        hasty.timeout_ms = 0;
        begin = clock_mono();
        assert_int_equal(ask(transport, hasty, registers), OUTCOME_TIMEOUT);
        assert_in_range(clock_ms_between(begin, clock_mono()), 49, 150);
        transport_free(transport);
        peer_stop(&peer);
    }
}

static void test_noise_and_answer(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, TRANSPORT_RTU, 1);
    struct settings_line line = peer_line(&peer, 60);
    struct transport *transport = transport_new(&line);
    uint16_t registers[10];
    size_t length = 99;
    (void)transport_answer(transport, &length);
    assert_int_equal(length, 0);
    assert_answers(transport, plain);
    const uint8_t *bytes = transport_answer(transport, &length);
    assert_int_equal(length, 25);
    assert_int_equal(bytes[0], 7);
    assert_int_equal(peer_crc(bytes, 25), 0);
    peer.behaviour = PEER_WRONG_CRC;
    assert_int_equal(ask(transport, plain, registers), OUTCOME_GARBLED);
    bytes = transport_answer(transport, &length);
    assert_int_equal(length, 25);
    assert_int_not_equal(peer_crc(bytes, 25), 0);
    peer.behaviour = PEER_SHORT;
    assert_int_equal(ask(transport, plain, registers), OUTCOME_GARBLED);
    (void)transport_answer(transport, &length);
    assert_true(length > 0);
    struct transport_noise noise = transport_noise(transport, 7);
    assert_int_equal(noise.late + noise.foreign, 0);

    struct transport_request other = plain;
    other.unit = 9;
    peer.behaviour = PEER_FOREIGN;
    for (int i = 0; i < 3; i++) {
        assert_answers(transport, other);
    }
    noise = transport_noise(transport, 9);
    assert_int_equal(noise.foreign, 3);
    assert_int_equal(noise.late, 0);
    /* One answer later than its timeout, heard while a neighbour is asked. */
    peer.behaviour = PEER_LATE;
    peer.delay_ms = 90;
    other.unit = 30;
    assert_int_equal(ask(transport, other, registers), OUTCOME_TIMEOUT);
    peer_sleep_ms(60);
    peer.behaviour = PEER_GOOD;
    other.unit = 9;
    assert_answers(transport, other);
    noise = transport_noise(transport, 30);
    assert_int_equal(noise.late, 1);
    assert_int_equal(noise.foreign, 0);
    assert_int_equal(transport_noise(transport, 9).foreign, 3);
    transport_free(transport);
    peer_stop(&peer);
}

static void *speak_uninvited(void *context)
{
    static const uint8_t frame[] = {77, FUNCTION_HOLDING, 2, 0, 1};
    struct peer *peer = context;
    uint8_t whole[16];
    peer_sleep_ms(GAP_MS / 4);
    peer_send(peer, whole, peer_wrap(peer, NULL, frame, sizeof frame, whole));
    return NULL;
}

/* In the silence before a request; whoever was asked last has it. */
static void test_noise_in_the_silence(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, TRANSPORT_RTU, 1);
    struct settings_line line = peer_line(&peer, TIMEOUT_MS);
    struct transport *transport = transport_new(&line);
    struct transport_request other = plain;
    pthread_t speaker;
    other.unit = 12;
    transport_set_gap(transport, GAP_MS);
    assert_answers(transport, plain);
    assert_int_equal(pthread_create(&speaker, NULL, speak_uninvited, &peer), 0);
    assert_answers(transport, other);
    assert_int_equal(pthread_join(speaker, NULL), 0);
    assert_int_equal(transport_noise(transport, plain.unit).foreign, 1);
    assert_int_equal(transport_noise(transport, other.unit).foreign, 0);
    transport_free(transport);
    peer_stop(&peer);
}

static void test_listen(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, TRANSPORT_RTU, 1);
    struct settings_line line = peer_line(&peer, TIMEOUT_MS);
    struct transport *transport = transport_new(&line);
    uint8_t heard[64];
    assert_int_equal(transport_listen(transport, 20, heard, sizeof heard), 0); /* closed */
    peer.behaviour = PEER_TWICE;
    assert_answers(transport, plain);
    assert_int_equal(transport_listen(transport, 30, heard, sizeof heard), 25);
    assert_int_equal(peer_crc(heard, 25), 0);
    mono_time begin = clock_mono();
    assert_int_equal(transport_listen(transport, 50, heard, sizeof heard), 0);
    assert_in_range(clock_ms_between(begin, clock_mono()), 49, 150);
    assert_answers(transport, plain);
    assert_int_equal(transport_listen(transport, 5000, heard, 25),
                     25); /* full: not a moment more */
    assert_in_range(clock_ms_between(begin, clock_mono()), 0, 300);
    transport_free(transport);
    peer_stop(&peer);
}

/* A server that has room for one connection and lets nobody else in before it has seen the end of
 * it: like many PLCs it closes its side only then. */
struct narrow {
    enum transport_kind kind;
    int listener;
    uint16_t port;
    bool never_closes; /* leaves the connection half open when the other side is done */
    int mute_every;    /* each so manieth connection gets no answer */
    int connections, answers, waited;
    atomic_bool stop;
    pthread_t thread;
};

static bool narrow_serve(struct narrow *server, int fd, bool mute)
{
    struct peer framing = {.kind = server->kind};
    uint8_t request[12], frame[300], whole[320];
    ssize_t wanted = server->kind == TRANSPORT_TCP ? 12 : 8;
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
                           {.fd = server->listener, .events = POLLIN}};
    (void)poll(fds, 2, 5);
    if (fds[0].revents) {
        ssize_t got = recv(fd, request, (size_t)wanted, MSG_WAITALL);
        if (got != wanted) {
            return false;
        }
        if (!mute) {
            const uint8_t *at = server->kind == TRANSPORT_TCP ? request + 6 : request;
            size_t length = peer_wrap(&framing, request, frame, peer_answer(at, 0, frame), whole);
            server->answers += send(fd, whole, length, MSG_NOSIGNAL) == (ssize_t)length;
        }
    } else if (fds[1].revents) {
        server->waited++; /* a second one stands before the door */
        return false;
    }
    return true;
}

static void *narrow_run(void *argument)
{
    struct narrow *server = argument;
    int half_open[64];
    int kept = 0;
    while (!server->stop) {
        struct pollfd door = {.fd = server->listener, .events = POLLIN};
        if (poll(&door, 1, 5) <= 0) {
            continue;
        }
        int fd = accept(server->listener, NULL, NULL);
        server->connections++;
        bool mute = server->mute_every && server->connections % server->mute_every == 0;
        while (!server->stop && narrow_serve(server, fd, mute)) {
        }
        if (server->never_closes && kept < 64) {
            half_open[kept++] = fd;
        } else {
            close(fd);
        }
    }
    while (kept > 0) {
        close(half_open[--kept]);
    }
    return NULL;
}

static void narrow_start(struct narrow *server, enum transport_kind kind)
{
    server->kind = kind;
    server->listener = peer_listen(&server->port);
    assert_int_equal(pthread_create(&server->thread, NULL, narrow_run, server), 0);
}

static void narrow_stop(struct narrow *server)
{
    server->stop = true;
    pthread_join(server->thread, NULL);
    close(server->listener);
}

static struct settings_line narrow_line(struct narrow *server, bool close_between)
{
    struct peer like = {.kind = server->kind, .port = server->port};
    struct settings_line line = peer_line(&like, 100);
    line.close_between_polls = close_between;
    return line;
}

static void test_close_between_polls(void **state)
{
    (void)state;
    static const enum transport_kind kinds[] = {TRANSPORT_TCP, TRANSPORT_RTU_OVER_TCP};
    for (size_t k = 0; k < 2; k++) {
        struct narrow server = {0};
        narrow_start(&server, kinds[k]);
        struct settings_line line = narrow_line(&server, true);
        struct transport *transport = transport_new(&line);
        for (int i = 0; i < 30; i++) {
            assert_answers(transport, plain);
            assert_false(transport_is_open(transport));
        }
        /* Two of us take turns, as another gateway would. */
        struct transport *other = transport_new(&line);
        for (int i = 0; i < 20; i++) {
            assert_answers(i % 2 ? other : transport, plain);
        }
        transport_free(other);
        transport_free(transport);
        narrow_stop(&server);
        assert_int_equal(server.connections, 50);
        assert_int_equal(server.answers, 50);
        assert_int_equal(server.waited, 0);
    }
}

/* It never says goodbye: the connection is reset after a moment, and the next one works. */
static void test_server_that_never_closes(void **state)
{
    (void)state;
    struct narrow server = {.never_closes = true};
    narrow_start(&server, TRANSPORT_TCP);
    struct settings_line line = narrow_line(&server, true);
    struct transport *transport = transport_new(&line);
    mono_time begin = clock_mono();
    for (int i = 0; i < 3; i++) {
        assert_answers(transport, plain);
    }
    assert_in_range(clock_ms_between(begin, clock_mono()), 3 * PARTING_MS - 1,
                    3 * PARTING_MS + 300);
    transport_free(transport);
    narrow_stop(&server);
}

/* The connection is there and nobody answers on it any more: a timeout resets it, the server sees
 * that before the next one knocks. */
static void test_half_open(void **state)
{
    (void)state;
    struct narrow server = {.mute_every = 2};
    narrow_start(&server, TRANSPORT_TCP);
    struct settings_line line = narrow_line(&server, false);
    struct transport *transport = transport_new(&line);
    uint16_t registers[10];
    assert_answers(transport, plain);
    transport_close(transport);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(transport, plain, registers), OUTCOME_TIMEOUT);
        assert_false(transport_is_open(transport));
        assert_answers(transport, plain);
        assert_answers(transport, plain);
        transport_close(transport);
    }
    transport_free(transport);
    narrow_stop(&server);
    assert_int_equal(server.connections, 11);
    assert_int_equal(server.waited, 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rs485),
        cmocka_unit_test(test_set_serial),
        cmocka_unit_test(test_timeout_of_a_request),
        cmocka_unit_test(test_noise_and_answer),
        cmocka_unit_test(test_noise_in_the_silence),
        cmocka_unit_test(test_listen),
        cmocka_unit_test(test_close_between_polls),
        cmocka_unit_test(test_server_that_never_closes),
        cmocka_unit_test(test_half_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
