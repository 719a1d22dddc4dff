/* Reads the registers that say how to read another: its unit, its decimals, its status.
 *
 *     unit_from:     { address: 2, mask: 0xf000, units: { 0: MPa, 1: kPa } }
 *     decimals_from: { address: 3 }      or with mask and codes: { 0: 0, 4: 1, 8: 2, 12: 3 }
 *     status_from:   { address: 5, mask: 0xff, codes: { 0: warmup, 1: good, 3: sensor_fault } }
 *
 * Runs in the thread that loads a configuration; fills structs of the profile's arena. */
#include <string.h>

#include "config/profile_parts.h"
#include "config/scalar.h"
#include "config/suggest.h"
#include "config/units.h"

/* What the right side of a code means; false after reporting what is wrong with it. */
typedef bool (*meaning_parser)(const struct reader *reader, const struct profile_point *point,
                               const struct node *node, struct profile_code *code);

static bool unit_meaning(const struct reader *reader, const struct profile_point *point,
                         const struct node *node, struct profile_code *code)
{
    const char *quantity = point->quantity == NULL ? "" : point->quantity;
    if (units_gas_factor(quantity, point->lel, node->text, point->unit, &code->factor))
        return true;
    if (strcmp(node->text, "%LEL") == 0 || strcmp(point->unit, "%LEL") == 0)
        return field_error(reader, node,
                           "\"%.20s\" converts into \"%s\" only with the gas's `lel`, in %%VOL",
                           node->text, point->unit);
    return field_error(reader, node, "\"%.20s\" cannot be converted into the point's unit \"%s\"",
                       node->text, point->unit);
}

static bool decimals_meaning(const struct reader *reader, const struct profile_point *point,
                             const struct node *node, struct profile_code *code)
{
    int64_t value;
    (void)point;
    if (!scalar_integer(node->text, &value) || value < 0 || value > 9)
        return field_error(reader, node, "\"%.20s\" is no number of decimals (0 to 9)", node->text);
    code->decimals = (uint8_t)value;
    return true;
}

static bool status_meaning(const struct reader *reader, const struct profile_point *point,
                           const struct node *node, struct profile_code *code)
{
    (void)point;
    if (names_quality_parse(node->text, &code->quality))
        return true;
    struct suggest suggest = suggest_start(node->text);
    for (unsigned int i = QUALITY_GOOD; i <= QUALITY_STALE; i++)
        suggest_offer(&suggest, names_quality((enum quality)i));
    return field_error(reader, node, "there is no quality \"%.40s\"%s", node->text,
                       suggest_text(&suggest));
}

static bool parse_codes(const struct reader *reader, const struct field *field,
                        const struct node *node, void *out)
{
    (void)out;
    if (node->kind == NODE_MAP && node->first != NULL)
        return true;
    return field_error(reader, node,
                       "\"%s\" is a map from codes to what they mean, like { 0: ... }", field->key);
}

static const struct field_type CODES = {.read = parse_codes,
                                        .name = {"代码: 含义", "map of CODE: meaning"}};

/* Which of the codes a kind has, and whether it must. */
#define SELECTOR_FIELDS(codes_key, codes_required, codes_zh, codes_en)                             \
    {                                                                                              \
        {.key = "address",                                                                         \
         .type = &FIELD_U16,                                                                       \
         .offset = offsetof(struct profile_selector, address),                                     \
         .required = true,                                                                         \
         .help = {"报文中的地址，从 0 起", "as on the wire, counted from 0"}},                     \
            {.key = "mask",                                                                        \
             .type = &FIELD_U16,                                                                   \
             .offset = offsetof(struct profile_selector, mask),                                    \
             .fallback = "0xffff",                                                                 \
             .min = "1",                                                                           \
             .max = "0xffff",                                                                      \
             .help = {"有效的位，移到第 0 位", "the bits that count; shifted down to bit 0"}},     \
        {                                                                                          \
            .key = codes_key, .type = &CODES, .required = codes_required, .help = {                \
                codes_zh,                                                                          \
                codes_en                                                                           \
            }                                                                                      \
        }                                                                                          \
    }

static const struct field UNIT_FIELDS[] =
    SELECTOR_FIELDS("units", true, "各代码的含义，如 { 0: MPa, 1: kPa }",
                    "what each code means, like { 0: MPa, 1: kPa }");
static const struct field DECIMALS_FIELDS[] = SELECTOR_FIELDS(
    "codes", false, "各代码的含义，如 { 4: 1, 8: 2 }", "what each code means, like { 4: 1, 8: 2 }");
static const struct field STATUS_FIELDS[] =
    SELECTOR_FIELDS("codes", true, "各代码的含义，如 { 0: warmup, 1: good }",
                    "what each code means, like { 0: warmup, 1: good }");

const struct section PROFILE_UNIT_FROM = {"unit_from", UNIT_FIELDS, 3};
const struct section PROFILE_DECIMALS_FROM = {"decimals_from", DECIMALS_FIELDS, 3};
const struct section PROFILE_STATUS_FROM = {"status_from", STATUS_FIELDS, 3};

static bool has_code(const struct profile_selector *selector, uint32_t code)
{
    for (size_t i = 0; i < selector->code_count; i++) {
        if (selector->codes[i].code == code)
            return true;
    }
    return false;
}

static bool read_codes(const struct reader *reader, const struct profile_point *point,
                       const struct node *map, meaning_parser meaning,
                       struct profile_selector *selector)
{
    bool good = true;
    uint32_t largest = (uint32_t)selector->mask >> __builtin_ctz(selector->mask);
    selector->codes = arena_array(reader->arena, map->count, sizeof(*selector->codes));
    for (const struct node *member = map->first; member != NULL; member = member->next) {
        struct profile_code code = {.factor = 1};
        int64_t number;
        if (!scalar_integer(member->key, &number) || number < 0 || number > largest) {
            diagnostics_add(reader->out, SEVERITY_ERROR, member->key_place,
                            "\"%.20s\" is no code; with this mask codes are 0 to %u", member->key,
                            largest);
            good = false;
            continue;
        }
        code.code = (uint32_t)number;
        if (has_code(selector, code.code)) {
            diagnostics_add(reader->out, SEVERITY_ERROR, member->key_place,
                            "code %u is there twice", code.code);
            good = false;
            continue;
        }
        if (!field_is_text(reader, member, "the meaning of the code") ||
            !meaning(reader, point, member, &code))
            good = false;
        else
            selector->codes[selector->code_count++] = code;
    }
    return good;
}

static bool read_selector(const struct reader *reader, const struct node *point_map,
                          const struct profile_point *point, const struct section *section,
                          meaning_parser meaning, struct profile_selector *selector)
{
    const struct node *map = tree_member(point_map, section->name);
    if (map == NULL)
        return true;
    if (point->type == REGISTER_BIT)
        return field_error(reader, map, "a coil or discrete input has no %s", section->name);
    if (!field_read(reader, section, map, selector))
        return false;
    selector->present = true;
    const struct node *codes = tree_member(map, section->fields[2].key);
    return codes == NULL || read_codes(reader, point, codes, meaning, selector);
}

bool profile_selector_read(const struct reader *reader, const struct node *map,
                           struct profile_point *point)
{
    bool unit =
        read_selector(reader, map, point, &PROFILE_UNIT_FROM, unit_meaning, &point->unit_from);
    bool decimals = read_selector(reader, map, point, &PROFILE_DECIMALS_FROM, decimals_meaning,
                                  &point->decimals_from);
    bool status = read_selector(reader, map, point, &PROFILE_STATUS_FROM, status_meaning,
                                &point->status_from);
    return unit && decimals && status;
}
