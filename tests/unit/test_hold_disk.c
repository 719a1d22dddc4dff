/* A clock that was never set and a disk that fails, at once.
 *
 * What was read meanwhile waits in memory as it would wait on the disk, what is on the disk waits
 * until it is back; each goes out once, with its true time, and nothing is called lost. */
#include "tests/unit/hold_world.h"

#include "tests/unit/faulty_disk.h"

enum { PART = 20, PATIENCE_MS = 15000 };

static int begin(void **state)
{
    disk_heal();
    return set_up(state);
}

static int end(void **state)
{
    disk_heal();
    return tear_down(state);
}

static void break_disk(void)
{
    disk.write = SQLITE_IOERR_WRITE;
    disk.sync = SQLITE_IOERR_FSYNC;
    disk.open = SQLITE_CANTOPEN;
}

static void wait_mode(const struct world *world, enum store_mode mode)
{
    struct store_status status;
    mono_time until = clock_after_ms(clock_mono(), PATIENCE_MS);
    do {
        store_commit(world->store); /* a turn */
        usleep(20000);
        store_status(world->store, &status);
    } while (status.mode != mode && clock_mono().ns < until.ns);
    assert_int_equal(status.mode, mode);
}

/* Rows of one sector, by the moment in which they were read. */
struct truth {
    size_t count;
    int64_t ms[ROWS_MAX];
};

static void put_part(struct world *world, struct truth *truth)
{
    for (int i = 0; i < PART; i++) {
        truth->ms[truth->count++] = put(world, CLOCK_STATE_UNSET, boot_id());
        usleep(1000 * (2 * NEAR_MS + 1)); /* so that each is known by its time */
    }
    store_commit(world->store);
}

/* A board that does not know the time, with a first part of readings on the disk. */
static struct truth *start_unset(struct world *world, int64_t uptime_ms)
{
    static struct truth truth;
    truth.count = 0;
    board(uptime_ms, 1, false);
    open_store(world);
    put_part(world, &truth);
    return &truth;
}

static void bring_disk_back(const struct world *world)
{
    disk_heal();
    wait_mode(world, STORE_MODE_OK);
}

/* Everything that comes is corrected, of the readings [from, to), each once. */
static void assert_arrive(struct world *world, const struct truth *truth, size_t from, size_t to)
{
    static struct arrived arrived;
    receive_all(world, &arrived);
    assert_int_equal(arrived.gaps, 0);
    assert_int_equal(arrived.count, to - from);
    for (size_t i = from; i < to; i++) {
        size_t found = 0;
        for (size_t k = 0; k < arrived.count; k++) {
            int64_t off_ms = arrived.rows[k].base_ms - truth->ms[i];
            found += arrived.rows[k].clock == CLOCK_STATE_CORRECTED && off_ms >= -NEAR_MS &&
                     off_ms <= NEAR_MS;
        }
        assert_int_equal(found, 1);
    }
}

static void it_is_set_before_the_disk_is_back(void **state)
{
    struct world *world = *state;
    struct truth *truth = start_unset(world, 100000);
    assert_int_equal(held(world, PART), PART);
    break_disk();
    put_part(world, truth);
    wait_mode(world, STORE_MODE_MEMORY);
    assert_int_equal(held(world, PART), PART); /* what is within reach */
    assert_arrive(world, truth, 0, 0);
    set_clock(world);
    assert_int_equal(held(world, 0), 0);
    assert_arrive(world, truth, PART, 2 * PART);
    bring_disk_back(world);
    assert_int_equal(held(world, 0), 0);
    assert_arrive(world, truth, 0, PART);
    close_store(world);
    open_store(world);
    assert_arrive(world, truth, 0, 0);
    close_store(world);
}

/* Written before, on the disk that comes back, and after; perhaps read by another life of the
 * daemon. */
static void set_when_the_disk_is_back(struct world *world, bool restart)
{
    struct truth *truth = start_unset(world, 100000);
    break_disk();
    put_part(world, truth);
    wait_mode(world, STORE_MODE_MEMORY);
    bring_disk_back(world);
    assert_int_equal(held(world, 2 * PART), 2 * PART);
    if (restart) {
        close_store(world);
        open_store(world);
    }
    put_part(world, truth);
    assert_arrive(world, truth, 0, 0);
    set_clock(world);
    assert_int_equal(held(world, 0), 0);
    assert_arrive(world, truth, 0, 3 * PART);
    close_store(world);
}

