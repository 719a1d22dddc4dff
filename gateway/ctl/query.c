/* lifelinectl query POINT... --since T [--until T] [--csv|--json]: stored readings.
 *
 *     2026-11-22 14:03:07.512  well-017.tilt_x                1.25 °      good
 *
 * One thread. Asks the daemon; when none answers and nobody has the store, reads the file itself,
 * with the scan that the daemon uses and without changing anything, and never has the store while
 * it waits for who reads its lines. Either way the readings come as
 * the same lines of JSON, one after the other: nothing is kept but the width of names. Rows that
 * are damaged are told on stderr. */
#include <stdio.h>

#include "gateway/api/history_line.h"
#include "gateway/ctl/client.h"
#include "gateway/ctl/moment.h"
#include "gateway/ctl/text.h"
#include "gateway/ctl/width.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/clock.h"

enum {
    NAME_COLUMNS = 24,
    VALUE_COLUMNS = 10,
    UNIT_COLUMNS = 6,
    WHY_BYTES = 512,
};

struct answer {
    const struct ctl *ctl;
    json_t *end; /* the last line */
    uint64_t readings;
};

static void show(const json_t *reading)
{
    static int name_columns = 8; /* of the widest name seen, up to NAME_COLUMNS */
    char when[MOMENT_BYTES], value[64], name[256];
    snprintf(name, sizeof name, "%s.%s", text_of(reading, "device"), text_of(reading, "point"));
    text_value(reading, value, sizeof value);
    int width = width_of(name), value_columns = width_of(value);
    if (width > name_columns)
        name_columns = width < NAME_COLUMNS ? width : NAME_COLUMNS;
    if (value_columns < VALUE_COLUMNS)
        value_columns = VALUE_COLUMNS;
    /* A long number takes from a long name. */
    int excess = name_columns + value_columns - NAME_COLUMNS - VALUE_COLUMNS;
    fputs(moment_local(text_integer(reading, "time_ms"), when), stdout);
    fputs("  ", stdout);
    text_cell(name, excess > 0 ? name_columns - excess : name_columns, false);
    putchar(' ');
    text_cell(value, value_columns, true);
    putchar(' ');
    text_cell(text_unit(reading), UNIT_COLUMNS, false);
    printf(" %s\n", text_name(reading, "quality"));
}

