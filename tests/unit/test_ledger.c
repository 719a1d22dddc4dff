/* The ledger: what is said of a device and its line after polls that went this way or that.
 *
 * Settings and plan are put together by hand: two devices, of which the first has two blocks.
 * Pure data, no thread; what goes to the log is not looked at. */
#include "gateway/poll/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct settings_line settings_line = {.name = "line"};
static struct settings_device devices[] = {{.name = "a", .unit = 3}, {.name = "b", .unit = 4}};
static struct settings settings = {
    .lines = &settings_line, .line_count = 1, .devices = devices, .device_count = 2};
static struct plan_block blocks[] = {{.device = 0, .unit = 3, .point_count = 2},
                                     {.device = 0, .unit = 3, .point_count = 2},
                                     {.device = 1, .unit = 4, .point_count = 2}};
static struct plan plan = {.blocks = blocks, .block_count = 3};
static struct ledger *ledger;
static mono_time now;

static int begin(void **state)
{
    (void)state;
    ledger = ledger_new(&settings, &plan, 0);
    now = clock_mono();
    return ledger == NULL;
}

static int end(void **state)
{
    (void)state;
    ledger_free(ledger);
    return 0;
}

static void note(uint32_t block, enum outcome outcome, bool some_values)
{
    static const struct value values[2];
    struct tally requests;
    memset(&requests, 0, sizeof requests);
    tally_request(&requests, outcome, 1000);
    const struct ledger_block polled = {
        block, outcome, 2, QUALITY_TIMEOUT, "why", &requests, some_values ? values : NULL, now};
    ledger_note(ledger, &polled);
    ledger_poll(ledger, blocks[block].unit, &requests, (struct transport_noise){0, 0}, 0, true,
                now);
}

static struct line_device_status device(uint32_t index)
{
    struct line_device_status status;
    assert_true(ledger_device(ledger, index, &status));
    return status;
}

static struct line_status line(void)
{
    struct line_status status;
    ledger_line(ledger, &status);
    return status;
}

static void a_device_is_as_its_worst_block(void **state)
{
    (void)state;
    assert_int_equal(line().devices, 2);
    assert_false(device(0).asked);
    note(0, OUTCOME_OK, true);
    assert_int_equal(device(0).outcome, OUTCOME_OK);
    note(1, OUTCOME_TIMEOUT, false);
    assert_int_equal(device(0).outcome, OUTCOME_TIMEOUT);
    assert_int_equal(line().silent, 0);
    note(0, OUTCOME_TIMEOUT, false);
    assert_int_equal(line().silent, 1);
    note(1, OUTCOME_EXCEPTION, true); /* of some registers only */
    assert_int_equal(line().silent, 0);
    assert_int_equal(device(0).outcome, OUTCOME_TIMEOUT);
    note(0, OUTCOME_OK, true);
    assert_int_equal(device(0).outcome, OUTCOME_EXCEPTION);
    assert_int_equal(device(0).exception, 2);
    note(1, OUTCOME_OK, true);
    assert_int_equal(device(0).outcome, OUTCOME_OK);
    assert_int_equal(device(1).asked, false);
    assert_int_equal(line().tally.requests, 6);
    assert_int_equal(device(0).tally.values[QUALITY_GOOD], 8);
    assert_int_equal(device(0).tally.values[QUALITY_TIMEOUT], 4);
    assert_int_equal(line().tally.values[QUALITY_TIMEOUT], 4);
}

static void noise_belongs_to_its_unit(void **state)
{
    (void)state;
    static const struct tally none;
    ledger_poll(ledger, 3, &none, (struct transport_noise){2, 1}, 0, true, now);
    ledger_poll(ledger, 4, &none, (struct transport_noise){0, 5}, 0, true, now);
    ledger_poll(ledger, 3, &none, (struct transport_noise){3, 1}, 0, true, now);
    assert_int_equal(device(0).tally.late, 3);
    assert_int_equal(device(0).tally.foreign, 1);
    assert_int_equal(device(1).tally.foreign, 5);
    assert_int_equal(line().tally.late, 3);
    assert_int_equal(line().tally.foreign, 6);
}

static void load_is_there_soon_and_stays_fresh(void **state)
{
    (void)state;
    static const struct tally none;
    const struct transport_noise quiet = {0, 0};
    mono_time start = clock_mono();
    ledger_poll(ledger, 3, &none, quiet, 300000000, true, clock_after_ms(start, 1000));
    assert_in_range(line().load_percent, 29, 30);
    ledger_poll(ledger, 3, &none, quiet, 3700000000, true, clock_after_ms(start, 10000));
    assert_in_range(line().load_percent, 39, 40);
    /* From then on a window at a time: a busy moment in it is not the whole. */
    ledger_poll(ledger, 3, &none, quiet, 900000000, true, clock_after_ms(start, 11000));
    assert_in_range(line().load_percent, 39, 40);
    ledger_poll(ledger, 3, &none, quiet, 100000000, true, clock_after_ms(start, 20000));
    assert_in_range(line().load_percent, 9, 10);
}

static void who_slips_is_counted(void **state)
{
    (void)state;
    ledger_pace(ledger, 0, &(struct ledger_pace){.slipped = 10, .stretch = 1.7F});
    ledger_pace(ledger, 1, &(struct ledger_pace){.slipped = 1, .stretch = 1.01F});
    assert_int_equal(line().slipping, 1);
    assert_int_equal(line().slipped, 11);
    /* One that does not answer has no pace to keep. */
    ledger_pace(ledger, 0, &(struct ledger_pace){.slipped = 10, .stretch = 1.7F, .resting = true});
    assert_int_equal(line().slipping, 0);
    ledger_pace(ledger, 0, &(struct ledger_pace){.slipped = 12, .stretch = 1.5F});
    ledger_pace(ledger, 1, &(struct ledger_pace){.slipped = 5, .stretch = 1.2F});
    assert_int_equal(line().slipping, 2);
    assert_int_equal(line().slipped, 17);
    ledger_pace(ledger, 0, &(struct ledger_pace){.slipped = 12, .stretch = 1});
    ledger_pace(ledger, 1, &(struct ledger_pace){.slipped = 5, .stretch = 1});
    assert_int_equal(line().slipping, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_device_is_as_its_worst_block, begin, end),
        cmocka_unit_test_setup_teardown(noise_belongs_to_its_unit, begin, end),
        cmocka_unit_test_setup_teardown(load_is_there_soon_and_stays_fresh, begin, end),
        cmocka_unit_test_setup_teardown(who_slips_is_counted, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
