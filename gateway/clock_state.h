/* How far the wall clock can be believed, as it is marked on every segment. Any thread. */
#ifndef LIFELINE_CLOCK_STATE_H
#define LIFELINE_CLOCK_STATE_H

#include <stdbool.h>

#include "proto/names.h"

/* SYNCED while the kernel says that something disciplines the clock; then HOLDOVER; before the
 * first time RTC where a hardware clock is trusted, else UNSET. */
enum clock_state clock_state_now(bool trusted_rtc);

#endif
