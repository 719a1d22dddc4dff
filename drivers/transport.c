/* One Modbus master: asks, waits, and hands out no register that might answer another question.
 *
 * Runs in the line's thread; owns the link and what is known of each unit. Never retries, never
 * writes to a sensor. Modbus TCP numbers its questions: an answer with another number is skipped,
 * and after a timeout or garbage the connection is closed, so that the stream cannot stay out of
 * step. RTU (over TCP too) numbers nothing: there we count the answers that a unit owes
 * (transport_debt.c), and ask again until they cannot be meant, as long as they come within
 * late_max_ms. We also keep the 3.5 characters of silence between RTU frames. */
#include "drivers/transport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/line_time.h"
#include "drivers/transport_debt.h"
#include "drivers/transport_frame.h"
#include "drivers/transport_inbox.h"
#include "drivers/transport_link.h"

/* How late an answer is reckoned with, on a wire and through a mobile network; and the least pause
 * inside a frame that is borne: USB adapters make 16 ms, networks more. The tests include this file
 * with shorter ones. */
#ifndef TRANSPORT_LATE_WIRE_MS
#define TRANSPORT_LATE_WIRE_MS    5000
#define TRANSPORT_LATE_NETWORK_MS 10000
#endif
#ifndef TRANSPORT_BODY_MIN_MS
#define TRANSPORT_BODY_MIN_MS 100
#endif

enum {
    IDLE_CHECK_MS = 1000, /* a connection this long unused may have been closed by the other side */
    BODY_MAX_MS = 500,
    REQUEST_MAX_LENGTH = FRAME_MBAP_LENGTH + FRAME_REQUEST_LENGTH,
    LAST_SERIAL_UNIT = 247,
    ECHO_MIN_LENGTH = 5,
    HURRIED_MAX = 2, /* from then on a unit is not asked right after a proof: it needs to rest */
};

/* A unit owes nothing any more when an answer proves it, or when for late_max_ms it was not asked
 * and none of what it owes came. Where nothing can prove it (one register, and it refuses two) it
 * is asked once more than it owes, and at last not at all until the time is over.
 *
 * The limit of it: an answer later than that, when nothing was heard meanwhile, is taken for the
 * next one, and so is one that a unit repeats by itself with the next question. A straggler begins
 * the wait anew, as often as the unit owes. What another process asked before is not known. */
struct unit_state {
    struct transport_debt debt;
    struct transport_noise noise;
    uint16_t slowest_ms; /* reply so far */
};

struct transport {
    struct transport_link link;
    uint32_t line_timeout_ms;
    uint32_t timeout_ms; /* of the request under way */
    int64_t character_ns, silence_ns, gap_ns;
    mono_time quiet_since; /* the line carries nothing from here on, as far as we know */
    uint16_t transaction;
    uint8_t asked; /* the unit that was asked last */
    bool unasked;  /* what was thrown away was nobody's late answer, or not all of it */
    struct transport_inbox inbox;
    struct unit_state units[256];
};

/* One request under way: what the functions below hand to each other. */
struct exchange {
    const struct transport_request *request;
    uint8_t sent[REQUEST_MAX_LENGTH];
    size_t sent_length;
    const uint8_t *answer; /* from the unit on; NULL when none came from this unit */
    bool proves;           /* no answer that was owed is like the one to this question */
    bool after_proof;      /* the unit has been asked for a proof just before */
    char *why;
    size_t why_size;
};

static bool is_tcp(const struct transport *t)
{
    return t->link.kind == TRANSPORT_TCP;
}

static void set_line_time(struct transport *t, const struct serial *serial)
{
    t->character_ns = line_time_character_ns(serial);
    t->silence_ns = line_time_silence_ns(serial);
}

struct transport *transport_new(const struct settings_line *line)
{
    struct transport *t = calloc(1, sizeof *t);
    if (t == NULL || !transport_link_init(&t->link, line)) {
        transport_free(t);
        return NULL;
    }
    t->line_timeout_ms = t->timeout_ms = line->timeout_ms;
    set_line_time(t, &line->serial);
    return t;
}

void transport_free(struct transport *transport)
{
    if (transport != NULL) {
        transport_link_destroy(&transport->link);
        free(transport);
    }
}

