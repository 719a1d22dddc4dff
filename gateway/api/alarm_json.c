/* Writes an AlarmEvent down as JSON.
 *
 * Pure; the API's main thread and lifelinectl call it. What was not given is not there: no empty
 * text, no time 0, no threshold where the kind has none. Owns nothing. */
#include "gateway/api/alarm_json.h"

static void put_text(json_t *out, const char *key, const char *text)
{
    if (text[0])
        json_object_set_new(out, key, json_string(text));
}

static void put_time(json_t *out, const char *key, int64_t ms)
{
    if (ms)
        json_object_set_new(out, key, json_integer(ms));
}

static json_t *evidence_of(const struct alarm_event *event)
{
    json_t *out = json_array();
    for (size_t i = 0; i < event->evidence_count; i++) {
        const struct alarm_evidence *e = &event->evidence[i];
        json_array_append_new(out,
                              json_pack("{s:I, s:s, s:I, s:f, s:s}", "point", (json_int_t)e->point,
                                        "name", e->name, "at_ms", (json_int_t)e->at_ms, "value",
                                        e->value, "quality", names_quality(e->quality)));
    }
    return out;
}

static void put_numbers(json_t *out, const struct alarm_event *event)
{
    bool compares = event->kind == ALARM_KIND_THRESHOLD || event->kind == ALARM_KIND_RATE;
    json_object_set_new(out, "value", json_real(event->value));
    json_object_set_new(out, "peak", json_real(event->peak));
    if (compares)
        json_object_set_new(out, "threshold", json_real(event->threshold));
    if (event->confidence)
        json_object_set_new(out, "confidence", json_integer(event->confidence));
}

static const char *datum_of(uint32_t crs)
{
    return crs == 1 ? "CGCS2000" : crs == 2 ? "WGS84" : "unspecified";
}

static void put_position(json_t *out, const struct alarm_event *event)
{
    if (event->has_position)
        json_object_set_new(out, "position",
                            json_pack("{s:f, s:f, s:s}", "longitude", event->longitude, "latitude",
                                      event->latitude, "crs", datum_of(event->crs)));
}

json_t *alarm_json(const struct alarm_event *event)
{
    json_t *out = json_pack(
        "{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:I, s:I, s:s, s:s, s:o}", "id",
        event->id, "step", (json_int_t)event->step, "gateway", event->gateway, "sector",
        names_sector(event->sector), "kind", names_alarm_kind(event->kind), "rule", event->rule,
        "key", event->key, "level", (int)event->level, "previous_level", (int)event->previous_level,
        "status", names_alarm_status(event->status), "device", (json_int_t)event->device, "point",
        (json_int_t)event->point, "device_name", event->device_name, "clock",
        names_clock_state(event->clock), "evidence", evidence_of(event));
    if (!out)
        return NULL;
    put_numbers(out, event);
    put_position(out, event);
    put_text(out, "region", event->region);
    put_text(out, "quantity", event->quantity);
    put_text(out, "unit", event->unit);
    put_text(out, "asset", event->asset);
    put_text(out, "grid", event->grid);
    put_text(out, "threshold_source", event->threshold_source);
    put_text(out, "text_zh", event->text_zh);
    put_text(out, "text_en", event->text_en);
    put_text(out, "hint", event->hint);
    put_text(out, "actor", event->actor);
    put_text(out, "note", event->note);
    put_time(out, "peak_ms", event->peak_ms);
    put_time(out, "first_ms", event->first_ms);
    put_time(out, "raised_ms", event->raised_ms);
    put_time(out, "at_ms", event->at_ms);
    put_time(out, "cleared_ms", event->cleared_ms);
    return out;
}
