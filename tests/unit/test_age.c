/* How old a row is, in a real store under a clock of the test's own.
 *
 * What `retain` deletes, what it must not, and what a clock gone mad may not do: empty the store.
 * Each test moves both clocks on by hand, for up to two months. */
#include "tests/unit/hold_world.h"

static void a_leap_is_not_believed_for_a_day(void **state)
{
    (void)state;
    enum { MINUTE = 60000, DAY = 86400000 };
    const int64_t year = INT64_C(365) * DAY;
    int64_t now = INT64_C(1800000000000), up = 5000;
    struct clock_trust trust = {0};
#define BELIEVED() clock_trust_age(&trust, (wall_time){now}, (mono_time){up * 1000000})
    assert_true(BELIEVED()); /* a new store */
    now += DAY / 2, up += MINUTE;
    assert_true(BELIEVED());
    now += year, up += MINUTE;
    assert_false(BELIEVED());
    now += DAY - MINUTE, up += DAY - MINUTE;
    assert_false(BELIEVED());
    now += MINUTE, up += MINUTE;
    assert_true(BELIEVED()); /* it has stood there for a day */
    now -= 60 * year, up += MINUTE;
    assert_true(BELIEVED());
    now += 60 * year, up += MINUTE;
    assert_false(BELIEVED()); /* nobody can go back to come forward */
    now += year, up += DAY - MINUTE;
    assert_false(BELIEVED()); /* it has leapt again */
    now += DAY - MINUTE, up += DAY - MINUTE;
    assert_false(BELIEVED());
    now += MINUTE, up += MINUTE;
    assert_true(BELIEVED());
    struct clock_trust next = {.wall_ms = now}; /* of an earlier boot */
    now += DAY / 2, up = MINUTE;
    assert_true(clock_trust_age(&next, (wall_time){now}, (mono_time){up * 1000000}));
    struct clock_trust drawer = {.wall_ms = now};
    now += year;
    assert_false(clock_trust_age(&drawer, (wall_time){now}, (mono_time){up * 1000000}));
    now += DAY, up += DAY;
    assert_true(clock_trust_age(&drawer, (wall_time){now}, (mono_time){up * 1000000}));
#undef BELIEVED
}

/* Who stands still between two looks at two clocks looks again. */
static void the_difference_of_two_clocks_is_exact(void **state)
{
    (void)state;
    board(100 * CLOCK_HOLD_MS, 0, true);
    const int64_t before_ms = clock_state_wall_minus_mono_ms();
    stall_ns = 50000000;
    assert_in_range(clock_state_wall_minus_mono_ms() - before_ms + NEAR_MS, 0, 2 * NEAR_MS);
    assert_int_equal(stall_ns, 0);
}

/* The store trims once a minute; time is moved on. */
static void pass(struct world *world, int64_t ns)
{
    struct store_status before, after;
    store_status(world->store, &before);
    wall_ahead_ns += ns;
    uptime_ahead_ns += ns;
    for (int i = 0; i < 3; i++) { /* each is a turn of the store thread */
        put(world, CLOCK_STATE_SYNCED, boot_id());
        store_commit(world->store);
        mono_time until = clock_after_ms(clock_mono(), WAIT_MS);
        do {
            store_status(world->store, &after);
        } while (after.commits <= before.commits + (uint64_t)i && clock_mono().ns < until.ns);
    }
}

static void a_leap_does_not_empty_the_store(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    world->settings.store.retain_ms = UINT64_C(30) * 86400000;
    board(100 * CLOCK_HOLD_MS, 0, true);
    open_store(world);
    for (int i = 0; i < 10; i++)
        put(world, CLOCK_STATE_SYNCED, boot_id());
    store_commit(world->store);
    receive_all(world, &arrived);
    assert_int_equal(arrived.count, 10);
    wall_ahead_ns += 2 * YEAR_NS;
    for (int i = 0; i < 5; i++)
        pass(world, HOUR_NS);
    close_store(world);
    assert_int_equal(ask_file(world, "SELECT count(*) FROM segment WHERE (id & 255)<=10"), 10);
    open_store(world); /* nor does a restart */
    pass(world, HOUR_NS);
    close_store(world);
    assert_int_equal(ask_file(world, "SELECT count(*) FROM segment WHERE (id & 255)<=10"), 10);
    open_store(world);
    for (int i = 0; i < 26; i++)
        pass(world, HOUR_NS);
    close_store(world);
    assert_int_equal(ask_file(world, "SELECT count(*) FROM segment WHERE (id & 255)<=10"), 0);
}

enum { OLD = 10 };

static int64_t count_old(const struct world *world)
{
    return ask_file(world, "SELECT count(*) FROM segment WHERE (id & 255)<=10");
}

/* Ten rows, the first of which as far ahead, arrived where `taken`; then 57 days. How many of them
 * are left. */
static int64_t left_after_57_days(struct world *world, int64_t ahead_ns, bool taken)
{
    static struct arrived arrived;
    world->settings.store.retain_ms = UINT64_C(30) * 86400000;
    board(100 * CLOCK_HOLD_MS, 0, true);
    open_store(world);
    for (int i = 0; i < OLD; i++) {
        wall_ahead_ns = i ? 0 : ahead_ns;
        put(world, CLOCK_STATE_SYNCED, boot_id());
    }
    store_commit(world->store);
    if (taken) {
        receive_all(world, &arrived);
        assert_int_equal(arrived.count, OLD);
    }
    end_of(world, SECTOR_GAS, OLD, taken ? OLD : 0);
    for (int i = 0; i < 60; i++)
        pass(world, 23 * HOUR_NS);
    close_store(world);
    return count_old(world);
}

static void old_rows_go(void **state)
{
    struct world *world = *state;
    assert_int_equal(left_after_57_days(world, 0, true), 0);
}

static void what_is_owed_stays_however_old(void **state)
{
    struct world *world = *state;
    assert_int_equal(left_after_57_days(world, 0, false), OLD);
}

/* A time server gone mad for a minute. */
static void rows_of_the_future_stop_nothing(void **state)
{
    struct world *world = *state;
    assert_int_equal(left_after_57_days(world, 12 * YEAR_NS, true), 0);
}

/* Rows that went out as of 1970, for want of a clock, are not old because it is set now. */
static void rows_of_1970_live_as_long(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    const char *const rows = "SELECT count(*) FROM segment WHERE base_ms<1e12";
    world->settings.store.retain_ms = UINT64_C(30) * 86400000;
    board(100 * CLOCK_HOLD_MS, 1000, false);
    open_store(world);
    for (int i = 0; i < 2 * OLD; i++) /* of an earlier boot nobody can tell */
        put(world, CLOCK_STATE_UNSET, i < OLD ? boot_id() ^ 1 : boot_id());
    store_commit(world->store);
    receive_all(world, &arrived);
    assert_int_equal(arrived.count, 2 * OLD);
    wall_ahead_ns = 0;
    synced = true;
    for (int i = 0; i < 30; i++)
        pass(world, 23 * HOUR_NS);
    close_store(world);
    assert_int_equal(ask_file(world, rows), 2 * OLD);
    open_store(world);
    for (int i = 0; i < 3; i++)
        pass(world, 23 * HOUR_NS);
    close_store(world);
    assert_int_equal(ask_file(world, rows), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leap_is_not_believed_for_a_day),
        cmocka_unit_test(the_difference_of_two_clocks_is_exact),
        TEST(old_rows_go),
        TEST(what_is_owed_stays_however_old),
        TEST(rows_of_the_future_stop_nothing),
        TEST(rows_of_1970_live_as_long),
        TEST(a_leap_does_not_empty_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
