/* The clock, as the kernel has it: readings carry its time, certificates are judged by it.
 *
 * One thread. Reads the wall clock and the kernel's word on it (adjtimex); owns nothing, never sets
 * a clock. */
#include <stdio.h>
#include <time.h>

#include "gateway/clock_state.h"
#include "gateway/ctl/doctor.h"

/* 2024-01-01: before there was this gateway */
static const int64_t BEGINNING_MS = 1704067200000;

enum doctor_time doctor_clock_judge(int64_t wall_ms, bool synced, bool trusted_rtc)
{
    if (wall_ms < BEGINNING_MS)
        return DOCTOR_TIME_NEVER_SET;
    if (synced)
        return DOCTOR_TIME_FINE;
    return trusted_rtc ? DOCTOR_TIME_RTC : DOCTOR_TIME_UNSYNCED;
}

static void tell(struct doctor *doctor, enum doctor_time judged, const char *date)
{
    if (judged == DOCTOR_TIME_NEVER_SET)
        doctor_finds(doctor, "clock_never_set", DOCTOR_FAULT,
                     say("系统时间是 %s，从未校过", "the clock shows %s: it was never set"), date);
    else if (judged == DOCTOR_TIME_UNSYNCED)
        doctor_finds(doctor, "clock_unsynced", DOCTOR_FAULT,
                     say("时钟没有与时间源同步，读数会先留在网关，开机 10 分钟后才上送（现在 %s）",
                         "the clock is not synchronised: readings are held back until 10 minutes "
                         "after boot (it shows %s)"),
                     date);
    else
        doctor_finds(doctor, "clock_rtc", DOCTOR_WARNING,
                     say("时钟没有与时间源同步，靠硬件时钟走时（现在 %s）",
                         "the clock is not synchronised and runs on its hardware (it shows %s)"),
                     date);
    doctor_advises(
        doctor, say("timedatectl timesync-status 或 chronyc sources 看时间源；装 chrony，填内网的 "
                    "NTP 服务器；放行 UDP 123 端口",
                    "see timedatectl timesync-status or chronyc sources; install chrony with the "
                    "NTP server of this network, and let UDP port 123 through"));
}

void doctor_clock(struct doctor *doctor)
{
    char date[32];
    struct tm utc;
    wall_time wall = clock_wall();
    time_t now = (time_t)(wall.ms / 1000);
    bool known = doctor->settings != NULL; /* else only that it was never set is sure */
    bool trusted = known && doctor->settings->gateway.trusted_rtc;
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", &utc);
    enum doctor_time judged =
        doctor_clock_judge(wall.ms, clock_state_now(false) == CLOCK_STATE_SYNCED, trusted);
    if (judged == DOCTOR_TIME_NEVER_SET || (known && judged != DOCTOR_TIME_FINE))
        tell(doctor, judged, date);
}
