/* The names of sectors, qualities and clock states.
 *
 * The generated descriptors are the measure: every value of their enums has its name in lower case
 * and without the prefix, and reads back. A number or a word that is not there has no name. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/names.h"

static const char *sector_name(int number)
{
    return names_sector((enum sector)number);
}

static const char *quality_name(int number)
{
    return names_quality((enum quality)number);
}

static const char *clock_name(int number)
{
    return names_clock_state((enum clock_state)number);
}

static void assert_names(const ProtobufCEnumDescriptor *type, const char *prefix,
                         const char *(*name_of)(int number))
{
    for (unsigned i = 0; i < type->n_values; i++) {
        const char *generated = type->values[i].name;
        assert_memory_equal(generated, prefix, strlen(prefix));
        char lower[64] = "";
        for (size_t j = 0; generated[strlen(prefix) + j]; j++)
            lower[j] = (char)tolower(generated[strlen(prefix) + j]);
        assert_string_equal(name_of(type->values[i].value), lower);
    }
}

static void test_names_are_the_wires(void **state)
{
    (void)state;
    assert_names(&lifeline__v1__sector__descriptor, "SECTOR_", sector_name);
    assert_names(&lifeline__v1__quality__descriptor, "QUALITY_", quality_name);
    assert_names(&lifeline__v1__clock_state__descriptor, "CLOCK_STATE_", clock_name);
}

static void test_numbers_without_a_name(void **state)
{
    (void)state;
    for (int number = 24; number < 300; number++) {
        assert_string_equal(sector_name(number), "unspecified");
        assert_string_equal(quality_name(number), "unknown");
        assert_string_equal(clock_name(number), "unspecified");
    }
    assert_string_equal(quality_name(5), "unknown");
    assert_string_equal(quality_name(15), "unknown");
}

static void test_names_read_back(void **state)
{
    (void)state;
    enum sector sector;
    enum quality quality;
    for (int i = SECTOR_UNSPECIFIED + 1; i < SECTOR_COUNT; i++) {
        assert_true(names_sector_parse(sector_name(i), &sector));
        assert_int_equal(sector, i);
    }
    const ProtobufCEnumDescriptor *type = &lifeline__v1__quality__descriptor;
    for (unsigned i = 0; i < type->n_values; i++) {
        assert_true(names_quality_parse(quality_name(type->values[i].value), &quality));
        assert_int_equal(quality, type->values[i].value);
    }
}

static void test_what_is_no_name(void **state)
{
    (void)state;
    static const char *const words[] = {"", "unspecified", "unknown", "Gas", "gas ", "ga", "good1"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        enum sector sector = SECTOR_BRIDGE;
        enum quality quality = QUALITY_LINK;
        assert_false(names_sector_parse(words[i], &sector));
        assert_false(names_quality_parse(words[i], &quality));
        assert_int_equal(sector, SECTOR_BRIDGE);
        assert_int_equal(quality, QUALITY_LINK);
    }
}

static void test_sixteen_divides(void **state)
{
    (void)state;
    assert_true(names_quality_usable(QUALITY_GOOD));
    assert_true(names_quality_usable(QUALITY_CALIBRATING));
    assert_true(names_quality_usable((enum quality)15));
    assert_false(names_quality_usable(QUALITY_OUT_OF_RANGE));
    assert_false(names_quality_usable(QUALITY_STALE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_the_wires), cmocka_unit_test(test_numbers_without_a_name),
        cmocka_unit_test(test_names_read_back),     cmocka_unit_test(test_what_is_no_name),
        cmocka_unit_test(test_sixteen_divides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
