/* The whole daemon in one struct. Only main.c, reload.c, rebuild.c and house.c know every room. */
#ifndef LIFELINE_HOUSE_H
#define LIFELINE_HOUSE_H

#include <pthread.h>

#include "gateway/api/api.h"

struct house {
    const char *config;
    const struct setup_path *profiles;
    mono_time started;
    struct store *store;
    struct pipeline *pipeline;
    /* What a reload replaces. The uplinks' threads look at it, too: the main thread changes it
     * under the mutex, and reads it without. */
    pthread_mutex_t mutex;
    struct setup *setup;
    struct latest *latest;
    struct line **lines;     /* [line of the settings] */
    struct uplink **uplinks; /* [uplink of the settings] */

    struct event_base *base;
    struct api *api;
    struct api_reloads reloads;
};

/* What every room says, for the state that an uplink sends; `context` is the house. Runs in the
 * uplink's thread. */
void house_gather(void *context, struct presence *out);

/* Everybody the API asks, as they are now. */
struct api_rooms house_rooms(const struct house *house);

#endif
