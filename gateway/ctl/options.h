/* The options of lifelinectl: one table for the parser, the help, the man page and the completion.
 */
#ifndef LIFELINE_OPTIONS_H
#define LIFELINE_OPTIONS_H

#include <stdbool.h>

#include "gateway/ctl/ctl.h"

enum option_kind {
    OPTION_WORD,
    OPTION_LIST,
    OPTION_SWITCH,
    OPTION_FORM,
    OPTION_CSV,
    OPTION_PROFILES
};

enum { OPTION_TAKERS_MAX = 8 };

struct option_row {
    const char *name;     /* without its dashes */
    char letter;          /* '\0': it has none */
    const char *argument; /* as people are shown it; NULL: it takes none */
    enum option_kind kind;
    size_t offset;    /* in struct ctl: const char *, struct ctl_list or bool */
    const char *form; /* OPTION_FORM without an argument: which */
    const struct command *takers[OPTION_TAKERS_MAX]; /* ends with a NULL; none: every command */
    struct words text;
};

/* Ends with a row that has no name. */
extern const struct option_row options_table[];

bool options_fit(const struct option_row *row, const struct command *command);

/* What stands on a command line; what is wrong with it is told on stderr. */
enum options_result { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_WRONG };
enum options_result options_parse(struct ctl *ctl, int argc, char **argv)
    __attribute__((warn_unused_result));

#endif
