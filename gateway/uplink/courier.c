/* Parcels of the store onto the connection, in the order in which the store gave them; the broker's
 * word on them back to the store, and commands to whom they concern. What is sent is forgotten only
 * when that word is in; a lost connection forgets nothing, because the store has all of it.
 * Runs in its uplink's thread; owns the parcels, knows which are in flight, and grants the store
 * room for history as the broker acknowledges it.
 * Never connects, never reads the database, never keeps a payload beyond its acknowledgement. */
#include "gateway/uplink/courier.h"

#include <linux/sockios.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "gateway/clock_state.h"
#include "gateway/log.h"
#include "gateway/uplink/command.h"
#include "gateway/uplink/compress.h"
#include "gateway/uplink/herald.h"
#include "gateway/uplink/pace.h"

enum {
    REASON_FAILURE = 0x80, /* MQTT 5: from here on a refusal */
    REASON_NO_SUBSCRIBER = 0x10,
    REASON_NOT_AUTHORIZED = 0x87,
    REASON_TOPIC_INVALID = 0x90,
    REASON_ID_IN_USE = 0x91,
    REASON_QUOTA = 0x97,
    STATES = 1, /* of the broker's receive maximum: for the state; and the herald has its share */
    SILENCE_MS = 60000,
    REPLIES = 8, /* unacknowledged; a sender that does not take them gets no more */
};

_Static_assert((int)PACE_START == (int)STORE_ROOM, "the store begins with the pace's window");

/* The answer to a command. Published after the library has returned from its callback. */
struct reply {
    int mid;       /* in flight; 0 = not */
    size_t length; /* to be published; 0 = not */
    uint8_t bytes[COMMAND_REPLY_MAX];
    char topic[512];
    uint8_t correlation[256];
    size_t correlation_length;
};

struct courier {
    const struct post *post;
    struct store *store;
    size_t place;
    struct mqtt *mqtt; /* NULL = no connection */
    bool version_5;
    uint64_t generation; /* of the connection; parcels of an older one are not sent */
    size_t window;       /* parcels that this connection takes */
    size_t max_packet;   /* 0 = whatever */
    struct parcel parcels[STORE_WINDOW];
    struct parcel *in_flight[STORE_WINDOW], *idle[STORE_WINDOW];
    size_t idle_count;
    uint64_t orders;
    bool refused[PARCEL_HISTORY + 1][SECTOR_COUNT]; /* and said so */
    bool heard;                                     /* this broker acknowledged something */
    int64_t word_ms;                                /* of the latest sign of life */
    int unsent_bytes;                               /* in the socket at that time */
    struct pace pace, live_pace;                    /* of history, of live rows */
    int64_t granted, returned; /* room for history; the difference is under way */
    int64_t ahead, live_ahead; /* bytes in flight */
    int subscription;
    int64_t subscribed_ms;
    struct reply replies[REPLIES];
    struct commands *commands;
    struct courier_asks asks;
    struct compressor *compressor;
    pthread_mutex_t mutex;
    struct courier_status status;
};

static int64_t now_ms(void)
{
    return clock_mono_ms(clock_mono());
}

struct courier *courier_new(const struct post *post, struct store *store, size_t place,
                            const struct courier_asks *asks)
{
    struct courier *courier = calloc(1, sizeof *courier);
    if (!courier)
        return NULL;
    courier->post = post;
    courier->store = store;
    courier->place = place;
    courier->asks = *asks;
    courier->commands = command_new();
    courier->compressor = compress_new();
    pthread_mutex_init(&courier->mutex, NULL);
    if (!courier->commands || !courier->compressor) {
        courier_free(courier);
        return NULL;
    }
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
    command_free(courier->commands);
    compress_free(courier->compressor);
    pthread_mutex_destroy(&courier->mutex);
    free(courier);
}

void courier_status(struct courier *courier, struct courier_status *out)
{
    pthread_mutex_lock(&courier->mutex);
    *out = courier->status;
    pthread_mutex_unlock(&courier->mutex);
}

/* ---- parcels ---- */

