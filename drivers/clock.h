/* Two clocks of two types, so that the compiler tells them apart.
 *
 * mono_time runs through suspend and never steps (CLOCK_BOOTTIME): periods, ages, dwell. wall_time
 * is UTC and may step at any moment: it is read once a reply, and only to be told to others. */
#ifndef LIFELINE_CLOCK_H
#define LIFELINE_CLOCK_H

#include <poll.h>
#include <stdint.h>
#include <time.h>

typedef struct {
    int64_t ns;
} mono_time;

typedef struct {
    int64_t ms;
} wall_time;

/* 2020: a wall clock that says less is not set. */
#define CLOCK_WALL_TRUE_MS INT64_C(1577836800000)

static inline mono_time clock_mono(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (mono_time){(int64_t)t.tv_sec * 1000000000 + t.tv_nsec};
}

/* Not inline: it needs the 64-bit time_t, which not every file that includes this can have. */
wall_time clock_wall(void);

/* poll() until then, at once when that is past: as it returns, EINTR included. */
int clock_poll(struct pollfd *fds, nfds_t count, mono_time until);

static inline mono_time clock_after_ms(mono_time t, int64_t ms)
{
    return (mono_time){t.ns + ms * 1000000};
}

static inline mono_time clock_earlier(mono_time a, mono_time b)
{
    return a.ns < b.ns ? a : b;
}

/* Milliseconds from a to b, rounded down; negative when b lies before a. */
static inline int64_t clock_ms_between(mono_time a, mono_time b)
{
    return (b.ns - a.ns) / 1000000;
}

static inline int64_t clock_mono_ms(mono_time t)
{
    return t.ns / 1000000;
}

#endif
