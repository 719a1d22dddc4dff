/* The wrong files of tests/replay/wrong and the golden text of what is said about each.
 *
 * NN-*.yaml are configurations, pNN-*.yaml profiles; beside each lies its .txt, compared byte for
 * byte. LIFELINE_GOLDEN=write writes the texts anew: read the difference before it is committed. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "config/settings.h"
#include "drivers/class.h"

static int is_yaml(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 5 && strcmp(entry->d_name + length - 5, ".yaml") == 0;
}

/* Loads one wrong file. Returns what is said about it; the caller frees it. */
static char *judge(const char *name)
{
    static const char *const folders[] = {"profiles"};
    struct settings_sources sources = {
        .profile_dirs = folders, .profile_dir_count = 1, .quantity = class_quantity};
    struct diagnostics *diagnostics = diagnostics_new();
    if (name[0] == 'p')
        assert_null(profile_load(name, class_quantity, diagnostics));
    else
        assert_null(settings_load(name, &sources, diagnostics));
    assert_true(diagnostics_errors(diagnostics) > 0);
    char *text = strdup(diagnostics_text(diagnostics));
    assert_non_null(text);
    diagnostics_free(diagnostics);
    return text;
}

static char *read_text(const char *path)
{
    char *text = calloc(1, 65536);
    FILE *file = fopen(path, "r");
    assert_non_null(text);
    if (file != NULL) {
        assert_true(fread(text, 1, 65535, file) < 65535);
        fclose(file);
    }
    return text;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void wrong_files(void **state)
{
    struct dirent **entries;
    size_t different = 0;
    (void)state;
    assert_int_equal(chdir(TESTS_DIR "/replay/wrong"), 0);
    const char *golden = getenv("LIFELINE_GOLDEN");
    int count = scandir(".", &entries, is_yaml, alphasort);
    assert_true(count >= 20);
    for (int i = 0; i < count; i++) {
        char path[300];
        snprintf(path, sizeof(path), "%.*s.txt", (int)strlen(entries[i]->d_name) - 5,
                 entries[i]->d_name);
        char *said = judge(entries[i]->d_name);
        if (golden != NULL && strcmp(golden, "write") == 0)
            write_text(path, said);
        char *expected = read_text(path);
        if (strcmp(said, expected) != 0) {
            different++;
            print_error("%s: expected\n%sbut it is\n%s", path, expected, said);
        }
        free(expected);
        free(said);
        free(entries[i]);
    }
    free(entries);
    assert_int_equal(different, 0);
}

static void missing_file(void **state)
{
    struct settings_sources sources = {0};
    struct diagnostics *diagnostics = diagnostics_new();
    (void)state;
    assert_null(settings_load("/nonexistent/gateway.yaml", &sources, diagnostics));
    assert_string_equal(diagnostics_text(diagnostics),
                        "/nonexistent/gateway.yaml: error: cannot read the file: No such file or "
                        "directory\n");
    diagnostics_free(diagnostics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files),
        cmocka_unit_test(missing_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