static void ask(struct courier *courier, struct parcel *parcel)
{
    parcel->generation = courier->generation;
    store_fetch(courier->store, courier->place, parcel);
}

/* Lends the store as many parcels as the connection takes. */
static void lend(struct courier *courier)
{
    while (courier->idle_count > STORE_WINDOW - courier->window)
        ask(courier, courier->idle[--courier->idle_count]);
}

/* A parcel with nothing to do: asked for at once while there is a connection. */
static void make_idle(struct courier *courier, struct parcel *parcel)
{
    if (parcel->kind == PARCEL_HISTORY && parcel->generation == courier->generation)
        courier->returned += (int64_t)parcel->length;
    courier->idle[courier->idle_count++] = parcel;
    if (courier->mqtt)
        lend(courier);
}

/* Room up to the window. */
static void grant(struct courier *courier)
{
    int64_t room = courier->pace.window - (courier->granted - courier->returned);
    if (room <= 0 || !courier->mqtt)
        return;
    store_room(courier->store, courier->place, room, pace_parcel(&courier->pace));
    courier->granted += room;
}

static void set_terms(struct courier *courier)
{
    size_t overhead = post_overhead(courier->post), most = mqtt_receive_max(courier->mqtt);
    size_t others = STATES + herald_share(most);
    courier->max_packet = mqtt_max_packet(courier->mqtt);
    courier->window = most > others ? most - others : 1;
    if (courier->window > STORE_WINDOW)
        courier->window = STORE_WINDOW;
    struct store_terms terms = {.window = courier->window};
    if (courier->max_packet)
        terms.max_payload = courier->max_packet > overhead ? courier->max_packet - overhead : 1;
    store_terms(courier->store, courier->place, &terms);
}

static void subscribe(struct courier *courier)
{
    char topic[512];
    courier->subscription = 0;
    courier->subscribed_ms = now_ms();
    if (post_topic(courier->post, TOPIC_CMD, SECTOR_UNSPECIFIED, 0, topic, sizeof topic))
        courier->subscription = mqtt_subscribe(courier->mqtt, topic);
}

void courier_start(struct courier *courier, struct mqtt *mqtt, bool version_5)
{
    courier->mqtt = mqtt;
    courier->version_5 = version_5;
    courier->heard = false;
    courier->word_ms = now_ms();
    courier->granted = STORE_ROOM;
    courier->returned = courier->ahead = courier->live_ahead = 0;
    memset(courier->refused, 0, sizeof courier->refused);
    memset(courier->replies, 0, sizeof courier->replies);
    pace_start(&courier->pace);
    pace_start(&courier->live_pace);
    if (!version_5 && courier->post->own->confirm == CONFIRM_SUBSCRIBER)
        log_warning("uplink %s: an MQTT 3.1.1 broker does not say whether anybody subscribes; "
                    "its own word counts as delivered",
                    courier->post->own->name);
    subscribe(courier);
    set_terms(courier);
    courier->generation = store_renew(courier->store, courier->place);
    lend(courier);
}

bool courier_stop(struct courier *courier, bool over_packet)
{
    /* One that took nothing at all is not to be blamed on a parcel. */
    bool blame = over_packet && courier->heard, alone = false;
    courier->mqtt = NULL;
    for (size_t i = 0; i < STORE_WINDOW; i++) {
        struct parcel *parcel = courier->in_flight[i];
        courier->in_flight[i] = NULL;
        if (!parcel)
            continue;
        if (blame) {
            store_blame(courier->store, courier->place, parcel);
            alone |= parcel->alone;
        }
        make_idle(courier, parcel);
    }
    return alone;
}

/* Parts that an earlier, longer Manifest left at the broker. */
static void clear_parts(struct courier *courier, const struct parcel *parcel)
{
    if (parcel->part < parcel->parts)
        return;
    for (uint32_t part = parcel->parts + 1; part <= parcel->parts_ever; part++)
        post_publish(courier->post, courier->mqtt, TOPIC_MANIFEST, parcel->sector, part, NULL, 0);
}

/* A parcel that the connection does not take because it is going down is in flight all the same:
 * it may be what brings it down. */
