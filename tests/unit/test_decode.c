/* Registers to values: every type and order, selectors, invalid marks, ranges, rounding; and the
 * way back through encode on random points.
 *
 * decode_block is called with one hand-made point at a time; the expected figures are worked out by
 * hand, not by the code under test. The seed is printed and may be given as the first argument. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "drivers/decode.h"
#include "drivers/encode.h"

#define WORDS 16

/* A point of type u16 at address 0 that changes nothing; the tests change what they are about. */
static struct profile_point plain(enum register_type type)
{
    return (struct profile_point){
        .function = type == REGISTER_BIT ? FUNCTION_COIL : FUNCTION_HOLDING,
        .type = type,
        .mask = 0xffff,
        .scale = 1,
        .is_float = type == REGISTER_F32,
    };
}

static struct value decode_at(struct profile_point point, double mount, uint16_t base,
                              const uint16_t *words, uint16_t count)
{
    static const uint16_t first = 0;
    struct profile profile = {.points = &point, .point_count = 1};
    struct settings_point settings = {.mount_height = mount,
                                      .has_range = point.min != 0 || point.max != 0,
                                      .min = point.min,
                                      .max = point.max};
    struct settings_device device = {.profile = &profile, .points = &settings, .base = base};
    struct plan_block block = {.function = point.function,
                               .address = base,
                               .count = count,
                               .points = &first,
                               .point_count = 1};
    struct value value;
    decode_block(&device, &block, words, &value);
    return value;
}

#define DECODE(point, ...)                                                                         \
    decode_at(point, 0, 0, (const uint16_t[]){__VA_ARGS__},                                        \
              sizeof((const uint16_t[]){__VA_ARGS__}) / 2)

#define ASSERT_STEPS(expected, ...)                                                                \
    do {                                                                                           \
        struct value decoded = DECODE(__VA_ARGS__);                                                \
        assert_int_equal(decoded.quality, QUALITY_GOOD);                                           \
        assert_true(decoded.steps == (expected));                                                  \
    } while (0)

#define ASSERT_QUALITY(expected, ...)                                                              \
    do {                                                                                           \
        struct value decoded = DECODE(__VA_ARGS__);                                                \
        assert_int_equal(decoded.quality, expected);                                               \
        assert_true(names_quality_usable(expected) || decoded.steps == 0);                         \
    } while (0)

static void integers_of_every_width_and_sign(void **state)
{
    (void)state;
    ASSERT_STEPS(65535, plain(REGISTER_U16), 0xffff);
    ASSERT_STEPS(-1, plain(REGISTER_I16), 0xffff);
    ASSERT_STEPS(-32768, plain(REGISTER_I16), 0x8000);
    ASSERT_STEPS(INT64_C(4294967295), plain(REGISTER_U32), 0xffff, 0xffff);
    ASSERT_STEPS(-2, plain(REGISTER_I32), 0xffff, 0xfffe);
    ASSERT_STEPS(INT64_C(0x0012345678abcdef), plain(REGISTER_U64), 0x0012, 0x3456, 0x78ab, 0xcdef);
    ASSERT_STEPS(-3, plain(REGISTER_I64), 0xffff, 0xffff, 0xffff, 0xfffd);
    ASSERT_STEPS(1, plain(REGISTER_BIT), 1);
    ASSERT_STEPS(0, plain(REGISTER_BIT), 0);
}

static void every_order(void **state)
{
    (void)state;
    struct profile_point point = plain(REGISTER_U32);
    ASSERT_STEPS(0x01020304, point, 0x0102, 0x0304);
    point.order = ORDER_CDAB;
    ASSERT_STEPS(0x01020304, point, 0x0304, 0x0102);
    point.order = ORDER_BADC;
    ASSERT_STEPS(0x01020304, point, 0x0201, 0x0403);
    point.order = ORDER_DCBA;
    ASSERT_STEPS(0x01020304, point, 0x0403, 0x0201);
    point = plain(REGISTER_U64);
    point.order = ORDER_DCBA;
    ASSERT_STEPS(INT64_C(0x0001020304050607), point, 0x0706, 0x0504, 0x0302, 0x0100);
    point = plain(REGISTER_U16);
    point.order = ORDER_BADC;
    ASSERT_STEPS(0x0102, point, 0x0201);
}

