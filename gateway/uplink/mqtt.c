/* libmosquitto behind a narrow door: external loop, one client object a connection.
 * Runs in its uplink's thread; owns the client. A new object each time, because the library keeps
 * ids and queued messages of a connection that is gone; no loop thread, because it dies silently on
 * a TLS error. Never reconnects and never keeps a payload: what is not acknowledged is the store's.
 */
#include "gateway/uplink/mqtt.h"

#include <errno.h>
#include <fcntl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/uplink/connack.h"

struct mqtt {
    struct mosquitto *client;
    bool tls, connack_seen, hung_up;
    char error[120]; /* the library's last word on an error */
    bool version_5;
    const struct mqtt_handlers *handlers;
    void *context;
};

static pthread_once_t library = PTHREAD_ONCE_INIT;

static void start_library(void)
{
    mosquitto_lib_init();
}

static void on_connect(struct mosquitto *client, void *object, int reason, int flags,
                       const mosquitto_property *properties)
{
    const struct mqtt *mqtt = object;
    (void)client;
    (void)flags;
    (void)properties;
    mqtt->handlers->connected(mqtt->context, reason);
}

static void on_publish(struct mosquitto *client, void *object, int mid, int reason,
                       const mosquitto_property *properties)
{
    const struct mqtt *mqtt = object;
    (void)client;
    (void)properties;
    mqtt->handlers->acknowledged(mqtt->context, mid, reason);
}

