/* The tables of the watch: which rule is in force where, who is asked when a point has a sample.
 *
 * Main thread (a view is built there), then the pipeline's. Everything is allocated here, once.
 * Never judges. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/flow/watch_parts.h"

/* ---- which points ---- */

static uint32_t *index_of(const struct watch *watch, uint32_t device, uint32_t point)
{
    return &watch->point_index[watch->point_first[device] + point];
}

struct watched *watch_point(const struct watch *watch, uint32_t device, uint32_t point)
{
    uint32_t index = *index_of(watch, device, point);
    return index == WATCH_NONE ? NULL : &watch->watched[index];
}

static void mark(struct watch *watch, struct rule_point point)
{
    *index_of(watch, point.device, point.point) = 0;
}

static void mark_rule(struct watch *watch, const struct rule *rule)
{
    for (size_t i = 0; i < rule->condition_count; i++)
        mark(watch, rule->conditions[i].point);
    for (size_t r = 0; r < RULE_ROLES_MAX; r++) {
        for (size_t i = 0; i < rule->roles[r].count; i++)
            mark(watch, rule->roles[r].points[i]);
    }
}

static void mark_all(struct watch *watch)
{
    for (uint32_t d = 0; d < watch->settings->device_count; d++) {
        const struct settings_device *device = &watch->settings->devices[d];
        for (size_t r = 0; r < device->rules.count; r++)
            mark_rule(watch, device->rules.rules[r]);
        for (uint32_t p = 0; p < device->profile->point_count; p++) {
            const struct rules *rules = &device->points[p].rules;
            for (size_t r = 0; r < rules->count; r++)
                mark_rule(watch, rules->rules[r]);
            if (rules->count)
                mark(watch, (struct rule_point){d, p});
        }
    }
}

static void make_point(struct watch *watch, uint32_t device, uint32_t point)
{
    const struct settings_device *own = &watch->settings->devices[device];
    const struct profile_point *profile = &own->profile->points[point];
    const struct rules *rules = &own->points[point].rules;
    struct watched *watched = &watch->watched[watch->watched_count];
    *index_of(watch, device, point) = (uint32_t)watch->watched_count++;
    watched->device = device;
    watched->point = point;
    watched->divisor = profile->is_float ? 0 : pow(10, profile->decimals);
    for (size_t r = 0; r < rules->count; r++) {
        if (rules->rules[r]->kind == RULE_SPIKE)
            watched->spike_rule = rules->rules[r];
    }
}

static bool make_points(struct watch *watch)
{
    const struct settings *settings = watch->settings;
    uint32_t points = 0;
    size_t count = 0;
    watch->point_first = calloc(settings->device_count + 1, sizeof *watch->point_first);
    for (uint32_t d = 0; watch->point_first && d < settings->device_count; d++) {
        watch->point_first[d] = points;
        points += (uint32_t)settings->devices[d].profile->point_count;
    }
    watch->point_index = malloc((points + 1) * sizeof *watch->point_index);
    if (!watch->point_first || !watch->point_index)
        return false;
    memset(watch->point_index, 0xff, points * sizeof *watch->point_index);
    mark_all(watch);
    for (uint32_t i = 0; i < points; i++)
        count += watch->point_index[i] != WATCH_NONE;
    watch->watched = calloc(count + 1, sizeof *watch->watched);
    for (uint32_t d = 0; watch->watched && d < settings->device_count; d++) {
        for (uint32_t p = 0; p < settings->devices[d].profile->point_count; p++) {
            if (*index_of(watch, d, p) != WATCH_NONE)
                make_point(watch, d, p);
        }
    }
    return watch->watched != NULL;
}

static bool copy_ids(struct watch *watch, const struct store_ids *ids)
{
    const struct settings *settings = watch->settings;
    uint32_t points = 0;
    for (size_t d = 0; d < settings->device_count; d++)
        points += (uint32_t)settings->devices[d].profile->point_count;
    watch->device_ids = calloc(settings->device_count + 1, sizeof *watch->device_ids);
    watch->point_ids = calloc(points + 1, sizeof *watch->point_ids);
    if (!watch->device_ids || !watch->point_ids)
        return false;
    for (size_t d = 0; d < settings->device_count; d++) {
        watch->device_ids[d] = ids->device[d];
        memcpy(&watch->point_ids[watch->point_first[d]], ids->point[d],
               settings->devices[d].profile->point_count * sizeof *watch->point_ids);
    }
    return true;
}

