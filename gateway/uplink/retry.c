/* Where to next, and when: the list of brokers (route.h) and the pauses (backoff.h) together.
 * A broker that died without a word looks like our own link until another one is next: a share of
 * `spread` that was not drawn at the loss is drawn then. Pure; each uplink's thread owns its
 * struct.
 * Never touches a connection, never reads a clock or a random source. */
#include "gateway/uplink/retry.h"

void retry_start(struct retry *retry, size_t count)
{
    *retry = (struct retry){.cause = BACKOFF_LINK};
    route_start(&retry->route, count);
}

void retry_steady(struct retry *retry)
{
    retry->backoff = (struct backoff){0};
    retry->cause = BACKOFF_LINK;
    retry->hurried = false;
    route_steady(&retry->route);
}

static uint32_t back_off(struct retry *retry, uint32_t spread_ms, uint64_t random)
{
    enum backoff_cause cause = retry->cause;
    retry->cause = BACKOFF_LINK;
    return backoff_next(&retry->backoff, cause, spread_ms, random);
}

static uint32_t move_on(struct retry *retry, const struct retry_end *end, bool turned_away,
                        uint32_t spread_ms, uint64_t random)
{
    size_t before = retry->route.url;
    bool pause = true, with_city = end->was_up || turned_away;
    if (end->steady)
        route_lost(&retry->route);
    else if (!end->stay)
        pause = route_failed(&retry->route) || retry->cause == BACKOFF_TAKEN ||
                (with_city && retry->cause == BACKOFF_BROKER);
    if (end->was_up)
        retry->owes_share = retry->cause == BACKOFF_LINK;
    if (retry->owes_share && retry->route.url != before) {
        retry->owes_share = false;
        retry->cause = BACKOFF_BROKER;
        pause = with_city = true;
    }
    if (with_city)
        spread_ms = route_spread_ms(&retry->route, spread_ms);
    return pause ? back_off(retry, spread_ms, random) : backoff_step(random);
}

uint32_t retry_after(struct retry *retry, const struct retry_end *end, uint32_t spread_ms,
                     uint64_t random)
{
    if (end->cause > retry->cause)
        retry->cause = end->cause;
    if (end->again)
        return backoff_step(random);
    bool turned_away = retry->hurried && !end->was_up;
    if (turned_away) { /* it is down: that was no matter of what it was sent */
        retry->backoff.hurries = BACKOFF_HURRIES;
        if (retry->cause < BACKOFF_BROKER)
            retry->cause = BACKOFF_BROKER;
    }
    uint32_t pause_ms = end->narrowing ? backoff_hurry(&retry->backoff, spread_ms, random) : 0;
    retry->hurried = pause_ms > 0;
    if (!pause_ms)
        return move_on(retry, end, turned_away, spread_ms, random);
    retry->cause = BACKOFF_LINK; /* it has been waited for */
    return pause_ms;
}
