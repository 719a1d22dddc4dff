/* Reads the points of a profile and checks that each can be read, decoded and judged.
 *
 * Runs in the thread that loads a configuration; fills structs of the profile's arena. Whatever
 * decode would have to guess about later (a span that fits no request, bits that a type does not
 * have, a unit that is not the quantity's) is refused here. */
#include <stdlib.h>
#include <string.h>

#include "config/profile_parts.h"
#include "config/scalar.h"

static const struct choice FUNCTIONS[] = {
    {"coil", FUNCTION_COIL},
    {"discrete", FUNCTION_DISCRETE},
    {"input", FUNCTION_INPUT},
    {"holding", FUNCTION_HOLDING},
    {NULL, 0},
};

static const struct choice TYPES[] = {
    {"u16", REGISTER_U16},
    {"i16", REGISTER_I16},
    {"u32", REGISTER_U32},
    {"i32", REGISTER_I32},
    {"u64", REGISTER_U64},
    {"i64", REGISTER_I64},
    {"f32", REGISTER_F32},
    {"f64", REGISTER_F64},
    {"bit", REGISTER_BIT},
    {"bcd16", REGISTER_BCD16},
    {"bcd32", REGISTER_BCD32},
    {"digit_bcd16", REGISTER_DIGIT_BCD16},
    {"byte_fraction", REGISTER_BYTE_FRACTION},
    {NULL, 0},
};

static const struct choice ORDERS[] = {
    {"ABCD", ORDER_ABCD},
    {"CDAB", ORDER_CDAB},
    {"BADC", ORDER_BADC},
    {"DCBA", ORDER_DCBA},
    {NULL, 0},
};

static bool parse_invalid(const struct reader *reader, const struct field *field,
                          const struct node *node, void *out)
{
    struct profile_point *point = out;
    (void)field;
    if (node->kind != NODE_LIST)
        return field_error(reader, node, "invalid is a list of raw values, like [0x7fff, -9999]");
    point->invalid = arena_array(reader->arena, node->count, sizeof(*point->invalid));
    for (const struct node *item = node->first; item != NULL; item = item->next) {
        int64_t value;
        if (!field_is_text(reader, item, "a raw value"))
            return false;
        if (!scalar_integer(item->text, &value))
            return field_error(reader, item, "\"%.40s\" is not a raw value like 0x7fff or -9999",
                               item->text);
        point->invalid[point->invalid_count++] = (uint64_t)value;
    }
    return true;
}

static const struct field_type INVALID = {.read = parse_invalid,
                                          .name = {"整数列表", "list of whole numbers"}};

/* Read by profile_selector_read(), when the point's unit is known. */
static bool parse_selector(const struct reader *reader, const struct field *field,
                           const struct node *node, void *out)
{
    (void)out;
    if (node->kind == NODE_MAP)
        return true;
    return field_error(reader, node, "%s is a map like { address: 3 }", field->key);
}

static const struct field_type SELECTOR = {.read = parse_selector, .name = {"映射", "map"}};

static const struct field TITLE_FIELDS[] = {
    {.key = "zh",
     .type = &FIELD_TEXT,
     .offset = offsetof(struct profile_point, title_zh),
     .max = "100",
     .help = {"中文名称", "what it is called in Chinese"}},
    {.key = "en",
     .type = &FIELD_TEXT,
     .offset = offsetof(struct profile_point, title_en),
     .max = "100",
     .help = {"英文名称", "what it is called in English"}},
};

static const struct section TITLE = {"title", TITLE_FIELDS, 2};

