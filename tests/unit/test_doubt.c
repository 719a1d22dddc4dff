/* What the store does about a broker that ends the connection on a Manifest or on Gaps.
 *
 * Others than those of rows (test_suspect.c): nothing is halved, and nothing is set aside.
 * Drives the store by hand, a turn at a time (debtor_world.h): its thread does not run. */
#include "tests/unit/debtor_world.h"

static void nobody_is_suspected(const struct world *world)
{
    for (int i = 0; i < SUSPECTS; i++)
        assert_int_equal(world->debtor->suspects[i].last_seq, 0);
}

static bool is_refused(const struct world *world, enum sector sector)
{
    struct store_backlog backlog;
    backlog_report(world->store, 0, &backlog);
    return backlog.refused[sector];
}

static bool is_gas_manifest(const struct parcel *parcel)
{
    return parcel->kind == PARCEL_MANIFEST && parcel->sector == SECTOR_GAS;
}

static bool is_gas(const struct parcel *parcel)
{
    return parcel->sector == SECTOR_GAS;
}

static bool are_gas_gaps(const struct parcel *parcel)
{
    return is_gas(parcel) && parcel->last_gap;
}

static bool is_second_part(const struct parcel *parcel)
{
    return is_gas_manifest(parcel) && parcel->part == 2;
}

static bool is_none(const struct parcel *parcel)
{
    (void)parcel;
    return false;
}

/* Connections until one lasts; the others' number. The broker ends them on such parcels. */
static int ends_on(struct world *world, bool (*deadly)(const struct parcel *), bool connected)
{
    int ends = 0;
    if (!connected)
        connect(world, LENT);
    for (collect(world); world->count; turn(world), collect(world)) {
        struct parcel *parcel = world->in_flight[0];
        if (parcel->alone)
            assert_int_equal(world->count, 1);
        if (deadly(parcel)) {
            assert_true(ends++ < 40);
            end_connection(world);
            connect(world, LENT);
            world->count = 0;
            continue;
        }
        if (parcel->kind != PARCEL_MANIFEST && parcel->epoch == world->store->epochs[0].number &&
            parcel->first_seq)
            note(world, parcel);
        store_settle(world->store, 0, parcel);
        memmove(world->in_flight, world->in_flight + 1, --world->count * sizeof *world->in_flight);
        lend_again(world, parcel);
    }
    return ends;
}

static void end_rest(struct doubt *doubt)
{
    assert_true(doubt->rest.on);
    doubt->rest.until = clock_mono();
}

/* A topic that is not allowed, for its Manifest too. */
static void a_manifest_that_kills_rests_its_sector(void **state)
{
    struct world *world = *state;
    open_with_device(world, 10);
    struct doubt *doubt = &world->debtor->owed[0][SECTOR_GAS].doubt;
    for (int i = 0; i < 3; i++) {
        put(world, SECTOR_GAS);
        put(world, SECTOR_HEAT);
    }
    assert_int_equal(ends_on(world, is_gas, false), 2);
    assert_int_equal(world->debtor->readings, 3);
    assert_true(is_refused(world, SECTOR_GAS));
    assert_false(is_refused(world, SECTOR_HEAT));
    for (int i = 0; i < 4; i++) {
        put(world, SECTOR_GAS);
        put(world, SECTOR_HEAT);
        assert_int_equal(ends_on(world, is_gas, false), 0);
        assert_int_equal(doubt->rest.pause_ms, 10000 << i);
        end_rest(doubt);
        turn(world);
        assert_int_equal(ends_on(world, is_gas, true), 1);
    }
    assert_int_equal(world->debtor->readings, 7);
    end_rest(doubt);
    turn(world);
    assert_int_equal(ends_on(world, is_none, true), 0); /* on the same connection */
    assert_false(doubt->on);
    assert_false(is_refused(world, SECTOR_GAS));
    assert_int_equal(world->debtor->readings, 0);
    assert_int_equal(world->delivered, 0xfe);
    assert_int_equal(world->debtor->set_aside, 0);
    nobody_is_suspected(world);
}

