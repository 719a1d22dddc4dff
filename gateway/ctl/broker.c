/* libmosquitto for `watch`: one connection at a time, a new one when it breaks.
 *
 * The only thread of lifelinectl; the library's own loop and reconnect stay off, so that a pause
 * can be told and broken off. MQTT 3.1.1, a clean session, a random name: every broker takes that,
 * nothing of us stays there, and we push nobody out. Never publishes anything. Never goes without
 * checking a certificate: what is not trusted is not shown. */
#include "gateway/ctl/broker.h"

#include <errno.h>
#include <mosquitto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/scalar.h"
#include "drivers/clock.h"

enum {
    KEEPALIVE_S = 30,
    ANSWER_MS = 15000, /* for CONNACK and SUBACK */
    LOOP_MS = 500,
    PAUSE_MIN_MS = 1000,
    PAUSE_MAX_MS = 30000,
    PORT_PLAIN = 1883,
    PORT_TLS = 8883,
    NOT_GRANTED = 0x80,
    REFUSED_IDENTITY = 4, /* of CONNACK: the password; 5: not authorized */
    REFUSED_RIGHTS = 5,
    SECRET_MAX = 4096,
};

/* Its own option for these takes no certificate of ours beside it. */
#define SYSTEM_CAS "/etc/ssl/certs"

struct address {
    char host[256];
    int port;
    bool tls;
};

struct link {
    const char *const *topics;
    size_t topic_count;
    const struct broker_handlers *handlers;
    void *context;
    mono_time begun;
    bool subscribed;
    bool unwanted; /* it is no use to come again */
    char why[160]; /* of the last error; "" = not known */
};

static volatile sig_atomic_t enough;

static void on_signal(int number)
{
    (void)number;
    enough = 1;
}

/* ---- what is given ---- */

static bool read_address(const char *url, struct address *out)
{
    int64_t port;
    out->tls = strncmp(url, "mqtts://", 8) == 0;
    if (!out->tls && strncmp(url, "mqtt://", 7) != 0)
        return false;
    const char *host = url + (out->tls ? 8 : 7);
    bool bracket = host[0] == '[';
    host += bracket;
    size_t length = strcspn(host, bracket ? "]" : ":/?#@");
    const char *rest = host + length + (bracket && host[length] == ']');
    port = out->tls ? PORT_TLS : PORT_PLAIN;
    if (length == 0 || length >= sizeof out->host || (bracket && host[length] != ']') ||
        (rest[0] && rest[0] != ':'))
        return false;
    if (rest[0] && (!scalar_integer(rest + 1, &port) || port < 1 || port > UINT16_MAX))
        return false;
    snprintf(out->host, sizeof out->host, "%.*s", (int)length, host);
    out->port = (int)port;
    return true;
}

