/* Finds the partition of a unit's items into reads that takes the least time of line.
 *
 * Pure: runs where plan_new() runs, owns only its scratch memory, never talks to a line. Few items
 * are solved by trying everything. Of more, one selection after the other (a read, a period, ...)
 * is taken out of its reads and put back in the best way: cut by address into runs, each into a
 * read that stands or a new one, by dynamic programming. That goes on until nothing gets better,
 * from several starts. Of units of eleven or twelve items one in some hundred misses the optimum
 * (tests/unit/test_plan_optimum.c). */
#include "drivers/plan_search.h"

#include <math.h>
#include <stdlib.h>

#define NONE UINT32_MAX

/* So few items that all partitions can be tried: 3^10 splits are a tenth of a millisecond. */
#define FEW     10
#define SUBSETS (1U << FEW)

/* Less than that is rounding, not an improvement (of costs in ns of line per ms). */
#define LEAST_GAIN 1e-6

/* What the items of a selection have in common (patience: cap and overhead). */
enum { SAME_PERIOD = 1, SAME_PATIENCE = 2, SAME_READ = 4 };

/* The best way to put back the first items of a selection ends with those from `from` on, in
 * `read`. */
struct step {
    double cost;
    uint32_t from, read;
};

static const struct plan_bundle NOTHING = {.count = 0};

struct search {
    const struct plan_wire *wire;
    struct plan_item *items; /* by address */
    uint32_t count;
    struct plan_bundle *reads; /* room for one an item */
    uint32_t read_count;       /* those behind are empty, and some before */
    double cost;               /* of all reads */

    /* scratch, one an item and one more */
    struct step *steps;
    uint32_t *selected, *hosts, *before, *best;
};

static int compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_items(const void *left, const void *right)
{
    const struct plan_item *a = left, *b = right;
    return compare(a->layer.span.first, b->layer.span.first)
               ?: compare(b->layer.span.end, a->layer.span.end) ?: compare(a->device, b->device)
               ?: compare(a->point, b->point);
}

static uint32_t unused_read(const struct search *search)
{
    uint32_t read = 0;
    while (search->reads[read].count > 0)
        read++;
    return read;
}

/* Makes the reads of what the items say. */
static void weigh_reads(struct search *search)
{
    for (uint32_t i = 0; i < search->read_count; i++)
        search->reads[i] = NOTHING;
    search->read_count = 0;
    for (uint32_t i = 0; i < search->count; i++) {
        uint32_t read = search->items[i].read;
        if (read == NONE)
            continue;
        (void)plan_bundle_add(&search->reads[read], &search->items[i].layer);
        search->read_count = read < search->read_count ? search->read_count : read + 1;
    }
    search->cost = 0;
    for (uint32_t i = 0; i < search->read_count; i++) {
        struct plan_bundle *read = &search->reads[i];
        read->cost = plan_bundle_cost(search->wire, read, &NOTHING);
        search->cost += read->cost;
    }
}

/* The reads that could take the item, and an empty one. */
static uint32_t find_hosts(struct search *search, const struct plan_item *item)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < search->read_count; i++) {
        struct plan_span both = plan_bundle_hull(&search->reads[i].whole, &item->layer.span);
        if (search->reads[i].count > 0 && plan_bundle_fits(&both))
            search->hosts[count++] = i;
    }
    search->hosts[count++] = unused_read(search);
    return count;
}

/* Finds the best way to put back the selection in runs by address, each into one read. */
static void find_steps(struct search *search, uint32_t selected)
{
    struct step *steps = search->steps;
    for (uint32_t i = 0; i <= selected; i++)
        steps[i].cost = i == 0 ? 0 : INFINITY;
    for (uint32_t from = 0; from < selected; from++) {
        struct plan_bundle run = {.count = 0};
        uint32_t hosts = find_hosts(search, &search->items[search->selected[from]]);
        for (uint32_t to = from + 1; to <= selected; to++) {
            if (!plan_bundle_add(&run, &search->items[search->selected[to - 1]].layer))
                break;
            for (uint32_t i = 0; i < hosts && steps[from].cost < steps[to].cost; i++) {
                const struct plan_bundle *host = &search->reads[search->hosts[i]];
                double cost =
                    steps[from].cost - host->cost + plan_bundle_cost(search->wire, host, &run);
                if (cost < steps[to].cost - LEAST_GAIN)
                    steps[to] = (struct step){cost, from, search->hosts[i]};
            }
        }
    }
}

/* Puts selected[from..to) into a read. False when it does not fit, as another run is there now. */
static bool put(struct search *search, uint32_t from, uint32_t to, uint32_t read)
{
    struct plan_bundle joined = search->reads[read];
    for (uint32_t i = from; i < to; i++) {
        if (!plan_bundle_add(&joined, &search->items[search->selected[i]].layer))
            return false;
    }
    search->reads[read] = joined;
    search->read_count = read < search->read_count ? search->read_count : read + 1;
    for (uint32_t i = from; i < to; i++)
        search->items[search->selected[i]].read = read;
    return true;
}

static bool is_like(const struct plan_item *a, const struct plan_item *b, int same)
{
    const struct plan_layer *x = &a->layer, *y = &b->layer;
    return (!(same & SAME_PERIOD) || x->every_ms == y->every_ms) &&
           (!(same & SAME_PATIENCE) ||
            (x->span.cap == y->span.cap && x->span.overhead_ns == y->span.overhead_ns)) &&
           (!(same & SAME_READ) || a->read == b->read);
}

/* Takes the items like that one out of their reads and puts them back in the best way. True if
 * that is better than before. */
