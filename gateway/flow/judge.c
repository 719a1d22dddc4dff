/* Judging one rule: what a sample is worth to it, and the latches of its levels.
 *
 * Pure; runs in the pipeline thread. What a kind compares is one row of a table; everything after
 * that (dwell, hysteresis, clear, patience) is the same for all of them. Never allocates, never
 * looks at a clock. */
#include "gateway/flow/judge.h"

#include <math.h>
#include <string.h>

#include "drivers/diagnosis_bytes.h"

#define NEVER           ((mono_time){INT64_MAX})
#define CHANGE_ROUNDING 1e-9 /* of the threshold; registers have five digits */

static int64_t ms_of(const struct rule_number *number)
{
    return number->given ? (int64_t)number->value : 0;
}

/* ---- what a sample is worth ---- */

static double value_itself(struct judge *judge, double value, mono_time at)
{
    judge->value = value;
    judge->at = at;
    return value;
}

static double rise(struct judge *judge, double value, mono_time at)
{
    double low = value, high = value;
    window_add(judge->window, at, value, 0);
    (void)window_range(judge->window, &low, &high);
    judge->value = value;
    judge->at = at;
    return value - low;
}

static double fall(struct judge *judge, double value, mono_time at)
{
    double low = value, high = value;
    window_add(judge->window, at, value, 0);
    (void)window_range(judge->window, &low, &high);
    judge->value = value;
    judge->at = at;
    return high - value;
}

static double increase(const struct judge *judge, double value)
{
    double step = value - judge->value;
    if (!judge->begun)
        return 0;
    if (step < 0)
        step += judge->wrap;
    return step < 0 || (value < judge->value && step >= judge->wrap / 4) ? 0 : step;
}

static double sum(struct judge *judge, double value, mono_time at)
{
    window_add(judge->window, at, value, increase(judge, value));
    judge->value = value;
    judge->at = at;
    return window_sum(judge->window);
}

/* The tolerance of `flat` is its hysteresis. The first value after a restore is taken for the one
 * that stood before: that it moved while nobody looked is not known. */
static double flat(struct judge *judge, double value, mono_time at)
{
    bool moved = judge->begun ? fabs(value - judge->value) > judge->rule->hysteresis.value
                              : judge->level == LEVEL_NONE;
    if (moved)
        judge->at = at;
    if (moved || !judge->begun)
        judge->value = value;
    return (double)clock_ms_between(judge->at, at);
}

static double silence(struct judge *judge, double value, mono_time at)
{
    (void)value;
    judge->at = at;
    return 0;
}

/* ---- what is beyond a threshold ---- */

static bool at_or_above(double measure, double threshold, double slack)
{
    return measure >= threshold - slack;
}

/* Tenths are no binary numbers: 500 tips of 0.1 mm are 49.999999999998 mm. */
static bool changed_by(double measure, double threshold, double slack)
{
    return measure >= threshold - slack - CHANGE_ROUNDING * fabs(threshold);
}

static bool at_or_below(double measure, double threshold, double slack)
{
    return measure <= threshold + slack;
}

static bool is_equal(double measure, double threshold, double slack)
{
    (void)slack;
    return measure == threshold;
}

static bool at_or_longer(double measure, double threshold, double slack)
{
    (void)slack;
    return measure >= threshold;
}

static const struct measure {
    double (*take)(struct judge *judge, double value, mono_time at);
    bool (*is_beyond)(double measure, double threshold, double slack);
} measures[] = {
    [RULE_ABOVE] = {value_itself, at_or_above},
    [RULE_BELOW] = {value_itself, at_or_below},
    [RULE_RISE] = {rise, changed_by},
    [RULE_FALL] = {fall, changed_by},
    [RULE_SUM] = {sum, changed_by},
    [RULE_EQUALS] = {value_itself, is_equal},
    [RULE_SILENT] = {silence, at_or_longer},
    [RULE_FLAT] = {flat, at_or_longer},
    [RULE_SPIKE] = {value_itself, is_equal},
    [RULE_ALL] = {value_itself, is_equal},
    [RULE_ANY] = {value_itself, is_equal},
    [RULE_DIAGNOSE] = {value_itself, is_equal},
};

/* ---- latches ---- */

