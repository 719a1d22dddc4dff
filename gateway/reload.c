/* A reload, step by step: each tick of a timer looks whether the step before is done.
 *
 * Main thread; owns what is being built, and what is leaving until its thread has ended and nobody
 * holds its settings any more. All lines that change wait for the slowest of them: up to a second
 * for the poll under way, then it is interrupted, and one that hangs even so (a name that nobody
 * resolves) is left behind after a moment more and freed when it wakes. What may fail (memory, the
 * disk) comes before the first line is stopped, or is tried again, as is the start of a thread.
 * Never waits: signals and the API are served all the time. */
#include "gateway/reload.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "config/settings_diff.h"
#include "gateway/log.h"
#include "gateway/notify.h"
#include "gateway/rebuild.h"

enum {
    TICK_MS = 2,
    SLOW_TICK_MS = 200,
    HASTE_MS = 2000,       /* so long after it began */
    LINE_GRACE_MS = 1000,  /* for the poll under way, then it is interrupted */
    LINE_PATIENCE_MS = 300 /* after that; then it hangs */
};

enum phase {
    PHASE_IDLE,
    PHASE_STORE, /* it registers what is new */
    PHASE_BUILD, /* what needs its ids */
    PHASE_LINES, /* those that change or go are ending */
    PHASE_SWITCH /* the pipeline goes over */
};

/* A configuration that somebody may still look at. */
struct retired {
    struct retired *next;
    struct setup *setup;
};

struct reload {
    struct house *house;
    struct event *hangup, *tick;
    enum phase phase;
    bool again, rebind;
    bool lacking; /* threads that could not be started */
    mono_time begun, finishing;
    struct rebuild next;    /* what is being built */
    struct retired *retire; /* for the configuration that goes */

    struct leaving *leaving;
    struct retired *retired;
};

/* ---- the steps ---- */

static void tell_ready(const struct reload *reload)
{
    const struct settings *settings = reload->house->setup->settings;
    notify_send("READY=1\nSTATUS=%zu devices on %zu lines", settings->device_count,
                settings->line_count);
}

/* What was built and is not in use goes. */
static void end(struct reload *reload)
{
    rebuild_free(&reload->next, reload->house);
    free(reload->retire);
    reload->retire = NULL;
    reload->phase = PHASE_IDLE;
    malloc_trim(0); /* there were two configurations for a while */
    tell_ready(reload);
}

static void refuse(struct reload *reload, const char *why)
{
    log_error("reload refused: %s; nothing has changed", why);
    reload->house->reloads.refused++;
    end(reload);
}

static void finish(struct reload *reload)
{
    reload->house->reloads.done++;
    end(reload);
}

