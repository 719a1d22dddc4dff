/* The sentence of an alarm, by the kind of its rule, in two languages side by side.
 *
 * Runs in the pipeline thread, once a step. Numbers have the decimals of their point; what does not
 * fit is cut between two characters. Never says more than the rule compares. */
#include "gateway/flow/alarm_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { WORDS = 120 };

/* A phrase in both languages. */
struct pair {
    char zh[WORDS], en[WORDS];
};

static const struct {
    const char *zh, *en;
} colours[LEVEL_COUNT] = {
    {"", ""}, {"红色", "red"}, {"橙色", "orange"}, {"黄色", "yellow"}, {"蓝色", "blue"}};

/* ---- pieces ---- */

static void phrase(char out[WORDS], const char *format, ...) __attribute__((format(printf, 2, 3)));

static void phrase(char out[WORDS], const char *format, ...)
{
    char whole[4 * WORDS];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(whole, sizeof whole, format, arguments);
    va_end(arguments);
    alarm_cut(out, WORDS, whole);
}

static const struct profile_point *profile_point(const struct alarm_subject *subject,
                                                 uint32_t device, uint32_t point)
{
    return point == UINT32_MAX ? NULL : &subject->settings->devices[device].profile->points[point];
}

/* A number as its point has it; a threshold only as many digits as it needs. */
static void number(const struct profile_point *point, double value, char out[WORDS])
{
    const char *unit = point && strcmp(point->unit, "1") != 0 ? point->unit : "";
    int decimals = point && !point->is_float ? point->decimals : -1;
    double shown = value == 0 ? 0 : value; /* no minus before a zero */
    if (decimals < 0)
        phrase(out, "%.6g%s%s", shown, unit[0] ? " " : "", unit);
    else
        phrase(out, "%.*f%s%s", decimals, shown, unit[0] ? " " : "", unit);
}

static void threshold(const struct profile_point *point, double value, char out[WORDS])
{
    const char *unit = point && strcmp(point->unit, "1") != 0 ? point->unit : "";
    phrase(out, "%.10g%s%s", value, unit[0] ? " " : "", unit);
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
    phrase(out.zh, "%.*f %s", digits, count, units[u].zh);
    phrase(out.en, "%.*f %s", digits, count, units[u].en);
    return out;
}

static struct pair title(const struct profile_point *point)
{
    struct pair out = {"", ""};
    if (point) {
        alarm_cut(out.zh, sizeof out.zh, point->title_zh);
        alarm_cut(out.en, sizeof out.en, point->title_en);
    }
    return out;
}

/* ---- what each kind says ---- */

struct said {
    const struct alarm_subject *subject;
    const struct profile_point *point;
    struct pair title, window, lasted;
    uint8_t level;
    char value[WORDS], limit[WORDS];
};

static void say_above(const struct said *s, struct pair *out)
{
    phrase(out->zh, "%s %s，达到%s %s", s->title.zh, s->value, colours[s->level].zh, s->limit);
    phrase(out->en, "%s %s, %s from %s", s->title.en, s->value, colours[s->level].en, s->limit);
}

static void say_below(const struct said *s, struct pair *out)
{
    phrase(out->zh, "%s %s，低至%s %s", s->title.zh, s->value, colours[s->level].zh, s->limit);
    phrase(out->en, "%s %s, %s from %s down", s->title.en, s->value, colours[s->level].en,
           s->limit);
}

static void say_change(const struct said *s, const char *zh, const char *en, struct pair *out)
{
    phrase(out->zh, "%s %s内%s %s", s->title.zh, s->window.zh, zh, s->value);
    phrase(out->en, "%s %s by %s within %s", s->title.en, en, s->value, s->window.en);
    if (s->subject->status == ALARM_STATUS_CLEARED)
        return; /* there is no level any more */
    struct pair so_far = *out;
    phrase(out->zh, "%s（%s %s）", so_far.zh, colours[s->level].zh, s->limit);
    phrase(out->en, "%s (%s from %s)", so_far.en, colours[s->level].en, s->limit);
}

static void say_rise(const struct said *s, struct pair *out)
{
    say_change(s, "上升", "rose", out);
}

static void say_fall(const struct said *s, struct pair *out)
{
    say_change(s, "下降", "fell", out);
}

static void say_sum(const struct said *s, struct pair *out)
{
    say_change(s, "累计", "grew", out);
}

static void say_equals(const struct said *s, struct pair *out)
{
    phrase(out->zh, "%s为 %s", s->title.zh, s->value);
    phrase(out->en, "%s is %s", s->title.en, s->value);
}

static void say_silent(const struct said *s, struct pair *out)
{
    phrase(out->zh, "%s没有有效数据", s->lasted.zh);
    phrase(out->en, "no good reading for %s", s->lasted.en);
}

static void say_flat(const struct said *s, struct pair *out)
{
    phrase(out->zh, "%s %s没有变化", s->title.zh, s->lasted.zh);
    phrase(out->en, "%s unchanged for %s", s->title.en, s->lasted.en);
}

