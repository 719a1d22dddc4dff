/* One Modbus master on one line: RTU on a serial port, Modbus TCP, or RTU frames over TCP.
 *
 * Belongs to one thread. Unit, function, length, CRC and transaction id of an answer are checked
 * before a register is handed out. libmodbus 3.1.6 sets up the serial port. Over TCP no late answer
 * is taken for the next one. RTU has no such number: there it holds for units that answer one
 * question after the other, up to five seconds late, ten behind a network (two timeouts if that is
 * longer); one that is later still may be handed out for another question to the same unit, with
 * the same function and count (see transport.c). Never writes to a sensor, never retries. The
 * process ignores SIGPIPE.
 *
 * A call blocks for about the timeout: a connect one more, the rest of a frame that has begun its
 * time on the line. A unit that owes late answers is asked for a proof before, or up to three times
 * in one call, and each of them may be followed by as much until the line is quiet. */
#ifndef LIFELINE_TRANSPORT_H
#define LIFELINE_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

#include "config/settings.h"

/* How a request ended. All but LINK are the unit's own failures: the line goes on. */
enum outcome {
    OUTCOME_OK = 0,
    OUTCOME_TIMEOUT,   /* nothing came */
    OUTCOME_EXCEPTION, /* the unit refused; the code is in *exception */
    OUTCOME_GARBLED,   /* something came that is not the answer: CRC, length, unit, function */
    OUTCOME_LINK,      /* the port or connection is gone: reopen */
};

struct transport_request {
    uint8_t unit;
    enum function function;
    uint16_t address, count;
    uint32_t timeout_ms; /* 0 = the line's */
};

struct transport;

/* Does not open. NULL when there is no memory. */
struct transport *transport_new(const struct settings_line *line);
void transport_free(struct transport *transport);

/* Before the first request: what the units owe another transport that has ended, when both lead to
 * the same port or server. Their late answers come to this one. */
void transport_inherit(struct transport *transport, const struct transport *before);

/* OUTCOME_OK (also when it is open) or OUTCOME_LINK with a human reason. */
enum outcome transport_open(struct transport *transport, char *why, size_t why_size)
    __attribute__((warn_unused_result));
void transport_close(struct transport *transport);
bool transport_is_open(const struct transport *transport);

/* One request, one try. registers has room for request->count words (a bit each for coils and
 * discrete inputs). *exception is the Modbus exception code after OUTCOME_EXCEPTION; why (for a log
 * line) is filled for everything but OK.
 *
 * After OUTCOME_LINK the line is closed. Modbus TCP also closes after a timeout or garbage, and
 * both network transports after each call where the line says close_between_polls. The next read
 * opens it again; to wait before that is the caller's business. An RTU unit that was
 * silent three times rests until no late answer of it is expected any more, that long
 * after it was last asked or heard: OUTCOME_TIMEOUT at once. */
enum outcome transport_read(struct transport *transport, const struct transport_request *request,
                            uint16_t *registers, uint8_t *exception, char *why, size_t why_size)
    __attribute__((warn_unused_result));

/* From the next request on the serial port runs with these settings (a baud that is tried, and back
 * again). Nothing on TCP. False with a reason when the port does not take them. */
bool transport_set_serial(struct transport *transport, const struct serial *serial, char *why,
                          size_t why_size) __attribute__((warn_unused_result));

/* From the next request on at least so much silence is kept before each, also between those that
 * one call makes. 0 = what the line needs. */
void transport_set_gap(struct transport *transport, uint32_t gap_ms);

/* What has come for this unit beside its answers, since the transport was made. */
struct transport_noise {
    uint32_t late;    /* whole answers of it that nobody waited for any more */
    uint32_t foreign; /* frames of others that came while it was asked */
};
struct transport_noise transport_noise(const struct transport *transport, uint8_t unit);

/* The bytes of the newest answer as they came, CRC or MBAP header included, right or wrong; valid
 * until the next call. Length 0 when nothing came. */
const uint8_t *transport_answer(const struct transport *transport, size_t *length);

/* Listens for so long and copies what comes, whoever sends it: a second answer to the request
 * before. The number of bytes; stops early when `out` is full. */
size_t transport_listen(struct transport *transport, uint32_t ms, uint8_t *out, size_t size);

/* Ends a read or open that blocks in another thread, and every later one, with OUTCOME_LINK: for
 * the end of the line's thread, there is no way back. Async-signal safe. */
void transport_interrupt(struct transport *transport);

/* "timeout", "exception", ... */
const char *transport_outcome_name(enum outcome outcome);

#endif
