/* The models that a unit may be: all profiles of the profile folders.
 *
 * Runs in the thread of `lifelinectl probe`. Owns the profiles and the diagnostics of those that
 * cannot be used: one broken file keeps nobody from probing. Never prints. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/class.h"
#include "drivers/probe.h"

enum { PROFILES_MAX = 4096 };

static const char suffix[] = ".yaml";

static bool is_profile(const char *name, size_t *stem)
{
    size_t length = strlen(name);
    *stem = length - (sizeof suffix - 1);
    return length > sizeof suffix - 1 && strcmp(name + *stem, suffix) == 0;
}

const struct profile *probe_catalogue_find(const struct probe_catalogue *catalogue,
                                           const char *name)
{
    for (size_t i = 0; i < catalogue->count; i++) {
        if (strcmp(catalogue->profiles[i]->name, name) == 0)
            return catalogue->profiles[i];
    }
    return NULL;
}

static bool add(struct probe_catalogue *catalogue, struct profile *profile)
{
    struct profile **grown =
        realloc(catalogue->profiles, (catalogue->count + 1) * sizeof(struct profile *));
    if (grown == NULL) {
        profile_free(profile);
        return false;
    }
    catalogue->profiles = grown;
    catalogue->profiles[catalogue->count++] = profile;
    return true;
}

static bool load_folder(struct probe_catalogue *catalogue, const char *path)
{
    bool good = true;
    DIR *folder = opendir(path);
    if (folder == NULL)
        return true; /* not every machine has all of them */
    for (struct dirent *entry; good && (entry = readdir(folder)) != NULL;) {
        char file[4096], name[256];
        size_t stem;
        if (!is_profile(entry->d_name, &stem) || catalogue->count >= PROFILES_MAX)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)stem, entry->d_name);
        if (probe_catalogue_find(catalogue, name) != NULL ||
            (size_t)snprintf(file, sizeof file, "%s/%s", path, entry->d_name) >= sizeof file)
            continue;
        struct profile *profile = profile_load(file, class_quantity, catalogue->diagnostics);
        if (profile != NULL)
            good = add(catalogue, profile);
    }
    closedir(folder);
    return good;
}

static int by_name(const void *left, const void *right)
{
    const struct profile *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

bool probe_catalogue_load(struct probe_catalogue *catalogue, const char *const *dirs, size_t count)
{
    *catalogue = (struct probe_catalogue){.diagnostics = diagnostics_new()};
    bool good = catalogue->diagnostics != NULL;
    for (size_t i = 0; good && i < count; i++)
        good = load_folder(catalogue, dirs[i]);
    if (good && catalogue->count > 0)
        qsort(catalogue->profiles, catalogue->count, sizeof(struct profile *), by_name);
    return good;
}

void probe_catalogue_free(struct probe_catalogue *catalogue)
{
    for (size_t i = 0; i < catalogue->count; i++)
        profile_free(catalogue->profiles[i]);
    free(catalogue->profiles);
    diagnostics_free(catalogue->diagnostics);
    *catalogue = (struct probe_catalogue){0};
}
