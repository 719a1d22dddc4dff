/* Lines and sensors: what the daemon counted of them, read as a technician with a meter would.
 *
 * One thread. Judges /v1/lines alone and asks no sensor. Silence of all units speaks of the line,
 * silence of one speaks of that one; damaged answers of all units speak of the cable, of one unit
 * of a twin. Owns nothing. */
#include <string.h>

#include "config/scalar.h"
#include "gateway/ctl/doctor.h"
#include "gateway/ctl/text.h"

enum {
    REQUESTS_MIN = 10,
    GARBLED_PERCENT = 2,
    BUSY_PERCENT = 95,
    ILLEGAL_VALUE = 3,
    POLLS_LOST = 3,
    SHORT_MS = 1000
};

/* The units of a line by how they are. */
struct census {
    size_t asked, silent, no_link, garbled, never_good;
    size_t well; /* answered last time, and is not garbled */
};

struct examined {
    const char *name;
    const json_t *object;
    const struct settings_line *settings;
    struct census census;
};

static json_int_t counted(const json_t *of, const char *what)
{
    return text_integer(json_object_get(of, "counts"), what);
}

static json_int_t damaged(const json_t *of)
{
    return counted(of, "garbled") + counted(of, "foreign");
}

static double share(const json_t *of)
{
    json_int_t requests = counted(of, "requests");
    return requests ? 100.0 * (double)damaged(of) / (double)requests : 0;
}

static bool is_garbled(const json_t *unit)
{
    return counted(unit, "requests") >= REQUESTS_MIN && share(unit) >= GARBLED_PERCENT;
}

static bool ended(const json_t *unit, const char *how)
{
    return strcmp(text_of(unit, "outcome"), how) == 0;
}

static struct census count(const json_t *line)
{
    struct census c = {0};
    size_t index;
    json_t *unit;
    json_array_foreach(json_object_get(line, "units"), index, unit)
    {
        c.asked += json_is_string(json_object_get(unit, "outcome"));
        c.silent += ended(unit, "timeout");
        c.no_link += ended(unit, "link");
        c.garbled += is_garbled(unit);
        c.well += !is_garbled(unit) && (ended(unit, "ok") || ended(unit, "exception"));
        c.never_good += counted(unit, "good") + counted(unit, "exception") == 0;
    }
    return c;
}

static const struct settings_line *line_of(const struct doctor *doctor, const char *name)
{
    for (size_t l = 0; l < doctor->settings->line_count; l++) {
        if (strcmp(doctor->settings->lines[l].name, name) == 0)
            return &doctor->settings->lines[l];
    }
    return NULL;
}

/* A device of the line whose profile has other settings than the line, or NULL. */
static const struct settings_device *other_serial(const struct doctor *doctor,
                                                  const struct settings_line *line)
{
    for (size_t d = 0; d < doctor->settings->device_count; d++) {
        const struct settings_device *device = &doctor->settings->devices[d];
        if (&doctor->settings->lines[device->line] == line && device->profile->has_serial &&
            !scalar_serial_is_same(&device->profile->serial, &line->serial))
            return device;
    }
    return NULL;
}

static void advise_serial(struct doctor *doctor, const struct examined *line)
{
    const struct settings_line *own = line->settings;
    const struct settings_device *other = other_serial(doctor, own);
    if (!other) {
        doctor_advises(
            doctor,
            say("查传感器供电；A/B 线对调试一次；lifelinectl probe %s --scan 找出波特率和"
                "地址",
                "see that the sensors have power; swap A and B once; lifelinectl probe "
                "%s --scan finds baud and addresses"),
            line->name);
        return;
    }
    const struct serial *is = &own->serial, *wanted = &other->profile->serial;
    doctor_advises(
        doctor,
        say("线路设为 %u %u%c%u，而 %s 的模板 %s 出厂为 %u %u%c%u：先用 lifelinectl probe %s "
            "--scan "
            "核对；再查供电和 A/B 线",
            "the line is set to %u %u%c%u, and %s (%s) leaves its maker with %u %u%c%u: try "
            "lifelinectl probe %s --scan; then power, and A and B"),
        (unsigned)is->baud, (unsigned)is->data_bits, is->parity, (unsigned)is->stop_bits,
        other->name, other->profile->name, (unsigned)wanted->baud, (unsigned)wanted->data_bits,
        wanted->parity, (unsigned)wanted->stop_bits, line->name);
}

