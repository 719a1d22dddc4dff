/* A value as JSON, and which values a client asked for.
 *
 * Main thread. Reads the table of the newest samples and the configuration, changes neither. A
 * value that does not count is null beside its quality: nobody takes the last good one for a new
 * one. Times are UTC as the line marked them; ages run on the monotonic clock. */
#include "gateway/api/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "gateway/api/history_line.h"
#include "gateway/pattern.h"

bool reading_wanted(const struct evkeyvalq *query, const char *device, const char *point)
{
    const struct evkeyval *entry;
    bool any = false;
    if (!query)
        return true;
    TAILQ_FOREACH(entry, query, next)
    {
        if (strcmp(entry->key, "point") != 0)
            continue;
        any = true;
        if (pattern_fits(entry->value, device, point))
            return true;
    }
    return !any;
}

json_t *reading_age(mono_time then, mono_time now)
{
    return then.ns ? json_integer(clock_ms_between(then, now)) : json_null();
}

static double shortest(float real)
{
    char text[HISTORY_LINE_REAL_MAX];
    history_line_real(real, text);
    return strtod(text, NULL);
}

static json_t *number(const struct profile_point *point, const struct value *value)
{
    if (!names_quality_usable(value->quality))
        return json_null();
    if (point->is_float)
        return isfinite(value->real) ? json_real(shortest(value->real)) : json_null();
    if (point->decimals == 0)
        return json_integer(value->steps);
    return json_real((double)value->steps / pow(10, point->decimals));
}

static json_t *reading(const struct settings_device *device, const struct profile_point *point)
{
    json_t *out = json_pack("{s:s, s:s, s:s}", "device", device->name, "point", point->name, "unit",
                            point->unit);
    if (!point->is_float)
        json_object_set_new(out, "decimals", json_integer(point->decimals));
    return out;
}

void reading_append(struct api *api, uint32_t block_index, const struct evkeyvalq *query,
                    mono_time now, json_t *out)
{
    const struct plan_block *block = &api->rooms.setup->plan->blocks[block_index];
    const struct settings_device *device = &api->rooms.setup->settings->devices[block->device];
    struct sample sample;
    mono_time good;
    bool any = latest_get(api->rooms.latest, block_index, &sample, api->values, &good);
    for (size_t i = 0; i < block->point_count; i++) {
        const struct profile_point *point = &device->profile->points[block->points[i]];
        if (!reading_wanted(query, device->name, point->name))
            continue;
        json_t *object = reading(device, point);
        const struct value *value = &api->values[i];
        bool answered = any && sample.failure == QUALITY_GOOD;
        enum quality quality = answered ? value->quality : sample.failure;
        json_object_set_new(object, "value", answered ? number(point, value) : json_null());
        json_object_set_new(object, "quality",
                            any ? json_string(names_quality(quality)) : json_null());
        json_object_set_new(object, "time_ms", any ? json_integer(sample.wall.ms) : json_null());
        json_object_set_new(object, "age_ms", any ? reading_age(sample.mono, now) : json_null());
        if (!answered) {
            json_object_set_new(object, "last_value", good.ns ? number(point, value) : json_null());
            json_object_set_new(object, "last_age_ms", reading_age(good, now));
        }
        json_array_append_new(out, object);
    }
}

void reading_latest(struct api *api, struct evhttp_request *request, const char *name)
{
    const struct plan *plan = api->rooms.setup->plan;
    struct evkeyvalq query;
    mono_time now = clock_mono();
    (void)name;
    if (!api_query(api, request, &query))
        return;
    json_t *points = json_array();
    for (uint32_t b = 0; b < plan->block_count; b++)
        reading_append(api, b, &query, now, points);
    evhttp_clear_headers(&query);
    api_reply(request, HTTP_OK,
              json_pack("{s:I, s:o}", "time_ms", (json_int_t)clock_wall().ms, "points", points));
}
