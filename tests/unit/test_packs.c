/* The shipped alarm packs against the table of quantities and default alarms that they were made
 * after (domain research 2.1): every row and level has a rule, or an `omitted` entry that says why.
 *
 * A device of every sector with a point of every quantity of its class is loaded as a configuration
 * would be, so that what is looked at is what would be in force. Also: every number has a source,
 * later packs change earlier ones, points share rules, and a pack that is nowhere is an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "config/pack.h"
#include "config/settings.h"
#include "drivers/class.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static char folder[] = "/tmp/lifeline-packs-XXXXXX";
static const char *const PACKS[] = {"/nonexistent/alarms", SOURCE_DIR "/config/alarms", folder};

/* ---- a device of every sector ---- */

static bool is_counter(const char *quantity)
{
    return strcmp(quantity, "rain") == 0 || strcmp(quantity, "starts") == 0;
}

static void write_point(FILE *file, const char *quantity, unsigned address)
{
    fprintf(file, "  - { name: %s, quantity: %s, function: holding, address: %u, type: u16%s }\n",
            quantity, quantity, address, is_counter(quantity) ? ", wrap: 65536" : "");
}

static void path_of(char path[200], int sector)
{
    snprintf(path, 200, "%s/all-%s.yaml", folder, names_sector((enum sector)sector));
}

static int write_profiles(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (int s = 1; s < SECTOR_COUNT; s++) {
        const struct sensor_class *class = class_of((enum sector)s);
        char path[200];
        path_of(path, s);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fprintf(file,
                "profile: all-%s\ntitle: { zh: 全, en: all }\nsector: %s\nstatus: beta\npoints:\n",
                names_sector((enum sector)s), names_sector((enum sector)s));
        for (size_t q = 0; q < class->count; q++)
            write_point(file, class->quantities[q].name, (unsigned)q);
        write_point(file, "battery", (unsigned)class->count);
        assert_int_equal(fclose(file), 0);
    }
    return 0;
}

static int remove_profiles(void **state)
{
    (void)state;
    for (int s = 1; s < SECTOR_COUNT; s++) {
        char path[200];
        path_of(path, s);
        assert_int_equal(unlink(path), 0);
    }
    return rmdir(folder);
}

/* Two devices of each sector, the first of them changed by `changes`: " alarms: ...", or "". */
static struct settings *load(const char *packs, const char *changes,
                             struct diagnostics *diagnostics)
{
    static char text[16384];
    const char *const profiles[] = {folder};
    const struct settings_sources sources = {.profile_dirs = profiles,
                                             .profile_dir_count = 1,
                                             .quantity = class_quantity,
                                             .pack_dirs = PACKS,
                                             .pack_dir_count = COUNT(PACKS),
                                             .diagnosis = diagnosis_form_of};
    size_t used = (size_t)snprintf(text, sizeof text,
                                   "gateway: { id: gw-1, region: \"140502\" }\n%s\nlines:\n"
                                   "  - { name: plc, transport: tcp, host: 192.168.1.10 }\n"
                                   "devices:\n",
                                   packs);
    for (int i = 2; i < 2 * SECTOR_COUNT; i++) {
        const char *sector = names_sector((enum sector)(i / 2));
        used +=
            (size_t)snprintf(text + used, sizeof text - used,
                             "  - { name: %s-%d, line: plc, unit: %d, profile: all-%s,\n"
                             "      points: { %s } }\n",
                             sector, i % 2, i, sector, i == 2 * SECTOR_WATERLOGGING ? changes : "");
        assert_true(used < sizeof text);
    }
    const struct source *source = diagnostics_source(diagnostics, "gateway.yaml", text, used);
    return settings_parse(source, &sources, diagnostics);
}

static struct settings *load_good(const char *packs, struct diagnostics *diagnostics)
{
    struct settings *settings = load(packs, "", diagnostics);
    if (!settings)
        print_error("%s", diagnostics_text(diagnostics));
    assert_non_null(settings);
    return settings;
}

static const struct settings_device *device_of(const struct settings *settings, enum sector sector)
{
    return &settings->devices[2 * ((int)sector - 1)];
}

