/* Who hangs. Every thread gives a sign of life once a turn; the main thread looks once a second and
 * feeds the supervisor's watchdog only while nobody is overdue.
 *
 * Every thread that runs for as long as the daemon joins (tests/lint sees to it). Not watched: the
 * main thread, since nobody looks when it hangs and the supervisor starves anyway; and the threads
 * that look up one name each, which end by themselves and for whom nobody waits.
 *
 * Time is counted in the main thread's own looks, not read from a clock: a process that was frozen
 * or suspended finds that no time has passed, and nobody overdue. */
#ifndef LIFELINE_WATCHDOG_H
#define LIFELINE_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WATCHDOG_IDLE_MS = 10000,  /* who has nothing to do turns so often; see thread_wait() */
    WATCHDOG_LIMIT_MS = 20000, /* who works gives a sign within this, unless he says otherwise */
};

/* ---- the thread that is watched; for any other all of these do nothing ---- */

/* The calling thread is watched from now until it ends. */
void watchdog_join(uint32_t limit_ms, const char *name, ...) __attribute__((format(printf, 2, 3)));

/* A sign of life. Costs two memory accesses. */
void watchdog_beat(void);

/* The same, and the next one may take so long: before a wait that is not our own. */
void watchdog_allow(uint32_t ms);

/* ---- main thread ---- */

/* How often to look: once a second, more often only for a very impatient supervisor. */
uint32_t watchdog_period_ms(void);

/* One look. Feeds the supervisor when all is well, tells the log who hangs and who runs again. */
void watchdog_look(void);

/* Calls `tell` for each thread that hangs. */
void watchdog_hanging(void (*tell)(void *context, const char *name), void *context);

#endif
