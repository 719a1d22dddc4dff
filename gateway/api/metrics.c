/* /metrics: the figures of /v1/status and /v1/lines for Prometheus, text exposition 0.0.4.
 *
 * Main thread. Asks every room once and writes the table of families below from those copies, so
 * that the numbers of one answer belong together; frees them before it returns.
 * Never leaves a counter out because it is 0: whoever sums them up needs the first step as well.
 * To add a figure, add a row to the table. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "gateway/api/internal.h"
#include "gateway/api/metrics.h"
#include "gateway/watchdog.h"

struct page {
    struct evbuffer *out;
    const struct api_rooms *rooms;
    const struct settings *settings;
    struct line_status *lines;          /* [line] */
    struct line_device_status *devices; /* [device] */
    struct uplink_status *uplinks;      /* [uplink] */
    struct store_backlog *backlogs;     /* [uplink] */
    struct lane_status lane;
    struct store_status store;
    struct pipeline_status pipeline;
};

/* A family is written by one function; `at` is where its number lies in what that one reads. */
struct family {
    const char *name, *type, *help;
    void (*write)(struct page *page, const struct family *family);
    size_t at;
};

enum { LABELS_MAX = 6 };

struct label {
    const char *name, *value;
};

/* ---- one series ---- */

static void escape(struct evbuffer *out, const char *text)
{
    while (*text) {
        size_t plain = strcspn(text, "\\\"\n");
        evbuffer_add(out, text, plain);
        text += plain;
        if (*text)
            evbuffer_add_printf(out, "\\%c", *text == '\n' ? 'n' : *text);
        text += *text != '\0';
    }
}

/* labels end with one that has no name. */
static void series(struct page *page, const struct family *family, const char *suffix,
                   const struct label *labels, double number)
{
    evbuffer_add_printf(page->out, "%s%s", family->name, suffix);
    for (size_t i = 0; i < LABELS_MAX && labels[i].name; i++) {
        evbuffer_add_printf(page->out, "%c%s=\"", i ? ',' : '{', labels[i].name);
        escape(page->out, labels[i].value);
        evbuffer_add(page->out, "\"", 1);
    }
    /* 17 digits keep every number apart; a counter is exact up to 2^53, as it is for the reader. */
    evbuffer_add_printf(page->out, "%s %.*g\n", labels[0].name ? "}" : "",
                        number == floor(number) ? 17 : 9, number);
}

static const struct label no_labels[] = {{NULL, NULL}};

static uint64_t number_at(const void *owner, size_t at)
{
    uint64_t number;
    memcpy(&number, (const char *)owner + at, sizeof number);
    return number;
}

/* ---- the gateway, its pipeline and its store ---- */

static void write_info(struct page *page, const struct family *family)
{
    const struct settings_gateway *own = &page->settings->gateway;
    const struct label labels[] = {
        {"version", LIFELINE_VERSION}, {"gateway", own->id}, {"region", own->region}, {0}};
    series(page, family, "", labels, 1);
}

static void write_uptime(struct page *page, const struct family *family)
{
    int64_t ms = clock_ms_between(page->rooms->started, clock_mono());
    series(page, family, "", no_labels, (double)ms / 1000);
}

static void write_pipeline(struct page *page, const struct family *family)
{
    series(page, family, "", no_labels, (double)number_at(&page->pipeline, family->at));
}

static void write_store(struct page *page, const struct family *family)
{
    series(page, family, "", no_labels, (double)number_at(&page->store, family->at));
}

static void write_store_mode(struct page *page, const struct family *family)
{
    for (int mode = STORE_MODE_OK; mode <= STORE_MODE_FULL; mode++) {
        const struct label labels[] = {{"mode", status_store_mode((enum store_mode)mode)}, {0}};
        series(page, family, "", labels, (int)page->store.mode == mode);
    }
}

/* Nothing while it is not known. */
static void write_card_years(struct page *page, const struct family *family)
{
    if (page->store.card_years >= 0)
        series(page, family, "", no_labels, page->store.card_years);
}

static void count_one(void *count, const char *name)
{
    (void)name;
    *(double *)count += 1;
}

