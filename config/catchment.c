/* Reads the catchments of gateway.yaml and finds the points that they name.
 *
 * Runs in the thread that loads a configuration, when the devices are known; what it reads lies in
 * the arena of the settings. A point that is no rain counter, or no flow, is refused at its place
 * with what would be right. Never decides what an event is: that is gateway/flow/runoff.c. */
#include "config/catchment.h"

#include <stdio.h>
#include <string.h>

#include "config/scalar.h"
#include "config/settings_parts.h"
#include "config/suggest.h"
#include "config/units.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { CATCHMENTS_MAX = 64 };

/* ---- the tables ---- */

struct base_flow {
    bool given; /* a number */
    double value;
};

struct outfall_draft {
    char *point;
    double cutoff;
    struct base_flow base;
};

struct catchment_draft {
    struct catchment catchment;
    struct base_flow base;
};

/* What becomes points is read when the devices are known. */
static bool is_points(const struct reader *reader, const struct field *field,
                      const struct node *node, void *out)
{
    (void)out;
    if (node->kind == NODE_LIST)
        return field_list(reader, field, node, NULL);
    return field_is_text(reader, node, "DEVICE.POINT or a list of them");
}

static bool read_base_flow(const struct reader *reader, const struct field *field,
                           const struct node *node, void *out)
{
    struct base_flow *base = out;
    *base = (struct base_flow){0};
    if (node->kind == NODE_TEXT && strcmp(node->text, "own") == 0)
        return true;
    double ignored;
    if (node->kind == NODE_TEXT && !scalar_number(node->text, &ignored))
        return field_error(reader, node,
                           "%s \"%.40s\" is neither \"own\" (learned in dry weather) nor a number",
                           field->key, node->text);
    base->given = field_number(reader, field, node, &base->value);
    return base->given;
}

static const struct field_type POINTS = {.read = is_points,
                                         .name = {"设备.测点，或列表", "DEVICE.POINT, or a list"},
                                         .bounds = BOUNDS_ITEMS};
static const struct field_type BASE_FLOW = {.read = read_base_flow,
                                            .name = {"数值或 own", "number, or own"}};

#define AT(member) offsetof(struct outfall_draft, member)

static const struct field OUTFALL_FIELDS[] = {
    {.key = "point",
     .type = &FIELD_TEXT,
     .offset = AT(point),
     .required = true,
     .min = "1",
     .help = {"流量测点，设备.测点", "DEVICE.POINT of its flow"}},
    {.key = "cutoff",
     .type = &FIELD_NUMBER,
     .offset = AT(cutoff),
     .min = "0",
     .max = "1e9",
     .help = {"低于此流量传感器测不出；单位同测点",
              "the flow below which the sensor sees nothing; in the point's unit"}},
    {.key = "base_flow",
     .type = &BASE_FLOW,
     .offset = AT(base),
     .min = "0",
     .max = "1e9",
     .help = {"旱天流量，单位同测点；own 为自学习",
              "its dry-weather flow in the point's unit, or own: learned"}},
};

static const struct section OUTFALL = {"an outfall", OUTFALL_FIELDS, COUNT(OUTFALL_FIELDS)};

#undef AT
#define AT(member) offsetof(struct catchment_draft, catchment.member)

