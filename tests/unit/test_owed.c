/* What an uplink is said to owe, in memory and on the disk, while rows go: by the quota, by a disk
 * that cannot be read, by a platform's word. Whatever dies in between, no row that was delivered
 * becomes a Gap, and none that was not is forgotten.
 * The store's thread does not run; files lie under /tmp. */
#include "gateway/store/media.h"
#include "tests/unit/debtor_world.h"
#include "tests/unit/faulty_disk.h"

#include "gateway/store/trim.h"

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

/* One dead block of a card: what lies in it is lost and said, what lies behind it is not. */
static void an_unreadable_page_is_gone_around(void **state)
{
    enum { MANY = 400 };
    struct world *world = *state;
    for (int i = 0; i < MANY; i++)
        put(world, SECTOR_GAS);
    spoil_a_page(world);
    connect(world, LENT);
    put(world, SECTOR_HEAT);
    accept_all(world);
    struct owed *gas = &world->debtor->owed[0][SECTOR_GAS];
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
        TEST(an_unreadable_page_is_gone_around),
        TEST(a_disk_that_stumbles_loses_nothing),
        TEST(what_is_confirmed_out_of_reach_is_counted_later),
    };
    disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
