/* A damaged file by hand: when it is replaced, what counts as not there, how much of it is looked
 * at in one go, and what is believed of what stands open in it. The store's thread does not run,
 * the pauses are moved, and the disk refuses on demand; files lie under /tmp. With the thread, and
 * the damage at places in the file: test_store_comb.c. */
#include "tests/unit/debtor_world.h"
#include "tests/unit/faulty_disk.h"

#include "gateway/store/comb.h"
#include "gateway/store/media.h"

static const char hide[] =
    "UPDATE segment SET id=id|536870912 WHERE id=(SELECT max(id)-3 FROM segment)";

static int64_t ask(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return value;
}

static void work(struct world *world)
{
    for (int i = 0; i < 10; i++) {
        turn(world);
        media_replace(world->store);
        while (salvage_run(world->store))
            ;
    }
    accept_all(world);
}

static void rows_with_one_hidden(struct world *world)
{
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    assert_true(database_execute(world->store, hide));
}

/* The second time the file is not replaced before some minutes are over; the row waits for that. */
static void a_row_waits_for_the_next_replacement(void **state)
{
    struct world *world = *state;
    struct store *store = world->store;
    rows_with_one_hidden(world);
    connect(world, LENT);
    work(world);
    assert_int_equal(world->debtor->readings, 0);
    size_t epochs = store->epoch_count;
    rows_with_one_hidden(world);
    connect(world, LENT);
    work(world);
    assert_int_equal(store->epoch_count, epochs);
    assert_int_equal(store->corrupt, 0);
    assert_false(store->damaged); /* nobody turns round and round for it */
    assert_in_range(world->debtor->readings, 1, ROWS);
    store->replace_at = clock_mono();
    connect(world, LENT);
    work(world);
    assert_int_equal(store->epoch_count, epochs + 1);
    assert_int_equal(store->corrupt, 0);
    assert_int_equal(world->debtor->readings, 0);
}

static void begin_salvage(struct world *world)
{
    rows_with_one_hidden(world);
    assert_int_equal(salvage_running(world->store), SQLITE_OK);
    assert_true(world->store->salvaging);
}

/* At every stage: the disk or the memory refuses once, or for some seconds. */
static void a_refusal_is_no_damage(void **state)
{
    static const int codes[] = {SQLITE_IOERR_READ, SQLITE_NOMEM};
    struct world *world = *state;
    struct store *store = world->store;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        bool met[SALVAGE_MISSING + 1] = {false};
        begin_salvage(world);
        for (int turns = 0; store->salvaging; turns++) {
            assert_in_range(turns, 0, 1000);
            struct salvage_place before = store->salvage_at;
            disk.read = codes[i];
            disk.times = -1;
            (void)salvage_run(store);
            disk_heal();
            if (!store->salvaging)
                break;
            assert_int_equal(store->corrupt, 0);
            if (store->salvage_at.refused) {
                assert_int_equal(store->salvage_at.stage, before.stage);
                met[before.stage] = true;
                assert_false(salvage_run(store)); /* not at once */
                store->salvage_at.again_at = clock_mono();
            }
            (void)salvage_run(store);
        }
        assert_true(met[SALVAGE_SEARCH] && met[SALVAGE_COMB]);
        connect(world, LENT);
        work(world);
        assert_int_equal(store->corrupt, 0);
        assert_int_equal(world->debtor->readings, 0);
        store->replace_at = clock_mono();
    }
}

/* As it is with a sector of the card that is gone. */
static void a_disk_that_refuses_for_long_has_lost_it(void **state)
{
    struct world *world = *state;
    struct store *store = world->store;
    begin_salvage(world);
    disk.read = SQLITE_IOERR_READ;
    (void)salvage_run(store);
    assert_true(store->salvage_at.refused);
    for (int turns = 0; store->salvage_at.stage == SALVAGE_SEARCH; turns++) {
        assert_in_range(turns, 0, 100);
        store->salvage_at.refused_at.ns -= INT64_C(10) * 1000000000;
        store->salvage_at.again_at = clock_mono();
        (void)salvage_run(store);
    }
    disk_heal();
}

