/* Columns as a terminal counts them: what lifelinectl prints, with its stdout caught in a file.
 *
 * Cells, tables, folded lines and diagnostics with what is wide, broken or an order to the
 * terminal; how long, in both languages; levels in their colours where somebody looks. */
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
        cmocka_unit_test(widths_are_columns),        cmocka_unit_test(cells_are_exact),
        cmocka_unit_test(tables_are_aligned),        cmocka_unit_test(wide_tables_give_way),
        cmocka_unit_test(diagnostics_that_fit_stay), cmocka_unit_test(long_diagnostics_are_folded),
        cmocka_unit_test(numbers_read_well),         cmocka_unit_test(values_keep_their_decimals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
