/* Explains the alarm rules of a configuration: every number with its unit and its source, who plays
 * which role in a diagnosis, what is switched off, what lacks somebody, what a pack leaves out.
 *
 * Runs in lifelinectl's only thread, on settings that were loaded without an error. Turns them into
 * JSON first; the text is made of that. Never judges a value. */
#include "gateway/ctl/explain.h"

#include <stdio.h>
#include <string.h>

#include "config/pack.h"
#include "gateway/ctl/say.h"
#include "gateway/ctl/text.h"

/* Where rules stand: a point, or a device as a whole (point NULL). */
struct site {
    const struct settings *settings;
    const struct settings_device *device;
    const struct profile_point *point;
    const struct settings_point *range;
};

/* ---- as JSON ---- */

static json_t *point_name(const struct settings *settings, struct rule_point at)
{
    const struct settings_device *device = &settings->devices[at.device];
    return json_sprintf("%s.%s", device->name, device->profile->points[at.point].name);
}

/* Whether the configuration gives it, and no pack: one file is one text, so pointers tell. */
static bool is_own(const struct settings *settings, const struct rule_number *number)
{
    for (size_t p = 0; p < settings->pack_count; p++) {
        if (settings->packs[p]->place.file == number->place.file)
            return false;
    }
    return true;
}

static void add_number(json_t *numbers, const struct settings *settings, const char *what,
                       const struct rule_number *number, const char *unit)
{
    if (!number->given)
        return;
    json_array_append_new(
        numbers, json_pack("{s:s, s:f, s:s, s:s, s:b, s:o}", "what", what, "value", number->value,
                           "unit", unit, "source", number->source ? number->source : "", "own",
                           (int)is_own(settings, number), "place",
                           json_sprintf("%s:%u", number->place.file ? number->place.file : "",
                                        number->place.line)));
}

/* A level of a pack that this sensor cannot reach. One of the configuration would be an error. */
static void mark_beyond(const struct site *site, const struct rule *rule, json_t *numbers)
{
    const struct settings_point *range = site->range;
    bool compares = rule->kind <= RULE_BELOW || rule->kind == RULE_EQUALS;
    json_t *number;
    size_t index;
    json_array_foreach(numbers, index, number)
    {
        double value = json_number_value(json_object_get(number, "value"));
        if (compares && range && range->has_range && (value < range->min || value > range->max))
            json_object_set_new(number, "beyond", json_true());
    }
}

static const char *unit_of(const struct site *site, const struct rule *rule)
{
    if (rule_is_time(rule->kind))
        return "ms";
    return site->point && strcmp(site->point->unit, "1") != 0 ? site->point->unit : "";
}

static json_t *numbers_of(const struct site *site, const struct rule *rule)
{
    static const char *const dwell[LEVEL_COUNT] = {"", "dwell 1", "dwell 2", "dwell 3", "dwell 4"};
    const char *unit = unit_of(site, rule);
    const struct diagnosis_form *form = rule->diagnosis;
    json_t *numbers = json_array();
    bool is_condition = rule->kind == RULE_ALL || rule->kind == RULE_ANY;
    for (unsigned level = 1; !is_condition && level < LEVEL_COUNT; level++)
        add_number(numbers, site->settings, names_level((enum level)level), &rule->levels[level],
                   form ? form->levels_mean.en : unit);
    for (size_t n = 0; form && n < json_array_size(numbers); n++)
        json_object_set_new(json_array_get(numbers, n), "unit_zh",
                            json_string(form->levels_mean.zh));
    mark_beyond(site, rule, numbers);
    add_number(numbers, site->settings, "spike", &rule->spike, unit);
    add_number(numbers, site->settings, "hysteresis", &rule->hysteresis,
               rule_is_time(rule->kind) ? "" : unit);
    for (unsigned level = 1; level < LEVEL_COUNT; level++) {
        if (rule->levels[level].given)
            add_number(numbers, site->settings, dwell[level], &rule->dwell[level], "ms");
    }
    add_number(numbers, site->settings, "clear", &rule->clear, "ms");
    add_number(numbers, site->settings, "window", &rule->window, "ms");
    for (size_t p = 0; form && p < form->param_count; p++)
        add_number(numbers, site->settings, form->params[p].key, &rule->params[p],
                   form->params[p].is_duration ? "ms" : "");
    return numbers;
}

static json_t *roles_of(const struct site *site, const struct rule *rule)
{
    json_t *roles = json_object();
    for (size_t r = 0; rule->diagnosis && r < rule->diagnosis->role_count; r++) {
        json_t *points = json_array();
        for (size_t i = 0; i < rule->roles[r].count; i++)
            json_array_append_new(points, point_name(site->settings, rule->roles[r].points[i]));
        json_object_set_new(roles, rule->diagnosis->roles[r].name, points);
    }
    return roles;
}

