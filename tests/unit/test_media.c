/* From the disk into memory and back, by hand: when the next return is tried, and what becomes of a
 * file that has had too many epochs.
 *
 * With a disk that really fails: test_store_disk.c. The store's
 * thread does not run; files lie under /tmp. */
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/unit/debtor_world.h"
#include "tests/unit/faulty_disk.h"

#include "gateway/store/media.h"

static void fall_from_disk(struct world *world)
{
    assert_true(media_rescue(world->store, SQLITE_IOERR, 1));
    assert_true(world->store->in_memory);
}

static int64_t pause_ms(const struct world *world)
{
    return clock_ms_between(clock_mono(), world->store->return_at);
}

static void a_flapping_disk_is_tried_ever_more_seldom(void **state)
{
    struct world *world = *state;
    for (int64_t expected_ms = 1000; expected_ms < 10000000; expected_ms *= 2) {
        int64_t ms = expected_ms < 3600000 ? expected_ms : 3600000;
        fall_from_disk(world);
        assert_in_range(pause_ms(world), ms - 500, ms);
        put(world, SECTOR_GAS);
        assert_true(media_return(world->store));
        put(world, SECTOR_GAS);
    }
    world->store->arrived_at.ns -= INT64_C(3600) * 1000000000; /* it has lasted for an hour */
    fall_from_disk(world);
    assert_in_range(pause_ms(world), 500, 1000);
    assert_true(media_return(world->store));
    connect(world, LENT);
    accept_all(world);
    assert_int_equal(world->debtor->readings, 0);
    assert_int_equal(world->store->corrupt, 0);
}

static void use_up_the_ordinals(struct world *world)
{
    assert_true(database_execute(world->store,
                                 "UPDATE epoch SET ordinal=32000; UPDATE stream SET ordinal=32000;"
                                 "UPDATE device SET ordinal=32000; UPDATE point SET ordinal=32000;"
                                 "UPDATE unacked SET ordinal=32000;"
                                 "UPDATE segment SET id=id+(31999<<48);"
                                 "UPDATE meta SET key='epoch 32000' WHERE key='epoch 1'"));
    die(world);
    assert_int_equal(world->store->epochs[world->store->epoch_count - 1].ordinal, 32000);
}

/* No row goes to the disk under an epoch that nobody finds there again. */
static void a_file_with_too_many_epochs_takes_no_more(void **state)
{
    struct world *world = *state;
    put(world, SECTOR_GAS);
    use_up_the_ordinals(world);
    uint64_t epoch = world->store->epochs[0].number;
    fall_from_disk(world);
    put(world, SECTOR_HEAT);
    for (int i = 0; i < 2; i++) {
        assert_false(media_return(world->store));
        assert_true(world->store->in_memory);
        assert_int_equal(world->store->error, SQLITE_CANTOPEN);
        assert_true(world->store->full);
    }
    connect(world, LENT);
    accept_all(world); /* out of memory it is sent */
    assert_int_equal(world->debtor->owed[1][SECTOR_HEAT].unacked.count, 0);
    die(world);
    assert_int_equal(world->store->epoch_count, 1);
    assert_int_equal(world->store->epochs[0].number, epoch);
    put(world, SECTOR_GAS);
    connect(world, LENT);
    accept_all(world);
    assert_int_equal(world->store->epochs[0].last_seq[SECTOR_GAS], 2);
    assert_int_equal(world->debtor->readings, 0);
}

static void nor_on_another_board(void **state)
{
    struct world *world = *state;
    put(world, SECTOR_GAS);
    use_up_the_ordinals(world);
    assert_true(database_execute(world->store, "UPDATE epoch SET machine=machine+1"));
    die(world);
    assert_true(world->store->in_memory);
    assert_false(media_return(world->store));
    put(world, SECTOR_HEAT);
    connect(world, LENT);
    accept_all(world);
    assert_int_equal(world->debtor->readings, 0);
}

