/* Registers -> values, as the profile says:
 *
 *     words -> order -> mask -> invalid marks -> type -> x scale + offset -> unit factor
 *           -> decimals register -> below the mount -> steps or float -> range -> status
 *
 * Pure: runs in the line's thread right after an answer, owns nothing, never fails otherwise than
 * by a quality. Integers whose scale is a whole number of steps never pass through a double, so a
 * 64-bit total keeps its last digit. */
#include "drivers/decode.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "drivers/class.h"

#define DECIMALS_MAX          15
#define SELECTED_DECIMALS_MAX 9

static const double powers[DECIMALS_MAX + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

/* The answer to one request, addressed as the profile does. */
struct answer {
    const uint16_t *registers;
    uint16_t first; /* profile address of registers[0] */
    uint16_t count;
};

/* What the registers hold, before scale and offset. */
struct raw {
    bool is_integer;
    int64_t integer;
    double real;
};

/* What a point's selectors say. */
struct selected {
    double factor;
    uint8_t decimals;
};

static const uint16_t *answer_at(const struct answer *answer, uint16_t address, uint16_t count)
{
    uint16_t offset = (uint16_t)(address - answer->first);
    if ((uint32_t)offset + count > answer->count)
        return NULL;
    return answer->registers + offset;
}

static uint64_t join_words(const uint16_t *words, uint16_t count, enum register_order order)
{
    bool words_reversed = order == ORDER_CDAB || order == ORDER_DCBA;
    bool bytes_swapped = order == ORDER_BADC || order == ORDER_DCBA;
    uint64_t joined = 0;
    for (uint16_t i = 0; i < count; i++) {
        uint16_t word = words[words_reversed ? count - 1 - i : i];
        joined = joined << 16 | (bytes_swapped ? __builtin_bswap16(word) : word);
    }
    return joined;
}

static uint64_t type_mask(const struct profile_point *point)
{
    uint16_t count = profile_type_registers(point->type);
    if (point->type == REGISTER_BIT)
        return 1;
    if (count == 1)
        return point->mask != 0 ? (uint64_t)point->mask >> __builtin_ctz(point->mask) : 0;
    return count == 2 ? UINT32_MAX : UINT64_MAX;
}

static uint64_t masked_bits(const struct profile_point *point, const uint16_t *words)
{
    uint16_t count = profile_type_registers(point->type);
    uint64_t bits = join_words(words, count, point->order);
    if (point->type == REGISTER_BIT)
        return bits != 0;
    if (count == 1 && point->mask != 0)
        bits = (bits & point->mask) >> __builtin_ctz(point->mask);
    return bits & type_mask(point);
}

static bool is_invalid_mark(const struct profile_point *point, uint64_t bits)
{
    for (size_t i = 0; i < point->invalid_count; i++) {
        /* A mark may be written as a negative number: only the type's bits count. */
        if (bits == (point->invalid[i] & type_mask(point)))
            return true;
    }
    return false;
}

/* Two's complement of as many bits as the mask leaves. */
static int64_t sign_extend(uint64_t bits, uint64_t mask)
{
    uint64_t sign = mask ^ (mask >> 1);
    return (int64_t)((bits ^ sign) - sign);
}

static bool bcd_digits(uint64_t bits, int digits, int64_t *out)
{
    int64_t number = 0;
    for (int i = digits - 1; i >= 0; i--) {
        int64_t digit = (int64_t)(bits >> (4 * i) & 0xf);
        if (digit > 9)
            return false;
        number = number * 10 + digit;
    }
    *out = number;
    return true;
}

static double float_of_bits(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float real;
    memcpy(&real, &low, sizeof real);
    return (double)real;
}

static double double_of_bits(uint64_t bits)
{
    double real;
    memcpy(&real, &bits, sizeof real);
    return real;
}

/* False when the bits are no number of that type. */
static bool raw_of_bits(const struct profile_point *point, uint64_t bits, struct raw *raw)
{
    *raw = (struct raw){.is_integer = true};
    switch (point->type) {
    case REGISTER_U16:
    case REGISTER_U32:
    case REGISTER_BIT:
        raw->integer = (int64_t)bits;
        break;
    case REGISTER_U64:
        if (bits > INT64_MAX)
            return false; /* beyond 2^53 - 1 whatever the scale of a total */
        raw->integer = (int64_t)bits;
        break;
    case REGISTER_I16:
    case REGISTER_I32:
    case REGISTER_I64:
        raw->integer = sign_extend(bits, type_mask(point));
        break;
    case REGISTER_BCD16:
        if (!bcd_digits(bits, 4, &raw->integer))
            return false;
        break;
    case REGISTER_BCD32:
        if (!bcd_digits(bits, 8, &raw->integer))
            return false;
        break;
    case REGISTER_DIGIT_BCD16:
        if (bits >> 8 > 2 || !bcd_digits(bits & 0xff, 2, &raw->integer))
            return false;
        raw->integer += 100 * (int64_t)(bits >> 8);
        break;
    case REGISTER_BYTE_FRACTION:
        if ((bits & 0xff) > 9)
            return false;
        raw->is_integer = false;
        raw->real = (double)((bits >> 8) * 10 + (bits & 0xff)) / 10;
        return true;
    case REGISTER_F32:
    case REGISTER_F64:
        raw->is_integer = false;
        raw->real = point->type == REGISTER_F32 ? float_of_bits(bits) : double_of_bits(bits);
        return true; /* NaN and Inf fall to as_float() and to the bound on steps */
    }
    raw->real = (double)raw->integer;
    return true;
}

/* The table entry of the code that a selector register holds now; NULL when there is none. */
static const struct profile_code *selected_code(const struct profile_selector *selector,
                                                uint32_t code)
{
    for (size_t i = 0; i < selector->code_count; i++) {
        if (selector->codes[i].code == code)
            return &selector->codes[i];
    }
    return NULL;
}

static bool selector_read(const struct profile_selector *selector, const struct answer *answer,
                          uint32_t *code)
{
    const uint16_t *word = answer_at(answer, selector->address, 1);
    if (word == NULL || selector->mask == 0)
        return false;
    *code = (uint32_t)(*word & selector->mask) >> __builtin_ctz(selector->mask);
    return true;
}

/* Reads a point's selectors. Not usable: what the status says, or INVALID for a code that the
 * profile does not know. The status comes first: a sensor that is at fault may say anything
 * elsewhere. */
static enum quality select_all(const struct profile_point *point, const struct answer *answer,
                               struct selected *selected)
{
    const struct profile_code *found;
    enum quality quality = QUALITY_GOOD;
    uint32_t code;
    *selected = (struct selected){.factor = 1};
    if (point->status_from.present) {
        if (!selector_read(&point->status_from, answer, &code) ||
            (found = selected_code(&point->status_from, code)) == NULL)
            return QUALITY_INVALID;
        quality = found->quality;
    }
    if (!names_quality_usable(quality))
        return quality;
    if (point->unit_from.present) {
        if (!selector_read(&point->unit_from, answer, &code) ||
            (found = selected_code(&point->unit_from, code)) == NULL)
            return QUALITY_INVALID;
        selected->factor = found->factor;
    }
    if (point->decimals_from.present) {
        if (!selector_read(&point->decimals_from, answer, &code))
            return QUALITY_INVALID;
        if (point->decimals_from.code_count > 0) {
            if ((found = selected_code(&point->decimals_from, code)) == NULL)
                return QUALITY_INVALID;
            code = found->decimals;
        }
        if (code > SELECTED_DECIMALS_MAX)
            return QUALITY_INVALID;
        selected->decimals = (uint8_t)code;
    }
    return quality;
}

/* Steps of an integer without a double in between; false when the way to them is not whole. */
static bool exact_steps(const struct profile_point *point, const struct raw *raw,
                        const struct selected *selected, int64_t *steps)
{
    if (!raw->is_integer || point->offset != 0 || point->below_mount || selected->factor != 1 ||
        selected->decimals > point->decimals)
        return false;
    double each = point->scale * powers[point->decimals - selected->decimals];
    double whole = nearbyint(each);
    if (fabs(whole) < 1 || fabs(whole) > 1e9 || fabs(each - whole) > 1e-15 * fabs(whole))
        return false;
    return !__builtin_mul_overflow(raw->integer, (int64_t)whole, steps);
}

static double real_value(const struct profile_point *point, double mount_height, double raw,
                         const struct selected *selected)
{
    double value = (raw * point->scale + point->offset) * selected->factor;
    value /= powers[selected->decimals];
    return point->below_mount ? mount_height - value : value;
}

static struct value bad(enum quality quality)
{
    return (struct value){.steps = 0, .quality = (uint8_t)quality};
}

/* Out of its range a value counts no more, but for gas: a sensor that shows more than it can
 * measure is the last one to be silenced. */
static enum quality beyond(const struct profile_point *point, const struct settings_point *settings,
                           double value)
{
    if (!settings->has_range || (value >= settings->min && value <= settings->max))
        return QUALITY_GOOD;
    return value > settings->max && point->quantity && class_never_hidden(point->quantity, value)
               ? QUALITY_UNCERTAIN
               : QUALITY_OUT_OF_RANGE;
}

static struct value as_float(const struct profile_point *point,
                             const struct settings_point *settings, double value)
{
    if (!(fabs(value) <= (double)FLT_MAX))
        return bad(QUALITY_INVALID);
    float real = (float)value;
    enum quality quality = QUALITY_GOOD;
    if (settings->has_range && (real < (float)settings->min || real > (float)settings->max))
        quality = beyond(point, settings, (double)real);
    if (!names_quality_usable(quality))
        return bad(quality);
    struct value out = {.steps = 0, .quality = (uint8_t)quality};
    out.real = real;
    return out;
}

static struct value as_steps(const struct profile_point *point,
                             const struct settings_point *settings, int64_t steps)
{
    if (steps > VALUE_STEPS_MAX || steps < -VALUE_STEPS_MAX)
        return bad(QUALITY_INVALID);
    /* A quotient of whole numbers is the double that the same decimal in the profile became. */
    double value = (double)steps / powers[point->decimals];
    enum quality quality = beyond(point, settings, value);
    if (!names_quality_usable(quality))
        return bad(quality);
    return (struct value){.steps = steps, .quality = (uint8_t)quality};
}

static struct value decode_point(const struct profile_point *point,
                                 const struct settings_point *settings, const struct answer *answer)
{
    const uint16_t *words = answer_at(answer, point->address, profile_type_registers(point->type));
    struct selected selected;
    struct raw raw;
    if (words == NULL || point->decimals > DECIMALS_MAX)
        return bad(QUALITY_INVALID);
    enum quality quality = select_all(point, answer, &selected);
    if (!names_quality_usable(quality))
        return bad(quality);
    uint64_t bits = masked_bits(point, words);
    if (is_invalid_mark(point, bits) || !raw_of_bits(point, bits, &raw))
        return bad(QUALITY_INVALID);

    struct value out;
    int64_t steps;
    if (!point->is_float && exact_steps(point, &raw, &selected, &steps)) {
        out = as_steps(point, settings, steps);
    } else {
        double value = real_value(point, settings->mount_height, raw.real, &selected);
        double scaled = value * powers[point->decimals];
        if (point->is_float)
            out = as_float(point, settings, value);
        else if (fabs(scaled) <= (double)VALUE_STEPS_MAX)
            out = as_steps(point, settings, llround(scaled));
        else
            out = bad(QUALITY_INVALID);
    }
    if (out.quality == QUALITY_GOOD)
        out.quality = (uint8_t)quality;
    return out;
}

void decode_block(const struct settings_device *device, const struct plan_block *block,
                  const uint16_t *registers, struct value *out)
{
    struct answer answer = {
        .registers = registers,
        .first = (uint16_t)(block->address - device->base),
        .count = block->count,
    };
    for (uint16_t i = 0; i < block->point_count; i++) {
        uint16_t index = block->points[i];
        out[i] = decode_point(&device->profile->points[index], &device->points[index], &answer);
    }
}
