/* lifelinectl probe LINE [--scan] [--record FILE]: who is on a line, at what baud, and what it is.
 *
 * One thread. Asks through the daemon when one runs, else opens the line itself. Without --scan it
 * looks at what is configured, with it at every unit at every usual setting. Ctrl-C shows what was
 * found until then. Only ever reads. */
#include "gateway/ctl/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/clock.h"
#include "gateway/ctl/text.h"

enum { UNITS_MAX = 256, ALIKE = 10, GARBLED_MAX = 16 };

struct hunt {
    struct probe_port port;
    struct probe_catalogue catalogue;
    struct probe probe;
    bool seen[UNITS_MAX];                 /* reported: it needs no look at other settings */
    struct probe_unit garbled[UNITS_MAX]; /* the first garbled answer, in a scan */
    size_t found;
    bool scan, complete;
    json_t *units;
};

static void note(struct hunt *hunt, const struct probe_unit *unit, const char *profile)
{
    if (hunt->port.record)
        fprintf(hunt->port.record, "# unit %u %s\n", unit->unit, profile);
}

/* Reads what is configured for the unit, as the daemon would. True when all of it fits. */
static bool look_at_devices(struct hunt *hunt, const struct probe_unit *unit, json_t *report)
{
    bool fit = true, any = false;
    for (size_t i = 0; i < hunt->port.device_count && hunt->complete; i++) {
        const struct probe_device *device = &hunt->port.devices[i];
        if (device->unit != unit->unit)
            continue;
        const struct profile *profile = probe_catalogue_find(&hunt->catalogue, device->profile);
        struct probe_reading reading = {.profile = NULL};
        any = true;
        if (profile && unit->presence == PROBE_THERE) {
            note(hunt, unit, device->profile);
            hunt->complete = probe_read(&hunt->probe, unit, device->base, profile, &reading);
        }
        json_array_append_new(
            json_object_get(report, "devices"),
            probe_report_device(device, profile != NULL, reading.profile ? &reading : NULL));
        fit = fit && reading.verdict != PROBE_UNFIT;
        probe_reading_free(&reading);
    }
    return any && fit;
}

static void look_for_models(struct hunt *hunt, struct probe_unit *unit, json_t *report)
{
    struct probe_models models;
    hunt->complete = probe_models(&hunt->probe, unit, &models);
    if (models.count == 1 && hunt->port.record && hunt->complete) {
        note(hunt, unit, models.fits[0].profile->name);
        struct probe_reading reading;
        hunt->complete = probe_read(&hunt->probe, unit, 0, models.fits[0].profile, &reading);
        probe_reading_free(&reading);
    }
    for (size_t i = 0; i < models.count; i++)
        json_array_append_new(json_object_get(report, "models"),
                              probe_report_model(&models.fits[i]));
    probe_models_free(&models);
}

static void report_unit(struct hunt *hunt, struct probe_unit *unit)
{
    json_t *report = probe_report_unit(unit);
    probe_text_looking(unit);
    bool configured = look_at_devices(hunt, unit, report);
    if (unit->presence == PROBE_THERE && !configured && hunt->complete)
        look_for_models(hunt, unit, report);
    json_object_set_new(report, "garbled", json_integer(unit->garbled));
    probe_report_advice(report, &hunt->port.line, hunt->scan);
    json_array_append_new(hunt->units, report);
    hunt->seen[unit->unit] = true;
    hunt->found += unit->presence != PROBE_SILENT;
    probe_text_progress_end();
}

/* The configured units, each once, at the line's own settings. */
static void look_at_configured(struct hunt *hunt)
{
    for (size_t i = 0; i < hunt->port.device_count && hunt->complete; i++) {
        struct probe_step step = {.unit = hunt->port.devices[i].unit, .early = true};
        struct probe_unit unit;
        if (hunt->seen[step.unit])
            continue;
        if (hunt->port.line.transport == TRANSPORT_RTU)
            step.serial = hunt->port.line.serial;
        hunt->complete = probe_presence(&hunt->probe, &step, &unit);
        if (hunt->complete)
            report_unit(hunt, &unit);
    }
}

