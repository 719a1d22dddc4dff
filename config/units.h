/* Conversion between units of one dimension, for sensors that say their unit in a register. Pure.
 */
#ifndef LIFELINE_UNITS_H
#define LIFELINE_UNITS_H

#include <stdbool.h>

/* What a value in `from` is multiplied by to be in `to`; false when there is no such factor. A unit
 * always converts into itself, known or not. */
bool units_factor(const char *from, const char *to, double *factor);

#endif
