/* What must be known after a restart, from and to the store: what rules and diagnoses have learned,
 * rain events and dry-weather flows of catchments, maintenance windows. The pipeline's thread. */
#ifndef LIFELINE_RECALL_H
#define LIFELINE_RECALL_H

#include "gateway/flow/reports.h"
#include "gateway/flow/view.h"

enum {
    RECALL_EVERY_MS = 10 * 60 * 1000,
    RECALL_WINDOW_MAX_MS = 7 * 24 * 3600 * 1000, /* the longest maintenance window there is */
};

struct recall;

/* Both must outlive it; the reports of before go into `reports`. NULL without memory. */
struct recall *recall_new(struct store *store, struct reports *reports);
void recall_free(struct recall *recall);

/* Into a view whose watch has started and has seen no sample yet. */
void recall_begin(struct recall *recall, const struct view *view, const struct watch_clock *clock);

/* Another view: saving begins with its first piece. */
void recall_restart(struct recall *recall);

/* A few pieces at a time, so that no sample waits; when there is something to do. */
mono_time recall_due(const struct recall *recall);
void recall_step(struct recall *recall, const struct view *view, const struct watch_clock *clock);

/* All of it. */
void recall_end(struct recall *recall, const struct view *view, const struct watch_clock *clock);

/* At once. */
void recall_maintenance(struct recall *recall, const char *device, mono_time until,
                        const struct watch_clock *clock);

/* A report that was made, packed: among the newest, over a restart too. */
void recall_report(struct recall *recall, int64_t at_ms, const uint8_t *bytes, size_t length);

#endif
