/* What two rules have in common, and the names of their kinds.
 *
 * Pure; any thread. Reading them is rule_read.c, putting packs and overrides together rule_merge.c.
 */
#include "config/rule.h"

const char *rule_kind_name(enum rule_kind kind)
{
    switch (kind) {
    case RULE_ABOVE:
        return "above";
    case RULE_BELOW:
        return "below";
    case RULE_RISE:
        return "rise";
    case RULE_FALL:
        return "fall";
    case RULE_SUM:
        return "sum";
    case RULE_EQUALS:
        return "equals";
    case RULE_SILENT:
        return "silent";
    case RULE_FLAT:
        return "flat";
    case RULE_SPIKE:
        return "spike";
    case RULE_ALL:
        return "all";
    case RULE_ANY:
        return "any";
    case RULE_DIAGNOSE:
        return "diagnose";
    }
    return "unknown";
}

bool rule_has_window(enum rule_kind kind)
{
    return kind == RULE_RISE || kind == RULE_FALL || kind == RULE_SUM;
}

bool rule_is_time(enum rule_kind kind)
{
    return kind == RULE_SILENT || kind == RULE_FLAT;
}

static bool same_numbers(const struct rule_number *a, const struct rule_number *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (a[i].given != b[i].given || (a[i].given && a[i].value != b[i].value))
            return false;
    }
    return true;
}

/* Where their points lie in the settings may differ: a reload numbers them anew. */
static bool same_conditions(const struct rule *a, const struct rule *b)
{
    if (a->condition_count != b->condition_count)
        return false;
    for (size_t i = 0; i < a->condition_count; i++) {
        if (a->conditions[i].kind != b->conditions[i].kind ||
            a->conditions[i].value != b->conditions[i].value)
            return false;
    }
    return true;
}

bool rule_same(const struct rule *a, const struct rule *b)
{
    return a->kind == b->kind && a->fault == b->fault && a->diagnosis == b->diagnosis &&
           same_numbers(a->levels, b->levels, LEVEL_COUNT) &&
           same_numbers(&a->hysteresis, &b->hysteresis, 1) &&
           same_numbers(a->dwell, b->dwell, LEVEL_COUNT) && same_numbers(&a->clear, &b->clear, 1) &&
           same_numbers(&a->window, &b->window, 1) && same_numbers(&a->spike, &b->spike, 1) &&
           same_numbers(a->params, b->params, RULE_PARAMS_MAX) && same_conditions(a, b);
}