static json_t *conditions_of(const struct site *site, const struct rule *rule)
{
    json_t *conditions = json_array();
    for (size_t c = 0; c < rule->condition_count; c++) {
        const struct rule_condition *condition = &rule->conditions[c];
        json_array_append_new(conditions,
                              json_pack("{s:o, s:f}", "point",
                                        point_name(site->settings, condition->point),
                                        rule_kind_name(condition->kind), condition->value));
    }
    return conditions;
}

static json_t *rule_of(const struct site *site, const struct rule *rule)
{
    const struct diagnosis_form *form = rule->diagnosis;
    json_t *out = json_pack("{s:s, s:s, s:s, s:b, s:b, s:o, s:o, s:o}", "name", rule->name, "kind",
                            rule_kind_name(rule->kind), "pack", rule->pack ? rule->pack : "",
                            "changed", (int)rule->overridden, "fault",
                            (int)(rule->fault || rule_is_time(rule->kind) || (form && form->fault)),
                            "numbers", numbers_of(site, rule), "roles", roles_of(site, rule),
                            "conditions", conditions_of(site, rule));
    if (form) {
        json_object_set_new(out, "title_zh", json_string(form->title_zh));
        json_object_set_new(out, "title_en", json_string(form->title_en));
    }
    return out;
}

static void add_omitted(const struct site *site, json_t *out)
{
    for (size_t p = 0; site->point && p < site->settings->pack_count; p++) {
        const struct pack *pack = site->settings->packs[p];
        for (size_t i = 0; i < pack->omitted_count; i++) {
            const struct pack_omitted *omitted = &pack->omitted[i];
            if (omitted->sectors[site->device->sector] &&
                strcmp(omitted->quantity, site->point->quantity) == 0)
                json_array_append_new(
                    out, json_pack("{s:s, s:s}", "pack", pack->label, "why", omitted->why));
        }
    }
}

static json_t *site_of(const struct site *site, const struct rules *rules)
{
    json_t *in_force = json_array(), *out = json_array(), *omitted = json_array();
    for (size_t r = 0; r < rules->count; r++)
        json_array_append_new(in_force, rule_of(site, rules->rules[r]));
    for (size_t r = 0; r < rules->out_count; r++) {
        const struct rule_out *left = &rules->out[r];
        json_array_append_new(
            out, json_pack("{s:s, s:s?, s:o}", "name", left->rule->name, "missing", left->missing,
                           "place", json_sprintf("%s:%u", left->place.file, left->place.line)));
    }
    add_omitted(site, omitted);
    json_t *where = site->point ? json_sprintf("%s.%s", site->device->name, site->point->name)
                                : json_string(site->device->name);
    return json_pack("{s:o, s:s, s:s, s:s, s:o, s:o, s:o}", "where", where, "title_zh",
                     site->point ? site->point->title_zh : "", "title_en",
                     site->point ? site->point->title_en : "", "unit",
                     site->point ? site->point->unit : "", "rules", in_force, "out", out, "omitted",
                     omitted);
}

static bool is_wanted(const char *where, const struct settings_device *device, const char *point)
{
    size_t length = strlen(device->name);
    if (strcmp(where, "all") == 0 || strcmp(where, device->name) == 0)
        return true;
    return point && strncmp(where, device->name, length) == 0 && where[length] == '.' &&
           strcmp(where + length + 1, point) == 0;
}

json_t *explain_rules(const struct settings *settings, const char *where)
{
    json_t *sites = json_array();
    for (size_t d = 0; d < settings->device_count; d++) {
        const struct settings_device *device = &settings->devices[d];
        struct site site = {.settings = settings, .device = device};
        if (is_wanted(where, device, NULL))
            json_array_append_new(sites, site_of(&site, &device->rules));
        for (size_t p = 0; p < device->profile->point_count; p++) {
            site.point = &device->profile->points[p];
            site.range = &device->points[p];
            if (is_wanted(where, device, site.point->name))
                json_array_append_new(sites, site_of(&site, &device->points[p].rules));
        }
    }
    return sites;
}

/* ---- for people ---- */

static void line(int indent, const char *text)
{
    char spaced[1200];
    snprintf(spaced, sizeof spaced, "%*s%s", indent, "", text);
    text_fold(stdout, spaced, indent + 2);
}

