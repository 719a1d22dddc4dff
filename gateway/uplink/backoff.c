/* Doubling back-off, and the draw from the spread of a whole city.
 * Pure; each uplink thread owns its struct. Jitter only ever adds to a pause, so that one gateway
 * never connects more than once a second, whatever happens.
 * Never reads a clock or a random source. */
#include "gateway/uplink/backoff.h"

enum { DOUBLINGS = 6, DOUBLED_MAX_MS = BACKOFF_MAX_MS * 2 / 3, HURRY_SHARE = 2 };

/* from + [0, width), by 32 random bits */
static uint32_t draw(uint32_t from, uint32_t width, uint32_t random)
{
    return from + (uint32_t)((uint64_t)width * random >> 32);
}

static uint32_t doubled(uint32_t failures, uint32_t random)
{
    uint32_t shift = failures < DOUBLINGS ? failures : DOUBLINGS;
    uint32_t pause_ms = (uint32_t)BACKOFF_MIN_MS << shift;
    if (pause_ms > DOUBLED_MAX_MS)
        pause_ms = DOUBLED_MAX_MS;
    return draw(pause_ms, pause_ms / 2, random);
}

static uint32_t spread(uint32_t failures, uint32_t spread_ms, uint32_t random)
{
    if (spread_ms <= BACKOFF_MIN_MS)
        return BACKOFF_MIN_MS;
    return failures == 0 ? draw(BACKOFF_MIN_MS, spread_ms - BACKOFF_MIN_MS, random)
                         : draw(spread_ms / 2, spread_ms, random);
}

uint32_t backoff_next(struct backoff *backoff, enum backoff_cause cause, uint32_t spread_ms,
                      uint64_t random)
{
    uint32_t first = (uint32_t)random, second = (uint32_t)(random >> 32);
    uint32_t own_ms = doubled(backoff->failures, first);
    uint32_t spread_draw_ms = spread(backoff->failures, spread_ms, second);
    backoff->failures++;
    switch (cause) {
    case BACKOFF_LINK:
        return own_ms;
    case BACKOFF_BROKER:
        return own_ms > spread_draw_ms ? own_ms : spread_draw_ms;
    case BACKOFF_TAKEN:
        return draw(BACKOFF_TAKEN_MS, BACKOFF_TAKEN_MS, first);
    }
    return own_ms;
}

uint32_t backoff_hurry(struct backoff *backoff, uint32_t spread_ms, uint64_t random)
{
    uint32_t share_ms = spread_ms / HURRY_SHARE;
    if (backoff->hurries == BACKOFF_HURRIES)
        return 0;
    backoff->hurries++;
    return draw(BACKOFF_MIN_MS, share_ms > BACKOFF_MIN_MS ? share_ms : BACKOFF_MIN_MS / 2,
                (uint32_t)random);
}

uint32_t backoff_step(uint64_t random)
{
    return draw(BACKOFF_MIN_MS, BACKOFF_MIN_MS / 2, (uint32_t)random);
}
