/* Where every block of the plan stands: in which open segment, and as which Block of it. Pure.
 *
 * A sector has one open segment per 500 points; a block is never divided. Fixed until a reload. */
#ifndef LIFELINE_LAYOUT_H
#define LIFELINE_LAYOUT_H

#include "drivers/plan.h"
#include "gateway/store/store.h"
#include "proto/segment.h"

struct layout_place {
    uint32_t part;
    uint32_t block; /* within the part */
};

struct layout {
    const struct settings *settings;
    const struct plan *plan;
    struct layout_place *places; /* [block of the plan] */
    enum sector *sectors;        /* [part] */
    uint32_t part_count;
};

struct layout *layout_new(const struct settings *settings, const struct plan *plan);
void layout_free(struct layout *layout);

/* The empty segment of a part, with the ids that stand on the wire; NULL without memory. */
struct segment *layout_segment(const struct layout *layout, uint32_t part,
                               const struct store_ids *ids);

#endif
