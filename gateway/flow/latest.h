/* The newest sample of every block, for whoever wants to see it now (API, tail). Any thread. */
#ifndef LIFELINE_LATEST_H
#define LIFELINE_LATEST_H

#include "drivers/plan.h"
#include "gateway/flow/queue.h"

struct latest;

struct latest *latest_new(const struct plan *plan);
void latest_free(struct latest *latest);

/* A failed poll keeps the values of the last good one and says so by `failure`. block: index into
 * the plan. */
void latest_set(struct latest *latest, uint32_t block, const struct sample *sample,
                const struct value *values);

/* Goes on where another one ends: from[block] is the block there, or beyond it. */
void latest_carry(struct latest *latest, struct latest *before, const uint32_t *from);

/* Copies the newest sample of a block; false when there is none yet. sample->count is the block's
 * point count, *good the moment of the last good answer (ns 0 = never). */
bool latest_get(struct latest *latest, uint32_t block, struct sample *sample, struct value *values,
                mono_time *good);

/* Goes up with every sample of the block: a tail shows it when it has changed. */
uint64_t latest_version(struct latest *latest, uint32_t block);

#endif
