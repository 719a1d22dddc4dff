/* One Modbus master: asks, waits, and hands out no register that might answer another question.
 *
 * Runs in the line's thread; owns the link and what is known of each unit. Never retries, never
 * writes to a sensor. Modbus TCP numbers its questions: an answer with another number is skipped,
 * and after a timeout or garbage the connection is closed, so that the stream cannot stay out of
 * step. RTU (over TCP too) numbers nothing: there we count the answers that a unit owes, and ask
 * again until they cannot be meant, as long as they come within late_max_ms (struct unit_state). We
 * also keep the 3.5 characters of silence between RTU frames, which libmodbus does not. */
#include "drivers/transport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "drivers/transport_frame.h"
#include "drivers/transport_link.h"

/* How late an answer is reckoned with, on a wire and through a mobile network. The tests include
 * this file with shorter ones. */
#ifndef TRANSPORT_LATE_WIRE_MS
#define TRANSPORT_LATE_WIRE_MS    5000
#define TRANSPORT_LATE_NETWORK_MS 10000
#endif

enum {
    OWED_MAX = 3,
    SETTLED_READS = 16,
    IDLE_CHECK_MS = 1000, /* a connection this long unused may have been closed by the other side */
    CRC_LENGTH = 2,
    EXCEPTION_LENGTH = 3,
    BODY_MIN_MS = 100, /* for the pauses inside a frame: USB adapters 16 ms, networks more */
    BODY_MAX_MS = 500,
};

/* To every check there is, a late RTU answer of the same unit, function and length is the right
 * one. So a request without a valid answer leaves its unit owing one, which may come up to
 * late_max_ms after it. A unit that owes n answers is asked the same n + 1 times and only the last
 * answer counts: units answer in order, so what it owed has come before, or what comes answers the
 * same question asked a moment ago. At OWED_MAX it is not asked at all. It owes nothing any more
 * when for late_max_ms it was not asked and none of what it owes came, or when SETTLED_READS reads
 * in a row went well and a whole timeout without an answer followed.
 *
 * This is the limit of it: the answer to a question that nothing was heard of for late_max_ms is
 * taken for the next one. Each straggler heard in that time shows how late the line is, and makes
 * the wait begin again; only as often as the unit owes, so that one that speaks without being asked
 * is still asked some day. */
struct unit_state {
    mono_time asked;
    mono_time heard;     /* the last straggler */
    uint16_t slowest_ms; /* reply so far */
    uint8_t owed;        /* answers that may still come */
    uint8_t stragglers;  /* of them came uninvited since it was asked */
    uint8_t settled;     /* reads in a row that went well */
};

struct transport {
    struct transport_link link;
    int64_t character_ns, silence_ns;
    mono_time quiet_since; /* the line carries nothing from here on, as far as we know */
    uint16_t transaction;
    struct unit_state units[256];
};

/* One request under way: what the functions below hand to each other. */
struct exchange {
    const struct transport_request *request;
    uint8_t frame[FRAME_MAX_LENGTH];
    const uint8_t *answer; /* into frame, from the unit on; NULL when none came from this unit */
    char *why;
    size_t why_size;
};

struct transport *transport_new(const struct settings_line *line)
{
    struct transport *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return NULL;
    }
    if (!transport_link_init(&t->link, line)) {
        transport_free(t);
        return NULL;
    }
    const struct serial *serial = &line->serial;
    int bits = 1 + serial->data_bits + (serial->parity != 'N') + serial->stop_bits;
    int64_t baud = serial->baud ? serial->baud : 9600;
    t->character_ns = bits * INT64_C(1000000000) / baud;
    t->silence_ns = baud > 19200 ? 1750000 : t->character_ns * 7 / 2;
    return t;
}

void transport_free(struct transport *transport)
{
    if (transport != NULL) {
        transport_link_destroy(&transport->link);
        free(transport);
    }
}

enum outcome transport_open(struct transport *transport, char *why, size_t why_size)
{
    return transport_link_open(&transport->link, why, why_size);
}

