/* Values -> registers: what a sensor with this profile would answer. The inverse of decode.c, step
 * by step backwards; scale, offset and units are the caller's.
 *
 * Pure: used by the simulator and by tests, owns nothing, never part of the daemon's path. What a
 * type cannot hold becomes the nearest it can, as a real sensor would do. */
#include "drivers/encode.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* A decimals register without a table is the number itself, 0 to 9. */
#define DIRECT_DECIMALS 10

static void split_words(uint64_t joined, uint16_t count, enum register_order order, uint16_t *words)
{
    bool words_reversed = order == ORDER_CDAB || order == ORDER_DCBA;
    bool bytes_swapped = order == ORDER_BADC || order == ORDER_DCBA;
    for (uint16_t i = 0; i < count; i++) {
        uint16_t word = (uint16_t)(joined >> 16 * (count - 1 - i));
        words[words_reversed ? count - 1 - i : i] = bytes_swapped ? __builtin_bswap16(word) : word;
    }
}

static double clamp(double x, double low, double high)
{
    if (isnan(x))
        return 0;
    return x < low ? low : x > high ? high : x;
}

/* The whole number nearest to x that fits `bits` bits, as the pattern on the wire. */
static uint64_t unsigned_bits(double x, int bits)
{
    double end = ldexp(1, bits);
    x = rint(clamp(x, 0, end));
    if (x >= end)
        return bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    return (uint64_t)x;
}

static uint64_t signed_bits(double x, int bits)
{
    double end = ldexp(1, bits - 1);
    x = rint(clamp(x, -end, end));
    int64_t whole = x >= end ? (int64_t)((UINT64_C(1) << (bits - 1)) - 1) : (int64_t)x;
    return (uint64_t)whole;
}

static uint64_t bcd_bits(double x, int digits)
{
    uint64_t number = (uint64_t)rint(clamp(x, 0, pow(10, digits) - 1));
    uint64_t bits = 0;
    for (int i = 0; i < digits; i++, number /= 10)
        bits |= number % 10 << (4 * i);
    return bits;
}

static uint64_t float_bits(double x)
{
    float real = isnan(x) ? (float)NAN : (float)clamp(x, -(double)FLT_MAX, (double)FLT_MAX);
    uint32_t bits;
    memcpy(&bits, &real, sizeof bits);
    return bits;
}

static uint64_t double_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static uint64_t bits_of_raw(const struct profile_point *point, double raw)
{
    uint64_t whole;
    switch (point->type) {
    case REGISTER_U16:
        return unsigned_bits(raw, __builtin_popcount(point->mask));
    case REGISTER_I16:
        return point->mask != 0 ? signed_bits(raw, __builtin_popcount(point->mask)) : 0;
    case REGISTER_U32:
        return unsigned_bits(raw, 32);
    case REGISTER_I32:
        return signed_bits(raw, 32);
    case REGISTER_U64:
        return unsigned_bits(raw, 64);
    case REGISTER_I64:
        return signed_bits(raw, 64);
    case REGISTER_F32:
        return float_bits(raw);
    case REGISTER_F64:
        return double_bits(raw);
    case REGISTER_BIT:
        return raw != 0 && !isnan(raw);
    case REGISTER_BCD16:
        return bcd_bits(raw, 4);
    case REGISTER_BCD32:
        return bcd_bits(raw, 8);
    case REGISTER_DIGIT_BCD16:
        whole = (uint64_t)rint(clamp(raw, 0, 299));
        return whole / 100 << 8 | bcd_bits((double)(whole % 100), 2);
    case REGISTER_BYTE_FRACTION:
        whole = (uint64_t)rint(clamp(raw * 10, 0, 2559));
        return whole / 10 << 8 | whole % 10;
    }
    return 0;
}

