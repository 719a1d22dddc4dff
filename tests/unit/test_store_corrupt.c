/* The store on a damaged file: it always starts, under a new epoch and with the ids it had; what is
 * owed and readable arrives once, numbers that are not have a Gap; no more than two damaged files
 * are kept. The mutator flips bits, writes zeros and cuts, in the database and in its log; it
 * prints its seed, and LIFELINE_SEED repeats it. */
#include <time.h>

#include "tests/unit/damaged_file.h"

enum {
    TRIALS = 40,
    TRIALS_LONG = 500,
    OLD_CLEAN = 1000, /* readings owed before the damage, without and with a log */
    OLD = 1050,
    NEW = 2000,
    NEW_END = 2050,
};

static unsigned seed;

static int pick(int below)
{
    return below > 0 ? rand_r(&seed) % below : 0;
}

static void break_the_rows_of(const struct world *world, const char *table)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_open_v2(world->path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_schema WHERE name=?", -1, &s, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_bind_text(s, 1, table, -1, SQLITE_STATIC), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    off_t page = sqlite3_column_int64(s, 0) - 1;
    sqlite3_finalize(s);
    sqlite3_close(db);
    overwrite(world->path, page * PAGE, PAGE);
}

static void damage_noticed_at_the_start_costs_only_its_own_rows(void **state)
{
    struct world *world = *state;
    make_store(world, 20000);
    start(world);
    struct store_status before = status_of(world);
    uint32_t id = store_ids(world->store)->device[0];
    close_store(world);
    overwrite(world->path, page_of(world, 3), PAGE);
    break_the_rows_of(world, "open"); /* every start reads them */
    start(world);
    struct store_status after = status_of(world);
    assert_int_equal(after.mode, STORE_MODE_OK);
    assert_int_not_equal(after.epoch, before.epoch);
    assert_int_equal(store_ids(world->store)->device[0], id);
    assert_int_equal(after.previous_epoch, before.epoch);
    put_many(world, 20000, 20100);
    receive_all(world, 1000);
    arrived(20000, 20100);
    int missing = 0;
    for (int64_t value = 0; value < 20000; value++) {
        assert_in_range(got.times[value], 0, 1);
        missing += !got.times[value];
    }
    print_message("%d readings stood on the broken page\n", missing);
    assert_in_range(missing, 1, 2000);
    assert_int_equal(got.corrupt_numbers * 10, missing);
    close_store(world);
}

/* What fails there is the deletion of another name, and a later statement that goes well. */
static void an_uplink_misspelt_in_its_index_does_not_stop_the_store(void **state)
{
    struct world *world = *state;
    make_store(world, 100);
    uint8_t page[PAGE], *name = NULL;
    int fd = open(world->path, O_RDWR);
    off_t at = PAGE;
    while (pread(fd, page, PAGE, at) == PAGE &&
           !(page[0] == 10 && (name = memmem(page, PAGE, "city", 4))))
        at += PAGE;
    assert_non_null(name);
    assert_int_equal(pwrite(fd, "ciTy", 4, at + (name - page)), 4);
    close(fd);
    start(world);
    put_many(world, 100, 200);
    receive_all(world, 500);
    assert_int_equal(status_of(world).mode, STORE_MODE_OK);
    arrived(0, 200);
    close_store(world);
}

static void damage_noticed_while_running_costs_nothing(void **state)
{
    struct world *world = *state;
    start(world);
    uint64_t epoch = status_of(world).epoch;
    put_many(world, 0, 1000);
    end_of(world, SECTOR_GAS, 100, 0);
    disk.times = 1;
    disk.write = SQLITE_CORRUPT;
    put_many(world, 1000, 1100);
    receive_all(world, 1000);
    arrived(0, 1100);
    struct store_status status = status_of(world);
    assert_int_equal(status.mode, STORE_MODE_OK);
    assert_int_equal(status.failovers, 0);
    assert_int_equal(status.previous_epoch, epoch);
    assert_int_equal(status.carried, 100);
    assert_int_equal(got.gaps, 0);
    close_store(world);
    start(world);
    receive_all(world, 300);
    arrived(0, 1100);
    close_store(world);
}

