/* Reads one rule, of a pack or of an override, as it is written.
 *
 * Runs in the thread that loads a configuration. One table says which keys there are and who reads
 * them; what a diagnosis takes beside them stands in its form. A number keeps its place and its
 * source. Never looks at other rules: that is rule_merge.c and rule_apply.c. */
#include <string.h>

#include "config/rule_parts.h"
#include "config/scalar.h"
#include "config/suggest.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { DAY_MS = 86400000 };

struct key {
    const char *name;
    bool (*read)(const struct rule_reading *, const struct node *, struct rule_draft *);
    int kind;         /* that it makes the rule; -1 = none */
    unsigned only;    /* KIND()s of rules that take it; 0 = all */
    const char *kept; /* for which, in words */
};

#define KIND(kind) (1U << (kind))

/* ---- numbers ---- */

static bool is_off(const struct node *node)
{
    return node->kind == NODE_TEXT && strcmp(node->text, "off") == 0;
}

static bool read_number(const struct rule_reading *reading, const struct node *node,
                        struct rule_number *out)
{
    double value;
    if (node->kind != NODE_TEXT || !scalar_number(node->text, &value))
        return field_error(reading->reader, node, "a number is wanted here, like 0.5");
    *out = (struct rule_number){.given = true, .value = value, .place = node->place};
    return true;
}

static bool read_duration(const struct rule_reading *reading, const struct node *node,
                          struct rule_number *out)
{
    int64_t ms;
    if (node->kind != NODE_TEXT || !scalar_duration(node->text, &ms))
        return field_error(reading->reader, node, "a length of time is wanted here, like 10s, 5m");
    if (ms < 0 || ms > 400 * (int64_t)DAY_MS)
        return field_error(reading->reader, node, "\"%.40s\" is no more than 400d", node->text);
    *out = (struct rule_number){.given = true, .value = (double)ms, .place = node->place};
    return true;
}

typedef bool (*number_reader)(const struct rule_reading *, const struct node *,
                              struct rule_number *);

/* "1" to "4"; 0 = none of them. */
static unsigned level_of(const char *key)
{
    return key && key[0] >= '1' && key[0] <= '4' && key[1] == '\0' ? (unsigned)(key[0] - '0') : 0;
}

static bool read_by_level(const struct rule_reading *reading, const struct node *node,
                          number_reader read, struct rule_number numbers[LEVEL_COUNT],
                          bool off[LEVEL_COUNT])
{
    bool good = true;
    if (node->kind != NODE_MAP || !node->count)
        return field_error(reading->reader, node,
                           "a number for each level is wanted here, like "
                           "{ 4: 150, 3: 270 } (1 red ... 4 blue)");
    for (const struct node *item = node->first; item; item = item->next) {
        unsigned level = level_of(item->key);
        if (!level)
            good =
                field_error(reading->reader, item,
                            "\"%.20s\" is no level: 1 red, 2 orange, 3 yellow, 4 blue", item->key);
        else if (off && is_off(item))
            off[level] = true;
        else
            good &= read(reading, item, &numbers[level]);
    }
    return good;
}

/* ---- keys ---- */

static bool read_levels(const struct rule_reading *reading, const struct node *node,
                        struct rule_draft *draft)
{
    return read_by_level(reading, node, read_number, draft->rule.levels, draft->level_off);
}

static bool read_long_levels(const struct rule_reading *reading, const struct node *node,
                             struct rule_draft *draft)
{
    return read_by_level(reading, node, read_duration, draft->rule.levels, draft->level_off);
}

static bool read_level(const struct rule_reading *reading, const struct node *node,
                       struct rule_draft *draft)
{
    unsigned level = node->kind == NODE_TEXT ? level_of(node->text) : 0;
    if (!level)
        return field_error(reading->reader, node,
                           "level is 1 (red), 2 (orange), 3 (yellow) or 4 (blue)");
    for (unsigned other = 1; other < LEVEL_COUNT; other++)
        draft->level_off[other] = other != level;
    draft->rule.levels[level] =
        (struct rule_number){.given = true, .value = 1, .place = node->place};
    return true;
}

static bool read_spike(const struct rule_reading *reading, const struct node *node,
                       struct rule_draft *draft)
{
    return read_number(reading, node, &draft->rule.spike);
}

static bool read_hysteresis(const struct rule_reading *reading, const struct node *node,
                            struct rule_draft *draft)
{
    if (!read_number(reading, node, &draft->rule.hysteresis))
        return false;
    return draft->rule.hysteresis.value >= 0 ||
           field_error(reading->reader, node, "hysteresis is 0 or more");
}

