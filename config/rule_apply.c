/* Which rules are in force where: the packs' for the sector and quantity, changed by what the
 * device and the point say, with the points that they look at.
 *
 * Runs in the thread that loads a configuration, when all devices are known. Points without
 * overrides share the rules of their quantity, so that ten thousand of them cost one. A pack's rule
 * that lacks a point is not in force, and kept as such; one of the configuration is refused. */
#include <stdio.h>
#include <string.h>

#include "config/rule_parts.h"
#include "config/suggest.h"

enum { RULES_MAX = 64 }; /* of one point */

/* What the packs say of a quantity in a sector; quantity NULL: of its devices. */
struct base {
    struct base *next;
    enum sector sector;
    const char *quantity;
    const struct rule *rules[RULES_MAX];
    size_t count;
};

struct work {
    const struct loader *loader;
    const struct settings_sources *sources;
    struct base *bases;
};

/* Where rules are being put in force. */
struct site {
    const struct settings_device *device;
    uint32_t d, p; /* p: RULE_NO_POINT for a device as a whole */
    const struct settings_point *range;
    const struct profile_point *point;
    const struct rule *rules[RULES_MAX];
    size_t count;
    struct rule_out out[RULES_MAX];
    size_t out_count;
};

#define RULE_NO_POINT UINT32_MAX

static struct arena *arena_of(const struct work *work)
{
    return work->loader->reader.arena;
}

/* ---- what the packs say ---- */

static size_t find_rule(const struct rule *const *rules, size_t count, const char *name)
{
    size_t i = 0;
    while (i < count && strcmp(rules[i]->name, name) != 0)
        i++;
    return i;
}

static void refuse_more(const struct work *work, const struct rule *rule)
{
    diagnostics_add(work->loader->reader.out, SEVERITY_ERROR, rule->place,
                    "%s is one rule more than the %d that there may be", rule->name, RULES_MAX);
}

static void add_draft(const struct work *work, struct base *base, const struct rule_draft *draft,
                      const struct pack *pack)
{
    size_t i = find_rule(base->rules, base->count, draft->name);
    if (draft->off) {
        if (i < base->count)
            memmove(&base->rules[i], &base->rules[i + 1],
                    (--base->count - i) * sizeof(base->rules[0]));
        return;
    }
    const struct rule *under = i < base->count ? base->rules[i] : NULL;
    const struct rule *rule = rule_merge(arena_of(work), under, draft, pack->label);
    if (i == RULES_MAX) {
        refuse_more(work, rule);
        return;
    }
    if (!rule_check(&work->loader->reader, rule, NULL, NULL) ||
        !rule_check_dwell(&work->loader->reader, rule, draft))
        return;
    base->rules[i] = rule;
    base->count += i == base->count;
}

static bool is_for(const struct pack_group *group, enum sector sector, const char *quantity)
{
    if (!group->sectors[sector] || !group->quantity != !quantity)
        return false;
    return !quantity || strcmp(group->quantity, quantity) == 0;
}

static const struct base *base_of(struct work *work, enum sector sector, const char *quantity)
{
    const struct settings *settings = work->loader->settings;
    for (struct base *b = work->bases; b; b = b->next) {
        if (b->sector == sector && !b->quantity == !quantity &&
            (!quantity || strcmp(b->quantity, quantity) == 0))
            return b;
    }
    struct base *base = arena_alloc(arena_of(work), sizeof *base);
    *base = (struct base){.next = work->bases, .sector = sector, .quantity = quantity};
    work->bases = base;
    for (size_t p = 0; p < settings->pack_count; p++) {
        const struct pack *pack = settings->packs[p];
        for (size_t g = 0; g < pack->group_count; g++) {
            const struct pack_group *group = &pack->groups[g];
            for (size_t r = 0; is_for(group, sector, quantity) && r < group->draft_count; r++)
                add_draft(work, base, &group->drafts[r], pack);
        }
    }
    return base;
}

/* ---- the points that a rule looks at ---- */

/* A name with a dot is DEVICE.POINT; else a point of the own device, by name or, in packs, by its
 * quantity. -1: there is none. */
static int own_point(const struct settings_device *device, const char *name)
{
    int index = profile_point_index(device->profile, name);
    for (size_t p = 0; index < 0 && p < device->profile->point_count; p++) {
        if (strcmp(device->profile->points[p].quantity, name) == 0)
            index = (int)p;
    }
    return index;
}

