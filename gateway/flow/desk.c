/* Between the watch and everybody else: steps of alarms become events in the lane, wishes go to the
 * lines, acknowledgements and maintenance windows come in from people; rain events of catchments
 * become reports in the lane, and what must survive a restart goes to the store.
 *
 * The watch is called in the pipeline's thread only; orders wait under a mutex until its next turn.
 * Owns who asks which line. Never waits for the store, the network or a line. */
#include "gateway/flow/desk.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/clock_state.h"
#include "gateway/flow/life.h"
#include "gateway/flow/recall.h"
#include "gateway/log.h"
#include "proto/report.h"

enum { ORDERS = 32 };

_Static_assert((int)REPORT_MAX <= (int)ALARM_EVENT_MAX, "a report fits an event of the lane");

struct desk {
    struct lane *lane;
    struct recall *recall;
    uint32_t untold; /* steps, of the life before */
    struct reports *reports;
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

struct desk *desk_new(struct lane *lane, struct store *store)
{
    struct desk *desk = calloc(1, sizeof *desk);
    if (!desk)
        return NULL;
    desk->lane = lane;
    desk->reports = reports_new();
    desk->recall = desk->reports ? recall_new(store, desk->reports) : NULL;
    desk->untold = store_untold(store);
    if (!desk->recall) {
        reports_free(desk->reports);
        free(desk);
        return NULL;
    }
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
    recall_free(desk->recall);
    reports_free(desk->reports);
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

size_t desk_report(struct desk *desk, size_t index, uint8_t *out, size_t capacity)
{
    return reports_read(desk->reports, index, out, capacity);
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

/* ---- what a catchment says ---- */

static size_t pack_report(const struct desk *desk, enum sector sector, int64_t at_ms,
                          const struct runoff_event *event, uint8_t *out, size_t capacity)
{
    struct report_runoff report = {
        .gateway = desk->view->settings->gateway.id,
        .sector = sector,
        .at_ms = at_ms,
        .catchment = event->catchment,
        .id = event->id,
        .grade = (enum report_grade)event->grade,
        .from_ms = event->from_ms,
        .to_ms = event->to_ms,
        .rain_mm = event->rain_mm,
        .area_ha = event->area_ha,
        .rain_m3 = event->rain_m3,
        .outflow_m3 = event->outflow_m3,
        .base_flow_m3_s = event->base_flow_m3_s,
        .captured = event->captured,
        .uncertainty = event->uncertainty,
        .rain_coverage = event->rain_coverage,
        .flow_coverage = event->flow_coverage,
        .peak_m3_s = event->peak_m3_s,
        .peak_ms = event->peak_ms,
        .lag_ms = event->lag_ms,
        .partial = event->partial,
    };
    for (size_t i = 0; i < event->doubt_count; i++)
        report.doubts[report.doubt_count++] = event->doubts[i].text;
    return report_pack_runoff(&report, out, capacity);
}

static void report(void *context, enum sector sector, const struct runoff_event *event)
{
    struct desk *desk = context;
    struct lane_event *out = &desk->event;
    int64_t at_ms = clock_wall().ms;
    *out = (struct lane_event){.kind = LANE_REPORT, .sector = sector, .step = 1, .at_ms = at_ms};
    life_ulid(out->id, at_ms);
    out->length = pack_report(desk, sector, at_ms, event, out->bytes, sizeof out->bytes);
    if (out->length)
        recall_report(desk->recall, at_ms, out->bytes, out->length);
    if (out->length && lane_put(desk->lane, out))
        log_notice("catchment %s: rain event %s, %.1f mm, grade %s", event->catchment, event->id,
                   event->rain_mm, runoff_grade_name(event->grade));
    else
        log_error("catchment %s: the report of %s cannot be passed on", event->catchment,
                  event->id);
}

_Static_assert((int)RUNOFF_DOUBT_COUNT <= (int)REPORT_DOUBTS_MAX, "every doubt fits a report");

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
        last.step += desk->untold;
        if (memory && !watch_restore(view->watch, &last, clock))
            end(desk, &last, clock);
        alarm_free(memory);
    }
    free(event);
}

void desk_begin(struct desk *desk, const struct view *view)
{
    const struct watch_clock clock = now(view);
    start(desk, view, clock.mono);
    recall_begin(desk->recall, view, &clock);
    restore(desk, view, &clock);
}

void desk_switch(struct desk *desk, const struct view *view, const struct view *before)
{
    const struct watch_clock clock = now(view);
    start(desk, view, clock.mono);
    watch_carry(view->watch, before->watch, &clock);
    catchments_carry(view->catchments, before->catchments);
    recall_restart(desk->recall);
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

static void maintain(const struct desk *desk, const struct view *view,
                     const struct desk_order *order, const struct watch_clock *clock)
{
    const struct settings *settings = view->settings;
    bool all = !order->device[0];
    for (uint32_t d = 0; d < settings->device_count; d++) {
        const char *name = settings->devices[d].name;
        if (!all && strcmp(name, order->device) != 0)
            continue;
        recall_maintenance(desk->recall, name, order->until, clock);
        if (!all)
            watch_maintain(view->watch, d, order->until, clock);
    }
    if (all)
        watch_maintain(view->watch, UINT32_MAX, order->until, clock);
}

mono_time desk_due(const struct desk *desk, const struct view *view)
{
    return clock_earlier(recall_due(desk->recall),
                         clock_earlier(watch_due(view->watch), catchments_due(view->catchments)));
}

void desk_serve(struct desk *desk, const struct view *view)
{
    struct desk_order order;
    if (take_repeat(desk))
        watch_repeat(view->watch);
    while (take_order(desk, &order)) {
        const struct watch_clock clock = now(view);
        if (order.kind == DESK_MAINTAIN)
            maintain(desk, view, &order, &clock);
        else if (watch_ack(view->watch, order.id, order.actor, order.note, &clock) == WATCH_UNKNOWN)
            log_notice("alarm %s: it ended before it could be acknowledged", order.id);
    }
    if (clock_mono().ns < desk_due(desk, view).ns)
        return;
    const struct watch_clock clock = now(view);
    if (clock.mono.ns >= watch_due(view->watch).ns)
        watch_tick(view->watch, &clock);
    catchments_tick(view->catchments, clock.mono, clock.wall, report, desk);
    recall_step(desk->recall, view, &clock);
}

void desk_end(struct desk *desk, const struct view *view)
{
    desk_serve(desk, view); /* what people were told is done */
    const struct watch_clock clock = now(view);
    recall_end(desk->recall, view, &clock);
}
