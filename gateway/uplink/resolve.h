/* A broker's name to its addresses, without waiting: getaddrinfo() blocks for as long as the
 * resolver likes, so it runs in a thread of its own, which is left behind when nobody wants its
 * answer any more. An address needs no thread. */
#ifndef LIFELINE_RESOLVE_H
#define LIFELINE_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct resolve;

enum { RESOLVE_ADDRESSES_MAX = 4 };

struct addresses {
    size_t count;
    struct address {
        struct sockaddr_storage socket;
        socklen_t length;
        char text[64]; /* numeric */
    } list[RESOLVE_ADDRESSES_MAX];
};

/* NULL when out of memory or threads. */
struct resolve *resolve_start(const char *host, unsigned int port);

/* For poll(): readable when there is an answer. */
int resolve_fd(const struct resolve *resolve);

/* False: no answer yet. True: `out` holds it, or is empty with the reason in why. */
bool resolve_take(struct resolve *resolve, struct addresses *out, char *why, size_t why_size);

/* Not wanted any more; the thread ends when the resolver lets it. */
void resolve_drop(struct resolve *resolve);

#endif