static void put_in_flight(struct courier *courier, struct parcel *parcel, const uint8_t *bytes,
                          size_t length)
{
    static const enum topic_kind topics[] = {[PARCEL_LIVE] = TOPIC_DATA,
                                             [PARCEL_HISTORY] = TOPIC_HISTORY,
                                             [PARCEL_MANIFEST] = TOPIC_MANIFEST};
    uint32_t part = parcel->kind == PARCEL_MANIFEST ? parcel->part : 0;
    parcel->sent_ms = now_ms();
    parcel->overtaken_ms = 0;
    parcel->order = ++courier->orders;
    if (parcel->kind == PARCEL_HISTORY)
        parcel->ahead = courier->ahead += (int64_t)parcel->length;
    else if (parcel->kind == PARCEL_LIVE)
        parcel->ahead = courier->live_ahead += (int64_t)parcel->length;
    parcel->mid = post_publish(courier->post, courier->mqtt, topics[parcel->kind], parcel->sector,
                               part, bytes, length);
    if (parcel->kind == PARCEL_MANIFEST)
        clear_parts(courier, parcel);
    bool alone = true;
    for (size_t i = 0; i < STORE_WINDOW; i++)
        alone = alone && !courier->in_flight[i];
    if (alone)
        courier->word_ms = parcel->sent_ms;
    for (size_t i = 0; i < STORE_WINDOW; i++) {
        if (!courier->in_flight[i]) {
            courier->in_flight[i] = parcel;
            return;
        }
    }
}

static void send(struct courier *courier, struct parcel *parcel)
{
    const uint8_t *bytes = parcel->bytes;
    size_t length = parcel->length, packed = 0;
    if (courier->post->own->compress == COMPRESS_ZSTD && parcel->kind != PARCEL_MANIFEST)
        packed = compress_batch(courier->compressor, parcel->bytes, parcel->head, length, &bytes);
    if (packed)
        length = packed;
    if (!courier->max_packet || length + post_overhead(courier->post) <= courier->max_packet) {
        put_in_flight(courier, parcel, bytes, length);
        return;
    }
    log_warning("uplink %s: a message of %zu bytes for %s is larger than the broker takes (%zu)",
                courier->post->own->name, length, names_sector(parcel->sector),
                courier->max_packet);
    store_too_large(courier->store, courier->place, parcel);
    make_idle(courier, parcel);
}

/* On a link that live rows alone fill an alarm must not wait behind all of them. */
static bool is_full(const struct courier *courier)
{
    return courier->mqtt && courier->live_ahead >= courier->live_pace.window;
}

void courier_send(struct courier *courier)
{
    struct parcel *parcel;
    while (!is_full(courier) && (parcel = store_collect(courier->store, courier->place))) {
        if (!courier->mqtt || parcel->generation != courier->generation ||
            parcel->kind == PARCEL_EMPTY)
            make_idle(courier, parcel);
        else
            send(courier, parcel);
    }
    grant(courier);
}

/* ---- what the broker says ---- */

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

static bool is_refusal(const struct courier *courier, const struct parcel *parcel, int reason)
{
    return reason >= REASON_FAILURE ||
           (reason == REASON_NO_SUBSCRIBER && parcel->kind != PARCEL_MANIFEST &&
            courier->post->own->confirm == CONFIRM_SUBSCRIBER);
}

/* Whatever is sent there now is refused so. */
static bool is_of_topic(int reason)
{
    return reason == REASON_NO_SUBSCRIBER || reason == REASON_NOT_AUTHORIZED ||
           reason == REASON_TOPIC_INVALID || reason == REASON_ID_IN_USE || reason == REASON_QUOTA;
}

static void refuse(struct courier *courier, const struct parcel *parcel, int reason)
{
    static const char *const topics[] = {
        [PARCEL_LIVE] = "data", [PARCEL_HISTORY] = "history", [PARCEL_MANIFEST] = "manifest"};
    bool data = parcel->kind != PARCEL_MANIFEST;
    if (!data || !courier->refused[parcel->kind][parcel->sector])
        log_warning("uplink %s: %s/%s refused (%s)%s", courier->post->own->name,
                    topics[parcel->kind], names_sector(parcel->sector),
                    mqtt_reason(courier->version_5, reason),
                    data ? "; what is sent there stays in the store" : "");
    if (data)
        courier->refused[parcel->kind][parcel->sector] = true;
    if (is_of_topic(reason))
        store_forbid(courier->store, courier->place, parcel);
    else
        store_refuse(courier->store, courier->place, parcel);
}

