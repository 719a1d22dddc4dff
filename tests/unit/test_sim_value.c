/* What the simulator shows is what the gateway reads.
 *
 * For every shipped profile and for made-up points, decode_block() must give GOOD and the very
 * value that the simulator says it published, and none twice before all have come once. SEED=N
 * repeats a random round. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <time.h>

#include "drivers/class.h"
#include "drivers/decode.h"

#include "drivers/sim/sim_scenario.c"
#include "drivers/sim/sim_scenario_read.c"
#include "drivers/sim/sim_span.c"
#include "drivers/sim/sim_value.c"

#define AT(n) ((struct sim_moment){.counter = (n)})

enum { TURNS = 4000 };

static struct settings_device *new_device(const struct profile *profile, uint16_t base,
                                          unsigned number)
{
    static struct settings_point points[256];
    static struct settings_device device;
    static char name[20];
    snprintf(name, sizeof name, "device-%u", number);
    memset(points, 0, sizeof points);
    for (size_t i = 0; i < profile->point_count; i++) {
        const struct profile_point *point = &profile->points[i];
        points[i] = (struct settings_point){.mount_height = point->max > 0 ? point->max : 10,
                                            .has_range = point->min != 0 || point->max != 0,
                                            .min = point->min,
                                            .max = point->max};
    }
    device = (struct settings_device){
        .name = name, .unit = 1, .base = base, .profile = profile, .points = points};
    return &device;
}

static struct value decode_one(const struct settings_device *device, uint16_t index,
                               const uint16_t *registers)
{
    struct value value;
    struct plan_block block = {
        .function = device->profile->points[index].function,
        .address = device->base,
        .count = 60000,
        .points = &index,
        .point_count = 1,
    };
    decode_block(device, &block, registers, &value);
    return value;
}

static int compare_values(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* One number for a value of either kind, equal only for equal values. */
static int64_t key_of(const struct profile_point *point, const struct value *value)
{
    uint32_t bits;
    if (!point->is_float)
        return value->steps;
    float real = value->real;
    memcpy(&bits, &real, sizeof bits);
    return bits;
}

static void check_point(const struct sim_value *value, uint16_t index, const char *what)
{
    static uint16_t registers[60000];
    static int64_t seen[TURNS];
    const struct settings_device *device = sim_value_device(value);
    const struct profile_point *point = &device->profile->points[index];
    uint32_t distinct = sim_value_distinct(value, index);
    size_t most = getenv("LIFELINE_SHORT") ? TURNS / 10 : TURNS;
    size_t turns = distinct < most ? distinct : most;
    for (uint32_t turn = 0; turn < turns; turn++) {
        memset(registers, 0xa5, sizeof registers);
        sim_value_fill(value, point->function, device->base, 60000, AT(turn + 1), registers);
        struct value got = decode_one(device, index, registers);
        if (got.quality != QUALITY_GOOD)
            fail_msg("%s %s: %s at counter %u", what, point->name,
                     names_quality((enum quality)got.quality), turn + 1);
        struct value want = {.steps = 0};
        if (point->is_float)
            want.real = sim_value_real(value, index, AT(turn + 1));
        else
            want.steps = sim_value_steps(value, index, AT(turn + 1));
        seen[turn] = key_of(point, &got);
        if (seen[turn] != key_of(point, &want))
            fail_msg("%s %s: decoded %lld, published %lld at counter %u", what, point->name,
                     (long long)seen[turn], (long long)key_of(point, &want), turn + 1);
    }
    /* Nothing comes twice before all have come once. */
    qsort(seen, turns, sizeof seen[0], compare_values);
    for (size_t i = 1; i < turns; i++) {
        if (seen[i] == seen[i - 1])
            fail_msg("%s %s: %lld comes twice in %zu turns", what, point->name, (long long)seen[i],
                     turns);
    }
}

/* A status of a few bits cannot have many, and a part of the fingerprint has one. */
static bool is_narrow(const struct profile *profile, const struct profile_point *point)
{
    bool marked = false;
    for (size_t i = 0; i < profile->fingerprint_count; i++)
        marked |= profile->fingerprint[i].address == point->address;
    return marked || point->type == REGISTER_BIT || point->mask < 0x0100;
}

