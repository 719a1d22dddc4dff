/* Turns settings into requests: the points of a device that share a function and a period are
 * sorted by address and merged into blocks as long as that saves bus time.
 *
 * Pure: runs in whatever thread loads a configuration, owns only what it returns, never talks to a
 * line. The rule is greedy from the lowest address up: a neighbour joins while the gap is cheaper
 * than a request of its own and the block stays within what the sensor answers at once. */
#include "drivers/plan.h"

#include <stdlib.h>

#define MODBUS_MAX_REGISTERS 125
#define MODBUS_MAX_BITS      2000

/* What a request costs beside its data, in characters: 8 asked, 5 around the answer and two
 * silences of 3.5. */
#define REQUEST_CHARACTERS 20

/* One point while it looks for a block. */
struct item {
    uint16_t point;
    enum function function;
    uint32_t every_ms;
    uint32_t first, last; /* registers, without the base */
};

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_items(const void *left, const void *right)
{
    const struct item *a = left, *b = right;
    int order = compare(a->function, b->function);
    if (order == 0)
        order = compare(a->every_ms, b->every_ms);
    if (order == 0)
        order = compare(a->first, b->first);
    return order != 0 ? order : compare(a->point, b->point);
}

static int compare_blocks(const void *left, const void *right)
{
    const struct plan_block *a = left, *b = right;
    int order = compare(a->function, b->function);
    if (order == 0)
        order = compare(a->address, b->address);
    return order != 0 ? order : compare(a->every_ms, b->every_ms);
}

static int compare_points(const void *left, const void *right)
{
    return compare(*(const uint16_t *)left, *(const uint16_t *)right);
}

static uint32_t block_cap(const struct profile *profile, enum function function)
{
    if (profile_is_bits(function))
        return MODBUS_MAX_BITS;
    if (profile->max_registers == 0 || profile->max_registers > MODBUS_MAX_REGISTERS)
        return MODBUS_MAX_REGISTERS;
    return profile->max_registers;
}

/* True when an item belongs into the block that ends at `last` so far. */
static bool joins(const struct item *head, uint32_t last, const struct item *item, uint32_t cap)
{
    if (item->function != head->function || item->every_ms != head->every_ms)
        return false;
    uint32_t end = item->last > last ? item->last : last;
    if (end - head->first + 1 > cap)
        return false;
    uint32_t gap = item->first > last ? item->first - last - 1 : 0;
    uint32_t characters = profile_is_bits(item->function) ? gap / 8 : gap * 2;
    return characters <= REQUEST_CHARACTERS;
}

static size_t collect_items(const struct settings_device *device, struct item *items)
{
    const struct profile *profile = device->profile;
    for (size_t i = 0; i < profile->point_count; i++) {
        const struct profile_point *point = &profile->points[i];
        uint32_t first, end;
        profile_point_span(point, &first, &end);
        items[i] = (struct item){
            .point = (uint16_t)i,
            .function = point->function,
            .every_ms = device->points[i].every_ms,
            .first = first,
            .last = end - 1,
        };
    }
    qsort(items, profile->point_count, sizeof items[0], compare_items);
    return profile->point_count;
}

/* Appends the blocks of one device. `points` has room for all of its points. */
static void plan_device(const struct settings *settings, uint32_t index, struct item *items,
                        struct plan *plan, uint16_t *points)
{
    const struct settings_device *device = &settings->devices[index];
    size_t count = collect_items(device, items);
    size_t first_block = plan->block_count;

    for (size_t i = 0, next; i < count; i = next) {
        const struct item *head = &items[i];
        uint32_t cap = block_cap(device->profile, head->function);
        uint32_t last = head->last;
        for (next = i + 1; next < count && joins(head, last, &items[next], cap); next++)
            last = items[next].last > last ? items[next].last : last;

        for (size_t k = i; k < next; k++)
            points[k] = items[k].point;
        qsort(points + i, next - i, sizeof points[0], compare_points);
        plan->blocks[plan->block_count++] = (struct plan_block){
            .line = device->line,
            .device = index,
            .unit = device->unit,
            .function = head->function,
            .address = (uint16_t)(head->first + device->base),
            .count = (uint16_t)(last - head->first + 1),
            .every_ms = head->every_ms,
            .points = points + i,
            .point_count = (uint16_t)(next - i),
        };
    }
    qsort(plan->blocks + first_block, plan->block_count - first_block, sizeof plan->blocks[0],
          compare_blocks);
}

struct plan *plan_new(const struct settings *settings)
{
    size_t total = 0, largest = 0;
    for (size_t i = 0; i < settings->device_count; i++) {
        size_t count = settings->devices[i].profile->point_count;
        total += count;
        largest = count > largest ? count : largest;
    }

    struct plan *plan = calloc(1, sizeof *plan);
    struct item *items = calloc(largest + 1, sizeof *items);
    if (plan == NULL || items == NULL)
        goto no_memory;
    plan->blocks = calloc(total + 1, sizeof *plan->blocks);
    plan->points = calloc(total + 1, sizeof *plan->points);
    if (plan->blocks == NULL || plan->points == NULL)
        goto no_memory;

    uint16_t *points = plan->points;
    for (uint32_t i = 0; i < settings->device_count; i++) {
        plan_device(settings, i, items, plan, points);
        points += settings->devices[i].profile->point_count;
    }
    free(items);
    items = NULL;
    plan->reads = calloc(plan->block_count + 1, sizeof *plan->reads);
    plan->read_blocks = calloc(plan->block_count + 1, sizeof *plan->read_blocks);
    if (plan->reads == NULL || plan->read_blocks == NULL)
        goto no_memory;
    for (uint32_t b = 0; b < plan->block_count; b++) {
        const struct plan_block *block = &plan->blocks[b];
        plan->read_blocks[b] = b;
        plan->reads[plan->read_count++] = (struct plan_read){
            block->line, block->unit, block->function, block->every_ms, &plan->read_blocks[b], 1};
    }

    /* One block a point was the upper bound; give the rest back. */
    struct plan_block *shrunk =
        realloc(plan->blocks, (plan->block_count + 1) * sizeof *plan->blocks);
    if (shrunk != NULL)
        plan->blocks = shrunk;
    return plan;

no_memory:
    free(items);
    plan_free(plan);
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
