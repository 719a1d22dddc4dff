/* Sensor classes: every sector has one, its names are unique and its quantities can be sent.
 *
 * Looks at the shipped const tables as a whole; which quantity a sector ought to have is judged by
 * the profiles that load against them (tests/replay/test_vectors.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/class.h"

static void every_sector_has_its_class(void **state)
{
    (void)state;
    for (unsigned s = SECTOR_GAS; s < SECTOR_COUNT; s++) {
        const struct sensor_class *class = class_of((enum sector)s);
        assert_non_null(class);
        assert_int_equal(class->sector, s);
        assert_true(class->count > 0);
    }
    assert_null(class_of(SECTOR_UNSPECIFIED));
    assert_null(class_of((enum sector)99));
    assert_null(class_of((enum sector) - 1));
}

static void quantities_are_complete_and_unique(void **state)
{
    (void)state;
    for (unsigned s = SECTOR_GAS; s < SECTOR_COUNT; s++) {
        const struct sensor_class *class = class_of((enum sector)s);
        for (size_t i = 0; i < class->count; i++) {
            const struct quantity *quantity = &class->quantities[i];
            assert_true(strspn(quantity->name, "abcdefghijklmnopqrstuvwxyz0123456789_") ==
                        strlen(quantity->name));
            assert_true(strlen(quantity->title_zh) > 0 && strlen(quantity->title_en) > 0);
            assert_true(strlen(quantity->unit) > 0);
            assert_true(quantity->min < quantity->max ||
                        (quantity->min == 0 && quantity->max == 0));
            assert_ptr_equal(class_quantity((enum sector)s, quantity->name), quantity);
        }
    }
}

/* A device may be moved to another sector: the same name must mean the same there. */
static void one_name_has_one_unit_everywhere(void **state)
{
    (void)state;
    for (unsigned s = SECTOR_GAS; s < SECTOR_COUNT; s++) {
        const struct sensor_class *class = class_of((enum sector)s);
        for (size_t i = 0; i < class->count; i++) {
            for (unsigned other = SECTOR_GAS; other < SECTOR_COUNT; other++) {
                const char *name = class->quantities[i].name;
                const struct quantity *same = class_quantity((enum sector)other, name);
                assert_true(same == NULL || strcmp(same->unit, class->quantities[i].unit) == 0);
            }
        }
    }
}

static void look_up_by_sector_and_name(void **state)
{
    (void)state;
    const struct quantity *pressure = class_quantity(SECTOR_WATER, "pressure");
    assert_string_equal(pressure->unit, "MPa");
    assert_true(pressure->max == 1.6);
    assert_true(class_quantity(SECTOR_HEAT, "pressure")->max == 2.5);
    assert_null(class_quantity(SECTOR_WATER, "tilt"));
    assert_null(class_quantity(SECTOR_UNSPECIFIED, "raw"));
    for (unsigned s = SECTOR_GAS; s < SECTOR_COUNT; s++) {
        const struct quantity *raw = class_quantity((enum sector)s, "raw");
        assert_string_equal(raw->unit, "1");
        assert_true(raw->min == 0 && raw->max == 0);
        assert_non_null(class_quantity((enum sector)s, "battery"));
    }
}

/* The rows of domain 2.1: what each system measures has its entry. */
static void what_each_system_measures_is_there(void **state)
{
    (void)state;
    static const struct {
        enum sector sector;
        const char *quantities;
    } rows[] = {
        {SECTOR_WATER, "pressure flow flow_total leak_noise leak_freq run fault"},
        {SECTOR_DRAINAGE, "level fill velocity flow ch4 lel h2s co o2"},
        {SECTOR_DRAINAGE, "run fault current starts level flow"}, /* pump stations */
        {SECTOR_HEAT, "t_supply t_return pressure dp makeup_flow"},
        {SECTOR_GAS, "ch4 lel h2s co o2 pressure flow"},
        {SECTOR_MANHOLE, "tilt moved open level battery csq ch4 h2s"},
        {SECTOR_WATERLOGGING, "depth rain rain_rate"},
        {SECTOR_WATERLOGGING, "level v_surface discharge"}, /* rivers */
        {SECTOR_SPONGE, "rain rain_rate flow flow_total level v_surface discharge"},
        {SECTOR_BRIDGE, "strain tilt acceleration_rms acceleration_peak frequency crack"},
        {SECTOR_BRIDGE, "displacement deflection temperature"},
        {SECTOR_TUNNEL, "co visibility depth wind_speed"},
        {SECTOR_CORRIDOR, "temperature humidity o2 ch4 lel h2s co level"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[32];
        for (const char *at = rows[i].quantities; *at;) {
            size_t length = strcspn(at, " ");
            snprintf(name, sizeof name, "%.*s", (int)length, at);
            if (!class_quantity(rows[i].sector, name))
                fail_msg("%s has no %s", names_sector(rows[i].sector), name);
            at += length + (at[length] == ' ');
        }
    }
}

/* Sensors of explosive gas can be asked for the hint, in every sector that has them. */
static void diagnoses_stand_where_their_quantities_do(void **state)
{
    (void)state;
    for (unsigned s = SECTOR_GAS; s < SECTOR_COUNT; s++) {
        bool has_gas =
            class_quantity((enum sector)s, "ch4") || class_quantity((enum sector)s, "lel");
        assert_true((diagnosis_form_of((enum sector)s, "biogas") != NULL) == has_gas);
        assert_non_null(diagnosis_form_of((enum sector)s, "drift"));
    }
    assert_non_null(diagnosis_form_of(SECTOR_TUNNEL, "onset"));
    assert_non_null(diagnosis_form_of(SECTOR_DRAINAGE, "overflow"));
    assert_non_null(diagnosis_form_of(SECTOR_MANHOLE, "overflow"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sector_has_its_class),
        cmocka_unit_test(quantities_are_complete_and_unique),
        cmocka_unit_test(one_name_has_one_unit_everywhere),
        cmocka_unit_test(look_up_by_sector_and_name),
        cmocka_unit_test(what_each_system_measures_is_there),
        cmocka_unit_test(diagnoses_stand_where_their_quantities_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
