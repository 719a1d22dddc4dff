/* lifelinectl watch --broker URL: alarms of every gateway of a broker, as they come.
 *
 * Needs no daemon: it subscribes to alarm, active and state. First what is up by the retained
 * lists, then every step once, with its gateway in front; and which gateways are away. Whatever is
 * on a broker may come from anybody: what is no message of ours is left out and said once. Never
 * publishes. What happened while the connection was broken is only in the lists. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/clock.h"
#include "gateway/api/alarm_json.h"
#include "gateway/ctl/alarm_lines.h"
#include "gateway/ctl/broker.h"
#include "gateway/ctl/colour.h"
#include "gateway/ctl/moment.h"
#include "gateway/ctl/text.h"
#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"
#include "proto/topic.h"

enum {
    ROOT_MAX = 128,
    PAYLOAD_MAX = 4 << 20,
    SEEN_MAX = 65536, /* alarms; then those of before are forgotten */
    STEP_BITS = 31,
    ENTRY_ONLY = 1, /* bit 0: so far only an entry of a list told of the newest step */
};

struct watch {
    const struct ctl *ctl;
    const char *root;
    uint8_t level_max;          /* and worse */
    json_t *seen, *seen_before; /* REGION/GATEWAY/ID -> [newest step, its and earlier ones' bits] */
    json_t *online;             /* REGION/GATEWAY -> bool */
    json_t *omitting;           /* REGION/GATEWAY/SECTOR -> bool: its list leaves some out */
    bool connected_before, alien_told;
};

/* Who a topic is of. */
struct origin {
    char region[64], gateway[64], kind[16];
};

/* ---- what has been shown ---- */

static const json_t *remembered(const struct watch *watch, const char *name)
{
    const json_t *entry = json_object_get(watch->seen, name);
    return entry ? entry : json_object_get(watch->seen_before, name);
}

static void remember(struct watch *watch, const char *name, json_int_t step, json_int_t bits)
{
    if (json_object_size(watch->seen) >= SEEN_MAX) {
        json_decref(watch->seen_before);
        watch->seen_before = watch->seen;
        watch->seen = json_object();
    }
    json_object_set_new(watch->seen, name, json_pack("[I, I]", step, bits));
}

/* True, and it is known from then on, when nobody has told of that step. A list tells less than the
 * event: that one is shown still. Bit 1 of `bits` is the newest step, bit 2 the one before. */
static bool is_news(struct watch *watch, const struct origin *origin, const json_t *alarm,
                    bool is_entry)
{
    char name[200];
    snprintf(name, sizeof name, "%s/%s/%s", origin->region, origin->gateway, text_of(alarm, "id"));
    const json_t *entry = remembered(watch, name);
    json_int_t step = text_integer(alarm, "step");
    json_int_t newest = json_integer_value(json_array_get(entry, 0));
    json_int_t bits = json_integer_value(json_array_get(entry, 1));
    json_int_t ago = newest - step;
    if (entry && is_entry && ago >= 0)
        return false;
    if (entry && ago >= STEP_BITS)
        return false;
    if (entry && ago >= 0) {
        bool told = (bits >> (1 + ago) & 1) && !(ago == 0 && (bits & ENTRY_ONLY));
        json_int_t only = ago == 0 ? 0 : bits & ENTRY_ONLY;
        remember(watch, name, newest, (bits & ~ENTRY_ONLY) | INT64_C(2) << ago | only);
        return !told;
    }
    json_int_t older = entry && -ago < STEP_BITS ? (bits >> 1) << -ago : 0;
    older &= (INT64_C(1) << STEP_BITS) - 1;
    remember(watch, name, step, (older | 1) << 1 | (is_entry ? ENTRY_ONLY : 0));
    return true;
}

/* ---- what is shown ---- */

static bool is_wanted(const struct watch *watch, const json_t *alarm)
{
    const char *sector = watch->ctl->sector;
    return alarm_lines_level(alarm) <= watch->level_max &&
           (!sector || strcmp(sector, text_of(alarm, "sector")) == 0);
}

static void put(const struct watch *watch, const struct origin *origin, const char *event,
                json_t *object)
{
    json_t *whole = json_pack("{s:s, s:s, s:s, s:O}", "event", event, "region", origin->region,
                              "gateway", origin->gateway, event, object);
    if (whole)
        watch->ctl->writer->write(watch->ctl->command, whole);
    json_decref(whole);
    if (fflush(stdout) == EOF)
        (void)raise(SIGTERM); /* nobody reads it any more; libmosquitto has SIGPIPE ignored */
}