/* The fewest different values that a point of the profile has. */
static uint32_t check_profile(const struct profile *profile, uint16_t base, unsigned number,
                              uint32_t least)
{
    uint32_t fewest = UINT32_MAX;
    struct sim_value *value = sim_value_new(new_device(profile, base, number));
    assert_non_null(value);
    for (uint16_t i = 0; i < profile->point_count; i++) {
        check_point(value, i, profile->name);
        uint32_t distinct = sim_value_distinct(value, i);
        fewest = distinct < fewest ? distinct : fewest;
        if (sim_value_distinct(value, i) < least && !is_narrow(profile, &profile->points[i]))
            fail_msg("%s %s: %u different values", profile->name, profile->points[i].name,
                     sim_value_distinct(value, i));
    }
    sim_value_free(value);
    return fewest;
}

static void shipped_profiles_read_good(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(SOURCE_DIR "/config/profiles/*.yaml", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct diagnostics *diagnostics = diagnostics_new();
        struct profile *profile = profile_load(found.gl_pathv[i], class_quantity, diagnostics);
        if (profile == NULL)
            fail_msg("%s", diagnostics_text(diagnostics));
        for (unsigned number = 0; number < 12; number++)
            check_profile(profile, (uint16_t)(number * 100), number, 200);
        profile_free(profile);
        diagnostics_free(diagnostics);
    }
    globfree(&found);
}

/* Pressure sensors of one model in many units, each with several decimals, and always the same. */
static void names_choose_unit_and_decimals(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    struct profile *profile =
        profile_load(SOURCE_DIR "/config/profiles/press-level-a.yaml", class_quantity, diagnostics);
    assert_non_null(profile);
    unsigned units = 0, decimals = 0;
    for (unsigned number = 0; number < 100; number++) {
        uint16_t registers[2], again[2];
        struct sim_value *value = sim_value_new(new_device(profile, 0, number));
        sim_value_fill(value, FUNCTION_HOLDING, 2, 2, AT(1), registers);
        assert_in_range(sim_value_distinct(value, 0), ENOUGH, DISTINCT_MAX);
        sim_value_free(value);
        value = sim_value_new(new_device(profile, 0, number));
        sim_value_fill(value, FUNCTION_HOLDING, 2, 2, AT(77), again);
        sim_value_free(value);
        assert_memory_equal(registers, again, sizeof registers);
        units |= 1u << registers[0];
        decimals |= 1u << registers[1];
    }
    assert_in_range(__builtin_popcount(units), 6, 9);
    assert_int_equal(__builtin_popcount(decimals), 4);
    profile_free(profile);
    diagnostics_free(diagnostics);
}

static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % limit;
}

static void random_invalid(struct profile_point *point, uint64_t *marks)
{
    static const uint64_t usual[] = {0x7fff, 0x8000, 0xffff, 0xffffffff, 0x7fffffff, 0, 1};
    point->invalid = marks;
    point->invalid_count = random_below(3);
    for (size_t i = 0; i < point->invalid_count; i++)
        marks[i] = usual[random_below(sizeof usual / sizeof usual[0])];
}

static void random_selectors(struct profile_point *point, struct profile_code *codes)
{
    static const double factors[] = {1, 1000, 0.001, 6.894757};
    for (uint32_t i = 0; i < 4; i++)
        codes[i] = (struct profile_code){
            .code = i,
            .factor = factors[(i + random_below(2)) % 4],
            .decimals = (uint8_t)i,
            .quality = i == 2 ? QUALITY_GOOD : QUALITY_SENSOR_FAULT,
        };
    struct profile_selector selector = {.present = true, .mask = 0xffff, .codes = codes};
    selector.code_count = 4;
    selector.address = 1000;
    if (random_below(3) == 0)
        point->unit_from = selector;
    selector.address = 1001;
    selector.mask = 0x0f00;
    if (random_below(3) == 0)
        point->decimals_from = selector;
    selector.mask = 0x00f0;
    if (random_below(3) == 0)
        point->status_from = selector;
}

