/* The field tables of gateway.yaml: every key with its parser, default, range and help text.
 *
 * Const data and the parsers that only this file needs, used by the thread that loads a
 * configuration. What several keys have to do with each other is settings_check.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/scalar.h"
#include "config/settings_parts.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define NAME_CHARACTERS FIELD_LOWER FIELD_UPPER FIELD_DIGITS "-_."
#define HOST_CHARACTERS FIELD_LOWER FIELD_UPPER FIELD_DIGITS "-_.:%"

/* What no coordinate in China lies outside of. */
enum { LONGITUDE_MIN = 73, LONGITUDE_MAX = 136, LATITUDE_MIN = 3, LATITUDE_MAX = 54 };

static bool is_between(double value, int min, int max)
{
    return value >= min && value <= max;
}

static bool parse_position(const struct reader *reader, const struct field *field,
                           const struct node *node, void *out)
{
    struct position *position = out;
    double x, y;
    (void)field;
    if (node->kind != NODE_LIST || node->count != 2 || node->first->kind != NODE_TEXT ||
        node->first->next->kind != NODE_TEXT || !scalar_number(node->first->text, &x) ||
        !scalar_number(node->first->next->text, &y))
        return field_error(reader, node,
                           "a position is [longitude, latitude] in degrees, like [112.8513, "
                           "35.4907]");
    if (is_between(x, LATITUDE_MIN, LATITUDE_MAX) && is_between(y, LONGITUDE_MIN, LONGITUDE_MAX))
        return field_error(reader, node, "the longitude comes first: [%s, %s]",
                           node->first->next->text, node->first->text);
    if (!is_between(x, LONGITUDE_MIN, LONGITUDE_MAX))
        return field_error(reader, node->first, "longitude %s is not in China (%d to %d)",
                           node->first->text, LONGITUDE_MIN, LONGITUDE_MAX);
    if (!is_between(y, LATITUDE_MIN, LATITUDE_MAX))
        return field_error(reader, node->first->next, "latitude %s is not in China (%d to %d)",
                           node->first->next->text, LATITUDE_MIN, LATITUDE_MAX);
    *position = (struct position){.present = true, .longitude = x, .latitude = y};
    return true;
}

static bool parse_crs(const struct reader *reader, const struct field *field,
                      const struct node *node, void *out)
{
    static const char *const shifted[] = {"GCJ-02", "GCJ02", "BD-09", "BD09"};
    if (!field_is_text(reader, node, "CGCS2000 or WGS84"))
        return false;
    for (size_t i = 0; i < COUNT(shifted); i++) {
        if (strcasecmp(node->text, shifted[i]) == 0)
            return field_error(reader, node,
                               "%s is a shifted system, off by up to some hundred metres, and is "
                               "never mixed in; give the positions in CGCS2000 or WGS84",
                               node->text);
    }
    return field_choice(reader, field, node, out);
}

/* The first two digits of an administrative code are one of the provinces of GB/T 2260. */
static bool is_province(const char *code)
{
    static const char provinces[] =
        "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 "
        "50 51 52 53 54 61 62 63 64 65 71 81 82";
    for (const char *at = provinces;; at += 3) {
        if (at[0] == code[0] && at[1] == code[1])
            return true;
        if (at[2] == '\0')
            return false;
    }
}

/* Digits that begin with the six of a region: region, asset code, grid code. */
static bool parse_code(const struct reader *reader, const struct field *field,
                       const struct node *node, void *out)
{
    if (!field_is_text(reader, node, "a code of digits"))
        return false;
    if (node->text[0] == '\0' && field->fallback != NULL) {
        *(char **)out = arena_text(reader->arena, "");
        return true;
    }
    size_t wanted = strtoul(field->max, NULL, 10);
    if (strlen(node->text) != wanted || strspn(node->text, FIELD_DIGITS) != wanted)
        return field_error(reader, node, "%s \"%.40s\" is not %zu digits: %s", field->key,
                           node->text, wanted, field->help);
    if (!is_province(node->text))
        return field_error(reader, node,
                           "%s \"%.40s\" begins with %.6s, which is no region of GB/T 2260 (no "
                           "province %.2s)",
                           field->key, node->text, node->text, node->text);
    *(char **)out = arena_text(reader->arena, node->text);
    return true;
}

