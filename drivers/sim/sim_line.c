/* A line's way to the outside: a listening socket, or a pty with a symlink to it.
 *
 * Runs in the simulator's only thread. Owns the listener or the pty's slave side, the symlink, all
 * wires and the units behind them. Never replaces a file that is not a symlink to a pty, and never
 * listens beyond loopback unless told to. */
#include "drivers/sim/sim_line.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define REOPEN_NS    INT64_C(200000000)
#define PTY_PREFIX   "/dev/pts/"
#define PTY_NAME_MAX 64

struct sim_line {
    struct sim_service service;
    const struct sim_line_options *options;
    int epoll_fd;
    int listen_fd; /* -1 when not listening */
    int slave_fd;  /* kept open: a pty without a reader would read as an error */
    char slave[PTY_NAME_MAX];
    struct sim_source listener;
    struct sim_source *wires;
    size_t wire_count;
    bool is_open;
    int64_t retry_ns;
};

struct sim_line *sim_line_new(const struct settings *settings, uint32_t index,
                              struct sim_stage *stage, const struct sim_line_options *options,
                              int epoll_fd)
{
    struct sim_line *line = calloc(1, sizeof *line);
    if (line == NULL) {
        return NULL;
    }
    const struct settings_line *own = &settings->lines[index];
    line->service.settings = own;
    line->service.line = (int32_t)index;
    line->service.stage = stage;
    line->service.units = sim_units_new(settings, index);
    if (own->transport != TRANSPORT_TCP && options->line_time) {
        line->service.pace = sim_frame_pace(&own->serial, options->turnaround_ms);
    }
    line->options = options;
    line->epoll_fd = epoll_fd;
    line->listen_fd = -1;
    line->slave_fd = -1;
    line->listener.line = line;
    if (line->service.units == NULL) {
        free(line);
        return NULL;
    }
    sim_units_follow(line->service.units, stage->scenario);
    return line;
}

void sim_line_free(struct sim_line *line)
{
    if (line == NULL) {
        return;
    }
    sim_line_close(line);
    sim_units_free(line->service.units);
    free(line);
}

/* Takes the descriptor: closes it when it cannot become a wire. */
static bool add_wire(struct sim_line *line, int fd)
{
    struct sim_source *source = calloc(1, sizeof *source);
    if (source == NULL) {
        close(fd);
        return false;
    }
    source->line = line;
    source->events = EPOLLIN;
    source->wire = sim_wire_new(fd, &line->service);
    if (source->wire == NULL) {
        close(fd);
        free(source);
        return false;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};
    if (epoll_ctl(line->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        sim_wire_free(source->wire);
        free(source);
        return false;
    }
    source->next = line->wires;
    line->wires = source;
    line->wire_count++;
    return true;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
    return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static const char *host_of(const struct sim_line *line)
{
    return line->options->listen != NULL ? line->options->listen : line->service.settings->host;
}

static bool bind_listener(struct sim_line *line, const struct addrinfo *found, char *why,
                          size_t why_size)
{
    int one = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        snprintf(why, why_size, "socket: %s", strerror(errno));
        return false;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &line->listener};
    if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 16) != 0 ||
        epoll_ctl(line->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        snprintf(why, why_size, "%s:%u: %s", host_of(line), line->service.settings->port,
                 strerror(errno));
        close(fd);
        return false;
    }
    line->listen_fd = fd;
    return true;
}

static bool open_listener(struct sim_line *line, char *why, size_t why_size)
{
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    snprintf(port, sizeof port, "%u", line->service.settings->port);
    int code = getaddrinfo(host_of(line), port, &hints, &found);
    if (code != 0) {
        snprintf(why, why_size, "%s: %s", host_of(line), gai_strerror(code));
        return false;
    }
    bool good = false;
    if (line->options->listen == NULL && !is_loopback(found->ai_addr)) {
        snprintf(why, why_size, "%s is not this machine's loopback; say --listen ADDRESS",
                 host_of(line));
    } else {
        good = bind_listener(line, found, why, why_size);
    }
    freeaddrinfo(found);
    return good;
}

/* Whether the path is free or a symlink that a simulator left. */
static bool is_ours(const char *path)
{
    char target[PTY_NAME_MAX];
    struct stat status;
    if (lstat(path, &status) != 0) {
        return errno == ENOENT;
    }
    ssize_t length = readlink(path, target, sizeof target);
    return S_ISLNK(status.st_mode) && length > (ssize_t)strlen(PTY_PREFIX) &&
           memcmp(target, PTY_PREFIX, strlen(PTY_PREFIX)) == 0;
}

static bool link_pty(struct sim_line *line, char *why, size_t why_size)
{
    const char *path = line->service.settings->device;
    if (!is_ours(path)) {
        snprintf(why, why_size, "%s exists and is not a symlink to a pty", path);
        return false;
    }
    if ((unlink(path) != 0 && errno != ENOENT) || symlink(line->slave, path) != 0) {
        snprintf(why, why_size, "%s: %s", path, strerror(errno));
        return false;
    }
    return true;
}

static void unlink_pty(const struct sim_line *line)
{
    char target[PTY_NAME_MAX] = "";
    const char *path = line->service.settings->device;
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length > 0 && strcmp(target, line->slave) == 0) {
        unlink(path);
    }
}

