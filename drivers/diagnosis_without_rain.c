/* Water on the road though it did not rain.
 *
 * Called on the thread of the watch; owns nothing, its state is the caller's memory. Numbers come
 * from the rule; domain 4 [eng]. Never takes a silent rain gauge for a dry one. */
#include "drivers/diagnosis_bytes.h"
#include "drivers/diagnosis_parts.h"
#include "drivers/diagnosis_rain.h"

enum role { DEPTH, RAIN };
enum param { RAIN_WINDOW };
enum { SAVED_AS = 1 };

static const struct diagnosis_param params[] = {
    [RAIN_WINDOW] =
        {"rain_window", true, true, 60e3, 86400e3, {"这么久没有下雨", "no rain for so long"}},
};

static const struct diagnosis_role roles[] = {
    [DEPTH] = {.name = "depth", .quantity = "depth", .required = true},
    [RAIN] =
        {.name = "rain", .quantity = "rain", .required = true, .elsewhere = true, .many = true},
};

/*          two samples >= the least number, and no rain in `rain_window`
 *      DRY ----------------------------------------------------------> WET: level by the lower
 *       ^                                                               |   one of two samples
 *       +---- two samples below it by the hysteresis -------------------+
 *
 * No rain: no gauge that plays has counted any, and one at least is known for all of the window.
 * Rain that comes later does not undo how it began; nor does a restart, when the first two samples
 * after it are as high. Confidence: 60; 75 with two dry gauges; 10 less when one of them is not
 * known. */
struct memory {
    struct diagnosis_rain gauges[RULE_ROLE_POINTS_MAX];
    bool has_before, wet;
    bool was_wet; /* before a restart */
    double before, newest;
    mono_time before_at, since;
    uint8_t level;
    uint32_t dry, unknown;
};

static bool is_without_rain(struct memory *memory, const struct diagnosis_moment *moment)
{
    const struct diagnosis_role_inputs *role = &moment->roles[RAIN];
    int64_t window = diagnosis_ms(moment, RAIN_WINDOW);
    uint32_t dry = 0, unknown = 0;
    for (size_t i = 0; i < role->count && i < RULE_ROLE_POINTS_MAX; i++) {
        const struct diagnosis_rain *gauge = &memory->gauges[i];
        if (diagnosis_rain_sum(gauge, moment->now, window) > 0)
            return false;
        bool is_known = diagnosis_rain_is_known(gauge, &role->inputs[i], moment->now, window);
        dry += is_known;
        unknown += !is_known;
    }
    memory->dry = dry;
    memory->unknown = unknown;
    return dry > 0;
}

static void hear_depth(struct memory *memory, const struct diagnosis_moment *moment,
                       const struct diagnosis_input *depth)
{
    const struct rule *rule = moment->rule;
    double least = rule->levels[diagnosis_least(rule)].value;
    bool has_two = memory->has_before;
    double before = has_two ? memory->newest : depth->value;
    double sure = before < depth->value ? before : depth->value;
    double higher = before < depth->value ? depth->value : before;
    if (has_two && higher < least - rule->hysteresis.value)
        memory->wet = false;
    if (!memory->wet && has_two && sure >= least &&
        (memory->was_wet || is_without_rain(memory, moment))) {
        memory->wet = true;
        memory->since = memory->before_at;
        memory->level = LEVEL_NONE;
    }
    if (memory->wet)
        memory->level = diagnosis_follow(rule, memory->level, sure);
    if (has_two)
        memory->was_wet = false;
    memory->newest = depth->value;
    memory->before_at = depth->at;
    memory->has_before = true;
}

static void step(void *state, const struct diagnosis_moment *moment, struct finding *out)
{
    struct memory *memory = state;
    const struct diagnosis_role_inputs *role = &moment->roles[RAIN];
    const struct diagnosis_input *depth = diagnosis_player(moment, DEPTH);
    for (size_t i = 0; i < role->count && i < RULE_ROLE_POINTS_MAX; i++)
        diagnosis_rain_hear(&memory->gauges[i], &role->inputs[i],
                            diagnosis_ms(moment, RAIN_WINDOW));
    *out = (struct finding){0};
    if (diagnosis_is_heard(depth))
        hear_depth(memory, moment, depth);
    out->hurry = memory->wet;
    if (!memory->wet)
        return;
    out->level = memory->level;
    out->value = memory->newest;
    out->threshold = moment->rule->levels[memory->level].value;
    out->since = memory->since;
    out->confidence = (uint8_t)((memory->dry > 1 ? 75 : 60) - (memory->unknown > 0 ? 10 : 0));
}

static void tell(const void *state, const struct diagnosis_moment *moment,
                 const struct finding *finding, char zh[DIAGNOSIS_TEXT_MAX],
                 char en[DIAGNOSIS_TEXT_MAX], char hint[DIAGNOSIS_TEXT_MAX])
{
    const struct memory *memory = state;
    int64_t window = diagnosis_ms(moment, RAIN_WINDOW);
    struct diagnosis_word depth = diagnosis_word(memory->newest, 0);
    (void)finding;
    diagnosis_say(zh, "积水 %s 毫米，此前 %s内 %u 个雨量站无雨", depth.text,
                  diagnosis_word_ms(window, true).text, (unsigned)memory->dry);
    diagnosis_say(en, "%s mm of water, no rain at %u gauges in the %s before", depth.text,
                  (unsigned)memory->dry, diagnosis_word_ms(window, false).text);
    diagnosis_say(hint, "可能为供水管破裂或雨水口堵塞 / may be a burst pipe or a blocked gully");
}

static size_t save(const void *state, const struct diagnosis_moment *moment, uint8_t *out,
                   size_t capacity)
{
    const struct memory *memory = state;
    struct diagnosis_bytes bytes = {.out = out, .size = capacity};
    (void)moment;
    if (!memory->wet)
        return 0;
    diagnosis_bytes_put(&bytes, SAVED_AS, 1);
    diagnosis_bytes_put(&bytes, memory->dry, 1);
    diagnosis_bytes_put(&bytes, memory->unknown, 1);
    return diagnosis_bytes_written(&bytes);
}

static bool load(void *state, const struct diagnosis_moment *moment, const uint8_t *in,
                 size_t length)
{
    struct memory *memory = state;
    struct diagnosis_bytes bytes = {.in = in, .size = length};
    struct memory loaded = {.was_wet = true};
    (void)moment;
    if (diagnosis_bytes_get(&bytes, 1) != SAVED_AS)
        return false;
    loaded.dry = (uint32_t)diagnosis_bytes_get(&bytes, 1);
    loaded.unknown = (uint32_t)diagnosis_bytes_get(&bytes, 1);
    if (!diagnosis_bytes_are_read(&bytes))
        return false;
    *memory = loaded;
    return true;
}

const struct diagnosis diagnosis_without_rain = {
    .form = {.name = "without_rain",
             .title_zh = "无雨积水",
             .title_en = "waterlogging without rain",
             .levels_mean = {"mm", "mm"},
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
