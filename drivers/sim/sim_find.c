/* Finds a scenario by its name, as profiles are found.
 *
 * Runs at the start of the simulator; owns nothing and opens nothing. Never guesses: a path that
 * was given stays, whether there is a file or not. */
#include "drivers/sim/sim_find.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct search {
    const char *name;
    char *out;
    size_t out_size;
    char tried[3000];
};

static bool is_path(const char *given)
{
    size_t length = strlen(given);
    return strchr(given, '/') != NULL || (length > 5 && strcmp(given + length - 5, ".yaml") == 0);
}

/* Looks into the folder scenarios/ that stands beside a file or folder. */
static bool look_beside(struct search *search, const char *neighbour)
{
    size_t length = strlen(neighbour);
    while (length > 1 && neighbour[length - 1] == '/') {
        length--;
    }
    while (length > 0 && neighbour[length - 1] != '/') {
        length--;
    }
    snprintf(search->out, search->out_size, "%.*sscenarios/%s.yaml", (int)length, neighbour,
             search->name);
    if (access(search->out, R_OK) == 0) {
        return true;
    }
    size_t used = strlen(search->tried);
    snprintf(search->tried + used, sizeof search->tried - used, "%.*sscenarios, ", (int)length,
             neighbour);
    return false;
}

bool sim_find_scenario(const char *given, const char *config, const struct setup_path *profiles,
                       char *out, size_t out_size)
{
    struct search search = {.name = given, .out = out, .out_size = out_size};
    if (is_path(given)) {
        snprintf(out, out_size, "%s", given);
        return true;
    }
    bool found = look_beside(&search, config);
    for (size_t i = 0; !found && i < profiles->count; i++) {
        found = look_beside(&search, profiles->dirs[i]);
    }
    if (found || look_beside(&search, SIM_SCENARIOS)) {
        return true;
    }
    snprintf(out, out_size, "no %s.yaml in %.*s", given, (int)strlen(search.tried) - 2,
             search.tried);
    return false;
}