/* As many conditions as there is room for. */
static void say_conditions(const struct said *s, struct pair *out)
{
    const struct rule *rule = s->subject->rule;
    bool all = rule->kind == RULE_ALL;
    for (size_t i = 0; i < rule->condition_count; i++) {
        const struct rule_condition *condition = &rule->conditions[i];
        const struct profile_point *point =
            profile_point(s->subject, condition->point.device, condition->point.point);
        const char *sign = condition->kind == RULE_ABOVE   ? "≥"
                           : condition->kind == RULE_BELOW ? "≤"
                                                           : "=";
        char limit[WORDS];
        threshold(point, condition->value, limit);
        struct pair so_far = *out;
        phrase(out->zh, "%s%s%s %s %s", so_far.zh, i ? (all ? " 且 " : " 或 ") : "",
               point->title_zh, sign, limit);
        phrase(out->en, "%s%s%s %s %s", so_far.en, i ? (all ? " and " : " or ") : "",
               point->title_en, sign, limit);
    }
}

static void say_diagnosis(const struct said *s, struct pair *out)
{
    const struct diagnosis_form *form = s->subject->rule->diagnosis;
    phrase(out->zh, "%s", form->title_zh);
    phrase(out->en, "%s", form->title_en);
}

static void (*const say[])(const struct said *, struct pair *) = {
    [RULE_ABOVE] = say_above,    [RULE_BELOW] = say_below,    [RULE_RISE] = say_rise,
    [RULE_FALL] = say_fall,      [RULE_SUM] = say_sum,        [RULE_EQUALS] = say_equals,
    [RULE_SILENT] = say_silent,  [RULE_FLAT] = say_flat,      [RULE_SPIKE] = say_equals,
    [RULE_ALL] = say_conditions, [RULE_ANY] = say_conditions, [RULE_DIAGNOSE] = say_diagnosis,
};

/* ---- the sentence ---- */

/* What is said of the step, behind what is the matter. */
static struct pair ending(const struct alarm_subject *subject)
{
    struct pair out = {"", ""}, lasted = duration((double)subject->lasted_ms);
    switch (subject->status) {
    case ALARM_STATUS_ESCALATED:
        phrase(out.zh, "，升为%s", colours[subject->level].zh);
        phrase(out.en, "; now %s", colours[subject->level].en);
        break;
    case ALARM_STATUS_EASED:
        phrase(out.zh, "，降为%s", colours[subject->level].zh);
        phrase(out.en, "; eased to %s", colours[subject->level].en);
        break;
    case ALARM_STATUS_CLEARED:
        phrase(out.zh, "，已恢复，持续 %s", lasted.zh);
        phrase(out.en, "; over after %s", lasted.en);
        break;
    case ALARM_STATUS_SUPPRESSED:
        phrase(out.zh, "（维护中）");
        phrase(out.en, " (maintenance)");
        break;
    case ALARM_STATUS_UNSPECIFIED:
    case ALARM_STATUS_RAISED:
    case ALARM_STATUS_ACKED:
        break;
    }
    return out;
}

static void join(const struct alarm_subject *subject, const char *said_zh, const char *said_en,
                 char zh[ALARM_TEXT_MAX], char en[ALARM_TEXT_MAX])
{
    const struct settings_device *device = &subject->settings->devices[subject->device];
    const char *place = device->title[0] ? device->title : device->name;
    struct pair end = ending(subject);
    char whole[4 * ALARM_TEXT_MAX];
    snprintf(whole, sizeof whole, "%.200s %s%s", place, said_zh, end.zh);
    alarm_cut(zh, ALARM_TEXT_MAX, whole);
    snprintf(whole, sizeof whole, "%.200s: %s%s", place, said_en, end.en);
    alarm_cut(en, ALARM_TEXT_MAX, whole);
}

/* What is compared is over when it is CLEARED: then only what it was. */
static void what(const struct alarm_subject *subject, struct pair *out)
{
    uint8_t level = subject->level ? subject->level : subject->previous_level;
    struct said s = {.subject = subject,
                     .point = profile_point(subject, subject->device, subject->point),
                     .level = level,
                     .window = duration(subject->rule->window.value),
                     .lasted = duration(subject->value)};
    s.title = title(s.point);
    number(s.point, subject->value, s.value);
    threshold(s.point, subject->rule->levels[level].value, s.limit);
    enum rule_kind kind = subject->rule->kind;
    bool is_value = kind == RULE_ABOVE || kind == RULE_BELOW || kind == RULE_EQUALS;
    bool is_time = kind == RULE_SILENT || kind == RULE_FLAT;
    if (subject->status == ALARM_STATUS_CLEARED && is_value) {
        phrase(out->zh, "%s %s", s.title.zh, s.value);
        phrase(out->en, "%s %s", s.title.en, s.value);
    } else if (subject->status == ALARM_STATUS_CLEARED && is_time) {
        phrase(out->zh, "%s数据正常", s.title.zh);
        phrase(out->en, "%s%sgood readings again", s.title.en, s.point ? ": " : "");
    } else {
        say[kind](&s, out);
    }
}

void alarm_text(const struct alarm_subject *subject, char zh[ALARM_TEXT_MAX],
                char en[ALARM_TEXT_MAX])
{
    struct pair out = {"", ""};
    what(subject, &out);
    join(subject, out.zh, out.en, zh, en);
}

void alarm_text_of_diagnosis(const struct alarm_subject *subject, const char *said_zh,
                             const char *said_en, char zh[ALARM_TEXT_MAX], char en[ALARM_TEXT_MAX])
{
    join(subject, said_zh, said_en, zh, en);
}