/* What leads to other pages is not combed: their turn comes. */
static void a_page_is_a_small_piece_of_work(void **state)
{
    enum { BIG = 30000, MANY = 60 };
    static uint8_t row[BIG];
    struct world *world = *state;
    struct store *store = world->store;
    for (int i = 0; i < MANY; i++)
        put(world, SECTOR_GAS);
    for (uint64_t seq = 1; seq <= MANY; seq++)
        assert_true(database_execute(
            store, "UPDATE segment SET row=zeroblob(%d),crc=%u WHERE (id&1048575)=%d", BIG,
            database_crc(store->epochs[0].number, SECTOR_GAS, seq, row, BIG), (int)seq));
    assert_int_equal(salvage_running(store), SQLITE_OK);
    int64_t root = ask(store->wreck.db, "SELECT rootpage FROM sqlite_schema WHERE name='segment'");
    int64_t pages = ask(store->wreck.db, "PRAGMA page_count");
    size_t most = 0;
    for (int64_t page = 2; page <= pages; page++) {
        size_t bytes = 0;
        int rc;
        assert_true(comb_page(store, page, &bytes, &rc));
        most = bytes > most ? bytes : most;
        if (page == root)
            assert_in_range(ask(store->db, "SELECT count(*) FROM segment"), 0, 30);
    }
    assert_in_range(most, 1, 11 * BIG);
    assert_int_equal(ask(store->db, "SELECT count(*) FROM segment"), MANY);
}

/* Without its log the file is as it was once. */
static void what_is_open_in_an_old_state_is_not_believed(void **state)
{
    struct world *world = *state;
    struct store *store = world->store;
    char log[120];
    snprintf(log, sizeof log, "%s-wal", world->path);
    put_open(world, 1);
    assert_int_equal(salvage_running(store), SQLITE_OK);
    assert_int_equal(ask(store->db, "SELECT readings FROM open"), 1);
    while (salvage_run(store))
        ;
    assert_int_equal(salvage_running(store), SQLITE_OK); /* noted by the replacement too */
    assert_int_equal(ask(store->db, "SELECT readings FROM open"), 1);
    while (salvage_run(store))
        ;
    assert_int_equal(database_checkpoint(store), SQLITE_OK);
    put_open(world, 2);
    assert_int_equal(truncate(log, 0), 0);
    assert_int_equal(salvage_running(store), SQLITE_OK);
    assert_int_equal(ask(store->db, "SELECT count(*) FROM open"), 0);
}

/* A block of the card is gone, and with it the newest rows and what the file knows of numbers:
 * those were delivered, and what stood open does not get them again. */
static void what_stood_open_gets_no_number_of_the_old_epoch(void **state)
{
    enum { PAGE = 4096 };
    static const char root[] = "SELECT rootpage FROM sqlite_schema WHERE name='%s'";
    static const char *const tables[] = {"stream", "segment"};
    uint8_t bad[PAGE];
    long pages[2];
    struct world *world = *state;
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    connect(world, LENT);
    accept_all(world);
    put_open(world, 1);
    uint64_t old = world->store->epochs[0].number;
    for (int i = 0; i < 2; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, root, tables[i]);
        pages[i] = (long)ask(world->store->db, sql);
    }
    store_free(world->store);
    FILE *file = fopen(world->path, "r+e");
    assert_non_null(file);
    memset(bad, 0xff, sizeof bad);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fseek(file, (pages[i] - 1) * PAGE, SEEK_SET), 0);
        assert_int_equal(fwrite(bad, sizeof bad, 1, file), 1);
    }
    fclose(file);
    start(world);
    struct store *store = world->store;
    assert_int_equal(store->epoch_count, 2);
    assert_int_equal(store->epochs[0].number, old);
    assert_int_equal(ask(store->db, "SELECT count(*) FROM segment"), 1);
    assert_int_equal(ask(store->db, "SELECT id>>48 FROM segment"), store->epochs[1].ordinal);
    assert_int_equal(world->debtor->owed[0][SECTOR_GAS].unacked.count, 0);
    die(world); /* its CRC is that of the new epoch too */
    connect(world, LENT);
    work(world);
    assert_int_equal(world->store->corrupt, 0);
    assert_int_equal(world->debtor->readings, 0);
}

