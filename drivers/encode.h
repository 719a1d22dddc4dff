/* Raw values -> registers: the inverse of decode.h, for the simulator and the tests. Pure.
 *
 * A point is simulated in two steps: its selector registers get a code that makes it readable
 * (encode_selectors), its own get the raw value (encode_raw). */
#ifndef LIFELINE_ENCODE_H
#define LIFELINE_ENCODE_H

#include "config/profile.h"

/* Writes into `registers` (the point's own 1 to 4, in wire order) what a sensor answers whose raw
 * value, before scale and offset, is this one; what the type cannot hold becomes its nearest end,
 * NaN becomes 0 in an integer. Bits outside the point's mask stay as they are. */
void encode_raw(const struct profile_point *point, double raw, uint16_t *registers);

/* Bits to set in another register: content = (content & ~mask) | bits. */
struct encode_patch {
    uint16_t address; /* without the device's base */
    uint16_t mask, bits;
};

#define ENCODE_PATCHES 3

/* The sensor's own unit and decimals are up to whoever set it up: how many pairs of them a point
 * may be met with; 1 when it has no such registers. */
uint32_t encode_variants(const struct profile_point *point);

/* Of the variants the one that needs the least converting: the point's own unit where the sensor
 * has it, decimals that keep the point's precision. */
#define ENCODE_OWN UINT32_MAX

/* What the unit, decimals and status registers of a point should hold: the codes of that variant
 * (counted round) and a status that means good. Returns how many patches it wrote. */
size_t encode_selectors(const struct profile_point *point, uint32_t variant,
                        struct encode_patch patches[ENCODE_PATCHES]);

#endif
