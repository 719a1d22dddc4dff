/* Reads the fingerprint of a profile: what some registers say of every sensor of its model.
 *
 *     fingerprint:
 *       - { function: holding, address: 8, mask: 0xff00, equals: 11 }
 *       - { function: holding, address: 2, equals: unit }
 *       - { function: holding, address: 1, max: 7 }
 *
 * Runs in the thread that loads a configuration; fills structs of the profile's arena. Comparing it
 * with a sensor is the drivers' business. */
#include <string.h>

#include "config/profile_parts.h"
#include "config/scalar.h"

static const struct choice FUNCTIONS[] = {
    {"holding", FUNCTION_HOLDING},
    {"input", FUNCTION_INPUT},
    {NULL, 0},
};

static bool parse_equals(const struct reader *reader, const struct field *field,
                         const struct node *node, void *out)
{
    struct profile_mark *mark = out;
    if (!field_is_text(reader, node, "a whole number or unit"))
        return false;
    mark->is_unit = strcmp(node->text, "unit") == 0;
    if (mark->is_unit)
        return true;
    if (!field_u16(reader, field, node, &mark->min))
        return false;
    mark->max = mark->min;
    return true;
}

static const struct field_type EQUALS = {.read = parse_equals,
                                         .name = {"整数或 unit", "whole number, or unit"},
                                         .min = "0",
                                         .max = "65535"};

/* `equals` comes last, after the defaults of `min` and `max`, which it fills. */
static const struct field MARK_FIELDS[] = {
    {.key = "function",
     .type = &FIELD_CHOICE,
     .offset = offsetof(struct profile_mark, function),
     .choices = FUNCTIONS,
     .required = true,
     .help = {"holding 或 input", "holding or input"}},
    {.key = "address",
     .type = &FIELD_U16,
     .offset = offsetof(struct profile_mark, address),
     .required = true,
     .help = {"报文中的地址，从 0 起", "as on the wire, counted from 0"}},
    {.key = "mask",
     .type = &FIELD_U16,
     .offset = offsetof(struct profile_mark, mask),
     .fallback = "0xffff",
     .min = "1",
     .max = "0xffff",
     .help = {"有效的位，移到第 0 位", "the bits that count; shifted down to bit 0"}},
    {.key = "min",
     .type = &FIELD_U16,
     .offset = offsetof(struct profile_mark, min),
     .fallback = "0",
     .help = {"最小值", "the least it may be"}},
    {.key = "max",
     .type = &FIELD_U16,
     .offset = offsetof(struct profile_mark, max),
     .fallback = "65535",
     .help = {"最大值", "the most it may be"}},
    {.key = "equals",
     .type = &EQUALS,
     .help = {"等于此值；unit 为本机从站地址", "what it is, or unit: the sensor's own"}},
};

const struct section PROFILE_MARK = {"a mark of the fingerprint", MARK_FIELDS,
                                     sizeof(MARK_FIELDS) / sizeof(MARK_FIELDS[0])};

static bool read_mark(const struct reader *reader, const struct node *node,
                      struct profile_mark *mark)
{
    if (!field_read(reader, &PROFILE_MARK, node, mark))
        return false;
    const struct node *equals = tree_member(node, "equals");
    const struct node *min = tree_member(node, "min"), *max = tree_member(node, "max");
    if (equals == NULL && min == NULL && max == NULL)
        return field_error(reader, node, "every register fits this; give equals, min or max");
    if (equals != NULL && (min != NULL || max != NULL))
        return field_error(reader, equals, "give equals, or min and max, not both");
    unsigned int largest = (unsigned int)mark->mask >> __builtin_ctz(mark->mask);
    if (!mark->is_unit && (mark->min > mark->max || mark->min > largest))
        return field_error(reader,
                           equals != NULL ? equals
                           : min != NULL  ? min
                                          : max,
                           "no register fits this; with this mask it is 0 to %u", largest);
    mark->place = node->place;
    return true;
}

void profile_fingerprint_read(const struct reader *reader, const struct node *list,
                              struct profile *profile)
{
    if (list == NULL || list->kind != NODE_LIST)
        return;
    profile->fingerprint = arena_array(reader->arena, list->count, sizeof(*profile->fingerprint));
    for (const struct node *item = list->first; item != NULL; item = item->next) {
        if (read_mark(reader, item, &profile->fingerprint[profile->fingerprint_count]))
            profile->fingerprint_count++;
    }
}