/* The first line of the file, without its end. */
static bool read_secret(const char *path, char *out, size_t size, char *why, size_t why_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, out, size - 1);
    if (length < 0)
        snprintf(why, why_size, "cannot read %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (length < 0)
        return false;
    out[length] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

static void on_log(struct mosquitto *client, void *object, int level, const char *text)
{
    struct mqtt *mqtt = object;
    (void)client;
    if (level == MOSQ_LOG_ERR)
        snprintf(mqtt->error, sizeof mqtt->error, "%s", text);
}

static int set_credentials(struct mqtt *mqtt, const struct settings_uplink *uplink,
                           const struct settings_url *url, char *why, size_t why_size)
{
    char password[512] = "";
    int rc = MOSQ_ERR_SUCCESS;
    if (uplink->password_file &&
        !read_secret(uplink->password_file, password, sizeof password, why, why_size))
        return MOSQ_ERR_INVAL;
    if (uplink->username)
        rc = mosquitto_username_pw_set(mqtt->client, uplink->username,
                                       uplink->password_file ? password : NULL);
    explicit_bzero(password, sizeof password);
    if (rc == MOSQ_ERR_SUCCESS && url->tls)
        rc = mosquitto_tls_set(mqtt->client, uplink->ca, NULL, uplink->cert, uplink->key, NULL);
    return rc;
}

/* NULL under 3.1.1 or when there is nothing to say. */
static mosquitto_property *make_properties(const struct mqtt *mqtt,
                                           const struct mqtt_message *message)
{
    mosquitto_property *properties = NULL;
    if (mqtt->version_5 && message->content_type &&
        mosquitto_property_add_string(&properties, MQTT_PROP_CONTENT_TYPE, message->content_type) !=
            MOSQ_ERR_SUCCESS)
        mosquitto_property_free_all(&properties);
    return properties;
}

static int set_will(struct mqtt *mqtt, const struct mqtt_message *will)
{
    mosquitto_property *properties = make_properties(mqtt, will);
    int rc = mosquitto_will_set_v5(mqtt->client, will->topic, (int)will->length, will->bytes, 1,
                                   will->retain, properties);
    if (rc != MOSQ_ERR_SUCCESS)
        mosquitto_property_free_all(&properties);
    return rc;
}

/* Leaves what is said already; the library's own words (of a certificate, say) before its code's.
 */
static void explain(const struct mqtt *mqtt, int rc, char *why, size_t why_size)
{
    if (why[0])
        return;
    snprintf(why, why_size, "%s",
             mqtt->error[0]         ? mqtt->error
             : rc == MOSQ_ERR_ERRNO ? strerror(errno)
                                    : mosquitto_strerror(rc));
}

struct mqtt *mqtt_connect(const struct settings_uplink *uplink, const struct settings_url *url,
                          const char *client_id, bool version_5, const struct mqtt_message *will,
                          const struct mqtt_handlers *handlers, void *context, char *why,
                          size_t why_size)
{
    pthread_once(&library, start_library);
    why[0] = '\0';
    struct mqtt *mqtt = calloc(1, sizeof *mqtt);
    if (!mqtt)
        return NULL;
    *mqtt = (struct mqtt){
        .tls = url->tls, .version_5 = version_5, .handlers = handlers, .context = context};
    mqtt->client = mosquitto_new(client_id, true, mqtt);
    int rc = MOSQ_ERR_NOMEM;
    if (!mqtt->client)
        goto out;
    mosquitto_int_option(mqtt->client, MOSQ_OPT_PROTOCOL_VERSION,
                         version_5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
    mosquitto_int_option(mqtt->client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_connect_v5_callback_set(mqtt->client, on_connect);
    mosquitto_publish_v5_callback_set(mqtt->client, on_publish);
    mosquitto_log_callback_set(mqtt->client, on_log);
    rc = set_credentials(mqtt, uplink, url, why, why_size);
    if (rc == MOSQ_ERR_SUCCESS)
        rc = set_will(mqtt, will);
    if (rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_connect_bind_v5(mqtt->client, url->host, url->port,
                                       (int)(uplink->keepalive_ms / 1000), NULL, NULL);
out:
    if (rc == MOSQ_ERR_SUCCESS)
        return mqtt;
    explain(mqtt, rc, why, why_size);
    mqtt_free(mqtt);
    return NULL;
}

void mqtt_free(struct mqtt *mqtt)
{
    if (!mqtt)
        return;
    if (mqtt->client)
        mosquitto_destroy(mqtt->client);
    free(mqtt);
}

int mqtt_socket(const struct mqtt *mqtt)
{
    return mosquitto_socket(mqtt->client);
}

bool mqtt_wants_write(const struct mqtt *mqtt)
{
    return mosquitto_want_write(mqtt->client);
}

/* libmosquitto aborts the process on a CONNACK with a property it does not know. So the first
 * packet is looked at, still in the socket, before the library reads it. (Behind TLS the peer has
 * proven who it is.) */
static enum connack_verdict look_at_connack(const struct mqtt *mqtt)
{
    uint8_t bytes[CONNACK_MAX];
    ssize_t length =
        recv(mosquitto_socket(mqtt->client), bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (length == 0)
        return CONNACK_FINE; /* the library will say that it hung up */
    if (length < 0)
        return errno == EAGAIN ? CONNACK_MORE : CONNACK_FINE;
    return connack_judge(bytes, (size_t)length);
}

bool mqtt_service(struct mqtt *mqtt, bool readable, bool writable, char *why, size_t why_size)
{
    int rc = MOSQ_ERR_SUCCESS;
    why[0] = '\0';
    if (readable && !mqtt->tls && !mqtt->connack_seen) {
        enum connack_verdict verdict = look_at_connack(mqtt);
        if (verdict == CONNACK_ALIEN)
            snprintf(why, why_size, "whoever answers is no MQTT broker");
        mqtt->connack_seen = verdict == CONNACK_FINE;
        readable = mqtt->connack_seen;
        mqtt->hung_up = verdict == CONNACK_ALIEN;
        if (verdict == CONNACK_ALIEN)
            return false;
    }
    if (readable)
        rc = mosquitto_loop_read(mqtt->client, 1);
    if (rc == MOSQ_ERR_SUCCESS && writable)
        rc = mosquitto_loop_write(mqtt->client, 1);
    if (rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_loop_misc(mqtt->client);
    if (rc == MOSQ_ERR_SUCCESS && mosquitto_socket(mqtt->client) < 0)
        rc = MOSQ_ERR_CONN_LOST;
    mqtt->hung_up = rc != MOSQ_ERR_SUCCESS && rc != MOSQ_ERR_TLS && !mqtt->error[0];
    if (rc != MOSQ_ERR_SUCCESS)
        explain(mqtt, rc, why, why_size);
    return rc == MOSQ_ERR_SUCCESS;
}

bool mqtt_hung_up(const struct mqtt *mqtt)
{
    return mqtt->hung_up;
}

const char *mqtt_reason(bool version_5, int reason)
{
    return version_5 ? mosquitto_reason_string(reason) : mosquitto_connack_string(reason);
}

int mqtt_publish(struct mqtt *mqtt, const struct mqtt_message *message)
{
    int mid = 0;
    mosquitto_property *properties = make_properties(mqtt, message);
    int rc = mosquitto_publish_v5(mqtt->client, &mid, message->topic, (int)message->length,
                                  message->bytes, 1, message->retain, properties);
    mosquitto_property_free_all(&properties);
    return rc == MOSQ_ERR_SUCCESS ? mid : 0;
}

void mqtt_disconnect(struct mqtt *mqtt)
{
    mosquitto_disconnect_v5(mqtt->client, 0, NULL);
}
