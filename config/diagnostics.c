/* Collects what is wrong with files and shows it in the one format that deployers see.
 *
 * Used by the thread that loads a configuration. Owns the texts of the files it was asked to open,
 * so that the line and a caret can be shown, and so the names that places point to. Never prints:
 * diagnostics_text() gives the whole to the caller. */
#include "config/diagnostics.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/arena.h"

enum { MESSAGES_MAX = 100, FILE_SIZE_MAX = 4 << 20, SHOWN_LINE_MAX = 400 };

struct message {
    struct message *next;
    enum severity severity;
    struct place place;
    size_t source; /* order of the file among the sources */
    const char *text;
};

struct kept_source {
    struct kept_source *next;
    struct source source;
};

struct diagnostics {
    struct arena *arena;
    struct kept_source *sources, **sources_end;
    struct message *messages; /* ordered by place */
    size_t message_count, errors, warnings;
    char *text;
};

struct diagnostics *diagnostics_new(void)
{
    struct arena *arena = arena_new();
    struct diagnostics *diagnostics = arena_alloc(arena, sizeof(*diagnostics));
    diagnostics->arena = arena;
    diagnostics->sources_end = &diagnostics->sources;
    return diagnostics;
}

void diagnostics_free(struct diagnostics *diagnostics)
{
    if (diagnostics == NULL)
        return;
    free(diagnostics->text);
    arena_free(diagnostics->arena);
}

/* Length of the UTF-8 character at `text`, 0 when there is none; its code point in *out. */
static size_t character(const char *text, size_t left, uint32_t *out)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *byte = (const unsigned char *)text;
    if (left == 0)
        return 0;
    size_t length = byte[0] < 0x80             ? 1
                    : (byte[0] & 0xe0) == 0xc0 ? 2
                    : (byte[0] & 0xf0) == 0xe0 ? 3
                    : (byte[0] & 0xf8) == 0xf0 ? 4
                                               : 0;
    if (length == 0 || length > left)
        return 0;
    uint32_t code = length == 1 ? byte[0] : byte[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((byte[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (byte[i] & 0x3f);
    }
    if (length > 1 && (code < smallest[length] || code > 0x10ffff || (code & ~0x7ffU) == 0xd800))
        return 0;
    *out = code;
    return length;
}

/* Offset of the first byte that no text file should have, or `length`. */
static size_t bad_byte(const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        uint32_t code = 0;
        size_t size = character(text + at, length - at, &code);
        if (size == 0 || code == 0x7f || (code < 0x20 && strchr("\t\n\r", (int)code) == NULL) ||
            code == 0)
            return at;
        at += size;
    }
    return length;
}

static void find_lines(struct diagnostics *diagnostics, struct source *source)
{
    size_t count = 1;
    for (size_t i = 0; i < source->length; i++)
        count += source->text[i] == '\n';
    size_t *starts = arena_array(diagnostics->arena, count, sizeof(*starts));
    source->line_count = 1;
    for (size_t i = 0; i < source->length; i++) {
        if (source->text[i] == '\n')
            starts[source->line_count++] = i + 1;
    }
    source->line_starts = starts;
}

const struct source *diagnostics_source(struct diagnostics *diagnostics, const char *name,
                                        const char *text, size_t length)
{
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3; /* a byte order mark is no part of the first line */
        length -= 3;
    }
    struct kept_source *kept = arena_alloc(diagnostics->arena, sizeof(*kept));
    struct source *source = &kept->source;
    source->name = arena_text(diagnostics->arena, name);
    source->text = arena_copy(diagnostics->arena, text, length);
    source->length = length;
    find_lines(diagnostics, source);
    *diagnostics->sources_end = kept;
    diagnostics->sources_end = &kept->next;

    size_t bad = bad_byte(text, length);
    if (bad == length)
        return source;
    struct place place = diagnostics_place(source, bad, 1);
    diagnostics_add(diagnostics, SEVERITY_ERROR, place,
                    "byte 0x%02x is not UTF-8 text; save the file as UTF-8",
                    (unsigned int)(unsigned char)text[bad]);
    return NULL;
}

/* The whole file, or NULL with errno set; EFBIG when it is no configuration by its size. */
static char *read_whole(const char *path, size_t *length)
{
    char *text = NULL;
    struct stat status;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return NULL;
    if (fstat(fileno(file), &status) == 0 && S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        goto out;
    }
    text = malloc(FILE_SIZE_MAX + 1);
    if (text == NULL)
        goto out;
    *length = fread(text, 1, FILE_SIZE_MAX + 1, file);
    if (ferror(file) || *length > FILE_SIZE_MAX) {
        errno = ferror(file) ? EIO : EFBIG;
        free(text);
        text = NULL;
    }
out:
    fclose(file);
    return text;
}

const struct source *diagnostics_open(struct diagnostics *diagnostics, const char *path)
{
    size_t length = 0;
    char *text = read_whole(path, &length);
    if (text == NULL) {
        const char *reason = strerror(errno);
        const struct source *empty = diagnostics_source(diagnostics, path, "", 0);
        diagnostics_add(diagnostics, SEVERITY_ERROR, (struct place){.file = empty->name},
                        "cannot read the file: %s", reason);
        return NULL;
    }
    const struct source *source = diagnostics_source(diagnostics, path, text, length);
    free(text);
    return source;
}

/* Characters in a stretch of text; a byte that is no UTF-8 counts as one. */
static uint32_t characters(const char *text, size_t length)
{
    uint32_t count = 0;
    for (size_t at = 0; at < length; count++) {
        uint32_t code;
        size_t size = character(text + at, length - at, &code);
        at += size == 0 ? 1 : size;
    }
    return count;
}