static bool make_blocks(struct watch *watch)
{
    const struct plan *plan = watch->plan;
    uint32_t points = 0;
    watch->block_first = calloc(plan->block_count + 1, sizeof *watch->block_first);
    for (size_t b = 0; watch->block_first && b < plan->block_count; b++) {
        watch->block_first[b] = points;
        points += plan->blocks[b].point_count;
    }
    watch->block_points = calloc(points + 1, sizeof *watch->block_points);
    if (!watch->block_first || !watch->block_points)
        return false;
    for (size_t b = 0; b < plan->block_count; b++) {
        const struct plan_block *block = &plan->blocks[b];
        for (uint16_t i = 0; i < block->point_count; i++)
            watch->block_points[watch->block_first[b] + i] =
                *index_of(watch, block->device, block->points[i]);
    }
    return true;
}

/* ---- which rules ---- */

/* Two periods of the point, with all tries: when no sample came by then, none will soon. */
static int64_t patience_of(const struct watch *watch, struct rule_point point)
{
    const struct settings_device *device = &watch->settings->devices[point.device];
    int64_t tries_ms = (int64_t)device->timeout_ms * (device->retries + 1);
    return 2 * ((int64_t)device->points[point.point].every_ms + tries_ms);
}

static int64_t patience_for(const struct watch *watch, const struct sentry *sentry)
{
    const struct rule *rule = sentry->rule;
    int64_t patience_ms = 0;
    if (sentry->point != WATCH_NONE)
        patience_ms = patience_of(watch, (struct rule_point){sentry->device, sentry->point});
    for (size_t i = 0; i < rule->condition_count; i++) {
        int64_t other = patience_of(watch, rule->conditions[i].point);
        patience_ms = other > patience_ms ? other : patience_ms;
    }
    return patience_ms;
}

static bool make_judge(struct watch *watch, struct sentry *sentry)
{
    const struct settings_device *device = &watch->settings->devices[sentry->device];
    sentry->judge.patience_ms = patience_for(watch, sentry);
    if (sentry->point != WATCH_NONE)
        sentry->judge.wrap = device->profile->points[sentry->point].wrap;
    if (!rule_has_window(sentry->rule->kind))
        return true;
    sentry->judge.window = calloc(1, sizeof *sentry->judge.window);
    return sentry->judge.window != NULL;
}

static bool make_diagnosis(struct watch *watch, struct sentry *sentry)
{
    const struct rule *rule = sentry->rule;
    sentry->diagnosis = diagnosis_of(rule->diagnosis);
    for (size_t r = 0; r < rule->diagnosis->role_count; r++)
        sentry->input_count += rule->roles[r].count;
    sentry->memory = calloc(1, sentry->diagnosis->memory + 1);
    sentry->inputs = calloc(sentry->input_count + 1, sizeof *sentry->inputs);
    sentry->input_points = calloc(sentry->input_count + 1, sizeof *sentry->input_points);
    if (!sentry->memory || !sentry->inputs || !sentry->input_points)
        return false;
    for (size_t r = 0, input = 0; r < rule->diagnosis->role_count; r++) {
        sentry->roles[r] =
            (struct diagnosis_role_inputs){sentry->inputs + input, rule->roles[r].count};
        for (size_t i = 0; i < rule->roles[r].count; i++, input++)
            sentry->input_points[input] =
                *index_of(watch, rule->roles[r].points[i].device, rule->roles[r].points[i].point);
    }
    return true;
}

