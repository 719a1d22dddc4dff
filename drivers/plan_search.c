/* Finds the partition of a unit's items into reads that takes the least time of line per second.
 *
 * Pure: runs where plan_new() runs, owns only its scratch memory, never talks to a line. A read
 * with the periods p1 | p2 | ... costs the sum over m of (1/pm - 1/p(m+1)) x T(hull of the items up
 * to pm). Two starts are built by dynamic programming over the addresses: period by period, the
 * slower ones riding on the faster reads or apart from them; and all periods in one row. Both are
 * improved by moving runs of items between reads as long as that pays, and the better one wins.
 * Items of one kind only are optimal after the first. Time is bounded by BUDGET. */
#include "drivers/plan_search.h"

#include <stdlib.h>

#include "drivers/plan_bundle.h"
#include "drivers/plan_exact.h"

#define NONE UINT32_MAX

#define ADDRESSES 0x10000

/* Joins of two bundles that are weighed, per item and start, before the plan is good enough. */
#define BUDGET 300

/* Less than that is rounding, not an improvement (of costs in ns of line per ms). */
#define LEAST_GAIN 1e-6

/* An item; of items of one kind of which one holds the other, the larger. By address. */
struct atom {
    struct plan_bundle bundle; /* of it alone */
    uint32_t item;
    uint32_t patience; /* the same number: the same cap and overhead */
};

struct read {
    struct plan_bundle bundle; /* count 0: nobody's */
    struct plan_layer whole;
    double cost;
    uint32_t head; /* its atoms, by address */
};

/* Where the best partition of the first atoms ends: a group from `from` on, and the read that it
 * rides on, or NONE. */
struct step {
    double cost;
    uint32_t from, host;
};

/* Some of a read's atoms: of these periods, with at least this overhead. */
struct kind {
    uint32_t every_least, every_most;
    int64_t overhead_least;
};

struct move {
    double gain;
    struct kind kind;
    uint32_t from, to; /* which of that kind, by address */
    uint32_t target;   /* a read, or NONE for a new one */
};

struct search {
    const struct plan_wire *wire;
    struct atom *atoms;
    uint32_t count, patiences;
    uint32_t longest;   /* the largest cap */
    bool one_kind;      /* one period and one patience */
    uint32_t reach;     /* a gap of more registers (or bits) costs more than any request */
    struct read *reads; /* one an atom */
    uint32_t *next;     /* [atom] the next one of the same read */
    uint32_t *best;     /* [atom] its read in the best plan yet */
    double best_cost;
    size_t budget;
    uint64_t *places; /* the reads at the beginning of a round: first register << 32 | read */
    uint32_t place_count;

    /* scratch, one an atom */
    struct step *steps; /* and one more */
    uint32_t *row, *hosts;
    struct plan_bundle *before, *behind; /* and one more */
};

/* Atoms */

static int compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_kinds(const struct plan_item *a, const struct plan_item *b)
{
    int order = compare(a->every_ms, b->every_ms);
    if (order == 0)
        order = compare(a->cap, b->cap);
    return order != 0 ? order : compare(a->overhead_ns, b->overhead_ns);
}

static int compare_items(const void *left, const void *right)
{
    const struct plan_item *a = left, *b = right;
    int order = compare_kinds(a, b);
    if (order == 0)
        order = compare(a->first, b->first);
    if (order == 0)
        order = compare(b->end, a->end);
    if (order == 0)
        order = compare(a->device, b->device);
    return order != 0 ? order : compare(a->point, b->point);
}

static int compare_atoms(const void *left, const void *right)
{
    const struct atom *a = left, *b = right;
    int order = compare(a->bundle.layers[0].first, b->bundle.layers[0].first);
    if (order == 0)
        order = compare(a->bundle.layers[0].end, b->bundle.layers[0].end);
    return order != 0 ? order : compare(a->item, b->item);
}

