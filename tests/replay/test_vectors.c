/* Replays the vectors of every shipped profile: a sensor's own frames must decode to its values.
 *
 * Loads config/profiles/ as `lifelinectl check` does. A verified profile without a replayed vector
 * fails, and so does a set that no longer covers the encodings and sectors it is shipped for. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/class.h"
#include "drivers/vector.h"

#define PROFILES SOURCE_DIR "/config/profiles"

/* What issue and design ask of the shipped set as a whole. */
struct seen {
    bool sectors[SECTOR_COUNT];
    bool types[REGISTER_BYTE_FRACTION + 1];
    bool float_orders[ORDER_DCBA + 1];
    bool holding, input, unit, decimals, status, invalid, wrap, below_mount;
    size_t profiles;
    const struct quantity *quantities[256];
    size_t quantity_count;
};

static void see_points(const struct profile *profile, struct seen *seen)
{
    seen->profiles++;
    seen->sectors[profile->sector] = true;
    for (size_t i = 0; i < profile->point_count; i++) {
        const struct profile_point *point = &profile->points[i];
        if (seen->quantity_count < 256)
            seen->quantities[seen->quantity_count++] =
                class_quantity(profile->sector, point->quantity);
        seen->types[point->type] = true;
        if (point->type == REGISTER_F32)
            seen->float_orders[point->order] = true;
        seen->holding |= point->function == FUNCTION_HOLDING;
        seen->input |= point->function == FUNCTION_INPUT;
        seen->unit |= point->unit_from.present;
        seen->decimals |= point->decimals_from.present;
        seen->status |= point->status_from.present;
        seen->invalid |= point->invalid_count > 0;
        seen->wrap |= point->wrap != 0;
        seen->below_mount |= point->below_mount;
    }
}

/* Number of things wrong with one file. */
static size_t replay_file(const char *path, struct seen *seen)
{
    struct diagnostics *out = diagnostics_new();
    struct profile *profile = profile_load(path, class_quantity, out);
    size_t wrong = 0;
    if (profile != NULL) {
        size_t replayed = vector_replay(profile, out);
        if (replayed == 0 && profile->status == PROFILE_VERIFIED) {
            print_error("%s: verified, but no vector has a response\n", path);
            wrong++;
        }
        see_points(profile, seen);
    }
    wrong += diagnostics_errors(out) + diagnostics_warnings(out);
    print_error("%s", diagnostics_text(out));
    profile_free(profile);
    diagnostics_free(out);
    return wrong;
}

static size_t replay_folder(struct seen *seen)
{
    char path[1024];
    size_t wrong = 0;
    DIR *folder = opendir(PROFILES);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 5, ".yaml") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", PROFILES, entry->d_name);
        wrong += replay_file(path, seen);
    }
    closedir(folder);
    return wrong;
}

static void every_vector_decodes_to_what_it_says(void **state)
{
    (void)state;
    struct seen seen = {0};
    assert_int_equal(replay_folder(&seen), 0);
    assert_true(seen.profiles >= 30);
}

static void the_set_covers_sectors_and_encodings(void **state)
{
    (void)state;
    struct seen seen = {0};
    replay_folder(&seen);
    for (enum sector s = SECTOR_GAS; s < SECTOR_COUNT; s++)
        assert_true(seen.sectors[s]);
    assert_true(seen.types[REGISTER_I16] && seen.types[REGISTER_U16] && seen.types[REGISTER_U32]);
    assert_true(seen.types[REGISTER_DIGIT_BCD16]);
    assert_true(seen.float_orders[ORDER_ABCD] && seen.float_orders[ORDER_CDAB] &&
                seen.float_orders[ORDER_DCBA]);
    assert_true(seen.holding && seen.input);
    assert_true(seen.unit && seen.decimals && seen.status);
    assert_true(seen.invalid && seen.wrap && seen.below_mount);
}

/* The systems that issue 5 names, each by what makes it that: a profile of its sector has them all.
 */
