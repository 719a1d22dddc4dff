/* A set of sequence numbers as sorted, disjoint, inclusive ranges. Pure.
 *
 * Live data lives at its newest end and history eats the oldest, so it stays short: one range a
 * stream in good times, one more for every refusal or outage. */
#ifndef LIFELINE_RANGES_H
#define LIFELINE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
    uint64_t first, last;
};

struct ranges {
    struct range *items;
    size_t count, capacity;
};

void ranges_free(struct ranges *set);

/* False, with nothing changed, when there is no memory. An empty range (last < first) is no change.
 */
bool ranges_add(struct ranges *set, uint64_t first, uint64_t last)
    __attribute__((warn_unused_result));
bool ranges_remove(struct ranges *set, uint64_t first, uint64_t last)
    __attribute__((warn_unused_result));
bool ranges_copy(struct ranges *to, const struct ranges *from) __attribute__((warn_unused_result));

bool ranges_contains(const struct ranges *set, uint64_t number);

/* The first range at or above `from`, cut off below it; false when there is none. */
bool ranges_next(const struct ranges *set, uint64_t from, struct range *out);

#endif
