/* The store's part in alarms: every event is there after a death, with whom it is owed; no word of
 * a broker is forgotten; what is in force is on whatever disk the store has.
 *
 * The store's thread does not run; a lane of our own is beside it. Files lie under /tmp. */
#include <unistd.h>

#include "tests/unit/debtor_world.h"
#include "tests/unit/faulty_disk.h"

#include "gateway/lane.h"
#include "gateway/store/alarms.h"
#include "gateway/store/media.h"

enum { MANY = 300 };

static struct lane *lane;
static struct lane_event scratch;

static void nobody(void *context)
{
    (void)context;
}

/* As a start does it. */
static void use_lane(struct world *world)
{
    lane_free(lane);
    lane = lane_new();
    assert_true(store_use_lane(world->store, lane));
    lane_attach(lane, 0, world->uplink.sectors, nobody, NULL);
    for (int turn = 0; alarms_serve(world->store); turn++)
        assert_in_range(turn, 0, MANY);
}

static void die_with_lane(struct world *world)
{
    die(world);
    use_lane(world);
}

static int begin(void **state)
{
    int failed = set_up(state);
    use_lane(*state);
    return failed;
}

static int end(void **state)
{
    disk_heal();
    int failed = tear_down(state);
    lane_free(lane);
    lane = NULL;
    return failed;
}

static void put_alarm(int number, uint32_t step, enum alarm_status status, uint8_t level)
{
    scratch = (struct lane_event){.kind = LANE_ALARM,
                                  .sector = SECTOR_GAS,
                                  .step = step,
                                  .level = status == ALARM_STATUS_CLEARED ? 0 : level,
                                  .previous_level = level,
                                  .status = status,
                                  .length = 4,
                                  .bytes = "abc"};
    snprintf(scratch.id, sizeof scratch.id, "01ARZ3NDEKTSV4RRFFQ69%05d", number);
    assert_true(lane_put(lane, &scratch));
}

static void commit_alarms(struct world *world)
{
    do
        assert_true(commit_all(world->store, false));
    while (world->store->more_alarms || alarms_wait(world->store));
}

/* So many are in force. */
static int up(void)
{
    int count = 0;
    for (uint64_t after = 0; lane_read(lane, &after, &scratch); count++)
        ;
    return count;
}

/* The broker takes all that is owed; how many that were. */
static int deliver_all(struct world *world)
{
    const struct lane_skip skip = {0};
    int count = 0;
    while (lane_next(lane, 0, &skip, &scratch)) {
        count++;
        if (lane_settle(lane, 0, scratch.n))
            assert_true(store_alarm_settled(world->store, 0, scratch.id, scratch.step));
    }
    return count;
}

/* ---- cases ---- */

static void all_of_it_is_there_after_a_death(void **state)
{
    struct world *world = *state;
    put_alarm(1, 1, ALARM_STATUS_RAISED, 3);
    put_alarm(2, 1, ALARM_STATUS_RAISED, 4);
    put_alarm(1, 2, ALARM_STATUS_ESCALATED, 1);
    put_alarm(2, 2, ALARM_STATUS_CLEARED, 4);
    commit_alarms(world);
    die_with_lane(world);
    assert_int_equal(up(), 1);
    assert_int_equal(scratch.step, 2);
    assert_int_equal(alarms_owed(world->store, 0), 4);
    assert_int_equal(deliver_all(world), 4);
    commit_alarms(world);
    assert_int_equal(alarms_owed(world->store, 0), 0);
    die_with_lane(world);
    assert_int_equal(deliver_all(world), 0);
    assert_int_equal(up(), 1);
}

/* A storm that is stored before the broker has said a word. */
static void no_word_of_a_storm_is_forgotten(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < MANY; i++)
        put_alarm(i, 1, ALARM_STATUS_RAISED, 3);
    commit_alarms(world);
    assert_int_equal(alarms_owed(world->store, 0), MANY);
    assert_int_equal(deliver_all(world), MANY);
    commit_alarms(world);
    die_with_lane(world);
    assert_int_equal(deliver_all(world), 0);
}

/* An uplink that takes a sector no more owes nothing of it. */
static void a_sector_that_is_taken_no_more(void **state)
{
    struct world *world = *state;
    put_alarm(1, 1, ALARM_STATUS_RAISED, 3);
    commit_alarms(world);
    world->uplink.sectors[SECTOR_GAS] = false;
    die_with_lane(world);
    assert_int_equal(deliver_all(world), 0);
    commit_alarms(world);
    assert_int_equal(alarms_owed(world->store, 0), 0);
    assert_int_equal(up(), 1);
}

/* More than the store gives back in one turn, of one level, with many steps each: a turn that ended
 * within an alarm's steps once left out the first steps of all that came behind it. */
static void what_is_owed_comes_back_whole(void **state)
{
    struct world *world = *state;
    for (uint32_t step = 1; step <= 10; step++) {
        for (int i = 0; i < MANY / 10; i++)
            put_alarm(i, step, step == 1 ? ALARM_STATUS_RAISED : ALARM_STATUS_ACKED, 2);
    }
    commit_alarms(world);
    die_with_lane(world);
    assert_int_equal(deliver_all(world), MANY);
    commit_alarms(world);
    assert_int_equal(alarms_owed(world->store, 0), 0);
}

/* What is up is known to the daemon, whatever became of the disk where it was written. */
static void what_is_up_is_on_the_other_disk(void **state)
{
    struct world *world = *state;
    put_alarm(1, 1, ALARM_STATUS_RAISED, 3);
    put_alarm(2, 1, ALARM_STATUS_RAISED, 3);
    commit_alarms(world);
    assert_int_equal(deliver_all(world), 2);
    commit_alarms(world);
    assert_true(media_rescue(world->store, SQLITE_IOERR, 1));
    assert_true(world->store->in_memory);
    put_alarm(2, 2, ALARM_STATUS_CLEARED, 3);
    commit_alarms(world);
    unlink(world->path); /* another card is put in */
    assert_true(media_return(world->store));
    commit_alarms(world);
    die_with_lane(world);
    assert_false(world->store->in_memory);
    assert_int_equal(up(), 1);
    assert_int_equal(scratch.step, 1);
}

/* A file that is found damaged is replaced while the daemon runs. */
static void what_is_up_is_in_the_new_file(void **state)
{
    struct world *world = *state;
    put_alarm(1, 1, ALARM_STATUS_RAISED, 3);
    commit_alarms(world);
    assert_int_equal(deliver_all(world), 1);
    commit_alarms(world);
    assert_true(database_execute(world->store, "DELETE FROM alarm; DELETE FROM alarm_open"));
    assert_true(media_rescue(world->store, SQLITE_CORRUPT, 0));
    assert_false(world->store->in_memory);
    commit_alarms(world);
    die_with_lane(world);
    assert_int_equal(up(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_of_it_is_there_after_a_death, begin, end),
        cmocka_unit_test_setup_teardown(no_word_of_a_storm_is_forgotten, begin, end),
        cmocka_unit_test_setup_teardown(a_sector_that_is_taken_no_more, begin, end),
        cmocka_unit_test_setup_teardown(what_is_owed_comes_back_whole, begin, end),
        cmocka_unit_test_setup_teardown(what_is_up_is_on_the_other_disk, begin, end),
        cmocka_unit_test_setup_teardown(what_is_up_is_in_the_new_file, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
