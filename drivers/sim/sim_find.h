/* Where a scenario is that was given by its name. */
#ifndef LIFELINE_SIM_FIND_H
#define LIFELINE_SIM_FIND_H

#include "drivers/setup.h"

#define SIM_SCENARIOS "/usr/share/lifeline/scenarios"

/* A path (it holds a / or ends in .yaml) stays as it is. A name is NAME.yaml in the first of: the
 * folder scenarios/ beside the configuration, scenarios/ beside each folder of --profiles, the
 * installed folder. False when it is in none; `out` then says where it was looked for. */
bool sim_find_scenario(const char *given, const char *config, const struct setup_path *profiles,
                       char *out, size_t out_size) __attribute__((warn_unused_result));

#endif
