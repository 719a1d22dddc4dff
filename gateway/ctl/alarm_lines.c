/* One step of an alarm in Chinese or English, folded into the columns of a terminal.
 *
 * One thread; `alarms` and `watch` show with it what comes from a daemon or a broker. Reads only
 * the JSON and the clock, prints to stdout. What is not given is not shown: an entry of a list of
 * what is up has no words. Owns nothing. */
#include "gateway/ctl/alarm_lines.h"

#include <stdio.h>
#include <string.h>

#include "drivers/clock.h"
#include "gateway/ctl/colour.h"
#include "gateway/ctl/moment.h"
#include "gateway/ctl/say.h"
#include "gateway/ctl/text.h"
#include "proto/names.h"

enum { ID_END = 6 };

uint8_t alarm_lines_level(const json_t *alarm)
{
    json_int_t level = text_integer(alarm, "level");
    return (uint8_t)(level ? level : text_integer(alarm, "previous_level"));
}

/* Until now or its end. An entry of a list has no moment of raising, only the first sight of it. */
static int64_t lasted_ms(const json_t *alarm, int64_t now_ms)
{
    int64_t raised_ms = text_integer(alarm, "raised_ms");
    int64_t cleared_ms = text_integer(alarm, "cleared_ms");
    int64_t from_ms = raised_ms ? raised_ms : text_integer(alarm, "first_ms");
    int64_t to_ms = cleared_ms ? cleared_ms : now_ms;
    int64_t lasted;
    return __builtin_sub_overflow(to_ms, from_ms, &lasted) || lasted < 0 ? 0 : lasted;
}

/* "红色 03:12:05 road.depth/flooded  已 12 分钟  …X7RK2P": the end of an id tells it from others.
 */
static void show_head(const json_t *alarm, const char *gateway)
{
    uint8_t level = alarm_lines_level(alarm);
    char when[MOMENT_BYTES], age[32], text[400];
    const char *id = text_of(alarm, "id"), *status = text_of(alarm, "status");
    int64_t now_ms = clock_wall().ms, at_ms = text_integer(alarm, "at_ms");
    size_t length = strlen(id);
    text_duration(lasted_ms(alarm, now_ms), age, sizeof age);
    snprintf(text, sizeof text,
             say("%s%s%s %s %s %s，已 %s，…%s", "%s%s%s %s %s %s, for %s, ...%s"),
             gateway ? gateway : "", gateway ? " " : "", say_name(names_level((enum level)level)),
             moment_short(at_ms, now_ms, when), text_of(alarm, "key"), say_name(status), age,
             id + (length > ID_END ? length - ID_END : 0));
    colour_level(level);
    text_fold(stdout, text, 4);
    colour_end();
}

static void show_line(const char *text)
{
    char spaced[1200];
    snprintf(spaced, sizeof spaced, "    %s", text);
    text_fold(stdout, spaced, 6);
}

static void show_source(const json_t *alarm)
{
    char text[400];
    const char *source = json_string_value(json_object_get(alarm, "threshold_source"));
    const json_t *threshold = json_object_get(alarm, "threshold");
    const char *unit = json_string_value(json_object_get(alarm, "unit"));
    if (!source)
        return;
    if (threshold)
        snprintf(text, sizeof text, say("阈值 %.10g %s：%s", "threshold %.10g %s: %s"),
                 json_number_value(threshold), unit && strcmp(unit, "1") != 0 ? unit : "",
                 say_name(source));
    else
        snprintf(text, sizeof text, say("依据：%s", "by: %s"), say_name(source));
    show_line(text);
}

static void show_person(const json_t *alarm)
{
    char text[400];
    const char *actor = json_string_value(json_object_get(alarm, "actor"));
    const char *note = json_string_value(json_object_get(alarm, "note"));
    if (!actor)
        return;
    snprintf(text, sizeof text, say("%s 已确认%s%s", "acknowledged by %s%s%s"), actor,
             note ? say("：", ": ") : "", note ? note : "");
    show_line(text);
}

void alarm_lines(const json_t *alarm, const char *gateway)
{
    show_head(alarm, gateway);
    const char *key = say_is_chinese() ? "text_zh" : "text_en";
    if (json_object_get(alarm, key))
        show_line(text_of(alarm, key));
    show_source(alarm);
    if (json_object_get(alarm, "hint"))
        show_line(text_of(alarm, "hint"));
    show_person(alarm);
}
