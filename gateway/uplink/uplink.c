/* The uplink thread: say who we are on each connection, let the courier work, and say goodbye.
 * Owns the session, which sees to the connection (session.h), and the courier. Order of a
 * connection: state, then what the store hands out: manifests and data. poll() over the session's
 * sockets and an eventfd that the store rings.
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
#include "gateway/uplink/courier.h"
#include "gateway/uplink/herald.h"
#include "gateway/uplink/session.h"
#include "gateway/watchdog.h"

enum {
    STATE_MS = 300000, /* the state is sent at least this often */
    STATE_CHECK_MS = 1000,
    GOODBYE_MS = 200,
    RETURN_GOODBYE_MS = 2000, /* nobody waits for this one */
    STATE_MAX = 64 << 10,
    REASON_FAILURE = 0x80, /* MQTT 5: from here on a refusal */
};

/* Where the uplink stands in a configuration. */
struct binding {
    const struct settings *settings; /* NULL = none */
    size_t index;
    struct store_backlog *backlogs; /* for the presence */
    struct presence_line *lines;
};

struct uplink {
    const struct settings *settings;
    const struct settings_uplink *own;
    size_t index, place;
    struct uplink_rooms rooms;
    struct presence presence;
    struct post post;
    struct courier *courier;
    struct herald *herald;
    struct session *session;

    mono_time state_at, check_at;
    uint64_t state_digest;
    int state_mid; /* of the newest state; 0 = acknowledged */
    uint8_t *state;
    char will_topic[512];

    int wake_fd;
    pthread_t thread;
    bool running;
    atomic_bool stop;
    atomic_uint_least64_t states_refused;
    pthread_mutex_t mutex;
    struct binding next; /* to be taken over; under the mutex */
};

/* ---- what others see ---- */

static void wake(void *context)
{
    const struct uplink *uplink = context;
    uint64_t one = 1;
    if (write(uplink->wake_fd, &one, sizeof one) < 0)
        return; /* the counter is full: it is awake already */
}

void uplink_status(struct uplink *uplink, struct uplink_status *out)
{
    struct session_status session;
    struct courier_status sent;
    struct herald_status told;
    session_status(uplink->session, &session);
    courier_status(uplink->courier, &sent);
    herald_status(uplink->herald, &told);
    *out = (struct uplink_status){
        .connected = session.connected,
        .mqtt_version = session.mqtt_version,
        .url = session.url,
        .since = session.since,
        .connects = session.connects,
        .batches = sent.batches,
        .readings = sent.readings,
        .bytes = sent.bytes,
        .refused = sent.refused + told.refused + atomic_load(&uplink->states_refused),
        .no_subscriber = sent.no_subscriber,
        .alarms = told.alarms,
        .reports = told.reports,
    };
    memcpy(out->alarms_rest, told.resting, sizeof out->alarms_rest);
    snprintf(out->why, sizeof out->why, "%s", session.why);
    snprintf(out->last_why, sizeof out->last_why, "%s", session.last_why);
}

/* ---- another configuration ---- */

static bool make_binding(struct binding *binding, const struct settings *settings, size_t index)
{
    *binding = (struct binding){
        .settings = settings,
        .index = index,
        .backlogs = calloc(settings->uplink_count + 1, sizeof *binding->backlogs),
        .lines = calloc(settings->line_count + 1, sizeof *binding->lines),
    };
    return binding->backlogs && binding->lines;
}

static void free_binding(struct binding *binding)
{
    free(binding->backlogs);
    free(binding->lines);
    *binding = (struct binding){0};
}

/* Its arrays become the presence's, and those of the presence are freed. */
static void bind_to(struct uplink *uplink, struct binding *binding)
{
    struct presence *presence = &uplink->presence;
    free(presence->backlogs);
    free(presence->lines);
    presence->settings = uplink->settings = binding->settings;
    presence->backlogs = binding->backlogs;
    presence->lines = binding->lines;
    uplink->index = binding->index;
    uplink->own = &binding->settings->uplinks[binding->index];
    uplink->post = (struct post){uplink->settings, uplink->own};
    *binding = (struct binding){0};
}

bool uplink_rebind(struct uplink *uplink, const struct settings *settings, size_t index)
{
    struct binding next;
    bool ok = make_binding(&next, settings, index);
    pthread_mutex_lock(&uplink->mutex);
    if (ok) {
        struct binding before = uplink->next; /* one that was never taken over */
        uplink->next = next;
        next = before;
    }
    pthread_mutex_unlock(&uplink->mutex);
    free_binding(&next);
    wake(uplink);
    return ok;
}

bool uplink_is_bound(struct uplink *uplink)
{
    pthread_mutex_lock(&uplink->mutex);
    bool bound = !uplink->next.settings;
    pthread_mutex_unlock(&uplink->mutex);
    return bound;
}

