/* Diagnostics of the configuration on a terminal of 80 columns.
 *
 * Prints. Messages are folded between words, indented below their place; a source line
 * and the caret below it are moved together, so that the caret stays in sight. Owns nothing, and
 * leaves the text as it came wherever it fits. */
#include "gateway/ctl/text.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/ctl/width.h"

enum { INDENT = 8, KEEP_LEFT = 40 };

static bool is_caret(const char *line)
{
    size_t blanks = strspn(line, " ");
    return line[blanks] == '^' && line[blanks + strspn(line + blanks, "^~")] == '\0';
}

/* Shows the part around the caret when it stands beyond the last column. */
static void show_source(FILE *out, const char *source, const char *caret)
{
    int at = (int)strspn(caret, " "), skipped = 0;
    size_t from = 0;
    if (at >= TEXT_COLUMNS)
        from = width_fitting(source, at - KEEP_LEFT, &skipped);
    text_cut(out, source + from);
    text_cut(out, caret + skipped);
}

void text_diagnostics(FILE *out, const char *text)
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
            show_source(out, line, next);
            next = after ? after + 1 : NULL;
        } else {
            text_fold(out, line, INDENT);
            if (after)
                *after = '\n';
        }
        line = next;
    }
    free(copy);
}
