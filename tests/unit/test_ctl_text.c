/* Columns as a terminal counts them: what lifelinectl prints, with its stdout caught in a file.
 *
 * Cells, tables, folded lines and diagnostics with what is wide, broken or an order to the
 * terminal; how long, in both languages; levels in their colours where somebody looks. */
#include <fcntl.h>

#include "gateway/ctl/colour.h"
#include "tests/unit/ctl_shown.h"

static const char *cell(const char *text, int columns, bool right)
{
    shown_catch(STDOUT_FILENO);
    text_cell(text, columns, right);
    return shown_release();
}

static void widths_are_columns(void **state)
{
    (void)state;
    assert_int_equal(width_of(""), 0);
    assert_int_equal(width_of("well-017"), 8);
    assert_int_equal(width_of("窨井"), 4);
    assert_int_equal(width_of("17 号窨井 °C"), 12);
    assert_int_equal(width_of("a\xff\x80"
                              "b"),
                     4); /* no UTF-8: a question mark each */
}

static void cells_are_exact(void **state)
{
    (void)state;
    assert_string_equal(cell("ab", 4, false), "ab  ");
    assert_string_equal(cell("ab", 4, true), "  ab");
    assert_string_equal(cell("窨井", 6, true), "  窨井");
    assert_string_equal(cell("窨井盖", 6, false), "窨井盖");
    assert_string_equal(cell("窨井盖", 5, false), "窨井…");
    assert_string_equal(cell("窨井盖", 4, false), "窨… "); /* half of 井 is not shown */
    assert_string_equal(cell("abcdef", 3, true), "ab…");
    assert_string_equal(cell("x\033[2Jy", 8, false), "x?[2Jy  "); /* no orders to the terminal */
    assert_string_equal(cell("\xe7", 2, false), "? ");
}

static void tables_are_aligned(void **state)
{
    static const struct text_column columns[] = {
        {{"名称", "name"}, false}, {{"数", "n"}, true}, {{"标题", "title"}, false}};
    (void)state;
    json_t *rows = json_pack("[[s, s, s], [s, s, s], [s, s, s]]", "窨井", "7", "井盖", "a", "1234",
                             "", "long-name", "5", "x");
    shown_catch(STDOUT_FILENO);
    text_table(columns, 3, rows);
    assert_string_equal(shown_release(), "name          n  title\n"
                                         "窨井          7  井盖\n"
                                         "a          1234\n"
                                         "long-name     5  x\n");
    json_decref(rows);
}

static void wide_tables_give_way(void **state)
{
    static const struct text_column columns[] = {
        {{"设备", "device"}, false}, {{"线路", "line"}, false}, {{"标题", "title"}, false}};
    char ascii[101], wide[121] = "";
    (void)state;
    memset(ascii, 'x', 100);
    ascii[100] = '\0';
    for (int i = 0; i < 40; i++)
        memcpy(wide + i * 3, "井", 4);
    json_t *rows = json_pack("[[s, s, s], [s, s, s]]", ascii, ascii, wide, "a", "b", "c");
    shown_catch(STDOUT_FILENO);
    text_table(columns, 3, rows);
    text_line("%s%s", ascii, wide);
    const char *text = shown_release();
    shown_fits();
    assert_non_null(strstr(text, "…"));
    json_decref(rows);
}

static void diagnostics_that_fit_stay(void **state)
{
    static const char text[] = "g.yaml:3:5: error: no line \"x\"\n"
                               "    line: x\n"
                               "          ^\n"
                               "g.yaml:4:1: warning: short\n";
    (void)state;
    shown_catch(STDOUT_FILENO);
    text_diagnostics(stdout, text);
    assert_string_equal(shown_release(), text);
}

