/* Loads gateway.yaml and the profiles that its devices name.
 *
 * Runs in the thread that starts the daemon, reloads or checks; it reads files and does nothing
 * else. The settings lie in one arena, each profile in its own. After an error it goes on, so that
 * all of them come out at once; then nothing is returned. */
#include "config/settings.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/rule_parts.h"
#include "config/settings_parts.h"
#include "config/suggest.h"
#include "config/tree.h"

enum { LINES_MAX = 256, DEVICES_MAX = 4096, UPLINKS_MAX = 16, PATH_LENGTH_MAX = 4096 };

/* A profile that some device asked for; NULL when it could not be loaded (said once, then). */
struct wanted {
    const char *name;
    struct profile *profile;
};

struct wanted_list {
    struct wanted *items;
    size_t count;
};

const struct node *settings_at(const struct node *map, const char *key)
{
    const struct node *member = tree_member(map, key);
    return member == NULL ? map : member;
}

/* The items of a list that was read as a list; 0 when it is missing. */
static size_t list_items(const struct loader *loader, const char *key, size_t most,
                         const struct node ***nodes)
{
    const struct node *list = tree_member(loader->root, key);
    if (list == NULL || list->kind != NODE_LIST)
        return 0;
    if (list->count > most) {
        field_error(&loader->reader, list, "%zu %s are too many; the most is %zu", list->count, key,
                    most);
        return 0;
    }
    *nodes = arena_array(loader->reader.arena, list->count, sizeof(**nodes));
    size_t count = 0;
    for (const struct node *item = list->first; item != NULL; item = item->next)
        (*nodes)[count++] = item;
    return count;
}

static struct place name_place(const struct node *map)
{
    return settings_at(map, "name")->place;
}

static void read_lines(struct loader *loader)
{
    struct settings *settings = loader->settings;
    settings->line_count = list_items(loader, "lines", LINES_MAX, &loader->line_nodes);
    settings->lines =
        arena_array(loader->reader.arena, settings->line_count, sizeof(*settings->lines));
    for (size_t i = 0; i < settings->line_count; i++) {
        settings->lines[i].transport = TRANSPORT_UNKNOWN;
        field_read(&loader->reader, &SETTINGS_LINE, loader->line_nodes[i], &settings->lines[i]);
        settings->lines[i].place = name_place(loader->line_nodes[i]);
    }
}

static void read_uplinks(struct loader *loader)
{
    struct settings *settings = loader->settings;
    settings->uplink_count = list_items(loader, "uplinks", UPLINKS_MAX, &loader->uplink_nodes);
    settings->uplinks =
        arena_array(loader->reader.arena, settings->uplink_count, sizeof(*settings->uplinks));
    for (size_t i = 0; i < settings->uplink_count; i++) {
        struct settings_uplink *uplink = &settings->uplinks[i];
        field_read(&loader->reader, &SETTINGS_UPLINK, loader->uplink_nodes[i], uplink);
        uplink->place = name_place(loader->uplink_nodes[i]);
    }
}

static void resolve_line(const struct loader *loader, const struct node *node,
                         const struct device_draft *draft, struct settings_device *device)
{
    const struct settings *settings = loader->settings;
    device->line = UINT32_MAX;
    if (draft->line == NULL)
        return;
    struct suggest suggest = suggest_start(draft->line);
    for (size_t i = 0; i < settings->line_count; i++) {
        const char *name = settings->lines[i].name;
        if (name == NULL)
            continue;
        if (strcmp(name, draft->line) == 0) {
            device->line = (uint32_t)i;
            return;
        }
        suggest_offer(&suggest, name);
    }
    field_error(&loader->reader, tree_member(node, "line"), "line \"%.64s\" does not exist%s",
                draft->line, suggest_text(&suggest));
}

/* Offers every NAME.yaml of a directory. */
static void offer_profiles(const char *directory, struct arena *arena, struct suggest *suggest)
{
    DIR *listing = opendir(directory);
    if (listing == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length > 5 && strcmp(entry->d_name + length - 5, ".yaml") == 0)
            suggest_offer(suggest, arena_copy(arena, entry->d_name, length - 5));
    }
    closedir(listing);
}