/* The same where the file is whole but for what it knows of numbers. */
static void nor_where_the_numbers_are_in_doubt(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    put_open(world, 1);
    assert_true(database_execute(world->store, "UPDATE stream SET last_seq=1"));
    die(world);
    struct store *store = world->store;
    assert_int_equal(store->epoch_count, 2);
    assert_int_equal(store->epochs[0].last_seq[SECTOR_GAS], ROWS);
    assert_int_equal(store->epochs[1].last_seq[SECTOR_GAS], 1);
    assert_int_equal(ask(store->db, "SELECT max(id)>>48 FROM segment"), store->epochs[1].ordinal);
    connect(world, LENT);
    work(world);
    assert_int_equal(store->corrupt, 0);
    assert_int_equal(world->debtor->readings, 0);
}

/* Nothing was closed yet under the number that one of the lists has wrong. */
static void what_stands_open_vouches_for_its_epoch(void **state)
{
    struct world *world = *state;
    put_open(world, 1);
    uint64_t epoch = world->store->epochs[0].number;
    assert_true(database_execute(world->store, "UPDATE epoch SET number=number+1"));
    die(world);
    assert_int_equal(world->store->epochs[0].number, epoch);
    assert_int_equal(ask(world->store->db, "SELECT count(*) FROM segment"), 1);
    assert_int_equal(ask(world->store->db, "SELECT count(*) FROM gap WHERE reason=5"), 0);
}

/* One read of the start fails, each in turn: neither list is taken for right because of that. */
static void a_disk_that_refuses_once_is_asked_again(void **state)
{
    enum { READS = 40 };
    struct world *world = *state;
    int failures = 0;
    put(world, SECTOR_GAS);
    uint64_t epoch = world->store->epochs[0].number;
    for (int i = 0; i < READS; i++) {
        assert_true(database_execute(world->store, "UPDATE epoch SET number=number+1"
                                                   " WHERE ordinal=1"));
        store_free(world->store);
        disk.read = SQLITE_IOERR_READ;
        disk.spared = i;
        disk.times = 1;
        start(world);
        failures += disk.failures;
        disk_heal();
        if (world->store->in_memory)
            assert_true(media_return(world->store));
        assert_int_equal(world->store->epochs[0].number, epoch);
    }
    assert_in_range(failures, 10, READS - 1);
}

/* A bit in an ordinal: that row stands where it stood, as the greatest it would be in force. */
static void an_ordinal_out_of_order_is_not_in_force(void **state)
{
    enum { PAGE = 4096, CELLS_AT = 3, POINTERS_AT = 8, WRONG = 6 };
    uint8_t page[PAGE];
    struct world *world = *state;
    for (int i = 0; i < 2; i++) {
        assert_true(database_execute(world->store, "UPDATE epoch SET machine=machine+1"));
        die(world);
    }
    assert_int_equal(world->store->epoch_count, 3);
    uint64_t second = world->store->epochs[1].number;
    long at = PAGE * (long)(ask(world->store->db,
                                "SELECT rootpage-1 FROM sqlite_schema WHERE name='epoch'"));
    store_free(world->store);
    FILE *file = fopen(world->path, "r+e");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fread(page, sizeof page, 1, file), 1);
    assert_int_equal(page[CELLS_AT] << 8 | page[CELLS_AT + 1], 3);
    int cell = page[POINTERS_AT + 2] << 8 | page[POINTERS_AT + 3];
    assert_int_equal(page[cell + 1], 2);
    page[cell + 1] = WRONG;
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fwrite(page, sizeof page, 1, file), 1);
    fclose(file);
    for (int i = 0; i < 2; i++) {
        start(world);
        const struct epoch *epochs = world->store->epochs;
        for (size_t e = 1; e < world->store->epoch_count; e++)
            assert_true(epochs[e - 1].ordinal < epochs[e].ordinal);
        assert_true(epochs[world->store->epoch_count - 1].number != second);
        store_free(world->store);
    }
    start(world);
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
        TEST(a_row_waits_for_the_next_replacement),
        TEST(a_refusal_is_no_damage),
        TEST(a_disk_that_refuses_for_long_has_lost_it),
        TEST(a_page_is_a_small_piece_of_work),
        TEST(what_is_open_in_an_old_state_is_not_believed),
        TEST(what_stood_open_gets_no_number_of_the_old_epoch),
        TEST(nor_where_the_numbers_are_in_doubt),
        TEST(what_stands_open_vouches_for_its_epoch),
        TEST(a_disk_that_refuses_once_is_asked_again),
        TEST(an_ordinal_out_of_order_is_not_in_force),
    };
    disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
