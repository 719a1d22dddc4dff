/* What the store does about a broker that ends the connection, step by step: who is suspected, how
 * it is found out, and what is set aside.
 *
 * Drives the store by hand, a turn at a time (debtor_world.h): its thread does not run. */
#include "tests/unit/debtor_world.h"

#include "gateway/store/media.h"
#include "gateway/store/trim.h"

static void one_row_that_kills_is_set_aside(void **state)
{
    struct world *world = *state;
    int ends = 0;
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    for (connect(world, LENT); !deliver(world, 3, SIZE_MAX); connect(world, LENT)) {
        assert_true(ends++ < 30);
        put(world, SECTOR_GAS); /* life goes on */
    }
    print_message("%d connections ended\n", ends);
    assert_int_equal(world->gaps, 1);
    assert_int_equal(world->gap_first, 3);
    assert_int_equal(world->debtor->set_aside, 1);
    uint64_t last = world->store->epochs[0].last_seq[SECTOR_GAS];
    assert_int_equal(world->delivered, ((UINT64_C(2) << last) - 2) & ~UINT64_C(8));
    struct store_backlog backlog;
    backlog_report(world->store, 0, &backlog);
    assert_int_equal(backlog.readings, 0);
    assert_int_equal(backlog.ends[SECTOR_GAS].settled_seq, last);
    /* the row is there for queries */
    sqlite3_stmt *s = database_statement(world->store, STATEMENT_SEGMENT_LOOK);
    int64_t id = SEGMENT_ID(world->store->epochs[0].ordinal, SECTOR_GAS, 3);
    sqlite3_bind_int64(s, 1, id);
    sqlite3_bind_int64(s, 2, id);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    sqlite3_reset(s);
}

/* The pause of a sector that rests is over. */
static bool rest_ends(struct world *world, enum sector sector)
{
    struct rest *rest = &world->debtor->rests[sector];
    rest->until = clock_mono();
    return rest->on;
}

/* A row that is suspected does not go without its Manifest either; one that just fits, goes. */
static void a_suspect_waits_for_its_manifest(void **state)
{
    struct world *world = *state;
    open_with_device(world, 500);
    put(world, SECTOR_GAS);
    connect(world, LENT);
    collect(world);
    assert_int_equal(world->count, 2);
    size_t manifest = world->in_flight[0]->length;
    assert_int_equal(world->in_flight[0]->kind, PARCEL_MANIFEST);
    store_settle(world->store, 0, world->in_flight[0]);
    store_blame(world->store, 0, world->in_flight[1]);
    turn(world);
    assert_int_equal(world->debtor->suspects[0].last_seq, 1);
    world->max_payload = manifest - 1;
    connect(world, LENT);
    collect(world);
    assert_int_equal(world->count, 0);
    assert_true(world->debtor->owed[0][SECTOR_GAS].unfit);
    world->max_payload = manifest;
    connect(world, LENT);
    collect(world);
    assert_int_equal(world->count, 1);
    assert_int_equal(world->in_flight[0]->length, manifest);
    accept_all(world);
    assert_int_equal(world->debtor->readings, 0);
}

static void a_link_that_cuts_sets_nothing_aside(void **state)
{
    struct world *world = *state;
    size_t row = 0;
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    connect(world, LENT);
    collect(world);
    row = world->in_flight[0]->length / ROWS;
    for (size_t budget = 10; budget < 20 * row; budget += row / 3 + 1) {
        for (int i = 0; i < 25; i++) {
            rest_ends(world, SECTOR_GAS);
            connect(world, LENT);
            if (deliver(world, 0, budget))
                put(world, SECTOR_GAS);
        }
    }
    rest_ends(world, SECTOR_GAS);
    connect(world, LENT);
    assert_true(deliver(world, 0, SIZE_MAX));
    assert_int_equal(world->debtor->readings, 0);
    assert_int_equal(world->gaps, 0);
    assert_int_equal(world->debtor->set_aside, 0);
}

static void nobody_is_suspected(const struct world *world)
{
    for (int i = 0; i < SUSPECTS; i++)
        assert_int_equal(world->debtor->suspects[i].last_seq, 0);
}

/* So many connections that end; and then all is there but that row. */
static void ends_at_most(struct world *world, uint64_t poison, int most)
{
    int ends = 0;
    for (connect(world, LENT); !deliver(world, poison, SIZE_MAX); connect(world, LENT)) {
        assert_true(ends++ < 40);
        put(world, SECTOR_HEAT);
    }
    print_message("row %d: %d connections ended\n", (int)poison, ends);
    assert_in_range(ends, 4, most);
    assert_int_equal(world->gap_first, poison);
    assert_int_equal(world->debtor->readings, 0);
    nobody_is_suspected(world);
}

