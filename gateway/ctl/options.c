/* The table of the options, and the reader of a command line.
 *
 * One thread. Each option is one row: how it is written, who takes it, where it goes, what is said
 * of it. An option that the command does not take is refused, not ignored: who gives one means it.
 * Owns nothing; what is read points into argv. */
#include "gateway/ctl/options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "gateway/ctl/commands.h"

enum { FIRST = 256 };

#define AT(member) offsetof(struct ctl, member)

const struct option_row options_table[] = {
    {.name = "format",
     .argument = "FORMAT",
     .kind = OPTION_FORM,
     .text = {"text 供人阅读（默认），json 供程序使用",
              "text for people (default), json for scripts"}},
    {.name = "json",
     .kind = OPTION_FORM,
     .form = "json",
     .text = {"供程序使用；query 每行一个对象", "for scripts; query: an object a line"}},
    {.name = "csv",
     .kind = OPTION_CSV,
     .takers = {&query_command},
     .text = {"供表格程序使用", "for spreadsheets and other programs"}},
    {.name = "socket",
     .argument = "PATH",
     .kind = OPTION_WORD,
     .offset = AT(socket),
     .text = {"守护进程的接口；否则取 $LIFELINE_SOCKET，再否则 " COMMANDS_SOCKET,
              "the daemon's API; else $LIFELINE_SOCKET, else " COMMANDS_SOCKET}},
    {.name = "config",
     .letter = 'c',
     .argument = "FILE",
     .kind = OPTION_WORD,
     .offset = AT(config),
     .takers = {&check_command, &probe_command, &query_command, &names_command, &doctor_command,
                &setup_command},
     .text = {"配置文件，默认 " SETUP_CONFIG "；probe、query 没有守护进程时才用",
              "the configuration, else " SETUP_CONFIG "; probe, query: when there is no daemon"}},
    {.name = "profiles",
     .argument = "DIR",
     .kind = OPTION_PROFILES,
     .takers = {&check_command, &probe_command, &query_command, &names_command, &doctor_command,
                &setup_command},
     .text = {"设备模板目录，优先于配置文件旁的 profiles/ 和 " SETUP_PROFILES,
              "where profiles are, before profiles/ beside the configuration and " SETUP_PROFILES}},
    {.name = "explain",
     .argument = "POINT",
     .kind = OPTION_WORD,
     .offset = AT(explain),
     .takers = {&check_command},
     .text = {"该测点（或设备、all）生效的报警规则及每个数值的来源",
              "the alarm rules of a point, a device or all, and where each number comes from"}},
    {.name = "explain",
     .kind = OPTION_SWITCH,
     .offset = AT(explain_keys),
     .takers = {&config_command},
     .text = {"各个键的类型、默认值、范围和含义；KEY 如 store 或 uplinks.tls.ca",
              "type, default, range and meaning; KEY is like store or uplinks.tls.ca"}},
    {.name = "scan",
     .kind = OPTION_SWITCH,
     .offset = AT(scan),
     .takers = {&probe_command, &setup_command},
     .text = {"在所有常用波特率下扫描所有地址", "every unit at every usual baud"}},
    {.name = "record",
     .argument = "FILE",
     .kind = OPTION_WORD,
     .offset = AT(record),
     .takers = {&probe_command},
     .text = {"把问答写入记录文件", "write what was said into a transcript"}},
    {.name = "since",
     .argument = "T",
     .kind = OPTION_WORD,
     .offset = AT(since),
     .takers = {&query_command, &alarms_command, &report_command},
     .text =
         {"起始时间，query 默认 1 小时前，report 默认 30 天前；2h、30d 或 2026-11-22T03:00，"
          "本地时间，或带 Z、+08:00",
          "from when; query 1h, report 30d ago if not given; 2h, 30d or 2026-11-22T03:00, local or "
          "with Z, +08:00"}},
    {.name = "until",
     .argument = "T",
     .kind = OPTION_WORD,
     .offset = AT(until),
     .takers = {&query_command, &alarms_command},
     .text = {"截止时间（不含），默认现在", "before when, now if not given"}},
    {.name = "follow",
     .letter = 'f',
     .kind = OPTION_SWITCH,
     .offset = AT(follow),
     .takers = {&alarms_command},
     .text = {"持续显示新的报警", "go on showing what is new"}},
    {.name = "level",
     .argument = "N",
     .kind = OPTION_WORD,
     .offset = AT(level),
     .takers = {&alarms_command, &watch_command},
     .text = {"只看 N 级及更严重的（1 红 … 4 蓝）", "N and worse only (1 red ... 4 blue)"}},
    {.name = "sector",
     .argument = "NAME",
     .kind = OPTION_WORD,
     .offset = AT(sector),
     .takers = {&alarms_command, &watch_command},
     .text = {"只看该专业", "of that sector only"}},
    {.name = "note",
     .argument = "TEXT",
     .kind = OPTION_WORD,
     .offset = AT(note),
     .takers = {&alarms_command},
     .text = {"ack 的备注", "of an ack: what is to be remembered"}},
    {.name = "broker",
     .argument = "URL",
     .kind = OPTION_WORD,
     .offset = AT(broker.url),
     .takers = {&watch_command, &setup_command},
     .text = {"mqtt://主机[:端口] 或 mqtts://主机[:端口]",
              "mqtt://HOST[:PORT] or mqtts://HOST[:PORT]"}},
    {.name = "username",
     .argument = "NAME",
     .kind = OPTION_WORD,
     .offset = AT(broker.username),
     .takers = {&watch_command, &setup_command},
     .text = {"用户名", "who we are to the broker"}},
    {.name = "password-file",
     .argument = "FILE",
     .kind = OPTION_WORD,
     .offset = AT(broker.password_file),
     .takers = {&watch_command, &setup_command},
     .text = {"密码，取文件的第一行", "the password is its first line"}},
    {.name = "ca",
     .argument = "FILE",
     .kind = OPTION_WORD,
     .offset = AT(broker.ca),
     .takers = {&watch_command, &setup_command},
     .text = {"信任谁的证书；不给时信任系统的证书", "whose certificates count, else the system's"}},
    {.name = "cert",
     .argument = "FILE",
     .kind = OPTION_WORD,
     .offset = AT(broker.cert),
     .takers = {&watch_command},
     .text = {"本方的证书", "our own certificate"}},
    {.name = "key",
     .argument = "FILE",
     .kind = OPTION_WORD,
     .offset = AT(broker.key),
     .takers = {&watch_command},
     .text = {"本方证书的私钥", "the private key of our certificate"}},
    {.name = "root",
     .argument = "TOPIC",
     .kind = OPTION_WORD,
     .offset = AT(root),
     .takers = {&watch_command},
     .text = {"主题的根，默认 lifeline/v1", "what topics begin with, lifeline/v1 if not given"}},
    {.name = "region",
     .argument = "R",
     .kind = OPTION_WORD,
     .offset = AT(region),
     .takers = {&watch_command, &setup_command},
     .text = {"watch：只看该区域；setup：区县代码（GB/T 2260）",
              "watch: of that region only; setup: the GB/T 2260 code"}},
    {.name = "gateway",
     .argument = "ID",
     .kind = OPTION_WORD,
     .offset = AT(gateway),
     .takers = {&watch_command},
     .text = {"只看该网关", "of that gateway only"}},
    {.name = "id",
     .argument = "ID",
     .kind = OPTION_WORD,
     .offset = AT(id),
     .takers = {&setup_command},
     .text = {"网关编号，全市唯一", "the gateway's, unique in the city"}},
    {.name = "name",
     .argument = "TEXT",
     .kind = OPTION_WORD,
     .offset = AT(name),
     .takers = {&setup_command},
     .text = {"网关名称", "what people call it"}},
    {.name = "line",
     .argument = "LINE",
     .kind = OPTION_LIST,
     .offset = AT(line),
     .takers = {&setup_command},
     .text = {"/dev/ttyS1[,4800 8N1]、tcp://主机[:端口] 或 rtu-over-tcp://主机:端口；可重复",
              "/dev/ttyS1[,4800 8N1], tcp://HOST[:PORT] or rtu-over-tcp://HOST:PORT; again for "
              "another"}},
    {.name = "profile",
     .argument = "[LINE:]UNIT=NAME",
     .kind = OPTION_LIST,
     .offset = AT(profile),
     .takers = {&setup_command},
     .text = {"该地址设备的型号，不再识别；可重复",
              "the model of a unit, which is not to be found out; "
              "again for another"}},
    {.name = "force",
     .kind = OPTION_SWITCH,
     .offset = AT(force),
     .takers = {&setup_command},
     .text = {"替换已有的配置文件，原文件存为 FILE.old",
              "replace a configuration; it is kept as FILE.old"}},
    {.name = "help",
     .letter = 'h',
     .kind = OPTION_SWITCH,
     .offset = AT(help),
     .text = {"显示帮助；在命令之后只显示该命令的", "this help; behind a command, of that one"}},
    {.name = "version",
     .kind = OPTION_SWITCH,
     .offset = AT(version),
     .text = {"显示版本", "the version"}},
    {0}};

