/* Units of gases: limits are stated in mg/m³ and %VOL, sensors speak ppm and %LEL.
 *
 * The figures are those of GBZ 2.1 and of domain 1: 10 mg/m³ of H2S are 7.1 ppm at 20 °C, 20 and 30
 * mg/m³ of CO 17.2 and 25.7 ppm. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/units.h"
#include "drivers/class.h"

static double converted(const char *quantity, double lel, double value, const char *from,
                        const char *to)
{
    double factor = 0, back = 0;
    assert_true(units_gas_factor(quantity, lel, from, to, &factor));
    assert_true(units_gas_factor(quantity, lel, to, from, &back));
    assert_true(fabs(factor * back - 1) < 1e-12);
    return value * factor;
}

static void toxic_gases_by_their_molar_mass(void **state)
{
    (void)state;
    assert_true(fabs(converted("h2s", 0, 10, "mg/m³", "ppm") - 7.06) < 0.005);
    assert_true(fabs(converted("co", 0, 20, "mg/m³", "ppm") - 17.18) < 0.005);
    assert_true(fabs(converted("co", 0, 30, "mg/m³", "ppm") - 25.76) < 0.005);
    assert_true(fabs(converted("co", 0, 1000, "ppb", "mg/m³") - 1.1644) < 1e-4);
    assert_true(fabs(converted("h2s", 0, 1, "ppm", "µg/m³") - 1416.8) < 0.1);
    assert_true(fabs(converted("ch4", 0, 1, "%VOL", "mg/m³") - 6669.3) < 0.1);
}

static void combustible_gas_by_its_limit(void **state)
{
    (void)state;
    assert_true(converted("ch4", 5, 20, "%LEL", "%VOL") == 1);
    assert_true(fabs(converted("ch4", 4.4, 20, "%LEL", "%VOL") - 0.88) < 1e-12);
    assert_true(converted("lel", 5, 10000, "ppm", "%LEL") == 20);
}

static void nothing_is_assumed(void **state)
{
    (void)state;
    double factor;
    assert_false(units_gas_factor("ch4", 0, "%LEL", "%VOL", &factor));
    assert_false(units_gas_factor("o2", 0, "mg/m³", "ppm", &factor));
    assert_false(units_gas_factor("lel", 5, "mg/m³", "%LEL", &factor)); /* of which gas? */
    assert_false(units_gas_factor("co", 0, "ppm", "MPa", &factor));
    assert_true(units_gas_factor("o2", 0, "ppm", "%VOL", &factor) && factor == 1e-4);
    assert_true(units_gas_factor("lel", 0, "%LEL", "%LEL", &factor) && factor == 1);
}

/* ---- in a profile ---- */

static size_t errors_of(const char *constant, const char *unit, char shown[512])
{
    char text[512];
    struct diagnostics *out = diagnostics_new();
    snprintf(
        text, sizeof text,
        "profile: wrong\nsector: gas\nstatus: beta\npoints:\n"
        "  - { name: gas, quantity: %s, function: holding, address: 1, type: u16, decimals: 2%s,"
        " unit_from: { address: 0, units: { 0: ppm, 2: \"%%LEL\", 4: \"%%VOL\" } } }\n",
        unit, constant);
    const struct source *source = diagnostics_source(out, "wrong.yaml", text, strlen(text));
    struct profile *profile = profile_parse(source, class_quantity, out);
    size_t errors = diagnostics_errors(out);
    snprintf(shown, 512, "%s", diagnostics_text(out));
    profile_free(profile);
    diagnostics_free(out);
    return errors;
}

static void a_profile_declares_the_limit(void **state)
{
    (void)state;
    char shown[512];
    assert_int_equal(errors_of(", lel: 5", "ch4", shown), 0);
    assert_int_equal(errors_of(", lel: 4.4", "lel", shown), 0);
    assert_int_equal(errors_of("", "ch4", shown), 1);
    assert_non_null(strstr(shown, "\"%LEL\" converts into \"%VOL\" only with the gas's `lel`"));
    assert_int_equal(errors_of(", lel: 5", "h2s", shown), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(toxic_gases_by_their_molar_mass),
        cmocka_unit_test(combustible_gas_by_its_limit),
        cmocka_unit_test(nothing_is_assumed),
        cmocka_unit_test(a_profile_declares_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