/* A diagnosis of a device is about the first point of the device that plays a part. */
static uint32_t subject_of(const struct rule *rule, uint32_t device, uint32_t point)
{
    for (size_t r = 0; point == WATCH_NONE && r < RULE_ROLES_MAX; r++) {
        for (size_t i = 0; point == WATCH_NONE && i < rule->roles[r].count; i++) {
            if (rule->roles[r].points[i].device == device)
                point = rule->roles[r].points[i].point;
        }
    }
    return point;
}

static bool make_sentry(struct watch *watch, const struct rule *rule, uint32_t device,
                        uint32_t point)
{
    const struct settings_device *own = &watch->settings->devices[device];
    struct sentry *sentry = &watch->sentries[watch->sentry_count++];
    char key[WATCH_KEY_MAX];
    if (point == WATCH_NONE)
        snprintf(key, sizeof key, "%s/%s", own->name, rule->name);
    else
        snprintf(key, sizeof key, "%s.%s/%s", own->name, own->profile->points[point].name,
                 rule->name);
    point = subject_of(rule, device, point);
    *sentry = (struct sentry){.rule = rule, .device = device, .point = point, .key = strdup(key)};
    sentry->watched = point == WATCH_NONE ? WATCH_NONE : *index_of(watch, device, point);
    if (!sentry->key)
        return false;
    return rule->kind == RULE_DIAGNOSE ? make_diagnosis(watch, sentry) : make_judge(watch, sentry);
}

/* One after the other: each rule that makes alarms, with where it is in force. */
static bool each_rule(struct watch *watch, bool (*take)(struct watch *, const struct rule *,
                                                        uint32_t device, uint32_t point))
{
    bool ok = true;
    for (uint32_t d = 0; ok && d < watch->settings->device_count; d++) {
        const struct settings_device *device = &watch->settings->devices[d];
        for (size_t r = 0; ok && r < device->rules.count; r++)
            ok = take(watch, device->rules.rules[r], d, WATCH_NONE);
        for (uint32_t p = 0; ok && p < device->profile->point_count; p++) {
            const struct rules *rules = &device->points[p].rules;
            for (size_t r = 0; ok && r < rules->count; r++)
                ok = rules->rules[r]->kind == RULE_SPIKE || take(watch, rules->rules[r], d, p);
        }
    }
    return ok;
}

static bool count_rule(struct watch *watch, const struct rule *rule, uint32_t device,
                       uint32_t point)
{
    (void)rule;
    (void)device;
    (void)point;
    watch->sentry_count++;
    return true;
}

static const struct watch *sorted; /* qsort() has no context; the main thread's only */

static int compare_keys(const void *a, const void *b)
{
    return strcmp(sorted->sentries[*(const uint32_t *)a].key,
                  sorted->sentries[*(const uint32_t *)b].key);
}

static bool make_sentries(struct watch *watch)
{
    (void)each_rule(watch, count_rule);
    size_t count = watch->sentry_count;
    watch->sentries = calloc(count + 1, sizeof *watch->sentries);
    watch->dues = calloc(count + 1, sizeof *watch->dues);
    watch->by_key = calloc(count + 1, sizeof *watch->by_key);
    watch->sentry_count = 0;
    if (!watch->sentries || !watch->dues || !watch->by_key || !each_rule(watch, make_sentry))
        return false;
    for (uint32_t i = 0; i < count; i++)
        watch->by_key[i] = i;
    sorted = watch;
    qsort(watch->by_key, count, sizeof *watch->by_key, compare_keys);
    return true;
}