/* A restart in the middle of saving goes on with it. */
static void saving_goes_on_after_a_crash(void **state)
{
    struct world *world = *state;
    pid_t child = fork();
    if (child == 0) {
        start(world);
        put_many(world, 0, 1000);
        end_of(world, SECTOR_GAS, 100, 0);
        disk.times = 1;
        disk.write = SQLITE_CORRUPT;
        put_closed(world, SECTOR_GAS, 1000, 10);
        mono_time until = clock_after_ms(clock_mono(), WAIT_MS);
        while (!status_of(world).previous_epoch && clock_mono().ns < until.ns)
            ;
        _exit(0);
    }
    int code;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    start(world);
    receive_all(world, 1000);
    arrived(0, 1000);
    assert_int_equal(got.corrupt_numbers, 0);
    close_store(world);
}

static void mutate(const struct world *world)
{
    char path[200];
    struct stat file;
    snprintf(path, sizeof path, "%s%s", world->path, pick(4) == 0 ? "-wal" : "");
    if (stat(path, &file) != 0 || file.st_size == 0)
        snprintf(path, sizeof path, "%s", world->path);
    assert_int_equal(stat(path, &file), 0);
    int fd = open(path, O_RDWR), kind = pick(4);
    for (int i = pick(20); i >= 0 && kind < 2; i--) { /* bits */
        uint8_t byte = 0;
        off_t at = pick((int)file.st_size);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= (uint8_t)(1 << pick(8));
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    if (kind == 2)
        assert_int_equal(ftruncate(fd, pick((int)file.st_size)), 0);
    close(fd);
    if (kind == 3)
        overwrite(path, (off_t)pick((int)(file.st_size / PAGE)) * PAGE, (size_t)PAGE << pick(4));
}

/* What was owed, mutated: half of the files have a log. */
static void make_victim(struct world *world, bool log)
{
    pid_t child = fork();
    if (child == 0) {
        make_store(world, OLD_CLEAN);
        if (!log)
            _exit(0);
        start(world);
        put_many(world, OLD_CLEAN, OLD);
        end_of(world, SECTOR_GAS, OLD / 10, 0);
        _exit(0);
    }
    int code;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    mutate(world);
}

/* Invented, sent twice, or taken since and not sent: none may be. */
static int wrong_values(void)
{
    int wrong = 0;
    for (int64_t value = 0; value < VALUES; value++) {
        bool fresh = value >= NEW && value < NEW_END;
        if (got.times[value] > (fresh || value < OLD) || (fresh && !got.times[value])) {
            print_message("value %lld arrived %d times\n", (long long)value, got.times[value]);
            wrong++;
        }
    }
    return wrong;
}

/* Old readings that neither came nor are told of by a Gap. What stood in the log only is what a
 * crash may take; of a file that is torn nobody knows the numbers. */
static int silent(int64_t owed)
{
    int64_t missing = 0, logged = 0, told = (int64_t)got.corrupt_numbers * 10;
    for (int64_t value = 0; value < owed; value++) {
        missing += !got.times[value];
        logged += !got.times[value] && value >= OLD_CLEAN;
    }
    if (got.unnumbered[GAP_REASON_CORRUPT])
        told += missing;
    else if (got.unnumbered[GAP_REASON_CRASH])
        told += logged;
    return (int)(missing > told ? missing - told : 0);
}

/* True when nothing went wrong. */
static bool trial(struct world *world, int number, int *quiet)
{
    memset(got.times, 0, sizeof got.times);
    got.announced_count = 0;
    got.corrupt_numbers = 0;
    memset(got.unnumbered, 0, sizeof got.unnumbered);
    make_victim(world, number % 2 == 0);
    start(world);
    put_many(world, NEW, NEW_END);
    for (int i = 0; i < 20 && !(got.times[NEW] && got.times[NEW_END - 1]); i++)
        receive_all(world, 150);
    int wrong = wrong_values();
    wrong += status_of(world).mode != STORE_MODE_OK;
    close_store(world);
    start(world);
    /* what cannot be read is asked for ten seconds long, before a Gap says so */
    for (int i = 0; i < 90 && (*quiet = silent(number % 2 == 0 ? OLD : OLD_CLEAN)); i++)
        receive_all(world, 150);
    wrong += wrong_values();
    wrong += status_of(world).mode != STORE_MODE_OK;
    close_store(world);
    wrong += count_aside(world, false) > 2;
    remove_store(world);
    return wrong == 0;
}

/* Whatever is done to the file: the store starts, takes new readings and delivers them, invents
 * none, sends none twice, and is sound afterwards; what is lost has a Gap. */
static void no_damage_stops_it(void **state)
{
    struct world *world = *state;
    const char *given = getenv("LIFELINE_TRIALS"), *is_long = getenv("LIFELINE_LONG");
    int trials = given ? (int)strtol(given, NULL, 10) : is_long && *is_long ? TRIALS_LONG : TRIALS;
    int violations = 0, unsaid = 0;
    got.lenient = true;
    for (int i = 0; i < trials; i++) {
        unsigned before = seed;
        int quiet = 0;
        bool ok = trial(world, i, &quiet);
        if (!ok || quiet)
            print_message("trial %d, seed %u: %s, %d old readings that no Gap tells of\n", i,
                          before, ok ? "fine" : "WRONG", quiet);
        violations += !ok || quiet;
        unsaid += quiet != 0;
    }
    print_message("%d of %d files lost old readings that no Gap tells of\n", unsaid, trials);
    print_message("score S10 %d %d\n", trials, violations);
    assert_int_equal(violations, 0);
}

/* One bit in the head of a row, and its last columns are not there: no bytes have no CRC. */
static void a_row_of_nothing_is_damage(void **state)
{
    struct world *world = *state;
    make_store(world, 100);
    change(world, "UPDATE segment SET crc=NULL,row=NULL WHERE id&255=5");
    start(world);
    receive_all(world, 800);
    arrived(0, 40);
    arrived(50, 100);
    assert_int_equal(got.corrupt_numbers, 1);
    close_store(world);
}

/* A bad row is said by a Gap, and where the list of Gaps takes none the file is replaced: else the
 * row is met again for ever, and all behind it waits. */
static void a_bad_row_that_can_have_no_gap_does_not_stop_its_stream(void **state)
{
    struct world *world = *state;
    make_store(world, 100);
    change(world, "UPDATE segment SET crc=crc+1 WHERE id&255=5");
    break_the_rows_of(world, "sqlite_sequence");
    start(world);
    put_many(world, 100, 200);
    receive_all(world, 800);
    arrived(0, 40);
    arrived(50, 200);
    assert_int_equal(got.corrupt_numbers, 1);
    assert_int_equal(status_of(world).mode, STORE_MODE_OK);
    close_store(world);
}

/* One bit of the table of streams: no number is given a second time. */
static void numbers_that_stand_in_rows_are_not_given_again(void **state)
{
    struct world *world = *state;
    make_store(world, 100);
    change(world, "UPDATE stream SET last_seq=last_seq&~8");
    start(world);
    put_many(world, 1000, 1050);
    receive_all(world, 500);
    arrived(0, 100);
    arrived(1000, 1050);
    assert_int_equal(got.gaps, 0);
    close_store(world);
}

/* A list of what is owed that shrank, lost a range, or all that it had. */
static void what_is_owed_is_not_believed_when_it_shrank(void **state)
{
    static const char *const damages[] = {
        "UPDATE unacked SET last_seq=2 WHERE first_seq=1",
        "UPDATE unacked SET first_seq=9 WHERE first_seq=1",
        "UPDATE unacked SET sector=sector+4 WHERE first_seq=1",
        "UPDATE unacked SET uplink=uplink+4",
        "DELETE FROM unacked WHERE first_seq=1",
        "DELETE FROM unacked",
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        memset(got.times, 0, sizeof got.times);
        make_store(world, 100);
        change(world, damages[i]);
        start(world);
        receive_all(world, 300);
        arrived(0, 100);
        assert_int_equal(got.gaps, 0);
        close_store(world);
        start(world); /* what is settled now, stays so */
        receive_all(world, 200);
        arrived(0, 100);
        close_store(world);
        remove_store(world);
    }
}

/* What the file brings along is not run, and the file is replaced. */
static void a_trigger_and_a_view_do_nothing(void **state)
{
    struct world *world = *state;
    make_store(world, 100);
    change(world, "CREATE TRIGGER t AFTER INSERT ON segment BEGIN DELETE FROM segment; END");
    start(world);
    put_many(world, 100, 200);
    receive_all(world, 500);
    arrived(0, 200);
    close_store(world);
    assert_int_equal(count_aside(world, true), 1);
    change(world, "DROP TABLE epoch; CREATE VIEW epoch AS WITH RECURSIVE c(x) AS (SELECT 1 UNION"
                  " ALL SELECT x+1 FROM c) SELECT 0 AS ordinal, x AS number, 0 AS machine FROM c");
    start(world);
    close_store(world);
    assert_int_equal(count_aside(world, false), 1);
}

/* The later half of it stands in the log only. */
static void a_death_while_the_file_is_replaced_costs_nothing(void **state)
{
    struct world *world = *state;
    make_store(world, 500);
    pid_t child = fork();
    if (child == 0) {
        start(world);
        put_many(world, 500, 1000);
        end_of(world, SECTOR_GAS, 100, 0);
        _exit(0);
    }
    int code;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    set_aside(world, ""); /* and dead, before the log was renamed too */
    start(world);
    put_many(world, 1000, 1050);
    receive_all(world, 800);
    arrived(0, 1050);
    close_store(world);
    start(world); /* what is saved is not saved again */
    receive_all(world, 300);
    arrived(0, 1050);
    close_store(world);
}

/* The clock of a board without one: older damaged files have later names. */
static void the_file_just_set_aside_stays(void **state)
{
    struct world *world = *state;
    make_store(world, 500);
    break_the_rows_of(world, "open"); /* every start reads them */
    for (int i = 0; i < 3; i++) {
        char name[200];
        snprintf(name, sizeof name, "%s.corrupt-199000000000%d", world->path, i);
        close(open(name, O_CREAT | O_WRONLY, 0600));
    }
    start(world);
    receive_all(world, 800);
    arrived(0, 500);
    close_store(world);
    assert_int_equal(count_aside(world, false), 2);
}

/* A bit in the list of epochs, beside a damaged file that was saved and delivered long ago. */
static void what_was_saved_long_ago_stays_where_it_is(void **state)
{
    struct world *world = *state;
    make_store(world, OLD);
    off_t epoch =
        (ask_file(world, "SELECT rootpage FROM sqlite_schema WHERE name='epoch'") - 1) * PAGE;
    const char empty[] = {0, 0};
    int fd = open(world->path, O_WRONLY);
    assert_int_equal(pwrite(fd, empty, sizeof empty, epoch + 3), sizeof empty);
    close(fd);
    struct world old = *world;
    snprintf(old.path, sizeof old.path, "%s/store.db.corrupt-1000000000000", world->folder);
    old.settings.store.path = old.path;
    make_store(&old, 200);
    start(world);
    put_many(world, NEW, NEW_END);
    receive_all(world, 800);
    assert_int_equal(status_of(world).mode, STORE_MODE_OK);
    close_store(world);
    arrived(0, OLD);
    arrived(NEW, NEW_END);
    assert_int_equal(got.gaps, 0);
    assert_int_equal(count_aside(world, false), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(damage_noticed_at_the_start_costs_only_its_own_rows),
        TEST(damage_noticed_while_running_costs_nothing),
        TEST(an_uplink_misspelt_in_its_index_does_not_stop_the_store),
        TEST(saving_goes_on_after_a_crash),
        TEST(a_death_while_the_file_is_replaced_costs_nothing),
        TEST(a_bad_row_that_can_have_no_gap_does_not_stop_its_stream),
        TEST(a_row_of_nothing_is_damage),
        TEST(numbers_that_stand_in_rows_are_not_given_again),
        TEST(what_is_owed_is_not_believed_when_it_shrank),
        TEST(a_trigger_and_a_view_do_nothing),
        TEST(the_file_just_set_aside_stays),
        TEST(what_was_saved_long_ago_stays_where_it_is),
        TEST(no_damage_stops_it),
    };
    const char *given = getenv("LIFELINE_SEED");
    seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("seed %u (LIFELINE_SEED repeats it)\n", seed);
    disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
