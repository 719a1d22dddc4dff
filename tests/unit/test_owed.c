/* What an uplink is said to owe, in memory and on the disk, while rows go: by the quota, by a disk
 * that cannot be read, by a platform's word. Whatever dies in between, no row that was delivered
 * becomes a Gap, and none that was not is forgotten.
 * The store's thread does not run; files lie under /tmp. */
#include "gateway/store/debts.h"
#include "gateway/store/media.h"
#include "gateway/store/salvage.h"
#include "tests/unit/debtor_world.h"
#include "tests/unit/faulty_disk.h"

#include "gateway/store/trim.h"
#include "proto/batch.h"

/* Rows that were acknowledged make way, and the process dies before the next commit. */
static void what_was_delivered_is_no_gap_after_a_death(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    connect(world, LENT);
    accept_all(world);
    assert_int_equal(world->debtor->readings, 0);
    world->store->quota = 1;
    (void)trim_run(world->store);
    die(world);
    put(world, SECTOR_GAS);
    connect(world, LENT);
    accept_all(world);
    assert_int_equal(world->store->corrupt, 0);
    assert_int_equal(world->debtor->readings, 0);
}

/* The Gaps that the uplink is sent, as they come. */
static size_t receive_gaps(struct world *world, struct batch_gap *gaps, size_t most)
{
    size_t count = 0;
    connect(world, LENT);
    for (collect(world); world->count; world->count--) {
        const struct parcel *parcel = world->in_flight[world->count - 1];
        Lifeline__V1__DataBatch *batch = decode(parcel);
        for (size_t i = 0; i < batch->n_gaps && count < most; i++) {
            const Lifeline__V1__Gap *gap = batch->gaps[i];
            gaps[count++] = (struct batch_gap){.first_seq = gap->first_seq,
                                               .last_seq = gap->last_seq,
                                               .from_ms = gap->from_ms,
                                               .to_ms = gap->to_ms,
                                               .readings = gap->readings};
        }
        message_free(&batch->base);
    }
    return count;
}

/* Devices of a sector take turns: who closes its segment later may have begun it earlier. The Gap
 * that is there keeps its begin, by which a receiver knows it, so that it is another one. */
static void what_begins_before_a_gap_is_not_left_out_of_it(void **state)
{
    struct world *world = *state;
    const struct batch_gap expected[] = {
        {.first_seq = 1, .last_seq = 2, .from_ms = 3000, .to_ms = 4000, .readings = 2},
        {.first_seq = 3, .last_seq = 5, .from_ms = 1000, .to_ms = 5000, .readings = 3},
    };
    static const int64_t begin_ms[] = {3000, 4000, 1000, 5000, 2000};
    struct batch_gap gaps[LENT];
    for (size_t i = 0; i < sizeof begin_ms / sizeof *begin_ms; i++)
        put_at(world, SECTOR_GAS, begin_ms[i]);
    world->store->quota = 1;
    while (trim_run(world->store))
        ;
    assert_int_equal(receive_gaps(world, gaps, LENT), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(gaps[i].first_seq, expected[i].first_seq);
        assert_int_equal(gaps[i].last_seq, expected[i].last_seq);
        assert_int_equal(gaps[i].from_ms, expected[i].from_ms);
        assert_int_equal(gaps[i].to_ms, expected[i].to_ms);
        assert_int_equal(gaps[i].readings, expected[i].readings);
    }
}

enum { MANY = 400 };

/* A leaf in the middle of the rows becomes unreadable. */
static void spoil_a_page(struct world *world)
{
    enum { PAGE = 4096, LEAF = 13, ROWS_MIN = 20 };
    uint8_t page[PAGE];
    int leaves = 0;
    die(world); /* all of it in the file, and nothing in memory */
    FILE *file = fopen(world->path, "re");
    assert_non_null(file);
    assert_int_equal(fseek(file, PAGE, SEEK_SET), 0);
    for (long at = PAGE; fread(page, PAGE, 1, file) == 1; at += PAGE) {
        leaves += page[0] == LEAF && (page[3] << 8 | page[4]) > ROWS_MIN;
        if (leaves == 3) {
            disk.bad_from = at;
            disk.bad_to = at + PAGE;
            break;
        }
    }
    fclose(file);
    assert_int_equal(leaves, 3);
}

/* What is owed of many rows when all that lie before the unreadable page have gone. */
static struct owed *deliver_up_to_a_spoilt_page(struct world *world)
{
    for (int i = 0; i < MANY; i++)
        put(world, SECTOR_GAS);
    spoil_a_page(world);
    connect(world, LENT);
    accept_all(world);
    return &world->debtor->owed[0][SECTOR_GAS];
}

