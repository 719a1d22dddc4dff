/* lifelinectl tail [POINT...]: what the sensors say, as they say it.
 *
 *     14:03:07.512  well-017.tilt_x                     1.25 °
 *
 * First the newest value of each point, then every new one until Ctrl-C; in JSON one object a line.
 * Which points are meant is decided by the daemon. Never keeps anything but the width of names. */
#include <stdio.h>

#include "gateway/ctl/client.h"
#include "gateway/ctl/moment.h"
#include "gateway/ctl/text.h"
#include "gateway/ctl/width.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NAME_COLUMNS = 32, VALUE_COLUMNS = 11, UNIT_COLUMNS = 8 };

static int name_columns = 8; /* of the widest name seen, up to NAME_COLUMNS */

static void show(const json_t *reading)
{
    char when[MOMENT_BYTES], value[64], name[256];
    bool good = strcmp(text_of(reading, "quality"), "good") == 0;
    const char *unit = text_unit(reading);
    snprintf(name, sizeof name, "%s.%s", text_of(reading, "device"), text_of(reading, "point"));
    text_value(reading, value, sizeof value);
    fputs(moment_short(text_integer(reading, "time_ms"), (int64_t)time(NULL) * 1000, when), stdout);
    fputs("  ", stdout);
    int width = width_of(name);
    if (width > name_columns)
        name_columns = width < NAME_COLUMNS ? width : NAME_COLUMNS;
    int value_columns = width_of(value);
    if (value_columns < VALUE_COLUMNS)
        value_columns = VALUE_COLUMNS;
    /* A long number takes from a long name. */
    int excess = name_columns + value_columns - NAME_COLUMNS - VALUE_COLUMNS;
    text_cell(name, excess > 0 ? name_columns - excess : name_columns, false);
    putchar(' ');
    text_cell(value, value_columns, true);
    if (*unit || !good)
        putchar(' ');
    text_cell(unit, good && width_of(unit) < UNIT_COLUMNS ? width_of(unit) : UNIT_COLUMNS, false);
    printf(good ? "\n" : " %s\n", text_name(reading, "quality"));
}

/* Of every point that has been read at all. */
static void hear(void *context, const json_t *event)
{
    const struct ctl *ctl = context;
    size_t index;
    json_t *point;
    json_array_foreach(json_object_get(event, "points"), index, point)
    {
        if (json_is_integer(json_object_get(point, "time_ms")))
            ctl->writer->write(ctl->command, point);
    }
    fflush(stdout);
}

static void measure(const json_t *points)
{
    size_t index;
    json_t *point;
    json_array_foreach(points, index, point)
    {
        int width = width_of(text_of(point, "device")) + 1 + width_of(text_of(point, "point"));
        name_columns = width > name_columns ? width : name_columns;
    }
    name_columns = name_columns < NAME_COLUMNS ? name_columns : NAME_COLUMNS;
}

static char *path_to(const char *endpoint, const struct ctl *ctl)
{
    char *path = NULL;
    size_t length;
    FILE *stream = open_memstream(&path, &length);
    if (!stream)
        return NULL;
    fputs(endpoint, stream);
    for (int i = 0; i < ctl->argument_count; i++) {
        fputs(i == 0 ? "?point=" : "&point=", stream);
        client_escape(stream, ctl->arguments[i]);
    }
    fclose(stream);
    return path;
}

static enum ctl_exit run(struct ctl *ctl)
{
    char *latest = path_to("/v1/latest", ctl), *events = path_to("/v1/events", ctl);
    json_t *now = NULL;
    enum ctl_exit code = CTL_FINDING;
    if (latest && events)
        code = client_ask(ctl, "GET", latest, &now);
    if (code == CTL_FINE) {
        measure(json_object_get(now, "points"));
        hear(ctl, now);
        code = client_follow(ctl, events, hear, ctl);
    }
    json_decref(now);
    free(latest);
    free(events);
    return code;
}

const struct command tail_command = {
    .name = "tail",
    .arguments = "[POINT...]",
    .help = {"实时显示采集到的读数", "follow readings as they come"},
    .least = 0,
    .most = -1,
    .run = run,
    .text = show,
};
