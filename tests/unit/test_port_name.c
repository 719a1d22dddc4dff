/* Names of serial ports that stay the same.
 *
 * Folders of the test's own under /tmp, with links to /dev/null, which is a character device as a
 * port is. */
#include "gateway/ctl/port_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char top[32], ours[48], paths[48];

static void link_to(const char *target, const char *folder, const char *name)
{
    char path[80];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(symlink(target, path), 0);
}

static int make_folders(void **state)
{
    (void)state;
    snprintf(top, sizeof top, "/tmp/lifeline-port-XXXXXX");
    assert_non_null(mkdtemp(top));
    snprintf(ours, sizeof ours, "%s/lifeline", top);
    snprintf(paths, sizeof paths, "%s/by-path", top);
    return 0;
}

static int remove_folders(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", top);
    return system(command);
}

static void the_first_folder_counts_and_the_first_name(void **state)
{
    char out[80], wanted[80];
    const char *const folders[] = {ours, paths, NULL};
    (void)state;
    assert_false(port_name_lasting(folders, "/dev/null", out, sizeof out));
    assert_int_equal(mkdir(paths, 0700), 0);
    link_to("/dev/zero", paths, "a-zero");
    assert_false(port_name_lasting(folders, "/dev/null", out, sizeof out));
    link_to("/dev/null", paths, "b-null");
    assert_true(port_name_lasting(folders, "/dev/null", out, sizeof out));
    snprintf(wanted, sizeof wanted, "%s/b-null", paths);
    assert_string_equal(out, wanted);
    assert_int_equal(mkdir(ours, 0700), 0);
    link_to("nowhere", ours, "rs485-0");
    link_to("/dev/null", ours, "rs485-2");
    link_to("/dev/null", ours, "rs485-1");
    assert_true(port_name_lasting(folders, "/dev/null", out, sizeof out));
    snprintf(wanted, sizeof wanted, "%s/rs485-1", ours);
    assert_string_equal(out, wanted);
    assert_false(port_name_lasting(folders, wanted, out, sizeof out)); /* it lasts as it is */
    assert_false(port_name_lasting(folders, top, out, sizeof out));
    assert_false(port_name_lasting(folders, "/dev/null", out, 20));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_folder_counts_and_the_first_name, make_folders,
                                        remove_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