static bool find_point(const struct work *work, const struct site *site, const char *name,
                       struct rule_point *out)
{
    const struct settings *settings = work->loader->settings;
    const char *dot = strrchr(name, '.');
    int index = dot ? -1 : own_point(site->device, name);
    *out = (struct rule_point){site->d, (uint32_t)index};
    for (uint32_t d = 0; dot && index < 0 && d < settings->device_count; d++) {
        const struct settings_device *device = &settings->devices[d];
        if (!device->name || !device->profile || strlen(device->name) != (size_t)(dot - name) ||
            memcmp(device->name, name, (size_t)(dot - name)) != 0)
            continue;
        index = profile_point_index(device->profile, dot + 1);
        *out = (struct rule_point){d, (uint32_t)index};
    }
    return index >= 0;
}

static bool refuse_point(const struct work *work, const struct site *site, const struct node *node)
{
    const struct settings *settings = work->loader->settings;
    struct suggest suggest = suggest_start(node->text);
    for (size_t p = 0; p < site->device->profile->point_count; p++)
        suggest_offer(&suggest, site->device->profile->points[p].name);
    for (uint32_t d = 0; d < settings->device_count; d++) {
        const struct settings_device *device = &settings->devices[d];
        for (size_t p = 0; device->name && device->profile && p < device->profile->point_count;
             p++) {
            char name[200];
            snprintf(name, sizeof name, "%s.%s", device->name, device->profile->points[p].name);
            suggest_offer(&suggest, arena_text(arena_of(work), name));
        }
    }
    return field_error(&work->loader->reader, node, "there is no point \"%.64s\"%s", node->text,
                       suggest_text(&suggest));
}

/* The rule gets conditions of its own: those of a pack are shared by all devices. *missing: the
 * point that there is not. */
static bool place_conditions(const struct work *work, const struct site *site, struct rule *rule,
                             const struct rule_draft *draft, const char **missing)
{
    struct rule_condition *own =
        arena_array(arena_of(work), rule->condition_count, sizeof *rule->conditions);
    memcpy(own, rule->conditions, rule->condition_count * sizeof *own);
    for (size_t c = 0; c < rule->condition_count; c++) {
        const struct node *node = draft->condition_points[c];
        *missing = node->text;
        if (!find_point(work, site, node->text, &own[c].point))
            return rule->pack && !rule->overridden ? false : refuse_point(work, site, node);
    }
    rule->conditions = own;
    return true;
}

static bool plays(const struct profile_point *point, const struct diagnosis_role *role)
{
    return role->quantity &&
           (strcmp(point->quantity, role->quantity) == 0 ||
            (role->alternative && strcmp(point->quantity, role->alternative) == 0));
}

/* Adds the points of a device that play a role, at most `most` in all. */
static void add_players(const struct work *work, uint32_t d, const struct diagnosis_role *role,
                        struct rule_role *out, size_t most)
{
    const struct profile *profile = work->loader->settings->devices[d].profile;
    for (uint32_t p = 0; profile && p < profile->point_count && out->count < most; p++) {
        if (plays(&profile->points[p], role))
            out->points[out->count++] = (struct rule_point){d, p};
    }
}

static void add_others(const struct work *work, const struct site *site,
                       const struct diagnosis_role *role, struct rule_role *out)
{
    for (uint32_t d = 0; d < work->loader->settings->device_count; d++) {
        if (d != site->d)
            add_players(work, d, role, out, RULE_ROLE_POINTS_MAX);
    }
}

/* By quantity, as diagnosis_role says. */
static void cast(const struct work *work, const struct site *site,
                 const struct diagnosis_role *role, struct rule_role *out)
{
    if (role->many) {
        if (role->elsewhere)
            add_players(work, site->d, role, out, RULE_ROLE_POINTS_MAX);
        add_others(work, site, role, out);
        return;
    }
    add_players(work, site->d, role, out, role->siblings ? RULE_ROLE_POINTS_MAX : 1);
    if (out->count || !role->elsewhere)
        return;
    add_others(work, site, role, out);
    if (out->count > 1)
        out->count = 0; /* which one, nobody has said */
}

/* As the configuration says: a name or a list of them. */
static bool cast_named(const struct work *work, const struct site *site, const struct node *node,
                       struct rule_role *out)
{
    const struct node *item = node->kind == NODE_LIST ? node->first : node;
    for (; item && out->count < RULE_ROLE_POINTS_MAX;
         item = node->kind == NODE_LIST ? item->next : NULL) {
        if (!field_is_text(&work->loader->reader, item, "DEVICE.POINT"))
            return false;
        if (!find_point(work, site, item->text, &out->points[out->count]))
            return refuse_point(work, site, item);
        out->count++;
    }
    return true;
}

