/* judge.c against a slow model that keeps the whole history: two million random steps over all
 * kinds, rules, gaps, failures, restarts and reloads; after each the level, the time of its next
 * tick, the first sight, the measure and whether it counts are the same. Pure; no clock.
 * LIFELINE_SEED repeats a run, LIFELINE_LONG=1 makes it ten times as long. */
#include "gateway/flow/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "tests/unit/judge_model.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { TOTAL = 2000000, MS = 1000000 };

struct bench {
    struct rule rules[2]; /* the one in force, and the same from another configuration */
    struct window windows[2];
    struct judge judges[2];
    uint32_t now_in; /* [..] in force */
    struct model model;
    struct model_verdict last;
    int64_t ns;
    int64_t period_ms, patience_ms;
    double value;
    int failing; /* so many polls from now on */
};

static struct seen {
    size_t raised, escalated, eased, cleared, drowned, counting, restored;
} seen[RULE_DIAGNOSE];

static const enum rule_kind kinds[] = {RULE_ABOVE, RULE_BELOW, RULE_RISE,   RULE_FALL, RULE_SUM,
                                       RULE_ALL,   RULE_ANY,   RULE_EQUALS, RULE_FLAT, RULE_SILENT};

static bool one_in(int n)
{
    return rand() % n == 0;
}

static struct judge *judge_of(struct bench *bench)
{
    return &bench->judges[bench->now_in];
}

/* ---- rules ---- */

static bool has_window(enum rule_kind kind)
{
    return kind == RULE_RISE || kind == RULE_FALL || kind == RULE_SUM;
}

static int64_t random_duration_ms(void)
{
    static const int64_t durations[] = {0, 0, 1, 1000, 5000, 10000, 60000, 120000};
    return durations[(size_t)rand() % COUNT(durations)];
}

static double threshold(enum rule_kind kind, uint8_t level)
{
    switch (kind) {
    case RULE_SILENT:
    case RULE_FLAT:
        return (LEVEL_COUNT - level) * (1 + rand() % 40) * 1000;
    case RULE_BELOW:
        return level * 5 + rand() % 20 * 0.25;
    case RULE_EQUALS:
        return rand() % 4;
    case RULE_ALL:
    case RULE_ANY:
        return 1;
    case RULE_ABOVE:
    case RULE_RISE:
    case RULE_FALL:
    case RULE_SUM:
    case RULE_SPIKE:
    case RULE_DIAGNOSE:
        break;
    }
    return (LEVEL_COUNT - level) * 5 + rand() % 20 * 0.25;
}

static void random_rule(struct rule *rule, enum rule_kind kind)
{
    static const double hystereses[] = {0, 0, 0.25, 2, 7};
    static const int64_t windows[] = {1, 50, 1000, 60000, 640000, 3600000};
    *rule = (struct rule){.name = "r", .kind = kind};
    bool is_one = kind == RULE_ALL || kind == RULE_ANY;
    int only = 1 + rand() % 4;
    for (uint8_t level = LEVEL_RED; level < LEVEL_COUNT; level++) {
        bool given = level == only || (!is_one && rand() % 3);
        rule->levels[level] = (struct rule_number){.given = given};
        if (given)
            rule->levels[level].value = threshold(kind, level);
        rule->dwell[level] =
            (struct rule_number){.given = rand() % 3, .value = (double)random_duration_ms()};
        if (!rule->dwell[level].given)
            rule->dwell[level].value = 0;
    }
    rule->hysteresis = (struct rule_number){
        .given = true, .value = hystereses[(size_t)rand() % COUNT(hystereses)]};
    if (rand() % 2)
        rule->clear = (struct rule_number){.given = true, .value = (double)random_duration_ms()};
    if (has_window(kind))
        rule->window = (struct rule_number){
            .given = true, .value = (double)windows[(size_t)rand() % COUNT(windows)]};
}

/* ---- lives ---- */

