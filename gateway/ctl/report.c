/* lifelinectl report: rain events of the catchments that are over, and what is going on now.
 *
 * Asks the daemon. An event is a line with its catchment, time and grade, below it the rain, what
 * of it was kept and how sure that is, or why there is no number, and every doubt (as the report
 * says it). Never adds events up: the annual rate takes a whole year of valid ones. */
#include <inttypes.h>
#include <stdio.h>

#include "drivers/clock.h"
#include "gateway/ctl/client.h"
#include "gateway/ctl/doubts.h"
#include "gateway/ctl/moment.h"
#include "gateway/ctl/text.h"

enum { SINCE_DAYS = 30 };

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void line(const char *text)
{
    char spaced[600];
    snprintf(spaced, sizeof spaced, "    %s", text);
    text_fold(stdout, spaced, 6);
}

static void show_share(const json_t *event)
{
    char text[200];
    if (!json_object_get(event, "captured")) {
        line(say("没有本场控制率，原因如下", "no share is given, for what follows"));
        return;
    }
    snprintf(text, sizeof text,
             say("本场控制 %.1f %% ± %.1f %%（单场，不是年径流总量控制率）",
                 "this event: %.1f %% ± %.1f %% captured (not the annual rate)"),
             100 * number_of(event, "captured"), 100 * number_of(event, "uncertainty"));
    line(text);
}

static void show_peak(const json_t *event)
{
    char text[200], lag[32], when[MOMENT_BYTES];
    int64_t peak_ms = text_integer(event, "peak_ms");
    if (!peak_ms)
        return;
    text_duration(text_integer(event, "lag_ms"), lag, sizeof lag);
    snprintf(text, sizeof text, say("峰值 %.4g m³/s，%s，滞后 %s", "peak %.4g m³/s at %s, lag %s"),
             number_of(event, "peak_m3_s"), moment_local(peak_ms, when), lag);
    line(text);
}

static void show_event(const json_t *event)
{
    char text[300], from[MOMENT_BYTES], age[32];
    json_t *doubt;
    size_t index;
    int64_t from_ms = text_integer(event, "from_ms");
    text_duration(text_integer(event, "to_ms") - from_ms, age, sizeof age);
    snprintf(text, sizeof text, say("%s %s，历时 %s，等级 %s", "%s %s, for %s, grade %s"),
             moment_local(from_ms, from), text_of(event, "catchment"), age,
             text_name(event, "grade"));
    text_fold(stdout, text, 4);
    snprintf(text, sizeof text,
             say("降雨 %.1f mm（%.0f m³，%.4g ha），外排 %.0f m³；覆盖：雨 %.0f %%，流量 %.0f %%",
                 "rain %.1f mm (%.0f m³ on %.4g ha), outflow %.0f m³; measured: rain %.0f %%, "
                 "flow %.0f %%"),
             number_of(event, "rain_mm"), number_of(event, "rain_m3"), number_of(event, "area_ha"),
             number_of(event, "outflow_m3"), 100 * number_of(event, "rain_coverage"),
             100 * number_of(event, "flow_coverage"));
    line(text);
    show_share(event);
    show_peak(event);
    json_array_foreach(json_object_get(event, "doubts"), index, doubt)
    {
        char said[400];
        snprintf(text, sizeof text, "- %s",
                 doubts_say(json_string_value(doubt), said, sizeof said));
        line(text);
    }
}

static void show_now(const json_t *now)
{
    char text[300], age[32];
    if (!json_is_true(json_object_get(now, "event")))
        return;
    text_duration(text_integer(now, "duration_ms"), age, sizeof age);
    snprintf(text, sizeof text,
             say("%s 正在降雨过程中：已 %s，雨量 %.1f mm，外排 %.0f m³",
                 "%s: an event is going on, for %s, %.1f mm so far, outflow %.0f m³"),
             text_of(now, "catchment"), age, number_of(now, "rain_mm"),
             number_of(now, "outflow_m3"));
    text_fold(stdout, text, 4);
}

static void show(const json_t *result)
{
    json_t *one;
    size_t index;
    json_array_foreach(json_object_get(result, "reports"), index, one) show_event(one);
    json_array_foreach(json_object_get(result, "now"), index, one) show_now(one);
    if (!json_array_size(json_object_get(result, "now")))
        text_line("%s", say("没有配置汇水区", "no catchment is configured"));
    else if (!json_array_size(json_object_get(result, "reports")))
        text_line("%s", say("该时段内没有结束的降雨场次", "no rain event has ended in that time"));
}

static enum ctl_exit run(struct ctl *ctl)
{
    char path[80];
    json_t *result = NULL;
    int64_t now_ms = clock_wall().ms;
    int64_t since_ms = now_ms - SINCE_DAYS * INT64_C(86400000);
    if (ctl->since && !moment_parse(ctl->since, now_ms, &since_ms)) {
        say_error(say("--since %s：不是时间", "--since %s: that is no time"), ctl->since);
        return CTL_USAGE;
    }
    snprintf(path, sizeof path, "/v1/reports?since_ms=%" PRId64, since_ms);
    enum ctl_exit code = client_ask(ctl, "GET", path, &result);
    if (code == CTL_FINE)
        ctl->writer->write(ctl->command, result);
    json_decref(result);
    return code;
}

const struct command report_command = {
    .name = "report",
    .arguments = "[--since T]",
    .help = {"汇水区降雨场次（默认 30 天）及当前情况", "rain events of catchments (30 d), and now"},
    .run = run,
    .text = show,
};
