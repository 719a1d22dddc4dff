/* A leak that nobody sees: the least flow of the night is more than its own base.
 *
 * Called on the thread of the watch; owns nothing, its state is the caller's memory. Numbers come
 * from the rule; domain 4. Says nothing while the clock is not true, and nothing before it has seen
 * `nights` nights. */
#include <math.h>

#include "drivers/diagnosis_night.h"
#include "drivers/diagnosis_parts.h"

enum role { FLOW };
enum param { NIGHTS };

static const struct diagnosis_param params[] = {
    [NIGHTS] = {"nights", false, true, 3, 60, {"多少个夜晚定基准", "nights that make the base"}},
};

static const struct diagnosis_role roles[] = {
    [FLOW] = {.name = "flow", .quantity = "flow", .required = true},
};

/* The base is the median of the nights of the same kind (working days, weekends). A night above the
 * least level teaches nothing, or a leak would become its own base; but after `nights` of them in a
 * row they are how it is.
 *
 *     learning --`nights` nights, 3 of this kind--> judging, once a night at 04 h:
 *         ratio = least flow / base >= a level's number: wanted until another night
 *         says otherwise
 *
 * Confidence: 60; 10 more with two nights in a row above, 10 more with a week of nights of this
 * kind, 10 more when the base's own nights lie close together (a quarter around the median). */
struct memory {
    struct diagnosis_night night;
    struct diagnosis_nights nights;
    uint32_t above; /* nights in a row at or above the least level */
    bool judged;
    int32_t day;
    double low, base;
    uint32_t of_kind;
    bool is_calm;
};

enum { OF_KIND_LEAST = 3, SAVED_AS = 1 };

static double base_of(const struct diagnosis_nights *nights, int32_t day, uint32_t *count,
                      bool *is_calm)
{
    double lows[DIAGNOSIS_NIGHTS_MAX];
    *count = 0;
    for (uint32_t i = 0; i < nights->count; i++) {
        if (diagnosis_night_is_weekend(nights->days[i]) == diagnosis_night_is_weekend(day))
            lows[(*count)++] = nights->lows[i];
    }
    double base = diagnosis_median(lows, *count);
    for (uint32_t i = 0; i < *count; i++)
        lows[i] = fabs(lows[i] - base);
    *is_calm = diagnosis_median(lows, *count) <= base / 4;
    return base;
}

static void end_night(struct memory *memory, const struct diagnosis_moment *moment, int32_t day,
                      double low)
{
    uint32_t enough = (uint32_t)diagnosis_number(moment, NIGHTS);
    uint32_t of_kind;
    bool is_calm;
    diagnosis_nights_forget_from(&memory->nights, day);
    double base = base_of(&memory->nights, day, &of_kind, &is_calm);
    bool is_known = memory->nights.count >= enough && of_kind >= OF_KIND_LEAST && base > 0;
    bool is_above = is_known && diagnosis_level(moment->rule, low / base) != LEVEL_NONE;
    memory->above = is_above ? memory->above + 1 : 0;
    memory->judged = is_known;
    memory->day = day;
    memory->low = low;
    memory->base = base;
    memory->of_kind = of_kind;
    memory->is_calm = is_calm;
    if (!is_above || memory->above > enough)
        diagnosis_nights_add(&memory->nights, day, low, DIAGNOSIS_NIGHTS_MAX);
}

static uint8_t confidence_of(const struct memory *memory)
{
    return (uint8_t)(60 + (memory->above > 1 ? 10 : 0) + (memory->of_kind >= 7 ? 10 : 0) +
                     (memory->is_calm ? 10 : 0));
}

static void step(void *state, const struct diagnosis_moment *moment, struct finding *out)
{
    struct memory *memory = state;
    int32_t day;
    double low;
    if (diagnosis_night_hear(&memory->night, moment, diagnosis_player(moment, FLOW), &day, &low))
        end_night(memory, moment, day, low);
    *out = (struct finding){.due = diagnosis_night_due(&memory->night, moment)};
    if (!memory->judged)
        return;
    out->level = diagnosis_level(moment->rule, memory->low / memory->base);
    if (out->level == LEVEL_NONE)
        return;
    out->value = memory->low / memory->base;
    out->threshold = moment->rule->levels[out->level].value;
    out->confidence = confidence_of(memory);
}

static void tell(const void *state, const struct diagnosis_moment *moment,
                 const struct finding *finding, char zh[DIAGNOSIS_TEXT_MAX],
                 char en[DIAGNOSIS_TEXT_MAX], char hint[DIAGNOSIS_TEXT_MAX])
{
    const struct memory *memory = state;
    (void)moment;
    bool is_weekend = diagnosis_night_is_weekend(memory->day);
    struct diagnosis_word low = diagnosis_word(memory->low, 1);
    struct diagnosis_word base = diagnosis_word(memory->base, 1);
    struct diagnosis_word ratio = diagnosis_word(finding->value, 2);
    diagnosis_say(zh, "夜间（2–4 时）最小流量 %s m³/h，为%s基准 %s 的 %s 倍，已 %u 夜，疑似漏损",
                  low.text, is_weekend ? "周末" : "工作日", base.text, ratio.text,
                  (unsigned)memory->above);
    diagnosis_say(en,
                  "least night flow (02-04 h) %s m³/h, %s times the %s base of %s, %u nights: "
                  "suspected leak",
                  low.text, ratio.text, is_weekend ? "weekend" : "weekday", base.text,
                  (unsigned)memory->above);
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
    diagnosis_bytes_put(&bytes, memory->above, 4);
    diagnosis_bytes_put(&bytes, memory->judged, 1);
    diagnosis_bytes_put(&bytes, (uint32_t)memory->day, 4);
    diagnosis_bytes_put_real(&bytes, memory->low);
    diagnosis_bytes_put_real(&bytes, memory->base);
    diagnosis_bytes_put(&bytes, memory->of_kind, 1);
    diagnosis_bytes_put(&bytes, memory->is_calm, 1);
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
    loaded.above = (uint32_t)diagnosis_bytes_get(&bytes, 4);
    loaded.judged = diagnosis_bytes_get(&bytes, 1) == 1;
    uint64_t day = diagnosis_bytes_get(&bytes, 4);
    loaded.low = diagnosis_bytes_get_real(&bytes);
    loaded.base = diagnosis_bytes_get_real(&bytes);
    loaded.of_kind = (uint32_t)diagnosis_bytes_get(&bytes, 1);
    loaded.is_calm = diagnosis_bytes_get(&bytes, 1) == 1;
    if (!diagnosis_bytes_are_read(&bytes) || day > DIAGNOSIS_DAY_MAX ||
        (loaded.judged && loaded.base <= 0))
        return false;
    loaded.day = (int32_t)day;
    *memory = loaded;
    return true;
}

const struct diagnosis diagnosis_night_leak = {
    .form = {.name = "night_leak",
             .title_zh = "夜间最小流量偏高",
             .title_en = "night flow above its base",
             .levels_mean = {"倍基准，夜间（2 至 4 时）最小流量",
                             "least flow of the night (02-04 h) as a multiple of its base"},
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
