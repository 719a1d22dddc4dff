/* How far the wall clock can be believed, as it is marked on every segment. Any thread. */
#ifndef LIFELINE_CLOCK_STATE_H
#define LIFELINE_CLOCK_STATE_H

#include <stdbool.h>

#include "drivers/clock.h"
#include "proto/names.h"

/* Readings of an UNSET clock are held back from the uplinks until the board has been up for so
 * long: see gateway/store/hold.c. */
enum { CLOCK_HOLD_MS = 10 * 60 * 1000 };

/* SYNCED while the kernel says that something disciplines the clock; then HOLDOVER; before the
 * first time RTC where a hardware clock is trusted, else UNSET. */
enum clock_state clock_state_now(bool trusted_rtc);

/* It is SYNCED or HOLDOVER: what it shows now is the time. */
bool clock_state_was_set(void);

/* It was SYNCED earlier in this boot, says who remembers it. */
void clock_state_remember(void);

/* What to add to a mono_ms of this boot to get UTC, by the wall clock as it is now. */
int64_t clock_state_wall_minus_mono_ms(void);

/* Whether readings may be deleted for their age by a clock that says it is synchronised. A time
 * server gone mad is synchronised too, and a leap of years would make every reading too old. So a
 * clock that is more than a day ahead of where it should be is not believed until it has stood
 * there for a day of running: time enough for somebody to see it, and a board that lay in a drawer
 * for months trims a day later. A leap back deletes nothing and is believed at once. Pure; all zero
 * at first, or only wall_ms, of the last time that was believed. */
struct clock_trust {
    int64_t wall_ms, mono_ms;              /* when it was believed last; mono_ms 0 = another boot */
    int64_t doubted_ms, doubted_offset_ms; /* since when (monotonic), and where it stands */
};

bool clock_trust_age(struct clock_trust *trust, wall_time wall, mono_time mono);

#endif
