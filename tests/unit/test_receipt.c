/* What the store does with what a broker or a platform says of a parcel, step by step: refused, too
 * large, not confirmed.
 *
 * Drives the store by hand, a turn at a time (debtor_world.h): its thread does not run. */
#include "tests/unit/debtor_world.h"

#include "gateway/store/trim.h"

static void a_refused_sector_is_tried_with_one_parcel(void **state)
{
    struct world *world = *state;
    struct rest *rest = &world->debtor->rests[SECTOR_GAS];
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    connect(world, LENT);
    for (int64_t pause_ms = 10000; pause_ms < 1000000; pause_ms *= 2) {
        collect(world);
        assert_int_equal(world->count, 1);
        struct parcel *parcel = world->in_flight[0];
        assert_int_equal(parcel->first_seq, 1);
        store_refuse(world->store, 0, parcel);
        lend_again(world, parcel);
        world->count = 0;
        put(world, SECTOR_HEAT); /* others go on */
        turn(world);
        collect(world);
        assert_int_equal(world->count, 1);
        assert_int_equal(world->in_flight[0]->sector, SECTOR_HEAT);
        store_settle(world->store, 0, world->in_flight[0]);
        lend_again(world, world->in_flight[0]);
        world->count = 0;
        turn(world);
        assert_true(rest->on);
        assert_int_equal(rest->pause_ms, pause_ms < 600000 ? pause_ms : 600000);
        rest->until = clock_mono();
        turn(world);
    }
    assert_true(deliver(world, 0, SIZE_MAX));
    assert_false(rest->on);
    assert_int_equal(world->delivered & 0x7e, 0x7e);
}

static void what_is_not_confirmed_is_sent_again(void **state)
{
    struct world *world = *state;
    put(world, SECTOR_GAS);
    put(world, SECTOR_GAS);
    connect(world, LENT);
    for (int64_t pause_ms = 600000; pause_ms <= 1200000; pause_ms *= 2) {
        collect(world);
        assert_int_equal(world->count, 1);
        assert_int_equal(world->in_flight[0]->rows, 2);
        store_sent(world->store, 0, world->in_flight[0]);
        lend_again(world, world->in_flight[0]);
        world->count = 0;
        turn(world);
        collect(world);
        assert_int_equal(world->count, 0);
        assert_int_equal(world->debtor->readings, 2);
        assert_int_equal(world->debtor->again_ms, pause_ms);
        world->debtor->again_at = clock_mono();
        turn(world);
    }
    world->store->told[0] = world->store->epochs[0]; /* as publish_status() does */
    uint64_t epoch = world->store->epochs[0].number;
    assert_int_equal(store_confirm(world->store, 0, epoch ^ 1, SECTOR_GAS, 1, 2),
                     STORE_CONFIRM_UNKNOWN);
    assert_int_equal(store_confirm(world->store, 0, epoch, SECTOR_GAS, 3, 9),
                     STORE_CONFIRM_UNKNOWN);
    assert_int_equal(store_confirm(world->store, 0, epoch, SECTOR_GAS, 1, UINT64_MAX),
                     STORE_CONFIRMED);
    turn(world);
    assert_int_equal(world->debtor->readings, 0);
    assert_int_equal(world->debtor->owed[0][SECTOR_GAS].unacked.count, 0);
}

static void the_third_time_too_large_is_once_too_often(void **state)
{
    struct world *world = *state;
    put(world, SECTOR_GAS);
    for (int times = 1; times <= 3; times++) {
        connect(world, LENT);
        collect(world);
        assert_int_equal(world->count, 1);
        store_too_large(world->store, 0, world->in_flight[0]);
        lend_again(world, world->in_flight[0]);
        world->count = 0;
        turn(world);
        assert_int_equal(world->debtor->set_aside, times == 3);
    }
    assert_true(deliver(world, 0, SIZE_MAX));
    assert_int_equal(world->gap_first, 1);
}

/* Its rows wait for it, and the status says so; other sectors go on. */
static void nothing_goes_without_its_manifest(void **state)
{
    struct world *world = *state;
    struct store_backlog backlog;
    open_with_device(world, 500);
    put(world, SECTOR_GAS);
    put(world, SECTOR_GAS);
    put(world, SECTOR_HEAT);
    world->store->recent[SECTOR_GAS] =
        (struct recent){.seq = {2}, .closed = {clock_mono()}, .count = 1};
    world->max_payload = 300;
    connect(world, LENT);
    collect(world);
    assert_int_equal(world->count, 1);
    assert_int_equal(world->in_flight[0]->sector, SECTOR_HEAT);
    accept_all(world);
    backlog_report(world->store, 0, &backlog);
    assert_true(backlog.refused[SECTOR_GAS]);
    assert_false(backlog.refused[SECTOR_HEAT]);
    assert_int_equal(backlog.readings, 2);
    world->max_payload = 0;
    connect(world, LENT);
    collect(world);
    assert_int_equal(world->count, 3);
    assert_int_equal(world->in_flight[0]->kind, PARCEL_MANIFEST);
    assert_true(world->in_flight[0]->length > 500);
    assert_int_equal(world->in_flight[1]->kind, PARCEL_LIVE);
    assert_int_equal(world->in_flight[2]->kind, PARCEL_HISTORY);
    accept_all(world);
    backlog_report(world->store, 0, &backlog);
    assert_false(backlog.refused[SECTOR_GAS]);
    assert_int_equal(backlog.readings, 0);
}

