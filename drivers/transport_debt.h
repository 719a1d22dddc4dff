/* What an RTU unit still owes: counting answers that may come late. For transport.c; pure. */
#ifndef LIFELINE_TRANSPORT_DEBT_H
#define LIFELINE_TRANSPORT_DEBT_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/clock.h"
#include "drivers/transport.h"

enum {
    DEBT_MAX = 3,
    DEBT_KINDS = 6,
    DEBT_SETTLED_READS = 16,
};

/* Function and byte count: by these one answer can be told from another. */
typedef uint16_t debt_kind;

struct debt {
    mono_time asked;
    mono_time heard; /* the last straggler */
    debt_kind kinds[DEBT_KINDS];
    uint8_t kind_count; /* above DEBT_KINDS: there were more, it may be any */
    uint8_t owed;       /* answers that may still come, each of one of the kinds */
    uint8_t stragglers; /* of them came uninvited since it was asked */
    uint8_t settled;    /* reads in a row that went well */
    bool whole_only;    /* it refused to give a part of a block */
};

debt_kind debt_kind_of(const struct transport_request *request);
debt_kind debt_kind_of_answer(const uint8_t *frame); /* from its unit on */

/* May an answer of this kind be a late one? */
bool debt_may_be(const struct debt *debt, debt_kind kind);

/* A question of this kind has got no valid answer; `owed` grows up to max. */
void debt_add(struct debt *debt, debt_kind kind, uint8_t max);

/* What is owed may also be of this kind. */
void debt_add_kind(struct debt *debt, debt_kind kind);

/* The unit was asked owed + 1 times for this kind, and answered all. */
void debt_settle(struct debt *debt, debt_kind kind);

/* Nothing is owed any more. */
void debt_clear(struct debt *debt);

/* Cuts the request down to a part of itself whose answer cannot be a late one. False when there is
 * none. */
bool debt_choose_part(const struct debt *debt, struct transport_request *request);

/* A whole answer of this unit came uninvited: true when it was owed. */
bool debt_straggler(struct debt *debt, mono_time now);

#endif
