/* A burst main: the pressure drops and does not come back.
 *
 * Called on the thread of the watch; owns nothing, its state is the caller's memory. Numbers come
 * from the rule; domain 4 [S21]. Never says that a main has burst: it says what was measured, and
 * that it looks like it. */
#include <math.h>
#include <stdio.h>

#include "drivers/diagnosis_bytes.h"
#include "drivers/diagnosis_parts.h"
#include "drivers/window.h"

enum role { PRESSURE, FLOW, RUN };
enum param { WITHIN, WATCH, RECOVERED, FLOW_RISE, PUMP_STOP };

static const struct diagnosis_param params[] = {
    [WITHIN] = {"within",
                true,
                true,
                1e3,
                3600e3,
                {"压降最多在这么久内发生", "the drop happens in at most so long"}},
    [WATCH] = {"watch",
               true,
               true,
               1e3,
               86400e3,
               {"压降持续这么久才报警", "no level before the drop has lasted so long"}},
    [RECOVERED] = {"recovered",
                   false,
                   true,
                   1,
                   100,
                   {"恢复到压降前的百分之几就不算爆管",
                    "% of the pressure before the drop: back there, it was no burst"}},
    [FLOW_RISE] = {"flow_rise",
                   false,
                   true,
                   1,
                   1000,
                   {"流量比之前多百分之几，可信度更高",
                    "% more flow than before: more confidence"}},
    [PUMP_STOP] = {"pump_stop",
                   true,
                   true,
                   0,
                   3600e3,
                   {"压降前这么久内停过泵，即为停泵所致",
                    "a pump that stopped at most so long before the drop explains it"}},
};

static const struct diagnosis_role roles[] = {
    [PRESSURE] = {.name = "pressure", .quantity = "pressure", .required = true},
    [FLOW] = {.name = "flow", .quantity = "flow", .elsewhere = true},
    [RUN] = {.name = "run", .quantity = "run", .elsewhere = true},
};

/*            before - value >= the least number, where `before` is the highest pressure of `within`
 *   CALM     that two samples in a row reached                             `watch` is over and it
 * is ^  ----------------------------------------> WATCHED ------------------ still low ------>
 * BURST |                                               | |
 *    |<-- two samples >= `recovered` % of before ----+<------------------------------------------+
 *    +<-- a pump stopped at most `pump_stop` before -+
 *
 * A spike up is no `before`, a spike down comes back, and a sample that is missing proves nothing:
 * when none comes after the watch it is told after another `watch`, if two had been low. The level
 * is that of the largest drop that two samples in a row confirm.
 *
 * After a restart it is WATCHED anew: a burst goes on if it is still low after the watch.
 *
 * Confidence: 70; flow up by `flow_rise` or more +20, flow known and not up -15; the sensor silent
 * since the watch ended -20. */
enum phase { CALM, WATCHED, BURST };
enum { FLOWS_KEPT = 3, SAVED_AS = 1 };

struct memory {
    struct window highest; /* of pressure, in `within` */
    bool has_newest;
    double newest;
    mono_time newest_at;
    enum phase phase;
    double before, drop; /* MPa; the drop that is sure */
    bool is_sure;        /* the drop reaches a level */
    bool came_back, is_silent;
    mono_time since;
    uint8_t level;
    double flows[FLOWS_KEPT]; /* the newest before the drop */
    uint32_t flow_count;
    bool has_rise;
    double rise; /* of the flow since, % */
    bool ran;
    mono_time ran_at, stopped_from,
        stopped_at; /* newest sample that ran; the newest stop: between */
};

/* ---- calm ---- */

static void calm_down(struct memory *memory, const struct diagnosis_moment *moment)
{
    memory->phase = CALM;
    memory->level = LEVEL_NONE;
    memory->has_rise = false;
    window_start(&memory->highest, diagnosis_ms(moment, WITHIN));
}

/* What two samples in a row reached, the second not later than `within` after the first. */
static void learn_pressure(struct memory *memory, const struct diagnosis_moment *moment,
                           const struct diagnosis_input *pressure)
{
    if (memory->highest.span_ms == 0)
        window_start(&memory->highest, diagnosis_ms(moment, WITHIN));
    if (memory->has_newest &&
        clock_ms_between(memory->newest_at, pressure->at) <= diagnosis_ms(moment, WITHIN)) {
        double both = memory->newest < pressure->value ? memory->newest : pressure->value;
        window_add(&memory->highest, pressure->at, both, 0);
    }
}

