/* Building requests and judging answers, without any line: pure, for transport.c. */
#ifndef LIFELINE_TRANSPORT_FRAME_H
#define LIFELINE_TRANSPORT_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "drivers/transport.h"

enum {
    FRAME_REQUEST_LENGTH = 6, /* unit, function, address, count */
    FRAME_MBAP_LENGTH = 6,    /* transaction, protocol, length: what TCP puts before the unit */
    FRAME_CRC_LENGTH = 2,
    FRAME_MAX_LENGTH = 260, /* an answer with everything around it */
    FRAME_MAX_REGISTERS = 125,
    FRAME_MAX_BITS = 2000,
};

enum frame_verdict {
    FRAME_ANSWER,    /* to this request, as far as RTU can tell */
    FRAME_EXCEPTION, /* the unit refuses; the code is its third byte */
    FRAME_FOREIGN,   /* a whole frame that is for somebody else: wait on */
    FRAME_WRONG,     /* not the answer; why says so */
};

/* Unit, function, address, count: the request without CRC or MBAP header. */
void transport_frame_request(const struct transport_request *request,
                             uint8_t out[FRAME_REQUEST_LENGTH]);

/* Appends the CRC to a frame that has room for it; the length of the whole. */
size_t transport_frame_add_crc(uint8_t *frame, size_t length);

/* The whole RTU request. */
void transport_frame_rtu_request(const struct transport_request *request,
                                 uint8_t out[FRAME_REQUEST_LENGTH + FRAME_CRC_LENGTH]);

/* The whole Modbus TCP request. */
void transport_frame_tcp_request(const struct transport_request *request, uint16_t transaction,
                                 uint8_t out[FRAME_MBAP_LENGTH + FRAME_REQUEST_LENGTH]);

/* How long the answer is that begins with these bytes, everything around it included; while they
 * are too few to tell, how many it takes to tell. Never more than FRAME_MAX_LENGTH. */
size_t transport_frame_rtu_length(const uint8_t *bytes, size_t have);
size_t transport_frame_tcp_length(const uint8_t *bytes, size_t have);

/* The length of the right RTU answer to a read that begins here, whatever its question, CRC
 * included; 0 when none does. */
size_t transport_frame_rtu_whole(const uint8_t *bytes, size_t size);

/* Length of the right answer from the unit on, without CRC or MBAP header. */
size_t transport_frame_answer_length(const struct transport_request *request);

/* Judges an answer from its unit byte on, CRC or MBAP header taken off. */
enum frame_verdict transport_frame_check(const struct transport_request *request,
                                         const uint8_t *frame, size_t length, char *why,
                                         size_t why_size);

/* Judges a whole RTU answer. */
enum frame_verdict transport_frame_rtu_check(const struct transport_request *request,
                                             const uint8_t *frame, size_t length, char *why,
                                             size_t why_size);

/* Judges a whole Modbus TCP answer. */
enum frame_verdict transport_frame_tcp_check(const struct transport_request *request,
                                             uint16_t transaction, const uint8_t *frame,
                                             size_t length, char *why, size_t why_size);

/* Does a whole Modbus TCP answer belong to an earlier transaction than this one? */
bool transport_frame_tcp_is_older(uint16_t transaction, const uint8_t *frame);

/* Writes request->count words out of a FRAME_ANSWER (from its unit byte on). */
void transport_frame_words(const struct transport_request *request, const uint8_t *frame,
                           uint16_t *words);

#endif
