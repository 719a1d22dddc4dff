/* Registers -> values, as the profile says. Pure; no input of any kind can make it fail otherwise
 * than by a quality. The way back is encode.h. */
#ifndef LIFELINE_DECODE_H
#define LIFELINE_DECODE_H

#include "drivers/plan.h"
#include "proto/value.h"

/* Decodes every point of a block out of the answer to its request: `registers` holds block->count
 * words (for coils and discrete inputs: one word a bit, 0 or 1). Writes block->point_count values.
 * A point that does not lie within the block is QUALITY_INVALID. */
void decode_block(const struct settings_device *device, const struct plan_block *block,
                  const uint16_t *registers, struct value *out);

#endif