void transport_inherit(struct transport *transport, const struct transport *before)
{
    bool same = transport_link_is_same(&transport->link, &before->link);
    for (size_t unit = 0; same && unit < 256; unit++) {
        transport->units[unit].debt = before->units[unit].debt;
        transport->units[unit].slowest_ms = before->units[unit].slowest_ms;
    }
}

bool transport_is_open(const struct transport *transport)
{
    return transport->link.fd >= 0;
}

enum outcome transport_open(struct transport *transport, char *why, size_t why_size)
{
    if (!transport_is_open(transport)) {
        transport_inbox_clear(&transport->inbox);
    }
    return transport_link_open(&transport->link, why, why_size);
}

void transport_close(struct transport *transport)
{
    transport_link_close(&transport->link);
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

bool transport_set_serial(struct transport *transport, const struct serial *serial, char *why,
                          size_t why_size)
{
    if (!transport_link_set_serial(&transport->link, serial, why, why_size)) {
        return false;
    }
    set_line_time(transport, serial);
    return true;
}

void transport_set_gap(struct transport *transport, uint32_t gap_ms)
{
    transport->gap_ns = gap_ms * INT64_C(1000000);
}

struct transport_noise transport_noise(const struct transport *transport, uint8_t unit)
{
    return transport->units[unit].noise;
}

const uint8_t *transport_answer(const struct transport *transport, size_t *length)
{
    const struct transport_inbox *inbox = &transport->inbox;
    *length = is_tcp(transport) && inbox->frame_length > 0 ? inbox->frame_length : inbox->length;
    return inbox->bytes;
}

static mono_time after_ns(mono_time t, int64_t ns)
{
    return (mono_time){t.ns + ns};
}

static uint32_t late_max_ms(const struct transport *t)
{
    uint32_t twice_ms = 2 * t->timeout_ms;
    uint32_t least_ms =
        t->link.kind == TRANSPORT_RTU ? TRANSPORT_LATE_WIRE_MS : TRANSPORT_LATE_NETWORK_MS;
    return twice_ms > least_ms ? twice_ms : least_ms;
}

/* Notes whose answers came although nobody waited for them. */
static void note_stragglers(struct transport *t, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t length = transport_frame_rtu_whole(bytes + i, size - i);
        struct unit_state *unit = &t->units[bytes[i]];
        if (length > 0 &&
            transport_debt_straggler(&unit->debt, bytes + i, late_max_ms(t), clock_mono())) {
            unit->noise.late++;
        } else {
            t->unasked = true;
        }
        i += length > 0 ? length : 1;
    }
}

/* Throws away what has come in, without waiting: the number of bytes, -1 when the link is gone.
 * Stragglers that came whole are noted; from now on, as nobody knows when they came. */
static ssize_t discard(struct transport *t)
{
    ssize_t total = 0;
    /* Bounded, for a peer that sends faster than we read. */
    for (int i = 0; i < 64; i++) {
        uint8_t bytes[2 * FRAME_MAX_LENGTH];
        ssize_t got = transport_link_receive(&t->link, bytes, sizeof bytes);
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        total += got;
        if (!is_tcp(t)) {
            note_stragglers(t, bytes, (size_t)got);
        }
        transport_inbox_keep(&t->inbox, bytes, (size_t)got);
    }
    if (total > 0) {
        t->quiet_since = clock_mono();
    }
    return total;
}

/* What is kept before a request. */
static int64_t pause_ns(const struct transport *t)
{
    return t->gap_ns > t->silence_ns ? t->gap_ns : t->silence_ns;
}

/* Reads and discards until nothing has come for quiet_ns, at most for a timeout, if that is longer
 * than the pause before a request. False when the link is gone. */
