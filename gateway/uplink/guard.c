/* libmosquitto 2.0.11 asserts, and so ends the whole process, when any MQTT 5 packet from the
 * broker carries a property that it does not know: it wants to log that, and has no client at hand
 * to log it for. So the function behind assert() is ours, and jumps out of a guarded call. Any
 * thread; owns one jump target a thread. Never continues after an assertion of our own. */
#include "gateway/uplink/guard.h"

#include <assert.h>
#include <setjmp.h>
#include <stdlib.h>

#include "gateway/log.h"

static _Thread_local jmp_buf out;
static _Thread_local bool running, guarded;

/* The C library's, by its name; every library in the process comes here. */
void __assert_fail(const char *assertion, const char *file, unsigned int line, const char *function)
{
    if (guarded)
        longjmp(out, 1);
    log_error("%s:%u: %s: assertion \"%s\" failed", file, line, function ? function : "?",
              assertion);
    abort();
}

bool guard_run(void (*call)(void *context), void *context)
{
    running = guarded = true;
    bool fine = setjmp(out) == 0;
    if (fine)
        call(context);
    running = guarded = false;
    return fine;
}

void guard_lift(void)
{
    guarded = false;
}

void guard_set(void)
{
    guarded = running;
}
