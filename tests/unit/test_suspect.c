/* What the store does about a broker that refuses, confirms late, or ends the connection, step by
 * step.
 * The store's thread does not run: its postbox is read and served by hand, one turn at a time.
 * Files lie under /tmp. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "gateway/store/internal.h"
#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"

enum { LENT = 8, ROWS = 6 };

struct world {
    char folder[64], path[96];
    struct settings_uplink uplink;
    struct settings settings;
    struct store *store;
    struct debtor *debtor;
    uint64_t generation;
    struct parcel parcels[LENT];
    struct parcel *in_flight[LENT]; /* in the order in which they were sent */
    size_t count;
    int64_t most;                        /* of a parcel; 0 = as a connection begins */
    uint64_t delivered, gap_first, gaps; /* numbers that arrived, one bit each */
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    snprintf(world->folder, sizeof world->folder, "/tmp/lifeline-suspect-XXXXXX");
    if (!mkdtemp(world->folder))
        return -1;
    snprintf(world->path, sizeof world->path, "%s/store.db", world->folder);
    world->uplink.name = (char *)"city";
    world->uplink.max_payload = 1 << 17;
    world->uplink.sectors[SECTOR_GAS] = world->uplink.sectors[SECTOR_HEAT] = true;
    world->settings.gateway.id = (char *)"gw-1";
    world->settings.gateway.region = (char *)"140502";
    world->settings.store.path = world->path;
    world->settings.store.segment_ms = 60000;
    world->settings.store.max_size = 64 << 20;
    world->settings.uplinks = &world->uplink;
    world->settings.uplink_count = 1;
    char why[200];
    world->store = store_open(&world->settings, why, sizeof why);
    if (!world->store)
        return -1;
    world->debtor = &world->store->debtors[0];
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    static const char *const names[] = {"store.db", "store.db-wal", "store.lock", "store.reserve"};
    char path[200];
    store_free(world->store);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", world->folder, names[i]);
        unlink(path);
    }
    rmdir(world->folder);
    for (size_t i = 0; i < LENT; i++)
        free(world->parcels[i].bytes);
    free(world);
    return 0;
}

/* A row of one reading, in the table and owed; as the commit would do it. */
static void put(struct world *world, enum sector sector)
{
    static const struct segment_column column = {.point = 1};
    static const struct segment_block block = {1, 1, &column};
    struct segment *segment = segment_new(&block, 1);
    const struct segment_start start = {.base_ms = 1000, .clock = CLOCK_STATE_SYNCED};
    const struct value value = {.steps = 5};
    segment_reset(segment, &start);
    assert_true(segment_add(segment, 0, 1000, &value));
    assert_true(store_put(world->store, 0, sector, segment, true));
    segment_free(segment);
    struct store *store = world->store;
    store->queue = store->mail;
    store->mail = NULL;
    store->mail_tail = &store->mail;
    assert_true(commit_all(store, false));
    commit_free_bodies(store->queue);
    store->queue = NULL;
}

static void turn(struct world *world)
{
    postbox_read(world->store, 0);
    postbox_serve(world->store, 0);
}

/* A connection begins; all parcels are lent anew. */
static void connect(struct world *world, size_t window)
{
    struct store_terms terms = {.window = window};
    while (store_collect(world->store, 0))
        ;
    assert_true(store_detach(world->store, 0));
    store_attach(world->store, 0, NULL, NULL);
    store_terms(world->store, 0, &terms);
    world->generation = store_renew(world->store, 0);
    world->count = 0;
    if (world->most)
        store_room(world->store, 0, 0, world->most);
    for (size_t i = 0; i < window; i++) {
        world->parcels[i].generation = world->generation;
        store_fetch(world->store, 0, &world->parcels[i]);
    }
    turn(world);
}

static void collect(struct world *world)
{
    struct parcel *parcel;
    while ((parcel = store_collect(world->store, 0)))
        world->in_flight[world->count++] = parcel;
}

static void note(struct world *world, const struct parcel *parcel)
{
    ProtobufCMessage *message = message_unpack(&lifeline__v1__data_batch__descriptor, parcel->bytes,
                                               parcel->length, parcel->length);
    assert_non_null(message);
    const Lifeline__V1__DataBatch *batch = (Lifeline__V1__DataBatch *)message;
    for (size_t i = 0; i < batch->n_segments; i++)
        world->delivered |= UINT64_C(1) << (batch->segments[i]->seq & 63);
    for (size_t i = 0; i < batch->n_gaps; i++) {
        assert_int_equal(batch->gaps[i]->reason, GAP_REASON_REFUSED);
        assert_int_equal(batch->gaps[i]->readings, 1);
        assert_int_equal(batch->gaps[i]->first_seq, batch->gaps[i]->last_seq);
        world->gap_first = batch->gaps[i]->first_seq;
        world->gaps++;
    }
    message_free(message);
}