static void random_point(struct profile_point *point, uint64_t *marks, struct profile_code *codes)
{
    static const double scales[] = {1, 0.1, 0.01, 0.001, 0.5, 10, 0.0625, 2.5, -0.1};
    static const uint16_t masks[] = {0xffff, 0xffff, 0x00ff, 0xff00, 0x0ff0, 0x0001};
    memset(point, 0, sizeof *point);
    static char name[] = "p";
    point->name = name;
    point->function = FUNCTION_HOLDING;
    point->address = (uint16_t)random_below(100);
    point->type = (enum register_type)random_below(REGISTER_BYTE_FRACTION + 1);
    if (point->type == REGISTER_BIT)
        point->function = random_below(2) == 0 ? FUNCTION_COIL : FUNCTION_DISCRETE;
    point->order = (enum register_order)random_below(4);
    bool plain = point->type == REGISTER_U16 || point->type == REGISTER_I16;
    point->mask = plain ? masks[random_below(6)] : 0xffff;
    point->scale = point->type == REGISTER_BIT ? 1 : scales[random_below(9)];
    point->offset = random_below(3) == 0 ? -40 : 0;
    point->decimals = (uint8_t)random_below(4);
    point->is_float = point->type == REGISTER_F32 && random_below(2) == 0;
    if (random_below(2) == 0 && plain && point->mask == 0xffff) {
        point->min = -20;
        point->max = 100 + random_below(1000);
    }
    if (point->type != REGISTER_BIT) {
        if (point->mask == 0xffff)
            random_invalid(point, marks);
        random_selectors(point, codes);
    }
}