static void it_is_found_by_halves(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 32; i++)
        put(world, SECTOR_GAS);
    /* in flight, all of them alone, five halves, and the three trials */
    ends_at_most(world, 32, 11);
    assert_int_equal(world->delivered, 0xffffffff << 1 & ~(UINT64_C(1) << 32));
    for (int i = 0; i < 22; i++)
        put(world, SECTOR_GAS);
    ends_at_most(world, 33, 11);
    assert_int_equal(world->debtor->set_aside, 2);
}

/* Several in flight, and of none an acknowledgement arrives: only the one that does it again is set
 * aside, and the others pass one by one. */
static void lost_acknowledgements_blame_nobody(void **state)
{
    struct world *world = *state;
    world->most = 1;
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    connect(world, LENT);
    collect(world);
    assert_int_equal(world->count, ROWS);
    end_connection(world);
    ends_at_most(world, 3, 4);
    assert_int_equal(world->gaps, 1);
    assert_int_equal(world->debtor->set_aside, 1);
    assert_int_equal(world->delivered & 0x7e, 0x76);
}

/* A broker that goes down now and then: after each time what was in flight goes alone, in its old
 * order, and is cleared. */
static void a_flap_in_between_is_forgiven(void **state)
{
    struct world *world = *state;
    uint64_t next = 1;
    world->most = 1;
    for (int times = 0; times < 20; times++) {
        for (int i = 0; i < 3; i++)
            put(world, SECTOR_GAS);
        connect(world, LENT);
        collect(world);
        assert_int_equal(world->count, 3);
        end_connection(world);
        connect(world, LENT);
        for (collect(world); world->count; turn(world), collect(world)) {
            struct parcel *parcel = world->in_flight[0];
            assert_int_equal(world->count, 1);
            assert_true(parcel->alone);
            assert_int_equal(parcel->first_seq, next);
            next = parcel->last_seq + 1;
            store_settle(world->store, 0, parcel);
            lend_again(world, parcel);
            world->count = 0;
        }
        nobody_is_suspected(world);
    }
    assert_int_equal(next, 61);
    assert_int_equal(world->debtor->set_aside, 0);
}

/* Live data went before a backlog, and is live no more when it is tried again: still alone, and not
 * before what is older. As soon as one is found, nobody else goes alone. */
static void a_suspect_keeps_its_turn(void **state)
{
    struct world *world = *state;
    struct recent *recent = &world->store->recent[SECTOR_GAS];
    world->most = 1;
    for (int i = 0; i < 12; i++)
        put(world, SECTOR_GAS);
    *recent = (struct recent){.seq = {12}, .closed = {clock_mono()}, .count = 1};
    connect(world, LENT);
    collect(world);
    assert_int_equal(world->in_flight[0]->first_seq, 12);
    end_connection(world);
    recent->count = 0;
    connect(world, LENT);
    uint64_t next = 1;
    for (collect(world); world->count; turn(world), collect(world)) {
        struct parcel *parcel = world->in_flight[0];
        assert_int_equal(parcel->first_seq, next);
        assert_int_equal(parcel->alone, next < 6 || parcel->last_seq == 12);
        next = parcel->last_seq + 1;
        store_settle(world->store, 0, parcel);
        memmove(world->in_flight, world->in_flight + 1, --world->count * sizeof *world->in_flight);
        lend_again(world, parcel);
    }
    assert_int_equal(next, 13);
    nobody_is_suspected(world);
}

static void who_is_found_acquits_the_others(void **state)
{
    struct world *world = *state;
    world->most = 1;
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    connect(world, LENT);
    collect(world);
    end_connection(world);
    connect(world, LENT);
    assert_false(deliver(world, 1, SIZE_MAX));
    turn(world);
    for (int i = 0; i < SUSPECTS; i++)
        assert_true(world->debtor->suspects[i].last_seq <= 1);
    connect(world, LENT);
    collect(world);
    assert_int_equal(world->count, ROWS - 1);
}

static void what_is_refused_has_been_survived(void **state)
{
    struct world *world = *state;
    put(world, SECTOR_GAS);
    connect(world, LENT);
    collect(world);
    end_connection(world);
    connect(world, LENT);
    collect(world);
    assert_int_equal(world->count, 1);
    assert_true(world->in_flight[0]->alone);
    store_refuse(world->store, 0, world->in_flight[0]);
    turn(world);
    nobody_is_suspected(world);
    assert_int_equal(world->debtor->readings, 1);
}

static bool is_alone(const struct suspect *suspect)
{
    return suspect->convicted && suspect->first_seq == suspect->last_seq;
}