static void lend_again(struct world *world, struct parcel *parcel)
{
    parcel->generation = world->generation;
    store_fetch(world->store, 0, parcel);
    store_room(world->store, 0, (int64_t)parcel->length, STORE_ROOM);
}

static bool holds(const struct parcel *parcel, uint64_t seq)
{
    return parcel->first_seq <= seq && seq <= parcel->last_seq;
}

/* The broker takes what it is sent, in order, until there is no more; false when it ended the
 * connection on that number. `budget`: the link ends after so many bytes. */
static bool deliver(struct world *world, uint64_t poison, size_t budget)
{
    for (collect(world); world->count; turn(world), collect(world)) {
        struct parcel *parcel = world->in_flight[0];
        bool dies = (poison && holds(parcel, poison)) || parcel->length > budget;
        if (dies) {
            store_blame(world->store, 0, parcel);
            return false;
        }
        if (parcel->alone)
            assert_int_equal(world->count, 1);
        budget -= parcel->length;
        note(world, parcel);
        store_settle(world->store, 0, parcel);
        memmove(world->in_flight, world->in_flight + 1, --world->count * sizeof *world->in_flight);
        lend_again(world, parcel);
    }
    return true;
}

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
            connect(world, LENT);
            if (deliver(world, 0, budget))
                put(world, SECTOR_GAS);
        }
    }
    connect(world, LENT);
    assert_true(deliver(world, 0, SIZE_MAX));
    assert_int_equal(world->gaps, 0);
    assert_int_equal(world->debtor->set_aside, 0);
}

static void a_flap_in_between_is_forgiven(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    for (int i = 0; i < 2; i++) {
        connect(world, LENT);
        assert_false(deliver(world, 1, SIZE_MAX));
    }
    connect(world, LENT);
    assert_true(deliver(world, 0, SIZE_MAX));
    for (int i = 0; i < SUSPECTS; i++)
        assert_int_equal(world->debtor->suspects[i].last_seq, 0);
}

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

/* One row on which the broker has ended connections, and which is sent alone from now on. */
static struct suspect *until_alone(struct world *world, unsigned trials)
{
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    struct suspect *suspect = &world->debtor->suspects[0];
    for (int i = 0; !suspect->alone || suspect->trials < trials; i++) {
        assert_true(i < 40);
        connect(world, LENT);
        deliver(world, 3, SIZE_MAX);
        postbox_read(world->store, 0);
        put(world, SECTOR_GAS);
        suspect = &world->debtor->suspects[0];
        for (int k = 0; k < SUSPECTS && !suspect->alone; k++)
            suspect = &world->debtor->suspects[k];
    }
    assert_int_equal(suspect->first_seq, 3);
    return suspect;
}

/* Everything is acknowledged until there is no more. */
static void accept_all(struct world *world)
{
    for (collect(world); world->count; turn(world), collect(world)) {
        for (size_t i = 0; i < world->count; i++) {
            store_settle(world->store, 0, world->in_flight[i]);
            lend_again(world, world->in_flight[i]);
        }
        world->count = 0;
    }
}

static void no_suspect_is_left(const struct world *world)
{
    for (int i = 0; i < SUSPECTS; i++)
        assert_false(world->debtor->suspects[i].alone);
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
        TEST(one_row_that_kills_is_set_aside),
        TEST(a_link_that_cuts_sets_nothing_aside),
        TEST(a_flap_in_between_is_forgiven),
        TEST(a_refused_sector_is_tried_with_one_parcel),
        TEST(what_is_not_confirmed_is_sent_again),
        TEST(the_third_time_too_large_is_once_too_often),
        TEST(a_trial_that_is_too_large_is_followed_by_another),
        TEST(history_leaves_slots_and_keeps_to_its_room),
        TEST(a_trimmed_suspect_is_forgotten),
        TEST(a_damaged_suspect_becomes_one_gap),
        TEST(a_suspect_out_of_reach_stops_nothing),
        TEST(a_suspect_of_an_unknown_epoch_is_forgotten),
        TEST(what_an_uplink_has_is_not_lost_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