static struct profile *find_profile(const struct loader *loader,
                                    const struct settings_sources *sources, const struct node *node,
                                    const char *name)
{
    char path[PATH_LENGTH_MAX];
    struct suggest suggest = suggest_start(name);
    if (strchr(name, '/') != NULL) {
        field_error(&loader->reader, node,
                    "a profile is named without its folder and without .yaml");
        return NULL;
    }
    for (size_t i = 0; i < sources->profile_dir_count; i++) {
        int length = snprintf(path, sizeof(path), "%s/%s.yaml", sources->profile_dirs[i], name);
        if (length > 0 && (size_t)length < sizeof(path) && access(path, F_OK) == 0)
            return profile_load(path, sources->quantity, loader->reader.out);
        offer_profiles(sources->profile_dirs[i], loader->reader.arena, &suggest);
    }
    field_error(&loader->reader, node, "profile \"%.64s\" does not exist%s", name,
                suggest_text(&suggest));
    return NULL;
}

static void resolve_profile(const struct loader *loader, const struct settings_sources *sources,
                            struct wanted_list *wanted, const struct node *node,
                            const struct device_draft *draft, struct settings_device *device)
{
    if (draft->profile == NULL)
        return;
    for (size_t i = 0; i < wanted->count; i++) {
        if (strcmp(wanted->items[i].name, draft->profile) == 0) {
            device->profile = wanted->items[i].profile;
            return;
        }
    }
    struct profile *profile =
        find_profile(loader, sources, tree_member(node, "profile"), draft->profile);
    wanted->items[wanted->count++] = (struct wanted){draft->profile, profile};
    device->profile = profile;
}

/* One entry of a device's `points`. */
static void read_point(const struct loader *loader, const struct node *member,
                       struct settings_device *device)
{
    const struct profile *profile = device->profile;
    int index = profile_point_index(profile, member->key);
    if (index < 0) {
        struct suggest suggest = suggest_start(member->key);
        for (size_t i = 0; i < profile->point_count; i++)
            suggest_offer(&suggest, profile->points[i].name);
        diagnostics_add(loader->reader.out, SEVERITY_ERROR, member->key_place,
                        "profile \"%s\" has no point \"%s\"%s", profile->name, member->key,
                        suggest_text(&suggest));
        return;
    }
    struct settings_point *point = &device->points[index];
    point->place = member->key_place;
    field_read(&loader->reader, &SETTINGS_POINT, member, point);
    point->has_deadband = tree_member(member, "deadband") != NULL;
}

/* Another sector may ask the same quantity for another range. */
static void take_range(const struct settings_device *device, const struct profile_point *own,
                       quantity_lookup lookup, struct settings_point *point)
{
    const struct quantity *quantity =
        own->own_range || lookup == NULL ? NULL : lookup(device->sector, own->quantity);
    point->min = quantity == NULL ? own->min : quantity->min;
    point->max = quantity == NULL ? own->max : quantity->max;
    point->has_range = point->min != 0 || point->max != 0;
}

static void read_points(const struct loader *loader, const struct settings_sources *sources,
                        const struct node *node, struct settings_device *device)
{
    if (device->profile == NULL)
        return;
    size_t count = device->profile->point_count;
    device->points = arena_array(loader->reader.arena, count, sizeof(*device->points));
    for (size_t i = 0; i < count; i++) {
        device->points[i] =
            (struct settings_point){.place = device->place, .every_ms = device->every_ms};
        take_range(device, &device->profile->points[i], sources->quantity, &device->points[i]);
    }
    const struct node *points = tree_member(node, "points");
    const struct node *member = points != NULL && points->kind == NODE_MAP ? points->first : NULL;
    for (; member != NULL; member = member->next)
        read_point(loader, member, device);
}

