/* The dry-weather flow of an outfall: one number for each hour of the day, learned while it is dry.
 *
 * Pure; the pipeline thread. Each dry hour of which at least half was measured counts as one day
 * for its hour: the first days as their mean, later ones with 1/8. What the days differ by is how
 * far the number can be trusted. Never learns in or soon after rain: its caller sees to that. */
#include "drivers/diagnosis.h"
#include "gateway/flow/runoff_parts.h"

#include <math.h>

enum { HOUR_MS = 3600000, MEMORY_DAYS = 8, TRUSTED_DAYS = 3 };

/* Of a flow that was seen on a day or two, or only just before the rain. */
#define YOUNG_SPREAD  0.2
#define BEFORE_SPREAD 0.5

struct seen runoff_see(const struct catchment_outfall *own, double m3_s)
{
    double half = own->cutoff_m3_s / 2;
    if (fabs(m3_s) < own->cutoff_m3_s)
        return (struct seen){half, half};
    return (struct seen){m3_s, 0};
}

/* Hours since 1970, in local time. */
static int64_t hour_number(const struct runoff *runoff, int64_t t)
{
    return (t + runoff->wall_offset + DIAGNOSIS_ZONE_MS) / HOUR_MS;
}

/* The hour of the day; of any number, also one that cannot be. */
static size_t hour_of_day(int64_t number)
{
    return (size_t)((number % RUNOFF_HOURS + RUNOFF_HOURS) % RUNOFF_HOURS);
}

static struct base of_hour(const struct base_hour *hour)
{
    bool young = hour->days < TRUSTED_DAYS;
    double spread = young ? fmax(hour->spread, YOUNG_SPREAD * fabs(hour->mean)) : hour->spread;
    return (struct base){young ? BASE_YOUNG : BASE_LEARNED, hour->mean, hour->blind + spread};
}

/* The mean of the hours that are known; as wide as they are apart. */
static bool of_other_hours(const struct outfall *outfall, struct base *out)
{
    double sum = 0, half = 0, low = INFINITY, high = -INFINITY;
    uint32_t count = 0;
    for (size_t h = 0; h < RUNOFF_HOURS; h++) {
        if (outfall->hours[h].days == 0)
            continue;
        struct base one = of_hour(&outfall->hours[h]);
        count++;
        sum += one.m3_s;
        half = fmax(half, one.half_m3_s);
        low = fmin(low, one.m3_s);
        high = fmax(high, one.m3_s);
    }
    if (count == 0)
        return false;
    double mean = sum / count;
    *out = (struct base){BASE_OTHER_HOURS, mean, half + fmax(high - mean, mean - low)};
    return true;
}

struct base runoff_base(const struct runoff *runoff, const struct outfall *outfall, int64_t t)
{
    const struct catchment_outfall *own = runoff_own(runoff, outfall);
    struct base base;
    if (!own->base_is_own)
        return (struct base){BASE_GIVEN, own->base_m3_s, 0};
    if (runoff->wall_is_true) {
        const struct base_hour *hour = &outfall->hours[hour_of_day(hour_number(runoff, t))];
        if (hour->days > 0)
            return of_hour(hour);
    }
    if (of_other_hours(outfall, &base))
        return base;
    if (outfall->has_before) {
        struct seen seen = runoff_see(own, outfall->before);
        return (struct base){BASE_BEFORE, seen.m3_s,
                             seen.half_m3_s + BEFORE_SPREAD * fabs(outfall->before)};
    }
    return (struct base){BASE_NONE, 0, 0};
}

/* An hour is over: it is one more day of its hour. */
static void take_hour(struct outfall *outfall)
{
    const struct dry_hour *dry = &outfall->dry;
    if (dry->ms < HOUR_MS / 2.0)
        return;
    struct base_hour *hour = &outfall->hours[hour_of_day(dry->number)];
    double mean = dry->flow_ms / dry->ms, blind = dry->blind_ms / dry->ms;
    uint32_t days = hour->days < MEMORY_DAYS ? hour->days + 1 : MEMORY_DAYS;
    double off = fabs(mean - hour->mean);
    if (hour->days > 0)
        hour->spread += (off - hour->spread) / (days - 1);
    hour->mean += (mean - hour->mean) / days;
    hour->blind += (blind - hour->blind) / days;
    hour->days = days;
}

void runoff_learn(const struct runoff *runoff, struct outfall *outfall, int64_t from,
                  double from_m3_s, int64_t to, double to_m3_s)
{
    if (!runoff->wall_is_true)
        return;
    const struct catchment_outfall *own = runoff_own(runoff, outfall);
    struct dry_hour *dry = &outfall->dry;
    int64_t number = hour_number(runoff, from + (to - from) / 2);
    if (number != dry->number) {
        take_hour(outfall);
        *dry = (struct dry_hour){.number = number};
    }
    struct seen a = runoff_see(own, from_m3_s), b = runoff_see(own, to_m3_s);
    double ms = (double)(to - from);
    dry->ms += ms;
    dry->flow_ms += (a.m3_s + b.m3_s) / 2 * ms;
    dry->blind_ms += (a.half_m3_s + b.half_m3_s) / 2 * ms;
}
