/* store.lock: who has it is told apart, whatever names the system's headers use for locks.
 *
 * Another process holds it, under the name of the command line or of something else; it ends with
 * its pipe. Files lie under /tmp. */
#include "gateway/store/lock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

struct world {
    char folder[64], path[96], lock[96], why[300];
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    snprintf(world->folder, sizeof world->folder, "/tmp/lifeline-lock-XXXXXX");
    if (!mkdtemp(world->folder))
        return -1;
    snprintf(world->path, sizeof world->path, "%s/store.db", world->folder);
    snprintf(world->lock, sizeof world->lock, "%s/store.lock", world->folder);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    unlink(world->lock);
    rmdir(world->folder);
    free(world);
    return 0;
}

/* What we are told while a process of that name has it. */
static enum lock_result while_held_by(struct world *world, const char *name)
{
    int ready[2], enough[2], fd, status;
    char byte;
    assert_int_equal(pipe(ready) | pipe(enough), 0);
    pid_t child = fork();
    if (child == 0) {
        close(enough[1]);
        prctl(PR_SET_NAME, name);
        bool taken = lock_take(world->path, &fd, world->why, sizeof world->why) == LOCK_TAKEN;
        bool told = write(ready[1], "", 1) == 1 && read(enough[0], &byte, 1) == 0;
        _exit(taken && told ? 0 : 1);
    }
    close(enough[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    enum lock_result result = lock_take(world->path, &fd, world->why, sizeof world->why);
    close(enough[1]);
    close(ready[0]);
    close(ready[1]);
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    return result;
}

static void a_reader_and_another_are_told_apart(void **state)
{
    struct world *world = *state;
    assert_int_equal(while_held_by(world, "lifelinectl"), LOCK_BY_READER);
    assert_non_null(strstr(world->why, "(lifelinectl)"));
    assert_int_equal(while_held_by(world, "lifelined"), LOCK_BY_OTHER);
    assert_non_null(strstr(world->why, "(lifelined)"));
}

static void it_goes_with_its_process(void **state)
{
    struct world *world = *state;
    int fd;
    (void)while_held_by(world, "lifelinectl");
    assert_int_equal(lock_take(world->path, &fd, world->why, sizeof world->why), LOCK_TAKEN);
    close(fd);
}

static void a_folder_that_is_not_there(void **state)
{
    struct world *world = *state;
    int fd;
    assert_int_equal(
        lock_take("/tmp/lifeline-lock-none/store.db", &fd, world->why, sizeof world->why),
        LOCK_FAILED);
    assert_non_null(strstr(world->why, "/tmp/lifeline-lock-none/store.lock"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_reader_and_another_are_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_goes_with_its_process, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_is_not_there, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
