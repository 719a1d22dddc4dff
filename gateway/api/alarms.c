/* What is up, and what people want of it: /v1/alarms, its acknowledgements, maintenance windows.
 *
 * Main thread. Reads the lane; an order goes to the pipeline and is done at its next turn. Only who
 * may open the socket gets here, and that is root and its group. Never touches the store. */
#include "gateway/api/internal.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/api/alarm_json.h"
#include "gateway/lane.h"

enum { MINUTES_MAX = 7 * 24 * 60 };

bool alarms_filter(struct evhttp_request *request, const struct evkeyvalq *query,
                   struct alarms_filter *out)
{
    const char *level = evhttp_find_header(query, "level");
    const char *sector = evhttp_find_header(query, "sector");
    *out = (struct alarms_filter){0};
    if (level && strlen(level) == 1 && level[0] > '0' && level[0] < '0' + LEVEL_COUNT)
        out->level = (unsigned)(level[0] - '0');
    bool known = !sector || names_sector_parse(sector, &out->sector);
    if (level && !out->level)
        api_error(request, HTTP_BADREQUEST, "level: 1 (red) to 4 (blue)");
    else if (!known)
        api_error(request, HTTP_BADREQUEST, "no such sector");
    else
        return true;
    return false;
}

static bool fits(const struct alarms_filter *filter, const struct lane_event *event)
{
    return (!filter->level || (event->level && event->level <= filter->level)) &&
           (!filter->sector || filter->sector == event->sector);
}

static json_t *list(struct api *api, const struct alarms_filter *filter)
{
    struct lane_event *event = malloc(sizeof *event);
    json_t *out = json_array();
    uint64_t after = 0;
    while (event && lane_read(api->rooms.lane, &after, event)) {
        if (!fits(filter, event))
            continue;
        struct alarm_event alarm;
        struct alarm_memory *memory = alarm_unpack(event->bytes, event->length, &alarm);
        if (memory)
            json_array_append_new(out, alarm_json(&alarm));
        alarm_free(memory);
    }
    free(event);
    return out;
}

void alarms_list(struct api *api, struct evhttp_request *request, const char *name)
{
    struct evkeyvalq query;
    struct alarms_filter filter;
    struct lane_status status;
    (void)name;
    if (!api_parse(request, &query))
        return;
    bool good = alarms_filter(request, &query, &filter);
    evhttp_clear_headers(&query);
    if (!good)
        return;
    lane_status(api->rooms.lane, &status);
    api_reply(request, HTTP_OK,
              json_pack("{s:I, s:{s:I, s:I, s:I, s:I}, s:o}", "time_ms",
                        (json_int_t)clock_wall().ms, "up", "red", (json_int_t)status.up[LEVEL_RED],
                        "orange", (json_int_t)status.up[LEVEL_ORANGE], "yellow",
                        (json_int_t)status.up[LEVEL_YELLOW], "blue",
                        (json_int_t)status.up[LEVEL_BLUE], "alarms", list(api, &filter)));
}

/* ---- orders ---- */

static const char *given(const struct evkeyvalq *query, const char *key)
{
    const char *text = evhttp_find_header(query, key);
    return text ? text : "";
}

static void pass(struct api *api, struct evhttp_request *request, const struct desk_order *order)
{
    if (pipeline_order(api->rooms.pipeline, order))
        api_reply(request, HTTP_OK, json_pack("{s:b}", "taken", 1));
    else
        api_error(request, HTTP_SERVUNAVAIL, "busy, ask again");
}

enum found { FOUND_NONE, FOUND_ACKED, FOUND_OPEN };

static enum found find(struct api *api, const char *id)
{
    struct lane_event *event = malloc(sizeof *event);
    struct alarm_event alarm;
    struct alarm_memory *memory = NULL;
    if (event && lane_find(api->rooms.lane, id, event))
        memory = alarm_unpack(event->bytes, event->length, &alarm);
    enum found found = !memory ? FOUND_NONE : alarm.actor[0] ? FOUND_ACKED : FOUND_OPEN;
    alarm_free(memory);
    free(event);
    return found;
}

void alarms_ack(struct api *api, struct evhttp_request *request, const char *name)
{
    struct evkeyvalq query;
    struct desk_order order = {.kind = DESK_ACK};
    if (!api_parse(request, &query))
        return;
    alarm_cut(order.id, sizeof order.id, name);
    alarm_cut(order.actor, sizeof order.actor, given(&query, "actor"));
    alarm_cut(order.note, sizeof order.note, given(&query, "note"));
    switch (order.actor[0] ? find(api, name) : FOUND_OPEN) {
    case FOUND_NONE:
        api_error(request, HTTP_NOTFOUND, "no such alarm is up");
        break;
    case FOUND_ACKED:
        api_error(request, 409, "it is acknowledged already");
        break;
    case FOUND_OPEN:
        if (order.actor[0])
            pass(api, request, &order);
        else
            api_error(request, HTTP_BADREQUEST, "actor: who acknowledges it");
        break;
    }
    evhttp_clear_headers(&query);
}

void alarms_maintain(struct api *api, struct evhttp_request *request, const char *name)
{
    struct evkeyvalq query;
    struct desk_order order = {.kind = DESK_MAINTAIN};
    (void)name;
    if (!api_parse(request, &query))
        return;
    const struct settings *settings = api->rooms.setup->settings;
    const char *device = given(&query, "device"), *minutes = given(&query, "minutes");
    size_t digits = strspn(minutes, "0123456789");
    unsigned long count = strtoul(minutes, NULL, 10);
    bool good = digits && digits < 6 && !minutes[digits] && count <= MINUTES_MAX;
    alarm_cut(order.device, sizeof order.device, device);
    order.until = clock_after_ms(clock_mono(), good ? (int64_t)count * 60000 : 0);
    if (!good)
        api_error(request, HTTP_BADREQUEST, "minutes: 0 to 10080");
    else if (device[0] && settings_find_device(settings, device) == settings->device_count)
        api_error(request, HTTP_NOTFOUND, "no such device");
    else
        pass(api, request, &order);
    evhttp_clear_headers(&query);
}
