/* How busy each line will be: the time that its requests take against their periods. Pure. */
#ifndef LIFELINE_FORECAST_H
#define LIFELINE_FORECAST_H

#include "drivers/plan.h"

/* Percent of its time that a line is busy when every unit answers. Reads without a pause (every 0)
 * are not in it: they take what is left. Writes one entry a line into `percent`
 * (settings->line_count of them; may be NULL). Above 70 % a warning at the line's place, above
 * 100 % an error that says what slips, and by how much; `out` may be NULL. */
void forecast_lines(const struct settings *settings, const struct plan *plan, double *percent,
                    struct diagnostics *out);

/* True when the line has reads without a pause. */
bool forecast_is_back_to_back(const struct plan *plan, uint32_t line);

#endif
