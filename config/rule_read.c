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

static bool read_levels(const struct reader *reader, const struct field *field,
                        const struct node *node, void *out)
{
    struct rule_draft *draft = out;
    (void)reader;
    (void)field;
    return read_by_level(draft->reading, node, read_number, draft->rule.levels, draft->level_off);
}

static bool read_long_levels(const struct reader *reader, const struct field *field,
                             const struct node *node, void *out)
{
    struct rule_draft *draft = out;
    (void)reader;
    (void)field;
    return read_by_level(draft->reading, node, read_duration, draft->rule.levels, draft->level_off);
}

static bool read_level(const struct reader *reader, const struct field *field,
                       const struct node *node, void *out)
{
    struct rule_draft *draft = out;
    (void)field;
    unsigned level = node->kind == NODE_TEXT ? level_of(node->text) : 0;
    if (!level)
        return field_error(reader, node, "level is 1 (red), 2 (orange), 3 (yellow) or 4 (blue)");
    for (unsigned other = 1; other < LEVEL_COUNT; other++)
        draft->level_off[other] = other != level;
    draft->rule.levels[level] =
        (struct rule_number){.given = true, .value = 1, .place = node->place};
    return true;
}

static bool read_spike(const struct reader *reader, const struct field *field,
                       const struct node *node, void *out)
{
    struct rule_draft *draft = out;
    (void)reader;
    (void)field;
    return read_number(draft->reading, node, &draft->rule.spike);
}

static bool read_hysteresis(const struct reader *reader, const struct field *field,
                            const struct node *node, void *out)
{
    struct rule_draft *draft = out;
    (void)field;
    if (!read_number(draft->reading, node, &draft->rule.hysteresis))
        return false;
    return draft->rule.hysteresis.value >= 0 ||
           field_error(reader, node, "hysteresis is 0 or more");
}

static bool read_dwell(const struct reader *reader, const struct field *field,
                       const struct node *node, void *out)
{
    struct rule_draft *draft = out;
    (void)field;
    struct rule_number one = {0};
    struct rule_number *dwell = draft->rule.dwell;
    bool by_level = node->kind == NODE_MAP;
    draft->dwell_by_level = by_level;
    bool good = by_level ? read_by_level(draft->reading, node, read_duration, dwell, NULL)
                         : read_duration(draft->reading, node, &one);
    for (unsigned level = 1; good && level < LEVEL_COUNT; level++) {
        if (!by_level)
            dwell[level] = one;
        if (dwell[level].given && dwell[level].value > DAY_MS)
            return field_error(reader, node, "dwell is a day at most");
    }
    return good;
}

static bool read_clear(const struct reader *reader, const struct field *field,
                       const struct node *node, void *out)
{
    struct rule_draft *draft = out;
    (void)reader;
    (void)field;
    return read_duration(draft->reading, node, &draft->rule.clear);
}

static bool read_window(const struct reader *reader, const struct field *field,
                        const struct node *node, void *out)
{
    struct rule_draft *draft = out;
    (void)reader;
    (void)field;
    return read_duration(draft->reading, node, &draft->rule.window);
}