static void digits_and_fractions(void **state)
{
    (void)state;
    ASSERT_STEPS(1234, plain(REGISTER_BCD16), 0x1234);
    ASSERT_QUALITY(QUALITY_INVALID, plain(REGISTER_BCD16), 0x12a4);
    ASSERT_STEPS(12345678, plain(REGISTER_BCD32), 0x1234, 0x5678);
    ASSERT_QUALITY(QUALITY_INVALID, plain(REGISTER_BCD32), 0xf234, 0x5678);
    ASSERT_STEPS(123, plain(REGISTER_DIGIT_BCD16), 0x0123);
    ASSERT_QUALITY(QUALITY_INVALID, plain(REGISTER_DIGIT_BCD16), 0x0323);
    ASSERT_QUALITY(QUALITY_INVALID, plain(REGISTER_DIGIT_BCD16), 0x002b);
    struct profile_point point = plain(REGISTER_BYTE_FRACTION);
    point.decimals = 1;
    ASSERT_STEPS(209, point, 0x1409);
    ASSERT_QUALITY(QUALITY_INVALID, point, 0x140a);
}

static void floats(void **state)
{
    (void)state;
    struct value got = DECODE(plain(REGISTER_F32), 0x42f6, 0xe979);
    assert_int_equal(got.quality, QUALITY_GOOD);
    assert_true(got.real == 123.456f);
    ASSERT_QUALITY(QUALITY_INVALID, plain(REGISTER_F32), 0x7fc0, 0x0000); /* NaN */
    ASSERT_QUALITY(QUALITY_INVALID, plain(REGISTER_F32), 0xff80, 0x0000); /* -Inf */
    struct profile_point point = plain(REGISTER_F32);
    point.scale = 1e30; /* beyond what a float holds */
    ASSERT_QUALITY(QUALITY_INVALID, point, 0x7f7f, 0xffff);
    point = plain(REGISTER_F32);
    point.max = 0.3; /* the float nearest to it lies above */
    ASSERT_QUALITY(QUALITY_GOOD, point, 0x3e99, 0x999a);
    ASSERT_QUALITY(QUALITY_OUT_OF_RANGE, point, 0x3e99, 0x999b);
    point = plain(REGISTER_F64);
    point.decimals = 2;
    ASSERT_STEPS(-150, point, 0xbff8, 0, 0, 0);
    ASSERT_QUALITY(QUALITY_INVALID, point, 0x7ff0, 0, 0, 0);
    point = plain(REGISTER_F32);
    point.is_float = false;
    point.decimals = 1;
    ASSERT_STEPS(1235, point, 0x42f6, 0xe979);
}

static void masks_shift_and_sign(void **state)
{
    (void)state;
    struct profile_point point = plain(REGISTER_U16);
    point.mask = 0x0f00;
    ASSERT_STEPS(0xa, point, 0xfaff);
    point.type = REGISTER_I16;
    point.mask = 0xfff0;
    ASSERT_STEPS(-1, point, 0xfffa);
    ASSERT_STEPS(0x7ff, point, 0x7fff);
}

static void invalid_marks_are_raw_after_the_mask(void **state)
{
    (void)state;
    uint64_t marks[] = {0x7fff, (uint64_t)INT64_C(-9999)};
    struct profile_point point = plain(REGISTER_I16);
    point.invalid = marks;
    point.invalid_count = 2;
    ASSERT_QUALITY(QUALITY_INVALID, point, 0x7fff);
    ASSERT_QUALITY(QUALITY_INVALID, point, (uint16_t)-9999);
    ASSERT_STEPS(9999, point, 9999);
    marks[0] = 0xf;
    point.type = REGISTER_U16;
    point.mask = 0x00f0;
    ASSERT_QUALITY(QUALITY_INVALID, point, 0xabfd);
}

static void totals_keep_their_last_digit(void **state)
{
    (void)state;
    uint64_t largest = VALUE_STEPS_MAX;
    struct profile_point point = plain(REGISTER_U64);
    ASSERT_STEPS(VALUE_STEPS_MAX, point, (uint16_t)(largest >> 48), 0xffff, 0xffff, 0xffff);
    ASSERT_QUALITY(QUALITY_INVALID, point, 0x0020, 0, 0, 0);
    ASSERT_QUALITY(QUALITY_INVALID, point, 0xffff, 0xffff, 0xffff, 0xffff);
    point.scale = 0.001;
    point.decimals = 3; /* 2^53 - 1 thousandths */
    ASSERT_STEPS(VALUE_STEPS_MAX, point, (uint16_t)(largest >> 48), 0xffff, 0xffff, 0xffff);
    point.scale = 1000;
    point.decimals = 9; /* 10^12 x overflows 64 bits */
    ASSERT_QUALITY(QUALITY_INVALID, point, 0x0001, 0, 0, 0);
    point.scale = 512;
    point.decimals = 0; /* 2^55 x 512 would come round to 0 */
    ASSERT_QUALITY(QUALITY_INVALID, point, 0x0080, 0, 0, 0);
    point = plain(REGISTER_I64);
    ASSERT_QUALITY(QUALITY_INVALID, point, 0x8000, 0, 0, 0);
    ASSERT_STEPS(-VALUE_STEPS_MAX, point, 0xffe0, 0, 0, 1);
}

