/* A rule judged slowly, by the words of judge.h and window.h: the whole history is kept, and after
 * every step each latch is told anew from all of it. For test_judge_model.c; pure. */
#ifndef LIFELINE_JUDGE_MODEL_H
#define LIFELINE_JUDGE_MODEL_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/rule.h"
#include "drivers/window.h"

enum { MODEL_STEPS = 64 };

struct model_step {
    int64_t ns;
    bool is_sample; /* that counts; else time passed only */
    double value;
    double measure;
    int64_t patience_ms; /* then */
};

struct model {
    const struct rule *rule;
    double wrap;
    int64_t start_ns;
    uint8_t restored; /* LEVEL_NONE: it was not */
    struct model_step steps[MODEL_STEPS];
    size_t count;
};

struct model_verdict {
    uint8_t level;
    int64_t due_ns, first_ns;
    bool counting;
};

/* ---- measures ---- */

static inline int64_t model_ms(const struct rule_number *number)
{
    return number->given ? (int64_t)number->value : 0;
}

static inline bool model_in_window(const struct model *model, int64_t sample_ns, int64_t now_ns)
{
    size_t first = 0;
    while (!model->steps[first].is_sample)
        first++;
    int64_t origin = model->steps[first].ns;
    int64_t span_ns = model_ms(&model->rule->window) * 1000000;
    int64_t slot_ms = (model_ms(&model->rule->window) + WINDOW_SLOTS - 1) / WINDOW_SLOTS;
    int64_t slot_ns = slot_ms * 1000000;
    int64_t slot_end = origin + (sample_ns - origin) / slot_ns * slot_ns + slot_ns;
    return now_ns - slot_end < span_ns;
}

static inline double model_increase(const struct model *model, size_t i)
{
    size_t before = i;
    while (before-- > 0) {
        if (!model->steps[before].is_sample)
            continue;
        double step = model->steps[i].value - model->steps[before].value;
        if (step >= 0)
            return step;
        double over = step + model->wrap;
        return model->wrap > 0 && over >= 0 && over < model->wrap / 4 ? over : 0;
    }
    return 0;
}

static inline double model_change(const struct model *model, size_t i)
{
    double most = 0, sum = 0;
    for (size_t k = 0; k <= i; k++) {
        const struct model_step *it = &model->steps[k];
        if (!it->is_sample || !model_in_window(model, it->ns, model->steps[i].ns))
            continue;
        double change = model->steps[i].value - it->value;
        change = model->rule->kind == RULE_FALL ? -change : change;
        most = change > most ? change : most;
        sum += model_increase(model, k);
    }
    return model->rule->kind == RULE_SUM ? sum : most;
}

/* The most severe level that a restored judge begins with. */
static inline uint8_t model_begins(const struct model *model)
{
    for (uint8_t level = model->restored; level && level < LEVEL_COUNT; level++) {
        if (model->rule->levels[level].given)
            return level;
    }
    return LEVEL_NONE;
}

static inline double model_stands(const struct model *model, size_t i)
{
    bool begun = false;
    double standing = 0;
    int64_t since_ns = 0;
    for (size_t k = 0; k <= i; k++) {
        const struct model_step *it = &model->steps[k];
        if (!it->is_sample)
            continue;
        if (!begun && model_begins(model)) {
            standing = it->value;
            since_ns =
                model->start_ns - model_ms(&model->rule->levels[model_begins(model)]) * 1000000;
        } else if (!begun || fabs(it->value - standing) > model->rule->hysteresis.value) {
            standing = it->value;
            since_ns = it->ns;
        }
        begun = true;
    }
    return (double)((model->steps[i].ns - since_ns) / 1000000);
}

static inline double model_measure(const struct model *model, size_t i)
{
    switch (model->rule->kind) {
    case RULE_RISE:
    case RULE_FALL:
    case RULE_SUM:
        return model_change(model, i);
    case RULE_FLAT:
        return model_stands(model, i);
    case RULE_SILENT:
        return 0;
    case RULE_ABOVE:
    case RULE_BELOW:
    case RULE_EQUALS:
    case RULE_ALL:
    case RULE_ANY:
    case RULE_SPIKE:
    case RULE_DIAGNOSE:
        break;
    }
    return model->steps[i].value;
}

/* ---- one latch ---- */

struct model_latch {
    bool closed, told;
    size_t from;      /* steps from here on count for the state that it is in */
    int64_t since_ns; /* of what closed it */
};

static inline bool model_is_beyond(const struct model *model, uint8_t level, size_t i, bool closed)
{
    const struct rule *rule = model->rule;
    double measure = model->steps[i].measure, limit = rule->levels[level].value;
    double slack = closed ? rule->hysteresis.value : 0;
    switch (rule->kind) {
    case RULE_ABOVE:
    case RULE_RISE:
    case RULE_FALL:
    case RULE_SUM:
        return measure >= limit - slack;
    case RULE_BELOW:
        return measure <= limit + slack;
    case RULE_FLAT:
    case RULE_SILENT:
        return measure >= limit;
    case RULE_EQUALS:
    case RULE_ALL:
    case RULE_ANY:
    case RULE_SPIKE:
    case RULE_DIAGNOSE:
        break;
    }
    return measure == limit;
}

/* The last good sample before step i; the start when there is none. */
static inline int64_t model_heard_ns(const struct model *model, size_t i)
{
    while (i-- > 0) {
        if (model->steps[i].is_sample)
            return model->steps[i].ns;
    }
    return model->start_ns;
}

static inline int64_t model_silence_ms(const struct model *model, size_t i)
{
    return (model->steps[i].ns - model_heard_ns(model, i)) / 1000000;
}

/* Since when all samples up to step i have spoken against the latch's state; -1: the last does not.
 */
