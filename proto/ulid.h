/* ULIDs, as alarms are named: 48 bits of UTC ms and 80 random bits in 26 characters of Crockford's
 * base 32, which sort by time. Pure. */
#ifndef LIFELINE_ULID_H
#define LIFELINE_ULID_H

#include <stdbool.h>
#include <stdint.h>

enum { ULID_LENGTH = 26, ULID_RANDOM = 10 };

/* A time before 1970 or after 10889 becomes the nearest that fits. */
void ulid_encode(char out[ULID_LENGTH + 1], int64_t ms, const uint8_t random[ULID_RANDOM]);

/* The smallest one of that moment. */
void ulid_first(char out[ULID_LENGTH + 1], int64_t ms);

/* True for 26 characters that are one. */
bool ulid_is(const char *text);

#endif