void transport_close(struct transport *transport)
{
    transport_link_close(&transport->link);
}

bool transport_is_open(const struct transport *transport)
{
    return transport->link.modbus != NULL;
}

void transport_interrupt(struct transport *transport)
{
    transport_link_interrupt(&transport->link);
}

const char *transport_outcome_name(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_OK:
        return "ok";
    case OUTCOME_TIMEOUT:
        return "timeout";
    case OUTCOME_EXCEPTION:
        return "exception";
    case OUTCOME_GARBLED:
        return "garbled";
    case OUTCOME_LINK:
        return "link";
    }
    return "unknown";
}

static mono_time after_ns(mono_time t, int64_t ns)
{
    return (mono_time){t.ns + ns};
}

static int64_t late_max_ms(const struct transport *t)
{
    int64_t twice_ms = 2 * (int64_t)t->link.timeout_ms;
    int64_t least_ms =
        t->link.kind == TRANSPORT_RTU ? TRANSPORT_LATE_WIRE_MS : TRANSPORT_LATE_NETWORK_MS;
    return twice_ms > least_ms ? twice_ms : least_ms;
}

/* How long the right answer is that these bytes begin with, whatever its question; 0 = none. */
static size_t whole_frame(const uint8_t *bytes, size_t size)
{
    int function = size > EXCEPTION_LENGTH ? bytes[1] & 0x7f : 0;
    if (function < FUNCTION_COIL || function > FUNCTION_INPUT) {
        return 0;
    }
    size_t length = (bytes[1] & 0x80 ? EXCEPTION_LENGTH : 3u + bytes[2]) + CRC_LENGTH;
    if (length > size) {
        return 0;
    }
    unsigned crc = 0xffff;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1;
        }
    }
    return crc == 0 ? length : 0; /* over a frame and its own CRC it is 0 */
}

/* Notes whose answers came although nobody waited for them. */
static void note_stragglers(struct transport *t, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t length = whole_frame(bytes + i, size - i);
        struct unit_state *unit = &t->units[bytes[i]];
        if (length > 0 && unit->stragglers < unit->owed) {
            unit->stragglers++;
            unit->heard = clock_mono();
        }
        i += length > 0 ? length : 1;
    }
}

/* Throws away what has come in, without waiting: the number of bytes, -1 when the link is gone.
 * Only stragglers that came whole are noted: without, the unit is asked again late_max_ms after it
 * was last asked. They count from now on, as nobody knows when they came. */
static ssize_t discard(struct transport *t)
{
    uint8_t bytes[512];
    ssize_t got = t->link.kind == TRANSPORT_TCP ? 0 : read(t->link.fd, bytes, sizeof bytes);
    if (got > 0) {
        note_stragglers(t, bytes, (size_t)got);
    } else {
        got = transport_link_discard(&t->link); /* knows whether that was the end */
    }
    if (got > 0) {
        t->quiet_since = clock_mono();
    }
    return got;
}

/* Reads and discards until nothing has come for quiet_ns, at most for a timeout. False when the
 * link is gone. */
static bool drain(struct transport *t, int64_t quiet_ns)
{
    mono_time limit = clock_after_ms(clock_mono(), t->link.timeout_ms);
    for (;;) {
        mono_time until = after_ns(t->quiet_since, quiet_ns);
        until = until.ns < limit.ns ? until : limit;
        switch (transport_link_wait(&t->link, until)) {
        case LINK_EVENT_READY:
            if (discard(t) <= 0) {
                return false;
            }
            if (t->quiet_since.ns >= limit.ns) {
                return true;
            }
            break;
        case LINK_EVENT_EXPIRED:
        case LINK_EVENT_INTERRUPTED: /* whatever follows finds that out */
            return true;
        case LINK_EVENT_FAILED:
            return false;
        }
    }
}

