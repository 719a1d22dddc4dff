/* Any answer of any sensor: decode must neither crash nor let a number through that cannot be sent.
 *
 * Input: a byte for where the block begins, a byte for the device's base, then the registers, big
 * endian. One fixed profile holds every type, order and selector. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define POINT(kind, at, ...)                                                                       \
    {                                                                                              \
        .function = FUNCTION_HOLDING, .type = kind, .address = at, __VA_ARGS__                     \
    }
#define SELECTOR(at, bits, table)                                                                  \
    {                                                                                              \
        true, at, bits, table, sizeof(table) / sizeof(table[0])                                    \
    }

static struct profile_code units[] = {
    {.code = 0, .factor = 1}, {.code = 1, .factor = 1e-3}, {.code = 2, .factor = 1e6}};
static struct profile_code decimals[] = {{.code = 0}, {.code = 4, .decimals = 1}};
static struct profile_code statuses[] = {{.code = 0, .quality = QUALITY_WARMUP},
                                         {.code = 1, .quality = QUALITY_GOOD},
                                         {.code = 3, .quality = QUALITY_SENSOR_FAULT}};
static uint64_t marks[] = {0x7fff, UINT64_MAX, 0};

static struct profile_point points[] = {
    POINT(REGISTER_U16, 0, .scale = 0.1, .decimals = 1, .max = 4000),
    POINT(REGISTER_I16, 1, .scale = 0.26, .decimals = 2, .min = -5000, .max = 5000),
    POINT(REGISTER_I16, 1, .mask = 0x0ff0, .invalid = marks, .invalid_count = 3),
    POINT(REGISTER_U32, 0, .order = ORDER_CDAB),
    POINT(REGISTER_I32, 2, .order = ORDER_BADC, .scale = 1e9, .decimals = 9),
    POINT(REGISTER_U64, 0, .order = ORDER_DCBA, .scale = 0.001, .decimals = 3),
    POINT(REGISTER_I64, 3, .invalid = marks, .invalid_count = 3),
    POINT(REGISTER_F32, 2, .is_float = true),
    POINT(REGISTER_F32, 4, .is_float = true, .order = ORDER_DCBA, .scale = 1e30, .max = 1e20),
    POINT(REGISTER_F32, 1, .decimals = 9, .order = ORDER_CDAB),
    POINT(REGISTER_F64, 0, .decimals = 4, .offset = -1e6),
    POINT(REGISTER_BCD16, 5),
    POINT(REGISTER_BCD32, 5),
    POINT(REGISTER_DIGIT_BCD16, 6, .scale = 10),
    POINT(REGISTER_BYTE_FRACTION, 6, .decimals = 1, .max = 30),
    POINT(REGISTER_BIT, 7),
    POINT(REGISTER_U16, 3, .below_mount = true, .scale = 0.001, .decimals = 3, .max = 10),
    POINT(REGISTER_U16, 4, .decimals = 2, .unit_from = SELECTOR(2, 0xf000, units),
          .decimals_from = SELECTOR(2, 0x0f00, decimals),
          .status_from = SELECTOR(7, 0x00ff, statuses)),
    POINT(REGISTER_F32, 4, .is_float = true, .unit_from = SELECTOR(0, 0xffff, units),
          .decimals_from = {.present = true, .address = 7, .mask = 0xffff}),
};

#define POINT_COUNT (sizeof(points) / sizeof(points[0]))

static void check(const struct profile_point *point, struct value value)
{
    if (!names_quality_usable(value.quality)) {
        if (value.steps != 0)
            abort();
    } else if (point->is_float) {
        if (!isfinite(value.real))
            abort();
    } else if (value.steps > VALUE_STEPS_MAX || value.steps < -VALUE_STEPS_MAX) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings_point settings[POINT_COUNT];
    uint16_t indices[POINT_COUNT];
    struct value values[POINT_COUNT];
    if (size < 2 || size > 2 + 2 * 125)
        return 0;

    for (uint16_t i = 0; i < POINT_COUNT; i++) {
        settings[i] = (struct settings_point){.mount_height = 5,
                                              .has_range = points[i].max != 0,
                                              .min = points[i].min,
                                              .max = points[i].max};
        indices[i] = i;
        if (points[i].mask == 0)
            points[i].mask = 0xffff;
        if (points[i].scale == 0)
            points[i].scale = 1;
    }
    uint16_t count = (uint16_t)((size - 2) / 2);
    uint16_t *registers = malloc(count * sizeof *registers + 1);
    if (registers == NULL)
        return 0;
    for (size_t i = 0; i < count; i++)
        registers[i] = (uint16_t)(data[2 + 2 * i] << 8 | data[3 + 2 * i]);

    struct profile profile = {.points = points, .point_count = POINT_COUNT};
    struct settings_device device = {.profile = &profile, .points = settings, .base = data[1]};
    struct plan_block block = {.address = (uint16_t)(data[1] + (int8_t)data[0]),
                               .count = count,
                               .points = indices,
                               .point_count = POINT_COUNT};
    memset(values, 0xa5, sizeof values);
    decode_block(&device, &block, registers, values);
    for (size_t i = 0; i < POINT_COUNT; i++)
        check(&points[i], values[i]);
    free(registers);
    return 0;
}
