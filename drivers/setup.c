/* Loading a configuration, the same in daemon, command line and simulator.
 * Runs in main() of each; the caller owns the struct setup. Whatever is wrong, in the file, in a
 * profile, in a test vector or in the load of a line, comes out of one struct diagnostics, at its
 * place.
 * Never prints and never opens a line. */
#include "drivers/setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/class.h"
#include "drivers/forecast.h"
#include "drivers/vector.h"

bool setup_path_add(struct setup_path *path, const char *dir)
{
    if (path->count + 2 >= SETUP_DIRS_MAX)
        return false;
    path->dirs[path->count++] = dir;
    return true;
}

static void complete_path(struct setup_path *path, const char *config)
{
    const char *slash = strrchr(config, '/');
    int folder = slash ? (int)(slash - config) + 1 : 0;
    snprintf(path->beside, sizeof path->beside, "%.*sprofiles", folder, config);
    path->dirs[path->count++] = path->beside;
    path->dirs[path->count++] = SETUP_PROFILES;
}

static bool number_devices(struct setup *setup)
{
    const struct settings *settings = setup->settings;
    uint32_t *next = calloc(settings->line_count + 1, sizeof *next);
    setup->of_line = calloc(settings->device_count + 1, sizeof *setup->of_line);
    bool ok = next && setup->of_line;
    for (size_t d = 0; ok && d < settings->device_count; d++)
        setup->of_line[d] = next[settings->devices[d].line]++;
    free(next);
    return ok;
}

bool setup_load(struct setup *setup, const char *config, const struct setup_path *path,
                bool vectors)
{
    *setup = (struct setup){.diagnostics = diagnostics_new()};
    if (!setup->diagnostics)
        return false;
    struct setup_path dirs = *path;
    complete_path(&dirs, config);
    const struct settings_sources sources = {
        .profile_dirs = dirs.dirs, .profile_dir_count = dirs.count, .quantity = class_quantity};
    setup->settings = settings_load(config, &sources, setup->diagnostics);
    if (!setup->settings)
        return false;
    setup->plan = plan_new(setup->settings);
    setup->load_percent = calloc(setup->settings->line_count + 1, sizeof *setup->load_percent);
    if (!setup->plan || !setup->load_percent || !number_devices(setup))
        return false;
    forecast_lines(setup->settings, setup->plan, setup->load_percent, setup->diagnostics);
    for (size_t i = 0; vectors && i < setup->settings->profile_count; i++)
        vector_replay(setup->settings->profiles[i], setup->diagnostics);
    return diagnostics_errors(setup->diagnostics) == 0;
}

void setup_free(struct setup *setup)
{
    plan_free(setup->plan);
    settings_free(setup->settings);
    diagnostics_free(setup->diagnostics);
    free(setup->load_percent);
    free(setup->of_line);
}