static void look_for_drop(struct memory *memory, const struct diagnosis_moment *moment,
                          const struct diagnosis_input *pressure)
{
    const struct rule *rule = moment->rule;
    double low, high;
    window_age(&memory->highest, pressure->at);
    bool has_before = memory->highest.span_ms != 0 && window_range(&memory->highest, &low, &high);
    if (has_before && high - pressure->value >= rule->levels[diagnosis_least(rule)].value) {
        memory->phase = WATCHED;
        memory->before = high;
        memory->drop = 0;
        memory->is_sure = memory->came_back = memory->is_silent = false;
        memory->since = pressure->at;
        return;
    }
    learn_pressure(memory, moment, pressure);
}

/* ---- the drop ---- */

static void follow_drop(struct memory *memory, const struct diagnosis_moment *moment,
                        const struct diagnosis_input *pressure)
{
    double back = memory->before * diagnosis_number(moment, RECOVERED) / 100;
    bool was_back = memory->came_back;
    double higher = memory->newest > pressure->value ? memory->newest : pressure->value;
    memory->came_back = pressure->value >= back;
    memory->is_silent = false;
    if (memory->came_back && was_back) {
        calm_down(memory, moment);
        return;
    }
    if (memory->newest_at.ns >= memory->since.ns && memory->before - higher > memory->drop) {
        memory->drop = memory->before - higher;
        memory->is_sure = diagnosis_level(moment->rule, memory->drop) != LEVEL_NONE;
    }
}

static bool is_explained(const struct memory *memory, const struct diagnosis_moment *moment)
{
    int64_t earlier_ms = clock_ms_between(memory->stopped_at, memory->since);
    return memory->stopped_at.ns && earlier_ms <= diagnosis_ms(moment, PUMP_STOP) &&
           memory->stopped_from.ns <= memory->since.ns;
}

/* The end of the watch, and when a silent sensor is waited for no longer. */
static mono_time watch_end(const struct memory *memory, const struct diagnosis_moment *moment,
                           int64_t times)
{
    return clock_after_ms(memory->since, times * diagnosis_ms(moment, WATCH));
}

static void judge_drop(struct memory *memory, const struct diagnosis_moment *moment)
{
    if (memory->phase != WATCHED)
        return;
    mono_time end = watch_end(memory, moment, 1), late = watch_end(memory, moment, 2);
    bool has_spoken = memory->newest_at.ns >= end.ns && !memory->came_back;
    bool is_late = moment->now.ns >= late.ns;
    if (is_explained(memory, moment) || (is_late && memory->came_back)) {
        calm_down(memory, moment);
    } else if (has_spoken || is_late) {
        memory->is_silent = !has_spoken;
        if (memory->is_sure)
            memory->phase = BURST;
        else
            calm_down(memory, moment);
    }
}

/* ---- the witnesses ---- */

static void hear_flow(struct memory *memory, const struct diagnosis_input *flow)
{
    if (!diagnosis_is_heard(flow))
        return;
    if (memory->phase == CALM) {
        memory->flows[2] = memory->flows[1];
        memory->flows[1] = memory->flows[0];
        memory->flows[0] = flow->value;
        memory->flow_count += memory->flow_count < FLOWS_KEPT;
        return;
    }
    double kept[FLOWS_KEPT] = {memory->flows[0], memory->flows[1], memory->flows[2]};
    double before = diagnosis_median(kept, memory->flow_count);
    memory->has_rise = memory->flow_count > 0 && before > 0;
    memory->rise = memory->has_rise ? (flow->value / before - 1) * 100 : 0;
}

static void hear_run(struct memory *memory, const struct diagnosis_input *run)
{
    if (!diagnosis_is_heard(run))
        return;
    bool runs = run->value >= 0.5;
    if (memory->ran && !runs) {
        memory->stopped_from = memory->ran_at;
        memory->stopped_at = run->at;
    }
    memory->ran = runs;
    memory->ran_at = run->at;
}

