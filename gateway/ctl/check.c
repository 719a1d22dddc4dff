/* lifelinectl check [FILE]: what is wrong with a configuration, all at once, and how busy its lines
 * will be.
 *
 * Loads the configuration, its profiles and alarm packs as the daemon would and replays the
 * profiles' test vectors. With --explain it shows the alarm rules instead of the lines. Needs no
 * daemon, opens no line, writes no file. Errors are the finding. */
#include <stdio.h>
#include <string.h>

#include "drivers/forecast.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/explain.h"
#include "gateway/ctl/text.h"

static json_t *lines_of(const struct setup *setup)
{
    json_t *lines = json_array();
    for (size_t l = 0; setup->plan && l < setup->settings->line_count; l++) {
        json_int_t devices = 0, requests = 0;
        for (size_t d = 0; d < setup->settings->device_count; d++)
            devices += setup->settings->devices[d].line == l;
        for (size_t r = 0; r < setup->plan->read_count; r++)
            requests += setup->plan->reads[r].line == l;
        json_array_append_new(
            lines, json_pack("{s:s, s:I, s:I, s:f, s:b}", "name", setup->settings->lines[l].name,
                             "devices", devices, "requests", requests, "load_percent",
                             setup->load_percent[l], "back_to_back",
                             (int)forecast_is_back_to_back(setup->plan, (uint32_t)l)));
    }
    return lines;
}

/* What is polled without a pause takes all that the rest leaves. */
static json_t *load_of(const json_t *line)
{
    double percent = json_number_value(json_object_get(line, "load_percent"));
    if (!json_is_true(json_object_get(line, "back_to_back")))
        return json_sprintf("%.1f %%", percent);
    if (percent <= 0)
        return json_string(say("连续采集", "back to back"));
    return json_sprintf(say("%.1f %%，余下连续采集", "%.1f %%, then back to back"), percent);
}

static void show_lines(const json_t *lines)
{
    static const struct text_column columns[] = {{{"线路", "line"}, false},
                                                 {{"设备", "devices"}, true},
                                                 {{"请求", "requests"}, true},
                                                 {{"负荷", "load"}, true}};
    json_t *rows = json_array(), *line;
    size_t index;
    json_array_foreach(lines, index, line)
    {
        json_array_append_new(
            rows, json_pack("[s, o, o, o]", text_of(line, "name"),
                            json_sprintf("%lld", (long long)text_integer(line, "devices")),
                            json_sprintf("%lld", (long long)text_integer(line, "requests")),
                            load_of(line)));
    }
    if (json_array_size(rows))
        text_table(columns, sizeof columns / sizeof *columns, rows);
    json_decref(rows);
}

static void show(const json_t *result)
{
    text_diagnostics(stdout, text_of(result, "diagnostics"));
    const json_t *rules = json_object_get(result, "rules");
    if (rules)
        explain_show(rules);
    else
        show_lines(json_object_get(result, "lines"));
    json_int_t errors = text_integer(result, "errors"), warnings = text_integer(result, "warnings");
    text_line(say("%s：%lld %s，%lld %s", "%s: %lld %s, %lld %s"), text_of(result, "file"),
              (long long)errors, errors == 1 ? say("个错误", "error") : say("个错误", "errors"),
              (long long)warnings,
              warnings == 1 ? say("个警告", "warning") : say("个警告", "warnings"));
}

static enum ctl_exit run(struct ctl *ctl)
{
    struct setup setup;
    const char *file = ctl->argument_count ? ctl->arguments[0] : ctl->config;
    bool fine = setup_load(&setup, file, &ctl->profiles, true);
    if (!setup.diagnostics)
        return CTL_FINDING;
    json_t *result = json_pack("{s:s, s:I, s:I, s:s, s:o}", "file", file, "errors",
                               (json_int_t)diagnostics_errors(setup.diagnostics), "warnings",
                               (json_int_t)diagnostics_warnings(setup.diagnostics), "diagnostics",
                               diagnostics_text(setup.diagnostics), "lines", lines_of(&setup));
    bool found = true;
    if (result && ctl->explain && setup.settings) {
        json_t *rules = explain_rules(setup.settings, ctl->explain);
        found = json_array_size(rules) > 0;
        json_object_set_new(result, "rules", rules);
    }
    if (!found)
        say_error(say("没有测点或设备 %s", "there is no point or device %s"), ctl->explain);
    if (result)
        ctl->writer->write(ctl->command, result);
    else
        text_diagnostics(stderr, diagnostics_text(setup.diagnostics));
    json_decref(result);
    setup_free(&setup);
    return fine && found ? CTL_FINE : CTL_FINDING;
}

const struct command check_command = {
    .name = "check",
    .arguments = "[FILE]",
    .help = {"检查配置文件中的错误", "find what is wrong with a configuration"},
    .least = 0,
    .most = 1,
    .run = run,
    .text = show,
};