static void show_state(const char *gateway, const json_t *state)
{
    char text[300], when[MOMENT_BYTES];
    const char *name = json_string_value(json_object_get(state, "name"));
    bool online = json_is_true(json_object_get(state, "online"));
    snprintf(text, sizeof text, "%s%s%s %s %s", gateway, name ? " " : "", name ? name : "",
             moment_short(text_integer(state, "at_ms"), clock_wall().ms, when),
             online
                 ? say("网关恢复在线", "the gateway is back")
                 : say("网关离线：其报警不再更新", "the gateway is away: no news of its alarms"));
    colour_level(online ? LEVEL_NONE : LEVEL_ORANGE);
    text_fold(stdout, text, 4);
    colour_end();
}

static void show(const json_t *result)
{
    const char *gateway = text_of(result, "gateway"), *event = text_of(result, "event");
    const json_t *object = json_object_get(result, event);
    if (strcmp(event, "state") == 0)
        show_state(gateway, object);
    else
        alarm_lines(object, gateway);
}

/* ---- what comes ---- */

static bool hear_event(struct watch *watch, const struct origin *origin, const uint8_t *bytes,
                       size_t length, bool is_entry)
{
    static const char *const not_carried[] = {"peak", "threshold", "evidence", "clock", "gateway"};
    struct alarm_event event;
    struct alarm_memory *memory = alarm_unpack(bytes, length, &event);
    json_t *alarm = memory ? alarm_json(&event) : NULL;
    for (size_t i = 0; is_entry && i < sizeof not_carried / sizeof *not_carried; i++)
        json_object_del(alarm, not_carried[i]);
    if (alarm && is_wanted(watch, alarm) && is_news(watch, origin, alarm, is_entry))
        put(watch, origin, is_entry ? "active" : "alarm", alarm);
    json_decref(alarm);
    alarm_free(memory);
    return memory != NULL;
}

/* Said when there begin to be some: in a storm a list comes each second. */
static void tell_omitted(struct watch *watch, const struct origin *origin,
                         const Lifeline__V1__ActiveAlarms *list)
{
    char name[160];
    snprintf(name, sizeof name, "%s/%s/%d", origin->region, origin->gateway, (int)list->sector);
    bool told = json_is_true(json_object_get(watch->omitting, name));
    if (list->omitted && !told)
        say_error(say("%s：另有 %" PRIu32 " 条报警未列出", "%s: %" PRIu32 " more are up"),
                  origin->gateway, list->omitted);
    json_object_set_new(watch->omitting, name, json_boolean(list->omitted != 0));
}

static bool hear_list(struct watch *watch, const struct origin *origin, const uint8_t *bytes,
                      size_t length)
{
    uint8_t entry[ALARM_EVENT_MAX];
    ProtobufCMessage *message =
        message_unpack(&lifeline__v1__active_alarms__descriptor, bytes, length, PAYLOAD_MAX);
    const Lifeline__V1__ActiveAlarms *list = (const Lifeline__V1__ActiveAlarms *)message;
    bool good = list != NULL;
    for (size_t i = 0; list && i < list->n_alarms; i++) {
        size_t size = message_pack(&list->alarms[i]->base, entry, sizeof entry);
        good = hear_event(watch, origin, entry, size, true) && good;
    }
    if (list)
        tell_omitted(watch, origin, list);
    if (message)
        message_free(message);
    return good;
}

/* To people only what changes, and who is away from the beginning. */
static bool hear_state(struct watch *watch, const struct origin *origin, const uint8_t *bytes,
                       size_t length)
{
    char name[160];
    ProtobufCMessage *message =
        message_unpack(&lifeline__v1__gateway_state__descriptor, bytes, length, PAYLOAD_MAX);
    const Lifeline__V1__GatewayState *state = (const Lifeline__V1__GatewayState *)message;
    if (!state)
        return false;
    snprintf(name, sizeof name, "%s/%s", origin->region, origin->gateway);
    const json_t *before = json_object_get(watch->online, name);
    bool same = before ? json_is_true(before) == (bool)state->online
                       : state->online && watch->ctl->form == CTL_TEXT;
    json_object_set_new(watch->online, name, json_boolean(state->online));
    json_t *object =
        json_pack("{s:b, s:I, s:I}", "online", state->online, "at_ms", (json_int_t)state->at_ms,
                  "active_alarms", (json_int_t)state->active_alarms);
    if (object && state->name[0])
        json_object_set_new(object, "name", json_string(state->name));
    if (object && !same)
        put(watch, origin, "state", object);
    json_decref(object);
    message_free(message);
    return true;
}