/* False: it does not (yet). */
static bool has_lasted(struct judge_latch *latch, mono_time at, int64_t ms)
{
    if (!latch->counting)
        latch->since = at;
    latch->counting = true;
    return clock_ms_between(latch->since, at) >= ms;
}

static void close_latch(struct judge *judge, struct judge_latch *latch)
{
    latch->closed = true;
    latch->counting = false;
    if (!judge->level && (!judge->first.ns || latch->since.ns < judge->first.ns))
        judge->first = latch->since;
}

/* What it knows of a level that was told before a restart reaches back over less than the window,
 * so that a small measure says nothing yet. */
static bool is_too_young(const struct judge *judge, const struct judge_latch *latch, mono_time at)
{
    return latch->told && judge->window && !window_is_full(judge->window, at);
}

static void move(struct judge *judge, uint8_t level, bool is_beyond, mono_time at)
{
    struct judge_latch *latch = &judge->latches[level];
    if (!is_beyond && is_too_young(judge, latch, at))
        return;
    latch->told = false;
    if (is_beyond == latch->closed) {
        latch->counting = false;
        return;
    }
    int64_t ms = latch->closed ? ms_of(&judge->rule->clear) : ms_of(&judge->rule->dwell[level]);
    if (!has_lasted(latch, at, ms))
        return;
    if (!latch->closed) {
        close_latch(judge, latch);
        return;
    }
    latch->closed = latch->counting = false;
}

static uint8_t decide(struct judge *judge)
{
    uint8_t level = LEVEL_RED;
    while (level < LEVEL_COUNT && !judge->latches[level].closed)
        level++;
    judge->level = level < LEVEL_COUNT ? level : LEVEL_NONE;
    if (!judge->level)
        judge->first = (mono_time){0};
    return judge->level;
}

static void move_all(struct judge *judge, mono_time at)
{
    const struct rule *rule = judge->rule;
    for (uint8_t level = LEVEL_RED; level < LEVEL_COUNT; level++) {
        double slack = judge->latches[level].closed ? rule->hysteresis.value : 0;
        if (rule->levels[level].given)
            move(judge, level,
                 measures[rule->kind].is_beyond(judge->measure, rule->levels[level].value, slack),
                 at);
    }
}

/* ---- from outside ---- */

void judge_start(struct judge *judge, const struct rule *rule, mono_time now)
{
    *judge = (struct judge){.rule = rule,
                            .patience_ms = judge->patience_ms,
                            .wrap = judge->wrap,
                            .window = judge->window,
                            .at = now};
    if (judge->window)
        window_start(judge->window, ms_of(&rule->window));
}

void judge_restore(struct judge *judge, uint8_t level, mono_time now)
{
    for (uint8_t l = level; level && l < LEVEL_COUNT; l++) {
        if (judge->rule->levels[l].given)
            judge->latches[l] = (struct judge_latch){.closed = true, .told = true};
    }
    (void)decide(judge);
    judge->at = now;
    if (judge->rule->kind == RULE_FLAT) /* it stood as long as that at least */
        judge->at = clock_after_ms(now, -ms_of(&judge->rule->levels[judge->level]));
}

void judge_carry(struct judge *judge, const struct judge *before)
{
    struct judge own = *judge;
    *judge = *before;
    judge->rule = own.rule;
    judge->patience_ms = own.patience_ms;
    judge->wrap = own.wrap;
    judge->window = own.window;
    if (judge->window && before->window)
        *judge->window = *before->window;
}

void judge_inherit(struct judge *judge, const struct judge *before)
{
    enum rule_kind kind = judge->rule->kind;
    if (kind != before->rule->kind || (!before->begun && kind != RULE_SILENT))
        return;
    judge->begun = before->begun;
    judge->value = before->value;
    judge->at = before->at;
    judge->measure = before->measure;
    if (judge->window && before->window && judge->window->span_ms == before->window->span_ms)
        *judge->window = *before->window;
}

/* The counter goes before the window. */
enum { COUNTER_BYTES = 8 };

