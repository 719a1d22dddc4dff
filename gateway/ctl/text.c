/* Columns, tables and numbers as people read them.
 *
 * Used by every command of lifelinectl; prints to stdout. Owns nothing but the locale of the
 * process. What comes from the daemon is text of somebody's configuration: a character that no
 * terminal should be sent is shown as a question mark. Never wider than TEXT_COLUMNS. */
#include "gateway/ctl/text.h"

#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { TABLE_COLUMNS_MAX = 12, BETWEEN = 2, NARROWEST = 6 };

void text_begin(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

/* The character at text: its bytes, and in *columns how wide it is, -1 when it cannot be shown. */
static size_t next_character(const char *text, int *columns)
{
    mbstate_t state = {0};
    wchar_t wide;
    size_t bytes = mbrtowc(&wide, text, strlen(text), &state);
    if (bytes == (size_t)-1 || bytes == (size_t)-2 || bytes == 0) {
        *columns = -1;
        return 1;
    }
    *columns = wcwidth(wide);
    return bytes;
}

/* Bytes of the longest beginning that fits the columns; *used is how many it takes. */
static size_t fitting(const char *text, int columns, int *used)
{
    size_t length = 0;
    *used = 0;
    while (text[length]) {
        int width;
        size_t bytes = next_character(text + length, &width);
        width = width < 0 ? 1 : width;
        if (*used + width > columns)
            break;
        *used += width;
        length += bytes;
    }
    return length;
}

int text_width(const char *text)
{
    int used;
    fitting(text, INT32_MAX, &used);
    return used;
}

static void print(const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        int width;
        size_t bytes = next_character(text + i, &width);
        if (width < 0)
            putchar('?');
        else
            fwrite(text + i, 1, bytes, stdout);
        i += bytes;
    }
}

static void pad(int columns)
{
    if (columns > 0)
        printf("%*s", columns, "");
}

void text_cell(const char *text, int columns, bool right)
{
    int used;
    size_t length = fitting(text, columns, &used);
    bool cut = text[length] != '\0';
    if (cut) {
        length = fitting(text, columns - 1, &used);
        used++;
    }
    if (right)
        pad(columns - used);
    print(text, length);
    if (cut)
        fputs("…", stdout);
    if (!right)
        pad(columns - used);
}

void text_line(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    while (length > 0 && text[length - 1] == ' ')
        text[--length] = '\0';
    int width = text_width(text);
    text_cell(text, width < TEXT_COLUMNS ? width : TEXT_COLUMNS, false);
    putchar('\n');
    free(text);
}

static const char *cell_of(const json_t *row, size_t column)
{
    const char *text = json_string_value(json_array_get(row, column));
    return text ? text : "";
}

static void measure(const struct text_column *columns, size_t count, const json_t *rows,
                    int *widths)
{
    size_t index;
    json_t *row;
    int total = (int)(count - 1) * BETWEEN;
    for (size_t c = 0; c < count; c++) {
        widths[c] = text_width(columns[c].head);
        json_array_foreach(rows, index, row)
        {
            int width = text_width(cell_of(row, c));
            widths[c] = width > widths[c] ? width : widths[c];
        }
        total += widths[c];
    }
    for (; total > TEXT_COLUMNS; total--) {
        size_t widest = 0;
        for (size_t c = 1; c < count; c++) {
            if (widths[c] >= widths[widest])
                widest = c;
        }
        if (widths[widest] <= NARROWEST)
            break;
        widths[widest]--;
    }
}

/* The last column that holds something ends the line: no blanks behind it. */
static void print_row(const struct text_column *columns, size_t count, const int *widths,
                      const char *const *cells)
{
    size_t last = count;
    while (last > 1 && cells[last - 1][0] == '\0')
        last--;
    for (size_t c = 0; c < last; c++) {
        int width = text_width(cells[c]);
        bool ends = c + 1 == last && !columns[c].right && width < widths[c];
        text_cell(cells[c], ends ? width : widths[c], columns[c].right);
        pad(c + 1 < last ? BETWEEN : 0);
    }
    putchar('\n');
}

void text_table(const struct text_column *columns, size_t count, const json_t *rows)
{
    int widths[TABLE_COLUMNS_MAX];
    const char *cells[TABLE_COLUMNS_MAX];
    size_t index;
    json_t *row;
    count = count < TABLE_COLUMNS_MAX ? count : TABLE_COLUMNS_MAX;
    measure(columns, count, rows, widths);
    for (size_t c = 0; c < count; c++)
        cells[c] = columns[c].head;
    print_row(columns, count, widths, cells);
    json_array_foreach(rows, index, row)
    {
        for (size_t c = 0; c < count; c++)
            cells[c] = cell_of(row, c);
        print_row(columns, count, widths, cells);
    }
}

const char *text_age(const json_t *ms, char *out, size_t size)
{
    double seconds = (double)json_integer_value(ms) / 1000;
    if (!json_is_integer(ms))
        snprintf(out, size, "-");
    else if (seconds < 9.95)
        snprintf(out, size, "%.1f s", seconds);
    else if (seconds < 120)
        snprintf(out, size, "%.0f s", seconds);
    else if (seconds < 120 * 60)
        snprintf(out, size, "%.0f min", seconds / 60);
    else if (seconds < 48 * 3600)
        snprintf(out, size, "%.0f h", seconds / 3600);
    else
        snprintf(out, size, "%.0f d", seconds / 86400);
    return out;
}

const char *text_bytes(json_int_t bytes, char *out, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double number = (double)bytes;
    size_t unit = 0;
    while (number >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        number /= 1024;
        unit++;
    }
    snprintf(out, size, unit && number < 10 ? "%.1f %s" : "%.0f %s", number, units[unit]);
    return out;
}

const char *text_value(const json_t *reading, char *out, size_t size)
{
    const json_t *value = json_object_get(reading, "value");
    const json_t *decimals = json_object_get(reading, "decimals");
    if (!json_is_number(value))
        snprintf(out, size, "-");
    else if (json_is_integer(decimals))
        snprintf(out, size, "%.*f", (int)json_integer_value(decimals), json_number_value(value));
    else
        snprintf(out, size, "%.7g", json_number_value(value));
    return out;
}

const char *text_unit(const json_t *reading)
{
    const char *unit = text_of(reading, "unit");
    return strcmp(unit, "1") == 0 ? "" : unit;
}

const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "-";
}

json_int_t text_integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}
