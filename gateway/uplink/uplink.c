/* The uplink thread: connect, say who we are, let the courier work, and again after a loss.
 * Owns the connection, its courier and the back-off. Order of a connection: state, then what the
 * store hands out: manifests and data.
 * Never reads the database, never keeps a payload, never blocks another uplink. */
#include "gateway/uplink/uplink.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "gateway/log.h"
#include "gateway/thread.h"
#include "gateway/uplink/backoff.h"
#include "gateway/uplink/courier.h"
#include "gateway/uplink/protocol.h"
#include "gateway/watchdog.h"

enum {
    CONNACK_MS = 10000,
    CONNECT_MS = 300000, /* names, every address, TLS: the library blocks in all of it */
    STATE_MS = 300000,   /* the state is sent at least this often */
    STATE_CHECK_MS = 1000,
    GOODBYE_MS = 200,
    STEADY_MS = 10000, /* a connection that lived so long clears the back-off */
    STATE_MAX = 64 << 10,
    REASON_FAILURE = 0x80, /* MQTT 5: from here on a refusal */
    REASON_BAD_VERSION = 0x84,
    REASON_BAD_VERSION_3 = 1, /* the same, as 3.1.1 brokers say it */
};

enum phase { PHASE_IDLE, PHASE_CONNECTING, PHASE_READY };

struct uplink {
    const struct settings *settings;
    const struct settings_uplink *own;
    size_t index;
    uplink_presence gather;
    void *gather_context;
    struct presence presence;
    struct post post;
    struct courier *courier;

    struct mqtt *mqtt;
    enum phase phase;
    struct backoff backoff;
    struct protocol protocol;
    int reason; /* of the CONNACK; -1 before it came */
    size_t url;
    mono_time retry_at, connack_by, ready_at, state_at, check_at;
    uint64_t state_digest;
    int state_mid; /* of the newest state; 0 = acknowledged */
    uint8_t *state;

    int wake_fd;
    pthread_t thread;
    bool running;
    atomic_bool stop;
    pthread_mutex_t mutex;
    struct uplink_status status;
};

/* ---- what others see ---- */

static void wake(void *context)
{
    const struct uplink *uplink = context;
    uint64_t one = 1;
    if (write(uplink->wake_fd, &one, sizeof one) < 0)
        return; /* the counter is full: it is awake already */
}

struct uplink *uplink_new(const struct settings *settings, size_t index, struct store *store,
                          uplink_presence presence, void *context)
{
    struct uplink *uplink = calloc(1, sizeof *uplink);
    if (!uplink)
        return NULL;
    uplink->settings = settings;
    uplink->own = &settings->uplinks[index];
    uplink->index = index;
    uplink->gather = presence;
    uplink->gather_context = context;
    protocol_start(&uplink->protocol);
    uplink->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    uplink->state = malloc(STATE_MAX);
    uplink->presence.settings = settings;
    uplink->presence.backlogs = calloc(settings->uplink_count + 1, sizeof(struct store_backlog));
    uplink->presence.lines = calloc(settings->line_count + 1, sizeof(struct presence_line));
    pthread_mutex_init(&uplink->mutex, NULL);
    uplink->post = (struct post){settings, uplink->own};
    uplink->courier = courier_new(&uplink->post, store, index, wake, uplink);
    if (uplink->wake_fd < 0 || !uplink->state || !uplink->presence.backlogs ||
        !uplink->presence.lines || !uplink->courier) {
        uplink_free(uplink);
        return NULL;
    }
    return uplink;
}

void uplink_free(struct uplink *uplink)
{
    if (!uplink)
        return;
    mqtt_free(uplink->mqtt);
    courier_free(uplink->courier);
    if (uplink->wake_fd >= 0)
        close(uplink->wake_fd);
    pthread_mutex_destroy(&uplink->mutex);
    free(uplink->presence.backlogs);
    free(uplink->presence.lines);
    free(uplink->state);
    free(uplink);
}

void uplink_status(struct uplink *uplink, struct uplink_status *out)
{
    pthread_mutex_lock(&uplink->mutex);
    *out = uplink->status;
    pthread_mutex_unlock(&uplink->mutex);
    struct courier_status sent;
    courier_status(uplink->courier, &sent);
    out->batches = sent.batches;
    out->readings = sent.readings;
    out->bytes = sent.bytes;
    out->refused += sent.refused; /* to those of states */
    out->no_subscriber = sent.no_subscriber;
}

static void note_connection(struct uplink *uplink, bool connected, const char *why)
{
    pthread_mutex_lock(&uplink->mutex);
    uplink->status.connected = connected;
    uplink->status.mqtt_version = uplink->protocol.is_5 ? 5 : 4;
    uplink->status.url = uplink->url;
    uplink->status.since = clock_mono();
    uplink->status.connects += connected;
    snprintf(uplink->status.why, sizeof uplink->status.why, "%s", why);
    pthread_mutex_unlock(&uplink->mutex);
}

/* ---- sending ---- */

