/* POST /v1/lines/NAME/ask: one question on a line, between two polls, for `lifelinectl probe`; and
 * GET /v1/lines/NAME, what it has to know of the line before.
 *
 * Main thread. Owns the requests that wait and the timer that looks whether their line has
 * answered; the line's own thread asks. Takes nothing but reads (functions 1 to 4): this is no way
 * to write to a sensor. One question a line at a time and bounded in time: libevent does not look
 * at a connection while its request is answered, so one of a client that has gone away ends by
 * itself. Never waits itself. */
#include "gateway/api/internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>

#include "config/scalar.h"

enum {
    LOOK_MS = 2,
    PATIENCE_MS = 10000, /* beyond its own timeout, for the polls that are under way */
    WAITING_MAX = 16,
    TIMEOUT_LEAST_MS = 20,
    TIMEOUT_MOST_MS = 10000,
    LISTEN_MOST_MS = 2000,
    BITS_MOST = 2000,
    UNIT_MOST_RTU = 247,
    UNIT_MOST_TCP = 255,
    HTTP_GATEWAY_TIMEOUT = 504,
};

struct asking {
    LIST_ENTRY(asking) link;
    struct asks *asks;
    struct evhttp_request *request;
    struct line *line;
    uint32_t ticket, count;
    mono_time deadline;
};

struct asks {
    struct api *api;
    struct event *timer;
    LIST_HEAD(, asking) asking;
    size_t count;
};

static void look(evutil_socket_t fd, short what, void *context);

struct asks *asks_new(struct api *api)
{
    struct asks *asks = calloc(1, sizeof *asks);
    if (!asks)
        return NULL;
    asks->api = api;
    LIST_INIT(&asks->asking);
    asks->timer = event_new(api->base, -1, EV_PERSIST, look, asks);
    if (asks->timer)
        return asks;
    asks_free(asks);
    return NULL;
}

static void forget(struct asking *asking)
{
    struct asks *asks = asking->asks;
    LIST_REMOVE(asking, link);
    free(asking);
    if (--asks->count == 0)
        event_del(asks->timer);
}

static void on_close(struct evhttp_connection *connection, void *context)
{
    struct asking *asking = context;
    (void)connection;
    line_forget(asking->line, asking->ticket);
    evhttp_send_reply_end(asking->request);
    forget(asking);
}

void asks_free(struct asks *asks)
{
    if (!asks)
        return;
    while (!LIST_EMPTY(&asks->asking)) {
        struct asking *asking = LIST_FIRST(&asks->asking);
        struct evhttp_connection *connection = evhttp_request_get_connection(asking->request);
        evhttp_connection_set_closecb(connection, NULL, NULL);
        evhttp_connection_free(connection);
        line_forget(asking->line, asking->ticket);
        forget(asking);
    }
    if (asks->timer)
        event_free(asks->timer);
    free(asks);
}

/* The line of a question is another one now, or gone. */
void asks_rebind(struct asks *asks)
{
    struct asking *asking = LIST_FIRST(&asks->asking), *next;
    for (; asking; asking = next) {
        next = LIST_NEXT(asking, link);
        if (api_has_line(asks->api, asking->line))
            continue;
        evhttp_connection_set_closecb(evhttp_request_get_connection(asking->request), NULL, NULL);
        api_error(asking->request, HTTP_SERVUNAVAIL, "the configuration of this line has changed");
        forget(asking);
    }
}

static json_t *hex(const uint8_t *bytes, size_t length)
{
    static const char digits[] = "0123456789ABCDEF";
    char text[2 * LINE_HEARD_MAX];
    length = length <= LINE_HEARD_MAX ? length : LINE_HEARD_MAX;
    for (size_t i = 0; i < length; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 0xf];
    }
    return json_stringn(text, 2 * length);
}

static json_t *answer_json(const struct line_answer *answer, uint32_t count)
{
    json_t *registers = json_array();
    count = count < LINE_REGISTERS_MAX ? count : LINE_REGISTERS_MAX;
    for (uint32_t i = 0; answer->outcome == OUTCOME_OK && i < count; i++)
        json_array_append_new(registers, json_integer(answer->registers[i]));
    bool exception = answer->outcome == OUTCOME_EXCEPTION;
    json_t *why = json_string(answer->why);
    return json_pack("{s:s, s:o, s:o, s:I, s:o, s:o, s:o}", "outcome",
                     transport_outcome_name(answer->outcome), "exception",
                     exception ? json_integer(answer->exception) : json_null(), "registers",
                     registers, "round_trip_us", (json_int_t)answer->round_trip_us, "frame",
                     hex(answer->frame, answer->frame_length), "heard",
                     hex(answer->heard, answer->heard_length), "why", why ? why : json_null());
}

