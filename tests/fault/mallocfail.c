/* A preloaded library that lets calls of malloc, calloc and realloc fail: MALLOC_FAIL=A-B names the
 * first and the last one, counted from the start of the process over all threads.
 *
 * MALLOC_LOG names a file for what happened: "count N" at a clean end, "fail N FUNCTION+OFFSET" for
 * the first failure, and "signal S" with the calls that led there when the process crashes.
 * Owns a counter; everything else is glibc's. */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

enum { DEPTH = 40 };

static atomic_ulong count;
static unsigned long first, last;
static int out = -1;
static _Thread_local int telling;

/* Whoever asked, seen through the frames of this library. */
static void tell_failure(unsigned long number)
{
    void *frames[DEPTH];
    char head[64];
    telling = 1;
    int length = snprintf(head, sizeof head, "fail %lu\n", number);
    if (write(out, head, (size_t)length) == length)
        backtrace_symbols_fd(frames, backtrace(frames, DEPTH), out);
    telling = 0;
}

static int fails(void)
{
    if (telling || !last)
        return 0;
    unsigned long number = atomic_fetch_add(&count, 1) + 1;
    if (number < first || number > last)
        return 0;
    if (number == first && out >= 0)
        tell_failure(number);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    return fails() ? NULL : __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
    return size && fails() ? NULL : __libc_realloc(old, size);
}

static void on_crash(int number)
{
    void *frames[DEPTH];
    char head[64];
    telling = 1;
    int length = snprintf(head, sizeof head, "signal %d\n", number);
    if (out >= 0 && write(out, head, (size_t)length) == length)
        backtrace_symbols_fd(frames, backtrace(frames, DEPTH), out);
    signal(number, SIG_DFL);
    raise(number);
}

static void __attribute__((constructor)) begin(void)
{
    const char *range = getenv("MALLOC_FAIL"), *log = getenv("MALLOC_LOG");
    static const int signals[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE};
    void *frames[1];
    char *dash = NULL;
    if (log)
        out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    (void)backtrace(frames, 1); /* loads what it needs, which takes memory */
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], on_crash);
    if (!range)
        return;
    first = strtoul(range, &dash, 10);
    last = *dash == '-' ? strtoul(dash + 1, NULL, 10) : first;
}

static void __attribute__((destructor)) end(void)
{
    char line[64];
    int length = snprintf(line, sizeof line, "count %lu\n", atomic_load(&count));
    if (out < 0 || write(out, line, (size_t)length) != length)
        return;
}
