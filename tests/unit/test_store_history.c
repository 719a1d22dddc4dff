/* History, driven through store.h and history.h by hand: a real SQLite file, no line, no broker.
 *
 * Closed and open segments, overlapping ones of two sectors, come out in the order of time, once,
 * through the store thread as through the file; what is trimmed or damaged between two slices costs
 * just itself; a scan that is abandoned is nobody's any more. Each test has its own folder. */
#include "gateway/api/history_line.h"

#include "tests/unit/store_world.h"
#include "tests/unit/true_clock.h"

#include <inttypes.h>
#include <stdatomic.h>

#include <sqlite3.h>

enum { POINTS = 2, READINGS_MAX = 100000 };

#define BASE INT64_C(1760000000000)

static struct profile_point points[POINTS];
static struct settings_point point_settings[POINTS];
static struct profile profile;
static struct settings_device devices[2];
static uint64_t closed; /* readings so far, in this life */

/* A board on which every look at the clock takes longer than a slice may last. */
static atomic_bool is_slow;

int clock_gettime(clockid_t clock, struct timespec *out)
{
    static atomic_llong ahead_s;
    ahead_s += is_slow;
    int result = true_clock(clock, out);
    out->tv_sec += (time_t)ahead_s;
    return result;
}

struct got {
    size_t count;
    int64_t time_ms[READINGS_MAX];
    int64_t steps[READINGS_MAX];
    const char *last; /* the last line */
    enum history_step step;
};

static int begin(void **state)
{
    if (set_up(state) != 0)
        return -1;
    struct world *world = *state;
    points[0] = (struct profile_point){
        .name = (char *)"level", .quantity = (char *)"level", .unit = (char *)"m", .decimals = 2};
    points[1] = (struct profile_point){
        .name = (char *)"odd\"\\", .quantity = (char *)"flow", .unit = (char *)"m³/h"};
    profile = (struct profile){.name = (char *)"p", .points = points, .point_count = POINTS};
    for (int d = 0; d < 2; d++)
        devices[d] = (struct settings_device){.name = (char *)(d ? "sump-2" : "well-1"),
                                              .profile = &profile,
                                              .points = point_settings,
                                              .sector = d ? SECTOR_DRAINAGE : SECTOR_MANHOLE};
    static struct settings_line line = {.name = (char *)"line"};
    world->settings.store.max_size = 512 << 20;
    world->settings.lines = &line;
    world->settings.line_count = 1;
    world->settings.devices = devices;
    world->settings.device_count = 2;
    return 0;
}

static void start(struct world *world)
{
    open_store(world);
    closed = 0;
}

static void wait_stored(struct world *world, uint64_t readings, uint64_t commits)
{
    struct store_status status;
    mono_time until = clock_after_ms(clock_mono(), WAIT_MS);
    do {
        usleep(1000);
        store_status(world->store, &status);
    } while ((status.readings < readings || status.commits < commits) &&
             clock_mono().ns < until.ns);
    assert_true(status.readings >= readings && status.commits >= commits);
}

/* One segment of a device: a reading every period from BASE + from_ms on; steps are its time. */
static void put_rows(struct world *world, int d, uint32_t part, int64_t from_ms, int64_t period_ms,
                     int count, bool is_closed)
{
    const struct store_ids *ids = store_ids(world->store);
    const struct segment_column columns[POINTS] = {{ids->point[d][0], 2, false},
                                                   {ids->point[d][1], 0, true}};
    const struct segment_block block = {ids->device[d], POINTS, columns};
    const struct segment_start start = {.base_ms = BASE + from_ms, .clock = CLOCK_STATE_SYNCED};
    struct segment *segment = segment_new(&block, 1);
    struct store_status before;
    segment_reset(segment, &start);
    for (int i = 0; i < count; i++) {
        const struct value values[POINTS] = {{.steps = from_ms + i * period_ms}, {.real = 0.5f}};
        assert_true(segment_add(segment, 0, BASE + from_ms + i * period_ms, values));
    }
    store_status(world->store, &before);
    while (!store_put(world->store, part, devices[d].sector, segment, is_closed))
        usleep(1000);
    store_commit(world->store);
    closed += is_closed ? (uint64_t)(count * POINTS) : 0;
    if (!is_closed)
        wait_stored(world, 0, before.commits + 1);
    segment_free(segment);
}

static void note_wake(void *context)
{
    atomic_int *woken = context;
    atomic_fetch_add(woken, 1);
}

