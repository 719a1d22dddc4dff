/* lifeline-sim: the sensors of a gateway configuration, for tests and demonstrations.
 *
 *     lifeline-sim -c gateway.yaml --journal sim.jsonl --script faults.yaml
 *
 * One thread, one epoll loop: settings, then all lines, then `ready`. SIGHUP re-reads the script,
 * SIGTERM and SIGINT end it and take its symlinks away. Owns everything; the only file of drivers/
 * that prints. Never waits for one line while another has something due. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "drivers/clock.h"
#include "drivers/sim/sim_arguments.h"
#include "drivers/sim/sim_find.h"
#include "drivers/sim/sim_script.h"

#define EXIT_USAGE    2
#define EVENTS_A_TURN 64

struct sim {
    struct sim_arguments options;
    struct setup setup;
    struct sim_stage stage;
    struct sim_scenario *scenario;
    struct sim_line **lines;
    int epoll_fd, signal_fd;
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Returns -1 to go on, otherwise the exit code. */
static int read_arguments(struct sim_arguments *arguments, int argc, char **argv)
{
    char why[200], text[USAGE_TEXT_MAX];
    enum sim_arguments_result result = sim_arguments_parse(arguments, argc, argv, why, sizeof why);
    if (result == SIM_ARGUMENTS_RUN) {
        return -1;
    }
    if (result == SIM_ARGUMENTS_VERSION) {
        puts("lifeline-sim " LIFELINE_VERSION);
        return EXIT_SUCCESS;
    }
    if (why[0] != '\0') {
        fprintf(stderr, "lifeline-sim: %s\n", why);
        return EXIT_USAGE;
    }
    usage_text(&sim_arguments_usage, text);
    fputs(text, result == SIM_ARGUMENTS_HELP ? stdout : stderr);
    return result == SIM_ARGUMENTS_HELP ? EXIT_SUCCESS : EXIT_USAGE;
}

static bool load_setup(struct sim *sim)
{
    bool good = setup_load(&sim->setup, sim->options.config, &sim->options.profiles, false);
    fputs(diagnostics_text(sim->setup.diagnostics), stderr);
    return good;
}

static bool load_script(struct sim *sim)
{
    if (sim->options.script == NULL) {
        return true;
    }
    struct diagnostics *diagnostics = diagnostics_new();
    bool good =
        sim_script_load(sim->options.script, sim->setup.settings, &sim->stage.faults, diagnostics);
    fputs(diagnostics_text(diagnostics), stderr);
    diagnostics_free(diagnostics);
    sim->stage.faults_start_ns = good ? now_ns() : sim->stage.faults_start_ns;
    return good;
}

static bool load_scenario(struct sim *sim)
{
    char text[5000];
    const struct sim_arguments *options = &sim->options;
    if (options->scenario == NULL) {
        return true;
    }
    if (!sim_find_scenario(options->scenario, options->config, &options->profiles, text,
                           sizeof text)) {
        fprintf(stderr, "lifeline-sim: %s\n", text);
        return false;
    }
    struct diagnostics *diagnostics = diagnostics_new();
    sim->scenario = sim_scenario_load(text, sim->setup.settings, diagnostics);
    fputs(diagnostics_text(diagnostics), stderr);
    diagnostics_free(diagnostics);
    if (sim->scenario != NULL) {
        sim_scenario_describe(sim->scenario, text, sizeof text);
        printf("scenario %s\n", text);
    }
    sim->stage.scenario = sim->scenario;
    sim->stage.speed = options->speed;
    return sim->scenario != NULL;
}

static bool open_journal(struct sim *sim)
{
    const char *path = sim->options.journal;
    if (path == NULL) {
        return true;
    }
    sim->stage.journal = sim_journal_open(path);
    if (sim->stage.journal == NULL) {
        fprintf(stderr, "lifeline-sim: %s: %s\n", path, strerror(errno));
    }
    return sim->stage.journal != NULL;
}

static bool open_signals(struct sim *sim)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    sim->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    sim->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (sim->epoll_fd < 0 || sim->signal_fd < 0 ||
        epoll_ctl(sim->epoll_fd, EPOLL_CTL_ADD, sim->signal_fd, &event) != 0) {
        fprintf(stderr, "lifeline-sim: %s\n", strerror(errno));
        return false;
    }
    return true;
}

