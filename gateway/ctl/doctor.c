/* lifelinectl doctor: what is wrong with this gateway, and what to do about it.
 *
 * One thread. Loads the configuration, asks the daemon when it is there, and hands both to a table
 * of examinations (doctor_*.c), which look at files, ports, brokers, clock and store. Owns what was
 * found. Changes nothing: it writes no file, opens no serial port and asks no sensor; of a broker
 * it wants no more than a TLS handshake. */
#include "gateway/ctl/doctor.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/ctl/client.h"
#include "gateway/ctl/commands.h"
#include "gateway/ctl/text.h"
#include "proto/message.h"

enum { INDENT = 4 };

/* What one finds, the next may explain: the daemon comes last and is told what keeps it down. */
static const struct {
    void (*look)(struct doctor *doctor);
    bool wants_settings, wants_daemon;
} examinations[] = {
    {doctor_configuration, false, false}, {doctor_secrets, true, false},
    {doctor_clock, false, false},         {doctor_store, true, false},
    {doctor_ports, true, false},          {doctor_lines, true, true},
    {doctor_uplinks, true, false},        {doctor_daemon, false, false},
};

/* Names of certificates and programs may be no UTF-8, of which JSON takes nothing else. */
__attribute__((format(printf, 1, 0))) static json_t *text(const char *format, va_list arguments)
{
    char *out = NULL;
    if (vasprintf(&out, format, arguments) < 0)
        return json_null();
    for (char *at = out; *at;) {
        size_t length = message_character(at);
        if (!length)
            *at = '?';
        at += length ? length : 1;
    }
    json_t *string = json_string(out);
    free(out);
    return string;
}

void doctor_finds(struct doctor *doctor, const char *id, enum doctor_severity severity,
                  const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    json_t *what = text(format, arguments);
    va_end(arguments);
    json_array_append_new(doctor->findings,
                          json_pack("{s:s, s:s, s:b, s:o, s:s}", "id", id, "severity",
                                    severity == DOCTOR_WARNING ? "warning" : "fault", "stops",
                                    severity == DOCTOR_STOPS, "what", what, "advice", ""));
}

void doctor_advises(struct doctor *doctor, const char *format, ...)
{
    va_list arguments;
    json_t *last = json_array_get(doctor->findings, json_array_size(doctor->findings) - 1);
    va_start(arguments, format);
    json_object_set_new(last, "advice", text(format, arguments));
    va_end(arguments);
}

static size_t count(const json_t *findings, const char *severity)
{
    size_t index, sum = 0;
    json_t *finding;
    json_array_foreach(findings, index, finding) sum +=
        strcmp(text_of(finding, "severity"), severity) == 0;
    return sum;
}

static void show_finding(const json_t *finding)
{
    bool is_fault = strcmp(text_of(finding, "severity"), "fault") == 0;
    char *line = NULL;
    if (asprintf(&line, say("%s %s：%s", "%s %s: %s"),
                 is_fault ? say("故障", "fault") : say("警告", "warning"), text_of(finding, "id"),
                 text_of(finding, "what")) >= 0)
        text_fold(stdout, line, INDENT);
    free(line);
    line = NULL;
    if (asprintf(&line, say("    处理：%s", "    do: %s"), text_of(finding, "advice")) >= 0)
        text_fold(stdout, line, INDENT);
    free(line);
}

static void show(const json_t *result)
{
    const json_t *findings = json_object_get(result, "findings");
    size_t index, faults = count(findings, "fault"), warnings = count(findings, "warning");
    json_t *finding;
    json_array_foreach(findings, index, finding)
    {
        show_finding(finding);
        putchar('\n');
    }
    if (!faults && !warnings)
        text_line("%s", say("未发现问题", "nothing is wrong"));
    else
        text_line(say("%zu 个故障，%zu 个警告", "faults: %zu, warnings: %zu"), faults, warnings);
}

/* 0, or why nobody answers there. */
static int meet(struct doctor *doctor, uid_t *uid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (strlen(doctor->ctl->socket) >= sizeof address.sun_path)
        return ENAMETOOLONG;
    memcpy(address.sun_path, doctor->ctl->socket, strlen(doctor->ctl->socket) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        error = errno == EAGAIN ? ETIMEDOUT : errno; /* nobody takes who wait there already */
    } else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
        doctor->daemon = peer.pid;
        *uid = peer.uid;
    }
    if (fd >= 0)
        close(fd);
    return error;
}

static void ask_daemon(struct doctor *doctor)
{
    uid_t uid = 0;
    doctor->socket_error = meet(doctor, &uid);
    doctor_user_find(&doctor->user, doctor->daemon, uid);
    if (doctor->socket_error)
        return;
    if (client_ask(doctor->ctl, "GET", "/v1/status", &doctor->status) != CTL_FINE ||
        client_ask(doctor->ctl, "GET", "/v1/lines", &doctor->lines) != CTL_FINE)
        doctor->socket_error = ETIMEDOUT;
}

/* Where the configuration says that the daemon listens, unless it was said where. */
static const char *socket_of(const struct ctl *ctl, const struct settings *settings)
{
    bool was_said = strcmp(ctl->socket, COMMANDS_SOCKET) != 0;
    return settings && !was_said ? settings->api.socket : ctl->socket;
}

static enum ctl_exit run(struct ctl *ctl)
{
    struct doctor doctor = {.ctl = ctl, .findings = json_array()};
    signal(SIGPIPE, SIG_IGN); /* a broker may hang up in the middle of a handshake */
    bool loaded = setup_load(&doctor.setup, ctl->config, &ctl->profiles, false);
    doctor.settings = loaded ? doctor.setup.settings : NULL;
    ctl->socket = socket_of(ctl, doctor.settings);
    ask_daemon(&doctor);
    for (size_t i = 0; i < sizeof examinations / sizeof *examinations; i++) {
        if ((doctor.settings || !examinations[i].wants_settings) &&
            (doctor.lines || !examinations[i].wants_daemon))
            examinations[i].look(&doctor);
    }
    doctor_user_passed_over(&doctor);
    enum ctl_exit code = json_array_size(doctor.findings) ? CTL_FINDING : CTL_FINE;
    json_t *result = json_pack("{s:s, s:b, s:O}", "configuration", ctl->config, "daemon",
                               doctor.lines != NULL, "findings", doctor.findings);
    if (result)
        ctl->writer->write(ctl->command, result);
    json_decref(result);
    json_decref(doctor.findings);
    json_decref(doctor.status);
    json_decref(doctor.lines);
    setup_free(&doctor.setup);
    return code;
}

const struct command doctor_command = {
    .name = "doctor",
    .arguments = "",
    .help = {"找出网关的问题并给出处理办法", "find what is wrong with a gateway, and what to do"},
    .least = 0,
    .most = 0,
    .run = run,
    .text = show,
};
