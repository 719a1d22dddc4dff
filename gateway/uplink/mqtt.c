/* libmosquitto behind a narrow door: external loop, one client object a connection.
 * Runs in its uplink's thread; owns the client. A new object each time, because the library keeps
 * ids and queued messages of a connection that is gone; no loop thread, because it dies silently on
 * a TLS error. The library connects to an address without waiting; what it overlooks meanwhile (a
 * connect that failed, a peer that is gone in the TLS handshake) is looked for here.
 * Never blocks, never reconnects and never keeps a payload: what is not acknowledged is the
 * store's.
 */
#include "gateway/uplink/mqtt.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/uplink/connack.h"
#include "gateway/uplink/guard.h"
#include "gateway/uplink/secret.h"
#include "gateway/uplink/tls.h"

enum {
    REASON_BUSY = 0x80,          /* MQTT 5: from here on a refusal */
    QUIET_KEEPALIVE_MS = 300000, /* a broker that wants none: the state goes out so often */
    PING_ANSWER_MS = 2000,       /* the least that a ping has for its answer */
};

struct mqtt {
    struct mosquitto *client;
    struct tls *tls; /* NULL = none */
    bool reached, connack_seen, connected;
    char error[120];  /* the library's last word on an error */
    int socket_error; /* behind TLS, where the library makes EPROTO of all of them */
    bool version_5;
    int refusal;    /* of CONNECT or, later, of us: a reason code; 0 = none */
    char moved[64]; /* where to, says the broker */
    mono_time heard;
    uint32_t keepalive_ms, max_packet;
    uint16_t receive_max;
    bool retains;
    const struct mqtt_handlers *handlers;
    void *context;
};

static pthread_once_t library = PTHREAD_ONCE_INIT;

static void start_library(void)
{
    mosquitto_lib_init();
}

/* ---- what the library calls ---- */

/* Where a broker that sends us away wants us. Somebody else's text: only what can be printed. */
static void note_reference(struct mqtt *mqtt, const mosquitto_property *properties)
{
    char *text = NULL;
    if (!mosquitto_property_read_string(properties, MQTT_PROP_SERVER_REFERENCE, &text, false))
        return;
    snprintf(mqtt->moved, sizeof mqtt->moved, "%s", text);
    for (char *at = mqtt->moved; *at; at++) {
        if (!isgraph((unsigned char)*at))
            *at = '?';
    }
    free(text);
}

/* What is not given stays as it is. */
static void note_limits(struct mqtt *mqtt, const mosquitto_property *properties)
{
    uint16_t keepalive_s;
    uint8_t retains;
    if (mosquitto_property_read_int16(properties, MQTT_PROP_SERVER_KEEP_ALIVE, &keepalive_s, false))
        mqtt->keepalive_ms = (uint32_t)keepalive_s * 1000;
    if (mosquitto_property_read_byte(properties, MQTT_PROP_RETAIN_AVAILABLE, &retains, false))
        mqtt->retains = retains != 0;
    mosquitto_property_read_int32(properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, &mqtt->max_packet,
                                  false);
    mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM, &mqtt->receive_max, false);
}

static void on_connect(struct mosquitto *client, void *object, int reason, int flags,
                       const mosquitto_property *properties)
{
    struct mqtt *mqtt = object;
    (void)client;
    (void)flags;
    mqtt->refusal = reason;
    mqtt->connected = reason == 0;
    note_limits(mqtt, properties);
    note_reference(mqtt, properties);
    guard_lift();
    mqtt->handlers->connected(mqtt->context, reason);
    guard_set();
}

static void on_publish(struct mosquitto *client, void *object, int mid, int reason,
                       const mosquitto_property *properties)
{
    const struct mqtt *mqtt = object;
    (void)client;
    (void)properties;
    guard_lift();
    mqtt->handlers->acknowledged(mqtt->context, mid, reason);
    guard_set();
}

