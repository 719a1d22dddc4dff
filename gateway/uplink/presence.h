/* GatewayState: who this gateway is and how it does, packed for one uplink. Pure. */
#ifndef LIFELINE_PRESENCE_H
#define LIFELINE_PRESENCE_H

#include "config/settings.h"
#include "drivers/clock.h"
#include "gateway/store/store.h"

struct presence_line {
    uint32_t load_percent, devices, silent, slipping;
    uint64_t requests, good, timeout, exception, garbled, link, late, foreign, slipped;
    uint32_t round_trip_p50_us, round_trip_p99_us; /* 0 = no answer yet */
};

/* What the other rooms say; gathered by main(). */
struct presence {
    const struct settings *settings;
    mono_time started;
    enum clock_state clock;
    struct store_status store;
    struct store_backlog *backlogs; /* [uplink] */
    struct presence_line *lines;    /* [line] */
};

/* Packs the state as it is sent to that uplink. Returns its length, or 0 when it does not fit. */
size_t presence_pack(const struct presence *presence, size_t uplink, bool online, uint8_t *out,
                     size_t capacity);

/* Changes when something does that is worth a message before the five minutes are over: a fault, a
 * clock state, a refusal, a line that has become too slow; not a load, an age or a counter. */
uint64_t presence_digest(const struct presence *presence);

#endif
