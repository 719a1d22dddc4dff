/* Colours of the four levels on a terminal.
 *
 * One thread. Writes escape sequences to stdout, and only where somebody looks at them. Owns
 * whether a colour is on: colour_end() without one writes nothing. Orange is the one colour that
 * the sixteen of old have not; a terminal that does not know it shows plain text. */
#include "gateway/ctl/colour.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/names.h"

static bool is_on;

static bool is_wanted(void)
{
    const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return !(no && *no) && terminal && *terminal && strcmp(terminal, "dumb") != 0 &&
           isatty(STDOUT_FILENO);
}

static const char *sequence(uint8_t level)
{
    switch ((enum level)level) {
    case LEVEL_RED:
        return "\033[1;31m";
    case LEVEL_ORANGE:
        return "\033[38;5;208m";
    case LEVEL_YELLOW:
        return "\033[33m";
    case LEVEL_BLUE:
        return "\033[94m"; /* the dark one cannot be read on black */
    case LEVEL_NONE:
    case LEVEL_COUNT:
        break;
    }
    return "";
}

void colour_level(uint8_t level)
{
    is_on = is_wanted() && *sequence(level);
    if (is_on)
        fputs(sequence(level), stdout);
}

void colour_end(void)
{
    if (is_on)
        fputs("\033[0m", stdout);
    is_on = false;
}
