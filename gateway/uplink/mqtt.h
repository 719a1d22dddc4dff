/* One MQTT connection over libmosquitto, driven from outside: no thread, no reconnect, no queue of
 * its own. Made for one connection and thrown away with it. Nothing here blocks. */
#ifndef LIFELINE_MQTT_H
#define LIFELINE_MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/settings.h"
#include "drivers/clock.h"
#include "gateway/uplink/mqtt_end.h"

struct mqtt;

struct mqtt_message {
    const char *topic;
    const uint8_t *bytes;
    size_t length;
    bool retain;
    const char *content_type; /* MQTT 5 only, as what follows; NULL = none */
    const uint8_t *correlation;
    size_t correlation_length;
};

/* A message that came in. All of it is the library's and ends with the call. */
struct mqtt_incoming {
    const uint8_t *bytes;
    size_t length;
    const char *response_topic; /* NULL = none */
    const uint8_t *correlation; /* NULL = none */
    size_t correlation_length;
};

/* Called from mqtt_service(), in the caller's thread. Reasons are MQTT 5 reason codes; under 3.1.1
 * an acknowledgement always says 0. */
struct mqtt_handlers {
    void (*connected)(void *context, int reason); /* 0 = accepted */
    void (*acknowledged)(void *context, int mid, int reason);
    void (*subscribed)(void *context, int mid, int reason);
    void (*message)(void *context, const struct mqtt_incoming *message);
};

struct mqtt_target {
    const struct settings_uplink *uplink;
    const struct settings_url *url;
    const char *address; /* of the url's host, numeric */
    bool version_5;
    struct mqtt_message will;
};

/* Begins to connect: TCP, TLS and CONNECT go on in mqtt_service(). Certificates and the password
 * are read anew each time. NULL when it has failed already. */
struct mqtt *mqtt_connect(const struct mqtt_target *target, const struct mqtt_handlers *handlers,
                          void *context, struct mqtt_end *end);
void mqtt_free(struct mqtt *mqtt);

/* For poll(): the socket, what to wait for, and until when at most. */
int mqtt_socket(const struct mqtt *mqtt);
short mqtt_events(const struct mqtt *mqtt);
mono_time mqtt_deadline(const struct mqtt *mqtt);

/* Connects, reads, writes and keeps alive; `events` is what poll() said. False: the connection is
 * gone. */
bool mqtt_service(struct mqtt *mqtt, short events, struct mqtt_end *end)
    __attribute__((warn_unused_result));

/* True as soon as TCP is through: somebody lives at that address. */
bool mqtt_reached(const struct mqtt *mqtt);

/* What the broker said of itself in its CONNACK (MQTT 5). */
uint32_t mqtt_max_packet(const struct mqtt *mqtt);  /* bytes, the whole packet; 0 = no limit */
uint16_t mqtt_receive_max(const struct mqtt *mqtt); /* QoS 1 messages in flight; 65535 = no limit */
bool mqtt_retains(const struct mqtt *mqtt);         /* otherwise messages go out without retain */

/* Publishes at QoS 1. Returns the message id, or 0 when the connection does not take it. */
int mqtt_publish(struct mqtt *mqtt, const struct mqtt_message *message);

/* Subscribes at QoS 1. Returns the id that comes back with subscribed(), or 0. */
int mqtt_subscribe(struct mqtt *mqtt, const char *topic);

/* A clean end: the broker does not send the will. */
void mqtt_disconnect(struct mqtt *mqtt);

#endif
