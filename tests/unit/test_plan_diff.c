/* What a reload takes over from the plan before: a line that asks as it did, and blocks whose
 * values mean what they meant.
 *
 * Two gateways of one line and one or two devices, the same but for what a test changes in the
 * second; every part of "the same" is changed once. Pure. */
#include "drivers/plan_diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Two devices of one profile: two points behind one another, and one far away, a block of its own.
 */
struct world {
    struct profile_point points[3];
    struct settings_point own[2][3];
    struct profile profile;
    struct settings_device devices[2];
    struct settings_line line;
    struct settings settings;
    struct plan *plan;
};

static void make(struct world *world)
{
    static const uint16_t addresses[] = {0, 1, 500};
    static char *names[] = {"level", "flow", "total"};
    *world = (struct world){.profile = {.point_count = 3, .max_registers = 125},
                            .settings = {.line_count = 1, .device_count = 2},
                            .line = {.serial = {9600, 8, 'N', 1}}};
    world->profile.points = world->points;
    world->settings.lines = &world->line;
    world->settings.devices = world->devices;
    for (size_t p = 0; p < 3; p++)
        world->points[p] = (struct profile_point){.name = names[p],
                                                  .quantity = "raw",
                                                  .unit = "1",
                                                  .function = FUNCTION_HOLDING,
                                                  .type = REGISTER_U16,
                                                  .decimals = 2,
                                                  .address = addresses[p]};
    for (size_t d = 0; d < 2; d++) {
        world->devices[d] = (struct settings_device){.name = d ? "second" : "first",
                                                     .unit = (uint8_t)(d + 1),
                                                     .sector = SECTOR_WATER,
                                                     .profile = &world->profile,
                                                     .points = world->own[d]};
        for (size_t p = 0; p < 3; p++)
            world->own[d][p].every_ms = 1000;
    }
}

struct pair {
    struct world before, after;
    uint32_t from[8];
};

static void begin(struct pair *pair)
{
    make(&pair->before);
    make(&pair->after);
}

static void compare(struct pair *pair)
{
    pair->before.plan = plan_new(&pair->before.settings);
    pair->after.plan = plan_new(&pair->after.settings);
    assert_non_null(pair->before.plan);
    assert_non_null(pair->after.plan);
    assert_in_range(pair->after.plan->block_count, 1, 8);
    plan_diff_carry(&(struct plan_of){&pair->before.settings, pair->before.plan},
                    &(struct plan_of){&pair->after.settings, pair->after.plan}, pair->from);
}

static bool same_line(const struct pair *pair)
{
    return plan_diff_same_line(pair->before.plan, 0, pair->after.plan, 0);
}

static void end(struct pair *pair)
{
    plan_free(pair->before.plan);
    plan_free(pair->after.plan);
}

static void nothing_changed(void **state)
{
    struct pair pair;
    (void)state;
    begin(&pair);
    compare(&pair);
    assert_int_equal(pair.after.plan->block_count, 4);
    for (uint32_t b = 0; b < 4; b++)
        assert_int_equal(pair.from[b], b);
    assert_true(same_line(&pair));
    end(&pair);
}

/* Each makes something else of a part of the second gateway. */
static void other_name(struct world *world)
{
    world->points[1].name = "outflow";
}

static void other_quantity(struct world *world)
{
    world->points[1].quantity = "flow";
}

static void other_unit(struct world *world)
{
    world->points[1].unit = "m";
}

static void other_decimals(struct world *world)
{
    world->points[1].decimals = 1;
}

static void floats(struct world *world)
{
    world->points[1].is_float = true;
}

static void other_device(struct world *world)
{
    world->devices[0].name = "third";
}

static void other_sector(struct world *world)
{
    world->devices[0].sector = SECTOR_HEAT;
}

static void another_meaning_is_not_carried_over(void **state)
{
    static const struct {
        void (*change)(struct world *world);
        bool is_new[4]; /* block 0 and 2 hold the second point, of device 0 and 1 */
    } cases[] = {{other_name, {1, 0, 1, 0}},  {other_quantity, {1, 0, 1, 0}},
                 {other_unit, {1, 0, 1, 0}},  {other_decimals, {1, 0, 1, 0}},
                 {floats, {1, 0, 1, 0}},      {other_device, {1, 1, 0, 0}},
                 {other_sector, {1, 1, 0, 0}}};
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct pair pair;
        begin(&pair);
        cases[c].change(&pair.after);
        compare(&pair);
        assert_int_equal(pair.after.plan->block_count, 4);
        for (uint32_t b = 0; b < 4; b++)
            assert_int_equal(pair.from[b], cases[c].is_new[b] ? PLAN_DIFF_NONE : b);
        end(&pair);
    }
}

/* What is asked otherwise, or from elsewhere, still means the same. */
static void another_way_to_it_is_carried_over(void **state)
{
    struct pair pair;
    (void)state;
    begin(&pair);
    pair.after.devices[0].unit = 9;
    pair.after.devices[1].base = 100;
    compare(&pair);
    for (uint32_t b = 0; b < 4; b++)
        assert_int_equal(pair.from[b], b);
    assert_false(same_line(&pair));
    end(&pair);
}

static void devices_that_change_places_take_their_values_along(void **state)
{
    struct pair pair;
    (void)state;
    begin(&pair);
    pair.after.devices[0].name = "second";
    pair.after.devices[1].name = "first";
    compare(&pair);
    static const uint32_t from[] = {2, 3, 0, 1};
    for (uint32_t b = 0; b < 4; b++)
        assert_int_equal(pair.from[b], from[b]);
    end(&pair);
}

static void another_period_or_device_is_another_line(void **state)
{
    struct pair pair;
    (void)state;
    begin(&pair);
    for (size_t p = 0; p < 3; p++)
        pair.after.own[1][p].every_ms = 2000;
    compare(&pair);
    assert_false(same_line(&pair));
    end(&pair);
    begin(&pair);
    pair.after.settings.device_count = 1;
    compare(&pair);
    assert_false(same_line(&pair));
    assert_false(plan_diff_same_line(pair.after.plan, 0, pair.before.plan, 0));
    end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_changed),
        cmocka_unit_test(another_meaning_is_not_carried_over),
        cmocka_unit_test(another_way_to_it_is_carried_over),
        cmocka_unit_test(devices_that_change_places_take_their_values_along),
        cmocka_unit_test(another_period_or_device_is_another_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
