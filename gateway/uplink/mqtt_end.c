/* What to make of the end of a connection.
 * Pure; any thread. The broker's own words count most, then what is wrong with its certificate,
 * then what the library has said. A broker that says why is taken at its word: one that shuts down
 * or is busy has nothing against what it was sent.
 * Never touches a connection. */
#include "gateway/uplink/mqtt_end.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <string.h>

enum mqtt_fault mqtt_end_fault_of(int error)
{
    switch (error) {
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
        return MQTT_FAULT_BROKER;
    default:
        return MQTT_FAULT_LINK;
    }
}

const char *mqtt_reason(bool version_5, int reason)
{
    return version_5 ? mosquitto_reason_string(reason) : mosquitto_connack_string(reason);
}

/* A reason that has nothing to do with what was sent. Any other may: a quota, say, is what some
 * brokers call one message that they do not want. */
static bool is_of_broker(int reason)
{
    switch (reason) {
    case MQTT_RC_SERVER_UNAVAILABLE:
    case MQTT_RC_SERVER_BUSY:
    case MQTT_RC_SERVER_SHUTTING_DOWN:
    case MQTT_RC_KEEP_ALIVE_TIMEOUT:
    case MQTT_RC_SESSION_TAKEN_OVER:
    case MQTT_RC_ADMINISTRATIVE_ACTION:
    case MQTT_RC_USE_ANOTHER_SERVER:
    case MQTT_RC_SERVER_MOVED:
    case MQTT_RC_CONNECTION_RATE_EXCEEDED:
    case MQTT_RC_MAXIMUM_CONNECT_TIME:
        return true;
    default:
        return false;
    }
}

/* A refusal in the broker's words, and in ours where these do not say what to do. */
static void explain_refusal(const struct mqtt_last *last, struct mqtt_end *out)
{
    bool taken = last->version_5 && last->refusal == MQTT_RC_SESSION_TAKEN_OVER;
    const char *hint = "";
    if (taken)
        hint = ": another client came with our id; is it configured twice?";
    else if (last->version_5 && last->refusal == MQTT_RC_QOS_NOT_SUPPORTED)
        hint = ": it acknowledges nothing, so nothing can be delivered to it";
    snprintf(out->why, sizeof out->why, "%s%s%s%s", mqtt_reason(last->version_5, last->refusal),
             hint, last->moved[0] ? ", go to " : "", last->moved);
    out->fault = taken ? MQTT_FAULT_TAKEN : MQTT_FAULT_BROKER;
    out->over_packet = out->hung_up && !is_of_broker(last->refusal);
}

static const char *words_of(int rc)
{
    return rc == MOSQ_ERR_MALFORMED_PACKET ? "it sent a packet that MQTT does not know"
                                           : mosquitto_strerror(rc);
}

/* After the CONNACK it is no longer a matter of certificates. */
void mqtt_end_explain(const struct mqtt_last *last, struct mqtt_end *out)
{
    const char *complaint = last->connected ? "" : last->complaint;
    bool tls_failed =
        !last->connected && (complaint[0] || last->rc == MOSQ_ERR_TLS || last->said[0]);
    out->hung_up = !tls_failed && last->rc != MOSQ_ERR_KEEPALIVE;
    if (last->refusal) {
        explain_refusal(last, out);
        return;
    }
    out->fault = tls_failed                       ? MQTT_FAULT_OWN
                 : last->rc == MOSQ_ERR_KEEPALIVE ? MQTT_FAULT_LINK
                 : last->error                    ? mqtt_end_fault_of(last->error)
                                                  : MQTT_FAULT_BROKER;
    out->hung_up &= out->fault == MQTT_FAULT_BROKER;
    out->over_packet = out->hung_up && (last->error || last->rc == MOSQ_ERR_CONN_LOST ||
                                        last->rc == MOSQ_ERR_NO_CONN);
    snprintf(out->why, sizeof out->why, "%s",
             complaint[0]    ? complaint
             : last->said[0] ? last->said
             : last->error   ? strerror(last->error)
                             : words_of(last->rc));
}