/* One dead block of a card: what lies in it is lost and said, what lies behind it is not. */
static void an_unreadable_page_is_gone_around(void **state)
{
    struct world *world = *state;
    struct owed *gas = deliver_up_to_a_spoilt_page(world);
    put(world, SECTOR_HEAT);
    turn(world);
    accept_all(world);
    assert_int_equal(gas->unacked.count, 1);
    assert_int_equal(world->debtor->owed[0][SECTOR_HEAT].unacked.count, 0);
    assert_true(gas->unacked.items[0].first > 1);
    assert_int_equal(gas->unacked.items[0].last, MANY);
    assert_int_equal(world->store->corrupt, 0); /* not at once: a disk may stumble */
    gas->unread_at.ns -= INT64_C(20) * 1000000000;
    for (int i = 0; i < MANY && gas->unacked.count; i++) { /* one number a turn */
        turn(world);
        accept_all(world);
    }
    print_message("%d rows lost\n", (int)world->store->corrupt);
    assert_in_range(world->store->corrupt, 20, 200);
    assert_int_equal(gas->unacked.count, 0);
    assert_int_equal(world->debtor->readings, 0);
    assert_int_equal(world->store->mode, STORE_MODE_OK);
}

static void a_disk_that_stumbles_loses_nothing(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    die(world);
    struct owed *gas = &world->debtor->owed[0][SECTOR_GAS];
    disk.bad_from = 1;
    for (int i = 0; i < 2; i++) { /* nor are two stumbles one */
        disk.bad_to = 1 << 30;
        sqlite3_db_release_memory(world->store->db);
        connect(world, LENT);
        assert_int_equal(gas->unread_seq, 1);
        gas->unread_at.ns -= INT64_C(9) * 1000000000;
        turn(world);
        assert_int_equal(world->store->corrupt, 0);
    }
    disk.bad_to = 0;
    turn(world);
    accept_all(world);
    assert_int_equal(gas->unacked.count, 0);
    assert_int_equal(world->store->corrupt, 0);
}

/* A live row every five seconds, as while an alarm is up, does not keep an unreadable one. */
static void live_rows_do_not_keep_an_unreadable_one(void **state)
{
    struct world *world = *state;
    struct owed *gas = deliver_up_to_a_spoilt_page(world);
    struct recent *recent = &world->store->recent[SECTOR_GAS];
    for (int i = 0; i < MANY && gas->unacked.count; i++) {
        put(world, SECTOR_GAS);
        recent->seq[recent->count % RECENT] = world->store->epochs[0].last_seq[SECTOR_GAS];
        recent->closed[recent->count++ % RECENT] = clock_mono();
        for (uint32_t k = 0; k < RECENT; k++)
            recent->closed[k].ns -= INT64_C(5) * 1000000000;
        gas->unread_at.ns -= INT64_C(5) * 1000000000;
        turn(world);
        accept_all(world);
    }
    assert_in_range(world->store->corrupt, 20, 200);
    assert_int_equal(gas->unacked.count, 0);
}

/* Two failures ten minutes apart, and nobody asked in between. */
static void time_in_which_nobody_asks_is_no_failure(void **state)
{
    struct world *world = *state;
    struct owed *gas = deliver_up_to_a_spoilt_page(world);
    assert_true(gas->unread_seq > 1);
    gas->unread_at.ns -= INT64_C(600) * 1000000000;
    gas->asked_at.ns -= INT64_C(600) * 1000000000;
    turn(world);
    accept_all(world);
    assert_int_equal(world->store->corrupt, 0);
}

/* A number that is owed and whose row was not found, between rows that go and were delivered. */
static void the_quota_forgets_no_number_that_is_missing(void **state)
{
    struct world *world = *state;
    struct owed *gas = &world->debtor->owed[0][SECTOR_GAS];
    for (int i = 0; i < 4; i++)
        put(world, SECTOR_GAS);
    assert_true(ranges_remove(&gas->unacked, 1, 1));
    assert_true(ranges_remove(&gas->unacked, 3, 4));
    gas->dirty = true;
    assert_true(commit_all(world->store, false));
    assert_true(database_execute(world->store, "DELETE FROM segment WHERE (id&1048575)=2"));
    world->store->quota = 1;
    while (trim_run(world->store))
        ;
    assert_int_equal(world->store->gaps, 0);
    die(world);
    gas = &world->debtor->owed[0][SECTOR_GAS];
    assert_true(ranges_contains(&gas->unacked, 2));
    assert_false(ranges_contains(&gas->unacked, 1) || ranges_contains(&gas->unacked, 3));
}

