/* Compares two configurations by the field tables that read them: a key that is added there is
 * compared here without anybody thinking of it.
 * Pure; the main thread of the daemon calls it at a reload. What a table's parser writes is told by
 * the parser; one that is unknown here counts as a difference, and a test sees it. A profile is
 * compared by the digest of its file's text.
 * Never judges whether a difference matters to anybody. */
#include "config/settings_diff.h"

#include <stdio.h>
#include <string.h>

#include "config/scalar.h"
#include "config/settings_parts.h"

static bool same_text(const void *a, const void *b)
{
    const char *left = *(char *const *)a, *right = *(char *const *)b;
    return left && right ? strcmp(left, right) == 0 : left == right;
}

static bool same_bool(const void *a, const void *b)
{
    return *(const bool *)a == *(const bool *)b;
}

static bool same_8(const void *a, const void *b)
{
    return *(const uint8_t *)a == *(const uint8_t *)b;
}

static bool same_16(const void *a, const void *b)
{
    return *(const uint16_t *)a == *(const uint16_t *)b;
}

static bool same_32(const void *a, const void *b)
{
    return *(const uint32_t *)a == *(const uint32_t *)b;
}

static bool same_64(const void *a, const void *b)
{
    return *(const uint64_t *)a == *(const uint64_t *)b;
}

static bool same_number(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return !(*left < *right) && !(*left > *right);
}

static bool same_serial(const void *a, const void *b)
{
    return scalar_serial_is_same(a, b);
}

static bool same_position(const void *a, const void *b)
{
    const struct position *left = a, *right = b;
    return left->present == right->present && same_number(&left->longitude, &right->longitude) &&
           same_number(&left->latitude, &right->latitude);
}

static bool same_sectors(const void *a, const void *b)
{
    return memcmp(a, b, SECTOR_COUNT * sizeof(bool)) == 0;
}

static bool same_urls(const void *a, const void *b)
{
    const struct settings_uplink *left = a, *right = b;
    bool same = left->url_count == right->url_count;
    for (size_t i = 0; same && i < left->url_count; i++)
        same = left->urls[i].tls == right->urls[i].tls &&
               left->urls[i].port == right->urls[i].port &&
               strcmp(left->urls[i].host, right->urls[i].host) == 0;
    return same;
}

/* Names of other sections, and lists: compared by those who know them. */
static bool same_anyway(const void *a, const void *b)
{
    (void)a;
    (void)b;
    return true;
}

/* What a type writes. */
static const struct kind {
    const struct field_type *type;
    bool (*same)(const void *a, const void *b);
} kinds[] = {
    {&FIELD_TEXT, same_text},
    {&FIELD_NAME, same_text},
    {&SETTINGS_VALUE_CODE, same_text},
    {&SETTINGS_VALUE_PATH, same_text},
    {&SETTINGS_VALUE_ROOT, same_text},
    {&FIELD_BOOL, same_bool},
    {&FIELD_U8, same_8},
    {&FIELD_U16, same_16},
    {&FIELD_DURATION, same_32},
    {&FIELD_SIZE, same_32},
    {&FIELD_CHOICE, same_32},
    {&FIELD_SECTOR, same_32},
    {&SETTINGS_VALUE_CRS, same_32},
    {&FIELD_LONG_DURATION, same_64},
    {&FIELD_LONG_SIZE, same_64},
    {&FIELD_NUMBER, same_number},
    {&FIELD_SERIAL, same_serial},
    {&SETTINGS_VALUE_POSITION, same_position},
    {&SETTINGS_VALUE_SECTORS, same_sectors},
    {&SETTINGS_VALUE_URLS, same_urls},
    {&SETTINGS_VALUE_POINTS, same_anyway},
    {&SETTINGS_VALUE_RULES, same_anyway},
    {&FIELD_LIST, same_anyway},
};

static bool same_section(const struct section *section, const void *a, const void *b);

static bool same_field(const struct field *field, const void *a, const void *b)
{
    if (field->section)
        return same_section(field->section, a, b);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i].type == field->type)
            return kinds[i].same((const char *)a + field->offset, (const char *)b + field->offset);
    }
    return false;
}

static bool same_section(const struct section *section, const void *a, const void *b)
{
    bool same = true;
    for (size_t i = 0; same && i < section->count; i++)
        same = same_field(&section->fields[i], a, b);
    return same;
}

/* ---- what needs a restart ---- */

/* Of the gateway only what topics and numbers hang on; the rest is told anew. */
static bool is_lasting(const char *section, const char *key)
{
    if (strcmp(section, "gateway") == 0)
        return strcmp(key, "id") == 0 || strcmp(key, "region") == 0;
    return true;
}

size_t settings_diff_restart(const struct settings *a, const struct settings *b, char *out,
                             size_t size)
{
    size_t count = 0, length = 0;
    out[0] = '\0';
    for (size_t s = 0; s < SETTINGS.count; s++) {
        const struct section *section = SETTINGS.fields[s].section;
        for (size_t i = 0; section && i < section->count; i++) {
            const struct field *field = &section->fields[i];
            if (!is_lasting(section->name, field->key) || same_field(field, a, b))
                continue;
            int wrote = snprintf(out + length, size - length, "%s%s.%s", count ? ", " : "",
                                 section->name, field->key);
            length += wrote > 0 ? (size_t)wrote : 0;
            length = length < size ? length : size - 1;
            count++;
        }
    }
    return count;
}

