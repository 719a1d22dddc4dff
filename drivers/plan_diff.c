/* Compares plans line by line, and values by what they mean.
 * Pure; the main thread of the daemon calls it at a reload, when the settings have been compared.
 * A device is the one of its name and sector, whatever line it hangs on now.
 * Never changes a plan. */
#include "drivers/plan_diff.h"

#include <string.h>

static size_t next_block(const struct plan *plan, uint32_t line, size_t b)
{
    while (b < plan->block_count && plan->blocks[b].line != line)
        b++;
    return b;
}

static size_t next_read(const struct plan *plan, uint32_t line, size_t r)
{
    while (r < plan->read_count && plan->reads[r].line != line)
        r++;
    return r;
}

static bool same_block(const struct plan_block *a, const struct plan_block *b)
{
    return a->unit == b->unit && a->function == b->function && a->address == b->address &&
           a->count == b->count && a->every_ms == b->every_ms && a->point_count == b->point_count &&
           memcmp(a->points, b->points, a->point_count * sizeof *a->points) == 0;
}

static bool same_read(const struct plan *a, const struct plan_read *a_read, const struct plan *b,
                      const struct plan_read *b_read)
{
    bool same = a_read->unit == b_read->unit && a_read->function == b_read->function &&
                a_read->every_ms == b_read->every_ms && a_read->block_count == b_read->block_count;
    for (uint16_t i = 0; same && i < a_read->block_count; i++)
        same = a->blocks[a_read->blocks[i]].of_line == b->blocks[b_read->blocks[i]].of_line;
    return same;
}

bool plan_diff_same_line(const struct plan *a, uint32_t a_line, const struct plan *b,
                         uint32_t b_line)
{
    size_t i = next_block(a, a_line, 0), j = next_block(b, b_line, 0);
    while (i < a->block_count && j < b->block_count) {
        if (!same_block(&a->blocks[i], &b->blocks[j]))
            return false;
        i = next_block(a, a_line, i + 1);
        j = next_block(b, b_line, j + 1);
    }
    if (i < a->block_count || j < b->block_count)
        return false;
    i = next_read(a, a_line, 0);
    j = next_read(b, b_line, 0);
    while (i < a->read_count && j < b->read_count) {
        if (!same_read(a, &a->reads[i], b, &b->reads[j]))
            return false;
        i = next_read(a, a_line, i + 1);
        j = next_read(b, b_line, j + 1);
    }
    return i == a->read_count && j == b->read_count;
}

static bool same_meaning(const struct profile_point *a, const struct profile_point *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->quantity, b->quantity) == 0 &&
           strcmp(a->unit, b->unit) == 0 && a->is_float == b->is_float &&
           a->decimals == b->decimals;
}

static bool same_values(const struct plan_of *a, const struct plan_block *a_block,
                        const struct plan_of *b, const struct plan_block *b_block)
{
    const struct profile *before = a->settings->devices[a_block->device].profile;
    const struct profile *after = b->settings->devices[b_block->device].profile;
    bool same = a_block->point_count == b_block->point_count;
    for (uint16_t i = 0; same && i < a_block->point_count; i++)
        same =
            same_meaning(&before->points[a_block->points[i]], &after->points[b_block->points[i]]);
    return same;
}

/* Blocks stand in the order of the devices: where the search ended is where the next one begins. */
static uint32_t find(const struct plan_of *before, size_t hint, const struct plan_of *after,
                     const struct plan_block *block)
{
    const struct settings_device *device = &after->settings->devices[block->device];
    size_t count = before->plan->block_count;
    for (size_t i = 0; i < count; i++) {
        size_t at = (hint + i) % count;
        const struct plan_block *candidate = &before->plan->blocks[at];
        const struct settings_device *was = &before->settings->devices[candidate->device];
        if (was->sector == device->sector && strcmp(was->name, device->name) == 0 &&
            same_values(before, candidate, after, block))
            return (uint32_t)at;
    }
    return PLAN_DIFF_NONE;
}

void plan_diff_carry(const struct plan_of *before, const struct plan_of *after, uint32_t *from)
{
    size_t hint = 0;
    for (size_t b = 0; b < after->plan->block_count; b++) {
        from[b] = find(before, hint, after, &after->plan->blocks[b]);
        if (from[b] != PLAN_DIFF_NONE)
            hint = from[b] + 1;
    }
}
