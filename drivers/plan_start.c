/* Starts by dynamic programming: atoms in a row by address, cut into groups of the least cost.
 *
 * Pure: runs where plan_new() runs, owns nothing. In a row of one kind this is the optimum. Period
 * by period, from the shortest on, a group may also ride on a read that stands already: then it
 * costs only what that read grows by, as often as the group is asked. */
#include "drivers/plan_start.h"

/* Reads that the atom could ride on: of shorter periods, not too far. */
static uint32_t find_hosts(const struct plan_state *state, const struct plan_bundle *atom)
{
    uint32_t count = 0;
    struct plan_bundle joined;
    for (uint32_t i = 0; i < state->count && state->reads[i].bundle.count > 0; i++) {
        const struct plan_bundle *host = &state->reads[i].bundle;
        if (plan_state_is_near(state, &state->reads[i].whole, &atom->layers[0]) &&
            host->layers[host->count - 1].every_ms < atom->layers[0].every_ms &&
            plan_bundle_join(host, atom, &joined))
            state->hosts[count++] = i;
    }
    return count;
}

/* The reads of one period: row[from..) as groups, for the least that they add to what stands. */
static void group_row(struct plan_state *state, uint32_t from, uint32_t length, uint32_t hosts)
{
    struct plan_layer sum = state->atoms[state->row[from]].bundle.layers[0];
    uint32_t cap = UINT32_MAX;
    for (uint32_t i = from; i < length; i++) {
        const struct plan_bundle *atom = &state->atoms[state->row[i]].bundle;
        if (hosts == 0 && !plan_state_is_near(state, &sum, &atom->layers[0]))
            return;
        plan_bundle_widen(&sum, &atom->layers[0]);
        cap = plan_bundle_least(cap, atom->cap);
        if (sum.end - sum.first > cap)
            return;
        struct plan_step *step = &state->steps[i + 1];
        double sofar = state->steps[from].cost;
        double alone =
            sofar + sum.rate * (double)(sum.overhead_ns +
                                        plan_bundle_data_ns(state->wire, sum.end - sum.first));
        if (alone < step->cost)
            *step = (struct plan_step){alone, from, PLAN_NONE};
        for (uint32_t h = 0; h < hosts; h++) {
            const struct plan_slot *host = &state->reads[state->hosts[h]];
            struct plan_layer old = host->whole, both = old;
            plan_bundle_widen(&both, &sum);
            if (both.end - both.first > plan_bundle_least(cap, host->bundle.cap))
                continue;
            double riding =
                sofar +
                sum.rate * (double)(both.overhead_ns - old.overhead_ns +
                                    plan_bundle_data_ns(state->wire, both.end - both.first) -
                                    plan_bundle_data_ns(state->wire, old.end - old.first));
            if (riding < step->cost)
                *step = (struct plan_step){riding, from, state->hosts[h]};
        }
    }
}

/* Puts row[from..to) into a read. */
static void settle(struct plan_state *state, uint32_t from, uint32_t to, uint32_t host)
{
    struct plan_bundle group = PLAN_BUNDLE_EMPTY, joined;
    for (uint32_t i = from; i < to; i++)
        (void)plan_bundle_add(&group, &state->atoms[state->row[i]].bundle);
    /* The host may have taken another group meanwhile. */
    if (host == PLAN_NONE || !plan_bundle_join(&state->reads[host].bundle, &group, &joined))
        host = plan_state_unused(state);
    for (uint32_t i = to; i > from; i--)
        plan_state_put(state, host, state->row[i - 1]);
    plan_state_weigh(state, host);
}

static void settle_steps(struct plan_state *state, uint32_t length)
{
    for (uint32_t to = length; to > 0; to = state->steps[to].from)
        settle(state, state->steps[to].from, to, state->steps[to].host);
}

static void reset_steps(struct plan_state *state, uint32_t length)
{
    state->steps[0].cost = 0;
    for (uint32_t i = 1; i <= length; i++)
        state->steps[i].cost = 1e300;
}

static bool is_patience(const struct plan_state *state, uint32_t atom, uint32_t patience)
{
    return patience == PLAN_NONE || state->atoms[atom].patience == patience;
}

/* All atoms of one period into reads of their own, or into those that are there. */
static void start_period(struct plan_state *state, uint32_t every_ms, uint32_t patience,
                         bool riding)
{
    uint32_t length = 0;
    for (uint32_t i = 0; i < state->count; i++) {
        if (state->atoms[i].bundle.layers[0].every_ms == every_ms &&
            is_patience(state, i, patience))
            state->row[length++] = i;
    }
    reset_steps(state, length);
    for (uint32_t i = 0; i < length; i++) {
        const struct plan_bundle *atom = &state->atoms[state->row[i]].bundle;
        group_row(state, i, length, riding ? find_hosts(state, atom) : 0);
    }
    settle_steps(state, length);
}

static void start_periods(struct plan_state *state, uint32_t patience, bool riding)
{
    uint32_t every_ms = 0;
    for (bool more = true; more;) {
        uint32_t next_ms = UINT32_MAX;
        more = false;
        start_period(state, every_ms, patience, riding);
        for (uint32_t i = 0; i < state->count; i++) {
            uint32_t other_ms = state->atoms[i].bundle.layers[0].every_ms;
            if (other_ms > every_ms) {
                next_ms = plan_bundle_least(next_ms, other_ms);
                more = true;
            }
        }
        every_ms = next_ms;
    }
}

/* All atoms in one row, whatever their periods. */
static void start_row(struct plan_state *state, uint32_t patience)
{
    uint32_t length = 0;
    for (uint32_t i = 0; i < state->count; i++) {
        if (is_patience(state, i, patience))
            state->row[length++] = i;
    }
    reset_steps(state, length);
    for (uint32_t from = 0; from < length; from++) {
        struct plan_bundle group = PLAN_BUNDLE_EMPTY;
        for (uint32_t i = from; i < length; i++) {
            const struct plan_bundle *atom = &state->atoms[state->row[i]].bundle;
            struct plan_layer whole = plan_bundle_whole(&group);
            if ((i > from && !plan_state_is_near(state, &whole, &atom->layers[0])) ||
                !plan_bundle_add(&group, atom))
                break;
            double cost = state->steps[from].cost + plan_bundle_cost(state->wire, &group);
            if (cost < state->steps[i + 1].cost)
                state->steps[i + 1] = (struct plan_step){cost, from, PLAN_NONE};
        }
    }
    settle_steps(state, length);
}

void plan_start_make(struct plan_state *state, enum plan_start start, bool apart)
{
    plan_state_clear(state);
    for (uint32_t i = 0; i < (apart ? state->patiences : 1); i++) {
        uint32_t patience = apart ? i : PLAN_NONE;
        if (start == PLAN_START_ONE_ROW)
            start_row(state, patience);
        else
            start_periods(state, patience, start == PLAN_START_RIDING);
    }
}
