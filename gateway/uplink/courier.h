/* The courier: brings parcels from the store to the broker and what the broker said back. One an
 * uplink, in its thread. */
#ifndef LIFELINE_COURIER_H
#define LIFELINE_COURIER_H

#include "gateway/store/store.h"
#include "gateway/uplink/command.h"
#include "gateway/uplink/post.h"

struct courier;

/* What a command may want done, in the uplink's thread. */
struct courier_asks {
    enum command_ack (*ack)(void *context, const struct command_ack_order *order);
    void *context;
};

/* post and store must outlive it; place: the uplink's in the store. */
struct courier *courier_new(const struct post *post, struct store *store, size_t place,
                            const struct courier_asks *asks);
void courier_free(struct courier *courier);

/* Before the thread starts; wake is called by the store thread when something is ready. */
void courier_attach(struct courier *courier, void (*wake)(void *), void *context);

/* A connection is ready: from here on parcels are asked for and published on it. version_5: reasons
 * mean something. */
void courier_start(struct courier *courier, struct mqtt *mqtt, bool version_5);

/* The connection is gone: what is in flight is sent again after the next courier_start().
 * over_packet: the broker ended it, perhaps because of what it was being sent. True: it was being
 * sent something suspicious, and nothing else; the next connection tries less of it. */
bool courier_stop(struct courier *courier, bool over_packet);

/* Publishes what the store has filled; call it after every wake. */
void courier_send(struct courier *courier);

/* The broker's word on a message id. False: it is none of the courier's. */
bool courier_acknowledged(struct courier *courier, int mid, int reason);

/* The broker's word on a subscription. */
void courier_subscribed(struct courier *courier, int mid, int reason);

/* A message on our topic cmd: judged and done; courier_answer() publishes what is to be said of it,
 * which the library would not bear in its callback. */
void courier_command(struct courier *courier, const struct mqtt_incoming *message);
void courier_answer(struct courier *courier);

/* True when something has been in flight for long and the broker says nothing, although it was
 * given all of it, or acknowledges only what came later; the reason in why. Call it at least once a
 * second. */
bool courier_stalled(struct courier *courier, char *why, size_t why_size);

/* ---- any thread ---- */

struct courier_status {
    uint64_t batches, readings, bytes; /* acknowledged */
    uint64_t refused, no_subscriber;
};

void courier_status(struct courier *courier, struct courier_status *out);

#endif
