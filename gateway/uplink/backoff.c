/* Exponential back-off with jitter.
 * Pure; each uplink thread owns its struct. The jitter takes time away rather than adding it, so
 * that the limit is a limit.
 * Never reads a clock or a random source. */
#include "gateway/uplink/backoff.h"

uint32_t backoff_next(struct backoff *backoff, uint32_t random)
{
    uint32_t shift = backoff->failures < 7 ? backoff->failures : 7;
    uint32_t pause_ms = (uint32_t)BACKOFF_MIN_MS << shift;
    if (pause_ms > BACKOFF_MAX_MS)
        pause_ms = BACKOFF_MAX_MS;
    backoff->failures++;
    uint32_t less = (uint32_t)((uint64_t)(pause_ms / 2) * random >> 32);
    return pause_ms - less < BACKOFF_MIN_MS ? BACKOFF_MIN_MS : pause_ms - less;
}