/* The first line. */
static bool read_password(const char *path, char out[SECRET_MAX])
{
    FILE *file = fopen(path, "re");
    if (!file || !fgets(out, SECRET_MAX, file)) {
        say_error(say("无法读取密码文件 %s：%s", "cannot read the password in %s: %s"), path,
                  file ? say("文件为空", "it is empty") : say_errno(errno));
        if (file)
            fclose(file);
        return false;
    }
    fclose(file);
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

static bool set_credentials(struct mosquitto *client, const struct ctl_broker *broker)
{
    char password[SECRET_MAX] = "";
    bool given = broker->password_file != NULL;
    if (given && !read_password(broker->password_file, password))
        return false;
    int rc = broker->username
                 ? mosquitto_username_pw_set(client, broker->username, given ? password : NULL)
                 : MOSQ_ERR_SUCCESS;
    explicit_bzero(password, sizeof password);
    if (rc != MOSQ_ERR_SUCCESS)
        say_error(say("用户名或密码不可用：%s", "username or password: %s"),
                  mosquitto_strerror(rc));
    return rc == MOSQ_ERR_SUCCESS;
}

static bool set_trust(struct mosquitto *client, const struct ctl_broker *broker)
{
    int rc = mosquitto_tls_set(client, broker->ca, broker->ca ? NULL : SYSTEM_CAS, broker->cert,
                               broker->key, NULL);
    if (rc == MOSQ_ERR_SUCCESS)
        return true;
    say_error(say("无法使用 --ca、--cert、--key 所给的文件：%s", "--ca, --cert and --key: %s"),
              rc == MOSQ_ERR_INVAL ? say("文件不可读，或证书与私钥未成对给出",
                                         "a file cannot be read, or one of a pair is missing")
                                   : mosquitto_strerror(rc));
    return false;
}

/* ---- what the library calls ---- */

static void on_connect(struct mosquitto *client, void *object, int reason)
{
    struct link *link = object;
    if (reason) {
        snprintf(link->why, sizeof link->why, "%s", mosquitto_connack_string(reason));
        link->unwanted = reason == REFUSED_IDENTITY || reason == REFUSED_RIGHTS;
        return;
    }
    char *topics[BROKER_TOPICS_MAX];
    for (size_t i = 0; i < link->topic_count; i++)
        topics[i] = (char *)(uintptr_t)link->topics[i]; /* the library only reads them */
    mosquitto_subscribe_multiple(client, NULL, (int)link->topic_count, topics, 1, 0, NULL);
}

static void on_subscribe(struct mosquitto *client, void *object, int mid, int count,
                         const int *granted)
{
    struct link *link = object;
    size_t shown = 0;
    (void)client;
    (void)mid;
    for (size_t i = 0; i < link->topic_count; i++) {
        bool refused = (int)i >= count || granted[i] >= NOT_GRANTED;
        shown += !refused;
        if (refused)
            say_error(say("服务器不允许订阅 %s", "the broker does not let us subscribe to %s"),
                      link->topics[i]);
    }
    link->subscribed = shown > 0;
    link->unwanted = shown == 0;
    if (link->subscribed)
        link->handlers->connected(link->context);
}

static void on_message(struct mosquitto *client, void *object,
                       const struct mosquitto_message *message)
{
    const struct link *link = object;
    (void)client;
    link->handlers->message(link->context, message->topic, message->payload,
                            (size_t)message->payloadlen);
}

/* Of "OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed" only the end. */
static void on_log(struct mosquitto *client, void *object, int level, const char *text)
{
    struct link *link = object;
    const char *end = strstr(text, "routines::");
    (void)client;
    if (level == MOSQ_LOG_ERR)
        snprintf(link->why, sizeof link->why, "%s%s", end ? "TLS: " : "",
                 end ? end + strlen("routines::") : text);
}

/* ---- one connection after the other ---- */

static void explain(struct link *link, int rc)
{
    const char *why = rc == MOSQ_ERR_ERRNO ? strerror(errno)
                      : rc == MOSQ_ERR_EAI ? say("域名不存在", "Name or service not known")
                                           : mosquitto_strerror(rc);
    if (!link->why[0])
        snprintf(link->why, sizeof link->why, "%s", why);
}

/* Until it ends; link->why says why. */
static void run_once(struct mosquitto *client, const struct address *address, struct link *link)
{
    link->subscribed = false;
    link->why[0] = '\0';
    link->begun = clock_mono();
    int rc = mosquitto_connect(client, address->host, address->port, KEEPALIVE_S);
    while (rc == MOSQ_ERR_SUCCESS && !enough && !link->unwanted) {
        rc = mosquitto_loop(client, LOOP_MS, 1);
        if (rc == MOSQ_ERR_SUCCESS && !link->subscribed &&
            clock_mono_ms(clock_mono()) - clock_mono_ms(link->begun) > ANSWER_MS) {
            snprintf(link->why, sizeof link->why, "%s",
                     say("那里没有 MQTT 服务器应答", "no broker answers there"));
            break;
        }
    }
    if (rc != MOSQ_ERR_SUCCESS)
        explain(link, rc);
    mosquitto_disconnect(client);
}

static void pause_ms(uint32_t ms)
{
    const struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
    if (!enough)
        (void)nanosleep(&pause, NULL); /* a signal ends it */
}

static enum ctl_exit go_on(struct mosquitto *client, const struct address *address,
                           struct link *link)
{
    char reason[240];
    uint32_t pause = PAUSE_MIN_MS;
    for (;;) {
        run_once(client, address, link);
        if (enough)
            return CTL_FINE;
        if (link->why[0])
            say_error(say("%s:%d：%s", "%s:%d: %s"), address->host, address->port,
                      say_reason(link->why, reason, sizeof reason));
        if (link->unwanted)
            return CTL_FINDING;
        pause = link->subscribed ? PAUSE_MIN_MS : pause;
        pause_ms(pause);
        pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
        if (enough)
            return CTL_FINE;
    }
}

enum ctl_exit broker_follow(const struct ctl_broker *broker, const char *const *topics,
                            size_t count, const struct broker_handlers *handlers, void *context)
{
    /* once: whoever presses Ctrl-C again, while a name is looked up, is rid of it */
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    struct link link = {
        .topics = topics, .topic_count = count, .handlers = handlers, .context = context};
    struct address address;
    if (!read_address(broker->url, &address)) {
        say_error(say("--broker %s：应写作 mqtt://主机[:端口] 或 mqtts://主机[:端口]",
                      "--broker %s: write it like mqtts://broker.example:8883"),
                  broker->url);
        return CTL_USAGE;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    mosquitto_lib_init();
    enum ctl_exit code = CTL_FINDING;
    struct mosquitto *client = mosquitto_new(NULL, true, &link);
    if (!client) {
        say_error("%s", say("内存不足", "out of memory"));
        goto out;
    }
    code = CTL_USAGE;
    if (!set_credentials(client, broker) || (address.tls && !set_trust(client, broker)))
        goto out;
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    mosquitto_message_callback_set(client, on_message);
    mosquitto_log_callback_set(client, on_log);
    code = go_on(client, &address, &link);
out:
    mosquitto_destroy(client);
    mosquitto_lib_cleanup();
    return code;
}
