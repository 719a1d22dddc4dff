/* Readings of a clock that was never set, in a real store under a clock of the test's own.
 *
 * They wait through restarts and crashes, and go out once, with their true times when the clock is
 * set before they were first handed out, else as they stand; so do the Gaps of their sector. */
#include "tests/unit/hold_world.h"

static void it_waits_and_has_its_true_time(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    int64_t true_ms[MANY + 1];
    board(100000, 1, false);
    open_store(world);
    put_many(world, true_ms);
    assert_int_equal(held(world, MANY), MANY);
    receive_all(world, &arrived);
    assert_int_equal(arrived.count, 0);
    struct store_backlog backlog;
    store_backlog(world->store, 0, &backlog);
    assert_in_range(backlog.oldest_ms, 1, 60000);
    set_clock(world);
    assert_int_equal(held(world, 0), 0);
    store_backlog(world->store, 0, &backlog);
    assert_in_range(backlog.oldest_ms - true_ms[1] + NEAR_MS, 0, 2 * NEAR_MS);
    receive_all(world, &arrived);
    assert_corrected(&arrived, true_ms, MANY);
    end_of(world, SECTOR_GAS, MANY, MANY);
    close_store(world);
}

static void a_restart_changes_nothing(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    int64_t true_ms[MANY + 1];
    board(100000, 1, false);
    open_store(world);
    put_many(world, true_ms);
    close_store(world);
    open_store(world);
    assert_int_equal(held(world, MANY), MANY);
    receive_all(world, &arrived);
    assert_int_equal(arrived.count, 0);
    close_store(world);
    set_clock(world); /* while nobody looks */
    open_store(world);
    receive_all(world, &arrived);
    assert_corrected(&arrived, true_ms, MANY);
    close_store(world);
}

/* It dies in the middle of the correction, one slice further each time: every row is corrected
 * once, and then sent. */
