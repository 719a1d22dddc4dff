/* Loads alarm packs: finds the files, reads their rules as drafts, keeps what they leave out.
 *
 * Runs in the thread that loads a configuration; what is kept lies in the arena of the settings,
 * the trees live until the rules are put in force. A pack is found as a profile is: by its name, in
 * the first folder that has it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/rule_parts.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { PATH_LENGTH_MAX = 4096, PACKS_MAX = 16 };

static const char default_pack[] = "gb-default";

/* ---- the tables ---- */

static bool is_map(const struct reader *reader, const struct field *field, const struct node *node,
                   void *out)
{
    (void)out;
    return node->kind == NODE_MAP ||
           field_error(reader, node, "%s is a map, not %s", field->key, tree_kind_name(node->kind));
}

static const struct field_type RULES = {.read = is_map,
                                        .name = {"规则名: { … }", "map of NAME: { ... }"}};

#define AT(member) offsetof(struct pack, member)

static const struct field TITLE_FIELDS[] = {
    {.key = "zh",
     .type = &FIELD_TEXT,
     .offset = AT(title_zh),
     .max = "100",
     .help = {"中文", "in Chinese"}},
    {.key = "en",
     .type = &FIELD_TEXT,
     .offset = AT(title_en),
     .max = "100",
     .help = {"英文", "in English"}},
};

static const struct section TITLE = {"title", TITLE_FIELDS, COUNT(TITLE_FIELDS)};

static const struct section GROUP, OMITTED;

static const struct field PACK_FIELDS[] = {
    {.key = "pack",
     .type = &FIELD_NAME,
     .offset = AT(name),
     .required = true,
     .max = "32",
     .characters = "a-z 0-9 -",
     .help = {"名称，与文件名相同", "its name, as its file's"}},
    {.key = "version",
     .type = &FIELD_U16,
     .offset = AT(version),
     .required = true,
     .min = "1",
     .max = "65535",
     .help = {"每次修改加一", "counts up with every change"}},
    {.key = "title",
     .type = &FIELD_SECTION,
     .section = &TITLE,
     .help = {"供人阅读的名称", "what people call it"}},
    {.key = "alarms", .type = &FIELD_LIST, .items = &GROUP, .help = {"规则", "its rules"}},
    {.key = "omitted",
     .type = &FIELD_LIST,
     .items = &OMITTED,
     .help = {"没有规定什么，为什么", "what it leaves out, and why"}},
};

const struct section SETTINGS_PACK = {"a pack", PACK_FIELDS, COUNT(PACK_FIELDS)};

#undef AT
#define AT(member) offsetof(struct pack_group, member)

static const struct field GROUP_FIELDS[] = {
    {.key = "sectors",
     .type = &SETTINGS_VALUE_SECTORS,
     .offset = AT(sectors),
     .fallback = "all",
     .help = {"这些规则用于哪些专业", "the sectors that these rules are for"}},
    {.key = "quantity",
     .type = &FIELD_TEXT,
     .offset = AT(quantity),
     .help = {"用于该量的测点；不写时用于整台设备",
              "whose points they are for; of devices as a whole when not given"}},
    {.key = "rules",
     .type = &RULES,
     .items = &SETTINGS_RULE,
     .required = true,
     .help = {"名称: { … }", "NAME: { ... }"}},
};

static const struct section GROUP = {"a group of rules", GROUP_FIELDS, COUNT(GROUP_FIELDS)};

#undef AT
#define AT(member) offsetof(struct pack_omitted, member)

static bool read_level_list(const struct reader *reader, const struct field *field,
                            const struct node *node, void *out)
{
    bool *levels = out;
    if (!field_list(reader, field, node, NULL))
        return false;
    for (const struct node *item = node->first; item; item = item->next) {
        if (item->kind != NODE_TEXT || item->text[0] < '1' || item->text[0] > '4' || item->text[1])
            return field_error(reader, item, "a level is 1 to 4");
        levels[item->text[0] - '0'] = true;
    }
    return true;
}

static const struct field_type LEVELS = {
    .read = read_level_list, .name = {"级别列表", "list of levels"}, .bounds = BOUNDS_ITEMS};

static const struct field OMITTED_FIELDS[] = {
    {.key = "sectors",
     .type = &SETTINGS_VALUE_SECTORS,
     .offset = AT(sectors),
     .fallback = "all",
     .help = {"涉及哪些专业", "the sectors that it is about"}},
    {.key = "quantity",
     .type = &FIELD_TEXT,
     .offset = AT(quantity),
     .required = true,
     .help = {"量，或诊断", "the quantity, or the diagnosis"}},
    {.key = "levels",
     .type = &LEVELS,
     .offset = AT(levels),
     .min = "1",
     .help = {"哪些级别", "which"}},
    {.key = "why",
     .type = &FIELD_TEXT,
     .offset = AT(why),
     .required = true,
     .min = "10",
     .help = {"规则包为什么没有规定", "why the pack has no rule for it"}},
};

static const struct section OMITTED = {"what is omitted", OMITTED_FIELDS, COUNT(OMITTED_FIELDS)};

