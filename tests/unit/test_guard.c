/* guard.c: an assertion in a guarded call is its failure; anywhere else it ends the process.
 *
 * What asserts here stands for a library: it comes to the same function.
 * The ends of the process are those of a child, by SIGABRT.
 * Nothing is mocked, and no library is called. */
#include "gateway/uplink/guard.h"

#include <assert.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static void fails(void *context)
{
    ++*(int *)context;
    assert(context == NULL);
    ++*(int *)context;
}

static void is_fine(void *context)
{
    ++*(int *)context;
}

static void fails_in_our_own_code(void *context)
{
    guard_lift();
    fails(context);
}

static void fails_after_our_own_code(void *context)
{
    guard_lift();
    is_fine(context);
    guard_set();
    fails(context);
}

static void a_failed_assertion_breaks_off_the_call(void **state)
{
    int steps = 0;
    (void)state;
    for (int i = 1; i <= 3; i++) {
        assert_false(guard_run(fails, &steps));
        assert_int_equal(steps, 2 * i - 1);
        assert_true(guard_run(is_fine, &steps));
        assert_int_equal(steps, 2 * i);
    }
    assert_false(guard_run(fails_after_our_own_code, &steps));
    assert_int_equal(steps, 8);
}

static void unguarded(void *context)
{
    guard_set();
    fails(context);
}

static bool guarded_is_broken_off(void *context)
{
    return guard_run(fails_in_our_own_code, context);
}

static void a_child_ends(void (*how)(void *context), bool guarded)
{
    int status = 0, steps = 0;
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(3);
        signal(SIGABRT, SIG_DFL); /* cmocka catches it */
        if (guarded)
            _exit(guarded_is_broken_off(&steps));
        how(&steps);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void any_other_ends_the_process(void **state)
{
    (void)state;
    a_child_ends(unguarded, false);
    a_child_ends(NULL, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_assertion_breaks_off_the_call),
        cmocka_unit_test(any_other_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
