/* What two plans have in common: for a reload. Pure. */
#ifndef LIFELINE_PLAN_DIFF_H
#define LIFELINE_PLAN_DIFF_H

#include "drivers/plan.h"

/* The same blocks and reads in the same order: whoever asks for them by their place on the line
 * (plan_block.of_line) notices no difference. */
bool plan_diff_same_line(const struct plan *a, uint32_t a_line, const struct plan *b,
                         uint32_t b_line);

struct plan_of {
    const struct settings *settings;
    const struct plan *plan;
};

/* No block of the plan before. */
#define PLAN_DIFF_NONE UINT32_MAX

/* from[block of `after`]: the block of `before` whose values mean the same: of the same device,
 * point by point the same name, quantity, unit and decimals. PLAN_DIFF_NONE where there is none. */
void plan_diff_carry(const struct plan_of *before, const struct plan_of *after, uint32_t *from);

#endif
