/* Any generated message into a caller's buffer, and out of untrusted bytes.
 *
 * Include "lifeline/v1/lifeline.pb-c.h" beside it and pass &message.base. */
#ifndef LIFELINE_MESSAGE_H
#define LIFELINE_MESSAGE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Returns the packed length, or 0 when the capacity is too small. (A message without any field set
 * is 0 bytes long too: none of ours is ever sent so.) */
size_t message_pack(const ProtobufCMessage *message, uint8_t *out, size_t capacity);

/* Bytes of the UTF-8 character that the text begins with; 0: it begins with none. */
size_t message_character(const char *text);

/* True when every string in it is UTF-8: another runtime can read what is packed from it. */
bool message_is_text(const ProtobufCMessage *message);

/* NULL when there is no memory, the bytes are longer than max_length, are not a message of that
 * type, or hold a string that is not UTF-8 (other runtimes reject such a message; protobuf-c does
 * not look). A string is a C string: whatever follows a NUL inside it is not seen. Free with
 * message_free(). */
ProtobufCMessage *message_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                                 size_t length, size_t max_length)
    __attribute__((warn_unused_result));
void message_free(ProtobufCMessage *message);

#endif
