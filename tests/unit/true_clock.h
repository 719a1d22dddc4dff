/* The kernel's clock, for a test whose own clock_gettime() stands before the library's: past it,
 * and with a time_t of 64 bits on a 32-bit machine too. */
#ifndef LIFELINE_TRUE_CLOCK_H
#define LIFELINE_TRUE_CLOCK_H

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef SYS_clock_gettime64
#define TRUE_CLOCK SYS_clock_gettime64
#else
#define TRUE_CLOCK SYS_clock_gettime
#endif

static inline int true_clock(clockid_t clock, struct timespec *out)
{
    return (int)syscall(TRUE_CLOCK, clock, out);
}

#endif
