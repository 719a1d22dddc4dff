/* One question on the line and what comes for it: the silence before, the request, the wait, and a
 * verdict on every frame that comes.
 *
 * Runs in the line's thread; owns nothing, the transport is transport.c's. What comes and was not
 * asked for is counted for the unit it is from. Never asks twice, and never decides whether an
 * answer may be handed out: transport.c does. */
#include "drivers/transport_ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

enum { BODY_MAX_MS = 500, ECHO_MIN_LENGTH = 5 };

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

void transport_ask_stragglers(struct transport *t, const uint8_t *bytes, size_t size)
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

ssize_t transport_ask_discard(struct transport *t)
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
        if (!transport_ask_is_tcp(t)) {
            transport_ask_stragglers(t, bytes, (size_t)got);
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

bool transport_ask_drain(struct transport *t, int64_t quiet_ns)
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
            if (transport_ask_discard(t) <= 0) {
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
    bool quiet = transport_ask_drain(t, pause_ns(t));
    t->units[t->asked].noise.foreign += t->unasked;
    return quiet;
}

enum outcome transport_ask_fail(struct exchange *x, enum outcome outcome, const char *reason)
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
    size_t characters =
        transport_ask_is_tcp(t) ? 0 : transport_frame_answer_length(request) + FRAME_CRC_LENGTH;
    return ms * 1000000 + (int64_t)characters * t->character_ns;
}

/* What came is not what was asked for, or not all of it. */
static enum outcome garbled(const struct transport *t, struct exchange *x, const char *reason)
{
    size_t length = t->inbox.length < x->sent_length ? t->inbox.length : x->sent_length;
    if (length >= ECHO_MIN_LENGTH && memcmp(t->inbox.bytes, x->sent, length) == 0) {
        reason = "our own request came back (echo)";
    }
    return reason != NULL ? transport_ask_fail(x, OUTCOME_GARBLED, reason) : OUTCOME_GARBLED;
}

static enum frame_verdict judge(struct transport *t, struct exchange *x)
{
    x->answer = t->inbox.bytes + (transport_ask_is_tcp(t) ? FRAME_MBAP_LENGTH : 0);
    enum frame_verdict verdict =
        transport_ask_is_tcp(t)
            ? transport_frame_tcp_check(x->request, t->transaction, t->inbox.bytes,
                                        t->inbox.frame_length, x->why, x->why_size)
            : transport_frame_rtu_check(x->request, t->inbox.bytes, t->inbox.frame_length, x->why,
                                        x->why_size);
    const struct transport_debt *debt = &t->units[x->request->unit].debt;
    bool late = verdict == FRAME_WRONG && !transport_ask_is_tcp(t) &&
                x->answer[0] == x->request->unit &&
                transport_debt_is_late(debt, x->answer, t->inbox.frame_length);
    return late ? FRAME_FOREIGN : verdict;
}

/* Counts a frame that is not for this request. True when another unit owed it: that says nothing
 * against the one that is asked. */
static bool note_foreign(struct transport *t, const struct exchange *x)
{
    struct transport_noise *noise = &t->units[x->request->unit].noise;
    if (transport_ask_is_tcp(t)) {
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
    return !transport_ask_is_tcp(t) && t->inbox.frame_length < x->sent_length &&
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
            return at_end == OUTCOME_TIMEOUT ? transport_ask_fail(x, at_end, "no answer") : at_end;
        case LINK_EVENT_INTERRUPTED:
            return transport_ask_fail(x, OUTCOME_LINK, "interrupted");
        case LINK_EVENT_FAILED:
            return transport_ask_fail(x, OUTCOME_LINK, strerror(errno));
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
        return transport_ask_fail(x, OUTCOME_TIMEOUT, "the line does not take the request");
    }
    return transport_ask_fail(x, OUTCOME_LINK, strerror(errno));
}

enum outcome transport_ask_tcp(struct transport *t, struct exchange *x)
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

enum outcome transport_ask_rtu(struct transport *t, struct exchange *x)
{
    if (!make_quiet(t)) {
        return transport_ask_fail(x, OUTCOME_LINK, strerror(errno));
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
    if (!transport_ask_is_answer(outcome)) {
        transport_debt_add(debt, transport_debt_kind(x->request), late_max_ms(t),
                           outcome != OUTCOME_GARBLED);
    }
    return outcome;
}
