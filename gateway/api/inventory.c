/* What is configured: /v1/devices and /v1/points.
 *
 * Main thread. Writes the settings and their profiles down as JSON, nothing that changes while the
 * daemon runs. Owns nothing. What was not given in the configuration is null. */
#include "gateway/api/internal.h"

/* "" stands for "not given". */
static const char *given(const char *text)
{
    return text[0] ? text : NULL;
}

static json_t *position(const struct position *position)
{
    return position->present ? json_pack("[f, f]", position->longitude, position->latitude)
                             : json_null();
}

static const char *crs_name(enum crs crs)
{
    switch (crs) {
    case CRS_UNSPECIFIED:
        return NULL;
    case CRS_CGCS2000:
        return "CGCS2000";
    case CRS_WGS84:
        return "WGS84";
    }
    return NULL;
}

static json_t *device(const struct settings *settings, const struct settings_device *own)
{
    const struct profile *profile = own->profile;
    json_t *model =
        json_pack("{s:s, s:s, s:s, s:s?}", "profile", profile->name, "zh", profile->title_zh, "en",
                  profile->title_en, "vendor", given(profile->vendor));
    return json_pack("{s:s, s:s?, s:s, s:i, s:i, s:s, s:o, s:s?, s:s?, s:o, s:I, s:I}", "name",
                     own->name, "title", given(own->title), "line", settings->lines[own->line].name,
                     "unit", own->unit, "base", own->base, "sector", names_sector(own->sector),
                     "model", model, "asset", given(own->asset), "grid", given(own->grid),
                     "position", position(&own->position), "every_ms", (json_int_t)own->every_ms,
                     "points", (json_int_t)profile->point_count);
}

void inventory_devices(struct api *api, struct evhttp_request *request, const char *name)
{
    const struct settings *settings = api->rooms.setup->settings;
    json_t *devices = json_array();
    (void)name;
    for (size_t d = 0; d < settings->device_count; d++)
        json_array_append_new(devices, device(settings, &settings->devices[d]));
    api_reply(request, HTTP_OK,
              json_pack("{s:s?, s:o}", "crs", crs_name(settings->gateway.crs), "devices", devices));
}

static json_t *point(const struct settings_device *device, size_t index)
{
    const struct profile_point *own = &device->profile->points[index];
    const struct settings_point *settings = &device->points[index];
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:I, s:o}", "device",
                     device->name, "point", own->name, "quantity", own->quantity, "zh",
                     own->title_zh, "en", own->title_en, "unit", own->unit, "decimals",
                     own->is_float ? json_null() : json_integer(own->decimals), "min",
                     settings->has_range ? json_real(settings->min) : json_null(), "max",
                     settings->has_range ? json_real(settings->max) : json_null(), "every_ms",
                     (json_int_t)settings->every_ms, "deadband",
                     settings->has_deadband ? json_real(settings->deadband) : json_null());
}

void inventory_points(struct api *api, struct evhttp_request *request, const char *name)
{
    const struct settings *settings = api->rooms.setup->settings;
    struct evkeyvalq query;
    (void)name;
    if (!api_query(api, request, &query))
        return;
    json_t *points = json_array();
    for (size_t d = 0; d < settings->device_count; d++) {
        const struct settings_device *device = &settings->devices[d];
        for (size_t p = 0; p < device->profile->point_count; p++) {
            if (reading_wanted(&query, device->name, device->profile->points[p].name))
                json_array_append_new(points, point(device, p));
        }
    }
    evhttp_clear_headers(&query);
    api_reply(request, HTTP_OK, json_pack("{s:o}", "points", points));
}
