/* How long things take on a line: the one place where characters become time. Pure. */
#ifndef LIFELINE_LINE_TIME_H
#define LIFELINE_LINE_TIME_H

#include "config/settings.h"

/* One character: start, data, parity and stop bits. */
int64_t line_time_character_ns(const struct serial *serial);

/* The silence that ends an RTU frame: 3.5 characters, 1.75 ms above 19200 baud. */
int64_t line_time_silence_ns(const struct serial *serial);

/* How long one request of so many registers (or bits) holds its line when the unit answers: both
 * frames, both silences, the sensor's thinking and the gap that its profile asks for. On TCP a
 * round trip. */
int64_t line_time_request_ns(const struct settings_line *line, const struct profile *profile,
                             enum function function, uint32_t count);

#endif
