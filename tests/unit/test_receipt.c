/* What the store does with what a broker or a platform says of a parcel, step by step: refused, too
 * large, not confirmed.
 *
 * Drives the store by hand, a turn at a time (debtor_world.h): its thread does not run. */
#include "tests/unit/debtor_world.h"

#include "gateway/store/resend.h"
#include "gateway/store/trim.h"

static void a_refused_sector_is_tried_with_one_parcel(void **state)
{
    struct world *world = *state;
    struct rest *rest = &world->debtor->refusals[false][SECTOR_GAS].rest;
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    connect(world, LENT);
    for (int64_t pause_ms = 10000; pause_ms < 1000000; pause_ms *= 2) {
        collect(world);
        assert_int_equal(world->count, 1);
        struct parcel *parcel = world->in_flight[0];
        assert_int_equal(parcel->first_seq, 1);
        store_forbid(world->store, 0, parcel);
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

/* A broker that has the word on every parcel; returns how many it refused. `bad`: bits of gas. */
static int judge_all(struct world *world, uint64_t bad)
{
    int refused = 0;
    for (collect(world); world->count; turn(world), collect(world)) {
        struct parcel *parcel = world->in_flight[0];
        bool refuses = false;
        for (uint64_t seq = 1; seq < 64; seq++)
            refuses |= bad >> seq & 1 && holds(parcel, seq);
        refused += refuses;
        if (refuses) {
            store_refuse(world->store, 0, parcel);
        } else {
            for (uint64_t seq = parcel->first_seq; seq && seq <= parcel->last_seq; seq++)
                assert_false(parcel->sector == SECTOR_GAS && world->delivered >> seq & 1);
            note(world, parcel);
            store_settle(world->store, 0, parcel);
        }
        memmove(world->in_flight, world->in_flight + 1, --world->count * sizeof *world->in_flight);
        lend_again(world, parcel);
    }
    return refused;
}

/* The newest of gas are live, so many; here all are history else. */
static void make_live(struct world *world, uint64_t count)
{
    struct recent *recent = &world->store->recent[SECTOR_GAS];
    uint64_t newest = world->store->epochs[0].last_seq[SECTOR_GAS];
    *recent = (struct recent){0};
    for (uint64_t seq = newest > count ? newest - count + 1 : 1; count && seq <= newest; seq++) {
        recent->seq[recent->count] = seq;
        recent->closed[recent->count++] = clock_mono();
    }
}

static void put_many(struct world *world, int count)
{
    for (int i = 0; i < count; i++)
        put(world, SECTOR_GAS);
}

/* Others of its topic are taken, so it is the row: nothing waits for it, and the third time it is
 * set aside. */
static void find_row(struct world *world, bool live)
{
    struct debtor *debtor = world->debtor;
    put_many(world, 13);
    for (int times = 1; times <= 3; times++) {
        make_live(world, live ? 20 : 0);
        connect(world, LENT);
        put(world, SECTOR_GAS); /* after what is in flight */
        make_live(world, live ? 20 : 0);
        turn(world);
        assert_in_range(judge_all(world, 1 << 5), 1, 6);
        for (int of = 0; of < 2; of++)
            assert_false(debtor->refusals[of][SECTOR_GAS].rest.on);
        assert_int_equal(debtor->set_aside, times == 3);
        assert_int_equal(debtor->readings, times < 3);
        if (times < 3) { /* it waits for a connection, or for 10 min */
            assert_int_equal(debtor->again_ms, 600000);
            turn(world);
            collect(world);
            assert_int_equal(world->count, 0);
        }
    }
    assert_int_equal(world->gap_first, 5);
    assert_int_equal(world->gaps, 1);
    assert_int_equal(world->delivered, 0x1ffde);
}

static void a_row_that_is_refused_is_found(void **state)
{
    find_row(*state, false);
}

static void a_live_row_that_is_refused_is_found(void **state)
{
    find_row(*state, true);
}

/* An access list, or a quota: nothing is at fault, whatever the reason says. Two messages after
 * each pause, the second always another one. */
static void where_all_is_refused_nothing_is_set_aside(void **state)
{
    struct world *world = *state;
    struct rest *rest = &world->debtor->refusals[false][SECTOR_GAS].rest;
    put_many(world, 5);
    connect(world, LENT);
    for (int64_t pause_ms = 10000; pause_ms < 1000000; pause_ms *= 2) {
        assert_int_equal(judge_all(world, UINT64_MAX), pause_ms == 10000 ? 3 : 2);
        assert_true(rest->on);
        assert_int_equal(rest->pause_ms, pause_ms < 600000 ? pause_ms : 600000);
        rest->until = clock_mono();
        turn(world);
    }
    assert_int_equal(judge_all(world, 0), 0);
    assert_int_equal(world->delivered, 0x3e);
    assert_int_equal(world->debtor->set_aside + world->gaps, 0);
    assert_int_equal(world->debtor->readings, 0);
}

static void rows_that_are_refused_side_by_side_are_all_found(void **state)
{
    struct world *world = *state;
    struct debtor *debtor = world->debtor;
    struct rest *rest = &debtor->refusals[false][SECTOR_GAS].rest;
    put_many(world, 12);
    connect(world, 1);
    store_room(world->store, 0, 0, 1); /* one row a parcel from now on */
    for (int pauses = 0; debtor->readings > 3 && pauses < 5; pauses++) {
        (void)judge_all(world, 7 << 1);
        rest->until = clock_mono();
        turn(world);
    }
    assert_int_equal(world->delivered, 0x1ff0);
    assert_int_equal(debtor->set_aside, 0);
    assert_int_equal(debtor->owed[0][SECTOR_GAS].waiting.count, 1);
    assert_false(rest->on);
}

/* Not one pause for each: behind them is one that is taken. */
static void nor_do_many_of_them_keep_the_others(void **state)
{
    enum { BAD = 40, ALL = 50 };
    struct world *world = *state;
    struct debtor *debtor = world->debtor;
    struct rest *rest = &debtor->refusals[false][SECTOR_GAS].rest;
    int pauses = 0;
    put_many(world, ALL);
    connect(world, 1);
    store_room(world->store, 0, 0, 1);
    while (debtor->readings > BAD) {
        assert_in_range(pauses, 0, 3);
        (void)judge_all(world, (UINT64_C(2) << BAD) - 2);
        pauses += rest->on;
        rest->until = clock_mono();
        turn(world);
    }
    assert_int_equal(world->delivered, (UINT64_C(2) << ALL) - (UINT64_C(2) << BAD));
    assert_int_equal(debtor->set_aside, 0);
    assert_int_equal(debtor->owed[0][SECTOR_GAS].waiting.count, 1);
}

/* More than there are places to count their trials in. */
static void each_of_very_many_is_set_aside(void **state)
{
    enum { MANY = 2 * MISFITS + 2, ROUNDS = 9 };
    struct world *world = *state;
    struct debtor *debtor = world->debtor;
    const struct ranges *owed = &debtor->owed[0][SECTOR_GAS].unacked;
    put_many(world, MANY);
    for (int i = 0; i < ROUNDS; i++) {
        for (uint64_t seq = 1; seq <= MANY; seq++) {
            const struct receipt receipt = {.sector = SECTOR_GAS,
                                            .epoch = world->store->epochs[0].number,
                                            .first_seq = seq,
                                            .last_seq = seq,
                                            .rows = 1};
            if (ranges_contains(owed, seq))
                resend_misfit(world->store, debtor, &receipt, "made up");
        }
    }
    assert_int_equal(owed->count, 0);
    assert_int_equal(debtor->set_aside, MANY);
}

/* What is at fault went another way, as live rows do that grow old: the others do not wait for it.
 */
static void a_search_ends(void **state)
{
    struct world *world = *state;
    struct refusal *refusal = &world->debtor->refusals[true][SECTOR_GAS];
    put_many(world, 4);
    make_live(world, 4);
    connect(world, LENT);
    collect(world);
    store_refuse(world->store, 0, world->in_flight[0]);
    lend_again(world, world->in_flight[0]);
    world->count = 0;
    turn(world);
    collect(world);
    assert_int_equal(world->in_flight[0]->rows, 1);
    note(world, world->in_flight[0]);
    store_settle(world->store, 0, world->in_flight[0]);
    turn(world);
    assert_true(refusal->guilty);
    assert_int_equal(refusal->first_seq, 2);
    put_many(world, 2);
    make_live(world, 2);
    turn(world);
    lend_again(world, world->in_flight[0]);
    world->count = 0;
    refusal->until = clock_mono();
    turn(world);
    assert_int_equal(judge_all(world, 0), 0);
    assert_int_equal(world->delivered, 0x7e);
    assert_false(refusal->guilty);
}

/* A reason that speaks of the topic is no word on a row, also where others were taken. */
static void what_is_forbidden_is_no_fault_of_a_row(void **state)
{
    struct world *world = *state;
    struct debtor *debtor = world->debtor;
    for (int times = 0; times < 5; times++) {
        connect(world, LENT);
        put(world, SECTOR_GAS);
        turn(world);
        collect(world);
        store_forbid(world->store, 0, world->in_flight[0]);
        lend_again(world, world->in_flight[0]);
        for (size_t i = 1; i < world->count; i++) {
            store_settle(world->store, 0, world->in_flight[i]);
            lend_again(world, world->in_flight[i]);
        }
        world->count = 0;
        turn(world);
        assert_int_equal(judge_all(world, 0), 0);
        assert_true(debtor->refusals[false][SECTOR_GAS].rest.on);
    }
    assert_int_equal(debtor->set_aside, 0);
    assert_int_equal(debtor->owed[0][SECTOR_GAS].waiting.count, 0);
    connect(world, LENT);
    assert_int_equal(judge_all(world, 0), 0);
    assert_int_equal(debtor->readings, 0);
}

/* Topics rest each for itself. */
static void live_rows_do_not_wait_for_history_that_is_refused(void **state)
{
    struct world *world = *state;
    struct debtor *debtor = world->debtor;
    put_many(world, 3);
    connect(world, LENT);
    assert_int_equal(judge_all(world, 0xe), 3);
    assert_true(debtor->refusals[false][SECTOR_GAS].rest.on);
    put_many(world, 3);
    make_live(world, 3);
    turn(world);
    assert_int_equal(judge_all(world, 0xe), 0);
    assert_int_equal(world->delivered, 0x70);
    struct store_backlog backlog;
    backlog_report(world->store, 0, &backlog);
    assert_true(backlog.refused[SECTOR_GAS]);
}

/* Gaps that are refused are kept, and rows do not wait for them. */
static void gaps_that_are_refused_rest_alone(void **state)
{
    struct world *world = *state;
    struct debtor *debtor = world->debtor;
    put(world, SECTOR_GAS);
    resend_never(world->store, debtor, 0, SECTOR_GAS, 1);
    connect(world, LENT);
    for (int64_t pause_ms = 10000; pause_ms <= 20000; pause_ms *= 2) {
        collect(world);
        assert_int_equal(world->count, 1);
        assert_int_not_equal(world->in_flight[0]->last_gap, 0);
        store_refuse(world->store, 0, world->in_flight[0]);
        lend_again(world, world->in_flight[0]);
        world->count = 0;
        turn(world);
        put(world, SECTOR_GAS);
        turn(world);
        collect(world);
        assert_int_equal(world->count, 1);
        assert_int_equal(world->in_flight[0]->rows, 1);
        accept_all(world);
        assert_int_equal(debtor->gap_rests[SECTOR_GAS].pause_ms, pause_ms);
        debtor->gap_rests[SECTOR_GAS].until = clock_mono();
        turn(world);
    }
    assert_int_equal(judge_all(world, 0), 0);
    assert_int_equal(world->gaps, 1);
    assert_false(debtor->gap_rests[SECTOR_GAS].on);
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
    struct rest *rest = &world->debtor->refusals[false][SECTOR_GAS].rest;
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
        TEST(a_row_that_is_refused_is_found),
        TEST(a_live_row_that_is_refused_is_found),
        TEST(where_all_is_refused_nothing_is_set_aside),
        TEST(rows_that_are_refused_side_by_side_are_all_found),
        TEST(nor_do_many_of_them_keep_the_others),
        TEST(each_of_very_many_is_set_aside),
        TEST(a_search_ends),
        TEST(what_is_forbidden_is_no_fault_of_a_row),
        TEST(live_rows_do_not_wait_for_history_that_is_refused),
        TEST(gaps_that_are_refused_rest_alone),
        TEST(what_is_not_confirmed_is_sent_again),
        TEST(the_third_time_too_large_is_once_too_often),
        TEST(nothing_goes_without_its_manifest),
        TEST(a_trial_that_is_too_large_is_followed_by_another),
        TEST(history_leaves_slots_and_keeps_to_its_room),
        TEST(what_an_uplink_has_is_not_lost_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
