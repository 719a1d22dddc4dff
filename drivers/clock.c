/* The wall clock, read with a time_t of 64 bits.
 * Any thread; owns nothing. On a 32-bit board the old time_t ends in January 2038, and the call
 * fails from then on; CMakeLists.txt asks for the wide one, and says where it cannot be had.
 * Never steps, slews or judges a clock. */
#include "drivers/clock.h"

_Static_assert(sizeof(time_t) == sizeof(int64_t), "a wall clock that ends in 2038");

wall_time clock_wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (wall_time){(int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000};
}
