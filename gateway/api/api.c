/* The HTTP server on the unix socket: which path is answered by which function.
 *
 * Main thread, in its event loop; nothing here blocks, whatever a client does. Owns the server and
 * its socket file. Bodies and headers are bounded, unknown paths and methods are told so in JSON.
 * Never changes anything but to ask a line for a reading. */
#include "gateway/api/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>

enum { BODY_MAX = 4096, HEADERS_MAX = 8192, IDLE_SECONDS = 60 };

static const int methods = EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT |
                           EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH;

void api_reply(struct evhttp_request *request, int code, json_t *body)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(body);
    evhttp_add_header(headers, "Content-Type", "application/json");
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

static void status(struct api *api, struct evhttp_request *request)
{
    const struct settings_gateway *gateway = &api->rooms.setup->settings->gateway;
    api_reply(request, HTTP_OK,
              json_pack("{s:s, s:s}", "id", gateway->id, "version", LIFELINE_VERSION));
}

static void on_request(struct evhttp_request *request, void *context)
{
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    if (path && strcmp(path, "/v1/status") == 0)
        status(context, request);
    else
        api_error(request, HTTP_NOTFOUND, "no such path");
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
    api->http = evhttp_new(base);
    if (!api->http)
        goto failed;
    evhttp_set_allowed_methods(api->http, (ev_uint16_t)methods);
    evhttp_set_max_body_size(api->http, BODY_MAX);
    evhttp_set_max_headers_size(api->http, HEADERS_MAX);
    evhttp_set_timeout(api->http, IDLE_SECONDS);
    evhttp_set_gencb(api->http, on_request, api);
    int fd = socket_listen(rooms->setup->settings->api.socket, why, why_size);
    if (fd < 0)
        goto failed;
    if (!evhttp_accept_socket_with_handle(api->http, fd)) {
        close(fd);
        goto failed;
    }
    return api;
failed:
    if (api->http)
        evhttp_free(api->http);
    free(api);
    return NULL;
}

void api_free(struct api *api)
{
    if (!api)
        return;
    (void)unlink(api->rooms.setup->settings->api.socket);
    evhttp_free(api->http);
    free(api);
}
