/* Partitions to begin with, each the best of its sort. Pure; for plan_search.c. */
#ifndef LIFELINE_PLAN_START_H
#define LIFELINE_PLAN_START_H

#include "drivers/plan_state.h"

/* How the atoms are put into rows: by period, riding on the reads of shorter periods or not, or all
 * periods in one. */
enum plan_start { PLAN_START_RIDING, PLAN_START_ALONE, PLAN_START_ONE_ROW };

/* Each patience apart from the others, or all together. */
void plan_start_make(struct plan_state *state, enum plan_start start, bool apart);

#endif
