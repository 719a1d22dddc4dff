/* Threads as all of them begin here, and pthread waits with our clock's deadlines. A deadline is
 * turned into time left and added to the clock that pthreads knows, because CLOCK_BOOTTIME is not
 * among those it takes. Any thread; owns nothing. Never waits past the deadline by more than the
 * scheduler does. */
#include "gateway/thread.h"

#include <signal.h>

#include "gateway/watchdog.h"

bool thread_start(pthread_t *thread, size_t stack, void *(*run)(void *), void *context)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (stack)
        pthread_attr_setstacksize(&attributes, stack);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(thread, &attributes, run, context) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
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
    struct timespec until;
    int64_t idle_ns = (int64_t)WATCHDOG_IDLE_MS * 1000000;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t left_ns = deadline.ns - clock_mono().ns;
    left_ns = left_ns < 0 ? 0 : left_ns > idle_ns ? idle_ns : left_ns;
    int64_t ns = until.tv_nsec + left_ns;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = (long)(ns % 1000000000);
    bool signalled = pthread_cond_timedwait(condition, mutex, &until) == 0;
    watchdog_beat();
    return signalled;
}

/* In small steps, because ThreadSanitizer does not know pthread_clockjoin_np() and would take the
 * thread for a leak. */
bool thread_join(pthread_t thread, mono_time deadline)
{
    static const struct timespec step = {.tv_nsec = 1000000};
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        if (clock_mono().ns >= deadline.ns)
            return false;
        nanosleep(&step, NULL);
    }
    return true;
}