enum { ROWS = sizeof options_table / sizeof *options_table, LETTERS_MAX = 2 * ROWS + 3 };

bool options_fit(const struct option_row *row, const struct command *command)
{
    bool fits = !row->takers[0];
    for (size_t i = 0; row->takers[i]; i++)
        fits = fits || row->takers[i] == command;
    return fits;
}

/* What getopt would say in English. */
static void refuse(int why, const char *argument)
{
    const char letter[] = {'-', (char)optopt, '\0'};
    const char *option = optopt == 0 || strncmp(argument, "--", 2) == 0 ? argument : letter;
    if (why == ':')
        say_error(say("选项 %s 缺少参数", "option %s needs an argument"), option);
    else
        say_error(say("选项 %s 不存在、不唯一或不带参数",
                      "option %s: there is none, or several, or it takes no argument"),
                  option);
}

static bool add(struct ctl_list *list, const char *name, const char *word)
{
    if (list->count == CTL_LIST_MAX) {
        say_error(say("--%s 太多，最多 %d 个", "too many --%s, at most %d"), name, CTL_LIST_MAX);
        return false;
    }
    list->words[list->count++] = word;
    return true;
}

static bool take(struct ctl *ctl, const struct option_row *row)
{
    void *at = (char *)ctl + row->offset;
    switch (row->kind) {
    case OPTION_WORD:
        *(const char **)at = optarg;
        return true;
    case OPTION_LIST:
        return add(at, row->name, optarg);
    case OPTION_SWITCH:
        *(bool *)at = true;
        return true;
    case OPTION_FORM:
        return commands_choose_form(ctl, row->form ? row->form : optarg);
    case OPTION_CSV:
        ctl->form = CTL_CSV;
        return true;
    case OPTION_PROFILES:
        if (setup_path_add(&ctl->profiles, optarg))
            return true;
        say_error(say("--%s 太多，最多 %d 个", "too many --%s, at most %d"), row->name,
                  SETUP_DIRS_MAX);
        return false;
    }
    return false;
}

