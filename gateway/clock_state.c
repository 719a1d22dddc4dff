/* The kernel's word on the wall clock (adjtimex), remembered over the life of the daemon.
 * Any thread; owns one flag, which only ever goes up. Never sets a clock.
 * chrony, ntpd and systemd-timesyncd all clear STA_UNSYNC when they have a source, and the kernel
 * sets it again when the error estimate has grown for hours without one. They step the clock before
 * they clear it, so that a clock which is SYNCED has made its jump. */
#include "gateway/clock_state.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/timex.h>

enum { DAY_MS = 24 * 3600 * 1000, NEAR_NS = 1000000, TRIES = 10 };

static atomic_bool was_synced;

enum clock_state clock_state_now(bool trusted_rtc)
{
    struct timex timex = {.modes = 0};
    int state = adjtimex(&timex);
    if (state >= 0 && state != TIME_ERROR && !(timex.status & STA_UNSYNC)) {
        atomic_store(&was_synced, true);
        return CLOCK_STATE_SYNCED;
    }
    if (atomic_load(&was_synced))
        return CLOCK_STATE_HOLDOVER;
    return trusted_rtc ? CLOCK_STATE_RTC : CLOCK_STATE_UNSET;
}

bool clock_state_was_set(void)
{
    enum clock_state state = clock_state_now(false);
    return state == CLOCK_STATE_SYNCED || state == CLOCK_STATE_HOLDOVER;
}

void clock_state_remember(void)
{
    atomic_store(&was_synced, true);
}

int64_t clock_state_wall_minus_mono_ms(void)
{
    for (int tries = 1;; tries++) {
        mono_time before = clock_mono();
        wall_time wall = clock_wall();
        /* unless we stood still between the two */
        if (clock_mono().ns - before.ns < NEAR_NS || tries == TRIES)
            return wall.ms - clock_mono_ms(before);
    }
}

bool clock_trust_age(struct clock_trust *trust, wall_time wall, mono_time mono)
{
    int64_t mono_ms = clock_mono_ms(mono), offset_ms = wall.ms - mono_ms;
    int64_t expected_ms = trust->wall_ms + (trust->mono_ms ? mono_ms - trust->mono_ms : 0);
    bool leapt = trust->wall_ms && wall.ms - expected_ms > DAY_MS;
    if (leapt && (!trust->doubted_ms || llabs(offset_ms - trust->doubted_offset_ms) > DAY_MS)) {
        trust->doubted_ms = mono_ms;
        trust->doubted_offset_ms = offset_ms;
    }
    if (leapt && mono_ms - trust->doubted_ms < DAY_MS)
        return false;
    *trust = (struct clock_trust){.wall_ms = wall.ms, .mono_ms = mono_ms};
    return true;
}