static bool open_lines(struct sim *sim)
{
    char text[4500];
    sim->lines = calloc(sim->setup.settings->line_count + 1, sizeof(struct sim_line *));
    for (size_t i = 0; sim->lines != NULL && i < sim->setup.settings->line_count; i++) {
        sim->lines[i] = sim_line_new(sim->setup.settings, (uint32_t)i, &sim->stage,
                                     &sim->options.line, sim->epoll_fd);
        if (sim->lines[i] == NULL) {
            break;
        }
        if (!sim_line_open(sim->lines[i], text, sizeof text)) {
            fprintf(stderr, "lifeline-sim: line %s: %s\n", sim->setup.settings->lines[i].name,
                    text);
            return false;
        }
        sim_line_describe(sim->lines[i], text, sizeof text);
        printf("%s\n", text);
    }
    if (sim->lines == NULL || sim->lines[sim->setup.settings->line_count] != NULL ||
        (sim->setup.settings->line_count > 0 &&
         sim->lines[sim->setup.settings->line_count - 1] == NULL)) {
        fputs("lifeline-sim: out of memory\n", stderr);
        return false;
    }
    return true;
}

static void say_ready(const struct sim_arguments *options)
{
    if (options->ready_fd < 0) {
        puts("ready");
    } else if (write(options->ready_fd, "ready\n", 6) != 6 || close(options->ready_fd) != 0) {
        fprintf(stderr, "lifeline-sim: --ready-fd %d: %s\n", options->ready_fd, strerror(errno));
    }
    fflush(stdout);
}

/* False when it is time to end. */
static bool take_signals(struct sim *sim)
{
    struct signalfd_siginfo info;
    while (read(sim->signal_fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo != SIGHUP) {
            return false;
        }
        if (load_script(sim)) {
            fputs("lifeline-sim: script read again\n", stderr);
        }
    }
    return true;
}

/* Runs what is due on every line; when something is due next. */
static int64_t run_lines(struct sim *sim)
{
    int64_t now = now_ns();
    int64_t now_ms = (now - sim->stage.faults_start_ns) / 1000000;
    int64_t next = sim_fault_next_link_change(&sim->stage.faults, now_ms);
    next = next == INT64_MAX ? next : sim->stage.faults_start_ns + next * 1000000;
    for (size_t i = 0; i < sim->setup.settings->line_count; i++) {
        int64_t due = sim_line_run(sim->lines[i], now);
        next = due < next ? due : next;
    }
    return next;
}

static int wait_events(const struct sim *sim, struct epoll_event *events, int64_t until_ns)
{
    if (until_ns == INT64_MAX) {
        return epoll_wait(sim->epoll_fd, events, EVENTS_A_TURN, -1);
    }
    /* epoll_pwait2() is newer than the kernel of many a board */
    struct pollfd epoll = {.fd = sim->epoll_fd, .events = POLLIN};
    mono_time until = {clock_mono().ns + until_ns - now_ns()};
    int ready = clock_poll(&epoll, 1, until);
    return ready > 0 ? epoll_wait(sim->epoll_fd, events, EVENTS_A_TURN, 0) : ready;
}

static int serve(struct sim *sim)
{
    struct epoll_event events[EVENTS_A_TURN];
    for (;;) {
        int count = wait_events(sim, events, run_lines(sim));
        if (count < 0 && errno != EINTR) {
            fprintf(stderr, "lifeline-sim: epoll: %s\n", strerror(errno));
            return EXIT_FAILURE;
        }
        int64_t now = now_ns();
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr != NULL) {
                sim_line_event(events[i].data.ptr, events[i].events, now);
            } else if (!take_signals(sim)) {
                return EXIT_SUCCESS;
            }
        }
    }
}

static void clean_up(struct sim *sim)
{
    for (size_t i = 0; sim->lines != NULL && i < sim->setup.settings->line_count; i++) {
        sim_line_free(sim->lines[i]);
    }
    free(sim->lines);
    sim_scenario_free(sim->scenario);
    sim_script_free(&sim->stage.faults);
    sim_journal_close(sim->stage.journal);
    setup_free(&sim->setup);
}

int main(int argc, char **argv)
{
    struct sim sim = {.epoll_fd = -1, .signal_fd = -1};
    int code = read_arguments(&sim.options, argc, argv);
    if (code >= 0) {
        return code;
    }
    code = EXIT_FAILURE;
    if (load_setup(&sim) && load_script(&sim) && load_scenario(&sim) && open_journal(&sim) &&
        open_signals(&sim) && open_lines(&sim)) {
        sim.stage.faults_start_ns = sim.stage.scenario_start_ns = now_ns();
        say_ready(&sim.options);
        code = serve(&sim);
    }
    clean_up(&sim);
    return code;
}
