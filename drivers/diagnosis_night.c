/* Nights: between two and four the town uses little water, and gauges stand still.
 *
 * Called on the thread of the watch; owns nothing. Days are local (China has one zone), by the wall
 * clock and only while it is true; a night with a hole in it counts for nothing. Never allocates.
 */
#include "drivers/diagnosis_night.h"

#include "drivers/diagnosis_parts.h"

/* The hours in which water companies look for the least flow, domain 4; a night is whole without a
 * hole of a quarter of them. */
enum {
    NIGHT_BEGINS_MS = 2 * 3600 * 1000,
    NIGHT_ENDS_MS = 4 * 3600 * 1000,
    NIGHT_GAP_MS = 30 * 60 * 1000,
    DAY_MS = 24 * 3600 * 1000,
};

static void local_time(wall_time wall, int32_t *day, int64_t *ms)
{
    int64_t limit = (int64_t)DIAGNOSIS_DAY_MAX * DAY_MS - DIAGNOSIS_ZONE_MS;
    int64_t local = wall.ms < 0 ? 0 : wall.ms > limit ? limit : wall.ms;
    local += DIAGNOSIS_ZONE_MS;
    *day = (int32_t)(local / DAY_MS);
    *ms = local % DAY_MS;
}

static void note_gap(struct diagnosis_night *night, int64_t ms)
{
    if (ms - night->last_ms > night->gap_ms)
        night->gap_ms = ms - night->last_ms;
    night->last_ms = ms;
}

static void hear_value(struct diagnosis_night *night, double value)
{
    if (night->has_previous) {
        double sure = value > night->previous ? value : night->previous;
        if (!night->has_low || sure < night->low)
            night->low = sure;
        night->has_low = true;
    }
    night->previous = value;
    night->has_previous = true;
}

bool diagnosis_night_hear(struct diagnosis_night *night, const struct diagnosis_moment *moment,
                          const struct diagnosis_input *input, int32_t *day, double *low)
{
    if (!moment->wall_is_true) {
        night->on = false;
        return false;
    }
    int32_t today;
    int64_t ms;
    bool is_whole = false;
    local_time(moment->wall, &today, &ms);
    if (night->on && (today != night->day || ms >= NIGHT_ENDS_MS)) {
        note_gap(night, NIGHT_ENDS_MS);
        is_whole = night->gap_ms <= NIGHT_GAP_MS && night->has_low && today >= night->day;
        *day = night->day;
        *low = night->low;
        night->on = false;
    }
    if (ms < NIGHT_BEGINS_MS || ms >= NIGHT_ENDS_MS || !diagnosis_is_heard(input))
        return is_whole;
    if (!night->on)
        *night = (struct diagnosis_night){.on = true, .day = today, .last_ms = NIGHT_BEGINS_MS};
    note_gap(night, ms);
    hear_value(night, input->value);
    return is_whole;
}

mono_time diagnosis_night_due(const struct diagnosis_night *night,
                              const struct diagnosis_moment *moment)
{
    int32_t today;
    int64_t ms;
    local_time(moment->wall, &today, &ms);
    if (!night->on || ms >= NIGHT_ENDS_MS)
        return (mono_time){0};
    return clock_after_ms(moment->now, NIGHT_ENDS_MS - ms);
}

bool diagnosis_night_is_weekend(int32_t day)
{
    int32_t weekday = (day + 4) % 7; /* day 0 was a Thursday; 0 = Sunday */
    return weekday == 0 || weekday == 6;
}

void diagnosis_nights_forget_from(struct diagnosis_nights *nights, int32_t day)
{
    while (nights->count > 0 && nights->days[nights->count - 1] >= day)
        nights->count--;
}

void diagnosis_nights_add(struct diagnosis_nights *nights, int32_t day, double low, uint32_t most)
{
    diagnosis_nights_forget_from(nights, day);
    uint32_t keep = most < DIAGNOSIS_NIGHTS_MAX ? most : DIAGNOSIS_NIGHTS_MAX;
    uint32_t drop = keep > 0 && nights->count >= keep ? nights->count - keep + 1 : 0;
    for (uint32_t i = drop; i < nights->count; i++) {
        nights->days[i - drop] = nights->days[i];
        nights->lows[i - drop] = nights->lows[i];
    }
    nights->count -= drop;
    nights->days[nights->count] = day;
    nights->lows[nights->count] = low;
    nights->count++;
}

void diagnosis_nights_put(const struct diagnosis_nights *nights, struct diagnosis_bytes *bytes)
{
    diagnosis_bytes_put(bytes, nights->count, 1);
    for (uint32_t i = 0; i < nights->count; i++) {
        diagnosis_bytes_put(bytes, (uint32_t)nights->days[i], 4);
        diagnosis_bytes_put_real(bytes, nights->lows[i]);
    }
}

void diagnosis_nights_get(struct diagnosis_nights *nights, struct diagnosis_bytes *bytes)
{
    uint64_t count = diagnosis_bytes_get(bytes, 1);
    if (count > DIAGNOSIS_NIGHTS_MAX)
        bytes->failed = true;
    nights->count = 0;
    for (uint32_t i = 0; i < count && !bytes->failed; i++) {
        uint64_t day = diagnosis_bytes_get(bytes, 4);
        double low = diagnosis_bytes_get_real(bytes);
        bool is_later = i == 0 || (int64_t)day > nights->days[i - 1];
        if (day > DIAGNOSIS_DAY_MAX || !is_later)
            bytes->failed = true;
        if (bytes->failed)
            return;
        nights->days[i] = (int32_t)day;
        nights->lows[i] = low;
        nights->count++;
    }
}
