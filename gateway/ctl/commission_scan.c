/* Who is on a line, for `lifelinectl setup`: units, the serial settings they have, and their
 * models.
 *
 * One thread. Opens the line itself, with the rooms of `probe`; never through the daemon, whose
 * configuration is the one that is to be replaced. All that hang on one wire must have the same
 * settings: those of the first that answers. A model is written only when its fingerprint says so
 * or somebody does: that its values make sense is true of many. Only ever reads. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/scalar.h"
#include "gateway/ctl/commission.h"

enum {
    UNITS_MAX = 256,
    UNIT_LAST = 247,
    NOBODY = 251, /* of the units that Modbus reserves */
    GARBLED_MAX = 16
};

struct look {
    struct commission *commission;
    const struct probe_catalogue *catalogue;
    size_t line;
    struct probe_port port;
    struct probe probe;
    struct serial serial; /* of the first that answered; baud 0: nobody has */
    bool seen[UNITS_MAX];
    bool garbled[UNITS_MAX]; /* it may be right at a setting that is still to come */
    size_t before;           /* devices of other lines */
    bool whole;              /* all there is has been found */
};

static struct commission_device *add(struct look *look, uint8_t unit)
{
    struct commission *commission = look->commission;
    if (commission->device_count == COMMISSION_DEVICES_MAX) {
        say_error(say("只写前 %d 台设备", "only the first %d devices are written"),
                  COMMISSION_DEVICES_MAX);
        commission->partial = true;
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

/* ---- --profile ---- */

/* 3=gas10, or rs485-1:3=gas10 where several lines have a unit 3. */
struct given {
    char line[33]; /* "": any */
    uint8_t unit;
    const char *profile;
};

static bool parse_given(const char *word, struct given *out)
{
    const char *equals = strchr(word, '='), *colon = memchr(word, ':', strcspn(word, "="));
    const char *number = colon ? colon + 1 : word;
    char *end;
    if (!equals || (colon && (colon == word || (size_t)(colon - word) >= sizeof out->line)) ||
        *number < '0' || *number > '9')
        return false;
    unsigned long unit = strtoul(number, &end, 10);
    if (end != equals || unit < 1 || unit > UNIT_LAST)
        return false;
    *out = (struct given){.unit = (uint8_t)unit, .profile = equals + 1};
    snprintf(out->line, sizeof out->line, "%.*s", colon ? (int)(colon - word) : 0, word);
    return true;
}

static bool has_line(const struct commission *commission, const char *name)
{
    bool has = !name[0];
    for (size_t l = 0; l < commission->line_count; l++)
        has = has || strcmp(commission->lines[l].name, name) == 0;
    return has;
}

/* The word of --profile for a unit; one that names the line is meant more than one that does not.
 * NULL: none. */
static const char *word_for(const struct commission *commission, size_t line, unsigned unit)
{
    const char *found = NULL;
    for (size_t i = 0; i < commission->ctl->profile.count; i++) {
        struct given given;
        const char *word = commission->ctl->profile.words[i];
        if (!parse_given(word, &given) || given.unit != unit)
            continue;
        if (strcmp(given.line, commission->lines[line].name) == 0)
            return word;
        found = !found && !given.line[0] ? word : found;
    }
    return found;
}

bool commission_check_profiles(const struct commission *commission,
                               const struct probe_catalogue *catalogue)
{
    for (size_t i = 0; i < commission->ctl->profile.count; i++) {
        struct given given, other;
        const char *word = commission->ctl->profile.words[i], *why = NULL;
        if (!parse_given(word, &given))
            why = say("应为 [线路:]地址=模板", "it has the form [LINE:]UNIT=PROFILE");
        else if (!has_line(commission, given.line))
            why = say("没有这条线路", "there is no such line");
        else if (!probe_catalogue_find(catalogue, given.profile))
            why = say("没有此模板", "there is no such profile here");
        for (size_t j = 0; !why && j < i; j++) {
            if (parse_given(commission->ctl->profile.words[j], &other) &&
                other.unit == given.unit && strcmp(other.line, given.line) == 0)
                why = say("这个地址给了两次", "that unit is given twice");
        }
        if (why) {
            say_error(say("选项 --profile %s：%s", "option --profile %s: %s"), word, why);
            return false;
        }
    }
    return true;
}

void commission_check_matches(struct commission *commission)
{
    for (size_t i = 0; i < commission->ctl->profile.count; i++) {
        const char *word = commission->ctl->profile.words[i];
        bool taken = false;
        for (size_t d = 0; d < commission->device_count; d++) {
            const struct commission_device *device = &commission->devices[d];
            taken = taken || word_for(commission, device->line, device->unit) == word;
        }
        if (!taken)
            say_error(say("--profile %s：该地址没有设备应答", "--profile %s: nobody answers there"),
                      word);
        commission->partial |= !taken;
    }
}

/* ---- a unit ---- */

/* Somebody said what it is; that it answers like one is looked at all the same. */
static bool check_given(struct look *look, const struct probe_unit *unit,
                        const struct profile *profile)
{
    struct probe_reading reading;
    bool goes_on = probe_read(&look->probe, unit, 0, profile, &reading);
    if (goes_on && reading.verdict == PROBE_UNFIT) {
        say_error(say("%s 地址 %u：与模板 %s 不符（%s）", "%s unit %u: %s does not fit (%s)"),
                  look->commission->lines[look->line].name, unit->unit, profile->name, reading.why);
        look->commission->partial = true;
    }
    probe_reading_free(&reading);
    return goes_on;
}

static void take_model(const struct look *look, struct commission_device *device,
                       const struct probe_models *models)
{
    const struct probe_reading *fits = models->fits;
    const char *chosen = NULL;
    char question[200], list[300] = "";
    if (models->count == 0) {
        open_question(device, "没有与它相符的设备模板", "no profile fits what it answers");
        return;
    }
    snprintf(question, sizeof question,
             say("%s 地址 %u 的型号（可空）", "what is unit %2$u on %1$s (may be empty)"),
             look->commission->lines[look->line].name, device->unit);
    chosen = models->count == 1 && fits->verdict == PROBE_RECOGNISED
                 ? fits->profile->name
                 : commission_ask_model(look->commission, question, models);
    if (chosen) {
        snprintf(device->profile, sizeof device->profile, "%s", chosen);
        return;
    }
    for (size_t i = 0; i < models->count; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", fits[i].profile->name);
    }
    if (models->count == 1)
        open_question(device, "可能是 %s，请看铭牌", "it may be %s; its nameplate tells", list);
    else
        open_question(device, "可能是 %s 之一，请看铭牌", "one of %s; its nameplate tells", list);
}

/* A TCP server may answer whatever the unit is, also one that no sensor can have, and alike: one
 * device. A gateway that refuses units it does not have is none. */
static bool answers_as_any(struct look *look, const struct profile *like)
{
    const struct probe_step nobody = {.unit = NOBODY};
    struct probe_unit unit;
    struct probe_reading reading;
    if (look->commission->lines[look->line].transport != TRANSPORT_TCP ||
        !probe_presence(&look->probe, &nobody, &unit) || unit.presence != PROBE_THERE)
        return false;
    bool same = !like || (probe_read(&look->probe, &unit, 0, like, &reading) &&
                          reading.verdict != PROBE_UNFIT);
    if (like)
        probe_reading_free(&reading);
    return same;
}

/* False when no more can be asked. */
static bool identify(struct look *look, struct probe_unit *unit)
{
    bool first = look->commission->device_count == look->before;
    struct commission_device *device = add(look, unit->unit);
    const char *word = word_for(look->commission, look->line, unit->unit);
    const struct profile *like = NULL;
    struct probe_models models;
    bool goes_on;
    if (!device)
        return false;
    if (unit->twin) {
        open_question(device, "有两台设备用这个地址", "two sensors answer to this address");
        return true;
    }
    probe_text_looking(unit);
    if (word) {
        like = probe_catalogue_find(look->catalogue, strchr(word, '=') + 1);
        snprintf(device->profile, sizeof device->profile, "%s", like->name);
        goes_on = check_given(look, unit, like);
        probe_text_progress_end();
    } else {
        goes_on = probe_models(&look->probe, unit, &models);
        probe_text_progress_end();
        like = models.count ? models.fits[0].profile : NULL;
        take_model(look, device, &models);
        probe_models_free(&models);
    }
    if (goes_on && first && answers_as_any(look, like)) {
        look->whole = true;
        say_error(say("线路 %s：任何地址都应答，算一台设备，地址 %u",
                      "line %s: it answers as any unit, and is one device, unit %u"),
                  look->commission->lines[look->line].name, unit->unit);
    }
    return goes_on;
}

/* ---- a line ---- */

static bool is_worth_asking(const struct look *look, const struct probe_step *step)
{
    bool same = !look->serial.baud || scalar_serial_is_same(&look->serial, &step->serial);
    return !look->seen[step->unit] && same &&
           (step->early || look->commission->ctl->scan ||
            word_for(look->commission, look->line, step->unit));
}

static void ask_all(struct look *look, const struct probe_step *steps, size_t count)
{
    size_t found = 0;
    bool goes_on = true;
    for (size_t i = 0; i < count && goes_on && !look->whole; i++) {
        struct probe_unit unit;
        if (!is_worth_asking(look, &steps[i]))
            continue;
        probe_text_progress(&steps[i], i, count, found);
        goes_on = probe_presence(&look->probe, &steps[i], &unit);
        look->garbled[unit.unit] |= unit.presence == PROBE_GARBLED;
        if (goes_on && unit.presence == PROBE_THERE) {
            look->seen[unit.unit] = true;
            look->serial = unit.serial;
            goes_on = identify(look, &unit);
            found++;
        }
    }
    probe_text_progress_end();
}

/* Who never got a right frame out is there all the same, and so is what disturbs the line. */
static void add_garbled(struct look *look)
{
    size_t garbled = 0;
    for (unsigned unit = 1; unit <= UNIT_LAST; unit++)
        garbled += look->garbled[unit] && !look->seen[unit];
    if (garbled > GARBLED_MAX && !look->port.why[0])
        probe_port_say(&look->port, "询问 %zu 个地址时收到乱码：线路上另有主站、干扰或 A/B 线接反",
                       "garbled bytes where %zu units were asked: another master on the line, "
                       "noise, or its wires swapped",
                       garbled);
    for (unsigned unit = 1; garbled <= GARBLED_MAX && unit <= UNIT_LAST; unit++) {
        struct commission_device *device =
            look->garbled[unit] && !look->seen[unit] ? add(look, (uint8_t)unit) : NULL;
        if (device)
            open_question(device, "有应答，但没有一帧正确：地址重复、校验位不符或接线问题",
                          "it answers, but never a right frame: two sensors of that address, "
                          "another parity, or the wiring");
    }
}

static void report(struct look *look)
{
    const char *name = look->commission->lines[look->line].name;
    const struct probe_port *port = &look->port;
    bool nobody = look->commission->device_count == look->before;
    if (port->why[0] && !probe_port_stopped())
        say_error(say("线路 %s：%s", "line %s: %s"), name,
                  say(port->why_zh[0] ? port->why_zh : port->why, port->why));
    else if (nobody)
        say_error(say("线路 %s：没有设备应答", "line %s: nobody answers"), name);
    look->commission->partial |= port->why[0] || nobody;
}

bool commission_scan(struct commission *commission, const struct settings *settings, size_t line,
                     const struct probe_catalogue *catalogue)
{
    struct look look = {.commission = commission,
                        .catalogue = catalogue,
                        .line = line,
                        .before = commission->device_count};
    struct ctl alone = *commission->ctl;
    struct commission_line *own = &commission->lines[line];
    alone.socket = "";
    if (probe_port_open(&look.port, &alone, settings, own->name) != CTL_FINE) {
        probe_port_close(&look.port);
        return false;
    }
    size_t count;
    look.probe = (struct probe){probe_port_ask, &look.port, &look.port.line, catalogue};
    struct probe_step *steps = probe_steps(&look.port.line, catalogue, &count);
    if (steps)
        ask_all(&look, steps, count);
    free(steps);
    if (look.serial.baud)
        snprintf(own->serial, sizeof own->serial, "%u %u%c%u", look.serial.baud,
                 look.serial.data_bits, look.serial.parity, look.serial.stop_bits);
    add_garbled(&look);
    report(&look);
    probe_port_close(&look.port);
    return true;
}
