/* Which points somebody means: "device", "device.point", with * for any characters and ? for one.
 */
#ifndef LIFELINE_PATTERN_H
#define LIFELINE_PATTERN_H

#include <stdbool.h>

/* True when the pattern fits the device, and so all of its points, or this point of it. */
bool pattern_fits(const char *pattern, const char *device, const char *point);

#endif
