/* The command line of lifeline-sim. */
#ifndef LIFELINE_SIM_ARGUMENTS_H
#define LIFELINE_SIM_ARGUMENTS_H

#include "drivers/setup.h"
#include "drivers/sim/sim_line.h"
#include "drivers/usage.h"

struct sim_arguments {
    const char *config, *journal, *script, *scenario;
    struct setup_path profiles;
    int ready_fd; /* -1: stdout */
    struct sim_line_options line;
    uint32_t speed;
};

extern const struct usage sim_arguments_usage;

enum sim_arguments_result {
    SIM_ARGUMENTS_RUN,
    SIM_ARGUMENTS_HELP,
    SIM_ARGUMENTS_VERSION,
    SIM_ARGUMENTS_WRONG, /* why is empty when getopt has said it, or the usage will */
};

enum sim_arguments_result sim_arguments_parse(struct sim_arguments *arguments, int argc,
                                              char **argv, char *why, size_t why_size)
    __attribute__((warn_unused_result));

#endif
