/* What a reload does to the store, driven through store.h by hand: no line, no broker, a real
 * SQLite file.
 *
 * Ids stay, new ones are new, what is gone is retired and comes back as what it was; Manifests that
 * changed go out again, on the same connection, before the rows that need them; an uplink that
 * stays keeps what is in flight, one that comes owes everything, one that goes takes nothing with
 * it. Each test has its own folder under /tmp. */
#include "gateway/store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "drivers/class.h"
#include "gateway/boot.h"
#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"

enum { WAIT_MS = 5000, LENT = 8 };

struct world {
    char folder[64];
    struct diagnostics *diagnostics;
    struct settings *settings;
    struct store *store;
};

#define CITY  "{ name: city, urls: [ \"mqtt://a\" ], sectors: [water, manhole] }"
#define FIRST "{ name: first, urls: [ \"mqtt://c\" ], sectors: [bridge] }"
#define WATER "{ name: water, urls: [ \"mqtt://b\" ], sectors: [water] }"
#define ONE   "{ name: one, line: bus, unit: 1, profile: press-level-a }"
#define TWO   "{ name: two, line: bus, unit: 2, profile: rs-dip-n01, sector: manhole }"
#define THREE "{ name: three, line: bus, unit: 3, profile: press-level-a }"

/* Loads devices and uplinks (flow lists) into the world; returns the settings of before. */
static struct settings *load(struct world *world, const char *devices, const char *uplinks)
{
    static const char *const folders[] = {SOURCE_DIR "/config/profiles"};
    const struct settings_sources sources = {
        .profile_dirs = folders, .profile_dir_count = 1, .quantity = class_quantity};
    struct settings *before = world->settings;
    char text[2000];
    snprintf(text, sizeof text,
             "gateway: { id: gw-1, region: \"140502\" }\nstore: { path: %s/store.db }\n"
             "lines: [ { name: bus, transport: tcp, host: 10.0.0.1 } ]\n"
             "devices: [ %s ]\nuplinks: [ %s ]\n",
             world->folder, devices, uplinks);
    world->settings =
        settings_parse(diagnostics_source(world->diagnostics, "gateway.yaml", text, strlen(text)),
                       &sources, world->diagnostics);
    if (!world->settings)
        fail_msg("%s", diagnostics_text(world->diagnostics));
    return before;
}

static void reload(struct world *world, const char *devices, const char *uplinks,
                   const size_t *places)
{
    struct settings *before = load(world, devices, uplinks);
    mono_time limit = clock_after_ms(clock_mono(), WAIT_MS);
    store_reload(world->store, world->settings, places);
    while (store_reloaded(world->store) == STORE_RELOAD_PENDING)
        assert_true(clock_mono().ns < limit.ns);
    assert_int_equal(store_reloaded(world->store), STORE_RELOAD_DONE);
    settings_free(before); /* nobody may look at it any more */
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    char why[200];
    snprintf(world->folder, sizeof world->folder, "/tmp/lifeline-reload-XXXXXX");
    if (!mkdtemp(world->folder))
        return -1;
    world->diagnostics = diagnostics_new();
    (void)load(world, ONE "," TWO, CITY);
    world->store = store_open(world->settings, why, sizeof why);
    if (!world->store)
        fail_msg("%s", why);
    assert_true(store_start(world->store));
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    char command[100];
    assert_true(store_stop(world->store, clock_after_ms(clock_mono(), WAIT_MS)));
    store_free(world->store);
    settings_free(world->settings);
    diagnostics_free(world->diagnostics);
    snprintf(command, sizeof command, "rm -r %s", world->folder);
    int code = system(command);
    free(world);
    return code;
}

static uint32_t device_id(const struct world *world, size_t device)
{
    return store_ids(world->store)->device[device];
}

static uint32_t point_id(const struct world *world, size_t device, size_t point)
{
    return store_ids(world->store)->point[device][point];
}

