/* How busy each line will be: the time that its requests take against their periods. Pure. */
#ifndef LIFELINE_FORECAST_H
#define LIFELINE_FORECAST_H

#include "drivers/plan.h"

/* Percent of its time that a line is busy when every unit answers. Writes one entry a line into
 * `percent` (settings->line_count of them; may be NULL). Above 70 % a warning at the line's place,
 * above 100 % an error; `out` may be NULL. */
void forecast_lines(const struct settings *settings, const struct plan *plan, double *percent,
                    struct diagnostics *out);

/* How long one request holds its line, in microseconds. */
double forecast_request_us(const struct settings_line *line, const struct profile *profile,
                           enum function function, uint16_t count);

#endif
