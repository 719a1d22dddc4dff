/* A good profile becomes the table that it says.
 *
 * Every key is given once and looked at once, in a profile that has all of them; defaults come from
 * the quantity or the header. Every shipped profile loads without a word. What is refused, and
 * how, is test_settings_wrong.c. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "config/profile.h"
#include "config/units.h"
#include "drivers/class.h"

static const char FULL[] =
    "profile: full\n"
    "title: { zh: 全, en: full }\n"
    "vendor: 某厂\n"
    "sector: water\n"
    "status: verified\n"
    "source: >\n  a\n  manual\n"
    "serial: 4800 7E2\n"
    "max_registers: 20\n"
    "min_gap: 500ms\n"
    "unit: 26\n"
    "points:\n"
    "  - { name: p, quantity: pressure, unit: MPa, title: { zh: 压 }, function: input, address: "
    "4,\n"
    "      type: i16, order: BADC, mask: 0x7ff0, scale: 0.5, offset: -3, decimals: 3,\n"
    "      min: -1, max: 2, invalid: [0x7fff, -9999],\n"
    "      unit_from: { address: 2, mask: 0xf000, units: { 0: MPa, 1: kPa, 0x8: bar } },\n"
    "      decimals_from: { address: 3, mask: 0x0f00, codes: { 0: 0, 4: 1 } },\n"
    "      status_from: { address: 5, codes: { 0: warmup, 1: good, 3: sensor_fault } } }\n"
    "  - { name: t, quantity: flow_total, function: holding, address: 0x70, type: u32,\n"
    "      order: CDAB, decimals: 1, wrap: 6553.6, decimals_from: { address: 0x72 } }\n"
    "  - { name: d, quantity: level, function: holding, address: 1, type: f32, below_mount: true "
    "}\n"
    "  - { name: e, quantity: raw, function: holding, address: 9, type: f32, decimals: 2 }\n"
    "  - { name: b, quantity: raw, function: coil, address: 0, type: bit }\n"
    "vectors:\n"
    "  - { request: \"01 03 00 00 00 01 84 0A\", response: \"0103020218B92E\",\n"
    "      expect: { e: 1.25, t: sensor_fault } }\n"
    "  - { request: \"01 03 00 00 00 01 84 0A\" }\n"
    "  - { request: \"01 03 00 00 00 01 84 0A\", response: \"01 83 02 C0 F1\",\n"
    "      expect: { e: exception } }\n"
    "  - { request: \"01 01 00 00 00 0A BC 0D\", response: \"01 01 02 ff 03 b8 0d\",\n"
    "      expect: { b: 1 } }\n";

static struct profile *load(const char *text, quantity_lookup lookup, struct diagnostics *out)
{
    const struct source *source = diagnostics_source(out, "a/full.yaml", text, strlen(text));
    assert_non_null(source);
    struct profile *profile = profile_parse(source, lookup, out);
    assert_string_equal(diagnostics_text(out), "");
    assert_non_null(profile);
    return profile;
}

static void head(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    struct profile *profile = load(FULL, class_quantity, diagnostics);
    assert_string_equal(profile->name, "full");
    assert_string_equal(profile->title_zh, "全");
    assert_string_equal(profile->title_en, "full");
    assert_string_equal(profile->vendor, "某厂");
    assert_string_equal(profile->source, "a manual");
    assert_int_equal(profile->sector, SECTOR_WATER);
    assert_int_equal(profile->status, PROFILE_VERIFIED);
    assert_true(profile->has_serial);
    assert_int_equal(profile->serial.baud, 4800);
    assert_int_equal(profile->serial.stop_bits, 2);
    assert_int_equal(profile->max_registers, 20);
    assert_int_equal(profile->min_gap_ms, 500);
    assert_int_equal(profile->unit, 26);
    assert_int_equal(profile->point_count, 5);
    assert_int_equal(profile_point_index(profile, "d"), 2);
    assert_int_equal(profile_point_index(profile, "x"), -1);
    profile_free(profile);
    diagnostics_free(diagnostics);
}

static void selectors(const struct profile_point *p)
{
    assert_true(p->unit_from.present);
    assert_int_equal(p->unit_from.address, 2);
    assert_int_equal(p->unit_from.mask, 0xf000);
    assert_int_equal(p->unit_from.code_count, 3);
    assert_true(p->unit_from.codes[0].factor == 1);
    assert_true(p->unit_from.codes[1].factor == 0.001);
    assert_int_equal(p->unit_from.codes[2].code, 8);
    assert_true(p->unit_from.codes[2].factor == 0.1);
    assert_int_equal(p->decimals_from.code_count, 2);
    assert_int_equal(p->decimals_from.codes[1].code, 4);
    assert_int_equal(p->decimals_from.codes[1].decimals, 1);
    assert_int_equal(p->status_from.mask, 0xffff);
    assert_int_equal(p->status_from.codes[0].quality, QUALITY_WARMUP);
    assert_int_equal(p->status_from.codes[2].quality, QUALITY_SENSOR_FAULT);
}

static void points(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    struct profile *profile = load(FULL, class_quantity, diagnostics);
    const struct profile_point *p = &profile->points[0], *t = &profile->points[1];
    const struct profile_point *d = &profile->points[2], *e = &profile->points[3];
    const struct profile_point *b = &profile->points[4];
    assert_string_equal(p->title_zh, "压");
    assert_string_equal(p->title_en, "pressure");
    assert_int_equal(p->function, FUNCTION_INPUT);
    assert_int_equal(p->type, REGISTER_I16);
    assert_int_equal(p->order, ORDER_BADC);
    assert_int_equal(p->mask, 0x7ff0);
    assert_true(p->scale == 0.5 && p->offset == -3);
    assert_int_equal(p->decimals, 3);
    assert_true(p->min == -1 && p->max == 2);
    assert_int_equal(p->invalid_count, 2);
    assert_true(p->invalid[0] == 0x7fff && p->invalid[1] == 0xd8f1);
    selectors(p);

    assert_string_equal(t->unit, "m³");
    assert_int_equal(t->address, 0x70);
    assert_int_equal(t->order, ORDER_CDAB);
    assert_true(t->wrap == 6553.6);
    assert_false(t->is_float);
    assert_true(t->decimals_from.present);
    assert_int_equal(t->decimals_from.code_count, 0);
    assert_false(t->unit_from.present);
    assert_int_equal(t->mask, 0xffff);
    assert_true(t->scale == 1 && t->offset == 0);

    assert_true(d->is_float && d->below_mount);
    assert_true(d->max == 100); /* the quantity's */
    assert_false(e->is_float);
    assert_string_equal(e->unit, "1");
    assert_int_equal(b->type, REGISTER_BIT);
    assert_int_equal(b->function, FUNCTION_COIL);
    profile_free(profile);
    diagnostics_free(diagnostics);
}

