/* One gateway's topics on one uplink: builds the topic of a message and publishes it. */
#ifndef LIFELINE_POST_H
#define LIFELINE_POST_H

#include "config/settings.h"
#include "gateway/uplink/mqtt.h"
#include "proto/topic.h"

struct post {
    const struct settings *settings;
    const struct settings_uplink *own;
};

/* part: of a Manifest; else 0. False: it does not fit. */
bool post_topic(const struct post *post, enum topic_kind kind, enum sector sector, uint32_t part,
                char *out, size_t size) __attribute__((warn_unused_result));

/* Bytes of a packet beside the payload, at most. */
size_t post_overhead(const struct post *post);

/* Publishes at QoS 1, retained as the topic's kind says. Returns the message id, or 0 when the
 * connection does not take it. */
int post_publish(const struct post *post, struct mqtt *mqtt, enum topic_kind kind,
                 enum sector sector, uint32_t part, const uint8_t *bytes, size_t length);

#endif