static const struct field CATCHMENT_FIELDS[] = {
    {.key = "name",
     .type = &FIELD_NAME,
     .offset = AT(name),
     .required = true,
     .max = "32",
     .characters = "a-z A-Z 0-9 - _ .",
     .help = {"本网关内唯一", "unique in the gateway"}},
    {.key = "area",
     .type = &FIELD_NUMBER,
     .offset = AT(area_ha),
     .required = true,
     .min = "0.001",
     .max = "100000",
     .help = {"面积，公顷", "in ha"}},
    {.key = "rain",
     .type = &POINTS,
     .required = true,
     .min = "1",
     .help = {"雨量计测点（设备.测点），可以是列表",
              "DEVICE.POINT of a rain counter, or a list of several"}},
    {.key = "outfalls",
     .type = &POINTS,
     .items = &OUTFALL,
     .required = true,
     .min = "1",
     .help = {"各个有流量计的排口的流量测点（设备.测点）",
              "DEVICE.POINT of the flow of each gauged outlet"}},
    {.key = "outfalls_total",
     .type = &FIELD_U16,
     .offset = AT(outfalls_total),
     .min = "1",
     .max = "1000",
     .help = {"排口总数，包括没有流量计的", "how many outlets the catchment has, gauged or not"}},
    {.key = "dry_gap",
     .type = &FIELD_DURATION,
     .offset = AT(dry_gap_ms),
     .fallback = "6h",
     .min = "2h",
     .max = "24h",
     .help = {"无雨这么久以后再下的算另一场", "rain after so long without any is another event"}},
    {.key = "flow_error",
     .type = &FIELD_NUMBER,
     .offset = AT(flow_error_percent),
     .fallback = "10",
     .min = "0.1",
     .max = "100",
     .help = {"流量误差，%", "how wrong the flow may be, in %"}},
    {.key = "rain_error",
     .type = &FIELD_NUMBER,
     .offset = AT(rain_error_percent),
     .fallback = "5",
     .min = "0.1",
     .max = "100",
     .help = {"雨量误差，%", "how wrong the rain may be, in %"}},
    {.key = "area_error",
     .type = &FIELD_NUMBER,
     .offset = AT(area_error_percent),
     .fallback = "3",
     .min = "0.1",
     .max = "100",
     .help = {"面积误差，%", "how wrong the area may be, in %"}},
    {.key = "base_flow",
     .type = &BASE_FLOW,
     .offset = offsetof(struct catchment_draft, base),
     .fallback = "own",
     .min = "0",
     .max = "1e9",
     .help = {"各排口的旱天流量，单位同其测点；own 为自学习",
              "the dry-weather flow of each outfall in its point's unit, or own: learned"}},
    {.key = "target",
     .type = &FIELD_NUMBER,
     .offset = AT(target),
     .min = "0.01",
     .max = "1",
     .help = {"控制目标，如 0.75", "the share of the rain that is to stay, like 0.75"}},
    {.key = "design_rain",
     .type = &FIELD_NUMBER,
     .offset = AT(design_rain_mm),
     .min = "2",
     .max = "500",
     .help = {"设计降雨量，mm", "the rain that it was designed for, in mm"}},
};

const struct section SETTINGS_CATCHMENT = {"a catchment", CATCHMENT_FIELDS,
                                           COUNT(CATCHMENT_FIELDS)};

/* ---- points ---- */

/* What a catchment takes, and in what it counts. */
static const struct need {
    const char *what;
    const char *quantities[2];
    const char *unit;
} RAIN = {"a rain counter (quantity rain, in mm)", {"rain", "rain"}, "mm"},
  FLOW = {"a flow (quantity flow, in m³/h, or discharge, in m³/s)", {"flow", "discharge"}, "m³/s"};

struct found {
    struct rule_point point;
    const struct profile_point *profile;
    uint32_t every_ms;
    double factor;
};

static bool serves(const struct need *need, const struct profile_point *point, double *factor)
{
    return (strcmp(point->quantity, need->quantities[0]) == 0 ||
            strcmp(point->quantity, need->quantities[1]) == 0) &&
           units_factor(point->unit, need->unit, factor);
}

/* DEVICE.POINT of the first point of a device, from `from` on, that serves; NULL when there is none
 * any more. */
static const char *next_serving(const struct loader *loader, const struct need *need,
                                const struct settings_device *device, size_t *from)
{
    double ignored;
    size_t count =
        device->profile == NULL || device->name == NULL ? 0 : device->profile->point_count;
    while (*from < count) {
        const struct profile_point *point = &device->profile->points[(*from)++];
        char name[200];
        if (!serves(need, point, &ignored))
            continue;
        snprintf(name, sizeof name, "%s.%s", device->name, point->name);
        return arena_text(loader->reader.arena, name);
    }
    return NULL;
}

static struct suggest suggest_points(const struct loader *loader, const struct need *need,
                                     const char *name)
{
    struct suggest suggest = suggest_start(name);
    const char *candidate;
    for (size_t d = 0; d < loader->settings->device_count; d++) {
        size_t from = 0;
        while ((candidate = next_serving(loader, need, &loader->settings->devices[d], &from)))
            suggest_offer(&suggest, candidate);
    }
    return suggest;
}

/* The point of the same device that serves is what was meant, however it is written. */
static bool refuse_point(const struct loader *loader, const struct need *need,
                         const struct node *node, const struct settings_device *device,
                         const struct profile_point *point)
{
    size_t from = 0;
    const char *right = next_serving(loader, need, device, &from);
    return field_error(&loader->reader, node, "%s.%s is %s in %s; needed is %s%s%s", device->name,
                       point->name, point->quantity, point->unit, need->what,
                       right == NULL ? "" : ", like ", right == NULL ? "" : right);
}

/* The device of that beginning of a name, which may hold dots itself; -1 when there is none. */
static long find_device(const struct settings *settings, const char *name, size_t length)
{
    for (size_t d = 0; d < settings->device_count; d++) {
        const char *own = settings->devices[d].name;
        if (own != NULL && strlen(own) == length && memcmp(own, name, length) == 0)
            return (long)d;
    }
    return -1;
}