static bool read_dwell(const struct rule_reading *reading, const struct node *node,
                       struct rule_draft *draft)
{
    struct rule_number one = {0};
    struct rule_number *dwell = draft->rule.dwell;
    bool by_level = node->kind == NODE_MAP;
    draft->dwell_by_level = by_level;
    bool good = by_level ? read_by_level(reading, node, read_duration, dwell, NULL)
                         : read_duration(reading, node, &one);
    for (unsigned level = 1; good && level < LEVEL_COUNT; level++) {
        if (!by_level)
            dwell[level] = one;
        if (dwell[level].given && dwell[level].value > DAY_MS)
            return field_error(reading->reader, node, "dwell is a day at most");
    }
    return good;
}

static bool read_clear(const struct rule_reading *reading, const struct node *node,
                       struct rule_draft *draft)
{
    return read_duration(reading, node, &draft->rule.clear);
}

static bool read_window(const struct rule_reading *reading, const struct node *node,
                        struct rule_draft *draft)
{
    return read_duration(reading, node, &draft->rule.window);
}

static bool read_fault(const struct rule_reading *reading, const struct node *node,
                       struct rule_draft *draft)
{
    static const struct field fault = {.key = "fault"};
    draft->has_fault = true;
    return field_bool(reading->reader, &fault, node, &draft->rule.fault);
}

static bool is_condition_kind(const char *key, enum rule_kind *kind)
{
    static const enum rule_kind kinds[] = {RULE_ABOVE, RULE_BELOW, RULE_EQUALS};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        *kind = kinds[i];
        if (strcmp(key, rule_kind_name(kinds[i])) == 0)
            return true;
    }
    return false;
}

static bool read_condition(const struct rule_reading *reading, const struct node *node,
                           struct rule_draft *draft)
{
    static const char form[] = "a condition is like { point: level, above: 2.5 }, or below:, "
                               "or equals:";
    struct rule_number number = {0};
    size_t index = draft->rule.condition_count++;
    struct rule_condition *condition = &draft->rule.conditions[index];
    if (node->kind != NODE_MAP || node->count != 2)
        return field_error(reading->reader, node, "%s", form);
    for (const struct node *item = node->first; item; item = item->next) {
        if (strcmp(item->key, "point") == 0)
            draft->condition_points[index] = item;
        else if (!is_condition_kind(item->key, &condition->kind))
            return field_error(reading->reader, item, "%s", form);
        else if (!read_number(reading, item, &number))
            return false;
    }
    condition->place = node->place;
    condition->value = number.value;
    if (!draft->condition_points[index] || !number.given)
        return field_error(reading->reader, node, "%s", form);
    return field_is_text(reading->reader, draft->condition_points[index], "a point");
}

static bool read_conditions(const struct rule_reading *reading, const struct node *node,
                            struct rule_draft *draft)
{
    bool good = true;
    if (node->kind != NODE_LIST || !node->count || node->count > RULE_CONDITIONS_MAX)
        return field_error(reading->reader, node, "a list of 1 to %d conditions is wanted here",
                           RULE_CONDITIONS_MAX);
    draft->rule.conditions =
        arena_array(reading->reader->arena, node->count, sizeof *draft->rule.conditions);
    for (const struct node *item = node->first; item; item = item->next)
        good &= read_condition(reading, item, draft);
    return good;
}

static bool read_diagnose(const struct rule_reading *reading, const struct node *node,
                          struct rule_draft *draft)
{
    if (!field_is_text(reading->reader, node, "the name of a diagnosis"))
        return false;
    for (int sector = 1; reading->diagnosis && sector < SECTOR_COUNT; sector++) {
        if (reading->sectors[sector] && !draft->rule.diagnosis)
            draft->rule.diagnosis = reading->diagnosis((enum sector)sector, node->text);
    }
    return draft->rule.diagnosis ||
           field_error(reading->reader, node, "this sensor class has no diagnosis \"%.40s\"",
                       node->text);
}

static bool read_points(const struct rule_reading *reading, const struct node *node,
                        struct rule_draft *draft)
{
    draft->role_points = node;
    return node->kind == NODE_MAP ||
           field_error(reading->reader, node,
                       "points is a map of who plays which role, like { run: pump-1.run }");
}