static void it_is_set_when_the_disk_is_back(void **state)
{
    set_when_the_disk_is_back(*state, false);
}

static void it_is_set_after_another_restart(void **state)
{
    set_when_the_disk_is_back(*state, true);
}

/* The disk is found when its readings of this boot have waited for a life already. */
static void missing_at_the_start(struct world *world, bool set_before_it_is_found)
{
    struct truth *truth = start_unset(world, 100000);
    assert_int_equal(held(world, PART), PART);
    close_store(world);
    break_disk();
    open_store(world);
    wait_mode(world, STORE_MODE_MEMORY);
    put_part(world, truth);
    assert_int_equal(held(world, PART), PART);
    assert_arrive(world, truth, 0, 0);
    if (set_before_it_is_found) {
        set_clock(world);
        assert_arrive(world, truth, PART, 2 * PART);
    }
    bring_disk_back(world);
    set_clock(world);
    assert_int_equal(held(world, 0), 0);
    assert_arrive(world, truth, 0, set_before_it_is_found ? PART : 2 * PART);
    close_store(world);
    assert_int_equal(ask_file(world, "SELECT count(*) FROM gap"), 0);
}

static void it_is_set_before_the_disk_is_found(void **state)
{
    missing_at_the_start(*state, true);
}

static void it_is_set_when_the_disk_was_found(void **state)
{
    missing_at_the_start(*state, false);
}

/* One life was killed before anybody knew the time; the next one finds the disk late or at once,
 * and knows the time when it starts or later. */
static void killed(struct world *world, bool disk_is_missing, bool set_at_start)
{
    static struct truth truth;
    static struct arrived arrived;
    truth.count = 0;
    world->settings.store.sync_ms = 1000;
    board(100000, 1, false);
    pid_t child = fork();
    if (child == 0) {
        open_store(world);
        put(world, CLOCK_STATE_UNSET, boot_id());
        store_commit(world->store);
        end_of(world, SECTOR_GAS, 1, 0);
        _exit(0);
    }
    truth.ms[0] = true_wall_ms();
    waitpid(child, NULL, 0);
    if (disk_is_missing)
        break_disk();
    if (set_at_start)
        set_clock(world);
    open_store(world);
    const int64_t started_ms = true_wall_ms();
    if (disk_is_missing) {
        wait_mode(world, STORE_MODE_MEMORY);
        bring_disk_back(world);
    }
    set_clock(world);
    assert_int_equal(held(world, 0), 0);
    receive_all(world, &arrived);
    assert_int_equal(arrived.count, 1);
    assert_int_equal(arrived.rows[0].clock, CLOCK_STATE_CORRECTED);
    assert_int_equal(arrived.gaps, 1);
    assert_in_range(arrived.gap_from_ms - truth.ms[0] + NEAR_MS, 0, 2000);
    assert_in_range(arrived.gap_to_ms, arrived.gap_from_ms + 1, started_ms + 1000);
    close_store(world);
}

static void a_kill_has_its_true_time(void **state)
{
    killed(*state, false, false);
}

static void a_kill_has_its_true_time_where_the_next_life_knows_it(void **state)
{
    killed(*state, false, true);
}

static void a_kill_has_its_true_time_where_the_disk_is_missing(void **state)
{
    killed(*state, true, false);
}

static void a_kill_has_its_true_time_where_both_come_late(void **state)
{
    killed(*state, true, true);
}

/* The hold is long over and nobody has asked: then the disk fails, the clock is set, and the disk
 * is back. The failure is no reason to let them go as they stand. */
static void a_failing_disk_ends_no_hold(void **state)
{
    struct world *world = *state;
    struct truth *truth = start_unset(world, CLOCK_HOLD_MS + 60000);
    end_of(world, SECTOR_GAS, PART, 0);
    break_disk();
    set_clock(world);
    wait_mode(world, STORE_MODE_MEMORY);
    bring_disk_back(world);
    put_part(world, truth);
    assert_arrive(world, truth, 0, 2 * PART);
    close_store(world);
}

/* The file is said to be damaged, once, by the first write of the correction. That replaces no
 * file: while the hold lasts it is tried again, and afterwards the rows go out as they stand. */
