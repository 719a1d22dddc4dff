/* Topic names: one table says what stands behind <root>/<region>/<gateway>/.
 *
 * Pure functions on constant data: any thread may call them. What MQTT would take for something
 * else is never built. Never allocates. */
#include "proto/topic.h"

#include <stdio.h>
#include <string.h>

#define CONTENT_TYPE(message) "application/vnd.google.protobuf; messageType=lifeline.v1." message

static const struct {
    const char *name;
    const char *content_type;
    bool has_sector;
    bool has_part;
    bool retained;
} kinds[TOPIC_KIND_COUNT] = {
    [TOPIC_STATE] = {"state", CONTENT_TYPE("GatewayState"), .retained = true},
    [TOPIC_MANIFEST] = {"manifest", CONTENT_TYPE("Manifest"), true, true, true},
    [TOPIC_DATA] = {"data", CONTENT_TYPE("DataBatch"), .has_sector = true},
    [TOPIC_HISTORY] = {"history", CONTENT_TYPE("DataBatch"), .has_sector = true},
    [TOPIC_ALARM] = {"alarm", CONTENT_TYPE("AlarmEvent"), .has_sector = true},
    [TOPIC_ACTIVE] = {"active", CONTENT_TYPE("ActiveAlarms"), true, .retained = true},
    [TOPIC_REPORT] = {"report", CONTENT_TYPE("Report"), .has_sector = true},
    [TOPIC_CMD] = {"cmd", CONTENT_TYPE("Command"), .retained = false},
    [TOPIC_REPLY] = {"reply", CONTENT_TYPE("CommandReply"), .retained = false},
};

/* What MQTT gives a meaning of its own must not come in through a name. */
static bool level_ok(const char *level)
{
    return level[0] && !strpbrk(level, "/+#");
}

static bool complete(const struct topic *topic)
{
    if (!level_ok(topic->region) || !level_ok(topic->gateway))
        return false;
    if (kinds[topic->kind].has_sector &&
        (topic->sector <= SECTOR_UNSPECIFIED || topic->sector >= SECTOR_COUNT))
        return false;
    return !kinds[topic->kind].has_part || topic->part > 0;
}

size_t topic_build(const char *root, const struct topic *topic, char *out, size_t capacity)
{
    if (!complete(topic))
        return 0;
    const char *name = kinds[topic->kind].name;
    const char *sector = names_sector(topic->sector);
    int length;
    if (kinds[topic->kind].has_part)
        length = snprintf(out, capacity, "%s/%s/%s/%s/%s/%u", root, topic->region, topic->gateway,
                          name, sector, topic->part);
    else if (kinds[topic->kind].has_sector)
        length = snprintf(out, capacity, "%s/%s/%s/%s/%s", root, topic->region, topic->gateway,
                          name, sector);
    else
        length = snprintf(out, capacity, "%s/%s/%s/%s", root, topic->region, topic->gateway, name);
    return length > 0 && (size_t)length < capacity ? (size_t)length : 0;
}

bool topic_retained(enum topic_kind kind)
{
    return kinds[kind].retained;
}

const char *topic_content_type(enum topic_kind kind)
{
    return kinds[kind].content_type;
}
