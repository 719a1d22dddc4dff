/* libFuzzer target: any bytes as a sensor profile.
 *
 * One thread. Nothing may crash or leak; a profile comes back exactly when there is no error, and
 * then it is what decode relies on: masks that are not 0, values within the address space, texts
 * that are there. The input is the file fuzz.yaml, so its `profile:` must be fuzz. */
#include <stdint.h>
#include <stdlib.h>

#include "config/profile.h"
#include "drivers/class.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_selector(const struct profile_selector *selector)
{
    if (selector->present && selector->mask == 0)
        abort();
    for (size_t i = 0; i < selector->code_count; i++) {
        if (selector->codes[i].decimals > 9 || selector->codes[i].factor == 0)
            abort();
    }
}

static void check_point(const struct profile *profile, const struct profile_point *point)
{
    uint16_t count = profile_type_registers(point->type);
    if (point->name == NULL || point->quantity == NULL || point->unit == NULL ||
        point->title_zh == NULL || point->title_en == NULL || point->mask == 0 ||
        count > profile->max_registers || point->address + count > 0x10000 || point->scale == 0)
        abort();
    check_selector(&point->unit_from);
    check_selector(&point->decimals_from);
    check_selector(&point->status_from);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diagnostics *diagnostics = diagnostics_new();
    const struct source *source =
        diagnostics_source(diagnostics, "fuzz.yaml", (const char *)data, size);
    struct profile *profile =
        source == NULL ? NULL : profile_parse(source, class_quantity, diagnostics);
    if ((profile == NULL) != (diagnostics_errors(diagnostics) > 0) ||
        (profile == NULL && diagnostics_text(diagnostics)[0] == '\0'))
        abort();
    for (size_t i = 0; profile != NULL && i < profile->point_count; i++)
        check_point(profile, &profile->points[i]);
    profile_free(profile);
    diagnostics_free(diagnostics);
    return 0;
}
