/* The sentence of an alarm, by the kind of its rule, in two languages side by side.
 *
 * Runs in the pipeline thread, once a step. Numbers have the decimals of their point and are never
 * cut: where there is no room it is the names that become shorter. Never says more than the rule
 * compares. */
#include "gateway/flow/alarm_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    NUMBER = 64,
    TITLE = 64,
    PLACE = 48, /* bytes that the place gets, however much there is to say */
    CONDITIONS = ALARM_TEXT_MAX - PLACE - 48,
};

/* A phrase in both languages. */
struct pair {
    char zh[ALARM_TEXT_MAX], en[ALARM_TEXT_MAX];
};

static const struct {
    const char *zh, *en;
} colours[LEVEL_COUNT] = {
    {"", ""}, {"红色", "red"}, {"橙色", "orange"}, {"黄色", "yellow"}, {"蓝色", "blue"}};

/* ---- pieces ---- */

/* What is left out is seen to be. */
static void fit(char *out, size_t size, const char *text)
{
    static const char more[] = "…";
    bool fits = strlen(text) < size;
    alarm_cut(out, fits || size < sizeof more ? size : size - (sizeof more - 1), text);
    if (!fits && size >= sizeof more)
        memcpy(out + strlen(out), more, sizeof more);
}

static void phrase(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void phrase(char *out, size_t size, const char *format, ...)
{
    char whole[4 * ALARM_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(whole, sizeof whole, format, arguments);
    va_end(arguments);
    fit(out, size, whole);
}

static const struct profile_point *profile_point(const struct alarm_subject *subject,
                                                 uint32_t device, uint32_t point)
{
    return point == UINT32_MAX ? NULL : &subject->settings->devices[device].profile->points[point];
}

/* With so many decimals; below 0 as many as it needs, and never an exponent. */
static void number(const struct profile_point *point, double value, int decimals, char out[NUMBER])
{
    const char *unit = point && strcmp(point->unit, "1") != 0 ? point->unit : "";
    char digits[NUMBER / 2], unit_cut[NUMBER / 3];
    double size = fabs(value);
    if (decimals < 0 && (size >= 1e6 || size < 1e-4))
        decimals = size >= 1e6 || size < 5e-7 ? 0 : 6;
    if (decimals >= 0 && size < 0.5 * pow(10, -decimals))
        value = 0; /* no minus before a zero */
    if (!isfinite(value))
        snprintf(digits, sizeof digits, "?");
    else if (decimals < 0 || size >= 1e15)
        snprintf(digits, sizeof digits, "%.7g", value);
    else
        snprintf(digits, sizeof digits, "%.*f", decimals, value);
    fit(unit_cut, sizeof unit_cut, unit);
    phrase(out, NUMBER, "%s%s%s", digits, unit[0] ? " " : "", unit_cut);
}

static int decimals_of(const struct profile_point *point)
{
    return point && !point->is_float ? point->decimals : -1;
}

static struct pair duration(double ms)
{
    static const struct {
        double ms;
        const char *zh, *en;
    } units[] = {
        {86400e3, "天", "d"}, {3600e3, "小时", "h"}, {60e3, "分钟", "min"}, {1e3, "秒", "s"}};
    struct pair out;
    size_t u = 0;
    while (u < 3 && ms < units[u].ms * (u == 0 ? 2 : 1))
        u++;
    double count = ms / units[u].ms;
    int digits = count < 10 && fabs(count - nearbyint(count)) > 0.05 ? 1 : 0;
    phrase(out.zh, sizeof out.zh, "%.*f %s", digits, count, units[u].zh);
    phrase(out.en, sizeof out.en, "%.*f %s", digits, count, units[u].en);
    return out;
}

/* ---- what each kind says ---- */

struct said {
    const struct alarm_subject *subject;
    const struct profile_point *point;
    char zh[TITLE], en[TITLE]; /* of the point; "" where there is none */
    char value[NUMBER];
    struct pair limit; /* ", yellow from 270 mm"; "" when that is over */
    struct pair window, lasted;
};

static void say_value(const struct said *s, struct pair *out)
{
    phrase(out->zh, sizeof out->zh, "%s %s%s", s->zh, s->value, s->limit.zh);
    phrase(out->en, sizeof out->en, "%s %s%s", s->en, s->value, s->limit.en);
}

static void say_rise(const struct said *s, struct pair *out)
{
    phrase(out->zh, sizeof out->zh, "%s %s内上升 %s%s", s->zh, s->window.zh, s->value, s->limit.zh);
    phrase(out->en, sizeof out->en, "%s rose by %s within %s%s", s->en, s->value, s->window.en,
           s->limit.en);
}

static void say_fall(const struct said *s, struct pair *out)
{
    phrase(out->zh, sizeof out->zh, "%s %s内下降 %s%s", s->zh, s->window.zh, s->value, s->limit.zh);
    phrase(out->en, sizeof out->en, "%s fell by %s within %s%s", s->en, s->value, s->window.en,
           s->limit.en);
}

static void say_sum(const struct said *s, struct pair *out)
{
    phrase(out->zh, sizeof out->zh, "%s %s内累计 %s%s", s->zh, s->window.zh, s->value, s->limit.zh);
    phrase(out->en, sizeof out->en, "%s grew by %s within %s%s", s->en, s->value, s->window.en,
           s->limit.en);
}

static void say_equals(const struct said *s, struct pair *out)
{
    phrase(out->zh, sizeof out->zh, "%s为 %s", s->zh, s->value);
    phrase(out->en, sizeof out->en, "%s is %s", s->en, s->value);
}

static void say_silent(const struct said *s, struct pair *out)
{
    bool over = s->subject->status == ALARM_STATUS_CLEARED;
    phrase(out->zh, sizeof out->zh, "%s%s%s%s", s->zh, s->point && !over ? " " : "",
           over ? "" : s->lasted.zh, over ? "数据正常" : "没有有效数据");
    phrase(out->en, sizeof out->en, "%s%s%s%s%s", over ? "good readings" : "no good reading",
           s->point ? " of " : "", s->en, over ? " again" : " for ", over ? "" : s->lasted.en);
}

static void say_flat(const struct said *s, struct pair *out)
{
    bool over = s->subject->status == ALARM_STATUS_CLEARED;
    phrase(out->zh, sizeof out->zh, "%s%s%s%s", s->zh, over ? "" : " ", over ? "" : s->lasted.zh,
           over ? "又有变化" : "没有变化");
    phrase(out->en, sizeof out->en, "%s %s%s", s->en, over ? "changes again" : "unchanged for ",
           over ? "" : s->lasted.en);
}

static const char *sign_of(enum rule_kind kind)
{
    return kind == RULE_ABOVE ? "≥" : kind == RULE_BELOW ? "≤" : "=";
}

static void say_condition(const char *device, const char *title, const char *sign,
                          const char *limit, char out[ALARM_TEXT_MAX])
{
    char name[TITLE];
    fit(name, sizeof name, title);
    phrase(out, ALARM_TEXT_MAX, "%s%s%s %s %s", device, device[0] ? " " : "", name, sign, limit);
}

static void add(char *out, const char *before, const char *text)
{
    char so_far[ALARM_TEXT_MAX];
    alarm_cut(so_far, sizeof so_far, out);
    phrase(out, ALARM_TEXT_MAX, "%s%s%s", so_far, before, text);
}

/* Whole conditions, as many as there is room for beside the place and the end. */
static void say_conditions(const struct said *s, struct pair *out)
{
    const struct rule *rule = s->subject->rule;
    bool all = rule->kind == RULE_ALL;
    for (size_t i = 0; i < rule->condition_count; i++) {
        const struct rule_condition *condition = &rule->conditions[i];
        const struct profile_point *point =
            profile_point(s->subject, condition->point.device, condition->point.point);
        uint32_t device = condition->point.device;
        const char *other =
            device == s->subject->device ? "" : s->subject->settings->devices[device].name;
        struct pair next;
        char limit[NUMBER];
        number(point, condition->value, -1, limit);
        say_condition(other, point->title_zh, sign_of(condition->kind), limit, next.zh);
        say_condition(other, point->title_en, sign_of(condition->kind), limit, next.en);
        bool fits = strlen(out->zh) + strlen(next.zh) < CONDITIONS &&
                    strlen(out->en) + strlen(next.en) < CONDITIONS;
        add(out->zh, i ? (all ? " 且 " : " 或 ") : "", fits ? next.zh : "…");
        add(out->en, i ? (all ? " and " : " or ") : "", fits ? next.en : "...");
        if (!fits)
            return;
    }
}

static void say_diagnosis(const struct said *s, struct pair *out)
{
    const struct diagnosis_form *form = s->subject->rule->diagnosis;
    fit(out->zh, sizeof out->zh, form->title_zh);
    fit(out->en, sizeof out->en, form->title_en);
}

/* How each kind says what it means, and what stands around its threshold. */
static const struct {
    void (*say)(const struct said *, struct pair *);
    const char *zh[2], *en[2];
} kinds[] = {
    [RULE_ABOVE] = {say_value, {"，达到", ""}, {", ", ""}},
    [RULE_BELOW] = {say_value, {"，低至", ""}, {", ", ""}},
    [RULE_RISE] = {say_rise, {"（", "）"}, {" (", ")"}},
    [RULE_FALL] = {say_fall, {"（", "）"}, {" (", ")"}},
    [RULE_SUM] = {say_sum, {"（", "）"}, {" (", ")"}},
    [RULE_EQUALS] = {say_equals, {"", ""}, {"", ""}},
    [RULE_SILENT] = {say_silent, {"", ""}, {"", ""}},
    [RULE_FLAT] = {say_flat, {"", ""}, {"", ""}},
    [RULE_SPIKE] = {say_equals, {"", ""}, {"", ""}},
    [RULE_ALL] = {say_conditions, {"", ""}, {"", ""}},
    [RULE_ANY] = {say_conditions, {"", ""}, {"", ""}},
    [RULE_DIAGNOSE] = {say_diagnosis, {"", ""}, {"", ""}},
};

/* A level that the rule no longer has (it was changed) has no number. */
static void say_limit(struct said *s)
{
    const struct rule *rule = s->subject->rule;
    uint8_t level = s->subject->level;
    const char *from = rule->kind == RULE_BELOW ? " at or below " : " from ";
    char limit[NUMBER] = "";
    if (s->subject->status == ALARM_STATUS_CLEARED)
        return;
    if (rule->levels[level].given)
        number(s->point, rule->levels[level].value, -1, limit);
    phrase(s->limit.zh, sizeof s->limit.zh, "%s%s%s%s%s", kinds[rule->kind].zh[0],
           colours[level].zh, limit[0] ? " " : "", limit, kinds[rule->kind].zh[1]);
    phrase(s->limit.en, sizeof s->limit.en, "%s%s%s%s%s", kinds[rule->kind].en[0],
           colours[level].en, limit[0] ? from : "", limit, kinds[rule->kind].en[1]);
}

/* ---- the sentence ---- */

/* What is said of the step, behind what is the matter. A wall clock that went back meanwhile knows
 * no duration. */
static struct pair ending(const struct alarm_subject *subject)
{
    struct pair out = {"", ""}, lasted = duration((double)subject->lasted_ms);
    bool known = subject->lasted_ms >= 0;
    switch (subject->status) {
    case ALARM_STATUS_ESCALATED:
        phrase(out.zh, sizeof out.zh, "，升为%s", colours[subject->level].zh);
        phrase(out.en, sizeof out.en, "; now %s", colours[subject->level].en);
        break;
    case ALARM_STATUS_EASED:
        phrase(out.zh, sizeof out.zh, "，降为%s", colours[subject->level].zh);
        phrase(out.en, sizeof out.en, "; eased to %s", colours[subject->level].en);
        break;
    case ALARM_STATUS_CLEARED:
        phrase(out.zh, sizeof out.zh, "，已恢复%s%s", known ? "，持续 " : "",
               known ? lasted.zh : "");
        phrase(out.en, sizeof out.en, "; over%s%s", known ? " after " : "", known ? lasted.en : "");
        break;
    case ALARM_STATUS_SUPPRESSED:
        phrase(out.zh, sizeof out.zh, "（维护中）");
        phrase(out.en, sizeof out.en, " (maintenance)");
        break;
    case ALARM_STATUS_UNSPECIFIED:
    case ALARM_STATUS_RAISED:
    case ALARM_STATUS_ACKED:
        break;
    }
    return out;
}

/* What is said gives way to the end and to some of the place; the place to both. */
static void join(char out[ALARM_TEXT_MAX], const char *place, const char *between, const char *said,
                 const char *end)
{
    char middle[ALARM_TEXT_MAX], where[ALARM_TEXT_MAX];
    size_t place_length = strlen(place), others = strlen(between) + strlen(end);
    size_t least = place_length < PLACE ? place_length : PLACE;
    fit(middle, ALARM_TEXT_MAX - others - least, said);
    fit(where, ALARM_TEXT_MAX - others - strlen(middle), place);
    snprintf(out, ALARM_TEXT_MAX, "%s%s%s%s", where, between, middle, end);
}

void alarm_text_of_diagnosis(const struct alarm_subject *subject, const char *said_zh,
                             const char *said_en, char zh[ALARM_TEXT_MAX], char en[ALARM_TEXT_MAX])
{
    const struct settings_device *device = &subject->settings->devices[subject->device];
    const char *place = device->title[0] ? device->title : device->name;
    struct pair end = ending(subject);
    join(zh, place, " ", said_zh, end.zh);
    join(en, place, ": ", said_en, end.en);
}

void alarm_text(const struct alarm_subject *subject, char zh[ALARM_TEXT_MAX],
                char en[ALARM_TEXT_MAX])
{
    struct pair out = {"", ""};
    struct said s = {.subject = subject,
                     .point = profile_point(subject, subject->device, subject->point),
                     .window = duration(subject->rule->window.value),
                     .lasted = duration(subject->value)};
    if (s.point) {
        fit(s.zh, sizeof s.zh, s.point->title_zh);
        fit(s.en, sizeof s.en, s.point->title_en);
    }
    number(s.point, subject->value, decimals_of(s.point), s.value);
    say_limit(&s);
    kinds[subject->rule->kind].say(&s, &out);
    alarm_text_of_diagnosis(subject, out.zh, out.en, zh, en);
}