/* The link went with the Manifest on trial, not the broker: tried again at once. */
static void a_lost_manifest_is_sent_again(void **state)
{
    struct world *world = *state;
    open_with_device(world, 10);
    put(world, SECTOR_GAS);
    ends_on(world, is_gas_manifest, false);
    for (int i = 0; i < 3; i++) {
        world->debtor->owed[0][SECTOR_GAS].doubt.rest.until = clock_mono();
        connect(world, LENT);
        collect(world);
        assert_int_equal(world->count, 1);
        assert_true(is_gas_manifest(world->in_flight[0]));
    }
    assert_int_equal(ends_on(world, is_none, false), 0);
    assert_int_equal(world->debtor->readings, 0);
}

/* A broker that just went down: all goes alone once, and is cleared. */
static void an_innocent_manifest_is_cleared(void **state)
{
    struct world *world = *state;
    open_with_device(world, 10);
    put(world, SECTOR_GAS);
    connect(world, LENT);
    collect(world);
    assert_int_equal(world->count, 2);
    end_connection(world);
    connect(world, LENT);
    collect(world);
    assert_int_equal(world->count, 1);
    assert_true(world->in_flight[0]->alone && is_gas_manifest(world->in_flight[0]));
    store_refuse(world->store, 0, world->in_flight[0]); /* it survives it */
    lend_again(world, world->in_flight[0]);
    world->count = 0;
    turn(world);
    assert_false(world->debtor->owed[0][SECTOR_GAS].doubt.on);
    assert_int_equal(ends_on(world, is_none, true), 0);
    assert_int_equal(world->debtor->readings, 0);
    nobody_is_suspected(world);
}

/* Each part alone; the last one's acknowledgement clears the whole. */
static void a_manifest_of_parts_is_tried_as_a_whole(void **state)
{
    struct world *world = *state;
    static struct profile_point points[] = {{.name = (char *)"level", .quantity = (char *)"level"},
                                            {.name = (char *)"depth", .quantity = (char *)"depth"}};
    static const struct profile profile = {
        .name = (char *)"two", .points = points, .point_count = 2};
    static struct settings_point settings[2];
    open_with_device(world, 10);
    world->settings.devices[0].profile = &profile;
    world->settings.devices[0].points = settings;
    die(world);
    world->debtor->max_payload = 1;
    put(world, SECTOR_GAS);
    assert_int_equal(ends_on(world, is_second_part, false), 2);
    assert_true(world->debtor->owed[0][SECTOR_GAS].doubt.rest.on);
    end_rest(&world->debtor->owed[0][SECTOR_GAS].doubt);
    turn(world);
    assert_int_equal(ends_on(world, is_none, true), 0);
    assert_int_equal(world->debtor->readings, 0);
}

/* Another epoch, whose Manifest the broker does not survive; and the Gap of its death. */
static void begin_another_epoch(struct world *world)
{
    open_with_device(world, 10);
    put(world, SECTOR_GAS);
    assert_true(database_execute(world->store, "UPDATE epoch SET machine=machine+1"));
    die(world);
    assert_int_equal(world->store->epoch_count, 2);
    put(world, SECTOR_GAS);
}

static uint64_t first_number;

static bool is_first_manifest(const struct parcel *parcel)
{
    return parcel->kind == PARCEL_MANIFEST && parcel->epoch == first_number;
}

static void an_old_manifest_stops_nothing_else(void **state)
{
    struct world *world = *state;
    begin_another_epoch(world);
    first_number = world->store->epochs[0].number;
    assert_in_range(ends_on(world, is_first_manifest, false), 1, 2);
    assert_int_equal(world->debtor->readings, 1);
    assert_true(is_refused(world, SECTOR_GAS));
    put(world, SECTOR_GAS);
    turn(world);
    assert_int_equal(ends_on(world, is_first_manifest, true), 0);
    assert_int_equal(world->debtor->readings, 1);
    end_rest(&world->debtor->owed[0][SECTOR_GAS].doubt);
    turn(world);
    assert_int_equal(ends_on(world, is_none, true), 0);
    assert_int_equal(world->debtor->readings, 0);
}

