/* The read plan: merging by hand-made cases, and its invariants on random units.
 *
 * The invariants: every point in exactly one block of its device, function and period, all
 * registers that it needs inside; every block in exactly one read of its unit and function, no read
 * above what a request may ask for, its periods multiples of each other; all in the promised order.
 * How good a plan is, is test_plan_optimum.c. The seed is printed and may be given as the first
 * argument. */
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
#define DEVICES    4

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
    bench->line = (struct settings_line){.serial = {9600, 8, 'N', 1}};
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
    /* 20 characters of frames and silences, and 4 ms of thinking, 3.84 characters: so eleven
     * registers between would be bridged, twelve are not */
    at(&bench, 1, FUNCTION_HOLDING, 13, REGISTER_U16);
    at(&bench, 2, FUNCTION_DISCRETE, 0, REGISTER_BIT);
    at(&bench, 3, FUNCTION_DISCRETE, 191, REGISTER_BIT); /* 192 bits: 24 characters */
    struct plan *plan = plan_new(&bench.settings);
    assert_int_equal(plan->block_count, 3);
    assert_int_equal(plan->blocks[0].function, FUNCTION_DISCRETE);
    assert_int_equal(plan->blocks[0].count, 192);
    assert_int_equal(plan->blocks[1].address, 0);
    assert_int_equal(plan->blocks[2].address, 13);
    assert_int_equal(plan->read_count, 3);
    plan_free(plan);
    at(&bench, 1, FUNCTION_HOLDING, 12, REGISTER_U16);
    plan = plan_new(&bench.settings);
    assert_int_equal(plan->block_count, 2);
    assert_int_equal(plan->blocks[1].count, 13);
    plan_free(plan);
}

/* What is asked each second may bring with it what is asked each minute. */
static void multiples_of_a_period_share_a_read(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 4);
    for (uint16_t i = 0; i < 4; i++)
        at(&bench, i, FUNCTION_HOLDING, i, REGISTER_U16);
    bench.periods[0].every_ms = 60000;
    bench.periods[2].every_ms = 1500;
    bench.periods[3].every_ms = 0;
    struct plan *plan = plan_new(&bench.settings);
    assert_int_equal(plan->block_count, 4);
    assert_int_equal(plan->read_count, 3);
    assert_int_equal(plan->reads[0].every_ms, 1000);
    assert_int_equal(plan->reads[0].block_count, 2);
    assert_int_equal(plan->reads[1].every_ms, 1500);
    assert_int_equal(plan->reads[2].every_ms, 0);
    assert_int_equal(plan->blocks[plan->reads[0].blocks[0]].every_ms, 60000);
    plan_free(plan);
}

/* Two sensors behind one PLC, one of them with registers of its own between the other's. */
static void devices_of_one_unit_share_a_read(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 2);
    at(&bench, 0, FUNCTION_INPUT, 0, REGISTER_U16);
    at(&bench, 1, FUNCTION_INPUT, 4, REGISTER_F32);
    struct settings_device devices[3] = {bench.device, bench.device, bench.device};
    devices[0].base = 102;
    devices[1].base = 100;
    devices[2].base = 104;
    devices[2].unit++;
    bench.settings.devices = devices;
    bench.settings.device_count = 3;
    struct plan *plan = plan_new(&bench.settings);
    assert_int_equal(plan->block_count, 3);
    assert_int_equal(plan->read_count, 2);
    const struct plan_read *read = &plan->reads[0];
    assert_int_equal(read->block_count, 2);
    assert_int_equal(read->unit, 7);
    assert_int_equal(read->every_ms, 1000);
    assert_int_equal(read->function, FUNCTION_INPUT);
    assert_int_equal(read->blocks[0], 1); /* by address */
    assert_int_equal(read->blocks[1], 0);
    assert_int_equal(plan->blocks[0].address, 102);
    assert_int_equal(plan->blocks[0].count, 6);
    assert_int_equal(plan->blocks[1].address, 100);
    assert_int_equal(plan->reads[1].unit, 8);
    assert_int_equal(plan->reads[1].blocks[0], 2);
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
    assert_int_equal(plan->blocks[0].count + plan->blocks[1].count + plan->blocks[2].count, 10);
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
    static const uint32_t periods[] = {200, 1000, 60000, 1500, 0};
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
    bench->periods[i].every_ms = periods[pick(5)];
}

