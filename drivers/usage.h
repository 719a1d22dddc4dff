/* The command line of a program: one table for the reader, the usage and the manual page. (That of
 * lifelinectl, which speaks two languages, is gateway/ctl/options.h.) */
#ifndef LIFELINE_USAGE_H
#define LIFELINE_USAGE_H

#include <stdbool.h>
#include <stddef.h>

struct usage_option {
    const char *name; /* without its dashes */
    char letter;      /* '\0': it has none */
    const char *argument;
    int id; /* the reader's; not '?' */
    const char *text;
};

struct usage {
    const char *program, *form;
    const char *purpose; /* whole sentences */
    const struct usage_option *options;
    size_t count;
};

enum { USAGE_OPTIONS_MAX = 24, USAGE_TEXT_MAX = 4096 };

/* The id of the next option, with its argument in optarg; -1 behind the last, '?' when it is wrong,
 * after getopt said so. */
int usage_next(const struct usage *usage, int argc, char **argv);

/* All of it, in lines of 80 columns; ASCII. */
void usage_text(const struct usage *usage, char out[USAGE_TEXT_MAX]);

#endif
