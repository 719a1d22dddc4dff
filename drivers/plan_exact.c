/* Tries every way to put a few items into reads: the cost of each subset first, then of each subset
 * the best way to split it, from small to large.
 *
 * Pure: runs where plan_new() runs, needs a few KiB of stack and nothing else. 3^8 splits are some
 * ten microseconds. */
#include "drivers/plan_exact.h"

#define SUBSETS    (1U << PLAN_EXACT_MAX)
#define IMPOSSIBLE 1e300

struct exact {
    const struct plan_wire *wire;
    const struct plan_bundle *const *parts;
    uint32_t count;
    double costs[SUBSETS];    /* of one read with these parts */
    double best[SUBSETS];     /* of any number of reads */
    uint16_t chosen[SUBSETS]; /* the read with the lowest part, in the best */
};

/* Weighs all supersets of `subset` that have further parts from `next` on. What cannot share a
 * request cannot either with one part more. */
static void weigh_subsets(struct exact *exact, uint32_t subset, const struct plan_bundle *bundle,
                          uint32_t next)
{
    for (uint32_t i = next; i < exact->count; i++) {
        struct plan_bundle joined;
        if (!plan_bundle_join(bundle, exact->parts[i], &joined))
            continue;
        exact->costs[subset | 1U << i] = plan_bundle_cost(exact->wire, &joined);
        weigh_subsets(exact, subset | 1U << i, &joined, i + 1);
    }
}

/* In every split, one read has the lowest part: only that one is chosen. */
static void split(struct exact *exact, uint32_t subset)
{
    uint32_t lowest = subset & -subset, others = subset ^ lowest;
    exact->best[subset] = exact->costs[subset];
    exact->chosen[subset] = (uint16_t)subset;
    for (uint32_t left = others; left > 0; left = (left - 1) & others) {
        double cost = exact->costs[subset ^ left] + exact->best[left];
        if (cost < exact->best[subset]) {
            exact->best[subset] = cost;
            exact->chosen[subset] = (uint16_t)(subset ^ left);
        }
    }
}

double plan_exact(const struct plan_wire *wire, const struct plan_bundle *const *parts,
                  uint32_t count, uint32_t *reads)
{
    struct exact exact = {.wire = wire, .parts = parts, .count = count};
    uint32_t all = (1U << count) - 1;
    for (uint32_t subset = 1; subset <= all; subset++)
        exact.costs[subset] = IMPOSSIBLE;
    weigh_subsets(&exact, 0, &PLAN_BUNDLE_EMPTY, 0);
    for (uint32_t subset = 1; subset <= all; subset++)
        split(&exact, subset);
    for (uint32_t left = all; left > 0; left ^= exact.chosen[left]) {
        uint32_t chosen = exact.chosen[left];
        for (uint32_t i = 0; i < count; i++) {
            if (chosen >> i & 1)
                reads[i] = (uint32_t)__builtin_ctz(chosen);
        }
    }
    return exact.best[all];
}
