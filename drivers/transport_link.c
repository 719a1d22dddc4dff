/* Opens, watches and closes what a transport speaks over: a serial port, or a TCP connection.
 *
 * Runs in the line's thread, only transport_link_interrupt in any. Owns the descriptors. libmodbus
 * sets up the serial port; the TCP connect is our own because libmodbus's cannot be interrupted and
 * knows no name resolution, every wait because it restarts its select on a signal and has an fd_set
 * on its stack. Never reopens by itself, never waits longer than the line's timeout (the resolver
 * aside: give addresses, not names). */
#include "drivers/transport_link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

enum {
    KEEPALIVE_IDLE_S = 30,
    KEEPALIVE_INTERVAL_S = 10,
    KEEPALIVE_PROBES = 3,
    UNACKNOWLEDGED_RTU_MS = 5000,
    UNACKNOWLEDGED_MIN_MS = 10000, /* a peer that acknowledges nothing for so long is gone */
    PARTING_MS = 100,              /* a server that has not closed by then is not waited for */
};

bool transport_link_init(struct transport_link *link, const struct settings_line *line)
{
    *link = (struct transport_link){
        .kind = line->transport,
        .port = line->port,
        .serial = line->serial,
        .timeout_ms = line->timeout_ms,
        .close_between = line->close_between_polls,
        .fd = -1,
        .lock_fd = -1,
    };
    link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    link->device = line->device ? strdup(line->device) : NULL;
    link->host = line->host ? strdup(line->host) : NULL;
    return link->wake_fd >= 0 && (link->device || !line->device) && (link->host || !line->host);
}

void transport_link_destroy(struct transport_link *link)
{
    transport_link_close(link);
    if (link->wake_fd >= 0) {
        close(link->wake_fd);
    }
    free(link->device);
    free(link->host);
}

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool transport_link_is_same(const struct transport_link *a, const struct transport_link *b)
{
    return a->kind == b->kind && a->port == b->port && is_same_text(a->device, b->device) &&
           is_same_text(a->host, b->host);
}

void transport_link_close(struct transport_link *link)
{
    if (link->modbus != NULL) {
        if (link->fd >= 0) {
            tcflush(link->fd, TCIOFLUSH); /* or closing waits for a stuck line */
            modbus_close(link->modbus);
        }
        modbus_free(link->modbus);
        link->modbus = NULL;
    } else if (link->fd >= 0) {
        close(link->fd);
    }
    link->fd = -1;
    if (link->lock_fd >= 0) {
        close(link->lock_fd);
    }
    link->lock_fd = -1;
}

static enum link_event wait_for(const struct transport_link *link, int fd, short events,
                                mono_time until)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = fd, .events = events},
                               {.fd = link->wake_fd, .events = POLLIN}};
        int ready = clock_poll(fds, 2, until);
        if (ready < 0 && errno != EINTR) {
            return LINK_EVENT_FAILED;
        }
        if (ready == 0) {
            return LINK_EVENT_EXPIRED;
        }
        if (ready > 0 && fds[1].revents) {
            return LINK_EVENT_INTERRUPTED;
        }
        if (ready > 0 && fds[0].revents & events) {
            return LINK_EVENT_READY;
        }
        if (ready > 0) {
            int error = 0;
            socklen_t size = sizeof error;
            bool known = getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error;
            errno = known ? error : EIO;
            return LINK_EVENT_FAILED;
        }
    }
}

enum link_event transport_link_wait(const struct transport_link *link, mono_time until)
{
    return wait_for(link, link->fd, POLLIN, until);
}

