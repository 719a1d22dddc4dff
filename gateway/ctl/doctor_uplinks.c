/* Uplinks: what the daemon says of them, and where it cannot say, a look at the broker itself.
 *
 * One thread. Every address is tried: of an uplink that is connected, what is wrong there is a
 * warning (a certificate that ends soon, a second broker that is gone). Owns nothing. */
#include <stdio.h>
#include <string.h>

#include "gateway/ctl/doctor.h"
#include "gateway/ctl/text.h"

enum { OLD_MS = 3600 * 1000, JUST_NOW_MS = 10 * 60 * 1000, TAKEN_OVER = 1, HANGS_UP = 2 };

/* Why a broker that can be reached is not connected: words of the daemon, MQTT 5 and 3.1.1. */
static const struct {
    const char *said[4];
    const char *id;
    struct words what, advice;
} reasons[] = {
    {{"Bad User Name or Password", "bad user name or password", "Not authorized", "not authorised"},
     "mqtt_credentials",
     {"服务器不接受用户名、密码或客户端标识",
      "the broker refuses user name, password or client id"},
     {"核对 username 和 password_file 的第一行（不能有多余空格），并请平台确认该账号已开通",
      "compare username and the first line of password_file with what the platform gave out (no "
      "blanks), and ask it whether the account is open"}},
    {{"Session taken over", NULL, NULL, NULL},
     "mqtt_taken_over",
     {"会话被占用：另一个客户端用了同一个标识",
      "another client uses the same id and takes the session over"},
     {"多半有两台网关的 gateway.id 相同（拷贝的存储卡？）：每台必须不同，改正后重启",
      "most likely two gateways have the same gateway.id (a copied card?): each has its own; "
      "change one and restart it"}},
    {{"in use twice", NULL, NULL, NULL}, /* by its short lives: MQTT 3.1.1 has no word for it */
     "mqtt_hangs_up",
     {"连上不久就被服务器断开，多半是另一个客户端用了同一个标识",
      "the broker hangs up soon after each connect: most likely another client uses the same id"},
     {"看有没有另一台网关 gateway.id 相同（拷贝的存储卡？）；没有，则请平台查服务器日志：它不让本网"
      "关发的主题，或者装不下",
      "is there another gateway with the same gateway.id (a copied card?); if not, have the "
      "platform see in its log what the broker does not let this one send"}},
    {{"identifier rejected", "Client Identifier not valid", NULL, NULL},
     "mqtt_id_refused",
     {"服务器不接受客户端标识", "the broker refuses the client id"},
     {"向平台核对允许的标识，改 gateway.id",
      "ask the platform which ids it takes; set gateway.id"}},
    {{"TLS: the broker says", NULL, NULL, NULL},
     "tls_own_refused",
     {"服务器不接受本网关的证书", "the broker refuses this gateway's certificate"},
     {"核对 cert 和 key：是否过期、是否由平台的 CA 签发",
      "see cert and key: have they expired, are they by the platform's CA"}},
    {{"has acknowledged nothing", NULL, NULL, NULL},
     "mqtt_stalls",
     {"服务器收了数据而不确认", "the broker takes data and acknowledges nothing"},
     {"请平台查它的队列和磁盘；用 confirm: broker 可不等订阅者",
      "have the platform look at its queues and disk; confirm: broker waits for no subscriber"}},
};

static bool has_said(const char *const said[4], const char *why)
{
    for (size_t i = 0; i < 4 && said[i]; i++) {
        if (strstr(why, said[i]))
            return true;
    }
    return false;
}

/* False: nothing that we know of. */
static bool explain(struct doctor *doctor, const struct settings_uplink *own, const char *why)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (!has_said(reasons[i].said, why))
            continue;
        doctor_finds(doctor, reasons[i].id, DOCTOR_FAULT,
                     say("上行 %s（标识 %s，用户 %s）：%s", "uplink %s (id %s, user %s): %s"),
                     own->name, own->client_id, own->username ? own->username : "-",
                     say_words(reasons[i].what));
        doctor_advises(doctor, "%s", say_words(reasons[i].advice));
        return true;
    }
    return false;
}

/* Two gateways of one id take turns: this one may have the session just now. */
static void taken_before(struct doctor *doctor, const struct settings_uplink *own,
                         const json_t *uplink)
{
    const char *why = text_of(uplink, "last_why");
    if (text_integer(uplink, "since_age_ms") < JUST_NOW_MS &&
        (has_said(reasons[TAKEN_OVER].said, why) || has_said(reasons[HANGS_UP].said, why)))
        explain(doctor, own, why);
}

