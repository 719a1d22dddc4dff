/* Looking for units: in which order, for how long, and whether one address is one sensor.
 *
 * Runs in the thread of `lifelinectl probe`; owns nothing but what it returns. A unit is there when
 * it answers anything at all, an exception too. What it is, is probe_model.c. Never touches a line
 * itself: every question goes through the caller's callback. */
#include "drivers/probe.h"

#include <stdlib.h>
#include <string.h>

#include "config/scalar.h"
#include "drivers/line_time.h"
#include "drivers/transport_frame.h"

enum {
    UNIT_LAST = 247,
    EARLY_LAST = 10,
    SETTINGS_MAX = 64,
    PATIENCE_MS = 150, /* of all but the slowest sensors */
    PATIENCE_EARLY_MS = 300,
    LISTEN_MS = 150, /* how much slower than the first a second sensor may be */
    GARBLED_TRIES = 3,
    REQUEST_CHARACTERS = 8,
    GATEWAY_NO_PATH = 10,
    GATEWAY_NO_ANSWER = 11,
};

/* 8N1 is what sensors are sold with, 8E1 what the standard asks for. 8N2 needs no look of its own:
 * a receiver is content with one stop bit. */
static const struct serial usual[] = {
    {9600, 8, 'N', 1},   {4800, 8, 'N', 1}, {19200, 8, 'N', 1},
    {115200, 8, 'N', 1}, {2400, 8, 'N', 1}, {38400, 8, 'N', 1},
    {57600, 8, 'N', 1},  {9600, 8, 'E', 1}, {19200, 8, 'E', 1},
};

/* What is asked for a sign of life. A sensor without holding registers may keep silent instead of
 * refusing them, so likely units are asked for input registers too. */
static const struct {
    enum function function;
    uint16_t address;
} life[] = {{FUNCTION_HOLDING, 0}, {FUNCTION_INPUT, 1}};

struct serial_list {
    struct serial list[SETTINGS_MAX];
    size_t count;
};

static void add_serial(struct serial_list *to, const struct serial *serial)
{
    for (size_t i = 0; i < to->count; i++) {
        if (scalar_serial_is_same(&to->list[i], serial))
            return;
    }
    if (to->count < SETTINGS_MAX)
        to->list[to->count++] = *serial;
}

static void all_serials(const struct settings_line *line, const struct probe_catalogue *catalogue,
                        struct serial_list *out)
{
    *out = (struct serial_list){.count = 0};
    if (line->transport != TRANSPORT_RTU) {
        out->count = 1; /* nothing to try: the far side has its own port, or none */
        return;
    }
    add_serial(out, &line->serial);
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        add_serial(out, &usual[i]);
    for (size_t i = 0; i < catalogue->count; i++) {
        if (catalogue->profiles[i]->has_serial)
            add_serial(out, &catalogue->profiles[i]->serial);
    }
}

struct probe_step *probe_steps(const struct settings_line *line,
                               const struct probe_catalogue *catalogue, size_t *count)
{
    struct serial_list serials;
    bool early[UNIT_LAST + 1] = {false};
    all_serials(line, catalogue, &serials);
    for (unsigned unit = 1; unit <= EARLY_LAST; unit++)
        early[unit] = true;
    for (size_t i = 0; i < catalogue->count; i++) {
        if (catalogue->profiles[i]->unit <= UNIT_LAST)
            early[catalogue->profiles[i]->unit] = true;
    }
    *count = 0;
    struct probe_step *steps = calloc(serials.count * UNIT_LAST, sizeof *steps);
    for (int pass = 0; steps != NULL && pass < 2; pass++) {
        for (size_t s = 0; s < serials.count; s++) {
            for (unsigned unit = 1; unit <= UNIT_LAST; unit++) {
                if (early[unit] == (pass == 0))
                    steps[(*count)++] =
                        (struct probe_step){serials.list[s], (uint8_t)unit, pass == 0};
            }
        }
    }
    return steps;
}

uint32_t probe_patience_ms(const struct settings_line *line, bool early)
{
    uint32_t most = early ? PATIENCE_EARLY_MS : PATIENCE_MS;
    bool wire = line->transport == TRANSPORT_RTU;
    return wire && line->timeout_ms > most ? most : line->timeout_ms;
}

int64_t probe_steps_ms(const struct settings_line *line, const struct probe_step *steps,
                       size_t count)
{
    int64_t ns = 0;
    for (size_t i = 0; i < count; i++) {
        const struct serial *serial = &steps[i].serial;
        int64_t own = probe_patience_ms(line, steps[i].early) * INT64_C(1000000);
        if (serial->baud > 0)
            own +=
                REQUEST_CHARACTERS * line_time_character_ns(serial) + line_time_silence_ns(serial);
        ns += own * (steps[i].early ? (int64_t)(sizeof life / sizeof *life) : 1);
    }
    return ns / 1000000;
}

bool probe_frame(const uint8_t *bytes, size_t size, uint8_t unit, size_t *at, size_t *length)
{
    for (*at = 0; *at < size; ++*at) {
        *length = bytes[*at] == unit ? transport_frame_rtu_whole(bytes + *at, size - *at) : 0;
        if (*length > 0)
            return true;
    }
    return false;
}

/* A gateway that answers in a unit's place says that there is none. */
static enum probe_presence judge(const struct probe_answer *answer)
{
    switch (answer->outcome) {
    case OUTCOME_OK:
        return PROBE_THERE;
    case OUTCOME_EXCEPTION:
        return answer->exception == GATEWAY_NO_PATH || answer->exception == GATEWAY_NO_ANSWER
                   ? PROBE_SILENT
                   : PROBE_THERE;
    case OUTCOME_GARBLED:
        return PROBE_GARBLED;
    case OUTCOME_TIMEOUT:
    case OUTCOME_LINK:
        return PROBE_SILENT;
    }
    return PROBE_SILENT;
}

/* Two sensors that share an address seldom begin at the same moment: the slower one's answer comes
 * behind the other's. When they do, both are garbled. */
static bool look_for_twin(const struct probe *probe, struct probe_question *question,
                          struct probe_unit *out)
{
    struct probe_answer answer;
    size_t at, length;
    if (probe->line->transport == TRANSPORT_TCP)
        return true; /* a number there, no bus */
    question->listen_ms = LISTEN_MS;
    if (!probe->ask(probe->context, question, &answer))
        return false;
    out->garbled += answer.outcome == OUTCOME_GARBLED;
    out->twin = probe_frame(answer.heard, answer.heard_length, out->unit, &at, &length);
    return true;
}

bool probe_presence(const struct probe *probe, const struct probe_step *step,
                    struct probe_unit *out)
{
    struct probe_answer answer;
    *out = (struct probe_unit){.unit = step->unit, .serial = step->serial};
    size_t questions = step->early ? sizeof life / sizeof *life : 1;
    for (size_t i = 0; i < questions; i++) {
        struct probe_question question = {
            .request = {step->unit, life[i].function, life[i].address, 1,
                        probe_patience_ms(probe->line, step->early)},
            .serial = step->serial,
        };
        enum probe_presence presence = PROBE_GARBLED;
        for (int tries = 0; tries < GARBLED_TRIES && presence == PROBE_GARBLED; tries++) {
            if (!probe->ask(probe->context, &question, &answer))
                return false;
            presence = judge(&answer);
            out->garbled += presence == PROBE_GARBLED;
        }
        if (presence != PROBE_SILENT)
            out->presence = presence;
        if (presence == PROBE_THERE) {
            out->round_trip_us = answer.round_trip_us;
            return look_for_twin(probe, &question, out);
        }
    }
    return true;
}