static const struct field POINT_FIELDS[] = {
    {.key = "name",
     .type = &FIELD_NAME,
     .offset = offsetof(struct profile_point, name),
     .required = true,
     .max = "32",
     .characters = "a-z 0-9 _",
     .help = {"a-z 0-9 _，模板内唯一", "a-z 0-9 _, unique in the profile"}},
    {.key = "quantity",
     .type = &FIELD_NAME,
     .offset = offsetof(struct profile_point, quantity),
     .required = true,
     .max = "32",
     .characters = "a-z 0-9 _",
     .help = {"该专业的量，或 raw", "a quantity of the sector's class, or raw"}},
    {.key = "unit",
     .type = &FIELD_TEXT,
     .offset = offsetof(struct profile_point, unit),
     .min = "1",
     .max = "16",
     .help = {"上送值的单位；默认为该量的", "the unit of the value that is sent; the quantity's"}},
    {.key = "title",
     .type = &FIELD_SECTION,
     .section = &TITLE,
     .help = {"{ zh: …, en: … }；不写时取该量的",
              "{ zh: ..., en: ... }; the quantity's when not given"}},
    {.key = "function",
     .type = &FIELD_CHOICE,
     .offset = offsetof(struct profile_point, function),
     .choices = FUNCTIONS,
     .required = true,
     .help = {"coil、discrete、input 或 holding", "coil, discrete, input or holding"}},
    {.key = "address",
     .type = &FIELD_U16,
     .offset = offsetof(struct profile_point, address),
     .required = true,
     .help = {"报文中的地址，从 0 起", "as on the wire, counted from 0"}},
    {.key = "type",
     .type = &FIELD_CHOICE,
     .offset = offsetof(struct profile_point, type),
     .choices = TYPES,
     .required = true,
     .help = {"寄存器中的数据类型", "what the registers hold"}},
    {.key = "order",
     .type = &FIELD_CHOICE,
     .offset = offsetof(struct profile_point, order),
     .choices = ORDERS,
     .fallback = "ABCD",
     .help = {"字节顺序，A 为最高字节", "where the bytes stand, A the most significant"}},
    {.key = "mask",
     .type = &FIELD_U16,
     .offset = offsetof(struct profile_point, mask),
     .fallback = "0xffff",
     .min = "1",
     .max = "0xffff",
     .help = {"16 位类型中有效的位，移到第 0 位",
              "the bits that count, of a 16-bit type; shifted down to bit 0"}},
    {.key = "scale",
     .type = &FIELD_NUMBER,
     .offset = offsetof(struct profile_point, scale),
     .fallback = "1",
     .help = {"数值 = 原始值 × scale + offset", "value = raw x scale + offset"}},
    {.key = "offset",
     .type = &FIELD_NUMBER,
     .offset = offsetof(struct profile_point, offset),
     .fallback = "0",
     .help = {"数值 = 原始值 × scale + offset", "value = raw x scale + offset"}},
    {.key = "decimals",
     .type = &FIELD_U8,
     .offset = offsetof(struct profile_point, decimals),
     .fallback = "0",
     .min = "0",
     .max = "9",
     .help = {"上送值的小数位数", "digits behind the point of the value that is sent"}},
    {.key = "min",
     .type = &FIELD_NUMBER,
     .offset = offsetof(struct profile_point, min),
     .help = {"可能的最小值；默认为该量的", "smallest value that can be true; the quantity's"}},
    {.key = "max",
     .type = &FIELD_NUMBER,
     .offset = offsetof(struct profile_point, max),
     .help = {"可能的最大值；默认为该量的", "largest value that can be true; the quantity's"}},
    {.key = "invalid",
     .type = &INVALID,
     .help = {"表示“无数据”的原始值", "raw values that mean: no value"}},
    {.key = "unit_from",
     .type = &SELECTOR,
     .items = &PROFILE_UNIT_FROM,
     .help = {"指明单位的寄存器", "the register that says the unit"}},
    {.key = "decimals_from",
     .type = &SELECTOR,
     .items = &PROFILE_DECIMALS_FROM,
     .help = {"指明小数位数的寄存器", "the register with the decimals"}},
    {.key = "status_from",
     .type = &SELECTOR,
     .items = &PROFILE_STATUS_FROM,
     .help = {"指明状态的寄存器", "the register with the status"}},
    {.key = "lel",
     .type = &FIELD_NUMBER,
     .offset = offsetof(struct profile_point, lel),
     .min = "0.1",
     .max = "100",
     .help = {"100 %LEL 时的体积浓度 %VOL；unit_from 中 %LEL 与其他单位并存时用",
              "%VOL of the gas at 100 %LEL, where unit_from has %LEL beside another unit"}},
    {.key = "wrap",
     .type = &FIELD_NUMBER,
     .offset = offsetof(struct profile_point, wrap),
     .min = "0.000001",
     .max = "1e18",
     .help = {"累计值到此值归零", "a counter falls back to 0 at this value"}},
    {.key = "below_mount",
     .type = &FIELD_BOOL,
     .offset = offsetof(struct profile_point, below_mount),
     .fallback = "false",
     .help = {"寄存器是从安装点向下的距离",
              "the register is a distance down from where the sensor hangs"}},
};