static inline int64_t model_run_ns(const struct model *model, uint8_t level,
                                   const struct model_latch *latch, size_t i)
{
    int64_t since = -1;
    bool is_silent = model->rule->kind == RULE_SILENT;
    for (size_t k = i + 1; k-- > latch->from;) {
        if (!model->steps[k].is_sample)
            continue;
        if (model_is_beyond(model, level, k, latch->closed) == latch->closed)
            break;
        since = model->steps[k].ns;
        if (is_silent && model_silence_ms(model, k) >= model_ms(&model->rule->levels[level]))
            break; /* it was silent before that */
    }
    return since;
}

static inline void model_set(struct model_latch *latch, bool closed, size_t from, int64_t since_ns)
{
    *latch = (struct model_latch){.closed = closed, .from = from, .since_ns = since_ns};
}

static inline void model_time(const struct model *model, uint8_t level, struct model_latch *latch,
                              size_t i)
{
    int64_t dwell_ms = model_ms(&model->rule->dwell[level]);
    if (latch->closed)
        return;
    if (model->rule->kind == RULE_SILENT) {
        int64_t limit_ms = model_ms(&model->rule->levels[level]) + dwell_ms;
        if (model_silence_ms(model, i) >= limit_ms)
            model_set(latch, true, i, model_heard_ns(model, i));
        return;
    }
    int64_t since = i ? model_run_ns(model, level, latch, i - 1) : -1;
    int64_t limit_ms = dwell_ms + model->steps[i].patience_ms;
    if (since >= 0 && (model->steps[i].ns - since) / 1000000 >= limit_ms)
        model_set(latch, true, i, since);
}

static inline bool model_knows(const struct model *model, size_t i)
{
    bool has_window = model->rule->window.given;
    size_t first = 0;
    while (!model->steps[first].is_sample)
        first++;
    return !has_window || (model->steps[i].ns - model->steps[first].ns) / 1000000 >=
                              model_ms(&model->rule->window);
}

static inline void model_sample(const struct model *model, uint8_t level, struct model_latch *latch,
                                size_t i)
{
    if (!model->steps[i].is_sample)
        return;
    if (latch->told) {
        if (!model_is_beyond(model, level, i, true) && !model_knows(model, i))
            return;
        latch->told = false;
        latch->from = i;
    }
    int64_t since = model_run_ns(model, level, latch, i);
    int64_t limit_ms = model_ms(latch->closed ? &model->rule->clear : &model->rule->dwell[level]);
    if (since >= 0 && (model->steps[i].ns - since) / 1000000 >= limit_ms)
        model_set(latch, !latch->closed, i + 1, since);
}

/* ---- all of them ---- */

/* What is wanted once all latches have moved; the first sight of what begins. */
static inline void model_decide(const struct model_latch *latches, struct model_verdict *verdict)
{
    uint8_t before = verdict->level;
    verdict->level = LEVEL_NONE;
    int64_t first = INT64_MAX;
    for (uint8_t level = LEVEL_COUNT; level-- > LEVEL_RED;) {
        if (!latches[level].closed)
            continue;
        verdict->level = level;
        first = latches[level].since_ns < first ? latches[level].since_ns : first;
    }
    if (!verdict->level)
        verdict->first_ns = 0;
    else if (!before)
        verdict->first_ns = first;
}

static inline int64_t model_due_ns(const struct model *model, uint8_t level,
                                   const struct model_latch *latch, int64_t patience_ms,
                                   bool *counting)
{
    int64_t dwell_ms = model_ms(&model->rule->dwell[level]);
    if (latch->closed)
        return INT64_MAX;
    if (model->rule->kind == RULE_SILENT)
        return model_heard_ns(model, model->count) +
               (model_ms(&model->rule->levels[level]) + dwell_ms) * 1000000;
    int64_t since = model->count ? model_run_ns(model, level, latch, model->count - 1) : -1;
    *counting = *counting || since >= 0;
    return since >= 0 ? since + (dwell_ms + patience_ms) * 1000000 : INT64_MAX;
}

static inline void model_judge(const struct model *model, int64_t patience_ms,
                               struct model_verdict *verdict)
{
    struct model_latch latches[LEVEL_COUNT] = {0};
    const struct rule_number *levels = model->rule->levels;
    *verdict = (struct model_verdict){.due_ns = INT64_MAX};
    for (uint8_t level = model->restored; level && level < LEVEL_COUNT; level++)
        latches[level].closed = latches[level].told = levels[level].given;
    model_decide(latches, verdict);
    for (size_t i = 0; i < model->count; i++) {
        for (uint8_t level = LEVEL_RED; level < LEVEL_COUNT; level++) {
            if (levels[level].given)
                model_time(model, level, &latches[level], i);
        }
        model_decide(latches, verdict);
        for (uint8_t level = LEVEL_RED; level < LEVEL_COUNT; level++) {
            if (levels[level].given)
                model_sample(model, level, &latches[level], i);
        }
        model_decide(latches, verdict);
    }
    for (uint8_t level = LEVEL_RED; level < LEVEL_COUNT; level++) {
        if (!levels[level].given)
            continue;
        int64_t due = model_due_ns(model, level, &latches[level], patience_ms, &verdict->counting);
        verdict->due_ns = due < verdict->due_ns ? due : verdict->due_ns;
    }
}

static inline void model_start(struct model *model, const struct rule *rule, int64_t now_ns,
                               uint8_t restored)
{
    model->rule = rule;
    model->start_ns = now_ns;
    model->restored = restored;
    model->count = 0;
}

static inline void model_add(struct model *model, struct model_step step)
{
    model->steps[model->count] = step;
    if (step.is_sample)
        model->steps[model->count].measure = model_measure(model, model->count);
    model->count++;
}

#endif