size_t judge_save(const struct judge *judge, mono_time now, wall_time wall, uint8_t *out,
                  size_t capacity)
{
    struct diagnosis_bytes bytes = {.out = out, .size = capacity};
    if (judge->rule->kind != RULE_SUM || !judge->window || !judge->begun)
        return 0;
    diagnosis_bytes_put_real(&bytes, judge->value);
    if (bytes.failed)
        return 0;
    size_t length =
        window_save(judge->window, now, wall, out + COUNTER_BYTES, capacity - COUNTER_BYTES);
    return length ? COUNTER_BYTES + length : 0;
}

/* What fell meanwhile counts as if it had fallen at the next sample, as after any gap; of an
 * absence longer than the window nobody knows what of it still counts. */
bool judge_load(struct judge *judge, mono_time now, wall_time wall, const uint8_t *in,
                size_t length)
{
    struct diagnosis_bytes bytes = {.in = in, .size = length};
    double value = diagnosis_bytes_get_real(&bytes);
    if (bytes.failed || judge->rule->kind != RULE_SUM || !judge->window ||
        !window_load(judge->window, now, wall, in + COUNTER_BYTES, length - COUNTER_BYTES))
        return false;
    judge->begun = judge->window->count > 0;
    judge->value = value;
    judge->measure = window_sum(judge->window);
    return true;
}

/* A sensor that fell silent while the condition held does not take it back. */
static void lose_patience(struct judge *judge, uint8_t level, mono_time now)
{
    struct judge_latch *latch = &judge->latches[level];
    if (latch->closed || !latch->counting)
        return;
    int64_t ms = ms_of(&judge->rule->dwell[level]) + judge->patience_ms;
    if (clock_ms_between(latch->since, now) >= ms)
        close_latch(judge, latch);
}

static void listen(struct judge *judge, uint8_t level, mono_time now)
{
    struct judge_latch *latch = &judge->latches[level];
    int64_t silent_ms = clock_ms_between(judge->at, now);
    int64_t limit_ms = ms_of(&judge->rule->levels[level]);
    judge->measure = (double)silent_ms;
    if (silent_ms < limit_ms)
        return;
    if (latch->closed) {
        latch->counting = false;
    } else if (silent_ms >= limit_ms + ms_of(&judge->rule->dwell[level])) {
        latch->since = judge->at;
        close_latch(judge, latch);
    }
}

uint8_t judge_tick(struct judge *judge, mono_time now)
{
    void (*pass)(struct judge *, uint8_t, mono_time) =
        judge->rule->kind == RULE_SILENT ? listen : lose_patience;
    for (uint8_t level = LEVEL_RED; level < LEVEL_COUNT; level++) {
        if (judge->rule->levels[level].given)
            pass(judge, level, now);
    }
    return decide(judge);
}

uint8_t judge_value(struct judge *judge, double value, mono_time at)
{
    uint8_t level = judge_tick(judge, at);
    if (!isfinite(value))
        return level;
    judge->measure = measures[judge->rule->kind].take(judge, value, at);
    judge->begun = true;
    move_all(judge, at);
    return decide(judge);
}

uint8_t judge_truth(struct judge *judge, enum judge_truth truth, mono_time at)
{
    if (truth == JUDGE_UNKNOWN)
        return judge_tick(judge, at);
    return judge_value(judge, truth == JUDGE_TRUE ? 1 : 0, at);
}

static mono_time due_of(const struct judge *judge, uint8_t level)
{
    const struct rule *rule = judge->rule;
    const struct judge_latch *latch = &judge->latches[level];
    int64_t dwell_ms = ms_of(&rule->dwell[level]);
    if (latch->closed || !rule->levels[level].given)
        return NEVER;
    if (rule->kind == RULE_SILENT)
        return clock_after_ms(judge->at, ms_of(&rule->levels[level]) + dwell_ms);
    if (!latch->counting)
        return NEVER;
    return clock_after_ms(latch->since, dwell_ms + judge->patience_ms);
}

mono_time judge_due(const struct judge *judge)
{
    mono_time due = NEVER;
    for (uint8_t level = LEVEL_RED; level < LEVEL_COUNT; level++) {
        mono_time own = due_of(judge, level);
        due = own.ns < due.ns ? own : due;
    }
    return due;
}

bool judge_is_counting(const struct judge *judge)
{
    for (uint8_t level = LEVEL_RED; level < LEVEL_COUNT; level++) {
        if (!judge->latches[level].closed && judge->latches[level].counting)
            return true;
    }
    return false;
}
