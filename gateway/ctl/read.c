/* lifelinectl read DEVICE: the daemon reads the device now and says what it answered.
 *
 * Waits for the daemon, which waits for the line at most ten seconds. Prints every point; without
 * any value that counts, that is the finding. Never talks to the sensor itself. */
#include <stdio.h>

#include "gateway/ctl/client.h"
#include "gateway/ctl/text.h"

#include <stdlib.h>

static bool any_value(const json_t *points)
{
    size_t index;
    json_t *point;
    json_array_foreach(points, index, point)
    {
        if (json_is_number(json_object_get(point, "value")))
            return true;
    }
    return false;
}

static void show(const json_t *result)
{
    static const struct text_column columns[] = {{{"测点", "point"}, false},
                                                 {{"数值", "value"}, true},
                                                 {{"单位", "unit"}, false},
                                                 {{"质量", "quality"}, false}};
    const json_t *points = json_object_get(result, "points");
    json_t *rows = json_array(), *point;
    char value[64];
    size_t index;
    json_array_foreach(points, index, point)
    {
        json_array_append_new(rows, json_pack("[s, s, s, s]", text_of(point, "point"),
                                              text_value(point, value, sizeof value),
                                              text_unit(point), text_name(point, "quality")));
    }
    text_line(say("%s，读取用时 %lld ms", "%s, read in %lld ms"), text_of(result, "device"),
              (long long)text_integer(result, "took_ms"));
    text_table(columns, sizeof columns / sizeof *columns, rows);
    json_decref(rows);
}

static enum ctl_exit run(struct ctl *ctl)
{
    char *path = NULL;
    size_t length;
    json_t *result = NULL;
    FILE *stream = open_memstream(&path, &length);
    if (!stream)
        return CTL_FINDING;
    fputs("/v1/devices/", stream);
    client_escape(stream, ctl->arguments[0]);
    fputs("/read", stream);
    fclose(stream);
    enum ctl_exit code = client_ask(ctl, "POST", path, &result);
    if (code == CTL_FINE) {
        ctl->writer->write(ctl->command, result);
        code = any_value(json_object_get(result, "points")) ? CTL_FINE : CTL_FINDING;
    }
    json_decref(result);
    free(path);
    return code;
}

const struct command read_command = {
    .name = "read",
    .arguments = "DEVICE",
    .help = {"立即读取一台设备", "read a device now"},
    .least = 1,
    .most = 1,
    .run = run,
    .text = show,
};
