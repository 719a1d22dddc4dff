/* The pipeline: samples in, open segments out to the store, the latest values for everybody.
 *
 *     lines ── pipeline_submit ──> [ queue ] ──> pipeline thread ──> latest
 *                                                     └─ filter ─> open segments ─ sync ─> store */
#ifndef LIFELINE_PIPELINE_H
#define LIFELINE_PIPELINE_H

#include "drivers/plan.h"
#include "gateway/flow/latest.h"
#include "gateway/store/store.h"

struct pipeline;

/* All arguments must outlive it. NULL when there is no memory. */
struct pipeline *pipeline_new(const struct settings *settings, const struct plan *plan,
                              struct store *store, struct latest *latest);
void pipeline_free(struct pipeline *pipeline);

bool pipeline_start(struct pipeline *pipeline) __attribute__((warn_unused_result));

/* Takes what is in the queue, closes every segment and ends. The lines must have stopped. */
void pipeline_stop(struct pipeline *pipeline);

/* Any thread. values: one per point of the block, or NULL with the quality of the failure. What
 * does not fit the queue becomes a Gap. */
void pipeline_submit(struct pipeline *pipeline, const struct sample *sample,
                     const struct value *values);

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
