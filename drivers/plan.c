/* Turns settings into requests: collects what each unit is asked for, function by function, lets
 * plan_search.c find the reads, and writes them down as reads of blocks.
 *
 * Pure: runs in whatever thread loads a configuration, owns only what it returns, never talks to a
 * line. Several devices may share a unit; their registers do not overlap, and a read that holds
 * two of them keeps to the smaller max_registers and the longer min_gap. */
#include "drivers/plan.h"

#include <stdlib.h>

#include "drivers/line_time.h"
#include "drivers/plan_search.h"

#define MODBUS_MAX_REGISTERS 125
#define MODBUS_MAX_BITS      2000

/* A block while its place and its read's are not final. */
struct draft {
    struct plan_block block;
    uint32_t read;
};

struct work {
    const struct settings *settings;
    uint64_t *devices;       /* by unit; the index is the lower half */
    struct plan_item *items; /* of one unit and function */
    struct draft *drafts;
    struct plan *plan;
    size_t draft_count, point_count;
    uint32_t reads; /* numbers given so far: by line, unit, function and address */
};

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_keys(const void *left, const void *right)
{
    return compare(*(const uint64_t *)left, *(const uint64_t *)right);
}

static int compare_items(const void *left, const void *right)
{
    const struct plan_item *a = left, *b = right;
    return compare(a->read, b->read) ?: compare(a->device, b->device)
               ?: compare(a->layer.every_ms, b->layer.every_ms) ?: compare(a->point, b->point);
}

static int compare_drafts(const void *left, const void *right)
{
    const struct plan_block *a = &((const struct draft *)left)->block;
    const struct plan_block *b = &((const struct draft *)right)->block;
    return compare(a->device, b->device) ?: compare(a->function, b->function)
               ?: compare(a->address, b->address) ?: compare(a->every_ms, b->every_ms)
               ?: compare(a->points[0], b->points[0]);
}

/* Of drafts in their final order. */
static int compare_in_reads(const void *left, const void *right)
{
    const struct draft *a = *(const struct draft *const *)left;
    const struct draft *b = *(const struct draft *const *)right;
    return compare(a->read, b->read) ?: compare(a->block.address, b->block.address)
               ?: (a > b) - (a < b);
}

static uint32_t request_cap(const struct profile *profile, enum function function)
{
    if (profile_is_bits(function))
        return MODBUS_MAX_BITS;
    if (profile->max_registers == 0 || profile->max_registers > MODBUS_MAX_REGISTERS)
        return MODBUS_MAX_REGISTERS;
    return profile->max_registers;
}

static size_t collect_items(const struct settings *settings, uint32_t index, enum function function,
                            struct plan_item *items)
{
    const struct settings_device *device = &settings->devices[index];
    const struct profile *profile = device->profile;
    struct plan_span span = {.cap = request_cap(profile, function),
                             .overhead_ns =
                                 line_time_overhead_ns(&settings->lines[device->line], profile)};
    size_t count = 0;
    for (size_t i = 0; i < profile->point_count; i++) {
        if (profile->points[i].function != function)
            continue;
        profile_point_span(&profile->points[i], &span.first, &span.end);
        span.first += device->base;
        span.end += device->base;
        items[count++] = (struct plan_item){
            .layer = {device->points[i].every_ms, span}, .device = index, .point = (uint16_t)i};
    }
    return count;
}

/* Items of one read, device and period become a block. */
static void draft_block(struct work *work, enum function function, const struct plan_item *items,
                        size_t count)
{
    const struct settings_device *device = &work->settings->devices[items[0].device];
    uint16_t *points = work->plan->points + work->point_count;
    struct plan_span hull = items[0].layer.span;
    for (size_t i = 0; i < count; i++) {
        hull = plan_bundle_hull(&hull, &items[i].layer.span);
        points[i] = items[i].point;
    }
    work->point_count += count;
    work->drafts[work->draft_count++] =
        (struct draft){.read = work->reads + items[0].read,
                       .block = {.line = device->line,
                                 .device = items[0].device,
                                 .unit = device->unit,
                                 .function = function,
                                 .address = (uint16_t)hull.first,
                                 .count = (uint16_t)(hull.end - hull.first),
                                 .every_ms = items[0].layer.every_ms,
                                 .points = points,
                                 .point_count = (uint16_t)count}};
}

