/* The partition of a unit's items while it is sought. Pure; for plan_search.c, _start.c and
 * _move.c. */
#ifndef LIFELINE_PLAN_STATE_H
#define LIFELINE_PLAN_STATE_H

#include <stddef.h>

#include "drivers/plan_bundle.h"
#include "drivers/plan_search.h"

#define PLAN_NONE UINT32_MAX

/* An item; of items of one kind of which one holds the other, the larger. By address. */
struct plan_atom {
    struct plan_bundle bundle; /* of it alone */
    uint32_t item;
    uint32_t patience; /* the same number: the same cap and overhead */
};

/* A read. */
struct plan_slot {
    struct plan_bundle bundle; /* count 0: nobody's */
    struct plan_layer whole;   /* its hull */
    double cost;
    uint32_t head; /* its atoms, by address */
};

/* Where the best partition of the first atoms ends: a group from `from` on, and the read that it
 * rides on, or PLAN_NONE. */
struct plan_step {
    double cost;
    uint32_t from, host;
};

struct plan_state {
    const struct plan_wire *wire;
    struct plan_atom *atoms;
    uint32_t count, patiences;
    uint32_t longest;        /* the largest cap */
    bool one_kind;           /* one period and one patience */
    uint32_t reach;          /* a gap of more registers (or bits) costs more than any request */
    struct plan_slot *reads; /* one an atom */
    uint32_t *next;          /* [atom] the next one of the same read */
    uint32_t *best;          /* [atom] its read in the best plan yet */
    double best_cost;
    size_t budget;
    uint64_t *places; /* the reads at the beginning of a round: first register << 32 | read */
    uint32_t place_count;

    /* scratch, one an atom */
    struct plan_step *steps; /* and one more */
    uint32_t *row, *hosts;
    struct plan_bundle *before, *behind; /* and one more */
};

/* False when there is no memory; to be released in any case. */
bool plan_state_allocate(struct plan_state *state, size_t count);
void plan_state_release(struct plan_state *state);

/* Sorts the items and makes atoms of them. */
void plan_state_atoms(struct plan_state *state, struct plan_item *items, size_t count);

/* All reads become nobody's. */
void plan_state_clear(struct plan_state *state);

/* A read that is nobody's; there is one as long as some read has two atoms. */
uint32_t plan_state_unused(const struct plan_state *state);
void plan_state_put(struct plan_state *state, uint32_t read, uint32_t atom);

/* To be called after the atoms of a read have changed. */
void plan_state_weigh(struct plan_state *state, uint32_t read);

/* False when the two lie so far apart that no request pays that bridges the gap. */
bool plan_state_is_near(const struct plan_state *state, const struct plan_layer *a,
                        const struct plan_layer *b);

/* Remembers the reads as the best plan, if they are. */
void plan_state_keep_if_better(struct plan_state *state);

#endif
