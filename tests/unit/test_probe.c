/* Probing against a bus that exists only here: units with the registers of the simulator, some of
 * them with faults of their own.
 *
 * The bus itself checks that nothing but reads is ever asked, and of no unit but 1 to 247; it says
 * "enough" at any question. The catalogue is the shipped one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "drivers/probe.h"

#include "drivers/sim/sim_scenario.c"
#include "drivers/sim/sim_scenario_read.c"
#include "drivers/sim/sim_span.c"
#include "drivers/sim/sim_value.c"

#define COUNT(list) (sizeof(list) / sizeof *(list))

enum { MEMBERS_MAX = 8, ASKED_MAX = 4096 };

enum manner {
    PLAIN,
    SHY,     /* silent about what it does not have */
    REFUSES, /* everything */
    NO_PATH, /* a gateway answers in its place */
    GARBLES, /* always */
    GARBLES_ONCE,
    TWIN,
    CROWDED, /* another unit talks behind it */
};

struct member {
    uint8_t unit;
    uint32_t baud; /* 0 = any */
    enum manner manner;
    struct settings_device device;
    struct settings_point points[64];
    struct sim_value *value;
};

struct bus {
    struct member members[MEMBERS_MAX];
    size_t count, questions, enough_after; /* 0 = never enough */
    struct transport_request asked[ASKED_MAX];
    struct settings_line line;
};

static struct probe_catalogue catalogue;

static int load_catalogue(void **state)
{
    static const char *const dirs[] = {SOURCE_DIR "/no-such-folder", SOURCE_DIR "/config/profiles"};
    (void)state;
    return probe_catalogue_load(&catalogue, dirs, COUNT(dirs)) ? 0 : -1;
}

static int free_catalogue(void **state)
{
    (void)state;
    probe_catalogue_free(&catalogue);
    return 0;
}

static struct member *join(struct bus *bus, const char *profile, uint8_t unit, enum manner manner)
{
    static char name[] = "member";
    struct member *member = &bus->members[bus->count++];
    const struct profile *model = profile ? probe_catalogue_find(&catalogue, profile) : NULL;
    *member = (struct member){.unit = unit, .manner = manner};
    if (profile == NULL)
        return member;
    assert_non_null(model);
    assert_true(model->point_count <= COUNT(member->points));
    for (size_t i = 0; i < model->point_count; i++) {
        const struct profile_point *point = &model->points[i];
        member->points[i] = (struct settings_point){.mount_height = 10,
                                                    .has_range = point->min != 0 || point->max != 0,
                                                    .min = point->min,
                                                    .max = point->max};
    }
    member->device = (struct settings_device){
        .name = name, .unit = unit, .profile = model, .points = member->points};
    member->value = sim_value_new(&member->device);
    assert_non_null(member->value);
    return member;
}

static struct bus *new_bus(void)
{
    struct bus *bus = calloc(1, sizeof *bus);
    assert_non_null(bus);
    bus->line = (struct settings_line){
        .transport = TRANSPORT_RTU, .serial = {9600, 8, 'N', 1}, .timeout_ms = 300};
    return bus;
}

static void free_bus(struct bus *bus)
{
    for (size_t i = 0; i < bus->count; i++)
        sim_value_free(bus->members[i].value);
    free(bus);
}

static void refuse(struct probe_answer *answer, uint8_t code)
{
    answer->outcome = OUTCOME_EXCEPTION;
    answer->exception = code;
}

static void speak(struct member *member, const struct transport_request *asked,
                  struct probe_answer *answer)
{
    static const uint8_t second[] = {3, 3, 2, 0, 123, 0x81, 0xa7},
                         fourth[] = {4, 3, 2, 0, 123, 0x34, 0x67};
    bool has = member->value &&
               sim_value_covers(member->value, asked->function, asked->address, asked->count);
    answer->outcome = OUTCOME_TIMEOUT;
    if (member->manner == GARBLES || member->manner == GARBLES_ONCE)
        answer->outcome = OUTCOME_GARBLED;
    if (member->manner == GARBLES_ONCE)
        member->manner = PLAIN;
    else if (member->manner == REFUSES || member->manner == NO_PATH)
        refuse(answer, member->manner == REFUSES ? 2 : 11);
    else if (member->manner != GARBLES && !has && member->manner != SHY)
        refuse(answer, 2);
    if (member->manner >= GARBLES && member->manner < TWIN)
        return;
    if (has && answer->outcome == OUTCOME_TIMEOUT) {
        answer->outcome = OUTCOME_OK;
        sim_value_fill(member->value, asked->function, asked->address, asked->count,
                       (struct sim_moment){.counter = 7}, answer->registers);
    }
    if (member->manner == TWIN || member->manner == CROWDED) {
        memcpy(answer->heard + 2, member->manner == TWIN ? second : fourth, sizeof second);
        answer->heard_length = 2 + sizeof second;
    }
}