static void silent_line(struct doctor *doctor, const struct examined *line)
{
    doctor_finds(doctor, "line_silent", DOCTOR_FAULT,
                 say("线路 %s（%s）：%zu 台设备全部没有应答",
                     "line %s (%s): none of its devices answers (%zu asked)"),
                 line->name, text_of(line->object, "place"), line->census.asked);
    if (line->settings->transport != TRANSPORT_TCP)
        advise_serial(doctor, line);
    else
        doctor_advises(doctor,
                       say("已连上但不应答：核对 unit，以及对方是否在别处被占用（连接数限制）",
                           "it is connected and does not answer: look at unit, and whether "
                           "others have taken all its connections"));
}

/* What was found of the port itself says more. */
static void lost_port(struct doctor *doctor, const struct examined *line)
{
    size_t index;
    json_t *finding;
    json_array_foreach(doctor->findings, index, finding)
    {
        const char *id = text_of(finding, "id");
        if (strncmp(id, "port_", strlen("port_")) == 0 && strcmp(id, "port_moves") != 0 &&
            strstr(text_of(finding, "what"), line->settings->device))
            return;
    }
    doctor_finds(
        doctor, "line_no_link", DOCTOR_FAULT,
        say("线路 %s：守护进程打不开串口 %s", "line %s: the daemon cannot open its port %s"),
        line->name, line->settings->device);
    doctor_advises(
        doctor, say("原因见 journalctl -u lifeline-gateway；拔插一次转换器，再 systemctl restart "
                    "lifeline-gateway",
                    "journalctl -u lifeline-gateway says why; plug the adapter out and in, then "
                    "systemctl restart lifeline-gateway"));
}

static void lost_link(struct doctor *doctor, const struct examined *line)
{
    if (line->settings->transport == TRANSPORT_RTU) {
        lost_port(doctor, line);
        return;
    }
    doctor_finds(doctor, "line_no_link", DOCTOR_FAULT,
                 say("线路 %s：连不上 %s", "line %s: no connection to %s"), line->name,
                 text_of(line->object, "place"));
    doctor_advises(doctor,
                   say("查对方供电和网线；ping %s；核对端口 %u；看它是否只允许一个连接",
                       "see its power and cable; ping %s; is port %u the right one; does it take "
                       "one connection only"),
                   line->settings->host, (unsigned)line->settings->port);
}

static void garbled_line(struct doctor *doctor, const struct examined *line)
{
    bool is_all = line->census.never_good == line->census.asked;
    doctor_finds(doctor, is_all ? "line_unreadable" : "line_garbled", DOCTOR_FAULT,
                 say("线路 %s：%zu 台设备的应答有损坏，占启动以来请求的 %.0f %%",
                     "line %s: answers of %zu devices are damaged, since the start %.0f %% of the "
                     "requests"),
                 line->name, line->census.garbled, share(line->object));
    if (is_all)
        doctor_advises(
            doctor,
            say("一条也读不对：波特率或校验位不对（lifelinectl probe %s --scan），A/B 接反，"
                "或转换器回显请求",
                "not one is right: another baud or parity (lifelinectl probe %s --scan), "
                "A and B swapped, or an adapter that echoes requests"),
            line->name);
    else
        doctor_advises(doctor,
                       say("断电后量 A、B 之间：应约 60 欧（两端各 120 欧）；120 "
                           "欧缺一端，更小则多了；再查偏置、屏蔽层单点接地、分支过长、与动力线同管",
                           "power off, measure between A and B: about 60 ohm (120 at both ends); "
                           "120: one end lacks it, less: there are too many; then bias, shield "
                           "earthed at one end, long stubs, power cables beside it"));
}

static void garbled_unit(struct doctor *doctor, const char *line, const json_t *unit)
{
    doctor_finds(doctor, "unit_garbled", DOCTOR_FAULT,
                 say("%s（线路 %s，地址 %lld）：应答有损坏，占启动以来的 %.0f %%，同线其他设备正常",
                     "%s (line %s, unit %lld): since the start %.0f %% of its answers are damaged, "
                     "those of the others are not"),
                 text_of(unit, "name"), line, (long long)text_integer(unit, "unit"), share(unit));
    doctor_advises(doctor,
                   say("多半有两台传感器用了地址 %lld：拆下这一台，用 lifelinectl probe %s "
                       "看该地址是否仍有应答；否则查它的接线和分支",
                       "most likely two sensors have address %lld: take this one off and see with "
                       "lifelinectl probe %s whether it still answers; else look at its wiring"),
                   (long long)text_integer(unit, "unit"), line);
}

/* One poll may be lost on any line. */
static bool is_late(const struct doctor *doctor, const json_t *unit, json_int_t good_age_ms)
{
    json_int_t every_ms = 0;
    for (size_t d = 0; d < doctor->settings->device_count; d++) {
        const struct settings_device *device = &doctor->settings->devices[d];
        if (strcmp(device->name, text_of(unit, "name")) == 0)
            every_ms = device->every_ms;
    }
    return good_age_ms > POLLS_LOST * (every_ms < SHORT_MS ? SHORT_MS : every_ms);
}