/* Whatever lay there before counts for nothing. */
static void fresh_judge(struct bench *bench, uint32_t which, int64_t start_ns)
{
    struct judge *judge = &bench->judges[which];
    memset(judge, 0x5a, sizeof *judge);
    memset(&bench->windows[which], 0x5a, sizeof bench->windows[which]);
    judge->patience_ms = bench->patience_ms;
    judge->wrap = bench->model.wrap;
    judge->window = has_window(bench->rules[0].kind) ? &bench->windows[which] : NULL;
    judge_start(judge, &bench->rules[which], (mono_time){start_ns});
}

static void random_patience(struct bench *bench)
{
    bench->patience_ms = one_in(10) ? rand() % 100000 : 2 * bench->period_ms;
}

static void begin(struct bench *bench)
{
    static const int64_t periods[] = {200, 1000, 5000, 30000, 60000};
    random_rule(&bench->rules[0], kinds[(size_t)rand() % COUNT(kinds)]);
    bench->rules[1] = bench->rules[0];
    bench->now_in = 0;
    bench->ns = INT64_C(20000000000000) + rand();
    bench->period_ms = periods[(size_t)rand() % COUNT(periods)];
    bench->value = rand() % 20;
    bench->model.wrap = one_in(3) ? 0 : 64;
    random_patience(bench);
    fresh_judge(bench, 0, bench->ns);
    model_start(&bench->model, &bench->rules[0], bench->ns, LEVEL_NONE);
    bench->last = (struct model_verdict){0};
}

static void restart(struct bench *bench)
{
    uint8_t level = bench->last.level;
    if (one_in(5))
        level = (uint8_t)(rand() % LEVEL_COUNT);
    fresh_judge(bench, bench->now_in, bench->ns - (one_in(2) ? rand() : 0));
    judge_restore(judge_of(bench), level, (mono_time){bench->ns});
    model_start(&bench->model, bench->model.rule, bench->ns, level);
    seen[bench->model.rule->kind].restored += level > 0;
}

static void reload(struct bench *bench)
{
    uint32_t other = 1 - bench->now_in;
    random_patience(bench);
    fresh_judge(bench, other, bench->ns);
    judge_carry(&bench->judges[other], judge_of(bench));
    memset(judge_of(bench), 0x5a, sizeof *judge_of(bench));
    memset(&bench->windows[bench->now_in], 0x5a, sizeof *bench->windows);
    bench->now_in = other;
}

/* ---- steps ---- */

static int64_t random_gap_ns(const struct bench *bench)
{
    const struct rule *rule = bench->model.rule;
    int64_t due = bench->last.due_ns;
    int64_t to_due = due != INT64_MAX && due > bench->ns ? due - bench->ns : 0;
    uint8_t level = (uint8_t)(1 + rand() % 4);
    if (bench->failing > 0 && one_in(2))
        return to_due;
    switch (rand() % 24) {
    case 0:
        return 0;
    case 1:
        return (int64_t)rule->dwell[level].value * MS;
    case 2:
        return (int64_t)rule->dwell[level].value * MS - (rule->dwell[level].value > 0);
    case 3:
        return (int64_t)rule->clear.value * MS;
    case 4:
        return to_due;
    case 5:
        return to_due - (to_due > 0);
    case 6:
        return (int64_t)rule->window.value * MS;
    case 7:
        return (int64_t)rule->window.value / 32 * MS;
    case 8:
        return rand() % 200000 * (int64_t)MS + rand() % MS;
    case 9:
        return rule->kind == RULE_FLAT || rule->kind == RULE_SILENT
                   ? (int64_t)rule->levels[level].value * MS
                   : 1;
    default:
        return bench->period_ms * MS;
    }
}