/* A field of CSV; quoted only where it must be. */
static void put_field(const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void show_csv(const json_t *reading)
{
    char when[MOMENT_BYTES], value[64] = "", name[256];
    snprintf(name, sizeof name, "%s.%s", text_of(reading, "device"), text_of(reading, "point"));
    const json_t *number = json_object_get(reading, "value");
    if (json_is_integer(json_object_get(reading, "decimals")) && json_is_number(number))
        text_value(reading, value, sizeof value);
    else if (json_is_number(number))
        snprintf(value, sizeof value, "%.9g", json_number_value(number));
    printf("%s,", moment_utc(text_integer(reading, "time_ms"), when));
    put_field(name);
    printf(",%s,", value);
    put_field(text_of(reading, "unit"));
    printf(",%s\n", text_of(reading, "quality"));
}

/* A table without rows has a head, too. */
static void begin(const struct answer *answer)
{
    if (answer->ctl->form == CTL_CSV)
        puts("time,point,value,unit,quality");
}

static void hear(void *context, const char *line)
{
    static const char end[] = "{\"end\":";
    struct answer *answer = context;
    bool is_end = strncmp(line, end, sizeof end - 1) == 0;
    bool raw = !is_end && answer->ctl->form == CTL_JSON_LINES;
    json_t *reading = raw ? NULL : json_loads(line, 0, NULL);
    if (is_end && !answer->end) {
        answer->end = json_incref(reading);
    } else if (!is_end) {
        if (answer->readings++ == 0)
            begin(answer);
        if (raw)
            puts(line);
        else if (answer->ctl->form == CTL_CSV)
            show_csv(reading);
        else
            show(reading);
    }
    json_decref(reading);
}

/* What the last line says of the others. */
static enum ctl_exit judge(const struct answer *answer)
{
    json_int_t damaged = text_integer(answer->end, "damaged_rows");
    bool incomplete = json_is_true(json_object_get(answer->end, "incomplete"));
    const char *error = json_string_value(json_object_get(answer->end, "error"));
    if (!answer->readings && text_integer(answer->end, "points"))
        begin(answer);
    fflush(stdout);
    if (damaged)
        say_error(say("略去 %lld %s", "%lld damaged %s left out"), (long long)damaged,
                  damaged == 1 ? say("条损坏记录", "row") : say("条损坏记录", "rows"));
    if (incomplete)
        say_error("%s", say("磁盘不可用，缺少其上的读数",
                            "the disk is out of reach; what is on it is missing"));
    if (error)
        say_error(say("%s；其后的读数缺失", "%s; the rest is missing"), error);
    else if (!answer->end)
        say_error("%s", say("应答中断，不完整", "the answer was cut short"));
    else if (text_integer(answer->end, "points") == 0)
        say_error("%s", say("没有匹配的测点", "no point matches"));
    else if (answer->readings == 0)
        say_error("%s", say("该时段没有读数", "no reading in that time"));
    return answer->end && !error && !damaged && !incomplete && answer->readings ? CTL_FINE
                                                                                : CTL_FINDING;
}

/* ---- without a daemon ---- */

/* Somebody may look at it page by page. */
static bool output_may_wait(void)
{
    struct stat output;
    return fstat(STDOUT_FILENO, &output) != 0 || !S_ISREG(output.st_mode);
}

/* Whoever reads our lines may take his time: meanwhile the store is free for a daemon. */
static enum ctl_exit scan(const struct settings *settings, struct store **store,
                          struct history *history, struct answer *answer)
{
    const bool may_wait = output_may_wait();
    char line[HISTORY_LINE_MAX], why[WHY_BYTES], reason[WHY_BYTES];
    struct history_reading reading;
    enum history_step step;
    while ((step = history_next(history, &reading)) == HISTORY_READING || step == HISTORY_FETCH) {
        if (step == HISTORY_FETCH) {
            if (!*store && history_open(settings, store, why, sizeof why) != HISTORY_OPENED) {
                fflush(stdout);
                say_error(say("%s；其后的读数缺失", "%s; the rest is missing"),
                          say_reason(why, reason, sizeof reason));
                return CTL_FINDING;
            }
            history_fetch(*store, history);
            if (may_wait) {
                history_close(*store);
                *store = NULL;
            }
            continue;
        }
        line[history_line(&reading, line) - 1] = '\0';
        hear(answer, line);
    }
    line[history_line_last(history, line) - 1] = '\0';
    hear(answer, line);
    return judge(answer);
}

static enum ctl_exit read_file(struct ctl *ctl, int64_t since_ms, int64_t until_ms)
{
    struct answer answer = {.ctl = ctl};
    struct setup setup;
    struct store *store = NULL;
    struct history *history = NULL;
    enum ctl_exit code = CTL_NO_DAEMON;
    char why[WHY_BYTES], reason[WHY_BYTES];
    snprintf(why, sizeof why, "%s", say("配置文件无法读取", "the configuration cannot be read"));
    bool loaded = setup_load(&setup, ctl->config, &ctl->profiles, false) || setup.settings;
    if (!loaded && setup.diagnostics)
        text_diagnostics(stderr, diagnostics_text(setup.diagnostics));
    if (loaded && history_open(setup.settings, &store, why, sizeof why) == HISTORY_IN_USE)
        say_error(say("%s 中的接口是 %s", "the socket of %s is %s"), ctl->config,
                  setup.settings->api.socket);
    if (!store) {
        say_error(say("%s 处没有守护进程；%s", "no daemon at %s; %s"), ctl->socket,
                  say_reason(why, reason, sizeof reason));
        goto out;
    }
    code = CTL_FINDING;
    history = history_new((const char *const *)ctl->arguments, (size_t)ctl->argument_count,
                          since_ms, until_ms);
    if (history)
        code = scan(setup.settings, &store, history, &answer);
    else
        say_error("%s", say("内存不足", "out of memory"));
out:
    json_decref(answer.end);
    history_free(history);
    if (store)
        history_close(store);
    setup_free(&setup);
    return code;
}

/* ---- with one ---- */

static char *path_of(const struct ctl *ctl, int64_t since_ms, int64_t until_ms)
{
    char *path = NULL;
    size_t length;
    FILE *stream = open_memstream(&path, &length);
    if (!stream)
        return NULL;
    fprintf(stream, "/v1/history?since_ms=%" PRId64 "&until_ms=%" PRId64, since_ms, until_ms);
    for (int i = 0; i < ctl->argument_count; i++) {
        fputs("&point=", stream);
        client_escape(stream, ctl->arguments[i]);
    }
    fclose(stream);
    return path;
}

static bool take_time(const char *option, const char *text, int64_t now_ms, int64_t *out)
{
    if (!text || moment_parse(text, now_ms, out))
        return true;
    say_error(say("--%s \"%s\" 不是时间；应如 "
                  "2h、30d、2026-11-22T03:00（本地时间）、2026-11-22T03:00Z 或以 +08:00 结尾",
                  "--%s \"%s\" is no time; it is like 2h, 30d, 2026-11-22T03:00 (local), "
                  "2026-11-22T03:00Z or ...+08:00"),
              option, text);
    return false;
}

static enum ctl_exit run(struct ctl *ctl)
{
    struct answer answer = {.ctl = ctl};
    int64_t now_ms = clock_wall().ms;
    int64_t since_ms = now_ms - HISTORY_SINCE_MS, until_ms = INT64_MAX;
    bool nobody = false;
    if (!take_time("since", ctl->since, now_ms, &since_ms) ||
        !take_time("until", ctl->until, now_ms, &until_ms))
        return CTL_USAGE;
    if (since_ms >= until_ms) {
        say_error("%s", say("--since 不早于 --until", "--since is not before --until"));
        return CTL_USAGE;
    }
    char *path = path_of(ctl, since_ms, until_ms);
    enum ctl_exit code = path ? client_lines(ctl, path, hear, &answer, &nobody) : CTL_FINDING;
    free(path);
    if (code == CTL_FINE)
        code = judge(&answer);
    json_decref(answer.end);
    return nobody ? read_file(ctl, since_ms, until_ms) : code;
}

const struct command query_command = {
    .name = "query",
    .arguments = "POINT...",
    .help = {"查询已存读数；没有守护进程时直接读文件",
             "stored readings; without a daemon from the file"},
    .least = 1,
    .most = -1,
    .run = run,
    .text = show,
};
