/* Makes a partition better. Pure; for plan_search.c. */
#ifndef LIFELINE_PLAN_MOVE_H
#define LIFELINE_PLAN_MOVE_H

#include "drivers/plan_state.h"

/* Moves runs of atoms between reads as long as that pays, within bounds. */
void plan_move_all(struct plan_state *state);

#endif
