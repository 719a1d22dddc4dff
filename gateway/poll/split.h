/* What to do with a merged read that a device refuses: it is divided once, and the place is
 * remembered. Pure. */
#ifndef LIFELINE_SPLIT_H
#define LIFELINE_SPLIT_H

#include "drivers/plan.h"

/* Registers that one point needs together, or several points share: never divided. On the wire. */
struct split_span {
    uint32_t first, end;
};

/* The spans of these blocks (indices into the plan), ascending; `out` has room for one a point. */
size_t split_spans(const struct settings *settings, const struct plan *plan, const uint32_t *blocks,
                   size_t block_count, struct split_span *out);

enum { SPLIT_MAX = 16 };

/* Where requests of a read must not go across: addresses that begin a request. */
struct split {
    uint16_t cuts[SPLIT_MAX];
    uint8_t count;
};

/* True when a request must not go from the span before `address` into the one that begins there. */
bool split_is_cut(const struct split *split, uint32_t address);

/* False when there is no room for another one. */
bool split_cut(struct split *split, uint32_t address);

/* Where to divide spans[from] … spans[to - 1] (two or more): the span that begins the second part.
 * Behind the widest gap; where there is none, in the middle. */
size_t split_choose(const struct split_span *spans, size_t from, size_t to);

/* True when registers lie between them that no point needs. */
bool split_bridges(const struct split_span *spans, size_t from, size_t to);

#endif