static const struct settings_point *point_of(const struct settings *settings, enum sector sector,
                                             const char *quantity)
{
    const struct settings_device *device = device_of(settings, sector);
    int index = profile_point_index(device->profile, quantity);
    assert_true(index >= 0);
    return &device->points[index];
}

static const struct rule *rule_of(const struct rules *rules, const char *name)
{
    for (size_t r = 0; r < rules->count; r++) {
        if (strcmp(rules->rules[r]->name, name) == 0)
            return rules->rules[r];
    }
    return NULL;
}

/* ---- the rows ---- */

struct row {
    enum sector sector;
    const char *quantity;
    const char *levels;
    const char *of_device; /* a diagnosis of the device that judges this quantity; NULL */
};

/* As the table has them, row after row. `battery` is a row of the covers there, of all here. */
static const struct row rows[] = {
    {SECTOR_WATER, "pressure", "4321", NULL},
    {SECTOR_WATER, "flow", "4321", NULL},
    {SECTOR_WATER, "leak_noise", "43", NULL},
    {SECTOR_DRAINAGE, "fill", "43", NULL},
    {SECTOR_DRAINAGE, "level", "21", NULL},
    {SECTOR_DRAINAGE, "velocity", "43", NULL},
    {SECTOR_DRAINAGE, "flow", "43", NULL},
    {SECTOR_HEAT, "t_supply", "43", NULL},
    {SECTOR_HEAT, "t_return", "43", NULL},
    {SECTOR_HEAT, "dp", "43", NULL},
    {SECTOR_HEAT, "makeup_flow", "2", NULL},
    {SECTOR_HEAT, "pressure", "1", NULL},
    {SECTOR_GAS, "ch4", "4321", NULL},
    {SECTOR_GAS, "lel", "4321", NULL},
    {SECTOR_DRAINAGE, "ch4", "4321", NULL},
    {SECTOR_DRAINAGE, "lel", "4321", NULL},
    {SECTOR_MANHOLE, "ch4", "4321", NULL},
    {SECTOR_MANHOLE, "lel", "4321", NULL},
    {SECTOR_TUNNEL, "ch4", "4321", NULL},
    {SECTOR_TUNNEL, "lel", "4321", NULL},
    {SECTOR_CORRIDOR, "ch4", "4321", NULL},
    {SECTOR_CORRIDOR, "lel", "4321", NULL},
    {SECTOR_GAS, "h2s", "4321", NULL},
    {SECTOR_DRAINAGE, "h2s", "4321", NULL},
    {SECTOR_MANHOLE, "h2s", "4321", NULL},
    {SECTOR_TUNNEL, "h2s", "4321", NULL},
    {SECTOR_CORRIDOR, "h2s", "4321", NULL},
    {SECTOR_GAS, "co", "4321", NULL},
    {SECTOR_DRAINAGE, "co", "4321", NULL},
    {SECTOR_MANHOLE, "co", "4321", NULL},
    {SECTOR_TUNNEL, "co", "4321", NULL},
    {SECTOR_CORRIDOR, "co", "4321", NULL},
    {SECTOR_GAS, "o2", "4321", NULL},
    {SECTOR_DRAINAGE, "o2", "4321", NULL},
    {SECTOR_MANHOLE, "o2", "4321", NULL},
    {SECTOR_TUNNEL, "o2", "4321", NULL},
    {SECTOR_CORRIDOR, "o2", "4321", NULL},
    {SECTOR_MANHOLE, "tilt", "2", "cover_opened"},
    {SECTOR_MANHOLE, "tilt", "1", "cover_missing"},
    {SECTOR_MANHOLE, "open", "2", "cover_opened"},
    {SECTOR_MANHOLE, "open", "1", "cover_missing"},
    {SECTOR_MANHOLE, "moved", "3", NULL},
    {SECTOR_MANHOLE, "level", "3", NULL},
    {SECTOR_MANHOLE, "battery", "4", NULL},
    {SECTOR_WATERLOGGING, "depth", "4321", NULL},
    {SECTOR_SPONGE, "depth", "4321", NULL},
    {SECTOR_CORRIDOR, "depth", "4321", NULL},
    {SECTOR_SPONGE, "rain", "4321", NULL},
    {SECTOR_WATERLOGGING, "rain", "4321", NULL},
    {SECTOR_DRAINAGE, "v_surface", "32", NULL},
    {SECTOR_WATERLOGGING, "v_surface", "32", NULL},
    {SECTOR_SPONGE, "v_surface", "32", NULL},
    {SECTOR_DRAINAGE, "discharge", "32", NULL},
    {SECTOR_WATERLOGGING, "discharge", "32", NULL},
    {SECTOR_SPONGE, "discharge", "32", NULL},
    {SECTOR_DRAINAGE, "starts", "4", NULL},
    {SECTOR_DRAINAGE, "run", "321", NULL},
    {SECTOR_DRAINAGE, "fault", "321", NULL},
    {SECTOR_BRIDGE, "strain", "321", NULL},
    {SECTOR_BRIDGE, "tilt", "321", NULL},
    {SECTOR_BRIDGE, "acceleration_rms", "321", NULL},
    {SECTOR_BRIDGE, "acceleration_peak", "321", NULL},
    {SECTOR_BRIDGE, "frequency", "321", NULL},
    {SECTOR_BRIDGE, "crack", "321", NULL},
    {SECTOR_BRIDGE, "displacement", "321", NULL},
    {SECTOR_TUNNEL, "visibility", "4321", NULL},
    {SECTOR_TUNNEL, "depth", "4321", NULL},
    {SECTOR_TUNNEL, "wind_speed", "4321", NULL},
    {SECTOR_CORRIDOR, "temperature", "43", NULL},
    {SECTOR_CORRIDOR, "humidity", "4321", NULL},
    {SECTOR_CORRIDOR, "level", "4321", NULL},
};