static bool find_point(const struct loader *loader, const struct need *need,
                       const struct node *node, const char *name, struct found *out)
{
    const struct settings *settings = loader->settings;
    struct suggest suggest = suggest_points(loader, need, name);
    const char *dot = strrchr(name, '.');
    if (dot == NULL || dot == name || dot[1] == '\0')
        return field_error(&loader->reader, node, "\"%.64s\" is no DEVICE.POINT%s", name,
                           suggest_text(&suggest));
    long d = find_device(settings, name, (size_t)(dot - name));
    if (d < 0)
        return field_error(&loader->reader, node, "device \"%.*s\" does not exist%s",
                           (int)(dot - name < 64 ? dot - name : 64), name, suggest_text(&suggest));
    const struct settings_device *device = &settings->devices[d];
    if (device->profile == NULL)
        return false; /* said at the device */
    int p = profile_point_index(device->profile, dot + 1);
    if (p < 0)
        return field_error(&loader->reader, node, "device \"%s\" has no point \"%.64s\"%s",
                           device->name, dot + 1, suggest_text(&suggest));
    out->point = (struct rule_point){(uint32_t)d, (uint32_t)p};
    out->profile = &device->profile->points[p];
    out->every_ms = device->points[p].every_ms;
    if (!serves(need, out->profile, &out->factor))
        return refuse_point(loader, need, node, device, out->profile);
    if (out->every_ms != UINT32_MAX && out->every_ms > CATCHMENT_EVERY_MAX_MS)
        return field_error(&loader->reader, node,
                           "%s is read every %us; runoff needs it at least every %us", name,
                           out->every_ms / 1000, CATCHMENT_EVERY_MAX_MS / 1000);
    return true;
}

/* The first item of a list, or the text that stands for a list of one; NULL when it is neither. */
static const struct node *first_item(const struct node *node, size_t *count)
{
    *count = node == NULL ? 0 : node->kind == NODE_LIST ? node->count : node->kind == NODE_TEXT;
    return *count == 0 ? NULL : node->kind == NODE_LIST ? node->first : node;
}

static const struct node *next_item(const struct node *list, const struct node *item)
{
    return list->kind == NODE_LIST ? item->next : NULL;
}

static bool is_too_many(const struct loader *loader, const struct node *list, size_t count,
                        size_t most)
{
    if (count <= most)
        return false;
    field_error(&loader->reader, list, "%zu are too many; the most is %zu", count, most);
    return true;
}

static void refuse_twice(const struct loader *loader, const struct node *node, const char *name)
{
    field_error(&loader->reader, node, "%s is there twice", name);
}

static void read_gauges(const struct loader *loader, const struct node *list,
                        struct catchment *catchment)
{
    size_t count;
    const struct node *item = first_item(list, &count);
    if (item == NULL || is_too_many(loader, list, count, CATCHMENT_GAUGES_MAX))
        return;
    catchment->gauges = arena_array(loader->reader.arena, count, sizeof(*catchment->gauges));
    for (; item != NULL; item = next_item(list, item)) {
        struct catchment_gauge *gauge = &catchment->gauges[catchment->gauge_count];
        struct found found;
        if (!field_is_text(&loader->reader, item, "DEVICE.POINT") ||
            !find_point(loader, &RAIN, item, item->text, &found))
            continue;
        *gauge = (struct catchment_gauge){.name = arena_text(loader->reader.arena, item->text),
                                          .point = found.point,
                                          .every_ms = found.every_ms,
                                          .to_mm = found.factor,
                                          .wrap_mm = found.profile->wrap * found.factor};
        for (size_t i = 0; i < catchment->gauge_count; i++) {
            if (strcmp(catchment->gauges[i].name, gauge->name) == 0)
                refuse_twice(loader, item, gauge->name);
        }
        catchment->gauge_count++;
    }
}

/* Text is short for { point: TEXT }. */
static bool read_outfall(const struct loader *loader, const struct node *item,
                         const struct base_flow *base, struct catchment_outfall *out)
{
    struct outfall_draft draft = {.base = *base};
    struct found found;
    if (item->kind == NODE_TEXT)
        draft.point = arena_text(loader->reader.arena, item->text);
    else if (!field_read(&loader->reader, &OUTFALL, item, &draft))
        return false;
    if (!find_point(loader, &FLOW, settings_at(item, "point"), draft.point, &found))
        return false;
    *out = (struct catchment_outfall){.name = draft.point,
                                      .point = found.point,
                                      .every_ms = found.every_ms,
                                      .to_m3_s = found.factor,
                                      .cutoff_m3_s = draft.cutoff * found.factor,
                                      .base_is_own = !draft.base.given,
                                      .base_m3_s = draft.base.value * found.factor};
    return true;
}

