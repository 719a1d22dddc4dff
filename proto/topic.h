/* Topics: <root>/<region>/<gateway>/<kind>[/<sector>[/<part>]]. */
#ifndef LIFELINE_TOPIC_H
#define LIFELINE_TOPIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/names.h"

enum topic_kind {
    TOPIC_STATE,
    TOPIC_MANIFEST, /* sector, part */
    TOPIC_DATA,     /* sector, as the next four */
    TOPIC_HISTORY,
    TOPIC_ALARM,
    TOPIC_ACTIVE,
    TOPIC_REPORT,
    TOPIC_CMD, /* the one that comes in */
    TOPIC_REPLY,
    TOPIC_KIND_COUNT,
};

#define TOPIC_LEVEL_MAX 32

struct topic {
    char region[TOPIC_LEVEL_MAX + 1];
    char gateway[TOPIC_LEVEL_MAX + 1];
    enum topic_kind kind;
    enum sector sector; /* UNSPECIFIED where the kind has none */
    uint32_t part;      /* from 1; 0 where the kind has none */
};

/* Writes the topic and a final NUL. Returns the length without it, or 0 when it does not fit or a
 * level that the kind needs is empty or out of range. The root may have several levels. */
size_t topic_build(const char *root, const struct topic *topic, char *out, size_t capacity);

/* True when messages of this kind are published retained. */
bool topic_retained(enum topic_kind kind);

/* MQTT 5 content type: "application/vnd.google.protobuf; messageType=lifeline.v1.DataBatch". */
const char *topic_content_type(enum topic_kind kind);

#endif