static void corrected_with_damage(struct world *world, int64_t uptime_ms, enum clock_state expected)
{
    static struct arrived arrived;
    struct store_status status;
    (void)start_unset(world, uptime_ms);
    end_of(world, SECTOR_GAS, PART, 0);
    disk.times = 1;
    disk.write = SQLITE_CORRUPT;
    set_clock(world);
    mono_time until = clock_after_ms(clock_mono(), PATIENCE_MS);
    while (disk.failures == 0 && clock_mono().ns < until.ns)
        usleep(1000);
    receive_all(world, &arrived);
    assert_int_equal(disk.failures, 1);
    assert_int_equal(arrived.count, PART);
    for (size_t i = 0; i < PART; i++)
        assert_int_equal(arrived.rows[i].clock, expected);
    store_status(world->store, &status);
    assert_int_equal(status.mode, STORE_MODE_OK);
    close_store(world);
    assert_int_equal(ask_file(world, "SELECT count(*) FROM epoch"), 1);
}

static void damage_does_not_end_the_hold(void **state)
{
    corrected_with_damage(*state, 100000, CLOCK_STATE_CORRECTED);
}

static void nobody_waits_for_a_damaged_file_for_ever(void **state)
{
    corrected_with_damage(*state, CLOCK_HOLD_MS + 60000, CLOCK_STATE_UNSET);
}

/* What went out of memory as it stood is not given another time when the disk is back; the disk's
 * own, which nobody could see, is. */
static void what_went_out_of_memory_stays(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    world->settings.store.retain_ms = YEAR_NS / 1000000;
    struct truth *truth = start_unset(world, CLOCK_HOLD_MS - 30000);
    end_of(world, SECTOR_GAS, PART, 0);
    break_disk();
    put_part(world, truth);
    wait_mode(world, STORE_MODE_MEMORY);
    uptime_ahead_ns += INT64_C(40) * 1000000000;
    wall_ahead_ns += INT64_C(40) * 1000000000;
    store_commit(world->store);
    receive_all(world, &arrived);
    assert_int_equal(arrived.count, PART);
    assert_int_equal(arrived.rows[0].clock, CLOCK_STATE_UNSET);
    disk_heal();
    set_clock(world);
    for (size_t i = 0; i < PART; i++)
        truth->ms[i] -= 40000; /* the board says that so much has passed since */
    wait_mode(world, STORE_MODE_OK);
    assert_arrive(world, truth, 0, PART);
    close_store(world);
    assert_int_equal(ask_file(world, "SELECT count(*) FROM segment WHERE base_ms<100000"), PART);
}

/* How far a clock is believed is known by the disk: what was believed while it was missing does not
 * empty it when it is back. */
static void a_leap_in_memory_is_none_to_believe(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    world->settings.store.retain_ms = 30 * DAY_NS / 1000000;
    board(100 * CLOCK_HOLD_MS, 0, true);
    open_store(world);
    for (int i = 0; i < PART; i++)
        put(world, CLOCK_STATE_SYNCED, boot_id());
    store_commit(world->store);
    receive_all(world, &arrived);
    assert_int_equal(arrived.count, PART);
    end_of(world, SECTOR_GAS, PART, PART);
    close_store(world);
    break_disk();
    wall_ahead_ns += 12 * YEAR_NS;
    open_store(world);
    wait_mode(world, STORE_MODE_MEMORY);
    put(world, CLOCK_STATE_SYNCED, boot_id());
    store_commit(world->store);
    end_of(world, SECTOR_GAS, 1, 0);
    bring_disk_back(world);
    put(world, CLOCK_STATE_SYNCED, boot_id());
    store_commit(world->store);
    end_of(world, SECTOR_GAS, 2, 0);
    close_store(world);
    assert_int_equal(ask_file(world, "SELECT count(*) FROM segment"), PART + 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(it_is_set_before_the_disk_is_back),
        TEST(it_is_set_when_the_disk_is_back),
        TEST(it_is_set_after_another_restart),
        TEST(it_is_set_before_the_disk_is_found),
        TEST(it_is_set_when_the_disk_was_found),
        TEST(a_failing_disk_ends_no_hold),
        TEST(a_kill_has_its_true_time),
        TEST(a_kill_has_its_true_time_where_the_next_life_knows_it),
        TEST(a_kill_has_its_true_time_where_the_disk_is_missing),
        TEST(a_kill_has_its_true_time_where_both_come_late),
        TEST(damage_does_not_end_the_hold),
        TEST(nobody_waits_for_a_damaged_file_for_ever),
        TEST(what_went_out_of_memory_stays),
        TEST(a_leap_in_memory_is_none_to_believe),
    };
    disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
