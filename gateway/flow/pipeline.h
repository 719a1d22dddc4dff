/* The pipeline: samples in, alarms out at once, open segments out to the store, the latest values
 * for everybody.
 *
 *     lines ── pipeline_submit ──> [ queue ] ──> pipeline thread ── watch ─> desk ─> lane
 *                                                     ├─ latest
 *                                                     └─ filter ─> open segments ─ sync ─> store */
#ifndef LIFELINE_PIPELINE_H
#define LIFELINE_PIPELINE_H

#include "gateway/flow/desk.h"

struct pipeline;

/* The store and the lane must outlive it; view: see view.h, it becomes the pipeline's. NULL, and
 * the view is still the caller's, when there is no memory. */
struct pipeline *pipeline_new(struct store *store, struct lane *lane, struct view *view);
void pipeline_free(struct pipeline *pipeline);

bool pipeline_start(struct pipeline *pipeline) __attribute__((warn_unused_result));

/* Takes what is in the queue, closes every segment and ends. The lines must have stopped. */
void pipeline_stop(struct pipeline *pipeline);

/* Any thread. values: one per point of the block, or NULL with the quality of the failure. What
 * does not fit the queue becomes a Gap. */
void pipeline_submit(struct pipeline *pipeline, const struct sample *sample,
                     const struct value *values);

/* Who asks the devices of a line, and what people want of alarms: desk.h. Any thread. */
void pipeline_attach(struct pipeline *pipeline, uint16_t number, const struct desk_asker *asker);
bool pipeline_order(struct pipeline *pipeline, const struct desk_order *order)
    __attribute__((warn_unused_result));

/* The index-th of the newest reports, the oldest first; its length, 0: there is none. Any thread.
 */
size_t pipeline_report(struct pipeline *pipeline, size_t index, uint8_t *out, size_t capacity);

/* What was going on in a catchment lately, by its number; false: there is none. Any thread. */
struct pipeline_catchment {
    char name[64];
    struct runoff_now now;
};

bool pipeline_catchment(struct pipeline *pipeline, size_t number, struct pipeline_catchment *out);

/* Goes over to a new view (a reload): what was submitted so far still goes into the segments of the
 * old one, these are closed, then what is known of the blocks is carried over: from[block of the
 * new plan] is the old one (plan_diff_carry()). The lines that the new view does not know must have
 * stopped. Both arguments are the pipeline's until pipeline_switched(), which returns the old view
 * to be freed, NULL while it is still in use. */
void pipeline_switch(struct pipeline *pipeline, struct view *view, const uint32_t *from);
struct view *pipeline_switched(struct pipeline *pipeline);

/* True while samples come faster than they are dealt with: who polls without a pause is to wait.
 * Any thread. */
bool pipeline_is_pressed(struct pipeline *pipeline);

struct pipeline_status {
    uint64_t samples;  /* polls, failed ones too */
    uint64_t readings; /* values that went into segments */
    uint64_t skipped;  /* left out by deadband or as failing alike */
    uint64_t overload; /* lost: the queue or the store's mailbox was full */
};

void pipeline_status(struct pipeline *pipeline, struct pipeline_status *out);

#endif
