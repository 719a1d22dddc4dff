/* What an RTU unit still owes: counting answers that may come late. For transport.c; pure. */
#ifndef LIFELINE_TRANSPORT_DEBT_H
#define LIFELINE_TRANSPORT_DEBT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/clock.h"
#include "drivers/transport.h"

enum {
    DEBT_MAX = 3,
    DEBT_KINDS = 6,
    DEBT_SETTLED_READS = 16,
};

struct transport_debt {
    mono_time asked;
    mono_time heard; /* the last straggler */
    uint16_t kinds[DEBT_KINDS];
    uint8_t kind_count; /* above DEBT_KINDS: there were more, it may be any */
    uint8_t owed;       /* answers that may still come, each of one of the kinds */
    uint8_t stragglers; /* of them came uninvited since it was asked */
    uint8_t settled;    /* reads in a row that went well */
    uint8_t hurried;    /* times in a row that it was silent when asked right after a part */
    bool whole_only;    /* it refused to give a part of a block */
};

/* Function and byte count: by these one answer is told from another. */
uint16_t transport_debt_kind(const struct transport_request *request);
uint16_t transport_debt_answer_kind(const uint8_t *frame); /* from its unit on */

/* May an answer of this kind be a late one? */
bool transport_debt_may_be(const struct transport_debt *debt, uint16_t kind);

/* Is a frame that does not fit the question a whole answer that was owed? */
bool transport_debt_is_late(const struct transport_debt *debt, const uint8_t *frame, size_t length);

/* Since it was last asked or heard uninvited. */
int64_t transport_debt_idle_ms(const struct transport_debt *debt, mono_time now);

/* A question of this kind has got no valid answer; `owed` grows up to max. */
void transport_debt_add(struct transport_debt *debt, uint16_t kind, uint8_t max);

/* What is owed may also be of this kind. */
void transport_debt_add_kind(struct transport_debt *debt, uint16_t kind);

/* The unit was asked owed + 1 times for this kind, and answered all. */
void transport_debt_settle(struct transport_debt *debt, uint16_t kind);

/* Nothing is owed any more. */
void transport_debt_clear(struct transport_debt *debt);

/* Cuts the request down to a part of itself whose answer cannot be a late one. False when there is
 * none. */
bool transport_debt_choose_part(const struct transport_debt *debt,
                                struct transport_request *request);

/* A whole answer of this unit came uninvited: true when it was owed. */
bool transport_debt_straggler(struct transport_debt *debt, mono_time now);

#endif
