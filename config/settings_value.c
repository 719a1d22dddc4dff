/* The parsers that only gateway.yaml needs: positions, codes, paths, topics, broker addresses.
 *
 * Used by the field tables, in the thread that loads a configuration; what they read goes into the
 * caller's struct and arena. */
#include <stdlib.h>
#include <string.h>

#include "config/scalar.h"
#include "config/settings_parts.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* What no coordinate in China lies outside of. */
enum { LONGITUDE_MIN = 73, LONGITUDE_MAX = 136, LATITUDE_MIN = 3, LATITUDE_MAX = 54 };

static bool is_between(double value, int min, int max)
{
    return value >= min && value <= max;
}

static bool read_position(const struct reader *reader, const struct field *field,
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

static bool read_crs(const struct reader *reader, const struct field *field,
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
static bool read_code(const struct reader *reader, const struct field *field,
                      const struct node *node, void *out)
{
    if (!field_is_text(reader, node, "a code of digits"))
        return false;
    if (node->text[0] == '\0' && field->fallback != NULL) {
        *(char **)out = arena_text(reader->arena, "");
        return true;
    }
    size_t wanted = strtoul(field->max, NULL, 10);
    if (strlen(node->text) != wanted || strspn(node->text, "0123456789") != wanted)
        return field_error(reader, node, "%s \"%.40s\" is not %zu digits: %s", field->key,
                           node->text, wanted, field->help.en);
    if (!is_province(node->text))
        return field_error(reader, node,
                           "%s \"%.40s\" begins with %.6s, which is no region of GB/T 2260 (no "
                           "province %.2s)",
                           field->key, node->text, node->text, node->text);
    *(char **)out = arena_text(reader->arena, node->text);
    return true;
}

static bool read_path(const struct reader *reader, const struct field *field,
                      const struct node *node, void *out)
{
    if (!field_text(reader, field, node, out))
        return false;
    if (node->text[0] == '/')
        return true;
    return field_error(reader, node, "%s is a whole path that begins with /, not \"%.60s\"",
                       field->key, node->text);
}

static bool read_root(const struct reader *reader, const struct field *field,
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
    if (strchr(node->text, '@') != NULL)
        return field_error(reader, node,
                           "no user or password in the address; use username and password_file");
    const char *host = strstr(node->text, "://");
    url->tls = strncmp(node->text, "mqtts://", 8) == 0;
    if (host == NULL || (!url->tls && strncmp(node->text, "mqtt://", 7) != 0))
        return field_error(reader, node, "\"%.100s\" is no mqtt:// or mqtts:// address; %s",
                           node->text, form);
    host += 3;
    bool bracket = host[0] == '[';
    host += bracket;
    size_t length = bracket ? strcspn(host, "]") : strcspn(host, ":/?#");
    const char *rest = host + length + (bracket && host[length] == ']');
    if (length == 0 || length > 253 || !field_allows(SETTINGS_HOST_CHARACTERS, host, length))
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

static bool read_urls(const struct reader *reader, const struct field *field,
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

static bool read_sectors(const struct reader *reader, const struct field *field,
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
static bool read_points(const struct reader *reader, const struct field *field,
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

/* Read when the packs and all devices are known (rule_apply.c). */
static bool read_rules(const struct reader *reader, const struct field *field,
                       const struct node *node, void *out)
{
    (void)field;
    (void)out;
    return node->kind == NODE_MAP ||
           field_error(reader, node,
                       "alarms is a map of rules, like { flooded: { above: { 3: 270 } } }, not %s",
                       tree_kind_name(node->kind));
}

static const char *sector_choice(unsigned int value)
{
    return FIELD_SECTOR.choice(value);
}

const struct field_type SETTINGS_VALUE_POSITION = {.read = read_position,
                                                   .name = {"坐标", "position"}};
const struct field_type SETTINGS_VALUE_CRS = {.read = read_crs, .name = {"选项", "choice"}};
const struct field_type SETTINGS_VALUE_CODE = {
    .read = read_code, .name = {"数字代码", "code"}, .bounds = BOUNDS_DIGITS};
const struct field_type SETTINGS_VALUE_PATH = {
    .read = read_path, .name = {"绝对路径", "absolute path"}, .bounds = BOUNDS_BYTES};
const struct field_type SETTINGS_VALUE_ROOT = {
    .read = read_root, .name = {"主题", "topic"}, .bounds = BOUNDS_CHARACTERS};
const struct field_type SETTINGS_VALUE_URLS = {
    .read = read_urls, .name = {"地址列表", "list of addresses"}, .bounds = BOUNDS_ITEMS};
const struct field_type SETTINGS_VALUE_SECTORS = {
    .read = read_sectors,
    .name = {"专业列表，或 all", "list of sectors, or all"},
    .bounds = BOUNDS_ITEMS,
    .choice = sector_choice,
    .choice_count = SECTOR_COUNT};
const struct field_type SETTINGS_VALUE_POINTS = {
    .read = read_points, .name = {"测点名: { … }", "map of POINT: { ... }"}};
const struct field_type SETTINGS_VALUE_RULES = {
    .read = read_rules, .name = {"规则名: { … } 或 off", "map of NAME: { ... }, or off"}};
