/* Alarms for fault_store, so that a power cut also meets their rows: a site has at most one alarm,
 * as a rule has in the watch; it is raised, changes its level, is acknowledged and ends, and what
 * was in force at the start goes on under its id. The uplink takes as many at once as the real one,
 * loses, and acknowledges late. What was restored, put and taken goes to the file `sirens`, put
 * before the lane hears of it; trial_check.py compares. fault_store's thread. Never judges. */
#include "tests/fault/sirens.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drivers/clock.h"
#include "gateway/store/store.h"
#include "proto/ulid.h"

enum { SITES = 12 };

static const enum sector sectors[] = {SECTOR_GAS, SECTOR_WATER, SECTOR_MANHOLE};

struct site {
    char id[ULID_LENGTH + 1];
    uint32_t step; /* 0 = nothing is up */
    uint8_t level;
};

struct flight {
    struct lane_event event; /* n 0 = none */
    unsigned answer_in;      /* turns */
};

struct sirens {
    struct lane *lane;
    struct store *store;
    uint64_t seed;
    int fd;
    struct site sites[SITES];
    struct flight flights[LANE_BUSY];
};

static uint64_t draw(struct sirens *sirens, uint64_t limit)
{
    sirens->seed = sirens->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (sirens->seed >> 33) % limit;
}

/* One write a line: of one that is killed there is a whole line or none. */
static void note(struct sirens *sirens, const char *what, uint64_t site,
                 const struct lane_event *event)
{
    char line[160];
    int n = snprintf(line, sizeof line, "%s %" PRIu64 " %s %u %d %u\n", what, site, event->id,
                     event->step, (int)event->status, event->level);
    if (write(sirens->fd, line, (size_t)n) != n) {
        fprintf(stderr, "fault_store: cannot write its own files\n");
        exit(1);
    }
}

static void no_wake(void *context)
{
    (void)context;
}

/* The event's site is its grid. */
static uint64_t site_of(const struct lane_event *event)
{
    struct alarm_event alarm;
    struct alarm_memory *memory = alarm_unpack(event->bytes, event->length, &alarm);
    uint64_t site = memory ? strtoull(alarm.grid, NULL, 10) : SITES;
    alarm_free(memory);
    return site;
}

static void restore(struct sirens *sirens)
{
    struct lane_event event;
    for (uint64_t after = 0; lane_read(sirens->lane, &after, &event);) {
        uint64_t s = site_of(&event);
        note(sirens, "restored", s, &event);
        if (s >= SITES)
            continue;
        struct site *site = &sirens->sites[s];
        snprintf(site->id, sizeof site->id, "%s", event.id);
        site->step = event.step;
        site->level = event.level;
    }
}

struct sirens *sirens_new(struct store *store, const char *folder, uint64_t seed)
{
    static const bool all[SECTOR_COUNT] = {
        [SECTOR_GAS] = true, [SECTOR_WATER] = true, [SECTOR_MANHOLE] = true};
    char path[4096];
    struct sirens *sirens = calloc(1, sizeof *sirens);
    if (!sirens)
        return NULL;
    snprintf(path, sizeof path, "%s/sirens", folder);
    sirens->store = store;
    sirens->seed = seed;
    sirens->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    sirens->lane = lane_new();
    if (sirens->fd < 0 || !sirens->lane || !store_use_lane(store, sirens->lane))
        return NULL;
    restore(sirens);
    if (write(sirens->fd, "begun\n", 6) != 6)
        return NULL;
    lane_attach(sirens->lane, 0, all, no_wake, NULL);
    return sirens;
}

void sirens_free(struct sirens *sirens)
{
    if (!sirens)
        return;
    lane_free(sirens->lane);
    close(sirens->fd);
    free(sirens);
}

