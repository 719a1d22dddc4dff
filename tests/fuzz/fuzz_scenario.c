/* libFuzzer target: any bytes as a scenario of lifeline-sim.
 *
 * One thread. The configuration has a tilt sensor, so that targets may find a point. Nothing may
 * crash or leak; a scenario comes back exactly when there is no error, and then it is asked for
 * every point around every time that may matter: values are finite, at the same time the same. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/class.h"

#include "drivers/sim/sim_scenario.c"
#include "drivers/sim/sim_scenario_read.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char config[] = "gateway: { id: gw-1, region: \"140502\" }\n"
                             "store: { path: /nowhere/s.db }\n"
                             "lines: [{ name: l, transport: tcp, host: h }]\n"
                             "devices: [{ name: d, line: l, unit: 1, profile: tilt },"
                             " { name: e, line: l, unit: 2, profile: tilt }]\n";

static struct settings *load_config(struct diagnostics *diagnostics)
{
    static const char *const folders[] = {SOURCE_DIR "/tests/replay/wrong/profiles"};
    const struct settings_sources sources = {
        .profile_dirs = folders, .profile_dir_count = 1, .quantity = class_quantity};
    return settings_parse(diagnostics_source(diagnostics, "gateway.yaml", config, strlen(config)),
                          &sources, diagnostics);
}

static void ask(const struct sim_scenario *scenario, int64_t since_ms)
{
    for (uint32_t device = 0; device < 3; device++) {
        for (uint32_t point = 0; point < 4; point++) {
            double value = 0, again = 0;
            bool plays = sim_scenario_value(scenario, device, point, since_ms, &value);
            if (plays != sim_scenario_value(scenario, device, point, since_ms, &again) ||
                value != again || !isfinite(value)) {
                abort();
            }
        }
        (void)sim_scenario_silent(scenario, device, since_ms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diagnostics *diagnostics = diagnostics_new();
    struct settings *settings = load_config(diagnostics);
    if (settings == NULL) {
        abort();
    }
    const struct source *source =
        diagnostics_source(diagnostics, "scenario.yaml", (const char *)data, size);
    struct sim_scenario *scenario =
        source == NULL ? NULL : sim_scenario_parse(source, settings, diagnostics);
    if ((scenario == NULL) != (diagnostics_errors(diagnostics) > 0)) {
        abort();
    }
    for (int64_t since_ms = 1; scenario != NULL && since_ms > 0; since_ms *= 3) {
        ask(scenario, since_ms);
        ask(scenario, -since_ms);
        if (since_ms > INT64_MAX / 3) {
            break;
        }
    }
    sim_scenario_free(scenario);
    settings_free(settings);
    diagnostics_free(diagnostics);
    return 0;
}