static void rounding_is_to_the_nearest_step(void **state)
{
    (void)state;
    struct profile_point point = plain(REGISTER_U16);
    point.scale = 0.26;
    ASSERT_STEPS(1, point, 5); /* 1.30 */
    ASSERT_STEPS(2, point, 6); /* 1.56 */
    point.scale = 1.05;        /* near a whole number of steps is not whole */
    ASSERT_STEPS(105, point, 100);
    point.scale = 0.1;
    point.decimals = 1;
    for (uint16_t raw = 0; raw < 65535; raw++)
        ASSERT_STEPS(raw, point, raw);
}

static void ranges_include_their_ends(void **state)
{
    (void)state;
    struct profile_point point = plain(REGISTER_I16);
    point.scale = 0.1;
    point.decimals = 1;
    point.min = -0.3;
    point.max = 1.6;
    ASSERT_STEPS(16, point, 16);
    ASSERT_STEPS(-3, point, (uint16_t)-3);
    ASSERT_QUALITY(QUALITY_OUT_OF_RANGE, point, 17);
    ASSERT_QUALITY(QUALITY_OUT_OF_RANGE, point, (uint16_t)-4);
}

/* A sensor that shows more than it can measure, beside a main that is open. */
static void gas_above_its_range_is_not_silenced(void **state)
{
    (void)state;
    char lel[] = "lel", co[] = "co";
    struct profile_point point = plain(REGISTER_U16);
    point.quantity = lel;
    point.max = 100;
    uint16_t raw = 105;
    struct value got = decode_at(point, 0, 0, &raw, 1);
    assert_true(got.quality == QUALITY_UNCERTAIN && got.steps == 105);
    point.max = 15; /* below 20 %LEL it is only a broken sensor */
    raw = 16;
    assert_int_equal(decode_at(point, 0, 0, &raw, 1).quality, QUALITY_OUT_OF_RANGE);
    point.quantity = co;
    raw = 105;
    assert_int_equal(decode_at(point, 0, 0, &raw, 1).quality, QUALITY_OUT_OF_RANGE);
    point = plain(REGISTER_F32);
    point.quantity = lel;
    point.max = 100;
    got = DECODE(point, 0x42f6, 0xe979);
    assert_true(got.quality == QUALITY_UNCERTAIN && got.real == 123.456f);
}

static void a_level_is_the_mount_less_the_distance(void **state)
{
    (void)state;
    struct profile_point point = plain(REGISTER_U16);
    point.scale = 0.001;
    point.decimals = 3;
    point.below_mount = true;
    point.max = 100;
    uint16_t near = 1234, far = 6000;
    struct value got = decode_at(point, 5, 300, &near, 1);
    assert_true(got.quality == QUALITY_GOOD && got.steps == 3766);
    assert_int_equal(decode_at(point, 5, 300, &far, 1).quality, QUALITY_OUT_OF_RANGE);
}

/* Register 0: unit (high nibble) and decimals (next); 1: value; 2: status (low byte). */
static struct profile_code units[] = {{.code = 2, .factor = 1}, {.code = 3, .factor = 20}};
static struct profile_code decimals[] = {{.code = 0}, {.code = 4, .decimals = 1}};
static struct profile_code statuses[] = {{.code = 0, .quality = QUALITY_WARMUP},
                                         {.code = 1, .quality = QUALITY_GOOD},
                                         {.code = 3, .quality = QUALITY_SENSOR_FAULT}};

static struct profile_point selected_point(void)
{
    struct profile_point point = plain(REGISTER_U16);
    point.address = 1;
    point.decimals = 1;
    point.unit_from = (struct profile_selector){true, 0, 0xf000, units, 2};
    point.decimals_from = (struct profile_selector){true, 0, 0x0f00, decimals, 2};
    point.status_from = (struct profile_selector){true, 2, 0x00ff, statuses, 3};
    return point;
}