static void write_reloads(struct page *page, const struct family *family)
{
    series(page, family, "", no_labels, (double)page->rooms->reloads->done);
}

static void write_reloads_refused(struct page *page, const struct family *family)
{
    series(page, family, "", no_labels, (double)page->rooms->reloads->refused);
}

static void write_hanging(struct page *page, const struct family *family)
{
    double count = 0;
    watchdog_hanging(count_one, &count);
    series(page, family, "", no_labels, count);
}

static const struct {
    const char *name;
    size_t at;
} outcomes[] = {{"good", offsetof(struct tally, good)},
                {"timeout", offsetof(struct tally, timeout)},
                {"exception", offsetof(struct tally, exception)},
                {"garbled", offsetof(struct tally, garbled)},
                {"link", offsetof(struct tally, link)}};

enum { OUTCOMES = sizeof outcomes / sizeof *outcomes };

/* ---- lines ---- */

static void line_series(struct page *page, const struct family *family, size_t line, double number)
{
    const struct label labels[] = {{"line", page->settings->lines[line].name}, {0}};
    series(page, family, "", labels, number);
}

static void write_line_up(struct page *page, const struct family *family)
{
    for (size_t l = 0; l < page->settings->line_count; l++)
        line_series(page, family, l, page->lines[l].open);
}

static void write_line_busy(struct page *page, const struct family *family)
{
    for (size_t l = 0; l < page->settings->line_count; l++)
        line_series(page, family, l, page->lines[l].load_percent / 100.0);
}

static void write_line_forecast(struct page *page, const struct family *family)
{
    for (size_t l = 0; l < page->settings->line_count; l++)
        line_series(page, family, l, page->rooms->setup->load_percent[l] / 100);
}

/* A uint32_t of its status. */
static void write_line(struct page *page, const struct family *family)
{
    for (size_t l = 0; l < page->settings->line_count; l++) {
        uint32_t number;
        memcpy(&number, (const char *)&page->lines[l] + family->at, sizeof number);
        line_series(page, family, l, number);
    }
}

static void write_line_requests(struct page *page, const struct family *family)
{
    for (size_t l = 0; l < page->settings->line_count; l++) {
        for (size_t i = 0; i < OUTCOMES; i++) {
            const struct label labels[] = {
                {"line", page->settings->lines[l].name}, {"outcome", outcomes[i].name}, {0}};
            series(page, family, "", labels,
                   (double)number_at(&page->lines[l].tally, outcomes[i].at));
        }
    }
}

/* ---- devices ---- */

static const char *line_of(const struct page *page, const struct settings_device *device)
{
    return page->settings->lines[device->line].name;
}

/* With one label more, or none when its name is NULL. */
static void device_series(struct page *page, const struct family *family, size_t device,
                          struct label more, double number)
{
    const struct settings_device *own = &page->settings->devices[device];
    const struct label labels[] = {{"line", line_of(page, own)}, {"device", own->name}, more, {0}};
    series(page, family, "", labels, number);
}

static void write_device_info(struct page *page, const struct family *family)
{
    for (size_t d = 0; d < page->settings->device_count; d++) {
        const struct settings_device *own = &page->settings->devices[d];
        char unit[8];
        snprintf(unit, sizeof unit, "%u", own->unit);
        const struct label labels[LABELS_MAX] = {{"line", line_of(page, own)},
                                                 {"device", own->name},
                                                 {"unit", unit},
                                                 {"profile", own->profile->name},
                                                 {"title", own->title},
                                                 {"sector", names_sector(own->sector)}};
        series(page, family, "", labels, 1);
    }
}

/* A uint64_t of its status. */
static void write_device(struct page *page, const struct family *family)
{
    for (size_t d = 0; d < page->settings->device_count; d++)
        device_series(page, family, d, (struct label){0},
                      (double)number_at(&page->devices[d], family->at));
}

static void write_requests(struct page *page, const struct family *family)
{
    for (size_t d = 0; d < page->settings->device_count; d++) {
        const struct tally *tally = &page->devices[d].tally;
        for (size_t i = 0; i < OUTCOMES; i++)
            device_series(page, family, d, (struct label){"outcome", outcomes[i].name},
                          (double)number_at(tally, outcomes[i].at));
    }
}