static bool parse_path(const struct reader *reader, const struct field *field,
                       const struct node *node, void *out)
{
    if (!field_text(reader, field, node, out))
        return false;
    if (node->text[0] == '/')
        return true;
    return field_error(reader, node, "%s is a whole path that begins with /, not \"%.60s\"",
                       field->key, node->text);
}

static bool parse_root(const struct reader *reader, const struct field *field,
                       const struct node *node, void *out)
{
    if (!field_name(reader, field, node, out))
        return false;
    const char *text = node->text;
    if (text[0] != '/' && text[strlen(text) - 1] != '/' && strstr(text, "//") == NULL)
        return true;
    return field_error(reader, node, "root \"%.64s\" has an empty topic level", text);
}

/* mqtt://HOST[:PORT] or mqtts://HOST[:PORT]; an IPv6 address stands in brackets. */
static bool parse_url(const struct reader *reader, const struct node *node,
                      struct settings_url *url)
{
    static const char form[] = "write it like mqtts://broker.example:8883";
    if (!field_is_text(reader, node, "a broker's address"))
        return false;
    const char *host = strstr(node->text, "://");
    url->tls = strncmp(node->text, "mqtts://", 8) == 0;
    if (host == NULL || (!url->tls && strncmp(node->text, "mqtt://", 7) != 0))
        return field_error(reader, node, "\"%.100s\" is no mqtt:// or mqtts:// address; %s",
                           node->text, form);
    host += 3;
    if (strchr(host, '@') != NULL)
        return field_error(reader, node,
                           "no user or password in the address; use username and password_file");
    bool bracket = host[0] == '[';
    host += bracket;
    size_t length = bracket ? strcspn(host, "]") : strcspn(host, ":/?#");
    const char *rest = host + length + (bracket && host[length] == ']');
    if (length == 0 || length > 253 || strspn(host, HOST_CHARACTERS) < length)
        return field_error(reader, node, "\"%.100s\" has no usable host; %s", node->text, form);
    int64_t port = url->tls ? 8883 : 1883;
    if (rest[0] == ':' && (!scalar_integer(rest + 1, &port) || port < 1 || port > UINT16_MAX))
        return field_error(reader, node, "port \"%.40s\" is not 1 to 65535", rest + 1);
    if (rest[0] != '\0' && rest[0] != ':')
        return field_error(reader, node, "nothing follows the port of a broker's address; %s",
                           form);
    url->host = arena_copy(reader->arena, host, length);
    url->port = (uint16_t)port;
    return true;
}

static bool parse_urls(const struct reader *reader, const struct field *field,
                       const struct node *node, void *out)
{
    struct settings_uplink *uplink = out;
    bool good = true;
    if (!field_list(reader, field, node, NULL))
        return false;
    uplink->urls = arena_array(reader->arena, node->count, sizeof(*uplink->urls));
    for (const struct node *item = node->first; item != NULL; item = item->next) {
        if (parse_url(reader, item, &uplink->urls[uplink->url_count]))
            uplink->url_count++;
        else
            good = false;
    }
    return good;
}

static bool parse_sectors(const struct reader *reader, const struct field *field,
                          const struct node *node, void *out)
{
    bool *sectors = out;
    bool good = true;
    if (node->kind == NODE_TEXT && strcmp(node->text, field->fallback) == 0) {
        for (unsigned int i = 1; i < SECTOR_COUNT; i++)
            sectors[i] = true;
        return true;
    }
    if (!field_list(reader, field, node, NULL))
        return false;
    for (const struct node *item = node->first; item != NULL; item = item->next) {
        struct field one = *field;
        one.key = "sector";
        enum sector sector = SECTOR_UNSPECIFIED;
        if (field_sector(reader, &one, item, &sector))
            sectors[sector] = true;
        else
            good = false;
    }
    return good;
}

/* The overrides are read when the device's profile is known. */
static bool parse_points(const struct reader *reader, const struct field *field,
                         const struct node *node, void *out)
{
    (void)field;
    (void)out;
    if (node->kind == NODE_MAP)
        return true;
    return field_error(reader, node,
                       "points is a map of the profile's points, like { tilt_x: { deadband: 0.1 } "
                       "}, not %s",
                       tree_kind_name(node->kind));
}

