/* The HTTP server on the unix socket: which path is answered by which function.
 *
 * Main thread, in its event loop; nothing here blocks, whatever a client does. Owns the server and
 * its socket file. Bodies and headers are bounded, unknown paths and methods are told so in JSON.
 * Never changes anything but to ask a line for a reading or a probe's question, and to pass on what
 * people say of alarms. */
#include "gateway/api/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/listener.h>

#include "gateway/log.h"

enum { BODY_MAX = 4096, HEADERS_MAX = 8192, IDLE_SECONDS = 60, NAME_MAX_BYTES = 128 };

static bool deaf; /* a client waits for a descriptor; the log says so once */

struct route {
    const char *path; /* at most one *, which stands for a name */
    enum evhttp_cmd_type method;
    api_handler answer;
};

static const struct route routes[] = {
    {"/v1/status", EVHTTP_REQ_GET, status_gateway},
    {"/v1/lines", EVHTTP_REQ_GET, status_lines},
    {"/v1/devices", EVHTTP_REQ_GET, inventory_devices},
    {"/v1/points", EVHTTP_REQ_GET, inventory_points},
    {"/v1/latest", EVHTTP_REQ_GET, reading_latest},
    {"/v1/events", EVHTTP_REQ_GET, events_subscribe},
    {"/v1/history", EVHTTP_REQ_GET, history_answer},
    {"/v1/alarms", EVHTTP_REQ_GET, alarms_list},
    {"/v1/alarms/history", EVHTTP_REQ_GET, steps_answer},
    {"/v1/alarms/*/ack", EVHTTP_REQ_POST, alarms_ack},
    {"/v1/reports", EVHTTP_REQ_GET, reports_list},
    {"/v1/maintenance", EVHTTP_REQ_POST, alarms_maintain},
    {"/v1/devices/*/read", EVHTTP_REQ_POST, reads_device},
    {"/v1/lines/*", EVHTTP_REQ_GET, asks_line},
    {"/v1/lines/*/ask", EVHTTP_REQ_POST, asks_ask},
    {"/metrics", EVHTTP_REQ_GET, metrics_all},
};

/* Those that libevent hands on; whatever else it refuses itself. */
static const int methods = EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                           EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH;

void api_reply(struct evhttp_request *request, int code, json_t *body)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(body);
    evhttp_add_header(headers, "Content-Type", "application/json");
    evhttp_add_header(headers, "Cache-Control", "no-store");
    if (text)
        evbuffer_add_printf(evhttp_request_get_output_buffer(request), "%s\n", text);
    else
        code = HTTP_INTERNAL;
    evhttp_send_reply(request, code, NULL, NULL);
    free(text);
}

void api_error(struct evhttp_request *request, int code, const char *text)
{
    api_reply(request, code, json_pack("{s:s}", "error", text));
}

bool api_parse(struct evhttp_request *request, struct evkeyvalq *query)
{
    const char *text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
    if (evhttp_parse_query_str(text ? text : "", query) == 0)
        return true;
    api_error(request, HTTP_BADREQUEST, "malformed query");
    return false;
}

bool api_query(struct api *api, struct evhttp_request *request, struct evkeyvalq *query)
{
    const struct settings *settings = api->rooms.setup->settings;
    if (!api_parse(request, query))
        return false;
    for (size_t d = 0; d < settings->device_count; d++) {
        const struct settings_device *device = &settings->devices[d];
        for (size_t p = 0; p < device->profile->point_count; p++) {
            if (reading_wanted(query, device->name, device->profile->points[p].name))
                return true;
        }
    }
    bool any = evhttp_find_header(query, "point") != NULL;
    if (any) {
        evhttp_clear_headers(query);
        api_error(request, HTTP_NOTFOUND, "no point matches");
    }
    return !any;
}

/* name receives what stands for the *; "" when there is none. */
static bool path_fits(const char *pattern, const char *path, char *name, size_t name_size)
{
    const char *star = strchr(pattern, '*');
    name[0] = '\0';
    if (!star)
        return strcmp(pattern, path) == 0;
    size_t before = (size_t)(star - pattern);
    if (strncmp(pattern, path, before) != 0)
        return false;
    size_t length = strcspn(path + before, "/");
    if (length == 0 || length >= name_size || strcmp(path + before + length, star + 1) != 0)
        return false;
    memcpy(name, path + before, length);
    name[length] = '\0';
    return true;
}

