/* A zero that wanders: the lowest value of each night moves one way, week after week.
 *
 * Called on the thread of the watch; owns nothing, its state is the caller's memory. Numbers come
 * from the rule; domain 4 [eng]. A matter for maintenance; says nothing while the clock is not
 * true. */
#include <math.h>
#include <string.h>

#include "drivers/diagnosis_night.h"
#include "drivers/diagnosis_parts.h"

enum role { ANY };
enum param { NIGHTS };

static const struct diagnosis_param params[] = {
    [NIGHTS] =
        {"nights", false, true, 7, 30, {"多少个夜晚之后才判断", "nights before it says anything"}},
};

static const struct diagnosis_role roles[] = {
    [ANY] = {.name = "value", .quantity = NULL, .required = true},
};

/* Each night gives its least value (02-04 h, two samples). The trend is the median of the slopes
 * between a night and the one half the nights later, so that a few wet nights move nothing.
 *
 *     learning --`nights` nights--> judging, once a night at 04 h:
 *         change in 30 days >= a level's number, 3 in 4 slopes agree, and over all the nights it
 *         moves three times as far as they scatter: wanted
 *
 * Confidence: how many of the slopes agree, at most 95. */
struct memory {
    struct diagnosis_night night;
    struct diagnosis_nights nights;
    double trend, agree; /* of them */
    bool is_clear;       /* the trend stands out of the scatter */
};

enum { KEPT = 30, TREND_DAYS = 30, SAVED_AS = 1 };

/* Over all of the nights it moves three times as far as a night usually lies beside it. */
static bool stands_out(const struct diagnosis_nights *nights, double per_day)
{
    double beside[DIAGNOSIS_NIGHTS_MAX];
    if (nights->count == 0)
        return false;
    for (uint32_t i = 0; i < nights->count; i++)
        beside[i] = nights->lows[i] - per_day * (nights->days[i] - nights->days[0]);
    double middle = diagnosis_median(beside, nights->count);
    for (uint32_t i = 0; i < nights->count; i++)
        beside[i] = fabs(beside[i] - middle);
    double scatter = diagnosis_median(beside, nights->count);
    return fabs(per_day) * (nights->days[nights->count - 1] - nights->days[0]) >= 3 * scatter;
}

/* agree: the share of the slopes that go the same way. */
static void find_trend(struct memory *memory)
{
    const struct diagnosis_nights *nights = &memory->nights;
    double slopes[DIAGNOSIS_NIGHTS_MAX];
    uint32_t half = nights->count / 2, same = 0;
    for (uint32_t i = 0; i < half; i++) {
        uint32_t later = i + nights->count - half;
        slopes[i] = (nights->lows[later] - nights->lows[i]) /
                    (double)(nights->days[later] - nights->days[i]);
    }
    double trend = diagnosis_median(slopes, half);
    for (uint32_t i = 0; i < half; i++)
        same += (slopes[i] > 0 && trend > 0) || (slopes[i] < 0 && trend < 0);
    memory->agree = half ? (double)same / half : 0;
    memory->is_clear = stands_out(nights, trend);
    memory->trend = trend * TREND_DAYS;
}

static void forget_old(struct diagnosis_nights *nights, int32_t day)
{
    uint32_t old = 0;
    while (old < nights->count && nights->days[old] <= day - 2 * TREND_DAYS)
        old++;
    for (uint32_t i = old; i < nights->count; i++) {
        nights->days[i - old] = nights->days[i];
        nights->lows[i - old] = nights->lows[i];
    }
    nights->count -= old;
}

static void step(void *state, const struct diagnosis_moment *moment, struct finding *out)
{
    struct memory *memory = state;
    int32_t day;
    double low;
    if (diagnosis_night_hear(&memory->night, moment, diagnosis_player(moment, ANY), &day, &low)) {
        forget_old(&memory->nights, day);
        diagnosis_nights_add(&memory->nights, day, low, KEPT);
        find_trend(memory);
    }
    *out = (struct finding){.due = diagnosis_night_due(&memory->night, moment)};
    if (memory->nights.count < diagnosis_number(moment, NIGHTS) || memory->agree < 0.75 ||
        !memory->is_clear)
        return;
    out->level = diagnosis_level(moment->rule, fabs(memory->trend));
    if (out->level == LEVEL_NONE)
        return;
    out->value = fabs(memory->trend);
    out->threshold = moment->rule->levels[out->level].value;
    out->confidence = (uint8_t)(memory->agree * 95);
}

static void tell(const void *state, const struct diagnosis_moment *moment,
                 const struct finding *finding, char zh[DIAGNOSIS_TEXT_MAX],
                 char en[DIAGNOSIS_TEXT_MAX], char hint[DIAGNOSIS_TEXT_MAX])
{
    const struct memory *memory = state;
    const struct diagnosis_nights *nights = &memory->nights;
    (void)finding;
    if (nights->count == 0) {
        zh[0] = en[0] = hint[0] = '\0';
        return;
    }
    const char *unit = moment->unit && strcmp(moment->unit, "1") != 0 ? moment->unit : "";
    struct diagnosis_word trend = diagnosis_word(memory->trend, 3);
    struct diagnosis_word from = diagnosis_word(nights->lows[0], 3);
    struct diagnosis_word to = diagnosis_word(nights->lows[nights->count - 1], 3);
    const char *sign = memory->trend > 0 ? "+" : "";
    diagnosis_say(zh, "夜间零点趋势 %s%s %s/30 天（%u 夜，%s → %s），建议校准", sign, trend.text,
                  unit, (unsigned)nights->count, from.text, to.text);
    diagnosis_say(en, "zero at night moves by %s%s %s in 30 days (%u nights, %s to %s): calibrate",
                  sign, trend.text, unit, (unsigned)nights->count, from.text, to.text);
    hint[0] = '\0';
}

static size_t save(const void *state, const struct diagnosis_moment *moment, uint8_t *out,
                   size_t capacity)
{
    const struct memory *memory = state;
    struct diagnosis_bytes bytes = {.out = out, .size = capacity};
    (void)moment;
    if (memory->nights.count == 0)
        return 0;
    diagnosis_bytes_put(&bytes, SAVED_AS, 1);
    diagnosis_nights_put(&memory->nights, &bytes);
    return diagnosis_bytes_written(&bytes);
}

static bool load(void *state, const struct diagnosis_moment *moment, const uint8_t *in,
                 size_t length)
{
    struct memory *memory = state;
    struct diagnosis_bytes bytes = {.in = in, .size = length};
    struct memory loaded = {0};
    (void)moment;
    if (diagnosis_bytes_get(&bytes, 1) != SAVED_AS)
        return false;
    diagnosis_nights_get(&loaded.nights, &bytes);
    if (!diagnosis_bytes_are_read(&bytes))
        return false;
    *memory = loaded;
    find_trend(memory);
    return true;
}

const struct diagnosis diagnosis_drift = {
    .form = {.name = "drift",
             .title_zh = "零点漂移",
             .title_en = "drifting zero",
             .levels_mean = {"测点单位的变化（30 天内）", "of the point's unit in 30 days"},
             .fault = true,
             .params = params,
             .param_count = DIAGNOSIS_COUNT(params),
             .roles = roles,
             .role_count = DIAGNOSIS_COUNT(roles)},
    .memory = sizeof(struct memory),
    .step = step,
    .tell = tell,
    .save = save,
    .load = load,
};