/* Read when all numbers are there. */
static bool read_source(const struct rule_reading *reading, const struct node *node,
                        struct rule_draft *draft)
{
    static const char form[] = "source is a text, or a text for each level and for the `rest`";
    (void)draft;
    if (node->kind == NODE_TEXT)
        return true;
    if (node->kind != NODE_MAP)
        return field_error(reading->reader, node, "%s", form);
    for (const struct node *item = node->first; item; item = item->next) {
        if (level_of(item->key) == 0 && strcmp(item->key, "rest") != 0)
            return field_error(reading->reader, item, "\"%.20s\" is no level and not `rest`: %s",
                               item->key, form);
        if (item->kind != NODE_TEXT)
            return field_error(reading->reader, item, "%s", form);
    }
    return true;
}

static const struct key keys[] = {
    {"above", read_levels, RULE_ABOVE, 0, NULL},
    {"below", read_levels, RULE_BELOW, 0, NULL},
    {"rise", read_levels, RULE_RISE, 0, NULL},
    {"fall", read_levels, RULE_FALL, 0, NULL},
    {"sum", read_levels, RULE_SUM, 0, NULL},
    {"equals", read_levels, RULE_EQUALS, 0, NULL},
    {"silent", read_long_levels, RULE_SILENT, 0, NULL},
    {"flat", read_long_levels, RULE_FLAT, 0, NULL},
    {"spike", read_spike, RULE_SPIKE, 0, NULL},
    {"all", read_conditions, RULE_ALL, 0, NULL},
    {"any", read_conditions, RULE_ANY, 0, NULL},
    {"diagnose", read_diagnose, RULE_DIAGNOSE, 0, NULL},
    {"levels", read_levels, -1, KIND(RULE_DIAGNOSE), "diagnoses"},
    {"level", read_level, -1, KIND(RULE_ALL) | KIND(RULE_ANY), "all and any"},
    {"hysteresis", read_hysteresis, -1, 0, NULL},
    {"dwell", read_dwell, -1, 0, NULL},
    {"clear", read_clear, -1, 0, NULL},
    {"window", read_window, -1, KIND(RULE_RISE) | KIND(RULE_FALL) | KIND(RULE_SUM),
     "rise, fall and sum"},
    {"fault", read_fault, -1, 0, NULL},
    {"points", read_points, -1, KIND(RULE_DIAGNOSE), "diagnoses"},
    {"source", read_source, -1, 0, NULL},
};

/* ---- what a diagnosis takes ---- */

static const struct diagnosis_form *form_of(const struct rule_reading *reading,
                                            const struct rule_draft *draft)
{
    if (draft->rule.diagnosis)
        return draft->rule.diagnosis;
    return !draft->has_kind && reading->base ? reading->base->diagnosis : NULL;
}

static bool read_param(const struct rule_reading *reading, const struct node *node,
                       const struct diagnosis_param *param, struct rule_number *out)
{
    if (!(param->is_duration ? read_duration : read_number)(reading, node, out))
        return false;
    if (out->value >= param->min && out->value <= param->max)
        return true;
    return field_error(reading->reader, node, "%s (%s) lies between %g and %g%s", param->key,
                       param->help, param->min, param->max, param->is_duration ? " ms" : "");
}

static bool refuse_key(const struct rule_reading *reading, const struct node *node,
                       const struct diagnosis_form *form)
{
    struct suggest suggest = suggest_start(node->key);
    for (size_t k = 0; k < COUNT(keys); k++)
        suggest_offer(&suggest, keys[k].name);
    for (size_t p = 0; form && p < form->param_count; p++)
        suggest_offer(&suggest, form->params[p].key);
    diagnostics_add(reading->reader->out, SEVERITY_ERROR, node->key_place,
                    "a rule has no \"%.40s\"%s", node->key, suggest_text(&suggest));
    return false;
}

/* What its diagnosis takes goes before what every rule takes. */
static const struct diagnosis_param *param_of(const struct diagnosis_form *form, const char *key,
                                              size_t *index)
{
    for (*index = 0; form && *index < form->param_count; ++*index) {
        if (strcmp(key, form->params[*index].key) == 0)
            return &form->params[*index];
    }
    return NULL;
}

/* ---- sources ---- */

static const char *source_for(const struct rule_reading *reading, const struct node *source,
                              const char *key)
{
    const struct node *own = source && source->kind == NODE_MAP ? tree_member(source, key) : source;
    if (own && own->kind == NODE_TEXT && own->text[0])
        return arena_text(reading->reader->arena, own->text);
    return reading->in_pack ? NULL : "configuration";
}

static bool give_source(const struct rule_reading *reading, const struct rule_draft *draft,
                        const char *key, struct rule_number *number)
{
    if (!number->given)
        return true;
    number->source = source_for(reading, tree_member(draft->node, "source"), key);
    return number->source ||
           field_error(reading->reader, draft->node, "the number of %s%s has no source",
                       level_of(key) ? "level " : "the ", key);
}