/* An item inside another one of its kind comes with it for nothing, so it is left out. */
static void make_atoms(struct search *search, struct plan_item *items, size_t count)
{
    qsort(items, count, sizeof *items, compare_items);
    uint32_t leader = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct plan_item *item = &items[i];
        bool same = i > 0 && compare_kinds(&items[leader], item) == 0;
        if (!same || item->end > items[leader].end) {
            leader = i;
            search->atoms[search->count++] = (struct atom){
                .bundle = {item->cap,
                           1,
                           {{item->every_ms, item->first, item->end,
                             item->every_ms != 0 ? 1.0 / item->every_ms : 1, item->overhead_ns}}},
                .item = i};
        }
        item->leader = leader;
    }
    qsort(search->atoms, search->count, sizeof *search->atoms, compare_atoms);
}

static void number_patiences(struct search *search)
{
    for (uint32_t i = 0; i < search->count; i++) {
        const struct plan_bundle *own = &search->atoms[i].bundle, *other;
        uint32_t same = 0;
        for (; same < i; same++) {
            other = &search->atoms[same].bundle;
            if (own->cap == other->cap &&
                own->layers[0].overhead_ns == other->layers[0].overhead_ns)
                break;
        }
        search->atoms[i].patience = same < i ? search->atoms[same].patience : search->patiences++;
    }
}

