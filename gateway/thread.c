/* pthread waits with our clock's deadlines. A deadline is turned into time left and added to the
 * clock that pthreads knows, because CLOCK_BOOTTIME is not among those it takes.
 * Any thread; owns nothing.
 * Never waits past the deadline by more than the scheduler does. */
#include "gateway/thread.h"

static struct timespec on_clock(clockid_t clock, mono_time deadline)
{
    struct timespec until;
    clock_gettime(clock, &until);
    int64_t left_ns = deadline.ns - clock_mono().ns;
    int64_t ns = until.tv_nsec + (left_ns > 0 ? left_ns : 0);
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    return until;
}

void thread_cond_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

bool thread_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, mono_time deadline)
{
    struct timespec until = on_clock(CLOCK_MONOTONIC, deadline);
    return pthread_cond_timedwait(condition, mutex, &until) == 0;
}

bool thread_join(pthread_t thread, mono_time deadline)
{
    struct timespec until = on_clock(CLOCK_MONOTONIC, deadline);
    return pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) == 0;
}