static void look(evutil_socket_t fd, short what, void *context)
{
    struct asks *asks = context;
    struct asking *asking = LIST_FIRST(&asks->asking), *next;
    mono_time now = clock_mono();
    (void)fd;
    (void)what;
    for (; asking; asking = next) {
        struct line_answer answer;
        next = LIST_NEXT(asking, link);
        bool answered = line_answered(asking->line, asking->ticket, &answer);
        if (!answered && now.ns < asking->deadline.ns)
            continue;
        evhttp_connection_set_closecb(evhttp_request_get_connection(asking->request), NULL, NULL);
        if (answered) {
            api_reply(asking->request, HTTP_OK, answer_json(&answer, asking->count));
        } else {
            line_forget(asking->line, asking->ticket);
            api_error(asking->request, HTTP_GATEWAY_TIMEOUT, "the line was too busy or hangs");
        }
        forget(asking);
    }
}

/* ---- what is asked ---- */

struct complaint {
    char text[160];
};

__attribute__((format(printf, 2, 3))) static bool complain(struct complaint *complaint,
                                                           const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(complaint->text, sizeof complaint->text, format, arguments);
    va_end(arguments);
    return false;
}

static bool take_number(const json_t *body, const char *key, json_int_t least, json_int_t most,
                        json_int_t fallback, json_int_t *out, struct complaint *complaint)
{
    const json_t *value = json_object_get(body, key);
    *out = fallback;
    if (!value && fallback >= 0)
        return true;
    if (value && json_is_integer(value)) {
        *out = json_integer_value(value);
        if ((*out >= least && *out <= most) || (*out == fallback && fallback >= 0))
            return true;
    }
    return complain(complaint, "%s is a whole number, %lld to %lld", key, (long long)least,
                    (long long)most);
}

static bool only_known_keys(const json_t *body, struct complaint *complaint)
{
    static const char *const known[] = {"unit",       "function",  "address", "count",
                                        "timeout_ms", "listen_ms", "serial"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)body, key, value)
    {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(known[i], key) != 0)
            i++;
        if (i == sizeof known / sizeof *known)
            return complain(complaint, "there is no key \"%s\"", strlen(key) <= 40 ? key : "...");
    }
    return true;
}

static bool take_serial(const json_t *body, const struct settings_line *line, struct serial *out,
                        struct complaint *complaint)
{
    const json_t *value = json_object_get(body, "serial");
    *out = (struct serial){0};
    if (!value)
        return true;
    if (line->transport != TRANSPORT_RTU)
        return complain(complaint, "this line has no serial port of its own");
    if (!json_is_string(value) || !scalar_serial(json_string_value(value), out))
        return complain(complaint, "serial is like \"9600 8N1\"");
    return true;
}

bool asks_parse(const json_t *body, const struct settings_line *line, struct line_question *out,
                char *why, size_t why_size)
{
    struct complaint complaint = {""};
    json_int_t unit, function, address, count, timeout, listen;
    bool tcp = line->transport == TRANSPORT_TCP;
    bool good = json_is_object(body) || complain(&complaint, "the body is a JSON object");
    good =
        good && only_known_keys(body, &complaint) &&
        take_number(body, "unit", !tcp, tcp ? UNIT_MOST_TCP : UNIT_MOST_RTU, -1, &unit,
                    &complaint) &&
        take_number(body, "function", FUNCTION_COIL, FUNCTION_INPUT, -1, &function, &complaint) &&
        take_number(body, "address", 0, UINT16_MAX, -1, &address, &complaint) &&
        take_number(body, "count", 1, function >= FUNCTION_HOLDING ? LINE_REGISTERS_MAX : BITS_MOST,
                    -1, &count, &complaint) &&
        take_number(body, "timeout_ms", TIMEOUT_LEAST_MS, TIMEOUT_MOST_MS, 0, &timeout,
                    &complaint) &&
        take_number(body, "listen_ms", 0, LISTEN_MOST_MS, 0, &listen, &complaint) &&
        take_serial(body, line, &out->serial, &complaint);
    if (good && address + count > UINT16_MAX + 1)
        good = complain(&complaint, "address and count go beyond the last register");
    if (!good) {
        snprintf(why, why_size, "%s", complaint.text);
        return false;
    }
    out->request =
        (struct transport_request){(uint8_t)unit, (enum function)function, (uint16_t)address,
                                   (uint16_t)count, (uint32_t)timeout};
    out->listen_ms = (uint32_t)listen;
    return true;
}

