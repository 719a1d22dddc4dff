/* The other end of a line for the transport tests: a thread that answers on a real pty or socket,
 * rightly or in one of many wrong ways. Like a sensor it does one thing after the other. Register a
 * holds a, bit a is set when a % 3 == 0. */
#ifndef LIFELINE_UNIT_TRANSPORT_PEER_H
#define LIFELINE_UNIT_TRANSPORT_PEER_H

#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "drivers/clock.h"
#include "drivers/transport.h"

enum behaviour {
    PEER_GOOD,
    PEER_MUTE,
    PEER_EXCEPTION, /* code 2 */
    PEER_WRONG_CRC, /* TCP: the length field is wrong */
    PEER_WRONG_UNIT,
    PEER_WRONG_FUNCTION,
    PEER_WRONG_COUNT, /* two registers more than asked, the frame itself correct */
    PEER_SHORT,       /* breaks off in the middle */
    PEER_LONG,        /* four bytes too many behind the right answer */
    PEER_ECHO,        /* the request itself */
    PEER_ECHO_THEN_GOOD,
    PEER_GARBAGE,  /* six random bytes, then the right answer */
    PEER_FOREIGN,  /* RTU another unit's, TCP another transaction's answer, then the right one */
    PEER_TWICE,    /* the right answer two times */
    PEER_PIECES,   /* in pieces of 16 bytes, 2 ms or delay_ms apart */
    PEER_FLIP,     /* one bit of the right answer is wrong */
    PEER_NOISE,    /* 1 to 40 random bytes that begin like the right answer */
    PEER_CHATTER,  /* other answers than the right one for a whole second */
    PEER_CLOSE,    /* closes instead of answering (sockets) */
    PEER_LATE,     /* after delay_ms */
    PEER_DEAF_FOR, /* hears nothing until delay_ms after its last answer */
    PEER_SOMETIMES_LATE, /* one in six after 1 to delay_ms, the others at once; one in twelve never
                          */
};

struct peer {
    enum transport_kind kind;
    int listener;
    _Atomic int fd; /* connection or pty master; the peer's thread accepts, the test may send too */
    int keep_open;  /* the pty's slave, so that the master lives on without the transport */
    char device[64];
    uint16_t port;
    unsigned seed;      /* the thread's own */
    mono_time answered; /* likewise */
    atomic_int behaviour, delay_ms, requests, connections;
    atomic_bool stop;
    pthread_t thread;
};

static inline void peer_sleep_ms(int ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

static inline uint16_t peer_crc(const uint8_t *bytes, size_t length)
{
    uint16_t crc = 0xffff;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (uint16_t)(crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1);
        }
    }
    return crc;
}

static inline void peer_send(struct peer *peer, const uint8_t *bytes, size_t length)
{
    ssize_t sent = peer->kind == TRANSPORT_RTU ? write(peer->fd, bytes, length)
                                               : send(peer->fd, bytes, length, MSG_NOSIGNAL);
    (void)sent;    /* the other side may be gone */
    peer->fd += 0; /* sent before it is closed: the peer's thread reads fd again then */
}

/* Unit, function, byte count, data: the right answer to a request that begins at its unit. */
static inline size_t peer_answer(const uint8_t *request, unsigned extra, uint8_t *out)
{
    unsigned address = (unsigned)(request[2] << 8 | request[3]);
    unsigned count = (unsigned)(request[4] << 8 | request[5]) + extra;
    out[0] = request[0];
    out[1] = request[1];
    if (request[1] >= FUNCTION_HOLDING) {
        for (unsigned i = 0; i < count; i++) {
            out[3 + 2 * i] = (uint8_t)((address + i) >> 8);
            out[4 + 2 * i] = (uint8_t)(address + i);
        }
        out[2] = (uint8_t)(2 * count);
    } else {
        out[2] = (uint8_t)((count + 7) / 8);
        memset(out + 3, 0, out[2]);
        for (unsigned i = 0; i < count; i++) {
            out[3 + i / 8] |= (uint8_t)(((address + i) % 3 == 0) << i % 8);
        }
    }
    return 3u + out[2];
}

