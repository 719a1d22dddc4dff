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
#include "drivers/diagnosis.h"
#include "drivers/forecast.h"
#include "drivers/vector.h"

bool setup_path_add(struct setup_path *path, const char *dir)
{
    if (path->count + 2 >= SETUP_DIRS_MAX)
        return false;
    path->dirs[path->count++] = dir;
    return true;
}

void setup_path_complete(struct setup_path *path, const struct setup_path *given,
                         const char *config)
{
    *path = *given;
    const char *slash = strrchr(config, '/');
    int folder = slash ? (int)(slash - config) + 1 : 0;
    snprintf(path->beside, sizeof path->beside, "%.*sprofiles", folder, config);
    path->dirs[path->count++] = path->beside;
    path->dirs[path->count++] = SETUP_PROFILES;
}

/* Where alarm packs are looked for: `alarms` beside each folder of profiles. */
struct pack_path {
    const char *dirs[SETUP_DIRS_MAX];
    char names[SETUP_DIRS_MAX][4096];
};

static void find_packs(const struct setup_path *profiles, struct pack_path *out)
{
    for (size_t i = 0; i < profiles->count; i++) {
        const char *dir = profiles->dirs[i];
        size_t length = strlen(dir);
        while (length > 1 && dir[length - 1] == '/')
            length--;
        while (length && dir[length - 1] != '/')
            length--;
        snprintf(out->names[i], sizeof out->names[i], "%.*salarms", (int)length, dir);
        out->dirs[i] = out->names[i];
    }
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
    struct setup_path dirs;
    struct pack_path packs;
    setup_path_complete(&dirs, path, config);
    find_packs(&dirs, &packs);
    const struct settings_sources sources = {.profile_dirs = dirs.dirs,
                                             .profile_dir_count = dirs.count,
                                             .quantity = class_quantity,
                                             .pack_dirs = packs.dirs,
                                             .pack_dir_count = dirs.count,
                                             .diagnosis = diagnosis_form_of};
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
