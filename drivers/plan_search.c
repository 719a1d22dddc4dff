/* Finds the partition of a unit's items into reads that takes the least time of line per second.
 *
 * Pure: runs where plan_new() runs, owns only its scratch memory, never talks to a line. Few items
 * are solved by trying everything (plan_exact.c). Of more, some starts (plan_start.c) are improved
 * (plan_move.c) and the best one wins; against all partitions of ten items that is the optimum but
 * for one unit in hundreds (tests/unit/test_plan_optimum.c). */
#include "drivers/plan_search.h"

#include "drivers/plan_exact.h"
#include "drivers/plan_move.h"
#include "drivers/plan_start.h"
#include "drivers/plan_state.h"

/* So few atoms that all partitions can be tried. */
static void solve(struct plan_state *state)
{
    const struct plan_bundle *parts[PLAN_EXACT_MAX];
    for (uint32_t i = 0; i < state->count; i++)
        parts[i] = &state->atoms[i].bundle;
    plan_exact(state->wire, parts, state->count, state->best);
}

/* Improves every start. The first one is the best that there is where only one kind of items is. */
static void seek(struct plan_state *state)
{
    for (uint32_t apart = 0; apart < (state->patiences > 1 ? 2 : 1); apart++) {
        for (enum plan_start s = PLAN_START_RIDING; s <= PLAN_START_ONE_ROW; s++) {
            plan_start_make(state, s, apart == 1);
            if (!state->one_kind)
                plan_move_all(state);
            plan_state_keep_if_better(state);
            if (state->one_kind)
                return;
        }
    }
}

/* Tells every item its read, through the atom that it comes with. Atoms are by address, so reads
 * are numbered as they first appear. */
static void number_items(struct plan_state *state, struct plan_item *items, size_t count)
{
    uint32_t *numbers = state->row, used = 0;
    for (uint32_t i = 0; i < state->count; i++)
        numbers[i] = PLAN_NONE;
    for (uint32_t i = 0; i < state->count; i++) {
        uint32_t *number = &numbers[state->best[i]];
        if (*number == PLAN_NONE)
            *number = used++;
        items[state->atoms[i].item].read = *number;
    }
    for (size_t i = 0; i < count; i++)
        items[i].read = items[items[i].leader].read;
}

bool plan_search(const struct plan_wire *wire, struct plan_item *items, size_t count)
{
    struct plan_state state = {.wire = wire, .best_cost = -1};
    bool allocated = count == 0 || plan_state_allocate(&state, count);
    if (count == 0 || !allocated)
        goto out;
    plan_state_atoms(&state, items, count);
    if (state.count <= PLAN_EXACT_MAX)
        solve(&state);
    else
        seek(&state);
    number_items(&state, items, count);
out:
    plan_state_release(&state);
    return allocated;
}
