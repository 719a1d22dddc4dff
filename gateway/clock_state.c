/* The kernel's word on the wall clock (adjtimex), remembered over the life of the daemon.
 * Any thread; owns one flag, which only ever goes up. Never sets a clock.
 * chrony, ntpd and systemd-timesyncd all clear STA_UNSYNC when they have a source, and the kernel
 * sets it again when the error estimate has grown for hours without one. */
#include "gateway/clock_state.h"

#include <stdatomic.h>
#include <sys/timex.h>

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
