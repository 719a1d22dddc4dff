/* Blocks of the plan into open segments, sector by sector, at most 500 points each.
 * Pure, used by main() and the pipeline at start; owns its arrays. A segment rewritten at every
 * sync must stay small beside a page of flash, hence the limit. Never changes while the daemon
 * runs: a Block on the wire keeps its shape until a reload. */
#include "gateway/flow/layout.h"

#include <stdlib.h>

enum { PART_POINTS = 500 };

static void place_sector(struct layout *layout, enum sector sector)
{
    uint32_t points = 0, blocks = 0;
    for (size_t b = 0; b < layout->plan->block_count; b++) {
        const struct plan_block *block = &layout->plan->blocks[b];
        if (layout->settings->devices[block->device].sector != sector)
            continue;
        if (!blocks || points + block->point_count > PART_POINTS) {
            layout->sectors[layout->part_count++] = sector;
            points = blocks = 0;
        }
        layout->places[b] = (struct layout_place){layout->part_count - 1, blocks++};
        points += block->point_count;
    }
}

struct layout *layout_new(const struct settings *settings, const struct plan *plan)
{
    struct layout *layout = calloc(1, sizeof *layout);
    if (!layout)
        return NULL;
    layout->settings = settings;
    layout->plan = plan;
    layout->places = calloc(plan->block_count + 1, sizeof *layout->places);
    layout->sectors = calloc(plan->block_count + 1, sizeof *layout->sectors);
    if (!layout->places || !layout->sectors) {
        layout_free(layout);
        return NULL;
    }
    for (int sector = 1; sector < SECTOR_COUNT; sector++)
        place_sector(layout, (enum sector)sector);
    return layout;
}

void layout_free(struct layout *layout)
{
    if (!layout)
        return;
    free(layout->places);
    free(layout->sectors);
    free(layout);
}

static struct segment_column *make_columns(const struct layout *layout,
                                           const struct plan_block *block,
                                           const struct store_ids *ids)
{
    const struct profile *profile = layout->settings->devices[block->device].profile;
    struct segment_column *columns = calloc(block->point_count, sizeof *columns);
    for (uint16_t i = 0; columns && i < block->point_count; i++) {
        const struct profile_point *point = &profile->points[block->points[i]];
        columns[i] = (struct segment_column){.point = ids->point[block->device][block->points[i]],
                                             .decimals = point->is_float ? 0 : point->decimals,
                                             .is_float = point->is_float};
    }
    return columns;
}

struct segment *layout_segment(const struct layout *layout, uint32_t part,
                               const struct store_ids *ids)
{
    const struct plan *plan = layout->plan;
    struct segment_block *blocks = calloc(plan->block_count + 1, sizeof *blocks);
    struct segment *segment = NULL;
    size_t count = 0;
    bool ok = blocks != NULL;
    for (size_t b = 0; ok && b < plan->block_count; b++) {
        if (layout->places[b].part != part)
            continue;
        struct segment_column *columns = make_columns(layout, &plan->blocks[b], ids);
        ok = columns != NULL;
        blocks[count++] = (struct segment_block){.device = ids->device[plan->blocks[b].device],
                                                 .column_count = plan->blocks[b].point_count,
                                                 .columns = columns};
    }
    if (ok)
        segment = segment_new(blocks, count);
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)blocks[i].columns);
    free(blocks);
    return segment;
}
