/* Calls into a library that asserts where it should return an error. */
#ifndef LIFELINE_GUARD_H
#define LIFELINE_GUARD_H

#include <stdbool.h>

/* Runs call(context). False: an assertion failed in there and the call was broken off; what it
 * worked on may only be thrown away. Assertions anywhere else end the process as ever. Not to be
 * nested. */
bool guard_run(void (*call)(void *context), void *context) __attribute__((warn_unused_result));

/* Around what the library calls back: our own code is not guarded. */
void guard_lift(void);
void guard_set(void);

#endif
