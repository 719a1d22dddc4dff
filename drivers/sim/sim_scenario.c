/* Plays a scenario: which points of a configuration it takes, and what they measure when.
 *
 * Loaded once, then pure: any thread may ask. Owns an arena with the file's text as structs, one
 * part for every point of the configuration and the silences of its devices. Never reads a clock,
 * never allocates once loaded, and says the same at the same time for ever. */
#include "drivers/sim/sim_scenario.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "drivers/sim/sim_scenario_parts.h"

#define NOISE_EVERY_MS 1000
#define COUNTERS_BELOW 10000 /* where a counter stands at the start */

/* What one point plays; target NULL: nothing. */
struct part {
    const struct sim_target *target;
    int64_t delay_ms;
    bool counts;
    double base, wrap; /* of a counter */
    uint32_t seed;     /* of its noise */
};

struct hush {
    uint32_t device;
    int64_t delay_ms;
    const struct sim_silences *silences;
};

struct sim_scenario {
    struct arena *arena;
    struct sim_story story;
    size_t device_count;
    size_t *first;       /* [device] its first part; one more: all of them */
    struct part *parts;  /* [first + point] */
    struct hush *hushes; /* in the order of the file */
    size_t hush_count, played;
};

/* ---- who takes what ---- */

static uint32_t mix(uint32_t hash, const char *text)
{
    for (; *text != '\0'; text++) {
        hash = (hash ^ (uint8_t)*text) * 16777619u;
    }
    return hash;
}

/* A good last step for a hash: neighbours come out far apart. */
static uint32_t scatter(uint32_t hash)
{
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return hash ^ hash >> 16;
}

static bool has_values(const struct sim_target *target)
{
    return target->curve.count > 0 || target->steps.count > 0;
}

static bool is_meant(const struct sim_target *target, const struct settings_device *device)
{
    return (target->sectors == 0 || (target->sectors >> device->sector & 1) != 0) &&
           (target->device == NULL || strcmp(target->device, device->name) == 0);
}

/* The next point of the device, from *at on, that the target is about. */
static bool next_point(const struct sim_target *target, const struct profile *profile, size_t *at,
                       uint16_t *met)
{
    for (; *at < profile->point_count; (*at)++) {
        if (strcmp(profile->points[*at].quantity, target->quantity) == 0 &&
            (++*met == target->nth || target->nth == 0)) {
            return true;
        }
    }
    return false;
}

static void take(struct part *part, const struct sim_target *target, int64_t delay_ms,
                 const struct settings_device *device, const struct profile_point *point)
{
    uint32_t seed = scatter(mix(mix(mix(2166136261u, device->name), "."), point->name));
    double below = point->wrap > 0 ? fmin(point->wrap, COUNTERS_BELOW) : COUNTERS_BELOW;
    *part = (struct part){
        .target = target,
        .delay_ms = delay_ms,
        .counts = sim_scenario_counts(target->quantity),
        .base = floor(below * ((double)seed / 4294967296.0)),
        .wrap = point->wrap,
        .seed = seed,
    };
}

/* True when the device has something for the target; with a delay, that is taken. */
static bool try_device(struct sim_scenario *scenario, const struct sim_target *target,
                       const struct settings *settings, uint32_t index, const int64_t *delay_ms)
{
    const struct settings_device *device = &settings->devices[index];
    bool found = target->quantity == NULL;
    uint16_t met = 0;
    for (size_t at = 0; target->quantity != NULL && next_point(target, device->profile, &at, &met);
         at++) {
        struct part *part = &scenario->parts[scenario->first[index] + at];
        bool is_free = !has_values(target) || part->target == NULL;
        found |= is_free;
        if (is_free && delay_ms != NULL && has_values(target)) {
            take(part, target, *delay_ms, device, &device->profile->points[at]);
            scenario->played++;
        }
    }
    if (found && delay_ms != NULL && target->silent.count > 0) {
        scenario->hushes[scenario->hush_count++] = (struct hush){index, *delay_ms, &target->silent};
    }
    return found;
}

/* True when a device of this line may still be taken. */
static bool count_line(const struct sim_target *target, bool *lines, uint32_t line, uint32_t *count)
{
    if (!lines[line] && target->lines > 0 && *count == target->lines) {
        return false;
    }
    *count += !lines[line];
    lines[line] = true;
    return true;
}

/* How many devices the target has taken. */
static uint32_t cast_target(struct sim_scenario *scenario, const struct sim_target *target,
                            const struct settings *settings)
{
    uint32_t taken = 0, line_count = 0;
    bool *lines = arena_array(scenario->arena, settings->line_count + 1, sizeof *lines);
    for (uint32_t i = 0; i < settings->device_count; i++) {
        const struct settings_device *device = &settings->devices[i];
        int64_t delay_ms = (int64_t)taken * target->spread_ms;
        if (is_meant(target, device) && try_device(scenario, target, settings, i, NULL) &&
            count_line(target, lines, device->line, &line_count)) {
            (void)try_device(scenario, target, settings, i, &delay_ms);
            taken++;
        }
        if (target->devices > 0 && taken == target->devices) {
            break;
        }
    }
    return taken;
}

static void no_part(const struct sim_target *target, const struct settings *settings,
                    struct diagnostics *diagnostics)
{
    const char *id = settings->gateway.id != NULL ? settings->gateway.id : "the configuration";
    const char *what = target->quantity != NULL ? target->quantity : "device";
    diagnostics_add(diagnostics, SEVERITY_WARNING, target->place,
                    "%s has no %s for this target that is not taken", id, what);
}

