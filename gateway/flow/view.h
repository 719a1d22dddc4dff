/* What the pipeline works on: everything that follows from the settings, in one piece, so that a
 * reload builds a new one and swaps it. Pure; whoever holds it owns it. */
#ifndef LIFELINE_VIEW_H
#define LIFELINE_VIEW_H

#include "gateway/flow/catchments.h"
#include "gateway/flow/filter.h"
#include "gateway/flow/latest.h"
#include "gateway/flow/layout.h"
#include "gateway/flow/watch.h"

/* An open segment of a sector. */
struct part {
    enum sector sector;
    struct segment *segment;
    bool open, grown, full;
    bool unset;    /* it was opened under a clock that was never set */
    bool seasoned; /* a segment of it was closed since start */
    mono_time opened, first_unsynced;
    uint32_t check_at; /* readings at which its size may be the limit */
};

/* A line as the samples of its thread name it. */
struct view_line {
    uint32_t *blocks; /* [place on the line] index into the plan */
    uint32_t count;
};

/* Where a device is asked. */
struct view_device {
    uint16_t line;  /* its number */
    uint32_t place; /* among the devices of the line */
};

struct view {
    const struct settings *settings;
    const struct plan *plan;
    struct latest *latest;
    struct layout *layout;
    struct filter *filters; /* [block] */
    struct watch *watch;
    struct catchments *catchments;
    struct view_device *devices; /* [device] */
    struct part *parts;
    struct view_line *lines; /* [number of the line] */
    size_t line_count;
    uint32_t *line_blocks; /* what the lines' blocks lie in */
    struct value *values;  /* room for those of any block */
};

/* numbers: of each line of the settings; NULL: its index. All but `numbers` must outlive it; it
 * owns `latest` no more than the rest. NULL without memory. */
struct view *view_new(const struct settings *settings, const struct plan *plan,
                      const struct store_ids *ids, struct latest *latest, const uint16_t *numbers);
void view_free(struct view *view);

/* Bytes that the samples of so many seconds take. */
size_t view_queue_bytes(const struct view *view, uint32_t seconds);

/* The block that a sample is of; false when nobody knows its line. */
bool view_block(const struct view *view, const struct sample *sample, uint32_t *block);

/* Goes on with what is known of the blocks: from[block] is the one before (plan_diff_carry()). */
void view_carry(struct view *view, const struct view *before, const uint32_t *from);

#endif
