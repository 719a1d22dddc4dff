/* The window of bytes in flight out of the time that acknowledgements take.
 * Pure; called in its uplink's thread. Each sample says what the link carries: if so many bytes
 * took so long, then in the time aimed at it would be so many. The window follows that, at most
 * doubled or halved at a time, and once a flight downwards, because everything behind a slow
 * message is late for the same reason. A window that is not used up says nothing about more. Never
 * sends anything and never reads a clock. */
#include "gateway/uplink/pace.h"

void pace_start(struct pace *pace)
{
    *pace = (struct pace){.window = PACE_START, .aim_ms = PACE_AIM_MS, .shrunk_ms = INT64_MIN};
}

void pace_round_trip(struct pace *pace, int64_t ms)
{
    pace->aim_ms = ms + PACE_QUEUE_MS > PACE_AIM_MS ? ms + PACE_QUEUE_MS : PACE_AIM_MS;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

void pace_acknowledged(struct pace *pace, const struct pace_sample *sample)
{
    int64_t took_ms = sample->now_ms > sample->sent_ms ? sample->now_ms - sample->sent_ms : 1;
    int64_t carried = sample->ahead * pace->aim_ms / took_ms;
    int64_t old = pace->window;
    if (took_ms <= pace->aim_ms && carried > old)
        pace->window = clamp(carried, old, 2 * old);
    else if (took_ms > pace->aim_ms && carried < old && sample->sent_ms >= pace->shrunk_ms) {
        pace->window = clamp(carried, old / 2, old);
        pace->shrunk_ms = sample->now_ms;
    }
    pace->window = clamp(pace->window, PACE_MIN, PACE_MAX);
}
