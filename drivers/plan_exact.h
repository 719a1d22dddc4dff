/* The best partition of a few items, by trying all of them. Pure; for plan_search.c. */
#ifndef LIFELINE_PLAN_EXACT_H
#define LIFELINE_PLAN_EXACT_H

#include "drivers/plan_bundle.h"

#define PLAN_EXACT_MAX 8

/* Puts parts[0..count) into reads of the least cost, which is returned; each can be a read alone.
 * reads[i] is the lowest part in the read of part i. */
double plan_exact(const struct plan_wire *wire, const struct plan_bundle *const *parts,
                  uint32_t count, uint32_t *reads);

#endif