void encode_raw(const struct profile_point *point, double raw, uint16_t *registers)
{
    uint16_t count = profile_type_registers(point->type);
    uint64_t bits = bits_of_raw(point, raw);
    if (point->type != REGISTER_BIT && count == 1) {
        if (point->mask == 0)
            return;
        uint16_t kept;
        split_words(registers[0], 1, point->order, &kept);
        uint64_t placed = bits << __builtin_ctz(point->mask);
        bits = (kept & (uint16_t)~point->mask) | (placed & point->mask);
    }
    split_words(bits, count, point->order, registers);
}

/* The code whose conversion into the point's unit changes nothing, or else the first. */
static const struct profile_code *own_unit(const struct profile_selector *selector)
{
    for (size_t i = 0; i < selector->code_count; i++) {
        if (selector->codes[i].factor == 1)
            return &selector->codes[i];
    }
    return selector->code_count > 0 ? &selector->codes[0] : NULL;
}

/* The code nearest to the point's own decimals. */
static struct profile_code own_decimals(const struct profile_point *point)
{
    const struct profile_selector *selector = &point->decimals_from;
    uint8_t wanted = point->decimals < DIRECT_DECIMALS ? point->decimals : DIRECT_DECIMALS - 1;
    if (selector->code_count == 0)
        return (struct profile_code){.code = wanted, .decimals = wanted};
    struct profile_code best = selector->codes[0];
    for (size_t i = 1; i < selector->code_count; i++) {
        struct profile_code code = selector->codes[i];
        int distance = code.decimals - wanted, best_distance = best.decimals - wanted;
        if (distance * distance < best_distance * best_distance)
            best = code;
    }
    return best;
}

static const struct profile_code *good_status(const struct profile_selector *selector)
{
    for (size_t i = 0; i < selector->code_count; i++) {
        if (selector->codes[i].quality == QUALITY_GOOD)
            return &selector->codes[i];
    }
    return selector->code_count > 0 ? &selector->codes[0] : NULL;
}

static struct encode_patch patch_of(const struct profile_selector *selector, uint32_t code)
{
    uint32_t shifted = selector->mask != 0 ? code << __builtin_ctz(selector->mask) : 0;
    return (struct encode_patch){selector->address, selector->mask,
                                 (uint16_t)(shifted & selector->mask)};
}

static uint32_t unit_codes(const struct profile_point *point)
{
    size_t count = point->unit_from.present ? point->unit_from.code_count : 0;
    return count > 0 ? (uint32_t)count : 1;
}

static uint32_t decimals_codes(const struct profile_point *point)
{
    if (!point->decimals_from.present)
        return 1;
    size_t count = point->decimals_from.code_count;
    return count > 0 ? (uint32_t)count : DIRECT_DECIMALS;
}

uint32_t encode_variants(const struct profile_point *point)
{
    return unit_codes(point) * decimals_codes(point);
}

static const struct profile_code *unit_of(const struct profile_point *point, uint32_t variant)
{
    const struct profile_selector *selector = &point->unit_from;
    if (variant == ENCODE_OWN || selector->code_count == 0)
        return own_unit(selector);
    return &selector->codes[variant % unit_codes(point)];
}

static uint32_t decimals_of(const struct profile_point *point, uint32_t variant)
{
    const struct profile_selector *selector = &point->decimals_from;
    if (variant == ENCODE_OWN)
        return own_decimals(point).code;
    uint32_t index = variant / unit_codes(point) % decimals_codes(point);
    return selector->code_count > 0 ? selector->codes[index].code : index;
}

size_t encode_selectors(const struct profile_point *point, uint32_t variant,
                        struct encode_patch patches[ENCODE_PATCHES])
{
    size_t count = 0;
    const struct profile_code *code;
    if (point->unit_from.present && (code = unit_of(point, variant)) != NULL)
        patches[count++] = patch_of(&point->unit_from, code->code);
    if (point->decimals_from.present)
        patches[count++] = patch_of(&point->decimals_from, decimals_of(point, variant));
    if (point->status_from.present && (code = good_status(&point->status_from)) != NULL)
        patches[count++] = patch_of(&point->status_from, code->code);
    return count;
}
