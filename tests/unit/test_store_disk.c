/* The store on a disk that fails: it goes on in memory under a new epoch, comes back by itself with
 * all that it kept, and every reading arrives once. Every reading has a value of its own, so that
 * what arrived can be counted whatever number it came under. The disk is a real file behind a VFS
 * that fails on demand (faulty_disk.h); the real file systems are in tests/system/test_disk.py. */
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/api/history_line.h"
#include <sys/wait.h>

#include "tests/unit/store_uplink.h"

static void break_disk(void)
{
    disk.write = SQLITE_IOERR_WRITE;
    disk.sync = SQLITE_IOERR_FSYNC;
    disk.open = SQLITE_CANTOPEN;
}

static void a_disk_that_fails_is_left_and_found_again(void **state)
{
    struct world *world = *state;
    start(world);
    struct store_status before = status_of(world);
    uint32_t id = store_ids(world->store)->device[0];
    put_many(world, 0, 100);
    receive_all(world, 300);
    arrived(0, 100);
    break_disk();
    put_many(world, 100, 200);
    wait_mode(world, STORE_MODE_MEMORY);
    receive_all(world, 300);
    arrived(0, 200);
    struct store_status during = status_of(world);
    assert_int_not_equal(during.epoch, before.epoch);
    assert_int_equal(during.previous_epoch, before.epoch);
    assert_int_equal(during.failovers, 1);
    put_many(world, 200, 300); /* not acknowledged */
    disk_heal();
    wait_mode(world, STORE_MODE_OK);
    put_many(world, 300, 400);
    close_store(world);

    start(world);
    struct store_status after = status_of(world);
    assert_int_equal(after.epoch, during.epoch);
    assert_int_equal(after.previous_epoch, before.epoch);
    assert_int_equal(store_ids(world->store)->device[0], id);
    receive_all(world, 300);
    arrived(0, 400);
    assert_int_equal(got.gaps, 0);
    close_store(world);
}

static void one_failure_costs_nothing(void **state)
{
    struct world *world = *state;
    start(world);
    uint64_t epoch = status_of(world).epoch;
    put_many(world, 0, 50);
    receive_all(world, 200);
    disk.times = 1;
    disk.sync = SQLITE_IOERR_FSYNC;
    put_many(world, 50, 100);
    receive_all(world, 300);
    arrived(0, 100);
    struct store_status status = status_of(world);
    assert_int_equal(status.mode, STORE_MODE_OK);
    assert_int_equal(status.epoch, epoch);
    assert_int_equal(status.failed_commits, 1);
    assert_int_equal(status.failovers, 0);
    close_store(world);
}

static void what_was_owed_before_is_sent_after(void **state)
{
    struct world *world = *state;
    struct parcel parcels[LENT] = {0};
    start(world);
    put_many(world, 0, 10);
    struct parcel *p = receive(world, parcels, WAIT_MS);
    while (p && p->kind == PARCEL_MANIFEST)
        p = collect(world, WAIT_MS);
    assert_non_null(p);
    announce(p->epoch);
    note(p);
    put_many(world, 10, 100);
    end_of(world, SECTOR_GAS, 10, 0);
    world->generation = store_renew(world->store, 0);
    break_disk();
    put_many(world, 100, 110);
    wait_mode(world, STORE_MODE_MEMORY);
    store_settle(world->store, 0, p); /* the acknowledgement was on its way */
    receive_all(world, 300);
    arrived(100, 110);
    assert_int_equal(got.times[50], 0);
    struct store_backlog backlog;
    store_backlog(world->store, 0, &backlog);
    assert_int_equal(backlog.previous_ends[SECTOR_GAS].last_seq, 10);
    assert_int_equal(backlog.previous_ends[SECTOR_GAS].settled_seq, 1);
    assert_int_equal(backlog.readings, 90);
    disk_heal();
    wait_mode(world, STORE_MODE_OK);
    receive_all(world, 300);
    arrived(0, 110);
    assert_int_equal(got.gaps, 0);
    close_store(world);
    for (int i = 0; i < LENT; i++)
        free(parcels[i].bytes);
}

static void nobody_wakes(void *context)
{
    (void)context;
}

/* The last line of a query for everything. */
static void ask_history(struct world *world, char line[HISTORY_LINE_MAX])
{
    const char *all = "*";
    struct history_reading reading;
    struct history *history = history_new(&all, 1, 0, INT64_MAX);
    mono_time until = clock_after_ms(clock_mono(), WAIT_MS);
    while (history_next(history, &reading) == HISTORY_FETCH && clock_mono().ns < until.ns) {
        loan_lend(world->store, history_loan(history), nobody_wakes, NULL);
        while (!loan_back(world->store, history_loan(history)) && clock_mono().ns < until.ns)
            usleep(1000);
    }
    history_line_last(history, line);
    history_free(history);
}

