/* One written value to one number: integers, durations, sizes, serial settings. Pure. */
#ifndef LIFELINE_SCALAR_H
#define LIFELINE_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

#include "config/profile.h"

/* All of them return false when the text is something else, and leave *out alone then. */
bool scalar_integer(const char *text, int64_t *out);      /* 12, -3, 0x0123 */
bool scalar_number(const char *text, double *out);        /* 0.01, 1e-3, 12; finite */
bool scalar_duration(const char *text, int64_t *out);     /* 250ms 10s 5m 2h 30d -> ms; 0 too */
bool scalar_size(const char *text, int64_t *out);         /* 512B 64KiB 256MiB 1GiB -> bytes */
bool scalar_serial(const char *text, struct serial *out); /* 9600 8N1 */
bool scalar_serial_is_same(const struct serial *a, const struct serial *b);

#endif
