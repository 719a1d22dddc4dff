/* One MQTT connection over libmosquitto, driven from outside: no thread, no reconnect, no queue of
 * its own. Made for one connection and thrown away with it. */
#ifndef LIFELINE_MQTT_H
#define LIFELINE_MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/settings.h"

struct mqtt;

struct mqtt_message {
    const char *topic;
    const uint8_t *bytes;
    size_t length;
    bool retain;
    const char *content_type; /* MQTT 5 only; NULL = none */
};

/* Called from mqtt_service(), in the caller's thread. Reasons are MQTT 5 reason codes; under 3.1.1
 * an acknowledgement always says 0. */
struct mqtt_handlers {
    void (*connected)(void *context, int reason); /* 0 = accepted */
    void (*acknowledged)(void *context, int mid, int reason);
};

/* Connects TCP and TLS (blocks for as long as the kernel lets it) and sends CONNECT with the will.
 * Certificates and the password are read anew each time. NULL with the reason in why. */
struct mqtt *mqtt_connect(const struct settings_uplink *uplink, const struct settings_url *url,
                          const char *client_id, bool version_5, const struct mqtt_message *will,
                          const struct mqtt_handlers *handlers, void *context, char *why,
                          size_t why_size);
void mqtt_free(struct mqtt *mqtt);

/* For poll(): the socket and whether there is something to write. */
int mqtt_socket(const struct mqtt *mqtt);
bool mqtt_wants_write(const struct mqtt *mqtt);

/* Reads, writes and keeps alive; call it when the socket is ready and at least once a second.
 * False: the connection is gone, with the reason in why. */
bool mqtt_service(struct mqtt *mqtt, bool readable, bool writable, char *why, size_t why_size)
    __attribute__((warn_unused_result));

/* After mqtt_service() returned false: the peer closed or spoke no MQTT (and not that TLS failed).
 */
bool mqtt_hung_up(const struct mqtt *mqtt);

/* Why a broker refused, in its protocol's words. */
const char *mqtt_reason(bool version_5, int reason);

/* Publishes at QoS 1. Returns the message id, or 0 when the connection does not take it. */
int mqtt_publish(struct mqtt *mqtt, const struct mqtt_message *message);

/* A clean end: the broker does not send the will. */
void mqtt_disconnect(struct mqtt *mqtt);

#endif
