/* Water begins to stand on the road: how fast it comes, and when it reaches the next levels.
 *
 * Called on the thread of the watch; owns nothing, its state is the caller's memory. Numbers come
 * from the rule; domain 4 [S26]. Never says how deep it will get: only when, at this rate. */
#include <math.h>
#include <stdio.h>

#include "drivers/diagnosis_parts.h"

enum role { DEPTH };
enum param { EARLY, RISE, END, QUIET, NEXT1, NEXT2 };

static const struct diagnosis_param params[] = {
    [EARLY] = {"early",
               false,
               true,
               0,
               10000,
               {"多少 mm 起看上涨速度", "mm from where a fast rise counts"}},
    [RISE] = {"rise",
              false,
              true,
              0.1,
              10000,
              {"每分钟上涨多少 mm 算快", "mm/min that are a fast rise"}},
    [END] = {"end", false, true, 0, 10000, {"低于多少 mm 算结束", "mm below which it is over"}},
    [QUIET] = {"quiet", true, true, 0, 86400e3, {"低于 end 持续这么久", "below `end` for so long"}},
    [NEXT1] = {"next1",
               false,
               false,
               0,
               10000,
               {"预报涨到多少 mm 的时间", "mm to which the time is told"}},
    [NEXT2] = {"next2",
               false,
               false,
               0,
               10000,
               {"之后再预报涨到多少 mm 的时间", "mm to which the time is told after that"}},
};

static const struct diagnosis_role roles[] = {
    [DEPTH] = {.name = "depth", .quantity = "depth", .required = true},
};

/*          two samples >= the least number,
 *          or >= `early` and rising by `rise` mm/min
 *      DRY --------------------------------------> WET: level by what two samples say
 *       ^                                           |
 *       +---- samples below `end` for `quiet` ------+
 *
 * What counts is the lower one of two samples in a row: a spike is no flood. The rate is the median
 * of the slopes between five samples, half a minute apart or more, of the last ten minutes.
 * Confidence: two samples at the level 85, 5 more while it rises; early by its rate 70. */
enum { RATE_KEPT = 5, RATE_APART_MS = 30000, RATE_WITHIN_MS = 600000, RATE_LEAST = 3 };

struct memory {
    bool has_before, wet, is_early;
    double before, sure, newest;
    mono_time before_at;
    uint32_t kept;
    double depths[RATE_KEPT];
    mono_time times[RATE_KEPT];
    struct diagnosis_hold low;
    uint8_t level;
    mono_time since;
};

static void keep_for_rate(struct memory *memory, double depth, mono_time at)
{
    if (memory->kept && clock_ms_between(memory->times[memory->kept - 1], at) < RATE_APART_MS)
        return;
    if (memory->kept == RATE_KEPT) {
        memory->kept--;
        for (uint32_t i = 0; i < memory->kept; i++) {
            memory->depths[i] = memory->depths[i + 1];
            memory->times[i] = memory->times[i + 1];
        }
    }
    memory->depths[memory->kept] = depth;
    memory->times[memory->kept++] = at;
}

/* mm/min; false while it is not known. */
static bool rate_of(const struct memory *memory, mono_time now, double *rate)
{
    double slopes[RATE_KEPT * RATE_KEPT / 2];
    uint32_t first = 0;
    size_t count = 0;
    while (first < memory->kept && clock_ms_between(memory->times[first], now) > RATE_WITHIN_MS)
        first++;
    for (uint32_t i = first; i < memory->kept; i++) {
        for (uint32_t j = i + 1; j < memory->kept; j++)
            slopes[count++] = (memory->depths[j] - memory->depths[i]) /
                              ((double)clock_ms_between(memory->times[i], memory->times[j]) / 60e3);
    }
    *rate = diagnosis_median(slopes, count);
    return memory->kept - first >= RATE_LEAST;
}

