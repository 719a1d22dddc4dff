/* Line load: figures worked out by hand, and what is said at the line's place.
 *
 * Settings and plan are put together here, so that a forecast is judged by its own arithmetic and
 * not by what the planner happens to merge. How long a request takes is test_line_time.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/forecast.h"

static const struct profile quiet, patient = {.min_gap_ms = 500};

static struct settings_line rtu(uint32_t baud)
{
    return (struct settings_line){
        .name = "rs485-1", .transport = TRANSPORT_RTU, .serial = {baud, 8, 'N', 1}};
}

/* At 9600 8N1: frames, silences, thinking, values. */
static double request_ms(uint32_t registers)
{
    return (20 + 2 * registers) * 10 / 9.6 + 4;
}

static void assert_near(double a, double b)
{
    if (fabs(a - b) > 1e-3)
        fail_msg("%.9f is not %.9f", a, b);
}

/* Five devices on one of two lines at 9600; the plan is the test's. */
struct bench {
    struct settings_line lines[2];
    struct settings_device devices[5];
    struct settings settings;
    struct plan_block blocks[6];
    struct plan_read reads[6];
    struct plan plan;
    double percent[2];
    struct diagnostics *out;
};

static uint32_t order[] = {0, 1, 2, 3, 4, 5};

static void bench_init(struct bench *bench)
{
    static char *names[] = {"well-1", "well-2", "well-3", "well-4", "well-5"};
    *bench = (struct bench){.lines = {rtu(9600), rtu(9600)}, .out = diagnostics_new()};
    for (uint32_t i = 0; i < 5; i++)
        bench->devices[i] = (struct settings_device){.name = names[i], .profile = &quiet};
    const struct source *source =
        diagnostics_source(bench->out, "gateway.yaml", "lines:\n  - x\n", 13);
    bench->lines[0].place = diagnostics_place(source, 11, 1);
    bench->settings = (struct settings){
        .lines = bench->lines, .line_count = 2, .devices = bench->devices, .device_count = 5};
    bench->plan.blocks = bench->blocks;
    bench->plan.reads = bench->reads;
}

static void add_block(struct bench *bench, uint32_t device, uint16_t address, uint16_t count,
                      uint32_t every_ms)
{
    bench->blocks[bench->plan.block_count++] = (struct plan_block){.device = device,
                                                                   .function = FUNCTION_HOLDING,
                                                                   .address = address,
                                                                   .count = count,
                                                                   .every_ms = every_ms};
}

/* The last `count` blocks as one read. */
static void add_read(struct bench *bench, uint16_t count)
{
    size_t first = bench->plan.block_count - count;
    bench->reads[bench->plan.read_count++] =
        (struct plan_read){.function = FUNCTION_HOLDING,
                           .every_ms = bench->blocks[first].every_ms,
                           .blocks = &order[first],
                           .block_count = count};
}

static const char *forecast(struct bench *bench)
{
    forecast_lines(&bench->settings, &bench->plan, bench->percent, NULL);
    forecast_lines(&bench->settings, &bench->plan, NULL, bench->out);
    return diagnostics_text(bench->out);
}

/* Four wells of ten registers, the last one twice. */
static void add_wells(struct bench *bench, uint32_t every_ms)
{
    static const uint32_t devices[] = {0, 1, 2, 3, 3};
    for (size_t i = 0; i < 5; i++) {
        add_block(bench, devices[i], 0, 10, every_ms);
        add_read(bench, 1);
    }
}

static void load_is_time_over_period(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    add_wells(&bench, 1000);
    assert_string_equal(forecast(&bench), "");
    assert_near(bench.percent[0], 5 * request_ms(10) / 10);
    assert_near(bench.percent[1], 0);
    diagnostics_free(bench.out);
}