static bool on_question(void *context, const struct probe_question *question,
                        struct probe_answer *answer)
{
    struct bus *bus = context;
    const struct transport_request *asked = &question->request;
    uint32_t baud = question->serial.baud ? question->serial.baud : bus->line.serial.baud;
    assert_in_range(asked->function, FUNCTION_COIL, FUNCTION_INPUT);
    assert_in_range(asked->unit, 1, 247);
    assert_in_range(asked->count, 1, 125);
    assert_true(asked->address + asked->count <= 65536);
    *answer = (struct probe_answer){.outcome = OUTCOME_TIMEOUT, .round_trip_us = 5000};
    if (bus->questions < ASKED_MAX)
        bus->asked[bus->questions] = *asked;
    bus->questions++;
    for (size_t i = 0; i < bus->count; i++) {
        struct member *member = &bus->members[i];
        if (member->unit == asked->unit && (member->baud == 0 || member->baud == baud))
            speak(member, asked, answer);
    }
    if (!question->listen_ms)
        answer->heard_length = 0;
    return bus->enough_after == 0 || bus->questions <= bus->enough_after;
}

static struct probe probe_of(struct bus *bus)
{
    return (struct probe){on_question, bus, &bus->line, &catalogue};
}

static struct probe_unit look(struct bus *bus, uint8_t number, bool early)
{
    struct probe probe = probe_of(bus);
    struct probe_step step = {.serial = bus->line.serial, .unit = number, .early = early};
    struct probe_unit unit;
    assert_true(probe_presence(&probe, &step, &unit));
    return unit;
}

/* ---- the scan ---- */

static void every_unit_once_and_the_likely_first(void **state)
{
    (void)state;
    struct bus *bus = new_bus();
    static bool seen[16][256];
    uint32_t bauds[16] = {0};
    size_t count, settings = 0;
    bus->line.serial = (struct serial){1200, 8, 'N', 1};
    struct probe_step *steps = probe_steps(&bus->line, &catalogue, &count);
    assert_non_null(steps);
    bool late = false;
    for (size_t i = 0; i < count; i++) {
        size_t s = 0;
        uint32_t key = steps[i].serial.baud + (steps[i].serial.parity == 'E');
        while (s < settings && bauds[s] != key)
            s++;
        settings += s == settings;
        assert_true(settings <= COUNT(bauds));
        bauds[s] = key;
        assert_in_range(steps[i].unit, 1, 247);
        assert_false(seen[s][steps[i].unit]);
        seen[s][steps[i].unit] = true;
        late |= !steps[i].early;
        assert_true(steps[i].early != late);
        assert_true(steps[i].unit > 10 || steps[i].early);
    }
    assert_int_equal(count, settings * 247);
    assert_int_equal(bauds[0], 1200);
    assert_int_equal(bauds[1], 9600);
    assert_true(settings >= 10);
    assert_true(steps[12].early && steps[12].unit == 15); /* the factory unit of urm15 */
    /* Silence everywhere: 150 ms and the request's own time each, for likely units two times 300.
     */
    int64_t ms = probe_steps_ms(&bus->line, steps, count);
    int64_t least = (int64_t)settings * ((247 - 13) * 150 + 13 * 600);
    assert_in_range(ms, least, least * 5 / 4);
    free(steps);
    free_bus(bus);
}

