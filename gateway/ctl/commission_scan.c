/* Who is on a line, for `lifelinectl setup`: units, the serial settings they have, and their
 * models.
 *
 * One thread. Opens the line itself, with the rooms of `probe`; never through the daemon, whose
 * configuration is the one that is to be replaced. All that hang on one wire must have the same
 * settings: those of the first that answers. Only ever reads. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/ctl/commission.h"

enum {
    ALIKE = 10,
    NOBODY = 251, /* of the units that Modbus reserves */
    CHOICES = 8
};

struct look {
    struct commission *commission;
    const struct probe_catalogue *catalogue;
    size_t line;
    struct probe_port port;
    struct probe probe;
    struct serial serial; /* of the first that answered; baud 0: nobody has */
};

static struct commission_device *add(struct look *look, uint8_t unit)
{
    struct commission *commission = look->commission;
    if (commission->device_count == COMMISSION_DEVICES_MAX) {
        say_error(say("只写前 %d 台设备", "only the first %d devices are written"),
                  COMMISSION_DEVICES_MAX);
        return NULL;
    }
    struct commission_device *device = &commission->devices[commission->device_count++];
    *device = (struct commission_device){.line = look->line, .unit = unit};
    return device;
}

/* Both languages: JSON holds both. */
__attribute__((format(printf, 2, 4), format(printf, 3, 4))) static void
open_question(struct commission_device *device, const char *zh, const char *en, ...)
{
    va_list arguments;
    va_start(arguments, en);
    vsnprintf(device->why_zh, sizeof device->why_zh, zh, arguments);
    va_end(arguments);
    va_start(arguments, en);
    vsnprintf(device->why, sizeof device->why, en, arguments);
    va_end(arguments);
}

/* --profile 3=gas10, or rs485-1:3=gas10 where several lines have a unit 3. */
static const char *given_profile(struct look *look, uint8_t unit)
{
    const struct ctl_list *given = &look->commission->ctl->profile;
    const char *line = look->commission->lines[look->line].name, *profile = NULL;
    char bare[16], full[64];
    snprintf(bare, sizeof bare, "%u=", unit);
    snprintf(full, sizeof full, "%s:%u=", line, unit);
    for (size_t i = 0; i < given->count; i++) {
        const char *word = given->words[i], *mark = strchr(word, '=');
        if (strncmp(word, full, strlen(full)) != 0 && strncmp(word, bare, strlen(bare)) != 0)
            continue;
        look->commission->took[i] = true;
        profile = profile ? profile : mark + 1;
    }
    return profile;
}

static void take_model(const struct look *look, struct commission_device *device,
                       const struct probe_models *models)
{
    const char *names[CHOICES], *chosen = NULL;
    char question[200], list[300] = "";
    size_t count = models->count < CHOICES ? models->count : CHOICES;
    for (size_t i = 0; i < count; i++) {
        names[i] = models->fits[i].profile->name;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    snprintf(question, sizeof question,
             say("%s 地址 %u 的型号（可空）", "what is unit %2$u on %1$s (may be empty)"),
             look->commission->lines[look->line].name, device->unit);
    if (count > 1)
        chosen = commission_choose(look->commission, question, names, count);
    chosen = count == 1 ? names[0] : chosen;
    if (chosen) {
        snprintf(device->profile, sizeof device->profile, "%s", chosen);
    } else if (count > 1) {
        open_question(device, "可能是 %s，请看铭牌", "one of %s; its nameplate tells", list);
    } else {
        open_question(device, "没有与它相符的设备模板", "no profile fits what it answers");
    }
}

/* False when no more can be asked. */
static bool identify(struct look *look, struct probe_unit *unit)
{
    struct commission_device *device = add(look, unit->unit);
    const char *given = given_profile(look, unit->unit);
    struct probe_models models;
    if (!device)
        return false;
    if (given) {
        snprintf(device->profile, sizeof device->profile, "%s", given);
        return true;
    }
    if (unit->twin) {
        open_question(device, "有两台设备用这个地址", "two sensors answer to this address");
        return true;
    }
    probe_text_looking(unit);
    bool goes_on = probe_models(&look->probe, unit, &models);
    probe_text_progress_end();
    take_model(look, device, &models);
    probe_models_free(&models);
    return goes_on;
}

static bool is_worth_asking(const struct look *look, const struct probe_step *step)
{
    bool same =
        !look->serial.baud || memcmp(&look->serial, &step->serial, sizeof step->serial) == 0;
    return same && (step->early || look->commission->ctl->scan);
}

/* A server that answers whatever the unit is, also one that no sensor can have: one device, its
 * first unit. */
static bool is_one_device(struct look *look, size_t found)
{
    struct commission *commission = look->commission;
    const struct probe_step nobody = {.unit = NOBODY};
    struct probe_unit unit;
    if (commission->lines[look->line].transport != TRANSPORT_TCP || found != ALIKE ||
        !probe_presence(&look->probe, &nobody, &unit) || unit.presence != PROBE_THERE)
        return false;
    commission->device_count -= ALIKE - 1;
    return true;
}

static void ask_all(struct look *look, const struct probe_step *steps, size_t count)
{
    bool seen[256] = {false};
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        struct probe_unit unit;
        if (seen[steps[i].unit] || !is_worth_asking(look, &steps[i]))
            continue;
        probe_text_progress(&steps[i], i, count, found);
        bool goes_on = probe_presence(&look->probe, &steps[i], &unit);
        if (goes_on && unit.presence == PROBE_THERE) {
            seen[unit.unit] = true;
            look->serial = unit.serial;
            goes_on = identify(look, &unit);
            found++;
        }
        if (!goes_on || is_one_device(look, found))
            break;
    }
    probe_text_progress_end();
}

bool commission_scan(struct commission *commission, const struct settings *settings, size_t line,
                     const struct probe_catalogue *catalogue)
{
    struct look look = {.commission = commission, .catalogue = catalogue, .line = line};
    struct ctl alone = *commission->ctl;
    struct commission_line *own = &commission->lines[line];
    alone.socket = "";
    if (probe_port_open(&look.port, &alone, settings, own->name) != CTL_FINE) {
        probe_port_close(&look.port);
        return false;
    }
    size_t count, before = commission->device_count;
    look.probe = (struct probe){probe_port_ask, &look.port, &look.port.line, catalogue};
    struct probe_step *steps = probe_steps(&look.port.line, catalogue, &count);
    if (steps)
        ask_all(&look, steps, count);
    free(steps);
    if (look.serial.baud)
        snprintf(own->serial, sizeof own->serial, "%u %u%c%u", look.serial.baud,
                 look.serial.data_bits, look.serial.parity, look.serial.stop_bits);
    if (look.port.why[0] && !probe_port_stopped())
        say_error(say("线路 %s：%s", "line %s: %s"), own->name,
                  say(look.port.why_zh[0] ? look.port.why_zh : look.port.why, look.port.why));
    else if (commission->device_count == before)
        say_error(say("线路 %s：没有设备应答", "line %s: nobody answers"), own->name);
    commission->partial |= look.port.why[0] || commission->device_count == before;
    probe_port_close(&look.port);
    return true;
}