/* ---- lines and uplinks ---- */

static bool same_points(const struct settings_device *a, const struct settings_device *b)
{
    bool same = true;
    for (size_t p = 0; same && p < a->profile->point_count; p++)
        same = a->points[p].has_deadband == b->points[p].has_deadband &&
               same_section(&SETTINGS_POINT, &a->points[p], &b->points[p]);
    return same;
}

/* The table of a device reads a draft, which begins with the device; the names of its line and
 * profile lie behind it. */
static bool same_device(const struct settings_device *a, const struct settings_device *b)
{
    _Static_assert(offsetof(struct device_draft, device) == 0, "offsets are those of a device");
    bool same = a->has_every_alarm == b->has_every_alarm;
    for (size_t i = 0; same && i < SETTINGS_DEVICE.count; i++) {
        const struct field *field = &SETTINGS_DEVICE.fields[i];
        same = field->offset >= sizeof *a || same_field(field, a, b);
    }
    return same && strcmp(a->profile->name, b->profile->name) == 0 &&
           a->profile->digest == b->profile->digest && same_points(a, b);
}

/* The next device of a line at or behind d; device_count when there is none. */
static size_t next_of_line(const struct settings *settings, size_t line, size_t d)
{
    while (d < settings->device_count && settings->devices[d].line != line)
        d++;
    return d;
}

bool settings_diff_same_line(const struct settings *a, size_t a_line, const struct settings *b,
                             size_t b_line)
{
    if (!same_section(&SETTINGS_LINE, &a->lines[a_line], &b->lines[b_line]))
        return false;
    size_t i = next_of_line(a, a_line, 0), j = next_of_line(b, b_line, 0);
    while (i < a->device_count && j < b->device_count) {
        if (!same_device(&a->devices[i], &b->devices[j]))
            return false;
        i = next_of_line(a, a_line, i + 1);
        j = next_of_line(b, b_line, j + 1);
    }
    return i == a->device_count && j == b->device_count;
}

/* The client id is the gateway's own for the uplink that stands first. */
bool settings_diff_same_uplink(const struct settings_uplink *a, const struct settings_uplink *b)
{
    return same_text(&a->client_id, &b->client_id) && same_section(&SETTINGS_UPLINK, a, b);
}

/* ---- alarm rules: no line or uplink hangs on them ---- */

static bool same_point(struct rule_point a, struct rule_point b)
{
    return a.device == b.device && a.point == b.point;
}

static bool same_cast(const struct rule *a, const struct rule *b)
{
    for (size_t c = 0; c < a->condition_count; c++) {
        if (!same_point(a->conditions[c].point, b->conditions[c].point))
            return false;
    }
    for (size_t r = 0; r < RULE_ROLES_MAX; r++) {
        bool same = a->roles[r].count == b->roles[r].count;
        for (size_t i = 0; same && i < a->roles[r].count; i++)
            same = same_point(a->roles[r].points[i], b->roles[r].points[i]);
        if (!same)
            return false;
    }
    return true;
}

/* What stands in an event counts too. */
static bool same_sources(const struct rule *a, const struct rule *b)
{
    bool same = true;
    for (unsigned level = 1; same && level < LEVEL_COUNT; level++)
        same = same_text(&a->levels[level].source, &b->levels[level].source);
    return same;
}

static bool same_rules(const struct rules *a, const struct rules *b)
{
    bool same = a->count == b->count;
    for (size_t r = 0; same && r < a->count; r++)
        same = strcmp(a->rules[r]->name, b->rules[r]->name) == 0 &&
               rule_same(a->rules[r], b->rules[r]) && same_cast(a->rules[r], b->rules[r]) &&
               same_sources(a->rules[r], b->rules[r]);
    return same;
}

static bool same_alarms(const struct settings_device *a, const struct settings_device *b)
{
    bool same = same_rules(&a->rules, &b->rules);
    for (size_t p = 0; same && p < a->profile->point_count; p++)
        same = same_rules(&a->points[p].rules, &b->points[p].rules);
    return same;
}

bool settings_diff_same(const struct settings *a, const struct settings *b)
{
    bool same = same_section(&SETTINGS, a, b) && a->line_count == b->line_count &&
                a->device_count == b->device_count && a->uplink_count == b->uplink_count &&
                a->catchment_count == b->catchment_count;
    for (size_t l = 0; same && l < a->line_count; l++)
        same = settings_diff_same_line(a, l, b, l);
    for (size_t d = 0; same && d < a->device_count; d++)
        same = strcmp(a->devices[d].name, b->devices[d].name) == 0 &&
               same_alarms(&a->devices[d], &b->devices[d]);
    for (size_t u = 0; same && u < a->uplink_count; u++)
        same = settings_diff_same_uplink(&a->uplinks[u], &b->uplinks[u]);
    for (size_t c = 0; same && c < a->catchment_count; c++)
        same = catchment_same(&a->catchments[c], &b->catchments[c]);
    return same;
}