static bool check_role_names(const struct work *work, const struct diagnosis_form *form,
                             const struct node *points)
{
    for (const struct node *item = points ? points->first : NULL; item; item = item->next) {
        struct suggest suggest = suggest_start(item->key);
        bool known = false;
        for (size_t r = 0; r < form->role_count; r++) {
            suggest_offer(&suggest, form->roles[r].name);
            known |= strcmp(form->roles[r].name, item->key) == 0;
        }
        if (!known)
            return field_error(&work->loader->reader, item, "%s has no role \"%.32s\"%s",
                               form->name, item->key, suggest_text(&suggest));
    }
    return true;
}

static void keep_role(const struct work *work, const struct rule_role *role, struct rule_role *out)
{
    *out = (struct rule_role){role->count,
                              arena_array(arena_of(work), role->count, sizeof *out->points)};
    memcpy(out->points, role->points, role->count * sizeof *out->points);
}

static bool place_roles(const struct work *work, const struct site *site, struct rule *rule,
                        const struct rule_draft *draft, const char **missing)
{
    const struct diagnosis_form *form = rule->diagnosis;
    const struct node *points = draft ? draft->role_points : NULL;
    bool own = false;
    if (!check_role_names(work, form, points))
        return false;
    for (size_t r = 0; r < form->role_count; r++) {
        const struct diagnosis_role *role = &form->roles[r];
        const struct node *named = points ? tree_member(points, role->name) : NULL;
        struct rule_point points_of[RULE_ROLE_POINTS_MAX];
        struct rule_role out = {0, points_of};
        if (named && !cast_named(work, site, named, &out))
            return false;
        if (!named && r == 0 && site->p != RULE_NO_POINT && !role->siblings)
            out.points[out.count++] = (struct rule_point){site->d, site->p};
        else if (!named)
            cast(work, site, role, &out);
        *missing = role->name;
        if (role->required && !out.count)
            return false;
        for (size_t i = 0; i < out.count; i++)
            own |= out.points[i].device == site->d;
        keep_role(work, &out, &rule->roles[r]);
    }
    *missing = form->roles[0].name;
    return own;
}

/* ---- one site ---- */

static bool is_bound(const struct rule *rule)
{
    return rule->condition_count || rule->diagnosis;
}

static void leave_out(struct site *site, const struct rule *rule, struct place place,
                      const char *missing)
{
    if (site->out_count < RULES_MAX)
        site->out[site->out_count++] = (struct rule_out){rule, place, missing};
}

/* draft: that it was written as, for the names in it; of a pack's rule the newest that has any. */
static void put_in_force(const struct work *work, struct site *site, const struct rule *rule,
                         const struct rule_draft *draft)
{
    const char *missing = NULL;
    if (is_bound(rule)) {
        struct rule *own = arena_alloc(arena_of(work), sizeof *own);
        *own = *rule;
        size_t errors = diagnostics_errors(work->loader->reader.out);
        bool placed = rule->condition_count
                          ? draft && place_conditions(work, site, own, draft, &missing)
                          : place_roles(work, site, own, draft, &missing);
        rule = own;
        if (!placed) {
            bool said = diagnostics_errors(work->loader->reader.out) > errors;
            if (!said && (!rule->pack || rule->overridden))
                diagnostics_add(work->loader->reader.out, SEVERITY_ERROR, rule->place,
                                "%s has nobody for its role %s; name one with points: { %s: "
                                "DEVICE.POINT }",
                                rule->name, missing, missing);
            leave_out(site, rule, rule->place, missing);
            return;
        }
    }
    if (rule->kind == RULE_SUM && site->point && !(site->point->wrap > 0)) {
        leave_out(site, rule, rule->place, "a counter (wrap)");
        return;
    }
    if (site->count < RULES_MAX)
        site->rules[site->count++] = rule;
    else
        refuse_more(work, rule);
}

/* The draft of a pack's rule that names its conditions' points. */
static const struct rule_draft *draft_of(const struct work *work, const struct base *base,
                                         const struct rule *rule)
{
    const struct settings *settings = work->loader->settings;
    const struct rule_draft *found = NULL;
    for (size_t p = 0; p < settings->pack_count; p++) {
        const struct pack *pack = settings->packs[p];
        for (size_t g = 0; g < pack->group_count; g++) {
            const struct pack_group *group = &pack->groups[g];
            for (size_t r = 0;
                 is_for(group, base->sector, base->quantity) && r < group->draft_count; r++) {
                if (strcmp(group->drafts[r].name, rule->name) == 0 &&
                    group->drafts[r].condition_points[0])
                    found = &group->drafts[r];
            }
        }
    }
    return found;
}

