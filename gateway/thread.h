/* Starting threads, and waiting with a deadline on the monotonic clock, the same way everywhere. */
#ifndef LIFELINE_THREAD_H
#define LIFELINE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "drivers/clock.h"

/* Starts a thread that hears no signal: the main thread alone does. stack: bytes, 0 = as usual. It
 * has to be joined, and to call watchdog_join(). */
bool thread_start(pthread_t *thread, size_t stack, void *(*run)(void *), void *context)
    __attribute__((warn_unused_result));

/* A condition for thread_wait(). */
void thread_cond_init(pthread_cond_t *condition);

/* Waits for a signal; false when the deadline has passed, and after WATCHDOG_IDLE_MS: who waits for
 * long turns once in between, and by that tells the watchdog that he lives. */
bool thread_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, mono_time deadline);

/* False: the thread is still busy at the deadline and is left behind. */
bool thread_join(pthread_t thread, mono_time deadline);

#endif
