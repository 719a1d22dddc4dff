/* Rows that stand in a damaged file, and that no search finds: they are found page by page, the
 * file is replaced, and what nothing damaged costs nothing. The damage is at a place that the test
 * knows: in a key, in the root, in one page, at the end. What it costs at random places,
 * test_store_corrupt counts. */
#include "tests/unit/damaged_file.h"

enum { CELL = 20 /* of a page, to damage */ };

/* One bit in the key of a cell, which is found at `head` and has `before` bytes before its key. */
static void flip_key(const struct world *world, off_t page, int head, int before, int byte, int bit)
{
    uint8_t at[2], value;
    int fd = open(world->path, O_RDWR);
    assert_int_equal(pread(fd, at, 2, page + head + 2 * CELL), 2);
    off_t key = page + (at[0] << 8 | at[1]) + before + byte;
    assert_int_equal(pread(fd, &value, 1, key), 1);
    value ^= (uint8_t)(1 << bit);
    assert_int_equal(pwrite(fd, &value, 1, key), 1);
    close(fd);
}

static void nothing_is_lost(struct world *world)
{
    start(world);
    put_many(world, 20000, 20100);
    receive_all(world, 3000);
    arrived(0, 20100);
    assert_int_equal(got.corrupt_numbers, 0);
    assert_int_equal(status_of(world).mode, STORE_MODE_OK);
    put_many(world, 20100, 20200);
    receive_all(world, 500);
    arrived(20100, 20200);
    close_store(world);
    start(world);
    receive_all(world, 300);
    arrived(0, 20200);
    close_store(world);
}

/* SQLite does not look whether keys are in order: one that is a little wrong, one that hides all
 * that is behind it, one of the root. A cell has a byte of length before its key, or four of a
 * page; a key has seven bytes of seven bits. */
static void a_bit_in_a_key_costs_nothing(void **state)
{
    static const struct {
        int leaf, head, before, byte, bit;
    } flips[] = {{3, 8, 1, 6, 3}, {3, 8, 1, 4, 6}, {0, 12, 4, 5, 2}};
    struct world *world = *state;
    world->uplink.max_payload = 2048; /* so that many rows are searched for */
    for (size_t i = 0; i < sizeof flips / sizeof *flips; i++) {
        memset(got.times, 0, sizeof got.times);
        make_store(world, 20000);
        flip_key(world, page_of(world, flips[i].leaf), flips[i].head, flips[i].before,
                 flips[i].byte, flips[i].bit);
        nothing_is_lost(world);
        remove_store(world);
    }
}

/* All rows are there, and nothing leads to them. */
static void a_broken_root_costs_nothing(void **state)
{
    struct world *world = *state;
    make_store(world, 20000);
    overwrite(world->path, page_of(world, 0), PAGE);
    nothing_is_lost(world);
}

static void a_file_that_was_cut_keeps_what_is_left(void **state)
{
    struct world *world = *state;
    make_store(world, 20000);
    assert_int_equal(truncate(world->path, page_of(world, 25)), 0);
    start(world);
    receive_all(world, 3000);
    int missing = 0;
    for (int64_t value = 0; value < 20000; value++)
        missing += !got.times[value];
    assert_in_range(missing, 1, 12000);
    assert_int_equal(got.corrupt_numbers * 10, missing);
    close_store(world);
}

static void damage_met_while_running_costs_only_its_own_rows(void **state)
{
    struct world *world = *state;
    make_store(world, 40000);
    start(world); /* which reads all rows backwards, and caches the last of them */
    overwrite(world->path, page_of(world, 70), PAGE);
    put_many(world, 40000, 40100);
    receive_all(world, 3000);
    arrived(40000, 40100);
    int missing = 0;
    for (int64_t value = 0; value < 40000; value++)
        missing += !got.times[value];
    assert_in_range(missing, 1, 1000);
    assert_int_equal(got.corrupt_numbers * 10, missing);
    assert_int_equal(got.gaps, 1);
    close_store(world);
}

/* The pipeline writes an open segment again only when it grows. */
static void what_is_open_outlives_the_replacement_and_a_death(void **state)
{
    struct world *world = *state;
    make_store(world, 20000);
    flip_key(world, page_of(world, 3), 8, 1, 4, 6);
    pid_t child = fork();
    if (child == 0) {
        start(world);
        struct segment *segment = new_segment();
        for (int i = 0; i < 10; i++)
            add(segment, 20000 + i);
        assert_true(store_put(world->store, 7, SECTOR_GAS, segment, false));
        store_commit(world->store);
        receive_all(world, 3000);
        _exit(status_of(world).previous_epoch ? 0 : 1);
    }
    int code;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    start(world);
    receive_all(world, 3000);
    arrived(20000, 20010);
    close_store(world);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_bit_in_a_key_costs_nothing),
        TEST(a_broken_root_costs_nothing),
        TEST(a_file_that_was_cut_keeps_what_is_left),
        TEST(damage_met_while_running_costs_only_its_own_rows),
        TEST(what_is_open_outlives_the_replacement_and_a_death),
    };
    disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
