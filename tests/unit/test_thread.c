/* How threads begin and wait.
 *
 * A new one is deaf to signals, and the one that starts it hears what it heard before; a wait or a
 * join ends at its deadline, and a join as soon as the thread has ended. Real threads and the real
 * clock: the limits are wide, since the machine may stand still. */
#include "gateway/thread.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void *note_signals(void *context)
{
    sigset_t *blocked = context;
    pthread_sigmask(SIG_SETMASK, NULL, blocked);
    return NULL;
}

static mono_time soon(int64_t ms)
{
    return clock_after_ms(clock_mono(), ms);
}

/* The one mask that this thread had before stays, and no other comes to it. */
static void only_the_new_thread_is_deaf(void **state)
{
    static const int heard[] = {SIGTERM, SIGHUP, SIGINT};
    sigset_t one, here, there;
    pthread_t thread;
    (void)state;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR2);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &one, NULL), 0);
    assert_true(thread_start(&thread, 0, note_signals, &there));
    assert_true(thread_join(thread, soon(5000)));
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &here), 0);
    for (size_t i = 0; i < sizeof heard / sizeof *heard; i++) {
        assert_true(sigismember(&there, heard[i]));
        assert_false(sigismember(&here, heard[i]));
    }
    assert_true(sigismember(&here, SIGUSR2));
}

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    bool open;
};

static void *wait_at(void *context)
{
    struct gate *gate = context;
    pthread_mutex_lock(&gate->mutex);
    while (!gate->open)
        (void)thread_wait(&gate->condition, &gate->mutex, soon(5000));
    pthread_mutex_unlock(&gate->mutex);
    return NULL;
}

static void who_is_busy_is_left_behind_at_the_deadline(void **state)
{
    static struct gate gate = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    pthread_t thread;
    (void)state;
    thread_cond_init(&gate.condition);
    assert_true(thread_start(&thread, 1 << 18, wait_at, &gate));
    mono_time begin = clock_mono();
    assert_false(thread_join(thread, soon(50)));
    assert_in_range(clock_ms_between(begin, clock_mono()), 49, 2000);
    pthread_mutex_lock(&gate.mutex);
    begin = clock_mono();
    assert_false(thread_wait(&gate.condition, &gate.mutex, soon(-1000)));
    assert_false(thread_wait(&gate.condition, &gate.mutex, soon(50)));
    assert_in_range(clock_ms_between(begin, clock_mono()), 49, 2000);
    gate.open = true;
    pthread_cond_signal(&gate.condition);
    pthread_mutex_unlock(&gate.mutex);
    assert_true(thread_join(thread, soon(5000)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_new_thread_is_deaf),
        cmocka_unit_test(who_is_busy_is_left_behind_at_the_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
