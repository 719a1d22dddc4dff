/* After the end of a connection, or of the attempt at one: which broker is next, and after what
 * pause. Pure.
 *
 * Who had a connection and lost it because of the broker did so together with a whole city: the
 * next pause is drawn from `spread`. So is that of one whom the broker turns away after a hurried
 * pause, and that before the first other broker of one whose own fell silent. */
#ifndef LIFELINE_RETRY_H
#define LIFELINE_RETRY_H

#include "gateway/uplink/backoff.h"
#include "gateway/uplink/route.h"

struct retry {
    struct route route;
    struct backoff backoff;
    enum backoff_cause cause; /* the worst of the round */
    bool owes_share;          /* a connection fell silent, and no other broker was tried since */
    bool hurried;             /* the last pause was a hurried one */
};

struct retry_end {
    enum backoff_cause cause;
    bool was_up;
    bool steady;    /* and for long enough to count */
    bool narrowing; /* less of what may have ended it will be sent next */
    bool again;     /* the broker has just said how it does not want it: in another way, at once */
    bool stay;      /* there is more to be asked of this broker */
};

void retry_start(struct retry *retry, size_t count);

/* The connection counts from now on. */
void retry_steady(struct retry *retry);

/* Sets route.url and returns the pause before it; random: any 64 bits. */
uint32_t retry_after(struct retry *retry, const struct retry_end *end, uint32_t spread_ms,
                     uint64_t random);

#endif
