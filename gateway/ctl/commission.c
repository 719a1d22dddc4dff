/* lifelinectl setup: a bare board becomes a gateway. Asks who it is, looks who is on its lines, and
 * writes a configuration that `check` has nothing to say about.
 *
 * One thread. What an option gives is not asked; without a terminal nothing is asked, and all that
 * is missing is told at once. Each answer is tried by the configuration's own parser. Touches no
 * file before all is known; a daemon that runs goes on with what it has. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "gateway/ctl/commission.h"
#include "gateway/ctl/port_name.h"
#include "gateway/ctl/text.h"

/* ---- the terminal ---- */

/* One line without its end, to be freed; NULL at the end of the input. */
static char *read_answer(void)
{
    char *line = NULL;
    size_t size = 0;
    if (getline(&line, &size, stdin) < 0) {
        free(line);
        return NULL;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

static char *ask(const char *question)
{
    fprintf(stderr, say("%s：", "%s: "), question);
    fflush(stderr);
    return read_answer();
}

static void wake(int number)
{
    (void)number;
}

/* Ctrl-C ends the program only when the terminal shows again what is typed. */
static char *ask_in_silence(const char *question)
{
    const struct sigaction waking = {.sa_handler = wake};
    struct sigaction before;
    struct termios shown, hidden;
    bool is_terminal = tcgetattr(STDIN_FILENO, &shown) == 0;
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    sigaction(SIGINT, &waking, &before);
    if (is_terminal)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    errno = 0;
    char *answer = ask(question);
    bool interrupted = !answer && errno == EINTR;
    if (is_terminal)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    sigaction(SIGINT, &before, NULL);
    fputc('\n', stderr);
    if (interrupted)
        raise(SIGINT);
    return answer;
}

const char *commission_choose(const struct commission *commission, const char *question,
                              const char *const *words, size_t count)
{
    const char *chosen = NULL;
    for (size_t i = 0; commission->asks && i < count; i++)
        fprintf(stderr, "  %zu  %s\n", i + 1, words[i]);
    while (commission->asks && !chosen) {
        char *end, *answer = ask(question);
        if (!answer || !answer[0]) {
            free(answer);
            break;
        }
        unsigned long number = strtoul(answer, &end, 10);
        for (size_t i = 0; i < count; i++) {
            if ((number == i + 1 && !*end) || strcmp(answer, words[i]) == 0)
                chosen = words[i];
        }
        if (!chosen)
            say_error(say("%s：不在其中", "%s: none of these"), answer);
        free(answer);
    }
    return chosen;
}

/* ---- lines ---- */

/* "host:port" or "host", an IPv6 address in brackets; false when it is neither. */
static bool take_host(struct commission_line *line, const char *text, size_t length)
{
    const char *bracket = text[0] == '[' ? memchr(text, ']', length) : NULL;
    const char *begin = bracket ? text + 1 : text, *rest = bracket ? bracket + 1 : text;
    const char *colon = memchr(rest, ':', length - (size_t)(rest - text));
    size_t host = (size_t)((bracket ? bracket : colon ? colon : text + length) - begin);
    char *end = NULL;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    if (host == 0 || host >= sizeof line->place || port > UINT16_MAX ||
        (colon && (port == 0 || end != text + length)) ||
        (bracket && colon != rest && rest != text + length))
        return false;
    snprintf(line->place, sizeof line->place, "%.*s", (int)host, begin);
    line->port = (uint16_t)port;
    return true;
}

/* What it is called after the next boot, too. */
static void name_port(struct commission_line *line, const char *typed, size_t length)
{
    char lasting[sizeof line->place];
    snprintf(line->place, sizeof line->place, "%.*s", (int)length, typed);
    if (!port_name_lasting(PORT_NAME_FOLDERS, line->place, lasting, sizeof lasting))
        return;
    say_error(say("%s 重启后可能变，写作 %s", "%s may change with a boot, and is written as %s"),
              line->place, lasting);
    snprintf(line->place, sizeof line->place, "%s", lasting);
}

/* "/dev/ttyS1", "/dev/ttyS1,4800 8N1", "tcp://HOST[:PORT]", "rtu-over-tcp://HOST:PORT[,9600 8N1]"
 */
static bool add_line(struct commission *commission, const char *text)
{
    static const struct {
        const char *prefix, *name;
        enum transport_kind transport;
    } kinds[] = {{"tcp://", "tcp", TRANSPORT_TCP},
                 {"rtu-over-tcp://", "dtu", TRANSPORT_RTU_OVER_TCP},
                 {"/", "rs485", TRANSPORT_RTU}};
    struct commission_line line = {.transport = TRANSPORT_RTU};
    size_t kind = 0, same = 1;
    while (kind < 3 && strncmp(text, kinds[kind].prefix, strlen(kinds[kind].prefix)) != 0)
        kind++;
    if (kind == 3 || commission->line_count == COMMISSION_LINES_MAX)
        return false;
    line.transport = kinds[kind].transport;
    bool rtu = line.transport == TRANSPORT_RTU;
    const char *place = text + (rtu ? 0 : strlen(kinds[kind].prefix)), *comma = strchr(place, ',');
    size_t length = comma ? (size_t)(comma - place) : strlen(place);
    if (comma && (line.transport == TRANSPORT_TCP || strlen(comma + 1) >= sizeof line.serial))
        return false;
    if (rtu && length >= sizeof line.place)
        return false;
    snprintf(line.serial, sizeof line.serial, "%s", comma ? comma + 1 : "");
    if (!rtu && !take_host(&line, place, length))
        return false;
    if (rtu)
        name_port(&line, place, length);
    for (size_t l = 0; l < commission->line_count; l++)
        same += commission->lines[l].transport == line.transport;
    snprintf(line.name, sizeof line.name, "%s-%zu", kinds[kind].name, same);
    commission->lines[commission->line_count++] = line;
    return true;
}

/* ---- what there is to know ---- */

/* Where the option puts it in struct ctl, and where it is kept here; a line is neither: it has a
 * name and a place of its own. */
static const struct fact {
    const char *option;
    bool required;
    size_t given, kept;
    struct words question;
} facts[] = {
#define FACT(given, kept) offsetof(struct ctl, given), offsetof(struct commission, kept)
    {"id",
     true,
     FACT(id, id),
     {"网关编号，全市唯一，如 gw-140502-0001",
      "id of the gateway, unique in the city, like gw-140502-0001"}},
    {"region",
     true,
     FACT(region, region),
     {"区县代码（GB/T 2260），如 140502", "GB/T 2260 code of the district, like 140502"}},
    {"name", false, FACT(name, name), {"名称（可空）", "what people call it (may be empty)"}},
    {"line",
     true,
     0,
     0,
     {"线路，如 /dev/ttyS1 或 tcp://192.168.1.10",
      "a line, like /dev/ttyS1 or tcp://192.168.1.10"}},
    {"broker",
     true,
     FACT(broker.url, url),
     {"消息服务器，如 mqtts://broker.example:8883",
      "the broker, like mqtts://broker.example:8883"}},
    {"ca",
     true,
     FACT(broker.ca, ca),
     {"签发服务器证书的 CA 文件", "file with the certificate of the broker's authority"}},
    {"username",
     false,
     FACT(broker.username, username),
     {"用户名（可空）", "user name (may be empty)"}},
#undef FACT
};

enum { FACTS = sizeof facts / sizeof *facts };

static bool is_line(const struct fact *fact)
{
    return fact->kept == 0;
}

static const char *given(const struct commission *commission, const struct fact *fact)
{
    return is_line(fact) ? NULL
                         : *(const char *const *)((const char *)commission->ctl + fact->given);
}

static bool take(struct commission *commission, const struct fact *fact, const char *text)
{
    if (is_line(fact))
        return add_line(commission, text);
    *(const char **)((char *)commission + fact->kept) = text[0] || fact->required ? text : NULL;
    return true;
}

static bool is_wanted(const struct commission *commission, const struct fact *fact)
{
    return strcmp(fact->option, "ca") != 0 || commission_is_tls(commission);
}

/* True when the parser of the configuration takes what is known so far. */
static bool is_right(const struct commission *commission, char *why, size_t why_size)
{
    struct setup setup;
    if (!commission_try(commission, &setup, why, why_size))
        return false;
    setup_free(&setup);
    return true;
}

/* Asks until the answer is right; false at the end of the input. Answers are kept for as long as
 * the program runs, but for a line's, which is copied. */
static bool ask_fact(struct commission *commission, const struct fact *fact)
{
    char why[COMMISSION_WHY_MAX];
    for (;;) {
        const struct commission before = *commission;
        char *answer = ask(say_words(fact->question));
        if (!answer)
            return false;
        if (!answer[0] && !fact->required) {
            free(answer);
            return true;
        }
        snprintf(why, sizeof why, "%s", say("不是线路", "that is no line"));
        if (take(commission, fact, answer) && is_right(commission, why, sizeof why)) {
            if (is_line(fact))
                free(answer);
            return true;
        }
        say_error("%s", why);
        *commission = before;
        free(answer);
    }
}

/* A cabinet has one line or several. */
static bool ask_more_lines(struct commission *commission)
{
    static const struct fact another = {
        .option = "line", .question = {"还有一条线路（可空）", "another line (may be empty)"}};
    size_t had;
    do {
        had = commission->line_count;
        if (!ask_fact(commission, &another))
            return false;
    } while (commission->line_count > had && commission->line_count < COMMISSION_LINES_MAX);
    return true;
}

static bool take_given(struct commission *commission)
{
    for (size_t f = 0; f < FACTS; f++) {
        if (given(commission, &facts[f]))
            (void)take(commission, &facts[f], given(commission, &facts[f]));
    }
    for (size_t l = 0; l < commission->ctl->line.count; l++) {
        if (!add_line(commission, commission->ctl->line.words[l])) {
            say_error(say("--line %s：不是线路", "--line %s: that is no line"),
                      commission->ctl->line.words[l]);
            return false;
        }
    }
    commission->password_file = commission->ctl->broker.password_file;
    return true;
}

static bool is_known(const struct commission *commission, const struct fact *fact)
{
    return is_line(fact) ? commission->line_count > 0 : given(commission, fact) != NULL;
}

/* Without a terminal: all that is missing, at once. */
static bool is_whole(const struct commission *commission)
{
    char missing[100] = "";
    for (size_t f = 0; f < FACTS; f++) {
        size_t used = strlen(missing);
        if (facts[f].required && is_wanted(commission, &facts[f]) &&
            !is_known(commission, &facts[f]))
            snprintf(missing + used, sizeof missing - used, " --%s", facts[f].option);
    }
    if (missing[0])
        say_error(say("缺少%s", "missing:%s"), missing);
    return !missing[0];
}

static bool ask_password(struct commission *commission)
{
    static char path[4096];
    char why[COMMISSION_WHY_MAX];
    if (!commission->username || commission->password_file)
        return true;
    char *password = ask_in_silence(say("密码（可空）", "password (may be empty)"));
    if (password && !password[0]) {
        free(password);
        return true;
    }
    bool ok = password && commission_keep_secret(commission, "city", password, path, sizeof path,
                                                 why, sizeof why);
    if (password) {
        explicit_bzero(password, strlen(password));
        if (!ok)
            say_error("%s", why);
    }
    free(password);
    commission->password_file = path;
    return ok;
}

/* False when something is still missing or wrong; that has been said. */
static bool gather(struct commission *commission)
{
    char why[COMMISSION_WHY_MAX];
    if (!take_given(commission))
        return false;
    if (!commission->asks && !is_whole(commission))
        return false;
    if (commission->asks && !is_right(commission, why, sizeof why)) {
        say_error("%s", why);
        return false;
    }
    for (size_t f = 0; commission->asks && f < FACTS; f++) {
        if (is_known(commission, &facts[f]) || !is_wanted(commission, &facts[f]))
            continue;
        if (!ask_fact(commission, &facts[f]) || (is_line(&facts[f]) && !ask_more_lines(commission)))
            return false;
    }
    return !commission->asks || ask_password(commission);
}

/* ---- the command ---- */

static bool scan(struct commission *commission, const struct settings *settings)
{
    struct setup_path path;
    struct probe_catalogue catalogue;
    bool open = true;
    setup_path_complete(&path, &commission->ctl->profiles, commission->ctl->config);
    if (!probe_catalogue_load(&catalogue, path.dirs, path.count))
        return false;
    probe_port_catch_signals();
    for (size_t l = 0; l < commission->line_count && !probe_port_stopped(); l++)
        open = commission_scan(commission, settings, l, &catalogue) && open;
    probe_catalogue_free(&catalogue);
    return open;
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
    return json_pack("{s:s, s:o, s:o}", "file", commission->ctl->config, "devices", devices,
                     "undecided", undecided);
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
    text_line(say("%s 已写好。接下来：", "%s is written. Then:"), text_of(result, "file"));
    text_line("  systemctl enable --now lifeline-gateway");
    text_line("  lifelinectl status");
    text_line("  lifelinectl doctor");
}

/* False when a profile was given for a unit that nobody has. */
static bool all_are_there(const struct commission *commission)
{
    bool all = true;
    for (size_t i = 0; i < commission->ctl->profile.count; i++) {
        if (!commission->took[i])
            say_error(say("--profile %s：该地址没有设备应答", "--profile %s: nobody answers there"),
                      commission->ctl->profile.words[i]);
        all = all && commission->took[i];
    }
    return all;
}

static enum ctl_exit write_it(struct commission *commission)
{
    char why[COMMISSION_WHY_MAX];
    struct setup setup;
    bool decided = true;
    if (!commission_try(commission, &setup, why, sizeof why)) {
        say_error("%s", why);
        return CTL_FINDING;
    }
    text_diagnostics(stderr, diagnostics_text(setup.diagnostics));
    setup_free(&setup);
    if (!commission_place(commission, why, sizeof why)) {
        say_error("%s", why);
        return CTL_FINDING;
    }
    json_t *result = result_of(commission);
    commission->ctl->writer->write(commission->ctl->command, result);
    json_decref(result);
    for (size_t d = 0; d < commission->device_count; d++)
        decided = decided && commission->devices[d].profile[0];
    decided = all_are_there(commission) && decided;
    return decided && !commission->partial ? CTL_FINE : CTL_FINDING;
}

static enum ctl_exit run(struct ctl *ctl)
{
    static struct commission commission;
    char why[COMMISSION_WHY_MAX];
    struct setup setup;
    commission = (struct commission){.ctl = ctl, .asks = isatty(STDIN_FILENO) != 0};
    if (!ctl->force && access(ctl->config, F_OK) == 0) {
        say_error(say("%s 已存在；--force 替换它（原文件存为 .old）",
                      "%s is there; --force replaces it and keeps it as .old"),
                  ctl->config);
        return CTL_FINDING;
    }
    if (!gather(&commission))
        return CTL_USAGE;
    if (!commission_try(&commission, &setup, why, sizeof why)) {
        say_error("%s", why);
        return CTL_USAGE;
    }
    bool whole = scan(&commission, setup.settings) && !probe_port_stopped();
    setup_free(&setup);
    if (whole)
        return write_it(&commission);
    say_error("%s", say("未写任何配置", "nothing is written"));
    if (access(ctl->socket, F_OK) == 0)
        say_error("%s", say("网关在运行时占用线路：先 systemctl stop lifeline-gateway",
                            "a gateway that runs holds its lines: systemctl stop "
                            "lifeline-gateway first"));
    return CTL_FINDING;
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