static bool read_fault(const struct reader *reader, const struct field *field,
                       const struct node *node, void *out)
{
    struct rule_draft *draft = out;
    draft->has_fault = true;
    return field_bool(reader, field, node, &draft->rule.fault);
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

static bool read_conditions(const struct reader *reader, const struct field *field,
                            const struct node *node, void *out)
{
    struct rule_draft *draft = out;
    (void)field;
    bool good = true;
    if (node->kind != NODE_LIST || !node->count || node->count > RULE_CONDITIONS_MAX)
        return field_error(reader, node, "a list of 1 to %d conditions is wanted here",
                           RULE_CONDITIONS_MAX);
    draft->rule.conditions =
        arena_array(reader->arena, node->count, sizeof *draft->rule.conditions);
    for (const struct node *item = node->first; item; item = item->next)
        good &= read_condition(draft->reading, item, draft);
    return good;
}

static bool read_diagnose(const struct reader *reader, const struct field *field,
                          const struct node *node, void *out)
{
    struct rule_draft *draft = out;
    (void)field;
    if (!field_is_text(reader, node, "the name of a diagnosis"))
        return false;
    for (int sector = 1; draft->reading->diagnosis && sector < SECTOR_COUNT; sector++) {
        if (draft->reading->sectors[sector] && !draft->rule.diagnosis)
            draft->rule.diagnosis = draft->reading->diagnosis((enum sector)sector, node->text);
    }
    return draft->rule.diagnosis ||
           field_error(reader, node, "this sensor class has no diagnosis \"%.40s\"", node->text);
}

static bool read_points(const struct reader *reader, const struct field *field,
                        const struct node *node, void *out)
{
    struct rule_draft *draft = out;
    (void)field;
    draft->role_points = node;
    return node->kind == NODE_MAP ||
           field_error(reader, node,
                       "points is a map of who plays which role, like { run: pump-1.run }");
}

/* Read when all numbers are there. */
static bool read_source(const struct reader *reader, const struct field *field,
                        const struct node *node, void *out)
{
    struct rule_draft *draft = out;
    (void)field;
    static const char form[] = "source is a text, or a text for each level and for the `rest`";
    (void)draft;
    if (node->kind == NODE_TEXT)
        return true;
    if (node->kind != NODE_MAP)
        return field_error(reader, node, "%s", form);
    for (const struct node *item = node->first; item; item = item->next) {
        if (level_of(item->key) == 0 && strcmp(item->key, "rest") != 0)
            return field_error(reader, item, "\"%.20s\" is no level and not `rest`: %s", item->key,
                               form);
        if (item->kind != NODE_TEXT)
            return field_error(reader, item, "%s", form);
    }
    return true;
}

/* ---- the table ---- */

static const struct field_type NUMBERS = {.read = read_levels,
                                          .name = {"级别: 数值", "map of LEVEL: number, or off"}};
static const struct field_type TIMES = {.read = read_long_levels,
                                        .name = {"级别: 时长", "map of LEVEL: duration, or off"}};
static const struct field_type SPIKE = {.read = read_spike, .name = {"数值", "number"}};
static const struct field_type CONDITIONS = {
    .read = read_conditions,
    .name = {"{ point: 测点, above、below 或 equals: 数值 } 的列表",
             "list of { point: POINT, above, below or equals: number }"}};
static const struct field_type DIAGNOSE = {.read = read_diagnose,
                                           .name = {"诊断名", "name of a diagnosis"}};
static const struct field_type LEVEL = {.read = read_level, .name = {"1 到 4", "1 to 4"}};
static const struct field_type HYSTERESIS = {.read = read_hysteresis, .name = {"数值", "number"}};
static const struct field_type DWELL = {
    .read = read_dwell, .name = {"时长，或 级别: 时长", "duration, or map of LEVEL: duration"}};
static const struct field_type CLEAR = {.read = read_clear, .name = {"时长", "duration"}};
static const struct field_type WINDOW = {.read = read_window, .name = {"时长", "duration"}};
static const struct field_type FAULT = {.read = read_fault,
                                        .name = {"true 或 false", "true or false"}};
static const struct field_type ROLES = {
    .read = read_points, .name = {"角色: 测点", "map of ROLE: POINT, or a list of them"}};
static const struct field_type SOURCE = {
    .read = read_source, .name = {"文本，或 级别: 文本", "text, or map of LEVEL and rest: text"}};

static const struct field RULE_FIELDS[] = {
    {.key = "above",
     .type = &NUMBERS,
     .help = {"高于，如 { 4: 150, 3: 270 }；1 红 2 橙 3 黄 4 蓝",
              "above, like { 4: 150, 3: 270 }; 1 red, 2 orange, 3 yellow, 4 blue"}},
    {.key = "below", .type = &NUMBERS, .help = {"低于", "below"}},
    {.key = "rise", .type = &NUMBERS, .help = {"在 window 内上升", "rise within the window"}},
    {.key = "fall", .type = &NUMBERS, .help = {"在 window 内下降", "fall within the window"}},
    {.key = "sum",
     .type = &NUMBERS,
     .help = {"累计量在 window 内的增量", "what a counter adds within the window"}},
    {.key = "equals", .type = &NUMBERS, .help = {"等于，如 { 2: 1 }", "equals, like { 2: 1 }"}},
    {.key = "silent",
     .type = &TIMES,
     .help = {"这么久没有有效读数；设备故障",
              "no good reading for so long; a fault of the device"}},
    {.key = "flat",
     .type = &TIMES,
     .help = {"这么久数值不变；设备故障", "the same value for so long; a fault of the device"}},
    {.key = "spike",
     .type = &SPIKE,
     .help = {"两次读数相差超过此值时重读一次；不报警",
              "a reading that jumps further is asked for again; no alarm"}},
    {.key = "all", .type = &CONDITIONS, .help = {"全部成立", "all of these at once"}},
    {.key = "any", .type = &CONDITIONS, .help = {"任一成立", "any of these"}},
    {.key = "diagnose",
     .type = &DIAGNOSE,
     .help =
         {"该专业的诊断，见 diagnoses；参数与其他键并列",
          "a diagnosis of the sector, see diagnoses; its parameters stand beside the other keys"}},
    {.key = "levels",
     .type = &NUMBERS,
     .help = {"诊断：各级数值", "diagnoses: the number of each level"}},
    {.key = "level", .type = &LEVEL, .help = {"all、any：级别", "all and any: the level"}},
    {.key = "hysteresis",
     .type = &HYSTERESIS,
     .help = {"回差：退回这么多才降级或解除",
              "it must come back by so much to be eased or cleared"}},
    {.key = "dwell",
     .type = &DWELL,
     .help = {"持续这么久才报警，最多 1 天", "how long it must last, a day at most"}},
    {.key = "clear", .type = &CLEAR, .help = {"消失这么久才解除", "how long it must be gone"}},
    {.key = "window",
     .type = &WINDOW,
     .help = {"rise、fall、sum：时间窗", "rise, fall and sum: over how long"}},
    {.key = "fault",
     .type = &FAULT,
     .help = {"是设备故障，不是公众报警", "it is a fault of the device, no public alarm"}},
    {.key = "points",
     .type = &ROLES,
     .help = {"诊断：各角色由哪个测点担任，如 { run: pump-1.run }",
              "diagnoses: who plays which role, like { run: pump-1.run }"}},
    {.key = "source",
     .type = &SOURCE,
     .help = {"数值的出处；规则包中必填", "where the numbers come from; mandatory in packs"}},
};

const struct section SETTINGS_RULE = {"a rule", RULE_FIELDS, COUNT(RULE_FIELDS)};

#define KIND(kind) (1U << (kind))

/* The keys that some kinds alone take. */
static const struct taken {
    const char *key;
    unsigned kinds; /* KIND()s */
    const char *words;
} taken[] = {
    {"levels", KIND(RULE_DIAGNOSE), "diagnoses"},
    {"level", KIND(RULE_ALL) | KIND(RULE_ANY), "all and any"},
    {"window", KIND(RULE_RISE) | KIND(RULE_FALL) | KIND(RULE_SUM), "rise, fall and sum"},
    {"points", KIND(RULE_DIAGNOSE), "diagnoses"},
};

static const struct field *find_field(const char *key)
{
    for (size_t f = 0; f < COUNT(RULE_FIELDS); f++) {
        if (strcmp(RULE_FIELDS[f].key, key) == 0)
            return &RULE_FIELDS[f];
    }
    return NULL;
}

/* The kind of rule that the key makes. */
static bool is_kind(const char *key, enum rule_kind *kind)
{
    for (int k = RULE_ABOVE; k <= RULE_DIAGNOSE; k++) {
        *kind = (enum rule_kind)k;
        if (strcmp(key, rule_kind_name(*kind)) == 0)
            return true;
    }
    return false;
}

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
                       param->help.en, param->min, param->max, param->is_duration ? " ms" : "");
}