/* A slice by the store thread, or by ourselves where there is none. */
static void fetch(struct store *store, struct history *history, bool lend)
{
    atomic_int woken = 0;
    if (!lend) {
        history_fetch(store, history);
        return;
    }
    mono_time until = clock_after_ms(clock_mono(), WAIT_MS);
    loan_lend(store, history_loan(history), note_wake, &woken);
    while (!loan_back(store, history_loan(history)) && clock_mono().ns < until.ns)
        usleep(100);
    assert_true(loan_back(store, history_loan(history)));
    assert_int_equal(atomic_load(&woken), 1);
}

static struct history *search(const char *pattern, int64_t since_ms, int64_t until_ms)
{
    struct history *history = history_new(&pattern, 1, since_ms, until_ms);
    assert_non_null(history);
    return history;
}

static void drain(struct store *store, struct history *history, bool lend, struct got *got)
{
    struct history_reading reading;
    static char last[HISTORY_LINE_MAX];
    while ((got->step = history_next(history, &reading)) <= HISTORY_FETCH) {
        if (got->step == HISTORY_FETCH) {
            fetch(store, history, lend);
            continue;
        }
        assert_true(got->count < READINGS_MAX);
        got->time_ms[got->count] = reading.time_ms - BASE;
        got->steps[got->count++] = reading.value.steps;
    }
    history_line_last(history, last);
    got->last = last;
}

static struct got *query(struct store *store, const char *pattern, int64_t since_ms,
                         int64_t until_ms, bool lend)
{
    struct got *got = calloc(1, sizeof *got);
    struct history *history = search(pattern, BASE + since_ms, BASE + until_ms);
    drain(store, history, lend, got);
    assert_int_equal(got->step, HISTORY_END);
    history_free(history);
    return got;
}

static void is_ordered(const struct got *got)
{
    for (size_t i = 1; i < got->count; i++)
        assert_true(got->time_ms[i - 1] <= got->time_ms[i]);
}

/* Two sectors and two parts that overlap; the slow part closes late, under a later number. */
static void fill(struct world *world)
{
    for (int minute = 0; minute < 10; minute++) {
        for (int i = 0; i < 6; i++)
            put_rows(world, 0, 0, minute * 60000 + i * 10000, 100, 100, true);
        put_rows(world, 0, 1, minute * 60000 + 7, 1000, 60, true);
        put_rows(world, 1, 2, minute * 60000 + 30003, 500, 120, true);
    }
    wait_stored(world, closed, 0);
    put_rows(world, 1, 2, 630003, 500, 11, false);
}

static void all_in_the_order_of_time(void **state)
{
    struct world *world = *state;
    start(world);
    fill(world);
    struct got *got = query(world->store, "*.level", 0, 10000000, true);
    assert_int_equal(got->count, 10 * (600 + 60 + 120) + 11);
    is_ordered(got);
    for (size_t i = 0; i < got->count; i++)
        assert_int_equal(got->steps[i], got->time_ms[i]);
    assert_string_equal(got->last,
                        "{\"end\":true,\"points\":2,\"readings\":7811,\"damaged_rows\":0}\n");
    free(got);

    got = query(world->store, "sump-2.level", 100000, 200003, true);
    assert_int_equal(got->count, 200);
    assert_int_equal(got->time_ms[0], 100003); /* since is in, until is not */
    assert_int_equal(got->time_ms[199], 199503);
    free(got);
    got = query(world->store, "nobody", 0, 10000000, true);
    assert_int_equal(got->count, 0);
    assert_non_null(strstr(got->last, "\"points\":0"));
    free(got);
    close_store(world);
}

static struct store *open_file(const struct world *world)
{
    struct store *file = NULL;
    char why[300];
    assert_int_equal(history_open(&world->settings, &file, why, sizeof why), HISTORY_OPENED);
    return file;
}

static void the_file_says_the_same(void **state)
{
    struct world *world = *state;
    struct store *file = NULL;
    char why[300] = "";
    assert_int_equal(history_open(&world->settings, &file, why, sizeof why), HISTORY_NO_STORE);
    assert_non_null(strstr(why, "no store"));
    start(world);
    fill(world);
    struct got *live = query(world->store, "*", 0, 10000000, true);
    assert_int_equal(history_open(&world->settings, &file, why, sizeof why), HISTORY_IN_USE);
    assert_null(file);
    close_store(world);
    assert_int_equal(history_open(&world->settings, &file, why, sizeof why), HISTORY_OPENED);
    struct got *dead = query(file, "*", 0, 10000000, false);
    history_close(file);
    assert_int_equal(live->count, dead->count);
    assert_memory_equal(live->time_ms, dead->time_ms, live->count * sizeof *live->time_ms);
    free(live);
    free(dead);
    start(world); /* its lock is free again */
    close_store(world);
}

