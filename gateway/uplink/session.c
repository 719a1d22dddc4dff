/* From one broker of the list to a connection, and from a lost one to the next.
 *
 * Each step has its limit: the name 10 s, TCP to an address 3 s while there is another one, to all
 * of them 10 s, TLS and CONNECT 20 s. How long to wait then, and where to go, retry.h says. On a
 * later broker of the list a scout looks for the first one now and then. Runs in its uplink's
 * thread; owns the connection, the lookup and the scout. Never blocks, never knows what is sent. */
#include "gateway/uplink/session.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "gateway/log.h"
#include "gateway/uplink/protocol.h"
#include "gateway/uplink/resolve.h"
#include "gateway/uplink/retry.h"
#include "gateway/uplink/scout.h"
#include "gateway/watchdog.h"

enum {
    NAME_MS = 10000,
    ADDRESS_MS = 3000,
    CONNECT_MS = 10000,
    CONNECT_ANSWER_MS = 20000, /* several round trips of 2 s, and packets lost among them */
    SCOUT_MS = 10000,
    STEADY_MS = 30000, /* a connection that lives so long counts */
    TICK_MS = 1000,
    SUSPICIOUS_LIVES = 3,
    REASON_BAD_VERSION = 0x84,
    REASON_BAD_VERSION_3 = 1, /* the same, as 3.1.1 brokers say it */
    REASON_NO_RETAIN = 0x9a,
};

enum phase { PHASE_PAUSE, PHASE_NAME, PHASE_CONNECT, PHASE_UP };

struct session {
    const struct settings_uplink *own;
    const struct session_handlers *handlers;
    void *context;
    enum phase phase;
    mono_time next; /* of the pause: its end; of a name or a connect: its limit */
    mono_time up_at;
    bool steady;
    uint32_t short_lives; /* in a row: up, and closed by the broker before they counted */

    struct retry retry;
    struct protocol protocol;
    int reason; /* of the CONNACK; -1 before it came */
    bool no_retain;

    struct resolve *resolve;
    struct addresses addresses;
    size_t address;
    mono_time address_by;
    bool reached; /* somebody lives at the address */
    struct mqtt *mqtt;
    struct scout *scout;
    bool first_is_there;
    mono_time scout_at; /* to start one; of one on his way: his limit */
    uint32_t return_ms; /* for tests: instead of the route's; 0 = not given */

    uint64_t random;
    char (*said)[160]; /* [url] the last failure that the log knows */
    pthread_mutex_t mutex;
    struct session_status status;
};

/* ---- chance ---- */

static uint64_t hash(uint64_t hash, const char *text)
{
    while (*text)
        hash = (hash ^ (unsigned char)*text++) * UINT64_C(0x100000001b3);
    return hash;
}

/* Boards of one image, started by one power cut, may have one and the same pool of randomness;
 * their names differ. */
static uint64_t make_seed(const struct settings *settings, const struct settings_uplink *own)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
        seed = (uint64_t)clock_mono().ns;
    return hash(hash(seed ^ UINT64_C(0xcbf29ce484222325), settings->gateway.id), own->name);
}

