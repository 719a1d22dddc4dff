/* Replays the test vectors of a profile: the registers of the response go through the same decode
 * as a polled answer, with the block taken from the request instead of a plan.
 *
 * Runs in the thread that checks a configuration, owns nothing, never talks to a line. The loader
 * has judged the frames (CRC, lengths, unit and function), but nothing here relies on it. */
#include "drivers/vector.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "drivers/decode.h"

#define MAX_WORDS 2000 /* bits; registers are at most 125 */

enum {
    REQUEST_LENGTH = 8,
    RESPONSE_HEAD = 3, /* unit, function, bytes of data */
    CRC_LENGTH = 2,
    EXCEPTION_FLAG = 0x80,
};

static uint16_t word_at(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static bool read_request(const struct profile_vector *vector, struct plan_block *block)
{
    if (vector->request_length != REQUEST_LENGTH)
        return false;
    *block = (struct plan_block){
        .function = (enum function)vector->request[1],
        .address = word_at(vector->request + 2),
        .count = word_at(vector->request + 4),
        .point_count = 1,
    };
    return block->count > 0 && block->count <= MAX_WORDS;
}

static bool is_exception(const struct profile_vector *vector)
{
    return vector->response_length >= 2 && (vector->response[1] & EXCEPTION_FLAG) != 0;
}

/* The response's data as decode wants it; false when it is shorter than what was asked. */
static bool read_response(const struct profile_vector *vector, const struct plan_block *block,
                          uint16_t *words)
{
    bool bits = profile_is_bits(block->function);
    size_t bytes = bits ? ((size_t)block->count + 7) / 8 : (size_t)block->count * 2;
    if (vector->response_length != RESPONSE_HEAD + bytes + CRC_LENGTH)
        return false;
    const uint8_t *data = vector->response + RESPONSE_HEAD;
    for (size_t i = 0; i < block->count; i++)
        words[i] = (uint16_t)(bits ? data[i / 8] >> (i % 8) & 1 : word_at(data + 2 * i));
    return true;
}

static bool lies_in_block(const struct profile_point *point, const struct plan_block *block)
{
    uint32_t first, end;
    profile_point_span(point, &first, &end);
    return point->function == block->function && first >= block->address &&
           end <= (uint32_t)block->address + block->count;
}

static double number_of(const struct profile_point *point, struct value value)
{
    return point->is_float ? (double)value.real : (double)value.steps / pow(10, point->decimals);
}

/* Half a step; for a float what its 24 bits can tell apart, or the digits that a person writes. */
static double tolerance(const struct profile_point *point, double expected)
{
    return point->is_float ? 1e-6 + fabs(expected) * 1e-6 : 0.5 / pow(10, point->decimals);
}

static bool matches(const struct profile_point *point, const struct profile_expect *expect,
                    struct value got)
{
    if (!expect->usable)
        return got.quality == expect->quality;
    return names_quality_usable(got.quality) &&
           fabs(number_of(point, got) - expect->value) < tolerance(point, expect->value);
}

static void report(const struct profile_vector *vector, const struct profile_point *point,
                   const struct profile_expect *expect, struct value got, struct diagnostics *out)
{
    char expected[64], found[64];
    if (expect->usable)
        snprintf(expected, sizeof expected, "%.10g %s", expect->value, point->unit);
    else
        snprintf(expected, sizeof expected, "%s", names_quality(expect->quality));
    if (names_quality_usable(got.quality))
        snprintf(found, sizeof found, "%.10g (%s)", number_of(point, got),
                 names_quality(got.quality));
    else
        snprintf(found, sizeof found, "%s", names_quality(got.quality));
    diagnostics_add(out, SEVERITY_ERROR, vector->place,
                    "the response decodes %s to %s, expected is %s", point->name, found, expected);
}

static struct value decode_one(const struct settings_device *device, struct plan_block block,
                               uint32_t index, const uint16_t *words)
{
    uint16_t point = (uint16_t)index;
    struct value value;
    block.points = &point;
    decode_block(device, &block, words, &value);
    return value;
}

static void replay_one(const struct settings_device *device, const struct profile_vector *vector,
                       struct diagnostics *out)
{
    uint16_t words[MAX_WORDS];
    struct plan_block block;
    bool exception = is_exception(vector);
    if (!read_request(vector, &block) || (!exception && !read_response(vector, &block, words))) {
        diagnostics_add(out, SEVERITY_ERROR, vector->place,
                        "the response does not hold what the request asks for");
        return;
    }
    for (size_t i = 0; i < vector->expect_count; i++) {
        const struct profile_expect *expect = &vector->expect[i];
        const struct profile_point *point = &device->profile->points[expect->point];
        if (!lies_in_block(point, &block)) {
            diagnostics_add(out, SEVERITY_ERROR, vector->place,
                            "the request does not ask for all that %s needs", point->name);
            continue;
        }
        struct value got = exception ? (struct value){.quality = QUALITY_EXCEPTION}
                                     : decode_one(device, block, expect->point, words);
        if (!matches(point, expect, got))
            report(vector, point, expect, got, out);
    }
}

size_t vector_replay(const struct profile *profile, struct diagnostics *out)
{
    size_t replayed = 0;
    struct settings_point *points = calloc(profile->point_count + 1, sizeof *points);
    if (points == NULL) {
        diagnostics_add(out, SEVERITY_ERROR, profile->place, "no memory to replay the vectors");
        return 0;
    }
    for (size_t i = 0; i < profile->point_count; i++) {
        const struct profile_point *point = &profile->points[i];
        points[i] = (struct settings_point){.mount_height = VECTOR_MOUNT_HEIGHT,
                                            .has_range = point->min != 0 || point->max != 0,
                                            .min = point->min,
                                            .max = point->max};
    }
    struct settings_device device = {.profile = profile, .points = points};
    for (size_t i = 0; i < profile->vector_count; i++) {
        if (profile->vectors[i].response_length == 0)
            continue;
        replay_one(&device, &profile->vectors[i], out);
        replayed++;
    }
    free(points);
    return replayed;
}