static json_t *body_of(struct evhttp_request *request)
{
    struct evbuffer *buffer = evhttp_request_get_input_buffer(request);
    size_t length = evbuffer_get_length(buffer);
    const char *text = (const char *)evbuffer_pullup(buffer, -1);
    return text ? json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

/* The line of that name; settings->line_count when there is none, which has been told then. */
static size_t line_named(const struct settings *settings, struct evhttp_request *request,
                         const char *name)
{
    size_t index = 0;
    while (index < settings->line_count && strcmp(settings->lines[index].name, name) != 0)
        index++;
    if (index == settings->line_count)
        api_error(request, HTTP_NOTFOUND, "no such line");
    return index;
}

static void begin(struct asks *asks, struct evhttp_request *request, struct asking *asking,
                  uint32_t timeout_ms)
{
    static const struct timeval period = {.tv_usec = LOOK_MS * 1000};
    asking->asks = asks;
    asking->request = request;
    asking->deadline = clock_after_ms(clock_mono(), timeout_ms + PATIENCE_MS);
    LIST_INSERT_HEAD(&asks->asking, asking, link);
    if (asks->count++ == 0)
        event_add(asks->timer, &period);
    evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_close, asking);
}

void asks_ask(struct api *api, struct evhttp_request *request, const char *name)
{
    const struct settings *settings = api->rooms.setup->settings;
    struct line_question question = {.listen_ms = 0};
    char why[160];
    size_t index = line_named(settings, request, name);
    if (index == settings->line_count)
        return;
    json_t *body = body_of(request);
    bool good = asks_parse(body, &settings->lines[index], &question, why, sizeof why);
    json_decref(body);
    if (!good) {
        api_error(request, HTTP_BADREQUEST, why);
        return;
    }
    struct asking *asking = api->asks->count < WAITING_MAX ? calloc(1, sizeof *asking) : NULL;
    uint32_t ticket = asking ? line_ask(api->rooms.lines[index], &question) : 0;
    if (!ticket) {
        free(asking);
        api_error(request, HTTP_SERVUNAVAIL, "somebody else is asking on this line");
        return;
    }
    asking->line = api->rooms.lines[index];
    asking->ticket = ticket;
    asking->count = question.request.count;
    begin(api->asks, request, asking,
          settings->lines[index].timeout_ms + question.request.timeout_ms + question.listen_ms);
}

/* ---- what a line is ---- */

void asks_line(struct api *api, struct evhttp_request *request, const char *name)
{
    const struct settings *settings = api->rooms.setup->settings;
    size_t index = line_named(settings, request, name);
    if (index == settings->line_count)
        return;
    const struct settings_line *line = &settings->lines[index];
    const struct serial *serial = &line->serial;
    json_t *devices = json_array();
    for (size_t d = 0; d < settings->device_count; d++) {
        const struct settings_device *own = &settings->devices[d];
        if (own->line == index)
            json_array_append_new(devices, json_pack("{s:s, s:i, s:i, s:s}", "name", own->name,
                                                     "unit", own->unit, "base", own->base,
                                                     "profile", own->profile->name));
    }
    bool port = line->transport != TRANSPORT_TCP;
    json_t *settings_of_port = port ? json_sprintf("%u %u%c%u", serial->baud, serial->data_bits,
                                                   serial->parity, serial->stop_bits)
                                    : json_null();
    api_reply(request, HTTP_OK,
              json_pack("{s:s, s:s, s:o, s:I, s:o}", "name", line->name, "transport",
                        settings_transport_name(line->transport), "serial", settings_of_port,
                        "timeout_ms", (json_int_t)line->timeout_ms, "devices", devices));
}
