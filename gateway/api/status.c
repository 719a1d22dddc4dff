/* How everybody does: /v1/status and /v1/lines.
 *
 * Main thread. Asks every room for its own figures and writes them down as JSON; owns nothing,
 * keeps nothing. Times are UTC milliseconds, ages and durations are milliseconds of monotonic time.
 */
#include "gateway/api/internal.h"

#include "gateway/lane.h"

#include <math.h>

#include "gateway/clock_state.h"
#include "gateway/store/card.h"
#include "gateway/watchdog.h"

const char *status_store_mode(enum store_mode mode)
{
    switch (mode) {
    case STORE_MODE_OK:
        return "ok";
    case STORE_MODE_MEMORY:
        return "memory";
    case STORE_MODE_READ_ONLY:
        return "read_only";
    case STORE_MODE_FULL:
        return "full";
    }
    return "unknown";
}

static json_t *gateway(const struct api_rooms *rooms, mono_time now)
{
    const struct settings_gateway *own = &rooms->setup->settings->gateway;
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:I, s:I, s:I}", "id", own->id, "region",
                     own->region, "name", own->name, "version", LIFELINE_VERSION, "uptime_ms",
                     reading_age(rooms->started, now), "clock",
                     names_clock_state(clock_state_now(own->trusted_rtc)), "time_ms",
                     (json_int_t)clock_wall().ms, "reloads", (json_int_t)rooms->reloads->done,
                     "reloads_refused", (json_int_t)rooms->reloads->refused);
}

static void add_name(void *names, const char *name)
{
    json_array_append_new(names, json_string(name));
}

static json_t *watchdog(void)
{
    json_t *hanging = json_array();
    watchdog_hanging(add_name, hanging);
    return json_pack("{s:o}", "hanging", hanging);
}

/* The flash under the store; what is not known is null. */
static json_t *card(const struct store_status *s)
{
    json_t *worn = s->card_worn_percent < 0 ? json_null() : json_integer(s->card_worn_percent);
    json_t *years = s->card_years < 0 ? json_null() : json_real(round(s->card_years * 10) / 10);
    return json_pack(
        "{s:s?, s:o, s:o, s:o, s:i, s:i}", "name", s->card_name[0] ? s->card_name : NULL, "bytes",
        s->card_bytes ? json_integer((json_int_t)s->card_bytes) : json_null(), "worn_percent", worn,
        "years", years, "counted_cycles", CARD_CYCLES, "counted_amplification", CARD_AMPLIFICATION);
}

static json_t *store(const struct api_rooms *rooms)
{
    struct store_status s;
    store_status(rooms->store, &s);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I}",
                     "mode", status_store_mode(s.mode), "epoch", (json_int_t)s.epoch, "bytes",
                     (json_int_t)s.bytes, "quota_bytes", (json_int_t)s.quota_bytes, "commits",
                     (json_int_t)s.commits, "failed_commits", (json_int_t)s.failed_commits,
                     "readings", (json_int_t)s.readings, "flash_bytes", (json_int_t)s.flash_bytes,
                     "flash_bytes_day", (json_int_t)s.flash_bytes_day, "hours_left",
                     (json_int_t)s.hours_left, "corrupt", (json_int_t)s.corrupt, "gaps",
                     (json_int_t)s.gaps, "card", card(&s), "held", (json_int_t)s.held, "held_ms",
                     (json_int_t)s.held_ms);
}

static json_t *pipeline(const struct api_rooms *rooms)
{
    struct pipeline_status s;
    pipeline_status(rooms->pipeline, &s);
    return json_pack("{s:I, s:I, s:I, s:I}", "samples", (json_int_t)s.samples, "readings",
                     (json_int_t)s.readings, "skipped", (json_int_t)s.skipped, "overload",
                     (json_int_t)s.overload);
}

static json_t *sectors(const bool chosen[SECTOR_COUNT])
{
    json_t *out = json_array();
    for (int sector = SECTOR_GAS; sector < SECTOR_COUNT; sector++) {
        if (chosen[sector])
            json_array_append_new(out, json_string(names_sector((enum sector)sector)));
    }
    return out;
}

