/* A well that is about to spill, or does: the level comes up to the cover and rises, or it rains.
 *
 * Called on the thread of the watch; owns nothing, its state is the caller's memory. Numbers come
 * from the rule; domain 4 [eng]. Never guesses where the cover is: the site gives it. */
#include <math.h>

#include "drivers/diagnosis_parts.h"
#include "drivers/diagnosis_rain.h"
#include "drivers/diagnosis_zero.h"

enum role { LEVEL, RAIN, TILT };
enum param { COVER, NEAR, RAIN_WINDOW, LIFTED_FROM };
enum { SAVED_AS = 1, TWICE_MS = 1 /* two moments */ };

static const struct diagnosis_param params[] = {
    [COVER] = {"cover",
               false,
               true,
               0,
               100,
               {"井盖高出液位零点多少 m", "m of the cover above the level's zero"}},
    [NEAR] = {"near",
              false,
              true,
              0,
              10,
              {"离井盖多少 m 起算", "m below the cover from where it counts"}},
    [RAIN_WINDOW] = {"rain_window",
                     true,
                     false,
                     60e3,
                     86400e3,
                     {"这么久内下过雨即可解释高液位；不写则不看雨量",
                      "rain in so long explains a high level; without it rain is not looked at"}},
    [LIFTED_FROM] =
        {"lifted",
         false,
         false,
         1,
         90,
         {"井盖倾斜多少度更严重；不写则不看倾角",
          "degrees of the cover that make it graver; without it tilt is not looked at"}},
};

static const struct diagnosis_role roles[] = {
    [LEVEL] = {.name = "level", .quantity = "level", .required = true},
    [RAIN] = {.name = "rain", .quantity = "rain", .elsewhere = true},
    [TILT] = {.name = "tilt", .quantity = "tilt", .siblings = true},
};

/*           two samples >= cover - near + the least number, and
 *           RISING (it came up from below, or three samples each higher)
 *           or RAIN (some fell within `rain_window`)
 *      CALM ------------------------------------------------> UP: level by the lower one of two
 *       ^                                                     |   samples, one graver when the
 *       +---- two samples below that by the hysteresis -------+   cover is tilted by `lifted`
 *
 * A gauge that stands still near the cover since the start is no overflow: it may be set wrong. One
 * that was UP before a restart is UP again when its first two samples are as high.
 * Confidence: rising 80, rain 75, both 90; 5 more when the cover is lifted. */
enum reason { RISING = 1, RAINING = 2, LIFTED = 4 };

struct memory {
    struct diagnosis_zero zero;
    struct diagnosis_rain rain;
    struct diagnosis_hold tilted;
    uint32_t samples;
    double newest, before, before_that;
    bool was_below, up;
    unsigned reasons, reasons_before; /* before a restart */
    uint8_t level;
    mono_time since, before_at;
};

/* m above cover - near. */
static double measure_of(const struct diagnosis_moment *moment, double level)
{
    return level - (diagnosis_number(moment, COVER) - diagnosis_number(moment, NEAR));
}

static double sure_of(const struct memory *memory)
{
    return memory->before < memory->newest ? memory->before : memory->newest;
}

static void hear_level(struct memory *memory, const struct diagnosis_moment *moment,
                       const struct diagnosis_input *level)
{
    const struct rule *rule = moment->rule;
    double least = rule->levels[diagnosis_least(rule)].value;
    memory->before_that = memory->before;
    memory->before = memory->samples ? memory->newest : measure_of(moment, level->value);
    memory->newest = measure_of(moment, level->value);
    memory->samples += memory->samples < 3;
    bool has_two = memory->samples >= 2;
    double higher = memory->before > memory->newest ? memory->before : memory->newest;
    if (has_two && higher < least - rule->hysteresis.value)
        memory->up = false;
    if (memory->newest < least)
        memory->was_below = true;
    bool climbs = memory->samples >= 3 && memory->before_that < memory->before &&
                  memory->before < memory->newest;
    if (!memory->up)
        memory->reasons = 0;
    if (has_two && sure_of(memory) >= least && (memory->was_below || climbs)) {
        memory->reasons |= RISING;
        memory->was_below = false;
    }
    if (memory->samples == 2 && sure_of(memory) >= least)
        memory->reasons |= memory->reasons_before;
    if (!memory->up)
        memory->since = memory->before_at.ns ? memory->before_at : level->at;
    memory->before_at = level->at;
}

static int64_t rain_window(const struct diagnosis_moment *moment)
{
    const struct rule_number *window = &moment->rule->params[RAIN_WINDOW];
    return window->given ? (int64_t)window->value : 0;
}

static bool is_raining(const struct memory *memory, const struct diagnosis_moment *moment)
{
    int64_t window = rain_window(moment);
    return window > 0 && memory->rain.rained.ns &&
           clock_ms_between(memory->rain.rained, moment->now) <= window;
}

