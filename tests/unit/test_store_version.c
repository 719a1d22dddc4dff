/* Stores of other versions.
 *
 * What an earlier program wrote (tests/replay/earlier) owes exactly what it owed, and goes on in
 * its numbers; what a later one wrote is left alone, byte for byte, while readings are kept in
 * memory. The power is cut in between by tests/fault/powercut_upgrade. */
#include "tests/unit/faulty_disk.h"
#include "tests/unit/store_world.h"

#include <glob.h>
#include <sys/wait.h>

#include "gateway/store/epochs.h"
#include "gateway/store/format.h"
#include "gateway/store/history.h"

enum { ROWS = 100, ROW_BYTES = 4096, QUIET_MS = 300, PATIENCE_MS = 15000 };

/* A row as it lay in the store, and how often it arrived. */
struct row {
    uint64_t seq;
    enum sector sector;
    bool owed;
    unsigned times;
    size_t length;
    uint8_t bytes[ROW_BYTES];
};

static struct row rows[ROWS];
static size_t row_count;
static size_t others; /* segments that arrived and were no such row */
static uint64_t epochs[2];

static int begin(void **state)
{
    row_count = others = 0;
    memset(epochs, 0, sizeof epochs);
    disk_heal();
    return set_up(state);
}

static int end(void **state)
{
    disk_heal();
    return tear_down(state);
}

