/* What the cost of a read depends on: the hull of each of its periods. Pure; for plan_search.c. */
#ifndef LIFELINE_PLAN_BUNDLE_H
#define LIFELINE_PLAN_BUNDLE_H

#include <stdbool.h>
#include <stdint.h>

/* Different periods in one read. Each is a multiple of the one before; nobody has more. */
#define PLAN_LAYERS_MAX 6

struct plan_wire {
    bool bits; /* eight values a byte, or else two bytes a value */
    int64_t byte_ns;
};

/* The items of one period in a read. */
struct plan_layer {
    uint32_t every_ms;
    uint32_t first, end;
    double rate; /* requests per ms */
    int64_t overhead_ns;
};

struct plan_bundle {
    uint32_t cap; /* the most that a request may ask for */
    uint32_t count;
    struct plan_layer layers[PLAN_LAYERS_MAX]; /* shortest period first */
};

static const struct plan_bundle PLAN_BUNDLE_EMPTY = {.cap = UINT32_MAX};

/* False when the two cannot share a request. `out` is neither of them. */
bool plan_bundle_join(const struct plan_bundle *a, const struct plan_bundle *b,
                      struct plan_bundle *out);

/* The same in place; on false the bundle is as it was. */
bool plan_bundle_add(struct plan_bundle *bundle, const struct plan_bundle *part);

/* The line time that it takes, in ns per ms. */
double plan_bundle_cost(const struct plan_wire *wire, const struct plan_bundle *bundle);

/* The hull and the overhead of all periods together. */
struct plan_layer plan_bundle_whole(const struct plan_bundle *bundle);
void plan_bundle_widen(struct plan_layer *layer, const struct plan_layer *by);

static inline uint32_t plan_bundle_least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* How long so many values are on the wire. */
int64_t plan_bundle_data_ns(const struct plan_wire *wire, uint32_t count);

#endif
