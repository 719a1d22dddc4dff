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

/* How a read is asked in parts: addresses that begin a request of their own, and of these the ones
 * where the device has nothing at all. */
struct split {
    uint16_t cuts[SPLIT_MAX], holes[SPLIT_MAX];
    uint8_t cut_count, hole_count;
};

/* True when a request must not go from the span before `address` into the one that begins there. */
bool split_is_cut(const struct split *split, uint32_t address);

/* True when what begins there was refused register by register: dividing it is of no use. */
bool split_is_hole(const struct split *split, uint32_t address);

/* Remembers what was found out about spans[from] … spans[to - 1]: which of them answered, and
 * before which of them a gap must not be bridged. What does not fit is forgotten. */
void split_remember(struct split *split, const struct split_span *spans, size_t from, size_t to,
                    const bool *answered, const bool *gap);

/* Where to divide spans[from] … spans[to - 1] (two or more): the span that begins the second part.
 * Behind the widest gap; where there is none, in the middle. */
size_t split_choose(const struct split_span *spans, size_t from, size_t to);

/* True when registers lie between them that no point needs. */
bool split_bridges(const struct split_span *spans, size_t from, size_t to);

#endif
