/* Parcels of the store onto the connection, in the order in which the store gave them; the broker's
 * acknowledgement back to the store. What is sent is forgotten only then; a lost connection forgets
 * nothing, because the store has all of it.
 * Runs in its uplink's thread; owns the parcels and knows which are in flight.
 * Never connects, never reads the database, never keeps a payload beyond its acknowledgement. */
#include "gateway/uplink/courier.h"

#include <pthread.h>
#include <stdlib.h>

#include "gateway/log.h"

enum {
    REASON_FAILURE = 0x80, /* MQTT 5: from here on a refusal */
    REASON_NO_SUBSCRIBER = 0x10,
};

struct courier {
    const struct post *post;
    struct store *store;
    size_t place;
    struct mqtt *mqtt; /* NULL = no connection */
    bool version_5;
    uint64_t generation; /* of the connection; parcels of an older one are not sent */
    struct parcel parcels[STORE_WINDOW];
    struct parcel *in_flight[STORE_WINDOW], *idle[STORE_WINDOW];
    size_t idle_count;
    pthread_mutex_t mutex;
    struct courier_status status;
};

struct courier *courier_new(const struct post *post, struct store *store, size_t place)
{
    struct courier *courier = calloc(1, sizeof *courier);
    if (!courier)
        return NULL;
    courier->post = post;
    courier->store = store;
    courier->place = place;
    pthread_mutex_init(&courier->mutex, NULL);
    for (size_t i = 0; i < STORE_WINDOW; i++)
        courier->idle[courier->idle_count++] = &courier->parcels[i];
    return courier;
}

void courier_attach(struct courier *courier, void (*wake)(void *), void *context)
{
    store_attach(courier->store, courier->place, wake, context);
}

void courier_free(struct courier *courier)
{
    if (!courier)
        return;
    for (size_t i = 0; i < STORE_WINDOW; i++)
        free(courier->parcels[i].bytes);
    pthread_mutex_destroy(&courier->mutex);
    free(courier);
}

void courier_status(struct courier *courier, struct courier_status *out)
{
    pthread_mutex_lock(&courier->mutex);
    *out = courier->status;
    pthread_mutex_unlock(&courier->mutex);
}

static void ask(struct courier *courier, struct parcel *parcel)
{
    parcel->generation = courier->generation;
    store_fetch(courier->store, courier->place, parcel);
}

/* A parcel with nothing to do: asked for at once while there is a connection. */
static void make_idle(struct courier *courier, struct parcel *parcel)
{
    if (courier->mqtt)
        ask(courier, parcel);
    else
        courier->idle[courier->idle_count++] = parcel;
}

void courier_start(struct courier *courier, struct mqtt *mqtt, bool version_5)
{
    courier->mqtt = mqtt;
    courier->version_5 = version_5;
    courier->generation = store_renew(courier->store, courier->place);
    while (courier->idle_count)
        ask(courier, courier->idle[--courier->idle_count]);
}

void courier_stop(struct courier *courier)
{
    courier->mqtt = NULL;
    for (size_t i = 0; i < STORE_WINDOW; i++) {
        if (courier->in_flight[i])
            make_idle(courier, courier->in_flight[i]);
        courier->in_flight[i] = NULL;
    }
}

/* Parts that an earlier, longer Manifest left at the broker. */
static void clear_parts(struct courier *courier, const struct parcel *parcel)
{
    if (parcel->part < parcel->parts)
        return;
    for (uint32_t part = parcel->parts + 1; part <= parcel->parts_ever; part++)
        post_publish(courier->post, courier->mqtt, TOPIC_MANIFEST, parcel->sector, part, NULL, 0);
}

static bool put_in_flight(struct courier *courier, struct parcel *parcel)
{
    static const enum topic_kind topics[] = {[PARCEL_LIVE] = TOPIC_DATA,
                                             [PARCEL_HISTORY] = TOPIC_HISTORY,
                                             [PARCEL_MANIFEST] = TOPIC_MANIFEST};
    uint32_t part = parcel->kind == PARCEL_MANIFEST ? parcel->part : 0;
    parcel->mid = post_publish(courier->post, courier->mqtt, topics[parcel->kind], parcel->sector,
                               part, parcel->bytes, parcel->length);
    if (!parcel->mid)
        return false;
    if (parcel->kind == PARCEL_MANIFEST)
        clear_parts(courier, parcel);
    for (size_t i = 0; i < STORE_WINDOW; i++) {
        if (!courier->in_flight[i]) {
            courier->in_flight[i] = parcel;
            return true;
        }
    }
    return false;
}

/* The library does not take it: larger than the broker allows, or the connection is going down. */
static void give_up(struct courier *courier, struct parcel *parcel)
{
    log_warning("uplink %s: a message of %zu bytes for %s cannot be sent", courier->post->own->name,
                parcel->length, names_sector(parcel->sector));
    if (parcel->kind != PARCEL_MANIFEST)
        store_refuse(courier->store, courier->place, parcel);
    make_idle(courier, parcel);
}

void courier_send(struct courier *courier)
{
    struct parcel *parcel;
    while ((parcel = store_collect(courier->store, courier->place))) {
        if (!courier->mqtt || parcel->generation != courier->generation ||
            parcel->kind == PARCEL_EMPTY)
            make_idle(courier, parcel);
        else if (!put_in_flight(courier, parcel))
            give_up(courier, parcel);
    }
}

static void count(struct courier *courier, const struct parcel *parcel, int reason)
{
    bool delivered = reason < REASON_FAILURE && parcel->kind != PARCEL_MANIFEST;
    pthread_mutex_lock(&courier->mutex);
    struct courier_status *status = &courier->status;
    status->refused += reason >= REASON_FAILURE;
    status->no_subscriber += delivered && reason == REASON_NO_SUBSCRIBER;
    status->batches += delivered;
    status->readings += delivered ? parcel->readings : 0;
    status->bytes += delivered ? parcel->length : 0;
    pthread_mutex_unlock(&courier->mutex);
}

/* A refused Manifest is sent anew with the next connection. */
static void settle(struct courier *courier, struct parcel *parcel, int reason)
{
    bool data = parcel->kind != PARCEL_MANIFEST;
    count(courier, parcel, reason);
    if (reason >= REASON_FAILURE) {
        log_warning("uplink %s: %s%s refused (%s)%s", courier->post->own->name,
                    data ? "" : "manifest of ", names_sector(parcel->sector),
                    mqtt_reason(courier->version_5, reason),
                    data ? "; its data stays in the store" : "");
        if (data)
            store_refuse(courier->store, courier->place, parcel);
    } else if (data) {
        store_settle(courier->store, courier->place, parcel);
    }
    make_idle(courier, parcel);
}

bool courier_acknowledged(struct courier *courier, int mid, int reason)
{
    for (size_t i = 0; i < STORE_WINDOW; i++) {
        struct parcel *parcel = courier->in_flight[i];
        if (!parcel || parcel->mid != mid)
            continue;
        courier->in_flight[i] = NULL;
        settle(courier, parcel, reason);
        return true;
    }
    return false;
}
