/* Builds Modbus read requests and judges what comes back, byte by byte.
 *
 * Called by transport.c in the line's thread; owns nothing, touches no line. Whatever tells the
 * right answer from another one is compared here, before any register is handed out: CRC or
 * transaction, unit, function, length. libmodbus would not do: it drops the frames of other units
 * with their CRC unread, and does not tell how much came of a broken one. Never reads beyond the
 * length it is given. */
#include "drivers/transport_frame.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    WRITE_ANSWER_LENGTH = 8, /* another master's, with its CRC */
    RTU_MIN_LENGTH = 5,      /* an exception with its CRC */
    RTU_AROUND_DATA = 5,     /* unit, function, byte count, CRC */
    TCP_MIN_LENGTH = 3,      /* from the unit on */
};

static size_t data_length(const struct transport_request *request)
{
    return profile_is_bits(request->function) ? (request->count + 7u) / 8 : request->count * 2u;
}

static uint16_t word_at(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void word_put(uint8_t *bytes, uint16_t word)
{
    bytes[0] = (uint8_t)(word >> 8);
    bytes[1] = (uint8_t)word;
}

void transport_frame_request(const struct transport_request *request,
                             uint8_t out[FRAME_REQUEST_LENGTH])
{
    assert(request->count > 0);
    assert(request->count <=
           (profile_is_bits(request->function) ? FRAME_MAX_BITS : FRAME_MAX_REGISTERS));
    out[0] = request->unit;
    out[1] = (uint8_t)request->function;
    word_put(out + 2, request->address);
    word_put(out + 4, request->count);
}

/* Over a frame and its own CRC it is 0. */
static unsigned crc16(const uint8_t *bytes, size_t length)
{
    unsigned crc = 0xffff;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1;
        }
    }
    return crc;
}

size_t transport_frame_add_crc(uint8_t *frame, size_t length)
{
    unsigned crc = crc16(frame, length);
    frame[length] = (uint8_t)crc;
    frame[length + 1] = (uint8_t)(crc >> 8);
    return length + FRAME_CRC_LENGTH;
}

void transport_frame_rtu_request(const struct transport_request *request,
                                 uint8_t out[FRAME_REQUEST_LENGTH + FRAME_CRC_LENGTH])
{
    transport_frame_request(request, out);
    (void)transport_frame_add_crc(out, FRAME_REQUEST_LENGTH);
}

void transport_frame_tcp_request(const struct transport_request *request, uint16_t transaction,
                                 uint8_t out[FRAME_MBAP_LENGTH + FRAME_REQUEST_LENGTH])
{
    word_put(out, transaction);
    word_put(out + 2, 0);
    word_put(out + 4, FRAME_REQUEST_LENGTH);
    transport_frame_request(request, out + FRAME_MBAP_LENGTH);
}

size_t transport_frame_rtu_length(const uint8_t *bytes, size_t have)
{
    if (have < RTU_MIN_LENGTH) {
        return RTU_MIN_LENGTH;
    }
    switch (bytes[1]) {
    case FUNCTION_COIL:
    case FUNCTION_DISCRETE:
    case FUNCTION_HOLDING:
    case FUNCTION_INPUT:
        return RTU_AROUND_DATA + (size_t)bytes[2];
    case 5:
    case 6:
    case 15:
    case 16:
        return WRITE_ANSWER_LENGTH;
    default: /* an exception, or nobody knows: what there is */
        return RTU_MIN_LENGTH;
    }
}

size_t transport_frame_tcp_length(const uint8_t *bytes, size_t have)
{
    if (have < FRAME_MBAP_LENGTH) {
        return FRAME_MBAP_LENGTH;
    }
    size_t length = word_at(bytes + 4);
    if (length < TCP_MIN_LENGTH || length > FRAME_MAX_LENGTH - FRAME_MBAP_LENGTH) {
        return FRAME_MBAP_LENGTH; /* no frame, however long it is */
    }
    return FRAME_MBAP_LENGTH + length;
}