static void take_binding(struct uplink *uplink)
{
    pthread_mutex_lock(&uplink->mutex);
    if (uplink->next.settings) {
        bind_to(uplink, &uplink->next);
        session_rebind(uplink->session, uplink->own);
        herald_rebind(uplink->herald);
        uplink->state_at = uplink->check_at = (mono_time){0};
    }
    pthread_mutex_unlock(&uplink->mutex);
}

/* ---- sending ---- */

static size_t pack_state(struct uplink *uplink, bool online)
{
    uplink->rooms.gather(uplink->rooms.context, &uplink->presence);
    uplink->state_digest = presence_digest(&uplink->presence);
    return presence_pack(&uplink->presence, uplink->index, online, uplink->state, STATE_MAX);
}

static void publish_state(struct uplink *uplink, bool online)
{
    size_t length = pack_state(uplink, online);
    if (length)
        uplink->state_mid = post_publish(&uplink->post, session_mqtt(uplink->session), TOPIC_STATE,
                                         SECTOR_UNSPECIFIED, 0, uplink->state, length);
    uplink->state_at = clock_after_ms(clock_mono(), STATE_MS);
}

static void check_state(struct uplink *uplink)
{
    mono_time now = clock_mono();
    if (now.ns < uplink->check_at.ns)
        return;
    uplink->check_at = clock_after_ms(now, STATE_CHECK_MS);
    uplink->rooms.gather(uplink->rooms.context, &uplink->presence);
    if (now.ns >= uplink->state_at.ns || presence_digest(&uplink->presence) != uplink->state_digest)
        publish_state(uplink, true);
}

/* ---- what the session says ---- */

static bool give_will(void *context, struct mqtt_message *out)
{
    struct uplink *uplink = context;
    *out = (struct mqtt_message){.topic = uplink->will_topic,
                                 .bytes = uplink->state,
                                 .length = pack_state(uplink, false),
                                 .retain = true,
                                 .content_type = topic_content_type(TOPIC_STATE)};
    return out->length && post_topic(&uplink->post, TOPIC_STATE, SECTOR_UNSPECIFIED, 0,
                                     uplink->will_topic, sizeof uplink->will_topic);
}

static void on_up(void *context)
{
    struct uplink *uplink = context;
    publish_state(uplink, true);
    herald_start(uplink->herald, session_mqtt(uplink->session), session_is_5(uplink->session));
    courier_start(uplink->courier, session_mqtt(uplink->session), session_is_5(uplink->session));
}

static bool on_down(void *context, bool over_packet)
{
    const struct uplink *uplink = context;
    bool known = herald_stop(uplink->herald, over_packet);
    return courier_stop(uplink->courier, over_packet && !known) || known;
}

/* The state is sent anew with every connection; until then a refusal is only told. */
static void state_acknowledged(struct uplink *uplink, int reason)
{
    uplink->state_mid = 0;
    if (reason < REASON_FAILURE)
        return;
    log_warning("uplink %s: state refused (%s)", uplink->own->name,
                mqtt_reason(session_is_5(uplink->session), reason));
    atomic_fetch_add(&uplink->states_refused, 1);
}

static void on_acknowledged(void *context, int mid, int reason)
{
    struct uplink *uplink = context;
    if (!herald_acknowledged(uplink->herald, mid, reason) &&
        !courier_acknowledged(uplink->courier, mid, reason) && mid == uplink->state_mid)
        state_acknowledged(uplink, reason);
}

static void on_subscribed(void *context, int mid, int reason)
{
    const struct uplink *uplink = context;
    courier_subscribed(uplink->courier, mid, reason);
}

static void on_message(void *context, const struct mqtt_incoming *message)
{
    const struct uplink *uplink = context;
    courier_command(uplink->courier, message);
}

static const struct session_handlers handlers = {give_will,       on_up,         on_down,
                                                 on_acknowledged, on_subscribed, on_message};

/* ---- the thread ---- */

/* Alarms before data. Returns the ms until it is to be called again. */
static int64_t send_all(struct uplink *uplink)
{
    int64_t wait_ms = herald_send(uplink->herald);
    if (!herald_goes_first(uplink->herald))
        courier_send(uplink->courier);
    return wait_ms;
}