static bool has_rule(const struct settings *settings, const struct row *row, unsigned level)
{
    const struct rules *rules = row->of_device
                                    ? &device_of(settings, row->sector)->rules
                                    : &point_of(settings, row->sector, row->quantity)->rules;
    for (size_t r = 0; r < rules->count; r++) {
        const struct rule *rule = rules->rules[r];
        bool is_it = row->of_device ? strcmp(rule->name, row->of_device) == 0
                                    : !rule->diagnosis || !rule->diagnosis->fault;
        if (is_it && rule->levels[level].given)
            return true;
    }
    return false;
}

static bool is_omitted(const struct settings *settings, const struct row *row, unsigned level)
{
    for (size_t p = 0; p < settings->pack_count; p++) {
        const struct pack *pack = settings->packs[p];
        for (size_t o = 0; o < pack->omitted_count; o++) {
            const struct pack_omitted *omitted = &pack->omitted[o];
            if (omitted->sectors[row->sector] && omitted->levels[level] &&
                strcmp(omitted->quantity, row->quantity) == 0 && strlen(omitted->why) > 20)
                return true;
        }
    }
    return false;
}

static void every_row_and_level(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    struct settings *settings = load_good("", diagnostics);
    size_t missing = 0, both = 0;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct row *row = &rows[i];
        for (const char *digit = row->levels; *digit; digit++) {
            unsigned level = (unsigned)(*digit - '0');
            bool rule = has_rule(settings, row, level), omitted = is_omitted(settings, row, level);
            missing += !rule && !omitted;
            both += rule && omitted;
            if (rule == omitted)
                print_error("%s %s level %u: %s\n", names_sector(row->sector), row->quantity, level,
                            rule ? "has a rule and is omitted" : "neither a rule nor omitted");
        }
    }
    assert_int_equal(missing, 0);
    assert_int_equal(both, 0);
    settings_free(settings);
    diagnostics_free(diagnostics);
}

/* What is omitted is something that there is: a slip of the pen would excuse nothing. */
static void omitted_is_known(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    struct settings *settings =
        load_good("alarms: { packs: [gb-default, beijing, anhui-db34] }", diagnostics);
    assert_int_equal(settings->pack_count, 3);
    for (size_t p = 0; p < settings->pack_count; p++) {
        for (size_t o = 0; o < settings->packs[p]->omitted_count; o++) {
            const struct pack_omitted *omitted = &settings->packs[p]->omitted[o];
            for (int s = 1; s < SECTOR_COUNT; s++) {
                if (omitted->sectors[s] && !class_quantity((enum sector)s, omitted->quantity))
                    fail_msg("%s has no %s", names_sector((enum sector)s), omitted->quantity);
            }
        }
    }
    settings_free(settings);
    diagnostics_free(diagnostics);
}

