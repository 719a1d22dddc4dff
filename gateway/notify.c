/* sd_notify without libsystemd, which would cost more memory than the rest of this folder.
 *
 * Main thread. Owns one datagram socket, opened at start.
 * Never waits: a supervisor that does not read must not be what hangs us. */
#include "gateway/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int fd = -1;
static struct sockaddr_un address;
static socklen_t address_length;
static uint32_t watchdog_ms;

/* WATCHDOG_PID names whom WATCHDOG_USEC is meant for; a child would inherit both. */
static uint32_t read_watchdog(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!usec || (pid && strtoimax(pid, NULL, 10) != getpid()))
        return 0;
    uintmax_t ms = strtoumax(usec, NULL, 10) / 1000;
    return ms < INT32_MAX ? (uint32_t)ms : 0;
}

void notify_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length = path ? strlen(path) : 0;
    if (length < 2 || length >= sizeof address.sun_path || !strchr("/@", path[0]))
        return;
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path, length + 1);
    address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* abstract: the name ends with its length, not with a zero */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    watchdog_ms = fd >= 0 ? read_watchdog() : 0;
}

void notify_close(void)
{
    if (fd >= 0)
        close(fd);
    fd = -1;
    watchdog_ms = 0;
}

void notify_send(const char *format, ...)
{
    char text[256];
    va_list arguments;
    if (fd < 0)
        return;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    size_t size = (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    if (sendto(fd, text, size, MSG_NOSIGNAL, (const struct sockaddr *)&address, address_length) < 0)
        return; /* nobody there; the next one may find him */
}

uint32_t notify_watchdog_ms(void)
{
    return watchdog_ms;
}
