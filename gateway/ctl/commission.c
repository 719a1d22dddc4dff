/* lifelinectl setup: a bare board becomes a gateway. Asks who it is, looks who is on its lines, and
 * writes a configuration that `check` has nothing to say about.
 *
 * One thread. Holds everything until all is known: but for a draft beside the configuration, which
 * is gone again at once, no file is touched before. A line has one master, so it does nothing while
 * a gateway runs. Exit status 0 means that nothing of it needs a second look. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/ctl/client.h"
#include "gateway/ctl/commission.h"
#include "gateway/ctl/text.h"

static enum ctl_exit scan(struct commission *commission, const struct settings *settings)
{
    struct setup_path path;
    struct probe_catalogue catalogue;
    enum ctl_exit code = CTL_FINE;
    setup_path_complete(&path, &commission->ctl->profiles, commission->ctl->config);
    if (!probe_catalogue_load(&catalogue, path.dirs, path.count)) {
        say_error("%s", say("内存不足", "out of memory"));
        return CTL_FINDING;
    }
    if (!commission_check_profiles(commission, &catalogue))
        code = CTL_USAGE;
    probe_port_catch_signals();
    for (size_t l = 0; code == CTL_FINE && l < commission->line_count; l++) {
        if (!commission_scan(commission, settings, l, &catalogue) || probe_port_stopped())
            code = CTL_FINDING;
    }
    if (code == CTL_FINE)
        commission_check_matches(commission);
    probe_catalogue_free(&catalogue);
    return code;
}

static json_t *result_of(const struct commission *commission)
{
    json_t *devices = json_array(), *undecided = json_array();
    for (size_t d = 0; d < commission->device_count; d++) {
        const struct commission_device *device = &commission->devices[d];
        const char *line = commission->lines[device->line].name;
        char name[80];
        commission_device_name(commission, d, name);
        if (device->profile[0])
            json_array_append_new(devices,
                                  json_pack("{s:s, s:s, s:i, s:s}", "name", name, "line", line,
                                            "unit", device->unit, "profile", device->profile));
        else
            json_array_append_new(undecided, json_pack("{s:s, s:i, s:s, s:s}", "line", line, "unit",
                                                       device->unit, "why", device->why, "why_zh",
                                                       device->why_zh));
    }
    return json_pack("{s:s, s:b, s:o, s:o}", "file", commission->ctl->config, "scanned",
                     commission->ctl->scan, "devices", devices, "undecided", undecided);
}

static void show(const json_t *result)
{
    static const struct text_column columns[] = {{{"设备", "device"}, false},
                                                 {{"线路", "line"}, false},
                                                 {{"地址", "unit"}, true},
                                                 {{"模板", "profile"}, false}};
    json_t *rows = json_array(), *entry;
    size_t index;
    json_array_foreach(json_object_get(result, "devices"), index, entry)
    {
        json_array_append_new(rows, json_pack("[s, s, o, s]", text_of(entry, "name"),
                                              text_of(entry, "line"),
                                              json_sprintf("%d", (int)text_integer(entry, "unit")),
                                              text_of(entry, "profile")));
    }
    if (json_array_size(rows))
        text_table(columns, sizeof columns / sizeof *columns, rows);
    json_decref(rows);
    json_array_foreach(json_object_get(result, "undecided"), index, entry)
    {
        char line[COMMISSION_WHY_MAX + 100];
        snprintf(line, sizeof line, say("%s 地址 %d：%s", "%s unit %d: %s"), text_of(entry, "line"),
                 (int)text_integer(entry, "unit"),
                 text_of(entry, say_is_chinese() ? "why_zh" : "why"));
        text_fold(stdout, line, 2);
    }
    if (json_array_size(json_object_get(result, "undecided")))
        text_fold(stdout,
                  say("看铭牌后重来：--force --profile 线路:地址=模板",
                      "when you know what it is: --force --profile LINE:UNIT=PROFILE"),
                  2);
    if (!json_is_true(json_object_get(result, "scanned")))
        text_fold(stdout,
                  say("只问了地址 1 至 10 和各模板的出厂地址；--scan 问遍 1 至 247",
                      "Only units 1 to 10 and those of the profiles were asked; --scan asks all."),
                  2);
    text_line(say("%s 已写好。接下来：", "%s is written. Then:"), text_of(result, "file"));
    text_line("  systemctl enable --now lifeline-gateway");
    text_line("  lifelinectl status");
    text_line("  lifelinectl doctor");
}

static enum ctl_exit write_it(struct commission *commission)
{
    char why[COMMISSION_WHY_MAX];
    struct setup setup;
    if (!commission_try(commission, &setup, why, sizeof why)) {
        say_error("%s", why);
        return CTL_FINDING;
    }
    bool sure = !commission->partial && diagnostics_warnings(setup.diagnostics) == 0;
    text_diagnostics(stderr, diagnostics_text(setup.diagnostics));
    setup_free(&setup);
    if (!commission_place(commission, why, sizeof why)) {
        say_error("%s", why);
        return CTL_FINDING;
    }
    json_t *result = result_of(commission);
    commission->ctl->writer->write(commission->ctl->command, result);
    sure = sure && json_array_size(json_object_get(result, "undecided")) == 0;
    json_decref(result);
    return sure ? CTL_FINE : CTL_FINDING;
}

static void pass_over(void *context, const char *line)
{
    (void)context;
    (void)line;
}

/* True, after saying why, when nothing may be begun. */
static bool is_refused(const struct ctl *ctl)
{
    bool nobody = false;
    if (!ctl->force && access(ctl->config, F_OK) == 0) {
        say_error(say("%s 已存在；--force 替换它（原文件存为 .old）",
                      "%s is there; --force replaces it and keeps it as .old"),
                  ctl->config);
        return true;
    }
    bool runs = client_lines(ctl, "/v1/status", pass_over, NULL, &nobody) == CTL_FINE || !nobody;
    if (runs)
        say_error("%s", say("网关正在运行，占用线路：先 systemctl stop lifeline-gateway",
                            "a gateway runs, and the lines are its own: systemctl stop "
                            "lifeline-gateway first"));
    return runs;
}

static enum ctl_exit set_up(struct commission *commission)
{
    char why[COMMISSION_WHY_MAX];
    struct setup setup;
    if (!commission_gather(commission))
        return CTL_USAGE;
    if (!commission_try(commission, &setup, why, sizeof why)) {
        say_error("%s", why);
        return CTL_USAGE;
    }
    enum ctl_exit code = scan(commission, setup.settings);
    setup_free(&setup);
    if (code == CTL_FINE)
        return write_it(commission);
    say_error("%s", say("未写任何配置", "nothing is written"));
    return code;
}

static enum ctl_exit run(struct ctl *ctl)
{
    static struct commission commission;
    commission = (struct commission){.ctl = ctl, .asks = isatty(STDIN_FILENO) != 0};
    if (is_refused(ctl))
        return CTL_FINDING;
    enum ctl_exit code = set_up(&commission);
    if (commission.password)
        explicit_bzero(commission.password, strlen(commission.password));
    free(commission.password);
    return code;
}

const struct command setup_command = {
    .name = "setup",
    .arguments = "",
    .help = {"初次配置：询问、探测总线、写出配置文件",
             "ask, look who is on the lines, write a configuration"},
    .least = 0,
    .most = 0,
    .run = run,
    .text = show,
};