static void vectors(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    struct profile *profile = load(FULL, class_quantity, diagnostics);
    const struct profile_vector *vector = &profile->vectors[0];
    assert_int_equal(profile->vector_count, 4);
    assert_int_equal(vector->request_length, 8);
    assert_int_equal(vector->response_length, 7);
    assert_int_equal(vector->response[4], 0x18);
    assert_int_equal(vector->expect_count, 2);
    assert_int_equal(vector->expect[0].point, 3);
    assert_true(vector->expect[0].usable && vector->expect[0].value == 1.25);
    assert_false(vector->expect[1].usable);
    assert_int_equal(vector->expect[1].quality, QUALITY_SENSOR_FAULT);
    assert_int_equal(profile->vectors[1].response_length, 0);
    assert_int_equal(profile->vectors[2].response_length, 5);
    assert_int_equal(profile->vectors[2].expect[0].quality, QUALITY_EXCEPTION);
    assert_int_equal(profile->vectors[3].response[3], 0xff);
    profile_free(profile);
    diagnostics_free(diagnostics);
}

/* Without a class the units and titles are the file's own. */
static void without_classes(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    struct profile *profile = load("profile: full\nsector: gas\nstatus: beta\npoints:\n"
                                   "  - { name: a, quantity: anything, unit: furlong,\n"
                                   "      function: holding, address: 0, type: u16 }\n",
                                   NULL, diagnostics);
    assert_string_equal(profile->title_zh, "full");
    assert_string_equal(profile->vendor, "");
    assert_false(profile->has_serial);
    assert_int_equal(profile->max_registers, 125);
    assert_int_equal(profile->unit, 1);
    assert_string_equal(profile->points[0].unit, "furlong");
    assert_string_equal(profile->points[0].title_en, "a");
    assert_true(profile->points[0].min == 0 && profile->points[0].max == 0);
    profile_free(profile);
    diagnostics_free(diagnostics);
}

static void unit_factors(void **state)
{
    (void)state;
    double factor = 0;
    assert_true(units_factor("psi", "psi", &factor) && factor == 1);
    assert_true(units_factor("furlong", "furlong", &factor) && factor == 1);
    assert_true(units_factor("mbar", "kPa", &factor) && factor == 0.1);
    assert_true(units_factor("%VOL", "ppm", &factor) && factor == 1e4);
    assert_true(units_factor("L/s", "m³/h", &factor) && factor == 3.6);
    assert_true(units_factor("mm/s", "m/s", &factor) && factor == 0.001);
    assert_false(units_factor("%LEL", "%VOL", &factor));
    assert_false(units_factor("m", "MPa", &factor));
    assert_false(units_factor("furlong", "m", &factor));
}

static void type_sizes(void **state)
{
    (void)state;
    assert_int_equal(profile_type_registers(REGISTER_BIT), 1);
    assert_int_equal(profile_type_registers(REGISTER_BYTE_FRACTION), 1);
    assert_int_equal(profile_type_registers(REGISTER_BCD32), 2);
    assert_int_equal(profile_type_registers(REGISTER_F64), 4);
}

static void shipped_profiles(void **state)
{
    (void)state;
    static const char folder[] = SOURCE_DIR "/config/profiles";
    size_t count = 0;
    DIR *listing = opendir(folder);
    assert_non_null(listing);
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        char path[512];
        if (strstr(entry->d_name, ".yaml") == NULL)
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        struct diagnostics *diagnostics = diagnostics_new();
        struct profile *profile = profile_load(path, class_quantity, diagnostics);
        assert_string_equal(diagnostics_text(diagnostics), "");
        assert_non_null(profile);
        profile_free(profile);
        diagnostics_free(diagnostics);
        count++;
    }
    closedir(listing);
    assert_true(count >= 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head),
        cmocka_unit_test(points),
        cmocka_unit_test(vectors),
        cmocka_unit_test(without_classes),
        cmocka_unit_test(unit_factors),
        cmocka_unit_test(type_sizes),
        cmocka_unit_test(shipped_profiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
