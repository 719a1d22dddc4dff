/* What lifelinectl can do, and how it says so. */
#ifndef LIFELINE_COMMANDS_H
#define LIFELINE_COMMANDS_H

#include <stdio.h>

#include "gateway/ctl/ctl.h"

#define COMMANDS_SOCKET "/run/lifeline/api.sock"

/* NULL when there is none of that name. */
const struct command *commands_find(const char *name);

/* How one is called, and all there is to know. */
void commands_usage(FILE *out, const struct command *command);
void commands_help(FILE *out);

#endif