static size_t pack_state(struct uplink *uplink, bool online)
{
    uplink->gather(uplink->gather_context, &uplink->presence);
    uplink->state_digest = presence_digest(&uplink->presence);
    return presence_pack(&uplink->presence, uplink->index, online, uplink->state, STATE_MAX);
}

static void publish_state(struct uplink *uplink, bool online)
{
    size_t length = pack_state(uplink, online);
    if (length)
        uplink->state_mid = post_publish(&uplink->post, uplink->mqtt, TOPIC_STATE,
                                         SECTOR_UNSPECIFIED, 0, uplink->state, length);
    uplink->state_at = clock_after_ms(clock_mono(), STATE_MS);
}

static void check_state(struct uplink *uplink)
{
    mono_time now = clock_mono();
    if (now.ns < uplink->check_at.ns)
        return;
    uplink->check_at = clock_after_ms(now, STATE_CHECK_MS);
    uplink->gather(uplink->gather_context, &uplink->presence);
    if (now.ns >= uplink->state_at.ns || presence_digest(&uplink->presence) != uplink->state_digest)
        publish_state(uplink, true);
}

/* ---- what the broker says; called from mqtt_service() ---- */

static void on_connected(void *context, int reason)
{
    struct uplink *uplink = context;
    uplink->reason = reason; /* a refusal is followed by the loss of the connection */
    if (reason == 0 && protocol_accepted(&uplink->protocol))
        uplink->phase = PHASE_READY;
    uplink->ready_at = clock_mono();
}

/* The state is sent anew with every connection; until then a refusal is only told. */
static void state_acknowledged(struct uplink *uplink, int reason)
{
    uplink->state_mid = 0;
    if (reason < REASON_FAILURE)
        return;
    log_warning("uplink %s: state refused (%s)", uplink->own->name,
                mqtt_reason(uplink->protocol.is_5, reason));
    pthread_mutex_lock(&uplink->mutex);
    uplink->status.refused++;
    pthread_mutex_unlock(&uplink->mutex);
}

static void on_acknowledged(void *context, int mid, int reason)
{
    struct uplink *uplink = context;
    if (mid == uplink->state_mid)
        state_acknowledged(uplink, reason);
    else if (!courier_acknowledged(uplink->courier, mid, reason))
        return; /* an older state, or a part of a Manifest that was cleared */
}

static const struct mqtt_handlers handlers = {on_connected, on_acknowledged};

/* ---- the connection ---- */

static uint32_t random_bits(void)
{
    return (uint32_t)((uint64_t)clock_mono().ns * UINT64_C(0x9e3779b97f4a7c15) >> 32) ^
           (uint32_t)getpid();
}

static enum protocol_end end_of(const struct uplink *uplink, bool hung_up)
{
    if (uplink->phase == PHASE_READY)
        return PROTOCOL_END_USED;
    if (uplink->reason == REASON_BAD_VERSION || uplink->reason == REASON_BAD_VERSION_3)
        return PROTOCOL_END_VERSION;
    return hung_up && uplink->reason == -1 ? PROTOCOL_END_HUNG_UP : PROTOCOL_END_OTHER;
}

static void next_url(struct uplink *uplink)
{
    size_t next = (uplink->url + 1) % uplink->own->url_count;
    if (next != uplink->url)
        protocol_start(&uplink->protocol);
    uplink->url = next;
}

static void drop_connection(struct uplink *uplink, const char *why, bool hung_up)
{
    bool was_ready = uplink->phase == PHASE_READY;
    bool was_5 = uplink->protocol.is_5;
    courier_stop(uplink->courier);
    mqtt_free(uplink->mqtt);
    uplink->mqtt = NULL;
    if (was_ready && clock_ms_between(uplink->ready_at, clock_mono()) > STEADY_MS)
        uplink->backoff.failures = 0;
    protocol_ended(&uplink->protocol, end_of(uplink, hung_up));
    if (!was_ready && was_5 == uplink->protocol.is_5)
        next_url(uplink);
    uplink->retry_at = clock_after_ms(clock_mono(), backoff_next(&uplink->backoff, random_bits()));
    uplink->phase = PHASE_IDLE;
    if (was_ready || strcmp(why, uplink->status.why) != 0)
        log_warning("uplink %s: %s; trying again", uplink->own->name, why);
    note_connection(uplink, false, why);
}

static void connect_now(struct uplink *uplink)
{
    char why[160], topic[512];
    struct mqtt_message will = {.topic = topic,
                                .bytes = uplink->state,
                                .length = pack_state(uplink, false),
                                .retain = true,
                                .content_type = topic_content_type(TOPIC_STATE)};
    const struct settings_url *url = &uplink->own->urls[uplink->url];
    uplink->reason = -1;
    if (!will.length ||
        !post_topic(&uplink->post, TOPIC_STATE, SECTOR_UNSPECIFIED, 0, topic, sizeof topic)) {
        drop_connection(uplink, "the state does not fit a message", false);
        return;
    }
    watchdog_allow(CONNECT_MS);
    uplink->mqtt = mqtt_connect(uplink->own, url, uplink->settings->gateway.id,
                                uplink->protocol.is_5, &will, &handlers, uplink, why, sizeof why);
    if (!uplink->mqtt) {
        drop_connection(uplink, why, false);
        return;
    }
    uplink->phase = PHASE_CONNECTING;
    uplink->connack_by = clock_after_ms(clock_mono(), CONNACK_MS);
}