/* Keeps the silence and throws away what came in uninvited. False when the link is gone. */
static bool make_quiet(struct transport *t)
{
    mono_time start = after_ns(t->quiet_since, t->silence_ns);
    if (start.ns > clock_mono().ns) {
        struct timespec moment = {.tv_sec = start.ns / 1000000000,
                                  .tv_nsec = start.ns % 1000000000};
        while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &moment, NULL) == EINTR) {
        }
    }
    ssize_t got = discard(t);
    return got > 0 ? drain(t, t->silence_ns) : got == 0;
}

static enum outcome fail(struct exchange *x, enum outcome outcome, const char *reason)
{
    snprintf(x->why, x->why_size, "%s", reason);
    return outcome;
}

/* What a failed libmodbus receive means; some of a frame had come. */
static enum outcome receive_error(struct exchange *x, int error)
{
    uint8_t sent[FRAME_REQUEST_LENGTH];
    transport_frame_request(x->request, sent);
    /* libmodbus takes the echo of a request for an answer, and stops after five bytes. */
    if (memcmp(x->frame, sent, 5) == 0) {
        return fail(x, OUTCOME_GARBLED, "our own request came back (echo)");
    }
    if (error == ETIMEDOUT) {
        return fail(x, OUTCOME_GARBLED, "the answer broke off");
    }
    if (error == EMBBADCRC) {
        return fail(x, OUTCOME_GARBLED, "wrong CRC");
    }
    if (error >= MODBUS_ENOBASE) {
        return fail(x, OUTCOME_GARBLED, "not a Modbus answer");
    }
    return fail(x, OUTCOME_LINK, strerror(error));
}

static enum frame_verdict judge(struct transport *t, struct exchange *x, int length)
{
    if (t->link.kind == TRANSPORT_TCP) {
        x->answer = x->frame + FRAME_MBAP_LENGTH;
        return transport_frame_tcp_check(x->request, t->transaction, x->frame, (size_t)length,
                                         x->why, x->why_size);
    }
    x->answer = x->frame;
    if (length > CRC_LENGTH) {
        return transport_frame_check(x->request, x->frame, (size_t)length - CRC_LENGTH, x->why,
                                     x->why_size);
    }
    /* libmodbus drops a frame of another unit, its CRC unread. */
    snprintf(x->why, x->why_size, "unit %u answered instead of %u", x->frame[0], x->request->unit);
    return FRAME_FOREIGN;
}

/* A frame that another RTU unit still owed says nothing against the one that is asked. */
static bool is_expected_late(const struct transport *t, const struct exchange *x)
{
    return t->link.kind != TRANSPORT_TCP && t->units[x->frame[0]].owed > 0;
}

/* Waits until `until` for the first byte of the answer; frames for others do not end the wait. */
static enum outcome await_answer(struct transport *t, struct exchange *x, mono_time until)
{
    x->answer = NULL;
    enum outcome at_end = OUTCOME_TIMEOUT;
    for (;;) {
        switch (transport_link_wait(&t->link, until)) {
        case LINK_EVENT_READY:
            break;
        case LINK_EVENT_EXPIRED:
            return at_end == OUTCOME_TIMEOUT ? fail(x, at_end, "no answer") : at_end;
        case LINK_EVENT_INTERRUPTED:
            return fail(x, OUTCOME_LINK, "interrupted");
        case LINK_EVENT_FAILED:
            return fail(x, OUTCOME_LINK, strerror(errno));
        }
        memset(x->frame, 0, sizeof x->frame);
        int length = modbus_receive_confirmation(t->link.modbus, x->frame);
        int error = errno;
        t->quiet_since = clock_mono();
        if (length < 0 && error == EAGAIN) {
            continue;
        }
        if (length < 0) {
            return receive_error(x, error);
        }
        switch (judge(t, x, length)) {
        case FRAME_ANSWER:
            return OUTCOME_OK;
        case FRAME_EXCEPTION:
            snprintf(x->why, x->why_size, "exception %u", x->answer[2]);
            return OUTCOME_EXCEPTION;
        case FRAME_WRONG:
            return OUTCOME_GARBLED;
        case FRAME_FOREIGN:
            x->answer = NULL;
            if (is_expected_late(t, x)) {
                note_stragglers(t, x->frame, sizeof x->frame);
            } else {
                at_end = OUTCOME_GARBLED;
            }
            if (t->quiet_since.ns >= until.ns) { /* somebody who never stops */
                return at_end;
            }
            break;
        }
    }
}

