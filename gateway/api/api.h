/* The local API: HTTP on a unix socket, JSON out, server-sent events. Main thread, in its event
 * loop. */
#ifndef LIFELINE_API_H
#define LIFELINE_API_H

#include <event2/event.h>

#include "drivers/setup.h"
#include "gateway/flow/latest.h"
#include "gateway/flow/pipeline.h"
#include "gateway/poll/line.h"
#include "gateway/store/store.h"
#include "gateway/uplink/uplink.h"

/* Everybody the API asks; all of it must outlive the API. */
struct api_rooms {
    const struct setup *setup;
    mono_time started;
    struct line **lines;     /* [settings->line_count] */
    struct uplink **uplinks; /* [settings->uplink_count] */
    struct pipeline *pipeline;
    struct latest *latest;
    struct store *store;
};

struct api;

/* Listens on settings->api.socket. NULL with the reason in why. */
struct api *api_new(struct event_base *base, const struct api_rooms *rooms, char *why,
                    size_t why_size);

/* Closes every connection and removes the socket. */
void api_free(struct api *api);

#endif
