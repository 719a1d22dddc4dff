/* GET /v1/reports?since_ms=T: rain events of catchments that ended since then, the oldest first,
 * and what is going on now.
 *
 * Main thread. Reads copies that the pipeline keeps; never touches the store. A report's share is
 * left out where its grade refuses one: that is not 0. One event is never the annual rate, and
 * nothing here adds events up. */
#include "gateway/api/internal.h"

#include <stdlib.h>

#include "gateway/flow/pipeline.h"
#include "proto/report.h"

static const char *grade_of(enum report_grade grade)
{
    return runoff_grade_name((enum runoff_grade)grade);
}

static bool has_share(enum report_grade grade)
{
    return grade != REPORT_GRADE_INSUFFICIENT && grade != REPORT_GRADE_NOT_EVALUATED;
}

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static json_t *report_json(const struct report_runoff *report)
{
    json_t *out = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:b}", "catchment",
        report->catchment, "id", report->id, "grade", grade_of(report->grade), "at_ms",
        (json_int_t)report->at_ms, "from_ms", (json_int_t)report->from_ms, "to_ms",
        (json_int_t)report->to_ms, "rain_mm", report->rain_mm, "area_ha", report->area_ha,
        "rain_m3", report->rain_m3, "outflow_m3", report->outflow_m3, "base_flow_m3_s",
        report->base_flow_m3_s, "rain_coverage", report->rain_coverage, "flow_coverage",
        report->flow_coverage, "peak_m3_s", report->peak_m3_s, "partial", report->partial);
    if (has_share(report->grade)) {
        set(out, "captured", json_real(report->captured));
        set(out, "uncertainty", json_real(report->uncertainty));
    }
    if (report->peak_ms) {
        set(out, "peak_ms", json_integer(report->peak_ms));
        set(out, "lag_ms", json_integer(report->lag_ms));
    }
    json_t *doubts = json_array();
    for (size_t i = 0; i < report->doubt_count; i++)
        json_array_append_new(doubts, json_string(report->doubts[i]));
    set(out, "doubts", doubts);
    return out;
}

static json_t *reports_since(struct api *api, int64_t since_ms)
{
    uint8_t *bytes = malloc(REPORT_MAX);
    json_t *out = json_array();
    size_t length;
    for (size_t i = 0;
         bytes && (length = pipeline_report(api->rooms.pipeline, i, bytes, REPORT_MAX)) > 0; i++) {
        struct report_runoff report;
        struct report_memory *memory = report_unpack_runoff(bytes, length, &report);
        if (memory && report.to_ms >= since_ms)
            json_array_append_new(out, report_json(&report));
        report_free(memory);
    }
    free(bytes);
    return out;
}

static json_t *catchments_now(struct api *api)
{
    json_t *out = json_array();
    struct pipeline_catchment now;
    for (size_t i = 0; pipeline_catchment(api->rooms.pipeline, i, &now); i++) {
        json_t *one = json_pack("{s:s, s:b}", "catchment", now.name, "event", now.now.event);
        if (now.now.event) {
            set(one, "from_ms", json_integer(now.now.from_ms));
            set(one, "duration_ms", json_integer(now.now.duration_ms));
            set(one, "rain_mm", json_real(now.now.rain_mm));
            set(one, "outflow_m3", json_real(now.now.outflow_m3));
        }
        if (now.now.flow_known)
            set(one, "flow_m3_s", json_real(now.now.flow_m3_s));
        if (now.now.base_known)
            set(one, "base_m3_s", json_real(now.now.base_m3_s));
        json_array_append_new(out, one);
    }
    return out;
}

void reports_list(struct api *api, struct evhttp_request *request, const char *name)
{
    struct evkeyvalq query;
    (void)name;
    if (!api_parse(request, &query))
        return;
    const char *since = evhttp_find_header(&query, "since_ms");
    char *end = NULL;
    int64_t since_ms = since ? strtoll(since, &end, 10) : 0;
    if (since && (!since[0] || *end))
        api_error(request, HTTP_BADREQUEST, "since_ms: UTC, in milliseconds");
    else
        api_reply(request, HTTP_OK,
                  json_pack("{s:I, s:o, s:o}", "time_ms", (json_int_t)clock_wall().ms, "now",
                            catchments_now(api), "reports", reports_since(api, since_ms)));
    evhttp_clear_headers(&query);
}