/* splitmix64 */
static uint64_t random_bits(struct session *session)
{
    uint64_t z = session->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* ---- making, telling ---- */

struct session *session_new(const struct settings *settings, const struct settings_uplink *own,
                            const struct session_handlers *handlers, void *context)
{
    struct session *session = calloc(1, sizeof *session);
    const char *return_ms = getenv("LIFELINE_TEST_RETURN_MS");
    if (!session)
        return NULL;
    session->own = own;
    session->handlers = handlers;
    session->context = context;
    session->random = make_seed(settings, own);
    session->return_ms = return_ms ? (uint32_t)strtoul(return_ms, NULL, 10) : 0;
    retry_start(&session->retry, own->url_count);
    protocol_start(&session->protocol);
    pthread_mutex_init(&session->mutex, NULL);
    session->said = calloc(own->url_count, sizeof *session->said);
    if (session->said)
        return session;
    session_free(session);
    return NULL;
}

void session_free(struct session *session)
{
    if (!session)
        return;
    mqtt_free(session->mqtt);
    resolve_drop(session->resolve);
    scout_free(session->scout);
    pthread_mutex_destroy(&session->mutex);
    free(session->said);
    free(session);
}

void session_status(struct session *session, struct session_status *out)
{
    pthread_mutex_lock(&session->mutex);
    *out = session->status;
    pthread_mutex_unlock(&session->mutex);
}

void session_rebind(struct session *session, const struct settings_uplink *own)
{
    session->own = own;
}

static void note(struct session *session, bool connected, const char *why)
{
    pthread_mutex_lock(&session->mutex);
    struct session_status *status = &session->status;
    status->connected = connected;
    status->mqtt_version = session->protocol.is_5 ? 5 : 4;
    status->url = session->retry.route.url;
    status->since = clock_mono();
    status->connects += connected;
    snprintf(status->why, sizeof status->why, "%s", why);
    if (*why)
        snprintf(status->last_why, sizeof status->last_why, "%s", why);
    pthread_mutex_unlock(&session->mutex);
}

static const struct settings_url *current_url(const struct session *session)
{
    return &session->own->urls[session->retry.route.url];
}

struct mqtt *session_mqtt(const struct session *session)
{
    return session->phase == PHASE_UP ? session->mqtt : NULL;
}

bool session_is_5(const struct session *session)
{
    return session->protocol.is_5;
}

/* ---- the end of an attempt, or of a connection ---- */

static enum backoff_cause cause_of(enum mqtt_fault fault)
{
    switch (fault) {
    case MQTT_FAULT_LINK:
    case MQTT_FAULT_OWN:
        return BACKOFF_LINK;
    case MQTT_FAULT_BROKER:
        return BACKOFF_BROKER;
    case MQTT_FAULT_TAKEN:
        return BACKOFF_TAKEN;
    }
    return BACKOFF_LINK;
}

static enum protocol_end protocol_end_of(const struct session *session, bool hung_up)
{
    if (session->phase == PHASE_UP)
        return PROTOCOL_END_USED;
    if (session->reason == REASON_BAD_VERSION || session->reason == REASON_BAD_VERSION_3)
        return PROTOCOL_END_VERSION;
    return hung_up && session->reason == -1 ? PROTOCOL_END_HUNG_UP : PROTOCOL_END_OTHER;
}

/* The same broker at once, in another way: it has just said how it does not want it. */
static bool knows_better(const struct session *session)
{
    return session->phase != PHASE_UP &&
           (session->reason == REASON_BAD_VERSION || session->reason == REASON_BAD_VERSION_3 ||
            (session->reason == REASON_NO_RETAIN && !session->no_retain));
}

/* Tells a state of affairs once per broker. */
static void tell(struct session *session, const char *why)
{
    const struct settings_url *url = current_url(session);
    char *said = session->said[session->retry.route.url];
    if (session->phase != PHASE_UP && strcmp(said, why) == 0)
        return;
    snprintf(said, sizeof *session->said, "%s", why);
    if (session->own->url_count > 1)
        log_warning("uplink %s: %s:%u: %s; trying again", session->own->name, url->host, url->port,
                    why);
    else
        log_warning("uplink %s: %s; trying again", session->own->name, why);
}

/* over_packet: see mqtt_end.h. True: as session_handlers.down. */
static bool close_connection(struct session *session, bool over_packet)
{
    bool narrowing =
        session->phase == PHASE_UP && session->handlers->down(session->context, over_packet);
    mqtt_free(session->mqtt);
    resolve_drop(session->resolve);
    scout_free(session->scout);
    session->mqtt = NULL;
    session->resolve = NULL;
    session->scout = NULL;
    session->first_is_there = false;
    return narrowing;
}

/* Some brokers close without a word when another client comes with the same id. */
static void explain(struct session *session, const struct mqtt_end *how, bool narrowing, char *why,
                    size_t why_size)
{
    bool was_short =
        session->phase == PHASE_UP && !session->steady && how->over_packet && !narrowing;
    session->short_lives = was_short ? session->short_lives + 1 : 0;
    if (session->short_lives < SUSPICIOUS_LIVES)
        snprintf(why, why_size, "%s", how->why);
    else
        snprintf(why, why_size, "%.50s (soon after each connect; is the id %.50s in use twice?)",
                 how->why, session->own->client_id);
}

static void end(struct session *session, const struct mqtt_end *how)
{
    bool was_5 = session->protocol.is_5, was_up = session->phase == PHASE_UP;
    bool again = knows_better(session);
    size_t before = session->retry.route.url;
    char why[160];
    bool narrowing = close_connection(session, how->over_packet);
    explain(session, how, narrowing, why, sizeof why);
    tell(session, why);
    session->no_retain |= session->reason == REASON_NO_RETAIN;
    protocol_ended(&session->protocol, protocol_end_of(session, how->hung_up));
    session->phase = PHASE_PAUSE;
    note(session, false, why);
    const struct retry_end last = {
        .cause = cause_of(how->fault),
        .was_up = was_up,
        .steady = session->steady,
        .narrowing = narrowing,
        .again = again && was_5,
        /* one who hung up on 5 is asked for 3.1.1, one who took 3.1.1 for 5 once more */
        .stay = was_5 != session->protocol.is_5 && (was_5 || session->reason == 0),
    };
    uint32_t pause_ms =
        retry_after(&session->retry, &last, session->own->spread_ms, random_bits(session));
    if (session->retry.route.url != before)
        protocol_start(&session->protocol);
    if (session->retry.route.url != before || session->steady)
        session->no_retain = false; /* asked anew: it may have changed */
    session->next = clock_after_ms(clock_mono(), pause_ms);
    session->steady = false;
}

static void give_up(struct session *session, enum mqtt_fault fault, const char *why)
{
    struct mqtt_end how = {.fault = fault};
    snprintf(how.why, sizeof how.why, "%s", why);
    end(session, &how);
}

/* ---- what the broker says; called from mqtt_service() ---- */

static void on_connected(void *context, int reason)
{
    struct session *session = context;
    session->reason = reason; /* a refusal is followed by the loss of the connection */
    if (reason == 0 && protocol_accepted(&session->protocol))
        session->phase = PHASE_UP;
}

static void on_acknowledged(void *context, int mid, int reason)
{
    struct session *session = context;
    session->handlers->acknowledged(session->context, mid, reason);
}

static void on_subscribed(void *context, int mid, int reason)
{
    struct session *session = context;
    session->handlers->subscribed(session->context, mid, reason);
}

static void on_message(void *context, const struct mqtt_incoming *message)
{
    struct session *session = context;
    session->handlers->message(session->context, message);
}

static const struct mqtt_handlers from_mqtt = {on_connected, on_acknowledged, on_subscribed,
                                               on_message};

/* ---- connecting ---- */

static bool has_other_address(const struct session *session)
{
    return session->address + 1 < session->addresses.count;
}

/* At one address after the other, until one does not fail at once. */
static void connect_address(struct session *session)
{
    struct mqtt_end how;
    struct mqtt_target target = {
        .uplink = session->own, .url = current_url(session), .version_5 = session->protocol.is_5};
    if (!session->handlers->will(session->context, &target.will)) {
        give_up(session, MQTT_FAULT_OWN, "the state does not fit a message");
        return;
    }
    target.will.retain &= !session->no_retain;
    session->phase = PHASE_CONNECT;
    session->reason = -1;
    session->reached = false;
    for (;; session->address++) {
        target.address = session->addresses.list[session->address].text;
        session->address_by = clock_after_ms(clock_mono(), ADDRESS_MS);
        session->mqtt = mqtt_connect(&target, &from_mqtt, session, &how);
        if (session->mqtt)
            return;
        if (!has_other_address(session) || how.fault == MQTT_FAULT_OWN)
            break;
    }
    end(session, &how);
}

static void next_address(struct session *session)
{
    mqtt_free(session->mqtt);
    session->mqtt = NULL;
    session->address++;
    connect_address(session);
}

static void take_name(struct session *session)
{
    char why[160];
    if (!resolve_take(session->resolve, &session->addresses, why, sizeof why)) {
        if (clock_mono().ns < session->next.ns)
            return;
        snprintf(why, sizeof why, "%.100s: no answer from the resolver",
                 current_url(session)->host);
        give_up(session, MQTT_FAULT_LINK, why);
        return;
    }
    resolve_drop(session->resolve);
    session->resolve = NULL;
    session->address = 0;
    session->next = clock_after_ms(clock_mono(), CONNECT_MS);
    if (session->addresses.count)
        connect_address(session);
    else
        give_up(session, MQTT_FAULT_LINK, why);
}

static void seek(struct session *session)
{
    const struct settings_url *url = current_url(session);
    session->phase = PHASE_NAME;
    session->reason = -1;
    session->resolve = resolve_start(url->host, url->port);
    session->next = clock_after_ms(clock_mono(), NAME_MS);
    if (session->resolve)
        take_name(session);
    else
        give_up(session, MQTT_FAULT_OWN, "no thread left to look up the broker's name");
}

static void connecting(struct session *session)
{
    mono_time now = clock_mono();
    bool reached = mqtt_reached(session->mqtt);
    if (reached && !session->reached)
        session->next = clock_after_ms(now, CONNECT_ANSWER_MS);
    session->reached = reached;
    if (session->reason == 0)
        give_up(session, MQTT_FAULT_LINK, "takes MQTT 3.1.1; asking for 5 once more");
    else if (now.ns >= session->next.ns)
        give_up(session, reached ? MQTT_FAULT_BROKER : MQTT_FAULT_LINK,
                reached ? "no answer to CONNECT" : "no answer from its address");
    else if (!reached && now.ns >= session->address_by.ns && has_other_address(session))
        next_address(session);
}

/* ---- up ---- */

/* They came to this broker in a short time, and do not go back in one. */
static uint32_t return_ms(struct session *session)
{
    uint32_t ms = route_return_ms(&session->retry.route);
    uint64_t share = (uint64_t)session->own->spread_ms * (uint32_t)random_bits(session) >> 32;
    return ms ? (session->return_ms ? session->return_ms : ms) + (uint32_t)share : 0;
}

static void come_up(struct session *session)
{
    const struct settings_url *url = current_url(session);
    uint32_t within_ms = return_ms(session);
    session->up_at = clock_mono();
    session->scout_at = clock_after_ms(session->up_at, within_ms ? within_ms : INT32_MAX);
    log_notice("uplink %s: connected to %s:%u (MQTT %s)", session->own->name, url->host, url->port,
               session->protocol.is_5 ? "5" : "3.1.1");
    if (!mqtt_retains(session->mqtt) || session->no_retain)
        log_warning("uplink %s: this broker keeps no retained messages; who subscribes later "
                    "sees state and manifests when they change",
                    session->own->name);
    note(session, true, "");
    session->handlers->up(session->context);
}

static void look_for_first(struct session *session)
{
    mono_time now = clock_mono();
    if (!session->scout && now.ns >= session->scout_at.ns && session->retry.route.url > 0) {
        session->scout = scout_start(&session->own->urls[0]);
        session->scout_at = clock_after_ms(now, SCOUT_MS);
    }
    if (!session->scout || session->first_is_there)
        return;
    enum scout_answer answer = scout_look(session->scout);
    session->first_is_there = answer == SCOUT_THERE;
    if (answer == SCOUT_WAITING && now.ns < session->scout_at.ns)
        return;
    scout_free(session->scout);
    session->scout = NULL;
    if (!session->first_is_there)
        route_absent(&session->retry.route);
    session->scout_at = clock_after_ms(now, return_ms(session));
}

static void stay_up(struct session *session)
{
    if (!session->steady && clock_ms_between(session->up_at, clock_mono()) > STEADY_MS) {
        session->steady = true;
        retry_steady(&session->retry);
        memset(session->said, 0, session->own->url_count * sizeof *session->said);
    }
    look_for_first(session);
}

bool session_may_return(const struct session *session)
{
    return session->phase == PHASE_UP && session->first_is_there;
}

void session_leave(struct session *session)
{
    log_notice("uplink %s: %s:%u is there again; going back to it", session->own->name,
               session->own->urls[0].host, session->own->urls[0].port);
    (void)close_connection(session, false);
    session->phase = PHASE_PAUSE;
    session->steady = false;
    route_return(&session->retry.route);
    protocol_start(&session->protocol);
    session->no_retain = false;
    note(session, false, "going back to the first broker");
    session->next = clock_after_ms(clock_mono(), backoff_step(random_bits(session)));
}

void session_give_up(struct session *session, const char *why)
{
    if (session->phase == PHASE_UP)
        give_up(session, MQTT_FAULT_BROKER, why);
}

/* ---- turning ---- */

void session_begin(struct session *session)
{
    if (session->phase == PHASE_PAUSE && clock_mono().ns >= session->next.ns)
        seek(session);
}

static int until(mono_time deadline, int at_most_ms)
{
    int64_t ms = clock_ms_between(clock_mono(), deadline) + 1;
    return ms < 0 ? 0 : ms < at_most_ms ? (int)ms : at_most_ms;
}

void session_wait(const struct session *session, struct pollfd fds[SESSION_FDS], int *timeout_ms)
{
    fds[0] = fds[1] = (struct pollfd){.fd = -1};
    if (session->mqtt)
        fds[0] =
            (struct pollfd){.fd = mqtt_socket(session->mqtt), .events = mqtt_events(session->mqtt)};
    else if (session->resolve)
        fds[0] = (struct pollfd){.fd = resolve_fd(session->resolve), .events = POLLIN};
    if (session->scout)
        fds[1] =
            (struct pollfd){.fd = scout_fd(session->scout), .events = scout_events(session->scout)};
    switch (session->phase) {
    case PHASE_PAUSE:
        *timeout_ms = until(session->next, WATCHDOG_IDLE_MS);
        break;
    case PHASE_NAME:
    case PHASE_CONNECT:
        *timeout_ms = until(session->next, TICK_MS);
        break;
    case PHASE_UP:
        *timeout_ms = until(mqtt_deadline(session->mqtt), TICK_MS);
        break;
    }
}

static void serve_connection(struct session *session, short events)
{
    struct mqtt_end how;
    enum phase before = session->phase;
    if (!mqtt_service(session->mqtt, events, &how)) {
        bool reached = mqtt_reached(session->mqtt);
        if (before == PHASE_CONNECT && !reached && has_other_address(session))
            next_address(session);
        else
            end(session, &how);
    } else if (session->phase == PHASE_CONNECT) {
        connecting(session);
    } else if (before == PHASE_CONNECT) {
        come_up(session);
    } else {
        stay_up(session);
    }
}

void session_service(struct session *session, const struct pollfd fds[SESSION_FDS])
{
    if (session->mqtt)
        serve_connection(session, fds[0].revents);
    else if (session->resolve)
        take_name(session);
}
