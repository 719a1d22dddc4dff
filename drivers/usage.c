/* Reads a command line by its table, and says what stands in that.
 *
 * For the main thread, before there are others: getopt's state is global. Owns nothing and prints
 * nothing: what is wrong with an option, getopt says. */
#include "drivers/usage.h"

#include <assert.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { COLUMNS = 80, FORM_COLUMNS = 25 };

int usage_next(const struct usage *usage, int argc, char **argv)
{
    struct option known[USAGE_OPTIONS_MAX + 1] = {0};
    char letters[2 * USAGE_OPTIONS_MAX + 1], *letter = letters;
    assert(usage->count <= USAGE_OPTIONS_MAX);
    for (size_t i = 0; i < usage->count; i++) {
        const struct usage_option *option = &usage->options[i];
        known[i] = (struct option){option->name, option->argument ? required_argument : no_argument,
                                   NULL, option->id};
        if (option->letter)
            *letter++ = option->letter;
        if (option->letter && option->argument)
            *letter++ = ':';
    }
    *letter = '\0';
    int found = getopt_long(argc, argv, letters, known, NULL);
    for (size_t i = 0; i < usage->count; i++) {
        if (usage->options[i].letter && usage->options[i].letter == found)
            return usage->options[i].id;
    }
    return found;
}

__attribute__((format(printf, 2, 3))) static void say(char *out, const char *format, ...)
{
    size_t used = strlen(out);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out + used, USAGE_TEXT_MAX - used, format, arguments);
    va_end(arguments);
}

/* Words, the first of which stands in that column already; further lines begin at `indent`. */
static void fold(char *out, size_t column, size_t indent, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, " ");
        bool begins = column == indent || column == 0;
        if (!begins && column + 1 + length > COLUMNS) {
            say(out, "\n%*s", (int)indent, "");
            column = indent;
            begins = true;
        }
        say(out, "%s%.*s", begins ? "" : " ", (int)length, text);
        column += length + !begins;
        text += length;
        text += strspn(text, " ");
    }
    say(out, "\n");
}

static void say_option(const struct usage_option *option, char *out)
{
    char form[80];
    const char letter[] = {'-', option->letter, ',', '\0'};
    int length =
        snprintf(form, sizeof form, "  %3s --%s%s%s", option->letter ? letter : "", option->name,
                 option->argument ? " " : "", option->argument ? option->argument : "");
    if (length + 2 > FORM_COLUMNS)
        say(out, "%s\n%*s", form, FORM_COLUMNS, "");
    else
        say(out, "%-*s", FORM_COLUMNS, form);
    fold(out, FORM_COLUMNS, FORM_COLUMNS, option->text);
}

void usage_text(const struct usage *usage, char out[USAGE_TEXT_MAX])
{
    out[0] = '\0';
    say(out, "usage: %s %s\n", usage->program, usage->form);
    fold(out, 0, 0, usage->purpose);
    say(out, "\n");
    for (size_t i = 0; i < usage->count; i++)
        say_option(&usage->options[i], out);
}
