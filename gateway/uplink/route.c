/* The walk along the list of brokers.
 * Pure; each uplink's thread owns its struct. A broker that takes connections and drops them after
 * seconds is as good as absent: it does not hold the uplink, and is not returned to all the time.
 * Never touches a connection, never reads a clock. */
#include "gateway/uplink/route.h"

void route_start(struct route *route, size_t count)
{
    *route = (struct route){.count = count};
}

void route_absent(struct route *route)
{
    if ((uint32_t)ROUTE_RETURN_MS << route->returns < ROUTE_RETURN_MAX_MS)
        route->returns++;
}

bool route_failed(struct route *route)
{
    if (route->returning)
        route_absent(route);
    route->returning = false;
    route->url = (route->url + 1) % route->count;
    return route->url == 0;
}

void route_steady(struct route *route)
{
    if (route->url == 0)
        route->returns = 0;
    route->returning = false;
}

void route_lost(struct route *route)
{
    route->url = 0;
}

uint32_t route_spread_ms(const struct route *route, uint32_t spread_ms)
{
    return route->count > 1 ? spread_ms / ROUTE_SHARE : spread_ms;
}

uint32_t route_return_ms(const struct route *route)
{
    uint32_t pause_ms = (uint32_t)ROUTE_RETURN_MS << route->returns;
    if (route->url == 0)
        return 0;
    return pause_ms < ROUTE_RETURN_MAX_MS ? pause_ms : ROUTE_RETURN_MAX_MS;
}

void route_return(struct route *route)
{
    route->url = 0;
    route->returning = true;
}