/* Two moments of one tilted axis: a spike lifts nothing. */
static void hear_tilt(struct memory *memory, const struct diagnosis_moment *moment)
{
    const struct diagnosis_role_inputs *axes = &moment->roles[TILT];
    const struct rule_number *lifted = &moment->rule->params[LIFTED_FROM];
    double degrees;
    bool is_heard = false;
    for (size_t i = 0; i < axes->count; i++)
        is_heard |= diagnosis_is_heard(&axes->inputs[i]);
    if (!lifted->given || !is_heard)
        return;
    diagnosis_zero_hear(&memory->zero, axes, lifted->value, moment->now);
    if (diagnosis_zero_heard(&memory->zero, axes, &degrees) && degrees >= lifted->value)
        diagnosis_hold_hear(&memory->tilted, true, moment->now, TWICE_MS);
    else if (diagnosis_zero_tilt(&memory->zero, axes, &degrees) && degrees < lifted->value)
        diagnosis_hold_hear(&memory->tilted, false, moment->now, TWICE_MS);
}

static void hear_all(struct memory *memory, const struct diagnosis_moment *moment)
{
    const struct diagnosis_input *level = diagnosis_player(moment, LEVEL);
    hear_tilt(memory, moment);
    if (rain_window(moment) > 0)
        diagnosis_rain_hear(&memory->rain, diagnosis_player(moment, RAIN), rain_window(moment));
    if (diagnosis_is_heard(level))
        hear_level(memory, moment, level);
}

static void step(void *state, const struct diagnosis_moment *moment, struct finding *out)
{
    struct memory *memory = state;
    const struct rule *rule = moment->rule;
    *out = (struct finding){0};
    hear_all(memory, moment);
    bool is_high =
        memory->samples >= 2 && sure_of(memory) >= rule->levels[diagnosis_least(rule)].value;
    out->hurry = is_high || memory->up;
    if (is_high && is_raining(memory, moment))
        memory->reasons |= RAINING;
    if (is_high && !memory->up && memory->reasons != 0) {
        memory->up = true;
        memory->level = LEVEL_NONE;
    }
    if (!memory->up)
        return;
    memory->level = diagnosis_follow(rule, memory->level, sure_of(memory));
    if (is_high && memory->tilted.held)
        memory->reasons |= LIFTED;
    bool was_lifted = (memory->reasons & LIFTED) != 0;
    out->level = was_lifted ? diagnosis_graver(rule, memory->level) : memory->level;
    out->value = memory->newest;
    out->threshold = rule->levels[memory->level].value;
    out->since = memory->since;
    out->confidence =
        (uint8_t)((memory->reasons & RISING ? 80 : 75) +
                  ((memory->reasons & (RISING | RAINING)) == (RISING | RAINING) ? 10 : 0) +
                  (was_lifted ? 5 : 0));
}

static void tell(const void *state, const struct diagnosis_moment *moment,
                 const struct finding *finding, char zh[DIAGNOSIS_TEXT_MAX],
                 char en[DIAGNOSIS_TEXT_MAX], char hint[DIAGNOSIS_TEXT_MAX])
{
    const struct memory *memory = state;
    double under = diagnosis_number(moment, NEAR) - memory->newest;
    bool is_over = under <= 0, rains = is_raining(memory, moment);
    /* it was raised for rising, and may fall by now */
    bool rises = memory->reasons & RISING && memory->newest >= memory->before;
    struct diagnosis_word far = diagnosis_word(fabs(under), 2);
    (void)finding;
    diagnosis_say(zh, "水位%s井盖 %s m%s%s%s", is_over ? "高出" : "低于", far.text,
                  rises ? "，上升" : "", rains ? "，正在降雨" : "",
                  is_over ? "，疑似外溢" : "，可能外溢");
    diagnosis_say(en, "water %s m %s the cover%s%s: %s", far.text, is_over ? "above" : "below",
                  rises ? ", rising" : "", rains ? ", rain" : "",
                  is_over ? "suspected overflow" : "may overflow");
    diagnosis_say(hint, "%s",
                  memory->reasons & LIFTED ? "井盖倾斜，疑似被水顶起 / cover tilted, suspected "
                                             "lifted by the water"
                                           : "");
}

static size_t save(const void *state, const struct diagnosis_moment *moment, uint8_t *out,
                   size_t capacity)
{
    const struct memory *memory = state;
    struct diagnosis_bytes bytes = {.out = out, .size = capacity};
    (void)moment;
    if (!memory->zero.was_flat && !memory->zero.found && !memory->up)
        return 0;
    diagnosis_bytes_put(&bytes, SAVED_AS, 1);
    diagnosis_bytes_put(&bytes, memory->up ? memory->reasons : 0, 1);
    diagnosis_zero_put(&memory->zero, &bytes);
    return diagnosis_bytes_written(&bytes);
}

static bool load(void *state, const struct diagnosis_moment *moment, const uint8_t *in,
                 size_t length)
{
    struct memory *memory = state;
    struct diagnosis_bytes bytes = {.in = in, .size = length};
    struct memory loaded = {0};
    if (diagnosis_bytes_get(&bytes, 1) != SAVED_AS)
        return false;
    loaded.reasons_before = (unsigned)diagnosis_bytes_get(&bytes, 1) & (RISING | RAINING | LIFTED);
    diagnosis_zero_get(&loaded.zero, moment->roles[TILT].count, &bytes);
    if (!diagnosis_bytes_are_read(&bytes))
        return false;
    *memory = loaded;
    return true;
}

const struct diagnosis diagnosis_overflow = {
    .form = {.name = "overflow",
             .title_zh = "井口外溢",
             .title_en = "overflow",
             .levels_mean = {"m，高出 cover - near", "m above cover - near"},
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
