/* lane.c with a writer, a store and three readers that come and go, each in a thread of its own:
 * every event reaches every reader that takes its sector, whole, and nothing is left owed. For TSan
 * above all.
 *
 * The store here keeps its rows in an array; who owes what it learns as the real one does. */
#include "gateway/lane.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "drivers/clock.h"
#include "proto/ulid.h"

enum { EVENTS = 4000, READERS = 3, OPEN = 50, DEADLINE_MS = 60000 };

struct row {
    bool is_there;
    bool settled[READERS]; /* may be true before it is there */
};

static struct lane *lane;
static struct row rows[EVENTS]; /* [number of the event], under the mutex */
static pthread_mutex_t rows_mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool written, over;
static atomic_uint wakes, damaged;
static atomic_uchar got[READERS][EVENTS];
static bool takes[READERS][SECTOR_COUNT];

static void wake(void *context)
{
    (void)context;
    atomic_fetch_add(&wakes, 1);
}

/* The number of an event is in its bytes, and makes all of them. */
static void fill(struct lane_event *event, uint32_t number)
{
    event->length = 8 + number * 7919 % (number % 10 ? 700 : ALARM_EVENT_MAX - 8);
    memset(event->bytes, (int)(number & 0xff), event->length);
    memcpy(event->bytes, &number, sizeof number);
}

static uint32_t number_of(const struct lane_event *event)
{
    static _Thread_local struct lane_event expected;
    uint32_t number;
    memcpy(&number, event->bytes, sizeof number);
    if (number >= EVENTS)
        number = 0;
    fill(&expected, number);
    if (expected.length != event->length ||
        memcmp(expected.bytes, event->bytes, event->length) != 0)
        atomic_fetch_add(&damaged, 1);
    return number;
}

static enum sector sector_of(uint32_t number)
{
    return (enum sector)(1 + number % OPEN % (SECTOR_COUNT - 1));
}

/* OPEN alarms side by side, each of three steps. */
static void describe(struct lane_event *event, uint32_t number)
{
    static const enum alarm_status statuses[] = {ALARM_STATUS_RAISED, ALARM_STATUS_ESCALATED,
                                                 ALARM_STATUS_CLEARED};
    uint32_t step = number / OPEN % 3;
    *event = (struct lane_event){.kind = LANE_ALARM,
                                 .sector = sector_of(number),
                                 .step = step + 1,
                                 .level = (uint8_t)(step == 2 ? 0 : 3 - step),
                                 .previous_level = (uint8_t)(step == 2 ? 2 : step * 3),
                                 .status = statuses[step]};
    ulid_first(event->id, number / (OPEN * 3) * OPEN + number % OPEN + 1);
    fill(event, number);
}

static void *write_all(void *context)
{
    (void)context;
    struct lane_event event;
    for (uint32_t i = 0; i < EVENTS; i++) {
        describe(&event, i);
        if (!lane_put(lane, &event))
            atomic_fetch_add(&damaged, 1);
        if (i % 100 == 0)
            usleep(1000);
    }
    atomic_store(&written, true);
    return NULL;
}

/* ---- the store ---- */

static size_t take(struct lane_event *events, size_t count)
{
    size_t taken = lane_unstored(lane, events, count);
    if (!taken)
        return 0;
    usleep(200); /* a commit; readers settle meanwhile */
    pthread_mutex_lock(&rows_mutex);
    for (size_t i = 0; i < taken; i++) {
        struct row *row = &rows[number_of(&events[i])];
        row->is_there = true;
        for (size_t r = 0; r < READERS; r++)
            row->settled[r] |= events[i].settled >> r & 1;
    }
    pthread_mutex_unlock(&rows_mutex);
    lane_stored(lane, events[taken - 1].n);
    return taken;
}

static bool owes(size_t reader, uint32_t number)
{
    pthread_mutex_lock(&rows_mutex);
    bool owed = rows[number].is_there && !rows[number].settled[reader];
    pthread_mutex_unlock(&rows_mutex);
    return owed && takes[reader][sector_of(number)];
}

