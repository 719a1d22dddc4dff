/* Topic and content type of a message, by its kind.
 * Runs in its uplink's thread; owns nothing: the post is its uplink's, the bytes the caller's.
 * Everything goes out at QoS 1.
 * Never keeps a message, never waits for an answer. */
#include "gateway/uplink/post.h"

#include <stdio.h>
#include <string.h>

bool post_topic(const struct post *post, enum topic_kind kind, enum sector sector, uint32_t part,
                char *out, size_t size)
{
    struct topic topic = {.kind = kind, .sector = sector, .part = part};
    snprintf(topic.region, sizeof topic.region, "%s", post->settings->gateway.region);
    snprintf(topic.gateway, sizeof topic.gateway, "%s", post->settings->gateway.id);
    return topic_build(post->own->root, &topic, out, size) > 0;
}

size_t post_overhead(const struct post *post)
{
    enum { FIXED = 32 }; /* header, lengths, message id, property ids */
    char topic[512];
    if (!post_topic(post, TOPIC_MANIFEST, SECTOR_WATERLOGGING, UINT32_MAX, topic, sizeof topic))
        return FIXED + sizeof topic;
    return FIXED + strlen(topic) + strlen(topic_content_type(TOPIC_MANIFEST));
}

int post_publish(const struct post *post, struct mqtt *mqtt, enum topic_kind kind,
                 enum sector sector, uint32_t part, const uint8_t *bytes, size_t length)
{
    char topic[512];
    if (!post_topic(post, kind, sector, part, topic, sizeof topic))
        return 0;
    const struct mqtt_message message = {.topic = topic,
                                         .bytes = bytes,
                                         .length = length,
                                         .retain = topic_retained(kind),
                                         .content_type = topic_content_type(kind)};
    return mqtt_publish(mqtt, &message);
}