/* <root>/<region>/<gateway>/<kind>... */
static bool read_topic(const struct watch *watch, const char *topic, struct origin *out)
{
    char *const levels[] = {out->region, out->gateway, out->kind};
    const size_t sizes[] = {sizeof out->region, sizeof out->gateway, sizeof out->kind};
    size_t root = strlen(watch->root);
    if (strncmp(topic, watch->root, root) != 0 || topic[root] != '/')
        return false;
    const char *at = topic + root + 1;
    for (size_t i = 0; i < 3; i++) {
        size_t length = strcspn(at, "/");
        if (length == 0 || length >= sizes[i])
            return false;
        snprintf(levels[i], sizes[i], "%.*s", (int)length, at);
        at += length + (at[length] == '/');
    }
    return true;
}

static void hear(void *context, const char *topic, const uint8_t *bytes, size_t length)
{
    struct watch *watch = context;
    struct origin origin;
    bool good = true;
    if (length == 0) /* a retained message was taken away */
        return;
    if (!read_topic(watch, topic, &origin))
        good = false;
    else if (strcmp(origin.kind, "alarm") == 0)
        good = hear_event(watch, &origin, bytes, length, false);
    else if (strcmp(origin.kind, "active") == 0)
        good = hear_list(watch, &origin, bytes, length);
    else
        good = hear_state(watch, &origin, bytes, length);
    if (!good && !watch->alien_told) {
        say_error(say("%s 上的消息不是本系统的消息，已忽略（不再提示）",
                      "%s: what came is no message of ours and is left out (said once)"),
                  topic);
        watch->alien_told = true;
    }
}

static void on_connected(void *context)
{
    struct watch *watch = context;
    if (watch->connected_before)
        say_error("%s", say("已重新连接；中断期间的经过只能从当前报警列表得知",
                            "connected again; of what happened meanwhile only the lists tell"));
    watch->connected_before = true;
}

/* ---- what is asked for ---- */

/* Not given, or one level of a topic. */
static bool is_level(const char *text)
{
    return !text || (text[0] && strlen(text) <= TOPIC_LEVEL_MAX && !strpbrk(text, "/+#"));
}

static bool check(struct watch *watch)
{
    const struct ctl *ctl = watch->ctl;
    enum sector sector;
    if (!ctl->broker.url) {
        say_error("%s", say("须给出 --broker URL", "--broker URL is missing"));
        return false;
    }
    if (ctl->level && (strlen(ctl->level) != 1 || ctl->level[0] < '1' || ctl->level[0] > '4')) {
        say_error(say("--level %s：应为 1 到 4", "--level %s: 1 to 4"), ctl->level);
        return false;
    }
    if (ctl->sector && !names_sector_parse(ctl->sector, &sector)) {
        say_error(say("--sector %s：没有此专业", "--sector %s: there is no such sector"),
                  ctl->sector);
        return false;
    }
    if (!is_level(ctl->region) || !is_level(ctl->gateway) || strlen(watch->root) >= ROOT_MAX ||
        !watch->root[0] || strpbrk(watch->root, "+#")) {
        say_error("%s", say("--root、--region、--gateway 不能为空或含 +、#",
                            "--root, --region, --gateway: not empty, no + and #"));
        return false;
    }
    if (ctl->level)
        watch->level_max = (uint8_t)(ctl->level[0] - '0');
    return true;
}

static enum ctl_exit run(struct ctl *ctl)
{
    static const struct broker_handlers handlers = {on_connected, hear};
    struct watch watch = {.ctl = ctl, .root = ctl->root, .level_max = LEVEL_BLUE};
    char topics[3][ROOT_MAX + 200];
    if (!check(&watch))
        return CTL_USAGE;
    const char *region = ctl->region ? ctl->region : "+";
    const char *gateway = ctl->gateway ? ctl->gateway : "+";
    const char *sector = ctl->sector ? ctl->sector : "+";
    /* states first: who is away is known before what it said */
    snprintf(topics[0], sizeof topics[0], "%s/%s/%s/state", watch.root, region, gateway);
    snprintf(topics[1], sizeof topics[1], "%s/%s/%s/active/%s", watch.root, region, gateway,
             sector);
    snprintf(topics[2], sizeof topics[2], "%s/%s/%s/alarm/%s", watch.root, region, gateway, sector);
    const char *const wanted[] = {topics[0], topics[1], topics[2]};
    watch.seen = json_object();
    watch.online = json_object();
    watch.omitting = json_object();
    enum ctl_exit code = broker_follow(&ctl->broker, wanted, 3, &handlers, &watch);
    json_decref(watch.seen);
    json_decref(watch.seen_before);
    json_decref(watch.online);
    json_decref(watch.omitting);
    return code;
}

const struct command watch_command = {
    .name = "watch",
    .arguments = "--broker=URL",
    .help = {"从消息服务器看所有网关的报警", "alarms of all gateways of a broker"},
    .run = run,
    .text = show,
};