static void a_line_without_a_port_has_one_setting(void **state)
{
    (void)state;
    struct bus *bus = new_bus();
    size_t count;
    bus->line.transport = TRANSPORT_TCP;
    bus->line.timeout_ms = 700;
    struct probe_step *steps = probe_steps(&bus->line, &catalogue, &count);
    assert_int_equal(count, 247);
    assert_int_equal(steps[0].serial.baud, 0);
    assert_int_equal(probe_patience_ms(&bus->line, false), 700);
    free(steps);
    free_bus(bus);
}

/* ---- presence ---- */

static void presence(void **state)
{
    (void)state;
    struct bus *bus = new_bus();
    join(bus, "rs-gyl-n01", 3, PLAIN);
    join(bus, NULL, 4, REFUSES);
    join(bus, NULL, 5, NO_PATH);
    join(bus, NULL, 6, GARBLES);
    join(bus, "sht20", 7, SHY);
    join(bus, "rs-gyl-n01", 8, GARBLES_ONCE);
    assert_int_equal(look(bus, 3, false).presence, PROBE_THERE);
    assert_int_equal(look(bus, 4, false).presence, PROBE_THERE);
    assert_int_equal(look(bus, 5, true).presence, PROBE_SILENT);
    struct probe_unit unit = look(bus, 6, false);
    assert_int_equal(unit.presence, PROBE_GARBLED);
    assert_int_equal(unit.garbled, 3);
    /* It has input registers only and keeps silent of others: found by the careful look. */
    assert_int_equal(look(bus, 7, false).presence, PROBE_SILENT);
    assert_int_equal(look(bus, 7, true).presence, PROBE_THERE);
    unit = look(bus, 8, false);
    assert_int_equal(unit.presence, PROBE_THERE);
    assert_int_equal(unit.garbled, 1);
    assert_int_equal(look(bus, 9, true).presence, PROBE_SILENT);
    free_bus(bus);
}

static void two_on_one_address(void **state)
{
    (void)state;
    struct bus *bus = new_bus();
    join(bus, "rs-gyl-n01", 3, TWIN);
    join(bus, "rs-gyl-n01", 5, TWIN); /* what comes behind is of unit 3 */
    join(bus, "rs-gyl-n01", 4, CROWDED);
    join(bus, "rs-gyl-n01", 6, PLAIN);
    assert_true(look(bus, 3, false).twin);
    assert_false(look(bus, 5, false).twin);
    assert_true(look(bus, 4, false).twin); /* of unit 4 indeed */
    assert_false(look(bus, 6, false).twin);
    bus->line.transport = TRANSPORT_TCP;
    assert_false(look(bus, 3, false).twin);
    free_bus(bus);
}

static void a_frame_among_noise(void **state)
{
    (void)state;
    static const uint8_t heard[] = {0x03, 0x03, 0x00, 0x03, 0x03, 0x02, 0x00, 0x7B, 0x81, 0xA7, 3};
    size_t at, length;
    assert_true(probe_frame(heard, sizeof heard, 3, &at, &length));
    assert_int_equal(at, 3);
    assert_int_equal(length, 7);
    assert_false(probe_frame(heard, sizeof heard, 4, &at, &length));
    for (size_t size = 0; size < 10; size++)
        assert_false(probe_frame(heard, size, 3, &at, &length));
    assert_false(probe_frame(NULL, 0, 3, &at, &length));
}

/* ---- models ---- */

static bool is_among(const struct probe_models *models, const char *name)
{
    for (size_t i = 0; i < models->count; i++) {
        if (strcmp(models->fits[i].profile->name, name) == 0)
            return true;
    }
    return false;
}

static void expect_model(const struct profile *profile, enum manner manner)
{
    struct bus *bus = new_bus();
    struct probe probe = probe_of(bus);
    struct probe_models models;
    join(bus, profile->name, 21, manner);
    if (profile->has_serial)
        bus->line.serial = profile->serial;
    struct probe_unit unit = {.unit = 21, .serial = bus->line.serial, .presence = PROBE_THERE};
    assert_true(probe_models(&probe, &unit, &models));
    if (!is_among(&models, profile->name))
        fail_msg("%s is not recognised", profile->name);
    for (size_t i = 0; i < models.count; i++) {
        bool marked = models.fits[i].profile->fingerprint_count > 0;
        assert_int_equal(models.fits[i].verdict, marked ? PROBE_RECOGNISED : PROBE_FITS);
        assert_true(marked || profile->fingerprint_count == 0);
    }
    /* Nothing is asked twice, whatever number of profiles want it. */
    for (size_t i = 0; i < bus->questions; i++) {
        for (size_t k = 0; k < i; k++)
            assert_true(bus->asked[i].function != bus->asked[k].function ||
                        bus->asked[i].address != bus->asked[k].address ||
                        bus->asked[i].count != bus->asked[k].count);
    }
    probe_models_free(&models);
    free_bus(bus);
}

