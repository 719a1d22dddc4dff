/* Diagnostics of the configuration on a terminal of 80 columns.
 *
 * Prints to stdout. Messages are folded between words, indented below their place; a source line
 * and the caret below it are moved together, so that the caret stays in sight. Owns nothing, and
 * leaves the text as it came wherever it fits. */
#include "gateway/ctl/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INDENT = 8, KEEP_LEFT = 40 };

/* Bytes of a beginning that takes at most so many columns. */
static size_t within(const char *text, int columns)
{
    char copy[8];
    size_t length = 0;
    while (text[length]) {
        size_t bytes = 1;
        while (((unsigned char)text[length + bytes] & 0xc0) == 0x80 && bytes < sizeof copy - 1)
            bytes++;
        memcpy(copy, text + length, bytes);
        copy[bytes] = '\0';
        columns -= text_width(copy);
        if (columns < 0)
            break;
        length += bytes;
    }
    return length;
}

static void fold(const char *line)
{
    int indent = 0;
    while (text_width(line) > TEXT_COLUMNS - indent) {
        size_t most = within(line, TEXT_COLUMNS - indent), cut = most;
        while (cut > 0 && line[cut] != ' ')
            cut--;
        size_t next = cut > 0 ? cut + 1 : most;
        text_line("%*s%.*s", indent, "", (int)(cut > 0 ? cut : most), line);
        line += next;
        indent = INDENT;
    }
    text_line("%*s%s", indent, "", line);
}

static bool is_caret(const char *line)
{
    size_t blanks = strspn(line, " ");
    return line[blanks] == '^' && line[blanks + strspn(line + blanks, "^~")] == '\0';
}

/* Shows the part around the caret when it stands beyond the last column. */
static void show_source(const char *source, const char *caret)
{
    int at = (int)strspn(caret, " "), skipped = 0;
    size_t from = 0;
    if (at >= TEXT_COLUMNS) {
        from = within(source, at - KEEP_LEFT);
        char *left = strndup(source, from);
        skipped = left ? text_width(left) : 0;
        free(left);
    }
    text_line("%s", source + from);
    text_line("%s", caret + skipped);
}

void text_diagnostics(const char *text)
{
    char *copy = strdup(text);
    char *line = copy;
    while (line && *line) {
        char *end = strchr(line, '\n');
        char *next = end ? end + 1 : NULL;
        if (end)
            *end = '\0';
        char *after = next ? strchr(next, '\n') : NULL;
        if (after)
            *after = '\0';
        if (next && *line == ' ' && is_caret(next)) {
            show_source(line, next);
            next = after ? after + 1 : NULL;
        } else {
            fold(line);
            if (after)
                *after = '\n';
        }
        line = next;
    }
    free(copy);
}