static void change(const struct work *work, struct site *site, const struct base *base,
                   const struct node *node)
{
    const struct reader *reader = &work->loader->reader;
    size_t i = find_rule(base->rules, base->count, node->key);
    const struct rule *under = i < base->count ? base->rules[i] : NULL;
    bool sectors[SECTOR_COUNT] = {0};
    sectors[site->device->sector] = true;
    const struct rule_reading reading = {
        .reader = reader, .base = under, .diagnosis = work->sources->diagnosis, .sectors = sectors};
    struct rule_draft draft;
    if (!rule_read(&reading, node, &draft))
        return;
    if (!under && (draft.off || !draft.has_kind)) {
        struct suggest suggest = suggest_start(node->key);
        for (size_t r = 0; r < base->count; r++)
            suggest_offer(&suggest, base->rules[r]->name);
        diagnostics_add(reader->out, SEVERITY_ERROR, node->key_place,
                        "there is no rule \"%.32s\" here to change%s", node->key,
                        suggest_text(&suggest));
        return;
    }
    if (draft.off) {
        leave_out(site, under, node->key_place, NULL);
        return;
    }
    const struct rule *rule = rule_merge(reader->arena, under, &draft, NULL);
    if (!rule_check(reader, rule, site->range, site->point) ||
        !rule_check_dwell(reader, rule, &draft))
        return;
    bool names = draft.condition_points[0] || draft.role_points || !under;
    put_in_force(work, site, rule, names ? &draft : draft_of(work, base, under));
}

static bool is_changed(const struct node *overrides, const char *name)
{
    return overrides && overrides->kind == NODE_MAP && tree_member(overrides, name);
}

static struct rules keep(const struct work *work, const struct site *site)
{
    const struct rule **rules = arena_array(arena_of(work), site->count, sizeof(*rules));
    struct rule_out *out = arena_array(arena_of(work), site->out_count, sizeof *out);
    memcpy(rules, site->rules, site->count * sizeof(*rules));
    memcpy(out, site->out, site->out_count * sizeof *out);
    return (struct rules){rules, site->count, out, site->out_count};
}

static bool is_plain(const struct base *base, const struct site *site)
{
    for (size_t r = 0; r < base->count; r++) {
        if (is_bound(base->rules[r]) ||
            (base->rules[r]->kind == RULE_SUM && !(site->point && site->point->wrap > 0)))
            return false;
    }
    return true;
}

static struct rules apply(struct work *work, struct site *site, const char *quantity,
                          const struct node *overrides)
{
    const struct base *base = base_of(work, site->device->sector, quantity);
    bool any = overrides && overrides->kind == NODE_MAP && overrides->count;
    if (!any && is_plain(base, site))
        return (struct rules){base->rules, base->count, NULL, 0};
    for (size_t r = 0; r < base->count; r++) {
        if (!is_changed(overrides, base->rules[r]->name))
            put_in_force(work, site, base->rules[r],
                         base->rules[r]->condition_count ? draft_of(work, base, base->rules[r])
                                                         : NULL);
    }
    for (const struct node *item = any ? overrides->first : NULL; item; item = item->next)
        change(work, site, base, item);
    return keep(work, site);
}

/* ---- every site ---- */

static const struct node *point_node(const struct node *device, const char *name)
{
    const struct node *points = tree_member(device, "points");
    const struct node *point =
        points && points->kind == NODE_MAP ? tree_member(points, name) : NULL;
    return point && point->kind == NODE_MAP ? tree_member(point, "alarms") : NULL;
}

static void apply_device(struct work *work, uint32_t d)
{
    struct settings_device *device = &work->loader->settings->devices[d];
    const struct node *node = work->loader->device_nodes[d];
    struct site whole = {.device = device, .d = d, .p = RULE_NO_POINT};
    if (!device->profile || !device->name || device->sector == SECTOR_UNSPECIFIED)
        return;
    device->rules = apply(work, &whole, NULL, tree_member(node, "alarms"));
    for (uint32_t p = 0; p < device->profile->point_count; p++) {
        const struct profile_point *point = &device->profile->points[p];
        struct site site = {
            .device = device, .d = d, .p = p, .range = &device->points[p], .point = point};
        device->points[p].rules =
            apply(work, &site, point->quantity, point_node(node, point->name));
    }
}

void rule_apply(const struct loader *loader, const struct settings_sources *sources)
{
    struct work work = {.loader = loader, .sources = sources};
    for (uint32_t d = 0; d < loader->settings->device_count; d++)
        apply_device(&work, d);
}
