/* POST /v1/devices/NAME/read: a device is read now, the answer is what it said.
 *
 * Main thread. Owns the requests that wait and the timer that looks whether their device has
 * answered; the line's own thread does the reading. Every block of the device must have a sample
 * that is newer than the request, good or failed; a line too busy for that is told after ten
 * seconds. Never waits itself. */
#include "gateway/api/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum { LOOK_MS = 20, PATIENCE_MS = 10000, WAITING_MAX = 16, HTTP_GATEWAY_TIMEOUT = 504 };

struct waiting {
    LIST_ENTRY(waiting) link;
    struct reads *reads;
    struct evhttp_request *request;
    uint32_t device;
    mono_time since, deadline;
};

struct reads {
    struct api *api;
    struct event *timer;
    LIST_HEAD(, waiting) waiting;
    size_t count;
};

static void look(evutil_socket_t fd, short what, void *context);

struct reads *reads_new(struct api *api)
{
    struct reads *reads = calloc(1, sizeof *reads);
    if (!reads)
        return NULL;
    reads->api = api;
    LIST_INIT(&reads->waiting);
    reads->timer = event_new(api->base, -1, EV_PERSIST, look, reads);
    if (reads->timer)
        return reads;
    reads_free(reads);
    return NULL;
}

static void forget(struct waiting *waiting)
{
    struct reads *reads = waiting->reads;
    LIST_REMOVE(waiting, link);
    free(waiting);
    if (--reads->count == 0)
        event_del(reads->timer);
}

static void on_close(struct evhttp_connection *connection, void *context)
{
    struct waiting *waiting = context;
    (void)connection;
    evhttp_send_reply_end(waiting->request);
    forget(waiting);
}

void reads_free(struct reads *reads)
{
    if (!reads)
        return;
    while (!LIST_EMPTY(&reads->waiting)) {
        struct waiting *waiting = LIST_FIRST(&reads->waiting);
        struct evhttp_connection *connection = evhttp_request_get_connection(waiting->request);
        evhttp_connection_set_closecb(connection, NULL, NULL);
        evhttp_connection_free(connection);
        forget(waiting);
    }
    if (reads->timer)
        event_free(reads->timer);
    free(reads);
}

static bool has_answered(const struct waiting *waiting)
{
    struct api *api = waiting->reads->api;
    const struct plan *plan = api->rooms.setup->plan;
    struct sample sample;
    mono_time good;
    for (uint32_t b = 0; b < plan->block_count; b++) {
        if (plan->blocks[b].device != waiting->device)
            continue;
        if (!latest_get(api->rooms.latest, b, &sample, api->values, &good) ||
            sample.mono.ns <= waiting->since.ns)
            return false;
    }
    return true;
}

static void finish(struct waiting *waiting, bool answered)
{
    struct evhttp_request *request = waiting->request;
    struct api *api = waiting->reads->api;
    const struct plan *plan = api->rooms.setup->plan;
    const char *device = api->rooms.setup->settings->devices[waiting->device].name;
    mono_time now = clock_mono();
    evhttp_connection_set_closecb(evhttp_request_get_connection(request), NULL, NULL);
    if (answered) {
        json_t *points = json_array();
        for (uint32_t b = 0; b < plan->block_count; b++) {
            if (plan->blocks[b].device == waiting->device)
                reading_append(api, b, NULL, now, points);
        }
        json_t *took = reading_age(waiting->since, now);
        api_reply(
            request, HTTP_OK,
            json_pack("{s:s, s:o, s:o}", "device", device, "took_ms", took, "points", points));
    } else {
        api_reply(
            request, HTTP_GATEWAY_TIMEOUT,
            json_pack("{s:s, s:s}", "error", "its line was too busy or hangs", "device", device));
    }
    forget(waiting);
}

/* The device has another index now, or its line will not answer any more. */
static bool find_again(struct waiting *waiting, const struct api_rooms *before)
{
    const struct api_rooms *now = &waiting->reads->api->rooms;
    const struct settings_device *was = &before->setup->settings->devices[waiting->device];
    for (uint32_t d = 0; d < now->setup->settings->device_count; d++) {
        const struct settings_device *device = &now->setup->settings->devices[d];
        if (strcmp(device->name, was->name) != 0)
            continue;
        waiting->device = d;
        return now->lines[device->line] == before->lines[was->line];
    }
    return false;
}

void reads_rebind(struct reads *reads, const struct api_rooms *before)
{
    struct waiting *waiting = LIST_FIRST(&reads->waiting), *next;
    for (; waiting; waiting = next) {
        next = LIST_NEXT(waiting, link);
        if (find_again(waiting, before))
            continue;
        evhttp_connection_set_closecb(evhttp_request_get_connection(waiting->request), NULL, NULL);
        api_error(waiting->request, HTTP_SERVUNAVAIL,
                  "the configuration of this device has changed");
        forget(waiting);
    }
}

static void look(evutil_socket_t fd, short what, void *context)
{
    struct reads *reads = context;
    struct waiting *waiting = LIST_FIRST(&reads->waiting), *next;
    mono_time now = clock_mono();
    (void)fd;
    (void)what;
    for (; waiting; waiting = next) {
        next = LIST_NEXT(waiting, link);
        bool answered = has_answered(waiting);
        if (answered || now.ns >= waiting->deadline.ns)
            finish(waiting, answered);
    }
}

void reads_device(struct api *api, struct evhttp_request *request, const char *name)
{
    static const struct timeval period = {.tv_usec = LOOK_MS * 1000};
    const struct settings *settings = api->rooms.setup->settings;
    struct reads *reads = api->reads;
    uint32_t device = (uint32_t)settings_find_device(settings, name);
    if (device == settings->device_count) {
        api_error(request, HTTP_NOTFOUND, "no such device");
        return;
    }
    struct waiting *waiting = reads->count < WAITING_MAX ? calloc(1, sizeof *waiting) : NULL;
    if (!waiting) {
        api_error(request, HTTP_SERVUNAVAIL, "too many devices are being read");
        return;
    }
    mono_time now = clock_mono();
    *waiting = (struct waiting){.reads = reads,
                                .request = request,
                                .device = device,
                                .since = now,
                                .deadline = clock_after_ms(now, PATIENCE_MS)};
    LIST_INSERT_HEAD(&reads->waiting, waiting, link);
    if (reads->count++ == 0)
        event_add(reads->timer, &period);
    evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_close, waiting);
    line_poll_now(api->rooms.lines[settings->devices[device].line],
                  api->rooms.setup->of_line[device]);
}
