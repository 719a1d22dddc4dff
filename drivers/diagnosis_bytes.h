/* What was learned, as bytes for the store: little endian, whatever the board. */
#ifndef LIFELINE_DIAGNOSIS_BYTES_H
#define LIFELINE_DIAGNOSIS_BYTES_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Writes into `out` or reads from `in`; once it does not fit, it has failed and stays so. */
struct diagnosis_bytes {
    uint8_t *out;
    const uint8_t *in;
    size_t at, size;
    bool failed;
};

static inline void diagnosis_bytes_put(struct diagnosis_bytes *bytes, uint64_t value, size_t width)
{
    if (bytes->failed || bytes->size - bytes->at < width) {
        bytes->failed = true;
        return;
    }
    for (size_t i = 0; i < width; i++)
        bytes->out[bytes->at++] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t diagnosis_bytes_get(struct diagnosis_bytes *bytes, size_t width)
{
    uint64_t value = 0;
    if (bytes->failed || bytes->size - bytes->at < width) {
        bytes->failed = true;
        return 0;
    }
    for (size_t i = 0; i < width; i++)
        value |= (uint64_t)bytes->in[bytes->at++] << (8 * i);
    return value;
}

static inline void diagnosis_bytes_put_real(struct diagnosis_bytes *bytes, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    diagnosis_bytes_put(bytes, bits, sizeof bits);
}

/* What is not finite has failed. */
static inline double diagnosis_bytes_get_real(struct diagnosis_bytes *bytes)
{
    uint64_t bits = diagnosis_bytes_get(bytes, sizeof bits);
    double value;
    memcpy(&value, &bits, sizeof value);
    bytes->failed |= !isfinite(value);
    return bytes->failed ? 0 : value;
}

static inline size_t diagnosis_bytes_written(const struct diagnosis_bytes *bytes)
{
    return bytes->failed ? 0 : bytes->at;
}

/* All of it was read, and nothing was wrong. */
static inline bool diagnosis_bytes_are_read(const struct diagnosis_bytes *bytes)
{
    return !bytes->failed && bytes->at == bytes->size;
}

#endif
