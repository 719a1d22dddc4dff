/* Faults of the simulator: when they strike, and what a script may say.
 *
 * The schedule is asked with made-up times. Scripts are read from files of their own; a wrong one
 * must be refused at its line and leave the old schedule as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "drivers/sim/sim_fault.c"
#include "drivers/sim/sim_script.c"

static const struct sim_fault *strike(struct sim_faults *faults, int64_t now_ms, int32_t line,
                                      int32_t device)
{
    struct sim_fault_target target = {.line = line, .device = device, .count = 1};
    return sim_fault_strike(faults, now_ms, &target);
}

static void a_fault_lasts_as_long_as_it_says(void **state)
{
    (void)state;
    struct sim_fault list[] = {
        {.kind = SIM_FAULT_MUTE, .at_ms = 100, .for_ms = 50, .line = 1, .device = 7, .every = 1},
        {.kind = SIM_FAULT_LATE, .at_ms = 120, .line = 1, .device = SIM_FAULT_ANY, .every = 1},
    };
    struct sim_faults faults = {list, 2};
    assert_null(strike(&faults, 99, 1, 7));
    assert_ptr_equal(strike(&faults, 100, 1, 7), &list[0]);
    assert_null(strike(&faults, 100, 1, 8));
    assert_null(strike(&faults, 100, 0, 7));
    assert_ptr_equal(strike(&faults, 149, 1, 7), &list[0]);
    assert_ptr_equal(strike(&faults, 149, 1, 8), &list[1]);
    assert_ptr_equal(strike(&faults, 150, 1, 7), &list[1]);
    assert_ptr_equal(strike(&faults, 1000000000, 1, 7), &list[1]);
}

static void every_third_request_is_struck(void **state)
{
    (void)state;
    struct sim_fault list[] = {
        {.kind = SIM_FAULT_SHORT, .line = 0, .device = SIM_FAULT_ANY, .every = 3}};
    struct sim_faults faults = {list, 1};
    for (int i = 1; i <= 30; i++)
        assert_int_equal(strike(&faults, i, 0, 0) != NULL, i % 3 == 0);
}

static void a_link_goes_down_and_comes_back(void **state)
{
    (void)state;
    struct sim_fault list[] = {
        {.kind = SIM_FAULT_DROP_LINK, .at_ms = 100, .for_ms = 50, .line = 2, .device = 1},
        {.kind = SIM_FAULT_MUTE, .at_ms = 10, .for_ms = 5, .line = 2, .device = 1, .every = 1},
    };
    struct sim_faults faults = {list, 2};
    assert_int_equal(sim_fault_next_link_change(&faults, 0), 100);
    assert_int_equal(sim_fault_next_link_change(&faults, 100), 150);
    assert_int_equal(sim_fault_next_link_change(&faults, 150), INT64_MAX);
    assert_false(sim_fault_link_down(&faults, 99, 2));
    assert_true(sim_fault_link_down(&faults, 100, 2));
    assert_false(sim_fault_link_down(&faults, 100, 1));
    assert_false(sim_fault_link_down(&faults, 150, 2));
    assert_null(strike(&faults, 120, 2, 1));
}

static void a_fault_comes_again(void **state)
{
    (void)state;
    struct sim_fault list[] = {
        {.kind = SIM_FAULT_MUTE, .at_ms = 7, .for_ms = 50, .repeat_ms = 100, .every = 1},
        {.kind = SIM_FAULT_DROP_LINK, .at_ms = 7, .for_ms = 50, .repeat_ms = 100},
    };
    struct sim_faults faults = {list, 2};
    for (int64_t now = 0; now < 1000; now++) {
        bool struck = now >= 7 && (now - 7) % 100 < 50;
        assert_int_equal(strike(&faults, now, 0, 0) != NULL, struck);
        assert_int_equal(sim_fault_link_down(&faults, now, 0), struck);
        int64_t next = now + 1;
        while (sim_fault_link_down(&faults, next, 0) == struck && next < now + 200)
            next++;
        assert_int_equal(sim_fault_next_link_change(&faults, now), next);
    }
}

static void a_hole_is_met_by_who_touches_it(void **state)
{
    (void)state;
    struct sim_fault list[] = {
        {.kind = SIM_FAULT_HOLE, .device = 3, .unit = 9, .address = 5, .count = 2, .every = 1}};
    struct sim_faults faults = {list, 1};
    for (uint16_t address = 0; address < 10; address++) {
        for (uint16_t count = 1; count < 10; count++) {
            struct sim_fault_target target = {
                .device = 4, .unit = 9, .address = address, .count = count};
            bool meets = address + count > 5 && address < 7;
            assert_int_equal(sim_fault_strike(&faults, 0, &target) != NULL, meets);
            target.unit = 8;
            assert_null(sim_fault_strike(&faults, 0, &target));
        }
    }
}

static char line_names[2][8] = {"plc", "bus"};
static char device_names[2][8] = {"well-1", "well-2"};
static struct settings_line lines[2] = {{.name = line_names[0], .timeout_ms = 300},
                                        {.name = line_names[1], .timeout_ms = 500}};
static struct settings_device devices[2] = {{.name = device_names[0], .line = 0},
                                            {.name = device_names[1], .line = 1, .unit = 6}};
static const struct settings settings = {
    .lines = lines, .line_count = 2, .devices = devices, .device_count = 2};

/* Loads a script from a file of its own; the diagnostics' text goes into `said`. */
static bool load(const char *text, struct sim_faults *faults, char *said, size_t said_size)
{
    char path[] = "/tmp/test_sim_fault.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    struct diagnostics *diagnostics = diagnostics_new();
    bool good = sim_script_load(path, &settings, faults, diagnostics);
    snprintf(said, said_size, "%s", diagnostics_text(diagnostics));
    diagnostics_free(diagnostics);
    unlink(path);
    return good;
}

