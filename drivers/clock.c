/* The wall clock, and a wait, with a time_t of 64 bits.
 * Any thread; owns nothing. On a 32-bit board the old time_t ends in January 2038, and the call
 * fails from then on; CMakeLists.txt asks for the wide one, and says where it cannot be had.
 * Never steps, slews or judges a clock. */

/* The ppoll() of a fortified glibc 2.36 takes the narrow time_t also where it was told to take the
 * wide one: every wait would end at once. */
#ifdef _TIME_BITS
#undef _FORTIFY_SOURCE
#endif

#include "drivers/clock.h"

_Static_assert(sizeof(time_t) == sizeof(int64_t), "a wall clock that ends in 2038");

wall_time clock_wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (wall_time){(int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000};
}

int clock_poll(struct pollfd *fds, nfds_t count, mono_time until)
{
    int64_t ns = until.ns - clock_mono().ns;
    ns = ns > 0 ? ns : 0;
    struct timespec left = {.tv_sec = ns / 1000000000, .tv_nsec = (long)(ns % 1000000000)};
    return ppoll(fds, count, &left, NULL);
}
