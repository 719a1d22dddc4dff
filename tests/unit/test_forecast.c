/* Line load: figures worked out by hand, and what is said at the line's place.
 *
 * Settings and plan are put together here, so that a forecast is judged by its own arithmetic and
 * not by what the planner happens to merge. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/forecast.h"

static struct profile quiet, patient = {.min_gap_ms = 500};

static struct settings_line rtu(uint32_t baud)
{
    return (struct settings_line){
        .name = "rs485-1", .transport = TRANSPORT_RTU, .serial = {baud, 8, 'N', 1}};
}

static double request_ms(struct settings_line line, const struct profile *profile, uint16_t count)
{
    return forecast_request_us(&line, profile, FUNCTION_HOLDING, count) / 1000;
}

static void assert_near(double a, double b)
{
    if (fabs(a - b) > 1e-6)
        fail_msg("%.9f is not %.9f", a, b);
}

static void a_request_by_hand(void **state)
{
    (void)state;
    /* 8 + 5 + 2 and two silences of 3.5 are 22 characters of 10 bits, and 5 ms of thinking */
    assert_near(request_ms(rtu(9600), &quiet, 1), 22 * 10 / 9.6 + 5);
    assert_near(request_ms(rtu(4800), &quiet, 3), 26 * 10 / 4.8 + 5);
    /* above 19200 the silence is 1.75 ms whatever the baud */
    assert_near(request_ms(rtu(115200), &quiet, 125), 263 * 10 / 115.2 + 3.5 + 5);
    assert_near(request_ms(rtu(9600), &patient, 1), 22 * 10 / 9.6 + 500);
    struct settings_line parity = rtu(9600);
    parity.serial.parity = 'E';
    assert_near(request_ms(parity, &quiet, 1), 22 * 11 / 9.6 + 5);
    struct settings_line tcp = {.transport = TRANSPORT_TCP};
    assert_near(request_ms(tcp, &quiet, 125), 5);
    struct settings_line line = rtu(9600);
    /* nine coils are two bytes, as one register */
    assert_near(forecast_request_us(&line, &quiet, FUNCTION_COIL, 9) / 1000,
                request_ms(line, &quiet, 1));
}

/* Four devices of ten registers each second on one of two lines at 9600. */
static void forecast(uint32_t every_ms, double percent[2], struct diagnostics *out)
{
    static char *names[] = {"well-1", "well-2", "well-3", "well-4"};
    struct settings_line lines[2] = {rtu(9600), rtu(9600)};
    struct settings_device devices[4];
    struct plan_block blocks[5];
    for (uint32_t i = 0; i < 4; i++) {
        devices[i] = (struct settings_device){.name = names[i], .profile = &quiet};
        blocks[i] = (struct plan_block){
            .device = i, .function = FUNCTION_HOLDING, .count = 10, .every_ms = every_ms};
    }
    blocks[4] = blocks[3]; /* the last one is asked twice */
    const struct source *source = diagnostics_source(out, "gateway.yaml", "lines:\n  - x\n", 13);
    lines[0].place = diagnostics_place(source, 11, 1);
    struct settings settings = {
        .lines = lines, .line_count = 2, .devices = devices, .device_count = 4};
    struct plan plan = {.blocks = blocks, .block_count = 5};
    forecast_lines(&settings, &plan, percent, NULL);
    forecast_lines(&settings, &plan, NULL, out);
}

static void load_is_time_over_period(void **state)
{
    (void)state;
    struct diagnostics *out = diagnostics_new();
    double percent[2];
    forecast(1000, percent, out);
    assert_near(percent[0], 5 * (40 * 10 / 9.6 + 5) / 10);
    assert_near(percent[1], 0);
    assert_string_equal(diagnostics_text(out), "");
    diagnostics_free(out);
}

static void a_busy_line_is_a_warning(void **state)
{
    (void)state;
    struct diagnostics *out = diagnostics_new();
    double percent[2];
    forecast(300, percent, out);
    assert_in_range((uintmax_t)percent[0], 70, 100);
    assert_int_equal(diagnostics_warnings(out), 1);
    assert_int_equal(diagnostics_errors(out), 0);
    assert_non_null(strstr(diagnostics_text(out), "gateway.yaml:2:5: warning: line \"rs485-1\""));
    diagnostics_free(out);
}

static void an_overloaded_line_is_an_error_that_names_the_heaviest(void **state)
{
    (void)state;
    struct diagnostics *out = diagnostics_new();
    double percent[2];
    forecast(100, percent, out);
    assert_int_equal(diagnostics_errors(out), 1);
    assert_int_equal(diagnostics_warnings(out), 0);
    const char *text = diagnostics_text(out);
    assert_non_null(strstr(text, "overloaded"));
    assert_non_null(strstr(text, "most of it: well-4 ("));
    assert_non_null(strstr(text, "well-1"));
    assert_null(strstr(text, "well-3"));
    diagnostics_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_by_hand),
        cmocka_unit_test(load_is_time_over_period),
        cmocka_unit_test(a_busy_line_is_a_warning),
        cmocka_unit_test(an_overloaded_line_is_an_error_that_names_the_heaviest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