/* Puts one closed segment of so many readings. */
static void put_some(struct world *world, enum sector sector, int count)
{
    const struct segment_column column = {.point = 1};
    const struct segment_block block = {1, 1, &column};
    const struct segment_start start = {.base_ms = clock_wall().ms,
                                        .mono_ms = clock_mono_ms(clock_mono()),
                                        .clock = CLOCK_STATE_SYNCED,
                                        .boot = boot_id()};
    const struct value value = {.steps = 1};
    struct segment *segment = segment_new(&block, 1);
    segment_reset(segment, &start);
    while (count--)
        assert_true(segment_add(segment, 0, start.base_ms, &value));
    assert_true(store_put(world->store, 0, sector, segment, true));
    store_commit(world->store);
    segment_free(segment);
}

static void put(struct world *world, enum sector sector)
{
    put_some(world, sector, 1);
}

static struct parcel *collect(struct world *world, size_t place)
{
    mono_time limit = clock_after_ms(clock_mono(), WAIT_MS);
    struct parcel *parcel;
    while (!(parcel = store_collect(world->store, place)))
        assert_true(clock_mono().ns < limit.ns);
    return parcel;
}

static struct parcel *fetch(struct world *world, size_t place, struct parcel *parcel)
{
    store_fetch(world->store, place, parcel);
    return collect(world, place);
}

static void nobody_sleeps(void *context)
{
    (void)context;
}

/* Lends all of them: some are kept free of history. */
static void lend(struct world *world, size_t place, struct parcel parcels[LENT])
{
    store_attach(world->store, place, nobody_sleeps, NULL);
    uint64_t generation = store_renew(world->store, place);
    memset(parcels, 0, LENT * sizeof *parcels);
    for (int i = 0; i < LENT; i++) {
        parcels[i].generation = generation;
        store_fetch(world->store, place, &parcels[i]);
    }
}

static void take_back(struct world *world, size_t place, struct parcel parcels[LENT])
{
    mono_time limit = clock_after_ms(clock_mono(), WAIT_MS);
    while (!store_detach(world->store, place))
        assert_true(clock_mono().ns < limit.ns);
    for (int i = 0; i < LENT; i++) {
        free(parcels[i].bytes);
        memset(&parcels[i], 0xa5, sizeof parcels[i]);
    }
}

/* Until the uplink owes nothing. */
static void wait_settled(struct world *world, size_t place)
{
    mono_time limit = clock_after_ms(clock_mono(), WAIT_MS);
    struct store_backlog backlog;
    do {
        assert_true(clock_mono().ns < limit.ns);
        store_backlog(world->store, place, &backlog);
    } while (backlog.readings > 0);
}

/* The Manifest in a parcel: how many of its devices are in force, and how many retired. */
static void expect_manifest(const struct parcel *parcel, enum sector sector, size_t in_force,
                            size_t retired)
{
    assert_int_equal(parcel->kind, PARCEL_MANIFEST);
    assert_int_equal(parcel->sector, sector);
    Lifeline__V1__Manifest *manifest =
        lifeline__v1__manifest__unpack(NULL, parcel->length, parcel->bytes);
    assert_non_null(manifest);
    size_t counts[2] = {0, 0};
    for (size_t d = 0; d < manifest->n_devices; d++)
        counts[manifest->devices[d]->retired]++;
    assert_int_equal(counts[0], in_force);
    assert_int_equal(counts[1], retired);
    lifeline__v1__manifest__free_unpacked(manifest, NULL);
}

static void ids_stay_and_are_never_given_again(void **state)
{
    struct world *world = *state;
    const size_t places[] = {0};
    uint32_t one = device_id(world, 0), two = device_id(world, 1), tilt = point_id(world, 1, 2);
    reload(world, THREE "," TWO "," ONE, CITY, places);
    uint32_t three = device_id(world, 0);
    assert_int_equal(device_id(world, 2), one);
    assert_int_equal(device_id(world, 1), two);
    assert_int_equal(point_id(world, 1, 2), tilt);
    assert_true(three != one && three != two);
    reload(world, ONE, CITY, places);
    assert_int_equal(device_id(world, 0), one);
    reload(world, "{ name: four, line: bus, unit: 4, profile: press-level-a }," TWO "," THREE, CITY,
           places);
    uint32_t four = device_id(world, 0);
    assert_true(four != one && four != two && four != three);
    assert_int_equal(device_id(world, 1), two);
    assert_int_equal(point_id(world, 1, 2), tilt);
    assert_int_equal(device_id(world, 2), three);
}

