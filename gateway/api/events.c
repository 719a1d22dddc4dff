/* Server-sent events: every new sample to whoever listens, as one event a look.
 *
 * Main thread. Owns the subscribers and the timer that looks for changed blocks; with nobody
 * listening it does not run. A subscriber that does not read is cut off before it costs memory.
 *
 *     data: {"points": [{"device": "well-017", "point": "tilt_x", "value": 1.25, ...}, ...]}
 *
 * and with ?alarms=also every step of an alarm, with ?alarms=only nothing but these; what is in
 * force comes first.
 *
 *     data: {"alarms": [{"id": "01K...", "step": 1, "status": "raised", ...}]}
 *
 * Never waits for a client, and never sends a sample that was there before it subscribed. */
#include "gateway/api/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "gateway/api/alarm_json.h"
#include "gateway/lane.h"

enum {
    LOOK_MS = 100,
    KEEP_ALIVE_MS = 15000,
    SUBSCRIBERS_MAX = 32,
    SLOW_BYTES = 256 * 1024, /* unsent before a look: it does not keep up */
    ALARMS_A_LOOK = 64,      /* far from that */
    INPUT_BYTES = 1024,      /* a subscriber has nothing more to say */
};

struct subscriber {
    LIST_ENTRY(subscriber) link;
    struct events *events;
    struct evhttp_request *request;
    struct evkeyvalq query;
    bool points, alarms;
    /* What is in force up to event number `from` is told first; `after` is as far as that is. */
    bool telling;
    uint64_t from, after;
    mono_time spoke;
};

struct events {
    struct api *api;
    struct event *timer;
    LIST_HEAD(, subscriber) subscribers;
    size_t count, listeners;  /* the latter to alarms */
    struct lane_event *event; /* scratch */
    uint64_t *seen;           /* [block] version that was sent */
    uint64_t *next;           /* scratch for a reload, as long as `seen` */
    uint32_t *changed;        /* scratch: blocks that have a new sample */
    size_t capacity;          /* of these */
};

static void look(evutil_socket_t fd, short what, void *context);

struct events *events_new(struct api *api)
{
    struct events *events = calloc(1, sizeof *events);
    if (!events)
        return NULL;
    events->api = api;
    LIST_INIT(&events->subscribers);
    events->event = malloc(sizeof *events->event);
    events->timer = event_new(api->base, -1, EV_PERSIST, look, events);
    if (events->timer && events->event &&
        events_reserve(events, api->rooms.setup->plan->block_count))
        return events;
    events_free(events);
    return NULL;
}

bool events_reserve(struct events *events, size_t blocks)
{
    if (events->seen && blocks <= events->capacity)
        return true;
    uint64_t *seen = calloc(blocks + 1, sizeof *seen), *next = calloc(blocks + 1, sizeof *next);
    uint32_t *changed = calloc(blocks + 1, sizeof *changed);
    if (!seen || !next || !changed) {
        free(seen);
        free(next);
        free(changed);
        return false;
    }
    if (events->seen)
        memcpy(seen, events->seen, events->capacity * sizeof *seen);
    free(events->seen);
    free(events->next);
    free(events->changed);
    events->seen = seen;
    events->next = next;
    events->changed = changed;
    events->capacity = blocks;
    return true;
}

/* What is carried over keeps its version, and so what was sent of it. */
void events_rebind(struct events *events, size_t blocks_before, const uint32_t *from)
{
    size_t blocks = events->api->rooms.setup->plan->block_count;
    uint64_t *next = events->next;
    for (size_t b = 0; b < blocks; b++)
        next[b] = from[b] < blocks_before ? events->seen[from[b]] : 0;
    events->next = events->seen;
    events->seen = next;
}

static void forget(struct subscriber *subscriber)
{
    struct events *events = subscriber->events;
    LIST_REMOVE(subscriber, link);
    if (subscriber->alarms && --events->listeners == 0)
        (void)lane_listen(events->api->rooms.lane, false);
    evhttp_clear_headers(&subscriber->query);
    free(subscriber);
    if (--events->count == 0)
        event_del(events->timer);
}

/* libevent has let go of the connection; the request is ours until it is ended. */
static void on_close(struct evhttp_connection *connection, void *context)
{
    struct subscriber *subscriber = context;
    (void)connection;
    evhttp_send_reply_end(subscriber->request);
    forget(subscriber);
}

static void cut_off(struct subscriber *subscriber)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(subscriber->request);
    evhttp_connection_set_closecb(connection, NULL, NULL);
    evhttp_connection_free(connection); /* and the request with it */
    forget(subscriber);
}

void events_free(struct events *events)
{
    if (!events)
        return;
    while (!LIST_EMPTY(&events->subscribers))
        cut_off(LIST_FIRST(&events->subscribers));
    if (events->timer)
        event_free(events->timer);
    free(events->event);
    free(events->seen);
    free(events->next);
    free(events->changed);
    free(events);
}

static void say(struct subscriber *subscriber, const char *head, const char *text)
{
    struct evbuffer *buffer = evbuffer_new();
    if (!buffer)
        return;
    evbuffer_add_printf(buffer, "%s%s\n\n", head, text);
    evhttp_send_reply_chunk(subscriber->request, buffer);
    evbuffer_free(buffer);
    subscriber->spoke = clock_mono();
}

static bool is_slow(const struct subscriber *subscriber)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(subscriber->request);
    struct bufferevent *stream = evhttp_connection_get_bufferevent(connection);
    return evbuffer_get_length(bufferevent_get_output(stream)) > SLOW_BYTES;
}