/* Of the qualities only those that a device has had: most never have more than one. */
static void write_values(struct page *page, const struct family *family)
{
    for (size_t d = 0; d < page->settings->device_count; d++) {
        const uint64_t *values = page->devices[d].tally.values;
        for (int quality = 0; quality < TALLY_QUALITIES; quality++) {
            const char *name = names_quality((enum quality)quality);
            if (values[quality] || quality == QUALITY_GOOD)
                device_series(page, family, d, (struct label){"quality", name},
                              (double)values[quality]);
        }
    }
}

static void write_round_trips(struct page *page, const struct family *family)
{
    static const struct {
        const char *quantile;
        unsigned percent;
    } quantiles[] = {{"0.5", 50}, {"0.99", 99}};
    for (size_t d = 0; d < page->settings->device_count; d++) {
        const struct settings_device *own = &page->settings->devices[d];
        const struct tally *tally = &page->devices[d].tally;
        const struct label labels[] = {{"line", line_of(page, own)}, {"device", own->name}, {0}};
        for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
            uint32_t us = tally_percentile_us(tally, quantiles[i].percent);
            if (us)
                device_series(page, family, d, (struct label){"quantile", quantiles[i].quantile},
                              us / 1e6);
        }
        series(page, family, "_sum", labels, (double)tally->waited_us / 1e6);
        series(page, family, "_count", labels, (double)tally_answers(tally));
    }
}

/* ---- uplinks ---- */

static void uplink_series(struct page *page, const struct family *family, size_t uplink,
                          struct label more, double number)
{
    const struct label labels[] = {{"uplink", page->settings->uplinks[uplink].name}, more, {0}};
    series(page, family, "", labels, number);
}

/* A uint64_t of its status. */
static void write_uplink(struct page *page, const struct family *family)
{
    for (size_t u = 0; u < page->settings->uplink_count; u++)
        uplink_series(page, family, u, (struct label){0},
                      (double)number_at(&page->uplinks[u], family->at));
}

static void write_uplink_connected(struct page *page, const struct family *family)
{
    for (size_t u = 0; u < page->settings->uplink_count; u++)
        uplink_series(page, family, u, (struct label){0}, page->uplinks[u].connected);
}

static void write_uplink_backlog(struct page *page, const struct family *family)
{
    for (size_t u = 0; u < page->settings->uplink_count; u++)
        uplink_series(page, family, u, (struct label){0}, (double)page->backlogs[u].readings);
}

static void write_uplink_alarms(struct page *page, const struct family *family)
{
    for (size_t u = 0; u < page->settings->uplink_count; u++)
        uplink_series(page, family, u, (struct label){0}, (double)page->backlogs[u].alarms);
}

static void write_uplink_sectors(struct page *page, const struct family *family)
{
    for (size_t u = 0; u < page->settings->uplink_count; u++) {
        for (int sector = SECTOR_GAS; sector < SECTOR_COUNT; sector++) {
            if (page->settings->uplinks[u].sectors[sector])
                uplink_series(page, family, u,
                              (struct label){"sector", names_sector((enum sector)sector)},
                              page->backlogs[u].refused[sector]);
        }
    }
}

/* ---- alarms ---- */

static void write_alarms(struct page *page, const struct family *family)
{
    for (unsigned level = LEVEL_RED; level < LEVEL_COUNT; level++) {
        const struct label labels[] = {{"level", names_level((enum level)level)}, {0}};
        series(page, family, "", labels, page->lane.up[level]);
    }
}

/* A uint64_t of the lane's status. */
static void write_lane(struct page *page, const struct family *family)
{
    series(page, family, "", no_labels, (double)number_at(&page->lane, family->at));
}

/* ---- the table ---- */

#define PIPELINE(member) write_pipeline, offsetof(struct pipeline_status, member)
#define STORE(member)    write_store, offsetof(struct store_status, member)
#define LINE(member)     write_line, offsetof(struct line_status, member)
#define DEVICE(member)   write_device, offsetof(struct line_device_status, member)
#define UPLINK(member)   write_uplink, offsetof(struct uplink_status, member)
#define LANE(member)     write_lane, offsetof(struct lane_status, member)

