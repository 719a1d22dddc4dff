/* What people read, in Chinese and in English: both stand side by side wherever something is said.
 */
#ifndef LIFELINE_SAY_H
#define LIFELINE_SAY_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/words.h"

/* Call it first: Chinese when the first of LC_ALL, LC_MESSAGES and LANG that says anything is a zh
 * locale, as POSIX orders them; English until then. */
void say_begin(void);

bool say_is_chinese(void);

/* One of the two. The compiler checks both as formats where the result is one; both take the same
 * arguments in the same order. */
const char *say(const char *zh, const char *en) __attribute__((format_arg(1), format_arg(2)));

/* No format: a text with conversions is one of say(). */
const char *say_words(struct words words);

/* What stands in the JSON of the API, as people read it: a name ("timeout", "out_of_range", "gas",
 * "red", "acked") or a refusal ("no such device"); itself in English, and when it is not known. */
const char *say_name(const char *name);

/* Why something failed, which the daemon or a lower floor says in English: a phrase of it and what
 * follows its last ": ", where they are known. */
const char *say_reason(const char *reason, char *out, size_t size);

/* strerror(), the usual ones in Chinese */
const char *say_errno(int number);

/* A line on stderr behind the name of the program, folded into the columns of a terminal. */
void say_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
