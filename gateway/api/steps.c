/* GET /v1/alarms/history?id=PART&since_ms=T&until_ms=T&level=N&sector=S: the steps that alarms went
 * through, one JSON object a line as in /v1/alarms, those of one alarm behind each other.
 *
 *     {"id":"01K...","step":1,"status":"raised",...}
 *     {"end":true,"steps":7,"damaged_rows":0}                the last; else it was cut short
 *
 * Without since_ms the last day, of an id all of it. Main thread. Owns nothing; scan.c has
 * the scan. Never writes to the store. */
#include "gateway/api/scan.h"

#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "gateway/api/alarm_json.h"
#include "gateway/store/steps.h"

enum { DAY_MS = 24 * 3600 * 1000 };

static void put_line(struct evbuffer *chunk, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    if (text)
        evbuffer_add_printf(chunk, "%s\n", text);
    free(text);
    json_decref(object);
}

static void put_step(struct evbuffer *chunk, const struct lane_event *event)
{
    struct alarm_event alarm;
    struct alarm_memory *memory = alarm_unpack(event->bytes, event->length, &alarm);
    if (memory)
        put_line(chunk, alarm_json(&alarm));
    alarm_free(memory);
}

static void put_end(struct evbuffer *chunk, const struct steps_found *found)
{
    json_t *last = json_pack("{s:b, s:I, s:I}", "end", 1, "steps", (json_int_t)found->steps,
                             "damaged_rows", (json_int_t)found->damaged_rows);
    if (found->incomplete)
        json_object_set_new(last, "incomplete", json_true());
    if (found->why)
        json_object_set_new(last, "error", json_string(found->why));
    put_line(chunk, last);
}

static enum scan_step fill(void *what, struct evbuffer *chunk)
{
    const struct lane_event *event;
    while (evbuffer_get_length(chunk) < SCAN_CHUNK_BYTES) {
        switch (steps_next(what, &event)) {
        case STEPS_ONE:
            put_step(chunk, event);
            break;
        case STEPS_FETCH:
            return SCAN_FETCH;
        case STEPS_END: {
            const struct steps_found found = steps_found(what);
            put_end(chunk, &found);
            return SCAN_END;
        }
        }
    }
    return SCAN_FULL;
}

static const char *missing(const void *what)
{
    (void)what;
    return NULL; /* that nothing happened is an answer */
}

static const struct scan_kind kind = {fill, missing};

void steps_answer(struct api *api, struct evhttp_request *request, const char *name)
{
    struct evkeyvalq query;
    struct alarms_filter filter;
    struct scan_span span;
    (void)name;
    if (!api_parse(request, &query))
        return;
    const char *id = evhttp_find_header(&query, "id");
    int64_t since_ms = id ? INT64_MIN : clock_wall().ms - DAY_MS;
    if (alarms_filter(request, &query, &filter) && scan_span(request, &query, since_ms, &span)) {
        struct steps_wanted wanted = {.since_ms = span.since_ms,
                                      .until_ms = span.until_ms,
                                      .level = filter.level,
                                      .sector = filter.sector};
        bool fits = !id || strlen(id) <= ALARM_ID_LENGTH; /* no alarm has a longer one */
        snprintf(wanted.part, sizeof wanted.part, "%s", !fits ? "-" : id ? id : "");
        struct steps *steps = steps_new(&wanted);
        scan_begin(api, request, &kind, steps, steps ? steps_loan(steps) : NULL);
    }
    evhttp_clear_headers(&query);
}
