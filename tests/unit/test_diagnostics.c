/* The one format in which everything wrong is shown.
 *
 * Order of files and places, the source line, the caret under wide characters and tabs; what is
 * never shown (passwords, escape sequences); files that are no text at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "config/diagnostics.h"

static const struct source *add_source(struct diagnostics *diagnostics, const char *name,
                                       const char *text)
{
    const struct source *source = diagnostics_source(diagnostics, name, text, strlen(text));
    assert_non_null(source);
    return source;
}

static struct place place_of(const struct source *source, const char *word)
{
    const char *at = strstr(source->text, word);
    assert_non_null(at);
    return diagnostics_place(source, (size_t)(at - source->text), strlen(word));
}

static void nothing_to_say(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    assert_string_equal(diagnostics_text(diagnostics), "");
    assert_int_equal(diagnostics_errors(diagnostics), 0);
    assert_int_equal(diagnostics_warnings(diagnostics), 0);
    diagnostics_free(diagnostics);
    diagnostics_free(NULL);
}

static void order_of_places(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    const struct source *first = add_source(diagnostics, "a.yaml", "one: two\nthree: four\n");
    const struct source *second = add_source(diagnostics, "b.yaml", "five: six\n");
    diagnostics_add(diagnostics, SEVERITY_WARNING, place_of(second, "six"), "D");
    diagnostics_add(diagnostics, SEVERITY_ERROR, place_of(first, "four"), "C %d", 7);
    diagnostics_add(diagnostics, SEVERITY_ERROR, place_of(first, "one"), "A");
    diagnostics_add(diagnostics, SEVERITY_ERROR, place_of(first, "two"), "B");
    diagnostics_add(diagnostics, SEVERITY_ERROR, (struct place){.file = first->name}, "whole file");
    assert_int_equal(diagnostics_errors(diagnostics), 4);
    assert_int_equal(diagnostics_warnings(diagnostics), 1);
    assert_string_equal(diagnostics_text(diagnostics), "a.yaml: error: whole file\n"
                                                       "a.yaml:1:1: error: A\n"
                                                       "    one: two\n"
                                                       "    ^~~\n"
                                                       "a.yaml:1:6: error: B\n"
                                                       "    one: two\n"
                                                       "         ^~~\n"
                                                       "a.yaml:2:8: error: C 7\n"
                                                       "    three: four\n"
                                                       "           ^~~~\n"
                                                       "b.yaml:1:7: warning: D\n"
                                                       "    five: six\n"
                                                       "          ^~~\n");
    diagnostics_free(diagnostics);
}

/* A Chinese character is one column and two cells. */
static void wide_characters(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    const struct source *source = add_source(diagnostics, "a.yaml", "\t名: 泵站 é x\n");
    diagnostics_add(diagnostics, SEVERITY_ERROR, place_of(source, "泵站"), "a");
    diagnostics_add(diagnostics, SEVERITY_ERROR, place_of(source, "x"), "b");
    assert_string_equal(diagnostics_text(diagnostics), "a.yaml:1:5: error: a\n"
                                                       "    \t名: 泵站 é x\n"
                                                       "    \t    ^~~~\n"
                                                       "a.yaml:1:10: error: b\n"
                                                       "    \t名: 泵站 é x\n"
                                                       "    \t           ^\n");
    diagnostics_free(diagnostics);
}

static void places_at_the_edges(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    const struct source *source = add_source(diagnostics, "a.yaml", "ab\ncd");
    struct place end = diagnostics_place(source, 99, 5);
    assert_int_equal(end.line, 2);
    assert_int_equal(end.column, 3);
    struct place over = diagnostics_place(source, 1, 4); /* stops at the end of its line */
    assert_int_equal(over.line, 1);
    assert_int_equal(over.width, 1);
    diagnostics_add(diagnostics, SEVERITY_ERROR, end, "end");
    diagnostics_add(diagnostics, SEVERITY_ERROR,
                    (struct place){.file = "a.yaml", .line = 9, .column = 1}, "beyond");
    diagnostics_add(diagnostics, SEVERITY_ERROR, (struct place){0}, "nowhere");
    assert_string_equal(diagnostics_text(diagnostics), "a.yaml:2:3: error: end\n"
                                                       "    cd\n"
                                                       "      ^\n"
                                                       "a.yaml:9:1: error: beyond\n"
                                                       "error: nowhere\n");
    diagnostics_free(diagnostics);
}

static void what_is_never_shown(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    const struct source *source =
        add_source(diagnostics, "a.yaml", "password: hunter2\nurl: mqtt://u:hunter2@b\n");
    diagnostics_add(diagnostics, SEVERITY_ERROR, place_of(source, "password"), "a");
    diagnostics_add(diagnostics, SEVERITY_ERROR, place_of(source, "url"), "b \x1b[31m\n%s", "c");
    assert_string_equal(diagnostics_text(diagnostics),
                        "a.yaml:1:1: error: a\na.yaml:2:1: error: b ?[31m?c\n");
    diagnostics_free(diagnostics);
}

static void many_messages(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    for (int i = 0; i < 150; i++)
        diagnostics_add(diagnostics, SEVERITY_ERROR, (struct place){0}, "%d", i);
    const char *text = diagnostics_text(diagnostics);
    assert_int_equal(diagnostics_errors(diagnostics), 150);
    assert_non_null(strstr(text, "error: 99\n... and 50 more\n"));
    diagnostics_free(diagnostics);
}

static void bytes_that_are_no_text(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } bad[] = {{"a: \xff", 4}, {"a: \xc0\x80", 5}, {"a: \xed\xa0\x80", 6}, {"a: \xe6\xb3", 5},
               {"a: \0b", 5},  {"a: \x1b", 4},     {"\xf5\x80\x80\x80", 4}};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct diagnostics *diagnostics = diagnostics_new();
        assert_null(diagnostics_source(diagnostics, "a.yaml", bad[i].bytes, bad[i].length));
        assert_int_equal(diagnostics_errors(diagnostics), 1);
        assert_non_null(strstr(diagnostics_text(diagnostics), "is not UTF-8 text"));
        diagnostics_free(diagnostics);
    }
}

/* As Windows saves a file: a byte order mark, carriage returns. */
static void foreign_line_ends(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    const struct source *source = add_source(diagnostics, "a.yaml",
                                             "\xef\xbb\xbf"
                                             "a: b\r\nc: d\r\n");
    diagnostics_add(diagnostics, SEVERITY_ERROR, place_of(source, "a"), "a");
    diagnostics_add(diagnostics, SEVERITY_ERROR, place_of(source, "d"), "d");
    assert_string_equal(diagnostics_text(diagnostics), "a.yaml:1:1: error: a\n"
                                                       "    a: b\n"
                                                       "    ^\n"
                                                       "a.yaml:2:4: error: d\n"
                                                       "    c: d\n"
                                                       "       ^\n");
    diagnostics_free(diagnostics);
}

static void folders_are_no_files(void **state)
{
    (void)state;
    struct diagnostics *diagnostics = diagnostics_new();
    assert_null(diagnostics_open(diagnostics, TESTS_DIR));
    assert_non_null(strstr(diagnostics_text(diagnostics), "cannot read the file: Is a directory"));
    diagnostics_free(diagnostics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_say),         cmocka_unit_test(order_of_places),
        cmocka_unit_test(wide_characters),        cmocka_unit_test(places_at_the_edges),
        cmocka_unit_test(what_is_never_shown),    cmocka_unit_test(many_messages),
        cmocka_unit_test(bytes_that_are_no_text), cmocka_unit_test(folders_are_no_files),
        cmocka_unit_test(foreign_line_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
