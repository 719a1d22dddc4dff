/* Characters, silences and requests as nanoseconds.
 * Pure: called by whoever plans, forecasts or speaks; owns nothing, never touches a line.
 *
 *     | request 8 | silence | sensor thinks | reply 5 + data | silence or min_gap | request ... */
#include "drivers/line_time.h"

#define FAST_BAUD       19200
#define FAST_SILENCE_NS INT64_C(1750000)

/* What a sensor thinks before it answers (2 to 10 ms are seen; the simulator takes as long), and
 * the round trip to a TCP server. */
#define TURNAROUND_NS INT64_C(4000000)

/* A byte on 10 Mbit/s, the Ethernet port of an old PLC: so little that any gap is bridged rather
 * than asked for twice, yet of two answers the shorter one wins. */
#define TCP_BYTE_NS INT64_C(800)

#define FRAME_CHARACTERS (8 + 5) /* the request, and what stands around the values of a reply */

int64_t line_time_character_ns(const struct serial *serial)
{
    int bits = 1 + serial->data_bits + (serial->parity != 'N') + serial->stop_bits;
    return bits * INT64_C(1000000000) / (serial->baud != 0 ? serial->baud : 9600);
}

int64_t line_time_silence_ns(const struct serial *serial)
{
    return serial->baud > FAST_BAUD ? FAST_SILENCE_NS : line_time_character_ns(serial) * 7 / 2;
}

int64_t line_time_overhead_ns(const struct settings_line *line, const struct profile *profile)
{
    int64_t gap_ns = profile->min_gap_ms * INT64_C(1000000);
    if (line->transport == TRANSPORT_TCP)
        return TURNAROUND_NS + gap_ns;
    int64_t silence_ns = line_time_silence_ns(&line->serial);
    return FRAME_CHARACTERS * line_time_character_ns(&line->serial) + silence_ns + TURNAROUND_NS +
           (gap_ns > silence_ns ? gap_ns : silence_ns);
}

int64_t line_time_byte_ns(const struct settings_line *line)
{
    return line->transport == TRANSPORT_TCP ? TCP_BYTE_NS : line_time_character_ns(&line->serial);
}

uint32_t line_time_bytes(enum function function, uint32_t count)
{
    return profile_is_bits(function) ? (count + 7) / 8 : count * 2;
}

int64_t line_time_request_ns(const struct settings_line *line, const struct profile *profile,
                             enum function function, uint32_t count)
{
    return line_time_overhead_ns(line, profile) +
           line_time_bytes(function, count) * line_time_byte_ns(line);
}
