/* Reads a scenario through field tables, as the configuration is read.
 *
 * Runs at the start of the simulator or of a test. Owns nothing: what it reads lies in the reader's
 * arena. Knows nothing of a configuration: whether the file makes sense by itself is all that it
 * judges. Never stops at the first error. */
#include <string.h>

#include "config/scalar.h"
#include "config/suggest.h"
#include "drivers/class.h"
#include "drivers/sim/sim_scenario_parts.h"

/* ---- pairs ---- */

static bool read_time(const struct reader *reader, const struct node *node, int64_t *out)
{
    static const char what[] = "a time since the start, like 0s, 90s, 10m or 2h,";
    if (!field_is_text(reader, node, "a time since the start")) {
        return false;
    }
    if (!scalar_duration(node->text, out) || *out < 0) {
        return field_error(reader, node, "%s is expected here, not \"%.40s\"", what, node->text);
    }
    return true;
}

/* The two of a pair; false after reporting what stands there instead. */
static bool two_of(const struct reader *reader, const struct node *node, const char *form)
{
    if (node->kind == NODE_LIST && node->count == 2) {
        return true;
    }
    return field_error(reader, node, "a pair is expected here: %s", form);
}

static bool read_pair(const struct reader *reader, const struct node *node, struct sim_pair *out)
{
    if (!two_of(reader, node, "[time, value], like [10m, 0.35]")) {
        return false;
    }
    const struct node *value = node->first->next;
    bool good = read_time(reader, node->first, &out->at_ms);
    if (!field_is_text(reader, value, "a number")) {
        return false;
    }
    if (!scalar_number(value->text, &out->value)) {
        return field_error(reader, value, "\"%.40s\" is not a number like 0.1 or 25", value->text);
    }
    return good;
}

static bool filled_list(const struct reader *reader, const struct field *field,
                        const struct node *node)
{
    struct field filled = *field;
    filled.min = "1";
    return field_list(reader, &filled, node, NULL);
}

static bool field_pairs(const struct reader *reader, const struct field *field,
                        const struct node *node, void *out)
{
    struct sim_pairs *pairs = out;
    if (!filled_list(reader, field, node)) {
        return false;
    }
    bool good = true;
    struct sim_pair *list = arena_array(reader->arena, node->count, sizeof *list);
    size_t at = 0;
    for (const struct node *pair = node->first; pair != NULL; pair = pair->next, at++) {
        if (!read_pair(reader, pair, &list[at])) {
            good = false;
        } else if (good && at > 0 && list[at].at_ms <= list[at - 1].at_ms) {
            good = field_error(reader, pair->first, "%s does not come after the time before it",
                               pair->first->text);
        }
    }
    *pairs = (struct sim_pairs){list, node->count};
    return good;
}

static bool read_silence(const struct reader *reader, const struct node *node,
                         struct sim_silence *out)
{
    if (!two_of(reader, node, "[from, to], like [10m, 2h]")) {
        return false;
    }
    bool good = read_time(reader, node->first, &out->from_ms);
    if (!read_time(reader, node->first->next, &out->to_ms) || !good) {
        return false;
    }
    return out->from_ms < out->to_ms ||
           field_error(reader, node, "a silence ends after it begins: %s is not after %s",
                       node->first->next->text, node->first->text);
}

static bool field_silences(const struct reader *reader, const struct field *field,
                           const struct node *node, void *out)
{
    struct sim_silences *silences = out;
    if (!filled_list(reader, field, node)) {
        return false;
    }
    bool good = true;
    struct sim_silence *list = arena_array(reader->arena, node->count, sizeof *list);
    size_t at = 0;
    for (const struct node *pair = node->first; pair != NULL; pair = pair->next) {
        good = read_silence(reader, pair, &list[at++]) && good;
    }
    *silences = (struct sim_silences){list, node->count};
    return good;
}

/* One sector or a list of them. */
static bool field_sectors(const struct reader *reader, const struct field *field,
                          const struct node *node, void *out)
{
    unsigned int sector = 0, sectors = 0;
    bool is_list = node->kind == NODE_LIST, good = !is_list || filled_list(reader, field, node);
    for (const struct node *one = is_list ? node->first : node; one != NULL; one = one->next) {
        bool known = field_sector(reader, field, one, &sector);
        sectors |= known ? 1u << sector : 0;
        good = known && good;
        if (!is_list) {
            break;
        }
    }
    *(unsigned int *)out = sectors;
    return good;
}

/* ---- the tables ---- */

#define ENTRY(member) .offset = offsetof(struct sim_target, member)
#define STORY(member) .offset = offsetof(struct sim_story, member)
#define SECTION_OF(name, fields)                                                                   \
    {                                                                                              \
        name, fields, sizeof(fields) / sizeof((fields)[0])                                         \
    }

