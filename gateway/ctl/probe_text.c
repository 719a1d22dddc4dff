/* What a probe found, for people; and how far it is, while it looks.
 *
 * One thread. The report goes to stdout, the progress to stderr and only when that is a terminal.
 * Owns nothing. Everything fits 80 columns. */
#include "gateway/ctl/probe.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/ctl/text.h"

enum { INDENT = 2 };

void probe_text_progress(const struct probe_step *step, size_t done, size_t count, size_t found)
{
    if (!isatty(STDERR_FILENO))
        return;
    char serial[32] = "";
    if (step->serial.baud)
        snprintf(serial, sizeof serial, "%u %u%c%u, ", step->serial.baud, step->serial.data_bits,
                 step->serial.parity, step->serial.stop_bits);
    fprintf(stderr,
            say("\r\033[K%3zu %%  %s地址 %u，已找到 %zu", "\r\033[K%3zu %%  %sunit %u, %zu found"),
            done * 100 / count, serial, step->unit, found);
    fflush(stderr);
}

void probe_text_looking(const struct probe_unit *unit)
{
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, say("\r\033[K正在识别地址 %u 的型号", "\r\033[Klooking at what unit %u is"),
            unit->unit);
    fflush(stderr);
}

void probe_text_progress_end(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

json_t *probe_text_values(const json_t *values)
{
    char *text = NULL, number[64];
    size_t length, index;
    json_t *value;
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        return json_string("");
    const char *between = "";
    json_array_foreach(values, index, value)
    {
        bool usable = json_is_number(json_object_get(value, "value"));
        if (strcmp(text_of(value, "quality"), "stale") == 0)
            continue;
        fprintf(stream, "%s%s %s%s%s", between, text_of(value, "point"),
                usable ? text_value(value, number, sizeof number) : text_name(value, "quality"),
                usable && text_unit(value)[0] ? " " : "", usable ? text_unit(value) : "");
        between = say("，", ", ");
    }
    fclose(stream);
    json_t *shown = json_string(text);
    free(text);
    return shown;
}

static bool all_fit(const json_t *devices)
{
    bool fit = json_array_size(devices) > 0;
    for (size_t i = 0; i < json_array_size(devices); i++)
        fit = fit && json_is_true(json_object_get(json_array_get(devices, i), "fits"));
    return fit;
}

static json_t *model_text(const json_t *unit)
{
    const json_t *models = json_object_get(unit, "models");
    const json_t *devices = json_object_get(unit, "devices");
    size_t count = json_array_size(models);
    if (strcmp(text_of(unit, "answer"), "ok") != 0)
        return json_string("");
    if (count == 1)
        return json_string(text_of(json_array_get(models, 0), "profile"));
    if (count > 1)
        return json_sprintf(say("%zu 种之一，见下", "one of %zu, see below"), count);
    if (all_fit(devices))
        return json_sprintf("%s%s", text_of(json_array_get(devices, 0), "profile"),
                            json_array_size(devices) > 1 ? say(" 等", " and others") : "");
    return json_string(say("未知", "unknown"));
}

static json_t *devices_text(const json_t *unit)
{
    const json_t *devices = json_object_get(unit, "devices");
    const char *verdict =
        all_fit(devices) ? say("，相符", ", fits") : say("，不符", ", does not fit");
    if (json_array_size(devices) == 0)
        return json_string("");
    return json_sprintf("%s%s%s", text_of(json_array_get(devices, 0), "name"),
                        json_array_size(devices) > 1 ? say(" 等", " and others") : "",
                        strcmp(text_of(unit, "answer"), "ok") == 0 ? verdict : "");
}

static void show_units(const json_t *units)
{
    static const struct text_column columns[] = {{{"地址", "unit"}, true},
                                                 {{"串口参数", "serial"}, false},
                                                 {{"应答", "answer"}, true},
                                                 {{"型号", "model"}, false},
                                                 {{"配置", "configured"}, false}};
    json_t *rows = json_array(), *unit;
    size_t index;
    json_array_foreach(units, index, unit)
    {
        const json_t *trip = json_object_get(unit, "round_trip_ms");
        json_t *answer = json_is_number(trip) ? json_sprintf("%.1f ms", json_number_value(trip))
                                              : json_string(text_name(unit, "answer"));
        json_array_append_new(
            rows, json_pack("[o, s, o, o, o]",
                            json_sprintf("%lld", (long long)text_integer(unit, "unit")),
                            text_of(unit, "serial"), answer, model_text(unit), devices_text(unit)));
    }
    if (json_array_size(rows))
        text_table(columns, sizeof columns / sizeof *columns, rows);
    json_decref(rows);
}

/* What each profile would make of the registers: the eye tells apart what the answers do not. */
static void show_models(const json_t *models)
{
    static const struct text_column columns[] = {{{"模板", "profile"}, false},
                                                 {{"读数将为", "would read"}, false}};
    json_t *rows = json_array(), *model;
    size_t index;
    json_array_foreach(models, index, model)
    {
        json_array_append_new(rows, json_pack("[s, o]", text_of(model, "profile"),
                                              probe_text_values(json_object_get(model, "values"))));
    }
    text_table(columns, sizeof columns / sizeof *columns, rows);
    json_decref(rows);
}

static void show_values(const json_t *unit, const char *name, const json_t *values)
{
    json_t *shown = probe_text_values(values);
    json_t *line =
        json_sprintf(say("地址 %lld，%s：%s", "unit %lld, %s: %s"),
                     (long long)text_integer(unit, "unit"), name, json_string_value(shown));
    if (line)
        text_fold(stdout, json_string_value(line), INDENT);
    json_decref(line);
    json_decref(shown);
}

static void show_unit(const json_t *unit)
{
    size_t index;
    json_t *entry;
    const json_t *models = json_object_get(unit, "models");
    json_array_foreach(json_object_get(unit, "devices"), index, entry)
    {
        if (json_is_true(json_object_get(entry, "fits")))
            show_values(unit, text_of(entry, "name"), json_object_get(entry, "values"));
    }
    if (json_array_size(models) == 1) {
        entry = json_array_get(models, 0);
        show_values(unit, text_of(entry, say("zh", "en")), json_object_get(entry, "values"));
    }
    json_array_foreach(json_object_get(unit, say("advice_zh", "advice")), index, entry)
        text_fold(stdout, json_string_value(entry), INDENT);
    if (json_array_size(models) > 1)
        show_models(models);
}

void probe_text_show(const json_t *result)
{
    const json_t *units = json_object_get(result, "units"),
                 *why = json_object_get(result, say("why_zh", "why"));
    char reason[PROBE_WHY_MAX];
    size_t index;
    json_t *unit;
    const char *serial = text_of(result, "serial");
    text_line(say("%s，%s%s%s%s", "%s, %s%s%s%s"), text_of(result, "line"),
              text_of(result, "transport"), *serial == '-' ? "" : " ", *serial == '-' ? "" : serial,
              json_is_true(json_object_get(result, "daemon"))
                  ? say("，在守护进程的采集间隙", ", between the daemon's polls")
                  : "");
    show_units(units);
    if (json_array_size(units) == 0)
        text_line("%s", say("无应答", "nobody answers"));
    json_array_foreach(units, index, unit) show_unit(unit);
    if (json_is_string(why))
        text_fold(stdout, say_reason(json_string_value(why), reason, sizeof reason), INDENT);
    else if (!json_is_true(json_object_get(result, "complete")))
        text_line("%s", say("提前结束：以上为已找到的设备",
                            "ended early: this is what was found until then"));
}