/* Somebody pages through `lifelinectl query` when the gateway starts. */
static void who_only_reads_does_not_keep_it_from_starting(void **state)
{
    struct world *world = *state;
    char lock[200], line[HISTORY_LINE_MAX];
    start(world);
    put_many(world, 0, 10);
    end_of(world, SECTOR_GAS, 1, 0);
    close_store(world);
    snprintf(lock, sizeof lock, "%s/store.lock", world->folder);
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t reader = fork();
    if (reader == 0) {
        prctl(PR_SET_NAME, "lifelinectl");
        if (flock(open(lock, O_RDWR), LOCK_EX | LOCK_NB) == 0 && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    start(world);
    wait_mode(world, STORE_MODE_MEMORY);
    put_many(world, 10, 20);
    ask_history(world, line);
    assert_non_null(strstr(line, "\"incomplete\":true"));
    kill(reader, SIGKILL);
    waitpid(reader, NULL, 0);
    wait_mode(world, STORE_MODE_OK);
    receive_all(world, 300);
    arrived(0, 20);
    assert_int_equal(got.gaps, 0);
    ask_history(world, line);
    assert_null(strstr(line, "incomplete"));
    close_store(world);
    close(ready[0]);
    close(ready[1]);
}

static void a_disk_that_is_missing_at_the_start_is_found_later(void **state)
{
    struct world *world = *state;
    start(world);
    struct store_status before = status_of(world);
    put_many(world, 0, 50);
    usleep(100000);
    close_store(world);
    disk.open = SQLITE_CANTOPEN;
    start(world);
    assert_int_equal(status_of(world).mode, STORE_MODE_MEMORY);
    put_many(world, 50, 100);
    receive_all(world, 300);
    arrived(50, 100);
    put_many(world, 100, 150);
    disk_heal();
    wait_mode(world, STORE_MODE_OK);
    struct store_status after = status_of(world);
    assert_int_equal(after.previous_epoch, before.epoch);
    receive_all(world, 300);
    arrived(0, 150);
    assert_int_equal(got.gaps, 0);
    close_store(world);
    start(world);
    assert_int_equal(status_of(world).epoch, after.epoch);
    receive_all(world, 300);
    arrived(0, 150);
    close_store(world);
}

static void memory_is_bounded_and_says_what_it_cost(void **state)
{
    struct world *world = *state;
    start(world);
    break_disk();
    struct segment *segment = new_segment();
    for (int64_t i = 0; i < 20000; i++)
        add(segment, (i * 7919) % VALUES);
    for (int i = 0; i < 300; i++) {
        while (!store_put(world->store, 0, SECTOR_GAS, segment, true))
            usleep(1000);
        store_commit(world->store);
    }
    segment_free(segment);
    wait_mode(world, STORE_MODE_MEMORY);
    usleep(500000);
    struct store_status status = status_of(world);
    assert_true(status.bytes <= 8 << 20);
    assert_true(status.quota_bytes <= 8 << 20);
    memset(got.times, 0, sizeof got.times);
    receive_all(world, 500);
    uint64_t readings = 0;
    for (int value = 0; value < VALUES; value++)
        readings += got.times[value];
    assert_true(got.lost[GAP_REASON_DISK] > 0);
    assert_true(readings > 0);
    assert_int_equal(readings + got.lost[GAP_REASON_DISK], 300 * 20000);
    disk_heal();
    close_store(world);
}

static void end_of_numbers(struct world *world, uint64_t last)
{
    struct store_backlog backlog = {0};
    mono_time until = clock_after_ms(clock_mono(), PATIENCE_MS);
    while (backlog.ends[SECTOR_GAS].last_seq != last && clock_mono().ns < until.ns) {
        usleep(1000);
        store_backlog(world->store, 0, &backlog);
    }
    assert_int_equal(backlog.ends[SECTOR_GAS].last_seq, last);
}

static void on_a_full_disk_the_oldest_make_way(void **state)
{
    struct world *world = *state;
    char reserve[200];
    start(world);
    struct store_status before = status_of(world);
    snprintf(reserve, sizeof reserve, "%s-reserve", world->path);
    assert_int_equal(access(reserve, F_OK), 0);
    disk.reserve = reserve;
    disk.reserve_bytes = 256 << 10;
    disk.room = 1 << 20;
    struct segment *segment = new_segment();
    for (int64_t i = 0; i < 4000; i++)
        add(segment, (i * 7919) % VALUES);
    bool full = false;
    for (int i = 0; i < 300; i++) {
        while (!store_put(world->store, 0, SECTOR_GAS, segment, true))
            usleep(1000);
        store_commit(world->store);
        usleep(3000);
        full |= status_of(world).mode == STORE_MODE_FULL;
    }
    segment_free(segment);
    end_of_numbers(world, 300);
    assert_true(full);
    assert_int_equal(access(reserve, F_OK), -1);
    struct store_status after = status_of(world);
    assert_int_equal(after.epoch, before.epoch);
    assert_int_equal(after.failovers, 0);
    receive_all(world, 500);
    uint64_t readings = 0;
    for (int value = 0; value < VALUES; value++)
        readings += got.times[value];
    assert_in_range(got.lost[GAP_REASON_DISK], 1, 300 * 4000);
    assert_int_equal(readings + got.lost[GAP_REASON_DISK], 300 * 4000);
    disk_heal();
    wait_mode(world, STORE_MODE_OK);
    assert_int_equal(access(reserve, F_OK), 0);
    close_store(world);
}

/* The commit of a return fails, and is on the disk all the same: no epoch stands there twice. */
static void a_return_in_doubt_is_done_again_whole(void **state)
{
    struct world *world = *state;
    start(world);
    put_many(world, 0, 100);
    end_of_numbers(world, 10);
    close_store(world);
    disk.open = SQLITE_CANTOPEN;
    start(world);
    wait_mode(world, STORE_MODE_MEMORY);
    put_many(world, 100, 200);
    end_of_numbers(world, 10);
    disk.times = 1;
    disk.spared = 1;
    disk.sync = SQLITE_IOERR_FSYNC;
    disk.failures = 0;
    disk.open = SQLITE_OK;
    wait_mode(world, STORE_MODE_OK);
    assert_int_equal(disk.failures, 1);
    receive_all(world, 800);
    arrived(0, 200);
    assert_int_equal(got.gaps, 0);
    struct store_backlog backlog;
    store_backlog(world->store, 0, &backlog);
    assert_int_equal(backlog.readings, 0);
    close_store(world);
    start(world);
    receive_all(world, 300);
    arrived(0, 200);
    close_store(world);
}

/* Damage while running, and the new file refuses: the old one is saved once it does not. */
static void a_damaged_file_is_saved_when_the_new_one_can_be_written(void **state)
{
    struct world *world = *state;
    start(world);
    put_many(world, 0, 1000);
    end_of_numbers(world, 100);
    disk.times = 1;
    disk.write = SQLITE_CORRUPT;
    put_closed(world, SECTOR_GAS, 1000, 10);
    while (!disk.failures)
        usleep(100);
    disk.write = SQLITE_OK;
    disk.sync = SQLITE_IOERR_FSYNC;
    disk.times = -1;
    wait_mode(world, STORE_MODE_MEMORY);
    disk_heal();
    wait_mode(world, STORE_MODE_OK);
    put_many(world, 1010, 1050);
    receive_all(world, 800);
    arrived(0, 1050);
    close_store(world);
}

/* A process that dies in memory: the next goes on where the disk was left, and a Gap says so. */
static void death_in_memory_is_a_crash(void **state)
{
    struct world *world = *state;
    pid_t child = fork();
    if (child == 0) {
        start(world);
        put_many(world, 0, 50);
        receive_all(world, 300);
        break_disk();
        put_many(world, 50, 100);
        wait_mode(world, STORE_MODE_MEMORY);
        _exit(0);
    }
    int code;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    start(world);
    put_many(world, 100, 150);
    receive_all(world, 300);
    arrived(100, 150);
    assert_int_equal(got.gaps, 1);
    assert_int_equal(status_of(world).previous_epoch, 0);
    close_store(world);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_disk_that_fails_is_left_and_found_again),
        TEST(one_failure_costs_nothing),
        TEST(what_was_owed_before_is_sent_after),
        TEST(who_only_reads_does_not_keep_it_from_starting),
        TEST(a_disk_that_is_missing_at_the_start_is_found_later),
        TEST(memory_is_bounded_and_says_what_it_cost),
        TEST(on_a_full_disk_the_oldest_make_way),
        TEST(a_return_in_doubt_is_done_again_whole),
        TEST(a_damaged_file_is_saved_when_the_new_one_can_be_written),
        TEST(death_in_memory_is_a_crash),
    };
    disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
