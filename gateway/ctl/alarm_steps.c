/* lifelinectl alarms --since T, and alarms show ID.
 *
 *     red 03:12:05.250 road.depth/flooded cleared, for 12 min, ...00X7RK
 *         water 273 mm
 *         03:12:05.250  raised      yellow  0.151 m
 *           03:12:00.107  depth     0.148 m  good
 *         03:14:20.250  escalated   red     0.273 m
 *
 * Asks the daemon, which streams steps; those of one alarm come behind each other, so one alarm is
 * all that is kept. As JSON every step is a line. Never acknowledges anything. */
#include "gateway/ctl/alarm_steps.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/clock.h"
#include "gateway/ctl/alarm_lines.h"
#include "gateway/ctl/client.h"
#include "gateway/ctl/moment.h"
#include "gateway/ctl/text.h"
#include "proto/names.h"

enum { PART_LEAST = 4, STEP_COLUMNS = 10, LEVEL_COLUMNS = 7, NAME_COLUMNS = 20 };

/* What comes, line by line. */
struct answer {
    const struct ctl *ctl;
    void (*show)(const json_t *steps); /* of one alarm */
    void (*shown)(void *context, const json_t *step);
    void *context;
    json_t *steps, *end;
    size_t alarms;
};

static void show_last(const json_t *steps)
{
    alarm_lines(json_array_get(steps, json_array_size(steps) - 1), NULL);
}

/* ---- a life ---- */

static void show_evidence(const json_t *step, int64_t now_ms)
{
    char when[MOMENT_BYTES];
    json_t *one;
    size_t index;
    json_array_foreach(json_object_get(step, "evidence"), index, one)
    {
        printf("      %s  ", moment_short(text_integer(one, "at_ms"), now_ms, when));
        text_cell(text_of(one, "name"), NAME_COLUMNS, false);
        text_line(" %10.6g  %s", json_number_value(json_object_get(one, "value")),
                  text_name(one, "quality"));
    }
}

static void show_step(const json_t *step, int64_t now_ms)
{
    char when[MOMENT_BYTES];
    const char *unit = json_string_value(json_object_get(step, "unit"));
    const char *actor = json_string_value(json_object_get(step, "actor"));
    const char *status = text_of(step, "status");
    printf("    %s  ", moment_short(text_integer(step, "at_ms"), now_ms, when));
    text_cell(say_name(status), STEP_COLUMNS, false);
    putchar(' ');
    text_cell(say_name(names_level((enum level)alarm_lines_level(step))), LEVEL_COLUMNS, false);
    text_line(" %.6g %s%s%.24s", json_number_value(json_object_get(step, "value")),
              unit && strcmp(unit, "1") != 0 ? unit : "",
              actor && strcmp(status, "acked") == 0 ? "  " : "",
              actor && strcmp(status, "acked") == 0 ? actor : "");
    show_evidence(step, now_ms);
}

static void show_place(const json_t *step)
{
    const char *asset = json_string_value(json_object_get(step, "asset"));
    const char *grid = json_string_value(json_object_get(step, "grid"));
    const json_t *position = json_object_get(step, "position");
    if (asset)
        text_line(say("    设施 %s", "    asset %s"), asset);
    if (grid)
        text_line(say("    网格 %s", "    grid %s"), grid);
    if (position)
        text_line(say("    位置 %.6f, %.6f（%s）", "    at %.6f, %.6f (%s)"),
                  json_number_value(json_object_get(position, "longitude")),
                  json_number_value(json_object_get(position, "latitude")),
                  text_of(position, "crs"));
}

static void show_life(const json_t *steps)
{
    const int64_t now_ms = clock_wall().ms;
    const json_t *last = json_array_get(steps, json_array_size(steps) - 1);
    json_t *step;
    size_t index;
    alarm_lines(last, NULL);
    text_line("    %s", text_of(last, "id"));
    show_place(last);
    json_array_foreach(steps, index, step) show_step(step, now_ms);
}

/* ---- asking ---- */

static void flush(struct answer *answer)
{
    if (json_array_size(answer->steps)) {
        answer->alarms++;
        if (answer->ctl->form != CTL_JSON_LINES)
            answer->show(answer->steps);
        if (answer->shown)
            answer->shown(answer->context,
                          json_array_get(answer->steps, json_array_size(answer->steps) - 1));
    }
    json_array_clear(answer->steps);
}

