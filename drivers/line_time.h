/* How long things take on a line: the one place where characters become time. Pure. */
#ifndef LIFELINE_LINE_TIME_H
#define LIFELINE_LINE_TIME_H

#include "config/settings.h"

/* One character: start, data, parity and stop bits. */
int64_t line_time_character_ns(const struct serial *serial);

/* The silence that ends an RTU frame: 3.5 characters, 1.75 ms above 19200 baud. */
int64_t line_time_silence_ns(const struct serial *serial);

/* How long one request of so many registers (or bits) holds its line when the unit answers: both
 * frames, the silence behind each, the sensor's thinking, and what its profile's min_gap asks for
 * beyond the silence. On TCP a round trip and the bytes of the values. It is the overhead and the
 * bytes below. */
int64_t line_time_request_ns(const struct settings_line *line, const struct profile *profile,
                             enum function function, uint32_t count);

/* A request without its values, one byte of values, and how many bytes so many values are. */
int64_t line_time_overhead_ns(const struct settings_line *line, const struct profile *profile);
int64_t line_time_byte_ns(const struct settings_line *line);
uint32_t line_time_bytes(enum function function, uint32_t count);

#endif
