/* ActiveAlarms: what is up in a sector, put together from AlarmEvents as they were packed. Pure,
 * and nothing is allocated: of each event the fields that an entry carries are copied. */
#ifndef LIFELINE_ACTIVE_H
#define LIFELINE_ACTIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/names.h"

enum { ACTIVE_MAX = 256 }; /* entries */

struct active {
    uint8_t *bytes; /* the caller's */
    size_t length, capacity;
    uint32_t entries, omitted;
};

/* False: not even that fits. */
bool active_begin(struct active *active, uint8_t *bytes, size_t capacity, const char *gateway,
                  enum sector sector, int64_t at_ms) __attribute__((warn_unused_result));

/* The most severe first. One that does not fit, or is no message, is omitted. */
void active_add(struct active *active, const uint8_t *event, size_t length);

/* Returns the length. */
size_t active_end(struct active *active);

#endif
