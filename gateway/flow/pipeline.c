/* The pipeline thread: one sample after the other into `latest`, through the filter, into the open
 * segment of its sector; and at every `sync` the grown segments to the store.
 * Owns filters and open segments. Everything is allocated at start, from the plan.
 * Never touches the database or the network, never waits for either: a store whose mailbox is full
 * is told again at the next sync, and what a full segment cannot take becomes a Gap. */
#include "gateway/flow/pipeline.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "gateway/boot.h"
#include "gateway/clock_state.h"
#include "gateway/flow/filter.h"
#include "gateway/flow/layout.h"
#include "gateway/watchdog.h"

enum {
    READING_MAX = 16,       /* bytes that a reading can take, its share of dt_ms included */
    SEGMENT_MAX = 32 << 10, /* a segment is closed when it is this long */
    CLOCK_STEP_MS = 1000,   /* a wall step above this closes the segments */
    FIRST_SEGMENT_MS = 500,
    QUEUE_SECONDS = 30,
    QUEUE_MIN = 64 << 10,
    QUEUE_MAX = 64 << 20,
    PRESSED = 256 << 10, /* bytes in the queue */
};

struct part {
    enum sector sector;
    struct segment *segment;
    bool open, grown, full;
    bool unset;    /* it was opened under a clock that was never set */
    bool seasoned; /* a segment of it was closed since start */
    mono_time opened, first_unsynced;
    uint32_t check_at; /* readings at which its size may have reached SEGMENT_MAX */
};

struct pipeline {
    const struct settings *settings;
    const struct plan *plan;
    struct store *store;
    struct latest *latest;
    struct queue *queue;
    struct layout *layout;
    struct filter *filters; /* [block] */
    struct part *parts;
    struct value *values; /* of the sample at hand */
    int64_t wall_minus_mono_ms;
    bool stepped_once; /* wall_minus_mono_ms is known */
    enum clock_state clock;
    uint32_t boot;
    pthread_t thread;
    bool running;
    atomic_bool stop;
    atomic_uint_fast64_t samples, readings, skipped, overload;
};

/* ---- construction ---- */

static size_t queue_size(const struct plan *plan)
{
    double bytes = 0;
    for (size_t i = 0; i < plan->block_count; i++) {
        uint32_t every_ms = plan->blocks[i].every_ms ? plan->blocks[i].every_ms : 1;
        bytes += (double)queue_cost(plan->blocks[i].point_count) *
                 (QUEUE_SECONDS * 1000.0 / every_ms + 1);
    }
    return bytes < QUEUE_MIN ? QUEUE_MIN : bytes > QUEUE_MAX ? QUEUE_MAX : (size_t)bytes;
}

static bool make_filter(struct pipeline *pipeline, size_t b)
{
    const struct plan_block *block = &pipeline->plan->blocks[b];
    const struct settings_device *device = &pipeline->settings->devices[block->device];
    struct filter *filter = &pipeline->filters[b];
    filter->count = block->point_count;
    filter->heartbeat_ms = pipeline->settings->store.heartbeat_ms;
    filter->all_deadband = true;
    for (uint16_t i = 0; i < block->point_count; i++)
        filter->all_deadband &= device->points[block->points[i]].has_deadband;
    if (!filter->all_deadband)
        return true;
    filter->last = calloc(block->point_count, sizeof *filter->last);
    filter->deadband = calloc(block->point_count, sizeof *filter->deadband);
    filter->is_float = calloc(block->point_count, sizeof *filter->is_float);
    if (!filter->last || !filter->deadband || !filter->is_float)
        return false;
    for (uint16_t i = 0; i < block->point_count; i++) {
        const struct profile_point *point = &device->profile->points[block->points[i]];
        double deadband = device->points[block->points[i]].deadband;
        filter->is_float[i] = point->is_float;
        filter->deadband[i] = point->is_float ? deadband : deadband * pow(10, point->decimals);
    }
    return true;
}

