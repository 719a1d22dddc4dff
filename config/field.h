/* Field tables: what a section of a file may hold, as const data.
 *
 * One table gives the parser, the default, the range and the help text of every key:
 *
 *     static const struct field LINE_FIELDS[] = {
 *         {.key = "timeout", .type = &FIELD_DURATION, .fallback = "300ms", .min = "20ms",
 *          .offset = offsetof(struct settings_line, timeout_ms), .max = "60s",
 *          .help = {"等应答的最长时间", "how long an answer may take"}},
 *
 * Defaults and bounds stand there as they would be written in the file. What people are told of the
 * keys (`lifelinectl config --explain`, the manual pages) is read off the same tables. */
#ifndef LIFELINE_FIELD_H
#define LIFELINE_FIELD_H

#include <stdbool.h>

#include "config/arena.h"
#include "config/diagnostics.h"
#include "config/tree.h"
#include "proto/words.h"

struct reader {
    struct arena *arena; /* what is read lives here */
    struct diagnostics *out;
};

struct choice {
    const char *name;
    unsigned int value;
};

struct field;

/* Reads a node into *out; false, after reporting why, when it cannot. */
typedef bool (*field_parser)(const struct reader *reader, const struct field *field,
                             const struct node *node, void *out);

/* What `min` and `max` of a field count. */
enum field_bounds { BOUNDS_VALUE, BOUNDS_BYTES, BOUNDS_CHARACTERS, BOUNDS_DIGITS, BOUNDS_ITEMS };

/* A parser, and what people call that which it reads. */
struct field_type {
    field_parser read;
    struct words name;
    enum field_bounds bounds;
    const char *min, *max;                     /* where the field says nothing */
    const char *(*choice)(unsigned int value); /* 1 to choice_count - 1, beside the field's own */
    unsigned int choice_count;
};

struct section {
    const char *name; /* for messages: "a line", "gateway" */
    const struct field *fields;
    size_t count;
};

struct field {
    const char *key;
    const struct field_type *type;
    size_t offset;
    const char *fallback;          /* NULL: what the zeroed struct holds */
    const char *min, *max;         /* field_text, field_name: lengths */
    const char *characters;        /* field_name: the allowed ones, like "a-z 0-9 _" */
    const struct choice *choices;  /* field_choice; ends with a NULL name */
    const struct section *section; /* field_section: its offsets are those of the same struct */
    const struct section *items;   /* what each item of a list holds, or each value of a map */
    bool required;
    struct words help;
};

/* Reads a map into the struct at `base`: defaults, then what is given. Unknown keys, missing ones
 * and bad values are reported; false if there was any. */
bool field_read(const struct reader *reader, const struct section *section, const struct node *node,
                void *base);

/* The types, and what `out` is for each. */
extern const struct field_type FIELD_TEXT, FIELD_NAME, /* char * */
    FIELD_BOOL,                                        /* bool */
    FIELD_U8, FIELD_U16,                               /* uint8_t, uint16_t */
    FIELD_NUMBER,                                      /* double */
    FIELD_DURATION, FIELD_LONG_DURATION,               /* ms: uint32_t, uint64_t */
    FIELD_SIZE, FIELD_LONG_SIZE,                       /* uint32_t, uint64_t */
    FIELD_SERIAL,                                      /* struct serial */
    FIELD_CHOICE, FIELD_SECTOR,                        /* unsigned int */
    FIELD_SECTION,                                     /* the same struct */
    FIELD_LIST;                                        /* nothing, see field_list */

/* The parsers that others are made of. */
bool field_text(const struct reader *, const struct field *, const struct node *, void *out);
bool field_name(const struct reader *, const struct field *, const struct node *, void *out);
bool field_bool(const struct reader *, const struct field *, const struct node *, void *out);
bool field_u16(const struct reader *, const struct field *, const struct node *, void *out);
bool field_number(const struct reader *, const struct field *, const struct node *, void *out);
bool field_choice(const struct reader *, const struct field *, const struct node *, void *out);
bool field_sector(const struct reader *, const struct field *, const struct node *, void *out);

/* True when every character is one of a set like "a-z 0-9 _". */
bool field_allows(const char *set, const char *text, size_t length);

/* A list that is read later, when the rest of the file is known; `min` "1" when it must not be
 * empty. Writes nothing. */
bool field_list(const struct reader *, const struct field *, const struct node *, void *out);

/* Reports `message` (printf) as an error at the value of a node; returns false. */
bool field_error(const struct reader *reader, const struct node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* True when the node is text; reports it as not `what` otherwise. */
bool field_is_text(const struct reader *reader, const struct node *node, const char *what);

#endif
