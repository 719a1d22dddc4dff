/* lifelined: the order in which the rooms start and, mirrored, in which they stop.
 *
 *     start: store, uplinks, pipeline, lines, api    stop: api, lines, pipeline, store, uplinks
 *
 * The main thread reads the command line, builds every room, and then only serves signals and the
 * API. A room that hangs at the end (a connect, a dead disk) is left behind: the process ends
 * anyway. Never polls, never judges, never writes data. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "config/arena.h"
#include "gateway/arguments.h"
#include "gateway/house.h"
#include "gateway/log.h"
#include "gateway/notify.h"
#include "gateway/reload.h"
#include "gateway/uplink/secret.h"
#include "gateway/watchdog.h"

enum { LEAVE_BEHIND_MS = 300, DISK_PATIENCE_MS = 5000 };

/* What the main thread listens to. */
struct ears {
    struct event *terminate, *interrupt, *watch;
    struct reload *reload;
};

static void on_signal(evutil_socket_t signal_number, short events, void *context)
{
    struct house *house = context;
    (void)signal_number;
    (void)events;
    event_base_loopbreak(house->base);
}

static void on_watch(evutil_socket_t none, short events, void *context)
{
    (void)none;
    (void)events;
    (void)context;
    watchdog_look();
}

static bool build(struct house *house, char *why, size_t why_size)
{
    const struct settings *settings = house->setup->settings;
    const struct plan *plan = house->setup->plan;
    house->store = store_open(settings, why, why_size);
    if (!house->store)
        return false;
    snprintf(why, why_size, "out of memory");
    house->lane = lane_new();
    if (!house->lane || !store_use_lane(house->store, house->lane))
        return false;
    house->lines = calloc(settings->line_count + 1, sizeof(struct line *));
    house->uplinks = calloc(settings->uplink_count + 1, sizeof(struct uplink *));
    house->latest = latest_new(plan);
    if (!house->lines || !house->uplinks || !house->latest)
        return false;
    struct view *view = view_new(settings, plan, store_ids(house->store), house->latest, NULL);
    house->pipeline = view ? pipeline_new(house->store, house->lane, view) : NULL;
    if (!house->pipeline) {
        view_free(view);
        return false;
    }
    for (uint16_t l = 0; l < settings->line_count; l++) {
        if (!(house->lines[l] = line_new(settings, plan, l, l, house->pipeline)))
            return false;
    }
    const struct uplink_rooms rooms = house_uplink_rooms(house);
    for (size_t u = 0; u < settings->uplink_count; u++) {
        house->uplinks[u] = uplink_new(settings, u, u, &rooms);
        if (!house->uplinks[u])
            return false;
    }
    return true;
}

static bool start(struct house *house, char *why, size_t why_size)
{
    const struct settings *settings = house->setup->settings;
    bool ok = store_start(house->store);
    for (size_t u = 0; ok && u < settings->uplink_count; u++)
        ok = uplink_start(house->uplinks[u]);
    ok = ok && pipeline_start(house->pipeline);
    for (size_t l = 0; ok && l < settings->line_count; l++) {
        ok = line_start(house->lines[l]);
        house_attach(house, house->lines[l]);
    }
    if (!ok)
        snprintf(why, why_size, "cannot start a thread");
    return ok;
}

static bool serve(struct house *house, struct ears *ears, char *why, size_t why_size)
{
    const struct api_rooms rooms = house_rooms(house);
    house->base = event_base_new();
    if (!house->base)
        return false;
    ears->terminate = evsignal_new(house->base, SIGTERM, on_signal, house);
    ears->interrupt = evsignal_new(house->base, SIGINT, on_signal, house);
    ears->watch = event_new(house->base, -1, EV_PERSIST, on_watch, NULL);
    house->api = api_new(house->base, &rooms, why, why_size);
    if (!house->api)
        return false;
    snprintf(why, why_size, "out of memory");
    ears->reload = reload_new(house);
    if (!ears->terminate || !ears->interrupt || !ears->watch || !ears->reload)
        return false;
    const long watch_ms = (long)watchdog_period_ms();
    const struct timeval period = {watch_ms / 1000, watch_ms % 1000 * 1000};
    if (event_add(ears->terminate, NULL) != 0 || event_add(ears->interrupt, NULL) != 0 ||
        event_add(ears->watch, &period) != 0)
        return false; /* a daemon that cannot be told to end must not run */
    log_notice("lifelined " LIFELINE_VERSION ": %zu devices on %zu lines",
               house->setup->settings->device_count, house->setup->settings->line_count);
    notify_send("READY=1\nSTATUS=%zu devices on %zu lines", house->setup->settings->device_count,
                house->setup->settings->line_count);
    event_base_dispatch(house->base);
    notify_send("STOPPING=1");
    reload_stop(ears->reload);
    return true;
}

