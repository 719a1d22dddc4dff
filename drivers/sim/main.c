/* lifeline-sim: the sensors of a gateway configuration, for tests and demonstrations.
 *
 *     lifeline-sim -c gateway.yaml --journal sim.jsonl --script faults.yaml
 *
 * One thread, one epoll loop: settings, then all lines, then `ready`. SIGHUP re-reads the script,
 * SIGTERM and SIGINT end it and take its symlinks away. Owns everything; the only file of drivers/
 * that prints. Never waits for one line while another has something due. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "drivers/setup.h"
#include "drivers/sim/sim_find.h"
#include "drivers/sim/sim_line.h"
#include "drivers/sim/sim_script.h"

#define EXIT_USAGE    2
#define TURNAROUND_MS 4
#define CONNECTIONS   64
#define EVENTS_A_TURN 64
#define SPEED_MAX     3600

struct options {
    const char *config, *journal, *script, *scenario;
    struct setup_path profiles;
    int ready_fd; /* -1: stdout */
    struct sim_line_options line;
    uint32_t speed;
};

struct sim {
    struct options options;
    struct setup setup;
    struct sim_stage stage;
    struct sim_scenario *scenario;
    struct sim_line **lines;
    int epoll_fd, signal_fd;
};

static const char usage[] =
    "usage: lifeline-sim [-c FILE] [options]\n"
    "Simulates the sensors of a gateway configuration: Modbus TCP, RTU on a pty, RTU over TCP.\n"
    "\n"
    "  -c, --config FILE      the configuration (" SETUP_CONFIG ")\n"
    "      --profiles DIR     where profiles are; may be given several times; then profiles/\n"
    "                         beside the configuration, then " SETUP_PROFILES "\n"
    "      --journal FILE     append one JSON line for every answer\n"
    "      --script FILE      faults by schedule (YAML); SIGHUP re-reads it\n"
    "      --scenario FILE|NAME   what the sensors measure from `ready` on, by the hour; a name "
    "is\n"
    "                         NAME.yaml in scenarios/ beside the configuration, beside a folder\n"
    "                         of --profiles, then " SIM_SCENARIOS "; faults strike all the same\n"
    "      --speed N          the scenario's time runs N times as fast, 1 to 3600 (1)\n"
    "      --listen ADDRESS   bind here instead of the lines' hosts, which must be loopback\n"
    "      --no-line-time     answer on serial lines at once\n"
    "      --turnaround MS    how long a serial sensor thinks (4)\n"
    "      --connections N    how many a TCP line takes; one more is hung up (64)\n"
    "      --ready-fd N       write `ready` to this descriptor instead of stdout\n"
    "  -h, --help\n"
    "\n"
    "value = f(point, counter): drivers/sim/sim_value.h. The journal: drivers/sim/sim_journal.h.\n"
    "Scenarios: drivers/sim/sim_scenario.h.\n";

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool parse_number(const char *text, long min, long max, long *out)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < min || number > max) {
        fprintf(stderr, "lifeline-sim: \"%s\" is not a number from %ld to %ld\n", text, min, max);
        return false;
    }
    *out = number;
    return true;
}

static bool take_option(struct options *options, int option)
{
    long number;
    switch (option) {
    case 'c':
        options->config = optarg;
        return true;
    case 'p':
        if (!setup_path_add(&options->profiles, optarg)) {
            fputs("lifeline-sim: too many --profiles\n", stderr);
            return false;
        }
        return true;
    case 'j':
        options->journal = optarg;
        return true;
    case 's':
        options->script = optarg;
        return true;
    case 'o':
        options->scenario = optarg;
        return true;
    case 'x':
        if (!parse_number(optarg, 1, SPEED_MAX, &number)) {
            return false;
        }
        options->speed = (uint32_t)number;
        return true;
    case 'l':
        options->line.listen = optarg;
        return true;
    case 'n':
        options->line.line_time = false;
        return true;
    case 't':
        if (!parse_number(optarg, 0, 10000, &number)) {
            return false;
        }
        options->line.turnaround_ms = (uint32_t)number;
        return true;
    case 'm':
        if (!parse_number(optarg, 0, 1023, &number)) {
            return false;
        }
        options->line.connections = (uint32_t)number;
        return true;
    case 'r':
        if (!parse_number(optarg, 0, 1023, &number)) {
            return false;
        }
        options->ready_fd = (int)number;
        return true;
    }
    fputs(usage, stderr);
    return false;
}

static bool parse_options(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'},
        {"profiles", required_argument, NULL, 'p'},
        {"journal", required_argument, NULL, 'j'},
        {"script", required_argument, NULL, 's'},
        {"scenario", required_argument, NULL, 'o'},
        {"speed", required_argument, NULL, 'x'},
        {"listen", required_argument, NULL, 'l'},
        {"no-line-time", no_argument, NULL, 'n'},
        {"turnaround", required_argument, NULL, 't'},
        {"connections", required_argument, NULL, 'm'},
        {"ready-fd", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;
    *options = (struct options){
        .config = SETUP_CONFIG,
        .ready_fd = -1,
        .speed = 1,
        .line = {.line_time = true, .turnaround_ms = TURNAROUND_MS, .connections = CONNECTIONS},
    };
    while ((option = getopt_long(argc, argv, "c:h", known, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            exit(EXIT_SUCCESS);
        }
        if (!take_option(options, option)) {
            return false;
        }
    }
    if (optind < argc) {
        fputs(usage, stderr);
        return false;
    }
    return true;
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
    const struct options *options = &sim->options;
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

static void say_ready(const struct options *options)
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
    int64_t wait_ns = until_ns - now_ns();
    wait_ns = wait_ns < 0 ? 0 : wait_ns;
    struct timespec timeout = {.tv_sec = wait_ns / 1000000000,
                               .tv_nsec = (long)(wait_ns % 1000000000)};
    return epoll_pwait2(sim->epoll_fd, events, EVENTS_A_TURN, &timeout, NULL);
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
    if (!parse_options(&sim.options, argc, argv)) {
        return EXIT_USAGE;
    }
    int code = EXIT_FAILURE;
    if (load_setup(&sim) && load_script(&sim) && load_scenario(&sim) && open_journal(&sim) &&
        open_signals(&sim) && open_lines(&sim)) {
        sim.stage.faults_start_ns = sim.stage.scenario_start_ns = now_ns();
        say_ready(&sim.options);
        code = serve(&sim);
    }
    clean_up(&sim);
    return code;
}
