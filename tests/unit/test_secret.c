/* Secrets: which file is opened, and whose eyes it is refused for.
 *
 * Real files with real modes; what systemd does is its own: here is only where it says that the
 * files are. */
#include "gateway/uplink/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

static void systemd_hands_over_what_is_in_the_folder(void **state)
{
    (void)state;
    char out[SECRET_PATH_MAX];
    const char *city = SECRET_FOLDER "/city", *elsewhere = "/srv/city";
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_string_equal(secret_path(city, out, sizeof out), city);
    setenv("CREDENTIALS_DIRECTORY", "/run/credentials/lifeline-gateway.service", 1);
    assert_string_equal(secret_path(city, out, sizeof out),
                        "/run/credentials/lifeline-gateway.service/secret_city");
    assert_string_equal(secret_path(elsewhere, out, sizeof out), elsewhere);
    assert_string_equal(secret_path(SECRET_FOLDER "/a/b", out, sizeof out), SECRET_FOLDER "/a/b");
    assert_string_equal(secret_path(city, out, 8), city); /* what does not fit is not cut */
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void a_file_that_others_can_read_is_refused(void **state)
{
    (void)state;
    static const struct {
        mode_t mode;
        bool guarded;
    } cases[] = {{0600, true},  {0400, true},  {0700, true},  {0640, false},
                 {0604, false}, {0610, false}, {0602, false}, {0644, false}};
    char folder[] = "/tmp/lifeline-secret-XXXXXX", path[64], why[300];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/city", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    for (size_t key = 0; key < 2; key++) {
        struct settings_uplink uplinks[2];
        memset(uplinks, 0, sizeof uplinks);
        struct settings settings = {.uplinks = uplinks, .uplink_count = 2};
        if (key)
            uplinks[1].key = path;
        else
            uplinks[1].password_file = path;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            assert_int_equal(chmod(path, cases[i].mode), 0);
            why[0] = '\0';
            assert_int_equal(secret_guarded(&settings, why, sizeof why), cases[i].guarded);
            assert_int_equal(strstr(why, "chmod 600") == NULL, cases[i].guarded);
        }
    }
    assert_int_equal(remove(path), 0);
    struct settings_uplink gone = {.password_file = path};
    struct settings settings = {.uplinks = &gone, .uplink_count = 1};
    assert_true(secret_guarded(&settings, why, sizeof why)); /* the uplink tells, and tries again */
    assert_int_equal(remove(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(systemd_hands_over_what_is_in_the_folder),
        cmocka_unit_test(a_file_that_others_can_read_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
