/* lifelinectl names lines|devices|points: what there is, a name a line, for scripts and for the
 * completion of a shell.
 *
 * Asks the daemon; when there is none, the configuration says it, if it can be read. Never prints
 * what is wrong with that: `check` does. */
#include <string.h>
#include <unistd.h>

#include "gateway/ctl/client.h"
#include "gateway/ctl/text.h"

static json_t *setup_lines(const struct settings *settings)
{
    json_t *names = json_array();
    for (size_t l = 0; l < settings->line_count; l++)
        json_array_append_new(names, json_string(settings->lines[l].name));
    return names;
}

static json_t *setup_devices(const struct settings *settings)
{
    json_t *names = json_array();
    for (size_t d = 0; d < settings->device_count; d++)
        json_array_append_new(names, json_string(settings->devices[d].name));
    return names;
}

static json_t *setup_points(const struct settings *settings)
{
    json_t *names = json_array();
    for (size_t d = 0; d < settings->device_count; d++) {
        const struct settings_device *device = &settings->devices[d];
        for (size_t p = 0; p < device->profile->point_count; p++)
            json_array_append_new(
                names, json_sprintf("%s.%s", device->name, device->profile->points[p].name));
    }
    return names;
}

static const struct kind {
    const char *name, *path; /* of the API, where they stand under the name */
    json_t *(*of_setup)(const struct settings *settings);
} kinds[] = {{"lines", "/v1/lines", setup_lines},
             {"devices", "/v1/devices", setup_devices},
             {"points", "/v1/points", setup_points}};

static json_t *of_daemon(const struct kind *kind, const json_t *answer)
{
    json_t *names = json_array();
    const json_t *list = json_object_get(answer, kind->name);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const json_t *name = json_object_get(one, "name");
        json_array_append_new(
            names, json_is_string(name)
                       ? json_string(json_string_value(name))
                       : json_sprintf("%s.%s", text_of(one, "device"), text_of(one, "point")));
    }
    return names;
}

static json_t *of_configuration(const struct ctl *ctl, const struct kind *kind)
{
    struct setup setup;
    bool fine = setup_load(&setup, ctl->config, &ctl->profiles, false);
    json_t *names = fine ? kind->of_setup(setup.settings) : NULL;
    setup_free(&setup);
    return names;
}

static void show(const json_t *result)
{
    const json_t *names = json_object_get(result, "names");
    for (size_t i = 0; i < json_array_size(names); i++)
        puts(json_string_value(json_array_get(names, i)));
}

static const struct kind *find(const char *name)
{
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        if (strcmp(kinds[k].name, name) == 0)
            return &kinds[k];
    }
    return NULL;
}

static enum ctl_exit run(struct ctl *ctl)
{
    const struct kind *kind = find(ctl->arguments[0]);
    json_t *answer = NULL;
    if (!kind) {
        say_error(say("names 只有 lines、devices、points，没有 \"%s\"",
                      "names is for lines, devices or points, not \"%s\""),
                  ctl->arguments[0]);
        return CTL_USAGE;
    }
    enum ctl_exit code = CTL_NO_DAEMON;
    if (access(ctl->socket, F_OK) == 0)
        code = client_ask(ctl, "GET", kind->path, &answer);
    if (code != CTL_FINE && code != CTL_NO_DAEMON)
        return code;
    json_t *names = answer ? of_daemon(kind, answer) : of_configuration(ctl, kind);
    json_decref(answer);
    if (!names) {
        say_error(say("没有守护进程，%s 也不可用", "no daemon, and %s is of no use"), ctl->config);
        return CTL_NO_DAEMON;
    }
    json_t *result = json_pack("{s:o}", "names", names);
    ctl->writer->write(ctl->command, result);
    json_decref(result);
    return CTL_FINE;
}

const struct command names_command = {
    .name = "names",
    .arguments = "KIND",
    .help = {"线路（lines）、设备（devices）或测点（points）的名称，每行一个",
             "the names of lines, devices or points, a line each"},
    .least = 1,
    .most = 1,
    .run = run,
    .text = show,
};