/* What the time it took says about the link. */
static void note_pace(struct courier *courier, const struct parcel *parcel)
{
    const struct pace_sample sample = {(int64_t)parcel->length, parcel->ahead, parcel->sent_ms,
                                       now_ms()};
    if (parcel->kind == PARCEL_HISTORY) {
        pace_acknowledged(&courier->pace, &sample);
        courier->ahead -= sample.bytes;
    } else if (parcel->kind == PARCEL_LIVE) {
        pace_acknowledged(&courier->live_pace, &sample);
        courier->live_ahead -= sample.bytes;
    }
}

static void settle(struct courier *courier, struct parcel *parcel, int reason)
{
    note_pace(courier, parcel);
    count(courier, parcel, reason);
    if (is_refusal(courier, parcel, reason)) {
        refuse(courier, parcel, reason);
    } else {
        bool data = parcel->kind != PARCEL_MANIFEST;
        if (data)
            courier->refused[parcel->kind][parcel->sector] = false;
        if (data && courier->post->own->confirm == CONFIRM_PLATFORM)
            store_sent(courier->store, courier->place, parcel);
        else
            store_settle(courier->store, courier->place, parcel);
    }
    make_idle(courier, parcel);
    grant(courier);
}

static void note_overtaken(struct courier *courier, uint64_t order)
{
    for (size_t i = 0; i < STORE_WINDOW; i++) {
        struct parcel *parcel = courier->in_flight[i];
        if (parcel && parcel->order < order && !parcel->overtaken_ms)
            parcel->overtaken_ms = now_ms();
    }
}

bool courier_acknowledged(struct courier *courier, int mid, int reason)
{
    if (!mid)
        return false; /* what the connection did not take is not acknowledged */
    courier->heard = true;
    courier->word_ms = now_ms();
    for (size_t i = 0; i < STORE_WINDOW; i++) {
        struct parcel *parcel = courier->in_flight[i];
        if (!parcel || parcel->mid != mid)
            continue;
        courier->in_flight[i] = NULL;
        note_overtaken(courier, parcel->order);
        settle(courier, parcel, reason);
        return true;
    }
    for (size_t i = 0; i < REPLIES; i++) {
        if (courier->replies[i].mid == mid) {
            courier->replies[i].mid = 0;
            return true;
        }
    }
    return false;
}

bool courier_stalled(struct courier *courier, char *why, size_t why_size)
{
    bool any = false, passed_over = false;
    for (size_t i = 0; i < STORE_WINDOW; i++) {
        const struct parcel *parcel = courier->in_flight[i];
        any = any || parcel;
        passed_over = passed_over || (parcel && parcel->overtaken_ms &&
                                      now_ms() - parcel->overtaken_ms >= SILENCE_MS);
    }
    if (!any || !courier->mqtt)
        return false;
    if (passed_over) { /* MQTT knows no second sending but on a new connection */
        snprintf(why, why_size,
                 "the broker has acknowledged later messages, but not one of %d s ago",
                 SILENCE_MS / 1000);
        return true;
    }
    /* while a slow link still takes what it was given, the broker has nothing to acknowledge */
    int unsent_bytes = 0;
    if (ioctl(mqtt_socket(courier->mqtt), SIOCOUTQ, &unsent_bytes) == 0 &&
        unsent_bytes != courier->unsent_bytes) {
        courier->unsent_bytes = unsent_bytes;
        courier->word_ms = now_ms();
    }
    if (now_ms() - courier->word_ms < SILENCE_MS)
        return false;
    snprintf(why, why_size, "the broker has acknowledged nothing for %d s", SILENCE_MS / 1000);
    return true;
}

/* ---- commands ---- */

