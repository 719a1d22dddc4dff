/* Builds the GatewayState message out of what the rooms report.
 * Pure; runs in the uplink threads, each with its own struct presence. Owns nothing: the message
 * points into the settings and into arrays on the stack.
 * Never asks a room itself. */
#include "gateway/uplink/presence.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/boot.h"
#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"

enum { REFUSED_MAX = SECTOR_COUNT };

/* Everything a state points to, in one piece. */
struct scratch {
    Lifeline__V1__StreamEnd ends[SECTOR_COUNT], previous[SECTOR_COUNT];
    Lifeline__V1__StreamEnd *end_list[SECTOR_COUNT], *previous_list[SECTOR_COUNT];
    Lifeline__V1__StoreState store;
    Lifeline__V1__Position position;
    Lifeline__V1__UplinkState *uplinks, **uplink_list;
    Lifeline__V1__LineState *lines, **line_list;
    Lifeline__V1__Sector (*refused)[SECTOR_COUNT];
};

static size_t fill_ends(const struct store_end *ends, Lifeline__V1__StreamEnd *out,
                        Lifeline__V1__StreamEnd **list)
{
    size_t count = 0;
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        if (!ends[sector].last_seq)
            continue;
        lifeline__v1__stream_end__init(&out[count]);
        out[count].sector = (Lifeline__V1__Sector)sector;
        out[count].last_seq = ends[sector].last_seq;
        out[count].settled_seq = ends[sector].settled_seq;
        list[count] = &out[count];
        count++;
    }
    return count;
}

static void fill_store(const struct store_status *status, Lifeline__V1__StoreState *out)
{
    lifeline__v1__store_state__init(out);
    out->mode = (Lifeline__V1__StoreMode)status->mode;
    out->bytes = status->bytes;
    out->quota_bytes = status->quota_bytes;
    out->hours_left = status->hours_left;
    out->flash_bytes_day = status->flash_bytes_day;
}

static void fill_uplinks(const struct presence *presence, struct scratch *scratch)
{
    for (size_t u = 0; u < presence->settings->uplink_count; u++) {
        Lifeline__V1__UplinkState *out = &scratch->uplinks[u];
        const struct store_backlog *backlog = &presence->backlogs[u];
        lifeline__v1__uplink_state__init(out);
        out->name = presence->settings->uplinks[u].name;
        out->backlog_readings = backlog->readings;
        out->oldest_ms = backlog->oldest_ms;
        out->refused = scratch->refused[u];
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            if (backlog->refused[sector])
                out->refused[out->n_refused++] = (Lifeline__V1__Sector)sector;
        }
        scratch->uplink_list[u] = out;
    }
}

static void fill_lines(const struct presence *presence, struct scratch *scratch)
{
    for (size_t l = 0; l < presence->settings->line_count; l++) {
        Lifeline__V1__LineState *out = &scratch->lines[l];
        const struct presence_line *line = &presence->lines[l];
        lifeline__v1__line_state__init(out);
        out->name = presence->settings->lines[l].name;
        out->load_percent = line->load_percent;
        out->devices = line->devices;
        out->silent = line->silent;
        out->requests = line->requests;
        out->good = line->good;
        out->timeout = line->timeout;
        out->exception = line->exception;
        out->garbled = line->garbled;
        out->late = line->late;
        out->foreign = line->foreign;
        out->link = line->link;
        out->round_trip_p50_us = line->round_trip_p50_us;
        out->round_trip_p99_us = line->round_trip_p99_us;
        out->slipped = line->slipped;
        out->slipping = line->slipping;
        scratch->line_list[l] = out;
    }
}