static sqlite3 *open_file(const struct world *world)
{
    sqlite3 *db;
    assert_int_equal(
        sqlite3_open_v2(world->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix"),
        SQLITE_OK);
    return db;
}

static void execute(sqlite3 *db, const char *sql)
{
    char *why = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s", why);
}

/* The store of that version as if this board had written it. */
static void make_earlier(struct world *world, const char *version)
{
    char path[200], *sql = calloc(1, 1 << 16), board[100];
    snprintf(path, sizeof path, TESTS_DIR "/replay/earlier/%s/store.sql", version);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_in_range(fread(sql, 1, (1 << 16) - 1, f), 1000, (1 << 16) - 2);
    fclose(f);
    sqlite3 *db = open_file(world);
    execute(db, "PRAGMA journal_mode=WAL");
    execute(db, sql);
    snprintf(board, sizeof board, "UPDATE epoch SET machine=%lld", (long long)epochs_board());
    execute(db, board);
    sqlite3_close(db);
    free(sql);
}

/* What lies in the file, and which of it is owed. */
static void remember(const struct world *world)
{
    sqlite3 *db = open_file(world);
    sqlite3_stmt *s;
    assert_int_equal(
        sqlite3_prepare_v2(db,
                           "SELECT id&0xffffffff, id>>40&255, row, EXISTS(SELECT 1 FROM unacked"
                           " WHERE first_seq BETWEEN 1 AND id&0xffffffff AND"
                           " last_seq>=id&0xffffffff AND unacked.sector=(id>>40&255))"
                           " FROM segment",
                           -1, &s, NULL),
        SQLITE_OK);
    while (sqlite3_step(s) == SQLITE_ROW) {
        assert_in_range(row_count, 0, ROWS - 1);
        struct row *row = &rows[row_count++];
        *row = (struct row){.seq = (uint64_t)sqlite3_column_int64(s, 0),
                            .sector = (enum sector)sqlite3_column_int(s, 1),
                            .owed = sqlite3_column_int(s, 3),
                            .length = (size_t)sqlite3_column_bytes(s, 2)};
        assert_in_range(row->length, 1, ROW_BYTES);
        memcpy(row->bytes, sqlite3_column_blob(s, 2), row->length);
    }
    sqlite3_finalize(s);
    sqlite3_close(db);
}

static void note(const struct parcel *parcel)
{
    Lifeline__V1__DataBatch *batch = decode(parcel);
    size_t known = 0;
    for (size_t i = 0; i < batch->n_segments; i++) {
        for (size_t r = 0; r < row_count; r++) {
            struct row *row = &rows[r];
            if (row->sector != (enum sector)batch->sector || row->seq != batch->segments[i]->seq ||
                !memmem(parcel->bytes, parcel->length, row->bytes, row->length))
                continue;
            row->times++;
            known++;
        }
    }
    others += batch->n_segments - known;
    if (batch->epoch != epochs[0] && batch->n_segments)
        epochs[epochs[0] != 0] = batch->epoch;
    message_free(&batch->base);
}

static void receive_what_is_owed(struct world *world)
{
    struct parcel parcels[LENT] = {0};
    for (int i = 0; i < LENT; i++)
        ask(world, &parcels[i]);
    for (struct parcel *p; (p = collect(world, QUIET_MS));) {
        if (p->kind == PARCEL_LIVE || p->kind == PARCEL_HISTORY) {
            note(p);
            store_settle(world->store, 0, p);
        }
        ask(world, p);
    }
    store_renew(world->store, 0); /* nothing is lent any more */
    free_parcels(parcels, LENT);
}

static void all_that_was_owed_arrived_once(void)
{
    size_t owed = 0;
    for (size_t r = 0; r < row_count; r++) {
        if (rows[r].times != rows[r].owed)
            fail_msg("sector %d, seq %llu arrived %u times", rows[r].sector,
                     (unsigned long long)rows[r].seq, rows[r].times);
        owed += rows[r].owed;
    }
    assert_in_range(owed, 5, row_count - 5); /* or nothing was tried */
}

static struct store_status status_of(const struct world *world)
{
    struct store_status status;
    store_status(world->store, &status);
    return status;
}

static void wait_mode(const struct world *world, enum store_mode mode)
{
    mono_time until = clock_after_ms(clock_mono(), PATIENCE_MS);
    while (status_of(world).mode != mode && clock_mono().ns < until.ns)
        usleep(5000);
    assert_int_equal(status_of(world).mode, mode);
}

static void earlier(struct world *world, const char *version, size_t open)
{
    make_earlier(world, version);
    remember(world);
    uint64_t epoch = (uint64_t)ask_file(world, "SELECT number FROM epoch");
    open_store(world);
    put_closed(world, SECTOR_GAS, 0, 1);
    receive_what_is_owed(world);
    all_that_was_owed_arrived_once();
    assert_int_equal(others, open + 1);
    assert_true(epochs[0] == epoch && !epochs[1]); /* its numbers go on */
    close_store(world);
    assert_int_equal(ask_file(world, "PRAGMA user_version"), 0x10001 * FORMAT);
    for (size_t r = 0; r < row_count; r++)
        rows[r].times = 0;
    open_store(world); /* and what it wrote is believed */
    receive_what_is_owed(world);
    for (size_t r = 0; r < row_count; r++)
        assert_int_equal(rows[r].times, 0);
    assert_int_equal(others, open + 1);
    close_store(world);
}

static void a_store_of_0_2_owes_what_it_owed(void **state)
{
    earlier(*state, "0.2", 1);
}

static void a_store_of_0_3_owes_what_it_owed(void **state)
{
    earlier(*state, "0.3", 0);
}

static void a_store_of_0_4_owes_what_it_owed(void **state)
{
    earlier(*state, "0.4", 0);
}

static void a_store_of_0_5_owes_what_it_owed(void **state)
{
    earlier(*state, "0.5", 0);
}

/* A store that had checks and lost one was damaged, whatever version it is of. */
static void a_check_that_is_missing_is_no_earlier_version(void **state)
{
    struct world *world = *state;
    make_earlier(world, "0.5");
    ask_file(world, "DELETE FROM unacked WHERE first_seq=0 AND sector=2");
    remember(world);
    open_store(world);
    receive_what_is_owed(world);
    for (size_t r = 0; r < row_count; r++)
        assert_int_equal(rows[r].times, rows[r].sector == 2 ? 1 : rows[r].owed);
    close_store(world);
}

static void without_room_it_stays_as_it_was(void **state)
{
    struct world *world = *state;
    make_earlier(world, "0.3");
    remember(world);
    disk_install();
    disk.room = 0;
    open_store(world);
    assert_int_equal(status_of(world).mode, STORE_MODE_MEMORY);
    assert_int_equal(ask_file(world, "PRAGMA user_version"), 0);
    assert_int_equal(ask_file(world, "SELECT count(*) FROM unacked WHERE first_seq=0"), 0);
    disk_heal();
    wait_mode(world, STORE_MODE_OK);
    receive_what_is_owed(world);
    all_that_was_owed_arrived_once();
    close_store(world);
}

/* ---- of a later version ---- */

static size_t read_file(const char *path, uint8_t *out, size_t size)
{
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    size_t length = fread(out, 1, size, f);
    fclose(f);
    return length;
}

static void a_later_version_s_is_left_alone(void **state)
{
    static uint8_t before[1 << 20], after[1 << 20];
    struct world *world = *state;
    char away[PATH_SIZE + 10];
    snprintf(away, sizeof away, "%s.later", world->path);
    make_earlier(world, "0.5");
    remember(world);
    ask_file(world, "PRAGMA user_version=131074; CREATE TRIGGER t AFTER INSERT ON segment BEGIN"
                    " DELETE FROM gap; END");
    ask_file(world, "PRAGMA journal_mode=DELETE"); /* all of it is in the file */
    size_t length = read_file(world->path, before, sizeof before);
    assert_true(format_is_later(world->path));

    open_store(world);
    assert_int_equal(status_of(world).mode, STORE_MODE_MEMORY);
    put_closed(world, SECTOR_GAS, 0, 1);
    usleep(1500000); /* once it has looked whether it may come back */
    assert_int_equal(read_file(world->path, after, sizeof after), length);
    assert_memory_equal(before, after, length);

    assert_int_equal(rename(world->path, away), 0);
    wait_mode(world, STORE_MODE_OK);
    assert_false(format_is_later(world->path));
    receive_what_is_owed(world);
    assert_int_equal(others, 1); /* what was kept in memory */
    close_store(world);

    assert_int_equal(rename(away, world->path), 0);
    ask_file(world, "PRAGMA user_version=0; DROP TRIGGER t"); /* the later version comes again */
    open_store(world);
    receive_what_is_owed(world);
    all_that_was_owed_arrived_once();
    close_store(world);
}

/* A later program that died: its version stands in the log only. */
static void die_as_a_later_one(const struct world *world)
{
    int code;
    pid_t child = fork();
    if (child == 0) {
        execute(open_file(world), "PRAGMA journal_mode=WAL; PRAGMA user_version=131074");
        _exit(0);
    }
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
}

static void its_log_outlives_that_only_the_file_is_moved(void **state)
{
    static uint8_t before[1 << 20], after[1 << 20];
    struct world *world = *state;
    char log[PATH_SIZE + 10], away[PATH_SIZE + 20];
    snprintf(log, sizeof log, "%s-wal", world->path);
    snprintf(away, sizeof away, "%s.later", world->path);
    make_earlier(world, "0.5");
    die_as_a_later_one(world);
    size_t length = read_file(log, before, sizeof before);
    assert_true(length > 0);
    assert_true(format_is_later(world->path));
    open_store(world);
    assert_int_equal(status_of(world).mode, STORE_MODE_MEMORY);
    assert_int_equal(rename(world->path, away), 0);
    wait_mode(world, STORE_MODE_OK);
    glob_t found;
    snprintf(away, sizeof away, "%s.corrupt-*-wal", world->path);
    assert_int_equal(glob(away, 0, NULL, &found), 0);
    assert_int_equal(read_file(found.gl_pathv[0], after, sizeof after), length);
    assert_memory_equal(before, after, length);
    globfree(&found);
    close_store(world);
}

static void a_reader_is_told_so(void **state)
{
    struct world *world = *state;
    struct store *store = NULL;
    char why[300] = "";
    make_earlier(world, "0.3");
    assert_int_equal(history_open(&world->settings, &store, why, sizeof why), HISTORY_OPENED);
    history_close(store);
    assert_int_equal(ask_file(world, "PRAGMA user_version"), 0); /* who looks changes nothing */
    ask_file(world, "PRAGMA user_version=131074");
    assert_int_equal(history_open(&world->settings, &store, why, sizeof why), HISTORY_NO_STORE);
    assert_non_null(strstr(why, "a later version"));
}

static void a_bit_of_the_version_is_damage(void **state)
{
    struct world *world = *state;
    make_earlier(world, "0.5");
    remember(world);
    ask_file(world, "PRAGMA user_version=196609"); /* 3 and 1 */
    assert_false(format_is_later(world->path));
    open_store(world);
    assert_int_equal(status_of(world).mode, STORE_MODE_OK);
    receive_what_is_owed(world);
    all_that_was_owed_arrived_once();
    close_store(world);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_store_of_0_2_owes_what_it_owed),
        TEST(a_store_of_0_3_owes_what_it_owed),
        TEST(a_store_of_0_4_owes_what_it_owed),
        TEST(a_store_of_0_5_owes_what_it_owed),
        TEST(a_check_that_is_missing_is_no_earlier_version),
        TEST(without_room_it_stays_as_it_was),
        TEST(a_later_version_s_is_left_alone),
        TEST(its_log_outlives_that_only_the_file_is_moved),
        TEST(a_reader_is_told_so),
        TEST(a_bit_of_the_version_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
