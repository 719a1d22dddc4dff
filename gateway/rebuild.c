/* Builds the new whole beside the old one: what is the same is taken from the house, what is not is
 * made anew, and nothing of it runs yet.
 *
 * Main thread, called by reload.c. A line is the same when its settings, its devices, their
 * profiles and what the plan makes of them are; an uplink when its settings are. One of the same
 * name takes over its place in the store, where all that it owes stays.
 * Never starts, stops or changes anything of the house. */
#include "gateway/rebuild.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/settings_diff.h"
#include "drivers/plan_diff.h"
#include "gateway/uplink/secret.h"

/* ---- the file ---- */

bool rebuild_load(struct rebuild *rebuild, const struct house *house, char *why, size_t why_size)
{
    char keys[200];
    struct setup *setup = rebuild->setup = calloc(1, sizeof *setup);
    snprintf(why, why_size, "out of memory");
    if (!setup)
        return false;
    bool fine = setup_load(setup, house->config, house->profiles, false);
    if (setup->diagnostics)
        fputs(diagnostics_text(setup->diagnostics), stderr);
    if (setup->diagnostics && diagnostics_errors(setup->diagnostics) > 0)
        snprintf(why, why_size, "%s is wrong", house->config);
    if (!fine || !secret_guarded(setup->settings, why, why_size))
        return false;
    if (settings_diff_restart(house->setup->settings, setup->settings, keys, sizeof keys) == 0)
        return true;
    snprintf(why, why_size, "only a restart can change %s", keys);
    return false;
}

/* ---- what is what ---- */

bool rebuild_has_line(struct line *const *lines, size_t count, const struct line *line)
{
    size_t l = 0;
    while (l < count && lines[l] != line)
        l++;
    return l < count;
}

bool rebuild_has_uplink(struct uplink *const *uplinks, size_t count, const struct uplink *uplink)
{
    size_t u = 0;
    while (u < count && uplinks[u] != uplink)
        u++;
    return u < count;
}

/* The line of the house that line l of the new settings is; NULL when it is another one. */
static struct line *same_line(const struct rebuild *rebuild, const struct house *house, uint32_t l)
{
    const struct setup *now = house->setup, *next = rebuild->setup;
    for (uint32_t i = 0; i < now->settings->line_count; i++) {
        if (strcmp(now->settings->lines[i].name, next->settings->lines[l].name) == 0 &&
            settings_diff_same_line(now->settings, i, next->settings, l) &&
            plan_diff_same_line(now->plan, i, next->plan, l))
            return house->lines[i];
    }
    return NULL;
}

/* The uplink of the house that has this name; NULL when it has none. */
static struct uplink *namesake(const struct house *house, const struct settings_uplink *uplink,
                               bool *same)
{
    const struct settings *now = house->setup->settings;
    for (size_t i = 0; i < now->uplink_count; i++) {
        *same = settings_diff_same_uplink(&now->uplinks[i], uplink);
        if (strcmp(now->uplinks[i].name, uplink->name) == 0)
            return house->uplinks[i];
    }
    return NULL;
}

/* ---- numbers and places ---- */

static bool number_is_taken(const struct rebuild *rebuild, const struct house *house,
                            const struct leaving *leaving, uint16_t number)
{
    for (size_t l = 0; l < house->setup->settings->line_count; l++) {
        if (line_number(house->lines[l]) == number)
            return true;
    }
    for (size_t l = 0; l < rebuild->setup->settings->line_count; l++) {
        if (rebuild->lines[l] && line_number(rebuild->lines[l]) == number)
            return true;
    }
    for (const struct leaving *one = leaving; one; one = one->next) {
        if (one->line && line_number(one->line) == number)
            return true;
    }
    return false;
}

static bool place_is_taken(const struct rebuild *rebuild, const struct house *house,
                           const struct leaving *leaving, size_t place)
{
    for (size_t u = 0; u < house->setup->settings->uplink_count; u++) {
        if (uplink_place(house->uplinks[u]) == place)
            return true;
    }
    for (size_t u = 0; u < rebuild->setup->settings->uplink_count; u++) {
        if (rebuild->uplinks[u] && uplink_place(rebuild->uplinks[u]) == place)
            return true;
    }
    for (const struct leaving *one = leaving; one; one = one->next) {
        if (one->uplink && uplink_place(one->uplink) == place)
            return true;
    }
    return false;
}

static size_t free_place(const struct rebuild *rebuild, const struct house *house,
                         const struct leaving *leaving)
{
    size_t place = 0;
    while (place < STORE_UPLINKS && place_is_taken(rebuild, house, leaving, place))
        place++;
    return place;
}

/* ---- building ---- */

