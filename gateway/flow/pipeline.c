/* The pipeline thread: one sample after the other past the watch and the catchments, into `latest`,
 * through the filter, into the open segment of its sector; and at every `sync` the grown segments
 * to the store. Owns the view: watch, filters, open segments and tables, allocated at start or by a
 * reload. Never touches the database or the network, never waits for either: a store whose mailbox
 * is full is told again at the next sync, and what a full segment cannot take becomes a Gap. */
#include "gateway/flow/pipeline.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "gateway/boot.h"
#include "gateway/clock_state.h"
#include "gateway/log.h"
#include "gateway/thread.h"
#include "gateway/watchdog.h"

enum {
    READING_MAX = 16,       /* bytes that a reading can take, its share of dt_ms included */
    SEGMENT_MAX = 32 << 10, /* a segment is closed when it is this long */
    CLOCK_STEP_MS = 1000,   /* a wall step above this closes the segments */
    FIRST_SEGMENT_MS = 500,
    ALARM_SEGMENT_MS = 5000, /* while an alarm of the sector is up */
    QUEUE_SECONDS = 30,
    QUEUE_MIN = 64 << 10,
    QUEUE_MAX = 64 << 20,
    PRESSED = 256 << 10, /* bytes in the queue */
};

struct pipeline {
    struct store *store;
    struct queue *queue;
    struct view *view;
    struct desk *desk;
    int64_t wall_minus_mono_ms;
    bool stepped_once;          /* wall_minus_mono_ms is known */
    enum clock_state clock;     /* of the newest segment */
    enum clock_state clock_now; /* at the newest sync, for alarms */
    uint32_t boot;
    pthread_t thread;
    bool running;
    atomic_bool stop;

    uint64_t taken;        /* samples out of the queue */
    pthread_mutex_t mutex; /* of what follows */
    struct view *next;     /* to go over to */
    const uint32_t *from;  /* for view_carry() */
    uint64_t next_after;   /* samples that belong to the old one */
    mono_time go_over_at;
    struct view *old; /* to be collected */

    atomic_uint_fast64_t samples, readings, skipped, overload;
};

/* ---- construction ---- */

static size_t queue_size(const struct view *view)
{
    size_t bytes = view_queue_bytes(view, QUEUE_SECONDS);
    return bytes < QUEUE_MIN ? QUEUE_MIN : bytes > QUEUE_MAX ? QUEUE_MAX : bytes;
}

struct pipeline *pipeline_new(struct store *store, struct lane *lane, struct view *view)
{
    struct pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (!pipeline)
        return NULL;
    pipeline->store = store;
    pipeline->boot = boot_id();
    pipeline->clock = clock_state_now(view->settings->gateway.trusted_rtc);
    pipeline->clock_now = pipeline->clock;
    pipeline->queue = queue_new(queue_size(view));
    pipeline->desk = desk_new(lane, store);
    pthread_mutex_init(&pipeline->mutex, NULL);
    if (pipeline->queue && pipeline->desk) {
        pipeline->view = view;
        return pipeline;
    }
    pipeline_free(pipeline);
    return NULL;
}

void pipeline_free(struct pipeline *pipeline)
{
    if (!pipeline)
        return;
    view_free(pipeline->view);
    view_free(pipeline->next);
    view_free(pipeline->old);
    queue_free(pipeline->queue);
    desk_free(pipeline->desk);
    pthread_mutex_destroy(&pipeline->mutex);
    free(pipeline);
}

/* ---- any thread ---- */

static void lose(struct pipeline *pipeline, const struct sample *sample)
{
    atomic_fetch_add(&pipeline->overload, sample->points);
    store_lost(pipeline->store, (enum sector)sample->sector, GAP_REASON_OVERLOAD, sample->wall.ms,
               sample->wall.ms, sample->points);
}

void pipeline_submit(struct pipeline *pipeline, const struct sample *sample,
                     const struct value *values)
{
    if (!queue_push(pipeline->queue, sample, values))
        lose(pipeline, sample);
}

void pipeline_attach(struct pipeline *pipeline, uint16_t number, const struct desk_asker *asker)
{
    desk_attach(pipeline->desk, number, asker);
    queue_wake(pipeline->queue);
}

