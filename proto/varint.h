/* Base-128 numbers as protobuf writes them, for the messages that are written by hand (segment.c,
 * batch.c). The caller has made sure of the room: at most VARINT_MAX bytes. */
#ifndef LIFELINE_VARINT_H
#define LIFELINE_VARINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VARINT_MAX 10

/* Writes the number and returns where the next byte goes. */
static inline uint8_t *varint_put(uint8_t *out, uint64_t number)
{
    while (number >= 0x80) {
        *out++ = (uint8_t)(number | 0x80);
        number >>= 7;
    }
    *out++ = (uint8_t)number;
    return out;
}

static inline size_t varint_size(uint64_t number)
{
    unsigned bits = 64u - (unsigned)__builtin_clzll(number | 1);
    return (bits + 6) / 7;
}

/* Signed numbers fold to unsigned, small ones of either sign to few bytes. */
static inline uint64_t varint_zigzag(int64_t number)
{
    return ((uint64_t)number << 1) ^ (uint64_t)(number >> 63);
}

/* Reads a number that starts at *at and sets *at behind it; false when it is cut off or too long.
 */
static inline bool varint_get(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out = number;
            return true;
        }
    }
    return false;
}

#endif
