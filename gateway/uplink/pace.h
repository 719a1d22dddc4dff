/* How much history may be in flight to a broker: as much as it acknowledges in a fifth of a second,
 * so that live data never waits long behind it, and on a LAN far less: there an alarm has 10 ms.
 * Pure. */
#ifndef LIFELINE_PACE_H
#define LIFELINE_PACE_H

#include <stdint.h>

enum {
    PACE_START = 4 << 10,
    PACE_MIN = 1 << 10,
    PACE_MAX = 256 << 10,     /* fills 10 Mbit/s at that time, and bounds the memory */
    PACE_NEAR_MS = 10,        /* a broker that ever answered so soon is near */
    PACE_NEAR_MAX = 48 << 10, /* and gets this: 4 ms at 100 Mbit/s, behind which an alarm waits */
    PACE_AIM_MS = 200,
    PACE_QUEUE_MS = 150, /* what may wait above a round trip that alone is longer than the aim */
};

struct pace {
    int64_t window; /* bytes that may be in flight */
    int64_t most;   /* so many at most */
    int64_t aim_ms;
    int64_t shrunk_ms; /* what was sent before says nothing new */
};

/* One acknowledgement. */
struct pace_sample {
    int64_t bytes; /* its own */
    int64_t ahead; /* bytes of history in flight when it was sent, its own included */
    int64_t sent_ms, now_ms;
};

void pace_start(struct pace *pace);

/* How long the shortest exchange takes on this connection. */
void pace_round_trip(struct pace *pace, int64_t ms);

/* Bytes of one parcel at most: several are under way, so that acknowledgements come evenly. */
int64_t pace_parcel(const struct pace *pace);

void pace_acknowledged(struct pace *pace, const struct pace_sample *sample);

#endif