static void long_diagnostics_are_folded(void **state)
{
    char text[1024], blanks[200];
    (void)state;
    memset(blanks, ' ', sizeof blanks);
    int length =
        snprintf(text, sizeof text,
                 "/a/rather/long/path/gateway.yaml:3:120: error: unit 3 of line \"rs485-1\" "
                 "answers for both \"well-017\" and \"well-018\"\n"
                 "    - { name: 窨井 %*s, unit: 3, profile: nix }\n",
                 100, "");
    const char *at = strstr(text, "nix");
    const char *source = strstr(text, "    - {");
    /* Two characters of 3 bytes and 2 columns stand before the caret. */
    int column = (int)(at - source) - 2;
    snprintf(text + length, sizeof text - (size_t)length, "%.*s^~~\nend of it\n", column, blanks);
    shown_catch(STDOUT_FILENO);
    text_diagnostics(stdout, text);
    char *got = (char *)shown_release();
    shown_fits();
    assert_non_null(strstr(got, "end of it\n"));
    /* The caret still stands below what it means. */
    char *caret_line = strstr(got, "^~~");
    while (caret_line[-1] != '\n')
        caret_line--;
    char *source_line = caret_line - 1;
    while (source_line[-1] != '\n')
        source_line--;
    char *nix = strstr(source_line, "nix");
    assert_non_null(nix);
    *nix = '\0';
    assert_int_equal(width_of(source_line), strspn(caret_line, " "));
}

static void numbers_read_well(void **state)
{
    char out[64];
    (void)state;
    json_t *ms = json_integer(500);
    assert_string_equal(text_age(ms, out, sizeof out), "0.5 s");
    json_integer_set(ms, 59400);
    assert_string_equal(text_age(ms, out, sizeof out), "59 s");
    json_integer_set(ms, 3600 * 1000);
    assert_string_equal(text_age(ms, out, sizeof out), "60 min");
    json_integer_set(ms, INT64_C(10) * 86400 * 1000);
    assert_string_equal(text_age(ms, out, sizeof out), "10 d");
    json_decref(ms);
    assert_string_equal(text_age(NULL, out, sizeof out), "-");
    assert_string_equal(text_bytes(0, out, sizeof out), "0 B");
    assert_string_equal(text_bytes(57344, out, sizeof out), "56 KiB");
    assert_string_equal(text_bytes(1536, out, sizeof out), "1.5 KiB");
    assert_string_equal(text_bytes(268435456, out, sizeof out), "256 MiB");
}

static void how_long_in_both_languages(void **state)
{
    static const struct {
        int64_t ms;
        const char *en, *zh;
    } cases[] = {
        {500, "0.5 s", "0.5 秒"},
        {59400, "59 s", "59 秒"},
        {119499, "119 s", "119 秒"},
        {180000, "3 min", "3 分钟"},
        {7199000, "120 min", "120 分钟"},
        {7200000, "2 h", "2 小时"},
        {INT64_C(4) << 30, "50 d", "50 天"},
    };
    char out[64];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        shown_in("C");
        assert_string_equal(text_duration(cases[i].ms, out, sizeof out), cases[i].en);
        shown_in("zh_CN");
        assert_string_equal(text_duration(cases[i].ms, out, sizeof out), cases[i].zh);
    }
    shown_in("C");
}

static const char *folded(const char *text)
{
    shown_catch(STDOUT_FILENO);
    text_fold(stdout, text, 2);
    shown_release();
    shown_fits();
    return shown;
}

static void lines_are_folded_where_they_may_be(void **state)
{
    char text[400] = "", wanted[400];
    (void)state;
    assert_string_equal(folded(""), "\n");
    assert_string_equal(folded("a b"), "a b\n");
    memset(text, 'x', 70);
    memcpy(text + 70, " words that go on", 18);
    snprintf(wanted, sizeof wanted, "%.70s words\n  that go on\n", text);
    assert_string_equal(folded(text), wanted);
    memset(text, 'x', 170); /* a path without a blank */
    text[170] = '\0';
    snprintf(wanted, sizeof wanted, "%.80s\n  %.78s\n  %.12s\n", text, text, text);
    assert_string_equal(folded(text), wanted);
    text[0] = wanted[0] = '\0';
    for (int i = 0; i < 40; i++)
        memcpy(text + 3 * i, "井", 4);
    memcpy(text + 120, "。完", 7); /* the mark takes its word along */
    snprintf(wanted, sizeof wanted, "%.117s\n  井。完\n", text);
    assert_string_equal(folded(text), wanted);
    memcpy(text + 117, "（完）", 10); /* no line ends in what opens */
    snprintf(wanted, sizeof wanted, "%.117s\n  （完）\n", text);
    assert_string_equal(folded(text), wanted);
}