static void random_value(struct bench *bench)
{
    const struct rule *rule = bench->model.rule;
    if (rule->kind == RULE_ALL || rule->kind == RULE_ANY || rule->kind == RULE_EQUALS) {
        int states = rule->kind == RULE_EQUALS ? 4 : 2;
        bench->value = rand() % 3 ? bench->value : rand() % states;
        if (bench->value >= states)
            bench->value = 0;
    } else if (rule->kind == RULE_SUM) {
        bench->value += rand() % 3 ? rand() % 16 * 0.25 : 0;
        if (bench->value >= 64 || one_in(30))
            bench->value = one_in(4) ? 0 : bench->value >= 64 ? bench->value - 64 : rand() % 64;
    } else if (rand() % 4) {
        bench->value += (rand() % 17 - 8) * 0.25;
    } else if (one_in(2)) {
        bench->value = rand() % 120 * 0.25 - 2;
    } else if (one_in(2)) { /* at a threshold, or where hysteresis ends */
        const struct rule_number *at = &rule->levels[1 + rand() % 4];
        double slack = one_in(2) ? rule->hysteresis.value : 0;
        bench->value = at->given && at->value < 1000
                           ? at->value + (rule->kind == RULE_BELOW ? slack : -slack)
                           : bench->value;
    }
}

static uint8_t give(struct bench *bench, bool *counts)
{
    struct judge *judge = judge_of(bench);
    const mono_time at = {bench->ns};
    static const double none[] = {NAN, INFINITY, -INFINITY};
    bool is_truth = judge->rule->kind == RULE_ALL || judge->rule->kind == RULE_ANY;
    *counts = false;
    if (bench->failing == 0 && one_in(25))
        bench->failing = rand() % 12;
    if (bench->failing > 0 || one_in(10)) {
        bench->failing -= bench->failing > 0;
        return judge_tick(judge, at);
    }
    if (one_in(20))
        return is_truth ? judge_truth(judge, JUDGE_UNKNOWN, at)
                        : judge_value(judge, none[rand() % 3], at);
    *counts = true;
    random_value(bench);
    if (is_truth)
        return judge_truth(judge, bench->value > 0 ? JUDGE_TRUE : JUDGE_FALSE, at);
    return judge_value(judge, bench->value, at);
}

static void count_seen(const struct model_verdict *before, const struct model_verdict *now,
                       enum rule_kind kind, bool was_sample)
{
    seen[kind].raised += !before->level && now->level;
    seen[kind].escalated += before->level && now->level && now->level < before->level;
    seen[kind].eased += before->level && now->level > before->level;
    seen[kind].cleared += before->level && !now->level;
    seen[kind].drowned += !before->level && now->level && !was_sample;
    seen[kind].counting += now->counting;
}

static void compare(struct bench *bench)
{
    struct judge *judge = judge_of(bench);
    struct model_verdict now;
    model_judge(&bench->model, bench->patience_ms, &now);
    assert_int_equal(judge->level, now.level);
    assert_int_equal(judge_due(judge).ns, now.due_ns);
    assert_int_equal(judge->first.ns, now.first_ns);
    assert_int_equal(judge_is_counting(judge), now.counting);
    bench->last = now;
}

static void one_step(struct bench *bench)
{
    if (one_in(60))
        restart(bench);
    else if (one_in(40))
        reload(bench);
    compare(bench);
    bench->ns += random_gap_ns(bench);
    bool counts;
    uint8_t level = give(bench, &counts);
    model_add(&bench->model, (struct model_step){.ns = bench->ns,
                                                 .is_sample = counts,
                                                 .value = bench->value,
                                                 .patience_ms = bench->patience_ms});
    const struct model_verdict before = bench->last;
    compare(bench);
    assert_int_equal(level, bench->last.level);
    if (counts)
        assert_true(judge_of(bench)->measure == bench->model.steps[bench->model.count - 1].measure);
    count_seen(&before, &bench->last, bench->model.rule->kind, counts);
}

static void it_agrees_with_the_model(void **state)
{
    (void)state;
    const char *given = getenv("LIFELINE_SEED");
    int64_t total = getenv("LIFELINE_LONG")    ? 10 * (int64_t)TOTAL
                    : getenv("LIFELINE_SHORT") ? TOTAL / 4
                                               : TOTAL;
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    static struct bench bench;
    begin(&bench);
    for (int64_t i = 0; i < total; i++) {
        if (bench.model.count == MODEL_STEPS || one_in(200))
            begin(&bench);
        one_step(&bench);
    }
}

