/* A real store under a clock of the test's own: the kernel's clocks and its word on them are faked
 * here; clock_state.c is included, because what it remembers for the life of a process has to be
 * forgotten between tests. */
#ifndef LIFELINE_HOLD_WORLD_H
#define LIFELINE_HOLD_WORLD_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/true_clock.h"

static atomic_llong wall_ahead_ns, uptime_ahead_ns;
static atomic_bool synced;

static inline int64_t true_ns(clockid_t clock)
{
    struct timespec t;
    true_clock(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* One true clock drives both: a test that stood still between two looks is none the wiser. */
static inline int64_t true_wall_ns(int64_t true_boot_ns)
{
    static atomic_llong offset_ns;
    if (!offset_ns)
        offset_ns = true_ns(CLOCK_REALTIME) - true_ns(CLOCK_BOOTTIME);
    return true_boot_ns + offset_ns;
}

static inline int64_t true_wall_ms(void)
{
    return true_wall_ns(true_ns(CLOCK_BOOTTIME)) / 1000000;
}

static atomic_llong stall_ns; /* before the next look at the wall clock, once */

int clock_gettime(clockid_t clock, struct timespec *out)
{
    if (clock == CLOCK_REALTIME && stall_ns) {
        uptime_ahead_ns += stall_ns;
        wall_ahead_ns += stall_ns;
        stall_ns = 0;
    }
    int64_t ns = true_ns(clock == CLOCK_REALTIME ? CLOCK_BOOTTIME : clock);
    if (clock == CLOCK_REALTIME)
        ns = true_wall_ns(ns) + wall_ahead_ns;
    else if (clock == CLOCK_BOOTTIME)
        ns += uptime_ahead_ns;
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

#include "tests/unit/store_world.h"

enum { MANY = 200, ROWS_MAX = 1024, NEAR_MS = 3 };

#define HOUR_NS INT64_C(3600000000000)
#define DAY_NS  (24 * HOUR_NS)
#define YEAR_NS (365 * DAY_NS)

/* What arrived of a sector. */
struct arrived {
    size_t count, gaps;
    uint64_t last_live, last_history;
    int64_t gap_from_ms, gap_to_ms; /* of the last one */
    struct {
        uint64_t epoch, seq;
        int64_t base_ms;
        enum clock_state clock;
    } rows[ROWS_MAX];
};

static inline void board(int64_t uptime_ms, int64_t shown_ns, bool is_synced)
{
    uptime_ahead_ns = uptime_ms * 1000000 - true_ns(CLOCK_BOOTTIME);
    wall_ahead_ns = shown_ns ? shown_ns - true_wall_ms() * 1000000 : 0;
    synced = is_synced;
    atomic_store(&was_synced, false);
}

static inline void set_clock(struct world *world)
{
    wall_ahead_ns = 0;
    synced = true;
    if (world->store)
        store_commit(world->store);
}

static inline struct segment *segment_of(enum clock_state clock, uint32_t boot)
{
    struct segment *segment = new_segment();
    const int64_t boot_ns = true_ns(CLOCK_BOOTTIME);
    const struct segment_start start = {.base_ms =
                                            (true_wall_ns(boot_ns) + wall_ahead_ns) / 1000000,
                                        .mono_ms = (boot_ns + uptime_ahead_ns) / 1000000,
                                        .clock = clock,
                                        .boot = boot};
    segment_reset(segment, &start);
    add(segment, 1);
    return segment;
}

/* Puts a segment, closed; returns the true time of its beginning. */
static inline int64_t put(struct world *world, enum clock_state clock, uint32_t boot)
{
    struct segment *segment = segment_of(clock, boot);
    int64_t true_ms = segment_base_ms(segment) - wall_ahead_ns / 1000000;
    while (!store_put(world->store, 0, SECTOR_GAS, segment, true))
        usleep(1000);
    segment_free(segment);
    return true_ms;
}

static inline void put_many(struct world *world, int64_t true_ms[MANY + 1])
{
    for (int i = 1; i <= MANY; i++)
        true_ms[i] = put(world, CLOCK_STATE_UNSET, boot_id());
    store_commit(world->store);
    end_of(world, SECTOR_GAS, MANY, 0);
}

static inline void note(struct arrived *arrived, const struct parcel *parcel)
{
    Lifeline__V1__DataBatch *batch = decode(parcel);
    uint64_t *last = parcel->kind == PARCEL_LIVE ? &arrived->last_live : &arrived->last_history;
    if (arrived->count && arrived->rows[arrived->count - 1].epoch != batch->epoch)
        *last = 0;
    for (size_t i = 0; i < batch->n_segments; i++) {
        const Lifeline__V1__Segment *segment = batch->segments[i];
        assert_true(segment->seq > *last);
        *last = segment->seq;
        assert_true(arrived->count < ROWS_MAX);
        arrived->rows[arrived->count].epoch = batch->epoch;
        arrived->rows[arrived->count].seq = segment->seq;
        arrived->rows[arrived->count].base_ms = segment->base_ms;
        arrived->rows[arrived->count++].clock = (enum clock_state)segment->clock;
    }
    for (size_t i = 0; i < batch->n_gaps; i++) {
        arrived->gap_from_ms = batch->gaps[i]->from_ms;
        arrived->gap_to_ms = batch->gaps[i]->to_ms;
    }
    arrived->gaps += batch->n_gaps;
    message_free(&batch->base);
}

/* All that the store hands out until it is silent; settled. */
static inline void receive_all(struct world *world, struct arrived *arrived)
{
    struct parcel parcels[LENT] = {0};
    *arrived = (struct arrived){0};
    world->generation = store_renew(world->store, 0);
    for (struct parcel *p = receive(world, parcels, 500); p; p = collect(world, 500)) {
        if (p->generation != world->generation)
            continue; /* of a connection before */
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

static inline uint64_t held(struct world *world, uint64_t wanted)
{
    struct store_status status;
    mono_time until = clock_after_ms(clock_mono(), WAIT_MS);
    do {
        store_commit(world->store); /* a turn: it is counted once a second */
        usleep(20000);
        store_status(world->store, &status);
    } while (status.held != wanted && clock_mono().ns < until.ns);
    assert_int_equal(status.held_ms > 0, status.held > 0);
    return status.held;
}

static inline void assert_corrected(const struct arrived *arrived, const int64_t *true_ms,
                                    size_t count)
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

#endif
