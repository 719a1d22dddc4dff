/* The store on a disk that fails: it goes on in memory under a new epoch, comes back by itself with
 * all that it kept, and every reading arrives once. Every reading has a value of its own, so that
 * what arrived can be counted whatever number it came under. The disk is a real file behind a VFS
 * that fails on demand (faulty_disk.h); the real file systems are in tests/system/test_disk.py. */
#include <sys/wait.h>

#include "tests/unit/faulty_disk.h"
#include "tests/unit/store_world.h"

enum { VALUES = 100000, PATIENCE_MS = 15000 };

/* What an uplink received and acknowledged. */
static struct {
    uint8_t times[VALUES];
    uint64_t lost[GAP_REASON_DISK + 1]; /* readings that a Gap tells of */
    uint32_t gaps;
    uint64_t epochs[8]; /* in the order in which rows of them arrived */
    size_t epoch_count;
    uint64_t announced[16]; /* epochs whose Manifest came */
    size_t announced_count;
    struct parcel parcels[LENT];
    uint64_t lent_to; /* the generation that they were lent to */
} got;

static struct settings_device device;
static struct profile profile;
static struct profile_point point;
static struct settings_point point_settings;

static int begin(void **state)
{
    memset(&got, 0, sizeof got);
    disk_heal();
    if (set_up(state) != 0)
        return -1;
    struct world *world = *state;
    point.name = (char *)"level";
    point.quantity = (char *)"level";
    point.unit = (char *)"m";
    profile.name = (char *)"made-up";
    profile.points = &point;
    profile.point_count = 1;
    device.name = (char *)"well";
    device.profile = &profile;
    device.points = &point_settings;
    device.sector = SECTOR_GAS;
    static struct settings_line line = {.name = (char *)"line"};
    world->settings.lines = &line;
    world->settings.line_count = 1;
    world->settings.devices = &device;
    world->settings.device_count = 1;
    return 0;
}

static int end(void **state)
{
    for (int i = 0; i < LENT; i++)
        free(got.parcels[i].bytes);
    disk_heal();
    return tear_down(state);
}

static bool is_announced(uint64_t epoch)
{
    for (size_t i = 0; i < got.announced_count; i++) {
        if (got.announced[i] == epoch)
            return true;
    }
    return false;
}

static void announce(uint64_t epoch)
{
    if (!is_announced(epoch))
        got.announced[got.announced_count++ % 16] = epoch;
}

static void note(const struct parcel *parcel)
{
    Lifeline__V1__DataBatch *batch = decode(parcel);
    for (size_t i = 0; i < batch->n_segments; i++) {
        const Lifeline__V1__Column *column = batch->segments[i]->blocks[0]->columns[0];
        int64_t value = 0;
        for (size_t k = 0; k < column->n_steps; k++) {
            value += column->steps[k];
            assert_in_range(value, 0, VALUES - 1);
            got.times[value]++;
        }
        assert_true(is_announced(batch->epoch));
        if (!got.epoch_count || got.epochs[got.epoch_count - 1] != batch->epoch)
            got.epochs[got.epoch_count++ % 8] = batch->epoch;
    }
    for (size_t i = 0; i < batch->n_gaps; i++)
        got.lost[batch->gaps[i]->reason] += batch->gaps[i]->readings;
    got.gaps += (uint32_t)batch->n_gaps;
    message_free(&batch->base);
}

/* Everything that comes until it is quiet. */
static void receive_all(struct world *world, int64_t quiet_ms)
{
    for (int i = 0; i < LENT && got.lent_to != world->generation; i++)
        ask(world, &got.parcels[i]);
    got.lent_to = world->generation;
    for (struct parcel *p; (p = collect(world, quiet_ms));) {
        if (p->generation != world->generation)
            continue; /* of a connection before */
        if (p->kind == PARCEL_MANIFEST) {
            announce(p->epoch);
        } else if (p->kind != PARCEL_EMPTY) {
            note(p);
            store_settle(world->store, 0, p);
        }
        ask(world, p);
    }
}

static void arrived(int64_t from, int64_t to)
{
    for (int64_t value = from; value < to; value++) {
        if (got.times[value] != 1)
            fail_msg("value %lld arrived %d times", (long long)value, got.times[value]);
    }
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

static void start(struct world *world)
{
    open_store(world);
    got.lent_to = 0;
}

/* Segments of ten readings, one commit each. */
static void put_many(struct world *world, int64_t from, int64_t to)
{
    for (int64_t value = from; value < to; value += 10) {
        put_closed(world, SECTOR_GAS, value, 10);
        usleep(2000);
    }
}

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
        TEST(a_disk_that_is_missing_at_the_start_is_found_later),
        TEST(memory_is_bounded_and_says_what_it_cost),
        TEST(death_in_memory_is_a_crash),
    };
    disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
