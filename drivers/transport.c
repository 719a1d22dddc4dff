/* One Modbus master: asks, waits, and hands out no register that might answer another question.
 *
 * Runs in the line's thread; owns the link and what is known of each unit. Never retries, never
 * writes to a sensor. Modbus TCP numbers its questions: an answer with another number is skipped,
 * and after a timeout or garbage the connection is closed, so that the stream cannot stay out of
 * step. RTU (over TCP too) numbers nothing: there we count the answers that a unit owes
 * (transport_debt.c), and ask again until they cannot be meant. How one question is asked, with the
 * silence before it, stands in transport_ask.c. */
#include "drivers/transport.h"

#include <stdlib.h>
#include <string.h>

#include "drivers/line_time.h"
#include "drivers/transport_ask.h"

enum {
    IDLE_CHECK_MS = 1000, /* a connection this long unused may have been closed by the other side */
    LAST_SERIAL_UNIT = 247,
    HURRIED_MAX = 2, /* from then on a unit is not asked right after a proof: it needs to rest */
};

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
    *length = transport_ask_is_tcp(transport) && inbox->frame_length > 0 ? inbox->frame_length
                                                                         : inbox->length;
    return inbox->bytes;
}

/* A unit owes nothing any more when an answer proves it, or when for so long as answers may be late
 * it was not asked and none of what it owes came. Where nothing can prove it (one register, and it
 * refuses two) it is asked once more than it owes, and at last not at all until the time is over.
 *
 * The limit of it: an answer later than that, when nothing was heard meanwhile, is taken for the
 * next one, and so is one that a unit repeats by itself with the next question. A straggler begins
 * the wait anew, as often as the unit owes. What another process asked before is not known. */

/* What came uninvited until now, and whether it is still of importance. */
static void look_back(struct transport *t, struct transport_debt *debt)
{
    (void)transport_ask_discard(t); /* a lost link shows when we ask */
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
    *outcome = transport_ask_rtu(t, x);
    x->request = whole;
    x->after_proof = transport_ask_is_answer(*outcome);
    if (*outcome == OUTCOME_OK) {
        transport_debt_clear(debt);
        transport_debt_add_kind(debt, transport_debt_kind(&proof)); /* should it come twice */
    } else if (*outcome == OUTCOME_EXCEPTION) {
        transport_debt_refused(debt, transport_debt_kind(&proof), x->answer[2]);
    } else if (proof.count > whole->count) {
        debt->no_more = true;
    }
    if (x->after_proof && debt->hurried >= HURRIED_MAX) {
        *outcome = transport_ask_fail(x, OUTCOME_TIMEOUT, "not asked so soon after the last time");
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
        outcome = transport_ask_rtu(t, x);
        if (outcome == OUTCOME_OK && x->proves) {
            transport_debt_clear(debt);
            return outcome;
        }
        if (!transport_ask_is_answer(outcome)) {
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
        return transport_ask_fail(x, OUTCOME_TIMEOUT, "not asked: its late answers may still come");
    }
    if (x->request->unit > LAST_SERIAL_UNIT) {
        return transport_ask_fail(x, OUTCOME_TIMEOUT,
                                  "not asked: units above 247 are reserved on a serial line");
    }
    enum outcome outcome = OUTCOME_OK;
    if (prove(t, x, &unit->debt, &outcome)) {
        outcome = ask_debtor(t, x, &unit->debt);
        if (x->after_proof) {
            unit->debt.hurried = outcome == OUTCOME_TIMEOUT ? unit->debt.hurried + 1u : 0;
        }
    }
    if (transport_ask_is_answer(outcome)) {
        int64_t reply_ms = clock_ms_between(unit->debt.asked, t->quiet_since);
        if (reply_ms > unit->slowest_ms) {
            unit->slowest_ms = (uint16_t)(reply_ms < UINT16_MAX ? reply_ms : UINT16_MAX);
        }
    } else if (outcome != OUTCOME_LINK) {
        int64_t quiet_ns = unit->slowest_ms * INT64_C(1000000);
        (void)transport_ask_drain(t, quiet_ns > t->silence_ns ? quiet_ns : t->silence_ns);
    }
    return outcome;
}

/* A server that closes idle connections is not a failure: it is called again. */
static void drop_closed(struct transport *t)
{
    bool idle = clock_ms_between(t->quiet_since, clock_mono()) >= IDLE_CHECK_MS;
    if (t->link.kind != TRANSPORT_RTU && transport_is_open(t) && idle &&
        transport_ask_discard(t) < 0) {
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
    enum outcome outcome = transport_ask_is_tcp(t) ? transport_ask_tcp(t, &x) : read_rtu(t, &x);
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
        transport_link_part(&t->link, transport_ask_is_answer(outcome));
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
    transport_ask_stragglers(t, out, length);
    return length;
}