struct sentry *watch_find(const struct watch *watch, const char *key)
{
    size_t low = 0, high = watch->sentry_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        struct sentry *sentry = &watch->sentries[watch->by_key[middle]];
        int order = strcmp(key, sentry->key);
        if (order == 0)
            return sentry;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* ---- who is asked ---- */

static bool asks_own_value(const struct sentry *sentry)
{
    return !sentry->diagnosis && sentry->rule->condition_count == 0 &&
           sentry->watched != WATCH_NONE;
}

static void add_use(struct watch *watch, uint32_t watched, uint32_t sentry, uint32_t input)
{
    struct watched *point = &watch->watched[watched];
    if (watch->uses)
        watch->uses[point->first_use + point->use_count] = (struct watch_use){sentry, input};
    point->use_count++;
}

/* A point that stands in two conditions of a rule is asked once. */
static bool is_named_before(const struct rule *rule, size_t condition)
{
    const struct rule_point *own = &rule->conditions[condition].point;
    for (size_t i = 0; i < condition; i++) {
        if (rule->conditions[i].point.device == own->device &&
            rule->conditions[i].point.point == own->point)
            return true;
    }
    return false;
}

static void add_uses(struct watch *watch)
{
    for (uint32_t s = 0; s < watch->sentry_count; s++) {
        const struct sentry *sentry = &watch->sentries[s];
        if (asks_own_value(sentry))
            add_use(watch, sentry->watched, s, WATCH_NONE);
        for (size_t c = 0; c < sentry->rule->condition_count; c++) {
            const struct rule_point *point = &sentry->rule->conditions[c].point;
            if (!is_named_before(sentry->rule, c))
                add_use(watch, *index_of(watch, point->device, point->point), s, WATCH_NONE);
        }
        for (uint32_t i = 0; i < sentry->input_count; i++)
            add_use(watch, sentry->input_points[i], s, i);
    }
}

static bool make_uses(struct watch *watch)
{
    uint32_t count = 0;
    add_uses(watch); /* counts */
    for (size_t w = 0; w < watch->watched_count; w++) {
        watch->watched[w].first_use = count;
        count += watch->watched[w].use_count;
        watch->watched[w].use_count = 0;
    }
    watch->uses = calloc(count + 1, sizeof *watch->uses);
    if (watch->uses)
        add_uses(watch);
    return watch->uses != NULL;
}

static bool is_of_device(const struct sentry *sentry, uint32_t device)
{
    return sentry->device == device && sentry->watched == WATCH_NONE && !sentry->diagnosis &&
           sentry->rule->condition_count == 0;
}

static bool make_silent(struct watch *watch)
{
    size_t devices = watch->settings->device_count;
    uint32_t count = 0;
    watch->silent_first = calloc(devices + 1, sizeof *watch->silent_first);
    watch->silent = calloc(watch->sentry_count + 1, sizeof *watch->silent);
    if (!watch->silent_first || !watch->silent)
        return false;
    uint32_t s = 0; /* sentries lie in the order of the devices */
    for (uint32_t d = 0; d < devices; d++) {
        watch->silent_first[d] = count;
        for (; s < watch->sentry_count && watch->sentries[s].device == d; s++) {
            if (is_of_device(&watch->sentries[s], d))
                watch->silent[count++] = s;
        }
    }
    watch->silent_first[devices] = count;
    return true;
}

/* ---- the whole ---- */

struct watch *watch_new(const struct settings *settings, const struct plan *plan,
                        const struct store_ids *ids)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return NULL;
    *watch = (struct watch){.settings = settings, .plan = plan, .next = {INT64_MAX}};
    watch->urging = calloc(settings->device_count + 1, sizeof *watch->urging);
    watch->maintained = calloc(settings->device_count + 1, sizeof *watch->maintained);
    if (watch->urging && watch->maintained && make_points(watch) && copy_ids(watch, ids) &&
        make_blocks(watch) && make_sentries(watch) && make_uses(watch) && make_silent(watch))
        return watch;
    watch_free(watch);
    return NULL;
}

void watch_free(struct watch *watch)
{
    if (!watch)
        return;
    for (size_t i = 0; watch->sentries && i < watch->sentry_count; i++) {
        struct sentry *sentry = &watch->sentries[i];
        free(sentry->key);
        free(sentry->judge.window);
        free(sentry->memory);
        free(sentry->inputs);
        free(sentry->input_points);
    }
    free(watch->watched);
    free(watch->point_first);
    free(watch->device_ids);
    free(watch->point_ids);
    free(watch->point_index);
    free(watch->block_first);
    free(watch->block_points);
    free(watch->sentries);
    free(watch->dues);
    free(watch->uses);
    free(watch->silent_first);
    free(watch->silent);
    free(watch->by_key);
    free(watch->urging);
    free(watch->maintained);
    free(watch);
}
