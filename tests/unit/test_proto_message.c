/* Packing into a buffer that may be too small; unpacking bytes that may be anything.
 *
 * Too long, cut off or not UTF-8 must be refused, wherever a string can stand: libprotobuf-c looks
 * at none of it, and other runtimes reject a whole message for one bad string. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"

enum { ROOM = 512 };

static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                                size_t length)
{
    return message_unpack(type, bytes, length, ROOM);
}

static size_t pack_command(const char *id, const char *note, uint8_t *out, size_t capacity)
{
    Lifeline__V1__AckAlarm ack = LIFELINE__V1__ACK_ALARM__INIT;
    ack.alarm = (char *)"01J9ZQ6T7D0000000000000000";
    ack.note = (char *)note;
    Lifeline__V1__Command command = LIFELINE__V1__COMMAND__INIT;
    command.id = (char *)id;
    command.not_after_ms = INT64_C(1760000000000);
    command.what_case = LIFELINE__V1__COMMAND__WHAT_ACK;
    command.ack = &ack;
    return message_pack(&command.base, out, capacity);
}

static void test_pack_needs_room(void **state)
{
    (void)state;
    uint8_t out[ROOM];
    size_t length = pack_command("c-1", "已派人", out, sizeof(out));
    assert_true(length > 0);
    for (size_t capacity = 0; capacity < length; capacity++) {
        memset(out, 0xaa, sizeof(out));
        assert_int_equal(pack_command("c-1", "已派人", out, capacity), 0);
        assert_int_equal(out[capacity], 0xaa);
    }
    assert_int_equal(pack_command("c-1", "已派人", out, length), length);
}

static void test_unpack(void **state)
{
    (void)state;
    uint8_t bytes[ROOM];
    size_t length = pack_command("c-1", "已派人", bytes, sizeof(bytes));
    Lifeline__V1__Command *command =
        (void *)unpack(&lifeline__v1__command__descriptor, bytes, length);
    assert_non_null(command);
    assert_string_equal(command->id, "c-1");
    assert_string_equal(command->actor, "");
    assert_int_equal(command->what_case, LIFELINE__V1__COMMAND__WHAT_ACK);
    assert_string_equal(command->ack->note, "已派人");
    message_free(&command->base);
    message_free(NULL);
}

static void test_too_long_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[ROOM];
    size_t length = pack_command("c-1", "ok", bytes, sizeof(bytes));
    const ProtobufCMessageDescriptor *type = &lifeline__v1__command__descriptor;
    assert_null(message_unpack(type, bytes, length, length - 1));
    ProtobufCMessage *message = message_unpack(type, bytes, length, length);
    assert_non_null(message);
    message_free(message);
}

/* A message cut off inside a field is refused; cut between two fields it is a shorter message. */
static void test_truncated_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[ROOM];
    size_t length = pack_command("c-1", "ok", bytes, sizeof(bytes));
    size_t field_ends[] = {0, 5, 12};
    for (size_t cut = 0; cut < length; cut++) {
        ProtobufCMessage *message = unpack(&lifeline__v1__command__descriptor, bytes, cut);
        if (cut == field_ends[0] || cut == field_ends[1] || cut == field_ends[2])
            assert_non_null(message);
        else
            assert_null(message);
        message_free(message);
    }
}

static const char *const good_texts[] = {
    "",
    "plain",
    "\x7f",
    "\xc2\x80",
    "\xdf\xbf",
    "\xe0\xa0\x80",
    "\xed\x9f\xbf",
    "\xee\x80\x80",
    "\xef\xbf\xbf",
    "\xf0\x90\x80\x80",
    "\xf4\x8f\xbf\xbf",
    "\xe6\xb3\xbd\xe5\xb7\x9e",
};

static const char *const bad_texts[] = {
    "\xff\xfe",
    "\x80",
    "a\xbf",
    "\xc0\x80",
    "\xc1\xbf",
    "\xc2",
    "\xc2\x41",
    "\xe0\x9f\xbf",
    "\xe6\xb3",
    "\xe6\xb3\x41",
    "\xed\xa0\x80",
    "\xed\xbf\xbf",
    "\xf0\x8f\xbf\xbf",
    "\xf0\x90\x80",
    "\xf4\x90\x80\x80",
    "\xf5\x80\x80\x80",
    "ok\xe6\xb3\xbd\xe5",
};

static bool accepted_as_note(const char *text)
{
    uint8_t bytes[ROOM];
    size_t length = pack_command("c-1", text, bytes, sizeof(bytes));
    ProtobufCMessage *message = unpack(&lifeline__v1__command__descriptor, bytes, length);
    message_free(message);
    return message != NULL;
}

static void test_utf8(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good_texts) / sizeof(good_texts[0]); i++)
        assert_true(accepted_as_note(good_texts[i]));
    for (size_t i = 0; i < sizeof(bad_texts) / sizeof(bad_texts[0]); i++)
        assert_false(accepted_as_note(bad_texts[i]));
}

/* Wherever a string can stand: plain, repeated, in a message, in the other arm of a oneof. */
static void test_utf8_everywhere(void **state)
{
    (void)state;
    char *bad[] = {(char *)"fine", (char *)"\xff"};
    uint8_t bytes[ROOM];

    assert_int_equal(pack_command("\xff", "ok", bytes, sizeof(bytes)) > 0, 1);
    size_t length = pack_command("\xff", "ok", bytes, sizeof(bytes));
    assert_null(unpack(&lifeline__v1__command__descriptor, bytes, length));

    Lifeline__V1__Point point = LIFELINE__V1__POINT__INIT;
    point.n_rules = 2;
    point.rules = bad;
    Lifeline__V1__Point *points[] = {&point};
    Lifeline__V1__Manifest manifest = LIFELINE__V1__MANIFEST__INIT;
    manifest.n_points = 1;
    manifest.points = points;
    length = message_pack(&manifest.base, bytes, sizeof(bytes));
    assert_null(unpack(&lifeline__v1__manifest__descriptor, bytes, length));
    point.n_rules = 1;
    length = message_pack(&manifest.base, bytes, sizeof(bytes));
    ProtobufCMessage *message = unpack(&lifeline__v1__manifest__descriptor, bytes, length);
    assert_non_null(message);
    message_free(message);

    Lifeline__V1__Confirm confirm = LIFELINE__V1__CONFIRM__INIT;
    confirm.uplink = bad[1];
    Lifeline__V1__Command command = LIFELINE__V1__COMMAND__INIT;
    command.what_case = LIFELINE__V1__COMMAND__WHAT_CONFIRM;
    command.confirm = &confirm;
    length = message_pack(&command.base, bytes, sizeof(bytes));
    assert_null(unpack(&lifeline__v1__command__descriptor, bytes, length));
}

/* Bytes are not text. */
static void test_bytes_may_be_anything(void **state)
{
    (void)state;
    uint8_t content[] = {0xff, 0x00, 0xfe}, bytes[ROOM];
    Lifeline__V1__DataBatch batch = LIFELINE__V1__DATA_BATCH__INIT;
    batch.zstd = (ProtobufCBinaryData){.len = sizeof(content), .data = content};
    size_t length = message_pack(&batch.base, bytes, sizeof(bytes));
    ProtobufCMessage *message = unpack(&lifeline__v1__data_batch__descriptor, bytes, length);
    assert_non_null(message);
    message_free(message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pack_needs_room),
        cmocka_unit_test(test_unpack),
        cmocka_unit_test(test_too_long_is_refused),
        cmocka_unit_test(test_truncated_is_refused),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_utf8_everywhere),
        cmocka_unit_test(test_bytes_may_be_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