static bool make_parts(struct pipeline *pipeline)
{
    const struct layout *layout = pipeline->layout;
    const struct store_ids *ids = store_ids(pipeline->store);
    pipeline->parts = calloc(layout->part_count + 1, sizeof *pipeline->parts);
    for (uint32_t p = 0; pipeline->parts && p < layout->part_count; p++) {
        pipeline->parts[p].sector = layout->sectors[p];
        pipeline->parts[p].segment = layout_segment(layout, p, ids);
        if (!pipeline->parts[p].segment)
            return false;
    }
    return pipeline->parts != NULL;
}

struct pipeline *pipeline_new(const struct settings *settings, const struct plan *plan,
                              struct store *store, struct latest *latest)
{
    struct pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (!pipeline)
        return NULL;
    *pipeline = (struct pipeline){.settings = settings,
                                  .plan = plan,
                                  .store = store,
                                  .latest = latest,
                                  .boot = boot_id(),
                                  .clock = clock_state_now(settings->gateway.trusted_rtc)};
    uint16_t widest = 1;
    for (size_t b = 0; b < plan->block_count; b++)
        widest = plan->blocks[b].point_count > widest ? plan->blocks[b].point_count : widest;
    pipeline->values = calloc(widest, sizeof *pipeline->values);
    pipeline->queue = queue_new(queue_size(plan));
    pipeline->layout = layout_new(settings, plan);
    pipeline->filters = calloc(plan->block_count + 1, sizeof *pipeline->filters);
    bool ok = pipeline->values && pipeline->queue && pipeline->layout && pipeline->filters &&
              make_parts(pipeline);
    for (size_t b = 0; ok && b < plan->block_count; b++)
        ok = make_filter(pipeline, b);
    if (!ok) {
        pipeline_free(pipeline);
        return NULL;
    }
    return pipeline;
}

void pipeline_free(struct pipeline *pipeline)
{
    if (!pipeline)
        return;
    for (size_t b = 0; pipeline->filters && b < pipeline->plan->block_count; b++) {
        free(pipeline->filters[b].last);
        free(pipeline->filters[b].deadband);
        free(pipeline->filters[b].is_float);
    }
    for (uint32_t p = 0; pipeline->parts && p < pipeline->layout->part_count; p++)
        segment_free(pipeline->parts[p].segment);
    free(pipeline->parts);
    free(pipeline->filters);
    layout_free(pipeline->layout);
    queue_free(pipeline->queue);
    free(pipeline->values);
    free(pipeline);
}

/* ---- any thread ---- */

static enum sector sector_of(const struct pipeline *pipeline, uint32_t block)
{
    return pipeline->settings->devices[pipeline->plan->blocks[block].device].sector;
}

static void lose(struct pipeline *pipeline, const struct sample *sample)
{
    uint16_t points = pipeline->plan->blocks[sample->block].point_count;
    atomic_fetch_add(&pipeline->overload, points);
    store_lost(pipeline->store, sector_of(pipeline, sample->block), GAP_REASON_OVERLOAD,
               sample->wall.ms, sample->wall.ms, points);
}

void pipeline_submit(struct pipeline *pipeline, const struct sample *sample,
                     const struct value *values)
{
    if (!queue_push(pipeline->queue, sample, values))
        lose(pipeline, sample);
}

bool pipeline_is_pressed(struct pipeline *pipeline)
{
    return queue_used(pipeline->queue) > PRESSED || store_is_pressed(pipeline->store);
}

void pipeline_status(struct pipeline *pipeline, struct pipeline_status *out)
{
    *out = (struct pipeline_status){
        .samples = atomic_load(&pipeline->samples),
        .readings = atomic_load(&pipeline->readings),
        .skipped = atomic_load(&pipeline->skipped),
        .overload = atomic_load(&pipeline->overload),
    };
}

/* ---- the pipeline thread ---- */