static void changed_manifests_go_out_again(void **state)
{
    struct world *world = *state;
    const size_t places[] = {0};
    struct parcel parcel = {.generation = store_renew(world->store, 0)};
    expect_manifest(fetch(world, 0, &parcel), SECTOR_WATER, 1, 0);
    expect_manifest(fetch(world, 0, &parcel), SECTOR_MANHOLE, 1, 0);
    put(world, SECTOR_WATER);
    assert_int_equal(fetch(world, 0, &parcel)->kind, PARCEL_LIVE);
    reload(world, ONE "," TWO "," THREE, CITY, places); /* the same connection */
    put(world, SECTOR_WATER);
    expect_manifest(fetch(world, 0, &parcel), SECTOR_WATER, 2, 0);
    assert_int_equal(fetch(world, 0, &parcel)->kind, PARCEL_LIVE);
    reload(world, THREE "," TWO, CITY, places);
    put(world, SECTOR_MANHOLE);
    expect_manifest(fetch(world, 0, &parcel), SECTOR_WATER, 1, 1);
    assert_int_equal(fetch(world, 0, &parcel)->sector, SECTOR_MANHOLE);
    free(parcel.bytes);
}

/* What was handed out before is settled after; nothing is handed out twice. */
static void an_uplink_that_stays_keeps_what_is_in_flight(void **state)
{
    struct world *world = *state;
    const size_t first[] = {1, 0}, moved[] = {1, 2, 0}; /* water stands before city then */
    reload(world, ONE "," TWO, FIRST "," CITY, first);
    store_attach(world->store, 0, nobody_sleeps, NULL);
    struct parcel parcel = {.generation = store_renew(world->store, 0)}, other = parcel;
    (void)fetch(world, 0, &parcel);
    (void)fetch(world, 0, &parcel);
    put(world, SECTOR_WATER);
    assert_int_equal(fetch(world, 0, &parcel)->first_seq, 1);
    reload(world, ONE "," TWO, FIRST "," WATER "," CITY, moved);
    put(world, SECTOR_WATER);
    assert_int_equal(fetch(world, 0, &other)->first_seq, 2);
    store_settle(world->store, 0, &parcel);
    store_settle(world->store, 0, &other);
    wait_settled(world, 0);
    struct store_backlog backlog;
    store_backlog(world->store, 0, &backlog);
    assert_int_equal(backlog.ends[SECTOR_WATER].settled_seq, 2);
    free(parcel.bytes);
    free(other.bytes);
}

static void who_comes_owes_everything_and_who_goes_leaves_nothing(void **state)
{
    struct world *world = *state;
    const size_t both[] = {0, 7}, alone[] = {7};
    put(world, SECTOR_WATER);
    put(world, SECTOR_MANHOLE);
    reload(world, ONE "," TWO, CITY "," WATER, both);
    struct parcel parcels[LENT], gone[LENT], late[LENT];
    lend(world, 7, parcels);
    expect_manifest(collect(world, 7), SECTOR_WATER, 1, 0);
    const struct parcel *data = collect(world, 7);
    assert_int_equal(data->sector, SECTOR_WATER);
    assert_int_equal(data->readings, 1);
    lend(world, 0, gone);
    expect_manifest(collect(world, 0), SECTOR_WATER, 1, 0);
    expect_manifest(collect(world, 0), SECTOR_MANHOLE, 1, 0);
    store_settle(world->store, 0, collect(world, 0));
    store_settle(world->store, 0, collect(world, 0));
    wait_settled(world, 0);
    take_back(world, 0, gone);
    reload(world, ONE "," TWO, WATER, alone);
    /* a name that comes back is a new uplink, at any place */
    const size_t again[] = {3, 7};
    reload(world, ONE "," TWO, CITY "," WATER, again);
    lend(world, 3, late);
    expect_manifest(collect(world, 3), SECTOR_WATER, 1, 0);
    expect_manifest(collect(world, 3), SECTOR_MANHOLE, 1, 0);
    assert_int_equal(collect(world, 3)->readings, 1);
    assert_int_equal(collect(world, 3)->readings, 1);
    take_back(world, 7, parcels);
    take_back(world, 3, late);
}

