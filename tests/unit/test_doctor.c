/* What lifelinectl doctor judges without a gateway: the clock, whose rights count, the daemon's
 * counters, its threads and its store's mode.
 *
 * Files of its own under /tmp, no daemon. */
#include "gateway/ctl/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/ctl/text.h"

enum { NOBODY = 65534 };

/* As the name in a certificate may be. */
static void what_is_no_text_is_told(void **state)
{
    struct doctor doctor = {.findings = json_array()};
    (void)state;
    doctor_finds(&doctor, "x", DOCTOR_FAULT, "%s", "caf\xe9 水");
    doctor_advises(&doctor, "%s", "\xe6\xb0");
    const json_t *finding = json_array_get(doctor.findings, 0);
    assert_string_equal(text_of(finding, "what"), "caf? 水");
    assert_string_equal(text_of(finding, "advice"), "??");
    json_decref(doctor.findings);
}

/* What a process has, not what its user would have now. */
static void groups_are_the_process_s(void **state)
{
    struct doctor_user user;
    const gid_t own = 4242;
    int begun[2], end[2];
    char byte = 0;
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(pipe2(begun, O_CLOEXEC) + pipe2(end, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        close(end[1]);
        bool ready = setgroups(1, &own) == 0 && write(begun[1], "", 1) == 1;
        _exit(ready && read(end[0], &byte, 1) == 0 ? 0 : 1);
    }
    assert_int_equal(read(begun[0], &byte, 1), 1);
    doctor_user_find(&user, child, 0);
    close(end[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(user.group_count, 2);
    assert_int_equal(user.groups[0], getegid());
    assert_int_equal(user.groups[1], own);
    close(begun[0]);
    close(begun[1]);
    close(end[0]);
}

static void clock_is_judged(void **state)
{
    static const struct {
        int64_t wall_ms;
        bool synced, trusted;
        enum doctor_time wanted;
    } cases[] = {
        {0, false, false, DOCTOR_TIME_NEVER_SET},
        {1000000, true, true, DOCTOR_TIME_NEVER_SET},
        {1704067199999, true, false, DOCTOR_TIME_NEVER_SET},
        {1704067200000, true, false, DOCTOR_TIME_FINE},
        {1795368000000, false, false, DOCTOR_TIME_UNSYNCED},
        {1795368000000, false, true, DOCTOR_TIME_RTC},
        {1795368000000, true, true, DOCTOR_TIME_FINE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(doctor_clock_judge(cases[i].wall_ms, cases[i].synced, cases[i].trusted),
                         cases[i].wanted);
}

/* Owner before group before others, as the kernel does; a folder that cannot be passed hides all.
 */
static void rights_are_judged(void **state)
{
    static const struct {
        uid_t uid;
        gid_t gid;
        mode_t file, folder;
        int want, denied;
    } cases[] = {
        {0, 0, 0000, 0000, R_OK, 0},
        {8, 7, 0600, 0755, R_OK | W_OK, 0},
        {8, 7, 0466, 0755, R_OK | W_OK, EACCES},
        {7, 7, 0600, 0755, R_OK, EACCES},
        {7, 7, 0604, 0755, R_OK, 0},
        {7, 0, 0640, 0755, R_OK, 0},
        {7, 0, 0640, 0755, R_OK | W_OK, EACCES},
        {7, 0, 0604, 0755, R_OK, EACCES},
        {7, 7, 0604, 0700, R_OK, EACCES},
    };
    char folder[] = "/tmp/lifeline-doctor-XXXXXX", path[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fclose(file);
    if (geteuid() == 0)
        assert_int_equal(chown(path, 8, 0), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct doctor_user user = {
            .uid = cases[i].uid, .groups = {cases[i].gid}, .group_count = 1};
        assert_int_equal(chmod(path, cases[i].file), 0);
        assert_int_equal(chmod(folder, cases[i].folder), 0);
        if (geteuid() == 0)
            assert_int_equal(doctor_user_denied(&user, path, cases[i].want), cases[i].denied);
    }
    if (geteuid() == 0) { /* the folder's mode is 0700 now */
        struct ctl ctl = {.config = path};
        struct doctor doctor = {.ctl = &ctl, .findings = json_array()};
        assert_int_equal(setresuid(NOBODY, NOBODY, 0), 0);
        assert_int_equal(doctor_user_denied(&doctor.user, path, R_OK), DOCTOR_NOT_KNOWN);
        assert_int_equal(doctor_user_denied(&(struct doctor_user){.uid = NOBODY}, path, R_OK),
                         EACCES);
        doctor_configuration(&doctor);
        assert_int_equal(setresuid(0, 0, 0), 0);
        assert_int_equal(doctor.passed_over_count, 1);
        assert_string_equal(doctor.passed_over, path);
        assert_int_equal(json_array_size(doctor.findings), 0);
        json_decref(doctor.findings);
    }
    unlink(path);
    assert_int_equal(doctor_user_denied(&(struct doctor_user){.uid = 0}, path, R_OK), ENOENT);
    rmdir(folder);
}

/* The ids of what was found, in their order; then it is forgotten. */
static void expect(struct doctor *doctor, const char *wanted)
{
    char ids[200] = "", *end = ids;
    size_t index;
    json_t *finding;
    json_array_foreach(doctor->findings, index, finding) end +=
        snprintf(end, sizeof ids - (size_t)(end - ids), " %s", text_of(finding, "id"));
    assert_string_equal(ids, wanted);
    json_decref(doctor->findings);
}

/* In a /v1/lines of one line. */
static void found(const char *units, enum transport_kind transport, const char *wanted)
{
    struct settings_line line = {
        .name = "l", .transport = transport, .host = "h", .device = "/dev/d"};
    struct settings settings = {.lines = &line, .line_count = 1};
    struct doctor doctor = {.settings = &settings, .findings = json_array()};
    doctor.lines =
        json_pack("{s:[{s:s, s:s, s:i, s:i, s:{}, s:o}]}", "lines", "name", "l", "place", "p",
                  "load_percent", 99, "slipping", 1, "counts", "units", json_loads(units, 0, NULL));
    assert_non_null(doctor.lines);
    doctor_lines(&doctor);
    expect(&doctor, wanted);
    json_decref(doctor.lines);
}

#define UNIT(outcome, counts)                                                                      \
    "{\"name\": \"u\", \"unit\": 1, \"outcome\": " outcome ", \"counts\": {" counts "}}"
#define WELL    UNIT("\"ok\"", "\"requests\": 1000, \"good\": 1000")
#define SILENT  UNIT("\"timeout\"", "\"requests\": 1000, \"good\": 900, \"timeout\": 100")
#define GARBLED UNIT("\"ok\"", "\"requests\": 1000, \"good\": 970, \"garbled\": 30")
#define NOISY   UNIT("\"ok\"", "\"requests\": 1000, \"good\": 990, \"garbled\": 10")
#define DEAF    UNIT("\"garbled\"", "\"requests\": 1000, \"garbled\": 500, \"foreign\": 400")
#define NEVER   UNIT("\"timeout\"", "\"requests\": 1000, \"timeout\": 1000")
#define REFUSES UNIT("\"exception\"", "\"requests\": 1000, \"exception\": 1000")
#define GONE    UNIT("\"link\"", "\"requests\": 0")
#define NEW     UNIT("null", "\"requests\": 0")

static void lines_are_judged(void **state)
{
    (void)state;
    found("[" NEW "]", TRANSPORT_RTU, " line_overloaded");
    found("[" WELL "," NOISY "," NEW "]", TRANSPORT_RTU, " line_overloaded");
    found("[" SILENT "]", TRANSPORT_TCP, " line_silent line_overloaded");
    found("[" SILENT "," SILENT "," NEW "]", TRANSPORT_TCP, " line_silent line_overloaded");
    found("[" SILENT "," WELL "]", TRANSPORT_RTU, " unit_silent line_overloaded");
    found("[" GARBLED "," WELL "]", TRANSPORT_RTU, " unit_garbled line_overloaded");
    found("[" GARBLED "," GARBLED "]", TRANSPORT_RTU, " line_garbled line_overloaded");
    found("[" GARBLED "]", TRANSPORT_RTU, " line_garbled line_overloaded");
    found("[" DEAF "," DEAF "]", TRANSPORT_RTU, " line_unreadable line_overloaded");
    found("[" GONE "]", TRANSPORT_TCP, " line_no_link");
    found("[" GONE "]", TRANSPORT_RTU, " line_no_link");
    found("[" REFUSES "]", TRANSPORT_TCP, " unit_refuses line_overloaded");
    found("[" DEAF "," NEVER "]", TRANSPORT_RTU, " line_unreadable line_overloaded");
    found("[" DEAF "," REFUSES "]", TRANSPORT_RTU, " unit_garbled unit_refuses line_overloaded");
}

static void threads_are_judged(void **state)
{
    struct ctl ctl = {.socket = "s"};
    struct doctor doctor = {.ctl = &ctl};
    (void)state;
    doctor.status = json_loads("{\"watchdog\": {\"hanging\": [\"store\", \"city\"]}}", 0, NULL);
    assert_non_null(doctor.status);
    doctor.findings = json_array();
    doctor_daemon(&doctor);
    expect(&doctor, " thread_hangs thread_hangs");
    json_decref(doctor.status);
    doctor.status = NULL;
    doctor.findings = json_array();
    doctor.socket_error = EACCES;
    doctor_daemon(&doctor);
    expect(&doctor, " api_denied");
}

/* The disk is what it is here: only what is said of the mode counts. */
static void modes_are_judged(void **state)
{
    static const struct {
        const char *mode, *wanted;
    } cases[] = {{"disk", ""},
                 {"memory", " store_in_memory"},
                 {"read_only", " store_read_only"},
                 {"full", " store_full"}};
    struct settings settings = {.store = {.path = "/tmp/no-store-of-lifeline.db"}};
    struct doctor doctor = {.settings = &settings};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        doctor.status = json_pack("{s:{s:s}}", "store", "mode", cases[i].mode);
        doctor.findings = json_array();
        doctor_store(&doctor);
        expect(&doctor, cases[i].wanted);
        json_decref(doctor.status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_is_judged),          cmocka_unit_test(rights_are_judged),
        cmocka_unit_test(lines_are_judged),         cmocka_unit_test(threads_are_judged),
        cmocka_unit_test(modes_are_judged),         cmocka_unit_test(what_is_no_text_is_told),
        cmocka_unit_test(groups_are_the_process_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
