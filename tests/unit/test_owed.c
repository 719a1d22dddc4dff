/* What an uplink is said to owe, in memory and on the disk, while rows go: by the quota, by a disk
 * that cannot be read, by a platform's word. Whatever dies in between, no row that was delivered
 * becomes a Gap, and none that was not is forgotten.
 * The store's thread does not run; files lie under /tmp. */
#include "tests/unit/debtor_world.h"

#include "gateway/store/trim.h"

/* Rows that were acknowledged make way, and the process dies before the next commit. */
static void what_was_delivered_is_no_gap_after_a_death(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < ROWS; i++)
        put(world, SECTOR_GAS);
    connect(world, LENT);
    accept_all(world);
    assert_int_equal(world->debtor->readings, 0);
    world->store->quota = 1;
    (void)trim_run(world->store);
    die(world);
    put(world, SECTOR_GAS);
    connect(world, LENT);
    accept_all(world);
    assert_int_equal(world->store->corrupt, 0);
    assert_int_equal(world->debtor->readings, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_delivered_is_no_gap_after_a_death),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
