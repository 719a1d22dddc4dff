/* A transport from inside, and the asking of one question: for transport.c. */
#ifndef LIFELINE_TRANSPORT_ASK_H
#define LIFELINE_TRANSPORT_ASK_H

#include "drivers/transport_debt.h"
#include "drivers/transport_frame.h"
#include "drivers/transport_inbox.h"
#include "drivers/transport_link.h"

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

enum { REQUEST_MAX_LENGTH = FRAME_MBAP_LENGTH + FRAME_REQUEST_LENGTH };

/* One request under way. */
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

static inline bool transport_ask_is_tcp(const struct transport *t)
{
    return t->link.kind == TRANSPORT_TCP;
}

static inline bool transport_ask_is_answer(enum outcome outcome)
{
    return outcome == OUTCOME_OK || outcome == OUTCOME_EXCEPTION;
}

/* Sends the request and waits for its answer. Until then RTU keeps the silence and throws away what
 * came uninvited; what does not come is owed. */
enum outcome transport_ask_tcp(struct transport *t, struct exchange *x)
    __attribute__((warn_unused_result));
enum outcome transport_ask_rtu(struct transport *t, struct exchange *x)
    __attribute__((warn_unused_result));

/* The outcome, with its reason said. */
enum outcome transport_ask_fail(struct exchange *x, enum outcome outcome, const char *reason);

/* Notes whose answers came although nobody waited for them. */
void transport_ask_stragglers(struct transport *t, const uint8_t *bytes, size_t size);

/* Throws away what has come in, without waiting: the number of bytes, -1 when the link is gone.
 * Stragglers that came whole are noted; from now on, as nobody knows when they came. */
ssize_t transport_ask_discard(struct transport *t);

/* Reads and discards until nothing has come for quiet_ns, at most for a timeout, if that is longer
 * than the pause before a request. False when the link is gone. */
bool transport_ask_drain(struct transport *t, int64_t quiet_ns);

#endif