static void a_line_is_json(void **state)
{
    struct world *world = *state;
    char line[HISTORY_LINE_MAX];
    struct history_reading reading;
    start(world);
    put_rows(world, 0, 0, 0, 1, 1, true);
    wait_stored(world, closed, 0);
    struct history *history = search("well-1", BASE, BASE + 1000);
    while (history_next(history, &reading) == HISTORY_FETCH)
        fetch(world->store, history, true);
    reading.value.steps = -5;
    history_line(&reading, line);
    assert_string_equal(line,
                        "{\"time_ms\":1760000000000,\"device\":\"well-1\",\"point\":\"level\","
                        "\"unit\":\"m\",\"decimals\":2,\"value\":-0.05,\"quality\":\"good\"}\n");
    reading.value.quality = QUALITY_TIMEOUT;
    history_line(&reading, line);
    assert_non_null(strstr(line, "\"value\":null,\"quality\":\"timeout\""));
    assert_int_equal(history_next(history, &reading), HISTORY_READING);
    history_line(&reading, line);
    assert_non_null(strstr(line, "\"point\":\"odd\\\"\\\\\",\"unit\":\"m³/h\",\"value\":0.5,"));
    history_free(history);
    close_store(world);
}

/* A poll that failed in part hands its good answer on late, and a clock may be set back a little:
 * the reading that was added first need not be the earliest. */
static void readings_before_the_first_one_are_found(void **state)
{
    struct world *world = *state;
    start(world);
    put_rows(world, 0, 0, 10000, -100, 7, true);
    put_rows(world, 1, 1, 10000, -100, 7, false);
    struct got *got = query(world->store, "*.level", 0, 10000, true);
    assert_int_equal(got->count, 2 * 6);
    free(got);
    got = query(world->store, "*.level", 0, 10001, true);
    assert_int_equal(got->count, 2 * 7);
    free(got);
    close_store(world);
}

static void damage_costs_its_row(void **state)
{
    struct world *world = *state;
    start(world);
    fill(world);
    close_store(world);
    ask_file(world, "UPDATE segment SET row=zeroblob(50) WHERE (id & 255) IN (3, 5)");
    struct store *file = open_file(world);
    struct got *got = query(file, "*.level", 0, 10000000, false);
    assert_non_null(strstr(got->last, "\"damaged_rows\":4"));
    assert_true(got->count < 7811 && got->count > 7000);
    is_ordered(got);
    free(got);
    got = query(file, "*.level", 9990000, 10000000, false); /* none of its time */
    assert_non_null(strstr(got->last, "\"damaged_rows\":0"));
    free(got);
    history_close(file);
}

/* Much more than a slice, so that the scan is under way for many. */
static void fill_much(struct world *world)
{
    for (int i = 0; i < 120; i++)
        put_rows(world, 0, 0, i * 200000, 311, 640, true);
    wait_stored(world, closed, 0);
}

/* Rows of a device, of which one leaf of the table is damaged; `where` chooses it. */
static struct got *query_damaged(struct world *world, const char *where)
{
    char sql[300];
    start(world);
    for (int i = 0; i < 400; i++)
        put_rows(world, 0, 0, i * 10000, 100, 20, true);
    wait_stored(world, closed, 0);
    close_store(world);
    snprintf(sql, sizeof sql,
             "SELECT pageno FROM dbstat WHERE name='segment' AND pagetype='leaf' ORDER BY path %s",
             where);
    long page = (long)ask_file(world, sql);
    FILE *raw = fopen(world->path, "r+b");
    assert_non_null(raw);
    fseek(raw, (page - 1) * 4096, SEEK_SET);
    assert_int_equal(fwrite("\xff\xff\xff\xff\xff\xff\xff\xff", 8, 1, raw), 1);
    fclose(raw);
    struct store *file = open_file(world);
    struct got *got = query(file, "*.level", 0, 10000000, false);
    history_close(file);
    assert_non_null(strstr(got->last, "\"damaged_rows\":1}")); /* a page counts once */
    assert_true(got->count > 6500 && got->count < 8000);
    is_ordered(got);
    return got;
}