static void turn(struct uplink *uplink, int at_most_ms)
{
    struct pollfd fds[SESSION_FDS + 1];
    int timeout_ms;
    uint64_t count;
    char why[160];
    session_wait(uplink->session, fds, &timeout_ms);
    fds[SESSION_FDS] = (struct pollfd){.fd = uplink->wake_fd, .events = POLLIN};
    int64_t herald_ms = send_all(uplink);
    timeout_ms = timeout_ms < at_most_ms ? timeout_ms : at_most_ms;
    if (poll(fds, SESSION_FDS + 1, herald_ms < timeout_ms ? (int)herald_ms : timeout_ms) < 0)
        return;
    if (fds[SESSION_FDS].revents && read(uplink->wake_fd, &count, sizeof count) < 0)
        return;
    (void)send_all(uplink);
    session_service(uplink->session, fds);
    courier_answer(uplink->courier);
    if (courier_stalled(uplink->courier, why, sizeof why) ||
        herald_stalled(uplink->herald, why, sizeof why))
        session_give_up(uplink->session, why);
}

/* A broker that does not acknowledge the last state gets no DISCONNECT either: then its will says
 * that we are gone. */
static void say_goodbye(struct uplink *uplink, int within_ms)
{
    struct mqtt_end how;
    if (!session_mqtt(uplink->session))
        return;
    publish_state(uplink, false);
    mono_time until = clock_after_ms(clock_mono(), within_ms);
    while (session_mqtt(uplink->session) && uplink->state_mid && clock_mono().ns < until.ns)
        turn(uplink, 20);
    struct mqtt *mqtt = session_mqtt(uplink->session);
    if (!mqtt || uplink->state_mid)
        return;
    mqtt_disconnect(mqtt);
    if (!mqtt_service(mqtt, POLLOUT, &how))
        return; /* it is gone either way */
}

/* Off to the first broker of the list. What is in flight here is sent again there. */
static void return_to_first(struct uplink *uplink)
{
    (void)herald_stop(uplink->herald, false);
    (void)courier_stop(uplink->courier, false);
    say_goodbye(uplink, RETURN_GOODBYE_MS);
    if (session_mqtt(uplink->session))
        session_leave(uplink->session);
}

static void *run(void *argument)
{
    struct uplink *uplink = argument;
    pthread_setname_np(pthread_self(), "uplink");
    watchdog_join(WATCHDOG_LIMIT_MS, "uplink %s", uplink->own->name);
    while (!atomic_load(&uplink->stop)) {
        watchdog_beat();
        take_binding(uplink);
        session_begin(uplink->session);
        turn(uplink, WATCHDOG_IDLE_MS);
        if (session_mqtt(uplink->session))
            check_state(uplink);
        if (session_may_return(uplink->session))
            return_to_first(uplink);
    }
    say_goodbye(uplink, GOODBYE_MS);
    return NULL;
}

struct uplink *uplink_new(const struct settings *settings, size_t index, size_t place,
                          const struct uplink_rooms *rooms)
{
    struct uplink *uplink = calloc(1, sizeof *uplink);
    if (!uplink)
        return NULL;
    uplink->place = place;
    uplink->rooms = *rooms;
    uplink->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    uplink->state = malloc(STATE_MAX);
    pthread_mutex_init(&uplink->mutex, NULL);
    bool bound = make_binding(&uplink->next, settings, index);
    bind_to(uplink, &uplink->next);
    uplink->session = session_new(settings, uplink->own, &handlers, uplink);
    const struct courier_asks asks = {rooms->ack, rooms->context};
    uplink->courier = courier_new(&uplink->post, rooms->store, place, &asks);
    uplink->herald = herald_new(&uplink->post, rooms->lane, rooms->store, place);
    if (uplink->wake_fd < 0 || !uplink->state || !bound || !uplink->session || !uplink->courier ||
        !uplink->herald) {
        uplink_free(uplink);
        return NULL;
    }
    return uplink;
}

void uplink_free(struct uplink *uplink)
{
    if (!uplink)
        return;
    session_free(uplink->session);
    courier_free(uplink->courier);
    herald_free(uplink->herald);
    if (uplink->wake_fd >= 0)
        close(uplink->wake_fd);
    free(uplink->presence.backlogs);
    free(uplink->presence.lines);
    free_binding(&uplink->next);
    pthread_mutex_destroy(&uplink->mutex);
    free(uplink->state);
    free(uplink);
}

size_t uplink_place(const struct uplink *uplink)
{
    return uplink->place;
}

bool uplink_start(struct uplink *uplink)
{
    courier_attach(uplink->courier, wake, uplink);
    herald_attach(uplink->herald, wake, uplink);
    uplink->running = thread_start(&uplink->thread, 0, run, uplink);
    return uplink->running;
}

bool uplink_is_running(const struct uplink *uplink)
{
    return uplink->running;
}

void uplink_stop(struct uplink *uplink)
{
    atomic_store(&uplink->stop, true);
    wake(uplink);
}

bool uplink_join(struct uplink *uplink, mono_time deadline)
{
    if (uplink->running && thread_join(uplink->thread, deadline)) {
        uplink->running = false;
        herald_detach(uplink->herald);
    }
    return !uplink->running;
}