static void made_up_points_read_good(void **state)
{
    (void)state;
    const char *given = getenv("SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("SEED=%llu\n", (unsigned long long)seed);
    random_state = seed;
    int empty = 0;
    for (int round = 0; round < 200; round++) {
        struct profile_point point;
        struct profile_code codes[4];
        uint64_t marks[3];
        char name[100];
        random_point(&point, marks, codes);
        snprintf(name, sizeof name, "round %d type %d mask %x scale %g offset %g decimals %u",
                 round, (int)point.type, point.mask, point.scale, point.offset, point.decimals);
        struct profile profile = {.name = name, .points = &point, .point_count = 1};
        empty += check_profile(&profile, (uint16_t)random_below(200), random_below(100), 0) == 0;
    }
    assert_in_range(empty, 0, 20); /* a range that the register cannot reach */
}

static struct profile_point word_at(uint16_t address)
{
    static char name[] = "p";
    return (struct profile_point){.name = name,
                                  .function = FUNCTION_HOLDING,
                                  .address = address,
                                  .type = REGISTER_U16,
                                  .mask = 0xffff,
                                  .scale = 1};
}

static void neighbours_in_time_and_place_differ(void **state)
{
    (void)state;
    struct profile_point points[100];
    char name[] = "hundred";
    for (uint16_t i = 0; i < 100; i++)
        points[i] = word_at(i);
    struct profile profile = {.name = name, .points = points, .point_count = 100};
    struct sim_value *value = sim_value_new(new_device(&profile, 0, 1));
    for (uint16_t i = 0; i + 1 < 100; i++) {
        for (uint32_t turn = 1; turn < 1000; turn++) {
            assert_int_not_equal(sim_value_steps(value, i, AT(turn)),
                                 sim_value_steps(value, i, AT(turn + 1)));
            assert_int_not_equal(sim_value_steps(value, i, AT(turn)),
                                 sim_value_steps(value, i + 1u, AT(turn)));
        }
    }
    sim_value_free(value);
}

static void a_counter_counts(void **state)
{
    (void)state;
    char name[] = "rain";
    struct profile_point point = word_at(0);
    point.wrap = 1000;
    struct profile profile = {.name = name, .points = &point, .point_count = 1};
    struct sim_value *value = sim_value_new(new_device(&profile, 0, 1));
    assert_int_equal(sim_value_distinct(value, 0), 1000);
    for (uint32_t turn = 1; turn < 2500; turn++)
        assert_int_equal((sim_value_steps(value, 0, AT(turn)) + 1) % 1000,
                         sim_value_steps(value, 0, AT(turn + 1)));
    sim_value_free(value);
}

/* A status that is also a point holds the good code; the same distance read twice is one register.
 */
static void points_of_one_register_agree(void **state)
{
    (void)state;
    char name[] = "shared";
    struct profile_code good = {.code = 7, .quality = QUALITY_GOOD};
    struct profile_point points[4] = {word_at(0), word_at(0), word_at(5), word_at(9)};
    points[1].below_mount = true;
    points[1].min = 0.5;
    points[1].max = 900;
    points[3].status_from =
        (struct profile_selector){.present = true, .address = 5, .mask = 0xffff, .codes = &good};
    points[3].status_from.code_count = 1;
    struct profile profile = {.name = name, .points = points, .point_count = 4};
    check_profile(&profile, 10, 1, 1);
    struct sim_value *value = sim_value_new(new_device(&profile, 10, 1));
    assert_int_equal(sim_value_steps(value, 2, AT(1)), 7);
    assert_int_equal(sim_value_steps(value, 0, AT(5)) + sim_value_steps(value, 1, AT(5)), 900);
    sim_value_free(value);
}

/* Bits that a unit code has taken stay, and those beside a mark stay the point's. */
static void a_fingerprint_is_there(void **state)
{
    (void)state;
    char name[] = "marked";
    struct profile_code code = {.code = 2, .factor = 1};
    struct profile_point points[2] = {word_at(1), word_at(8)};
    points[0].unit_from =
        (struct profile_selector){.present = true, .address = 0, .mask = 0xf000, .codes = &code};
    points[0].unit_from.code_count = 1;
    points[1].mask = 0x00ff;
    struct profile_mark marks[] = {
        {.function = FUNCTION_HOLDING, .address = 0, .mask = 0xffff, .min = 0x1008, .max = 0xffff},
        {.function = FUNCTION_HOLDING, .address = 8, .mask = 0xff00, .min = 11, .max = 11},
        {.function = FUNCTION_INPUT, .address = 2, .mask = 0xffff, .is_unit = true},
    };
    struct profile profile = {.name = name,
                              .points = points,
                              .point_count = 2,
                              .fingerprint = marks,
                              .fingerprint_count = 3};
    struct settings_device *device = new_device(&profile, 100, 1);
    device->unit = 77;
    struct sim_value *value = sim_value_new(device);
    uint16_t words[9] = {0}, unit = 0;
    sim_value_fill(value, FUNCTION_HOLDING, 100, 9, AT(4), words);
    assert_int_equal(words[0], 0x2008);
    assert_int_equal(words[8] >> 8, 11);
    assert_int_equal(words[8] & 0xff, sim_value_steps(value, 1, AT(4)));
    assert_true(sim_value_covers(value, FUNCTION_INPUT, 102, 1));
    sim_value_fill(value, FUNCTION_INPUT, 102, 1, AT(4), &unit);
    assert_int_equal(unit, 77);
    sim_value_free(value);
}

static void a_request_may_cut_a_value(void **state)
{
    (void)state;
    char name[] = "wide";
    struct profile_point point = word_at(10);
    point.type = REGISTER_U32;
    struct profile profile = {.name = name, .points = &point, .point_count = 1};
    struct sim_value *value = sim_value_new(new_device(&profile, 100, 1));
    uint16_t whole[4] = {0}, part[2] = {0};
    sim_value_fill(value, FUNCTION_HOLDING, 109, 4, AT(3), whole);
    sim_value_fill(value, FUNCTION_HOLDING, 111, 2, AT(3), part);
    assert_int_equal(whole[0], 0);
    assert_int_equal(whole[3], 0);
    assert_int_equal(part[0], whole[2]);
    assert_int_equal((uint32_t)whole[1] << 16 | whole[2], sim_value_steps(value, 0, AT(3)));
    assert_true(sim_value_contains(value, 0, FUNCTION_HOLDING, 109, 3));
    assert_false(sim_value_contains(value, 0, FUNCTION_HOLDING, 111, 2));
    assert_false(sim_value_contains(value, 0, FUNCTION_INPUT, 109, 3));
    assert_true(sim_value_covers(value, FUNCTION_HOLDING, 111, 2));
    assert_false(sim_value_covers(value, FUNCTION_HOLDING, 112, 2));
    assert_false(sim_value_covers(value, FUNCTION_HOLDING, 100, 10));
    sim_value_free(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_profiles_read_good),
        cmocka_unit_test(names_choose_unit_and_decimals),
        cmocka_unit_test(made_up_points_read_good),
        cmocka_unit_test(neighbours_in_time_and_place_differ),
        cmocka_unit_test(a_counter_counts),
        cmocka_unit_test(points_of_one_register_agree),
        cmocka_unit_test(a_fingerprint_is_there),
        cmocka_unit_test(a_request_may_cut_a_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