size_t transport_frame_rtu_whole(const uint8_t *bytes, size_t size)
{
    int function = size >= RTU_MIN_LENGTH ? bytes[1] & 0x7f : 0;
    if (function < FUNCTION_COIL || function > FUNCTION_INPUT) {
        return 0;
    }
    size_t length = transport_frame_rtu_length(bytes, size);
    return length <= size && crc16(bytes, length) == 0 ? length : 0;
}

size_t transport_frame_answer_length(const struct transport_request *request)
{
    return 3 + data_length(request);
}

enum frame_verdict transport_frame_check(const struct transport_request *request,
                                         const uint8_t *frame, size_t length, char *why,
                                         size_t why_size)
{
    if (length < 3) {
        snprintf(why, why_size, "an answer of %zu bytes", length);
        return FRAME_WRONG;
    }
    if (frame[0] != request->unit) {
        snprintf(why, why_size, "unit %u answered instead of %u", frame[0], request->unit);
        return FRAME_FOREIGN;
    }
    /* An adapter that hears itself: reading 17 to 24 coils from 0x03xx, the echo has the very form
     * of an answer, its CRC included. */
    uint8_t sent[FRAME_REQUEST_LENGTH];
    transport_frame_request(request, sent);
    if (length == sizeof sent && memcmp(frame, sent, sizeof sent) == 0) {
        snprintf(why, why_size, "our own request came back (echo)");
        return FRAME_WRONG;
    }
    if (frame[1] == (request->function | 0x80) && length == 3) {
        return FRAME_EXCEPTION;
    }
    if (frame[1] != request->function) {
        snprintf(why, why_size, "answer of function %u instead of %u", frame[1],
                 (unsigned)request->function);
        return FRAME_WRONG;
    }
    if (frame[2] != data_length(request) || length != transport_frame_answer_length(request)) {
        snprintf(why, why_size, "answer of %zu bytes with byte count %u instead of %zu", length,
                 frame[2], data_length(request));
        return FRAME_WRONG;
    }
    return FRAME_ANSWER;
}

enum frame_verdict transport_frame_rtu_check(const struct transport_request *request,
                                             const uint8_t *frame, size_t length, char *why,
                                             size_t why_size)
{
    if (crc16(frame, length) != 0) {
        snprintf(why, why_size, "wrong CRC");
        return FRAME_WRONG;
    }
    return transport_frame_check(request, frame, length - FRAME_CRC_LENGTH, why, why_size);
}

enum frame_verdict transport_frame_tcp_check(const struct transport_request *request,
                                             uint16_t transaction, const uint8_t *frame,
                                             size_t length, char *why, size_t why_size)
{
    if (length < FRAME_MBAP_LENGTH || word_at(frame + 2) != 0 ||
        word_at(frame + 4) != length - FRAME_MBAP_LENGTH) {
        snprintf(why, why_size, "not a Modbus TCP answer");
        return FRAME_WRONG;
    }
    if (word_at(frame) != transaction) {
        snprintf(why, why_size, "answer to transaction %u instead of %u", word_at(frame),
                 transaction);
        return FRAME_FOREIGN;
    }
    enum frame_verdict verdict = transport_frame_check(request, frame + FRAME_MBAP_LENGTH,
                                                       length - FRAME_MBAP_LENGTH, why, why_size);
    /* The transaction is ours, so another unit's number in it is an error, not another's answer. */
    return verdict == FRAME_FOREIGN ? FRAME_WRONG : verdict;
}

bool transport_frame_tcp_is_older(uint16_t transaction, const uint8_t *frame)
{
    uint16_t behind = (uint16_t)(transaction - word_at(frame));
    return behind != 0 && behind <= INT16_MAX;
}

void transport_frame_words(const struct transport_request *request, const uint8_t *frame,
                           uint16_t *words)
{
    const uint8_t *data = frame + 3;
    for (size_t i = 0; i < request->count; i++) {
        if (profile_is_bits(request->function)) {
            words[i] = (data[i / 8] & 1 << i % 8) != 0;
        } else {
            words[i] = word_at(data + 2 * i);
        }
    }
}
