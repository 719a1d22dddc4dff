/* Reads a CONNACK as MQTT 5 (section 3.2) writes it: fixed header, flags, reason, and properties of
 * which every id must be one that a CONNACK can carry. Pure; runs in the uplink's thread over bytes
 * that still lie in the socket. Owns nothing. It is there for a clear word on whoever is no
 * broker. Never says what the answer means: the library does that. */
#include "gateway/uplink/connack.h"

#include "proto/varint.h"

enum { PACKET_CONNACK = 0x20, LENGTH_311 = 2 };

enum form { FORM_NONE, FORM_BYTE, FORM_TWO, FORM_FOUR, FORM_STRING, FORM_PAIR };

/* Which properties a CONNACK has and how long their values are. */
static const enum form forms[256] = {
    [0x11] = FORM_FOUR,   /* session expiry */
    [0x12] = FORM_STRING, /* assigned client id */
    [0x13] = FORM_TWO,    /* server keep alive */
    [0x15] = FORM_STRING, /* authentication method */
    [0x16] = FORM_STRING, /* authentication data */
    [0x1a] = FORM_STRING, /* response information */
    [0x1c] = FORM_STRING, /* server reference */
    [0x1f] = FORM_STRING, /* reason string */
    [0x21] = FORM_TWO,    /* receive maximum */
    [0x22] = FORM_TWO,    /* topic alias maximum */
    [0x24] = FORM_BYTE,   /* maximum QoS */
    [0x25] = FORM_BYTE,   /* retain available */
    [0x26] = FORM_PAIR,   /* user property */
    [0x27] = FORM_FOUR,   /* maximum packet size */
    [0x28] = FORM_BYTE,   /* wildcard subscription available */
    [0x29] = FORM_BYTE,   /* subscription identifiers available */
    [0x2a] = FORM_BYTE,   /* shared subscription available */
};

static size_t string_size(const uint8_t *at, const uint8_t *end)
{
    return end - at < 2 ? SIZE_MAX : 2 + ((size_t)at[0] << 8 | at[1]);
}

/* Bytes of a value; SIZE_MAX when it is none or does not end. */
static size_t value_size(enum form form, const uint8_t *at, const uint8_t *end)
{
    size_t first;
    switch (form) {
    case FORM_NONE:
        return SIZE_MAX;
    case FORM_BYTE:
        return 1;
    case FORM_TWO:
        return 2;
    case FORM_FOUR:
        return 4;
    case FORM_STRING:
        return string_size(at, end);
    case FORM_PAIR:
        first = string_size(at, end);
        if (first > (size_t)(end - at))
            return SIZE_MAX;
        size_t second = string_size(at + first, end);
        return second == SIZE_MAX ? SIZE_MAX : first + second;
    }
    return SIZE_MAX;
}

static bool properties_known(const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        enum form form = forms[*at++];
        size_t size = value_size(form, at, end);
        if (size > (size_t)(end - at))
            return false;
        at += size;
    }
    return true;
}

enum connack_verdict connack_judge(const uint8_t *bytes, size_t length)
{
    const uint8_t *at = bytes, *end = bytes + length;
    uint64_t remaining = 0, properties = 0;
    if (length == 0)
        return CONNACK_MORE;
    if (*at++ != PACKET_CONNACK)
        return CONNACK_ALIEN;
    if (!varint_get(&at, end, &remaining))
        return length < 5 ? CONNACK_MORE : CONNACK_ALIEN;
    if (remaining < LENGTH_311 || remaining > CONNACK_MAX - 8)
        return CONNACK_ALIEN;
    if ((uint64_t)(end - at) < remaining)
        return CONNACK_MORE;
    end = at + remaining;
    at += 2; /* flags, reason */
    if (remaining == LENGTH_311)
        return CONNACK_FINE;
    if (!varint_get(&at, end, &properties) || properties != (uint64_t)(end - at))
        return CONNACK_ALIEN;
    return properties_known(at, end) ? CONNACK_FINE : CONNACK_ALIEN;
}
