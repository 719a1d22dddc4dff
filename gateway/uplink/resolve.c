/* One lookup of a name, in a detached thread that nobody waits for.
 * The lookup is owned by two, the thread and who asked; the last of them frees it. A thread that
 * hangs in the resolver (some 30 s, with the timeouts of resolv.conf) holds its stack and nothing
 * else.
 * Never blocks who asked, never keeps an answer for the next question. */
#include "gateway/uplink/resolve.h"

#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STACK = 256 << 10, HOST_MAX = 256 };

struct resolve {
    atomic_int owners;
    int ready_fd;
    char host[HOST_MAX], port[8];
    /* written before ready_fd is */
    int error;
    struct addresses found;
};

void resolve_drop(struct resolve *resolve)
{
    if (!resolve || atomic_fetch_sub(&resolve->owners, 1) > 1)
        return;
    if (resolve->ready_fd >= 0)
        close(resolve->ready_fd);
    free(resolve);
}

static void keep(struct addresses *found, const struct addrinfo *info)
{
    struct address *address = &found->list[found->count];
    if (info->ai_addrlen > sizeof address->socket ||
        getnameinfo(info->ai_addr, info->ai_addrlen, address->text, sizeof address->text, NULL, 0,
                    NI_NUMERICHOST) != 0)
        return;
    memcpy(&address->socket, info->ai_addr, info->ai_addrlen);
    address->length = info->ai_addrlen;
    found->count++;
}

static int look_up(struct resolve *resolve, int flags)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    struct addrinfo *list = NULL;
    int error = getaddrinfo(resolve->host, resolve->port, &hints, &list);
    if (error)
        return error;
    for (const struct addrinfo *at = list; at && resolve->found.count < RESOLVE_ADDRESSES_MAX;
         at = at->ai_next)
        keep(&resolve->found, at);
    freeaddrinfo(list);
    return resolve->found.count ? 0 : EAI_NONAME;
}

static void answer(struct resolve *resolve, int error)
{
    uint64_t one = 1;
    resolve->error = error;
    if (write(resolve->ready_fd, &one, sizeof one) < 0)
        return; /* cannot be: it is written once */
}

static void *run(void *argument)
{
    struct resolve *resolve = argument;
    pthread_setname_np(pthread_self(), "resolve");
    answer(resolve, look_up(resolve, AI_ADDRCONFIG));
    resolve_drop(resolve);
    return NULL;
}

static bool start_thread(struct resolve *resolve)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    atomic_fetch_add(&resolve->owners, 1);
    bool started = pthread_create(&thread, &attributes, run, resolve) == 0;
    pthread_attr_destroy(&attributes);
    if (!started)
        atomic_fetch_sub(&resolve->owners, 1);
    return started;
}

struct resolve *resolve_start(const char *host, unsigned int port)
{
    struct resolve *resolve = calloc(1, sizeof *resolve);
    if (!resolve)
        return NULL;
    atomic_init(&resolve->owners, 1);
    resolve->ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    snprintf(resolve->host, sizeof resolve->host, "%s", host);
    snprintf(resolve->port, sizeof resolve->port, "%u", port);
    if (resolve->ready_fd >= 0 && look_up(resolve, AI_NUMERICHOST) == 0) {
        answer(resolve, 0);
        return resolve;
    }
    if (resolve->ready_fd < 0 || !start_thread(resolve)) {
        resolve_drop(resolve);
        return NULL;
    }
    return resolve;
}

int resolve_fd(const struct resolve *resolve)
{
    return resolve->ready_fd;
}

bool resolve_take(struct resolve *resolve, struct addresses *out, char *why, size_t why_size)
{
    uint64_t count;
    *out = (struct addresses){0};
    if (read(resolve->ready_fd, &count, sizeof count) < 0)
        return false;
    if (resolve->error)
        snprintf(why, why_size, "%s: %s", resolve->host, gai_strerror(resolve->error));
    else
        *out = resolve->found;
    return true;
}
