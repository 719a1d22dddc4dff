/* Log lines for a daemon in the foreground: stderr, one write() a line, so that lines of several
 * threads never mix.
 * Any thread; owns nothing. The <n> prefix is the journal's; on a terminal it is left out.
 * Never allocates and never blocks longer than stderr does. */
#include "gateway/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void write_line(int priority, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void write_line(int priority, const char *format, va_list arguments)
{
    char line[1024];
    int length = 0;
    if (!isatty(STDERR_FILENO))
        length = snprintf(line, sizeof line, "<%d>", priority);
    int n = vsnprintf(line + length, sizeof line - (size_t)length - 1, format, arguments);
    if (n < 0)
        return;
    length += n;
    if (length > (int)sizeof line - 2)
        length = (int)sizeof line - 2;
    for (int i = 0; i < length; i++) {
        if (line[i] == '\n' || line[i] == '\r')
            line[i] = ' ';
    }
    line[length++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)length) < 0)
        return; /* nobody left to tell */
}

#define LOG_AT(name, priority)                                                                     \
    void log_##name(const char *format, ...)                                                       \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, format);                                                               \
        write_line(priority, format, arguments);                                                   \
        va_end(arguments);                                                                         \
    }

LOG_AT(error, 3)
LOG_AT(warning, 4)
LOG_AT(notice, 5)