/* The rest of a frame, once it has begun, gets its own time on the line and some for pauses: the
 * answer to 125 registers at 4800 baud takes longer than most timeouts. */
static void set_body_timeout(struct transport *t, const struct transport_request *request)
{
    int64_t ms = t->link.timeout_ms;
    ms = ms < BODY_MIN_MS ? BODY_MIN_MS : ms > BODY_MAX_MS ? BODY_MAX_MS : ms;
    if (t->link.kind != TRANSPORT_TCP) {
        int64_t characters = (int64_t)transport_frame_answer_length(request) + CRC_LENGTH;
        ms += characters * t->character_ns / 1000000;
    }
    modbus_set_response_timeout(t->link.modbus, (uint32_t)(ms / 1000),
                                (uint32_t)(ms % 1000 * 1000));
}

static enum outcome send_error(struct exchange *x)
{
    if (errno == EAGAIN) {
        return fail(x, OUTCOME_TIMEOUT, "the line does not take the request");
    }
    return fail(x, OUTCOME_LINK, modbus_strerror(errno));
}

static enum outcome read_tcp(struct transport *t, struct exchange *x)
{
    uint8_t sent[FRAME_MBAP_LENGTH + FRAME_REQUEST_LENGTH];
    transport_frame_tcp_request(x->request, ++t->transaction, sent);
    /* Not modbus_send_raw_request: in 3.1.6 every request of it has the transaction 0. */
    enum outcome outcome = OUTCOME_OK;
    if (send(t->link.fd, sent, sizeof sent, MSG_NOSIGNAL) != (ssize_t)sizeof sent) {
        outcome = send_error(x);
    } else {
        mono_time until = clock_after_ms(clock_mono(), t->link.timeout_ms);
        outcome = await_answer(t, x, until);
    }
    if (outcome == OUTCOME_TIMEOUT || outcome == OUTCOME_GARBLED) {
        transport_close(t);
    }
    return outcome;
}

static enum outcome ask_rtu(struct transport *t, struct exchange *x, struct unit_state *unit)
{
    if (!make_quiet(t)) {
        return fail(x, OUTCOME_LINK, strerror(errno));
    }
    uint8_t sent[FRAME_REQUEST_LENGTH];
    transport_frame_request(x->request, sent);
    unit->asked = clock_mono();
    unit->stragglers = 0;
    if (modbus_send_raw_request(t->link.modbus, sent, sizeof sent) < 0) {
        return send_error(x);
    }
    /* The write returns at once; the last character leaves only now. */
    t->quiet_since = after_ns(unit->asked, (FRAME_REQUEST_LENGTH + CRC_LENGTH) * t->character_ns);
    return await_answer(t, x, clock_after_ms(t->quiet_since, t->link.timeout_ms));
}

static int64_t idle_ms(const struct unit_state *unit)
{
    mono_time last = unit->heard.ns > unit->asked.ns ? unit->heard : unit->asked;
    return clock_ms_between(last, clock_mono());
}

static void forgive(struct transport *t, struct unit_state *unit)
{
    if (unit->owed == 0) {
        return;
    }
    (void)discard(t); /* for the stragglers; a lost link shows when we ask */
    bool settled = unit->settled >= SETTLED_READS;
    if (settled && idle_ms(unit) < t->link.timeout_ms) {
        (void)drain(t, t->link.timeout_ms * INT64_C(1000000));
    }
    if (idle_ms(unit) >= (settled ? t->link.timeout_ms : late_max_ms(t))) {
        unit->owed = 0;
        unit->settled = 0;
    }
}

