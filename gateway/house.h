/* The whole daemon in one struct. Only main.c, reload.c, rebuild.c and house.c know every room. */
#ifndef LIFELINE_HOUSE_H
#define LIFELINE_HOUSE_H

#include <pthread.h>

#include "gateway/api/api.h"

struct house {
    const char *config;
    const struct setup_path *profiles;
    mono_time started;
    struct lane *lane;
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

/* What an uplink asks of the other rooms. */
struct uplink_rooms house_uplink_rooms(struct house *house);

/* A person takes an alarm; any thread. */
enum command_ack house_ack(void *context, const struct command_ack_order *order);

/* The pipeline tells the line what alarms want of its devices, until it is let go. */
void house_attach(const struct house *house, struct line *line);
void house_release(const struct house *house, struct line *line);

/* Everybody the API asks, as they are now. */
struct api_rooms house_rooms(const struct house *house);

#endif
