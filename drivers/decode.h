/* Registers -> values, as the profile says. Pure; no input of any kind can make it fail otherwise than
 * by a quality. */
#ifndef LIFELINE_DECODE_H
#define LIFELINE_DECODE_H

#include "drivers/plan.h"
#include "proto/value.h"

/* Decodes every point of a block out of the answer to its request: `registers` holds block->count
 * words (for coils and discrete inputs: one word a bit, 0 or 1). Writes block->point_count values. */
void decode_block(const struct settings_device *device, const struct plan_block *block,
                  const uint16_t *registers, struct value *out);

/* The inverse, for the simulator: writes into `registers` (the point's own 1 to 4, in wire order) what
 * a sensor answers whose raw value, before scale and offset, is this one. */
void encode_raw(const struct profile_point *point, double raw, uint16_t *registers);

#endif