static const struct choice CRS[] = {
    {"CGCS2000", CRS_CGCS2000},
    {"WGS84", CRS_WGS84},
    {NULL, 0},
};

static const struct choice TRANSPORTS[] = {
    {"rtu", TRANSPORT_RTU},
    {"tcp", TRANSPORT_TCP},
    {"rtu-over-tcp", TRANSPORT_RTU_OVER_TCP},
    {NULL, 0},
};

static const struct choice CONFIRMS[] = {
    {"broker", CONFIRM_BROKER},
    {"subscriber", CONFIRM_SUBSCRIBER},
    {"platform", CONFIRM_PLATFORM},
    {NULL, 0},
};

static const struct choice COMPRESSIONS[] = {
    {"none", COMPRESS_NONE},
    {"zstd", COMPRESS_ZSTD},
    {NULL, 0},
};

#define AT(member) offsetof(struct settings, member)

static const struct field GATEWAY_FIELDS[] = {
    {.key = "id",
     .parse = field_name,
     .offset = AT(gateway.id),
     .required = true,
     .max = "32",
     .characters = FIELD_LOWER FIELD_DIGITS "-",
     .help = "its name in topics and to the broker, unique in the city"},
    {.key = "region",
     .parse = parse_code,
     .offset = AT(gateway.region),
     .required = true,
     .max = "6",
     .help = "the GB/T 2260 code of the county or district, like \"140502\""},
    {.key = "name",
     .parse = field_text,
     .offset = AT(gateway.name),
     .fallback = "",
     .max = "200",
     .help = "what people call it"},
    {.key = "position",
     .parse = parse_position,
     .offset = AT(gateway.position),
     .help = "[longitude, latitude]"},
    {.key = "crs",
     .parse = parse_crs,
     .offset = AT(gateway.crs),
     .choices = CRS,
     .help = "the system of every position in the file: CGCS2000 or WGS84"},
    {.key = "trusted_rtc",
     .parse = field_bool,
     .offset = AT(gateway.trusted_rtc),
     .fallback = "false",
     .help = "the board has a battery-backed clock that is right at boot"},
};

static const struct field STORE_FIELDS[] = {
    {.key = "path",
     .parse = parse_path,
     .offset = AT(store.path),
     .fallback = "/var/lib/lifeline/store.db",
     .help = "the database file"},
    {.key = "sync",
     .parse = field_duration,
     .offset = AT(store.sync_ms),
     .fallback = "1s",
     .min = "100ms",
     .max = "60s",
     .help = "the most that a power cut may cost"},
    {.key = "segment",
     .parse = field_duration,
     .offset = AT(store.segment_ms),
     .fallback = "60s",
     .min = "1s",
     .max = "1h",
     .help = "how long readings are gathered before they are published"},
    {.key = "heartbeat",
     .parse = field_duration,
     .offset = AT(store.heartbeat_ms),
     .fallback = "1h",
     .min = "1s",
     .max = "7d",
     .help = "an unchanged value is kept at least this often"},
    {.key = "retain",
     .parse = field_long_duration,
     .offset = AT(store.retain_ms),
     .fallback = "30d",
     .min = "1h",
     .max = "3660d",
     .help = "how long readings are kept"},
    {.key = "max_size",
     .parse = field_long_size,
     .offset = AT(store.max_size),
     .fallback = "256MiB",
     .min = "4MiB",
     .max = "1024GiB",
     .help = "the most space on disk"},
};

static const struct field API_FIELDS[] = {
    {.key = "socket",
     .parse = parse_path,
     .offset = AT(api.socket),
     .fallback = "/run/lifeline/api.sock",
     .max = "100",
     .help = "the unix socket of the local interface"},
    {.key = "http",
     .parse = field_text,
     .offset = AT(api.http),
     .help = "HOST:PORT, to serve it on TCP too"},
};

static const struct section GATEWAY = {"gateway", GATEWAY_FIELDS, COUNT(GATEWAY_FIELDS)};
static const struct section STORE = {"store", STORE_FIELDS, COUNT(STORE_FIELDS)};
static const struct section API = {"api", API_FIELDS, COUNT(API_FIELDS)};