/* ---- colours ---- */

/* What stands on a terminal after a table whose first cells have levels. */
static const char *on_terminal(const uint8_t *levels, const json_t *rows)
{
    static const struct text_column columns[] = {{{"级别", "level"}, false}, {{"数", "n"}, true}};
    static char seen[4096];
    int master = posix_openpt(O_RDWR | O_NOCTTY), stdout_was = dup(STDOUT_FILENO);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    fflush(stdout);
    dup2(terminal, STDOUT_FILENO);
    text_table_levels(columns, 2, rows, levels);
    fflush(stdout);
    dup2(stdout_was, STDOUT_FILENO);
    ssize_t length = read(master, seen, sizeof seen - 1);
    seen[length > 0 ? length : 0] = '\0';
    close(terminal);
    close(master);
    close(stdout_was);
    return seen;
}

static void levels_have_their_colours(void **state)
{
    static const uint8_t levels[] = {1, 2, 3, 4, 0, 9};
    json_t *rows = json_pack("[[s, s], [s, s], [s, s], [s, s], [s, s], [s, s]]", "一", "1", "二",
                             "2", "三", "3", "四", "4", "", "5", "九", "9");
    static const char plain[] = "level  n\r\n一     1\r\n二     2\r\n三     3\r\n四     4\r\n"
                                "       5\r\n九     9\r\n";
    (void)state;
    shown_in("C");
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    assert_string_equal(on_terminal(levels, rows),
                        "level  n\r\n\033[1;31m一   \033[0m  1\r\n\033[38;5;208m二   \033[0m  2\r\n"
                        "\033[33m三   \033[0m  3\r\n\033[94m四   \033[0m  4\r\n       5\r\n"
                        "九     9\r\n");
    assert_string_equal(on_terminal(NULL, rows), plain);
    setenv("NO_COLOR", "1", 1);
    assert_string_equal(on_terminal(levels, rows), plain);
    setenv("NO_COLOR", "", 1); /* empty is not given */
    assert_non_null(strstr(on_terminal(levels, rows), "\033[1;31m"));
    setenv("TERM", "dumb", 1);
    assert_string_equal(on_terminal(levels, rows), plain);
    setenv("TERM", "xterm", 1);
    shown_catch(STDOUT_FILENO); /* a file */
    colour_level(1);
    puts("x");
    colour_end();
    assert_string_equal(shown_release(), "x\n");
    json_decref(rows);
}

static void values_keep_their_decimals(void **state)
{
    char out[64];
    (void)state;
    json_t *reading = json_pack("{s:f, s:i, s:s}", "value", 1.5, "decimals", 3, "unit", "m");
    assert_string_equal(text_value(reading, out, sizeof out), "1.500");
    assert_string_equal(text_unit(reading), "m");
    json_object_del(reading, "decimals");
    assert_string_equal(text_value(reading, out, sizeof out), "1.5");
    json_object_set_new(reading, "unit", json_string("1"));
    assert_string_equal(text_unit(reading), "");
    json_object_set_new(reading, "value", json_null());
    assert_string_equal(text_value(reading, out, sizeof out), "-");
    json_decref(reading);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widths_are_columns),
        cmocka_unit_test(cells_are_exact),
        cmocka_unit_test(tables_are_aligned),
        cmocka_unit_test(wide_tables_give_way),
        cmocka_unit_test(diagnostics_that_fit_stay),
        cmocka_unit_test(long_diagnostics_are_folded),
        cmocka_unit_test(how_long_in_both_languages),
        cmocka_unit_test(lines_are_folded_where_they_may_be),
        cmocka_unit_test(levels_have_their_colours),
        cmocka_unit_test(numbers_read_well),
        cmocka_unit_test(values_keep_their_decimals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
