/* A judge on a bench: rules in a line, times in seconds since it began. For test_judge*.c. */
#ifndef LIFELINE_JUDGE_BENCH_H
#define LIFELINE_JUDGE_BENCH_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/flow/judge.h"

enum { HOUR = 3600, START = 100000 };

struct bench {
    struct rule rule;
    struct judge judge;
    struct window window;
};

static inline struct rule_number number(double value)
{
    return (struct rule_number){.given = true, .value = value};
}

static inline mono_time at(double s)
{
    return (mono_time){(int64_t)((START + s) * 1e9)};
}

/* thresholds[level], NAN where there is none; patience of 10 s. */
static inline void begin(struct bench *bench, enum rule_kind kind,
                         const double thresholds[LEVEL_COUNT])
{
    *bench = (struct bench){.rule = {.name = "r", .kind = kind}};
    for (int level = LEVEL_RED; level < LEVEL_COUNT; level++) {
        if (!isnan(thresholds[level]))
            bench->rule.levels[level] = number(thresholds[level]);
    }
}

static inline void start(struct bench *bench)
{
    bool has_window = bench->rule.window.given;
    bench->judge =
        (struct judge){.patience_ms = 10000, .window = has_window ? &bench->window : NULL};
    judge_start(&bench->judge, &bench->rule, at(0));
}

static inline void set_dwell(struct bench *bench, double ms)
{
    for (int level = LEVEL_RED; level < LEVEL_COUNT; level++)
        bench->rule.dwell[level] = number(ms);
}

static inline uint8_t value(struct bench *bench, double s, double v)
{
    return judge_value(&bench->judge, v, at(s));
}

static inline uint8_t tick(struct bench *bench, double s)
{
    return judge_tick(&bench->judge, at(s));
}

static inline double due(const struct bench *bench)
{
    int64_t ns = judge_due(&bench->judge).ns;
    return ns == INT64_MAX ? INFINITY : (double)ns / 1e9 - START;
}

static inline double first(const struct bench *bench)
{
    return (double)bench->judge.first.ns / 1e9 - START;
}

static const double water[LEVEL_COUNT] = {NAN, 600, 400, 270, 150};
static const double yellow_30[LEVEL_COUNT] = {NAN, NAN, NAN, 30, NAN};
static const double yellow_1[LEVEL_COUNT] = {NAN, NAN, NAN, 1, NAN};

#endif