/* What the profile says about the sensor meets what the line says about the wire. */
static void take_patience(const struct settings *settings, struct settings_device *device)
{
    const struct profile *profile = device->profile;
    if (device->line >= settings->line_count || profile == NULL)
        return;
    const struct settings_line *line = &settings->lines[device->line];
    device->timeout_ms =
        profile->timeout_ms > line->timeout_ms ? profile->timeout_ms : line->timeout_ms;
    device->retries = profile->has_retries ? profile->retries : line->retries;
}

static void read_devices(struct loader *loader, const struct settings_sources *sources,
                         struct wanted_list *wanted)
{
    struct settings *settings = loader->settings;
    settings->device_count = list_items(loader, "devices", DEVICES_MAX, &loader->device_nodes);
    settings->devices =
        arena_array(loader->reader.arena, settings->device_count, sizeof(*settings->devices));
    wanted->items =
        arena_array(loader->reader.arena, settings->device_count, sizeof(*wanted->items));
    for (size_t i = 0; i < settings->device_count; i++) {
        const struct node *node = loader->device_nodes[i];
        struct settings_device *device = &settings->devices[i];
        struct device_draft draft = {.device.every_ms = UINT32_MAX}; /* of an `every` in error */
        field_read(&loader->reader, &SETTINGS_DEVICE, node, &draft);
        *device = draft.device;
        device->place = name_place(node);
        device->has_every_alarm = tree_member(node, "every_alarm") != NULL;
        resolve_line(loader, node, &draft, device);
        resolve_profile(loader, sources, wanted, node, &draft, device);
        take_patience(settings, device);
        if (device->sector == SECTOR_UNSPECIFIED && device->profile != NULL)
            device->sector = device->profile->sector;
        read_points(loader, sources, node, device);
    }
}

static void keep_profiles(struct settings *settings, const struct wanted_list *wanted)
{
    settings->profiles = arena_array(settings->arena, wanted->count, sizeof(*settings->profiles));
    for (size_t i = 0; i < wanted->count; i++) {
        if (wanted->items[i].profile != NULL)
            settings->profiles[settings->profile_count++] = wanted->items[i].profile;
    }
}

struct settings *settings_parse(const struct source *source, const struct settings_sources *sources,
                                struct diagnostics *out)
{
    size_t errors = diagnostics_errors(out);
    struct arena *arena = arena_new();
    struct settings *settings = arena_alloc(arena, sizeof(*settings));
    struct arena *scratch = arena_new(); /* the tree and what only the loader needs */
    struct loader loader = {.reader = {.arena = arena, .out = out}, .settings = settings};
    struct wanted_list wanted = {0};
    settings->arena = arena;
    loader.root = tree_parse(source, scratch, out);
    if (loader.root != NULL) {
        field_read(&loader.reader, &SETTINGS, loader.root, settings);
        read_lines(&loader);
        read_devices(&loader, sources, &wanted);
        catchment_read(&loader);
        pack_read(&loader, sources, scratch);
        rule_apply(&loader, sources);
        read_uplinks(&loader);
        keep_profiles(settings, &wanted);
        settings_check(&loader, sources->quantity);
    }
    arena_free(scratch);
    if (loader.root != NULL && diagnostics_errors(out) == errors)
        return settings;
    settings_free(settings);
    return NULL;
}

struct settings *settings_load(const char *path, const struct settings_sources *sources,
                               struct diagnostics *out)
{
    const struct source *source = diagnostics_open(out, path);
    return source == NULL ? NULL : settings_parse(source, sources, out);
}

size_t settings_find_device(const struct settings *settings, const char *name)
{
    size_t d = 0;
    while (d < settings->device_count && strcmp(settings->devices[d].name, name) != 0)
        d++;
    return d;
}

const char *settings_transport_name(enum transport_kind kind)
{
    switch (kind) {
    case TRANSPORT_RTU:
        return "rtu";
    case TRANSPORT_TCP:
        return "tcp";
    case TRANSPORT_RTU_OVER_TCP:
        return "rtu-over-tcp";
    }
    return "unknown";
}

void settings_free(struct settings *settings)
{
    if (settings == NULL)
        return;
    for (size_t i = 0; i < settings->profile_count; i++)
        profile_free(settings->profiles[i]);
    arena_free(settings->arena);
}