static enum outcome read_rtu(struct transport *t, struct exchange *x)
{
    struct unit_state *unit = &t->units[x->request->unit];
    forgive(t, unit);
    if (unit->owed >= OWED_MAX) {
        return fail(x, OUTCOME_TIMEOUT, "not asked: its late answers may still come");
    }
    if (modbus_set_slave(t->link.modbus, x->request->unit) != 0) {
        return fail(x, OUTCOME_TIMEOUT, "not asked: units above 247 are reserved on a serial line");
    }
    unsigned owed = unit->owed;
    mono_time asked_before = unit->asked;
    enum outcome outcome = OUTCOME_OK;
    for (unsigned i = 0; i <= owed; i++) {
        outcome = ask_rtu(t, x, unit);
        /* A whole frame of this unit that does not fit this request answers an earlier one. */
        bool stale = i < owed && outcome == OUTCOME_GARBLED && x->answer != NULL;
        if (outcome != OUTCOME_OK && outcome != OUTCOME_EXCEPTION && !stale) {
            break;
        }
    }
    if (outcome == OUTCOME_OK || outcome == OUTCOME_EXCEPTION) {
        int64_t reply_ms = clock_ms_between(unit->asked, t->quiet_since);
        if (reply_ms > unit->slowest_ms) {
            unit->slowest_ms = (uint16_t)(reply_ms < UINT16_MAX ? reply_ms : UINT16_MAX);
        }
        unit->settled =
            (uint8_t)(unit->settled < SETTLED_READS ? unit->settled + 1 : SETTLED_READS);
        return outcome;
    }
    unit->settled = 0;
    /* Only silence makes it rest: a unit that is merely garbled is asked on, and told as garbled.
     */
    int owed_max = outcome == OUTCOME_TIMEOUT ? OWED_MAX : OWED_MAX - 1;
    bool sent = unit->asked.ns != asked_before.ns; /* a link found dead before owes nothing */
    if (sent && unit->owed < owed_max) {
        unit->owed++;
    }
    if (outcome != OUTCOME_LINK) {
        int64_t quiet_ns = unit->slowest_ms * INT64_C(1000000);
        (void)drain(t, quiet_ns > t->silence_ns ? quiet_ns : t->silence_ns);
    }
    return outcome;
}

/* A server that closes idle connections is not a failure: it is called again. */
static void drop_closed(struct transport *t)
{
    bool idle = clock_ms_between(t->quiet_since, clock_mono()) >= IDLE_CHECK_MS;
    if (t->link.kind != TRANSPORT_RTU && transport_is_open(t) && idle && discard(t) < 0) {
        transport_close(t);
    }
}

enum outcome transport_read(struct transport *transport, const struct transport_request *request,
                            uint16_t *registers, uint8_t *exception, char *why, size_t why_size)
{
    struct transport *t = transport;
    struct exchange x = {.request = request, .why = why, .why_size = why_size};
    drop_closed(t);
    if (transport_open(t, why, why_size) != OUTCOME_OK) {
        return OUTCOME_LINK;
    }
    set_body_timeout(t, request);
    enum outcome outcome = t->link.kind == TRANSPORT_TCP ? read_tcp(t, &x) : read_rtu(t, &x);
    switch (outcome) {
    case OUTCOME_OK:
        transport_frame_words(request, x.answer, registers);
        break;
    case OUTCOME_EXCEPTION:
        *exception = x.answer[2];
        break;
    case OUTCOME_LINK:
        transport_close(t);
        break;
    case OUTCOME_TIMEOUT:
    case OUTCOME_GARBLED:
        break;
    }
    return outcome;
}

bool transport_set_serial(struct transport *transport, const struct serial *serial, char *why,
                          size_t why_size)
{
    (void)transport, (void)serial, (void)why, (void)why_size;
    return false;
}

struct transport_noise transport_noise(const struct transport *transport, uint8_t unit)
{
    (void)transport, (void)unit;
    return (struct transport_noise){0, 0};
}

const uint8_t *transport_answer(const struct transport *transport, size_t *length)
{
    (void)transport;
    *length = 0;
    return NULL;
}

size_t transport_listen(struct transport *transport, uint32_t ms, uint8_t *out, size_t size)
{
    (void)transport, (void)ms, (void)out, (void)size;
    return 0;
}