static void a_script_is_read(void **state)
{
    (void)state;
    struct sim_faults faults = {0};
    char said[2000];
    bool good = load("- { at: 5s, for: 10s, device: well-2, fault: late }\n"
                     "- { at: 250ms, line: plc, fault: exception, code: 2, every: 3 }\n"
                     "- { line: bus, fault: wrong-unit }\n"
                     "- { at: 1s, for: 5s, repeat: 10s, device: well-2, fault: hole, address: 7,"
                     " count: 2, silent: true }\n",
                     &faults, said, sizeof said);
    if (!good)
        fail_msg("%s", said);
    assert_int_equal(faults.count, 4);
    const struct sim_fault *late = &faults.list[0];
    assert_int_equal(late->kind, SIM_FAULT_LATE);
    assert_int_equal(late->at_ms, 5000);
    assert_int_equal(late->for_ms, 10000);
    assert_int_equal(late->line, 1);
    assert_int_equal(late->device, 1);
    assert_int_equal(late->delay_ms, 700);
    assert_int_equal(late->every, 1);
    const struct sim_fault *exception = &faults.list[1];
    assert_int_equal(exception->at_ms, 250);
    assert_int_equal(exception->for_ms, 0);
    assert_int_equal(exception->line, 0);
    assert_int_equal(exception->device, SIM_FAULT_ANY);
    assert_int_equal(exception->code, 2);
    assert_int_equal(exception->every, 3);
    assert_int_equal(faults.list[2].kind, SIM_FAULT_WRONG_UNIT);
    assert_int_equal(faults.list[2].repeat_ms, 0);
    const struct sim_fault *hole = &faults.list[3];
    assert_int_equal(hole->repeat_ms, 10000);
    assert_int_equal(hole->unit, 6);
    assert_int_equal(hole->address, 7);
    assert_int_equal(hole->count, 2);
    assert_int_equal(hole->code, 2);
    assert_true(hole->silent);
    assert_true(load("[]\n", &faults, said, sizeof said));
    assert_int_equal(faults.count, 0);
    sim_script_free(&faults);
}

static void a_wrong_script_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"- { line: plk, fault: mute }\n", "\"plk\" does not exist; did you mean \"plc\""},
        {"- { device: well-3, fault: mute }\n", "\"well-3\" does not exist"},
        {"- { line: plc, fault: mutte }\n", "did you mean \"mute\""},
        {"- { line: plc, device: well-1, fault: mute }\n", "give one"},
        {"- { fault: mute }\n", "give one"},
        {"- { line: plc }\n", "fault"},
        {"- { line: plc, fault: mute, evry: 2 }\n", "evry"},
        {"- { line: plc, fault: mute, every: 0 }\n", "every"},
        {"- { line: plc, fault: mute, repeat: 5s }\n", "shorter `for`"},
        {"- { line: plc, fault: mute, for: 5s, repeat: 5s }\n", "shorter `for`"},
        {"fault: mute\n", "a list of faults"},
        {"- mute\n", "a fault is expected"},
        {"- [\n", ""},
    };
    struct sim_faults faults = {0};
    char said[2000];
    assert_true(load("- { line: plc, fault: mute }\n", &faults, said, sizeof said));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (load(wrong[i].text, &faults, said, sizeof said))
            fail_msg("taken: %s", wrong[i].text);
        if (strstr(said, ":1:") == NULL || strstr(said, wrong[i].says) == NULL)
            fail_msg("%s says: %s", wrong[i].text, said);
        assert_int_equal(faults.count, 1);
    }
    sim_script_free(&faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_lasts_as_long_as_it_says),
        cmocka_unit_test(every_third_request_is_struck),
        cmocka_unit_test(a_link_goes_down_and_comes_back),
        cmocka_unit_test(a_fault_comes_again),
        cmocka_unit_test(a_hole_is_met_by_who_touches_it),
        cmocka_unit_test(a_script_is_read),
        cmocka_unit_test(a_wrong_script_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