static bool drain(struct transport *t, int64_t quiet_ns)
{
    mono_time limit = clock_after_ms(clock_mono(), t->timeout_ms);
    mono_time silent = after_ns(t->quiet_since, pause_ns(t));
    limit = limit.ns > silent.ns ? limit : silent;
    for (;;) {
        mono_time until = after_ns(t->quiet_since, quiet_ns);
        until = until.ns < limit.ns ? until : limit;
        switch (transport_link_wait(&t->link, until)) {
        case LINK_EVENT_READY:
            errno = EIO; /* readable, and nothing there */
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
    t->unasked = false;
    bool quiet = drain(t, pause_ns(t));
    t->units[t->asked].noise.foreign += t->unasked;
    return quiet;
}

static enum outcome fail(struct exchange *x, enum outcome outcome, const char *reason)
{
    snprintf(x->why, x->why_size, "%s", reason);
    return outcome;
}

/* The rest of a frame gets its own time on the line and some for pauses: the answer to 125
 * registers at 4800 baud takes longer than most timeouts. */
static int64_t body_ns(const struct transport *t, const struct transport_request *request)
{
    int64_t ms = t->timeout_ms < BODY_MAX_MS ? t->timeout_ms : BODY_MAX_MS;
    ms = ms > TRANSPORT_BODY_MIN_MS ? ms : TRANSPORT_BODY_MIN_MS;
    size_t characters = is_tcp(t) ? 0 : transport_frame_answer_length(request) + FRAME_CRC_LENGTH;
    return ms * 1000000 + (int64_t)characters * t->character_ns;
}

/* What came is not what was asked for, or not all of it. */
static enum outcome garbled(const struct transport *t, struct exchange *x, const char *reason)
{
    size_t length = t->inbox.length < x->sent_length ? t->inbox.length : x->sent_length;
    if (length >= ECHO_MIN_LENGTH && memcmp(t->inbox.bytes, x->sent, length) == 0) {
        reason = "our own request came back (echo)";
    }
    return reason != NULL ? fail(x, OUTCOME_GARBLED, reason) : OUTCOME_GARBLED;
}

static enum frame_verdict judge(struct transport *t, struct exchange *x)
{
    x->answer = t->inbox.bytes + (is_tcp(t) ? FRAME_MBAP_LENGTH : 0);
    enum frame_verdict verdict =
        is_tcp(t) ? transport_frame_tcp_check(x->request, t->transaction, t->inbox.bytes,
                                              t->inbox.frame_length, x->why, x->why_size)
                  : transport_frame_rtu_check(x->request, t->inbox.bytes, t->inbox.frame_length,
                                              x->why, x->why_size);
    const struct transport_debt *debt = &t->units[x->request->unit].debt;
    bool late = verdict == FRAME_WRONG && !is_tcp(t) && x->answer[0] == x->request->unit &&
                transport_debt_is_late(debt, x->answer, t->inbox.frame_length);
    return late ? FRAME_FOREIGN : verdict;
}

/* Counts a frame that is not for this request. True when another unit owed it: that says nothing
 * against the one that is asked. */
static bool note_foreign(struct transport *t, const struct exchange *x)
{
    struct transport_noise *noise = &t->units[x->request->unit].noise;
    if (is_tcp(t)) {
        bool older = transport_frame_tcp_is_older(t->transaction, t->inbox.bytes);
        noise->late += older;
        noise->foreign += !older;
        return false;
    }
    struct unit_state *unit = &t->units[t->inbox.bytes[0]];
    bool late = transport_debt_straggler(&unit->debt, t->inbox.bytes, late_max_ms(t), clock_mono());
    unit->noise.late += late;
    noise->foreign += !late;
    return late && t->inbox.bytes[0] != x->request->unit;
}

/* Does the right answer go on? Then it was the beginning of our own request: reading one register
 * at 0x02xx, seven bytes of the echo are an answer, CRC and all, in one case of 256. */
static bool echo_goes_on(const struct transport *t, const struct exchange *x)
{
    return !is_tcp(t) && t->inbox.frame_length < x->sent_length &&
           memcmp(t->inbox.bytes, x->sent, t->inbox.frame_length) == 0 &&
           transport_link_wait(&t->link, clock_after_ms(clock_mono(), TRANSPORT_BODY_MIN_MS)) ==
               LINK_EVENT_READY;
}

/* Waits until `until` for the first byte of the answer; frames for others do not end the wait. */
static enum outcome await_answer(struct transport *t, struct exchange *x, mono_time until)
{
    x->answer = NULL;
    enum outcome at_end = OUTCOME_TIMEOUT;
    for (;;) {
        switch (transport_inbox_receive(&t->inbox, &t->link, until, body_ns(t, x->request))) {
        case LINK_EVENT_READY:
            t->quiet_since = t->inbox.last;
            break;
        case LINK_EVENT_EXPIRED:
            if (t->inbox.length > 0) {
                t->quiet_since = t->inbox.last;
                return garbled(t, x, "the answer broke off");
            }
            return at_end == OUTCOME_TIMEOUT ? fail(x, at_end, "no answer") : at_end;
        case LINK_EVENT_INTERRUPTED:
            return fail(x, OUTCOME_LINK, "interrupted");
        case LINK_EVENT_FAILED:
            return fail(x, OUTCOME_LINK, strerror(errno));
        }
        switch (judge(t, x)) {
        case FRAME_ANSWER:
            return echo_goes_on(t, x) ? garbled(t, x, NULL) : OUTCOME_OK;
        case FRAME_EXCEPTION:
            snprintf(x->why, x->why_size, "exception %u", x->answer[2]);
            return OUTCOME_EXCEPTION;
        case FRAME_WRONG:
            return garbled(t, x, NULL);
        case FRAME_FOREIGN:
            x->answer = NULL;
            at_end = note_foreign(t, x) ? at_end : OUTCOME_GARBLED;
            if (t->quiet_since.ns >= until.ns) { /* somebody who never stops */
                return at_end;
            }
            break;
        }
    }
}

static enum outcome send_request(struct transport *t, struct exchange *x)
{
    if (transport_link_send(&t->link, x->sent, x->sent_length)) {
        return OUTCOME_OK;
    }
    if (errno == EAGAIN) {
        return fail(x, OUTCOME_TIMEOUT, "the line does not take the request");
    }
    return fail(x, OUTCOME_LINK, strerror(errno));
}

static enum outcome read_tcp(struct transport *t, struct exchange *x)
{
    transport_frame_tcp_request(x->request, ++t->transaction, x->sent);
    x->sent_length = FRAME_MBAP_LENGTH + FRAME_REQUEST_LENGTH;
    enum outcome outcome = send_request(t, x);
    if (outcome == OUTCOME_OK) {
        outcome = await_answer(t, x, clock_after_ms(clock_mono(), t->timeout_ms));
    }
    if (outcome == OUTCOME_TIMEOUT || outcome == OUTCOME_GARBLED) {
        transport_link_part(&t->link, false);
    }
    return outcome;
}

static bool is_answer(enum outcome outcome)
{
    return outcome == OUTCOME_OK || outcome == OUTCOME_EXCEPTION;
}

static enum outcome ask_rtu(struct transport *t, struct exchange *x)
{
    if (!make_quiet(t)) {
        return fail(x, OUTCOME_LINK, strerror(errno));
    }
    transport_inbox_clear(&t->inbox);
    t->asked = x->request->unit;
    transport_frame_rtu_request(x->request, x->sent);
    x->sent_length = FRAME_REQUEST_LENGTH + FRAME_CRC_LENGTH;
    struct transport_debt *debt = &t->units[t->asked].debt;
    x->proves = !transport_debt_may_be(debt, transport_debt_kind(x->request));
    debt->asked = clock_mono();
    debt->stragglers = 0;
    /* The write returns at once; the last character leaves only now. */
    t->quiet_since = after_ns(debt->asked, (int64_t)x->sent_length * t->character_ns);
    enum outcome outcome = send_request(t, x);
    if (outcome == OUTCOME_OK) {
        outcome = await_answer(t, x, clock_after_ms(t->quiet_since, t->timeout_ms));
    }
    if (!is_answer(outcome)) {
        transport_debt_add(debt, transport_debt_kind(x->request), late_max_ms(t),
                           outcome != OUTCOME_GARBLED);
    }
    return outcome;
}

/* What came uninvited until now, and whether it is still of importance. */
static void look_back(struct transport *t, struct transport_debt *debt)
{
    (void)discard(t); /* a lost link shows when we ask */
    transport_inbox_clear(&t->inbox);
    if (debt->owed > 0 && transport_debt_is_over(debt, clock_mono())) {
        transport_debt_clear(debt);
    }
}

/* Asks for another number of registers when the answer to what is wanted could be a late one: what
 * comes then proves that nothing is owed. False when the whole is not to be asked for now. */
static bool prove(struct transport *t, struct exchange *x, struct transport_debt *debt,
                  enum outcome *outcome)
{
    const struct transport_request *whole = x->request;
    struct transport_request proof = *whole;
    if (!transport_debt_may_be(debt, transport_debt_kind(whole)) ||
        !transport_debt_choose_proof(debt, &proof)) {
        return true;
    }
    x->request = &proof;
    *outcome = ask_rtu(t, x);
    x->request = whole;
    x->after_proof = is_answer(*outcome);
    if (*outcome == OUTCOME_OK) {
        transport_debt_clear(debt);
        transport_debt_add_kind(debt, transport_debt_kind(&proof)); /* should it come twice */
    } else if (*outcome == OUTCOME_EXCEPTION) {
        transport_debt_refused(debt, transport_debt_kind(&proof), x->answer[2]);
    } else if (proof.count > whole->count) {
        debt->no_more = true;
    }
    if (x->after_proof && debt->hurried >= HURRIED_MAX) {
        *outcome = fail(x, OUTCOME_TIMEOUT, "not asked so soon after the last time");
        return false;
    }
    return x->after_proof;
}

/* Asks once more than answers are owed; only the last one counts. What was owed has come before, or
 * what comes answers the same question asked a moment ago. */
static enum outcome ask_debtor(struct transport *t, struct exchange *x, struct transport_debt *debt)
{
    uint16_t kind = transport_debt_kind(x->request);
    unsigned asked = 0;
    enum outcome outcome;
    do {
        outcome = ask_rtu(t, x);
        if (outcome == OUTCOME_OK && x->proves) {
            transport_debt_clear(debt);
            return outcome;
        }
        if (!is_answer(outcome)) {
            return outcome;
        }
        if (debt->owed > 0) {
            transport_debt_add_kind(debt, kind);
        }
    } while (++asked < transport_debt_questions(debt));
    transport_debt_settle(debt, kind);
    return outcome;
}

static enum outcome read_rtu(struct transport *t, struct exchange *x)
{
    struct unit_state *unit = &t->units[x->request->unit];
    look_back(t, &unit->debt);
    if (transport_debt_must_rest(&unit->debt, x->request)) {
        return fail(x, OUTCOME_TIMEOUT, "not asked: its late answers may still come");
    }
    if (x->request->unit > LAST_SERIAL_UNIT) {
        return fail(x, OUTCOME_TIMEOUT, "not asked: units above 247 are reserved on a serial line");
    }
    enum outcome outcome = OUTCOME_OK;
    if (prove(t, x, &unit->debt, &outcome)) {
        outcome = ask_debtor(t, x, &unit->debt);
        if (x->after_proof) {
            unit->debt.hurried = outcome == OUTCOME_TIMEOUT ? unit->debt.hurried + 1u : 0;
        }
    }
    if (is_answer(outcome)) {
        int64_t reply_ms = clock_ms_between(unit->debt.asked, t->quiet_since);
        if (reply_ms > unit->slowest_ms) {
            unit->slowest_ms = (uint16_t)(reply_ms < UINT16_MAX ? reply_ms : UINT16_MAX);
        }
    } else if (outcome != OUTCOME_LINK) {
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
    t->timeout_ms = request->timeout_ms ? request->timeout_ms : t->line_timeout_ms;
    drop_closed(t);
    if (transport_open(t, why, why_size) != OUTCOME_OK) {
        return OUTCOME_LINK;
    }
    enum outcome outcome = is_tcp(t) ? read_tcp(t, &x) : read_rtu(t, &x);
    switch (outcome) {
    case OUTCOME_OK:
        transport_frame_words(request, x.answer, registers);
        break;
    case OUTCOME_EXCEPTION:
        *exception = x.answer[2];
        break;
    case OUTCOME_LINK:
        transport_link_part(&t->link, false);
        break;
    case OUTCOME_TIMEOUT:
    case OUTCOME_GARBLED:
        break;
    }
    if (t->link.close_between) {
        transport_link_part(&t->link, is_answer(outcome));
    }
    return outcome;
}

size_t transport_listen(struct transport *transport, uint32_t ms, uint8_t *out, size_t size)
{
    struct transport *t = transport;
    mono_time until = clock_after_ms(clock_mono(), ms);
    size_t length = 0;
    while (transport_is_open(t) && length < size &&
           transport_link_wait(&t->link, until) == LINK_EVENT_READY) {
        ssize_t got = transport_link_receive(&t->link, out + length, size - length);
        if (got <= 0) {
            break;
        }
        length += (size_t)got;
        t->quiet_since = clock_mono();
    }
    note_stragglers(t, out, length);
    return length;
}
