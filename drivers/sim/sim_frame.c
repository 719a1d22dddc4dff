/* Frames of the simulated sensors: CRC, MBAP header, read replies, and the time a character takes.
 *
 * Pure functions, called by the simulator's only thread and by its tests. Owns nothing. Written
 * apart from libmodbus on purpose: its server side loses requests after one to an absent unit, and
 * a gateway is not tested by a peer that shares its mistakes. Never reads past the length it is
 * given. */
#include "drivers/sim/sim_frame.h"

#include <string.h>

#define MBAP_LENGTH 7 /* transaction, protocol, length, unit */

struct sim_frame_pace sim_frame_pace(const struct serial *serial, uint32_t turnaround_ms)
{
    int64_t bits = 1 + serial->data_bits + (serial->parity == 'N' ? 0 : 1) + serial->stop_bits;
    int64_t char_ns = bits * 1000000000 / (serial->baud > 0 ? serial->baud : 9600);
    return (struct sim_frame_pace){
        .char_ns = char_ns,
        .silence_ns = serial->baud > 19200 ? 1750000 : char_ns * 7 / 2,
        .turnaround_ns = (int64_t)turnaround_ms * 1000000,
    };
}

uint16_t sim_frame_crc(const uint8_t *bytes, size_t length)
{
    uint16_t crc = 0xffff;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (uint16_t)((crc >> 1) ^ ((crc & 1) != 0 ? 0xa001 : 0));
        }
    }
    return crc;
}

bool sim_frame_is_bits(uint8_t function)
{
    return function == FUNCTION_COIL || function == FUNCTION_DISCRETE;
}

static bool is_read(uint8_t function)
{
    return function >= FUNCTION_COIL && function <= FUNCTION_INPUT;
}

static uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void put16(uint8_t *bytes, uint16_t word)
{
    bytes[0] = (uint8_t)(word >> 8);
    bytes[1] = (uint8_t)word;
}

static void parse_pdu(const uint8_t *pdu, size_t length, struct sim_request *out)
{
    out->function = pdu[0];
    if (is_read(pdu[0]) && length == 5) {
        out->address = get16(pdu + 1);
        out->count = get16(pdu + 3);
    }
}

enum sim_frame_state sim_frame_rtu(const uint8_t *bytes, size_t length, struct sim_request *out)
{
    *out = (struct sim_request){0};
    if (length < 4 || length > 256) {
        return SIM_FRAME_BAD;
    }
    uint16_t crc = (uint16_t)(bytes[length - 2] | bytes[length - 1] << 8);
    if (crc != sim_frame_crc(bytes, length - 2)) {
        return SIM_FRAME_BAD;
    }
    out->unit = bytes[0];
    parse_pdu(bytes + 1, length - 3, out);
    return SIM_FRAME_COMPLETE;
}

enum sim_frame_state sim_frame_tcp(const uint8_t *bytes, size_t length, size_t *used,
                                   struct sim_request *out)
{
    *out = (struct sim_request){0};
    *used = 0;
    if (length < MBAP_LENGTH + 1) {
        return SIM_FRAME_PARTIAL;
    }
    size_t rest = get16(bytes + 4); /* counts the unit and the PDU */
    if (get16(bytes + 2) != 0 || rest < 2 || rest > SIM_FRAME_PDU_MAX + 1) {
        return SIM_FRAME_BAD;
    }
    if (length < MBAP_LENGTH - 1 + rest) {
        return SIM_FRAME_PARTIAL;
    }
    *used = MBAP_LENGTH - 1 + rest;
    out->transaction = get16(bytes);
    out->unit = bytes[6];
    parse_pdu(bytes + MBAP_LENGTH, rest - 1, out);
    return SIM_FRAME_COMPLETE;
}

size_t sim_frame_wrap_rtu(uint8_t *frame, uint8_t unit, const uint8_t *pdu, size_t length)
{
    frame[0] = unit;
    memcpy(frame + 1, pdu, length);
    uint16_t crc = sim_frame_crc(frame, length + 1);
    frame[length + 1] = (uint8_t)crc;
    frame[length + 2] = (uint8_t)(crc >> 8);
    return length + 3;
}

size_t sim_frame_wrap_tcp(uint8_t *frame, uint16_t transaction, uint8_t unit, const uint8_t *pdu,
                          size_t length)
{
    put16(frame, transaction);
    put16(frame + 2, 0);
    put16(frame + 4, (uint16_t)(length + 1));
    frame[6] = unit;
    memcpy(frame + MBAP_LENGTH, pdu, length);
    return MBAP_LENGTH + length;
}

size_t sim_frame_read_pdu(uint8_t *pdu, const struct sim_request *request,
                          const uint16_t *registers)
{
    pdu[0] = request->function;
    if (!sim_frame_is_bits(request->function)) {
        pdu[1] = (uint8_t)(request->count * 2);
        for (size_t i = 0; i < request->count; i++) {
            put16(pdu + 2 + i * 2, registers[i]);
        }
        return 2u + pdu[1];
    }
    pdu[1] = (uint8_t)((request->count + 7) / 8);
    memset(pdu + 2, 0, pdu[1]);
    for (size_t i = 0; i < request->count; i++) {
        pdu[2 + i / 8] |= (uint8_t)((registers[i] & 1) << (i % 8));
    }
    return 2u + pdu[1];
}

size_t sim_frame_exception_pdu(uint8_t *pdu, uint8_t function, uint8_t code)
{
    pdu[0] = (uint8_t)(function | 0x80);
    pdu[1] = code;
    return 2;
}