/* Hands the segment to the store; a closed one is free for new readings afterwards. */
static void hand_over(struct pipeline *pipeline, uint32_t p, bool close)
{
    struct part *part = &pipeline->parts[p];
    if (!part->open || (!part->grown && !close))
        return;
    if (!store_put(pipeline->store, p, part->sector, part->segment, close)) {
        part->full |= close;                 /* once to be closed it must not grow */
        part->first_unsynced = clock_mono(); /* tried again one sync later */
        return;
    }
    part->grown = false;
    if (close) {
        part->open = part->full = false;
        part->seasoned = true;
    }
}

/* The first segment after a start is short: whoever looks sees at once that data flows. */
static mono_time closes_at(const struct pipeline *pipeline, const struct part *part)
{
    int64_t segment_ms = pipeline->settings->store.segment_ms;
    return clock_after_ms(part->opened, part->seasoned ? segment_ms : FIRST_SEGMENT_MS);
}

static bool expired(const struct pipeline *pipeline, const struct part *part, mono_time now)
{
    return part->open && closes_at(pipeline, part).ns <= now.ns;
}

static void sync_all(struct pipeline *pipeline, mono_time now, bool close)
{
    for (uint32_t p = 0; p < pipeline->layout->part_count; p++) {
        struct part *part = &pipeline->parts[p];
        hand_over(pipeline, p, close || part->full || expired(pipeline, part, now));
    }
    store_commit(pipeline->store);
}

static bool is_step(int64_t from_ms, int64_t to_ms)
{
    return to_ms - from_ms > CLOCK_STEP_MS || to_ms - from_ms < -CLOCK_STEP_MS;
}

static int64_t wall_minus_mono_ms(const struct sample *sample)
{
    return sample->wall.ms - clock_mono_ms(sample->mono);
}

/* How far the clock could be believed when the sample was taken: one that waited in the queue while
 * the clock was set must not borrow its new good name. */
static enum clock_state clock_of(struct pipeline *pipeline, const struct sample *sample)
{
    if (!is_step(clock_state_wall_minus_mono_ms(), wall_minus_mono_ms(sample)))
        pipeline->clock = clock_state_now(pipeline->settings->gateway.trusted_rtc);
    return pipeline->clock;
}

static void open_part(struct pipeline *pipeline, struct part *part, const struct sample *sample)
{
    const struct segment_start start = {
        .base_ms = sample->wall.ms,
        .mono_ms = clock_mono_ms(sample->mono),
        .clock = clock_of(pipeline, sample),
        .boot = pipeline->boot,
    };
    segment_reset(part->segment, &start);
    part->check_at = 0;
    part->open = true;
    part->opened = sample->mono;
    part->unset = start.clock == CLOCK_STATE_UNSET;
}

/* Of a clock that was never set only the beginning of a segment is read: its true time comes later,
 * and the times between count from there on the monotonic clock, whatever the other one does. */
static int64_t time_of(const struct part *part, const struct sample *sample)
{
    if (!part->unset)
        return sample->wall.ms;
    return segment_base_ms(part->segment) + clock_mono_ms(sample->mono) -
           clock_mono_ms(part->opened);
}

static void watch_wall_clock(struct pipeline *pipeline, const struct sample *sample)
{
    int64_t offset_ms = wall_minus_mono_ms(sample);
    if (pipeline->stepped_once && is_step(pipeline->wall_minus_mono_ms, offset_ms))
        sync_all(pipeline, sample->mono, true);
    pipeline->stepped_once = true;
    pipeline->wall_minus_mono_ms = offset_ms;
}

/* The exact size costs a walk over all columns, so it is asked only when READING_MAX bytes a
 * reading could have made up the rest. */
static bool is_long(struct part *part)
{
    if (segment_readings(part->segment) < part->check_at)
        return false;
    size_t size = segment_size(part->segment);
    if (size >= SEGMENT_MAX)
        return true;
    part->check_at =
        segment_readings(part->segment) + (uint32_t)((SEGMENT_MAX - size) / READING_MAX);
    return false;
}