/* ---- sources ---- */

static size_t without_source(const struct rule_number *numbers, size_t count, size_t *seen)
{
    size_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        *seen += numbers[i].given;
        bad += numbers[i].given && (!numbers[i].source || strlen(numbers[i].source) < 10);
    }
    return bad;
}

static size_t check_rules(const struct rules *rules, size_t *seen)
{
    size_t bad = 0;
    for (size_t r = 0; r < rules->count; r++) {
        const struct rule *rule = rules->rules[r];
        size_t before = bad;
        assert_non_null(rule->pack);
        bad += without_source(rule->levels, LEVEL_COUNT, seen);
        bad += without_source(rule->dwell, LEVEL_COUNT, seen);
        bad += without_source(rule->params, RULE_PARAMS_MAX, seen);
        bad += without_source(&rule->hysteresis, 1, seen);
        bad += without_source(&rule->clear, 1, seen);
        bad += without_source(&rule->window, 1, seen);
        bad += without_source(&rule->spike, 1, seen);
        if (bad != before)
            print_error("%s: a number without a source\n", rule->name);
    }
    return bad;
}

static void every_number_has_a_source(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    struct settings *settings = load_good("alarms: { packs: [gb-default, beijing] }", diagnostics);
    size_t bad = 0, seen = 0;
    for (size_t d = 0; d < settings->device_count; d++) {
        const struct settings_device *device = &settings->devices[d];
        bad += check_rules(&device->rules, &seen);
        for (size_t p = 0; p < device->profile->point_count; p++)
            bad += check_rules(&device->points[p].rules, &seen);
    }
    assert_true(seen > 500);
    assert_int_equal(bad, 0);
    settings_free(settings);
    diagnostics_free(diagnostics);
}

/* ---- packs over packs ---- */

static void beijing_changes_what_it_says(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    struct settings *settings = load_good("alarms: { packs: [gb-default, beijing] }", diagnostics);
    const struct rule *street =
        rule_of(&point_of(settings, SECTOR_WATERLOGGING, "depth")->rules, "flooded");
    assert_true(street->levels[4].value == 150 && street->levels[3].value == 200);
    assert_true(street->levels[2].value == 270 && street->levels[1].value == 600);
    assert_true(street->hysteresis.value == 20 && street->dwell[4].value == 10000);
    assert_string_equal(street->pack, "beijing 1");
    assert_non_null(strstr(street->levels[2].source, "27 cm"));
    const struct rule *tunnel =
        rule_of(&point_of(settings, SECTOR_TUNNEL, "depth")->rules, "flooded");
    assert_true(tunnel->levels[1].value == 270);
    assert_string_equal(tunnel->pack, "gb-default 1");
    settings_free(settings);
    diagnostics_free(diagnostics);
}

static void a_pack_that_is_nowhere(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    assert_null(load("alarms: { packs: [gb-default, bejing] }", "", diagnostics));
    assert_non_null(strstr(diagnostics_text(diagnostics),
                           "gateway.yaml:2:31: error: alarm pack \"bejing\" is in none of "
                           "/nonexistent/alarms, "));
    diagnostics_free(diagnostics);
}

struct wrong {
    const char *body; /* from line 3 of the pack on */
    const char *said;
};

static const struct wrong wrong_packs[] = {
    {"alarms: [ { quantity: depht, rules: {} } ]",
     "3:23: error: none of these sectors has a quantity \"depht\""},
    {"alarms: [ { sectors: [gas], quantity: depth, rules: {} } ]",
     "3:39: error: none of these sectors has a quantity \"depth\""},
    {"alarms: [ { quantity: depth, rules: { a: { above: { 3: 1 } } } } ]",
     "3:42: error: the number of level 3 has no source"},
    {"alarms: [ { quantity: depth, rules: { a: { above: { 3: 1 }, dwell: 5s, source: { 3: x } } } "
     "} ]",
     "3:42: error: the number of the rest has no source"},
    {"alarms: [ { quantity: depth, rules: { a: { above: { 3: 9, 2: 1 }, source: x } } } ]",
     "3:56: error: level 3 (9) must lie below level 2 (1)"},
    {"alarms: [ { quantity: depth, rules: { a: { above: { 3: 9 }, dwell: { 4: 1s }, source: x } } "
     "} ]",
     "3:73: error: dwell of level 4, which has no number"},
    {"alarms: [ { quantity: depth } ]", "3:11: error: "},
    {"omitted: [ { quantity: depth, levels: [4] } ]", "3:12: error: "},
    {"omitted: [ { quantity: depth, levels: [5], why: it is not needed } ]",
     "3:40: error: a level is 1 to 4"},
    {"alarm: []", "3:1: error: "},
};