static void read_outfalls(const struct loader *loader, const struct node *list,
                          const struct base_flow *base, struct catchment *catchment)
{
    size_t count;
    const struct node *item = first_item(list, &count);
    if (item == NULL || is_too_many(loader, list, count, CATCHMENT_OUTFALLS_MAX))
        return;
    catchment->outfalls = arena_array(loader->reader.arena, count, sizeof(*catchment->outfalls));
    for (; item != NULL; item = next_item(list, item)) {
        struct catchment_outfall *outfall = &catchment->outfalls[catchment->outfall_count];
        if (!read_outfall(loader, item, base, outfall))
            continue;
        for (size_t i = 0; i < catchment->outfall_count; i++) {
            if (strcmp(catchment->outfalls[i].name, outfall->name) == 0)
                refuse_twice(loader, settings_at(item, "point"), outfall->name);
        }
        catchment->outfall_count++;
    }
}

static void read_one(const struct loader *loader, const struct node *node,
                     struct catchment *catchment)
{
    struct catchment_draft draft = {0};
    field_read(&loader->reader, &SETTINGS_CATCHMENT, node, &draft);
    *catchment = draft.catchment;
    catchment->place = settings_at(node, "name")->place;
    const struct node *outfalls = tree_member(node, "outfalls");
    read_gauges(loader, tree_member(node, "rain"), catchment);
    read_outfalls(loader, outfalls, &draft.base, catchment);
    size_t listed;
    first_item(outfalls, &listed);
    if (catchment->outfalls_total == 0)
        catchment->outfalls_total = (uint16_t)catchment->outfall_count;
    else if (catchment->outfalls_total < listed)
        field_error(&loader->reader, tree_member(node, "outfalls_total"),
                    "outfalls_total %u is less than the %zu outfalls that are listed",
                    catchment->outfalls_total, listed);
}

void catchment_read(struct loader *loader)
{
    struct settings *settings = loader->settings;
    const struct node *list = tree_member(loader->root, "catchments");
    if (list == NULL || list->kind != NODE_LIST ||
        is_too_many(loader, list, list->count, CATCHMENTS_MAX))
        return;
    settings->catchments =
        arena_array(loader->reader.arena, list->count, sizeof(*settings->catchments));
    for (const struct node *node = list->first; node != NULL; node = node->next) {
        struct catchment *catchment = &settings->catchments[settings->catchment_count++];
        read_one(loader, node, catchment);
        for (size_t i = 0; i + 1 < settings->catchment_count; i++) {
            const struct catchment *earlier = &settings->catchments[i];
            if (catchment->name != NULL && earlier->name != NULL &&
                strcmp(catchment->name, earlier->name) == 0)
                field_error(&loader->reader, tree_member(node, "name"),
                            "catchment \"%s\" is there twice; the first is in line %u",
                            catchment->name, earlier->place.line);
        }
    }
}

/* ---- a reload ---- */

static bool is_equal(double a, double b)
{
    return !(a < b) && !(a > b);
}

static bool same_gauge(const struct catchment_gauge *a, const struct catchment_gauge *b)
{
    return strcmp(a->name, b->name) == 0 && a->every_ms == b->every_ms &&
           is_equal(a->to_mm, b->to_mm) && is_equal(a->wrap_mm, b->wrap_mm);
}

static bool same_outfall(const struct catchment_outfall *a, const struct catchment_outfall *b)
{
    return strcmp(a->name, b->name) == 0 && a->every_ms == b->every_ms &&
           is_equal(a->to_m3_s, b->to_m3_s) && is_equal(a->cutoff_m3_s, b->cutoff_m3_s) &&
           a->base_is_own == b->base_is_own && is_equal(a->base_m3_s, b->base_m3_s);
}

bool catchment_same(const struct catchment *a, const struct catchment *b)
{
    bool same = strcmp(a->name, b->name) == 0 && is_equal(a->area_ha, b->area_ha) &&
                a->gauge_count == b->gauge_count && a->outfall_count == b->outfall_count &&
                a->outfalls_total == b->outfalls_total && a->dry_gap_ms == b->dry_gap_ms &&
                is_equal(a->flow_error_percent, b->flow_error_percent) &&
                is_equal(a->rain_error_percent, b->rain_error_percent) &&
                is_equal(a->area_error_percent, b->area_error_percent) &&
                is_equal(a->target, b->target) && is_equal(a->design_rain_mm, b->design_rain_mm);
    for (size_t i = 0; same && i < a->gauge_count; i++)
        same = same_gauge(&a->gauges[i], &b->gauges[i]);
    for (size_t i = 0; same && i < a->outfall_count; i++)
        same = same_outfall(&a->outfalls[i], &b->outfalls[i]);
    return same;
}
