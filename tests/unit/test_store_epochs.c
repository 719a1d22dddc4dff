/* Damage to what all else in the file hangs on: the first page, the list of epochs, the log.
 *
 * Rows that are whole arrive once under the numbers they had, no number is given twice, and what
 * nobody can tell any more is said to be missing. */
#include "tests/unit/damaged_file.h"

static off_t root_of(const struct world *world, const char *table)
{
    char text[100];
    sqlite3 *db;
    sqlite3_stmt *s;
    snprintf(text, sizeof text, "SELECT rootpage FROM sqlite_schema WHERE name='%s'", table);
    assert_int_equal(sqlite3_open_v2(world->path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    off_t page = sqlite3_column_int64(s, 0) - 1;
    sqlite3_finalize(s);
    sqlite3_close(db);
    return page * PAGE;
}

static void flip_in(const char *path, off_t at)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void flip(const struct world *world, off_t at)
{
    flip_in(world->path, at);
}

/* In the first page. */
static off_t place_of(const struct world *world, const char *text)
{
    uint8_t page[PAGE];
    int fd = open(world->path, O_RDONLY);
    assert_int_equal(pread(fd, page, PAGE, 0), PAGE);
    close(fd);
    const uint8_t *at = memmem(page, PAGE, text, strlen(text));
    assert_non_null(at);
    return at - page;
}

/* Of a store that owed 1000 readings. */
static void has_cost_nothing(struct world *world)
{
    start(world);
    put_many(world, 1000, 1100);
    receive_all(world, 500);
    arrived(0, 1100);
    assert_int_equal(got.corrupt_numbers, 0);
    close_store(world);
    start(world);
    receive_all(world, 200);
    arrived(0, 1100);
    close_store(world);
    remove_store(world);
    memset(got.times, 0, sizeof got.times);
    got.announced_count = 0;
}

/* The first page, the list of epochs, that of streams: all else hangs on them. Nothing is lost
 * where rows and debts are whole, and an epoch keeps its number. */
static void what_all_hangs_on_costs_nothing(void **state)
{
    enum { HEAD = 1, SCHEMA = 2, ROOT = 4, EPOCH = 8, BIT = 16, STREAM = 32 };
    static const int damages[] = {HEAD, SCHEMA, ROOT, EPOCH, BIT, HEAD | EPOCH | STREAM};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        make_store(world, 1000);
        off_t epoch = root_of(world, "epoch"), stream = root_of(world, "stream");
        if (damages[i] & HEAD)
            overwrite(world->path, 0, PAGE);
        if (damages[i] & SCHEMA)
            flip(world, 3000);
        if (damages[i] & ROOT)
            flip(world, 16);
        if (damages[i] & EPOCH)
            overwrite(world->path, epoch, PAGE);
        if (damages[i] & BIT)
            flip(world, epoch + PAGE - 8); /* of its only row: in the number */
        if (damages[i] & STREAM)
            overwrite(world->path, stream, PAGE);
        has_cost_nothing(world);
    }
}

/* The statements of the other tables are fine, and say nothing of the one that is not. */
static void a_letter_of_one_table_costs_nothing(void **state)
{
    static const char *const places[] = {"CREATE TABLE segment(", "TABLE segment(", "segment(id",
                                         "CREATE TABLE epoch("};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        make_store(world, 1000);
        flip(world, place_of(world, places[i]));
        has_cost_nothing(world);
    }
}

/* Each list of epochs is damaged in turn; the rows say which is right. */
static void the_list_of_epochs_stands_there_twice(void **state)
{
    static const char *const damages[] = {
        "UPDATE epoch SET number=-number",
        "UPDATE epoch SET number=number+1",
        "UPDATE epoch SET ordinal=3",
        "DELETE FROM epoch",
        "UPDATE meta SET value=value+1 WHERE key='epoch 1'",
        "UPDATE meta SET key='epoch 5' WHERE key='epoch 1'",
        "UPDATE meta SET value=-value WHERE key='epoch 1'",
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        memset(got.times, 0, sizeof got.times);
        got.announced_count = 0;
        make_store(world, 100);
        start(world);
        uint64_t epoch = status_of(world).epoch;
        close_store(world);
        change(world, damages[i]);
        start(world);
        assert_int_not_equal(status_of(world).epoch, epoch);
        put_many(world, 100, 150);
        receive_all(world, 300);
        arrived(0, 150);
        assert_int_equal(got.gaps, 0);
        close_store(world);
        start(world); /* and the lists are one again */
        epoch = status_of(world).epoch;
        close_store(world);
        start(world);
        assert_int_equal(status_of(world).epoch, epoch);
        close_store(world);
        remove_store(world);
    }
}

/* A file of before there were two: nothing is wrong with it. */
static void one_list_of_epochs_will_do(void **state)
{
    struct world *world = *state;
    make_store(world, 100);
    start(world);
    uint64_t epoch = status_of(world).epoch;
    close_store(world);
    change(world, "DELETE FROM meta WHERE key='epoch 1'");
    start(world);
    assert_int_equal(status_of(world).epoch, epoch);
    close_store(world);
    change(world, "DELETE FROM epoch"); /* there are two again */
    start(world);
    receive_all(world, 300);
    arrived(0, 100);
    assert_int_equal(got.gaps, 0);
    close_store(world);
}