/* All that some devices of one unit are asked for with one function. */
static bool plan_function(struct work *work, const uint64_t *devices, size_t device_count,
                          enum function function)
{
    const struct settings_device *any = &work->settings->devices[(uint32_t)devices[0]];
    const struct plan_wire wire = {
        .function = function,
        .byte_ns = line_time_byte_ns(&work->settings->lines[any->line]),
    };
    struct plan_item *items = work->items;
    size_t count = 0;
    for (size_t i = 0; i < device_count; i++)
        count += collect_items(work->settings, (uint32_t)devices[i], function, items + count);
    if (!plan_search(&wire, items, count))
        return false;
    qsort(items, count, sizeof *items, compare_items);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && items[next].read == items[i].read &&
                           items[next].device == items[i].device &&
                           items[next].layer.every_ms == items[i].layer.every_ms;)
            next++;
        draft_block(work, function, items + i, next - i);
    }
    work->reads += (uint32_t)count;
    return true;
}

static bool plan_units(struct work *work)
{
    size_t count = work->settings->device_count;
    for (size_t i = 0; i < count; i++) {
        const struct settings_device *device = &work->settings->devices[i];
        work->devices[i] = (uint64_t)device->line << 40 | (uint64_t)device->unit << 32 | i;
    }
    qsort(work->devices, count, sizeof *work->devices, compare_keys);
    for (size_t i = 0, next; i < count; i = next) {
        next = i + 1;
        while (next < count && work->devices[next] >> 32 == work->devices[i] >> 32)
            next++;
        for (enum function f = FUNCTION_COIL; f <= FUNCTION_INPUT; f++) {
            if (!plan_function(work, work->devices + i, next - i, f))
                return false;
        }
    }
    return true;
}

/* Writes the drafts down in the order that the plan promises. */
static bool write_plan(struct work *work)
{
    struct plan *plan = work->plan;
    size_t count = work->draft_count;
    const struct draft **order = calloc(count + 1, sizeof(*order));
    plan->blocks = calloc(count + 1, sizeof *plan->blocks);
    plan->reads = calloc(count + 1, sizeof *plan->reads);
    plan->read_blocks = calloc(count + 1, sizeof *plan->read_blocks);
    bool allocated = order && plan->blocks && plan->reads && plan->read_blocks;
    if (!allocated)
        goto out;
    qsort(work->drafts, count, sizeof *work->drafts, compare_drafts);
    for (size_t i = 0; i < count; i++) {
        plan->blocks[i] = work->drafts[i].block;
        order[i] = &work->drafts[i];
    }
    plan->block_count = count;
    qsort(order, count, sizeof(*order), compare_in_reads);
    for (size_t i = 0; i < count; i++) {
        const struct plan_block *block = &order[i]->block;
        struct plan_read *read = &plan->reads[plan->read_count];
        plan->read_blocks[i] = (uint32_t)(order[i] - work->drafts);
        if (i > 0 && order[i - 1]->read == order[i]->read) {
            read--;
            read->every_ms = block->every_ms < read->every_ms ? block->every_ms : read->every_ms;
        } else {
            plan->read_count++;
            *read = (struct plan_read){block->line,     block->unit,           block->function,
                                       block->every_ms, &plan->read_blocks[i], 0};
        }
        read->block_count++;
    }
out:
    free(order);
    return allocated;
}

/* Where the line is the same, so are these, whatever stands before it in the file. */
static bool number_blocks(struct plan *plan, size_t line_count)
{
    uint32_t *next = calloc(line_count + 1, sizeof *next);
    for (size_t b = 0; next && b < plan->block_count; b++)
        plan->blocks[b].of_line = next[plan->blocks[b].line]++;
    free(next);
    return next != NULL;
}

struct plan *plan_new(const struct settings *settings)
{
    size_t points = 0;
    for (size_t i = 0; i < settings->device_count; i++)
        points += settings->devices[i].profile->point_count;
    struct work work = {
        .settings = settings,
        .devices = calloc(settings->device_count + 1, sizeof *work.devices),
        .items = calloc(points + 1, sizeof *work.items),
        .drafts = calloc(points + 1, sizeof *work.drafts),
        .plan = calloc(1, sizeof *work.plan),
    };
    bool good = work.devices && work.items && work.drafts && work.plan;
    if (good)
        work.plan->points = calloc(points + 1, sizeof *work.plan->points);
    good = good && work.plan->points && plan_units(&work) && write_plan(&work) &&
           number_blocks(work.plan, settings->line_count);
    free(work.devices);
    free(work.items);
    free(work.drafts);
    if (good)
        return work.plan;
    plan_free(work.plan);
    return NULL;
}

void plan_free(struct plan *plan)
{
    if (plan == NULL)
        return;
    free(plan->blocks);
    free(plan->points);
    free(plan->reads);
    free(plan->read_blocks);
    free(plan);
}
