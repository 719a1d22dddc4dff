/* Atoms and the reads that they are in, each read with its cost.
 *
 * Pure: runs where plan_new() runs, owns the memory of one search, never talks to a line. A read is
 * a list of atoms by address; there are as many slots for reads as atoms, most of them nobody's. */
#include "drivers/plan_state.h"

#include <stdlib.h>

#define ADDRESSES 0x10000

bool plan_state_allocate(struct plan_state *state, size_t count)
{
    state->atoms = calloc(count, sizeof *state->atoms);
    state->reads = calloc(count, sizeof *state->reads);
    state->next = calloc(count, sizeof *state->next);
    state->best = calloc(count, sizeof *state->best);
    state->steps = calloc(count + 1, sizeof *state->steps);
    state->row = calloc(count, sizeof *state->row);
    state->hosts = calloc(count, sizeof *state->hosts);
    state->places = calloc(count, sizeof *state->places);
    state->before = calloc(count + 1, sizeof *state->before);
    state->behind = calloc(count + 1, sizeof *state->behind);
    return state->atoms && state->reads && state->next && state->best && state->steps &&
           state->row && state->hosts && state->places && state->before && state->behind;
}

void plan_state_release(struct plan_state *state)
{
    free(state->atoms);
    free(state->reads);
    free(state->next);
    free(state->best);
    free(state->steps);
    free(state->row);
    free(state->hosts);
    free(state->places);
    free(state->before);
    free(state->behind);
}

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
    const struct plan_atom *a = left, *b = right;
    int order = compare(a->bundle.layers[0].first, b->bundle.layers[0].first);
    if (order == 0)
        order = compare(a->bundle.layers[0].end, b->bundle.layers[0].end);
    return order != 0 ? order : compare(a->item, b->item);
}

static void number_patiences(struct plan_state *state)
{
    for (uint32_t i = 0; i < state->count; i++) {
        const struct plan_bundle *own = &state->atoms[i].bundle, *other;
        uint32_t same = 0;
        for (; same < i; same++) {
            other = &state->atoms[same].bundle;
            if (own->cap == other->cap &&
                own->layers[0].overhead_ns == other->layers[0].overhead_ns)
                break;
        }
        state->atoms[i].patience = same < i ? state->atoms[same].patience : state->patiences++;
    }
}

/* What the search needs to know of all atoms. */
static void measure(struct plan_state *state)
{
    const struct plan_wire *wire = state->wire;
    int64_t overhead_ns = 0;
    state->one_kind = state->patiences == 1;
    for (uint32_t i = 0; i < state->count; i++) {
        const struct plan_layer *layer = &state->atoms[i].bundle.layers[0];
        overhead_ns = layer->overhead_ns > overhead_ns ? layer->overhead_ns : overhead_ns;
        if (state->atoms[i].bundle.cap > state->longest)
            state->longest = state->atoms[i].bundle.cap;
        if (layer->every_ms != state->atoms[0].bundle.layers[0].every_ms)
            state->one_kind = false;
    }
    int64_t bytes = overhead_ns / (wire->byte_ns > 0 ? wire->byte_ns : 1);
    int64_t reach = wire->bits ? 8 * bytes : bytes / 2;
    state->reach = reach < ADDRESSES ? (uint32_t)reach : ADDRESSES;
}

/* An item inside another one of its kind comes with it for nothing, so it is left out. */
void plan_state_atoms(struct plan_state *state, struct plan_item *items, size_t count)
{
    qsort(items, count, sizeof *items, compare_items);
    uint32_t leader = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct plan_item *item = &items[i];
        bool same = i > 0 && compare_kinds(&items[leader], item) == 0;
        if (!same || item->end > items[leader].end) {
            leader = i;
            state->atoms[state->count++] = (struct plan_atom){
                .bundle = {item->cap,
                           1,
                           {{item->every_ms, item->first, item->end,
                             item->every_ms != 0 ? 1.0 / item->every_ms : 1, item->overhead_ns}}},
                .item = i};
        }
        item->leader = leader;
    }
    qsort(state->atoms, state->count, sizeof *state->atoms, compare_atoms);
    number_patiences(state);
    measure(state);
}

void plan_state_clear(struct plan_state *state)
{
    for (uint32_t i = 0; i < state->count; i++) {
        state->reads[i].bundle = PLAN_BUNDLE_EMPTY;
        state->reads[i].head = PLAN_NONE;
        state->reads[i].cost = 0;
    }
}

bool plan_state_is_near(const struct plan_state *state, const struct plan_layer *a,
                        const struct plan_layer *b)
{
    return a->first <= b->end + state->reach && b->first <= a->end + state->reach;
}

uint32_t plan_state_unused(const struct plan_state *state)
{
    uint32_t read = 0;
    while (state->reads[read].bundle.count > 0)
        read++;
    return read;
}

void plan_state_put(struct plan_state *state, uint32_t read, uint32_t atom)
{
    uint32_t *at = &state->reads[read].head;
    while (*at != PLAN_NONE && *at < atom)
        at = &state->next[*at];
    state->next[atom] = *at;
    *at = atom;
}

void plan_state_weigh(struct plan_state *state, uint32_t read)
{
    struct plan_slot *own = &state->reads[read];
    own->bundle = PLAN_BUNDLE_EMPTY;
    for (uint32_t atom = own->head; atom != PLAN_NONE; atom = state->next[atom])
        (void)plan_bundle_add(&own->bundle, &state->atoms[atom].bundle);
    own->whole = plan_bundle_whole(&own->bundle);
    own->cost = plan_bundle_cost(state->wire, &own->bundle);
}

void plan_state_keep_if_better(struct plan_state *state)
{
    double cost = 0;
    for (uint32_t i = 0; i < state->count; i++)
        cost += state->reads[i].cost;
    if (state->best_cost >= 0 && cost >= state->best_cost)
        return;
    state->best_cost = cost;
    for (uint32_t i = 0; i < state->count; i++) {
        for (uint32_t atom = state->reads[i].head; atom != PLAN_NONE; atom = state->next[atom])
            state->best[atom] = i;
    }
}