/* Neither for a row that is missing, which is lost then, nor for a commit that finds damage. */
static void a_file_with_too_many_epochs_is_not_replaced(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    use_up_the_ordinals(world);
    assert_true(database_execute(world->store, "DELETE FROM segment WHERE (id&1048575)=3"));
    connect(world, LENT);
    for (int i = 0; i < ROWS; i++) {
        accept_all(world);
        media_replace(world->store);
        turn(world);
    }
    assert_int_equal(world->store->corrupt, 1);
    assert_int_equal(world->debtor->readings, 0);
    assert_int_equal(world->store->mode, STORE_MODE_OK);
    assert_int_equal(world->store->epoch_count, 1);
    put(world, SECTOR_HEAT);
    assert_true(media_rescue(world->store, SQLITE_CORRUPT, 0));
    assert_true(world->store->in_memory);
    die(world);
    assert_int_equal(world->store->mode, STORE_MODE_OK);
    assert_int_equal(world->debtor->readings, 1);
}

/* What is found damaged at a start is set aside, and waits there. */
static void nor_is_it_saved_under_an_epoch_that_is_not_found(void **state)
{
    struct world *world = *state;
    put(world, SECTOR_GAS);
    use_up_the_ordinals(world);
    FILE *file = fopen(world->path, "r+be");
    assert_non_null(file);
    assert_int_equal(fwrite("no database here", 16, 1, file), 1);
    store_free(world->store);
    fclose(file);
    start(world);
    for (int i = 0; i < 2; i++) {
        assert_true(world->store->in_memory);
        assert_false(media_return(world->store));
        put(world, SECTOR_HEAT);
        connect(world, LENT);
        accept_all(world);
        assert_int_equal(world->debtor->readings, 0);
        die(world);
    }
    assert_true(database_newest_aside(world->store) > 0);
}

/* Bytes of the log. */
static off_t log_size(const struct world *world)
{
    char log[120];
    struct stat file;
    snprintf(log, sizeof log, "%s-wal", world->path);
    assert_int_equal(stat(log, &file), 0);
    return file.st_size;
}

static void copy(const char *from, const char *to)
{
    static uint8_t bytes[1 << 20];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT, 0600);
    ssize_t length = read(in, bytes, sizeof bytes);
    assert_in_range(length, 1, sizeof bytes - 1);
    assert_int_equal(write(out, bytes, (size_t)length), length);
    close(in);
    close(out);
}

/* The card of a store that died, with a log that has a bit wrong, comes while we are in memory; the
 * disk refuses at first, which must not make its log a good one. */
static void the_log_of_another_card_is_looked_at(void **state)
{
    char log[120], card[120], card_log[130];
    struct world *world = *state;
    snprintf(log, sizeof log, "%s-wal", world->path);
    snprintf(card, sizeof card, "%s-card", world->path);
    snprintf(card_log, sizeof card_log, "%s-wal", card);
    put_open(world, 1);
    for (int i = 0; i < 2; i++)
        put(world, SECTOR_GAS);
    off_t lost = log_size(world);
    for (int i = 2; i < ROWS; i++)
        put(world, SECTOR_GAS);
    copy(world->path, card);
    copy(log, card_log);
    int fd = open(card_log, O_WRONLY);
    assert_int_equal(pwrite(fd, "?", 1, lost + 1000), 1);
    close(fd);
    store_free(world->store);
    unlink(world->path);
    start(world);
    fall_from_disk(world);
    unlink(log);
    assert_int_equal(rename(card, world->path), 0);
    assert_int_equal(rename(card_log, log), 0);
    int attempts = 0;
    do {
        assert_in_range(attempts, 0, 100);
        disk.write = SQLITE_IOERR_WRITE;
        disk.times = 1;
        disk.spared = attempts++;
    } while (!media_return(world->store));
    disk_heal();
    assert_in_range(attempts, 2, 100);
    struct store *store = world->store;
    assert_int_equal(store->epoch_count, 3); /* of the card, after it, and that of memory */
    assert_int_equal(store->epochs[0].last_seq[SECTOR_GAS], 2);
    assert_int_equal(store->epochs[1].last_seq[SECTOR_GAS], 1); /* what stood open */
    connect(world, LENT);
    accept_all(world);
    assert_int_equal(store->corrupt, 0);
    assert_int_equal(world->debtor->readings, 0);
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
        TEST(a_flapping_disk_is_tried_ever_more_seldom),
        TEST(a_file_with_too_many_epochs_takes_no_more),
        TEST(nor_on_another_board),
        TEST(a_file_with_too_many_epochs_is_not_replaced),
        TEST(nor_is_it_saved_under_an_epoch_that_is_not_found),
        TEST(the_log_of_another_card_is_looked_at),
    };
    disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