/* Each second 4 registers; each tenth time 20, and each sixtieth 30. */
static void slower_blocks_take_part_now_and_then(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    add_block(&bench, 0, 10, 4, 1000);
    add_block(&bench, 0, 14, 16, 10000);
    add_block(&bench, 1, 0, 5, 60000);
    add_read(&bench, 3);
    (void)forecast(&bench);
    assert_near(bench.percent[0], (54 * request_ms(4) + 5 * request_ms(20) + request_ms(30)) / 600);
    bench.devices[1].profile = &patient; /* its gap counts when it is asked */
    (void)forecast(&bench);
    assert_near(bench.percent[0],
                (54 * request_ms(4) + 5 * request_ms(20) + request_ms(30) + 500 - 35 / 9.6) / 600);
    diagnostics_free(bench.out);
}

static void a_busy_line_is_a_warning(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    add_wells(&bench, 300);
    const char *text = forecast(&bench);
    assert_in_range((uintmax_t)bench.percent[0], 70, 100);
    assert_int_equal(diagnostics_warnings(bench.out), 1);
    assert_int_equal(diagnostics_errors(bench.out), 0);
    assert_non_null(strstr(text, "gateway.yaml:2:5: warning: line \"rs485-1\" is busy for 76 %"));
    assert_non_null(strstr(text, "most of it: well-4 (30 %), well-1 (15 %), well-2 (15 %) and 1 "
                                 "more\n"));
    diagnostics_free(bench.out);
}

static void an_overloaded_line_is_an_error_that_names_what_slips(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    add_wells(&bench, 100);
    const char *text = forecast(&bench);
    assert_near(bench.percent[0], 5 * request_ms(10));
    assert_int_equal(diagnostics_errors(bench.out), 1);
    assert_int_equal(diagnostics_warnings(bench.out), 0);
    assert_non_null(strstr(text, "line \"rs485-1\" is overloaded: its requests need 228 % of the "
                                 "time, so every period slips to 2.3 times what is asked; most of "
                                 "it: well-4 (91 %, every 100ms becomes 228ms), well-1 (46 %, "));
    assert_null(strstr(text, "well-3"));
    diagnostics_free(bench.out);
}

/* One request for two devices is theirs by registers. */
static void a_shared_read_is_divided(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    add_block(&bench, 0, 0, 30, 100);
    add_block(&bench, 1, 30, 10, 100);
    add_read(&bench, 2);
    const char *text = forecast(&bench);
    assert_near(bench.percent[0], request_ms(40));
    assert_non_null(strstr(text, "well-1 (81 %, every 100ms becomes 108ms), well-2 (27 %, "));
    diagnostics_free(bench.out);
}

/* A block that takes part each hundredth time does not bear the other ones. */
static void a_slow_block_bears_its_own_turns(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    add_block(&bench, 0, 0, 10, 50);
    add_block(&bench, 1, 10, 10, 5000);
    add_read(&bench, 2);
    const char *text = forecast(&bench);
    assert_near(bench.percent[0], (99 * request_ms(10) + request_ms(20)) / 50);
    assert_non_null(strstr(text, "most of it: well-1 (91 %), well-2 (1 %)\n"));
    diagnostics_free(bench.out);
}

/* What is asked without a pause takes what is left, and never makes an error. */
static void back_to_back_is_no_load(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    add_block(&bench, 0, 0, 125, 0);
    add_read(&bench, 1);
    assert_true(forecast_is_back_to_back(&bench.plan, 0));
    assert_false(forecast_is_back_to_back(&bench.plan, 1));
    assert_string_equal(forecast(&bench), "");
    assert_near(bench.percent[0], 0);
    add_block(&bench, 1, 0, 10, 1000);
    add_read(&bench, 1);
    assert_string_equal(forecast(&bench), "");
    assert_near(bench.percent[0], request_ms(10) / 10);
    diagnostics_free(bench.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(load_is_time_over_period),
        cmocka_unit_test(slower_blocks_take_part_now_and_then),
        cmocka_unit_test(a_busy_line_is_a_warning),
        cmocka_unit_test(an_overloaded_line_is_an_error_that_names_what_slips),
        cmocka_unit_test(a_shared_read_is_divided),
        cmocka_unit_test(a_slow_block_bears_its_own_turns),
        cmocka_unit_test(back_to_back_is_no_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
