/* Reads one section of a file by its field table, and the parsers that tables name.
 *
 * Runs in the thread that loads a configuration. Owns nothing: what it reads goes into the caller's
 * struct and arena, what is wrong into the diagnostics. It never stops at the first error, and it
 * never accepts a key that no table knows. */
#include "config/field.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/scalar.h"
#include "config/suggest.h"

enum { TEXT_MAX = 1000 };

bool field_error(const struct reader *reader, const struct node *node, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    diagnostics_add(reader->out, SEVERITY_ERROR, node->place, "%s", text);
    return false;
}

bool field_is_text(const struct reader *reader, const struct node *node, const char *what)
{
    if (node->kind == NODE_TEXT)
        return true;
    return field_error(reader, node, "%s is expected here, not %s", what,
                       tree_kind_name(node->kind));
}

static const struct field *find_field(const struct section *section, const char *key)
{
    for (size_t i = 0; i < section->count; i++) {
        if (strcmp(section->fields[i].key, key) == 0)
            return &section->fields[i];
    }
    return NULL;
}

static void unknown_key(const struct reader *reader, const struct section *section,
                        const struct node *member)
{
    struct suggest suggest = suggest_start(member->key);
    for (size_t i = 0; i < section->count; i++)
        suggest_offer(&suggest, section->fields[i].key);
    diagnostics_add(reader->out, SEVERITY_ERROR, member->key_place, "%s has no key \"%s\"%s",
                    section->name, member->key, suggest_text(&suggest));
}

static bool read_field(const struct reader *reader, const struct section *section,
                       const struct field *field, const struct node *map, void *base)
{
    void *out = (char *)base + field->offset;
    const struct node *member = tree_member(map, field->key);
    if (member == NULL && field->required) {
        diagnostics_add(reader->out, SEVERITY_ERROR, map->place, "%s needs the key \"%s\": %s",
                        section->name, field->key, field->help.en);
        return false;
    }
    if (member == NULL && field->section != NULL) {
        struct node empty = {.kind = NODE_MAP, .place = map->place};
        return field->type->read(reader, field, &empty, out);
    }
    if (member == NULL) {
        struct node fallback = {.kind = NODE_TEXT, .text = field->fallback, .place = map->place};
        return field->fallback == NULL || field->type->read(reader, field, &fallback, out);
    }
    if (member->kind == NODE_EMPTY)
        return field_error(reader, member, "\"%s\" has no value: %s", field->key, field->help.en);
    return field->type->read(reader, field, member, out);
}

bool field_read(const struct reader *reader, const struct section *section, const struct node *node,
                void *base)
{
    if (node->kind != NODE_MAP)
        return field_error(reader, node, "%s is a map of keys, not %s", section->name,
                           tree_kind_name(node->kind));
    bool good = true;
    for (const struct node *member = node->first; member != NULL; member = member->next) {
        if (find_field(section, member->key) == NULL) {
            unknown_key(reader, section, member);
            good = false;
        }
    }
    for (size_t i = 0; i < section->count; i++) {
        if (!read_field(reader, section, &section->fields[i], node, base))
            good = false;
    }
    return good;
}

static bool read_section(const struct reader *reader, const struct field *field,
                         const struct node *node, void *base)
{
    return field_read(reader, field->section, node, (char *)base - field->offset);
}

bool field_list(const struct reader *reader, const struct field *field, const struct node *node,
                void *out)
{
    (void)out;
    if (node->kind != NODE_LIST)
        return field_error(reader, node, "\"%s\" is a list, not %s", field->key,
                           tree_kind_name(node->kind));
    if (field->min != NULL && node->first == NULL)
        return field_error(reader, node, "the list \"%s\" is empty", field->key);
    return true;
}

static bool length_fits(const struct reader *reader, const struct field *field,
                        const struct node *node, size_t length, const char *what, const char *more)
{
    size_t min = field->min == NULL ? 1 : strtoul(field->min, NULL, 10);
    size_t max = field->max == NULL ? TEXT_MAX : strtoul(field->max, NULL, 10);
    if (length >= min && length <= max)
        return true;
    if (min == max)
        return field_error(reader, node, "%s has %zu %s, not %zu%s", field->key, min, what, length,
                           more);
    return field_error(reader, node, "%s has %zu to %zu %s, not %zu%s", field->key, min, max, what,
                       length, more);
}

bool field_text(const struct reader *reader, const struct field *field, const struct node *node,
                void *out)
{
    if (!field_is_text(reader, node, "a text"))
        return false;
    size_t length = strlen(node->text);
    while (length > 0 && node->text[length - 1] == '\n')
        length--;
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)node->text[i] < 0x20 || node->text[i] == 0x7f)
            return field_error(reader, node, "%s holds a line break or a control character",
                               field->key);
    }
    if (node->text[0] != '\0' || field->min != NULL) {
        if (!length_fits(reader, field, node, length, "bytes", "; a 汉字 has 3"))
            return false;
    }
    *(char **)out = arena_copy(reader->arena, node->text, length);
    return true;
}

