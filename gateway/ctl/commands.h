/* What lifelinectl can do, and how it says so. */
#ifndef LIFELINE_COMMANDS_H
#define LIFELINE_COMMANDS_H

#include <stdio.h>

#include "gateway/ctl/ctl.h"

#define COMMANDS_SOCKET "/run/lifeline/api.sock"

/* NULL when there is none of that name. */
const struct command *commands_find(const char *name);

/* How one is called. */
void commands_usage(FILE *out, const struct command *command);

/* All there is to know, or what there is to know of one command. */
void commands_help(FILE *out, const struct command *command);

/* text or json; false, after saying so, when it is neither. */
bool commands_choose_form(struct ctl *ctl, const char *name) __attribute__((warn_unused_result));

/* Ends with a NULL. */
extern const struct command *const commands_table[];

#endif
