/* Puts a rule together from what is under it and what changes it, and says whether it is whole.
 *
 * Runs in the thread that loads a configuration. A change of the same kind keeps what it does not
 * give, level by level; one of another kind is a rule of its own. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "config/rule_parts.h"

static bool changes(const struct rule *base, const struct rule_draft *draft)
{
    if (!base)
        return false;
    if (!draft->has_kind)
        return true;
    return draft->rule.kind == base->kind &&
           (base->kind != RULE_DIAGNOSE || draft->rule.diagnosis == base->diagnosis);
}

static void overlay(struct rule_number *under, const struct rule_number *over, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (over[i].given)
            under[i] = over[i];
    }
}

struct rule *rule_merge(struct arena *arena, const struct rule *base,
                        const struct rule_draft *draft, const char *pack)
{
    const struct rule *over = &draft->rule;
    struct rule *rule = arena_alloc(arena, sizeof *rule);
    bool changed = changes(base, draft);
    *rule = changed ? *base : *over;
    rule->place = over->place;
    rule->name = arena_text(arena, draft->name);
    rule->pack = pack ? pack : changed ? base->pack : NULL;
    rule->overridden = changed && !pack;
    if (!changed)
        return rule;
    for (unsigned level = 1; level < LEVEL_COUNT; level++) {
        if (draft->level_off[level])
            rule->levels[level] = rule->dwell[level] = (struct rule_number){0};
    }
    overlay(rule->levels, over->levels, LEVEL_COUNT);
    overlay(rule->dwell, over->dwell, LEVEL_COUNT);
    overlay(&rule->hysteresis, &over->hysteresis, 1);
    overlay(&rule->clear, &over->clear, 1);
    overlay(&rule->window, &over->window, 1);
    overlay(&rule->spike, &over->spike, 1);
    overlay(rule->params, over->params, RULE_PARAMS_MAX);
    if (draft->has_fault)
        rule->fault = over->fault;
    if (over->condition_count) {
        rule->conditions = over->conditions;
        rule->condition_count = over->condition_count;
    }
    return rule;
}

/* ---- is it whole? ---- */

static bool refuse(const struct reader *reader, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool refuse(const struct reader *reader, struct place place, const char *format, ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    diagnostics_add(reader->out, SEVERITY_ERROR, place, "%s", text);
    return false;
}

static bool has_level(const struct rule *rule)
{
    for (unsigned level = 1; level < LEVEL_COUNT; level++) {
        if (rule->levels[level].given)
            return true;
    }
    return false;
}

/* The next more severe level that has a number; 0 = none. */
static unsigned above(const struct rule *rule, unsigned level)
{
    do
        level--;
    while (level && !rule->levels[level].given);
    return level;
}

static bool check_order(const struct reader *reader, const struct rule *rule)
{
    double sign = rule->kind == RULE_BELOW ? -1 : 1;
    if (rule->kind == RULE_EQUALS || rule->kind == RULE_ALL || rule->kind == RULE_ANY)
        return true;
    for (unsigned level = LEVEL_COUNT - 1; level > 1; level--) {
        unsigned worse = above(rule, level);
        const struct rule_number *a = &rule->levels[level], *b = &rule->levels[worse];
        if (!a->given || !worse)
            continue;
        if (sign * (b->value - a->value) <= 0)
            return refuse(reader, a->place,
                          "level %u (%g) must lie %s level %u (%g), which is more severe", level,
                          a->value, sign > 0 ? "below" : "above", worse, b->value);
        if (rule->kind <= RULE_BELOW && rule->hysteresis.value >= fabs(b->value - a->value))
            return refuse(reader, rule->hysteresis.place,
                          "hysteresis %g is not smaller than the distance of levels %u and %u",
                          rule->hysteresis.value, level, worse);
    }
    return true;
}

static bool check_range(const struct reader *reader, const struct rule *rule,
                        const struct settings_point *range, const struct profile_point *point)
{
    bool compares = rule->kind <= RULE_BELOW || rule->kind == RULE_EQUALS;
    for (unsigned level = 1; compares && range && range->has_range && level < LEVEL_COUNT;
         level++) {
        const struct rule_number *number = &rule->levels[level];
        if (number->given && (number->value < range->min || number->value > range->max))
            return refuse(reader, number->place, "%g lies outside of what %s can be: %g to %g %s",
                          number->value, point->name, range->min, range->max, point->unit);
    }
    return true;
}

static bool check_diagnosis(const struct reader *reader, const struct rule *rule)
{
    const struct diagnosis_form *form = rule->diagnosis;
    for (size_t p = 0; form && p < form->param_count; p++) {
        if (form->params[p].required && !rule->params[p].given)
            return refuse(reader, rule->place, "%s needs %s: %s", form->name, form->params[p].key,
                          form->params[p].help.en);
    }
    return true;
}

bool rule_check(const struct reader *reader, const struct rule *rule,
                const struct settings_point *range, const struct profile_point *point)
{
    bool hints = rule->diagnosis && rule->diagnosis->only_hints;
    if (rule->kind != RULE_SPIKE && !hints && !has_level(rule))
        return refuse(reader, rule->place, "%s has no level; to switch it off write %s: off",
                      rule->name, rule->name);
    if (rule->kind == RULE_SPIKE && !(rule->spike.value > 0))
        return refuse(reader, rule->place, "spike is more than 0");
    if (rule_has_window(rule->kind) && !(rule->window.value > 0))
        return refuse(reader, rule->place, "%s needs a window, like window: 60s",
                      rule_kind_name(rule->kind));
    if (rule->kind == RULE_SUM && point && !(point->wrap > 0))
        return refuse(reader, rule->place, "sum is for counters; %s has no `wrap` in its profile",
                      point->name);
    return check_order(reader, rule) && check_range(reader, rule, range, point) &&
           check_diagnosis(reader, rule);
}

bool rule_check_dwell(const struct reader *reader, const struct rule *rule,
                      const struct rule_draft *draft)
{
    for (unsigned level = 1; draft->dwell_by_level && level < LEVEL_COUNT; level++) {
        const struct rule_number *dwell = &draft->rule.dwell[level];
        if (dwell->given && !rule->levels[level].given)
            return refuse(reader, dwell->place,
                          "dwell of level %u, which has no number in this rule", level);
    }
    return true;
}