/* ---- promises, without the model ---- */

static double beyond(const struct rule *rule, uint8_t level)
{
    if (rule->kind == RULE_EQUALS)
        return rule->levels[level].value;
    return rule->kind == RULE_BELOW ? -1000 : 1000;
}

/* Whatever was before: from the first sample of what lasts it is told within dwell and patience, or
 * by the first sample after the dwell, however many polls fail between; not before the dwell has
 * passed, unless it was up before. Then nothing but samples takes it back. */
static void lasting(struct bench *bench)
{
    struct judge *judge = judge_of(bench);
    const struct rule *rule = judge->rule;
    uint8_t level = LEVEL_RED;
    while (!rule->levels[level].given)
        level++;
    double value = beyond(rule, level);
    int64_t dwell_ns = (int64_t)rule->dwell[level].value * MS;
    bool was_open = !judge->latches[level].closed && !judge->latches[level].counting;
    int64_t from_ns = bench->ns += random_gap_ns(bench);
    uint8_t wanted = judge_value(judge, value, (mono_time){from_ns});
    assert_true(dwell_ns > 0 ? wanted != level || !was_open : wanted == level);
    while (wanted != level) {
        int64_t due_ns = judge_due(judge).ns;
        assert_true(due_ns > bench->ns && due_ns <= from_ns + dwell_ns + bench->patience_ms * MS);
        bench->ns += bench->period_ms * MS;
        bool is_due = due_ns <= bench->ns, fails = is_due || one_in(2);
        bench->ns = is_due ? due_ns : bench->ns;
        wanted = fails ? judge_tick(judge, (mono_time){bench->ns})
                       : judge_value(judge, value, (mono_time){bench->ns});
        assert_true(wanted == level || fails || bench->ns < from_ns + dwell_ns);
        assert_true(wanted != level || !was_open || bench->ns >= from_ns + dwell_ns);
    }
    for (int i = 0; i < 20; i++) {
        bench->ns += rand() * (int64_t)MS;
        assert_int_equal(judge_tick(judge, (mono_time){bench->ns}), level);
        assert_int_equal(judge_value(judge, NAN, (mono_time){bench->ns}), level);
    }
}

static void what_lasts_is_told_in_time(void **state)
{
    (void)state;
    static struct bench bench;
    for (int life = 0; life < 30000; life++) {
        do {
            begin(&bench);
        } while (bench.rules[0].kind != RULE_ABOVE && bench.rules[0].kind != RULE_BELOW &&
                 bench.rules[0].kind != RULE_EQUALS);
        for (int i = rand() % 20; i > 0; i--) {
            bool counts;
            bench.ns += random_gap_ns(&bench);
            (void)give(&bench, &counts);
        }
        lasting(&bench);
    }
}

/* The millions went everywhere; a quarter of them, under qemu, need not. */
static void nothing_was_left_out(void **state)
{
    (void)state;
    if (getenv("LIFELINE_SHORT"))
        skip();
    for (size_t k = 0; k < COUNT(kinds); k++) {
        enum rule_kind kind = kinds[k];
        const struct seen *s = &seen[kind];
        print_message("%-7s raised %6zu escalated %6zu eased %6zu cleared %6zu by silence %5zu "
                      "restored %5zu\n",
                      rule_kind_name(kind), s->raised, s->escalated, s->eased, s->cleared,
                      s->drowned, s->restored);
        bool is_one = kind == RULE_ALL || kind == RULE_ANY;
        assert_true(s->raised > 500 && s->cleared > 500 && s->restored > 100);
        assert_true(is_one || (s->escalated > 100 &&
                               (kind == RULE_FLAT || kind == RULE_SILENT || s->eased > 100)));
        assert_true(s->drowned > 50);
        assert_true(kind == RULE_SILENT || s->counting > 500);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_the_model),
        cmocka_unit_test(what_lasts_is_told_in_time),
        cmocka_unit_test(nothing_was_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
