/* The line that `lifelinectl probe` asks: the daemon's, or one that is opened here.
 *
 * One thread. Owns the transport, the names of what is configured and the flag of Ctrl-C. Writes
 * every question and answer into the transcript. Waits when a unit rests because its late answers
 * may still come, and ends the questions when the line is gone or echoes. Only ever reads. */
#include "gateway/ctl/probe.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/scalar.h"
#include "drivers/clock.h"
#include "drivers/transcript.h"

enum {
    REST_STEP_MS = 250,
    REST_MAX_MS = 25000, /* longer than a unit rests on a line whose timeout is below 12 s */
    LINK_FAILURES_MAX = 3,
    WORDS_MAX = 2000,
    ECHO_LENGTH = 6,
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

void probe_port_catch_signals(void)
{
    const struct sigaction action = {.sa_handler = on_signal};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

bool probe_port_stopped(void)
{
    return stopped;
}

void probe_port_say(struct probe_port *port, const char *zh, const char *en, ...)
{
    va_list arguments;
    va_start(arguments, en);
    vsnprintf(port->why, sizeof port->why, en, arguments);
    va_end(arguments);
    va_start(arguments, en);
    vsnprintf(port->why_zh, sizeof port->why_zh, zh, arguments);
    va_end(arguments);
}

static bool copy_devices(struct probe_port *port, const struct settings *settings, uint32_t line)
{
    port->devices = calloc(settings->device_count + 1, sizeof *port->devices);
    for (size_t d = 0; port->devices && d < settings->device_count; d++) {
        const struct settings_device *own = &settings->devices[d];
        if (own->line != line)
            continue;
        struct probe_device *device = &port->devices[port->device_count++];
        *device = (struct probe_device){strdup(own->name), strdup(own->profile->name), own->unit,
                                        own->base};
        if (!device->name || !device->profile)
            return false;
    }
    return port->devices != NULL;
}

static enum ctl_exit open_own(struct probe_port *port, const struct settings *settings,
                              const char *name)
{
    char why[PROBE_WHY_MAX];
    uint32_t index = 0;
    while (index < settings->line_count && strcmp(settings->lines[index].name, name) != 0)
        index++;
    if (index == settings->line_count) {
        say_error(say("配置中没有线路 \"%s\"", "the configuration has no line \"%s\""), name);
        return CTL_USAGE;
    }
    port->line = port->current = settings->lines[index];
    port->transport = copy_devices(port, settings, index) ? transport_new(&port->line) : NULL;
    if (!port->transport) {
        say_error("%s", say("内存不足", "out of memory"));
        return CTL_FINDING;
    }
    if (transport_open(port->transport, port->why, sizeof port->why) == OUTCOME_OK)
        return CTL_FINE;
    say_error(say("线路 %s：%s", "line %s: %s"), name, say_reason(port->why, why, sizeof why));
    return CTL_FINDING;
}

enum ctl_exit probe_port_open(struct probe_port *port, const struct ctl *ctl,
                              const struct settings *settings, const char *name)
{
    enum ctl_exit code = CTL_FINE;
    *port = (struct probe_port){.questions = 0};
    port->daemon = probe_daemon_open(port, ctl->socket, name, &code);
    if (port->daemon || code != CTL_FINE)
        return code;
    if (settings)
        return open_own(port, settings, name);
    say_error("%s",
              say("守护进程无应答，配置文件也不可用（可用 -c 另指定）：",
                  "no daemon answers, and the configuration cannot be used (-c names another):"));
    return CTL_FINDING;
}

void probe_port_close(struct probe_port *port)
{
    for (size_t i = 0; i < port->device_count; i++) {
        free(port->devices[i].name);
        free(port->devices[i].profile);
    }
    free(port->devices);
    transport_free(port->transport);
    probe_daemon_close(port->daemon);
}

/* A fresh transport for other settings: no unit owes it an answer from before. */
static bool switch_serial(struct probe_port *port, const struct serial *wanted)
{
    const struct serial *serial = wanted->baud ? wanted : &port->line.serial;
    if (port->line.transport != TRANSPORT_RTU ||
        scalar_serial_is_same(serial, &port->current.serial))
        return true;
    transport_free(port->transport);
    port->current.serial = *serial;
    port->transport = transport_new(&port->current);
    return port->transport != NULL;
}

static bool ask_own(struct probe_port *port, const struct probe_question *question,
                    struct probe_answer *answer)
{
    uint16_t words[WORDS_MAX];
    *answer = (struct probe_answer){.outcome = OUTCOME_LINK};
    if (!switch_serial(port, &question->serial)) {
        probe_port_say(port, "内存不足", "out of memory");
        return false;
    }
    mono_time before = clock_mono();
    answer->outcome = transport_read(port->transport, &question->request, words, &answer->exception,
                                     answer->why, sizeof answer->why);
    answer->round_trip_us = (clock_mono().ns - before.ns) / 1000;
    size_t count = question->request.count;
    count = count < PROBE_REGISTERS_MAX ? count : PROBE_REGISTERS_MAX;
    if (answer->outcome == OUTCOME_OK)
        memcpy(answer->registers, words, count * sizeof *words);
    size_t length;
    const uint8_t *frame = transport_answer(port->transport, &length);
    answer->frame_length = length < sizeof answer->frame ? length : sizeof answer->frame;
    if (answer->frame_length)
        memcpy(answer->frame, frame, answer->frame_length);
    if (question->listen_ms && transport_is_open(port->transport))
        answer->heard_length = transport_listen(port->transport, question->listen_ms, answer->heard,
                                                sizeof answer->heard);
    return true;
}

/* A unit that was silent a few times is not asked for a while: "timeout" comes at once then. */
static bool rests(const struct probe_port *port, const struct probe_question *question,
                  const struct probe_answer *answer)
{
    uint32_t own = question->request.timeout_ms;
    int64_t timeout_us = (int64_t)(own ? own : port->line.timeout_ms) * 1000;
    return port->line.transport != TRANSPORT_TCP && answer->outcome == OUTCOME_TIMEOUT &&
           answer->round_trip_us < timeout_us / 2;
}

static void pause_ms(unsigned ms)
{
    const struct timespec pause = {.tv_nsec = (long)ms * 1000000};
    nanosleep(&pause, NULL); /* a signal ends it early */
}

static bool is_echo(const struct probe_question *question, const struct probe_answer *answer)
{
    const struct transport_request *asked = &question->request;
    const uint8_t sent[ECHO_LENGTH] = {asked->unit,
                                       (uint8_t)asked->function,
                                       (uint8_t)(asked->address >> 8),
                                       (uint8_t)asked->address,
                                       (uint8_t)(asked->count >> 8),
                                       (uint8_t)asked->count};
    return answer->outcome == OUTCOME_GARBLED && answer->frame_length >= ECHO_LENGTH &&
           memcmp(answer->frame, sent, ECHO_LENGTH) == 0;
}

static bool ask_once(struct probe_port *port, const struct probe_question *question,
                     struct probe_answer *answer)
{
    return port->daemon ? probe_daemon_ask(port, question, answer)
                        : ask_own(port, question, answer);
}

/* A port that does not take some settings still has its own. */
static bool has_own_settings(struct probe_port *port, const struct probe_question *question)
{
    struct probe_question again = *question;
    struct probe_answer answer;
    again.serial = (struct serial){.baud = 0};
    again.listen_ms = 0;
    return question->serial.baud && !scalar_serial_is_same(&question->serial, &port->line.serial) &&
           ask_once(port, &again, &answer) && answer.outcome != OUTCOME_LINK;
}

/* False when it makes no sense to ask on. */
static bool line_is_usable(struct probe_port *port, const struct probe_question *question,
                           const struct probe_answer *answer)
{
    uint32_t most = port->line.transport == TRANSPORT_RTU ? 1 : LINK_FAILURES_MAX;
    port->link_failures = answer->outcome == OUTCOME_LINK ? port->link_failures + 1 : 0;
    if (is_echo(question, answer))
        probe_port_say(port, "转换器回送所发数据（回显）：请关闭回显",
                       "the adapter sends back what it is sent (echo): switch that off");
    else if (port->link_failures >= most && !has_own_settings(port, question))
        probe_port_say(port, "%s", "%s", answer->why);
    else
        return true;
    return false;
}

static void record(struct probe_port *port, const struct probe_question *question,
                   const struct probe_answer *answer)
{
    const struct serial *serial = &question->serial;
    if (!port->record)
        return;
    if (serial->baud && !scalar_serial_is_same(serial, &port->recorded))
        fprintf(port->record, "# serial %u %u%c%u\n", serial->baud, serial->data_bits,
                serial->parity, serial->stop_bits);
    port->recorded = *serial;
    transcript_write(port->record, port->line.transport, question, answer);
}

bool probe_port_ask(void *context, const struct probe_question *question,
                    struct probe_answer *answer)
{
    struct probe_port *port = context;
    if (question->serial.baud && scalar_serial_is_same(&question->serial, &port->refused)) {
        *answer = (struct probe_answer){.outcome = OUTCOME_TIMEOUT};
        return !stopped;
    }
    for (unsigned waited_ms = 0;; waited_ms += REST_STEP_MS) {
        if (stopped || !ask_once(port, question, answer))
            return false;
        if (!rests(port, question, answer) || waited_ms >= REST_MAX_MS)
            break;
        pause_ms(REST_STEP_MS);
    }
    port->questions++;
    record(port, question, answer);
    if (!line_is_usable(port, question, answer))
        return false;
    if (answer->outcome == OUTCOME_LINK && port->line.transport == TRANSPORT_RTU)
        port->refused = question->serial;
    return true;
}
