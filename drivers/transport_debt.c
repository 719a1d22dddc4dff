/* The answers that RTU units still owe, and how to tell them from the right one.
 *
 * Called by transport.c in the line's thread; owns nothing, never waits. To every check there is, a
 * late RTU answer of the same unit, function and byte count is the right one. So a request without
 * a valid answer leaves its unit owing one of that kind. Units answer in order: an answer of a kind
 * that is not owed proves that all owed has come before it or never will. That is why a unit that
 * owes what it is about to be asked for is first asked for a smaller part of it. Exceptions prove
 * nothing, they have no length. */
#include "drivers/transport_debt.h"

#include "drivers/transport_frame.h"

enum { ANSWER_HEAD = 3 }; /* unit, function, byte count */

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

int64_t transport_debt_idle_ms(const struct transport_debt *debt, mono_time now)
{
    mono_time last = debt->heard.ns > debt->asked.ns ? debt->heard : debt->asked;
    return clock_ms_between(last, now);
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

void transport_debt_add(struct transport_debt *debt, uint16_t kind, uint8_t max)
{
    transport_debt_add_kind(debt, kind);
    debt->settled = 0;
    if (debt->owed < max) {
        debt->owed++;
    }
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
}

bool transport_debt_choose_part(const struct transport_debt *debt,
                                struct transport_request *request)
{
    struct transport_request part = *request;
    uint16_t step = profile_is_bits(request->function) ? 8 : 1;
    for (part.count = step; part.count < request->count; part.count += step) {
        if (debt->kind_count > DEBT_KINDS || part.count > step * (DEBT_KINDS + 1)) {
            return false;
        }
        if (!transport_debt_may_be(debt, transport_debt_kind(&part))) {
            *request = part;
            return true;
        }
    }
    return false;
}

bool transport_debt_straggler(struct transport_debt *debt, mono_time now)
{
    if (debt->stragglers >= debt->owed) {
        return false;
    }
    debt->stragglers++;
    debt->heard = now;
    return true;
}