static bool is_refused(const struct wrong *wrong, const char *path)
{
    char expected[300];
    struct diagnostics *diagnostics = diagnostics_new();
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "pack: odd\nversion: 1\n%s\n", wrong->body);
    assert_int_equal(fclose(file), 0);
    struct settings *settings = load("alarms: { packs: [odd] }", "", diagnostics);
    snprintf(expected, sizeof expected, "%s:%s", path, wrong->said);
    bool right =
        !settings && strncmp(diagnostics_text(diagnostics), expected, strlen(expected)) == 0;
    if (!right)
        print_error("expected %s\nbut it is %s\n", expected,
                    settings ? "taken" : diagnostics_text(diagnostics));
    settings_free(settings);
    diagnostics_free(diagnostics);
    return right;
}

static void what_is_wrong_in_a_pack(void **state)
{
    char path[200];
    size_t taken = 0;
    (void)state;
    snprintf(path, sizeof path, "%s/odd.yaml", folder);
    for (size_t i = 0; i < COUNT(wrong_packs); i++)
        taken += !is_refused(&wrong_packs[i], path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(taken, 0);
}

static void every_device_is_told_silent(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    struct settings *settings = load_good("", diagnostics);
    for (size_t d = 0; d < settings->device_count; d++) {
        const struct rule *dead = rule_of(&settings->devices[d].rules, "dead");
        assert_non_null(dead);
        assert_true(dead->kind == RULE_SILENT && dead->levels[3].value == 900000);
    }
    settings_free(settings);
    diagnostics_free(diagnostics);
}

/* ---- sharing ---- */

static void only_changed_rules_are_copied(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    struct settings *settings =
        load("", "depth: { alarms: { flooded: { above: { 3: 250, 4: off } } } }", diagnostics);
    if (!settings)
        print_error("%s", diagnostics_text(diagnostics));
    assert_non_null(settings);
    size_t first = 2 * (SECTOR_WATERLOGGING - 1);
    const struct settings_device *devices = &settings->devices[first];
    int depth = profile_point_index(devices[0].profile, "depth");
    const struct rules *changed = &devices[0].points[depth].rules;
    const struct rules *plain = &devices[1].points[depth].rules;
    const struct rule *own = rule_of(changed, "flooded"), *theirs = rule_of(plain, "flooded");
    assert_ptr_not_equal(own, theirs);
    assert_true(own->overridden && own->levels[3].value == 250 && !own->levels[4].given);
    assert_false(own->dwell[4].given);
    assert_true(own->levels[2].value == 400 && own->dwell[3].value == 10000);
    assert_string_equal(own->levels[3].source, "configuration");
    assert_string_equal(own->levels[2].source, theirs->levels[2].source);
    assert_int_equal(own->levels[3].place.line, 7 + 2 * first);
    assert_true(!theirs->overridden && theirs->levels[3].value == 270);
    assert_ptr_equal(rule_of(changed, "jump"), rule_of(plain, "jump"));
    assert_false(rule_same(own, theirs));
    int temperature = profile_point_index(devices[0].profile, "temperature");
    assert_ptr_equal(devices[0].points[temperature].rules.rules,
                     devices[1].points[temperature].rules.rules);
    settings_free(settings);
    diagnostics_free(diagnostics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_and_level),
        cmocka_unit_test(omitted_is_known),
        cmocka_unit_test(every_number_has_a_source),
        cmocka_unit_test(beijing_changes_what_it_says),
        cmocka_unit_test(a_pack_that_is_nowhere),
        cmocka_unit_test(what_is_wrong_in_a_pack),
        cmocka_unit_test(every_device_is_told_silent),
        cmocka_unit_test(only_changed_rules_are_copied),
    };
    return cmocka_run_group_tests(tests, write_profiles, remove_profiles);
}