/* Where the stream ends is known all the same. */
static void damage_at_the_end_is_counted_once(void **state)
{
    struct got *got = query_damaged(*state, "DESC LIMIT 1");
    assert_int_equal(got->time_ms[0], 0);
    free(got);
}

static void what_lies_behind_damage_is_found(void **state)
{
    struct got *got = query_damaged(*state, "LIMIT 1 OFFSET 5");
    assert_int_equal(got->time_ms[0], 0);
    assert_int_equal(got->time_ms[got->count - 1], 399 * 10000 + 19 * 100);
    free(got);
}

/* Not a slice is long enough for all names, nor for two rows. */
static void a_slow_board_goes_on_where_it_stopped(void **state)
{
    struct world *world = *state;
    start(world);
    fill(world);
    close_store(world);
    struct store *file = open_file(world);
    struct got *fast = query(file, "*", 0, 10000000, false);
    struct got *slow = calloc(1, sizeof *slow);
    struct history *history = search("*", BASE, BASE + 10000000);
    struct history_reading reading;
    int slices = 0;
    is_slow = true;
    while (history_end(history).points < 4 && slices++ < 10 &&
           history_next(history, &reading) == HISTORY_FETCH)
        history_fetch(file, history);
    is_slow = false;
    assert_int_equal(slices, 2); /* a device each */
    is_slow = true;
    drain(file, history, false, slow);
    is_slow = false;
    assert_int_equal(history_end(history).points, 4);
    assert_int_equal(slow->count, fast->count);
    assert_memory_equal(slow->time_ms, fast->time_ms, fast->count * sizeof *fast->time_ms);
    history_free(history);
    history_close(file);
    free(fast);
    free(slow);
}

/* One that waits behind another has its turn at once, not when the store has other work. */
static void two_scans_need_no_other_work(void **state)
{
    struct world *world = *state;
    atomic_int woken = 0;
    start(world);
    fill(world);
    for (int i = 0; i < 5; i++) {
        struct history *both[2] = {search("*", 0, INT64_MAX), search("*", 0, INT64_MAX)};
        mono_time until = clock_after_ms(clock_mono(), 2000);
        for (int k = 0; k < 2; k++)
            loan_lend(world->store, history_loan(both[k]), note_wake, &woken);
        for (int k = 0; k < 2; k++) {
            while (!loan_back(world->store, history_loan(both[k])) && clock_mono().ns < until.ns)
                usleep(1000);
            assert_true(loan_back(world->store, history_loan(both[k])));
            history_free(both[k]);
        }
    }
    assert_int_equal(atomic_load(&woken), 10);
    close_store(world);
}

static void trimming_between_two_slices_does_no_harm(void **state)
{
    struct world *world = *state;
    struct history_reading reading;
    enum history_step step;
    int64_t last = -1;
    size_t count = 0;
    start(world);
    fill_much(world);
    close_store(world);
    struct history *history = search("well-1.level", 0, INT64_MAX);
    struct store *file = open_file(world);
    while ((step = history_next(history, &reading)) == HISTORY_FETCH)
        history_fetch(file, history);
    history_close(file);
    ask_file(world, "DELETE FROM segment WHERE (id & 255) BETWEEN 1 AND 110");
    file = open_file(world);
    for (; step <= HISTORY_FETCH; step = history_next(history, &reading)) {
        if (step == HISTORY_FETCH) {
            history_fetch(file, history);
            continue;
        }
        assert_true(reading.time_ms > last);
        last = reading.time_ms;
        count++;
    }
    assert_int_equal(step, HISTORY_END);
    assert_true(count >= 10 * 640 && count < 120 * 640);
    assert_int_equal(last, BASE + 119 * 200000 + 639 * 311);
    history_free(history);
    history_close(file);
}

static void an_old_epoch_may_go_under_the_scan(void **state)
{
    struct world *world = *state;
    struct history_reading reading;
    struct got *got = calloc(1, sizeof *got);
    start(world);
    fill_much(world);
    close_store(world);
    ask_file(world, "UPDATE epoch SET machine=machine+1"); /* another board: a new epoch */
    start(world);
    put_rows(world, 0, 0, 30000000, 100, 70, true);
    wait_stored(world, closed, 0);
    close_store(world);
    struct history *history = search("well-1.level", 0, INT64_MAX);
    struct store *file = open_file(world);
    while (history_next(history, &reading) == HISTORY_FETCH)
        history_fetch(file, history);
    history_close(file);
    ask_file(world, "DELETE FROM epoch WHERE ordinal=1; DELETE FROM device WHERE ordinal=1;"
                    "DELETE FROM point WHERE ordinal=1; DELETE FROM segment WHERE id>>48=1");
    file = open_file(world);
    drain(file, history, false, got);
    assert_int_equal(got->step, HISTORY_END);
    assert_true(got->count > 70 && got->count < 120 * 640); /* what was loaded, and the new one */
    assert_int_equal(got->time_ms[got->count - 70], 30000000);
    history_free(history);
    history_close(file);
    free(got);
}

