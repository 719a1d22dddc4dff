/* What a command prints: stdout caught in a file, every line measured. Included by tests of
 * gateway/ctl. */
#ifndef LIFELINE_CTL_SHOWN_H
#define LIFELINE_CTL_SHOWN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/ctl/text.h"
#include "gateway/ctl/width.h"

static char shown[65536];
static FILE *shown_caught;
static int shown_terminal, shown_descriptor;

/* STDOUT_FILENO or STDERR_FILENO */
static inline void shown_catch(int descriptor)
{
    fflush(stdout);
    fflush(stderr);
    shown_caught = tmpfile();
    assert_non_null(shown_caught);
    shown_descriptor = descriptor;
    shown_terminal = dup(descriptor);
    dup2(fileno(shown_caught), descriptor);
}

/* In shown[], too. */
static inline const char *shown_release(void)
{
    fflush(stdout);
    fflush(stderr);
    dup2(shown_terminal, shown_descriptor);
    close(shown_terminal);
    rewind(shown_caught);
    size_t length = fread(shown, 1, sizeof shown - 1, shown_caught);
    shown[length] = '\0';
    fclose(shown_caught);
    return shown;
}

static inline void shown_fits(void)
{
    for (const char *at = shown; *at; at += strcspn(at, "\n") + (strchr(at, '\n') != NULL)) {
        char line[4096];
        snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
        if (width_of(line) > TEXT_COLUMNS)
            fail_msg("%d columns: %s", width_of(line), line);
    }
}

static inline void shown_in(const char *locale)
{
    setenv("LC_ALL", locale, 1);
    say_begin();
}

#endif