static void pack(struct lane_event *event, uint64_t site, int64_t raised_ms)
{
    char grid[24];
    struct alarm_event alarm = {
        .step = event->step,
        .sector = event->sector,
        .kind = ALARM_KIND_THRESHOLD,
        .level = event->level,
        .previous_level = event->previous_level,
        .status = event->status,
        .raised_ms = raised_ms,
        .at_ms = event->at_ms,
        .gateway = "gw-1",
        .region = "140502",
        .rule = "hot",
        .key = "site/hot",
        .device_name = "site",
        .quantity = "depth",
        .unit = "mm",
        .asset = "",
        .grid = grid,
        .threshold_source = "",
        .text_zh = "水深",
        .text_en = "deep",
        .hint = "",
        .actor = "",
        .note = "",
    };
    snprintf(grid, sizeof grid, "%" PRIu64, site);
    snprintf(alarm.id, sizeof alarm.id, "%s", event->id);
    event->length = alarm_pack(&alarm, event->bytes, sizeof event->bytes);
    if (!event->length)
        abort();
}

static enum alarm_status next_status(struct sirens *sirens, const struct site *site, uint8_t level)
{
    if (!site->step)
        return ALARM_STATUS_RAISED;
    if (draw(sirens, 4) == 0)
        return ALARM_STATUS_CLEARED;
    if (level == site->level)
        return ALARM_STATUS_ACKED;
    return level < site->level ? ALARM_STATUS_ESCALATED : ALARM_STATUS_EASED;
}

void sirens_step(struct sirens *sirens, int64_t at_ms)
{
    uint64_t s = draw(sirens, SITES);
    struct site *site = &sirens->sites[s];
    uint8_t level = (uint8_t)(1 + draw(sirens, 4)), random[ULID_RANDOM];
    enum alarm_status status = next_status(sirens, site, level);
    if (!site->step) {
        for (size_t i = 0; i < sizeof random; i++)
            random[i] = (uint8_t)draw(sirens, 256);
        ulid_encode(site->id, at_ms, random);
    }
    struct lane_event event = {
        .kind = LANE_ALARM,
        .sector = sectors[s % 3],
        .step = site->step + 1,
        .status = status,
        .level = status == ALARM_STATUS_CLEARED ? 0 : level,
        .previous_level = site->step ? site->level : 0,
        .at_ms = at_ms,
    };
    snprintf(event.id, sizeof event.id, "%s", site->id);
    pack(&event, s, at_ms);
    note(sirens, "put", s, &event);
    if (!lane_put(sirens->lane, &event))
        abort();
    site->step = status == ALARM_STATUS_CLEARED ? 0 : event.step;
    site->level = event.level;
}

static bool take(struct sirens *sirens, struct flight *flight, bool kind)
{
    struct lane_skip skip = {0};
    for (size_t i = 0; i < LANE_BUSY; i++) {
        if (sirens->flights[i].event.n)
            skip.busy[skip.count++] = sirens->flights[i].event.n;
    }
    if (!lane_next(sirens->lane, 0, &skip, &flight->event)) {
        flight->event.n = 0;
        return false;
    }
    note(sirens, "took", site_of(&flight->event), &flight->event);
    flight->answer_in = kind ? 0 : (unsigned)draw(sirens, 6);
    return true;
}

bool sirens_uplink(struct sirens *sirens, bool kind)
{
    bool idle = true;
    for (size_t i = 0; i < LANE_BUSY; i++) {
        struct flight *flight = &sirens->flights[i];
        if (flight->event.n) {
            idle = false;
            if (flight->answer_in && flight->answer_in--)
                continue;
            if (lane_settle(sirens->lane, 0, flight->event.n))
                (void)!store_alarm_settled(sirens->store, 0, flight->event.id, flight->event.step);
            flight->event.n = 0;
        }
        idle &= !take(sirens, flight, kind);
    }
    return idle;
}

void sirens_reconnect(struct sirens *sirens)
{
    for (size_t i = 0; i < LANE_BUSY; i++)
        sirens->flights[i].event.n = 0;
}
