/* An uplink for the unit tests of the store: receives, acknowledges, and counts. Every reading has
 * a value of its own, so that what arrived can be counted whatever number it came under. The world
 * has one device with one point, and its disk fails on demand. */
#ifndef LIFELINE_STORE_UPLINK_H
#define LIFELINE_STORE_UPLINK_H

#include "tests/unit/faulty_disk.h"
#include "tests/unit/store_world.h"

enum { VALUES = 100000, PATIENCE_MS = 15000 };

/* What an uplink received and acknowledged. */
static struct {
    uint8_t times[VALUES];
    uint64_t lost[GAP_REASON_DISK + 1]; /* readings that a Gap tells of */
    uint32_t gaps;
    uint64_t corrupt_numbers; /* segments that a Gap calls corrupt */
    uint32_t unnumbered[GAP_REASON_DISK + 1];
    uint64_t announced[16]; /* epochs whose Manifest came */
    size_t announced_count;
    bool lenient; /* the list of devices may be lost: rows without a Manifest will do */
    struct parcel parcels[LENT];
    uint64_t lent_to; /* the generation that they were lent to */
} got;

static struct settings_device device;
static struct profile profile;
static struct profile_point point;
static struct settings_point point_settings;

static inline int begin(void **state)
{
    memset(&got, 0, sizeof got);
    disk_heal();
    if (set_up(state) != 0)
        return -1;
    struct world *world = *state;
    point.name = (char *)"level";
    point.quantity = (char *)"level";
    point.unit = (char *)"m";
    profile.name = (char *)"made-up";
    profile.points = &point;
    profile.point_count = 1;
    device.name = (char *)"well";
    device.profile = &profile;
    device.points = &point_settings;
    device.sector = SECTOR_GAS;
    static struct settings_line line = {.name = (char *)"line"};
    world->settings.lines = &line;
    world->settings.line_count = 1;
    world->settings.devices = &device;
    world->settings.device_count = 1;
    return 0;
}

static inline int end(void **state)
{
    for (int i = 0; i < LENT; i++)
        free(got.parcels[i].bytes);
    disk_heal();
    return tear_down(state);
}

static inline bool is_announced(uint64_t epoch)
{
    for (size_t i = 0; i < got.announced_count; i++) {
        if (got.announced[i] == epoch)
            return true;
    }
    return false;
}

static inline void announce(uint64_t epoch)
{
    if (!is_announced(epoch))
        got.announced[got.announced_count++ % 16] = epoch;
}

static inline void note(const struct parcel *parcel)
{
    Lifeline__V1__DataBatch *batch = decode(parcel);
    for (size_t i = 0; i < batch->n_segments; i++) {
        const Lifeline__V1__Column *column = batch->segments[i]->blocks[0]->columns[0];
        int64_t value = 0;
        for (size_t k = 0; k < column->n_steps; k++) {
            value += column->steps[k];
            assert_in_range(value, 0, VALUES - 1);
            got.times[value]++;
        }
        assert_true(got.lenient || is_announced(batch->epoch));
    }
    for (size_t i = 0; i < batch->n_gaps; i++) {
        const Lifeline__V1__Gap *gap = batch->gaps[i];
        got.lost[gap->reason] += gap->readings;
        if ((int)gap->reason == GAP_REASON_CORRUPT && gap->first_seq)
            got.corrupt_numbers += gap->last_seq - gap->first_seq + 1;
        if (!gap->first_seq &&
            ((int)gap->reason == GAP_REASON_CORRUPT || (int)gap->reason == GAP_REASON_CRASH))
            got.unnumbered[gap->reason]++;
    }
    got.gaps += (uint32_t)batch->n_gaps;
    message_free(&batch->base);
}

/* Everything that comes until it is quiet. */
static inline void receive_all(struct world *world, int64_t quiet_ms)
{
    for (int i = 0; i < LENT && got.lent_to != world->generation; i++)
        ask(world, &got.parcels[i]);
    got.lent_to = world->generation;
    for (struct parcel *p; (p = collect(world, quiet_ms));) {
        if (p->generation != world->generation)
            continue; /* of a connection before */
        if (p->kind == PARCEL_MANIFEST) {
            announce(p->epoch);
        } else if (p->kind != PARCEL_EMPTY) {
            note(p);
            store_settle(world->store, 0, p);
        }
        ask(world, p);
    }
}

static inline void arrived(int64_t from, int64_t to)
{
    for (int64_t value = from; value < to; value++) {
        if (got.times[value] != 1)
            fail_msg("value %lld arrived %d times", (long long)value, got.times[value]);
    }
}

static inline struct store_status status_of(const struct world *world)
{
    struct store_status status;
    store_status(world->store, &status);
    return status;
}

static inline void wait_mode(const struct world *world, enum store_mode mode)
{
    mono_time until = clock_after_ms(clock_mono(), PATIENCE_MS);
    while (status_of(world).mode != mode && clock_mono().ns < until.ns)
        usleep(5000);
    assert_int_equal(status_of(world).mode, mode);
}

static inline void start(struct world *world)
{
    open_store(world);
    got.lent_to = 0;
}

/* Segments of ten readings, one commit each. */
static inline void put_many(struct world *world, int64_t from, int64_t to)
{
    for (int64_t value = from; value < to; value += 10) {
        put_closed(world, SECTOR_GAS, value, 10);
        usleep(2000);
    }
}

#endif