static const struct field SETTINGS_FIELDS[] = {
    {.key = "gateway",
     .parse = field_section,
     .section = &GATEWAY,
     .required = true,
     .help = "who this gateway is"},
    {.key = "store", .parse = field_section, .section = &STORE, .help = "what is kept on disk"},
    {.key = "lines",
     .parse = field_list,
     .required = true,
     .help = "the serial lines and TCP connections that sensors hang on"},
    {.key = "devices", .parse = field_list, .help = "the sensors"},
    {.key = "uplinks", .parse = field_list, .help = "the brokers that data goes to"},
    {.key = "api", .parse = field_section, .section = &API, .help = "the local interface"},
};

const struct section SETTINGS = {"the file", SETTINGS_FIELDS, COUNT(SETTINGS_FIELDS)};

#undef AT
#define AT(member) offsetof(struct settings_line, member)

static const struct field LINE_FIELDS[] = {
    {.key = "name",
     .parse = field_name,
     .offset = AT(name),
     .required = true,
     .max = "32",
     .characters = NAME_CHARACTERS,
     .help = "what devices refer to"},
    {.key = "transport",
     .parse = field_choice,
     .offset = AT(transport),
     .choices = TRANSPORTS,
     .required = true,
     .help = "rtu, tcp or rtu-over-tcp"},
    {.key = "device",
     .parse = parse_path,
     .offset = AT(device),
     .help = "the serial port, like /dev/ttyS1"},
    {.key = "serial",
     .parse = field_serial,
     .offset = AT(serial),
     .fallback = "9600 8N1",
     .help = "baud rate, data bits, parity, stop bits"},
    {.key = "host",
     .parse = field_name,
     .offset = AT(host),
     .max = "253",
     .characters = HOST_CHARACTERS,
     .help = "name or address"},
    {.key = "port",
     .parse = field_u16,
     .offset = AT(port),
     .fallback = "502",
     .min = "1",
     .max = "65535",
     .help = "TCP port"},
    {.key = "timeout",
     .parse = field_duration,
     .offset = AT(timeout_ms),
     .fallback = "300ms",
     .min = "20ms",
     .max = "60s",
     .help = "how long an answer may take"},
    {.key = "retries",
     .parse = field_u8,
     .offset = AT(retries),
     .fallback = "1",
     .min = "0",
     .max = "5",
     .help = "how often a request is repeated"},
};

const struct section SETTINGS_LINE = {"a line", LINE_FIELDS, COUNT(LINE_FIELDS)};

#undef AT
#define AT(member) offsetof(struct device_draft, device.member)

static const struct field DEVICE_FIELDS[] = {
    {.key = "name",
     .parse = field_name,
     .offset = AT(name),
     .required = true,
     .max = "64",
     .characters = NAME_CHARACTERS,
     .help = "unique in the gateway"},
    {.key = "line",
     .parse = field_text,
     .offset = offsetof(struct device_draft, line),
     .required = true,
     .min = "1",
     .help = "the name of the line that it hangs on"},
    {.key = "unit",
     .parse = field_u8,
     .offset = AT(unit),
     .required = true,
     .min = "0",
     .max = "255",
     .help = "the Modbus unit (slave address)"},
    {.key = "base",
     .parse = field_u16,
     .offset = AT(base),
     .fallback = "0",
     .help = "added to every register address of the profile"},
    {.key = "profile",
     .parse = field_text,
     .offset = offsetof(struct device_draft, profile),
     .required = true,
     .min = "1",
     .help = "the sensor model: a file NAME.yaml in the profile path"},
    {.key = "sector",
     .parse = field_sector,
     .offset = AT(sector),
     .help = "the department it belongs to; the profile's when not given"},
    {.key = "title",
     .parse = field_text,
     .offset = AT(title),
     .fallback = "",
     .max = "200",
     .help = "what people call it"},
    {.key = "asset",
     .parse = parse_code,
     .offset = AT(asset),
     .fallback = "",
     .max = "16",
     .help = "GB/T 30428.2: region 6, class 2, subclass 2, number 6"},
    {.key = "grid",
     .parse = parse_code,
     .offset = AT(grid),
     .fallback = "",
     .max = "15",
     .help = "GB/T 30428.1: region 6, street 3, community 3, number 3"},
    {.key = "position",
     .parse = parse_position,
     .offset = AT(position),
     .help = "[longitude, latitude]"},
    {.key = "every",
     .parse = field_duration,
     .offset = AT(every_ms),
     .fallback = "60s",
     .min = "10ms",
     .max = "1d",
     .help = "how often it is read"},
    {.key = "every_alarm",
     .parse = field_duration,
     .offset = AT(every_alarm_ms),
     .min = "10ms",
     .max = "1d",
     .help = "how often it is read while one of its alarms is up"},
    {.key = "points", .parse = parse_points, .help = "overrides for single points"},
};