static bool cast_all(struct sim_scenario *scenario, const struct settings *settings,
                     struct diagnostics *diagnostics)
{
    size_t points = 0, silent = 0, used = 0;
    const struct sim_story *story = &scenario->story;
    scenario->device_count = settings->device_count;
    scenario->first =
        arena_array(scenario->arena, settings->device_count + 1, sizeof *scenario->first);
    for (size_t i = 0; i < settings->device_count; i++) {
        scenario->first[i] = points;
        points += settings->devices[i].profile->point_count;
    }
    scenario->first[settings->device_count] = points;
    scenario->parts = arena_array(scenario->arena, points + 1, sizeof *scenario->parts);
    for (size_t i = 0; i < story->target_count; i++) {
        silent += story->targets[i].silent.count > 0;
    }
    scenario->hushes =
        arena_array(scenario->arena, silent * settings->device_count + 1, sizeof *scenario->hushes);
    for (size_t i = 0; i < story->target_count; i++) {
        if (cast_target(scenario, &story->targets[i], settings) > 0) {
            used++;
        } else {
            no_part(&story->targets[i], settings, diagnostics);
        }
    }
    if (used == 0) {
        diagnostics_add(diagnostics, SEVERITY_ERROR, story->targets[0].place,
                        "nothing in the configuration plays a part in \"%s\"", story->name);
    }
    return used > 0;
}

/* ---- loading ---- */

struct sim_scenario *sim_scenario_parse(const struct source *source,
                                        const struct settings *settings,
                                        struct diagnostics *diagnostics)
{
    struct arena *arena = arena_new();
    struct reader reader = {.arena = arena, .out = diagnostics};
    struct sim_scenario *scenario = arena_alloc(arena, sizeof *scenario);
    scenario->arena = arena;
    if (!sim_scenario_read(&reader, source, &scenario->story) ||
        !cast_all(scenario, settings, diagnostics)) {
        arena_free(arena);
        return NULL;
    }
    return scenario;
}

struct sim_scenario *sim_scenario_load(const char *path, const struct settings *settings,
                                       struct diagnostics *diagnostics)
{
    const struct source *source = diagnostics_open(diagnostics, path);
    return source != NULL ? sim_scenario_parse(source, settings, diagnostics) : NULL;
}

void sim_scenario_free(struct sim_scenario *scenario)
{
    if (scenario != NULL) {
        arena_free(scenario->arena);
    }
}

/* ---- playing ---- */

/* The last pair that has begun; the first before it has. */
static size_t begun(const struct sim_pairs *pairs, int64_t at_ms)
{
    size_t low = 0, high = pairs->count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (pairs->list[middle].at_ms <= at_ms) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static double curve_at(const struct sim_pairs *pairs, int64_t at_ms)
{
    const struct sim_pair *pair = &pairs->list[begun(pairs, at_ms)];
    if (at_ms <= pair->at_ms || pair == &pairs->list[pairs->count - 1]) {
        return pair->value;
    }
    double share = (double)(at_ms - pair->at_ms) / (double)(pair[1].at_ms - pair->at_ms);
    return pair->value + (pair[1].value - pair->value) * share;
}

/* From -1 to 1, another for each second. */
static double noise_at(uint32_t seed, int64_t at_ms)
{
    uint32_t second = (uint32_t)(at_ms / NOISE_EVERY_MS);
    return (double)scatter(seed ^ scatter(second + 0x9e3779b9u)) / 2147483647.5 - 1;
}

bool sim_scenario_value(const struct sim_scenario *scenario, uint32_t device, uint32_t point,
                        int64_t since_ms, double *value)
{
    if (device >= scenario->device_count ||
        point >= scenario->first[device + 1] - scenario->first[device]) {
        return false;
    }
    const struct part *part = &scenario->parts[scenario->first[device] + point];
    if (part->target == NULL) {
        return false;
    }
    int64_t now_ms = since_ms > 0 ? since_ms : 0;
    const struct sim_target *target = part->target;
    double told = target->curve.count > 0
                      ? curve_at(&target->curve, now_ms - part->delay_ms)
                      : target->steps.list[begun(&target->steps, now_ms - part->delay_ms)].value;
    if (part->counts) {
        told += part->base;
        told = part->wrap > 0 ? fmod(told, part->wrap) : told;
    } else if (target->noise > 0) {
        told += target->noise * noise_at(part->seed, now_ms);
    }
    *value = told;
    return true;
}

bool sim_scenario_silent(const struct sim_scenario *scenario, uint32_t device, int64_t since_ms)
{
    for (size_t i = 0; i < scenario->hush_count; i++) {
        const struct hush *hush = &scenario->hushes[i];
        int64_t at_ms = since_ms - hush->delay_ms;
        for (size_t j = 0; hush->device == device && j < hush->silences->count; j++) {
            const struct sim_silence *silence = &hush->silences->list[j];
            if (at_ms >= silence->from_ms && at_ms < silence->to_ms) {
                return true;
            }
        }
    }
    return false;
}

void sim_scenario_describe(const struct sim_scenario *scenario, char *out, size_t out_size)
{
    const struct sim_story *story = &scenario->story;
    snprintf(out, out_size, "%s %s (%s): %.1f h, %zu points, %zu devices fall silent", story->name,
             story->title_zh, story->title_en, (double)story->lasts_ms / 3600e3, scenario->played,
             scenario->hush_count);
}

const char *sim_scenario_name(const struct sim_scenario *scenario)
{
    return scenario->story.name;
}

int64_t sim_scenario_lasts_ms(const struct sim_scenario *scenario)
{
    return (int64_t)scenario->story.lasts_ms;
}
