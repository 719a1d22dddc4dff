/* The catchments of the settings, each with its rain events (runoff.h): samples in, reports out.
 *
 *     sample ──> which catchments it is rain or flow of ──> runoff ──> told when an event has ended
 *
 * Nothing is allocated after catchments_new(). One thread, but for catchments_look(). */
#ifndef LIFELINE_CATCHMENTS_H
#define LIFELINE_CATCHMENTS_H

#include "drivers/plan.h"
#include "gateway/flow/queue.h"
#include "gateway/flow/runoff.h"

struct catchments;

/* Both must outlive it. NULL without memory. */
struct catchments *catchments_new(const struct settings *settings, const struct plan *plan);
void catchments_free(struct catchments *catchments);

/* A sample of a block of the plan, as the watch has left it: what is suspected to be a spike is no
 * rain. */
void catchments_sample(struct catchments *catchments, uint32_t block, const struct sample *sample,
                       const struct value *values);

/* When catchments_tick() has something to do; ns INT64_MAX: there are none. */
mono_time catchments_due(const struct catchments *catchments);

/* tell is called for each event that has ended; sector: of the device that measures the rain. */
void catchments_tick(struct catchments *catchments, mono_time mono, wall_time wall,
                     void (*tell)(void *context, enum sector sector,
                                  const struct runoff_event *event),
                     void *context);

/* After a reload: catchments that say the same go on, others begin anew. `before` is left empty. */
void catchments_carry(struct catchments *catchments, struct catchments *before);

/* Over a restart, one after the other: the next at or after *at, which is 0 at first; false: no
 * more. load before the first sample; what it cannot use is as if there were none. */
bool catchments_save(const struct catchments *catchments, size_t *at, const char **name,
                     uint8_t out[RUNOFF_SAVE_MAX], size_t *length);
void catchments_load(struct catchments *catchments, const char *name, const uint8_t *bytes,
                     size_t length);

/* What was going on at the last tick, by the number in the settings; any thread. False: there is no
 * such number. */
bool catchments_look(struct catchments *catchments, size_t number, const char **name,
                     struct runoff_now *out);

#endif