static const char gauge[] = "gauge", counter[] = "counter", summary[] = "summary";

static const struct family families[] = {
    {"lifeline_info", gauge, "Which gateway this is, always 1", write_info, 0},
    {"lifeline_uptime_seconds", gauge, "Since the daemon started", write_uptime, 0},
    {"lifeline_reloads_total", counter, "Configurations taken over", write_reloads, 0},
    {"lifeline_reloads_refused_total", counter, "Configurations refused", write_reloads_refused, 0},
    {"lifeline_threads_hanging", gauge, "Threads that give no sign of life", write_hanging, 0},

    {"lifeline_line_up", gauge, "1 when the port or connection is open", write_line_up, 0},
    {"lifeline_line_busy_ratio", gauge, "Share of its time that the line is busy", write_line_busy,
     0},
    {"lifeline_line_forecast_ratio", gauge, "The share as forecast from the configuration",
     write_line_forecast, 0},
    {"lifeline_line_requests_total", counter, "Requests on the line by how they ended",
     write_line_requests, 0},
    {"lifeline_devices", gauge, "Devices configured on the line", LINE(devices)},
    {"lifeline_devices_silent", gauge, "Devices of which nothing answers", LINE(silent)},
    {"lifeline_devices_slipping", gauge,
     "Devices polled less often than configured, for want of line time", LINE(slipping)},

    {"lifeline_device_info", gauge, "What a device is, always 1", write_device_info, 0},
    {"lifeline_requests_total", counter,
     "Requests by how they ended; one that serves several devices counts for each", write_requests,
     0},
    {"lifeline_late_answers_total", counter, "Answers that came when nobody waited any more",
     DEVICE(tally.late)},
    {"lifeline_foreign_frames_total", counter, "Frames of others heard while a device was asked",
     DEVICE(tally.foreign)},
    {"lifeline_values_total", counter, "Values by quality", write_values, 0},
    {"lifeline_round_trip_seconds", summary,
     "From request to answer; quantiles of the newer ten thousands", write_round_trips, 0},
    {"lifeline_periods_slipped_total", counter, "Periods left out for want of line time",
     DEVICE(slipped)},

    {"lifeline_polls_total", counter, "Samples taken by the pipeline, failed ones too",
     PIPELINE(samples)},
    {"lifeline_readings_kept_total", counter, "Readings that went into segments",
     PIPELINE(readings)},
    {"lifeline_readings_skipped_total", counter,
     "Readings left out by deadband or as failing alike", PIPELINE(skipped)},
    {"lifeline_readings_lost_total", counter, "Readings lost because a queue was full",
     PIPELINE(overload)},

    {"lifeline_store_mode", gauge, "1 for the mode the store is in", write_store_mode, 0},
    {"lifeline_store_bytes", gauge, "Size of the store", STORE(bytes)},
    {"lifeline_store_quota_bytes", gauge, "The most that it may take", STORE(quota_bytes)},
    {"lifeline_store_readings_total", counter, "Readings in closed segments", STORE(readings)},
    {"lifeline_store_commits_total", counter, "Commits to disk", STORE(commits)},
    {"lifeline_store_commits_failed_total", counter, "Commits that failed", STORE(failed_commits)},
    {"lifeline_store_flash_bytes_total", counter, "Bytes written to disk", STORE(flash_bytes)},
    {"lifeline_store_card_years", gauge,
     "Years until the card is worn out at the rate of the last day, at most 100", write_card_years,
     0},
    {"lifeline_store_failovers_total", counter, "Times that the disk was left for memory",
     STORE(failovers)},
    {"lifeline_store_carried_total", counter,
     "Segments carried from memory to disk, or saved out of a damaged file", STORE(carried)},
    {"lifeline_store_corrupt_total", counter, "Segments found corrupt", STORE(corrupt)},
    {"lifeline_store_gaps_total", counter, "Gaps noted", STORE(gaps)},

    {"lifeline_alarms", gauge, "Alarms in force by level, without suppressed ones", write_alarms,
     0},
    {"lifeline_alarm_events_total", counter, "Steps of alarms, and reports", LANE(events)},
    {"lifeline_alarm_events_lost_total", counter, "Of these, lost for want of memory", LANE(lost)},

    {"lifeline_uplink_connected", gauge, "1 while the broker has accepted us",
     write_uplink_connected, 0},
    {"lifeline_uplink_connects_total", counter, "Connections made", UPLINK(connects)},
    {"lifeline_uplink_backlog_readings", gauge, "Readings stored and not acknowledged",
     write_uplink_backlog, 0},
    {"lifeline_uplink_backlog_alarms", gauge, "Events of alarms stored and not acknowledged",
     write_uplink_alarms, 0},
    {"lifeline_uplink_published_alarms_total", counter, "Events of alarms acknowledged",
     UPLINK(alarms)},
    {"lifeline_uplink_published_reports_total", counter, "Reports acknowledged", UPLINK(reports)},
    {"lifeline_uplink_published_batches_total", counter, "Batches acknowledged", UPLINK(batches)},
    {"lifeline_uplink_published_readings_total", counter, "Readings acknowledged",
     UPLINK(readings)},
    {"lifeline_uplink_published_bytes_total", counter, "Payload acknowledged", UPLINK(bytes)},
    {"lifeline_uplink_refused_total", counter, "Messages that the broker refused", UPLINK(refused)},
    {"lifeline_uplink_unheard_total", counter, "Messages acknowledged with no subscriber there",
     UPLINK(no_subscriber)},
    {"lifeline_uplink_sector_refused", gauge, "1 while the broker refuses the sector",
     write_uplink_sectors, 0},
};

