/* The window of bytes in flight out of the time that acknowledgements take.
 * Pure; called in its uplink's thread. The window follows the ratio of the time aimed at to the
 * time taken: upwards at most doubled at a time and only while it is used up, downwards at once,
 * but only once a flight, because everything behind a slow message is late for the same reason.
 * A near broker acknowledges at once: there a small window uses the link just as well.
 * Never sends anything and never reads a clock. */
#include "gateway/uplink/pace.h"

void pace_start(struct pace *pace)
{
    *pace = (struct pace){
        .window = PACE_START, .most = PACE_MAX, .aim_ms = PACE_AIM_MS, .shrunk_ms = INT64_MIN};
}

void pace_round_trip(struct pace *pace, int64_t ms)
{
    pace->aim_ms = ms + PACE_QUEUE_MS > PACE_AIM_MS ? ms + PACE_QUEUE_MS : PACE_AIM_MS;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

int64_t pace_parcel(const struct pace *pace)
{
    return clamp(pace->window / (pace->most == PACE_NEAR_MAX ? 4 : 16), PACE_MIN, PACE_MAX);
}

void pace_acknowledged(struct pace *pace, const struct pace_sample *sample)
{
    int64_t took_ms = sample->now_ms > sample->sent_ms ? sample->now_ms - sample->sent_ms : 1;
    int64_t old = pace->window, fitting = old * pace->aim_ms / took_ms;
    if (took_ms <= PACE_NEAR_MS)
        pace->most = PACE_NEAR_MAX;
    if (took_ms <= pace->aim_ms && sample->ahead >= old / 2) {
        pace->window = clamp(fitting, old + sample->bytes / 4, 2 * old);
    } else if (took_ms > pace->aim_ms && sample->sent_ms >= pace->shrunk_ms) {
        pace->window = fitting;
        pace->shrunk_ms = sample->now_ms;
        pace->most = PACE_MAX; /* near perhaps, but no LAN */
    }
    pace->window = clamp(pace->window, PACE_MIN, pace->most);
}