/* Puts CRC or MBAP header around a frame; the length of the whole. */
static inline size_t peer_wrap(const struct peer *peer, const uint8_t *transaction,
                               const uint8_t *frame, size_t length, uint8_t *out)
{
    if (peer->kind != TRANSPORT_TCP) {
        memcpy(out, frame, length);
        uint16_t crc = peer_crc(frame, length);
        out[length] = (uint8_t)crc;
        out[length + 1] = (uint8_t)(crc >> 8);
        return length + 2;
    }
    const uint8_t header[] = {transaction[0],         transaction[1], 0, 0,
                              (uint8_t)(length >> 8), (uint8_t)length};
    memcpy(out, header, sizeof header);
    memcpy(out + sizeof header, frame, length);
    return length + sizeof header;
}

static inline void peer_send_foreign(struct peer *peer, const uint8_t *transaction,
                                     const uint8_t *frame, size_t length)
{
    uint8_t other[300], whole[320];
    memcpy(other, frame, length);
    uint8_t number[] = {transaction[0], (uint8_t)(transaction[1] + 77)};
    other[0] = (uint8_t)(other[0] + (peer->kind == TRANSPORT_TCP ? 0 : 1));
    memset(other + 3, 0xee, length - 3);
    peer_send(peer, whole, peer_wrap(peer, number, other, length, whole));
}

static inline void peer_delay(struct peer *peer, enum behaviour behaviour)
{
    int delay_ms = peer->delay_ms;
    if (behaviour == PEER_SOMETIMES_LATE) {
        delay_ms = rand_r(&peer->seed) % 6 == 0 ? 1 + rand_r(&peer->seed) % delay_ms : 0;
    } else if (behaviour != PEER_LATE) {
        delay_ms = 0;
    }
    if (delay_ms > 0) {
        peer_sleep_ms(delay_ms);
    }
}

static inline void peer_serve(struct peer *peer, const uint8_t *received, size_t received_length)
{
    enum behaviour behaviour = (enum behaviour)peer->behaviour;
    const uint8_t *request = peer->kind == TRANSPORT_TCP ? received + 6 : received;
    uint8_t frame[300], whole[320];
    size_t length = peer_answer(request, behaviour == PEER_WRONG_COUNT ? 2 : 0, frame);
    if (behaviour == PEER_EXCEPTION) {
        frame[1] |= 0x80;
        frame[2] = 2;
        length = 3;
    }
    frame[0] = (uint8_t)(frame[0] + (behaviour == PEER_WRONG_UNIT));
    frame[1] = (uint8_t)(behaviour == PEER_WRONG_FUNCTION ? 7 - frame[1] : frame[1]);
    size_t total = peer_wrap(peer, received, frame, length, whole);
    if (behaviour == PEER_DEAF_FOR &&
        clock_ms_between(peer->answered, clock_mono()) < peer->delay_ms) {
        return;
    }
    peer_delay(peer, behaviour);
    if (behaviour == PEER_MUTE || behaviour == PEER_CLOSE ||
        (behaviour == PEER_SOMETIMES_LATE && rand_r(&peer->seed) % 12 == 0)) {
        return;
    }
    mono_time end = clock_after_ms(clock_mono(), 1000);
    while (behaviour == PEER_CHATTER && clock_mono().ns < end.ns) {
        peer_send_foreign(peer, received, frame, length);
        if (peer->kind == TRANSPORT_RTU) { /* a full pty would block for ever */
            peer_sleep_ms(1);
        }
    }
    if (behaviour == PEER_ECHO || behaviour == PEER_ECHO_THEN_GOOD) {
        peer_send(peer, received, received_length);
    }
    if (behaviour == PEER_ECHO || behaviour == PEER_CHATTER) {
        return;
    }
    if (behaviour == PEER_GARBAGE) {
        uint8_t garbage[6];
        for (size_t i = 0; i < sizeof garbage; i++) {
            garbage[i] = (uint8_t)rand_r(&peer->seed);
        }
        peer_send(peer, garbage, sizeof garbage);
    }
    if (behaviour == PEER_FOREIGN) {
        peer_send_foreign(peer, received, frame, length);
    }
    if (behaviour == PEER_WRONG_CRC) {
        whole[peer->kind == TRANSPORT_TCP ? 5 : total - 1] ^= 0x5a;
    }
    if (behaviour == PEER_FLIP) {
        whole[(unsigned)rand_r(&peer->seed) % total] ^= (uint8_t)(1 << rand_r(&peer->seed) % 8);
    }
    if (behaviour == PEER_NOISE) {
        size_t begin = (size_t)rand_r(&peer->seed) % 4;
        total = begin + 1 + (size_t)rand_r(&peer->seed) % 40;
        for (size_t i = begin; i < total; i++) {
            whole[i] = (uint8_t)rand_r(&peer->seed);
        }
    }
    if (behaviour == PEER_LONG) {
        memset(whole + total, 0x11, 4);
        total += 4;
    }
    if (behaviour == PEER_PIECES) {
        for (size_t i = 0; i < total; i += 16) {
            peer_send(peer, whole + i, total - i < 16 ? total - i : 16);
            peer_sleep_ms(peer->delay_ms > 0 ? peer->delay_ms : 2);
        }
        return;
    }
    peer_send(peer, whole, behaviour == PEER_SHORT ? total / 2 : total);
    peer->answered = clock_mono();
    if (behaviour == PEER_TWICE) {
        peer_send(peer, whole, total);
    }
}