static void fill_gateway(const struct presence *presence, Lifeline__V1__GatewayState *state,
                         Lifeline__V1__Position *position)
{
    const struct settings_gateway *gateway = &presence->settings->gateway;
    mono_time now = clock_mono();
    state->gateway = gateway->id;
    state->region = gateway->region;
    state->name = gateway->name;
    state->version = (char *)(uintptr_t)LIFELINE_VERSION;
    state->at_ms = clock_wall().ms;
    state->boot = boot_id();
    state->clock = (Lifeline__V1__ClockState)presence->clock;
    state->wall_minus_mono_ms = state->at_ms - clock_mono_ms(now);
    state->uptime_s = (uint64_t)clock_ms_between(presence->started, now) / 1000;
    state->epoch = presence->store.epoch;
    state->previous_epoch = presence->store.previous_epoch;
    if (!gateway->position.present)
        return;
    lifeline__v1__position__init(position);
    position->longitude = gateway->position.longitude;
    position->latitude = gateway->position.latitude;
    position->crs = (Lifeline__V1__Crs)gateway->crs;
    state->position = position;
}

static bool scratch_make(const struct presence *presence, struct scratch *scratch)
{
    size_t uplinks = presence->settings->uplink_count, lines = presence->settings->line_count;
    *scratch = (struct scratch){0};
    scratch->uplinks = calloc(uplinks + 1, sizeof *scratch->uplinks);
    scratch->uplink_list = calloc(uplinks + 1, sizeof *scratch->uplink_list);
    scratch->refused = calloc(uplinks + 1, sizeof *scratch->refused);
    scratch->lines = calloc(lines + 1, sizeof *scratch->lines);
    scratch->line_list = calloc(lines + 1, sizeof *scratch->line_list);
    return scratch->uplinks && scratch->uplink_list && scratch->refused && scratch->lines &&
           scratch->line_list;
}

static void scratch_free(struct scratch *scratch)
{
    free(scratch->uplinks);
    free(scratch->uplink_list);
    free(scratch->refused);
    free(scratch->lines);
    free(scratch->line_list);
}

size_t presence_pack(const struct presence *presence, size_t uplink, bool online, uint8_t *out,
                     size_t capacity)
{
    struct scratch scratch;
    Lifeline__V1__GatewayState state = LIFELINE__V1__GATEWAY_STATE__INIT;
    size_t length = 0;
    if (scratch_make(presence, &scratch)) {
        fill_gateway(presence, &state, &scratch.position);
        fill_store(&presence->store, &scratch.store);
        fill_uplinks(presence, &scratch);
        fill_lines(presence, &scratch);
        state.online = online;
        state.uplink = presence->settings->uplinks[uplink].name;
        state.store = &scratch.store;
        state.n_ends = fill_ends(presence->backlogs[uplink].ends, scratch.ends, scratch.end_list);
        state.ends = scratch.end_list;
        state.n_previous_ends = fill_ends(presence->backlogs[uplink].previous_ends,
                                          scratch.previous, scratch.previous_list);
        state.previous_ends = scratch.previous_list;
        state.n_uplinks = presence->settings->uplink_count;
        state.uplinks = scratch.uplink_list;
        state.n_lines = presence->settings->line_count;
        state.lines = scratch.line_list;
        length = message_pack(&state.base, out, capacity);
    }
    scratch_free(&scratch);
    return length;
}

static uint64_t mix(uint64_t digest, uint64_t number)
{
    return (digest ^ number) * UINT64_C(0x9e3779b97f4a7c15);
}

uint64_t presence_digest(const struct presence *presence)
{
    uint64_t digest = mix(presence->store.epoch, (uint64_t)presence->clock);
    digest = mix(digest, (uint64_t)presence->store.mode);
    for (size_t l = 0; l < presence->settings->line_count; l++) {
        digest = mix(digest, presence->lines[l].silent);
        /* That it slips, not how many: near its limit their number changes every second. */
        digest = mix(digest, presence->lines[l].slipping > 0);
    }
    for (size_t u = 0; u < presence->settings->uplink_count; u++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++)
            digest = mix(digest, presence->backlogs[u].refused[sector]);
    }
    return digest;
}