static void silent_unit(struct doctor *doctor, const char *line, const json_t *unit)
{
    char age[32];
    const json_t *good = json_object_get(unit, "good_age_ms");
    if (json_is_integer(good))
        doctor_finds(doctor, "unit_silent",
                     is_late(doctor, unit, json_integer_value(good)) ? DOCTOR_FAULT
                                                                     : DOCTOR_WARNING,
                     say("%s（线路 %s，地址 %lld）没有应答，上次正常在 %s前",
                         "%s (line %s, unit %lld) does not answer; it did %s ago"),
                     text_of(unit, "name"), line, (long long)text_integer(unit, "unit"),
                     text_age(good, age, sizeof age));
    else
        doctor_finds(doctor, "unit_silent", DOCTOR_FAULT,
                     say("%s（线路 %s，地址 %lld）启动以来从未应答",
                         "%s (line %s, unit %lld) has not answered since the start"),
                     text_of(unit, "name"), line, (long long)text_integer(unit, "unit"));
    doctor_advises(
        doctor,
        say("同线其他设备正常：查这一台的供电、接线和地址（lifelinectl probe %s --scan）",
            "others on the line do: see its power, its wires and its address "
            "(lifelinectl probe %s --scan)"),
        line);
}

static void refusing_unit(struct doctor *doctor, const char *line, const json_t *unit)
{
    long long code = (long long)text_integer(unit, "exception");
    doctor_finds(doctor, "unit_refuses", DOCTOR_FAULT,
                 say("%s（线路 %s，地址 %lld）以异常码 %lld 拒绝读取",
                     "%s (line %s, unit %lld) refuses with exception %lld"),
                 text_of(unit, "name"), line, (long long)text_integer(unit, "unit"), code);
    if (code <= ILLEGAL_VALUE)
        doctor_advises(doctor,
                       say("模板与型号不符，或 base 不对：用 lifelinectl probe %s 核对模板",
                           "its profile is another model's, or its base is wrong: lifelinectl "
                           "probe %s says which profiles fit"),
                       line);
    else
        doctor_advises(doctor,
                       say("传感器自报故障、繁忙，或网关后面没有它：断电重启一次，再用 lifelinectl "
                           "probe %s 看",
                           "it says that it failed, is busy or not there behind its gateway: power "
                           "it off and on once, then lifelinectl probe %s"),
                       line);
}

static void examine_units(struct doctor *doctor, const struct examined *line)
{
    size_t index;
    json_t *unit;
    json_array_foreach(json_object_get(line->object, "units"), index, unit)
    {
        if (line->census.garbled == 1 && line->census.well && is_garbled(unit))
            garbled_unit(doctor, line->name, unit);
        else if (line->census.well && ended(unit, "timeout"))
            silent_unit(doctor, line->name, unit);
        else if (ended(unit, "exception"))
            refusing_unit(doctor, line->name, unit);
    }
}

static void overloaded(struct doctor *doctor, const struct examined *line)
{
    json_int_t load = text_integer(line->object, "load_percent");
    json_int_t slipping = text_integer(line->object, "slipping");
    if (load < BUSY_PERCENT || !slipping)
        return;
    doctor_finds(doctor, "line_overloaded", DOCTOR_WARNING,
                 say("线路 %s 过忙：负荷 %lld %%，%lld 台设备跟不上采集周期",
                     "line %s is too busy: load %lld %%, %lld devices are polled late"),
                 line->name, (long long)load, (long long)slipping);
    doctor_advises(doctor, say("延长 every，提高波特率，缩短不应答设备的 timeout，或分到两条线路",
                               "longer every, a higher baud, a shorter timeout for what does not "
                               "answer, or a second line"));
}

static void examine(struct doctor *doctor, const struct examined *line)
{
    const struct census *c = &line->census;
    if (c->asked && c->no_link == c->asked) {
        lost_link(doctor, line);
        return;
    }
    if (c->garbled > 1 || (c->garbled && !c->well))
        garbled_line(doctor, line);
    else if (c->asked && c->silent == c->asked)
        silent_line(doctor, line);
    examine_units(doctor, line);
    overloaded(doctor, line);
}

void doctor_lines(struct doctor *doctor)
{
    size_t index;
    json_t *object;
    json_array_foreach(json_object_get(doctor->lines, "lines"), index, object)
    {
        const char *name = text_of(object, "name");
        const struct examined line = {name, object, line_of(doctor, name), count(object)};
        if (line.settings) /* else the daemon runs with another configuration */
            examine(doctor, &line);
    }
}
