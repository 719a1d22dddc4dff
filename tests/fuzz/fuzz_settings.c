/* libFuzzer target: any bytes as a configuration.
 *
 * One thread. Devices may name the profiles of the wrong files (tilt, gauge, broken) and the
 * shipped packs, so that the cross-checks are reached. Nothing may crash or leak; settings come
 * back exactly when there is no error, and then every reference in them is resolved. */
#include <stdint.h>
#include <stdlib.h>

#include "config/settings.h"
#include "drivers/class.h"
#include "drivers/diagnosis.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const folders[] = {SOURCE_DIR "/tests/replay/wrong/profiles"};
    static const char *const packs[] = {SOURCE_DIR "/config/alarms"};
    struct settings_sources sources = {.profile_dirs = folders,
                                       .profile_dir_count = 1,
                                       .quantity = class_quantity,
                                       .pack_dirs = packs,
                                       .pack_dir_count = 1,
                                       .diagnosis = diagnosis_form_of};
    struct diagnostics *diagnostics = diagnostics_new();
    const struct source *source =
        diagnostics_source(diagnostics, "gateway.yaml", (const char *)data, size);
    struct settings *settings =
        source == NULL ? NULL : settings_parse(source, &sources, diagnostics);
    if ((settings == NULL) != (diagnostics_errors(diagnostics) > 0))
        abort();
    for (size_t i = 0; settings != NULL && i < settings->device_count; i++) {
        if (settings->devices[i].line >= settings->line_count ||
            settings->devices[i].profile == NULL || settings->devices[i].points == NULL)
            abort();
    }
    if (diagnostics_text(diagnostics)[0] == '\0' && settings == NULL)
        abort();
    settings_free(settings);
    diagnostics_free(diagnostics);
    return 0;
}