/* Blocks with a sample that has not been sent, into events->changed. */
static size_t find_changed(struct events *events)
{
    const struct api_rooms *rooms = &events->api->rooms;
    size_t count = 0;
    for (uint32_t b = 0; b < rooms->setup->plan->block_count; b++) {
        uint64_t version = latest_version(rooms->latest, b);
        if (version == events->seen[b])
            continue;
        events->seen[b] = version;
        events->changed[count++] = b;
    }
    return count;
}

/* Takes the array over; says nothing when it is empty. */
static void say_array(struct subscriber *subscriber, const char *key, json_t *array)
{
    bool any = json_array_size(array) > 0;
    json_t *event = json_pack("{s:o}", key, array);
    char *text = any ? json_dumps(event, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(event);
    if (text)
        say(subscriber, "data: ", text);
    free(text);
}

static void tell(struct subscriber *subscriber, size_t changed, mono_time now)
{
    struct events *events = subscriber->events;
    json_t *points = json_array();
    for (size_t i = 0; i < changed && subscriber->points; i++)
        reading_append(events->api, events->changed[i], &subscriber->query, now, points);
    say_array(subscriber, "points", points);
    if (clock_ms_between(subscriber->spoke, now) >= KEEP_ALIVE_MS)
        say(subscriber, ": ", "keep-alive");
}

/* ---- alarms ---- */

static json_t *unpacked(const struct lane_event *event)
{
    struct alarm_event alarm;
    struct alarm_memory *memory = alarm_unpack(event->bytes, event->length, &alarm);
    json_t *out = memory ? alarm_json(&alarm) : NULL;
    alarm_free(memory);
    return out;
}

/* Begins with what is in force. */
static void tell_anew(struct subscriber *subscriber)
{
    subscriber->from = lane_listen(subscriber->events->api->rooms.lane, true);
    subscriber->after = 0;
    subscriber->telling = true;
}

static void tell_in_force(struct subscriber *subscriber)
{
    struct lane_event *event = subscriber->events->event;
    json_t *alarms = json_array();
    for (size_t i = 0; i < ALARMS_A_LOOK && subscriber->telling; i++) {
        subscriber->telling =
            lane_read(subscriber->events->api->rooms.lane, &subscriber->after, event) &&
            event->n <= subscriber->from;
        if (subscriber->telling)
            json_array_append_new(alarms, unpacked(event));
    }
    say_array(subscriber, "alarms", alarms);
}

/* What happened since the last look, to everybody who wants it. Where it was too much, what is in
 * force now says the most of it. */
static void tell_alarms(struct events *events)
{
    struct subscriber *subscriber;
    uint64_t missed = 0;
    for (size_t i = 0; i < ALARMS_A_LOOK && events->listeners &&
                       lane_hear(events->api->rooms.lane, events->event, &missed);
         i++) {
        json_t *alarm = unpacked(events->event);
        LIST_FOREACH(subscriber, &events->subscribers, link)
        {
            if (alarm && subscriber->alarms && events->event->n > subscriber->from)
                say_array(subscriber, "alarms", json_pack("[O]", alarm));
        }
        json_decref(alarm);
    }
    LIST_FOREACH(subscriber, &events->subscribers, link)
    {
        if (missed && subscriber->alarms)
            tell_anew(subscriber);
        if (subscriber->telling)
            tell_in_force(subscriber);
    }
}

static void look(evutil_socket_t fd, short what, void *context)
{
    struct events *events = context;
    struct subscriber *subscriber = LIST_FIRST(&events->subscribers), *next;
    size_t changed = find_changed(events);
    mono_time now = clock_mono();
    (void)fd;
    (void)what;
    tell_alarms(events);
    for (; subscriber; subscriber = next) {
        next = LIST_NEXT(subscriber, link);
        if (is_slow(subscriber))
            cut_off(subscriber);
        else
            tell(subscriber, changed, now);
    }
}

static void begin(struct subscriber *subscriber)
{
    struct evhttp_request *request = subscriber->request;
    struct evhttp_connection *connection = evhttp_request_get_connection(request);
    struct bufferevent *stream = evhttp_connection_get_bufferevent(connection);
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    evhttp_add_header(headers, "Content-Type", "text/event-stream");
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_connection_set_closecb(connection, on_close, subscriber);
    evhttp_send_reply_start(request, HTTP_OK, NULL);
    /* It listens for as long as it likes, and what it says meanwhile is not read. */
    bufferevent_set_timeouts(stream, NULL, NULL);
    bufferevent_setwatermark(stream, EV_READ, 0, INPUT_BYTES);
    say(subscriber, ": ", "lifeline");
}

void events_subscribe(struct api *api, struct evhttp_request *request, const char *name)
{
    static const struct timeval period = {.tv_usec = LOOK_MS * 1000};
    struct events *events = api->events;
    struct evkeyvalq query;
    (void)name;
    if (!api_query(api, request, &query))
        return;
    struct subscriber *subscriber = NULL;
    if (events->count < SUBSCRIBERS_MAX)
        subscriber = calloc(1, sizeof *subscriber);
    evhttp_clear_headers(&query);
    if (!subscriber) {
        api_error(request, HTTP_SERVUNAVAIL, "too many subscribers");
        return;
    }
    subscriber->events = events;
    subscriber->request = request;
    const char *text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
    if (evhttp_parse_query_str(text, &subscriber->query) != 0)
        TAILQ_INIT(&subscriber->query);
    const char *alarms = evhttp_find_header(&subscriber->query, "alarms");
    subscriber->alarms = alarms != NULL;
    subscriber->points = !alarms || strcmp(alarms, "only") != 0;
    if (events->count++ == 0) {
        (void)find_changed(events);
        event_add(events->timer, &period);
    }
    LIST_INSERT_HEAD(&events->subscribers, subscriber, link);
    begin(subscriber);
    if (!subscriber->alarms)
        return;
    events->listeners++;
    tell_anew(subscriber);
}
