/* A preloaded library that makes one thread of a program stand still: it waits in the next call of
 * fdatasync, poll, ppoll or clock_gettime for as long as the file HANG_FILE holds its name.
 *
 * The main thread's name is that of the program. In clock_gettime() the thread may hold one of our
 * mutexes, in the others it holds none: HANG_FILE may say which, "NAME CALL".
 * Owns nothing; costs a look at a file a call, so it is for tests of behaviour, not of speed. */
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *file;

static void __attribute__((constructor)) begin(void)
{
    file = getenv("HANG_FILE");
}

static int is_named(const char *call)
{
    char text[64] = "", name[16] = "", who[32] = "", where[32] = "";
    int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0 || sscanf(text, "%31s %31s", who, where) < 1)
        return 0;
    pthread_getname_np(pthread_self(), name, sizeof name);
    return strcmp(name, who) == 0 && (!where[0] || strcmp(where, call) == 0);
}

static void hang(const char *call)
{
    static const struct timespec step = {.tv_nsec = 20000000};
    while (is_named(call))
        nanosleep(&step, NULL);
}

#define WRAP(type, name, parameters, arguments)                                                    \
    type name parameters                                                                           \
    {                                                                                              \
        static type(*real) parameters;                                                             \
        if (!real)                                                                                 \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                                             \
        hang(#name);                                                                               \
        return real arguments;                                                                     \
    }

WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))
WRAP(int, ppoll,
     (struct pollfd * fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask),
     (fds, count, timeout, mask))
WRAP(int, clock_gettime, (clockid_t clock, struct timespec *now), (clock, now))