struct place diagnostics_place(const struct source *source, size_t offset, size_t length)
{
    if (offset > source->length)
        offset = source->length;
    if (length > source->length - offset)
        length = source->length - offset;
    size_t low = 0, high = source->line_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (source->line_starts[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    size_t start = source->line_starts[low];
    const char *newline = memchr(source->text + offset, '\n', length);
    if (newline != NULL)
        length = (size_t)(newline - (source->text + offset));
    return (struct place){
        .file = source->name,
        .line = (uint32_t)low + 1,
        .column = characters(source->text + start, offset - start) + 1,
        .width = characters(source->text + offset, length),
    };
}

static const struct source *find_source(const struct diagnostics *diagnostics, const char *name,
                                        size_t *order)
{
    size_t index = 0;
    for (const struct kept_source *kept = diagnostics->sources; kept != NULL; kept = kept->next) {
        if (name == kept->source.name || (name != NULL && strcmp(name, kept->source.name) == 0)) {
            *order = index;
            return &kept->source;
        }
        index++;
    }
    *order = index;
    return NULL;
}

static bool comes_after(const struct message *a, const struct message *b)
{
    if (a->source != b->source)
        return a->source > b->source;
    if (a->place.line != b->place.line)
        return a->place.line > b->place.line;
    return a->place.column > b->place.column;
}

void diagnostics_add(struct diagnostics *diagnostics, enum severity severity, struct place place,
                     const char *format, ...)
{
    if (severity == SEVERITY_ERROR)
        diagnostics->errors++;
    else
        diagnostics->warnings++;
    if (diagnostics->message_count == MESSAGES_MAX)
        return;
    diagnostics->message_count++;

    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (length < 0)
        text[0] = '\0';
    /* A value quoted from a file must not reach a terminal as an escape sequence. */
    for (char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    }

    struct message *message = arena_alloc(diagnostics->arena, sizeof(*message));
    message->severity = severity;
    message->place = place;
    message->text = arena_text(diagnostics->arena, text);
    find_source(diagnostics, place.file, &message->source);
    struct message **link = &diagnostics->messages;
    while (*link != NULL && !comes_after(*link, message))
        link = &(*link)->next;
    message->next = *link;
    *link = message;
}

size_t diagnostics_errors(const struct diagnostics *diagnostics)
{
    return diagnostics->errors;
}

size_t diagnostics_warnings(const struct diagnostics *diagnostics)
{
    return diagnostics->warnings;
}

/* Cells of a terminal that a character fills. */
static unsigned int cells(uint32_t code)
{
    bool wide = (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) ||
                (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
                (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60) ||
                (code >= 0xffe0 && code <= 0xffe6) || (code >= 0x1f300 && code <= 0x1faff) ||
                (code >= 0x20000 && code <= 0x3fffd);
    return wide ? 2 : 1;
}

/* Diagnostics end up in logs, where a password that somebody wrote into the file has no place. */
static bool may_hold_secret(const char *line, size_t length)
{
    const char *address = memmem(line, length, "://", 3);
    return memmem(line, length, "password:", 9) != NULL ||
           (address != NULL && memchr(address, '@', length - (size_t)(address - line)) != NULL);
}

/* The line, and below it a caret and tildes under the place. */
static void show_line(FILE *out, const struct source *source, const struct place *place)
{
    if (place->line == 0 || place->line > source->line_count)
        return;
    const char *line = source->text + source->line_starts[place->line - 1];
    size_t length = strcspn(line, "\r\n");
    if (length == 0 || length > SHOWN_LINE_MAX || may_hold_secret(line, length))
        return;

    char marks[2 * SHOWN_LINE_MAX + 2];
    size_t mark_count = 0;
    uint32_t end = place->column + (place->width == 0 ? 1 : place->width);
    uint32_t column = 1;
    fputs("    ", out);
    for (size_t at = 0; at < length; column++) {
        uint32_t code = 0;
        size_t size = character(line + at, length - at, &code);
        bool printable = size > 0 && (code >= 0x20 || code == '\t') && code != 0x7f;
        size = size == 0 ? 1 : size;
        fprintf(out, "%.*s", printable ? (int)size : 1, printable ? line + at : "?");
        at += size;
        if (column >= end)
            continue;
        char mark = column < place->column ? ' ' : column == place->column ? '^' : '~';
        marks[mark_count++] = code == '\t' && mark == ' ' ? '\t' : mark;
        if (printable && cells(code) == 2)
            marks[mark_count++] = mark == '^' ? '~' : mark;
    }
    /* Beyond the last character, where something is missing. */
    if (column <= place->column)
        marks[mark_count++] = '^';
    fprintf(out, "\n    %.*s\n", (int)mark_count, marks);
}

const char *diagnostics_text(struct diagnostics *diagnostics)
{
    size_t size = 0;
    free(diagnostics->text);
    diagnostics->text = NULL;
    FILE *out = open_memstream(&diagnostics->text, &size);
    if (out == NULL)
        return "";
    for (const struct message *message = diagnostics->messages; message != NULL;
         message = message->next) {
        const struct place *place = &message->place;
        size_t order;
        const struct source *source = find_source(diagnostics, place->file, &order);
        if (place->file != NULL)
            fprintf(out, "%s:", place->file);
        if (place->line != 0)
            fprintf(out, "%u:%u:", place->line, place->column);
        fprintf(out, "%s%s: %s\n", place->file != NULL ? " " : "",
                message->severity == SEVERITY_ERROR ? "error" : "warning", message->text);
        if (source != NULL)
            show_line(out, source, place);
    }
    size_t rest = diagnostics->errors + diagnostics->warnings - diagnostics->message_count;
    if (rest > 0)
        fprintf(out, "... and %zu more\n", rest);
    if (fclose(out) != 0 || diagnostics->text == NULL)
        return "";
    return diagnostics->text;
}