static void selectors_say_how_to_read(void **state)
{
    (void)state;
    struct profile_point point = selected_point();
    ASSERT_STEPS(120, point, 0x20ff, 12, 0xaa01);
    ASSERT_STEPS(125, point, 0x2400, 125, 1);
    ASSERT_STEPS(2500, point, 0x3400, 125, 1);
    ASSERT_QUALITY(QUALITY_INVALID, point, 0x4400, 125, 1); /* no such unit */
    ASSERT_QUALITY(QUALITY_INVALID, point, 0x2500, 125, 1); /* no such decimals */
    ASSERT_QUALITY(QUALITY_INVALID, point, 0x2400, 125, 2); /* no such status */
    ASSERT_QUALITY(QUALITY_SENSOR_FAULT, point, 0xffff, 125, 3);
    struct value warm = DECODE(point, 0x2400, 125, 0);
    assert_true(warm.quality == QUALITY_WARMUP && warm.steps == 125);
    point.max = 10;
    ASSERT_QUALITY(QUALITY_OUT_OF_RANGE, point, 0x2400, 125, 0);

    point.decimals_from = (struct profile_selector){true, 3, 0xffff, NULL, 0};
    point.decimals = 3;
    ASSERT_STEPS(1250, point, 0x2000, 125, 1, 2);
    ASSERT_QUALITY(QUALITY_INVALID, point, 0x2000, 125, 1, 10);
}

static void what_lies_outside_the_answer_is_invalid(void **state)
{
    (void)state;
    struct profile_point point = plain(REGISTER_U32);
    ASSERT_QUALITY(QUALITY_INVALID, point, 0x0102);
    point.address = 1;
    ASSERT_QUALITY(QUALITY_INVALID, point, 1, 2);
    point = selected_point();
    ASSERT_QUALITY(QUALITY_INVALID, point, 0x2000, 12);
}

static unsigned seed;

static uint32_t pick(uint32_t below)
{
    return (uint32_t)random() % below;
}

/* Raw values that the type holds exactly and a double too. */
static double random_raw(const struct profile_point *point)
{
    double unit = (double)random() / 0x7fffffff;
    int width = __builtin_popcount(point->mask);
    switch (point->type) {
    case REGISTER_U16:
        return floor(unit * (ldexp(1, width) - 1));
    case REGISTER_I16:
        return floor((unit - 0.5) * (ldexp(1, width) - 1));
    case REGISTER_U32:
        return floor(unit * UINT32_MAX);
    case REGISTER_I32:
        return floor((unit - 0.5) * UINT32_MAX);
    case REGISTER_U64:
        return floor(unit * 1e13);
    case REGISTER_I64:
        return floor((unit - 0.5) * 1e13);
    case REGISTER_F32:
        return (double)(float)((unit - 0.5) * pow(10, pick(9)));
    case REGISTER_F64:
        return floor((unit - 0.5) * 1e9) / 8;
    case REGISTER_BIT:
        return pick(2);
    case REGISTER_BCD16:
        return pick(10000);
    case REGISTER_BCD32:
        return pick(100000000);
    case REGISTER_DIGIT_BCD16:
        return pick(300);
    case REGISTER_BYTE_FRACTION:
        return pick(2560) / 10.0;
    }
    return 0;
}

static struct profile_point random_point(void)
{
    static const double scales[] = {1, 0.1, 0.01, 0.001, 10, -1, 0.5, 2.5};
    struct profile_point point = plain((enum register_type)pick(REGISTER_BYTE_FRACTION + 1));
    bool one_word = profile_type_registers(point.type) == 1;
    point.address = 4;
    if (point.type != REGISTER_BIT)
        point.order = (enum register_order)(one_word ? pick(2) * ORDER_BADC : pick(4));
    if ((point.type == REGISTER_U16 || point.type == REGISTER_I16) && pick(2) == 0)
        point.mask = (uint16_t)((0xffffu >> pick(12)) << pick(4));
    point.scale = point.is_float ? 1 : scales[pick(8)];
    point.offset = point.is_float || pick(2) == 0 ? 0 : (double)pick(100) - 50;
    point.decimals = point.is_float ? 0 : 4;
    if (point.type == REGISTER_BIT || point.is_float)
        return point;
    point.below_mount = pick(4) == 0;
    if (pick(2) == 0)
        point.unit_from = (struct profile_selector){true, 0, 0xf000, units, 2};
    if (pick(2) == 0)
        point.decimals_from = (struct profile_selector){true, 0, 0x0f00, decimals, 2};
    if (pick(2) == 0)
        point.status_from = (struct profile_selector){true, 2, 0x00ff, statuses, 3};
    return point;
}