/* The clock that systemd looks at. */
static int64_t supervisor_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void begin(struct reload *reload)
{
    struct house *house = reload->house;
    char why[300];
    reload->again = false;
    reload->begun = clock_mono();
    notify_send("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(supervisor_us()));
    if (!rebuild_load(&reload->next, house, why, sizeof why)) {
        refuse(reload, why);
        return;
    }
    if (settings_diff_same(house->setup->settings, reload->next.setup->settings)) {
        log_notice("reload: nothing is different");
        finish(reload);
        return;
    }
    reload->retire = calloc(1, sizeof *reload->retire);
    if (!reload->retire || !rebuild_make(&reload->next, house, reload->leaving)) {
        refuse(reload, "out of memory, or too many uplinks are still ending");
        return;
    }
    store_reload(house->store, reload->next.setup->settings, reload->next.places);
    reload->phase = PHASE_STORE;
}

static void await_store(struct reload *reload)
{
    switch (store_reloaded(reload->house->store)) {
    case STORE_RELOAD_NONE:
    case STORE_RELOAD_PENDING:
        return;
    case STORE_RELOAD_FAILED:
        refuse(reload, "the store has no disk to write it down, reload again when it has one");
        return;
    case STORE_RELOAD_DONE:
        reload->phase = PHASE_BUILD;
    }
}

/* The store has the new ids: there is no way back, and without memory it is tried again. */
static void build(struct reload *reload)
{
    const struct house *house = reload->house;
    if (!rebuild_finish(&reload->next, house))
        return;
    for (size_t l = 0; l < house->setup->settings->line_count; l++) {
        if (rebuild_ends_line(&reload->next, house->lines[l]))
            line_finish(house->lines[l]);
    }
    reload->finishing = clock_mono();
    reload->phase = PHASE_LINES;
}

/* True when all lines that end have ended, or have had their time. */
static bool lines_ended(const struct reload *reload)
{
    const struct house *house = reload->house;
    mono_time now = clock_mono();
    int64_t waited_ms = clock_ms_between(reload->finishing, now);
    bool ended = true;
    for (size_t l = 0; l < house->setup->settings->line_count; l++) {
        struct line *line = house->lines[l];
        if (!rebuild_ends_line(&reload->next, line) || line_join(line, now))
            continue;
        if (waited_ms >= LINE_GRACE_MS)
            line_stop(line);
        ended = false;
    }
    return ended || waited_ms >= LINE_GRACE_MS + LINE_PATIENCE_MS;
}

static void await_lines(struct reload *reload)
{
    if (!lines_ended(reload))
        return;
    pipeline_switch(reload->house->pipeline, reload->next.view, reload->next.from);
    reload->next.view = NULL;
    reload->phase = PHASE_SWITCH;
}

/* ---- the swap ---- */

static struct leaving *leave(struct reload *reload)
{
    struct leaving *one = reload->next.spare;
    reload->next.spare = one->next;
    one->next = reload->leaving;
    reload->leaving = one;
    return one;
}

static bool is_awaited(const struct reload *reload, const struct uplink *successor)
{
    for (const struct leaving *one = reload->leaving; one; one = one->next) {
        if (one->successor == successor)
            return true;
    }
    return false;
}

static bool begin_line(const struct reload *reload, struct line *line)
{
    for (const struct leaving *one = reload->leaving; one; one = one->next) {
        if (one->line)
            line_inherit(line, one->line);
    }
    house_attach(reload->house, line);
    return line_start(line);
}

/* All that do not run and wait for nobody. What gets no thread is tried again with the next tick.
 */
static void start_threads(struct reload *reload)
{
    const struct house *house = reload->house;
    bool lacking = false;
    for (size_t l = 0; l < house->setup->settings->line_count; l++)
        lacking |= !line_is_running(house->lines[l]) && !begin_line(reload, house->lines[l]);
    for (size_t u = 0; u < house->setup->settings->uplink_count; u++)
        lacking |= !uplink_is_running(house->uplinks[u]) &&
                   !is_awaited(reload, house->uplinks[u]) && !uplink_start(house->uplinks[u]);
    if (lacking && !reload->lacking)
        log_error("reload: not all lines and uplinks get a thread; it is tried again");
    if (!lacking && reload->lacking)
        log_notice("reload: now all of them have one");
    reload->lacking = lacking;
}

/* Lines of before end or go on. */
static void move_lines(struct reload *reload, const struct settings *before, struct line **lines)
{
    struct house *house = reload->house;
    const struct settings *now = house->setup->settings;
    for (size_t l = 0; l < before->line_count; l++) {
        if (!rebuild_has_line(house->lines, now->line_count, lines[l]))
            leave(reload)->line = lines[l];
    }
    for (uint32_t l = 0; l < now->line_count; l++) {
        if (rebuild_has_line(lines, before->line_count, house->lines[l]))
            line_rebind(house->lines[l], now, house->setup->plan, l);
    }
}

static void move_uplinks(struct reload *reload, const struct settings *before,
                         struct uplink **uplinks)
{
    struct house *house = reload->house;
    const struct settings *now = house->setup->settings;
    for (size_t u = 0; u < before->uplink_count; u++) {
        if (rebuild_has_uplink(house->uplinks, now->uplink_count, uplinks[u]))
            continue;
        struct leaving *one = leave(reload);
        one->uplink = uplinks[u];
        uplink_stop(uplinks[u]);
        for (size_t i = 0; i < now->uplink_count; i++) {
            if (uplink_place(house->uplinks[i]) == uplink_place(uplinks[u]))
                one->successor = house->uplinks[i];
        }
    }
    reload->rebind = true;
}

/* Nothing in here can fail but a thread's start. */
static void swap(struct reload *reload)
{
    struct house *house = reload->house;
    struct rebuild *next = &reload->next;
    struct setup *before = house->setup;
    struct latest *latest = house->latest;
    struct line **lines = house->lines;
    struct uplink **uplinks = house->uplinks;
    pthread_mutex_lock(&house->mutex);
    house->setup = next->setup;
    house->latest = next->latest;
    house->lines = next->lines;
    house->uplinks = next->uplinks;
    pthread_mutex_unlock(&house->mutex);
    next->setup = NULL;
    next->latest = NULL;
    next->lines = NULL;
    next->uplinks = NULL;
    const struct api_rooms rooms = house_rooms(house);
    api_rebind(house->api, &rooms, reload->next.from);
    move_lines(reload, before->settings, lines);
    move_uplinks(reload, before->settings, uplinks);
    start_threads(reload);
    reload->retire->setup = before;
    reload->retire->next = reload->retired;
    reload->retired = reload->retire;
    reload->retire = NULL;
    latest_free(latest);
    free(lines);
    free(uplinks);
}

static size_t count_leaving(const struct reload *reload, bool lines)
{
    size_t count = 0;
    for (const struct leaving *one = reload->leaving; one; one = one->next)
        count += lines ? one->line != NULL : one->uplink != NULL;
    return count;
}

static void await_switch(struct reload *reload)
{
    struct house *house = reload->house;
    struct view *old = pipeline_switched(house->pipeline);
    if (!old)
        return;
    view_free(old);
    swap(reload);
    log_notice("reload: done in %lld ms, %zu devices on %zu lines; %zu lines and %zu uplinks of "
               "before ended",
               (long long)clock_ms_between(reload->begun, clock_mono()),
               house->setup->settings->device_count, house->setup->settings->line_count,
               count_leaving(reload, true), count_leaving(reload, false));
    finish(reload);
}

/* ---- what is leaving ---- */

/* True when its thread has ended and it is freed. */
static bool is_gone(struct reload *reload, struct leaving *one)
{
    mono_time now = clock_mono();
    if (one->line) {
        if (!line_join(one->line, now))
            return false;
        house_release(reload->house, one->line);
        line_free(one->line);
        return true;
    }
    if (!uplink_join(one->uplink, now) ||
        !store_detach(reload->house->store, uplink_place(one->uplink)))
        return false;
    uplink_free(one->uplink);
    return true;
}

static void rebind_uplinks(struct reload *reload)
{
    const struct house *house = reload->house;
    const struct settings *now = house->setup->settings;
    reload->rebind = false;
    for (size_t u = 0; u < now->uplink_count; u++)
        reload->rebind |= !uplink_rebind(house->uplinks[u], now, u);
}

static bool all_bound(const struct reload *reload)
{
    const struct house *house = reload->house;
    bool bound = !reload->rebind;
    for (size_t l = 0; bound && l < house->setup->settings->line_count; l++)
        bound = line_is_bound(house->lines[l]);
    for (size_t u = 0; bound && u < house->setup->settings->uplink_count; u++)
        bound = uplink_is_bound(house->uplinks[u]);
    return bound;
}

static void free_retired(struct reload *reload)
{
    while (reload->retired) {
        struct retired *one = reload->retired;
        reload->retired = one->next;
        setup_free(one->setup);
        free(one->setup);
        free(one);
    }
}

static void tidy(struct reload *reload)
{
    struct leaving **at = &reload->leaving;
    bool awaited = reload->lacking;
    if (reload->rebind)
        rebind_uplinks(reload);
    while (*at) {
        struct leaving *one = *at;
        if (!is_gone(reload, one)) {
            at = &one->next;
            continue;
        }
        *at = one->next;
        awaited |= one->successor != NULL;
        free(one);
    }
    if (awaited)
        start_threads(reload);
    if (reload->retired && !reload->leaving && all_bound(reload)) {
        free_retired(reload);
        malloc_trim(0);
    }
}

/* An uplink that is to begin cannot end: the next reload waits for it. */
static bool may_begin(const struct reload *reload)
{
    for (const struct leaving *one = reload->leaving; one; one = one->next) {
        if (one->successor)
            return false;
    }
    return reload->phase == PHASE_IDLE;
}

static void plan_tick(struct reload *reload)
{
    bool hasty = clock_ms_between(reload->begun, clock_mono()) < HASTE_MS;
    const struct timeval soon = {.tv_usec = (hasty ? TICK_MS : SLOW_TICK_MS) * 1000};
    if (reload->phase != PHASE_IDLE || reload->again || reload->leaving || reload->retired ||
        reload->lacking)
        event_add(reload->tick, &soon);
}

static void on_tick(evutil_socket_t none, short events, void *context)
{
    struct reload *reload = context;
    (void)none;
    (void)events;
    switch (reload->phase) {
    case PHASE_IDLE:
        break;
    case PHASE_STORE:
        await_store(reload);
        break;
    case PHASE_BUILD:
        build(reload);
        break;
    case PHASE_LINES:
        await_lines(reload);
        break;
    case PHASE_SWITCH:
        await_switch(reload);
        break;
    }
    if (reload->phase == PHASE_IDLE)
        tidy(reload);
    if (reload->again && may_begin(reload))
        begin(reload);
    plan_tick(reload);
}

static void on_hangup(evutil_socket_t number, short events, void *context)
{
    struct reload *reload = context;
    (void)number;
    (void)events;
    reload->again = true;
    if (may_begin(reload))
        begin(reload);
    plan_tick(reload);
}

/* ---- its own life ---- */

struct reload *reload_new(struct house *house)
{
    struct reload *reload = calloc(1, sizeof *reload);
    if (!reload)
        return NULL;
    reload->house = house;
    reload->tick = evtimer_new(house->base, on_tick, reload);
    reload->hangup = evsignal_new(house->base, SIGHUP, on_hangup, reload);
    if (reload->tick && reload->hangup && event_add(reload->hangup, NULL) == 0)
        return reload;
    reload_free(reload);
    return NULL;
}

void reload_stop(struct reload *reload)
{
    if (!reload)
        return;
    event_del(reload->tick);
    event_del(reload->hangup);
}

bool reload_join(struct reload *reload, mono_time deadline)
{
    bool all = true;
    for (struct leaving *one = reload ? reload->leaving : NULL; one; one = one->next)
        all &= one->line ? line_join(one->line, deadline) : uplink_join(one->uplink, deadline);
    return all;
}

void reload_free(struct reload *reload)
{
    if (!reload)
        return;
    rebuild_free(&reload->next, reload->house);
    free(reload->retire);
    while (reload->leaving) {
        struct leaving *one = reload->leaving;
        reload->leaving = one->next;
        line_free(one->line);
        uplink_free(one->uplink);
        free(one);
    }
    free_retired(reload);
    if (reload->tick)
        event_free(reload->tick);
    if (reload->hangup)
        event_free(reload->hangup);
    free(reload);
}