bool pipeline_order(struct pipeline *pipeline, const struct desk_order *order)
{
    bool taken = desk_order(pipeline->desk, order);
    queue_wake(pipeline->queue);
    return taken;
}

size_t pipeline_report(struct pipeline *pipeline, size_t index, uint8_t *out, size_t capacity)
{
    return desk_report(pipeline->desk, index, out, capacity);
}

/* The mutex keeps the view from being freed. */
bool pipeline_catchment(struct pipeline *pipeline, size_t number, struct pipeline_catchment *out)
{
    const char *name;
    pthread_mutex_lock(&pipeline->mutex);
    bool is = catchments_look(pipeline->view->catchments, number, &name, &out->now);
    if (is)
        snprintf(out->name, sizeof out->name, "%s", name);
    pthread_mutex_unlock(&pipeline->mutex);
    return is;
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
    struct part *part = &pipeline->view->parts[p];
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
    int64_t segment_ms = pipeline->view->settings->store.segment_ms;
    if (segment_ms > ALARM_SEGMENT_MS && watch_up(pipeline->view->watch, part->sector))
        segment_ms = ALARM_SEGMENT_MS;
    return clock_after_ms(part->opened, part->seasoned ? segment_ms : FIRST_SEGMENT_MS);
}

static bool expired(const struct pipeline *pipeline, const struct part *part, mono_time now)
{
    return part->open && closes_at(pipeline, part).ns <= now.ns;
}

