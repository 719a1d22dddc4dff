/* Conversion between units of one dimension, for sensors that say their unit in a register. Pure.
 */
#ifndef LIFELINE_UNITS_H
#define LIFELINE_UNITS_H

#include <stdbool.h>

/* What a value in `from` is multiplied by to be in `to`; false when there is no such factor. A unit
 * always converts into itself, known or not. */
bool units_factor(const char *from, const char *to, double *factor);

/* The same for a gas, whose constants join what is no one dimension: ppm and mg/m³ by its molar
 * mass (at 20 °C and 101.325 kPa), %LEL and %VOL by its lower explosive limit. quantity: ch4, h2s,
 * co ...; lel: %VOL at 100 %LEL, 0 = not given, and then %LEL converts into nothing else. */
bool units_gas_factor(const char *quantity, double lel, const char *from, const char *to,
                      double *factor);

#endif