/* Registers full of noise, then the point's selectors, then its own value. */
static void encode_into(const struct profile_point *point, uint32_t variant, double raw,
                        uint16_t *words)
{
    struct encode_patch patches[ENCODE_PATCHES];
    for (size_t i = 0; i < WORDS; i++)
        words[i] = (uint16_t)random();
    size_t count = encode_selectors(point, variant, patches);
    for (size_t i = 0; i < count; i++) {
        uint16_t *word = &words[patches[i].address];
        *word = (uint16_t)((*word & ~patches[i].mask) | patches[i].bits);
    }
    encode_raw(point, raw, words + point->address);
}

/* What the profile's formula makes of a raw value beside the codes of encode_selectors(): units
 * take turns first, and the second of each table is a factor of 20 and one decimal. */
static double value_of_raw(const struct profile_point *point, uint32_t variant, double mount,
                           double raw)
{
    double value = raw * point->scale + point->offset;
    uint32_t of_decimals = point->unit_from.present ? variant / 2 : variant;
    if (point->unit_from.present && variant != ENCODE_OWN && variant % 2 == 1)
        value *= 20;
    if (point->decimals_from.present && of_decimals % 2 == 1)
        value /= 10; /* ENCODE_OWN too: the code nearest to four decimals */
    return point->below_mount ? mount - value : value;
}

static void decode_brings_back_what_encode_wrote(void **state)
{
    (void)state;
    for (int round = 0; round < 200000; round++) {
        struct profile_point point = random_point();
        double mount = pick(20);
        double raw = random_raw(&point);
        uint32_t variant = pick(8) == 0 ? ENCODE_OWN : pick(100);
        double value = value_of_raw(&point, variant, mount, raw);
        uint16_t words[WORDS];
        encode_into(&point, variant, raw, words);
        struct value got = decode_at(point, mount, 0, words, WORDS);
        if (fabs(value) * 1e4 > 9e15)
            continue; /* may be beyond 2^53 - 1 steps */
        assert_int_equal(got.quality, QUALITY_GOOD);
        if (point.is_float)
            assert_true((double)got.real == value);
        else
            assert_true(fabs((double)got.steps - value * 1e4) <= 0.5 + fabs(value) * 1e-11);
    }
}

static void encode_goes_to_the_nearest_end(void **state)
{
    (void)state;
    static const double wild[] = {1e300, -1e300, INFINITY, -INFINITY, NAN, 1.8e19, -9.3e18};
    uint16_t words[4];
    for (int type = 0; type <= REGISTER_BYTE_FRACTION; type++) {
        struct profile_point point = plain((enum register_type)type);
        for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++)
            encode_raw(&point, wild[i], words);
    }
    struct profile_point point = plain(REGISTER_I16);
    encode_raw(&point, 40000, words);
    assert_int_equal(words[0], 0x7fff);
    encode_raw(&point, -40000, words);
    assert_int_equal(words[0], 0x8000);
    point = plain(REGISTER_U64);
    encode_raw(&point, 1e300, words);
    assert_int_equal(words[0], 0xffff);
    assert_int_equal(words[3], 0xffff);
}

static void encode_leaves_the_neighbours_bits(void **state)
{
    (void)state;
    struct profile_point point = plain(REGISTER_U16);
    uint16_t word = 0xabcd;
    point.mask = 0x0ff0;
    encode_raw(&point, 0x12, &word);
    assert_int_equal(word, 0xa12d);
    point.order = ORDER_BADC;
    word = 0xcdab;
    encode_raw(&point, 0x12, &word);
    assert_int_equal(word, 0x2da1);
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srandom(seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_every_width_and_sign),
        cmocka_unit_test(every_order),
        cmocka_unit_test(digits_and_fractions),
        cmocka_unit_test(floats),
        cmocka_unit_test(masks_shift_and_sign),
        cmocka_unit_test(invalid_marks_are_raw_after_the_mask),
        cmocka_unit_test(totals_keep_their_last_digit),
        cmocka_unit_test(rounding_is_to_the_nearest_step),
        cmocka_unit_test(ranges_include_their_ends),
        cmocka_unit_test(gas_above_its_range_is_not_silenced),
        cmocka_unit_test(a_level_is_the_mount_less_the_distance),
        cmocka_unit_test(selectors_say_how_to_read),
        cmocka_unit_test(what_lies_outside_the_answer_is_invalid),
        cmocka_unit_test(decode_brings_back_what_encode_wrote),
        cmocka_unit_test(encode_goes_to_the_nearest_end),
        cmocka_unit_test(encode_leaves_the_neighbours_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
