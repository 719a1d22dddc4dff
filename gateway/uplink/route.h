/* Which of an uplink's brokers comes next: the list is in order of preference. Pure.
 *
 * A round begins with the first and tries each once. From a later one the uplink goes back to the
 * first now and then; the longer that keeps failing, the more rarely. */
#ifndef LIFELINE_ROUTE_H
#define LIFELINE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ROUTE_RETURN_MS = 300000, ROUTE_RETURN_MAX_MS = 3600000, ROUTE_SHARE = 4 };

struct route {
    size_t count;
    size_t url;       /* to be used now */
    bool returning;   /* to the first, from a connection that was fine */
    uint32_t returns; /* that failed, in a row */
};

void route_start(struct route *route, size_t count);

/* An attempt failed, or the connection was too short to count: the next broker's turn. True: that
 * was the last of the round, so pause before the next. */
bool route_failed(struct route *route);

/* The connection counts from now on. */
void route_steady(struct route *route);

/* A connection that counted is lost: a new round. */
void route_lost(struct route *route);

/* Over how long a city that has lost its broker comes to the list, the first of it included: a
 * quarter of its `spread` while there is more than one. A short way to the next is worth more than
 * a gentle one back. Not at once: one of them gets all gateways. */
uint32_t route_spread_ms(const struct route *route, uint32_t spread_ms);

/* How long after a connect, or after the last look, to look for the first broker; 0 = this is the
 * first. */
uint32_t route_return_ms(const struct route *route);

/* The first broker did not answer a look: the next look takes longer. */
void route_absent(struct route *route);

/* It did: this connection is left for it. */
void route_return(struct route *route);

#endif