/* One row on which the broker has ended connections, and which is sent alone from now on. */
static struct suspect *until_alone(struct world *world, unsigned trials)
{
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    struct suspect *suspect = &world->debtor->suspects[0];
    for (int i = 0; !is_alone(suspect) || suspect->trials < trials; i++) {
        assert_true(i < 40);
        connect(world, LENT);
        deliver(world, 3, SIZE_MAX);
        postbox_read(world->store, 0);
        put(world, SECTOR_GAS);
        suspect = &world->debtor->suspects[0];
        for (int k = 0; k < SUSPECTS && !is_alone(suspect); k++)
            suspect = &world->debtor->suspects[k];
    }
    assert_int_equal(suspect->first_seq, 3);
    return suspect;
}

static void no_suspect_is_left(const struct world *world)
{
    for (int i = 0; i < SUSPECTS; i++)
        assert_false(is_alone(&world->debtor->suspects[i]));
}

static void a_trimmed_suspect_is_forgotten(void **state)
{
    struct world *world = *state;
    struct suspect *suspect = until_alone(world, 1);
    connect(world, LENT);
    world->store->quota = 1;
    for (int i = 0; i < 20; i++)
        (void)trim_run(world->store);
    world->store->quota = 64 << 20;
    assert_int_equal(world->debtor->owed[0][SECTOR_GAS].unacked.count, 0);
    alarm(20); /* a store that never returns from its turn */
    world->debtor->carried = suspect->reach;
    turn(world);
    accept_all(world);
    alarm(0);
    assert_int_equal(world->store->corrupt, 0);
    no_suspect_is_left(world);
}

static void a_damaged_suspect_becomes_one_gap(void **state)
{
    struct world *world = *state;
    until_alone(world, 0);
    assert_true(database_execute(world->store, "UPDATE segment SET crc=crc+1 WHERE id&255=3"));
    alarm(20);
    connect(world, LENT);
    accept_all(world);
    alarm(0);
    assert_int_equal(world->store->corrupt, 1);
    assert_int_equal(world->store->gaps, 1);
    assert_int_equal(world->debtor->readings, 0);
    no_suspect_is_left(world);
}

/* The disk fails, and perhaps another one is there afterwards. */
static void a_suspect_out_of_reach_stops_nothing(void **state)
{
    struct world *world = *state;
    until_alone(world, 0);
    assert_true(media_rescue(world->store, SQLITE_IOERR, 1));
    assert_true(world->store->in_memory);
    for (int i = 0; i < 2; i++) {
        put(world, SECTOR_HEAT);
        connect(world, LENT);
        collect(world);
        assert_int_equal(world->count, 1);
    }
    accept_all(world);
}

static void a_suspect_of_an_unknown_epoch_is_forgotten(void **state)
{
    struct world *world = *state;
    until_alone(world, 0)->epoch ^= 1;
    connect(world, LENT);
    accept_all(world);
    assert_int_equal(world->debtor->readings, 0);
    no_suspect_is_left(world);
}

/* The broker ends the connection on each of these rows of gas; false when it did. */
static bool deliver_but(struct world *world, uint64_t deadly)
{
    for (collect(world); world->count; turn(world), collect(world)) {
        struct parcel *parcel = world->in_flight[0];
        for (uint64_t seq = 1; seq < 64; seq++) {
            if (deadly >> seq & 1 && holds(parcel, seq)) {
                end_connection(world);
                return false;
            }
        }
        note(world, parcel);
        store_settle(world->store, 0, parcel);
        memmove(world->in_flight, world->in_flight + 1, --world->count * sizeof *world->in_flight);
        lend_again(world, parcel);
    }
    return true;
}

/* Connections until one lasts; the others' number. Other sectors have something on each. */
static int ends_until_calm(struct world *world, uint64_t deadly)
{
    int ends = 0;
    for (connect(world, LENT); !deliver_but(world, deadly); connect(world, LENT)) {
        assert_true(ends++ < 40);
        put(world, SECTOR_HEAT);
    }
    return ends;
}

static bool is_refused(const struct world *world, enum sector sector)
{
    struct store_backlog backlog;
    backlog_report(world->store, 0, &backlog);
    return backlog.refused[sector];
}