static json_t *backlog(const struct api_rooms *rooms, size_t index)
{
    struct store_backlog s;
    store_backlog(rooms->store, uplink_place(rooms->uplinks[index]), &s);
    return json_pack("{s:I, s:o, s:o, s:I, s:I}", "readings", (json_int_t)s.readings, "oldest_ms",
                     s.oldest_ms ? json_integer(s.oldest_ms) : json_null(), "refused",
                     sectors(s.refused), "set_aside", (json_int_t)s.set_aside, "alarms",
                     (json_int_t)s.alarms);
}

static json_t *uplink(const struct api_rooms *rooms, size_t index, mono_time now)
{
    const struct settings_uplink *own = &rooms->setup->settings->uplinks[index];
    struct uplink_status s;
    uplink_status(rooms->uplinks[index], &s);
    const struct settings_url *url = &own->urls[s.url < own->url_count ? s.url : 0];
    const char *version = !s.connected ? NULL : s.mqtt_version == 5 ? "5" : "3.1.1";
    json_t *why = json_string(s.why); /* a broker's words may be no UTF-8 */
    json_t *last_why = json_string(s.last_why);
    return json_pack("{s:s, s:b, s:s?, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o,"
                     " s:o, s:o}",
                     "name", own->name, "connected", s.connected, "mqtt", version, "url",
                     json_sprintf("%s://%s:%u", url->tls ? "mqtts" : "mqtt", url->host, url->port),
                     "since_age_ms", reading_age(s.since, now), "connects", (json_int_t)s.connects,
                     "batches", (json_int_t)s.batches, "readings", (json_int_t)s.readings, "bytes",
                     (json_int_t)s.bytes, "refused", (json_int_t)s.refused, "no_subscriber",
                     (json_int_t)s.no_subscriber, "alarms", (json_int_t)s.alarms, "reports",
                     (json_int_t)s.reports, "alarms_refused", sectors(s.alarms_rest), "why",
                     why ? why : json_null(), "last_why", last_why ? last_why : json_null(),
                     "backlog", backlog(rooms, index));
}

/* What is up by level; events are steps since the start, lost ones for want of memory. */
static json_t *alarms(const struct api_rooms *rooms)
{
    struct lane_status s;
    json_t *out = json_object();
    lane_status(rooms->lane, &s);
    for (unsigned level = LEVEL_RED; level < LEVEL_COUNT; level++)
        json_object_set_new(out, names_level((enum level)level), json_integer(s.up[level]));
    json_object_set_new(out, "events", json_integer((json_int_t)s.events));
    json_object_set_new(out, "lost", json_integer((json_int_t)s.lost));
    return out;
}

static json_t *counts(const struct tally *c)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "requests",
                     (json_int_t)c->requests, "good", (json_int_t)c->good, "timeout",
                     (json_int_t)c->timeout, "exception", (json_int_t)c->exception, "garbled",
                     (json_int_t)c->garbled, "link", (json_int_t)c->link, "late",
                     (json_int_t)c->late, "foreign", (json_int_t)c->foreign);
}

static json_t *round_trip(const struct tally *tally, unsigned percent)
{
    uint32_t us = tally_percentile_us(tally, percent);
    return us ? json_integer(us) : json_null();
}

static json_t *values(const struct tally *tally)
{
    json_t *out = json_object();
    for (int quality = 0; quality < TALLY_QUALITIES; quality++) {
        if (tally->values[quality])
            json_object_set_new(out, names_quality((enum quality)quality),
                                json_integer((json_int_t)tally->values[quality]));
    }
    return out;
}

/* What a line and a device have in common. Returns out. */
static json_t *tell_tally(json_t *out, const struct tally *tally)
{
    json_object_set_new(out, "counts", counts(tally));
    json_object_set_new(out, "values", values(tally));
    json_object_set_new(out, "round_trip_p50_us", round_trip(tally, 50));
    json_object_set_new(out, "round_trip_p99_us", round_trip(tally, 99));
    return out;
}