static bool replace(struct search *search, struct plan_item like, int same)
{
    double cost = search->cost;
    uint32_t selected = 0;
    for (uint32_t i = 0; i < search->count; i++) {
        struct plan_item *item = &search->items[i];
        search->before[i] = item->read;
        if (is_like(item, &like, same)) {
            search->selected[selected++] = i;
            item->read = NONE;
        }
    }
    weigh_reads(search);
    uint32_t empty = unused_read(search);
    find_steps(search, selected);
    for (uint32_t to = selected; to > 0; to = search->steps[to].from) {
        const struct step *step = &search->steps[to];
        if (step->read == empty || !put(search, step->from, to, step->read))
            (void)put(search, step->from, to, unused_read(search));
    }
    weigh_reads(search);
    if (like.read == NONE || search->cost < cost - LEAST_GAIN)
        return true;
    for (uint32_t i = 0; i < search->count; i++)
        search->items[i].read = search->before[i];
    weigh_reads(search);
    return false;
}

/* All selections of that sort, one after the other. */
static bool replace_all(struct search *search, int same)
{
    bool better = false;
    for (uint32_t i = 0; i < search->count; i++) {
        uint32_t first = 0;
        while (!is_like(&search->items[first], &search->items[i], same))
            first++;
        if (first == i)
            better = replace(search, search->items[i], same) || better;
    }
    return better;
}

/* Selects by read and period, read, both of period and patience, one of these: as long as it pays.
 */
static void improve(struct search *search, bool one_patience)
{
    bool again;
    do {
        again = false;
        for (int same = SAME_READ | SAME_PERIOD; same > 0; same--) {
            if (!one_patience || !(same & SAME_PATIENCE))
                again = replace_all(search, same) || again;
        }
    } while (again);
}

/* The best of some plans that begin with all items at once, period by period, ... Where all have
 * one patience, there is nothing to select by it. */
static void seek(struct search *search)
{
    double best = INFINITY;
    bool one_patience = true;
    for (uint32_t i = 0; i < search->count; i++)
        one_patience = one_patience && is_like(&search->items[0], &search->items[i], SAME_PATIENCE);
    for (int same = 0; same <= (one_patience ? SAME_PERIOD : SAME_PERIOD | SAME_PATIENCE); same++) {
        for (uint32_t i = 0; i < search->count; i++)
            search->items[i].read = NONE;
        (void)replace_all(search, same);
        improve(search, one_patience);
        if (search->cost >= best - LEAST_GAIN)
            continue;
        best = search->cost;
        for (uint32_t i = 0; i < search->count; i++)
            search->best[i] = search->items[i].read;
    }
    for (uint32_t i = 0; i < search->count; i++)
        search->items[i].read = search->best[i];
}

/* The cost of every subset of the items as one read. */
static void weigh_subsets(const struct search *search, double *costs, uint32_t subset,
                          const struct plan_bundle *bundle, uint32_t next)
{
    for (uint32_t i = next; i < search->count; i++) {
        struct plan_bundle joined = *bundle;
        if (!plan_bundle_add(&joined, &search->items[i].layer))
            continue; /* with one item more it cannot be a read either */
        costs[subset | 1U << i] = plan_bundle_cost(search->wire, &joined, &NOTHING);
        weigh_subsets(search, costs, subset | 1U << i, &joined, i + 1);
    }
}

/* Of every subset, from small to large, the best read for its lowest item. */
static void solve(struct search *search)
{
    double costs[SUBSETS], best[SUBSETS] = {0};
    uint32_t chosen[SUBSETS], all = (1U << search->count) - 1;
    for (uint32_t subset = 0; subset <= all; subset++)
        costs[subset] = INFINITY;
    weigh_subsets(search, costs, 0, &NOTHING, 0);
    for (uint32_t subset = 1; subset <= all; subset++) {
        uint32_t others = subset & (subset - 1);
        best[subset] = costs[subset];
        chosen[subset] = subset;
        for (uint32_t left = others; left > 0; left = (left - 1) & others) {
            double cost = costs[subset ^ left] + best[left];
            if (cost < best[subset]) {
                best[subset] = cost;
                chosen[subset] = subset ^ left;
            }
        }
    }
    for (uint32_t left = all; left > 0; left ^= chosen[left]) {
        for (uint32_t i = 0; i < search->count; i++) {
            if (chosen[left] >> i & 1)
                search->items[i].read = (uint32_t)__builtin_ctz(left);
        }
    }
}

/* By their first items. */
static void number_reads(struct search *search)
{
    uint32_t *numbers = search->before, used = 0;
    for (uint32_t i = 0; i < search->count; i++)
        numbers[i] = NONE;
    for (uint32_t i = 0; i < search->count; i++) {
        uint32_t *number = &numbers[search->items[i].read];
        if (*number == NONE)
            *number = used++;
        search->items[i].read = *number;
    }
}

bool plan_search(const struct plan_wire *wire, struct plan_item *items, size_t count)
{
    struct search search = {.wire = wire, .items = items, .count = (uint32_t)count};
    uint32_t *numbers = calloc(4 * (count + 1), sizeof *numbers);
    search.reads = calloc(count + 1, sizeof *search.reads);
    search.steps = calloc(count + 1, sizeof *search.steps);
    bool allocated = numbers && search.reads && search.steps;
    if (!allocated)
        goto out;
    search.selected = numbers;
    search.hosts = numbers + (count + 1);
    search.before = numbers + 2 * (count + 1);
    search.best = numbers + 3 * (count + 1);
    qsort(items, count, sizeof *items, compare_items);
    if (count <= FEW)
        solve(&search);
    else
        seek(&search);
    number_reads(&search);
out:
    free(search.reads);
    free(search.steps);
    free(numbers);
    return allocated;
}