const struct section SETTINGS_DEVICE = {"a device", DEVICE_FIELDS, COUNT(DEVICE_FIELDS)};

#undef AT
#define AT(member) offsetof(struct settings_point, member)

static const struct field POINT_FIELDS[] = {
    {.key = "deadband",
     .parse = field_number,
     .offset = AT(deadband),
     .min = "0",
     .max = "1e12",
     .help = "a value that moved less is not kept; in the point's unit"},
    {.key = "every",
     .parse = field_duration,
     .offset = AT(every_ms),
     .min = "10ms",
     .max = "1d",
     .help = "how often it is read; the device's when not given"},
    {.key = "mount_height",
     .parse = field_number,
     .offset = AT(mount_height),
     .min = "0",
     .max = "1e6",
     .help = "height of the sensor above the zero of the value; in the point's unit"},
};

const struct section SETTINGS_POINT = {"a point", POINT_FIELDS, COUNT(POINT_FIELDS)};

#undef AT
#define AT(member) offsetof(struct settings_uplink, member)

static const struct field TLS_FIELDS[] = {
    {.key = "ca",
     .parse = parse_path,
     .offset = AT(ca),
     .help = "file with the certificates of the authority that signed the broker's"},
    {.key = "cert", .parse = parse_path, .offset = AT(cert), .help = "our own certificate"},
    {.key = "key", .parse = parse_path, .offset = AT(key), .help = "our own private key"},
};

static const struct section TLS = {"tls", TLS_FIELDS, COUNT(TLS_FIELDS)};

static const struct field UPLINK_FIELDS[] = {
    {.key = "name",
     .parse = field_name,
     .offset = AT(name),
     .required = true,
     .max = "32",
     .characters = NAME_CHARACTERS,
     .help = "unique in the gateway"},
    {.key = "urls",
     .parse = parse_urls,
     .required = true,
     .min = "1",
     .help = "the broker and its stand-ins, like [ \"mqtts://broker-a:8883\" ]"},
    {.key = "root",
     .parse = parse_root,
     .offset = AT(root),
     .fallback = "lifeline/v1",
     .max = "64",
     .characters = FIELD_LOWER FIELD_UPPER FIELD_DIGITS "-_./",
     .help = "what every topic begins with"},
    {.key = "username",
     .parse = field_text,
     .offset = AT(username),
     .min = "1",
     .help = "the user"},
    {.key = "password_file",
     .parse = parse_path,
     .offset = AT(password_file),
     .help = "a file that holds the password and nothing else"},
    {.key = "tls",
     .parse = field_section,
     .section = &TLS,
     .help = "{ ca: ..., cert: ..., key: ... }"},
    {.key = "keepalive",
     .parse = field_duration,
     .offset = AT(keepalive_ms),
     .fallback = "60s",
     .min = "5s",
     .max = "18h",
     .help = "the broker notices our death after one and a half of this"},
    {.key = "sectors",
     .parse = parse_sectors,
     .offset = AT(sectors),
     .fallback = "all",
     .min = "1",
     .help = "which sectors go there"},
    {.key = "confirm",
     .parse = field_choice,
     .offset = AT(confirm),
     .choices = CONFIRMS,
     .fallback = "broker",
     .help = "whose word counts as delivered"},
    {.key = "compress",
     .parse = field_choice,
     .offset = AT(compress),
     .choices = COMPRESSIONS,
     .fallback = "none",
     .help = "none or zstd"},
    {.key = "max_payload",
     .parse = field_size,
     .offset = AT(max_payload),
     .fallback = "128KiB",
     .min = "64KiB",
     .max = "8MiB",
     .help = "the largest message that the broker takes"},
};

const struct section SETTINGS_UPLINK = {"an uplink", UPLINK_FIELDS, COUNT(UPLINK_FIELDS)};