static void every_system_of_the_city_is_served(void **state)
{
    (void)state;
    static const struct {
        enum sector sector;
        const char *quantities[3];
    } systems[] = {
        {SECTOR_WATER, {"pressure", "flow"}},
        {SECTOR_DRAINAGE, {"level", "h2s"}},
        {SECTOR_GAS, {"lel", "pressure"}},
        {SECTOR_HEAT, {"t_supply", "t_return", "pressure"}},
        {SECTOR_MANHOLE, {"tilt"}},
        {SECTOR_WATERLOGGING, {"depth"}},
        {SECTOR_DRAINAGE, {"run", "fault", "current"}}, /* 泵站 */
        {SECTOR_SPONGE, {"rain", "flow"}},
        {SECTOR_WATERLOGGING, {"level", "v_surface"}}, /* 河道 */
        {SECTOR_BRIDGE, {"strain", "tilt", "crack"}},
        {SECTOR_TUNNEL, {"visibility", "co", "depth"}},
        {SECTOR_CORRIDOR, {"o2", "temperature", "humidity"}},
    };
    struct seen seen = {0};
    replay_folder(&seen);
    for (size_t i = 0; i < sizeof systems / sizeof systems[0]; i++) {
        for (size_t q = 0; q < 3 && systems[i].quantities[q]; q++) {
            const struct quantity *quantity =
                class_quantity(systems[i].sector, systems[i].quantities[q]);
            assert_non_null(quantity);
            bool is_served = false;
            for (size_t k = 0; k < seen.quantity_count; k++)
                is_served |= seen.quantities[k] == quantity;
            if (!is_served)
                fail_msg("%s of sector %s: no profile", systems[i].quantities[q],
                         names_sector(systems[i].sector));
        }
    }
}

/* A replay that finds nothing would pass for ever: a wrong expectation must be an error. */
static void a_wrong_expectation_is_an_error_at_the_vector(void **state)
{
    (void)state;
    static const char text[] =
        "profile: wrong\nsector: manhole\nstatus: beta\npoints:\n"
        "  - { name: x, quantity: tilt, function: holding, address: 0, type: i16, scale: 0.01, "
        "decimals: 2 }\n"
        "  - { name: far, quantity: raw, function: holding, address: 9, type: u16 }\n"
        "vectors:\n"
        "  - { request: \"01 03 00 00 00 03 05 CB\", response: \"01 03 06 00 7D FF DD 00 05 2D "
        "52\", expect: { x: 1.24 } }\n"
        "  - { request: \"01 03 00 00 00 03 05 CB\", response: \"01 03 06 00 7D FF DD 00 05 2D "
        "52\", expect: { x: invalid } }\n"
        "  - { request: \"01 03 00 00 00 03 05 CB\", response: \"01 03 06 00 7D FF DD 00 05 2D "
        "52\", expect: { far: 0 } }\n"
        "  - { request: \"01 03 00 00 00 03 05 CB\", response: \"01 83 02 C0 F1\", expect: { x: "
        "exception } }\n";
    struct diagnostics *out = diagnostics_new();
    const struct source *source = diagnostics_source(out, "wrong.yaml", text, strlen(text));
    struct profile *profile = profile_parse(source, class_quantity, out);
    assert_non_null(profile);
    assert_int_equal(diagnostics_errors(out), 0);
    assert_int_equal(vector_replay(profile, out), 4);
    assert_int_equal(diagnostics_errors(out), 3);
    const char *shown = diagnostics_text(out);
    assert_non_null(strstr(shown, "wrong.yaml:8:"));
    assert_non_null(strstr(shown, "decodes x to 1.25 (good), expected is 1.24 °"));
    assert_non_null(strstr(shown, "expected is invalid"));
    assert_non_null(strstr(shown, "does not ask for all that far needs"));
    profile_free(profile);
    diagnostics_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_decodes_to_what_it_says),
        cmocka_unit_test(the_set_covers_sectors_and_encodings),
        cmocka_unit_test(every_system_of_the_city_is_served),
        cmocka_unit_test(a_wrong_expectation_is_an_error_at_the_vector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
