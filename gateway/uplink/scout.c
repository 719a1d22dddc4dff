/* Looks whether somebody takes connections at a broker's address: the lookup, then a connect
 * without waiting to its first address.
 * Runs in its uplink's thread; owns the lookup and the socket.
 * Never says a word: whether it is a broker, and takes us, shows when the uplink moves there. */
#include "gateway/uplink/scout.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/uplink/resolve.h"

struct scout {
    struct resolve *resolve;
    int fd; /* -1 until the name is known */
};

struct scout *scout_start(const struct settings_url *url)
{
    struct scout *scout = calloc(1, sizeof *scout);
    if (!scout)
        return NULL;
    scout->fd = -1;
    scout->resolve = resolve_start(url->host, url->port);
    if (scout->resolve)
        return scout;
    scout_free(scout);
    return NULL;
}

void scout_free(struct scout *scout)
{
    if (!scout)
        return;
    resolve_drop(scout->resolve);
    if (scout->fd >= 0)
        close(scout->fd);
    free(scout);
}

int scout_fd(const struct scout *scout)
{
    return scout->fd >= 0 ? scout->fd : resolve_fd(scout->resolve);
}

short scout_events(const struct scout *scout)
{
    return scout->fd >= 0 ? POLLOUT : POLLIN;
}

static bool set_out(struct scout *scout, const struct address *to)
{
    scout->fd = socket(to->socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return scout->fd >= 0 &&
           (connect(scout->fd, (const struct sockaddr *)&to->socket, to->length) == 0 ||
            errno == EINPROGRESS);
}

static enum scout_answer arrive(const struct scout *scout)
{
    struct pollfd ready = {.fd = scout->fd, .events = POLLOUT};
    int error = 0;
    socklen_t length = sizeof error;
    if (poll(&ready, 1, 0) <= 0)
        return SCOUT_WAITING;
    if (getsockopt(scout->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error)
        return SCOUT_ABSENT;
    return SCOUT_THERE;
}

enum scout_answer scout_look(struct scout *scout)
{
    struct addresses found;
    char why[160];
    if (scout->fd >= 0)
        return arrive(scout);
    if (!resolve_take(scout->resolve, &found, why, sizeof why))
        return SCOUT_WAITING;
    if (!found.count || !set_out(scout, &found.list[0]))
        return SCOUT_ABSENT;
    return SCOUT_WAITING;
}
