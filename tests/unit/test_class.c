/* Sensor classes: every sector has one, its names are unique and its quantities can be sent.
 *
 * Looks at the shipped const tables as a whole; which quantity a sector ought to have is judged by
 * the profiles that load against them (tests/replay/test_vectors.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sector_has_its_class),
        cmocka_unit_test(quantities_are_complete_and_unique),
        cmocka_unit_test(one_name_has_one_unit_everywhere),
        cmocka_unit_test(look_up_by_sector_and_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