void courier_subscribed(struct courier *courier, int mid, int reason)
{
    if (mid != courier->subscription)
        return;
    courier->heard = true;
    pace_round_trip(&courier->pace, now_ms() - courier->subscribed_ms);
    pace_round_trip(&courier->live_pace, now_ms() - courier->subscribed_ms);
    if (reason >= REASON_FAILURE)
        log_warning("uplink %s: cmd refused (%s); no command can arrive", courier->post->own->name,
                    mqtt_reason(courier->version_5, reason));
}

static struct command_verdict confirm(void *context, const struct command_confirm *what)
{
    struct courier *courier = context;
    if (courier->post->own->confirm != CONFIRM_PLATFORM)
        return (struct command_verdict){COMMAND_REFUSED, "this uplink waits for no confirmation",
                                        false};
    switch (store_confirm(courier->store, courier->place, what->epoch, what->sector,
                          what->first_seq, what->last_seq)) {
    case STORE_CONFIRMED:
        return (struct command_verdict){COMMAND_OK, "", false};
    case STORE_CONFIRM_BUSY:
        return (struct command_verdict){COMMAND_REFUSED, "busy, ask again", true};
    case STORE_CONFIRM_UNKNOWN:
        break;
    }
    /* it may be given later */
    return (struct command_verdict){COMMAND_UNKNOWN, "no such number was given", true};
}

static enum command_ack ack(void *context, const struct command_ack_order *order)
{
    const struct courier *courier = context;
    return courier->asks.ack(courier->asks.context, order);
}

/* Where the reply goes: the topics of gateways are not for others to choose from. */
static const char *reply_topic(const struct courier *courier, const struct mqtt_incoming *message,
                               char *own, size_t size)
{
    const char *root = courier->post->own->root, *wanted = message->response_topic;
    if (!post_topic(courier->post, TOPIC_REPLY, SECTOR_UNSPECIFIED, 0, own, size))
        return NULL;
    bool ours = wanted && strncmp(wanted, root, strlen(root)) == 0 && wanted[strlen(root)] == '/';
    return wanted && !ours ? wanted : own;
}

void courier_command(struct courier *courier, const struct mqtt_incoming *message)
{
    uint8_t reply[COMMAND_REPLY_MAX];
    char own[512];
    enum clock_state clock = clock_state_now(courier->post->settings->gateway.trusted_rtc);
    const struct command_world world = {
        .uplink = courier->post->own->name,
        .clock_is_believed = clock != CLOCK_STATE_UNSET,
        .now_ms = clock_wall().ms,
        .confirm = confirm,
        .ack = ack,
        .context = courier,
    };
    size_t length =
        command_answer(courier->commands, message->bytes, message->length, &world, reply);
    size_t slot = 0;
    while (slot < REPLIES && (courier->replies[slot].mid || courier->replies[slot].length))
        slot++;
    const char *topic = reply_topic(courier, message, own, sizeof own);
    if (!length || slot == REPLIES || !topic)
        return;
    struct reply *out = &courier->replies[slot];
    *out = (struct reply){.length = length, .correlation_length = message->correlation_length};
    /* what we cannot give back whole is no use to him who sent it */
    if (strlen(topic) >= sizeof out->topic || out->correlation_length > sizeof out->correlation) {
        out->length = 0;
        return;
    }
    memcpy(out->bytes, reply, length);
    memcpy(out->topic, topic, strlen(topic) + 1);
    if (out->correlation_length)
        memcpy(out->correlation, message->correlation, out->correlation_length);
}

void courier_answer(struct courier *courier)
{
    for (size_t i = 0; i < REPLIES && courier->mqtt; i++) {
        struct reply *reply = &courier->replies[i];
        if (!reply->length)
            continue;
        const struct mqtt_message out = {.topic = reply->topic,
                                         .bytes = reply->bytes,
                                         .length = reply->length,
                                         .content_type = topic_content_type(TOPIC_REPLY),
                                         .correlation =
                                             reply->correlation_length ? reply->correlation : NULL,
                                         .correlation_length = reply->correlation_length};
        reply->mid = mqtt_publish(courier->mqtt, &out);
        reply->length = 0;
    }
}
