/* The read plan: merging by hand-made cases, and its invariants on random profiles.
 *
 * The invariants: every point in exactly one block of its function and period, all registers that
 * it needs inside, no block above what a request may ask for. The seed is printed and may be given
 * as the first argument. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "drivers/plan.h"

#define MAX_POINTS 60

static unsigned seed;

static uint32_t pick(uint32_t below)
{
    return (uint32_t)random() % below;
}

/* One device on one line, points to be filled in. */
struct bench {
    struct profile_point points[MAX_POINTS];
    struct settings_point periods[MAX_POINTS];
    struct profile profile;
    struct settings_device device;
    struct settings_line line;
    struct settings settings;
};

static void bench_init(struct bench *bench, size_t points)
{
    *bench = (struct bench){.profile = {.point_count = points, .max_registers = 125}};
    bench->profile.points = bench->points;
    bench->device = (struct settings_device){.profile = &bench->profile, .unit = 7};
    bench->device.points = bench->periods;
    bench->settings = (struct settings){.line_count = 1, .device_count = 1};
    bench->settings.lines = &bench->line;
    bench->settings.devices = &bench->device;
    for (size_t i = 0; i < points; i++)
        bench->periods[i].every_ms = 1000;
}

static void at(struct bench *bench, size_t i, enum function function, uint16_t address,
               enum register_type type)
{
    bench->points[i] =
        (struct profile_point){.function = function, .address = address, .type = type};
}

static void neighbours_and_small_gaps_are_one_request(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 3);
    bench.device.base = 100;
    at(&bench, 0, FUNCTION_HOLDING, 20, REGISTER_U16);
    at(&bench, 1, FUNCTION_HOLDING, 2, REGISTER_F32);
    at(&bench, 2, FUNCTION_HOLDING, 14, REGISTER_U16); /* ten registers behind point 1 */
    struct plan *plan = plan_new(&bench.settings);
    assert_int_equal(plan->block_count, 1);
    assert_int_equal(plan->blocks[0].address, 102);
    assert_int_equal(plan->blocks[0].count, 19);
    assert_int_equal(plan->blocks[0].unit, 7);
    assert_int_equal(plan->blocks[0].point_count, 3);
    for (uint16_t i = 0; i < 3; i++)
        assert_int_equal(plan->blocks[0].points[i], i);
    plan_free(plan);
}

static void a_wide_gap_costs_more_than_a_request(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 4);
    at(&bench, 0, FUNCTION_HOLDING, 0, REGISTER_U16);
    at(&bench, 1, FUNCTION_HOLDING, 12, REGISTER_U16); /* eleven between */
    at(&bench, 2, FUNCTION_DISCRETE, 0, REGISTER_BIT);
    at(&bench, 3, FUNCTION_DISCRETE, 161, REGISTER_BIT); /* 160 bits between: 20 characters */
    struct plan *plan = plan_new(&bench.settings);
    assert_int_equal(plan->block_count, 3);
    assert_int_equal(plan->blocks[0].function, FUNCTION_DISCRETE);
    assert_int_equal(plan->blocks[0].count, 162);
    assert_int_equal(plan->blocks[1].address, 0);
    assert_int_equal(plan->blocks[2].address, 12);
    plan_free(plan);
}

static void functions_periods_and_devices_are_kept_apart(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 3);
    at(&bench, 0, FUNCTION_HOLDING, 0, REGISTER_U16);
    at(&bench, 1, FUNCTION_INPUT, 0, REGISTER_U16);
    at(&bench, 2, FUNCTION_HOLDING, 1, REGISTER_U16);
    bench.periods[2].every_ms = 500;
    struct settings_device devices[2] = {bench.device, bench.device};
    bench.settings.devices = devices;
    bench.settings.device_count = 2;
    struct plan *plan = plan_new(&bench.settings);
    assert_int_equal(plan->block_count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(plan->blocks[i].device, i / 3);
    assert_int_equal(plan->blocks[1].every_ms, 500);
    assert_int_equal(plan->blocks[2].function, FUNCTION_INPUT);
    plan_free(plan);
}

static void selectors_come_with_the_same_request(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1);
    at(&bench, 0, FUNCTION_HOLDING, 50, REGISTER_F64);
    bench.points[0].unit_from = (struct profile_selector){.present = true, .address = 20};
    bench.points[0].status_from = (struct profile_selector){.present = true, .address = 80};
    struct plan *plan = plan_new(&bench.settings);
    assert_int_equal(plan->block_count, 1);
    assert_int_equal(plan->blocks[0].address, 20);
    assert_int_equal(plan->blocks[0].count, 61);
    plan_free(plan);
}