/* Another broker under the same name: whoever still has a connection to the one of before gets
 * nothing any more, and what it says of what it has settles nothing. */
static void who_is_replaced_falls_silent_at_once(void **state)
{
    static const char *const others[] = {
        "{ name: city, urls: [ \"mqtt://z\" ], sectors: [water, manhole] }",
        "{ name: city, urls: [ \"mqtt://y\" ], sectors: [water] }"};
    struct world *world = *state;
    const size_t places[] = {0};
    struct parcel before[LENT], after[LENT];
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        put(world, SECTOR_WATER);
        lend(world, 0, before);
        struct parcel *parcel;
        while ((parcel = collect(world, 0))->kind == PARCEL_MANIFEST)
            ;
        uint64_t seq = parcel->first_seq;
        reload(world, ONE "," TWO, others[i], places);
        store_settle(world->store, 0, parcel);
        put(world, SECTOR_WATER);
        struct parcel again = {.generation = store_renew(world->store, 0)};
        store_fetch(world->store, 0, &again); /* even if it connects once more */
        usleep(50000);
        assert_null(store_collect(world->store, 0));
        take_back(world, 0, before);
        lend(world, 0, after);
        while ((parcel = collect(world, 0))->kind == PARCEL_MANIFEST)
            ;
        assert_int_equal(parcel->first_seq, seq);
        store_settle(world->store, 0, parcel);
        if (parcel->last_seq < seq + 1)
            store_settle(world->store, 0, collect(world, 0));
        wait_settled(world, 0);
        take_back(world, 0, after);
    }
}

/* What is owed already goes in smaller payloads too. */
static void payloads_are_as_large_as_is_said_now(void **state)
{
    enum { ROWS = 20, READINGS = 5000, SMALL = 64 << 10 };
    struct world *world = *state;
    const size_t places[] = {0};
    struct parcel parcels[LENT];
    uint64_t rows = 0;
    for (int i = 0; i < ROWS; i++)
        put_some(world, SECTOR_WATER, READINGS);
    reload(world, ONE "," TWO,
           "{ name: city, urls: [ \"mqtt://a\" ], sectors: [water, manhole], max_payload: 64KiB }",
           places);
    take_back(world, 0, memset(parcels, 0, sizeof parcels)); /* as the uplink of before does */
    lend(world, 0, parcels);
    while (rows < ROWS) {
        struct parcel *parcel = collect(world, 0);
        assert_in_range(parcel->length, 1, SMALL);
        rows += parcel->rows;
        store_settle(world->store, 0, parcel);
        store_fetch(world->store, 0, parcel);
    }
    wait_settled(world, 0);
    take_back(world, 0, parcels);
}

/* Parcels that wait come back to whoever lent them. */
static void a_detached_uplink_gets_its_parcels_back(void **state)
{
    struct world *world = *state;
    struct parcel parcels[LENT];
    lend(world, 0, parcels);
    take_back(world, 0, parcels);
    put(world, SECTOR_WATER);
    const size_t places[] = {0};
    reload(world, ONE "," TWO, CITY, places);
    assert_null(store_collect(world->store, 0));
    for (size_t i = 0; i < sizeof parcels; i++)
        assert_int_equal(((const uint8_t *)parcels)[i], 0xa5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ids_stay_and_are_never_given_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changed_manifests_go_out_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_uplink_that_stays_keeps_what_is_in_flight, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(who_comes_owes_everything_and_who_goes_leaves_nothing,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_replaced_falls_silent_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(payloads_are_as_large_as_is_said_now, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_detached_uplink_gets_its_parcels_back, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
