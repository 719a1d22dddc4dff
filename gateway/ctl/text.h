/* Aligned text for people: what is counted are columns of a terminal, in which 汉字 take two each.
 */
#ifndef LIFELINE_TEXT_H
#define LIFELINE_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gateway/ctl/say.h"

/* Everything that is printed fits. */
enum { TEXT_COLUMNS = 80 };

/* Writes it into exactly so many columns; what is too long ends in an ellipsis. */
void text_cell(const char *text, int columns, bool right);

/* One line, cut at the last column, without blanks at its end. */
void text_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Likewise, as it stands. */
void text_cut(FILE *out, const char *text);

/* Lines as long as a terminal is wide: folded between words, or between two 汉字 where no mark
 * hangs on, and in the middle of what is too long for a line. What follows the first is indented.
 */
void text_fold(FILE *out, const char *text, int indent);

struct text_column {
    struct words head;
    bool right;
};

/* rows: an array of arrays of strings. Columns are as wide as they need; when that is too much for
 * a line, the widest give way. */
void text_table(const struct text_column *columns, size_t count, const json_t *rows);

/* The same; the first cell of each row is in the colour of that row's alarm level. */
void text_table_levels(const struct text_column *columns, size_t count, const json_t *rows,
                       const uint8_t *levels);

/* Diagnostics of the configuration: messages are folded, and of a long source line the part around
 * its caret is shown. They are English: the floor that finds them knows no language. */
void text_diagnostics(FILE *out, const char *text);

/* How long: "0.5 s", "12 s", "6 min", "3 h", "2 d"; "6 分钟". */
const char *text_duration(int64_t ms, char *out, size_t size);

/* The same of a number of JSON; "-" for a null. */
const char *text_age(const json_t *ms, char *out, size_t size);

/* "57344" as "56 KiB". */
const char *text_bytes(json_int_t bytes, char *out, size_t size);

/* A reading's number with its decimals; "-" when it does not count. */
const char *text_value(const json_t *reading, char *out, size_t size);

/* Its unit; "" for a pure number. */
const char *text_unit(const json_t *reading);

/* A string of an object, "-" when it is missing or null. */
const char *text_of(const json_t *object, const char *key);

/* Such a string that is a name of the API, in the language of people. */
const char *text_name(const json_t *object, const char *key);

/* An integer of an object, 0 likewise. */
json_int_t text_integer(const json_t *object, const char *key);

#endif