static const struct field_type PAIRS = {.read = field_pairs,
                                        .name = {"[时间, 值] 列表", "list of [time, value]"}};
static const struct field_type SILENCES = {.read = field_silences,
                                           .name = {"[起, 止] 列表", "list of [from, to]"}};
static const struct field_type SECTORS = {.read = field_sectors,
                                          .name = {"专业，或列表", "sector, or a list"}};

static const struct field TARGET_FIELDS[] = {
    {.key = "sector",
     .type = &SECTORS,
     ENTRY(sectors),
     .help = {"设备的专业，可以几个", "of the devices, or several"}},
    {.key = "quantity",
     .type = &FIELD_TEXT,
     ENTRY(quantity),
     .help = {"测点的量", "of the points"}},
    {.key = "device",
     .type = &FIELD_TEXT,
     ENTRY(device),
     .help = {"只这台设备", "this device alone"}},
    {.key = "devices",
     .type = &FIELD_U16,
     ENTRY(devices),
     .min = "1",
     .max = "65535",
     .help = {"最多几台设备", "no more devices than this"}},
    {.key = "lines",
     .type = &FIELD_U16,
     ENTRY(lines),
     .min = "1",
     .max = "65535",
     .help = {"最多几条线路", "no more lines than this"}},
    {.key = "nth",
     .type = &FIELD_U16,
     ENTRY(nth),
     .min = "1",
     .max = "65535",
     .help = {"每台设备只取该量的第 N 个测点",
              "of each device its Nth point of the quantity alone"}},
    {.key = "curve",
     .type = &PAIRS,
     ENTRY(curve),
     .help = {"[时间, 值] 对，其间按直线", "[time, value] pairs, straight between them"}},
    {.key = "steps",
     .type = &PAIRS,
     ENTRY(steps),
     .help = {"[时间, 值] 对，保持到下一对", "[time, value] pairs, each held until the next"}},
    {.key = "noise",
     .type = &FIELD_NUMBER,
     ENTRY(noise),
     .min = "0",
     .max = "1e6",
     .help = {"数值最多偏离多少", "how far beside it a value lies at most"}},
    {.key = "spread",
     .type = &FIELD_DURATION,
     ENTRY(spread_ms),
     .max = "1d",
     .help = {"每多一台设备迟多久", "how much later each further device is"}},
    {.key = "silent",
     .type = &SILENCES,
     ENTRY(silent),
     .help = {"[起, 止] 对，其间设备不应答",
              "[from, to] pairs in which the devices do not answer"}},
};
static const struct section TARGET = SECTION_OF("a target", TARGET_FIELDS);

static const struct field TITLE_FIELDS[] = {
    {.key = "zh",
     .type = &FIELD_TEXT,
     STORY(title_zh),
     .required = true,
     .help = {"中文", "Chinese"}},
    {.key = "en",
     .type = &FIELD_TEXT,
     STORY(title_en),
     .required = true,
     .help = {"英文", "English"}},
};
static const struct section TITLE = SECTION_OF("title", TITLE_FIELDS);

static const struct field STORY_FIELDS[] = {
    {.key = "scenario",
     .type = &FIELD_NAME,
     STORY(name),
     .min = "1",
     .max = "32",
     .characters = "a-z 0-9 -",
     .required = true,
     .help = {"名称", "its name"}},
    {.key = "title", .type = &FIELD_SECTION, .section = &TITLE, .help = {"供人阅读", "for people"}},
    {.key = "lasts",
     .type = &FIELD_LONG_DURATION,
     STORY(lasts_ms),
     .min = "1s",
     .max = "30d",
     .required = true,
     .help = {"总时长", "how long it is"}},
    {.key = "targets",
     .type = &FIELD_LIST,
     .items = &TARGET,
     .min = "1",
     .required = true,
     .help = {"谁测到什么", "who measures what"}},
};
const struct section SIM_SCENARIO = SECTION_OF("a scenario", STORY_FIELDS);

/* ---- what the tables cannot say ---- */

bool sim_scenario_counts(const char *quantity)
{
    static const char *const counters[] = {"rain", "flow_total", "heat_total", "starts"};
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        if (strcmp(counters[i], quantity) == 0) {
            return true;
        }
    }
    return false;
}

static bool not_after_the_end(const struct reader *reader, const struct sim_story *story,
                              const struct node *node, int64_t at_ms)
{
    return at_ms <= (int64_t)story->lasts_ms ||
           field_error(reader, node, "%s is after the end of the scenario", node->text);
}

static bool judge_silences(const struct reader *reader, const struct sim_story *story,
                           const struct sim_target *target, const struct node *list)
{
    bool good = true;
    const struct node *pair = list != NULL ? list->first : NULL;
    for (size_t i = 0; i < target->silent.count; i++, pair = pair->next) {
        good = not_after_the_end(reader, story, pair->first->next, target->silent.list[i].to_ms) &&
               good;
    }
    return good;
}