static void on_subscribe(struct mosquitto *client, void *object, int mid, int count,
                         const int *granted, const mosquitto_property *properties)
{
    const struct mqtt *mqtt = object;
    (void)client;
    (void)properties;
    guard_lift();
    mqtt->handlers->subscribed(mqtt->context, mid, count > 0 ? granted[0] : REASON_BUSY);
    guard_set();
}

static void on_message(struct mosquitto *client, void *object,
                       const struct mosquitto_message *message,
                       const mosquitto_property *properties)
{
    const struct mqtt *mqtt = object;
    char *response_topic = NULL;
    void *correlation = NULL;
    uint16_t correlation_length = 0;
    (void)client;
    mosquitto_property_read_string(properties, MQTT_PROP_RESPONSE_TOPIC, &response_topic, false);
    mosquitto_property_read_binary(properties, MQTT_PROP_CORRELATION_DATA, &correlation,
                                   &correlation_length, false);
    const struct mqtt_incoming incoming = {message->payload, (size_t)message->payloadlen,
                                           response_topic, correlation, correlation_length};
    guard_lift();
    mqtt->handlers->message(mqtt->context, &incoming);
    guard_set();
    free(response_topic);
    free(correlation);
}

/* reason: the broker's, or one of the library's small error numbers. */
static void on_disconnect(struct mosquitto *client, void *object, int reason,
                          const mosquitto_property *properties)
{
    struct mqtt *mqtt = object;
    (void)client;
    if (!mqtt->version_5 || reason < REASON_BUSY)
        return;
    mqtt->refusal = reason;
    note_reference(mqtt, properties);
}

/* Of "OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed" only the end. */
static void on_log(struct mosquitto *client, void *object, int level, const char *text)
{
    struct mqtt *mqtt = object;
    const char *end = strstr(text, "routines::");
    (void)client;
    if (level == MOSQ_LOG_ERR)
        snprintf(mqtt->error, sizeof mqtt->error, "%s%s", end ? "TLS: " : "",
                 end ? end + strlen("routines::") : text);
}

/* ---- how it ended ---- */

/* What the library makes of an end behind TLS is always EPROTO. Once the broker had accepted us it
 * can only be that it is gone, without a goodbye, or that the link broke. */
static int error_of(const struct mqtt *mqtt, int rc)
{
    if (rc != MOSQ_ERR_ERRNO)
        return 0;
    if (!mqtt->tls || !mqtt->connected || errno != EPROTO)
        return errno;
    return mqtt->socket_error ? mqtt->socket_error : ECONNRESET;
}

/* By rc and errno of the library's last call. */
static void explain(const struct mqtt *mqtt, int rc, struct mqtt_end *end)
{
    const struct mqtt_last last = {.rc = rc,
                                   .error = error_of(mqtt, rc),
                                   .version_5 = mqtt->version_5,
                                   .connected = mqtt->connected,
                                   .refusal = mqtt->refusal,
                                   .moved = mqtt->moved,
                                   .complaint = mqtt->tls ? tls_complaint(mqtt->tls) : "",
                                   .said = mqtt->error};
    mqtt_end_explain(&last, end);
}

static bool ends(struct mqtt_end *end, enum mqtt_fault fault, bool hung_up, const char *why)
{
    *end = (struct mqtt_end){.fault = fault, .hung_up = hung_up};
    snprintf(end->why, sizeof end->why, "%s", why);
    return false;
}

/* ---- connecting ---- */

/* The first line of the file, without its end. */
static bool read_secret(const char *named, char out[SECRET_MAX + 2], char *why, size_t why_size)
{
    char handed_over[SECRET_PATH_MAX];
    const char *path = secret_path(named, handed_over, sizeof handed_over);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, out, SECRET_MAX + 1);
    if (length < 0)
        snprintf(why, why_size, "cannot read %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (length < 0)
        return false;
    out[length] = '\0';
    size_t end = strcspn(out, "\r\n");
    out[end] = '\0';
    if (end > 0 && end <= SECRET_MAX)
        return true;
    snprintf(why, why_size, "%s: %s", path,
             end ? "its first line is too long for a password"
                 : "there is no password in its first line");
    return false;
}