static void gaps_that_kill_stop_nothing_else(void **state)
{
    struct world *world = *state;
    begin_another_epoch(world);
    assert_in_range(ends_on(world, are_gas_gaps, false), 1, 2);
    assert_int_equal(world->debtor->readings, 0);
    assert_true(is_refused(world, SECTOR_GAS));
    put(world, SECTOR_GAS);
    turn(world);
    assert_int_equal(ends_on(world, are_gas_gaps, true), 0);
    assert_int_equal(world->debtor->readings, 0);
    end_rest(&world->debtor->gap_doubts[SECTOR_GAS]);
    turn(world);
    assert_int_equal(ends_on(world, are_gas_gaps, true), 1);
    assert_int_equal(world->debtor->gap_doubts[SECTOR_GAS].rest.pause_ms, 20000);
    end_rest(&world->debtor->gap_doubts[SECTOR_GAS]);
    turn(world);
    assert_int_equal(ends_on(world, is_none, true), 0);
    assert_false(is_refused(world, SECTOR_GAS));
    assert_false(world->debtor->gaps[SECTOR_GAS].pending);
}

static void who_is_found_acquits_the_others(void **state)
{
    struct world *world = *state;
    begin_another_epoch(world);
    connect(world, LENT);
    collect(world);
    end_connection(world);
    connect(world, LENT);
    collect(world);
    assert_int_equal(world->count, 1);
    assert_true(world->debtor->gap_doubts[SECTOR_GAS].on);
    assert_true(world->debtor->owed[0][SECTOR_GAS].doubt.on);
    end_connection(world);
    turn(world);
    assert_true(world->debtor->owed[1][SECTOR_GAS].doubt.rest.on);
    assert_false(world->debtor->gap_doubts[SECTOR_GAS].on);
    assert_false(world->debtor->owed[0][SECTOR_GAS].doubt.on);
}

static bool is_first_row(const struct parcel *parcel)
{
    return holds(parcel, 1);
}

/* The first connection on which such a parcel is in flight ends. */
static void end_once(struct world *world, bool (*deadly)(const struct parcel *))
{
    connect(world, LENT);
    for (collect(world); !deadly(world->in_flight[0]); turn(world), collect(world)) {
        struct parcel *parcel = world->in_flight[0];
        store_settle(world->store, 0, parcel);
        memmove(world->in_flight, world->in_flight + 1, --world->count * sizeof *world->in_flight);
        lend_again(world, parcel);
    }
    end_connection(world);
}

/* A row in its trials whose Manifest is in doubt: rows of other sectors do not wait for it. */
static void a_row_without_its_manifest_stops_nobody(void **state)
{
    struct world *world = *state;
    open_with_device(world, 10);
    put(world, SECTOR_GAS);
    end_once(world, is_first_row);
    end_once(world, is_first_row);
    end_once(world, is_gas_manifest);
    end_once(world, is_gas_manifest);
    assert_int_equal(world->debtor->suspects[0].trials, 1);
    world->debtor->suspects[0].reach = 0; /* its next trial is at any time */
    put(world, SECTOR_HEAT);
    connect(world, LENT);
    collect(world);
    assert_int_equal(world->count, 1);
    assert_true(world->debtor->owed[0][SECTOR_GAS].doubt.rest.on);
    end_connection(world);
    connect(world, LENT);
    collect(world);
    assert_int_equal(world->count, 1);
    assert_true(world->in_flight[0]->alone);
    assert_int_equal(world->in_flight[0]->sector, SECTOR_HEAT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_manifest_that_kills_rests_its_sector), TEST(a_lost_manifest_is_sent_again),
        TEST(an_innocent_manifest_is_cleared),        TEST(a_manifest_of_parts_is_tried_as_a_whole),
        TEST(an_old_manifest_stops_nothing_else),     TEST(gaps_that_kill_stop_nothing_else),
        TEST(who_is_found_acquits_the_others),        TEST(a_row_without_its_manifest_stops_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
