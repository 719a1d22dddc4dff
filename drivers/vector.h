/* Replay of a profile's test vectors: do the frames of the sensor's documentation decode to what
 * the profile's author expects? */
#ifndef LIFELINE_VECTOR_H
#define LIFELINE_VECTOR_H

#include "config/profile.h"

/* In a vector the sensor hangs this high, in the unit of the below_mount point. */
#define VECTOR_MOUNT_HEIGHT 10.0

/* Decodes every vector that has a response and reports each value that is not the expected one as
 * an error at the vector's place. Returns the number of vectors with a response. */
size_t vector_replay(const struct profile *profile, struct diagnostics *out);

#endif
