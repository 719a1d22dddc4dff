/* Columns, tables and numbers as people read them.
 *
 * Used by every command of lifelinectl; one thread. Prints to stdout. Owns nothing. What comes from
 * the daemon is text of somebody's configuration: a character that no terminal should be sent is
 * shown as a question mark. Never wider than TEXT_COLUMNS. */
#include "gateway/ctl/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/ctl/colour.h"
#include "gateway/ctl/width.h"

enum { TABLE_COLUMNS_MAX = 12, BETWEEN = 2, NARROWEST = 6 };

static void print(FILE *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        int width;
        size_t bytes = width_next(text + i, &width);
        if (width == WIDTH_REPLACED)
            fputc('?', out);
        else
            fwrite(text + i, 1, bytes, out);
        i += bytes;
    }
}

static void pad(FILE *out, int columns)
{
    if (columns > 0)
        fprintf(out, "%*s", columns, "");
}

static void cell(FILE *out, const char *text, int columns, bool right)
{
    int used;
    size_t length = width_fitting(text, columns, &used);
    bool cut = text[length] != '\0';
    if (cut) {
        length = width_fitting(text, columns - 1, &used);
        used++;
    }
    if (right)
        pad(out, columns - used);
    print(out, text, length);
    if (cut)
        fputs("…", out);
    if (!right)
        pad(out, columns - used);
}

void text_cell(const char *text, int columns, bool right)
{
    cell(stdout, text, columns, right);
}

void text_cut(FILE *out, const char *text)
{
    int width = width_of(text);
    cell(out, text, width < TEXT_COLUMNS ? width : TEXT_COLUMNS, false);
    fputc('\n', out);
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
    text_cut(stdout, text);
    free(text);
}

/* True when a line may end before the character at text, behind the one of `before` columns. */
static bool may_break(const char *text, int before)
{
    /* What hangs on to the word before it, and what holds on to the one behind it. */
    static const char *const closing[] = {"，", "。", "；", "：", "、",
                                          "）", "”",  "！", "？", "》"};
    static const char *const opening[] = {"（", "“", "《"};
    int width;
    width_next(text, &width);
    if (width == 0 || (width != 2 && before != 2))
        return false;
    for (size_t i = 0; i < sizeof closing / sizeof *closing; i++) {
        if (strncmp(text, closing[i], strlen(closing[i])) == 0)
            return false;
    }
    for (size_t i = 0; i < sizeof opening / sizeof *opening; i++) {
        size_t length = strlen(opening[i]);
        if (before == 2 && strncmp(text - length, opening[i], length) == 0)
            return false;
    }
    return true;
}

/* Bytes of a line that is to be shorter than its text; the last blank or break that fits, else as
 * much as there is room for. */
static size_t line_of(const char *text, int columns)
{
    int used, width = 1;
    size_t most = width_fitting(text, columns, &used), cut = 0;
    for (size_t at = 0; at <= most;) {
        if (at > 0 && (text[at] == ' ' || may_break(text + at, width)))
            cut = at;
        at += width_next(text + at, &width);
    }
    return cut ? cut : most;
}

void text_fold(FILE *out, const char *text, int indent)
{
    for (int before = 0; *text || !before; before = indent) {
        bool fits = width_of(text) <= TEXT_COLUMNS - before;
        size_t length = fits ? strlen(text) : line_of(text, TEXT_COLUMNS - before);
        fprintf(out, "%*s", before, "");
        print(out, text, length);
        fputc('\n', out);
        text += length;
        text += strspn(text, " ");
        if (!*text)
            break;
    }
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
        widths[c] = width_of(say_words(columns[c].head));
        json_array_foreach(rows, index, row)
        {
            int width = width_of(cell_of(row, c));
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
                      const char *const *cells, uint8_t level)
{
    size_t last = count;
    while (last > 1 && cells[last - 1][0] == '\0')
        last--;
    for (size_t c = 0; c < last; c++) {
        int width = width_of(cells[c]);
        bool ends = c + 1 == last && !columns[c].right && width < widths[c];
        if (c == 0)
            colour_level(level);
        text_cell(cells[c], ends ? width : widths[c], columns[c].right);
        colour_end();
        pad(stdout, c + 1 < last ? BETWEEN : 0);
    }
    putchar('\n');
}

void text_table_levels(const struct text_column *columns, size_t count, const json_t *rows,
                       const uint8_t *levels)
{
    int widths[TABLE_COLUMNS_MAX];
    const char *cells[TABLE_COLUMNS_MAX];
    size_t index;
    json_t *row;
    count = count < TABLE_COLUMNS_MAX ? count : TABLE_COLUMNS_MAX;
    measure(columns, count, rows, widths);
    for (size_t c = 0; c < count; c++)
        cells[c] = say_words(columns[c].head);
    print_row(columns, count, widths, cells, 0);
    json_array_foreach(rows, index, row)
    {
        for (size_t c = 0; c < count; c++)
            cells[c] = cell_of(row, c);
        print_row(columns, count, widths, cells, levels ? levels[index] : 0);
    }
}

void text_table(const struct text_column *columns, size_t count, const json_t *rows)
{
    text_table_levels(columns, count, rows, NULL);
}

const char *text_duration(int64_t ms, char *out, size_t size)
{
    double seconds = (double)ms / 1000;
    if (seconds < 9.95)
        snprintf(out, size, say("%.1f 秒", "%.1f s"), seconds);
    else if (seconds < 120)
        snprintf(out, size, say("%.0f 秒", "%.0f s"), seconds);
    else if (seconds < 120 * 60)
        snprintf(out, size, say("%.0f 分钟", "%.0f min"), seconds / 60);
    else if (seconds < 48 * 3600)
        snprintf(out, size, say("%.0f 小时", "%.0f h"), seconds / 3600);
    else
        snprintf(out, size, say("%.0f 天", "%.0f d"), seconds / 86400);
    return out;
}

const char *text_age(const json_t *ms, char *out, size_t size)
{
    if (json_is_integer(ms))
        return text_duration(json_integer_value(ms), out, size);
    snprintf(out, size, "-");
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

const char *text_name(const json_t *object, const char *key)
{
    return say_name(text_of(object, key));
}

json_int_t text_integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}