static bool refuse_key(const struct rule_reading *reading, const struct node *node,
                       const struct diagnosis_form *form)
{
    struct suggest suggest = suggest_start(node->key);
    for (size_t f = 0; f < COUNT(RULE_FIELDS); f++)
        suggest_offer(&suggest, RULE_FIELDS[f].key);
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
                           const struct field *field, struct rule_draft *draft)
{
    enum rule_kind kind;
    bool makes = is_kind(field->key, &kind);
    if (makes && draft->has_kind)
        return field_error(reading->reader, node, "a rule is of one kind: %s or %s",
                           rule_kind_name(draft->rule.kind), node->key);
    if (makes) {
        draft->has_kind = true;
        draft->rule.kind = kind;
    }
    return field->type->read(reading->reader, field, node, draft);
}

static bool read_key(const struct rule_reading *reading, const struct node *node,
                     struct rule_draft *draft)
{
    const struct diagnosis_form *form = form_of(reading, draft);
    const struct field *field = find_field(node->key);
    size_t p;
    const struct diagnosis_param *param = param_of(form, node->key, &p);
    if (param)
        return read_param(reading, node, param, &draft->rule.params[p]);
    return field ? read_table_key(reading, node, field, draft) : refuse_key(reading, node, form);
}

/* A key that its kind does not take would be lost, or worse: `level` is a number of 1. */
static bool check_key(const struct rule_reading *reading, const struct node *item,
                      enum rule_kind kind)
{
    for (size_t t = 0; t < COUNT(taken); t++) {
        if (strcmp(taken[t].key, item->key) != 0 || (taken[t].kinds & KIND(kind)))
            continue;
        diagnostics_add(reading->reader->out, SEVERITY_ERROR, item->key_place,
                        "%s is for %s; this rule is of the kind %s", item->key, taken[t].words,
                        rule_kind_name(kind));
        return false;
    }
    return true;
}

static bool check_keys(const struct rule_reading *reading, const struct node *node,
                       const struct rule_draft *draft)
{
    const struct diagnosis_form *form = form_of(reading, draft);
    bool known = draft->has_kind || reading->base;
    enum rule_kind kind = draft->has_kind || !known ? draft->rule.kind : reading->base->kind;
    for (const struct node *item = node->first; known && item; item = item->next) {
        size_t p;
        if (!param_of(form, item->key, &p) && !check_key(reading, item, kind))
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
    *out = (struct rule_draft){.reading = reading, .node = node, .name = node->key};
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
