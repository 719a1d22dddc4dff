/* The table of commands and of options, as the help shows them.
 *
 * One thread. What a command does is its own file's; what an option does, main.c's. Here is what is
 * said of them, in both languages. Owns nothing, prints to where it is told. */
#include "gateway/ctl/commands.h"

#include <string.h>

#include "gateway/ctl/text.h"
#include "gateway/ctl/width.h"

enum { FORM_COLUMNS = 24, TEXT_COLUMN = 26 };

static const struct command *const commands[] = {&status_command, &tail_command,   &read_command,
                                                 &query_command,  &check_command,  &probe_command,
                                                 &alarms_command, &report_command, &watch_command};

static const struct {
    const char *form;
    struct words text; /* with its own line breaks */
} options[] = {
    {"    --format FORMAT",
     {"text 供人阅读（默认），json 供程序使用", "text for people (default), json for scripts"}},
    {"    --socket PATH",
     {"守护进程的接口；否则取 $LIFELINE_SOCKET，再否则\n" COMMANDS_SOCKET,
      "the daemon's API; else $LIFELINE_SOCKET, else\n" COMMANDS_SOCKET}},
    {"    --profiles DIR",
     {"check、probe：设备模板目录，优先于配置文件旁的\nprofiles/ 和 " SETUP_PROFILES,
      "check, probe: where profiles are, before profiles/\nbeside the file and " SETUP_PROFILES}},
    {"    --explain POINT",
     {"check：该测点（或设备、all）生效的报警规则及每个\n数值的来源",
      "check: the alarm rules of a point, a device or all,\n"
      "and where each number comes from"}},
    {"    --since T",
     {"query：起始时间，默认 1 小时前；2h、30d 或\n2026-11-22T03:00，本地时间，或以 Z、+08:00 结尾",
      "query: from when, 1h ago if not given; 2h, 30d or\n"
      "2026-11-22T03:00, local or with Z, +08:00"}},
    {"    --until T",
     {"query：截止时间（不含），默认现在", "query: before when, now if not given"}},
    {"-f, --follow", {"alarms：持续显示新的报警", "alarms: go on showing what is new"}},
    {"    --level N",
     {"alarms、watch：只看 N 级及更严重的（1 红 … 4 蓝）",
      "alarms, watch: N and worse only (1 red ... 4 blue)"}},
    {"    --sector NAME", {"alarms、watch：只看该专业", "alarms, watch: of that sector only"}},
    {"    --note TEXT", {"ack：备注", "ack: what is to be remembered"}},
    {"    --broker URL",
     {"watch：mqtt://主机[:端口] 或 mqtts://主机[:端口]",
      "watch: mqtt://HOST[:PORT] or mqtts://HOST[:PORT]"}},
    {"    --username NAME", {"watch：用户名", "watch: who we are to the broker"}},
    {"    --password-file FILE",
     {"watch：密码，取文件的第一行", "watch: the password is its first line"}},
    {"    --ca FILE",
     {"watch：信任谁的证书；不给时信任系统的证书",
      "watch: whose certificates count, else the system's"}},
    {"    --cert, --key FILE",
     {"watch：本方的证书和私钥", "watch: our own certificate and its key"}},
    {"    --root TOPIC", {"watch：主题的根，默认 lifeline/v1", "watch: lifeline/v1 if not given"}},
    {"    --region R", {"watch：只看该区域", "watch: of that region only"}},
    {"    --gateway ID", {"watch：只看该网关", "watch: of that gateway only"}},
    {"    --csv, --json",
     {"query：供其他程序使用；json 每行一个对象",
      "query: for other programs; json is one object a line"}},
    {"-c, --config FILE",
     {"没有守护进程时的 probe、query：配置文件，默认\n" SETUP_CONFIG,
      "probe, query without a daemon: the configuration, else\n" SETUP_CONFIG}},
    {"    --scan",
     {"probe：在所有常用波特率下扫描所有地址", "probe: every unit at every usual baud"}},
    {"    --record FILE",
     {"probe：把问答写入记录文件", "probe: write what was said into a transcript"}},
    {"-h, --help", {"显示本帮助", "this help"}},
    {"    --version", {"显示版本", "the version"}},
};

static const struct words notes[] = {
    {"POINT 为“设备.测点”或设备名；* 和 ? 为通配符。",
     "POINT is device.point or a device; * and ? stand for others."},
    {"退出码：0 正常，1 发现问题，2 用法错误，3 没有守护进程（query：且无存储）。",
     "Exit status: 0 fine, 1 a finding, 2 usage, 3 no daemon (query: and no store)."},
};

const struct command *commands_find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

void commands_usage(FILE *out, const struct command *command)
{
    fprintf(out, "%slifelinectl %s %s\n", say("用法：", "usage: "), command->name,
            command->arguments);
}

/* A form and its text, whose further lines stand below the first; a form that is too long has a
 * line of its own. */
static void show(FILE *out, const char *form, const char *text)
{
    fprintf(out, "  %-*s", FORM_COLUMNS, form);
    if (width_of(form) >= FORM_COLUMNS)
        fprintf(out, "\n%*s", TEXT_COLUMN, "");
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1)
        fprintf(out, "%.*s\n%*s", (int)(end - text), text, TEXT_COLUMN, "");
    fprintf(out, "%s\n", text);
}

void commands_help(FILE *out)
{
    fprintf(out, "%slifelinectl [--format text|json] [--socket PATH] %s ...\n\n",
            say("用法：", "usage: "), say("命令", "COMMAND"));
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char form[64];
        snprintf(form, sizeof form, "%s %s", commands[i]->name, commands[i]->arguments);
        show(out, form, say_words(commands[i]->help));
    }
    fputc('\n', out);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        show(out, options[i].form, say_words(options[i].text));
    fputc('\n', out);
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        fprintf(out, "%s\n", say_words(notes[i]));
}
