/* Characters, silences and requests as nanoseconds.
 * Pure: called by whoever plans, forecasts or speaks; owns nothing, never touches a line. */
#include "drivers/line_time.h"

#define FAST_BAUD       19200
#define FAST_SILENCE_NS INT64_C(1750000)

/* What a sensor thinks before it answers, and a network's round trip. */
#define TURNAROUND_NS INT64_C(5000000)

#define REQUEST_CHARACTERS 8
#define ANSWER_CHARACTERS  5

int64_t line_time_character_ns(const struct serial *serial)
{
    int bits = 1 + serial->data_bits + (serial->parity != 'N') + serial->stop_bits;
    return bits * INT64_C(1000000000) / (serial->baud != 0 ? serial->baud : 9600);
}

int64_t line_time_silence_ns(const struct serial *serial)
{
    return serial->baud > FAST_BAUD ? FAST_SILENCE_NS : line_time_character_ns(serial) * 7 / 2;
}

int64_t line_time_request_ns(const struct settings_line *line, const struct profile *profile,
                             enum function function, uint32_t count)
{
    int64_t gap_ns = profile->min_gap_ms * INT64_C(1000000);
    int64_t turnaround_ns = gap_ns > TURNAROUND_NS ? gap_ns : TURNAROUND_NS;
    if (line->transport == TRANSPORT_TCP)
        return turnaround_ns;
    uint32_t data = profile_is_bits(function) ? (count + 7) / 8 : count * 2;
    return (REQUEST_CHARACTERS + ANSWER_CHARACTERS + data) * line_time_character_ns(&line->serial) +
           2 * line_time_silence_ns(&line->serial) + turnaround_ns;
}