const struct section PROFILE_POINT = {"a point", POINT_FIELDS,
                                      sizeof(POINT_FIELDS) / sizeof(POINT_FIELDS[0])};

static unsigned int type_bits(enum register_type type)
{
    return type == REGISTER_BIT ? 1 : 16U * profile_type_registers(type);
}

/* The value of a key that was given, or the point itself: where to show an error. */
static const struct node *at(const struct node *map, const char *key)
{
    const struct node *member = tree_member(map, key);
    return member == NULL ? map : member;
}

static bool check_type(const struct reader *reader, const struct node *map,
                       const struct profile_point *point)
{
    bool bits = profile_is_bits(point->function);
    unsigned int width = type_bits(point->type);
    if (bits != (point->type == REGISTER_BIT))
        return field_error(reader, at(map, "type"),
                           bits ? "a coil or discrete input has the type bit"
                                : "a register has no type bit; use u16 with a mask");
    if (width < 32 && point->order != ORDER_ABCD && point->order != ORDER_BADC)
        return field_error(reader, at(map, "order"),
                           "one register has no word order; only BADC (bytes swapped) is possible");
    if (width != 16 && tree_member(map, "mask") != NULL)
        return field_error(reader, at(map, "mask"), "mask is for 16-bit types");
    unsigned int shifted = (unsigned int)point->mask >> __builtin_ctz(point->mask);
    if ((shifted & (shifted + 1)) != 0)
        return field_error(reader, at(map, "mask"), "the bits of a mask stand side by side");
    if ((uint32_t)point->address + profile_type_registers(point->type) > 0x10000)
        return field_error(reader, at(map, "address"), "the value goes beyond address 65535");
    return true;
}

static bool check_invalid(const struct reader *reader, const struct node *map,
                          const struct profile_point *point)
{
    unsigned int width = type_bits(point->type);
    const struct node *list = tree_member(map, "invalid");
    const struct node *item = list == NULL ? NULL : list->first;
    for (size_t i = 0; i < point->invalid_count; i++, item = item->next) {
        int64_t value = (int64_t)point->invalid[i];
        bool fits =
            width == 64 || (value < INT64_C(1) << width && value >= -(INT64_C(1) << (width - 1)));
        if (!fits)
            return field_error(reader, item, "the type has %u bits; %s does not fit", width,
                               item->text);
        if (width < 64)
            point->invalid[i] &= (UINT64_C(1) << width) - 1;
    }
    return true;
}

static bool check_number(const struct reader *reader, const struct node *map,
                         const struct profile_point *point)
{
    bool is_real = point->type == REGISTER_F32 || point->type == REGISTER_F64;
    if (point->scale == 0)
        return field_error(reader, at(map, "scale"), "scale 0 makes every value 0");
    if (point->type == REGISTER_F64 && tree_member(map, "decimals") == NULL)
        return field_error(reader, map, "a point of type f64 needs the key \"decimals\"");
    if ((tree_member(map, "min") == NULL) != (tree_member(map, "max") == NULL))
        return field_error(reader, map, "min and max are given together or not at all");
    if (tree_member(map, "min") != NULL && point->min >= point->max)
        return field_error(reader, at(map, "min"), "min must be smaller than max");
    if (point->wrap != 0 && point->below_mount)
        return field_error(reader, at(map, "wrap"), "a distance below the mount does not wrap");
    if (point->wrap != 0 && is_real)
        return field_error(reader, at(map, "wrap"), "only an integer register wraps");
    return true;
}