static void every_shipped_profile_is_found(void **state)
{
    (void)state;
    assert_true(catalogue.count >= 24);
    assert_int_equal(diagnostics_errors(catalogue.diagnostics), 0);
    for (size_t i = 0; i < catalogue.count; i++) {
        expect_model(catalogue.profiles[i], PLAIN);
        expect_model(catalogue.profiles[i], SHY);
    }
}

static size_t fits_of(const char *profile, struct probe_models *models)
{
    struct bus *bus = new_bus();
    struct probe probe = probe_of(bus);
    join(bus, profile, 21, PLAIN);
    struct probe_unit unit = {.unit = 21, .serial = bus->line.serial, .presence = PROBE_THERE};
    assert_true(probe_models(&probe, &unit, models));
    free_bus(bus);
    return models->count;
}

static void fingerprints_tell_apart_and_nothing_else_does(void **state)
{
    (void)state;
    static const char *const certain[] = {"gas10", "gas10-co", "gas10-h2s",    "gas-sga",
                                          "urm12", "urm14",    "urm15",        "xm9505-rain",
                                          "sht20", "l-mag",    "sen0676-radar"};
    struct probe_models models;
    for (size_t i = 0; i < COUNT(certain); i++) {
        if (fits_of(certain[i], &models) != 1)
            fail_msg("%s: %zu fit", certain[i], models.count);
        assert_string_equal(models.fits[0].profile->name, certain[i]);
        probe_models_free(&models);
    }
    /* One piece of hardware, two profiles: only what it is used for tells them apart. */
    assert_true(fits_of("submersible-level-a", &models) >= 2);
    assert_true(is_among(&models, "press-level-a"));
    probe_models_free(&models);
    assert_true(fits_of("tuf-2000", &models) >= 2);
    assert_true(is_among(&models, "tuf-2000-heat"));
    probe_models_free(&models);
    assert_true(fits_of("rs-gyl-n01", &models) >= 1);
    assert_false(is_among(&models, "xm9505-rain")); /* its unit stands in no register */
    probe_models_free(&models);
}

