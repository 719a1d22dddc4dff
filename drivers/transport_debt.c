/* The answers that RTU units still owe, and how to tell them from the right one.
 *
 * Called by transport.c in the line's thread; owns nothing, never waits. To every check there is, a
 * late RTU answer of the same unit, function and byte count is the right one. So a request without
 * a valid answer leaves its unit owing one of that kind. Units answer in order: an answer of a kind
 * that is not owed proves that all owed has come before it or never will. That is why a unit that
 * owes what it is about to be asked for is first asked for a part of it, or for a little more.
 * Exceptions prove nothing, they have no length. */
#include "drivers/transport_debt.h"

#include "drivers/transport_frame.h"

enum {
    ANSWER_HEAD = 3, /* unit, function, byte count */
    ILLEGAL_ADDRESS = 2,
    ILLEGAL_VALUE = 3,
};

uint16_t transport_debt_kind(const struct transport_request *request)
{
    size_t bytes = transport_frame_answer_length(request) - ANSWER_HEAD;
    return (uint16_t)((unsigned)request->function << 8 | bytes);
}

uint16_t transport_debt_answer_kind(const uint8_t *frame)
{
    return (uint16_t)(frame[1] << 8 | frame[2]);
}

bool transport_debt_may_be(const struct transport_debt *debt, uint16_t kind)
{
    for (unsigned i = 0; i < debt->kind_count && i < DEBT_KINDS; i++) {
        if (debt->kinds[i] == kind) {
            return true;
        }
    }
    return debt->kind_count > DEBT_KINDS;
}

bool transport_debt_is_late(const struct transport_debt *debt, const uint8_t *frame, size_t length)
{
    bool exception = (frame[1] & 0x80) != 0;
    return !exception && transport_frame_rtu_whole(frame, length) > 0 &&
           transport_debt_may_be(debt, transport_debt_answer_kind(frame));
}

bool transport_debt_is_over(const struct transport_debt *debt, mono_time now)
{
    mono_time last = debt->heard.ns > debt->asked.ns ? debt->heard : debt->asked;
    return clock_ms_between(last, now) >= debt->late_ms;
}

void transport_debt_add_kind(struct transport_debt *debt, uint16_t kind)
{
    if (transport_debt_may_be(debt, kind)) {
        return;
    }
    if (debt->kind_count < DEBT_KINDS) {
        debt->kinds[debt->kind_count] = kind;
    }
    debt->kind_count++;
}

void transport_debt_add(struct transport_debt *debt, uint16_t kind, uint32_t late_ms, bool silent)
{
    transport_debt_add_kind(debt, kind);
    debt->silent |= silent;
    debt->late_ms = debt->late_ms > late_ms ? debt->late_ms : late_ms;
    debt->settled = 0;
    if (debt->owed < UINT8_MAX) {
        debt->owed++;
    }
}

void transport_debt_refused(struct transport_debt *debt, uint16_t kind, uint8_t exception)
{
    debt->whole_only |= exception == ILLEGAL_ADDRESS || exception == ILLEGAL_VALUE;
    transport_debt_add_kind(debt, kind);
}

unsigned transport_debt_questions(const struct transport_debt *debt)
{
    /* What was spoilt was most likely the answer: noise is not to make a unit unreachable. */
    return 1u + (debt->silent || debt->owed < DEBT_MAX ? debt->owed : DEBT_MAX - 1);
}

void transport_debt_settle(struct transport_debt *debt, uint16_t kind)
{
    debt->kinds[0] = kind;
    debt->kind_count = debt->owed > 0;
    if (debt->settled < DEBT_SETTLED_READS) {
        debt->settled++;
    }
}

void transport_debt_clear(struct transport_debt *debt)
{
    debt->owed = debt->stragglers = debt->settled = debt->kind_count = 0;
    debt->late_ms = 0;
    debt->no_more = debt->silent = false;
}

/* A request for so many is a proof when it can be made and its answer is not owed. */
static bool is_proof(const struct transport_debt *debt, const struct transport_request *whole,
                     unsigned count, struct transport_request *out)
{
    unsigned most = profile_is_bits(whole->function) ? FRAME_MAX_BITS : FRAME_MAX_REGISTERS;
    struct transport_request request = *whole;
    request.count = (uint16_t)count;
    if (count > most || whole->address + count > UINT16_MAX + 1u ||
        transport_debt_may_be(debt, transport_debt_kind(&request))) {
        return false;
    }
    *out = request;
    return true;
}

bool transport_debt_choose_proof(const struct transport_debt *debt,
                                 struct transport_request *request)
{
    const struct transport_request whole = *request;
    unsigned step = profile_is_bits(whole.function) ? 8 : 1; /* bits come in bytes */
    if (debt->whole_only || debt->kind_count > DEBT_KINDS) {
        return false;
    }
    for (unsigned count = step; count < whole.count; count += step) {
        if (is_proof(debt, &whole, count, request)) {
            return true;
        }
    }
    return !debt->no_more && is_proof(debt, &whole, whole.count + step, request);
}

bool transport_debt_must_rest(const struct transport_debt *debt,
                              const struct transport_request *request)
{
    struct transport_request proof = *request;
    return debt->silent && (debt->owed >= DEBT_MAX || debt->settled >= DEBT_SETTLED_READS) &&
           transport_debt_may_be(debt, transport_debt_kind(request)) &&
           !transport_debt_choose_proof(debt, &proof);
}

bool transport_debt_straggler(struct transport_debt *debt, const uint8_t *frame, uint32_t late_ms,
                              mono_time now)
{
    if (debt->stragglers < debt->owed) {
        debt->stragglers++;
        debt->heard = now;
        return true;
    }
    if (debt->owed == 0 && (frame[1] & 0x80) == 0) {
        transport_debt_add(debt, transport_debt_answer_kind(frame), late_ms, true);
        debt->stragglers = 1;
    }
    return false;
}