static void step(void *state, const struct diagnosis_moment *moment, struct finding *out)
{
    struct memory *memory = state;
    const struct diagnosis_input *pressure = diagnosis_player(moment, PRESSURE);
    *out = (struct finding){0};
    hear_flow(memory, diagnosis_player(moment, FLOW));
    hear_run(memory, diagnosis_player(moment, RUN));
    if (diagnosis_is_heard(pressure)) {
        if (memory->phase == CALM)
            look_for_drop(memory, moment, pressure);
        else
            follow_drop(memory, moment, pressure);
        memory->has_newest = true;
        memory->newest = pressure->value;
        memory->newest_at = pressure->at;
    }
    judge_drop(memory, moment);
    out->hurry = memory->phase != CALM;
    if (memory->phase == WATCHED)
        out->due = diagnosis_sooner(watch_end(memory, moment, 1), watch_end(memory, moment, 2),
                                    moment->now);
    if (memory->phase != BURST)
        return;
    uint8_t now = diagnosis_follow(moment->rule, LEVEL_NONE, memory->drop);
    memory->level = memory->level == LEVEL_NONE || now < memory->level ? now : memory->level;
    bool flow_rises = memory->has_rise && memory->rise >= diagnosis_number(moment, FLOW_RISE);
    out->level = memory->level;
    out->value = memory->drop;
    out->threshold = moment->rule->levels[memory->level].value;
    out->since = memory->since;
    out->confidence = (uint8_t)(70 +
                                (flow_rises         ? 20
                                 : memory->has_rise ? -15
                                                    : 0) -
                                (memory->is_silent ? 20 : 0));
}

static void say_flow(const struct memory *memory, bool chinese, char out[64])
{
    struct diagnosis_word rise = diagnosis_word(fabs(memory->rise), 0);
    bool is_up = memory->rise >= 0;
    out[0] = '\0';
    if (memory->has_rise && chinese)
        snprintf(out, 64, "；流量%s %s %%", is_up ? "上升" : "下降", rise.text);
    else if (memory->has_rise)
        snprintf(out, 64, "; flow %s by %s %%", is_up ? "up" : "down", rise.text);
}

static void tell(const void *state, const struct diagnosis_moment *moment,
                 const struct finding *finding, char zh[DIAGNOSIS_TEXT_MAX],
                 char en[DIAGNOSIS_TEXT_MAX], char hint[DIAGNOSIS_TEXT_MAX])
{
    const struct memory *memory = state;
    char flow_zh[64], flow_en[64];
    int64_t within = diagnosis_ms(moment, WITHIN);
    int64_t lasted = clock_ms_between(memory->since, moment->now);
    int recovered = (int)diagnosis_number(moment, RECOVERED);
    struct diagnosis_word drop = diagnosis_word(memory->drop, 2);
    (void)finding;
    say_flow(memory, true, flow_zh);
    say_flow(memory, false, flow_en);
    diagnosis_say(zh, "压力 %s内下降 %s MPa，%s未恢复到 %d %%%s，疑似爆管",
                  diagnosis_word_ms(within, true).text, drop.text,
                  diagnosis_word_ms(lasted, true).text, recovered, flow_zh);
    diagnosis_say(en,
                  "pressure fell by %s MPa in %s, not back to %d %% after %s%s: suspected burst",
                  drop.text, diagnosis_word_ms(within, false).text, recovered,
                  diagnosis_word_ms(lasted, false).text, flow_en);
    diagnosis_say(hint, "%s", memory->is_silent ? "之后无压力数据 / no pressure since" : "");
}

static size_t save(const void *state, const struct diagnosis_moment *moment, uint8_t *out,
                   size_t capacity)
{
    const struct memory *memory = state;
    struct diagnosis_bytes bytes = {.out = out, .size = capacity};
    (void)moment;
    if (memory->phase == CALM)
        return 0;
    diagnosis_bytes_put(&bytes, SAVED_AS, 1);
    diagnosis_bytes_put_real(&bytes, memory->before);
    diagnosis_bytes_put_real(&bytes, memory->drop);
    return diagnosis_bytes_written(&bytes);
}

static bool load(void *state, const struct diagnosis_moment *moment, const uint8_t *in,
                 size_t length)
{
    struct memory *memory = state;
    struct diagnosis_bytes bytes = {.in = in, .size = length};
    struct memory loaded = {.phase = WATCHED, .since = moment->now};
    if (diagnosis_bytes_get(&bytes, 1) != SAVED_AS)
        return false;
    loaded.before = diagnosis_bytes_get_real(&bytes);
    loaded.drop = diagnosis_bytes_get_real(&bytes);
    loaded.is_sure = diagnosis_level(moment->rule, loaded.drop) != LEVEL_NONE;
    if (!diagnosis_bytes_are_read(&bytes))
        return false;
    *memory = loaded;
    return true;
}

const struct diagnosis diagnosis_burst = {
    .form = {.name = "burst",
             .title_zh = "疑似爆管",
             .title_en = "suspected burst",
             .levels_mean = {"MPa 压降", "drop in MPa"},
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