/* False: there was no room for all of it. */
static bool give_back(size_t reader)
{
    struct lane_event event;
    for (uint32_t i = 0; i < EVENTS; i++) {
        describe(&event, i);
        if (owes(reader, i) && !lane_return(lane, reader, &event))
            return false;
    }
    return true;
}

static bool all_settled(void)
{
    bool all = atomic_load(&written);
    for (size_t r = 0; r < READERS && all; r++) {
        for (uint32_t i = 0; i < EVENTS && all; i++)
            all = !owes(r, i);
    }
    return all;
}

static void *store_all(void *context)
{
    (void)context;
    struct lane_event *events = malloc(64 * sizeof *events);
    bool behind[READERS] = {false};
    mono_time deadline = clock_after_ms(clock_mono(), DEADLINE_MS);
    while (events && clock_mono().ns < deadline.ns) {
        bool was_written = atomic_load(&written);
        size_t taken = take(events, 64);
        for (size_t r = 0; r < READERS; r++) {
            behind[r] |= lane_is_behind(lane, r);
            if (behind[r])
                behind[r] = !give_back(r);
        }
        if (was_written && !taken && all_settled())
            break;
        usleep(500);
    }
    atomic_store(&over, true);
    free(events);
    return NULL;
}

/* ---- readers ---- */

static void tell(size_t reader)
{
    const struct lane_skip skip = {0};
    struct lane_event event;
    if (!lane_next(lane, reader, &skip, &event)) {
        usleep(200);
        return;
    }
    uint32_t number = number_of(&event);
    atomic_store(&got[reader][number], 1);
    if (!lane_settle(lane, reader, event.n))
        return;
    pthread_mutex_lock(&rows_mutex);
    rows[number].settled[reader] = true;
    pthread_mutex_unlock(&rows_mutex);
}

static void *read_all(void *context)
{
    size_t reader = *(const size_t *)context;
    unsigned seed = (unsigned)reader;
    struct lane_event event;
    lane_attach(lane, reader, takes[reader], wake, NULL);
    while (!atomic_load(&over)) {
        tell(reader);
        if (reader && rand_r(&seed) % 1000 == 0) {
            lane_detach(lane, reader);
            usleep((useconds_t)(rand_r(&seed) % 3000));
            lane_attach(lane, reader, takes[reader], wake, NULL);
        }
        if (rand_r(&seed) % 200 == 0) {
            uint64_t after = 0;
            while (lane_read(lane, &after, &event))
                (void)number_of(&event);
            (void)lane_version(lane, event.sector);
        }
    }
    lane_detach(lane, reader);
    return NULL;
}

static void everything_reaches_everyone(void **state)
{
    (void)state;
    static size_t numbers[READERS] = {0, 1, 2};
    pthread_t threads[2 + READERS];
    struct lane_status status;
    lane = lane_new();
    assert_non_null(lane);
    for (size_t r = 0; r < READERS; r++) {
        for (size_t s = 1; s < SECTOR_COUNT; s++)
            takes[r][s] = r < 2 || s % 3 == 0;
    }
    lane_attach_store(lane, wake, NULL);
    for (size_t r = 0; r < READERS; r++)
        assert_int_equal(pthread_create(&threads[r], NULL, read_all, &numbers[r]), 0);
    assert_int_equal(pthread_create(&threads[READERS], NULL, store_all, NULL), 0);
    assert_int_equal(pthread_create(&threads[READERS + 1], NULL, write_all, NULL), 0);
    for (size_t i = 0; i < 2 + READERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&damaged), 0);
    for (size_t r = 0; r < READERS; r++) {
        for (uint32_t i = 0; i < EVENTS; i++) {
            assert_int_equal(atomic_load(&got[r][i]), takes[r][sector_of(i)]);
            assert_false(owes(r, i));
        }
    }
    lane_status(lane, &status);
    assert_int_equal(status.events, EVENTS);
    assert_int_equal(status.kept, status.up[1] + status.up[2] + status.up[3]);
    assert_true(atomic_load(&wakes) >= EVENTS);
    lane_free(lane);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(everything_reaches_everyone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