static void greet(struct uplink *uplink)
{
    const struct settings_url *url = &uplink->own->urls[uplink->url];
    log_notice("uplink %s: connected to %s:%u (MQTT %s)", uplink->own->name, url->host, url->port,
               uplink->protocol.is_5 ? "5" : "3.1.1");
    note_connection(uplink, true, "");
    publish_state(uplink, true);
    courier_start(uplink->courier, uplink->mqtt, uplink->protocol.is_5);
}

static void service(struct uplink *uplink, short events)
{
    char why[160];
    enum phase before = uplink->phase;
    bool alive =
        mqtt_service(uplink->mqtt, events & (POLLIN | POLLHUP | POLLERR),
                     (events & POLLOUT) || mqtt_wants_write(uplink->mqtt), why, sizeof why);
    if (!alive)
        drop_connection(
            uplink, uplink->reason > 0 ? mqtt_reason(uplink->protocol.is_5, uplink->reason) : why,
            mqtt_hung_up(uplink->mqtt));
    else if (before == PHASE_CONNECTING && uplink->phase == PHASE_READY)
        greet(uplink);
    else if (uplink->phase == PHASE_CONNECTING && uplink->reason == 0)
        drop_connection(uplink, "takes MQTT 3.1.1; asking for 5 once more", false);
    else if (uplink->phase == PHASE_CONNECTING && clock_mono().ns >= uplink->connack_by.ns)
        drop_connection(uplink, "no answer to CONNECT", false);
}

static int wait_ms(const struct uplink *uplink)
{
    if (uplink->phase != PHASE_IDLE)
        return STATE_CHECK_MS;
    int64_t ms = clock_ms_between(clock_mono(), uplink->retry_at) + 1;
    return ms < 0 ? 0 : ms < WATCHDOG_IDLE_MS ? (int)ms : WATCHDOG_IDLE_MS;
}

static void turn(struct uplink *uplink, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = uplink->wake_fd, .events = POLLIN}, {.fd = -1}};
    uint64_t count;
    if (uplink->mqtt) {
        fds[1].fd = mqtt_socket(uplink->mqtt);
        fds[1].events = (short)(POLLIN | (mqtt_wants_write(uplink->mqtt) ? POLLOUT : 0));
    }
    if (poll(fds, 2, timeout_ms) < 0)
        return;
    if (fds[0].revents && read(uplink->wake_fd, &count, sizeof count) < 0)
        return;
    courier_send(uplink->courier);
    if (uplink->mqtt)
        service(uplink, fds[1].revents);
    if (uplink->phase == PHASE_READY)
        check_state(uplink);
}

/* A broker that does not acknowledge the last state gets no DISCONNECT either: then its will says
 * that we are gone. */
static void say_goodbye(struct uplink *uplink)
{
    char why[160];
    if (uplink->phase != PHASE_READY)
        return;
    publish_state(uplink, false);
    mono_time until = clock_after_ms(clock_mono(), GOODBYE_MS);
    uplink->state_at = uplink->check_at = clock_after_ms(until, STATE_MS);
    while (uplink->phase == PHASE_READY && uplink->state_mid && clock_mono().ns < until.ns)
        turn(uplink, 20);
    if (uplink->phase != PHASE_READY || uplink->state_mid)
        return;
    mqtt_disconnect(uplink->mqtt);
    if (!mqtt_service(uplink->mqtt, false, true, why, sizeof why))
        return; /* it is gone either way */
}

static void *run(void *argument)
{
    struct uplink *uplink = argument;
    pthread_setname_np(pthread_self(), "uplink");
    watchdog_join(WATCHDOG_LIMIT_MS, "uplink %s", uplink->own->name);
    while (!atomic_load(&uplink->stop)) {
        watchdog_beat();
        if (uplink->phase == PHASE_IDLE && clock_mono().ns >= uplink->retry_at.ns)
            connect_now(uplink);
        turn(uplink, wait_ms(uplink));
    }
    say_goodbye(uplink);
    return NULL;
}

bool uplink_start(struct uplink *uplink)
{
    uplink->running = pthread_create(&uplink->thread, NULL, run, uplink) == 0;
    return uplink->running;
}

void uplink_stop(struct uplink *uplink)
{
    atomic_store(&uplink->stop, true);
    wake(uplink);
}

bool uplink_join(struct uplink *uplink, mono_time deadline)
{
    if (uplink->running)
        uplink->running = !thread_join(uplink->thread, deadline);
    return !uplink->running;
}