static void the_sensors_own_limit_is_kept(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 5);
    bench.profile.max_registers = 4;
    for (uint16_t i = 0; i < 5; i++)
        at(&bench, i, FUNCTION_INPUT, (uint16_t)(2 * i), REGISTER_U32);
    struct plan *plan = plan_new(&bench.settings);
    assert_int_equal(plan->block_count, 3);
    assert_int_equal(plan->blocks[0].count, 4);
    assert_int_equal(plan->blocks[2].count, 2);
    plan_free(plan);
}

static void nothing_to_read_is_an_empty_plan(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 0);
    struct plan *plan = plan_new(&bench.settings);
    assert_non_null(plan);
    assert_int_equal(plan->block_count, 0);
    plan_free(plan);
    plan_free(NULL);
}

static void random_point(struct bench *bench, size_t i)
{
    static const uint32_t periods[] = {200, 1000, 60000};
    bool bits = pick(4) == 0;
    enum function function = bits ? FUNCTION_COIL + pick(2) : FUNCTION_HOLDING + pick(2);
    uint32_t range = 1 + pick(bits ? 6000 : 400);
    at(bench, i, function, (uint16_t)pick(range),
       bits ? REGISTER_BIT : (enum register_type)pick(REGISTER_BIT));
    struct profile_point *point = &bench->points[i];
    struct profile_selector *selectors[] = {&point->unit_from, &point->decimals_from,
                                            &point->status_from};
    for (size_t s = 0; s < 3 && !bits; s++) {
        uint16_t address = (uint16_t)(point->address / 8 * 8 + pick(8));
        *selectors[s] = (struct profile_selector){.present = pick(4) == 0, .address = address};
    }
    bench->periods[i].every_ms = periods[pick(3)];
}

static void check_blocks(const struct bench *bench, const struct plan *plan)
{
    unsigned seen[MAX_POINTS] = {0};
    for (size_t b = 0; b < plan->block_count; b++) {
        const struct plan_block *block = &plan->blocks[b];
        uint32_t cap = profile_is_bits(block->function) ? 2000 : bench->profile.max_registers;
        assert_in_range(block->count, 1, cap);
        assert_true(block->point_count > 0);
        for (uint16_t k = 0; k < block->point_count; k++) {
            uint16_t index = block->points[k];
            assert_true(k == 0 || block->points[k - 1] < index);
            uint32_t first, end, base = bench->device.base;
            profile_point_span(&bench->points[index], &first, &end);
            assert_true(base + first >= block->address);
            assert_true(base + end <= (uint32_t)block->address + block->count);
            assert_int_equal(bench->points[index].function, block->function);
            assert_int_equal(bench->periods[index].every_ms, block->every_ms);
            seen[index]++;
        }
        if (b > 0) {
            const struct plan_block *before = &plan->blocks[b - 1];
            assert_true(before->function < block->function ||
                        (before->function == block->function && before->address <= block->address));
        }
    }
    for (size_t i = 0; i < bench->profile.point_count; i++)
        assert_int_equal(seen[i], 1);
}

static void random_profiles_keep_the_invariants(void **state)
{
    (void)state;
    static struct bench bench;
    for (int round = 0; round < 3000; round++) {
        bench_init(&bench, 1 + pick(MAX_POINTS));
        bench.profile.max_registers = (uint16_t)(16 + pick(110));
        bench.device.base = (uint16_t)pick(1000);
        for (size_t i = 0; i < bench.profile.point_count; i++)
            random_point(&bench, i);
        struct plan *plan = plan_new(&bench.settings);
        assert_non_null(plan);
        check_blocks(&bench, plan);
        plan_free(plan);
    }
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srandom(seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_and_small_gaps_are_one_request),
        cmocka_unit_test(a_wide_gap_costs_more_than_a_request),
        cmocka_unit_test(functions_periods_and_devices_are_kept_apart),
        cmocka_unit_test(selectors_come_with_the_same_request),
        cmocka_unit_test(the_sensors_own_limit_is_kept),
        cmocka_unit_test(nothing_to_read_is_an_empty_plan),
        cmocka_unit_test(random_profiles_keep_the_invariants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