static void what_speaks_against_a_profile(void **state)
{
    (void)state;
    struct bus *bus = new_bus();
    struct probe probe = probe_of(bus);
    struct probe_reading reading;
    join(bus, "gas10", 21, PLAIN);
    struct probe_unit unit = {.unit = 21, .presence = PROBE_THERE};
    static const struct {
        const char *profile, *why;
    } cases[] = {
        {"gas10", ""},
        {"gas10-co", "register 0x0008: 11 instead of 5"},
        {"xm9505-rain", "register 0x0066: exception 2"},
        {"rss2-300w-radar", "register 0x0002: "},
        {"gas10-o2", "o2: invalid"},
        {"l-mag", "registers 0x1010 to 0x1019: exception 2"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct profile *profile = probe_catalogue_find(&catalogue, cases[i].profile);
        assert_true(probe_read(&probe, &unit, 0, profile, &reading));
        if (strncmp(reading.why, cases[i].why, strlen(cases[i].why)) != 0)
            fail_msg("%s: %s", cases[i].profile, reading.why);
        assert_int_equal(reading.verdict == PROBE_UNFIT, cases[i].why[0] != '\0');
        probe_reading_free(&reading);
    }
    free_bus(bus);
}

/* A marked sensor that is broken, or whose value is invalid, is still the model it is. */
static void a_broken_sensor_keeps_its_model(void **state)
{
    (void)state;
    struct bus *bus = new_bus();
    struct probe probe = probe_of(bus);
    struct probe_reading reading;
    join(bus, "urm15", 15, PLAIN);
    const struct profile *profile = probe_catalogue_find(&catalogue, "urm15");
    struct walk *walk = &bus->members[0].value->walks[0];
    *walk = (struct walk){.first = 0xffff, .count = 1}; /* nothing measured */
    struct probe_unit unit = {.unit = 15, .presence = PROBE_THERE};
    assert_true(probe_read(&probe, &unit, 0, profile, &reading));
    assert_int_equal(reading.verdict, PROBE_RECOGNISED);
    assert_int_equal(reading.values[0].quality, QUALITY_INVALID);
    assert_int_equal(reading.values[1].quality, QUALITY_STALE); /* below an unknown mount */
    probe_reading_free(&reading);
    free_bus(bus);
}

/* Ctrl-C at any moment: it ends, says so, and leaks nothing. */
static void enough_at_any_question(void **state)
{
    (void)state;
    for (size_t after = 1; after < 60; after++) {
        struct bus *bus = new_bus();
        struct probe probe = probe_of(bus);
        struct probe_models models = {.count = 0};
        struct probe_reading reading;
        join(bus, "gas10", 3, after % 2 ? SHY : PLAIN);
        bus->enough_after = after;
        struct probe_step step = {.serial = bus->line.serial, .unit = 3, .early = true};
        struct probe_unit unit;
        bool going = probe_presence(&probe, &step, &unit);
        going = going && probe_models(&probe, &unit, &models);
        probe_models_free(&models);
        if (going) {
            going =
                probe_read(&probe, &unit, 0, probe_catalogue_find(&catalogue, "gas10"), &reading);
            probe_reading_free(&reading);
        }
        assert_int_equal(going, bus->questions <= after);
        assert_true(bus->questions <= after + 1);
        free_bus(bus);
    }
}

/* A bus that says anything: values, refusals, frames of random bytes, too much and too little. */
static bool on_anything(void *context, const struct probe_question *question,
                        struct probe_answer *answer)
{
    unsigned *seed = context;
    *answer = (struct probe_answer){.outcome = (enum outcome)((unsigned)rand_r(seed) % 5),
                                    .exception = (uint8_t)rand_r(seed),
                                    .round_trip_us = rand_r(seed)};
    for (size_t i = 0; i < COUNT(answer->registers); i++)
        answer->registers[i] = (uint16_t)(rand_r(seed) % 3 ? rand_r(seed) % 12 : rand_r(seed));
    for (size_t i = 0; i < COUNT(answer->heard); i++)
        answer->heard[i] = (uint8_t)(rand_r(seed) % 3 ? question->request.unit : rand_r(seed));
    answer->heard_length = (size_t)rand_r(seed) % (COUNT(answer->heard) + 1);
    return rand_r(seed) % 200 != 0;
}

static void anything_may_be_answered(void **state)
{
    (void)state;
    const char *given = getenv("SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("SEED=%u\n", seed);
    struct bus *bus = new_bus();
    struct probe probe = {on_anything, &seed, &bus->line, &catalogue};
    for (int turn = 0; turn < 3000; turn++) {
        struct probe_step step = {bus->line.serial, (uint8_t)(1 + rand_r(&seed) % 247), turn % 2};
        struct probe_unit unit;
        struct probe_models models;
        (void)!probe_presence(&probe, &step, &unit);
        (void)!probe_models(&probe, &unit, &models);
        for (size_t i = 0; i < models.count; i++)
            assert_int_not_equal(models.fits[i].verdict, PROBE_UNFIT);
        probe_models_free(&models);
    }
    free_bus(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anything_may_be_answered),
        cmocka_unit_test(every_unit_once_and_the_likely_first),
        cmocka_unit_test(a_line_without_a_port_has_one_setting),
        cmocka_unit_test(presence),
        cmocka_unit_test(two_on_one_address),
        cmocka_unit_test(a_frame_among_noise),
        cmocka_unit_test(every_shipped_profile_is_found),
        cmocka_unit_test(fingerprints_tell_apart_and_nothing_else_does),
        cmocka_unit_test(what_speaks_against_a_profile),
        cmocka_unit_test(a_broken_sensor_keeps_its_model),
        cmocka_unit_test(enough_at_any_question),
    };
    return cmocka_run_group_tests(tests, load_catalogue, free_catalogue);
}
