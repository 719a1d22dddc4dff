/* What systemd calls sd_notify: datagrams to the socket that NOTIFY_SOCKET names. Main thread. */
#ifndef LIFELINE_NOTIFY_H
#define LIFELINE_NOTIFY_H

#include <stdint.h>

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; without them nothing below does anything.
 * The descriptor stays open: a process out of descriptors must still be able to say it lives. */
void notify_open(void);
void notify_close(void);

/* One message, lines of "KEY=VALUE"; lost when the supervisor does not read. */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Milliseconds without WATCHDOG=1 after which the supervisor ends us; 0 = it does not watch. */
uint32_t notify_watchdog_ms(void);

#endif
