/* What shares a request, and what that costs. Pure; for plan_search.c. */
#ifndef LIFELINE_PLAN_BUNDLE_H
#define LIFELINE_PLAN_BUNDLE_H

#include <stdbool.h>

#include "config/settings.h"

/* Different periods in one read. Each is a multiple of the one before; nobody has more. */
#define PLAN_LAYERS_MAX 6

struct plan_wire {
    enum function function;
    int64_t byte_ns;
};

/* Registers (or bits) that come with one answer. */
struct plan_span {
    uint32_t first, end; /* on the wire, `end` behind the last */
    uint32_t cap;        /* the most that a request with them may ask for */
    int64_t overhead_ns; /* of a request with them, without its values */
};

struct plan_layer {
    uint32_t every_ms; /* 0 = without a pause */
    struct plan_span span;
};

/* A read: for each of its periods the hull of what is asked that often. */
struct plan_bundle {
    struct plan_layer layers[PLAN_LAYERS_MAX]; /* shortest period first */
    uint32_t count;                            /* 0: an empty one */
    struct plan_span whole;
    double cost; /* the caller's own */
};

/* The two in one request. Inline, like the next one: the search asks for little else. */
static inline struct plan_span plan_bundle_hull(const struct plan_span *a,
                                                const struct plan_span *b)
{
    return (struct plan_span){
        .first = a->first < b->first ? a->first : b->first,
        .end = a->end > b->end ? a->end : b->end,
        .cap = a->cap < b->cap ? a->cap : b->cap,
        .overhead_ns = a->overhead_ns > b->overhead_ns ? a->overhead_ns : b->overhead_ns,
    };
}

static inline bool plan_bundle_fits(const struct plan_span *span)
{
    return span->end - span->first <= span->cap;
}

/* The line time in ns per ms of a read with all that is in the two; INFINITY if none can be. */
double plan_bundle_cost(const struct plan_wire *wire, const struct plan_bundle *a,
                        const struct plan_bundle *b);

/* False when it cannot be asked for with the others; the bundle is of no use then. */
bool plan_bundle_add(struct plan_bundle *bundle, const struct plan_layer *layer);

#endif
