/* The watchdog and what it tells the supervisor.
 *
 * Time is the number of looks, so nothing here waits and no clock is faked. The supervisor is a
 * datagram socket of this program; the thread that hangs is one that is told to do nothing. */
#include "gateway/watchdog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>

#include "gateway/notify.h"

static pthread_barrier_t turn;
static int supervisor = -1;
static char heard[1024], hanging[256];

/* A thread that is watched and does what it is told, one thing a turn. */
static enum order { BEAT, HANG, ALLOW, END } order;

static void *obey(void *name)
{
    watchdog_join(5000, "%s", (const char *)name);
    pthread_barrier_wait(&turn);
    for (;;) {
        pthread_barrier_wait(&turn);
        bool ends = order == END;
        if (order == BEAT)
            watchdog_beat();
        else if (order == ALLOW)
            watchdog_allow(60000);
        pthread_barrier_wait(&turn);
        if (ends)
            return NULL;
    }
}

static void tell(enum order what)
{
    order = what;
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
}

static void look(int seconds)
{
    while (seconds--)
        watchdog_look();
}

static void collect(void *context, const char *name)
{
    (void)context;
    strncat(hanging, name, sizeof hanging - strlen(hanging) - 1);
}

static const char *who_hangs(void)
{
    hanging[0] = '\0';
    watchdog_hanging(collect, NULL);
    return hanging;
}

/* All that came since the last time, one message after the other. */
static const char *hear(void)
{
    size_t at = 0;
    ssize_t length;
    while (at < sizeof heard - 2 &&
           (length = recv(supervisor, heard + at, sizeof heard - at - 2, MSG_DONTWAIT)) > 0) {
        at += (size_t)length;
        heard[at++] = '|';
    }
    heard[at] = '\0';
    return heard;
}

static void listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    memcpy(address.sun_path, name, length);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    else
        (void)unlink(name);
    supervisor = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(supervisor, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
                     0);
    setenv("NOTIFY_SOCKET", name, 1);
}

static int setup(void **state)
{
    static char name[64];
    static pthread_t thread;
    snprintf(name, sizeof name, "@lifeline-test-watchdog-%d", getpid());
    listen_at(name);
    setenv("WATCHDOG_USEC", "30000000", 1);
    unsetenv("WATCHDOG_PID");
    notify_open();
    pthread_barrier_init(&turn, NULL, 2);
    pthread_create(&thread, NULL, obey, "worker");
    pthread_barrier_wait(&turn);
    *state = &thread;
    return 0;
}

static int teardown(void **state)
{
    if (*state) {
        tell(END);
        pthread_join(*(pthread_t *)*state, NULL);
    }
    pthread_barrier_destroy(&turn);
    notify_close();
    close(supervisor);
    return 0;
}

static void feeds_while_all_is_well(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++) {
        look(1);
        tell(BEAT);
    }
    assert_string_equal(hear(), "WATCHDOG=1|WATCHDOG=1|WATCHDOG=1|");
    assert_string_equal(who_hangs(), "");
}

static void feeds_no_more_when_one_hangs(void **state)
{
    (void)state;
    tell(HANG);
    look(5);
    assert_string_equal(who_hangs(), "");
    hear();
    look(60);
    assert_string_equal(who_hangs(), "worker");
    assert_string_equal(hear(), "STATUS=worker hangs|");
    tell(BEAT);
    look(1);
    assert_string_equal(who_hangs(), "");
    assert_string_equal(hear(), "STATUS=worker runs again|WATCHDOG=1|");
}

static void waits_as_long_as_declared(void **state)
{
    (void)state;
    tell(ALLOW);
    look(60);
    assert_string_equal(who_hangs(), "");
    look(1);
    assert_string_equal(who_hangs(), "worker");
}

static void who_has_ended_does_not_hang(void **state)
{
    tell(END);
    pthread_join(*(pthread_t *)*state, NULL);
    *state = NULL;
    look(100);
    assert_string_equal(who_hangs(), "");
}

static void another_process_is_meant(void **state)
{
    (void)state;
    notify_close();
    setenv("WATCHDOG_PID", "1", 1);
    notify_open();
    assert_int_equal(notify_watchdog_ms(), 0);
    look(3);
    assert_string_equal(hear(), "");
    notify_send("READY=1");
    assert_string_equal(hear(), "READY=1|");
}

static void an_impatient_supervisor(void **state)
{
    (void)state;
    notify_close();
    setenv("WATCHDOG_USEC", "900000", 1);
    notify_open();
    assert_int_equal(watchdog_period_ms(), 300);
    look(3);
    assert_string_equal(hear(), "WATCHDOG=1|WATCHDOG=1|WATCHDOG=1|");
    look(14);
    assert_string_equal(who_hangs(), "worker"); /* 5.1 s */
}

static void a_socket_in_the_file_system(void **state)
{
    char path[64];
    (void)state;
    notify_close();
    close(supervisor);
    snprintf(path, sizeof path, "/tmp/lifeline-test-watchdog-%d", getpid());
    listen_at(path);
    notify_open();
    notify_send("STATUS=%d", 7);
    assert_string_equal(hear(), "STATUS=7|");
    (void)unlink(path);
    notify_send("STATUS=nobody listens");
    setenv("NOTIFY_SOCKET", "not a path", 1);
    notify_close();
    notify_open();
    notify_send("STATUS=nowhere");
    assert_int_equal(notify_watchdog_ms(), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(feeds_while_all_is_well),     CASE(feeds_no_more_when_one_hangs),
        CASE(waits_as_long_as_declared),   CASE(who_has_ended_does_not_hang),
        CASE(another_process_is_meant),    CASE(an_impatient_supervisor),
        CASE(a_socket_in_the_file_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
