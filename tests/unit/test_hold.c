/* Readings of a clock that was never set, in a real store under a clock of the test's own: they
 * wait through restarts and crashes, and go out once, with their true times when the clock is set
 * before the hold is over, else as they stand. And what a clock gone mad may not do: empty the
 * store. The kernel's clocks and its word on them are faked here; clock_state.c is included,
 * because what it remembers for the life of a process has to be forgotten between tests. */
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static atomic_llong wall_ahead_ns, uptime_ahead_ns;
static atomic_bool synced;

static int64_t true_ns(clockid_t clock)
{
    struct timespec t;
    syscall(SYS_clock_gettime, clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    int64_t ns = true_ns(clock);
    ns += clock == CLOCK_REALTIME ? wall_ahead_ns : clock == CLOCK_BOOTTIME ? uptime_ahead_ns : 0;
    out->tv_sec = (time_t)(ns / 1000000000);
    out->tv_nsec = (long)(ns % 1000000000);
    return 0;
}

int adjtimex(struct timex *timex)
{
    timex->status = synced ? 0 : STA_UNSYNC;
    return synced ? TIME_OK : TIME_ERROR;
}

static atomic_int syncs_left; /* 0 = any number; at the last one the process dies */

int fdatasync(int fd)
{
    if (syncs_left > 0 && --syncs_left == 0)
        _exit(0);
    return (int)syscall(SYS_fdatasync, fd);
}

#include "gateway/clock_state.c"

#include <sqlite3.h>

#include "tests/unit/store_world.h"

enum { MANY = 200, ROWS_MAX = 1024, NEAR_MS = 3 };

#define HOUR_NS INT64_C(3600000000000)
#define DAY_NS  (24 * HOUR_NS)
#define YEAR_NS (365 * DAY_NS)

/* What arrived of a sector. */
struct arrived {
    size_t count, gaps;
    uint64_t last_live, last_history;
    struct {
        uint64_t seq;
        int64_t base_ms;
        enum clock_state clock;
    } rows[ROWS_MAX];
};

static void board(int64_t uptime_ms, int64_t shown_ns, bool is_synced)
{
    uptime_ahead_ns = uptime_ms * 1000000 - true_ns(CLOCK_BOOTTIME);
    wall_ahead_ns = shown_ns ? shown_ns - true_ns(CLOCK_REALTIME) : 0;
    synced = is_synced;
    atomic_store(&was_synced, false);
}

static void set_clock(struct world *world)
{
    wall_ahead_ns = 0;
    synced = true;
    if (world->store)
        store_commit(world->store);
}

static struct segment *segment_of(enum clock_state clock, uint32_t boot)
{
    struct segment *segment = new_segment();
    const struct segment_start start = {.base_ms = clock_wall().ms,
                                        .mono_ms = clock_mono_ms(clock_mono()),
                                        .clock = clock,
                                        .boot = boot};
    segment_reset(segment, &start);
    add(segment, 1);
    return segment;
}

/* Puts a segment, closed; returns the true time of its beginning. */
static int64_t put(struct world *world, enum clock_state clock, uint32_t boot)
{
    struct segment *segment = segment_of(clock, boot);
    int64_t true_ms = true_ns(CLOCK_REALTIME) / 1000000;
    while (!store_put(world->store, 0, SECTOR_GAS, segment, true))
        usleep(1000);
    segment_free(segment);
    return true_ms;
}

static void put_many(struct world *world, int64_t true_ms[MANY + 1])
{
    for (int i = 1; i <= MANY; i++)
        true_ms[i] = put(world, CLOCK_STATE_UNSET, boot_id());
    store_commit(world->store);
    end_of(world, SECTOR_GAS, MANY, 0);
}

static void note(struct arrived *arrived, const struct parcel *parcel)
{
    Lifeline__V1__DataBatch *batch = decode(parcel);
    uint64_t *last = parcel->kind == PARCEL_LIVE ? &arrived->last_live : &arrived->last_history;
    for (size_t i = 0; i < batch->n_segments; i++) {
        const Lifeline__V1__Segment *segment = batch->segments[i];
        assert_true(segment->seq > *last);
        *last = segment->seq;
        assert_true(arrived->count < ROWS_MAX);
        arrived->rows[arrived->count].seq = segment->seq;
        arrived->rows[arrived->count].base_ms = segment->base_ms;
        arrived->rows[arrived->count++].clock = (enum clock_state)segment->clock;
    }
    arrived->gaps += batch->n_gaps;
    message_free(&batch->base);
}

/* All that the store hands out until it is silent; settled. */
static void receive_all(struct world *world, struct arrived *arrived)
{
    struct parcel parcels[LENT] = {0};
    *arrived = (struct arrived){0};
    world->generation = store_renew(world->store, 0);
    for (struct parcel *p = receive(world, parcels, 500); p; p = collect(world, 500)) {
        if (p->kind != PARCEL_EMPTY) {
            note(arrived, p);
            store_settle(world->store, 0, p);
        }
        ask(world, p);
    }
    world->generation = store_renew(world->store, 0); /* takes the parcels back */
    for (int i = 0; i < LENT; i++)
        collect(world, WAIT_MS);
    free_parcels(parcels, LENT);
}

static uint64_t held(struct world *world, uint64_t wanted)
{
    struct store_status status;
    mono_time until = clock_after_ms(clock_mono(), WAIT_MS);
    do {
        store_status(world->store, &status);
    } while (status.held != wanted && clock_mono().ns < until.ns);
    assert_int_equal(status.held_ms > 0, status.held > 0);
    return status.held;
}

static void assert_corrected(const struct arrived *arrived, const int64_t *true_ms, size_t count)
{
    bool seen[ROWS_MAX] = {false};
    assert_int_equal(arrived->count, count);
    for (size_t i = 0; i < arrived->count; i++) {
        uint64_t seq = arrived->rows[i].seq;
        assert_false(seen[seq]);
        seen[seq] = true;
        assert_int_equal(arrived->rows[i].clock, CLOCK_STATE_CORRECTED);
        assert_in_range(arrived->rows[i].base_ms - true_ms[seq] + NEAR_MS, 0, 2 * NEAR_MS);
    }
}

static int64_t ask_file(const struct world *world, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_open(world->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    int rc = sqlite3_step(s);
    assert_true(rc == SQLITE_ROW || rc == SQLITE_DONE);
    int64_t answer = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return answer;
}

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
    set_clock(world);
    assert_int_equal(held(world, 0), 0);
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
    for (int life = 0; life < 8 && left; life++) {
        pid_t child = fork();
        if (child == 0) {
            open_store(world);
            syncs_left = 1 + life % 2;
            set_clock(world);
            sleep(1);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        left = ask_file(world, "SELECT count(*) FROM segment WHERE base_ms<60000");
        partial += left > 0 && left < MANY;
    }
    assert_true(partial > 0);
    wall_ahead_ns = 0;
    synced = true;
    open_store(world);
    receive_all(world, &arrived);
    assert_corrected(&arrived, true_ms, MANY);
    close_store(world);
}

static void an_open_row_over_a_crash(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    int64_t true_ms[2] = {0, true_ns(CLOCK_REALTIME) / 1000000};
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
    int64_t before_ms = true_ns(CLOCK_REALTIME) / 1000000;
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
    int64_t after_ms = true_ns(CLOCK_REALTIME) / 1000000;
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

static void the_hold_runs_out(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    board(CLOCK_HOLD_MS - 60000, 1, false);
    open_store(world);
    put(world, CLOCK_STATE_UNSET, boot_id());
    store_commit(world->store);
    assert_int_equal(held(world, 1), 1);
    uptime_ahead_ns += INT64_C(60) * 1000000000;
    put(world, CLOCK_STATE_UNSET, boot_id());
    store_commit(world->store);
    assert_int_equal(held(world, 0), 0);
    close_store(world);
    set_clock(world); /* too late */
    open_store(world);
    receive_all(world, &arrived);
    assert_int_equal(arrived.count, 2);
    for (size_t i = 0; i < arrived.count; i++) {
        assert_int_equal(arrived.rows[i].clock, CLOCK_STATE_UNSET);
        assert_in_range(arrived.rows[i].base_ms, 0, 60000);
    }
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
    int64_t true_ms[2] = {0, true_ns(CLOCK_REALTIME) / 1000000};
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
    int64_t true_ms = true_ns(CLOCK_REALTIME) / 1000000;
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

static void a_damaged_row_among_them_is_a_gap(void **state)
{
    struct world *world = *state;
    static struct arrived arrived;
    int64_t true_ms[MANY + 1];
    board(100000, 1, false);
    open_store(world);
    put_many(world, true_ms);
    close_store(world);
    ask_file(world, "UPDATE segment SET crc=crc+1 WHERE (id & 255)=7");
    open_store(world);
    set_clock(world);
    assert_int_equal(held(world, 0), 0);
    receive_all(world, &arrived);
    assert_int_equal(arrived.gaps, 1);
    assert_corrected(&arrived, true_ms, MANY - 1);
    close_store(world);
    /* the columns follow */
    assert_int_equal(ask_file(world, "SELECT count(*) FROM segment WHERE base_ms<60000"), 1);
    assert_true(ask_file(world, "SELECT last_ms FROM stream") >= true_ms[MANY] - NEAR_MS);
}

/* ---- age ---- */

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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(it_waits_and_has_its_true_time),    TEST(a_restart_changes_nothing),
        TEST(a_crash_while_correcting),          TEST(an_open_row_over_a_crash),
        TEST(a_crash_before_the_clock_was_lost), TEST(the_hold_runs_out),
        TEST(of_another_boot_or_a_set_clock),    TEST(a_late_one_is_corrected_at_once),
        TEST(columns_move_with_their_row),       TEST(live_is_what_was_sampled_just_now),
        TEST(a_damaged_row_among_them_is_a_gap), cmocka_unit_test(a_leap_is_not_believed_for_a_day),
        TEST(a_leap_does_not_empty_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
