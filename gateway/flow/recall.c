/* Saves what was learned every RECALL_EVERY_MS, some pieces a turn, and gives it back at the start.
 *
 * Runs in the pipeline thread. A piece is bytes under a name, KIND/WHOSE, in the store's memory
 * table; the store keeps the newest and checks its CRC, whoever loads a piece distrusts the rest.
 * One that nobody asks for any more is left alone: its owner may come back with the next
 * configuration. Never waits for the store. */
#include "gateway/flow/recall.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/log.h"
#include "gateway/store/store.h"
#include "proto/report.h"

#define RUNOFF      "runoff/"
#define WATCH       "watch/"
#define MAINTENANCE "maintenance/"
#define REPORT      "report/"

enum {
    NAME_MAX_LENGTH = 256, /* a kind and the key of an alarm */
    PIECES = 16,           /* of one turn */
    TURN_MS = 50,
    MOMENT_BYTES = 8, /* a maintenance window: its end, UTC ms, little endian */
    BYTES_MAX =
        (int)RUNOFF_SAVE_MAX > (int)WATCH_MEMORY_MAX ? (int)RUNOFF_SAVE_MAX : (int)WATCH_MEMORY_MAX,
};

struct recall {
    struct store *store;
    struct reports *reports;
    int64_t newest_ms;
    unsigned int slot; /* of the next report: the oldest gives way */
    mono_time next;
    size_t catchment, rule; /* to be saved next */
    uint8_t bytes[BYTES_MAX];
};

struct recall *recall_new(struct store *store, struct reports *reports)
{
    struct recall *recall = calloc(1, sizeof *recall);
    if (!recall)
        return NULL;
    recall->store = store;
    recall->reports = reports;
    return recall;
}

void recall_free(struct recall *recall)
{
    free(recall);
}

/* ---- to the store ---- */

static void put(struct recall *recall, const char *kind, const char *whose, size_t length)
{
    char name[NAME_MAX_LENGTH];
    int written = snprintf(name, sizeof name, "%s%s", kind, whose);
    if (length == 0 || written < 0 || (size_t)written >= sizeof name)
        return;
    if (!store_remember(recall->store, name, recall->bytes, length))
        log_warning("%s: no memory to remember it", name);
}

/* False: that was all. */
static bool put_next(struct recall *recall, const struct view *view,
                     const struct watch_clock *clock)
{
    const char *whose;
    size_t length;
    if (catchments_save(view->catchments, &recall->catchment, &whose, recall->bytes, &length))
        put(recall, RUNOFF, whose, length);
    else if (watch_save(view->watch, &recall->rule, clock, &whose, recall->bytes, &length))
        put(recall, WATCH, whose, length);
    else
        return false;
    return true;
}

void recall_restart(struct recall *recall)
{
    recall->catchment = recall->rule = 0;
}

mono_time recall_due(const struct recall *recall)
{
    return recall->next;
}

void recall_step(struct recall *recall, const struct view *view, const struct watch_clock *clock)
{
    if (clock->mono.ns < recall->next.ns)
        return;
    bool more = true;
    for (int i = 0; more && i < PIECES; i++)
        more = put_next(recall, view, clock);
    if (!more)
        recall_restart(recall);
    recall->next = clock_after_ms(clock->mono, more ? TURN_MS : RECALL_EVERY_MS);
}

void recall_end(struct recall *recall, const struct view *view, const struct watch_clock *clock)
{
    recall_restart(recall);
    while (put_next(recall, view, clock))
        ;
}

void recall_maintenance(struct recall *recall, const char *device, mono_time until,
                        const struct watch_clock *clock)
{
    int64_t end_ms = clock->wall.ms + clock_ms_between(clock->mono, until);
    for (int i = 0; i < MOMENT_BYTES; i++)
        recall->bytes[i] = (uint8_t)((uint64_t)end_ms >> (8 * i));
    put(recall, MAINTENANCE, device, MOMENT_BYTES);
}

void recall_report(struct recall *recall, int64_t at_ms, const uint8_t *bytes, size_t length)
{
    char slot[16];
    reports_add(recall->reports, at_ms, bytes, length);
    if (length > sizeof recall->bytes)
        return;
    memcpy(recall->bytes, bytes, length);
    snprintf(slot, sizeof slot, "%u", recall->slot);
    put(recall, REPORT, slot, length);
    recall->slot = (recall->slot + 1) % REPORTS_KEPT;
}

/* ---- back ---- */

/* By a clock that was never set nobody can say whether the window is over: better an alarm too
 * many. */
static void maintain_again(const struct view *view, const char *device, const uint8_t *bytes,
                           size_t length, const struct watch_clock *clock)
{
    const struct settings *settings = view->settings;
    uint64_t end_ms = 0;
    if (length != MOMENT_BYTES || clock->state == CLOCK_STATE_UNSET)
        return;
    for (int i = 0; i < MOMENT_BYTES; i++)
        end_ms |= (uint64_t)bytes[i] << (8 * i);
    if ((int64_t)end_ms <= clock->wall.ms ||
        (int64_t)end_ms - clock->wall.ms > (int64_t)RECALL_WINDOW_MAX_MS)
        return;
    size_t d = settings_find_device(settings, device);
    if (d < settings->device_count)
        watch_maintain(view->watch, (uint32_t)d,
                       clock_after_ms(clock->mono, (int64_t)end_ms - clock->wall.ms), clock);
}

/* The slot after the newest is written next. */
static void report_again(struct recall *recall, const char *slot, const uint8_t *bytes,
                         size_t length)
{
    struct report_runoff report;
    struct report_memory *memory = report_unpack_runoff(bytes, length, &report);
    if (!memory)
        return;
    reports_add(recall->reports, report.at_ms, bytes, length);
    if (report.at_ms >= recall->newest_ms) {
        recall->newest_ms = report.at_ms;
        recall->slot = (unsigned int)(strtoul(slot, NULL, 10) + 1) % REPORTS_KEPT;
    }
    report_free(memory);
}

/* What follows the kind in a name; NULL: it is of another one. */
static const char *whose_of(const char *name, const char *kind)
{
    size_t length = strlen(kind);
    return strncmp(name, kind, length) == 0 ? name + length : NULL;
}

void recall_begin(struct recall *recall, const struct view *view, const struct watch_clock *clock)
{
    const char *name, *whose;
    const uint8_t *bytes;
    size_t length;
    for (size_t i = 0; store_recall(recall->store, i, &name, &bytes, &length); i++) {
        if ((whose = whose_of(name, RUNOFF)))
            catchments_load(view->catchments, whose, bytes, length);
        else if ((whose = whose_of(name, WATCH)))
            watch_load(view->watch, whose, bytes, length, clock);
        else if ((whose = whose_of(name, MAINTENANCE)))
            maintain_again(view, whose, bytes, length, clock);
        else if ((whose = whose_of(name, REPORT)))
            report_again(recall, whose, bytes, length);
    }
    recall->next = clock_after_ms(clock->mono, RECALL_EVERY_MS);
}