static void unexplained(struct doctor *doctor, const struct settings_uplink *own, const char *why)
{
    char text[256];
    doctor_finds(doctor, "uplink_down", DOCTOR_FAULT,
                 say("上行 %s 没有连上：%s", "uplink %s is not connected: %s"), own->name,
                 say_reason(why, text, sizeof text));
    doctor_advises(doctor, say("服务器现在可达，网关会自己重试；一分钟后仍不通则看 journalctl -u "
                               "lifeline-gateway",
                               "the broker can be reached now and is tried again; if it is down a "
                               "minute later see journalctl -u lifeline-gateway"));
}

static bool reach(struct doctor *doctor, const struct settings_uplink *own)
{
    bool all = true;
    for (size_t i = 0; i < own->url_count; i++)
        all = doctor_broker(doctor, own, &own->urls[i]) && all;
    return all;
}

/* What would be wrong only later, of an uplink that is connected. */
static void reach_spares(struct doctor *doctor, const struct settings_uplink *own)
{
    size_t before = json_array_size(doctor->findings);
    (void)reach(doctor, own);
    for (size_t i = before; i < json_array_size(doctor->findings); i++)
        json_object_set_new(json_array_get(doctor->findings, i), "severity",
                            json_string("warning"));
}

/* Sectors as a list; false: there is none. */
static bool sectors_of(const json_t *array, char *out, size_t size)
{
    size_t index, used = 0;
    json_t *name;
    *out = '\0';
    json_array_foreach(array, index, name)
    {
        if (used < size)
            used += (size_t)snprintf(out + used, size - used, "%s%s", index ? say("、", ", ") : "",
                                     say_name(json_string_value(name)));
    }
    return used > 0;
}

static void refusals(struct doctor *doctor, const struct settings_uplink *own, const json_t *uplink)
{
    char names[200];
    const json_t *backlog = json_object_get(uplink, "backlog");
    if (!sectors_of(json_object_get(backlog, "refused"), names, sizeof names) &&
        !sectors_of(json_object_get(uplink, "alarms_refused"), names, sizeof names))
        return;
    doctor_finds(doctor, "mqtt_acl", DOCTOR_FAULT,
                 say("上行 %s：服务器拒绝这些专业的数据：%s",
                     "uplink %s: the broker refuses what is sent for: %s"),
                 own->name, names);
    doctor_advises(doctor,
                   say("请平台给用户 %s 开通主题 %s/... 的发布权限；数据留在网关，开通后补传",
                       "have the platform let user %s publish below %s/; the data is kept and "
                       "sent once it may"),
                   own->username ? own->username : own->client_id, own->root);
}

static void backlog(struct doctor *doctor, const struct settings_uplink *own, const json_t *uplink)
{
    char age[32];
    const json_t *waiting = json_object_get(uplink, "backlog");
    json_int_t oldest = text_integer(waiting, "oldest_ms");
    json_int_t now = text_integer(json_object_get(doctor->status, "gateway"), "time_ms");
    if (!oldest || now - oldest < OLD_MS)
        return;
    doctor_finds(doctor, "backlog_old", DOCTOR_WARNING,
                 say("上行 %s 积压 %lld 个读数，最早的在 %s前",
                     "uplink %s: %lld readings wait to be sent, the oldest for %s"),
                 own->name, (long long)text_integer(waiting, "readings"),
                 text_duration(now - oldest, age, sizeof age));
    doctor_advises(doctor, say("连上以后会自动补传；已连上而不减少，则是带宽不够或服务器确认太慢",
                               "they are sent once it is connected; if they do not get fewer then, "
                               "the link is too slow or the broker too late with its answers"));
}

static const json_t *status_of(const struct doctor *doctor, const char *name)
{
    size_t index;
    json_t *uplink;
    json_array_foreach(json_object_get(doctor->status, "uplinks"), index, uplink)
    {
        if (strcmp(text_of(uplink, "name"), name) == 0)
            return uplink;
    }
    return NULL;
}

void doctor_uplinks(struct doctor *doctor)
{
    for (size_t u = 0; u < doctor->settings->uplink_count; u++) {
        const struct settings_uplink *own = &doctor->settings->uplinks[u];
        const json_t *uplink = status_of(doctor, own->name);
        const char *why = json_string_value(json_object_get(uplink, "why"));
        if (!json_is_true(json_object_get(uplink, "connected"))) {
            size_t before = json_array_size(doctor->findings);
            bool known = why && *why && explain(doctor, own, why);
            if (!known && reach(doctor, own) && why && *why &&
                json_array_size(doctor->findings) == before)
                unexplained(doctor, own, why);
        }
        if (json_is_true(json_object_get(uplink, "connected"))) {
            taken_before(doctor, own, uplink);
            reach_spares(doctor, own);
        }
        if (uplink) {
            refusals(doctor, own, uplink);
            backlog(doctor, own, uplink);
        }
    }
}