static void check_points(const struct settings_device *device, const struct plan_block *block,
                         unsigned *seen)
{
    assert_true(block->point_count > 0);
    assert_int_equal(block->unit, device->unit);
    for (uint16_t k = 0; k < block->point_count; k++) {
        uint16_t index = block->points[k];
        const struct profile_point *point = &device->profile->points[index];
        assert_true(k == 0 || block->points[k - 1] < index);
        uint32_t first, end, base = device->base;
        profile_point_span(point, &first, &end);
        assert_true(base + first >= block->address);
        assert_true(base + end <= (uint32_t)block->address + block->count);
        assert_int_equal(point->function, block->function);
        assert_int_equal(device->points[index].every_ms, block->every_ms);
        seen[index]++;
    }
}

static void check_order(const struct plan_block *before, const struct plan_block *block)
{
    if (before->device != block->device)
        assert_true(before->device < block->device);
    else if (before->function != block->function)
        assert_true(before->function < block->function);
    else if (before->address != block->address)
        assert_true(before->address < block->address);
    else
        assert_true(before->every_ms <= block->every_ms);
}

static void check_blocks(const struct settings *settings, const struct plan *plan)
{
    unsigned seen[DEVICES][MAX_POINTS] = {{0}};
    for (size_t b = 0; b < plan->block_count; b++) {
        const struct plan_block *block = &plan->blocks[b];
        check_points(&settings->devices[block->device], block, seen[block->device]);
        if (b > 0)
            check_order(&plan->blocks[b - 1], block);
    }
    for (size_t d = 0; d < settings->device_count; d++) {
        for (size_t i = 0; i < settings->devices[d].profile->point_count; i++)
            assert_int_equal(seen[d][i], 1);
    }
}

static bool is_multiple(uint32_t longer_ms, uint32_t shorter_ms)
{
    return shorter_ms == 0 ? longer_ms == 0 : longer_ms % shorter_ms == 0;
}

static void check_read(const struct settings *settings, const struct plan *plan,
                       const struct plan_read *read)
{
    uint32_t first = UINT32_MAX, end = 0, shortest = UINT32_MAX, cap = 2000;
    assert_true(read->block_count > 0);
    for (uint16_t i = 0; i < read->block_count; i++) {
        const struct plan_block *block = &plan->blocks[read->blocks[i]];
        const struct profile *profile = settings->devices[block->device].profile;
        assert_int_equal(block->line, read->line);
        assert_int_equal(block->unit, read->unit);
        assert_int_equal(block->function, read->function);
        assert_true(i == 0 || plan->blocks[read->blocks[i - 1]].address <= block->address);
        first = block->address < first ? block->address : first;
        end = block->address + block->count > end ? block->address + block->count : end;
        shortest = block->every_ms < shortest ? block->every_ms : shortest;
        if (!profile_is_bits(read->function) && profile->max_registers < cap)
            cap = profile->max_registers;
        for (uint16_t k = 0; k < i; k++) {
            uint32_t other_ms = plan->blocks[read->blocks[k]].every_ms;
            assert_true(is_multiple(other_ms, block->every_ms) ||
                        is_multiple(block->every_ms, other_ms));
            assert_false(other_ms == block->every_ms &&
                         plan->blocks[read->blocks[k]].device == block->device);
        }
    }
    assert_int_equal(read->every_ms, shortest);
    assert_in_range(end - first, 1, cap);
}

static uint64_t place_of(const struct plan *plan, const struct plan_read *read)
{
    return (uint64_t)read->line << 40 | (uint64_t)read->unit << 32 |
           (uint64_t)read->function << 16 | plan->blocks[read->blocks[0]].address;
}