static void show_number(const json_t *number)
{
    char value[64], text[1000];
    bool has_zh = say_is_chinese() && json_object_get(number, "unit_zh");
    const char *unit = text_of(number, has_zh ? "unit_zh" : "unit");
    const char *what = text_of(number, "what");
    double is = json_number_value(json_object_get(number, "value"));
    if (strcmp(unit, "ms") == 0)
        text_duration((int64_t)is, value, sizeof value);
    else
        snprintf(value, sizeof value, "%.10g", is);
    bool named = strcmp(unit, "ms") == 0 || !unit[0];
    const char *source = text_of(number, "source"), *place = text_of(number, "place");
    bool own = json_is_true(json_object_get(number, "own"));
    bool told = strcmp(source, "configuration") != 0; /* where it comes from, by who wrote it */
    bool beyond = json_is_true(json_object_get(number, "beyond"));
    snprintf(text, sizeof text, say("%s %s%s%s：%s%s%s%s", "%s %s%s%s: %s%s%s%s"), say_name(what),
             value, named ? "" : " ", named ? "" : unit, own ? place : "", own && told ? ", " : "",
             told ? source : "",
             beyond ? say("（超出传感器量程，不会发生）",
                          " (never: the sensor does not measure that far)")
                    : "");
    line(4, text);
}

static void show_roles(const json_t *roles)
{
    const char *role;
    json_t *points, *point;
    size_t index;
    json_object_foreach((json_t *)(uintptr_t)roles, role, points)
    {
        char text[1000] = "";
        json_array_foreach(points, index, point)
        {
            size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "",
                     json_string_value(point));
        }
        char whole[1100];
        snprintf(whole, sizeof whole, "%s = %s", role, text[0] ? text : say("无", "nobody"));
        line(4, whole);
    }
}

static void show_conditions(const json_t *conditions)
{
    static const enum rule_kind kinds[] = {RULE_ABOVE, RULE_BELOW, RULE_EQUALS};
    json_t *condition;
    size_t index;
    json_array_foreach(conditions, index, condition)
    {
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            const json_t *value = json_object_get(condition, rule_kind_name(kinds[k]));
            char text[300];
            if (!value)
                continue;
            snprintf(text, sizeof text, "%s %s %.10g", text_of(condition, "point"),
                     kinds[k] == RULE_ABOVE   ? ">="
                     : kinds[k] == RULE_BELOW ? "<="
                                              : "=",
                     json_number_value(value));
            line(4, text);
        }
    }
}

static void show_rule(const json_t *rule)
{
    char text[400];
    const char *pack = text_of(rule, "pack");
    json_t *number;
    size_t index;
    snprintf(text, sizeof text, "%s (%s) %s%s%s", text_of(rule, "name"), text_of(rule, "kind"),
             pack[0] ? pack : say("本机配置", "of this configuration"),
             json_is_true(json_object_get(rule, "changed")) ? say("，已修改", ", changed") : "",
             json_is_true(json_object_get(rule, "fault")) ? say("，设备故障类", ", a device fault")
                                                          : "");
    line(2, text);
    json_array_foreach(json_object_get(rule, "numbers"), index, number) show_number(number);
    show_roles(json_object_get(rule, "roles"));
    show_conditions(json_object_get(rule, "conditions"));
}

static void show_rest(const json_t *site)
{
    char text[1000];
    json_t *item;
    size_t index;
    json_array_foreach(json_object_get(site, "out"), index, item)
    {
        const char *missing = json_string_value(json_object_get(item, "missing"));
        if (missing)
            snprintf(text, sizeof text, say("%s 未启用：缺少 %s", "%s is not in force: no %s"),
                     text_of(item, "name"), missing);
        else
            snprintf(text, sizeof text, say("%s 已关闭：%s", "%s is off: %s"),
                     text_of(item, "name"), text_of(item, "place"));
        line(2, text);
    }
    json_array_foreach(json_object_get(site, "omitted"), index, item)
    {
        snprintf(text, sizeof text, say("%s 未设规则：%s", "%s has no rule: %s"),
                 text_of(item, "pack"), text_of(item, "why"));
        line(2, text);
    }
}

static bool says_nothing(const json_t *site)
{
    return !json_array_size(json_object_get(site, "rules")) &&
           !json_array_size(json_object_get(site, "out")) &&
           !json_array_size(json_object_get(site, "omitted"));
}

void explain_show(const json_t *rules)
{
    json_t *site, *rule;
    size_t index, r;
    json_array_foreach(rules, index, site)
    {
        char text[300];
        if (says_nothing(site))
            continue;
        snprintf(text, sizeof text, "%s  %s", text_of(site, "where"),
                 text_of(site, say_is_chinese() ? "title_zh" : "title_en"));
        line(0, text);
        json_array_foreach(json_object_get(site, "rules"), r, rule) show_rule(rule);
        show_rest(site);
    }
}