static void hear(void *context, const char *line)
{
    struct answer *answer = context;
    json_t *step = json_loads(line, 0, NULL);
    const json_t *before = json_array_get(answer->steps, 0);
    if (json_object_get(step, "end")) {
        flush(answer);
        json_decref(answer->end);
        answer->end = step;
        return;
    }
    if (before && strcmp(text_of(before, "id"), text_of(step, "id")) != 0)
        flush(answer);
    if (answer->ctl->form == CTL_JSON_LINES)
        puts(line);
    if (step)
        json_array_append_new(answer->steps, step);
}

static enum ctl_exit judge(const struct answer *answer)
{
    json_int_t damaged = text_integer(answer->end, "damaged_rows");
    bool incomplete = json_is_true(json_object_get(answer->end, "incomplete"));
    const char *error = json_string_value(json_object_get(answer->end, "error"));
    fflush(stdout);
    if (damaged)
        say_error(say("略去 %lld 条损坏记录", "%lld damaged rows left out"), (long long)damaged);
    if (incomplete)
        say_error("%s", say("磁盘不可用，缺少其上的报警",
                            "the disk is out of reach; alarms on it are missing"));
    if (error)
        say_error(say("%s；其后的报警缺失", "%s; the rest is missing"), error);
    else if (!answer->end)
        say_error("%s", say("应答中断，不完整", "the answer was cut short"));
    return answer->end && !error && !damaged && !incomplete ? CTL_FINE : CTL_FINDING;
}

static enum ctl_exit ask(const char *path, struct answer *answer)
{
    bool nobody = false;
    answer->steps = json_array();
    enum ctl_exit code = client_lines(answer->ctl, path, hear, answer, &nobody);
    if (nobody)
        say_error(say("%s 处没有守护进程", "no daemon at %s"), answer->ctl->socket);
    else if (code == CTL_FINE)
        code = judge(answer);
    json_decref(answer->steps);
    json_decref(answer->end);
    return code;
}

static bool take_time(const char *name, const char *text, int64_t *out)
{
    if (!text || moment_parse(text, clock_wall().ms, out))
        return true;
    say_error(say("--%s %s：不是时间", "--%s %s: that is no time"), name, text);
    return false;
}

static void put(FILE *path, const char *key, const char *value)
{
    if (!value)
        return;
    fprintf(path, "&%s=", key);
    client_escape(path, value);
}

static char *path_since(const struct ctl *ctl)
{
    int64_t since_ms = 0, until_ms = INT64_MAX;
    char *path = NULL;
    size_t length;
    if (!take_time("since", ctl->since, &since_ms) || !take_time("until", ctl->until, &until_ms))
        return NULL;
    FILE *stream = open_memstream(&path, &length);
    if (!stream)
        return NULL;
    fprintf(stream, "/v1/alarms/history?since_ms=%" PRId64 "&until_ms=%" PRId64, since_ms,
            until_ms);
    put(stream, "level", ctl->level);
    put(stream, "sector", ctl->sector);
    fclose(stream);
    return path;
}

enum ctl_exit alarm_steps_since(struct ctl *ctl, void (*shown)(void *context, const json_t *step),
                                void *context)
{
    struct answer answer = {.ctl = ctl, .show = show_last, .shown = shown, .context = context};
    char *path = path_since(ctl);
    if (!path)
        return CTL_USAGE;
    enum ctl_exit code = ask(path, &answer);
    free(path);
    if (code == CTL_FINE && !answer.alarms && ctl->form == CTL_TEXT)
        text_line("%s", say("该时段没有报警", "no alarm in that time"));
    return code;
}

enum ctl_exit alarm_steps_show(struct ctl *ctl, const char *part)
{
    struct answer answer = {.ctl = ctl, .show = show_life};
    char *path = NULL;
    size_t length;
    FILE *stream = open_memstream(&path, &length);
    if (!stream)
        return CTL_FINDING;
    fputs("/v1/alarms/history?id=", stream);
    client_escape(stream, part);
    fclose(stream);
    enum ctl_exit code = strlen(part) < PART_LEAST ? CTL_FINE : ask(path, &answer);
    free(path);
    if (code == CTL_FINE && answer.alarms != 1) {
        say_error(answer.alarms ? say("%s 不唯一", "%s is not the only one")
                                : say("没有报警 %s", "no alarm %s"),
                  part);
        code = CTL_FINDING;
    }
    return code;
}