static void check_reads(const struct settings *settings, const struct plan *plan)
{
    unsigned *seen = calloc(plan->block_count + 1, sizeof *seen);
    assert_non_null(seen);
    for (size_t r = 0; r < plan->read_count; r++) {
        const struct plan_read *read = &plan->reads[r];
        check_read(settings, plan, read);
        for (uint16_t i = 0; i < read->block_count; i++)
            seen[read->blocks[i]]++;
        assert_true(r == 0 || place_of(plan, read - 1) <= place_of(plan, read));
    }
    for (size_t b = 0; b < plan->block_count; b++)
        assert_int_equal(seen[b], 1);
    free(seen);
}

static void random_units_keep_the_invariants(void **state)
{
    (void)state;
    static struct bench benches[DEVICES];
    struct settings_line lines[2] = {{.transport = TRANSPORT_RTU, .serial = {19200, 8, 'E', 1}},
                                     {.transport = TRANSPORT_TCP}};
    struct settings_device devices[DEVICES];
    for (int round = 0; round < 1500; round++) {
        for (uint32_t d = 0; d < DEVICES; d++) {
            struct bench *bench = &benches[d];
            bench_init(bench, 1 + pick(MAX_POINTS));
            bench->profile.max_registers = (uint16_t)(16 + pick(110));
            bench->profile.min_gap_ms = pick(3) ? 0 : pick(500);
            for (size_t i = 0; i < bench->profile.point_count; i++)
                random_point(bench, i);
            devices[d] = bench->device;
            devices[d].base = (uint16_t)pick(1000);
            devices[d].line = pick(2);
            devices[d].unit = (uint8_t)pick(2);
        }
        struct settings settings = {
            .lines = lines, .line_count = 2, .devices = devices, .device_count = 1 + pick(DEVICES)};
        struct plan *plan = plan_new(&settings);
        assert_non_null(plan);
        check_blocks(&settings, plan);
        check_reads(&settings, plan);
        plan_free(plan);
    }
}

/* 10 000 points in 100 devices, and 1 000 on one unit: a few ten ms, asserted ten times looser. */
static void large_plans_are_quick(void **state)
{
    (void)state;
    enum { POINTS = 100, UNITS = 100 };
    static struct profile_point points[POINTS];
    static struct settings_point periods[POINTS];
    static struct settings_device devices[UNITS];
    struct profile profile = {.points = points, .point_count = POINTS, .max_registers = 125};
    struct settings_line line = {.transport = TRANSPORT_TCP};
    struct settings settings = {
        .lines = &line, .line_count = 1, .devices = devices, .device_count = UNITS};
    for (uint32_t i = 0; i < POINTS; i++) {
        points[i] =
            (struct profile_point){.function = FUNCTION_HOLDING, .address = (uint16_t)pick(600)};
        periods[i].every_ms = i % 3 == 0 ? 1000 : i % 3 == 1 ? 10000 : 60000;
    }
    for (uint32_t i = 0; i < UNITS; i++)
        devices[i] =
            (struct settings_device){.profile = &profile, .points = periods, .unit = (uint8_t)i};
    for (int round = 0; round < 2; round++) {
        clock_t begun = clock();
        struct plan *plan = plan_new(&settings);
        double ms = (double)(clock() - begun) * 1e3 / CLOCKS_PER_SEC;
        assert_non_null(plan);
        print_message("%zu points, %zu reads in %.1f ms\n", POINTS * settings.device_count,
                      plan->read_count, ms);
        assert_true(ms < 5000); /* 80 on a server */
        check_reads(&settings, plan);
        plan_free(plan);
        settings.device_count = 10;
        for (uint32_t i = 0; i < UNITS; i++) {
            devices[i].unit = 1;
            devices[i].base = (uint16_t)(600 * i);
        }
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
        cmocka_unit_test(multiples_of_a_period_share_a_read),
        cmocka_unit_test(devices_of_one_unit_share_a_read),
        cmocka_unit_test(functions_periods_and_devices_are_kept_apart),
        cmocka_unit_test(selectors_come_with_the_same_request),
        cmocka_unit_test(the_sensors_own_limit_is_kept),
        cmocka_unit_test(nothing_to_read_is_an_empty_plan),
        cmocka_unit_test(random_units_keep_the_invariants),
        cmocka_unit_test(large_plans_are_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
