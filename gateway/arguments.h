/* The command line of lifelined. */
#ifndef LIFELINE_ARGUMENTS_H
#define LIFELINE_ARGUMENTS_H

#include "drivers/setup.h"
#include "drivers/usage.h"

struct arguments {
    const char *config;
    struct setup_path profiles;
    bool check;
};

extern const struct usage arguments_usage;

/* Returns -1 to go on, otherwise the exit code; what there is to say is said. */
int arguments_parse(struct arguments *arguments, int argc, char **argv);

#endif
