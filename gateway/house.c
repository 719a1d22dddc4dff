/* What the rooms of the daemon want to know of each other, put together.
 *
 * What an uplink asks is answered in its thread, the rest in the main thread. Owns nothing: the
 * house is main()'s, and a reload replaces parts of it under the house's mutex.
 * Never starts or stops anything (main.c and reload.c do). */
#include "gateway/house.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/clock_state.h"

static struct presence_line line_of(struct line *line)
{
    struct line_status status;
    line_status(line, &status);
    const struct tally *tally = &status.tally;
    return (struct presence_line){
        .load_percent = status.load_percent,
        .devices = status.devices,
        .silent = status.silent,
        .slipping = status.slipping,
        .requests = tally->requests,
        .good = tally->good,
        .timeout = tally->timeout,
        .exception = tally->exception,
        .garbled = tally->garbled,
        .link = tally->link,
        .late = tally->late,
        .foreign = tally->foreign,
        .slipped = status.slipped,
        .round_trip_p50_us = tally_percentile_us(tally, 50),
        .round_trip_p99_us = tally_percentile_us(tally, 99),
    };
}

/* An uplink that has not taken over the newest settings yet has no room for what they say. */
static void gather(void *context, struct presence *out)
{
    struct house *house = context;
    pthread_mutex_lock(&house->mutex);
    const struct settings *settings = house->setup->settings;
    if (out->settings == settings) {
        out->started = house->started;
        out->clock = clock_state_now(settings->gateway.trusted_rtc);
        store_status(house->store, &out->store);
        for (size_t u = 0; u < settings->uplink_count; u++)
            store_backlog(house->store, uplink_place(house->uplinks[u]), &out->backlogs[u]);
        for (size_t l = 0; l < settings->line_count; l++)
            out->lines[l] = line_of(house->lines[l]);
    }
    pthread_mutex_unlock(&house->mutex);
}

static bool is_up(struct lane *lane, const char *id)
{
    struct lane_event *event = malloc(sizeof *event);
    bool found = event && lane_find(lane, id, event);
    free(event);
    return found;
}

enum command_ack house_ack(void *context, const struct command_ack_order *order)
{
    const struct house *house = context;
    struct desk_order out = {.kind = DESK_ACK};
    alarm_cut(out.id, sizeof out.id, order->alarm);
    alarm_cut(out.actor, sizeof out.actor, order->actor);
    alarm_cut(out.note, sizeof out.note, order->note);
    if (!is_up(house->lane, order->alarm))
        return COMMAND_ACK_UNKNOWN;
    return pipeline_order(house->pipeline, &out) ? COMMAND_ACK_TAKEN : COMMAND_ACK_BUSY;
}

struct uplink_rooms house_uplink_rooms(struct house *house)
{
    return (struct uplink_rooms){.store = house->store,
                                 .lane = house->lane,
                                 .gather = gather,
                                 .ack = house_ack,
                                 .context = house};
}

static void boost(void *context, uint32_t place, uint32_t every_ms)
{
    line_boost(context, place, every_ms);
}

static void ask_now(void *context, uint32_t place)
{
    line_poll_now(context, place);
}

void house_attach(const struct house *house, struct line *line)
{
    const struct desk_asker asker = {boost, ask_now, line};
    pipeline_attach(house->pipeline, line_number(line), &asker);
}

void house_release(const struct house *house, struct line *line)
{
    pipeline_attach(house->pipeline, line_number(line), NULL);
}

struct api_rooms house_rooms(const struct house *house)
{
    return (struct api_rooms){
        .setup = house->setup,
        .started = house->started,
        .lines = house->lines,
        .uplinks = house->uplinks,
        .pipeline = house->pipeline,
        .latest = house->latest,
        .store = house->store,
        .lane = house->lane,
        .reloads = &house->reloads,
    };
}