/* What the search needs to know of all atoms. */
static void measure(struct search *search)
{
    const struct plan_wire *wire = search->wire;
    int64_t overhead_ns = 0;
    search->one_kind = search->patiences == 1;
    for (uint32_t i = 0; i < search->count; i++) {
        const struct plan_layer *layer = &search->atoms[i].bundle.layers[0];
        overhead_ns = layer->overhead_ns > overhead_ns ? layer->overhead_ns : overhead_ns;
        if (search->atoms[i].bundle.cap > search->longest)
            search->longest = search->atoms[i].bundle.cap;
        if (layer->every_ms != search->atoms[0].bundle.layers[0].every_ms)
            search->one_kind = false;
    }
    int64_t bytes = overhead_ns / (wire->byte_ns > 0 ? wire->byte_ns : 1);
    int64_t reach = wire->bits ? 8 * bytes : bytes / 2;
    search->reach = reach < ADDRESSES ? (uint32_t)reach : ADDRESSES;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Reads */

static void clear(struct search *search)
{
    for (uint32_t i = 0; i < search->count; i++) {
        search->reads[i].bundle = PLAN_BUNDLE_EMPTY;
        search->reads[i].head = NONE;
        search->reads[i].cost = 0;
    }
}

/* False when the two lie so far apart that no request pays that bridges the gap, or can. */
static bool is_near(const struct search *search, const struct plan_layer *a,
                    const struct plan_layer *b)
{
    return a->first <= b->end + search->reach && b->first <= a->end + search->reach;
}

static bool fits(const struct plan_layer *a, const struct plan_layer *b, uint32_t cap)
{
    return (a->end > b->end ? a->end : b->end) - least(a->first, b->first) <= cap;
}

static uint32_t unused_read(const struct search *search)
{
    uint32_t read = 0;
    while (search->reads[read].bundle.count > 0)
        read++;
    return read;
}

static void put(struct search *search, uint32_t read, uint32_t atom)
{
    uint32_t *at = &search->reads[read].head;
    while (*at != NONE && *at < atom)
        at = &search->next[*at];
    search->next[atom] = *at;
    *at = atom;
}

/* After its atoms have changed. */
static void weigh(struct search *search, uint32_t read)
{
    struct read *own = &search->reads[read];
    own->bundle = PLAN_BUNDLE_EMPTY;
    for (uint32_t atom = own->head; atom != NONE; atom = search->next[atom])
        (void)plan_bundle_add(&own->bundle, &search->atoms[atom].bundle);
    own->whole = plan_bundle_whole(&own->bundle);
    own->cost = plan_bundle_cost(search->wire, &own->bundle);
}

static void keep_if_better(struct search *search)
{
    double cost = 0;
    for (uint32_t i = 0; i < search->count; i++)
        cost += search->reads[i].cost;
    if (search->best_cost >= 0 && cost >= search->best_cost)
        return;
    search->best_cost = cost;
    for (uint32_t i = 0; i < search->count; i++) {
        for (uint32_t atom = search->reads[i].head; atom != NONE; atom = search->next[atom])
            search->best[atom] = i;
    }
}

/* The starts */

/* Reads that the atom could ride on: of shorter periods, not too far. */
static uint32_t find_hosts(const struct search *search, const struct plan_bundle *atom)
{
    uint32_t count = 0;
    struct plan_bundle joined;
    for (uint32_t i = 0; i < search->count && search->reads[i].bundle.count > 0; i++) {
        const struct plan_bundle *host = &search->reads[i].bundle;
        if (is_near(search, &search->reads[i].whole, &atom->layers[0]) &&
            host->layers[host->count - 1].every_ms < atom->layers[0].every_ms &&
            plan_bundle_join(host, atom, &joined))
            search->hosts[count++] = i;
    }
    return count;
}

/* The reads of one period: row[from..) as groups, for the least that they add to what stands. */
static void group_row(struct search *search, uint32_t from, uint32_t length, uint32_t hosts)
{
    struct plan_layer sum = search->atoms[search->row[from]].bundle.layers[0];
    uint32_t cap = UINT32_MAX;
    for (uint32_t i = from; i < length; i++) {
        const struct plan_bundle *atom = &search->atoms[search->row[i]].bundle;
        if (hosts == 0 && !is_near(search, &sum, &atom->layers[0]))
            return;
        plan_bundle_widen(&sum, &atom->layers[0]);
        cap = least(cap, atom->cap);
        if (sum.end - sum.first > cap)
            return;
        struct step *step = &search->steps[i + 1];
        double sofar = search->steps[from].cost;
        double alone =
            sofar + sum.rate * (double)(sum.overhead_ns +
                                        plan_bundle_data_ns(search->wire, sum.end - sum.first));
        if (alone < step->cost)
            *step = (struct step){alone, from, NONE};
        for (uint32_t h = 0; h < hosts; h++) {
            const struct read *host = &search->reads[search->hosts[h]];
            struct plan_layer old = host->whole, both = old;
            plan_bundle_widen(&both, &sum);
            if (both.end - both.first > least(cap, host->bundle.cap))
                continue;
            double riding =
                sofar +
                sum.rate * (double)(both.overhead_ns - old.overhead_ns +
                                    plan_bundle_data_ns(search->wire, both.end - both.first) -
                                    plan_bundle_data_ns(search->wire, old.end - old.first));
            if (riding < step->cost)
                *step = (struct step){riding, from, search->hosts[h]};
        }
    }
}

/* Puts row[from..to) into a read. */
static void settle(struct search *search, uint32_t from, uint32_t to, uint32_t host)
{
    struct plan_bundle group = PLAN_BUNDLE_EMPTY, joined;
    for (uint32_t i = from; i < to; i++)
        (void)plan_bundle_add(&group, &search->atoms[search->row[i]].bundle);
    /* The host may have taken another group meanwhile. */
    if (host == NONE || !plan_bundle_join(&search->reads[host].bundle, &group, &joined))
        host = unused_read(search);
    for (uint32_t i = to; i > from; i--)
        put(search, host, search->row[i - 1]);
    weigh(search, host);
}

static void settle_steps(struct search *search, uint32_t length)
{
    for (uint32_t to = length; to > 0; to = search->steps[to].from)
        settle(search, search->steps[to].from, to, search->steps[to].host);
}

static void reset_steps(struct search *search, uint32_t length)
{
    search->steps[0].cost = 0;
    for (uint32_t i = 1; i <= length; i++)
        search->steps[i].cost = 1e300;
}

/* How the atoms of a start are put into rows: by period, riding on the reads of shorter periods or
 * not, or all periods in one. */
enum start { START_RIDING, START_ALONE, START_ONE_ROW };

static bool is_patience(const struct search *search, uint32_t atom, uint32_t patience)
{
    return patience == NONE || search->atoms[atom].patience == patience;
}

/* All atoms of one period into reads of their own, or into those that are there. */
static void start_period(struct search *search, uint32_t every_ms, uint32_t patience, bool riding)
{
    uint32_t length = 0;
    for (uint32_t i = 0; i < search->count; i++) {
        if (search->atoms[i].bundle.layers[0].every_ms == every_ms &&
            is_patience(search, i, patience))
            search->row[length++] = i;
    }
    reset_steps(search, length);
    for (uint32_t i = 0; i < length; i++) {
        const struct plan_bundle *atom = &search->atoms[search->row[i]].bundle;
        group_row(search, i, length, riding ? find_hosts(search, atom) : 0);
    }
    settle_steps(search, length);
}

static void start_periods(struct search *search, uint32_t patience, bool riding)
{
    uint32_t every_ms = 0;
    for (bool more = true; more;) {
        uint32_t next_ms = UINT32_MAX;
        more = false;
        start_period(search, every_ms, patience, riding);
        for (uint32_t i = 0; i < search->count; i++) {
            uint32_t other_ms = search->atoms[i].bundle.layers[0].every_ms;
            if (other_ms > every_ms) {
                next_ms = least(next_ms, other_ms);
                more = true;
            }
        }
        every_ms = next_ms;
    }
}

/* All atoms in one row, whatever their periods. */
static void start_row(struct search *search, uint32_t patience)
{
    uint32_t length = 0;
    for (uint32_t i = 0; i < search->count; i++) {
        if (is_patience(search, i, patience))
            search->row[length++] = i;
    }
    reset_steps(search, length);
    for (uint32_t from = 0; from < length; from++) {
        struct plan_bundle group = PLAN_BUNDLE_EMPTY;
        for (uint32_t i = from; i < length; i++) {
            const struct plan_bundle *atom = &search->atoms[search->row[i]].bundle;
            struct plan_layer whole = plan_bundle_whole(&group);
            if ((i > from && !is_near(search, &whole, &atom->layers[0])) ||
                !plan_bundle_add(&group, atom))
                break;
            double cost = search->steps[from].cost + plan_bundle_cost(search->wire, &group);
            if (cost < search->steps[i + 1].cost)
                search->steps[i + 1] = (struct step){cost, from, NONE};
        }
    }
    settle_steps(search, length);
}

/* Each patience apart from the others, or all together. */
static void start(struct search *search, enum start start, bool apart)
{
    clear(search);
    for (uint32_t i = 0; i < (apart ? search->patiences : 1); i++) {
        uint32_t patience = apart ? i : NONE;
        if (start == START_ONE_ROW)
            start_row(search, patience);
        else
            start_periods(search, patience, start == START_RIDING);
    }
}

/* The improvement */

static bool is_kind(const struct kind *kind, const struct plan_bundle *atom)
{
    const struct plan_layer *layer = &atom->layers[0];
    return layer->every_ms >= kind->every_least && layer->every_ms <= kind->every_most &&
           layer->overhead_ns >= kind->overhead_least;
}

static int compare_places(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static void sort_places(struct search *search)
{
    search->place_count = 0;
    for (uint32_t i = 0; i < search->count; i++) {
        if (search->reads[i].bundle.count > 0)
            search->places[search->place_count++] =
                (uint64_t)search->reads[i].whole.first << 32 | i;
    }
    qsort(search->places, search->place_count, sizeof *search->places, compare_places);
}

/* The first read that can be near. */
static uint32_t first_place(const struct search *search, const struct plan_layer *hull)
{
    uint64_t least_first = 0, far = (uint64_t)search->reach + search->longest;
    if (hull->first > far)
        least_first = (hull->first - far) << 32;
    uint32_t low = 0, high = search->place_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (search->places[middle] < least_first)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Weighs `moved` out of `read`, where `stays` would stay, into every other read and a new one. */
static void weigh_move(struct search *search, uint32_t read, const struct plan_bundle *moved,
                       const struct plan_bundle *stays, const struct move *idea, struct move *best)
{
    double saved = search->reads[read].cost - plan_bundle_cost(search->wire, stays);
    if (saved <= best->gain)
        return; /* what it joins only gets dearer */
    struct plan_bundle joined;
    struct plan_layer whole = plan_bundle_whole(moved);
    if (stays->count > 0) {
        double gain = saved - plan_bundle_cost(search->wire, moved);
        if (gain > best->gain) {
            *best = *idea;
            best->gain = gain;
        }
    }
    for (uint32_t p = first_place(search, &whole); p < search->place_count; p++) {
        uint32_t i = (uint32_t)search->places[p];
        const struct read *target = &search->reads[i];
        if (search->places[p] >> 32 > whole.end + search->reach || search->budget == 0)
            break;
        if (i == read || target->bundle.count == 0 || !is_near(search, &target->whole, &whole) ||
            !fits(&target->whole, &whole, least(target->bundle.cap, moved->cap)))
            continue;
        search->budget--;
        if (!plan_bundle_join(&target->bundle, moved, &joined))
            continue;
        double gain = saved + target->cost - plan_bundle_cost(search->wire, &joined);
        if (gain > best->gain) {
            *best = *idea;
            best->gain = gain;
            best->target = i;
        }
    }
}

/* Every run of atoms of that kind that begins or ends the kind's row. */
static void weigh_kind(struct search *search, uint32_t read, const struct kind *kind,
                       struct move *best)
{
    struct plan_bundle rest = PLAN_BUNDLE_EMPTY, stays;
    uint32_t length = 0;
    search->before[0] = PLAN_BUNDLE_EMPTY;
    for (uint32_t atom = search->reads[read].head; atom != NONE; atom = search->next[atom]) {
        if (is_kind(kind, &search->atoms[atom].bundle))
            search->row[length++] = atom;
        else
            (void)plan_bundle_add(&rest, &search->atoms[atom].bundle);
    }
    search->behind[length] = PLAN_BUNDLE_EMPTY;
    for (uint32_t i = 0; i < length; i++)
        (void)plan_bundle_join(&search->before[i], &search->atoms[search->row[i]].bundle,
                               &search->before[i + 1]);
    for (uint32_t i = length; i > 0; i--)
        (void)plan_bundle_join(&search->behind[i], &search->atoms[search->row[i - 1]].bundle,
                               &search->behind[i - 1]);
    for (uint32_t i = 1; i <= length; i++) {
        struct move idea = {0, *kind, 0, i, NONE};
        (void)plan_bundle_join(&rest, &search->behind[i], &stays);
        weigh_move(search, read, &search->before[i], &stays, &idea, best);
        idea = (struct move){0, *kind, i, length, NONE};
        (void)plan_bundle_join(&rest, &search->before[i], &stays);
        if (i < length)
            weigh_move(search, read, &search->behind[i], &stays, &idea, best);
    }
}

static void apply(struct search *search, uint32_t read, const struct move *move)
{
    uint32_t target = move->target != NONE ? move->target : unused_read(search), position = 0;
    uint32_t left = search->reads[read].head;
    search->reads[read].head = NONE;
    for (uint32_t atom = left; atom != NONE; atom = left) {
        left = search->next[atom];
        bool moves = is_kind(&move->kind, &search->atoms[atom].bundle);
        moves = moves && position >= move->from && position < move->to;
        position += is_kind(&move->kind, &search->atoms[atom].bundle);
        put(search, moves ? target : read, atom);
    }
    weigh(search, read);
    weigh(search, target);
}

/* The best single move out of a read; false when none pays. */
static bool improve_read(struct search *search, uint32_t read)
{
    const struct plan_bundle bundle = search->reads[read].bundle;
    struct move best = {.gain = LEAST_GAIN};
    struct kind all = {0, UINT32_MAX, 0};
    weigh_kind(search, read, &all, &best);
    for (uint32_t i = 0; i < bundle.count && bundle.count > 1; i++) {
        uint32_t every_ms = bundle.layers[i].every_ms;
        struct kind own = {every_ms, every_ms, 0}, slower = {every_ms, UINT32_MAX, 0};
        weigh_kind(search, read, &own, &best);
        if (i > 0 && i + 1 < bundle.count)
            weigh_kind(search, read, &slower, &best);
    }
    struct kind slow_to_ask = {0, UINT32_MAX, plan_bundle_whole(&bundle).overhead_ns};
    weigh_kind(search, read, &slow_to_ask, &best);
    if (best.gain <= LEAST_GAIN)
        return false;
    apply(search, read, &best);
    return true;
}

static void improve(struct search *search)
{
    search->budget = (size_t)search->count * BUDGET;
    for (bool again = true; again && search->budget > 0;) {
        again = false;
        sort_places(search);
        for (uint32_t i = 0; i < search->count && search->budget > 0; i++)
            again = (search->reads[i].bundle.count > 0 && improve_read(search, i)) || again;
    }
}

/* So few atoms that all partitions can be tried. */
static void solve(struct search *search)
{
    const struct plan_bundle *parts[PLAN_EXACT_MAX];
    for (uint32_t i = 0; i < search->count; i++)
        parts[i] = &search->atoms[i].bundle;
    plan_exact(search->wire, parts, search->count, search->best);
}

static bool allocate(struct search *search, size_t count)
{
    search->atoms = calloc(count, sizeof *search->atoms);
    search->reads = calloc(count, sizeof *search->reads);
    search->next = calloc(count, sizeof *search->next);
    search->best = calloc(count, sizeof *search->best);
    search->steps = calloc(count + 1, sizeof *search->steps);
    search->row = calloc(count, sizeof *search->row);
    search->hosts = calloc(count, sizeof *search->hosts);
    search->places = calloc(count, sizeof *search->places);
    search->before = calloc(count + 1, sizeof *search->before);
    search->behind = calloc(count + 1, sizeof *search->behind);
    return search->atoms && search->reads && search->next && search->best && search->steps &&
           search->row && search->hosts && search->places && search->before && search->behind;
}

static void release(struct search *search)
{
    free(search->atoms);
    free(search->reads);
    free(search->next);
    free(search->best);
    free(search->steps);
    free(search->row);
    free(search->hosts);
    free(search->places);
    free(search->before);
    free(search->behind);
}

/* Improves every start. The first one is the best that there is where only one kind of items is. */
static void seek(struct search *search)
{
    for (uint32_t apart = 0; apart < (search->patiences > 1 ? 2 : 1); apart++) {
        for (enum start s = START_RIDING; s <= START_ONE_ROW; s++) {
            start(search, s, apart == 1);
            if (!search->one_kind)
                improve(search);
            keep_if_better(search);
            if (search->one_kind)
                return;
        }
    }
}

/* Tells every item its read, through the atom that it comes with. Atoms are by address, so reads
 * are numbered as they first appear. */
static void number_items(struct search *search, struct plan_item *items, size_t count)
{
    uint32_t *numbers = search->row, used = 0;
    for (uint32_t i = 0; i < search->count; i++)
        numbers[i] = NONE;
    for (uint32_t i = 0; i < search->count; i++) {
        uint32_t *number = &numbers[search->best[i]];
        if (*number == NONE)
            *number = used++;
        items[search->atoms[i].item].read = *number;
    }
    for (size_t i = 0; i < count; i++)
        items[i].read = items[items[i].leader].read;
}

bool plan_search(const struct plan_wire *wire, struct plan_item *items, size_t count)
{
    struct search search = {.wire = wire, .best_cost = -1};
    bool allocated = count == 0 || allocate(&search, count);
    if (count == 0 || !allocated)
        goto out;
    make_atoms(&search, items, count);
    number_patiences(&search);
    measure(&search);
    if (search.count <= PLAN_EXACT_MAX)
        solve(&search);
    else
        seek(&search);
    number_items(&search, items, count);
out:
    release(&search);
    return allocated;
}