/* A server that answers whatever the unit is one device, not 247. */
static bool takes_no_notice(struct hunt *hunt, size_t done)
{
    if (hunt->port.line.transport != TRANSPORT_TCP || done != ALIKE || hunt->found != ALIKE)
        return false;
    probe_port_say(
        &hunt->port, "地址 1 至 %d 全部应答：很可能是同一台设备，不理会地址",
        "units 1 to %d all answer: most likely this is one device that takes no notice of "
        "the unit",
        ALIKE);
    return true;
}

static void scan(struct hunt *hunt)
{
    size_t count;
    struct probe_step *steps = probe_steps(&hunt->port.line, &hunt->catalogue, &count);
    if (!steps) {
        hunt->complete = false;
        return;
    }
    int64_t seconds = probe_steps_ms(&hunt->port.line, steps, count) / 1000 + 1;
    fprintf(stderr,
            say("扫描最多需 %lld %s%s；按 Ctrl-C 显示已找到的设备\n",
                "scanning takes at most %lld %s%s;\n"
                "Ctrl-C shows what was found until then\n"),
            (long long)(seconds < 120 ? seconds : (seconds + 59) / 60),
            seconds < 120 ? say("秒", "s") : say("分钟", "min"),
            hunt->port.daemon ? say("，另加其间的采集", ", and the polls in between") : "");
    for (size_t i = 0; i < count && hunt->complete; i++) {
        struct probe_unit unit;
        if (takes_no_notice(hunt, i))
            break;
        if (hunt->seen[steps[i].unit])
            continue;
        probe_text_progress(&steps[i], i, count, hunt->found);
        hunt->complete = probe_presence(&hunt->probe, &steps[i], &unit);
        if (hunt->complete && unit.presence == PROBE_THERE) {
            report_unit(hunt, &unit);
        } else if (unit.presence == PROBE_GARBLED &&
                   hunt->garbled[unit.unit].presence == PROBE_SILENT) {
            hunt->garbled[unit.unit] =
                unit; /* it may be right at a setting that is still to come */
        }
    }
    probe_text_progress_end();
    free(steps);
}

/* What a scan did not find: units that never got a right frame out, and configured ones that are
 * silent. */
static void report_missing(struct hunt *hunt)
{
    size_t garbled = 0;
    for (unsigned unit = 0; unit < UNITS_MAX; unit++)
        garbled += !hunt->seen[unit] && hunt->garbled[unit].presence == PROBE_GARBLED;
    if (garbled > GARBLED_MAX && !hunt->port.why[0])
        probe_port_say(
            &hunt->port, "询问 %zu 个地址时收到乱码：线路上另有主站、干扰或 A/B 线接反",
            "garbled bytes where %zu units were asked: another master on the line, noise, or "
            "its wires swapped",
            garbled);
    for (unsigned unit = 0; garbled <= GARBLED_MAX && unit < UNITS_MAX; unit++) {
        if (!hunt->seen[unit] && hunt->garbled[unit].presence == PROBE_GARBLED)
            report_unit(hunt, &hunt->garbled[unit]);
    }
    for (size_t i = 0; hunt->complete && i < hunt->port.device_count; i++) {
        struct probe_unit silent = {.unit = hunt->port.devices[i].unit};
        if (!hunt->seen[silent.unit])
            report_unit(hunt, &silent);
    }
}

static json_t *own_serial(const struct settings_line *line)
{
    return line->transport == TRANSPORT_TCP ? json_null() : probe_report_serial(&line->serial);
}

static bool begin_record(struct hunt *hunt, const char *path)
{
    const struct settings_line *line = &hunt->port.line;
    json_t *serial = own_serial(line);
    hunt->port.record = fopen(path, "we");
    if (!hunt->port.record) {
        say_error(say("%s：%s", "%s: %s"), path, say_errno(errno));
    } else {
        fprintf(hunt->port.record, "# lifelinectl probe --record\n# line %s %s\n",
                settings_transport_name(line->transport),
                json_is_string(serial) ? json_string_value(serial) : "");
    }
    json_decref(serial);
    return hunt->port.record != NULL;
}

