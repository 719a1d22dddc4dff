/* Questions through the daemon: POST /v1/lines/NAME/ask, one after the other.
 *
 * One thread. Owns one connection for all of them: a scan asks some thousand times. The daemon asks
 * between two of its polls, so none of them is lost. A daemon that ends, or a line that hangs, ends
 * the questions. */
#include <stdio.h>

#include "gateway/ctl/probe.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/scalar.h"
#include "gateway/ctl/client.h"

enum {
    TIMEOUT_S = 90,
    OK = 200,
    NOT_FOUND = 404,
    BUSY = 503,
    BUSY_TRIES = 100,
    BUSY_PAUSE_NS = 50000000,
};

struct probe_daemon {
    CURL *curl;
    char *path, *ask_path;
    struct client_text got;
};

/* The status of the answer, 0 when there is none. The caller owns *body. */
static long exchange(struct probe_daemon *daemon, const char *url, const char *post, json_t **body)
{
    long status = 0;
    daemon->got.length = 0;
    *body = NULL;
    curl_easy_setopt(daemon->curl, CURLOPT_URL, url);
    if (post)
        curl_easy_setopt(daemon->curl, CURLOPT_POSTFIELDS, post);
    if (curl_easy_perform(daemon->curl) != CURLE_OK)
        return 0;
    curl_easy_getinfo(daemon->curl, CURLINFO_RESPONSE_CODE, &status);
    *body = daemon->got.length ? json_loads(daemon->got.text, 0, NULL) : NULL;
    return *body ? status : 0;
}

static bool take_transport(const char *name, enum transport_kind *out)
{
    for (unsigned kind = TRANSPORT_RTU; kind <= TRANSPORT_RTU_OVER_TCP; kind++) {
        if (name && strcmp(name, settings_transport_name((enum transport_kind)kind)) == 0) {
            *out = (enum transport_kind)kind;
            return true;
        }
    }
    return false;
}

static char *copy_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return strdup(text ? text : "");
}

/* What the daemon says of the line; false when that makes no sense. */
static bool take_line(struct probe_port *port, const json_t *body)
{
    const char *serial = json_string_value(json_object_get(body, "serial"));
    const json_t *devices = json_object_get(body, "devices"), *device;
    size_t index;
    if (!take_transport(json_string_value(json_object_get(body, "transport")),
                        &port->line.transport) ||
        (serial && !scalar_serial(serial, &port->line.serial)))
        return false;
    port->line.timeout_ms = (uint32_t)json_integer_value(json_object_get(body, "timeout_ms"));
    port->devices = calloc(json_array_size(devices) + 1, sizeof *port->devices);
    json_array_foreach(devices, index, device)
    {
        if (!port->devices)
            return false;
        port->devices[port->device_count++] =
            (struct probe_device){copy_of(device, "name"), copy_of(device, "profile"),
                                  (uint8_t)json_integer_value(json_object_get(device, "unit")),
                                  (uint16_t)json_integer_value(json_object_get(device, "base"))};
        struct probe_device *last = &port->devices[index];
        if (!last->name || !last->profile)
            return false;
    }
    return port->devices && port->line.timeout_ms > 0;
}