static bool judge_values(const struct reader *reader, const struct sim_story *story,
                         const struct sim_pairs *pairs, const struct node *list,
                         const struct quantity *quantity)
{
    bool good = true, counts = sim_scenario_counts(quantity->name);
    bool has_range = quantity->min != 0 || quantity->max != 0;
    const struct node *pair = list->first;
    for (size_t i = 0; i < pairs->count; i++, pair = pair->next) {
        const struct node *node = pair->first->next;
        double value = pairs->list[i].value;
        good = not_after_the_end(reader, story, pair->first, pairs->list[i].at_ms) && good;
        if (has_range && (value < quantity->min || value > quantity->max)) {
            good = field_error(reader, node, "%s is from %g to %g %s, never %s", quantity->name,
                               quantity->min, quantity->max, quantity->unit, node->text);
        } else if (counts && value < (i > 0 ? pairs->list[i - 1].value : 0)) {
            good = field_error(reader, node,
                               "%s is a counter, which never falls: %s is added to "
                               "where it stood",
                               quantity->name, node->text);
        }
    }
    return good;
}

/* NULL after reporting that the sector has no such quantity. */
static const struct quantity *find_quantity(const struct reader *reader, const char *name,
                                            enum sector sector, const struct node *node)
{
    const struct quantity *found = class_quantity(sector, name);
    if (found != NULL) {
        return found;
    }
    const struct sensor_class *class = class_of(sector);
    struct suggest suggest = suggest_start(name);
    for (size_t i = 0; i < class->count; i++) {
        suggest_offer(&suggest, class->quantities[i].name);
    }
    field_error(reader, node, "%s has no quantity \"%.40s\"%s", names_sector(sector), name,
                suggest_text(&suggest));
    return NULL;
}

static bool judge_quantity(const struct reader *reader, const struct sim_story *story,
                           const struct sim_target *target, const struct node *node)
{
    const struct node *quantity_node = tree_member(node, "quantity");
    const struct node *list = tree_member(node, target->curve.count > 0 ? "curve" : "steps");
    const struct sim_pairs *pairs = target->curve.count > 0 ? &target->curve : &target->steps;
    bool good = true;
    if (target->sectors == 0) {
        return field_error(reader, quantity_node,
                           "a quantity is one of a sector: give `sector` too");
    }
    if (sim_scenario_counts(target->quantity) && target->noise > 0) {
        good = field_error(reader, tree_member(node, "noise"), "%s is a counter: it has no noise",
                           target->quantity);
    }
    for (unsigned int sector = 1; sector < SECTOR_COUNT && good; sector++) {
        if ((target->sectors >> sector & 1) == 0) {
            continue;
        }
        const struct quantity *quantity =
            find_quantity(reader, target->quantity, (enum sector)sector, quantity_node);
        good = quantity != NULL &&
               (list == NULL || judge_values(reader, story, pairs, list, quantity));
    }
    return good;
}

static bool judge_target(const struct reader *reader, const struct sim_story *story,
                         const struct sim_target *target, const struct node *node)
{
    bool has_curve = target->curve.count > 0, has_steps = target->steps.count > 0;
    if (has_curve && has_steps) {
        return field_error(reader, tree_member(node, "steps"),
                           "a target has a curve or steps, not both");
    }
    if (!has_curve && !has_steps && target->silent.count == 0) {
        return field_error(reader, node, "a target needs a curve, steps or silent");
    }
    if ((has_curve || has_steps || target->nth > 0) && target->quantity == NULL) {
        return field_error(reader, node, "values are those of a quantity: give `quantity`");
    }
    bool good = judge_silences(reader, story, target, tree_member(node, "silent"));
    return (target->quantity == NULL || judge_quantity(reader, story, target, node)) && good;
}

bool sim_scenario_read(const struct reader *reader, const struct source *source,
                       struct sim_story *out)
{
    const struct node *root = tree_parse(source, reader->arena, reader->out);
    if (root == NULL) {
        return false;
    }
    bool good = field_read(reader, &SIM_SCENARIO, root, out);
    const struct node *list = tree_member(root, "targets");
    if (list == NULL || list->kind != NODE_LIST) {
        return false;
    }
    /* With a wrong `lasts` every time would be after the end. */
    out->lasts_ms = out->lasts_ms > 0 ? out->lasts_ms : INT64_MAX;
    out->targets = arena_array(reader->arena, list->count, sizeof *out->targets);
    for (const struct node *node = list->first; node != NULL; node = node->next) {
        struct sim_target *target = &out->targets[out->target_count++];
        target->place = node->place;
        good = field_read(reader, &TARGET, node, target) &&
               judge_target(reader, out, target, node) && good;
    }
    return good && diagnostics_errors(reader->out) == 0;
}
