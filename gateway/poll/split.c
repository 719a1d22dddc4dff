/* Dividing a read at the registers that a device does not have.
 *
 * Pure, called in the line's thread by poll.c, which owns what is remembered, until the end of the
 * process: a device that is exchanged is asked in one piece again after a restart. Never asks,
 * never allocates. */
#include "gateway/poll/split.h"

#include <stdlib.h>

static int compare_spans(const void *left, const void *right)
{
    const struct split_span *a = left, *b = right;
    return (a->first > b->first) - (a->first < b->first);
}

size_t split_spans(const struct settings *settings, const struct plan *plan, const uint32_t *blocks,
                   size_t block_count, struct split_span *out)
{
    size_t count = 0, merged = 0;
    for (size_t b = 0; b < block_count; b++) {
        const struct plan_block *block = &plan->blocks[blocks[b]];
        const struct settings_device *device = &settings->devices[block->device];
        for (uint16_t i = 0; i < block->point_count; i++) {
            struct split_span *span = &out[count++];
            profile_point_span(&device->profile->points[block->points[i]], &span->first,
                               &span->end);
            span->first += device->base;
            span->end += device->base;
        }
    }
    qsort(out, count, sizeof *out, compare_spans);
    for (size_t i = 0; i < count; i++) {
        if (merged > 0 && out[i].first < out[merged - 1].end) {
            if (out[i].end > out[merged - 1].end)
                out[merged - 1].end = out[i].end;
        } else {
            out[merged++] = out[i];
        }
    }
    return merged;
}

static bool holds(const uint16_t *addresses, uint8_t count, uint32_t address)
{
    for (uint8_t i = 0; i < count; i++) {
        if (addresses[i] == address)
            return true;
    }
    return false;
}

bool split_is_cut(const struct split *split, uint32_t address)
{
    return holds(split->cuts, split->cut_count, address);
}

bool split_is_hole(const struct split *split, uint32_t address)
{
    return holds(split->holes, split->hole_count, address);
}

static void add(uint16_t *addresses, uint8_t *count, uint32_t address)
{
    if (*count < SPLIT_MAX && !holds(addresses, *count, address))
        addresses[(*count)++] = (uint16_t)address;
}

void split_remember(struct split *split, const struct split_span *spans, size_t from, size_t to,
                    const bool *answered, const bool *gap)
{
    for (size_t i = from; i < to; i++) {
        bool begins = i == from || answered[i] != answered[i - 1];
        if (i > from && (begins || (answered[i] && gap[i])))
            add(split->cuts, &split->cut_count, spans[i].first);
        if (begins && !answered[i])
            add(split->holes, &split->hole_count, spans[i].first);
    }
}

size_t split_choose(const struct split_span *spans, size_t from, size_t to)
{
    size_t best = from + (to - from) / 2;
    uint32_t widest = 0;
    for (size_t i = from + 1; i < to; i++) {
        uint32_t gap = spans[i].first - spans[i - 1].end;
        if (gap > widest) {
            widest = gap;
            best = i;
        }
    }
    return best;
}

bool split_bridges(const struct split_span *spans, size_t from, size_t to)
{
    for (size_t i = from + 1; i < to; i++) {
        if (spans[i].first > spans[i - 1].end)
            return true;
    }
    return false;
}