static void a_trial_that_is_too_large_is_followed_by_another(void **state)
{
    struct world *world = *state;
    struct rest *rest = &world->debtor->rests[SECTOR_GAS];
    put(world, SECTOR_GAS);
    connect(world, LENT);
    collect(world);
    store_refuse(world->store, 0, world->in_flight[0]);
    lend_again(world, world->in_flight[0]);
    turn(world);
    rest->until = clock_mono();
    turn(world);
    world->count = 0;
    collect(world);
    assert_int_equal(world->count, 1);
    store_too_large(world->store, 0, world->in_flight[0]);
    lend_again(world, world->in_flight[0]);
    world->count = 0;
    put(world, SECTOR_GAS);
    turn(world);
    collect(world);
    assert_int_equal(world->count, 1);
    assert_int_equal(world->in_flight[0]->first_seq, 2);
    assert_true(deliver(world, 0, SIZE_MAX));
    assert_false(rest->on);
}

/* A slot for live and one for alarms, where there are so many; the room is not exceeded. */
static void history_leaves_slots_and_keeps_to_its_room(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 40; i++)
        put(world, SECTOR_GAS);
    world->most = 1; /* one row a parcel */
    for (size_t window = 1; window <= LENT; window++) {
        connect(world, window);
        collect(world);
        assert_int_equal(world->count, window > 3 ? window - 2 : window > 1 ? window - 1 : 1);
    }
    for (int i = 0; i < 200; i++)
        put(world, SECTOR_HEAT);
    world->most = 0;
    connect(world, LENT);
    collect(world);
    size_t bytes = 0;
    for (size_t i = 0; i < world->count; i++)
        bytes += world->in_flight[i]->length;
    assert_in_range(bytes, STORE_ROOM / 2, STORE_ROOM + 200);
}

/* Numbers and readings of the Gaps that an uplink is to be told. */
static uint64_t sum_gaps(const struct world *world, const struct debtor *debtor, uint64_t *readings)
{
    sqlite3_stmt *s = NULL;
    assert_int_equal(sqlite3_prepare_v2(world->store->db,
                                        "SELECT sum(last_seq-first_seq+1),sum(readings) FROM gap "
                                        "WHERE uplink=?1",
                                        -1, &s, NULL),
                     SQLITE_OK);
    sqlite3_bind_int64(s, 1, debtor->row);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    uint64_t numbers = (uint64_t)sqlite3_column_int64(s, 0);
    *readings = (uint64_t)sqlite3_column_int64(s, 1);
    sqlite3_finalize(s);
    return numbers;
}

/* Two uplinks, of which one has all but one row: a loss is only the other's. */
static void what_an_uplink_has_is_not_lost_to_it(void **state)
{
    struct world *world = *state;
    struct settings_uplink two[2] = {world->uplink, world->uplink};
    char why[200];
    uint64_t readings;
    two[1].name = (char *)"dead";
    store_free(world->store);
    world->settings.uplinks = two;
    world->settings.uplink_count = 2;
    assert_non_null(world->store = store_open(&world->settings, why, sizeof why));
    struct debtor *city = world->debtor = &world->store->debtors[0];
    struct debtor *dead = &world->store->debtors[1];
    for (int i = 0; i < 5; i++)
        put(world, SECTOR_GAS);
    connect(world, LENT);
    accept_all(world);
    put(world, SECTOR_HEAT); /* the one that city owes */
    assert_int_equal(city->readings, 1);
    assert_int_equal(dead->readings, 6);
    assert_true(database_execute(world->store, "DELETE FROM segment WHERE id&255=3"));
    struct ranges *owed = &dead->owed[0][SECTOR_GAS].unacked;
    assert_true(ranges_remove(owed, 2, 2)); /* it has this one */
    dead->readings--;
    world->store->quota = 1;
    assert_true(database_execute(world->store,
                                 "UPDATE segment SET base_ms=2000 WHERE"
                                 " (id>>40&255)<>%d",
                                 SECTOR_GAS));
    while (owed->count)
        (void)trim_run(world->store);
    uint64_t heat = city->owed[0][SECTOR_HEAT].unacked.count ? 0 : 1;
    assert_int_equal(sum_gaps(world, dead, &readings), 4 + heat);
    assert_int_equal(sum_gaps(world, city, &readings), heat);
    assert_int_equal(readings, heat);
    assert_int_equal(city->readings, 1 - heat);
    world->settings.uplinks = &world->uplink;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_refused_sector_is_tried_with_one_parcel),
        TEST(what_is_not_confirmed_is_sent_again),
        TEST(the_third_time_too_large_is_once_too_often),
        TEST(nothing_goes_without_its_manifest),
        TEST(a_trial_that_is_too_large_is_followed_by_another),
        TEST(history_leaves_slots_and_keeps_to_its_room),
        TEST(what_an_uplink_has_is_not_lost_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
