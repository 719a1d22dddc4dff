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

struct api_reloads {
    uint64_t done, refused; /* since start */
};

/* Everybody the API asks; all of it must outlive the API. */
struct api_rooms {
    const struct setup *setup;
    mono_time started;
    struct line **lines;     /* [settings->line_count] */
    struct uplink **uplinks; /* [settings->uplink_count] */
    struct pipeline *pipeline;
    struct latest *latest;
    struct store *store;
    struct lane *lane;
    const struct api_reloads *reloads;
};

struct api;

/* Listens on settings->api.socket. NULL with the reason in why. */
struct api *api_new(struct event_base *base, const struct api_rooms *rooms, char *why,
                    size_t why_size);

/* Makes room for that plan, too: api_rebind() to it then cannot fail. */
bool api_reserve(struct api *api, const struct plan *plan) __attribute__((warn_unused_result));

/* Goes over to other rooms (a reload); those of before may be freed afterwards. Who waits for a
 * line or a device that is not what it was is told so, event streams go on. from[block] is the
 * block of the old plan (plan_diff_carry()). */
void api_rebind(struct api *api, const struct api_rooms *rooms, const uint32_t *from);

/* Closes every connection and removes the socket. */
void api_free(struct api *api);

#endif