static bool is_allowed(const char *set, char character)
{
    while (*set != '\0') {
        size_t length = strcspn(set, " ");
        bool is_range = length == 3;
        if (is_range ? character >= set[0] && character <= set[2] : character == set[0])
            return true;
        set += length + strspn(set + length, " ");
    }
    return false;
}

bool field_allows(const char *set, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!is_allowed(set, text[i]))
            return false;
    }
    return true;
}

bool field_name(const struct reader *reader, const struct field *field, const struct node *node,
                void *out)
{
    if (!field_is_text(reader, node, "a name") ||
        !length_fits(reader, field, node, strlen(node->text), "characters", ""))
        return false;
    if (!field_allows(field->characters, node->text, strlen(node->text)))
        return field_error(reader, node, "%s \"%.64s\" may hold only %s", field->key, node->text,
                           field->characters);
    *(char **)out = arena_text(reader->arena, node->text);
    return true;
}

bool field_bool(const struct reader *reader, const struct field *field, const struct node *node,
                void *out)
{
    if (!field_is_text(reader, node, "true or false"))
        return false;
    bool is_true = strcmp(node->text, "true") == 0;
    if (!is_true && strcmp(node->text, "false") != 0)
        return field_error(reader, node, "%s is true or false, not \"%.40s\"", field->key,
                           node->text);
    *(bool *)out = is_true;
    return true;
}

/* An integer in whatever notation, within the field's bounds or those of the type that holds it. */
static bool bounded(const struct reader *reader, const struct field *field, const struct node *node,
                    bool (*parse)(const char *text, int64_t *out), const char *notation,
                    int64_t type_max, int64_t *out)
{
    int64_t min = 0, max = type_max;
    if (!field_is_text(reader, node, notation))
        return false;
    if (!parse(node->text, out))
        return field_error(reader, node, "%s \"%.40s\" is not %s", field->key, node->text,
                           notation);
    bool has_min = field->min != NULL && parse(field->min, &min);
    bool has_max = field->max != NULL && parse(field->max, &max);
    if (*out >= min && *out <= max)
        return true;
    if (has_min && has_max)
        return field_error(reader, node, "%s must be between %s and %s, not %.40s", field->key,
                           field->min, field->max, node->text);
    return field_error(reader, node, "%s must be between %lld and %lld, not %.40s", field->key,
                       (long long)min, (long long)max, node->text);
}

static const char WHOLE_NUMBER[] = "a whole number like 12 or 0x0c";
static const char DURATION[] = "a duration; write it with its unit, like 250ms, 10s, 5m, 2h or 30d";
static const char SIZE[] = "a size; write it with its unit, like 64KiB, 256MiB or 1GiB";

static bool read_u8(const struct reader *reader, const struct field *field, const struct node *node,
                    void *out)
{
    int64_t value = 0;
    if (!bounded(reader, field, node, scalar_integer, WHOLE_NUMBER, UINT8_MAX, &value))
        return false;
    *(uint8_t *)out = (uint8_t)value;
    return true;
}

bool field_u16(const struct reader *reader, const struct field *field, const struct node *node,
               void *out)
{
    int64_t value = 0;
    if (!bounded(reader, field, node, scalar_integer, WHOLE_NUMBER, UINT16_MAX, &value))
        return false;
    *(uint16_t *)out = (uint16_t)value;
    return true;
}

static bool read_duration(const struct reader *reader, const struct field *field,
                          const struct node *node, void *out)
{
    int64_t value = 0;
    if (!bounded(reader, field, node, scalar_duration, DURATION, UINT32_MAX, &value))
        return false;
    *(uint32_t *)out = (uint32_t)value;
    return true;
}

static bool read_long_duration(const struct reader *reader, const struct field *field,
                               const struct node *node, void *out)
{
    int64_t value = 0;
    if (!bounded(reader, field, node, scalar_duration, DURATION, INT64_MAX, &value))
        return false;
    *(uint64_t *)out = (uint64_t)value;
    return true;
}

static bool read_size(const struct reader *reader, const struct field *field,
                      const struct node *node, void *out)
{
    int64_t value = 0;
    if (!bounded(reader, field, node, scalar_size, SIZE, UINT32_MAX, &value))
        return false;
    *(uint32_t *)out = (uint32_t)value;
    return true;
}

static bool read_long_size(const struct reader *reader, const struct field *field,
                           const struct node *node, void *out)
{
    int64_t value = 0;
    if (!bounded(reader, field, node, scalar_size, SIZE, INT64_MAX, &value))
        return false;
    *(uint64_t *)out = (uint64_t)value;
    return true;
}