/* False, after saying so, when the transcript is not whole. */
static bool end_record(struct hunt *hunt, const char *path)
{
    FILE *record = hunt->port.record;
    bool failed = record && ferror(record);
    if (!record || (fclose(record) == 0 && !failed))
        return true;
    say_error(say("%s：写入失败", "%s: could not be written"), path);
    return false;
}

static bool all_is_well(const struct hunt *hunt)
{
    size_t index;
    json_t *unit;
    json_array_foreach(hunt->units, index, unit)
    {
        if (json_array_size(json_object_get(unit, "advice")) > 0)
            return false;
    }
    return hunt->found > 0 && !hunt->port.why[0];
}

static void look(struct hunt *hunt, const struct ctl *ctl)
{
    mono_time before = clock_mono();
    struct probe_port *port = &hunt->port;
    hunt->probe = (struct probe){probe_port_ask, port, &port->line, &hunt->catalogue};
    hunt->complete = true;
    hunt->scan = ctl->scan;
    hunt->units = json_array();
    if (ctl->scan)
        scan(hunt);
    else
        look_at_configured(hunt);
    if (ctl->scan)
        report_missing(hunt);
    if (!ctl->scan && port->device_count == 0)
        probe_port_say(port, "该线路没有配置设备；--scan 可扫描所有地址",
                       "nothing is configured on this line; --scan looks for every unit");
    bool is_said = port->why[0] && !probe_port_stopped();
    json_t *result = json_pack(
        "{s:s, s:s, s:o, s:b, s:b, s:b, s:s?, s:s?, s:I, s:I, s:O}", "line", ctl->arguments[0],
        "transport", settings_transport_name(port->line.transport), "serial",
        own_serial(&port->line), "daemon", port->daemon != NULL, "scan", ctl->scan, "complete",
        hunt->complete, "why", is_said ? port->why : NULL, "why_zh", is_said ? port->why_zh : NULL,
        "questions", (json_int_t)port->questions, "took_ms",
        (json_int_t)clock_ms_between(before, clock_mono()), "units", hunt->units);
    if (result)
        ctl->writer->write(ctl->command, result);
    json_decref(result);
}

static enum ctl_exit run(struct ctl *ctl)
{
    struct hunt hunt = {.found = 0};
    struct setup setup;
    struct setup_path profiles;
    bool loaded = setup_load(&setup, ctl->config, &ctl->profiles, false) || setup.settings;
    enum ctl_exit code =
        probe_port_open(&hunt.port, ctl, loaded ? setup.settings : NULL, ctl->arguments[0]);
    if (code == CTL_FINDING && !loaded && setup.diagnostics)
        text_diagnostics(stderr, diagnostics_text(setup.diagnostics));
    if (code != CTL_FINE)
        goto out;
    code = CTL_FINDING;
    setup_path_complete(&profiles, &ctl->profiles, ctl->config);
    if (!probe_catalogue_load(&hunt.catalogue, profiles.dirs, profiles.count))
        goto out;
    text_diagnostics(stderr, diagnostics_text(hunt.catalogue.diagnostics));
    if (ctl->record && !begin_record(&hunt, ctl->record))
        goto out;
    probe_port_catch_signals();
    look(&hunt, ctl);
    if (end_record(&hunt, ctl->record) && all_is_well(&hunt))
        code = CTL_FINE;
out:
    json_decref(hunt.units);
    probe_catalogue_free(&hunt.catalogue);
    probe_port_close(&hunt.port);
    setup_free(&setup);
    return code;
}

const struct command probe_command = {
    .name = "probe",
    .arguments = "LINE",
    .help = {"找出线路上的设备及其型号", "find who is on a line, and what it is"},
    .least = 1,
    .most = 1,
    .run = run,
    .text = probe_text_show,
};
