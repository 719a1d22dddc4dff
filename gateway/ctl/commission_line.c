/* The lines of a cabinet, as they are typed for `lifelinectl setup`.
 *
 * One thread. Owns nothing. A serial port is looked at, but never opened: that is the scan's. It is
 * written under the name that lasts; that a line is there only once is seen here, because two
 * masters on one wire garble each other. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "gateway/ctl/commission.h"
#include "gateway/ctl/port_name.h"

enum { MODBUS_PORT = 502 };

static const struct kind {
    const char *prefix, *name;
    enum transport_kind transport;
} kinds[] = {{"tcp://", "tcp", TRANSPORT_TCP},
             {"rtu-over-tcp://", "dtu", TRANSPORT_RTU_OVER_TCP},
             {"/", "rs485", TRANSPORT_RTU}};

enum { KINDS = sizeof kinds / sizeof *kinds };

/* "host:port" or "host", an IPv6 address in brackets; false when it is neither. */
static bool take_host(struct commission_line *line, const char *text, size_t length)
{
    const char *bracket = text[0] == '[' ? memchr(text, ']', length) : NULL;
    const char *begin = bracket ? text + 1 : text, *rest = bracket ? bracket + 1 : text;
    const char *colon = memchr(rest, ':', length - (size_t)(rest - text));
    size_t host = (size_t)((bracket ? bracket : colon ? colon : text + length) - begin);
    char *end = NULL;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    if (host == 0 || host >= sizeof line->place || port > UINT16_MAX ||
        (colon && (port == 0 || end != text + length)) ||
        (bracket && colon != rest && rest != text + length))
        return false;
    snprintf(line->place, sizeof line->place, "%.*s", (int)host, begin);
    line->port = (uint16_t)port;
    return true;
}

/* False when it is no line at all. */
static bool parse(const char *text, struct commission_line *line, const struct kind **kind)
{
    size_t k = 0;
    while (k < KINDS && strncmp(text, kinds[k].prefix, strlen(kinds[k].prefix)) != 0)
        k++;
    if (k == KINDS)
        return false;
    *kind = &kinds[k];
    *line = (struct commission_line){.transport = kinds[k].transport};
    bool rtu = line->transport == TRANSPORT_RTU;
    const char *place = text + (rtu ? 0 : strlen(kinds[k].prefix)), *comma = strchr(place, ',');
    size_t length = comma ? (size_t)(comma - place) : strlen(place);
    const char *serial = comma ? comma + 1 + strspn(comma + 1, " ") : "";
    if (comma && (line->transport == TRANSPORT_TCP || strlen(serial) >= sizeof line->serial))
        return false;
    snprintf(line->serial, sizeof line->serial, "%s", serial);
    if (!rtu)
        return take_host(line, place, length);
    snprintf(line->place, sizeof line->place, "%.*s", (int)length, place);
    return length < sizeof line->place;
}

static bool is_port(const struct commission_line *line, char *why, size_t why_size)
{
    struct stat port;
    bool there = stat(line->place, &port) == 0;
    if (!there)
        snprintf(why, why_size, say("%s：%s", "%s: %s"), line->place, say_errno(errno));
    else if (!S_ISCHR(port.st_mode))
        snprintf(why, why_size, say("%s：不是串口", "%s: that is no serial port"), line->place);
    return there && S_ISCHR(port.st_mode);
}

static bool is_same_port(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_rdev == other.st_rdev;
}

static bool is_same_line(const struct commission_line *a, const struct commission_line *b)
{
    if ((a->transport == TRANSPORT_RTU) != (b->transport == TRANSPORT_RTU))
        return false;
    return a->transport == TRANSPORT_RTU
               ? is_same_port(a->place, b->place)
               : strcasecmp(a->place, b->place) == 0 &&
                     (a->port ? a->port : MODBUS_PORT) == (b->port ? b->port : MODBUS_PORT);
}

/* What it is called after the next boot, too. */
static void name_port(struct commission_line *line)
{
    char lasting[sizeof line->place];
    if (!port_name_lasting(PORT_NAME_FOLDERS, line->place, lasting, sizeof lasting))
        return;
    say_error(say("%s 重启后可能变，写作 %s", "%s may change with a boot, and is written as %s"),
              line->place, lasting);
    snprintf(line->place, sizeof line->place, "%s", lasting);
}

bool commission_add_line(struct commission *commission, const char *text, char *why,
                         size_t why_size)
{
    struct commission_line line;
    const struct kind *kind;
    size_t same = 1;
    if (!parse(text, &line, &kind)) {
        snprintf(why, why_size, say("%s：不是线路", "%s: that is no line"), text);
        return false;
    }
    if (commission->line_count == COMMISSION_LINES_MAX) {
        snprintf(why, why_size, say("最多 %d 条线路", "at most %d lines"), COMMISSION_LINES_MAX);
        return false;
    }
    if (line.transport == TRANSPORT_RTU && !is_port(&line, why, why_size))
        return false;
    for (size_t l = 0; l < commission->line_count; l++) {
        if (is_same_line(&commission->lines[l], &line)) {
            snprintf(why, why_size, say("%s：这条线路已有，是 %s", "%s is there already: %s"), text,
                     commission->lines[l].name);
            return false;
        }
        same += commission->lines[l].transport == line.transport;
    }
    if (line.transport == TRANSPORT_RTU)
        name_port(&line);
    snprintf(line.name, sizeof line.name, "%s-%zu", kind->name, same);
    commission->lines[commission->line_count++] = line;
    return true;
}