static bool prepare(struct probe_daemon *daemon, const char *socket, const char *name)
{
    char *escaped = curl_easy_escape(daemon->curl, name, 0);
    bool good = escaped && asprintf(&daemon->path, "http://lifeline/v1/lines/%s", escaped) > 0 &&
                asprintf(&daemon->ask_path, "%s/ask", daemon->path) > 0;
    curl_free(escaped);
    curl_easy_setopt(daemon->curl, CURLOPT_UNIX_SOCKET_PATH, socket);
    curl_easy_setopt(daemon->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(daemon->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(daemon->curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    curl_easy_setopt(daemon->curl, CURLOPT_WRITEFUNCTION, client_keep);
    curl_easy_setopt(daemon->curl, CURLOPT_WRITEDATA, &daemon->got);
    return good;
}

struct probe_daemon *probe_daemon_open(struct probe_port *port, const char *socket,
                                       const char *name, enum ctl_exit *code)
{
    json_t *body = NULL;
    long status = 0;
    *code = CTL_FINE;
    struct probe_daemon *daemon = calloc(1, sizeof *daemon);
    if (daemon)
        daemon->curl = curl_easy_init();
    if (daemon && daemon->curl && prepare(daemon, socket, name))
        status = exchange(daemon, daemon->path, NULL, &body);
    if (status == OK && take_line(port, body)) {
        json_decref(body);
        return daemon;
    }
    if (status == NOT_FOUND) {
        say_error(say("守护进程没有线路 \"%s\"", "the daemon has no line \"%s\""), name);
        *code = CTL_USAGE;
    } else if (status) {
        say_error(say("%s 处的守护进程版本不同", "the daemon at %s is of another version"), socket);
        *code = CTL_FINDING;
    }
    json_decref(body);
    probe_daemon_close(daemon);
    return NULL;
}

void probe_daemon_close(struct probe_daemon *daemon)
{
    if (!daemon)
        return;
    curl_easy_cleanup(daemon->curl);
    free(daemon->path);
    free(daemon->ask_path);
    free(daemon->got.text);
    free(daemon);
}

static char *question_text(const struct probe_question *question)
{
    const struct transport_request *asked = &question->request;
    json_t *body = json_pack("{s:i, s:i, s:i, s:i, s:I, s:I}", "unit", asked->unit, "function",
                             (int)asked->function, "address", asked->address, "count", asked->count,
                             "timeout_ms", (json_int_t)asked->timeout_ms, "listen_ms",
                             (json_int_t)question->listen_ms);
    if (body && question->serial.baud)
        json_object_set_new(body, "serial", probe_report_serial(&question->serial));
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    return text;
}

static size_t take_hex(const json_t *body, const char *key, uint8_t *out, size_t room)
{
    const char *text = json_string_value(json_object_get(body, key));
    size_t length = 0;
    unsigned byte;
    for (; text && text[0] && text[1] && length < room; text += 2) {
        if (sscanf(text, "%2x", &byte) != 1)
            break;
        out[length++] = (uint8_t)byte;
    }
    return length;
}

static enum outcome outcome_of(const json_t *body)
{
    const char *name = json_string_value(json_object_get(body, "outcome"));
    for (unsigned outcome = OUTCOME_OK; name && outcome < OUTCOME_LINK; outcome++) {
        if (strcmp(name, transport_outcome_name((enum outcome)outcome)) == 0)
            return (enum outcome)outcome;
    }
    return OUTCOME_LINK;
}

static void take_answer(const json_t *body, struct probe_answer *answer)
{
    const json_t *registers = json_object_get(body, "registers"), *word;
    const char *why = json_string_value(json_object_get(body, "why"));
    size_t index;
    answer->outcome = outcome_of(body);
    answer->exception = (uint8_t)json_integer_value(json_object_get(body, "exception"));
    answer->round_trip_us = json_integer_value(json_object_get(body, "round_trip_us"));
    json_array_foreach(registers, index, word)
    {
        if (index < PROBE_REGISTERS_MAX)
            answer->registers[index] = (uint16_t)json_integer_value(word);
    }
    answer->frame_length = take_hex(body, "frame", answer->frame, sizeof answer->frame);
    answer->heard_length = take_hex(body, "heard", answer->heard, sizeof answer->heard);
    snprintf(answer->why, sizeof answer->why, "%s", why ? why : "");
}

bool probe_daemon_ask(struct probe_port *port, const struct probe_question *question,
                      struct probe_answer *answer)
{
    static const struct timespec pause = {.tv_nsec = BUSY_PAUSE_NS};
    struct probe_daemon *daemon = port->daemon;
    json_t *body = NULL;
    long status = BUSY;
    *answer = (struct probe_answer){.outcome = OUTCOME_LINK};
    char *text = question_text(question);
    for (int tries = 0; text && status == BUSY && tries < BUSY_TRIES; tries++) {
        if (tries > 0)
            nanosleep(&pause, NULL);
        json_decref(body);
        status = exchange(daemon, daemon->ask_path, text, &body);
        if (probe_port_stopped())
            break;
    }
    free(text);
    const char *error = json_string_value(json_object_get(body, "error"));
    if (status == OK)
        take_answer(body, answer);
    else if (error)
        probe_port_say(port, "%s", "%s", error);
    else
        probe_port_say(port, "守护进程已退出", "the daemon has ended");
    json_decref(body);
    return status == OK;
}