static void hear(struct memory *memory, const struct diagnosis_moment *moment,
                 const struct diagnosis_input *depth)
{
    double rate, least = moment->rule->levels[diagnosis_least(moment->rule)].value;
    double early = diagnosis_number(moment, EARLY);
    bool has_two = memory->has_before;
    double before = has_two ? memory->before : depth->value;
    mono_time before_at = has_two ? memory->before_at : depth->at;
    memory->sure = before < depth->value ? before : depth->value;
    memory->newest = memory->before = depth->value;
    memory->has_before = true;
    memory->before_at = depth->at;
    if (has_two)
        keep_for_rate(memory, memory->sure, depth->at);
    diagnosis_hold_hear(&memory->low, depth->value < diagnosis_number(moment, END), depth->at,
                        diagnosis_ms(moment, QUIET));
    if (memory->wet && memory->low.held)
        memory->wet = false;
    bool is_deep = has_two && memory->sure >= least;
    bool is_coming = has_two && memory->sure >= early && rate_of(memory, depth->at, &rate) &&
                     rate >= diagnosis_number(moment, RISE);
    if (!memory->wet && (is_deep || is_coming)) {
        memory->wet = true;
        memory->since = before_at;
        memory->level = LEVEL_NONE;
    }
    memory->is_early = memory->wet && memory->sure < least;
    if (memory->wet)
        memory->level = diagnosis_follow(moment->rule, memory->level, memory->sure);
}

static void step(void *state, const struct diagnosis_moment *moment, struct finding *out)
{
    struct memory *memory = state;
    const struct diagnosis_input *depth = diagnosis_player(moment, DEPTH);
    *out = (struct finding){0};
    if (diagnosis_is_heard(depth))
        hear(memory, moment, depth);
    out->hurry =
        memory->wet || (memory->has_before && memory->newest >= diagnosis_number(moment, EARLY));
    if (!memory->wet)
        return;
    double rate;
    bool is_rising = rate_of(memory, moment->now, &rate) && rate > 0;
    out->level = memory->level;
    out->value = memory->newest;
    out->threshold = memory->is_early ? diagnosis_number(moment, EARLY)
                                      : moment->rule->levels[memory->level].value;
    out->since = memory->since;
    out->confidence = memory->is_early ? 70 : is_rising ? 90 : 85;
}

/* "，约 7 分钟后到 150 毫米": nothing when it is reached, or hours away. */
static void say_next(const struct diagnosis_moment *moment, size_t param, double depth, double rate,
                     char zh[64], char en[64])
{
    const struct rule_number *next = &moment->rule->params[param];
    double minutes = (next->value - depth) / rate;
    zh[0] = en[0] = '\0';
    if (!next->given || depth >= next->value || !(rate > 0) || !(minutes < 180))
        return;
    struct diagnosis_word to = diagnosis_word(next->value, 0);
    int whole = (int)(minutes + 0.5);
    snprintf(zh, 64, "，约 %d 分钟后到 %s 毫米", whole, to.text);
    snprintf(en, 64, ", %s mm in about %d min", to.text, whole);
}

static void tell(const void *state, const struct diagnosis_moment *moment,
                 const struct finding *finding, char zh[DIAGNOSIS_TEXT_MAX],
                 char en[DIAGNOSIS_TEXT_MAX], char hint[DIAGNOSIS_TEXT_MAX])
{
    const struct memory *memory = state;
    char first_zh[64], first_en[64], then_zh[64], then_en[64];
    struct diagnosis_word depth = diagnosis_word(memory->newest, 0);
    double rate;
    (void)finding;
    hint[0] = '\0';
    if (!rate_of(memory, moment->now, &rate)) {
        diagnosis_say(zh, "积水 %s 毫米，涨速未知", depth.text);
        diagnosis_say(en, "%s mm of water, rate not known yet", depth.text);
        return;
    }
    struct diagnosis_word speed = diagnosis_word(fabs(rate), 1);
    say_next(moment, NEXT1, memory->newest, rate, first_zh, first_en);
    say_next(moment, NEXT2, memory->newest, rate, then_zh, then_en);
    diagnosis_say(zh, "积水 %s 毫米，每分钟%s %s 毫米%s%s", depth.text, rate < 0 ? "下降" : "上升",
                  speed.text, first_zh, then_zh);
    diagnosis_say(en, "%s mm of water, %s by %s mm/min%s%s", depth.text,
                  rate < 0 ? "falling" : "rising", speed.text, first_en, then_en);
}

const struct diagnosis diagnosis_onset = {
    .form = {.name = "onset",
             .title_zh = "开始积水",
             .title_en = "waterlogging begins",
             .levels_mean = {"mm，连续两次", "mm, in two samples"},
             .params = params,
             .param_count = DIAGNOSIS_COUNT(params),
             .roles = roles,
             .role_count = DIAGNOSIS_COUNT(roles)},
    .memory = sizeof(struct memory),
    .step = step,
    .tell = tell,
};