/* A topic that is not allowed: no row is at fault. */
static void a_sector_that_kills_is_refused(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 12; i++)
        put(world, i % 2 ? SECTOR_GAS : SECTOR_HEAT);
    assert_in_range(ends_until_calm(world, UINT64_MAX), 4, 10);
    assert_true(is_refused(world, SECTOR_GAS));
    assert_false(is_refused(world, SECTOR_HEAT));
    assert_int_equal(world->debtor->readings, 6);
    uint64_t tried[5];
    for (int i = 0; i < 5; i++) {
        put(world, SECTOR_GAS);
        put(world, SECTOR_HEAT);
        connect(world, LENT); /* a new connection is no reason to try */
        assert_true(deliver_but(world, UINT64_MAX));
        assert_true(rest_ends(world, SECTOR_GAS));
        turn(world);
        collect(world);
        assert_int_equal(world->count, 1);
        assert_true(world->in_flight[0]->alone);
        assert_int_equal(world->in_flight[0]->rows, 1);
        tried[i] = world->in_flight[0]->first_seq;
        assert_true(i == 0 || tried[i] != tried[i - 1]);
        end_connection(world);
        assert_int_equal(ends_until_calm(world, UINT64_MAX), 0);
        assert_int_equal(world->debtor->rests[SECTOR_GAS].pause_ms, 20000 << i);
        assert_true(is_refused(world, SECTOR_GAS));
    }
    assert_int_equal(world->debtor->readings, 11);
    rest_ends(world, SECTOR_GAS);
    turn(world);
    assert_true(deliver_but(world, 0)); /* on the same connection */
    assert_false(is_refused(world, SECTOR_GAS));
    connect(world, LENT);
    assert_true(deliver_but(world, 0));
    assert_int_equal(world->debtor->readings, 0);
    assert_int_equal(world->delivered, 0xffe);
    assert_int_equal(world->debtor->set_aside, 0);
    assert_int_equal(world->gaps, 0);
    nobody_is_suspected(world);
}

/* The probe's fate is not known: the link went, not the broker. */
static void a_lost_probe_is_sent_again(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    ends_until_calm(world, UINT64_MAX);
    for (int i = 0; i < 3; i++) {
        rest_ends(world, SECTOR_GAS);
        connect(world, LENT);
        collect(world);
        assert_int_equal(world->count, 1);
    }
    assert_int_equal(world->debtor->rests[SECTOR_GAS].pause_ms, 10000);
    assert_true(deliver_but(world, 0));
    ends_until_calm(world, 0);
    assert_int_equal(world->debtor->readings, 0);
}

/* Nobody knows whether it is the row or the sector until there is another row. */
static void a_lonely_row_waits_for_another(void **state)
{
    struct world *world = *state;
    put(world, SECTOR_GAS);
    put(world, SECTOR_HEAT);
    assert_in_range(ends_until_calm(world, 2), 4, 6);
    for (int i = 0; i < 4; i++) {
        assert_true(rest_ends(world, SECTOR_GAS));
        turn(world);
        assert_int_equal(ends_until_calm(world, 2), 1);
    }
    assert_int_equal(world->debtor->set_aside, 0);
    put(world, SECTOR_GAS);
    for (int i = 0; i < 2; i++) { /* in its turn */
        rest_ends(world, SECTOR_GAS);
        assert_in_range(ends_until_calm(world, 2), 0, 4);
    }
    assert_false(is_refused(world, SECTOR_GAS));
    assert_int_equal(world->debtor->set_aside, 1);
    assert_int_equal(world->gap_first, 1);
    assert_int_equal(world->debtor->readings, 0);
}

/* Neighbours, as of one device: the sector rests until a third row is acknowledged. */
static void neighbours_that_kill_are_set_aside(void **state)
{
    for (uint64_t deadly = 0x6; deadly <= 0x78; deadly += 0x72) {
        struct world *world = *state;
        for (int i = 0; i < 8; i++)
            put(world, SECTOR_GAS);
        int ends = 0, rests = 0;
        for (; world->debtor->readings; rests++) {
            assert_true(rests < 8);
            rest_ends(world, SECTOR_GAS);
            ends += ends_until_calm(world, deadly);
            put(world, SECTOR_GAS);
            ends += ends_until_calm(world, deadly);
        }
        print_message("%d connections ended, %d rests\n", ends, rests);
        assert_in_range(ends, 8, 40);
        uint64_t last = world->store->epochs[0].last_seq[SECTOR_GAS];
        assert_int_equal(world->delivered, ((UINT64_C(2) << last) - 2) & ~deadly);
        assert_int_equal(world->debtor->set_aside, __builtin_popcountll(deadly));
        assert_false(is_refused(world, SECTOR_GAS));
        (void)tear_down(state);
        (void)set_up(state);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(one_row_that_kills_is_set_aside),
        TEST(a_suspect_waits_for_its_manifest),
        TEST(a_link_that_cuts_sets_nothing_aside),
        TEST(it_is_found_by_halves),
        TEST(lost_acknowledgements_blame_nobody),
        TEST(a_flap_in_between_is_forgiven),
        TEST(a_suspect_keeps_its_turn),
        TEST(who_is_found_acquits_the_others),
        TEST(what_is_refused_has_been_survived),
        TEST(a_trimmed_suspect_is_forgotten),
        TEST(a_damaged_suspect_becomes_one_gap),
        TEST(a_suspect_out_of_reach_stops_nothing),
        TEST(a_suspect_of_an_unknown_epoch_is_forgotten),
        TEST(a_sector_that_kills_is_refused),
        TEST(a_lost_probe_is_sent_again),
        TEST(a_lonely_row_waits_for_another),
        TEST(neighbours_that_kill_are_set_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