static void refuse_method(struct evhttp_request *request, enum evhttp_cmd_type method)
{
    evhttp_add_header(evhttp_request_get_output_headers(request), "Allow",
                      method == EVHTTP_REQ_POST ? "POST" : "GET");
    api_error(request, HTTP_BADMETHOD, "this path has another method");
}

static void on_request(struct evhttp_request *request, void *context)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
    char name[NAME_MAX_BYTES];
    deaf = false;
    for (size_t i = 0; path && i < sizeof routes / sizeof *routes; i++) {
        const struct route *route = &routes[i];
        if (!path_fits(route->path, path, name, sizeof name))
            continue;
        if (evhttp_request_get_command(request) == route->method)
            route->answer(context, request, name);
        else
            refuse_method(request, route->method);
        return;
    }
    api_error(request, HTTP_NOTFOUND, "no such path");
}

static void listen_again(evutil_socket_t none, short events, void *listener)
{
    (void)none;
    (void)events;
    evconnlistener_enable(listener);
}

/* Out of descriptors: the client waits in the kernel, where it would wake the loop for ever. */
static void on_accept_failed(struct evconnlistener *listener, void *http)
{
    static const struct timeval second = {1, 0};
    (void)http;
    if (!deaf)
        log_warning("api: a client has to wait: %s", strerror(errno));
    deaf = true;
    if (event_base_once(evconnlistener_get_base(listener), -1, EV_TIMEOUT, listen_again, listener,
                        &second) == 0)
        evconnlistener_disable(listener);
}

static bool serve(struct api *api, char *why, size_t why_size)
{
    api->http = evhttp_new(api->base);
    if (!api->http)
        return false;
    evhttp_set_allowed_methods(api->http, (ev_uint16_t)methods);
    evhttp_set_max_body_size(api->http, BODY_MAX);
    evhttp_set_max_headers_size(api->http, HEADERS_MAX);
    evhttp_set_timeout(api->http, IDLE_SECONDS);
    evhttp_set_gencb(api->http, on_request, api);
    int fd = socket_listen(api->rooms.setup->settings->api.socket, why, why_size);
    if (fd < 0)
        return false;
    struct evhttp_bound_socket *bound = evhttp_accept_socket_with_handle(api->http, fd);
    if (bound) {
        evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(bound), on_accept_failed);
        return true;
    }
    close(fd);
    (void)unlink(api->rooms.setup->settings->api.socket);
    return false;
}

static void take_down(struct api *api)
{
    events_free(api->events);
    reads_free(api->reads);
    scans_free(api->scans);
    asks_free(api->asks);
    if (api->http)
        evhttp_free(api->http);
    free(api->values);
    free(api);
}

bool api_has_line(const struct api *api, const struct line *line)
{
    size_t l = 0;
    while (l < api->rooms.setup->settings->line_count && api->rooms.lines[l] != line)
        l++;
    return l < api->rooms.setup->settings->line_count;
}

/* Scratch never shrinks. */
bool api_reserve(struct api *api, const struct plan *plan)
{
    size_t points = api->value_count;
    for (size_t b = 0; b < plan->block_count; b++) {
        if (plan->blocks[b].point_count > points)
            points = plan->blocks[b].point_count;
    }
    struct value *values = realloc(api->values, (points + 1) * sizeof *values);
    if (!values)
        return false;
    api->values = values;
    api->value_count = points;
    return events_reserve(api->events, plan->block_count);
}

void api_rebind(struct api *api, const struct api_rooms *rooms, const uint32_t *from)
{
    const struct api_rooms before = api->rooms;
    api->rooms = *rooms;
    asks_rebind(api->asks);
    reads_rebind(api->reads, &before);
    events_rebind(api->events, before.setup->plan->block_count, from);
}

struct api *api_new(struct event_base *base, const struct api_rooms *rooms, char *why,
                    size_t why_size)
{
    struct api *api = calloc(1, sizeof *api);
    snprintf(why, why_size, "api: out of memory");
    if (!api)
        return NULL;
    api->base = base;
    api->rooms = *rooms;
    api->events = events_new(api);
    api->reads = reads_new(api);
    api->scans = scans_new(api);
    api->asks = asks_new(api);
    if (api->events && api->reads && api->scans && api->asks &&
        api_reserve(api, rooms->setup->plan) && serve(api, why, why_size))
        return api;
    take_down(api);
    return NULL;
}

void api_free(struct api *api)
{
    if (!api)
        return;
    (void)unlink(api->rooms.setup->settings->api.socket);
    take_down(api);
}