void transport_link_part(struct transport_link *link, bool answered)
{
    if (link->kind != TRANSPORT_RTU && link->fd >= 0) {
        mono_time until = clock_after_ms(clock_mono(), PARTING_MS);
        uint8_t rest[64];
        bool parted = answered && shutdown(link->fd, SHUT_WR) == 0;
        ssize_t got = 1;
        while (parted && got > 0 && clock_mono().ns < until.ns) {
            parted = transport_link_wait(link, until) == LINK_EVENT_READY;
            got = parted ? recv(link->fd, rest, sizeof rest, 0) : 0;
        }
        const struct linger reset = {.l_onoff = 1, .l_linger = 0};
        if (!parted) {
            (void)setsockopt(link->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        }
    }
    transport_link_close(link);
}

ssize_t transport_link_receive(const struct transport_link *link, uint8_t *out, size_t size)
{
    ssize_t got = read(link->fd, out, size);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    if (got == 0 && link->kind != TRANSPORT_RTU) { /* a serial port says so of an empty buffer */
        errno = ECONNRESET;
        return -1;
    }
    return got;
}

bool transport_link_send(const struct transport_link *link, const uint8_t *bytes, size_t size)
{
    ssize_t sent = link->kind == TRANSPORT_RTU ? write(link->fd, bytes, size)
                                               : send(link->fd, bytes, size, MSG_NOSIGNAL);
    if (sent >= 0 && (size_t)sent < size) {
        errno = EAGAIN;
    }
    return sent == (ssize_t)size;
}

void transport_link_interrupt(const struct transport_link *link)
{
    int saved = errno;
    uint64_t one = 1;
    ssize_t ignored = write(link->wake_fd, &one, sizeof one);
    (void)ignored; /* a full counter is readable too */
    errno = saved;
}

/* flock and not TIOCEXCL: it holds against root too (a probe beside the daemon) and ends with the
 * process, which TIOCEXCL on a pty does not. Before libmodbus opens, or it would change another
 * program's line settings. */
static bool lock_device(struct transport_link *link, char *why, size_t why_size)
{
    link->lock_fd = open(link->device, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (link->lock_fd < 0) {
        snprintf(why, why_size, "%s: %s", link->device, strerror(errno));
        return false;
    }
    if (flock(link->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        snprintf(why, why_size, "%s: in use by another program", link->device);
        return false;
    }
    return true;
}

/* A port that cannot be set so keeps its speed and reports no error: so it is read back. */
static bool apply_serial(int fd, const struct serial *serial)
{
    static const tcflag_t frame = CSIZE | PARENB | PARODD | CSTOPB;
    struct termios set;
    if (tcgetattr(fd, &set) != 0) {
        return false;
    }
    set.c_cflag &= ~frame;
    set.c_cflag |= serial->data_bits == 7 ? CS7 : CS8;
    set.c_cflag |= serial->parity == 'N' ? 0 : PARENB;
    set.c_cflag |= serial->parity == 'O' ? PARODD : 0;
    set.c_cflag |= serial->stop_bits == 2 ? CSTOPB : 0;
    set.c_iflag = serial->parity == 'N' ? set.c_iflag & ~(tcflag_t)INPCK : set.c_iflag | INPCK;
    /* EINVAL is glibc's word for a port without parity, a pty: with it the rest is set all the
     * same.
     */
    if (cfsetspeed(&set, serial->baud) != 0 ||
        (tcsetattr(fd, TCSANOW, &set) != 0 && errno != EINVAL)) {
        return false;
    }
    speed_t wanted = cfgetospeed(&set);
    return tcgetattr(fd, &set) == 0 && cfgetospeed(&set) == wanted && cfgetispeed(&set) == wanted;
}

static void tell_refused(const struct transport_link *link, const struct serial *serial, char *why,
                         size_t why_size)
{
    snprintf(why, why_size, "%s: no %u baud %u%c%u", link->device, serial->baud, serial->data_bits,
             serial->parity, serial->stop_bits);
}

bool transport_link_set_serial(struct transport_link *link, const struct serial *serial, char *why,
                               size_t why_size)
{
    if (link->kind != TRANSPORT_RTU) {
        snprintf(why, why_size, "no serial port of this machine");
        return false;
    }
    if (link->fd >= 0 && !apply_serial(link->fd, serial)) {
        tell_refused(link, serial, why, why_size);
        (void)apply_serial(link->fd, &link->serial);
        return false;
    }
    link->serial = *serial;
    return true;
}

/* Half duplex: a driver that can turn the sender on and off by RTS is told to. Which way round and
 * how long before and after is the board's own, from its device tree. Where the driver knows none
 * of this the adapter turns by itself, or the line is RS-232. */
static void turn_by_rts(int fd)
{
    struct serial_rs485 mode;
    if (ioctl(fd, TIOCGRS485, &mode) != 0 || mode.flags & SER_RS485_ENABLED) {
        return;
    }
    mode.flags |= SER_RS485_ENABLED;
    if (!(mode.flags & (SER_RS485_RTS_ON_SEND | SER_RS485_RTS_AFTER_SEND))) {
        mode.flags |= SER_RS485_RTS_ON_SEND;
    }
    (void)ioctl(fd, TIOCSRS485, &mode); /* refused: as good as not known */
}

static enum outcome open_serial(struct transport_link *link, char *why, size_t why_size)
{
    if (!lock_device(link, why, why_size)) {
        return OUTCOME_LINK;
    }
    const struct serial *serial = &link->serial;
    link->modbus = modbus_new_rtu(link->device, (int)serial->baud, serial->parity,
                                  serial->data_bits, serial->stop_bits);
    if (link->modbus == NULL || modbus_connect(link->modbus) != 0) {
        snprintf(why, why_size, "%s: %s", link->device, modbus_strerror(errno));
        return OUTCOME_LINK;
    }
    link->fd = modbus_get_socket(link->modbus);
    /* libmodbus takes 9600 baud for what it does not know. */
    if (!apply_serial(link->fd, serial)) {
        tell_refused(link, serial, why, why_size);
        return OUTCOME_LINK;
    }
    turn_by_rts(link->fd);
    return OUTCOME_OK;
}

/* A connected, non-blocking socket, or -1 with errno. */
static int connect_address(const struct transport_link *link, const struct addrinfo *address,
                           mono_time until)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0) {
        return fd;
    }
    int error = errno;
    if (error == EINPROGRESS) {
        socklen_t size = sizeof error;
        switch (wait_for(link, fd, POLLOUT, until)) {
        case LINK_EVENT_READY:
            if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
                error = errno;
            }
            break;
        case LINK_EVENT_EXPIRED:
            error = ETIMEDOUT;
            break;
        case LINK_EVENT_INTERRUPTED:
            error = EINTR;
            break;
        case LINK_EVENT_FAILED:
            error = errno;
            break;
        }
    }
    if (error == 0) {
        return fd;
    }
    close(fd);
    errno = error;
    return -1;
}