/* False when the peer stops or the other side has closed. */
static inline bool peer_receive(struct peer *peer, uint8_t *request, size_t length)
{
    size_t have = 0;
    while (!peer->stop && have < length) {
        struct pollfd fd = {.fd = peer->fd, .events = POLLIN};
        if (poll(&fd, 1, 5) <= 0) {
            continue;
        }
        ssize_t got = read(peer->fd, request + have, length - have);
        if (got <= 0) {
            return false;
        }
        have += (size_t)got;
    }
    return have == length;
}

static inline void *peer_run(void *argument)
{
    struct peer *peer = argument;
    size_t length = peer->kind == TRANSPORT_TCP ? 12 : 8;
    while (!peer->stop) {
        if (peer->kind != TRANSPORT_RTU) {
            struct pollfd fd = {.fd = peer->listener, .events = POLLIN};
            if (poll(&fd, 1, 5) <= 0) {
                continue;
            }
            peer->fd = accept(peer->listener, NULL, NULL);
            int on = 1;
            setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            peer->connections++;
        }
        uint8_t request[12];
        while (peer_receive(peer, request, length)) {
            peer->requests++;
            peer_serve(peer, request, length);
            if (peer->behaviour == PEER_CLOSE) {
                break;
            }
        }
        if (peer->kind != TRANSPORT_RTU) {
            close(peer->fd);
        }
    }
    return NULL;
}

/* A socket on loopback that listens, and its port. */
static inline int peer_listen(uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int rc = bind(fd, (struct sockaddr *)&address, sizeof address);
    assert(rc == 0);
    rc = listen(fd, 1000);
    assert(rc == 0);
    rc = getsockname(fd, (struct sockaddr *)&address, &size);
    assert(rc == 0);
    (void)rc;
    *port = ntohs(address.sin_port);
    return fd;
}

static inline void peer_open_pty(struct peer *peer)
{
    peer->fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    int rc = grantpt(peer->fd) | unlockpt(peer->fd) |
             ptsname_r(peer->fd, peer->device, sizeof peer->device);
    assert(rc == 0);
    (void)rc;
    peer->keep_open = open(peer->device, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios raw;
    tcgetattr(peer->keep_open, &raw);
    cfmakeraw(&raw);
    tcsetattr(peer->keep_open, TCSANOW, &raw);
}

static inline void peer_start(struct peer *peer, enum transport_kind kind, unsigned seed)
{
    memset(peer, 0, sizeof *peer);
    peer->kind = kind;
    peer->seed = seed;
    peer->listener = peer->keep_open = -1;
    peer->fd = -1;
    if (kind == TRANSPORT_RTU) {
        peer_open_pty(peer);
    } else {
        peer->listener = peer_listen(&peer->port);
    }
    int rc = pthread_create(&peer->thread, NULL, peer_run, peer);
    assert(rc == 0);
    (void)rc;
}

static inline void peer_stop(struct peer *peer)
{
    peer->stop = true;
    pthread_join(peer->thread, NULL);
    if (peer->kind == TRANSPORT_RTU) {
        close(peer->fd);
        close(peer->keep_open);
    } else {
        close(peer->listener);
    }
}

/* A line that leads to the peer; the strings stay the peer's. */
static inline struct settings_line peer_line(struct peer *peer, uint32_t timeout_ms)
{
    static char host[] = "127.0.0.1";
    return (struct settings_line){
        .transport = peer->kind,
        .device = peer->kind == TRANSPORT_RTU ? peer->device : NULL,
        .serial = {.baud = 115200, .data_bits = 8, .parity = 'N', .stop_bits = 1},
        .host = peer->kind == TRANSPORT_RTU ? NULL : host,
        .port = peer->port,
        .timeout_ms = timeout_ms,
    };
}

#endif