/* What stood open in the one is numbered in the next. */
static void two_epochs_overlap(void **state)
{
    struct world *world = *state;
    struct got *got = calloc(1, sizeof *got);
    start(world);
    put_rows(world, 0, 0, 0, 100, 100, true);
    close_store(world);
    ask_file(world, "UPDATE epoch SET machine=machine+1");
    start(world);
    put_rows(world, 1, 0, 5000, 300, 40, true);
    put_rows(world, 0, 0, 10000, 100, 20, true);
    close_store(world);
    struct history *history = search("*", 0, INT64_MAX);
    struct store *file = open_file(world);
    drain(file, history, false, got);
    assert_int_equal(got->step, HISTORY_END);
    assert_int_equal(got->count, (100 + 40 + 20) * POINTS);
    is_ordered(got);
    history_free(history);
    history_close(file);
    free(got);
}

static void another_store_is_not_mixed_in(void **state)
{
    struct world *world = *state;
    struct history_reading reading;
    struct got *got = calloc(1, sizeof *got);
    start(world);
    fill_much(world);
    close_store(world);
    struct history *history = search("*", 0, INT64_MAX);
    struct store *file = open_file(world);
    while (history_next(history, &reading) == HISTORY_FETCH)
        history_fetch(file, history);
    history_close(file);
    ask_file(world, "UPDATE epoch SET number=number+1");
    file = open_file(world);
    drain(file, history, false, got);
    assert_int_equal(got->step, HISTORY_FAILED);
    assert_non_null(strstr(got->last, "\"error\":\"the store was replaced meanwhile\""));
    history_free(history);
    history_close(file);
    free(got);
}

static void what_closes_meanwhile_comes_once(void **state)
{
    struct world *world = *state;
    struct history_reading reading;
    struct got *got = calloc(1, sizeof *got);
    start(world);
    fill_much(world);
    put_rows(world, 0, 0, 120 * 200000, 100, 50, false);
    struct history *history = search("well-1.level", 0, INT64_MAX);
    assert_int_equal(history_next(history, &reading), HISTORY_FETCH);
    fetch(world->store, history, true);
    put_rows(world, 0, 0, 120 * 200000, 100, 60, true); /* ten more, and closed */
    put_rows(world, 0, 0, 121 * 200000, 100, 50, true);
    wait_stored(world, closed, 0);
    drain(world->store, history, true, got);
    assert_int_equal(got->step, HISTORY_END);
    assert_int_equal(got->count, 120 * 640 + 50);
    is_ordered(got);
    history_free(history);
    close_store(world);
    free(got);
}

static void an_abandoned_scan_is_nobodys(void **state)
{
    struct world *world = *state;
    atomic_int woken = 0;
    start(world);
    fill_much(world);
    for (int i = 0; i < 200; i++) {
        struct history *first = search("*", 0, INT64_MAX), *second = search("*", 0, INT64_MAX);
        loan_lend(world->store, history_loan(first), note_wake, &woken);
        loan_lend(world->store, history_loan(second), note_wake, &woken);
        usleep((useconds_t)(rand() % 3000));
        loan_abandon(world->store, history_loan(second));
        loan_abandon(world->store, history_loan(first));
        int before = atomic_load(&woken);
        usleep(200);
        assert_int_equal(atomic_load(&woken), before);
    }
    close_store(world);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(all_in_the_order_of_time),
        TEST(the_file_says_the_same),
        TEST(a_line_is_json),
        TEST(readings_before_the_first_one_are_found),
        TEST(damage_costs_its_row),
        TEST(damage_at_the_end_is_counted_once),
        TEST(what_lies_behind_damage_is_found),
        TEST(a_slow_board_goes_on_where_it_stopped),
        TEST(two_scans_need_no_other_work),
        TEST(trimming_between_two_slices_does_no_harm),
        TEST(an_old_epoch_may_go_under_the_scan),
        TEST(two_epochs_overlap),
        TEST(another_store_is_not_mixed_in),
        TEST(what_closes_meanwhile_comes_once),
        TEST(an_abandoned_scan_is_nobodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