static void a_crash_while_correcting(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    int64_t true_ms[MANY + 1], left = MANY;
    int partial = 0;
    board(100000, 1, false);
    open_store(world);
    put_many(world, true_ms);
    close_store(world);
    set_clock(world); /* for good: no clock goes back by itself in one boot */
    for (int life = 0; life < 8 && left; life++) {
        pid_t child = fork();
        if (child == 0) {
            char why[200];
            world->store = store_open(&world->settings, why, sizeof why);
            syncs_left = 1 + life % 2;
            if (!world->store || !store_start(world->store))
                _exit(1);
            sleep(1);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        left = ask_file(world, "SELECT count(*) FROM segment WHERE base_ms<60000");
        partial += left > 0 && left < MANY;
    }
    assert_true(partial > 0);
    open_store(world);
    receive_all(world, &arrived);
    assert_corrected(&arrived, true_ms, MANY);
    close_store(world);
}

static void an_open_row_over_a_crash(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    int64_t true_ms[2] = {0, true_wall_ms()};
    board(100000, 1, false);
    pid_t child = fork();
    if (child == 0) {
        open_store(world);
        struct segment *segment = segment_of(CLOCK_STATE_UNSET, boot_id());
        struct store_status status;
        if (!store_put(world->store, 1, SECTOR_GAS, segment, false))
            _exit(1);
        store_commit(world->store);
        do {
            store_status(world->store, &status);
        } while (status.commits == 0);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    open_store(world);
    assert_int_equal(held(world, 1), 1);
    receive_all(world, &arrived);
    assert_int_equal(arrived.count, 0);
    set_clock(world);
    receive_all(world, &arrived);
    assert_int_equal(arrived.count, 1);
    assert_int_equal(arrived.rows[0].clock, CLOCK_STATE_CORRECTED);
    assert_in_range(arrived.rows[0].base_ms - true_ms[1], 0, 2000);
    close_store(world);
}

/* The Gap of a crash covers what may be gone, also where the clock is in 1970 when it is noted. */
static void a_crash_before_the_clock_was_lost(void **state)
{
    struct world *world = *state;
    struct parcel parcels[LENT] = {0};
    int64_t before_ms = true_wall_ms();
    world->settings.store.sync_ms = 1000;
    board(100000, 0, true);
    pid_t child = fork();
    if (child == 0) {
        open_store(world);
        put(world, CLOCK_STATE_SYNCED, boot_id());
        store_commit(world->store);
        end_of(world, SECTOR_GAS, 1, 0);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    int64_t after_ms = true_wall_ms();
    board(1000, 1, false);
    open_store(world);
    size_t gaps = 0;
    for (struct parcel *p = receive(world, parcels, WAIT_MS); p; p = collect(world, 300)) {
        Lifeline__V1__DataBatch *batch = decode(p);
        for (size_t i = 0; i < batch->n_gaps; i++, gaps++) {
            assert_in_range(batch->gaps[i]->from_ms, before_ms, after_ms);
            assert_int_equal(batch->gaps[i]->to_ms, batch->gaps[i]->from_ms + 1000);
        }
        message_free(&batch->base);
    }
    assert_int_equal(gaps, 1);
    close_store(world);
    free_parcels(parcels, LENT);
}

/* A crash, or an overload, while nobody knew the time: its Gap waits with the rows of its sector
 * and is given the time that they are given. */
static void a_gap_has_its_true_time(void **state)
{
    struct world *world = *state;
    struct parcel parcels[LENT] = {0};
    int64_t true_ms[MANY + 1];
    board(100000, 1, false);
    open_store(world);
    store_lost(world->store, SECTOR_GAS, GAP_REASON_OVERLOAD, clock_wall().ms, clock_wall().ms, 7);
    /* noted by a clock that was right */
    store_lost(world->store, SECTOR_GAS, GAP_REASON_DISK, INT64_C(1700000000000),
               INT64_C(1700000001000), 7);
    put_many(world, true_ms);
    assert_null(receive(world, parcels, 300));
    set_clock(world);
    size_t gaps = 0;
    for (struct parcel *p = collect(world, WAIT_MS); p; p = collect(world, 300)) {
        Lifeline__V1__DataBatch *batch = decode(p);
        for (size_t i = 0; i < batch->n_gaps; i++, gaps++) {
            const Lifeline__V1__Gap *gap = batch->gaps[i];
            if (gap->reason == LIFELINE__V1__GAP_REASON__GAP_REASON_DISK) {
                assert_int_equal(gap->from_ms, INT64_C(1700000000000));
                assert_int_equal(gap->to_ms, INT64_C(1700000001000));
                continue;
            }
            assert_in_range(gap->from_ms - true_ms[1] + 2000, 0, 2000 + NEAR_MS);
            assert_in_range(gap->to_ms - true_ms[1] + 2000, 0, 2000 + NEAR_MS);
        }
        message_free(&batch->base);
    }
    assert_int_equal(gaps, 2);
    close_store(world);
    free_parcels(parcels, LENT);
}

/* A clock that is not set may stand at 0, and before it. */
static void a_loss_at_zero_is_a_loss(void **state)
{
    struct world *world = *state;
    struct parcel parcels[LENT] = {0};
    board(100 * CLOCK_HOLD_MS, 0, true);
    open_store(world);
    store_lost(world->store, SECTOR_GAS, GAP_REASON_OVERLOAD, -5, 0, 7);
    store_lost(world->store, SECTOR_GAS, GAP_REASON_OVERLOAD, -3, -2, 1);
    store_commit(world->store);
    struct parcel *p = receive(world, parcels, WAIT_MS);
    assert_non_null(p);
    Lifeline__V1__DataBatch *batch = decode(p);
    assert_int_equal(batch->n_gaps, 1);
    assert_int_equal(batch->gaps[0]->from_ms, -5);
    assert_int_equal(batch->gaps[0]->to_ms, 0);
    assert_int_equal(batch->gaps[0]->readings, 8);
    message_free(&batch->base);
    close_store(world);
    free_parcels(parcels, LENT);
}

/* Nobody was connected for longer than the hold: then network, time and broker come at once. */
static void what_nobody_asked_for_is_corrected_later_too(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    int64_t true_ms[ROWS_MAX];
    board(100000, 1, false);
    open_store(world);
    for (int i = 1; i <= MANY; i++)
        true_ms[i] = put(world, CLOCK_STATE_UNSET, boot_id());
    store_commit(world->store);
    assert_int_equal(held(world, MANY), MANY);
    uptime_ahead_ns += HOUR_NS;
    wall_ahead_ns += HOUR_NS;
    store_commit(world->store);
    assert_int_equal(held(world, 0), 0); /* whoever asked would get them now */
    for (int i = MANY + 1; i <= 2 * MANY; i++)
        true_ms[i] = put(world, CLOCK_STATE_UNSET, boot_id());
    for (int i = 1; i <= MANY; i++)
        true_ms[i] -= HOUR_NS / 1000000;
    store_commit(world->store);
    end_of(world, SECTOR_GAS, 2 * MANY, 0);
    close_store(world);
    open_store(world);
    set_clock(world);
    receive_all(world, &arrived);
    assert_corrected(&arrived, true_ms, 2 * MANY);
    close_store(world);
}

/* Of two batches the first, and one from the middle as live data go, are out when the clock is set:
 * over a restart nothing of the stream is taken for unseen, without one what lies between is. */
static void what_was_handed_out_stays(void **state)
{
    struct world *world = *state;
    world->settings.store.retain_ms = 100 * YEAR_NS / 1000000;
    for (int restart = 0; restart < 2; restart++) {
        static struct arrived arrived;
        struct parcel parcels[LENT] = {0};
        size_t before = 0, corrected = 0;
        world->uplink.max_payload = 1024;
        board(CLOCK_HOLD_MS + 60000, 1, false);
        open_store(world);
        const uint64_t first = restart ? MANY + 1 : 1;
        for (int i = 0; i < MANY; i++)
            put(world, CLOCK_STATE_UNSET, boot_id());
        store_commit(world->store);
        end_of(world, SECTOR_GAS, first + MANY - 1, first - 1);
        uint64_t out[LENT][2];
        size_t outs = 0;
        for (struct parcel *p = receive(world, parcels, 500); p; p = collect(world, 300)) {
            out[outs][0] = p->first_seq;
            out[outs++][1] = p->last_seq;
            before += p->rows;
        }
        assert_true(before > 0 && before < MANY);
        if (restart) {
            close_store(world);
            open_store(world);
        }
        set_clock(world);
        receive_all(world, &arrived);
        assert_int_equal(arrived.count, MANY);
        for (size_t i = 0; i < arrived.count; i++) {
            bool seen = false;
            for (size_t k = 0; k < outs; k++)
                seen |= arrived.rows[i].seq >= out[k][0] && arrived.rows[i].seq <= out[k][1];
            corrected += arrived.rows[i].clock == CLOCK_STATE_CORRECTED;
            if (seen)
                assert_int_equal(arrived.rows[i].clock, CLOCK_STATE_UNSET);
        }
        assert_int_equal(corrected > 0, !restart);
        close_store(world);
        free_parcels(parcels, LENT);
    }
}

static void the_hold_runs_out(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    world->settings.store.retain_ms = 100 * YEAR_NS / 1000000;
    board(CLOCK_HOLD_MS - 60000, 1, false);
    open_store(world);
    put(world, CLOCK_STATE_UNSET, boot_id());
    store_commit(world->store);
    assert_int_equal(held(world, 1), 1);
    uptime_ahead_ns += INT64_C(60) * 1000000000;
    put(world, CLOCK_STATE_UNSET, boot_id());
    store_commit(world->store);
    assert_int_equal(held(world, 0), 0);
    receive_all(world, &arrived);
    assert_int_equal(arrived.count, 2);
    close_store(world);
    set_clock(world); /* too late */
    open_store(world);
    assert_int_equal(held(world, 0), 0);
    close_store(world);
    assert_int_equal(ask_file(world, "SELECT count(*) FROM segment WHERE base_ms<60000"), 2);
    for (size_t i = 0; i < arrived.count; i++) {
        assert_int_equal(arrived.rows[i].clock, CLOCK_STATE_UNSET);
        assert_in_range(arrived.rows[i].base_ms, 0, 60000);
    }
}

/* The board was in time once; then its time server went away, and the daemon began anew. What comes
 * then is no reading of a clock that was never set. */
static void a_restart_does_not_forget_that_it_was_set(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    for (int known = 0; known < 2; known++) {
        world->settings.store.retain_ms = YEAR_NS / 1000000;
        board(100000, 0, known);
        open_store(world);
        put(world, CLOCK_STATE_SYNCED, boot_id());
        store_commit(world->store);
        end_of(world, SECTOR_GAS, (uint64_t)known + 1, (uint64_t)known);
        close_store(world);
        synced = false;
        atomic_store(&was_synced, false); /* a new process */
        open_store(world);
        assert_int_equal(clock_state_now(false), known ? CLOCK_STATE_HOLDOVER : CLOCK_STATE_UNSET);
        receive_all(world, &arrived);
        assert_int_equal(arrived.count, 1);
        close_store(world);
    }
    board(200000, 1, false);
    open_store(world);
    assert_int_equal(clock_state_now(false),
                     CLOCK_STATE_HOLDOVER); /* the same boot, says the disk */
    close_store(world);
    ask_file(world, "UPDATE meta SET value=value+1 WHERE key='synced_boot'");
    board(200000, 1, false);
    open_store(world);
    assert_int_equal(clock_state_now(false), CLOCK_STATE_UNSET);
    close_store(world);
}

static void of_another_boot_or_a_set_clock(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    board(100000, 1, false);
    open_store(world);
    put(world, CLOCK_STATE_UNSET, boot_id() ^ 1);
    put(world, CLOCK_STATE_RTC, boot_id());
    put(world, CLOCK_STATE_UNSET, boot_id());
    put(world, CLOCK_STATE_SYNCED, boot_id());
    store_commit(world->store);
    receive_all(world, &arrived);
    assert_int_equal(arrived.count, 2); /* the last stays behind the one that waits */
    set_clock(world);
    assert_int_equal(held(world, 0), 0);
    receive_all(world, &arrived);
    assert_int_equal(arrived.count, 2);
    assert_int_equal(arrived.rows[0].seq, 3);
    assert_int_equal(arrived.rows[0].clock, CLOCK_STATE_CORRECTED);
    assert_int_equal(arrived.rows[1].seq, 4);
    assert_int_equal(arrived.rows[1].clock, CLOCK_STATE_SYNCED);
    assert_in_range(arrived.rows[1].base_ms, 0, 60000);
    close_store(world);
}

/* Closed when the clock has been set already, in a segment from before. */
static void a_late_one_is_corrected_at_once(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    board(100 * CLOCK_HOLD_MS, 1, false); /* no hold is needed for it */
    open_store(world);
    struct segment *segment = segment_of(CLOCK_STATE_UNSET, boot_id());
    int64_t true_ms[2] = {0, true_wall_ms()};
    set_clock(world);
    assert_true(store_put(world->store, 0, SECTOR_GAS, segment, true));
    store_commit(world->store);
    end_of(world, SECTOR_GAS, 1, 0);
    receive_all(world, &arrived);
    assert_corrected(&arrived, true_ms, 1);
    segment_free(segment);
    close_store(world);
}

/* The columns follow the body: its earliest and its latest reading keep their distance from its
 * base. */
static void columns_move_with_their_row(void **state)
{
    struct world *world = *state;
    board(100000, 1, false);
    open_store(world);
    for (int i = 0; i < 2; i++) {
        struct segment *segment = segment_of(CLOCK_STATE_UNSET, boot_id());
        const struct value value = {.steps = 1};
        assert_true(segment_add(segment, 0, segment_base_ms(segment) - 5000, &value));
        assert_true(segment_add(segment, 0, segment_base_ms(segment) + 20000, &value));
        if (i == 1) /* one waits, the other is corrected as it comes */
            set_clock(world);
        assert_true(store_put(world->store, 0, SECTOR_GAS, segment, true));
        segment_free(segment);
        store_commit(world->store);
        end_of(world, SECTOR_GAS, (uint64_t)i + 1, 0);
    }
    assert_int_equal(held(world, 0), 0);
    close_store(world);
    int64_t true_ms = true_wall_ms();
    assert_int_equal(ask_file(world, "SELECT count(*) FROM segment WHERE last_ms-base_ms=25000"),
                     2);
    assert_in_range(true_ms - ask_file(world, "SELECT min(base_ms) FROM segment"), 5000, 15000);
    assert_in_range(true_ms - ask_file(world, "SELECT max(base_ms) FROM segment"), 5000, 15000);
}

/* What is live and what is history a leap of the wall clock does not change. */
static void live_is_what_was_sampled_just_now(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    board(100 * CLOCK_HOLD_MS, 0, true);
    open_store(world);
    struct segment *segment = segment_of(CLOCK_STATE_SYNCED, boot_id());
    wall_ahead_ns += 10 * DAY_NS;
    assert_true(store_put(world->store, 0, SECTOR_GAS, segment, true));
    segment_free(segment);
    store_commit(world->store);
    receive_all(world, &arrived);
    assert_int_equal(arrived.last_live, 1);
    segment = segment_of(CLOCK_STATE_SYNCED, boot_id());
    uptime_ahead_ns += 2 * HOUR_NS; /* and the wall clock stands */
    assert_true(store_put(world->store, 0, SECTOR_GAS, segment, true));
    segment_free(segment);
    store_commit(world->store);
    receive_all(world, &arrived);
    assert_int_equal(arrived.last_history, 2);
    close_store(world);
}

static void damaged_rows_among_them_are_gaps(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    int64_t true_ms[MANY + 1];
    board(100000, 1, false);
    open_store(world);
    put_many(world, true_ms);
    close_store(world);
    ask_file(world, "UPDATE segment SET crc=crc+1 WHERE (id & 255)=7");
    ask_file(world, "UPDATE segment SET row=zeroblob(50) WHERE (id & 255)=177");
    open_store(world);
    assert_int_equal(held(world, MANY), MANY); /* also what lies before them */
    receive_all(world, &arrived);
    assert_int_equal(arrived.count + arrived.gaps, 0);
    set_clock(world);
    assert_int_equal(held(world, 0), 0);
    receive_all(world, &arrived);
    assert_int_equal(arrived.gaps, 2);
    assert_corrected(&arrived, true_ms, MANY - 2);
    close_store(world);
    /* the columns follow */
    assert_int_equal(ask_file(world, "SELECT count(*) FROM segment WHERE base_ms<60000"), 2);
    assert_true(ask_file(world, "SELECT last_ms FROM stream") >= true_ms[MANY] - NEAR_MS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(it_waits_and_has_its_true_time),    TEST(a_restart_changes_nothing),
        TEST(a_crash_while_correcting),          TEST(an_open_row_over_a_crash),
        TEST(a_crash_before_the_clock_was_lost), TEST(a_gap_has_its_true_time),
        TEST(a_loss_at_zero_is_a_loss),          TEST(what_nobody_asked_for_is_corrected_later_too),
        TEST(what_was_handed_out_stays),         TEST(the_hold_runs_out),
        TEST(of_another_boot_or_a_set_clock),    TEST(a_late_one_is_corrected_at_once),
        TEST(columns_move_with_their_row),       TEST(live_is_what_was_sampled_just_now),
        TEST(damaged_rows_among_them_are_gaps),  TEST(a_restart_does_not_forget_that_it_was_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
