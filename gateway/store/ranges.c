/* Sorted, disjoint, inclusive ranges of sequence numbers in one growing array.
 * Pure: no thread, no clock, no I/O; the caller owns the set and its array. Neighbours are always
 * joined, so that the number of ranges says how many holes there are.
 * Never shrinks its array. */
#include "gateway/store/ranges.h"

#include <stdlib.h>
#include <string.h>

void ranges_free(struct ranges *set)
{
    free(set->items);
    *set = (struct ranges){0};
}

static bool reserve(struct ranges *set, size_t count)
{
    if (count <= set->capacity)
        return true;
    size_t capacity = set->capacity ? set->capacity * 2 : 8;
    while (capacity < count)
        capacity *= 2;
    struct range *items = realloc(set->items, capacity * sizeof *items);
    if (!items)
        return false;
    set->items = items;
    set->capacity = capacity;
    return true;
}

/* Index of the first range that ends at or above `number`. */
static size_t lower_bound(const struct ranges *set, uint64_t number)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->items[middle].last < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Replaces items[at .. at+old) by `fresh` new ones. */
static void splice(struct ranges *set, size_t at, size_t old, const struct range *items,
                   size_t fresh)
{
    memmove(set->items + at + fresh, set->items + at + old,
            (set->count - at - old) * sizeof *set->items);
    if (fresh)
        memcpy(set->items + at, items, fresh * sizeof *items);
    set->count = set->count - old + fresh;
}

bool ranges_add(struct ranges *set, uint64_t first, uint64_t last)
{
    if (last < first)
        return true;
    if (!reserve(set, set->count + 1))
        return false;
    size_t at = lower_bound(set, first ? first - 1 : 0);
    size_t end = at;
    struct range joined = {first, last};
    while (end < set->count && set->items[end].first <= last + 1) {
        if (set->items[end].first < joined.first)
            joined.first = set->items[end].first;
        if (set->items[end].last > joined.last)
            joined.last = set->items[end].last;
        end++;
    }
    splice(set, at, end - at, &joined, 1);
    return true;
}

bool ranges_remove(struct ranges *set, uint64_t first, uint64_t last)
{
    if (last < first)
        return true;
    if (!reserve(set, set->count + 1))
        return false;
    size_t at = lower_bound(set, first);
    size_t end = at;
    struct range rest[2];
    size_t rests = 0;
    while (end < set->count && set->items[end].first <= last) {
        struct range *r = &set->items[end++];
        if (r->first < first)
            rest[rests++] = (struct range){r->first, first - 1};
        if (r->last > last)
            rest[rests++] = (struct range){last + 1, r->last};
    }
    splice(set, at, end - at, rest, rests);
    return true;
}

bool ranges_copy(struct ranges *to, const struct ranges *from)
{
    if (!reserve(to, from->count))
        return false;
    if (from->count)
        memcpy(to->items, from->items, from->count * sizeof *from->items);
    to->count = from->count;
    return true;
}

bool ranges_contains(const struct ranges *set, uint64_t number)
{
    size_t at = lower_bound(set, number);
    return at < set->count && set->items[at].first <= number;
}

bool ranges_next(const struct ranges *set, uint64_t from, struct range *out)
{
    size_t at = lower_bound(set, from);
    if (at == set->count)
        return false;
    *out = set->items[at];
    if (out->first < from)
        out->first = from;
    return true;
}
