/* What a probe found, as JSON, and in words what to do about it.
 *
 * One thread. Owns nothing: every function returns a new reference or adds to the caller's object.
 * The words, in both languages, are advice for somebody who stands in front of the cabinet. Never
 * prints. */
#include "gateway/ctl/probe.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { GARBLED_OFTEN = 2 };

json_t *probe_report_serial(const struct serial *serial)
{
    if (!serial->baud)
        return json_null();
    return json_sprintf("%u %u%c%u", serial->baud, serial->data_bits, serial->parity,
                        serial->stop_bits);
}

static const char *presence_name(enum probe_presence presence)
{
    switch (presence) {
    case PROBE_SILENT:
        return "none";
    case PROBE_GARBLED:
        return "garbled";
    case PROBE_THERE:
        return "ok";
    }
    return "none";
}

json_t *probe_report_unit(const struct probe_unit *unit)
{
    bool there = unit->presence == PROBE_THERE;
    return json_pack("{s:i, s:o, s:s, s:o, s:b, s:i, s:[], s:[], s:[], s:[]}", "unit", unit->unit,
                     "serial", probe_report_serial(&unit->serial), "answer",
                     presence_name(unit->presence), "round_trip_ms",
                     there ? json_real((double)unit->round_trip_us / 1000) : json_null(), "twin",
                     unit->twin, "garbled", (int)unit->garbled, "devices", "models", "advice",
                     "advice_zh");
}

static json_t *number_of(const struct profile_point *point, const struct value *value)
{
    if (!names_quality_usable((enum quality)value->quality))
        return json_null();
    return json_real(point->is_float ? (double)value->real
                                     : (double)value->steps / pow(10, point->decimals));
}

/* A level below the mounting height is null: nobody knows yet how high it hangs. */
static json_t *values_of(const struct probe_reading *reading)
{
    const struct profile *profile = reading->profile;
    json_t *values = json_array();
    for (size_t i = 0; i < profile->point_count; i++) {
        const struct profile_point *point = &profile->points[i];
        const struct value *value = &reading->values[i];
        json_t *decimals = point->is_float ? json_null() : json_integer(point->decimals);
        json_array_append_new(
            values, json_pack("{s:s, s:o, s:s, s:s, s:o}", "point", point->name, "value",
                              number_of(point, value), "unit", point->unit, "quality",
                              names_quality((enum quality)value->quality), "decimals", decimals));
    }
    return values;
}

json_t *probe_report_device(const struct probe_device *device, bool known,
                            const struct probe_reading *reading)
{
    bool fits = reading && reading->verdict != PROBE_UNFIT;
    struct words unread = {"无应答", "it does not answer"};
    if (!known)
        unread = (struct words){"没有此模板", "there is no such profile here"};
    if (reading)
        unread = (struct words){reading->why, reading->why};
    return json_pack("{s:s, s:s, s:i, s:b, s:s?, s:s?, s:o}", "name", device->name, "profile",
                     device->profile, "base", device->base, "fits", fits, "why",
                     fits ? NULL : unread.en, "why_zh", fits ? NULL : unread.zh, "values",
                     reading ? values_of(reading) : json_array());
}

json_t *probe_report_model(const struct probe_reading *reading)
{
    const struct profile *profile = reading->profile;
    return json_pack("{s:s, s:s, s:s, s:b, s:o}", "profile", profile->name, "zh", profile->title_zh,
                     "en", profile->title_en, "recognised", reading->verdict == PROBE_RECOGNISED,
                     "values", values_of(reading));
}

__attribute__((format(printf, 2, 4), format(printf, 3, 4))) static void
advise(json_t *unit, const char *zh, const char *en, ...)
{
    va_list arguments;
    va_start(arguments, en);
    json_array_append_new(json_object_get(unit, "advice"), json_vsprintf(en, arguments));
    va_end(arguments);
    va_start(arguments, en);
    json_array_append_new(json_object_get(unit, "advice_zh"), json_vsprintf(zh, arguments));
    va_end(arguments);
}

