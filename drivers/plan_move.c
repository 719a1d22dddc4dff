/* Improves a partition: out of each read the best single move, round after round.
 *
 * Pure: runs where plan_new() runs, owns nothing. A move takes the first or the last atoms of a
 * kind (all of the read, one period, the slower periods, the slowest to ask) into another read or a
 * new one. Merging and splitting reads are such moves. Time is bounded by BUDGET. */
#include "drivers/plan_move.h"

#include <stdlib.h>

/* Joins that are weighed, per atom, before the plan is good enough. */
#define BUDGET 300

/* Less than that is rounding, not an improvement (of costs in ns of line per ms). */
#define LEAST_GAIN 1e-6

/* Some of a read's atoms: of these periods, with at least this overhead. */
struct kind {
    uint32_t every_least, every_most;
    int64_t overhead_least;
};

struct move {
    double gain;
    struct kind kind;
    uint32_t from, to; /* which of that kind, by address */
    uint32_t target;   /* a read, or PLAN_NONE for a new one */
};

static bool is_kind(const struct kind *kind, const struct plan_bundle *atom)
{
    const struct plan_layer *layer = &atom->layers[0];
    return layer->every_ms >= kind->every_least && layer->every_ms <= kind->every_most &&
           layer->overhead_ns >= kind->overhead_least;
}

static bool fits(const struct plan_layer *a, const struct plan_layer *b, uint32_t cap)
{
    return (a->end > b->end ? a->end : b->end) - plan_bundle_least(a->first, b->first) <= cap;
}

static int compare_places(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static void sort_places(struct plan_state *state)
{
    state->place_count = 0;
    for (uint32_t i = 0; i < state->count; i++) {
        if (state->reads[i].bundle.count > 0)
            state->places[state->place_count++] = (uint64_t)state->reads[i].whole.first << 32 | i;
    }
    qsort(state->places, state->place_count, sizeof *state->places, compare_places);
}

/* The first read that can be near. */
static uint32_t first_place(const struct plan_state *state, const struct plan_layer *hull)
{
    uint64_t least_first = 0, far = (uint64_t)state->reach + state->longest;
    if (hull->first > far)
        least_first = (hull->first - far) << 32;
    uint32_t low = 0, high = state->place_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (state->places[middle] < least_first)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Weighs `moved` out of `read`, where `stays` would stay, into every other read and a new one. */
static void weigh_move(struct plan_state *state, uint32_t read, const struct plan_bundle *moved,
                       const struct plan_bundle *stays, const struct move *idea, struct move *best)
{
    double saved = state->reads[read].cost - plan_bundle_cost(state->wire, stays);
    if (saved <= best->gain)
        return; /* what it joins only gets dearer */
    struct plan_bundle joined;
    struct plan_layer whole = plan_bundle_whole(moved);
    if (stays->count > 0) {
        double gain = saved - plan_bundle_cost(state->wire, moved);
        if (gain > best->gain) {
            *best = *idea;
            best->gain = gain;
        }
    }
    for (uint32_t p = first_place(state, &whole); p < state->place_count; p++) {
        uint32_t i = (uint32_t)state->places[p];
        const struct plan_slot *target = &state->reads[i];
        if (state->places[p] >> 32 > whole.end + state->reach || state->budget == 0)
            break;
        if (i == read || target->bundle.count == 0 ||
            !plan_state_is_near(state, &target->whole, &whole) ||
            !fits(&target->whole, &whole, plan_bundle_least(target->bundle.cap, moved->cap)))
            continue;
        state->budget--;
        if (!plan_bundle_join(&target->bundle, moved, &joined))
            continue;
        double gain = saved + target->cost - plan_bundle_cost(state->wire, &joined);
        if (gain > best->gain) {
            *best = *idea;
            best->gain = gain;
            best->target = i;
        }
    }
}

/* Every run of atoms of that kind that begins or ends the kind's row. */
static void weigh_kind(struct plan_state *state, uint32_t read, const struct kind *kind,
                       struct move *best)
{
    struct plan_bundle rest = PLAN_BUNDLE_EMPTY, stays;
    uint32_t length = 0;
    state->before[0] = PLAN_BUNDLE_EMPTY;
    for (uint32_t atom = state->reads[read].head; atom != PLAN_NONE; atom = state->next[atom]) {
        if (is_kind(kind, &state->atoms[atom].bundle))
            state->row[length++] = atom;
        else
            (void)plan_bundle_add(&rest, &state->atoms[atom].bundle);
    }
    state->behind[length] = PLAN_BUNDLE_EMPTY;
    for (uint32_t i = 0; i < length; i++)
        (void)plan_bundle_join(&state->before[i], &state->atoms[state->row[i]].bundle,
                               &state->before[i + 1]);
    for (uint32_t i = length; i > 0; i--)
        (void)plan_bundle_join(&state->behind[i], &state->atoms[state->row[i - 1]].bundle,
                               &state->behind[i - 1]);
    for (uint32_t i = 1; i <= length; i++) {
        struct move idea = {0, *kind, 0, i, PLAN_NONE};
        (void)plan_bundle_join(&rest, &state->behind[i], &stays);
        weigh_move(state, read, &state->before[i], &stays, &idea, best);
        idea = (struct move){0, *kind, i, length, PLAN_NONE};
        (void)plan_bundle_join(&rest, &state->before[i], &stays);
        if (i < length)
            weigh_move(state, read, &state->behind[i], &stays, &idea, best);
    }
}

static void apply(struct plan_state *state, uint32_t read, const struct move *move)
{
    uint32_t target = move->target != PLAN_NONE ? move->target : plan_state_unused(state);
    uint32_t position = 0, left = state->reads[read].head;
    state->reads[read].head = PLAN_NONE;
    for (uint32_t atom = left; atom != PLAN_NONE; atom = left) {
        left = state->next[atom];
        bool candidate = is_kind(&move->kind, &state->atoms[atom].bundle);
        bool moves = candidate && position >= move->from && position < move->to;
        position += candidate;
        plan_state_put(state, moves ? target : read, atom);
    }
    plan_state_weigh(state, read);
    plan_state_weigh(state, target);
}

/* The best single move out of a read; false when none pays. */
static bool improve_read(struct plan_state *state, uint32_t read)
{
    const struct plan_bundle bundle = state->reads[read].bundle;
    struct move best = {.gain = LEAST_GAIN};
    struct kind all = {0, UINT32_MAX, 0};
    weigh_kind(state, read, &all, &best);
    for (uint32_t i = 0; i < bundle.count && bundle.count > 1; i++) {
        uint32_t every_ms = bundle.layers[i].every_ms;
        struct kind own = {every_ms, every_ms, 0}, slower = {every_ms, UINT32_MAX, 0};
        weigh_kind(state, read, &own, &best);
        if (i > 0 && i + 1 < bundle.count)
            weigh_kind(state, read, &slower, &best);
    }
    struct kind slow_to_ask = {0, UINT32_MAX, plan_bundle_whole(&bundle).overhead_ns};
    weigh_kind(state, read, &slow_to_ask, &best);
    if (best.gain <= LEAST_GAIN)
        return false;
    apply(state, read, &best);
    return true;
}

void plan_move_all(struct plan_state *state)
{
    state->budget = (size_t)state->count * BUDGET;
    for (bool again = true; again && state->budget > 0;) {
        again = false;
        sort_places(state);
        for (uint32_t i = 0; i < state->count && state->budget > 0; i++)
            again = (state->reads[i].bundle.count > 0 && improve_read(state, i)) || again;
    }
}