/* Of a sector that the uplink was not kept for there is no list, and none is damaged. */
static void a_new_sector_is_no_damage(void **state)
{
    struct world *world = *state;
    const int64_t kept = 1 << SECTOR_GAS | 1 << SECTOR_HEAT;
    bool doubt = false;
    put(world, SECTOR_GAS);
    put(world, SECTOR_WATER);
    world->debtor->wanted[SECTOR_WATER] = true;
    assert_true(debts_read(world->store, world->debtor, kept, &doubt));
    assert_false(doubt);
    assert_true(debts_read(world->store, world->debtor, kept | 1 << SECTOR_WATER, &doubt));
    assert_true(doubt);
}

static void save_all(struct world *world)
{
    for (int i = 0; i < ROWS; i++) {
        turn(world);
        media_replace(world->store);
        while (salvage_run(world->store))
            ;
    }
}

/* What was delivered before the file was replaced is not in the new one, and no damage of it. */
static void a_new_uplink_after_a_replacement_is_owed_what_is_there(void **state)
{
    struct world *world = *state;
    struct owed *gas = &world->debtor->owed[0][SECTOR_GAS];
    for (int i = 0; i < 9; i++)
        put(world, SECTOR_GAS);
    assert_true(ranges_remove(&gas->unacked, 1, 4));
    assert_true(ranges_remove(&gas->unacked, 6, 8));
    gas->dirty = true;
    assert_true(commit_all(world->store, false));
    assert_true(
        database_execute(world->store, "UPDATE segment SET id=id|536870912 WHERE (id&1048575)=9"));
    connect(world, LENT);
    save_all(world);
    assert_int_equal(world->store->epoch_count, 2);
    assert_true(commit_all(world->store, false));
    world->uplink.name = (char *)"second";
    die(world);
    gas = &world->debtor->owed[0][SECTOR_GAS];
    assert_int_equal(gas->unacked.count, 2);
    assert_int_equal(world->debtor->readings, 2);
    connect(world, LENT);
    save_all(world);
    accept_all(world);
    assert_int_equal(world->store->corrupt, 0);
    assert_int_equal(world->store->epoch_count, 2);
    assert_int_equal(gas->unacked.count, 0);
}

/* Neighbours that are missing are one Gap. */
static void a_hole_is_one_gap(void **state)
{
    struct world *world = *state;
    struct store *store = world->store;
    for (int i = 0; i < 50; i++)
        put(world, SECTOR_GAS);
    assert_true(database_execute(store, "DELETE FROM segment WHERE (id&1048575) BETWEEN 11 AND 30"
                                        " OR (id&1048575)>45"));
    store->in_memory = true; /* where no other place is there to look */
    connect(world, LENT);
    accept_all(world);
    store->in_memory = false;
    assert_int_equal(store->corrupt, 25);
    assert_int_equal(store->gaps, 2);
    assert_int_equal(world->debtor->owed[0][SECTOR_GAS].unacked.count, 0);
}

/* A platform's word on rows that are out of reach. */
static void what_is_confirmed_out_of_reach_is_counted_later(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    uint64_t epoch = world->store->epochs[0].number;
    world->store->told[0] = world->store->epochs[0];
    assert_true(media_rescue(world->store, SQLITE_IOERR, 1));
    assert_true(world->store->in_memory);
    assert_int_equal(store_confirm(world->store, 0, epoch, SECTOR_GAS, 1, 2), STORE_CONFIRMED);
    turn(world);
    assert_true(media_return(world->store));
    assert_int_equal(world->debtor->readings, ROWS - 2);
}

static int begin(void **state)
{
    disk_heal();
    return set_up(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_delivered_is_no_gap_after_a_death),
        TEST(what_begins_before_a_gap_is_not_left_out_of_it),
        TEST(an_unreadable_page_is_gone_around),
        TEST(a_disk_that_stumbles_loses_nothing),
        TEST(live_rows_do_not_keep_an_unreadable_one),
        TEST(time_in_which_nobody_asks_is_no_failure),
        TEST(the_quota_forgets_no_number_that_is_missing),
        TEST(a_new_sector_is_no_damage),
        TEST(a_new_uplink_after_a_replacement_is_owed_what_is_there),
        TEST(a_hole_is_one_gap),
        TEST(what_is_confirmed_out_of_reach_is_counted_later),
    };
    disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
