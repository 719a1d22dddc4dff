/* lifelinectl alarms: what is up now, the worst first; ack and maintain: what a person says to it.
 *
 * Asks the daemon; with -f it streams, and every step is shown once. One alarm is a line with
 * level, time, place and how long, and what is the matter below it, against which threshold and by
 * whose word. Never acknowledges anything by itself. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/ctl/alarm_lines.h"
#include "gateway/ctl/alarm_steps.h"
#include "gateway/ctl/client.h"
#include "gateway/ctl/text.h"
#include "proto/names.h"

enum { SEEN_MAX = 4096 };

static void show(const json_t *result)
{
    const json_t *alarms = json_object_get(result, "alarms");
    json_t *alarm;
    size_t index;
    for (uint8_t level = LEVEL_RED; level < LEVEL_COUNT; level++) {
        json_array_foreach(alarms, index, alarm)
        {
            if (alarm_lines_level(alarm) == level)
                alarm_lines(alarm, NULL);
        }
    }
    const json_t *up = json_object_get(result, "up");
    if (up && !json_array_size(alarms))
        text_line("%s", say("没有报警", "no alarm is up"));
}

/* ---- asking ---- */

static char *path_of(const struct ctl *ctl)
{
    char *path = NULL;
    size_t length;
    FILE *stream = open_memstream(&path, &length);
    if (!stream)
        return NULL;
    fputs("/v1/alarms?", stream);
    if (ctl->level)
        fprintf(stream, "level=%s&", ctl->level);
    if (ctl->sector) {
        fputs("sector=", stream);
        client_escape(stream, ctl->sector);
    }
    fclose(stream);
    return path;
}

/* Steps that were shown. */
struct seen {
    char ids[SEEN_MAX][32];
    json_int_t steps[SEEN_MAX];
    size_t count;
};

/* True, and it is seen from then on, when the step is new. */
static bool is_new(struct seen *seen, const json_t *alarm)
{
    const char *id = text_of(alarm, "id");
    json_int_t step = text_integer(alarm, "step");
    size_t i = 0;
    while (i < seen->count && strcmp(seen->ids[i], id) != 0)
        i++;
    if (i == SEEN_MAX)
        return true;
    if (i == seen->count)
        snprintf(seen->ids[seen->count++], sizeof seen->ids[0], "%s", id);
    else if (seen->steps[i] == step)
        return false;
    seen->steps[i] = step;
    return true;
}

/* Who follows, and what he has seen. */
struct follower {
    struct ctl *ctl;
    struct seen seen;
};

static void note(void *context, const json_t *step)
{
    struct follower *follower = context;
    (void)is_new(&follower->seen, step);
}

/* The daemon streams all; what is asked for is chosen here. */
static bool is_wanted(const struct ctl *ctl, const json_t *alarm)
{
    return (!ctl->level || alarm_lines_level(alarm) <= strtoul(ctl->level, NULL, 10)) &&
           (!ctl->sector || strcmp(text_of(alarm, "sector"), ctl->sector) == 0);
}

static void hear(void *context, const json_t *body)
{
    struct follower *follower = context;
    json_t *news = json_array(), *alarm;
    size_t index;
    json_array_foreach(json_object_get(body, "alarms"), index, alarm)
    {
        if (is_wanted(follower->ctl, alarm) && is_new(&follower->seen, alarm))
            json_array_append(news, alarm);
    }
    json_t *result = json_pack("{s:O}", "alarms", news);
    if (json_array_size(news))
        follower->ctl->writer->write(follower->ctl->command, result);
    fflush(stdout);
    json_decref(result);
    json_decref(news);
}

/* What there is, or what there was since a time, and from then on every step. */
static enum ctl_exit follow(struct ctl *ctl, const char *path)
{
    struct follower *follower = calloc(1, sizeof *follower);
    json_t *now = NULL;
    enum ctl_exit code = CTL_FINDING;
    if (!follower)
        return code;
    follower->ctl = ctl;
    if (ctl->since || ctl->until) {
        code = alarm_steps_since(ctl, note, follower);
    } else {
        code = client_ask(ctl, "GET", path, &now);
        hear(follower, now);
        json_decref(now);
    }
    if (code == CTL_FINE)
        code = client_follow(ctl, "/v1/events?alarms=only", hear, follower);
    free(follower);
    return code;
}

/* ---- orders ---- */

static const char *user(void)
{
    const struct passwd *entry = getpwuid(getuid());
    return entry ? entry->pw_name : "unknown";
}

static enum ctl_exit order(struct ctl *ctl, const char *path)
{
    json_t *result = NULL;
    enum ctl_exit code = client_ask(ctl, "POST", path, &result);
    if (code == CTL_FINE && ctl->form == CTL_JSON_LINES)
        ctl->writer->write(ctl->command, result);
    else if (code == CTL_FINE)
        text_line("%s", say("已受理", "taken"));
    json_decref(result);
    return code;
}