static void what_the_first_page_said_is_known(void **state)
{
    struct world *world = *state;
    make_store(world, 1000);
    start(world);
    uint64_t epoch = status_of(world).epoch;
    close_store(world);
    overwrite(world->path, 0, PAGE);
    start(world);
    assert_int_equal(status_of(world).previous_epoch, epoch);
    put_many(world, 1000, 1050);
    receive_all(world, 500);
    arrived(0, 1050);
    assert_int_equal(got.corrupt_numbers, 0);
    assert_int_equal(got.unnumbered[GAP_REASON_CORRUPT], 0);
    close_store(world);
}

/* The old one was being kept, and the power went before it was. */
static void a_cut_before_the_first_page_is_replaced(void **state)
{
    struct world *world = *state;
    char kept[200];
    make_store(world, 1000);
    overwrite(world->path, 0, PAGE);
    set_aside(world, "");
    snprintf(kept, sizeof kept, "%s.corrupt-1000000000000-first", world->path);
    close(open(kept, O_CREAT | O_WRONLY, 0600));
    start(world);
    receive_all(world, 500);
    arrived(0, 1000);
    assert_int_equal(got.corrupt_numbers, 0);
    close_store(world);
    struct stat file;
    assert_int_equal(stat(kept, &file), 0);
    assert_int_equal(file.st_size, PAGE);
}

/* All but the rows: that something is missing is all that can be said. */
static void what_nobody_can_tell_is_said_without_numbers(void **state)
{
    struct world *world = *state;
    struct stat file;
    make_store(world, 1000);
    assert_int_equal(stat(world->path, &file), 0);
    overwrite(world->path, 0, (size_t)file.st_size);
    start(world);
    put_many(world, 1000, 1050);
    receive_all(world, 500);
    arrived(1000, 1050);
    assert_int_equal(got.unnumbered[GAP_REASON_CORRUPT], 1);
    close_store(world);
}

/* A process dies with a hundred readings in its log; out: the name of that, and where in it the
 * last fifty begin. */
static off_t leave_a_log(struct world *world, int64_t from, char *log, size_t size)
{
    struct stat file;
    int rows[2];
    off_t begin;
    snprintf(log, size, "%s-wal", world->path);
    assert_int_equal(pipe(rows), 0);
    pid_t child = fork();
    if (child == 0) {
        start(world);
        put_many(world, from, from + 50);
        end_of(world, SECTOR_GAS, (uint64_t)from / 10 + 5, 0);
        assert_int_equal(stat(log, &file), 0);
        assert_int_equal(write(rows[1], &file.st_size, sizeof begin), sizeof begin);
        put_many(world, from + 50, from + 100);
        end_of(world, SECTOR_GAS, (uint64_t)from / 10 + 10, 0);
        _exit(0);
    }
    int code;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    assert_int_equal(read(rows[0], &begin, sizeof begin), sizeof begin);
    close(rows[0]);
    close(rows[1]);
    return begin;
}

/* By a reader, to whom the log is good for what it is worth. */
static uint64_t epoch_in_file(const struct world *world)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_open_v2(world->path, &db, SQLITE_OPEN_READONLY, "unix"), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT number FROM epoch", -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    uint64_t epoch = (uint64_t)sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return epoch;
}

static void epoch_is_left(struct world *world, uint64_t epoch)
{
    start(world);
    assert_int_not_equal(status_of(world).epoch, epoch);
    assert_int_equal(status_of(world).previous_epoch, epoch);
    receive_all(world, 300);
    assert_int_equal(got.unnumbered[GAP_REASON_CRASH], 1);
    close_store(world);
}

/* A bit of the log: what SQLite drops behind it was committed, and its numbers were given. */
static void numbers_that_the_log_lost_are_not_given_again(void **state)
{
    struct world *world = *state;
    char log[200];
    off_t rows = leave_a_log(world, 0, log, sizeof log);
    flip_in(log, rows + 24 + 100);
    epoch_is_left(world, epoch_in_file(world));
}

/* SQLite drops all of it then. */
static void nor_those_of_a_log_without_its_head(void **state)
{
    static const char zeros[512];
    struct world *world = *state;
    char log[200];
    make_store(world, 100); /* a sector that has none cannot have lost any */
    uint64_t epoch = epoch_in_file(world);
    leave_a_log(world, 100, log, sizeof log);
    int fd = open(log, O_WRONLY);
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, 0), sizeof zeros);
    close(fd);
    epoch_is_left(world, epoch);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(what_all_hangs_on_costs_nothing),
        TEST(a_letter_of_one_table_costs_nothing),
        TEST(the_list_of_epochs_stands_there_twice),
        TEST(one_list_of_epochs_will_do),
        TEST(what_the_first_page_said_is_known),
        TEST(a_cut_before_the_first_page_is_replaced),
        TEST(what_nobody_can_tell_is_said_without_numbers),
        TEST(numbers_that_the_log_lost_are_not_given_again),
        TEST(nor_those_of_a_log_without_its_head),
    };
    disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