bool field_number(const struct reader *reader, const struct field *field, const struct node *node,
                  void *out)
{
    double value, min, max;
    if (!field_is_text(reader, node, "a number"))
        return false;
    if (!scalar_number(node->text, &value))
        return field_error(reader, node, "%s \"%.40s\" is not a number like 0.1 or 25", field->key,
                           node->text);
    if ((field->min != NULL && scalar_number(field->min, &min) && value < min) ||
        (field->max != NULL && scalar_number(field->max, &max) && value > max))
        return field_error(reader, node, "%s must be %s%s%s%s%s, not %.40s", field->key,
                           field->min && field->max ? "between " : "", field->min ? field->min : "",
                           field->min && field->max ? " and " : "", field->max ? field->max : "",
                           !field->max   ? " or more"
                           : !field->min ? " or less"
                                         : "",
                           node->text);
    *(double *)out = value;
    return true;
}

static bool read_serial(const struct reader *reader, const struct field *field,
                        const struct node *node, void *out)
{
    if (!field_is_text(reader, node, "a serial setting like 9600 8N1"))
        return false;
    if (!scalar_serial(node->text, out))
        return field_error(reader, node,
                           "%s \"%.40s\" is not a serial setting; write the baud rate, data bits, "
                           "parity and stop bits, like 9600 8N1",
                           field->key, node->text);
    return true;
}

bool field_choice(const struct reader *reader, const struct field *field, const struct node *node,
                  void *out)
{
    if (!field_is_text(reader, node, "a single word"))
        return false;
    struct suggest suggest = suggest_start(node->text);
    char list[256] = "";
    for (const struct choice *choice = field->choices; choice->name != NULL; choice++) {
        if (strcmp(choice->name, node->text) == 0) {
            *(unsigned int *)out = choice->value;
            return true;
        }
        suggest_offer(&suggest, choice->name);
        size_t used = strlen(list);
        snprintf(list + used, sizeof(list) - used, "%s%s", used == 0 ? "" : ", ", choice->name);
    }
    return field_error(reader, node, "%s \"%.40s\" is not one of %s%s", field->key, node->text,
                       list, suggest_text(&suggest));
}

bool field_sector(const struct reader *reader, const struct field *field, const struct node *node,
                  void *out)
{
    struct choice choices[SECTOR_COUNT];
    for (unsigned int i = 1; i < SECTOR_COUNT; i++)
        choices[i - 1] = (struct choice){names_sector((enum sector)i), i};
    choices[SECTOR_COUNT - 1] = (struct choice){NULL, 0};
    struct field sectors = *field;
    sectors.choices = choices;
    return field_choice(reader, &sectors, node, out);
}

static const char *sector_choice(unsigned int value)
{
    return names_sector((enum sector)value);
}

const struct field_type FIELD_TEXT = {
    .read = field_text, .name = {"文本", "text"}, .bounds = BOUNDS_BYTES};
const struct field_type FIELD_NAME = {
    .read = field_name, .name = {"名称", "name"}, .bounds = BOUNDS_CHARACTERS};
const struct field_type FIELD_BOOL = {.read = field_bool,
                                      .name = {"true 或 false", "true or false"}};
const struct field_type FIELD_U8 = {
    .read = read_u8, .name = {"整数", "whole number"}, .min = "0", .max = "255"};
const struct field_type FIELD_U16 = {
    .read = field_u16, .name = {"整数", "whole number"}, .min = "0", .max = "65535"};
const struct field_type FIELD_NUMBER = {.read = field_number, .name = {"数值", "number"}};
const struct field_type FIELD_DURATION = {.read = read_duration, .name = {"时长", "duration"}};
const struct field_type FIELD_LONG_DURATION = {.read = read_long_duration,
                                               .name = {"时长", "duration"}};
const struct field_type FIELD_SIZE = {.read = read_size, .name = {"大小", "size"}};
const struct field_type FIELD_LONG_SIZE = {.read = read_long_size, .name = {"大小", "size"}};
const struct field_type FIELD_SERIAL = {.read = read_serial,
                                        .name = {"串口参数", "serial setting"}};
const struct field_type FIELD_CHOICE = {.read = field_choice, .name = {"选项", "choice"}};
const struct field_type FIELD_SECTOR = {.read = field_sector,
                                        .name = {"专业", "sector"},
                                        .choice = sector_choice,
                                        .choice_count = SECTOR_COUNT};
const struct field_type FIELD_SECTION = {.read = read_section, .name = {"分组", "section"}};
const struct field_type FIELD_LIST = {
    .read = field_list, .name = {"列表", "list"}, .bounds = BOUNDS_ITEMS};