/* Why it does not fit is worded in each language. */
static void advise_on_device(json_t *unit, const json_t *device)
{
    const char *name = json_string_value(json_object_get(device, "name"));
    const char *profile = json_string_value(json_object_get(device, "profile"));
    json_array_append_new(json_object_get(unit, "advice"),
                          json_sprintf("%s: %s does not fit (%s)", name, profile,
                                       json_string_value(json_object_get(device, "why"))));
    json_array_append_new(json_object_get(unit, "advice_zh"),
                          json_sprintf("%s：与模板 %s 不符（%s）", name, profile,
                                       json_string_value(json_object_get(device, "why_zh"))));
}

static void advise_on_devices(json_t *unit, int number)
{
    size_t index;
    json_t *device;
    json_array_foreach(json_object_get(unit, "devices"), index, device)
    {
        if (!json_is_true(json_object_get(device, "fits")))
            advise_on_device(unit, device);
    }
    size_t models = json_array_size(json_object_get(unit, "models"));
    size_t devices = json_array_size(json_object_get(unit, "devices"));
    if (models > 1)
        advise(unit, "地址 %d 的应答符合 %zu 个模板，无法区分：请看铭牌，或看哪组数值合理",
               "the answers of unit %d fit %zu profiles and do not tell them apart: look at "
               "the nameplate, or at which values make sense",
               number, models);
    else if (models == 0 && devices == 0)
        advise(unit, "地址 %d 与所有模板都不符：请看铭牌和寄存器表",
               "no profile fits unit %d: look at the nameplate and its register map", number);
}

void probe_report_advice(json_t *unit, const struct settings_line *line, bool scanned)
{
    int number = (int)json_integer_value(json_object_get(unit, "unit"));
    const char *answer = json_string_value(json_object_get(unit, "answer"));
    const json_t *serial = json_object_get(unit, "serial");
    json_t *own = probe_report_serial(&line->serial);
    if (json_is_true(json_object_get(unit, "twin"))) {
        advise(unit, "两个传感器同以地址 %d 应答：请改其中一个的地址；先只留一个再探测",
               "two sensors answer as unit %d: change the address of one; unplug all but one "
               "and probe again",
               number);
    } else if (strcmp(answer, "garbled") == 0) {
        advise(unit,
               "地址 %d 有应答，但没有一帧正确：地址重复、校验位不符或接线问题；只留一个再探测",
               "something answers as unit %d, but never a right frame: two sensors of that "
               "address, another parity, or the wiring; unplug all but one and probe again",
               number);
    } else if (strcmp(answer, "none") == 0) {
        if (scanned)
            advise(unit, "地址 %d 在所有常用参数下均无应答：检查供电、接线（A、B）或地址",
                   "unit %d does not answer at any usual setting: power, wiring (A and B) or "
                   "address",
                   number);
        else
            advise(unit, "地址 %d 无应答：检查供电、接线（A、B）、地址或波特率；可用 --scan 查找",
                   "unit %d does not answer: power, wiring (A and B), address or baud; --scan "
                   "looks for it",
                   number);
    } else if (json_integer_value(json_object_get(unit, "garbled")) >= GARBLED_OFTEN) {
        advise(unit, "地址 %d 的应答有乱码：两个传感器同一地址，或接线问题",
               "answers of unit %d were garbled: two sensors of that address, or the wiring",
               number);
    }
    if (strcmp(answer, "ok") == 0)
        advise_on_devices(unit, number);
    if (json_is_string(serial) && line->transport == TRANSPORT_RTU && !json_equal(serial, own))
        advise(unit, "地址 %d 的参数是 %s，线路是 %s：同一线路上须一致",
               "unit %d talks at %s, the line at %s: all on a line talk alike", number,
               json_string_value(serial), json_string_value(own));
    json_decref(own);
}