static bool open_slave(struct sim_line *line)
{
    struct termios raw;
    line->slave_fd = open(line->slave, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (line->slave_fd < 0 || tcgetattr(line->slave_fd, &raw) != 0) {
        return false;
    }
    cfmakeraw(&raw);
    return tcsetattr(line->slave_fd, TCSANOW, &raw) == 0;
}

static bool open_pty(struct sim_line *line, char *why, size_t why_size)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0 ||
        ptsname_r(master, line->slave, sizeof line->slave) != 0 || !open_slave(line)) {
        snprintf(why, why_size, "pty: %s", strerror(errno));
        if (master >= 0) {
            close(master);
        }
        return false;
    }
    if (!link_pty(line, why, why_size)) {
        close(master);
        return false;
    }
    if (!add_wire(line, master)) {
        unlink_pty(line);
        snprintf(why, why_size, "pty: %s", strerror(errno));
        return false;
    }
    return true;
}

bool sim_line_open(struct sim_line *line, char *why, size_t why_size)
{
    bool is_pty = line->service.settings->transport == TRANSPORT_RTU;
    line->is_open = is_pty ? open_pty(line, why, why_size) : open_listener(line, why, why_size);
    if (!line->is_open && line->slave_fd >= 0) {
        close(line->slave_fd);
        line->slave_fd = -1;
    }
    return line->is_open;
}

/* Closing takes a descriptor out of the epoll set: nothing else holds it. */
static void free_source(struct sim_line *line, struct sim_source *source)
{
    sim_wire_free(source->wire);
    free(source);
    line->wire_count--;
}

void sim_line_close(struct sim_line *line)
{
    if (line->is_open && line->service.settings->transport == TRANSPORT_RTU) {
        unlink_pty(line);
    }
    while (line->wires != NULL) {
        struct sim_source *source = line->wires;
        line->wires = source->next;
        free_source(line, source);
    }
    if (line->listen_fd >= 0) {
        close(line->listen_fd);
        line->listen_fd = -1;
    }
    if (line->slave_fd >= 0) {
        close(line->slave_fd);
        line->slave_fd = -1;
    }
    line->is_open = false;
}

void sim_line_describe(const struct sim_line *line, char *out, size_t out_size)
{
    const struct settings_line *own = line->service.settings;
    switch (own->transport) {
    case TRANSPORT_RTU:
        snprintf(out, out_size, "%s rtu %s -> %s", own->name, own->device, line->slave);
        break;
    case TRANSPORT_TCP:
        snprintf(out, out_size, "%s tcp %s:%u", own->name, host_of(line), own->port);
        break;
    case TRANSPORT_RTU_OVER_TCP:
        snprintf(out, out_size, "%s rtu-over-tcp %s:%u", own->name, host_of(line), own->port);
        break;
    }
}

static void accept_all(struct sim_line *line)
{
    int one = 1;
    int fd;
    while ((fd = accept4(line->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (line->wire_count >= line->options->connections) {
            close(fd);
        } else {
            (void)add_wire(line, fd);
        }
    }
}

static void ask_for_events(struct sim_source *source)
{
    uint32_t events = (sim_wire_wants_read(source->wire) ? (uint32_t)EPOLLIN : 0) |
                      (sim_wire_wants_write(source->wire) ? (uint32_t)EPOLLOUT : 0);
    if (events != source->events) {
        struct epoll_event event = {.events = events, .data.ptr = source};
        source->events = events;
        epoll_ctl(source->line->epoll_fd, EPOLL_CTL_MOD, sim_wire_fd(source->wire), &event);
    }
}

static void run_wire(struct sim_source *source, int64_t now_ns)
{
    if (!sim_wire_run(source->wire, now_ns)) {
        source->gone = true;
        return;
    }
    ask_for_events(source);
}

void sim_line_event(struct sim_source *source, uint32_t events, int64_t now_ns)
{
    if (source->wire == NULL) {
        accept_all(source->line);
        return;
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !sim_wire_read(source->wire, now_ns)) {
        source->gone = true;
        return;
    }
    run_wire(source, now_ns);
}

/* When it wants to be tried again; a link that the script holds down is not. */
static int64_t follow_script(struct sim_line *line, int64_t now_ns)
{
    const struct sim_stage *stage = line->service.stage;
    int64_t now_ms = (now_ns - stage->faults_start_ns) / 1000000;
    bool down = sim_fault_link_down(&stage->faults, now_ms, line->service.line);
    if (down && line->is_open) {
        sim_line_close(line);
        (void)sim_journal_link(stage->journal, line->service.settings->name, true);
    } else if (!down && !line->is_open && now_ns >= line->retry_ns) {
        char why[256];
        line->retry_ns = now_ns + REOPEN_NS;
        if (sim_line_open(line, why, sizeof why)) {
            (void)sim_journal_link(stage->journal, line->service.settings->name, false);
        }
    }
    return down || line->is_open ? INT64_MAX : line->retry_ns;
}

int64_t sim_line_run(struct sim_line *line, int64_t now_ns)
{
    int64_t next = follow_script(line, now_ns);
    struct sim_source **at = &line->wires;
    while (*at != NULL) {
        struct sim_source *source = *at;
        if (!source->gone && sim_wire_next_ns(source->wire) <= now_ns) {
            run_wire(source, now_ns);
        }
        if (source->gone) {
            *at = source->next;
            free_source(line, source);
            continue;
        }
        int64_t due = sim_wire_next_ns(source->wire);
        next = due < next ? due : next;
        at = &source->next;
    }
    return next;
}
