/* Columns of a terminal, character by character.
 *
 * ASCII, 汉字, emoji, combining marks, what is broken and what no terminal should be sent; a cut in
 * the middle of a wide character; random bytes, of which every one is passed over once; and the
 * table against the C library's own for all that both know. */
#include "gateway/ctl/width.h"

#include <limits.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include <cmocka.h>

static void widths_are_columns(void **state)
{
    static const struct {
        const char *text;
        int columns;
    } cases[] = {
        {"", 0},
        {"well-017", 8},
        {"中文", 4},
        {"17 号窨井 °C", 12},
        {"，。（）", 8},
        {"ＡＢ", 4},              /* full width */
        {"ｱｲ", 2},                /* half width */
        {"한글", 4},              /* Korean */
        {"𠀀", 2},                /* beyond the first plane */
        {"m³ ±0.5 × 10 Ω …", 16}, /* ambiguous: one each */
        {"🔥", 2},
        {"🔥a⚡", 5},
        {"❤\xef\xb8\x8f", 1},  /* with a variation selector */
        {"👨\xe2\x80\x8d👩", 4}, /* joined: no wider than both */
        {"e\xcc\x81", 1},      /* é of two */
        {"か\xe3\x82\x99", 2}, /* が of two */
        {"a\xff\x80"
         "b",
         4},             /* a question mark for each byte */
        {"\xe4\xb8", 2}, /* cut off */
        {"\xe4\xb8x", 3},
        {"\xc0\xaf", 2}, /* overlong */
        {"\xe0\x80\xaf", 3},
        {"\xed\xa0\x80", 3},     /* a surrogate */
        {"\xf4\x90\x80\x80", 4}, /* beyond 10FFFF */
        {"\xf8\x88\x80\x80\x80", 5},
        {"a\033[2Jb", 6},    /* ESC is shown as a question mark */
        {"\xc2\x9b", 1},     /* so is its one-byte form, */
        {"\xe2\x80\xae", 1}, /* and what turns the text around */
        {"\t\n\x7f", 3},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (width_of(cases[i].text) != cases[i].columns)
            fail_msg("%zu: \"%s\" takes %d, not %d", i, cases[i].text, width_of(cases[i].text),
                     cases[i].columns);
    }
}

static void nothing_is_cut_in_two(void **state)
{
    static const struct {
        const char *text;
        int columns, bytes, used;
    } cases[] = {
        {"窨井盖", 6, 9, 6}, {"窨井盖", 5, 6, 4},    {"窨井盖", 1, 0, 0},     {"窨井盖", 0, 0, 0},
        {"a窨", 2, 1, 1},    {"abc", 2, 2, 2},       {"e\xcc\x81x", 1, 3, 1}, /* the mark stays */
        {"🔥🔥", 3, 4, 2},     {"\xe4\xb8x", 2, 2, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int used = -1;
        size_t bytes = width_fitting(cases[i].text, cases[i].columns, &used);
        if (bytes != (size_t)cases[i].bytes || used != cases[i].used)
            fail_msg("%zu: %zu bytes, %d columns", i, bytes, used);
    }
}

static void any_bytes_have_an_end(void **state)
{
    const char *given = getenv("LIFELINE_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    for (int trial = 0; trial < 20000; trial++) {
        char text[16];
        size_t length = (size_t)rand() % sizeof text, at = 0;
        int columns = 0;
        for (size_t i = 0; i < length; i++)
            text[i] = (char)(rand() % 4 ? 0x80 + rand() % 0x80 : 1 + rand() % 0x7f);
        text[length] = '\0';
        while (text[at]) {
            int width;
            at += width_next(text + at, &width);
            assert_in_range(width + 1, 0, 3);
            columns += width == WIDTH_REPLACED ? 1 : width;
            assert_true(at <= length);
        }
        assert_int_equal(columns, width_of(text));
        assert_true(columns <= (int)length);
    }
}

/* Where both know a character they agree, but for scripts whose marks are not in our small table.
 */
static void the_table_is_as_the_library_has_it(void **state)
{
    char text[MB_LEN_MAX + 1];
    int wrong = 0;
    (void)state;
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        skip();
    for (wchar_t code = 0xa0; code < 0x40000; code++) {
        mbstate_t begin = {0};
        int columns, wanted = wcwidth(code);
        size_t length = wcrtomb(text, code, &begin);
        if (length == (size_t)-1 || wanted < 0)
            continue;
        text[length] = '\0';
        width_next(text, &columns);
        if ((wanted == 2) != (columns == 2) && wanted != 0 && ++wrong)
            print_message("U+%04X: %d, not %d\n", (unsigned)code, columns, wanted);
    }
    setlocale(LC_CTYPE, "C");
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widths_are_columns),
        cmocka_unit_test(nothing_is_cut_in_two),
        cmocka_unit_test(any_bytes_have_an_end),
        cmocka_unit_test(the_table_is_as_the_library_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
