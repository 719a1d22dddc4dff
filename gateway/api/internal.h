/* What the files of the API share among themselves. Nobody else includes it. */
#ifndef LIFELINE_API_INTERNAL_H
#define LIFELINE_API_INTERNAL_H

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>

#include "gateway/api/api.h"
#include "proto/names.h"

struct alarm_event;
struct asks;
struct events;
struct reads;
struct scans;

struct api {
    struct event_base *base;
    struct api_rooms rooms;
    struct evhttp *http;
    struct events *events;
    struct reads *reads;
    struct scans *scans;
    struct asks *asks;
    struct value *values; /* scratch: as many as any block has */
    size_t value_count;
};

/* Answers with JSON; takes the reference. NULL stands for "out of memory". */
void api_reply(struct evhttp_request *request, int code, json_t *body);

/* A line of the rooms. */
bool api_has_line(const struct api *api, const struct line *line);

/* Answers {"error": text}. */
void api_error(struct evhttp_request *request, int code, const char *text);

/* The request's query, to be freed with evhttp_clear_headers(). False: it is malformed, and has
 * been answered. */
bool api_parse(struct evhttp_request *request, struct evkeyvalq *query)
    __attribute__((warn_unused_result));

/* The same; false also when its `point` patterns match nothing; then it has
 * been answered. Otherwise free it with evhttp_clear_headers(). */
bool api_query(struct api *api, struct evhttp_request *request, struct evkeyvalq *query)
    __attribute__((warn_unused_result));

/* How a path is answered; `name` is what stands for the * of the route's path. */
typedef void (*api_handler)(struct api *api, struct evhttp_request *request, const char *name);

/* status.c: how everybody does */
void status_gateway(struct api *api, struct evhttp_request *request, const char *name);
void status_lines(struct api *api, struct evhttp_request *request, const char *name);
const char *status_store_mode(enum store_mode mode); /* "ok", "memory", ... */

/* metrics.c: the same for Prometheus */
void metrics_all(struct api *api, struct evhttp_request *request, const char *name);

/* inventory.c: what is configured */
void inventory_devices(struct api *api, struct evhttp_request *request, const char *name);
void inventory_points(struct api *api, struct evhttp_request *request, const char *name);

/* reports.c: rain events of catchments */
void reports_list(struct api *api, struct evhttp_request *request, const char *name);

/* alarms.c: what is up, and what people want of it */
struct alarms_filter {
    unsigned level;     /* this one and worse; 0 = any */
    enum sector sector; /* SECTOR_UNSPECIFIED = any */
};
/* level and sector of a query; false: they are none, and that has been answered. */
bool alarms_filter(struct evhttp_request *request, const struct evkeyvalq *query,
                   struct alarms_filter *out) __attribute__((warn_unused_result));
void alarms_list(struct api *api, struct evhttp_request *request, const char *name);
void alarms_ack(struct api *api, struct evhttp_request *request, const char *name);
void alarms_maintain(struct api *api, struct evhttp_request *request, const char *name);

/* reading.c: values as JSON, the same in /v1/latest, /v1/events and a device that is read now */
void reading_latest(struct api *api, struct evhttp_request *request, const char *name);

/* True when one of the query's `point` patterns matches "device" or "device.point", or when there
 * is none. */
bool reading_wanted(const struct evkeyvalq *query, const char *device, const char *point);

/* Appends an object for each wanted point of a block; query may be NULL. */
void reading_append(struct api *api, uint32_t block, const struct evkeyvalq *query, mono_time now,
                    json_t *out);

/* Milliseconds since then, or null for never. */
json_t *reading_age(mono_time then, mono_time now);

/* events.c: server-sent events */
struct events *events_new(struct api *api);
bool events_reserve(struct events *events, size_t blocks);
void events_rebind(struct events *events, size_t blocks_before, const uint32_t *from);
void events_free(struct events *events);
void events_subscribe(struct api *api, struct evhttp_request *request, const char *name);

/* reads.c: devices that are read now */
struct reads *reads_new(struct api *api);
void reads_rebind(struct reads *reads, const struct api_rooms *before);
void reads_free(struct reads *reads);
void reads_device(struct api *api, struct evhttp_request *request, const char *name);

/* scan.c: answers out of the store */
struct scans *scans_new(struct api *api);
void scans_free(struct scans *scans);

/* history.c: readings */
void history_answer(struct api *api, struct evhttp_request *request, const char *name);

/* steps.c: what alarms went through */
void steps_answer(struct api *api, struct evhttp_request *request, const char *name);

/* asks.c: questions on a line, for a probe */
struct asks *asks_new(struct api *api);
void asks_rebind(struct asks *asks);
void asks_free(struct asks *asks);
void asks_line(struct api *api, struct evhttp_request *request, const char *name);
void asks_ask(struct api *api, struct evhttp_request *request, const char *name);

/* The question in a body; false with what is wrong with it. */
bool asks_parse(const json_t *body, const struct settings_line *line, struct line_question *out,
                char *why, size_t why_size) __attribute__((warn_unused_result));

/* socket.c: a listening descriptor, or -1 with the reason in why. */
int socket_listen(const char *path, char *why, size_t why_size) __attribute__((warn_unused_result));

#endif