static void append(struct pipeline *pipeline, const struct sample *sample)
{
    const struct layout_place *place = &pipeline->layout->places[sample->block];
    struct part *part = &pipeline->parts[place->part];
    uint16_t points = pipeline->plan->blocks[sample->block].point_count;
    if (part->full)
        hand_over(pipeline, place->part, true);
    if (!part->open)
        open_part(pipeline, part, sample);
    if (part->full ||
        !segment_add(part->segment, place->block, time_of(part, sample), pipeline->values)) {
        lose(pipeline, sample);
        return;
    }
    if (!part->grown)
        part->first_unsynced = sample->mono;
    part->grown = true;
    atomic_fetch_add_explicit(&pipeline->readings, points, memory_order_relaxed);
    if (is_long(part))
        hand_over(pipeline, place->part, true);
}

static void take(struct pipeline *pipeline, const struct sample *sample)
{
    atomic_fetch_add_explicit(&pipeline->samples, 1, memory_order_relaxed);
    watch_wall_clock(pipeline, sample);
    latest_set(pipeline->latest, sample, pipeline->values);
    if (!filter_keep(&pipeline->filters[sample->block], sample, pipeline->values)) {
        atomic_fetch_add_explicit(&pipeline->skipped, 1, memory_order_relaxed);
        return;
    }
    if (!sample->count) {
        uint16_t points = pipeline->plan->blocks[sample->block].point_count;
        for (uint16_t i = 0; i < points; i++)
            pipeline->values[i] = (struct value){.steps = 0, .quality = sample->failure};
    }
    append(pipeline, sample);
}

/* A reading is on disk at most `sync` after it was sampled: the commit itself takes part of that.
 */
static mono_time next_sync(const struct pipeline *pipeline, mono_time now)
{
    int64_t sync_ms = pipeline->settings->store.sync_ms;
    int64_t margin_ms = sync_ms / 10 < 50 ? sync_ms / 10 : 50;
    mono_time next = clock_after_ms(now, 60000);
    for (uint32_t p = 0; p < pipeline->layout->part_count; p++) {
        const struct part *part = &pipeline->parts[p];
        mono_time due = closes_at(pipeline, part);
        mono_time sync = clock_after_ms(part->first_unsynced, sync_ms - margin_ms);
        if (part->grown && sync.ns < due.ns)
            due = sync;
        if (part->full)
            due = clock_after_ms(now, sync_ms);
        if (part->open && due.ns < next.ns)
            next = due;
    }
    return next;
}

static void *run(void *argument)
{
    struct pipeline *pipeline = argument;
    pthread_setname_np(pthread_self(), "pipeline");
    prctl(PR_SET_TIMERSLACK, 1);
    watchdog_join(WATCHDOG_LIMIT_MS, "pipeline");
    mono_time sync = next_sync(pipeline, clock_mono());
    struct sample sample;
    for (;;) {
        watchdog_beat();
        if (queue_pop(pipeline->queue, sync, &sample, pipeline->values)) {
            take(pipeline, &sample);
            if (sample.mono.ns < sync.ns)
                sync = next_sync(pipeline, sample.mono);
        } else if (atomic_load(&pipeline->stop)) {
            break;
        }
        mono_time now = clock_mono();
        if (now.ns >= sync.ns) {
            sync_all(pipeline, now, false);
            sync = next_sync(pipeline, now);
        }
    }
    sync_all(pipeline, clock_mono(), true);
    return NULL;
}

bool pipeline_start(struct pipeline *pipeline)
{
    pipeline->running = pthread_create(&pipeline->thread, NULL, run, pipeline) == 0;
    return pipeline->running;
}

void pipeline_stop(struct pipeline *pipeline)
{
    if (!pipeline->running)
        return;
    atomic_store(&pipeline->stop, true);
    queue_wake(pipeline->queue);
    pthread_join(pipeline->thread, NULL);
}
