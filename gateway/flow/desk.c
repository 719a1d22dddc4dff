/* Between the watch and everybody else: steps of alarms become events in the lane, wishes go to the
 * lines, acknowledgements and maintenance windows come in from people.
 *
 * The watch is called in the pipeline's thread only; orders wait under a mutex until its next turn.
 * Owns who asks which line. Never waits for the store, the network or a line. */
#include "gateway/flow/desk.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/clock_state.h"
#include "gateway/log.h"

enum { ORDERS = 32 };

struct desk {
    struct lane *lane;
    const struct view *view; /* whose devices the watch speaks of */
    struct lane_event event; /* scratch */
    pthread_mutex_t askers_mutex;
    struct desk_asker *askers; /* [number of a line] */
    size_t asker_count;
    pthread_mutex_t mutex; /* of what follows */
    bool repeat;           /* a line is new: it has not heard yet what is wanted of it */
    struct desk_order orders[ORDERS];
    size_t first, waiting;
};

struct desk *desk_new(struct lane *lane)
{
    struct desk *desk = calloc(1, sizeof *desk);
    if (!desk)
        return NULL;
    desk->lane = lane;
    pthread_mutex_init(&desk->mutex, NULL);
    pthread_mutex_init(&desk->askers_mutex, NULL);
    return desk;
}

void desk_free(struct desk *desk)
{
    if (!desk)
        return;
    pthread_mutex_destroy(&desk->mutex);
    pthread_mutex_destroy(&desk->askers_mutex);
    free(desk->askers);
    free(desk);
}

/* ---- any thread ---- */

static bool reserve_askers(struct desk *desk, size_t count)
{
    if (count <= desk->asker_count)
        return true;
    struct desk_asker *askers = realloc(desk->askers, count * sizeof *askers);
    if (!askers)
        return false;
    memset(askers + desk->asker_count, 0, (count - desk->asker_count) * sizeof *askers);
    desk->askers = askers;
    desk->asker_count = count;
    return true;
}

void desk_attach(struct desk *desk, uint16_t number, const struct desk_asker *asker)
{
    pthread_mutex_lock(&desk->askers_mutex);
    /* without memory the line is asked at its periods only */
    if (reserve_askers(desk, (size_t)number + 1))
        desk->askers[number] = asker ? *asker : (struct desk_asker){0};
    pthread_mutex_unlock(&desk->askers_mutex);
    pthread_mutex_lock(&desk->mutex);
    desk->repeat = true;
    pthread_mutex_unlock(&desk->mutex);
}

bool desk_order(struct desk *desk, const struct desk_order *order)
{
    pthread_mutex_lock(&desk->mutex);
    bool fits = desk->waiting < ORDERS;
    if (fits)
        desk->orders[(desk->first + desk->waiting++) % ORDERS] = *order;
    pthread_mutex_unlock(&desk->mutex);
    return fits;
}

/* ---- what the watch says ---- */

static void emit(void *context, const struct alarm_event *event)
{
    struct desk *desk = context;
    struct lane_event *out = &desk->event;
    *out = (struct lane_event){
        .kind = LANE_ALARM,
        .sector = event->sector,
        .step = event->step,
        .level = event->level,
        .previous_level = event->previous_level,
        .status = event->status,
        .at_ms = event->at_ms,
    };
    memcpy(out->id, event->id, sizeof out->id);
    out->length = alarm_pack(event, out->bytes, sizeof out->bytes);
    if (out->length && lane_put(desk->lane, out))
        return;
    log_error("alarm %s %s: it cannot be passed on", event->key, names_alarm_status(event->status));
}

static void boost(void *context, uint32_t device, bool on)
{
    struct desk *desk = context;
    const struct settings_device *own = &desk->view->settings->devices[device];
    struct view_device at = desk->view->devices[device];
    uint32_t every_ms = own->every_alarm_ms ? own->every_alarm_ms : 1;
    if (!own->has_every_alarm)
        on = false;
    pthread_mutex_lock(&desk->askers_mutex);
    if (at.line < desk->asker_count && desk->askers[at.line].boost)
        desk->askers[at.line].boost(desk->askers[at.line].context, at.place, on ? every_ms : 0);
    pthread_mutex_unlock(&desk->askers_mutex);
}

