/* The socket file of the API: whose it is, what is replaced and what is left alone.
 *
 * Real sockets in a folder of their own under /tmp, which goes at the end. The umask is as tight as
 * a careful administrator's, and the daemon's group must be let in all the same. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/api/internal.h"

static char folder[] = "/tmp/lifeline-socket-XXXXXX";
static char path[sizeof folder + 16];
static char why[256];

static int group_setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/api.sock", folder);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    return rmdir(folder);
}

static int remove_file(void **state)
{
    (void)state;
    (void)unlink(path);
    return 0;
}

/* A connection, or -1. */
static int enter(const char *file)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", file);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool can_connect(const char *file)
{
    int fd = enter(file);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void listens_for_owner_and_group(void **state)
{
    struct stat file;
    (void)state;
    mode_t before = umask(077);
    int fd = socket_listen(path, why, sizeof why);
    umask(before);
    assert_true(fd >= 0);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0660);
    assert_true(can_connect(path));
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    close(fd);
}

static void a_dead_daemons_socket_is_replaced(void **state)
{
    (void)state;
    int dead = socket_listen(path, why, sizeof why);
    assert_true(dead >= 0);
    close(dead);
    assert_false(can_connect(path));
    int fd = socket_listen(path, why, sizeof why);
    assert_true(fd >= 0);
    assert_true(can_connect(path));
    close(fd);
}

static void a_living_daemons_socket_is_not(void **state)
{
    (void)state;
    int living = socket_listen(path, why, sizeof why);
    assert_true(living >= 0);
    assert_int_equal(socket_listen(path, why, sizeof why), -1);
    assert_non_null(strstr(why, path));
    assert_true(can_connect(path));
    close(living);
}

/* As many clients wait as may: a connection is refused, but not for want of a daemon. */
static void a_busy_daemons_socket_is_not(void **state)
{
    int clients[1024];
    size_t count = 0;
    (void)state;
    int living = socket_listen(path, why, sizeof why);
    assert_true(living >= 0);
    while (count < sizeof clients / sizeof *clients && (clients[count] = enter(path)) >= 0)
        count++;
    assert_true(count < sizeof clients / sizeof *clients);
    assert_int_equal(socket_listen(path, why, sizeof why), -1);
    while (count > 0)
        close(clients[--count]);
    close(living);
}

static void another_file_is_left_alone(void **state)
{
    struct stat file;
    (void)state;
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "mine", 4), 4);
    close(fd);
    assert_int_equal(socket_listen(path, why, sizeof why), -1);
    assert_int_equal(stat(path, &file), 0);
    assert_true(S_ISREG(file.st_mode) && file.st_size == 4);
}

static void missing_folders_are_made(void **state)
{
    char deep[64], inner[64], outer[64];
    (void)state;
    snprintf(outer, sizeof outer, "%s/a", folder);
    snprintf(inner, sizeof inner, "%s/a/b", folder);
    snprintf(deep, sizeof deep, "%s/a/b/api.sock", folder);
    int fd = socket_listen(deep, why, sizeof why);
    assert_true(fd >= 0);
    assert_true(can_connect(deep));
    close(fd);
    assert_int_equal(unlink(deep) + rmdir(inner) + rmdir(outer), 0);
}

static void what_cannot_be_is_said(void **state)
{
    char long_path[300];
    (void)state;
    memset(long_path, 'x', sizeof long_path);
    long_path[0] = '/';
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(socket_listen(long_path, why, sizeof why), -1);
    assert_non_null(strstr(why, "too long"));
    assert_int_equal(socket_listen("/proc/nix/api.sock", why, sizeof why), -1);
    assert_non_null(strstr(why, "/proc/nix/api.sock: No such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(listens_for_owner_and_group, remove_file),
        cmocka_unit_test_teardown(a_dead_daemons_socket_is_replaced, remove_file),
        cmocka_unit_test_teardown(a_living_daemons_socket_is_not, remove_file),
        cmocka_unit_test_teardown(a_busy_daemons_socket_is_not, remove_file),
        cmocka_unit_test_teardown(another_file_is_left_alone, remove_file),
        cmocka_unit_test(missing_folders_are_made),
        cmocka_unit_test(what_cannot_be_is_said),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