/* ---- a pack ---- */

/* A slip of the pen in the quantity would leave its points without rules, and nobody told. */
static bool check_quantity(const struct loader *loader, const struct settings_sources *sources,
                           const struct node *node, const struct pack_group *group)
{
    const struct node *quantity = tree_member(node, "quantity");
    bool known = !quantity || !sources->quantity;
    for (int sector = 1; !known && sector < SECTOR_COUNT; sector++)
        known = group->sectors[sector] && sources->quantity((enum sector)sector, group->quantity);
    return known || field_error(&loader->reader, quantity,
                                "none of these sectors has a quantity \"%.40s\"", group->quantity);
}

static bool read_group(const struct loader *loader, const struct settings_sources *sources,
                       const struct node *node, struct pack_group *group)
{
    const struct reader *reader = &loader->reader;
    bool good = field_read(reader, &GROUP, node, group);
    const struct node *rules = tree_member(node, "rules");
    if (!good || !rules || !check_quantity(loader, sources, node, group))
        return false;
    const struct rule_reading reading = {.reader = reader,
                                         .in_pack = true,
                                         .diagnosis = sources->diagnosis,
                                         .sectors = group->sectors};
    group->drafts = arena_array(reader->arena, rules->count, sizeof *group->drafts);
    for (const struct node *item = rules->first; item; item = item->next) {
        if (rule_read(&reading, item, &group->drafts[group->draft_count]))
            group->draft_count++;
        else
            good = false;
    }
    return good;
}

static void read_groups(const struct loader *loader, const struct settings_sources *sources,
                        const struct node *list, struct pack *pack)
{
    if (!list || list->kind != NODE_LIST)
        return;
    pack->groups = arena_array(loader->reader.arena, list->count, sizeof *pack->groups);
    for (const struct node *item = list->first; item; item = item->next)
        pack->group_count += read_group(loader, sources, item, &pack->groups[pack->group_count]);
}

static void read_omitted(const struct loader *loader, const struct node *list, struct pack *pack)
{
    if (!list || list->kind != NODE_LIST)
        return;
    pack->omitted = arena_array(loader->reader.arena, list->count, sizeof *pack->omitted);
    for (const struct node *item = list->first; item; item = item->next) {
        struct pack_omitted *omitted = &pack->omitted[pack->omitted_count];
        omitted->place = item->place;
        pack->omitted_count += field_read(&loader->reader, &OMITTED, item, omitted);
    }
}

static struct pack *load(const struct loader *loader, const struct settings_sources *sources,
                         struct arena *scratch, const char *path)
{
    const struct reader *reader = &loader->reader;
    const struct source *source = diagnostics_open(reader->out, path);
    const struct node *root = source ? tree_parse(source, scratch, reader->out) : NULL;
    struct pack *pack = arena_alloc(reader->arena, sizeof *pack);
    char label[64];
    if (!root || !field_read(reader, &SETTINGS_PACK, root, pack))
        return NULL;
    snprintf(label, sizeof label, "%s %u", pack->name, pack->version);
    pack->label = arena_text(reader->arena, label);
    pack->place = root->place;
    read_groups(loader, sources, tree_member(root, "alarms"), pack);
    read_omitted(loader, tree_member(root, "omitted"), pack);
    return pack;
}

/* ---- which packs ---- */

static struct pack *find(const struct loader *loader, const struct settings_sources *sources,
                         struct arena *scratch, const struct node *at, const char *name)
{
    char path[PATH_LENGTH_MAX], looked[512] = "";
    for (size_t i = 0; i < sources->pack_dir_count; i++) {
        int length = snprintf(path, sizeof path, "%s/%s.yaml", sources->pack_dirs[i], name);
        if (length > 0 && (size_t)length < sizeof path && access(path, F_OK) == 0)
            return load(loader, sources, scratch, path);
        size_t used = strlen(looked);
        snprintf(looked + used, sizeof looked - used, "%s%s", used ? ", " : "",
                 sources->pack_dirs[i]);
    }
    field_error(&loader->reader, at, "alarm pack \"%.32s\" is in none of %s", name, looked);
    return NULL;
}

void pack_read(const struct loader *loader, const struct settings_sources *sources,
               struct arena *scratch)
{
    struct settings *settings = loader->settings;
    const struct node *alarms = tree_member(loader->root, "alarms");
    const struct node *list = alarms ? tree_member(alarms, "packs") : NULL;
    if (!sources->pack_dir_count || (list && list->kind != NODE_LIST))
        return;
    size_t count = list ? list->count : 1;
    settings->packs = arena_array(loader->reader.arena, count, sizeof *settings->packs);
    const struct node *item = list ? list->first : NULL;
    for (size_t i = 0; i < count && i < PACKS_MAX; i++) {
        struct pack *pack = NULL;
        if (!list)
            pack = find(loader, sources, scratch, loader->root, default_pack);
        else if (field_is_text(&loader->reader, item, "the name of a pack"))
            pack = find(loader, sources, scratch, item, item->text);
        if (pack)
            settings->packs[settings->pack_count++] = pack;
        item = item ? item->next : NULL;
    }
}
