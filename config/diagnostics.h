/* What is wrong with a configuration, collected: all errors at once, each at its place.
 *
 *     gateway.yaml:14:9: error: line "rs485-2" does not exist; did you mean "rs485-1"?
 *         line: rs485-2
 *               ^~~~~~~
 *
 * Nothing here prints: the caller asks for the text. */
#ifndef LIFELINE_DIAGNOSTICS_H
#define LIFELINE_DIAGNOSTICS_H

#include <stddef.h>
#include <stdint.h>

/* A place in a file that was loaded; 1-based, line 0 = the file as a whole. */
struct place {
    const char *file; /* owned by the diagnostics that loaded it or by the settings */
    uint32_t line, column;
    uint32_t width; /* characters the caret underlines; 0 = 1 */
};

enum severity { SEVERITY_WARNING, SEVERITY_ERROR };

struct diagnostics;

struct diagnostics *diagnostics_new(void);
void diagnostics_free(struct diagnostics *diagnostics);

/* The text of a file, kept for showing its lines. */
struct source {
    const char *name;
    const char *text; /* NUL after the end */
    size_t length;
    const size_t *line_starts;
    size_t line_count;
};

/* Reads a whole file, at most 4 MiB of UTF-8. NULL when it cannot be used; why is in `diagnostics`.
 */
const struct source *diagnostics_open(struct diagnostics *diagnostics, const char *path);

/* The same for text that is already in memory (copied). */
const struct source *diagnostics_source(struct diagnostics *diagnostics, const char *name,
                                        const char *text, size_t length);

/* The place of a byte of a source, `length` bytes wide. */
struct place diagnostics_place(const struct source *source, size_t offset, size_t length);

/* Adds a message at a place. The source line is looked up in the file's text. After 100 messages
 * the rest is only counted. */
void diagnostics_add(struct diagnostics *diagnostics, enum severity severity, struct place place,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

size_t diagnostics_errors(const struct diagnostics *diagnostics);
size_t diagnostics_warnings(const struct diagnostics *diagnostics);

/* All of it, in the order of the places, as it is shown to a person; owned by diagnostics. "" when
 * there is nothing to say. */
const char *diagnostics_text(struct diagnostics *diagnostics);

#endif
