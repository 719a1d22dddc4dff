/* LD_PRELOAD: a wall clock, an uptime and the kernel's word on both, as a test wants them.
 *
 *     LD_PRELOAD=fault_clock.so LIFELINE_CLOCK=FILE lifelined …
 *
 * FILE holds six 64-bit numbers, little-endian, that a test may change at any moment, each for
 * itself: wall_ns, added to CLOCK_REALTIME; uptime_ns, added to CLOCK_BOOTTIME and CLOCK_MONOTONIC
 * (it stays while a program runs); sync, what adjtimex() says, 0 the truth, 1 synchronised, 2 not;
 * boot, another number for another boot_id, 0 the true one; slew_ppm, by how much the wall clock
 * runs too fast; slew_ns, since when, as a true CLOCK_MONOTONIC.
 *
 * libfaketime knows neither adjtimex() nor CLOCK_BOOTTIME. Only what lifelined calls is faked: it
 * waits for time spans, and thread_wait() alone for a moment, of a clock that it has just read. */
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

enum { WALL_NS, UPTIME_NS, SYNC, BOOT, SLEW_PPM, SLEW_NS, NUMBERS };
enum { SYNC_TRUE, SYNC_YES, SYNC_NO };

#define SECOND_NS INT64_C(1000000000)

static const int64_t nothing[NUMBERS];
static const volatile int64_t *numbers = nothing;

__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv("LIFELINE_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof nothing, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        fprintf(stderr, "fault_clock: cannot map LIFELINE_CLOCK\n");
        _exit(2);
    }
    close(fd);
    numbers = map;
}

static int64_t true_ns(clockid_t clock)
{
    struct timespec t;
    syscall(SYS_clock_gettime, clock, &t);
    return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

static int64_t added_ns(clockid_t clock)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        break;
    case CLOCK_BOOTTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
        return numbers[UPTIME_NS];
    default:
        return 0;
    }
    int64_t slewed_ns = numbers[SLEW_PPM] ? true_ns(CLOCK_MONOTONIC) - numbers[SLEW_NS] : 0;
    return numbers[WALL_NS] + slewed_ns / 1000000 * numbers[SLEW_PPM];
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, out);
    if (rc != 0)
        return rc;
    int64_t ns = (int64_t)out->tv_sec * SECOND_NS + out->tv_nsec + added_ns(clock);
    out->tv_sec = ns / SECOND_NS;
    out->tv_nsec = ns % SECOND_NS;
    return 0;
}

time_t time(time_t *out)
{
    time_t now = (true_ns(CLOCK_REALTIME) + added_ns(CLOCK_REALTIME)) / SECOND_NS;
    if (out)
        *out = now;
    return now;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    int64_t ns = true_ns(CLOCK_REALTIME) + added_ns(CLOCK_REALTIME);
    (void)zone;
    out->tv_sec = ns / SECOND_NS;
    out->tv_usec = ns % SECOND_NS / 1000;
    return 0;
}

/* thread_wait() has added a time span to the faked clock. */
int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    int64_t ns = (int64_t)until->tv_sec * SECOND_NS + until->tv_nsec - numbers[UPTIME_NS];
    const struct timespec moved = {.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
    return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &moved);
}

int adjtimex(struct timex *timex)
{
    int state = (int)syscall(SYS_adjtimex, timex);
    if (numbers[SYNC] == SYNC_YES) {
        timex->status &= ~STA_UNSYNC;
        return TIME_OK;
    }
    if (numbers[SYNC] == SYNC_NO) {
        timex->status |= STA_UNSYNC;
        return TIME_ERROR;
    }
    return state;
}

static int fake_boot_id(void)
{
    int fd = memfd_create("boot_id", MFD_CLOEXEC);
    if (fd < 0)
        return fd;
    dprintf(fd, "%016llx\n", (unsigned long long)numbers[BOOT]);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (numbers[BOOT] && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0)
        return fake_boot_id();
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
