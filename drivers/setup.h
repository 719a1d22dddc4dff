/* A configuration as every program wants it: loaded with its profiles, planned and judged. */
#ifndef LIFELINE_SETUP_H
#define LIFELINE_SETUP_H

#include "drivers/plan.h"

#define SETUP_CONFIG   "/etc/lifeline/gateway.yaml"
#define SETUP_PROFILES "/usr/share/lifeline/profiles"

enum { SETUP_DIRS_MAX = 16 };

/* Where profiles are looked for, in order: what --profiles gave, `profiles/` beside the
 * configuration, the installed folder. */
struct setup_path {
    const char *dirs[SETUP_DIRS_MAX];
    size_t count;
    char beside[4096];
};

struct setup {
    struct diagnostics *diagnostics; /* owns the file names of the places */
    struct settings *settings;       /* NULL when there is an error */
    struct plan *plan;
    double *load_percent; /* [line], forecast */
    uint32_t *of_line;    /* [device] its place among the devices of its line */
};

/* Adds a folder of --profiles; false when there are too many. */
bool setup_path_add(struct setup_path *path, const char *dir) __attribute__((warn_unused_result));

/* The whole of it: what was given, then the others. `out` is not to be copied. */
void setup_path_complete(struct setup_path *out, const struct setup_path *given,
                         const char *config);

/* Loads, plans, forecasts the load of the lines and, when `vectors`, replays the test vectors of
 * the profiles in use. False when there is an error; the diagnostics are there in either case. */
bool setup_load(struct setup *setup, const char *config, const struct setup_path *path,
                bool vectors) __attribute__((warn_unused_result));
void setup_free(struct setup *setup);

#endif
