/* The table of lifeline-sim's options, and who reads it.
 *
 * The main thread. Owns nothing; what is read points into argv. Prints nothing but what getopt says
 * of an option that there is not. */
#include "drivers/sim/sim_arguments.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "drivers/sim/sim_find.h"

#define TURNAROUND_MS 4
#define CONNECTIONS   64
#define SPEED_MAX     3600

static const struct usage_option options[] = {
    {"config", 'c', "FILE", 'c', "the configuration (" SETUP_CONFIG ")"},
    {"profiles", '\0', "DIR", 'p',
     "where profiles are; may be given several times; then profiles/ beside the configuration, "
     "then " SETUP_PROFILES},
    {"journal", '\0', "FILE", 'j', "append one JSON line for every answer"},
    {"script", '\0', "FILE", 's', "faults by schedule (YAML); SIGHUP re-reads it"},
    {"scenario", '\0', "FILE|NAME", 'o',
     "what the sensors measure from `ready` on, by the hour; a name is NAME.yaml in scenarios/ "
     "beside the configuration, beside a folder of --profiles, then " SIM_SCENARIOS
     "; faults strike all the same"},
    {"speed", '\0', "N", 'x', "the scenario's time runs N times as fast, 1 to 3600 (1)"},
    {"listen", '\0', "ADDRESS", 'l',
     "bind here instead of the lines' hosts, which must be "
     "loopback"},
    {"no-line-time", '\0', NULL, 'n', "answer on serial lines at once"},
    {"turnaround", '\0', "MS", 't', "how long a serial sensor thinks (4)"},
    {"connections", '\0', "N", 'm', "how many a TCP line takes; one more is hung up (64)"},
    {"ready-fd", '\0', "N", 'r', "write `ready` to this descriptor instead of stdout"},
    {"help", 'h', NULL, 'h', "this text"},
    {"version", '\0', NULL, 'v', "the version"},
};

const struct usage sim_arguments_usage = {
    .program = "lifeline-sim",
    .form = "[-c FILE] [options]",
    .purpose = "Simulates the sensors of a gateway configuration: Modbus TCP, RTU on a pty, RTU "
               "over TCP.",
    .options = options,
    .count = sizeof options / sizeof *options,
};

struct said {
    char *why;
    size_t size;
};

static bool parse_number(long min, long max, long *out, const struct said *said)
{
    char *end;
    errno = 0;
    long number = strtol(optarg, &end, 10);
    if (errno != 0 || end == optarg || *end != '\0' || number < min || number > max) {
        snprintf(said->why, said->size, "\"%s\" is not a number from %ld to %ld", optarg, min, max);
        return false;
    }
    *out = number;
    return true;
}

static bool take_number(struct sim_arguments *arguments, int option, const struct said *said)
{
    long number = 0;
    switch (option) {
    case 'x':
        if (!parse_number(1, SPEED_MAX, &number, said)) {
            return false;
        }
        arguments->speed = (uint32_t)number;
        return true;
    case 't':
        if (!parse_number(0, 10000, &number, said)) {
            return false;
        }
        arguments->line.turnaround_ms = (uint32_t)number;
        return true;
    case 'm':
        if (!parse_number(0, 1023, &number, said)) {
            return false;
        }
        arguments->line.connections = (uint32_t)number;
        return true;
    case 'r':
        if (!parse_number(0, 1023, &number, said)) {
            return false;
        }
        arguments->ready_fd = (int)number;
        return true;
    }
    return false;
}

static bool take(struct sim_arguments *arguments, int option, const struct said *said)
{
    switch (option) {
    case 'c':
        arguments->config = optarg;
        return true;
    case 'p':
        if (!setup_path_add(&arguments->profiles, optarg)) {
            snprintf(said->why, said->size, "too many --profiles");
            return false;
        }
        return true;
    case 'j':
        arguments->journal = optarg;
        return true;
    case 's':
        arguments->script = optarg;
        return true;
    case 'o':
        arguments->scenario = optarg;
        return true;
    case 'l':
        arguments->line.listen = optarg;
        return true;
    case 'n':
        arguments->line.line_time = false;
        return true;
    }
    return take_number(arguments, option, said);
}

enum sim_arguments_result sim_arguments_parse(struct sim_arguments *arguments, int argc,
                                              char **argv, char *why, size_t why_size)
{
    const struct said said = {why, why_size};
    int option;
    why[0] = '\0';
    *arguments = (struct sim_arguments){
        .config = SETUP_CONFIG,
        .ready_fd = -1,
        .speed = 1,
        .line = {.line_time = true, .turnaround_ms = TURNAROUND_MS, .connections = CONNECTIONS},
    };
    while ((option = usage_next(&sim_arguments_usage, argc, argv)) != -1) {
        if (option == 'h') {
            return SIM_ARGUMENTS_HELP;
        }
        if (option == 'v') {
            return SIM_ARGUMENTS_VERSION;
        }
        if (!take(arguments, option, &said)) {
            return SIM_ARGUMENTS_WRONG;
        }
    }
    return optind == argc ? SIM_ARGUMENTS_RUN : SIM_ARGUMENTS_WRONG;
}