static void set_socket_options(const struct transport_link *link, int fd)
{
    /* Of RTU requests that were held back none may come out after its late answer is forgotten. */
    bool rtu = link->kind == TRANSPORT_RTU_OVER_TCP;
    unsigned patience_ms = link->timeout_ms * (rtu ? 1 : 3);
    unsigned least_ms = rtu ? UNACKNOWLEDGED_RTU_MS : UNACKNOWLEDGED_MIN_MS;
    patience_ms = patience_ms > least_ms ? patience_ms : least_ms;
    const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, (int)patience_ms},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        /* Each only makes the line better: without it, it still works. */
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
    }
}

/* All addresses of the host share one timeout. -1 with why. */
static int connect_host(const struct transport_link *link, char *why, size_t why_size)
{
    mono_time until = clock_after_ms(clock_mono(), link->timeout_ms);
    char service[8];
    snprintf(service, sizeof service, "%u", link->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    int rc = getaddrinfo(link->host, service, &hints, &addresses);
    if (rc != 0) {
        snprintf(why, why_size, "%s: %s", link->host, gai_strerror(rc));
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *a = addresses; a != NULL && fd < 0; a = a->ai_next) {
        fd = connect_address(link, a, until);
    }
    if (fd >= 0) {
        set_socket_options(link, fd);
    } else {
        snprintf(why, why_size, "%s port %u: %s", link->host, link->port,
                 errno == EINTR ? "interrupted" : strerror(errno));
    }
    freeaddrinfo(addresses);
    return fd;
}

enum outcome transport_link_open(struct transport_link *link, char *why, size_t why_size)
{
    if (link->fd >= 0) {
        return OUTCOME_OK;
    }
    if (link->kind != TRANSPORT_RTU) {
        link->fd = connect_host(link, why, why_size);
        return link->fd >= 0 ? OUTCOME_OK : OUTCOME_LINK;
    }
    enum outcome outcome = open_serial(link, why, why_size);
    if (outcome != OUTCOME_OK) {
        transport_link_close(link);
    }
    return outcome;
}
