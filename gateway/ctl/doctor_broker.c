/* One address of a broker: its name, its port, and behind that its certificate.
 *
 * One thread, which waits: some seconds for a resolver or a broker that does not answer. Says no
 * word of MQTT: a session of ours would take the daemon's over. Owns a socket for one look. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/ctl/doctor.h"

enum { CONNECT_MS = 5000 };

static void no_name(struct doctor *doctor, const struct settings_uplink *uplink,
                    const struct settings_url *url, int error)
{
    doctor_finds(
        doctor, "dns", DOCTOR_FAULT,
        say("上行 %s：域名 %s 解析不了：%s", "uplink %s: the name %s does not resolve: %s"),
        uplink->name, url->host, say_name(gai_strerror(error)));
    doctor_advises(
        doctor, say("核对拼写；看 /etc/resolv.conf 的 DNS 服务器能否 ping 通；SIM 卡专网可能没有 "
                    "DNS，改填 IP 地址",
                    "see its spelling, and whether the server in /etc/resolv.conf can be "
                    "pinged; a private SIM network may have none: put the address there"));
}

static void no_answer(struct doctor *doctor, const struct settings_uplink *uplink,
                      const struct settings_url *url, int error)
{
    bool refused = error == ECONNREFUSED;
    doctor_finds(
        doctor, refused ? "broker_refuses" : "broker_unreachable", DOCTOR_FAULT,
        say("上行 %s：连不上 %s 端口 %u：%s", "uplink %s: no connection to %s port %u: %s"),
        uplink->name, url->host, (unsigned)url->port, say_errno(error));
    if (refused)
        doctor_advises(doctor,
                       say("主机可达而端口没有服务：核对端口（1883，TLS 8883），或请平台启动服务",
                           "the host is there, and nothing listens on that port: is it the right "
                           "one (1883, with TLS 8883), does the broker run"));
    else
        doctor_advises(
            doctor,
            say("查网线、SIM 卡和欠费，ip route 看默认路由；请平台放行本网关的地址和端口 %u",
                "see cable, SIM card and its account, ip route; have the platform's "
                "firewall let this gateway through to port %u"),
            (unsigned)url->port);
}

/* 0, or why not; the socket waits for nothing afterwards either. */
static int try_address(const struct addrinfo *address, int *fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    *fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0)
        return errno;
    if (connect(*fd, address->ai_addr, address->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    struct pollfd wait = {.fd = *fd, .events = POLLOUT};
    if (poll(&wait, 1, CONNECT_MS) <= 0)
        return ETIMEDOUT;
    return getsockopt(*fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

static int connect_any(const struct addrinfo *addresses, int *fd)
{
    int error = EADDRNOTAVAIL;
    for (const struct addrinfo *a = addresses; a; a = a->ai_next) {
        error = try_address(a, fd);
        if (!error)
            return 0;
        if (*fd >= 0)
            close(*fd);
        *fd = -1;
    }
    return error;
}

bool doctor_broker(struct doctor *doctor, const struct settings_uplink *uplink,
                   const struct settings_url *url)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV |
                                               (doctor->dns_is_silent ? AI_NUMERICHOST : 0)};
    struct addrinfo *addresses = NULL;
    char port[8];
    int fd = -1;
    snprintf(port, sizeof port, "%u", (unsigned)url->port);
    int error = getaddrinfo(url->host, port, &hints, &addresses);
    if (doctor->dns_is_silent && error == EAI_NONAME)
        error = EAI_AGAIN;
    doctor->dns_is_silent |= error == EAI_AGAIN;
    if (error) {
        no_name(doctor, uplink, url, error);
        return false;
    }
    error = connect_any(addresses, &fd);
    freeaddrinfo(addresses);
    if (error) {
        no_answer(doctor, uplink, url, error);
        return false;
    }
    bool fine = !url->tls || doctor_tls(doctor, uplink, url, fd);
    close(fd);
    return fine;
}
