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

debt_kind debt_kind_of(const struct transport_request *request)
{
    size_t bytes = transport_frame_answer_length(request) - ANSWER_HEAD;
    return (debt_kind)((unsigned)request->function << 8 | bytes);
}

debt_kind debt_kind_of_answer(const uint8_t *frame)
{
    return (debt_kind)(frame[1] << 8 | frame[2]);
}

bool debt_may_be(const struct debt *debt, debt_kind kind)
{
    for (unsigned i = 0; i < debt->kind_count && i < DEBT_KINDS; i++) {
        if (debt->kinds[i] == kind) {
            return true;
        }
    }
    return debt->kind_count > DEBT_KINDS;
}

void debt_add_kind(struct debt *debt, debt_kind kind)
{
    if (debt_may_be(debt, kind)) {
        return;
    }
    if (debt->kind_count < DEBT_KINDS) {
        debt->kinds[debt->kind_count] = kind;
    }
    debt->kind_count++;
}

void debt_add(struct debt *debt, debt_kind kind, uint8_t max)
{
    debt_add_kind(debt, kind);
    debt->settled = 0;
    if (debt->owed < max) {
        debt->owed++;
    }
}

void debt_settle(struct debt *debt, debt_kind kind)
{
    debt->kinds[0] = kind;
    debt->kind_count = debt->owed > 0;
    if (debt->settled < DEBT_SETTLED_READS) {
        debt->settled++;
    }
}

void debt_clear(struct debt *debt)
{
    debt->owed = debt->stragglers = debt->settled = debt->kind_count = 0;
}

bool debt_choose_part(const struct debt *debt, struct transport_request *request)
{
    struct transport_request part = *request;
    uint16_t step = profile_is_bits(request->function) ? 8 : 1;
    for (part.count = step; part.count < request->count; part.count += step) {
        if (debt->kind_count > DEBT_KINDS || part.count > step * (DEBT_KINDS + 1)) {
            return false;
        }
        if (!debt_may_be(debt, debt_kind_of(&part))) {
            *request = part;
            return true;
        }
    }
    return false;
}

bool debt_straggler(struct debt *debt, mono_time now)
{
    if (debt->stragglers >= debt->owed) {
        return false;
    }
    debt->stragglers++;
    debt->heard = now;
    return true;
}
