/* Moments as a person types and reads them. */
#ifndef LIFELINE_MOMENT_H
#define LIFELINE_MOMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MOMENT_BYTES = 40 };

/* "2h", "30d": so long before now_ms. "2026-11-22", "2026-11-22T03:00", ":05", ".250" behind it, in
 * local time, or with Z, +08:00 at the end. False, *out untouched, when it is nothing of that. */
bool moment_parse(const char *text, int64_t now_ms, int64_t *out)
    __attribute__((warn_unused_result));

/* "2026-11-22 03:00:05.250", local time */
const char *moment_local(int64_t ms, char out[MOMENT_BYTES]);

/* "03:00:05.250" of the day that now_ms is in, otherwise "11-22 03:00 ", local time: twelve columns
 * for a tail. */
const char *moment_short(int64_t ms, int64_t now_ms, char out[MOMENT_BYTES]);

/* "2026-11-21T19:00:05.250Z" */
const char *moment_utc(int64_t ms, char out[MOMENT_BYTES]);

#endif