static bool make_lines(struct rebuild *rebuild, const struct house *house,
                       const struct leaving *leaving)
{
    const struct setup *next = rebuild->setup;
    for (uint32_t l = 0; l < next->settings->line_count; l++)
        rebuild->lines[l] = same_line(rebuild, house, l);
    for (uint32_t l = 0; l < next->settings->line_count; l++) {
        uint16_t number = 0;
        if (rebuild->lines[l])
            continue;
        while (number_is_taken(rebuild, house, leaving, number))
            number++;
        rebuild->lines[l] = line_new(next->settings, next->plan, l, number, house->pipeline);
        if (!rebuild->lines[l])
            return false;
    }
    return true;
}

static bool make_uplinks(struct rebuild *rebuild, struct house *house,
                         const struct leaving *leaving)
{
    const struct settings *next = rebuild->setup->settings;
    const struct uplink_rooms rooms = house_uplink_rooms(house);
    for (size_t u = 0; u < next->uplink_count; u++) {
        bool same = false;
        struct uplink *before = namesake(house, &next->uplinks[u], &same);
        size_t place = before ? uplink_place(before) : free_place(rebuild, house, leaving);
        if (place < STORE_UPLINKS)
            rebuild->uplinks[u] = before && same ? before : uplink_new(next, u, place, &rooms);
        if (!rebuild->uplinks[u])
            return false;
        rebuild->places[u] = place;
    }
    return true;
}

/* One for each line and uplink that there is: none can be missing when it goes. */
static bool make_spare(struct rebuild *rebuild, const struct house *house)
{
    const struct settings *now = house->setup->settings;
    for (size_t i = 0; i < now->line_count + now->uplink_count; i++) {
        struct leaving *one = calloc(1, sizeof *one);
        if (!one)
            return false;
        one->next = rebuild->spare;
        rebuild->spare = one;
    }
    return true;
}

bool rebuild_make(struct rebuild *rebuild, struct house *house, const struct leaving *leaving)
{
    const struct setup *next = rebuild->setup;
    rebuild->lines = calloc(next->settings->line_count + 1, sizeof(struct line *));
    rebuild->uplinks = calloc(next->settings->uplink_count + 1, sizeof(struct uplink *));
    rebuild->places = calloc(next->settings->uplink_count + 1, sizeof *rebuild->places);
    return rebuild->lines && rebuild->uplinks && rebuild->places && make_spare(rebuild, house) &&
           make_lines(rebuild, house, leaving) && make_uplinks(rebuild, house, leaving);
}

/* ---- the rest ---- */

bool rebuild_finish(struct rebuild *rebuild, const struct house *house)
{
    const struct setup *now = house->setup, *next = rebuild->setup;
    size_t lines = next->settings->line_count;
    uint16_t *numbers = calloc(lines + 1, sizeof *numbers);
    if (!rebuild->latest)
        rebuild->latest = latest_new(next->plan);
    if (!rebuild->from)
        rebuild->from = calloc(next->plan->block_count + 1, sizeof *rebuild->from);
    if (numbers && rebuild->latest && rebuild->from && api_reserve(house->api, next->plan)) {
        for (size_t l = 0; l < lines; l++)
            numbers[l] = line_number(rebuild->lines[l]);
        plan_diff_carry(&(struct plan_of){now->settings, now->plan},
                        &(struct plan_of){next->settings, next->plan}, rebuild->from);
        rebuild->view =
            view_new(next->settings, next->plan, store_ids(house->store), rebuild->latest, numbers);
    }
    free(numbers);
    return rebuild->view != NULL;
}

bool rebuild_ends_line(const struct rebuild *rebuild, const struct line *line)
{
    return !rebuild_has_line(rebuild->lines, rebuild->setup->settings->line_count, line);
}

void rebuild_free(struct rebuild *rebuild, const struct house *house)
{
    const struct settings *now = house->setup->settings;
    const struct settings *next = rebuild->setup ? rebuild->setup->settings : NULL;
    for (size_t l = 0; rebuild->lines && l < next->line_count; l++) {
        if (!rebuild_has_line(house->lines, now->line_count, rebuild->lines[l]))
            line_free(rebuild->lines[l]);
    }
    for (size_t u = 0; rebuild->uplinks && u < next->uplink_count; u++) {
        if (!rebuild_has_uplink(house->uplinks, now->uplink_count, rebuild->uplinks[u]))
            uplink_free(rebuild->uplinks[u]);
    }
    while (rebuild->spare) {
        struct leaving *one = rebuild->spare;
        rebuild->spare = one->next;
        free(one);
    }
    free(rebuild->lines);
    free(rebuild->uplinks);
    free(rebuild->places);
    free(rebuild->from);
    view_free(rebuild->view);
    latest_free(rebuild->latest);
    if (rebuild->setup)
        setup_free(rebuild->setup);
    free(rebuild->setup);
    *rebuild = (struct rebuild){0};
}