static void take_from_quantity(const struct reader *reader, const struct node *map,
                               quantity_lookup lookup, const struct profile *profile,
                               struct profile_point *point)
{
    const struct quantity *quantity =
        lookup == NULL ? NULL : lookup(profile->sector, point->quantity);
    if (lookup != NULL && quantity == NULL)
        field_error(reader, at(map, "quantity"), "sector %s measures no quantity \"%s\"",
                    names_sector(profile->sector), point->quantity);
    if (quantity != NULL && point->unit != NULL && strcmp(point->unit, quantity->unit) != 0)
        field_error(reader, at(map, "unit"),
                    "the unit of %s is \"%s\", not \"%s\"; convert with scale or unit_from",
                    point->quantity, quantity->unit, point->unit);
    if (point->unit == NULL)
        point->unit = arena_text(reader->arena, quantity == NULL ? "1" : quantity->unit);
    if (point->title_zh == NULL)
        point->title_zh =
            arena_text(reader->arena, quantity == NULL ? point->name : quantity->title_zh);
    if (point->title_en == NULL)
        point->title_en =
            arena_text(reader->arena, quantity == NULL ? point->name : quantity->title_en);
    point->own_range = tree_member(map, "min") != NULL;
    if (quantity != NULL && !point->own_range) {
        point->min = quantity->min;
        point->max = quantity->max;
    }
}

void profile_point_span(const struct profile_point *point, uint32_t *first, uint32_t *end)
{
    const struct profile_selector *selectors[] = {&point->unit_from, &point->decimals_from,
                                                  &point->status_from};
    *first = point->address;
    *end = *first + profile_type_registers(point->type);
    for (size_t i = 0; i < sizeof(selectors) / sizeof(selectors[0]); i++) {
        if (!selectors[i]->present)
            continue;
        if (selectors[i]->address < *first)
            *first = selectors[i]->address;
        if (selectors[i]->address + 1U > *end)
            *end = selectors[i]->address + 1U;
    }
}

static bool check_span(const struct reader *reader, const struct node *map,
                       const struct profile *profile, const struct profile_point *point)
{
    uint32_t first, end;
    profile_point_span(point, &first, &end);
    if (end - first <= profile->max_registers)
        return true;
    return field_error(reader, map,
                       "point \"%s\" needs the registers %u to %u in one request; that is %u, and "
                       "max_registers is %u",
                       point->name, first, end - 1, end - first, profile->max_registers);
}

static bool is_first_of_its_name(const struct reader *reader, const struct node *map,
                                 const struct profile *profile, const struct profile_point *point)
{
    for (const struct profile_point *other = profile->points; other < point; other++) {
        if (strcmp(other->name, point->name) == 0)
            return field_error(reader, at(map, "name"),
                               "point \"%s\" is there twice; the first is in line %u", point->name,
                               other->place.line);
    }
    return true;
}

static bool read_point(const struct reader *reader, const struct node *map, quantity_lookup lookup,
                       const struct profile *profile, struct profile_point *point)
{
    if (!field_read(reader, &PROFILE_POINT, map, point))
        return false;
    point->place = tree_member(map, "name")->place;
    point->is_float = point->type == REGISTER_F32 && tree_member(map, "decimals") == NULL;
    take_from_quantity(reader, map, lookup, profile, point);
    return is_first_of_its_name(reader, map, profile, point) && check_type(reader, map, point) &&
           check_invalid(reader, map, point) && check_number(reader, map, point) &&
           profile_selector_read(reader, map, point) && check_span(reader, map, profile, point);
}

void profile_point_read(const struct reader *reader, const struct node *list,
                        quantity_lookup lookup, struct profile *profile)
{
    if (list == NULL || list->kind != NODE_LIST)
        return;
    profile->points = arena_array(reader->arena, list->count, sizeof(*profile->points));
    for (const struct node *item = list->first; item != NULL; item = item->next) {
        struct profile_point *point = &profile->points[profile->point_count];
        if (read_point(reader, item, lookup, profile, point))
            profile->point_count++;
        else
            *point = (struct profile_point){0};
    }
}
