/* Packing and unpacking around protobuf-c, with the two checks that it does not do: room and UTF-8.
 *
 * Any thread. Packing writes into the caller's buffer and allocates nothing; unpacking allocates
 * through protobuf-c and is bounded by the length that the caller allows (our types are not
 * recursive, so nesting is bounded too). Also the place that holds names.h and the generated
 * numbers together. Never trusts bytes from outside; never logs. */
#include "proto/message.h"

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/names.h"

#define SAME(ours, generated)                                                                      \
    _Static_assert((int)(ours) == (int)(LIFELINE__V1__##generated), #ours " is not the wire's")

SAME(SECTOR_UNSPECIFIED, SECTOR__SECTOR_UNSPECIFIED);
SAME(SECTOR_GAS, SECTOR__SECTOR_GAS);
SAME(SECTOR_WATER, SECTOR__SECTOR_WATER);
SAME(SECTOR_DRAINAGE, SECTOR__SECTOR_DRAINAGE);
SAME(SECTOR_HEAT, SECTOR__SECTOR_HEAT);
SAME(SECTOR_MANHOLE, SECTOR__SECTOR_MANHOLE);
SAME(SECTOR_WATERLOGGING, SECTOR__SECTOR_WATERLOGGING);
SAME(SECTOR_SPONGE, SECTOR__SECTOR_SPONGE);
SAME(SECTOR_BRIDGE, SECTOR__SECTOR_BRIDGE);
SAME(SECTOR_TUNNEL, SECTOR__SECTOR_TUNNEL);
SAME(SECTOR_CORRIDOR, SECTOR__SECTOR_CORRIDOR);
SAME(SECTOR_COUNT - 1, SECTOR__SECTOR_CORRIDOR);

SAME(QUALITY_GOOD, QUALITY__QUALITY_GOOD);
SAME(QUALITY_UNCERTAIN, QUALITY__QUALITY_UNCERTAIN);
SAME(QUALITY_SPIKE, QUALITY__QUALITY_SPIKE);
SAME(QUALITY_WARMUP, QUALITY__QUALITY_WARMUP);
SAME(QUALITY_CALIBRATING, QUALITY__QUALITY_CALIBRATING);
SAME(QUALITY_OUT_OF_RANGE, QUALITY__QUALITY_OUT_OF_RANGE);
SAME(QUALITY_INVALID, QUALITY__QUALITY_INVALID);
SAME(QUALITY_SENSOR_FAULT, QUALITY__QUALITY_SENSOR_FAULT);
SAME(QUALITY_TIMEOUT, QUALITY__QUALITY_TIMEOUT);
SAME(QUALITY_EXCEPTION, QUALITY__QUALITY_EXCEPTION);
SAME(QUALITY_GARBLED, QUALITY__QUALITY_GARBLED);
SAME(QUALITY_LINK, QUALITY__QUALITY_LINK);
SAME(QUALITY_STALE, QUALITY__QUALITY_STALE);

SAME(CLOCK_STATE_UNSPECIFIED, CLOCK_STATE__CLOCK_STATE_UNSPECIFIED);
SAME(CLOCK_STATE_SYNCED, CLOCK_STATE__CLOCK_STATE_SYNCED);
SAME(CLOCK_STATE_RTC, CLOCK_STATE__CLOCK_STATE_RTC);
SAME(CLOCK_STATE_HOLDOVER, CLOCK_STATE__CLOCK_STATE_HOLDOVER);
SAME(CLOCK_STATE_UNSET, CLOCK_STATE__CLOCK_STATE_UNSET);
SAME(CLOCK_STATE_CORRECTED, CLOCK_STATE__CLOCK_STATE_CORRECTED);

SAME(GAP_REASON_UNSPECIFIED, GAP_REASON__GAP_REASON_UNSPECIFIED);
SAME(GAP_REASON_RETENTION, GAP_REASON__GAP_REASON_RETENTION);
SAME(GAP_REASON_QUOTA, GAP_REASON__GAP_REASON_QUOTA);
SAME(GAP_REASON_CRASH, GAP_REASON__GAP_REASON_CRASH);
SAME(GAP_REASON_OVERLOAD, GAP_REASON__GAP_REASON_OVERLOAD);
SAME(GAP_REASON_CORRUPT, GAP_REASON__GAP_REASON_CORRUPT);
SAME(GAP_REASON_REFUSED, GAP_REASON__GAP_REASON_REFUSED);
SAME(GAP_REASON_DISK, GAP_REASON__GAP_REASON_DISK);

size_t message_pack(const ProtobufCMessage *message, uint8_t *out, size_t capacity)
{
    if (protobuf_c_message_get_packed_size(message) > capacity)
        return 0;
    return protobuf_c_message_pack(message, out);
}

/* None: cut off, overlong, a surrogate or beyond U+10FFFF. The final NUL is no continuation byte,
 * so that nothing is read behind it. */
size_t message_character(const char *string)
{
    const uint8_t *text = (const uint8_t *)string;
    size_t length = text[0] < 0x80 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    uint8_t low = text[0] == 0xe0 ? 0xa0 : text[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t high = text[0] == 0xed ? 0x9f : text[0] == 0xf4 ? 0x8f : 0xbf;
    if (length == 1)
        return 1;
    if (text[0] < 0xc2 || text[0] > 0xf4 || text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    return length;
}

static bool utf8_valid(const char *string)
{
    while (*string) {
        size_t length = message_character(string);
        if (!length)
            return false;
        string += length;
    }
    return true;
}

static bool element_valid(const ProtobufCFieldDescriptor *field, const void *element)
{
    if (!element)
        return true;
    return field->type == PROTOBUF_C_TYPE_STRING ? utf8_valid(element) : message_is_text(element);
}

static bool field_valid(const ProtobufCFieldDescriptor *field, const uint8_t *message)
{
    const void *const *member = (const void *const *)(const void *)(message + field->offset);
    const void *quantifier = message + field->quantifier_offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)quantifier;
        const void *const *elements = *member;
        for (size_t i = 0; i < count; i++) {
            if (!element_valid(field, elements[i]))
                return false;
        }
        return true;
    }
    bool other_of_oneof =
        (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && *(const uint32_t *)quantifier != field->id;
    return other_of_oneof || element_valid(field, *member);
}

/* Recursion is as deep as the types nest: three. */
bool message_is_text(const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (!field_valid(field, (const uint8_t *)message))
            return false;
    }
    return true;
}

ProtobufCMessage *message_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                                 size_t length, size_t max_length)
{
    if (length > max_length)
        return NULL;
    ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, length, bytes);
    if (message && !message_is_text(message)) {
        message_free(message);
        return NULL;
    }
    return message;
}

void message_free(ProtobufCMessage *message)
{
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}