/* The whole id of the only alarm whose id ends, or begins, so. */
static enum ctl_exit complete(struct ctl *ctl, const char *part, char id[32])
{
    json_t *result = NULL, *alarm;
    size_t index, length = strlen(part), found = 0;
    enum ctl_exit code = client_ask(ctl, "GET", "/v1/alarms", &result);
    json_array_foreach(json_object_get(result, "alarms"), index, alarm)
    {
        const char *own = text_of(alarm, "id");
        size_t all = strlen(own);
        if (all < length || length < 4 ||
            (strncmp(own, part, length) != 0 && strcmp(own + all - length, part) != 0))
            continue;
        found++;
        snprintf(id, 32, "%s", own);
    }
    json_decref(result);
    if (code == CTL_FINE && found != 1) {
        say_error(found ? say("%s 不唯一", "%s is not the only one")
                        : say("没有报警 %s", "no alarm %s is up"),
                  part);
        code = CTL_FINDING;
    }
    return code;
}

static enum ctl_exit acknowledge(struct ctl *ctl)
{
    char id[32] = "", *path = NULL;
    size_t length;
    enum ctl_exit code = complete(ctl, ctl->arguments[1], id);
    FILE *stream = code == CTL_FINE ? open_memstream(&path, &length) : NULL;
    if (!stream)
        return code == CTL_FINE ? CTL_FINDING : code;
    fprintf(stream, "/v1/alarms/%s/ack?actor=", id);
    client_escape(stream, user());
    if (ctl->note) {
        fputs("&note=", stream);
        client_escape(stream, ctl->note);
    }
    fclose(stream);
    code = order(ctl, path);
    free(path);
    return code;
}

static enum ctl_exit maintain(struct ctl *ctl)
{
    char *path = NULL;
    size_t length;
    FILE *stream = open_memstream(&path, &length);
    if (!stream)
        return CTL_FINDING;
    fputs("/v1/maintenance?minutes=", stream);
    client_escape(stream, ctl->arguments[2]);
    if (strcmp(ctl->arguments[1], "all") != 0) {
        fputs("&device=", stream);
        client_escape(stream, ctl->arguments[1]);
    }
    fclose(stream);
    enum ctl_exit code = order(ctl, path);
    free(path);
    return code;
}

static enum ctl_exit list(struct ctl *ctl)
{
    json_t *result = NULL;
    char *path = path_of(ctl);
    if (!path)
        return CTL_FINDING;
    enum ctl_exit code = ctl->follow ? follow(ctl, path) : client_ask(ctl, "GET", path, &result);
    if (result && code == CTL_FINE)
        ctl->writer->write(ctl->command, result);
    json_decref(result);
    free(path);
    return code;
}

static bool is_good(const struct ctl *ctl)
{
    const char *level = ctl->level;
    enum sector sector;
    if (level && (strlen(level) != 1 || level[0] < '1' || level[0] > '4'))
        say_error(say("--level %s：应为 1 到 4", "--level %s: 1 to 4"), level);
    else if (ctl->sector && !names_sector_parse(ctl->sector, &sector))
        say_error(say("--sector %s：没有这个专业", "--sector %s: no such sector"), ctl->sector);
    else
        return true;
    return false;
}

static enum ctl_exit run(struct ctl *ctl)
{
    if (!is_good(ctl))
        return CTL_USAGE;
    if (ctl->argument_count == 0 && (ctl->since || ctl->until) && !ctl->follow)
        return alarm_steps_since(ctl, NULL, NULL);
    if (ctl->argument_count == 0)
        return list(ctl);
    if (ctl->argument_count == 2 && strcmp(ctl->arguments[0], "show") == 0)
        return alarm_steps_show(ctl, ctl->arguments[1]);
    if (ctl->argument_count == 2 && strcmp(ctl->arguments[0], "ack") == 0)
        return acknowledge(ctl);
    if (ctl->argument_count == 3 && strcmp(ctl->arguments[0], "maintain") == 0)
        return maintain(ctl);
    say_error("%s", say("alarms 之后是：无、show ID、ack ID、或 maintain DEVICE|all 分钟数",
                        "after alarms: nothing, show ID, ack ID, or maintain DEVICE|all MINUTES"));
    return CTL_USAGE;
}

const struct command alarms_command = {
    .name = "alarms",
    .arguments = "[ARGUMENT...]",
    .help = {"当前报警；确认报警；设定维护时段", "what is up; acknowledge it; maintenance"},
    .least = 0,
    .most = 3,
    .run = run,
    .text = show,
};
