/* The herald: brings alarms and reports from the lane to the broker, before everything else. One an
 * uplink, in its thread. */
#ifndef LIFELINE_HERALD_H
#define LIFELINE_HERALD_H

#include "gateway/lane.h"
#include "gateway/store/store.h"
#include "gateway/uplink/post.h"

struct herald;

/* All must outlive it; place: the uplink's in the store, and its number in the lane. */
struct herald *herald_new(const struct post *post, struct lane *lane, struct store *store,
                          size_t place);
void herald_free(struct herald *herald);

/* Before the thread starts; wake: there is something to say. Until herald_detach() events are owed
 * by this uplink in the lane. */
void herald_attach(struct herald *herald, void (*wake)(void *), void *context);
void herald_detach(struct herald *herald);

/* Of so many messages that a broker takes unacknowledged, these are the herald's. */
size_t herald_share(size_t receive_max);

/* A connection is ready, or gone: what is in flight goes out again on the next one.
 * over_packet: the broker ended it, perhaps because of what it was being sent. True: then certainly
 * because of something of the herald's. */
void herald_start(struct herald *herald, struct mqtt *mqtt, bool version_5);
bool herald_stop(struct herald *herald, bool over_packet);

/* Of the same uplink, under other settings: sectors may have come or gone. */
void herald_rebind(struct herald *herald);

/* Publishes what can go now; call it with every turn. Returns the ms until it is to be called again
 * without a wake; INT64_MAX = not. */
int64_t herald_send(struct herald *herald);

/* Nobody else is to publish now: more alarms wait than may be in flight, or it finds out over which
 * topic the last connection ended. */
bool herald_goes_first(const struct herald *herald);

/* The broker's word on a message id. False: it is none of the herald's. */
bool herald_acknowledged(struct herald *herald, int mid, int reason);

/* True when an alarm has been in flight for long and the broker says nothing. */
bool herald_stalled(const struct herald *herald, char *why, size_t why_size);

/* ---- any thread ---- */

struct herald_status {
    uint64_t alarms, reports; /* acknowledged */
    uint64_t refused;
    bool resting[SECTOR_COUNT]; /* its alarms were refused */
};

void herald_status(struct herald *herald, struct herald_status *out);

#endif
