/* libFuzzer target: any bytes as what a catchment saved before a restart.
 *
 * One thread. What is taken over must be able to go on: two more days of weather end in events
 * whose numbers are finite, and it can be saved again. */
#include <math.h>
#include <stdlib.h>

#include "gateway/flow/runoff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_event(const struct runoff_event *event)
{
    const double sum = event->rain_m3 + event->outflow_m3 + event->captured + event->uncertainty +
                       event->rain_coverage + event->flow_coverage + event->peak_m3_s;
    if (!isfinite(sum) || event->uncertainty < 0 || event->doubt_count > RUNOFF_DOUBT_COUNT)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct catchment_gauge gauge = {
        .name = "rain-1.rain", .every_ms = 60000, .to_mm = 1, .wrap_mm = 6553.6};
    static struct catchment_outfall outfall = {
        .name = "out-1.flow", .every_ms = 60000, .to_m3_s = 1, .base_is_own = true};
    static const struct catchment catchment = {.name = "park",
                                               .area_ha = 10,
                                               .gauges = &gauge,
                                               .gauge_count = 1,
                                               .outfalls = &outfall,
                                               .outfall_count = 1,
                                               .outfalls_total = 1,
                                               .dry_gap_ms = 6 * 3600 * 1000,
                                               .flow_error_percent = 10,
                                               .rain_error_percent = 5,
                                               .area_error_percent = 3};
    static uint8_t saved[RUNOFF_SAVE_MAX];
    struct runoff *runoff = runoff_new(&catchment);
    if (runoff == NULL)
        return 0;
    if (runoff_load(runoff, data, size)) {
        for (int i = 0; i < 48 * 6; i++) {
            mono_time mono = {(int64_t)(i + 1) * 600 * 1000000000};
            wall_time wall = {INT64_C(1784304000000) + i * INT64_C(600000)};
            runoff_rain(runoff, 0, i < 12 ? 100 + i : 112, true, mono, wall);
            runoff_flow(runoff, 0, i < 24 ? 0.1 : 0, true, mono, wall);
            const struct runoff_event *event = runoff_tick(runoff, mono, wall);
            if (event != NULL)
                check_event(event);
        }
        if (runoff_save(runoff, saved, sizeof saved) == 0)
            abort();
    }
    runoff_free(runoff);
    return 0;
}
