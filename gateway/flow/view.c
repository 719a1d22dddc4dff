/* Builds the watch, the filters, open segments and tables of the pipeline out of settings and plan.
 * Pure: main() calls it at start and at a reload, the pipeline thread owns what comes out and
 * carries over what is known of the blocks.
 * Everything is allocated here: while samples flow there is nothing left to allocate. */
#include "gateway/flow/view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool make_filter(struct view *view, size_t b)
{
    const struct plan_block *block = &view->plan->blocks[b];
    const struct settings_device *device = &view->settings->devices[block->device];
    struct filter *filter = &view->filters[b];
    filter->count = block->point_count;
    filter->heartbeat_ms = view->settings->store.heartbeat_ms;
    filter->all_deadband = true;
    for (uint16_t i = 0; i < block->point_count; i++)
        filter->all_deadband &= device->points[block->points[i]].has_deadband;
    if (!filter->all_deadband)
        return true;
    filter->last = calloc(block->point_count, sizeof *filter->last);
    filter->deadband = calloc(block->point_count, sizeof *filter->deadband);
    filter->is_float = calloc(block->point_count, sizeof *filter->is_float);
    if (!filter->last || !filter->deadband || !filter->is_float)
        return false;
    for (uint16_t i = 0; i < block->point_count; i++) {
        const struct profile_point *point = &device->profile->points[block->points[i]];
        double deadband = device->points[block->points[i]].deadband;
        filter->is_float[i] = point->is_float;
        filter->deadband[i] = point->is_float ? deadband : deadband * pow(10, point->decimals);
    }
    return true;
}

static bool make_filters(struct view *view)
{
    view->filters = calloc(view->plan->block_count + 1, sizeof *view->filters);
    bool ok = view->filters != NULL;
    for (size_t b = 0; ok && b < view->plan->block_count; b++)
        ok = make_filter(view, b);
    return ok;
}

static bool make_parts(struct view *view, const struct store_ids *ids)
{
    view->layout = layout_new(view->settings, view->plan);
    if (!view->layout)
        return false;
    view->parts = calloc(view->layout->part_count + 1, sizeof *view->parts);
    for (uint32_t p = 0; view->parts && p < view->layout->part_count; p++) {
        view->parts[p].sector = view->layout->sectors[p];
        view->parts[p].segment = layout_segment(view->layout, p, ids);
        if (!view->parts[p].segment)
            return false;
    }
    return view->parts != NULL;
}

static bool make_lines(struct view *view, const uint16_t *numbers)
{
    const struct plan *plan = view->plan;
    size_t count = view->settings->line_count;
    struct view_line **lines = calloc(count + 1, sizeof *lines); /* [line of the settings] */
    for (size_t l = 0; l < count; l++) {
        size_t number = numbers ? numbers[l] : l;
        view->line_count = number >= view->line_count ? number + 1 : view->line_count;
    }
    view->lines = calloc(view->line_count + 1, sizeof *view->lines);
    view->line_blocks = calloc(plan->block_count + 1, sizeof *view->line_blocks);
    bool ok = lines && view->lines && view->line_blocks;
    for (size_t l = 0; ok && l < count; l++)
        lines[l] = &view->lines[numbers ? numbers[l] : l];
    for (size_t b = 0; ok && b < plan->block_count; b++)
        lines[plan->blocks[b].line]->count++;
    for (size_t n = 0, blocks = 0; ok && n < view->line_count; n++) {
        view->lines[n].blocks = view->line_blocks + blocks;
        blocks += view->lines[n].count;
    }
    for (uint32_t b = 0; ok && b < plan->block_count; b++)
        lines[plan->blocks[b].line]->blocks[plan->blocks[b].of_line] = b;
    free(lines);
    return ok;
}

static bool make_devices(struct view *view, const uint16_t *numbers)
{
    const struct settings *settings = view->settings;
    uint32_t *places = calloc(settings->line_count + 1, sizeof *places);
    view->devices = calloc(settings->device_count + 1, sizeof *view->devices);
    for (size_t d = 0; places && view->devices && d < settings->device_count; d++) {
        uint32_t line = settings->devices[d].line;
        view->devices[d].line = numbers ? numbers[line] : (uint16_t)line;
        view->devices[d].place = places[line]++;
    }
    bool ok = places && view->devices;
    free(places);
    return ok;
}

static bool make_values(struct view *view)
{
    uint16_t widest = 1;
    for (size_t b = 0; b < view->plan->block_count; b++)
        widest =
            view->plan->blocks[b].point_count > widest ? view->plan->blocks[b].point_count : widest;
    view->values = calloc(widest, sizeof *view->values);
    return view->values != NULL;
}

struct view *view_new(const struct settings *settings, const struct plan *plan,
                      const struct store_ids *ids, struct latest *latest, const uint16_t *numbers)
{
    struct view *view = calloc(1, sizeof *view);
    if (!view)
        return NULL;
    *view = (struct view){.settings = settings, .plan = plan, .latest = latest};
    view->watch = watch_new(settings, plan, ids);
    view->catchments = catchments_new(settings, plan);
    if (view->watch && view->catchments && make_values(view) && make_filters(view) &&
        make_parts(view, ids) && make_lines(view, numbers) && make_devices(view, numbers))
        return view;
    view_free(view);
    return NULL;
}

void view_free(struct view *view)
{
    if (!view)
        return;
    for (size_t b = 0; view->filters && b < view->plan->block_count; b++) {
        free(view->filters[b].last);
        free(view->filters[b].deadband);
        free(view->filters[b].is_float);
    }
    for (uint32_t p = 0; view->parts && p < view->layout->part_count; p++)
        segment_free(view->parts[p].segment);
    watch_free(view->watch);
    catchments_free(view->catchments);
    free(view->devices);
    free(view->parts);
    free(view->filters);
    free(view->lines);
    free(view->line_blocks);
    free(view->values);
    layout_free(view->layout);
    free(view);
}

size_t view_queue_bytes(const struct view *view, uint32_t seconds)
{
    double bytes = 0;
    for (size_t i = 0; i < view->plan->block_count; i++) {
        uint32_t every_ms = view->plan->blocks[i].every_ms ? view->plan->blocks[i].every_ms : 1;
        bytes += (double)queue_cost(view->plan->blocks[i].point_count) *
                 (seconds * 1000.0 / every_ms + 1);
    }
    return bytes < (double)SIZE_MAX / 2 ? (size_t)bytes : SIZE_MAX / 2;
}

bool view_block(const struct view *view, const struct sample *sample, uint32_t *block)
{
    if (sample->line >= view->line_count || sample->block >= view->lines[sample->line].count)
        return false;
    *block = view->lines[sample->line].blocks[sample->block];
    return true;
}

static void carry_filter(struct filter *filter, const struct filter *before)
{
    filter->any = before->any;
    filter->failure = before->failure;
    filter->kept = before->kept;
    if (!filter->all_deadband)
        return;
    if (before->all_deadband)
        memcpy(filter->last, before->last, filter->count * sizeof *filter->last);
    else
        filter->any = false; /* there is nothing to compare with */
}

void view_carry(struct view *view, const struct view *before, const uint32_t *from)
{
    for (size_t b = 0; b < view->plan->block_count; b++) {
        if (from[b] < before->plan->block_count)
            carry_filter(&view->filters[b], &before->filters[from[b]]);
    }
    latest_carry(view->latest, before->latest, from);
}