/* True when every thread has ended: only then may what they use be freed. */
static bool stop(struct house *house, struct reload *reload)
{
    const struct settings *settings = house->setup->settings;
    bool all = true;
    mono_time deadline = clock_after_ms(clock_mono(), LEAVE_BEHIND_MS);
    api_free(house->api);
    for (size_t l = 0; l < settings->line_count; l++)
        line_stop(house->lines[l]);
    for (size_t l = 0; l < settings->line_count; l++)
        all &= line_join(house->lines[l], deadline);
    all &= reload_join(reload, deadline);
    pipeline_stop(house->pipeline);
    all &= store_stop(house->store, clock_after_ms(clock_mono(), DISK_PATIENCE_MS));
    deadline = clock_after_ms(clock_mono(), LEAVE_BEHIND_MS);
    for (size_t u = 0; u < settings->uplink_count; u++)
        uplink_stop(house->uplinks[u]);
    for (size_t u = 0; u < settings->uplink_count; u++)
        all &= uplink_join(house->uplinks[u], deadline);
    return all;
}

static void take_down(struct house *house, struct ears *ears)
{
    const struct settings *settings = house->setup->settings;
    struct event *const events[] = {ears->terminate, ears->interrupt, ears->watch};
    for (size_t u = 0; house->uplinks && u < settings->uplink_count; u++)
        uplink_free(house->uplinks[u]);
    for (size_t l = 0; house->lines && l < settings->line_count; l++)
        line_free(house->lines[l]);
    pipeline_free(house->pipeline);
    store_free(house->store);
    lane_free(house->lane);
    reload_free(ears->reload);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        if (events[i])
            event_free(events[i]);
    }
    if (house->base)
        event_base_free(house->base);
    latest_free(house->latest);
    free(house->uplinks);
    free(house->lines);
    setup_free(house->setup);
    free(house->setup);
    pthread_mutex_destroy(&house->mutex);
}

/* While a configuration is loaded; some of the libraries only return without a word then. */
static void no_memory(void)
{
    log_error("out of memory");
    _exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    struct ears ears = {0};
    char why[512] = "";
    int code = arguments_parse(&arguments, argc, argv);
    if (code >= 0)
        return code;
    struct house house = {.started = clock_mono(),
                          .config = arguments.config,
                          .profiles = &arguments.profiles,
                          .mutex = PTHREAD_MUTEX_INITIALIZER,
                          .setup = calloc(1, sizeof *house.setup)};
    if (!house.setup)
        return EXIT_FAILURE;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* until there is something to reload */
    arena_exhausted(no_memory);
    /* a heap for each of a hundred line threads would be most of the memory */
    mallopt(M_ARENA_MAX, 2);
    bool fine = setup_load(house.setup, arguments.config, &arguments.profiles, arguments.check);
    const char *text = house.setup->diagnostics ? diagnostics_text(house.setup->diagnostics) : "";
    fputs(text, stderr);
    if (!fine && !text[0])
        no_memory();
    if (fine && !secret_guarded(house.setup->settings, why, sizeof why)) {
        log_error("%s", why);
        fine = false;
    }
    if (arguments.check || !fine) {
        setup_free(house.setup);
        free(house.setup);
        return fine ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    notify_open();
    bool built = build(&house, why, sizeof why);
    malloc_trim(0); /* what loading the configuration took */
    bool started = built && start(&house, why, sizeof why);
    bool served = started && serve(&house, &ears, why, sizeof why);
    if (!served)
        log_error("%s", why);
    if (built && !stop(&house, ears.reload)) {
        log_warning("a thread hangs; it is left behind");
        _exit(served ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    take_down(&house, &ears);
    notify_close();
    return served ? EXIT_SUCCESS : EXIT_FAILURE;
}