static bool give_sources(const struct rule_reading *reading, struct rule_draft *draft)
{
    static const char *const level_keys[LEVEL_COUNT] = {"", "1", "2", "3", "4"};
    struct rule *rule = &draft->rule;
    bool good = true;
    for (unsigned level = 1; level < LEVEL_COUNT; level++) {
        good = good && give_source(reading, draft, level_keys[level], &rule->levels[level]);
        good = good && give_source(reading, draft, "rest", &rule->dwell[level]);
    }
    struct rule_number *const rest[] = {&rule->hysteresis, &rule->clear, &rule->window,
                                        &rule->spike};
    for (size_t i = 0; i < COUNT(rest); i++)
        good = good && give_source(reading, draft, "rest", rest[i]);
    for (size_t p = 0; p < RULE_PARAMS_MAX; p++)
        good = good && give_source(reading, draft, "rest", &rule->params[p]);
    return good;
}

/* ---- the whole ---- */

static bool read_table_key(const struct rule_reading *reading, const struct node *node,
                           const struct key *key, struct rule_draft *draft)
{
    if (key->kind >= 0 && draft->has_kind)
        return field_error(reading->reader, node, "a rule is of one kind: %s or %s",
                           rule_kind_name(draft->rule.kind), node->key);
    if (key->kind >= 0) {
        draft->has_kind = true;
        draft->rule.kind = (enum rule_kind)key->kind;
    }
    return key->read(reading, node, draft);
}

static size_t find_key(const char *name)
{
    size_t k = 0;
    while (k < COUNT(keys) && strcmp(keys[k].name, name) != 0)
        k++;
    return k;
}

static bool read_key(const struct rule_reading *reading, const struct node *node,
                     struct rule_draft *draft)
{
    const struct diagnosis_form *form = form_of(reading, draft);
    size_t p, k = find_key(node->key);
    const struct diagnosis_param *param = param_of(form, node->key, &p);
    if (param)
        return read_param(reading, node, param, &draft->rule.params[p]);
    return k < COUNT(keys) ? read_table_key(reading, node, &keys[k], draft)
                           : refuse_key(reading, node, form);
}

/* A key that its kind does not take would be lost, or worse: `level` is a number of 1. */
static bool check_keys(const struct rule_reading *reading, const struct node *node,
                       const struct rule_draft *draft)
{
    const struct diagnosis_form *form = form_of(reading, draft);
    bool known = draft->has_kind || reading->base;
    enum rule_kind kind = draft->has_kind || !known ? draft->rule.kind : reading->base->kind;
    for (const struct node *item = node->first; known && item; item = item->next) {
        size_t p, k = find_key(item->key);
        if (k == COUNT(keys) || !keys[k].only || (keys[k].only & KIND(kind)) ||
            param_of(form, item->key, &p))
            continue;
        diagnostics_add(reading->reader->out, SEVERITY_ERROR, item->key_place,
                        "%s is for %s; this rule is of the kind %s", item->key, keys[k].kept,
                        rule_kind_name(kind));
        return false;
    }
    return true;
}

/* `diagnose` first, for it says what else there may be. */
static bool read_keys(const struct rule_reading *reading, const struct node *node,
                      struct rule_draft *draft)
{
    const struct node *diagnose = tree_member(node, rule_kind_name(RULE_DIAGNOSE));
    bool good = !diagnose || read_key(reading, diagnose, draft);
    for (const struct node *item = node->first; good && item; item = item->next)
        good = item == diagnose || read_key(reading, item, draft);
    return good;
}

bool rule_read(const struct rule_reading *reading, const struct node *node, struct rule_draft *out)
{
    *out = (struct rule_draft){.node = node, .name = node->key};
    out->rule = (struct rule){.place = node->key_place, .name = node->key};
    if (!node->key[0] || strlen(node->key) > 32 ||
        !field_allows("a-z 0-9 _", node->key, strlen(node->key))) {
        diagnostics_add(reading->reader->out, SEVERITY_ERROR, node->key_place,
                        "a rule's name is 1 to 32 of a-z 0-9 _, not \"%.40s\"", node->key);
        return false;
    }
    out->off = is_off(node);
    if (out->off)
        return true;
    if (node->kind != NODE_MAP)
        return field_error(reading->reader, node,
                           "a rule is a map like { above: { 3: 270 } }, or off");
    return read_keys(reading, node, out) && check_keys(reading, node, out) &&
           give_sources(reading, out);
}