static json_t *line(const struct api_rooms *rooms, size_t index)
{
    const struct settings_line *own = &rooms->setup->settings->lines[index];
    struct line_status s;
    line_status(rooms->lines[index], &s);
    json_t *place = own->transport == TRANSPORT_RTU ? json_string(own->device)
                                                    : json_sprintf("%s:%u", own->host, own->port);
    json_t *out =
        json_pack("{s:s, s:s, s:o, s:b, s:i, s:f, s:i, s:i, s:i, s:I}", "name", own->name,
                  "transport", settings_transport_name(own->transport), "place", place, "open",
                  s.open, "load_percent", (int)s.load_percent, "forecast_percent",
                  rooms->setup->load_percent[index], "devices", (int)s.devices, "silent",
                  (int)s.silent, "slipping", (int)s.slipping, "slipped", (json_int_t)s.slipped);
    return tell_tally(out, &s.tally);
}

void status_gateway(struct api *api, struct evhttp_request *request, const char *name)
{
    const struct api_rooms *rooms = &api->rooms;
    const struct settings *settings = rooms->setup->settings;
    mono_time now = clock_mono();
    json_t *uplinks = json_array(), *lines = json_array();
    (void)name;
    for (size_t u = 0; u < settings->uplink_count; u++)
        json_array_append_new(uplinks, uplink(rooms, u, now));
    for (size_t l = 0; l < settings->line_count; l++)
        json_array_append_new(lines, line(rooms, l));
    api_reply(request, HTTP_OK,
              json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "gateway", gateway(rooms, now),
                        "watchdog", watchdog(), "store", store(rooms), "pipeline", pipeline(rooms),
                        "alarms", alarms(rooms), "uplinks", uplinks, "lines", lines));
}

/* In how many milliseconds; one that is due and waits for the line: 0. */
static json_t *until(mono_time then, mono_time now)
{
    if (!then.ns)
        return json_null();
    return json_integer(then.ns > now.ns ? clock_ms_between(now, then) : 0);
}

static json_t *device(const struct api_rooms *rooms, uint32_t index, mono_time now)
{
    const struct settings_device *own = &rooms->setup->settings->devices[index];
    struct line_device_status s;
    if (!line_device_status(rooms->lines[own->line], rooms->setup->of_line[index], &s))
        return NULL;
    const char *outcome = s.asked ? transport_outcome_name(s.outcome) : NULL;
    bool exception = s.asked && s.outcome == OUTCOME_EXCEPTION;
    json_t *out = json_pack("{s:s, s:s, s:i, s:s?, s:o, s:o, s:o, s:b, s:I, s:f, s:i}", "name",
                            own->name, "title", own->title, "unit", own->unit, "outcome", outcome,
                            "exception", exception ? json_integer(s.exception) : json_null(),
                            "good_age_ms", reading_age(s.good, now), "next_ms", until(s.next, now),
                            "resting", s.resting, "slipped", (json_int_t)s.slipped, "stretch",
                            round((double)s.stretch * 100) / 100, "holes", s.holes);
    return tell_tally(out, &s.tally);
}

void status_lines(struct api *api, struct evhttp_request *request, const char *name)
{
    const struct settings *settings = api->rooms.setup->settings;
    mono_time now = clock_mono();
    json_t *lines = json_array();
    (void)name;
    for (size_t l = 0; l < settings->line_count; l++) {
        json_t *object = line(&api->rooms, l), *devices = json_array();
        for (uint32_t d = 0; d < settings->device_count; d++) {
            if (settings->devices[d].line == l)
                json_array_append_new(devices, device(&api->rooms, d, now));
        }
        json_object_set_new(object, "units", devices);
        json_array_append_new(lines, object);
    }
    api_reply(request, HTTP_OK, json_pack("{s:o}", "lines", lines));
}