static void sync_all(struct pipeline *pipeline, mono_time now, bool close)
{
    pipeline->clock_now = clock_state_now(pipeline->view->settings->gateway.trusted_rtc);
    for (uint32_t p = 0; p < pipeline->view->layout->part_count; p++) {
        struct part *part = &pipeline->view->parts[p];
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
 * the clock was set must not borrow its new good name. The state is asked first: a clock that is
 * set between the two answers shows in the second. */
static enum clock_state clock_of(struct pipeline *pipeline, const struct sample *sample)
{
    enum clock_state now = clock_state_now(pipeline->view->settings->gateway.trusted_rtc);
    if (!is_step(clock_state_wall_minus_mono_ms(), wall_minus_mono_ms(sample)))
        pipeline->clock = now;
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

static void append(struct pipeline *pipeline, uint32_t block, const struct sample *sample)
{
    const struct layout_place *place = &pipeline->view->layout->places[block];
    struct part *part = &pipeline->view->parts[place->part];
    if (part->full)
        hand_over(pipeline, place->part, true);
    if (!part->open)
        open_part(pipeline, part, sample);
    if (part->full ||
        !segment_add(part->segment, place->block, time_of(part, sample), pipeline->view->values)) {
        lose(pipeline, sample);
        return;
    }
    if (!part->grown)
        part->first_unsynced = sample->mono;
    part->grown = true;
    atomic_fetch_add_explicit(&pipeline->readings, sample->points, memory_order_relaxed);
    if (is_long(part))
        hand_over(pipeline, place->part, true);
}

static void take(struct pipeline *pipeline, const struct sample *sample)
{
    struct view *view = pipeline->view;
    uint32_t block;
    atomic_fetch_add_explicit(&pipeline->samples, 1, memory_order_relaxed);
    watch_wall_clock(pipeline, sample);
    if (!view_block(view, sample, &block)) {
        lose(pipeline, sample); /* of a line that hung when it was left behind */
        return;
    }
    watch_sample(view->watch, block, sample, view->values, pipeline->clock_now);
    catchments_sample(view->catchments, block, sample, view->values);
    latest_set(view->latest, block, sample, view->values);
    if (!filter_keep(&view->filters[block], sample, view->values)) {
        atomic_fetch_add_explicit(&pipeline->skipped, 1, memory_order_relaxed);
        return;
    }
    for (uint16_t i = 0; !sample->count && i < sample->points; i++)
        view->values[i] = (struct value){.steps = 0, .quality = sample->failure};
    append(pipeline, block, sample);
}

/* A reading is on disk at most `sync` after it was sampled: the commit itself takes part of that.
 */
static mono_time next_sync(struct pipeline *pipeline, mono_time now)
{
    int64_t sync_ms = pipeline->view->settings->store.sync_ms;
    int64_t margin_ms = sync_ms / 10 < 50 ? sync_ms / 10 : 50;
    mono_time next = clock_after_ms(now, 60000);
    pthread_mutex_lock(&pipeline->mutex);
    if (pipeline->next && pipeline->taken >= pipeline->next_after)
        next = pipeline->go_over_at;
    pthread_mutex_unlock(&pipeline->mutex);
    for (uint32_t p = 0; p < pipeline->view->layout->part_count; p++) {
        const struct part *part = &pipeline->view->parts[p];
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

/* ---- another view ---- */

void pipeline_switch(struct pipeline *pipeline, struct view *view, const uint32_t *from)
{
    pthread_mutex_lock(&pipeline->mutex);
    pipeline->next = view;
    pipeline->from = from;
    pipeline->next_after = queue_pushed(pipeline->queue);
    pipeline->go_over_at = (mono_time){0};
    pthread_mutex_unlock(&pipeline->mutex);
    queue_wake(pipeline->queue);
}

struct view *pipeline_switched(struct pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->mutex);
    struct view *old = pipeline->old;
    pipeline->old = NULL;
    pthread_mutex_unlock(&pipeline->mutex);
    return old;
}

/* A line that goes on has its number in both views: samples of it that come meanwhile fit either.
 */
static bool is_due(struct pipeline *pipeline, mono_time now)
{
    pthread_mutex_lock(&pipeline->mutex);
    bool due = pipeline->next && pipeline->taken >= pipeline->next_after &&
               now.ns >= pipeline->go_over_at.ns;
    pthread_mutex_unlock(&pipeline->mutex);
    return due;
}

static bool all_closed(const struct view *view)
{
    for (uint32_t p = 0; p < view->layout->part_count; p++) {
        if (view->parts[p].open)
            return false;
    }
    return true;
}

/* Where the store takes no segment the old view stays in use; tried again at the next sync. */
static void go_over(struct pipeline *pipeline)
{
    sync_all(pipeline, clock_mono(), true);
    pipeline->go_over_at = clock_after_ms(clock_mono(), pipeline->view->settings->store.sync_ms);
    if (!all_closed(pipeline->view))
        return;
    pthread_mutex_lock(&pipeline->mutex);
    struct view *old = pipeline->view;
    view_carry(pipeline->next, old, pipeline->from);
    pipeline->view = pipeline->next;
    pipeline->next = NULL;
    pthread_mutex_unlock(&pipeline->mutex);
    desk_switch(pipeline->desk, pipeline->view, old);
    pthread_mutex_lock(&pipeline->mutex);
    pipeline->old = old;
    pthread_mutex_unlock(&pipeline->mutex);
    if (!queue_resize(pipeline->queue, queue_size(pipeline->view)))
        log_warning("pipeline: no memory for a longer queue");
}

static void *run(void *argument)
{
    struct pipeline *pipeline = argument;
    pthread_setname_np(pthread_self(), "pipeline");
    prctl(PR_SET_TIMERSLACK, 1);
    watchdog_join(WATCHDOG_LIMIT_MS, "pipeline");
    desk_begin(pipeline->desk, pipeline->view);
    mono_time sync = next_sync(pipeline, clock_mono());
    struct sample sample;
    for (;;) {
        watchdog_beat();
        mono_time due = desk_due(pipeline->desk, pipeline->view);
        if (queue_pop(pipeline->queue, due.ns < sync.ns ? due : sync, &sample,
                      pipeline->view->values)) {
            pipeline->taken++;
            take(pipeline, &sample);
            if (sample.mono.ns < sync.ns)
                sync = next_sync(pipeline, sample.mono);
        } else if (atomic_load(&pipeline->stop)) {
            break;
        }
        desk_serve(pipeline->desk, pipeline->view);
        mono_time now = clock_mono();
        bool switching = is_due(pipeline, now);
        if (switching)
            go_over(pipeline);
        if (now.ns >= sync.ns)
            sync_all(pipeline, now, false);
        if (switching || now.ns >= sync.ns)
            sync = next_sync(pipeline, now);
    }
    desk_end(pipeline->desk, pipeline->view);
    sync_all(pipeline, clock_mono(), true);
    return NULL;
}

bool pipeline_start(struct pipeline *pipeline)
{
    pipeline->running = thread_start(&pipeline->thread, 0, run, pipeline);
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
