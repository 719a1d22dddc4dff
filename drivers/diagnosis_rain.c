/* A rain counter as rain.
 *
 * Called on the thread of the watch; owns nothing. A counter knows of what fell while nobody asked,
 * so holes between samples do no harm. Never takes silence for dry weather. */
#include "drivers/diagnosis_rain.h"

#include "drivers/class.h"
#include "drivers/diagnosis_parts.h"

static int64_t slot_at(mono_time at, int64_t window_ms)
{
    int64_t width = window_ms / (DIAGNOSIS_RAIN_SLOTS - 1);
    return clock_mono_ms(at) / (width > 0 ? width : 1);
}

static double *slot_of(struct diagnosis_rain *rain, int64_t slot)
{
    return &rain->slots[(uint64_t)slot % DIAGNOSIS_RAIN_SLOTS];
}

static void move_to(struct diagnosis_rain *rain, int64_t slot)
{
    int64_t steps = slot - rain->slot;
    for (int64_t i = 1; i <= steps && i <= DIAGNOSIS_RAIN_SLOTS; i++)
        *slot_of(rain, rain->slot + i) = 0;
    if (steps > 0)
        rain->slot = slot;
}

static double most_in(int64_t ms)
{
    return class_quantity(SECTOR_SPONGE, "rain_rate")->max * (double)(ms / 60000 + 1);
}

void diagnosis_rain_hear(struct diagnosis_rain *rain, const struct diagnosis_input *input,
                         int64_t window_ms)
{
    if (!diagnosis_is_heard(input))
        return;
    if (!rain->begun)
        *rain = (struct diagnosis_rain){.begun = true,
                                        .value = input->value,
                                        .since = input->at,
                                        .at = input->at,
                                        .slot = slot_at(input->at, window_ms)};
    double fallen = input->value >= rain->value ? input->value - rain->value : input->value;
    bool is_possible = fallen <= most_in(clock_ms_between(rain->at, input->at));
    rain->value = input->value;
    rain->at = input->at;
    move_to(rain, slot_at(input->at, window_ms));
    if (!is_possible) {
        rain->since = input->at;
    } else if (fallen > 0) {
        rain->rained = input->at;
        *slot_of(rain, rain->slot) += fallen;
    }
}

double diagnosis_rain_sum(const struct diagnosis_rain *rain, mono_time now, int64_t window_ms)
{
    int64_t oldest = slot_at(now, window_ms) - (DIAGNOSIS_RAIN_SLOTS - 1);
    double sum = 0;
    for (int64_t i = 0; i < DIAGNOSIS_RAIN_SLOTS && rain->begun; i++) {
        int64_t slot = rain->slot - i;
        if (slot >= oldest)
            sum += rain->slots[(uint64_t)slot % DIAGNOSIS_RAIN_SLOTS];
    }
    return sum;
}

bool diagnosis_rain_is_known(const struct diagnosis_rain *rain, const struct diagnosis_input *input,
                             mono_time now, int64_t window_ms)
{
    return rain->begun && diagnosis_is_known(input) &&
           clock_ms_between(rain->since, now) >= window_ms &&
           clock_ms_between(rain->at, now) <= window_ms / 4;
}