static bool is_known(const struct option *known, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(known[i].name, name) == 0)
            return true;
    }
    return false;
}

static size_t tell(struct option *known, size_t count, const struct option_row *row)
{
    if (is_known(known, count, row->name))
        return count;
    known[count] = (struct option){row->name, row->argument ? required_argument : no_argument, NULL,
                                   FIRST + (int)(row - options_table)};
    return count + 1;
}

/* The table in getopt's own form: an option's number is its row's. Of two by the same name it is
 * the command's own. */
static void tell_getopt(struct option known[ROWS], char letters[LETTERS_MAX], const char *mode,
                        const struct command *command)
{
    size_t count = 0;
    char *letter = stpcpy(letters, mode);
    for (const struct option_row *row = options_table; row->name; row++) {
        if (command && options_fit(row, command))
            count = tell(known, count, row);
    }
    for (const struct option_row *row = options_table; row->name; row++) {
        count = tell(known, count, row);
        if (row->letter) {
            *letter++ = row->letter;
            if (row->argument)
                *letter++ = ':';
        }
    }
    known[count] = (struct option){0};
    *letter = '\0';
}

/* What is no option, and no argument of one, is the command. */
static const struct command *look_ahead(int argc, char **argv)
{
    struct option known[ROWS];
    char letters[LETTERS_MAX];
    tell_getopt(known, letters, "+:", NULL);
    optind = 0; /* from the start: GNU */
    while (getopt_long(argc, argv, letters, known, NULL) != -1)
        continue;
    return optind < argc ? commands_find(argv[optind]) : NULL;
}

static const struct option_row *row_of(int option)
{
    if (option >= FIRST)
        return &options_table[option - FIRST];
    for (const struct option_row *row = options_table; row->name; row++) {
        if (row->letter == option)
            return row;
    }
    return NULL;
}

static bool all_fit(const struct ctl *ctl, const bool *given)
{
    for (size_t i = 0; options_table[i].name; i++) {
        if (given[i] && !options_fit(&options_table[i], ctl->command)) {
            say_error(say("%s 不接受选项 --%s", "%s takes no option --%s"), ctl->command->name,
                      options_table[i].name);
            return false;
        }
    }
    return true;
}

static bool arguments_fit(const struct ctl *ctl)
{
    const struct command *command = ctl->command;
    bool fit = ctl->argument_count >= command->least &&
               (command->most < 0 || ctl->argument_count <= command->most);
    if (!fit)
        commands_usage(stderr, command);
    return fit;
}

/* The command and what follows it; --help and --version go before all that is wrong with them. */
static enum options_result finish(struct ctl *ctl, int argc, char **argv, const bool *given)
{
    const char *name = optind < argc ? argv[optind] : NULL;
    ctl->command = name ? commands_find(name) : NULL;
    if (ctl->version) {
        puts("lifelinectl " LIFELINE_VERSION);
        return OPTIONS_DONE;
    }
    if (name && !ctl->command) {
        say_error(say("没有命令 \"%s\"", "no command \"%s\""), name);
        return OPTIONS_WRONG;
    }
    if (!name || ctl->help) {
        commands_help(ctl->help ? stdout : stderr, ctl->command);
        return ctl->help ? OPTIONS_DONE : OPTIONS_WRONG;
    }
    ctl->arguments = argv + optind + 1;
    ctl->argument_count = argc - optind - 1;
    return all_fit(ctl, given) && arguments_fit(ctl) ? OPTIONS_RUN : OPTIONS_WRONG;
}

enum options_result options_parse(struct ctl *ctl, int argc, char **argv)
{
    struct option known[ROWS];
    char letters[LETTERS_MAX];
    bool given[ROWS] = {false};
    int option;
    opterr = 0;
    tell_getopt(known, letters, ":", look_ahead(argc, argv)); /* ':': a missing argument */
    optind = 0;
    while ((option = getopt_long(argc, argv, letters, known, NULL)) != -1) {
        const struct option_row *row = row_of(option);
        if (!row)
            refuse(option, argv[optind - 1]);
        if (!row || !take(ctl, row))
            return OPTIONS_WRONG;
        given[row - options_table] = true;
    }
    return finish(ctl, argc, argv, given);
}
