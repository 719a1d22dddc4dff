/* Modbus frames as a sensor sees them: requests taken apart, replies put together. Pure. */
#ifndef LIFELINE_SIM_FRAME_H
#define LIFELINE_SIM_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/profile.h"

#define SIM_FRAME_PDU_MAX 253 /* function code and data */
#define SIM_FRAME_MAX     260 /* a PDU in an MBAP header; RTU needs 256 */

enum sim_frame_state {
    SIM_FRAME_COMPLETE,
    SIM_FRAME_PARTIAL, /* more bytes are needed */
    SIM_FRAME_BAD,     /* not Modbus: CRC, protocol id, length */
};

struct sim_request {
    uint16_t transaction; /* TCP */
    uint8_t unit;
    uint8_t function;        /* any code; address and count are filled for 1 to 4 only */
    uint16_t address, count; /* count 0: not a read, or not a whole one */
};

/* How long things take on a serial line. All 0: no line time. */
struct sim_frame_pace {
    int64_t char_ns;       /* one character: start, data, parity and stop bits */
    int64_t silence_ns;    /* 3.5 characters, 1.75 ms above 19200: the end of a frame */
    int64_t turnaround_ns; /* what a sensor takes to think, after the silence */
};

struct sim_frame_pace sim_frame_pace(const struct serial *serial, uint32_t turnaround_ms);

uint16_t sim_frame_crc(const uint8_t *bytes, size_t length);

/* What stood between two silences. Never PARTIAL. */
enum sim_frame_state sim_frame_rtu(const uint8_t *bytes, size_t length, struct sim_request *out);

/* The first frame of a stream; *used is its length when COMPLETE. */
enum sim_frame_state sim_frame_tcp(const uint8_t *bytes, size_t length, size_t *used,
                                   struct sim_request *out);

/* A reply around a PDU, into frame[SIM_FRAME_MAX]; its length. */
size_t sim_frame_wrap_rtu(uint8_t *frame, uint8_t unit, const uint8_t *pdu, size_t length);
size_t sim_frame_wrap_tcp(uint8_t *frame, uint16_t transaction, uint8_t unit, const uint8_t *pdu,
                          size_t length);

/* The PDU that answers a read (registers: one word a register or bit), or refuses it. */
size_t sim_frame_read_pdu(uint8_t *pdu, const struct sim_request *request,
                          const uint16_t *registers);
size_t sim_frame_exception_pdu(uint8_t *pdu, uint8_t function, uint8_t code);

/* True for the functions that read single bits (1 and 2). */
bool sim_frame_is_bits(uint8_t function);

#endif
