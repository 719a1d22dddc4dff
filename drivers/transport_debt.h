/* What an RTU unit still owes: counting answers that may come late. For transport.c; pure. */
#ifndef LIFELINE_TRANSPORT_DEBT_H
#define LIFELINE_TRANSPORT_DEBT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/clock.h"
#include "drivers/transport.h"

enum {
    DEBT_MAX = 3, /* so many are outwaited, not outasked */
    DEBT_KINDS = 12,
    DEBT_SETTLED_READS = 64,
};

struct transport_debt {
    mono_time asked;
    mono_time heard;  /* the last straggler */
    uint32_t late_ms; /* how late they may come, after asked and heard */
    uint16_t kinds[DEBT_KINDS];
    uint8_t kind_count; /* above DEBT_KINDS: there were more, it may be any */
    uint8_t owed;       /* answers that may still come, each of one of the kinds */
    bool silent;        /* of at least one nothing was heard; of the others, something spoilt */
    uint8_t stragglers; /* of them came uninvited since it was asked */
    uint8_t settled;    /* reads in a row that went well, without a proof */
    uint8_t hurried;    /* times in a row that it was silent when asked right after a proof */
    bool whole_only;    /* it refused to give anything but a whole block */
    bool no_more;       /* it was silent about more than the block; until the debt is over */
};

/* Function and byte count: by these one answer is told from another. */
uint16_t transport_debt_kind(const struct transport_request *request);
uint16_t transport_debt_answer_kind(const uint8_t *frame); /* from its unit on */

/* May an answer of this kind be a late one? */
bool transport_debt_may_be(const struct transport_debt *debt, uint16_t kind);

/* Is a frame that does not fit the question a whole answer that was owed? */
bool transport_debt_is_late(const struct transport_debt *debt, const uint8_t *frame, size_t length);

/* Nothing can come any more: it was neither asked nor heard uninvited for late_ms. */
bool transport_debt_is_over(const struct transport_debt *debt, mono_time now);

/* A question of this kind has got no valid answer, which may come so late. silent: nor anything
 * else. */
void transport_debt_add(struct transport_debt *debt, uint16_t kind, uint32_t late_ms, bool silent);

/* How often it is to be asked before an answer counts that nothing proves. */
unsigned transport_debt_questions(const struct transport_debt *debt);

/* What is owed may also be of this kind. */
void transport_debt_add_kind(struct transport_debt *debt, uint16_t kind);

/* A proof of this kind was answered by an exception: its own, or a late one. */
void transport_debt_refused(struct transport_debt *debt, uint16_t kind, uint8_t exception);

/* The unit was asked owed + 1 times for this kind, and answered all. */
void transport_debt_settle(struct transport_debt *debt, uint16_t kind);

/* Nothing is owed any more. */
void transport_debt_clear(struct transport_debt *debt);

/* Makes of the request one for a part of it, or if there is none for a little more, whose answer
 * cannot be a late one. False when there is none. */
bool transport_debt_choose_proof(const struct transport_debt *debt,
                                 struct transport_request *request);

/* Nothing can tell the answer from a late one, and asking on would not help: it is to be outwaited.
 */
bool transport_debt_must_rest(const struct transport_debt *debt,
                              const struct transport_request *request);

/* A whole answer of this unit came uninvited: true when it was owed. If not it may come again. */
bool transport_debt_straggler(struct transport_debt *debt, const uint8_t *frame, uint32_t late_ms,
                              mono_time now);

#endif
