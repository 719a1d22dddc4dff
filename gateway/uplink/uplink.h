/* An uplink: one thread that brings what the store holds to one platform. */
#ifndef LIFELINE_UPLINK_H
#define LIFELINE_UPLINK_H

#include "gateway/lane.h"
#include "gateway/store/store.h"
#include "gateway/uplink/command.h"
#include "gateway/uplink/presence.h"

struct uplink;

/* What the other rooms do for an uplink, called in its thread. */
struct uplink_rooms {
    struct store *store;
    struct lane *lane;
    /* Fills in what the rooms report now. The arrays are there, of the sizes that out->settings
     * say; while these are not those in force nothing is filled in. */
    void (*gather)(void *context, struct presence *out);
    /* A person takes an alarm. */
    enum command_ack (*ack)(void *context, const struct command_ack_order *order);
    void *context;
};

/* place: where the store keeps what it owes, for as long as it lives. */
struct uplink *uplink_new(const struct settings *settings, size_t index, size_t place,
                          const struct uplink_rooms *rooms);
void uplink_free(struct uplink *uplink);
size_t uplink_place(const struct uplink *uplink);

bool uplink_start(struct uplink *uplink) __attribute__((warn_unused_result));
bool uplink_is_running(const struct uplink *uplink);

/* Tells it to say goodbye (state offline) and end; no draining. uplink_join() waits until the
 * deadline. False: it hangs and is left behind; it must not be freed. */
void uplink_stop(struct uplink *uplink);
bool uplink_join(struct uplink *uplink, mono_time deadline);

/* The uplink is what it was, in another configuration: its thread takes this over and sends a new
 * state. Until uplink_is_bound() what it had before must stay. False, and nothing has changed,
 * without memory. */
bool uplink_rebind(struct uplink *uplink, const struct settings *settings, size_t index)
    __attribute__((warn_unused_result));
bool uplink_is_bound(struct uplink *uplink);

struct uplink_status {
    bool connected;
    uint8_t mqtt_version;                        /* 5 or 4 (3.1.1), of the connection */
    size_t url;                                  /* index of the one in use */
    mono_time since;                             /* of the connection, or of its loss */
    uint64_t connects, batches, readings, bytes; /* acknowledged */
    uint64_t refused, no_subscriber;
    uint64_t alarms, reports;       /* acknowledged */
    bool alarms_rest[SECTOR_COUNT]; /* they were refused */
    char why[160];                  /* the last failure */
    char last_why[160];             /* likewise, and still while connected */
};

void uplink_status(struct uplink *uplink, struct uplink_status *out);

#endif