/* False, with the reason in why, when a file is not what it should be. */
static bool set_credentials(struct mqtt *mqtt, const struct mqtt_target *target, char *why,
                            size_t why_size)
{
    const struct settings_uplink *uplink = target->uplink;
    char password[SECRET_MAX + 2] = "";
    int rc = MOSQ_ERR_SUCCESS;
    bool known =
        !uplink->password_file || read_secret(uplink->password_file, password, why, why_size);
    if (known && uplink->username)
        rc = mosquitto_username_pw_set(mqtt->client, uplink->username,
                                       uplink->password_file ? password : NULL);
    explicit_bzero(password, sizeof password);
    if (rc != MOSQ_ERR_SUCCESS)
        snprintf(why, why_size, "username or password: %s", mosquitto_strerror(rc));
    if (!known || rc != MOSQ_ERR_SUCCESS || !target->url->tls)
        return known && rc == MOSQ_ERR_SUCCESS;
    mqtt->tls = tls_new(uplink, target->url->host, why, why_size);
    if (!mqtt->tls)
        return false;
    mosquitto_void_option(mqtt->client, MOSQ_OPT_SSL_CTX, tls_context(mqtt->tls));
    mosquitto_int_option(mqtt->client, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
    return true;
}

/* NULL under 3.1.1 or when there is nothing to say; without memory less is said. */
static mosquitto_property *make_properties(const struct mqtt *mqtt,
                                           const struct mqtt_message *message)
{
    mosquitto_property *properties = NULL;
    int rc = MOSQ_ERR_SUCCESS;
    if (mqtt->version_5 && message->content_type)
        rc = mosquitto_property_add_string(&properties, MQTT_PROP_CONTENT_TYPE,
                                           message->content_type);
    if (rc == MOSQ_ERR_SUCCESS && mqtt->version_5 && message->correlation)
        rc = mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA,
                                           message->correlation,
                                           (uint16_t)message->correlation_length);
    if (rc != MOSQ_ERR_SUCCESS)
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

static struct mqtt *new_mqtt(const struct mqtt_target *target, const struct mqtt_handlers *handlers,
                             void *context)
{
    struct mqtt *mqtt = calloc(1, sizeof *mqtt);
    if (!mqtt)
        return NULL;
    *mqtt = (struct mqtt){.version_5 = target->version_5,
                          .heard = clock_mono(),
                          .keepalive_ms = target->uplink->keepalive_ms,
                          .receive_max = UINT16_MAX,
                          .retains = true,
                          .handlers = handlers,
                          .context = context};
    mqtt->client = mosquitto_new(target->uplink->client_id, true, mqtt);
    if (!mqtt->client) {
        mqtt_free(mqtt);
        return NULL;
    }
    mosquitto_int_option(mqtt->client, MOSQ_OPT_PROTOCOL_VERSION,
                         target->version_5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
    mosquitto_int_option(mqtt->client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_connect_v5_callback_set(mqtt->client, on_connect);
    mosquitto_disconnect_v5_callback_set(mqtt->client, on_disconnect);
    mosquitto_publish_v5_callback_set(mqtt->client, on_publish);
    mosquitto_subscribe_v5_callback_set(mqtt->client, on_subscribe);
    mosquitto_message_v5_callback_set(mqtt->client, on_message);
    mosquitto_log_callback_set(mqtt->client, on_log);
    return mqtt;
}

struct mqtt *mqtt_connect(const struct mqtt_target *target, const struct mqtt_handlers *handlers,
                          void *context, struct mqtt_end *end)
{
    pthread_once(&library, start_library);
    struct mqtt *mqtt = new_mqtt(target, handlers, context);
    ends(end, MQTT_FAULT_OWN, false, "out of memory");
    if (!mqtt)
        return NULL;
    if (!set_credentials(mqtt, target, end->why, sizeof end->why)) {
        mqtt_free(mqtt);
        return NULL;
    }
    int rc = set_will(mqtt, &target->will);
    if (rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_connect_async(mqtt->client, target->address, target->url->port,
                                     (int)(target->uplink->keepalive_ms / 1000));
    if (rc == MOSQ_ERR_SUCCESS)
        return mqtt;
    explain(mqtt, rc, end);
    end->hung_up = false; /* it was not even asked */
    mqtt_free(mqtt);
    return NULL;
}

void mqtt_free(struct mqtt *mqtt)
{
    if (!mqtt)
        return;
    if (mqtt->client)
        mosquitto_destroy(mqtt->client);
    tls_free(mqtt->tls);
    free(mqtt);
}

/* ---- turning ---- */

int mqtt_socket(const struct mqtt *mqtt)
{
    return mosquitto_socket(mqtt->client);
}

static bool in_handshake(const struct mqtt *mqtt)
{
    const SSL *ssl = mqtt->tls ? mosquitto_ssl_get(mqtt->client) : NULL;
    return ssl && !SSL_is_init_finished(ssl);
}

/* In the TLS handshake the library would have us wait for what is there all the time. */
static bool wants_write(const struct mqtt *mqtt)
{
    return !mqtt->reached ||
           (in_handshake(mqtt) ? SSL_want_write((const SSL *)mosquitto_ssl_get(mqtt->client))
                               : mosquitto_want_write(mqtt->client));
}

short mqtt_events(const struct mqtt *mqtt)
{
    return (short)(POLLIN | (wants_write(mqtt) ? POLLOUT : 0));
}

static uint32_t keepalive_ms(const struct mqtt *mqtt)
{
    return mqtt->keepalive_ms ? mqtt->keepalive_ms : QUIET_KEEPALIVE_MS;
}

/* The library pings after one keepalive without a word from the broker, but waits a whole second
 * one for the answer. */
static mono_time dead_at(const struct mqtt *mqtt)
{
    uint32_t patience_ms = keepalive_ms(mqtt) / 5 * 2;
    return clock_after_ms(mqtt->heard,
                          keepalive_ms(mqtt) +
                              (patience_ms > PING_ANSWER_MS ? patience_ms : PING_ANSWER_MS));
}

mono_time mqtt_deadline(const struct mqtt *mqtt)
{
    mono_time ping_at = clock_after_ms(mqtt->heard, keepalive_ms(mqtt));
    return clock_mono().ns < ping_at.ns ? ping_at : dead_at(mqtt);
}

/* Is TCP through? The library would not say; and in front of TLS it swallows the error. */
static bool reach(struct mqtt *mqtt, short events, struct mqtt_end *end)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    int error = 0;
    socklen_t error_length = sizeof error;
    int fd = mqtt_socket(mqtt);
    if (!events)
        return true;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_length) < 0)
        error = errno;
    mqtt->reached = !error && getpeername(fd, (struct sockaddr *)&peer, &length) == 0;
    if (!error && !mqtt->reached && (events & (POLLERR | POLLHUP)))
        error = ECONNREFUSED;
    return !error || ends(end, mqtt_end_fault_of(error), false, strerror(error));
}

/* The first packet is looked at, still in the socket, before the library reads it: of a web server
 * or a serial gateway at that port it would only say that the connection was lost, or wait for the
 * rest of a packet that never comes. (Behind TLS the peer has proven who it is; there, only whether
 * it is still there.) */
static enum connack_verdict look_first(const struct mqtt *mqtt, bool *gone)
{
    uint8_t bytes[CONNACK_MAX];
    ssize_t length = recv(mqtt_socket(mqtt), bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    *gone = length == 0 || (length < 0 && errno != EAGAIN);
    if (mqtt->tls || *gone)
        return CONNACK_FINE; /* the library will say that it hung up */
    return length < 0 ? CONNACK_MORE : connack_judge(bytes, (size_t)length);
}

static bool first_word(struct mqtt *mqtt, bool *readable, struct mqtt_end *end)
{
    bool gone = false;
    enum connack_verdict verdict = look_first(mqtt, &gone);
    if (verdict == CONNACK_ALIEN)
        return ends(end, MQTT_FAULT_BROKER, true, "whoever answers is no MQTT broker");
    if (gone && in_handshake(mqtt))
        return ends(end, MQTT_FAULT_BROKER, false, "TLS: the broker closed the connection");
    mqtt->connack_seen = !mqtt->tls && verdict == CONNACK_FINE;
    *readable = verdict == CONNACK_FINE;
    return true;
}

struct reading {
    struct mosquitto *client;
    int rc, error;
};

static void read_packets(void *context)
{
    struct reading *reading = context;
    reading->rc = mosquitto_loop_read(reading->client, 1);
    reading->error = errno;
}

static void note_socket_error(struct mqtt *mqtt, short events)
{
    int error = 0;
    socklen_t length = sizeof error;
    if (mqtt->tls && (events & POLLERR) &&
        getsockopt(mqtt_socket(mqtt), SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error)
        mqtt->socket_error = error;
}

/* The library's word; or that the broker sent what it asserts against. */
static int guarded_read(struct mqtt *mqtt)
{
    struct reading reading = {.client = mqtt->client};
    if (!guard_run(read_packets, &reading))
        return MOSQ_ERR_MALFORMED_PACKET;
    errno = reading.error;
    return reading.rc;
}

bool mqtt_service(struct mqtt *mqtt, short events, struct mqtt_end *end)
{
    bool readable = events & (POLLIN | POLLHUP | POLLERR);
    *end = (struct mqtt_end){0};
    if (!mqtt->reached && !reach(mqtt, events, end))
        return false;
    if (!mqtt->reached)
        return true;
    if (readable && !mqtt->connack_seen && !mqtt->connected && !first_word(mqtt, &readable, end))
        return false;
    if (events & POLLIN)
        mqtt->heard = clock_mono();
    note_socket_error(mqtt, events);
    int rc = MOSQ_ERR_SUCCESS;
    if (readable || in_handshake(mqtt)) /* the handshake goes on in reading, also when it writes */
        rc = guarded_read(mqtt);
    if (rc == MOSQ_ERR_SUCCESS && ((events & POLLOUT) || wants_write(mqtt)))
        rc = mosquitto_loop_write(mqtt->client, 1);
    if (rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_loop_misc(mqtt->client);
    if (rc == MOSQ_ERR_SUCCESS && mqtt_socket(mqtt) < 0)
        rc = MOSQ_ERR_CONN_LOST;
    if (rc != MOSQ_ERR_SUCCESS)
        explain(mqtt, rc, end);
    else if (mqtt->connected && clock_mono().ns >= dead_at(mqtt).ns)
        return ends(end, MQTT_FAULT_LINK, false, "nothing was heard from the broker any more");
    return rc == MOSQ_ERR_SUCCESS;
}

bool mqtt_reached(const struct mqtt *mqtt)
{
    return mqtt->reached;
}

uint32_t mqtt_max_packet(const struct mqtt *mqtt)
{
    return mqtt->max_packet;
}

uint16_t mqtt_receive_max(const struct mqtt *mqtt)
{
    return mqtt->receive_max;
}

bool mqtt_retains(const struct mqtt *mqtt)
{
    return mqtt->retains;
}

int mqtt_publish(struct mqtt *mqtt, const struct mqtt_message *message)
{
    int mid = 0;
    mosquitto_property *properties = make_properties(mqtt, message);
    int rc = mosquitto_publish_v5(mqtt->client, &mid, message->topic, (int)message->length,
                                  message->bytes, 1, message->retain && mqtt->retains, properties);
    mosquitto_property_free_all(&properties);
    return rc == MOSQ_ERR_SUCCESS ? mid : 0;
}

int mqtt_subscribe(struct mqtt *mqtt, const char *topic)
{
    int mid = 0;
    int rc = mosquitto_subscribe(mqtt->client, &mid, topic, 1);
    return rc == MOSQ_ERR_SUCCESS ? mid : 0;
}

void mqtt_disconnect(struct mqtt *mqtt)
{
    mosquitto_disconnect_v5(mqtt->client, 0, NULL);
}