static void ask_again(void *context, uint32_t device)
{
    struct desk *desk = context;
    struct view_device at = desk->view->devices[device];
    pthread_mutex_lock(&desk->askers_mutex);
    if (at.line < desk->asker_count && desk->askers[at.line].ask_now)
        desk->askers[at.line].ask_now(desk->askers[at.line].context, at.place);
    pthread_mutex_unlock(&desk->askers_mutex);
}

static struct watch_clock now(const struct view *view)
{
    return (struct watch_clock){clock_mono(), clock_wall(),
                                clock_state_now(view->settings->gateway.trusted_rtc)};
}

static void start(struct desk *desk, const struct view *view, mono_time at)
{
    const struct watch_sink sink = {emit, boost, ask_again, desk};
    desk->view = view;
    watch_start(view->watch, &sink, at);
}

/* ---- over a restart and a reload ---- */

/* An alarm of before whose rule is no longer there. */
static void end(struct desk *desk, struct alarm_event *last, const struct watch_clock *clock)
{
    last->step++;
    last->status = ALARM_STATUS_CLEARED;
    last->previous_level = last->level;
    last->level = LEVEL_NONE;
    last->at_ms = last->cleared_ms = clock->wall.ms;
    last->clock = clock->state;
    last->text_zh = "规则已取消，报警结束";
    last->text_en = "the rule is no longer in force; the alarm ends";
    emit(desk, last);
}

static void restore(struct desk *desk, const struct view *view, const struct watch_clock *clock)
{
    struct lane_event *event = malloc(sizeof *event);
    uint64_t after = 0;
    while (event && lane_read(desk->lane, &after, event)) {
        struct alarm_event last;
        struct alarm_memory *memory = alarm_unpack(event->bytes, event->length, &last);
        if (memory && !watch_restore(view->watch, &last, clock->mono))
            end(desk, &last, clock);
        alarm_free(memory);
    }
    free(event);
}

void desk_begin(struct desk *desk, const struct view *view)
{
    const struct watch_clock clock = now(view);
    start(desk, view, clock.mono);
    restore(desk, view, &clock);
}

void desk_switch(struct desk *desk, const struct view *view, const struct view *before)
{
    const struct watch_clock clock = now(view);
    start(desk, view, clock.mono);
    watch_carry(view->watch, before->watch, &clock);
}

/* ---- the next turn ---- */

static bool take_repeat(struct desk *desk)
{
    pthread_mutex_lock(&desk->mutex);
    bool repeat = desk->repeat;
    desk->repeat = false;
    pthread_mutex_unlock(&desk->mutex);
    return repeat;
}

static bool take_order(struct desk *desk, struct desk_order *out)
{
    pthread_mutex_lock(&desk->mutex);
    bool any = desk->waiting > 0;
    if (any) {
        *out = desk->orders[desk->first];
        desk->first = (desk->first + 1) % ORDERS;
        desk->waiting--;
    }
    pthread_mutex_unlock(&desk->mutex);
    return any;
}

static void maintain(const struct view *view, const struct desk_order *order,
                     const struct watch_clock *clock)
{
    const struct settings *settings = view->settings;
    uint32_t device = 0;
    if (!order->device[0]) {
        watch_maintain(view->watch, UINT32_MAX, order->until, clock);
        return;
    }
    while (device < settings->device_count &&
           strcmp(settings->devices[device].name, order->device) != 0)
        device++;
    if (device < settings->device_count)
        watch_maintain(view->watch, device, order->until, clock);
}

void desk_serve(struct desk *desk, const struct view *view)
{
    struct desk_order order;
    if (take_repeat(desk))
        watch_repeat(view->watch);
    while (take_order(desk, &order)) {
        const struct watch_clock clock = now(view);
        if (order.kind == DESK_MAINTAIN)
            maintain(view, &order, &clock);
        else if (watch_ack(view->watch, order.id, order.actor, order.note, &clock) == WATCH_UNKNOWN)
            log_notice("alarm %s: it ended before it could be acknowledged", order.id);
    }
    if (clock_mono().ns >= watch_due(view->watch).ns) {
        const struct watch_clock clock = now(view);
        watch_tick(view->watch, &clock);
    }
}