struct metrics_family metrics_family(size_t number)
{
    if (number >= sizeof families / sizeof *families)
        return (struct metrics_family){0};
    return (struct metrics_family){families[number].name, families[number].type,
                                   families[number].help};
}

/* ---- the page ---- */

static bool page_make(struct page *page, const struct api_rooms *rooms)
{
    const struct settings *settings = rooms->setup->settings;
    *page = (struct page){.out = evbuffer_new(), .rooms = rooms, .settings = settings};
    page->lines = calloc(settings->line_count + 1, sizeof *page->lines);
    page->devices = calloc(settings->device_count + 1, sizeof *page->devices);
    page->uplinks = calloc(settings->uplink_count + 1, sizeof *page->uplinks);
    page->backlogs = calloc(settings->uplink_count + 1, sizeof *page->backlogs);
    if (!page->out || !page->lines || !page->devices || !page->uplinks || !page->backlogs)
        return false;
    for (size_t l = 0; l < settings->line_count; l++)
        line_status(rooms->lines[l], &page->lines[l]);
    for (uint32_t d = 0; d < settings->device_count; d++)
        line_device_status(rooms->lines[settings->devices[d].line], rooms->setup->of_line[d],
                           &page->devices[d]);
    for (size_t u = 0; u < settings->uplink_count; u++) {
        uplink_status(rooms->uplinks[u], &page->uplinks[u]);
        store_backlog(rooms->store, uplink_place(rooms->uplinks[u]), &page->backlogs[u]);
    }
    store_status(rooms->store, &page->store);
    pipeline_status(rooms->pipeline, &page->pipeline);
    lane_status(rooms->lane, &page->lane);
    return true;
}

static void page_free(struct page *page)
{
    if (page->out)
        evbuffer_free(page->out);
    free(page->lines);
    free(page->devices);
    free(page->uplinks);
    free(page->backlogs);
}

void metrics_all(struct api *api, struct evhttp_request *request, const char *name)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    struct page page;
    (void)name;
    if (!page_make(&page, &api->rooms)) {
        api_reply(request, HTTP_INTERNAL, NULL);
        page_free(&page);
        return;
    }
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        const struct family *family = &families[i];
        evbuffer_add_printf(page.out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help,
                            family->name, family->type);
        family->write(&page, family);
    }
    evhttp_add_header(headers, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_send_reply(request, HTTP_OK, NULL, page.out);
    page_free(&page);
}
