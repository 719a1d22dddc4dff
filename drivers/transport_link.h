/* The serial port or TCP connection under a transport: for transport.c. */
#ifndef LIFELINE_TRANSPORT_LINK_H
#define LIFELINE_TRANSPORT_LINK_H

#include <modbus/modbus.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "drivers/clock.h"
#include "drivers/transport.h"

struct transport_link {
    enum transport_kind kind;
    char *device, *host;
    uint16_t port;
    struct serial serial;
    uint32_t timeout_ms;
    bool close_between;
    modbus_t *modbus; /* serial: opened the port and closes it */
    int fd;           /* -1 = closed */
    int lock_fd;      /* serial: holds the lock on the device */
    int wake_fd;      /* readable for good once interrupted */
};

enum link_event {
    LINK_EVENT_READY,
    LINK_EVENT_EXPIRED,
    LINK_EVENT_INTERRUPTED,
    LINK_EVENT_FAILED, /* errno says how */
};

/* Copies what it needs of the line; does not open. False when there is no memory or descriptor left
 * (transport_link_destroy is to be called all the same). */
bool transport_link_init(struct transport_link *link, const struct settings_line *line)
    __attribute__((warn_unused_result));
void transport_link_destroy(struct transport_link *link);

/* Do both lead to the same port, or the same server? */
bool transport_link_is_same(const struct transport_link *a, const struct transport_link *b);

enum outcome transport_link_open(struct transport_link *link, char *why, size_t why_size)
    __attribute__((warn_unused_result));
void transport_link_close(struct transport_link *link);

/* Closes a connection so that a server which has room for one only is free for the next: after an
 * answer it is waited for until the server has closed too, otherwise the connection is reset. */
void transport_link_part(struct transport_link *link, bool answered);

/* From now on the port runs with these settings, after a reopen too. False with a reason when it
 * does not take them, or is none: then all stays as it was. */
bool transport_link_set_serial(struct transport_link *link, const struct serial *serial, char *why,
                               size_t why_size) __attribute__((warn_unused_result));

/* Waits until the line can be read, the moment has come or another thread interrupts. */
enum link_event transport_link_wait(const struct transport_link *link, mono_time until);

/* What has come in, without waiting: 0 when nothing has, -1 with errno when the link is gone. */
ssize_t transport_link_receive(const struct transport_link *link, uint8_t *out, size_t size);

/* False with errno; EAGAIN when the line does not take it. */
bool transport_link_send(const struct transport_link *link, const uint8_t *bytes, size_t size);

/* Async-signal safe. */
void transport_link_interrupt(const struct transport_link *link);

#endif
