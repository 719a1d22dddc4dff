/* Commands as bytes: what is answered, what is done, what is remembered.
 * No broker, no store: who is asked to confirm is a stub here.
 * Bytes that are no command get no answer, because they name nobody; a command that comes twice is
 * done once. */
#include "gateway/uplink/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"

struct scene {
    struct commands *commands;
    struct command_world world;
    struct command_verdict verdict;
    struct command_confirm asked;
    enum command_ack ack;
    char acked[100]; /* id, actor, note */
    int times;
};

static struct command_verdict note_confirm(void *context, const struct command_confirm *confirm)
{
    struct scene *scene = context;
    scene->asked = *confirm;
    scene->times++;
    return scene->verdict;
}

static enum command_ack note_ack(void *context, const struct command_ack_order *order)
{
    struct scene *scene = context;
    snprintf(scene->acked, sizeof scene->acked, "%s %s %s", order->alarm, order->actor,
             order->note);
    scene->times++;
    return scene->ack;
}

static int set_up(void **state)
{
    static struct scene scene;
    scene = (struct scene){.commands = command_new(), .verdict = {COMMAND_OK, "", false}};
    scene.world = (struct command_world){"city", true, 1000000, note_confirm, note_ack, &scene};
    scene.ack = COMMAND_ACK_UNKNOWN;
    *state = &scene;
    return scene.commands ? 0 : -1;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    command_free(scene->commands);
    return 0;
}

static int answer_bytes(struct scene *scene, const uint8_t *bytes, size_t length, char id[200])
{
    uint8_t reply[COMMAND_REPLY_MAX];
    size_t packed = command_answer(scene->commands, bytes, length, &scene->world, reply);
    if (!packed)
        return 0;
    ProtobufCMessage *message =
        message_unpack(&lifeline__v1__command_reply__descriptor, reply, packed, sizeof reply);
    assert_non_null(message);
    Lifeline__V1__CommandReply *out = (Lifeline__V1__CommandReply *)message;
    int status = (int)out->status;
    strncpy(id, out->id, 199);
    message_free(message);
    return status;
}

static int answer(struct scene *scene, const Lifeline__V1__Command *command)
{
    uint8_t bytes[COMMAND_MAX];
    char id[200] = "";
    size_t length = message_pack(&command->base, bytes, sizeof bytes);
    int status = answer_bytes(scene, bytes, length, id);
    if (strlen(command->id) <= COMMAND_ID_MAX)
        assert_string_equal(id, command->id);
    return status;
}

static int confirm(struct scene *scene, const char *id, const char *uplink, int sector,
                   uint64_t first, uint64_t last)
{
    Lifeline__V1__Command command = LIFELINE__V1__COMMAND__INIT;
    Lifeline__V1__Confirm inner = LIFELINE__V1__CONFIRM__INIT;
    command.id = (char *)(uintptr_t)id;
    command.what_case = LIFELINE__V1__COMMAND__WHAT_CONFIRM;
    command.confirm = &inner;
    inner.uplink = (char *)(uintptr_t)uplink;
    inner.epoch = 7;
    inner.sector = (Lifeline__V1__Sector)sector;
    inner.first_seq = first;
    inner.last_seq = last;
    return answer(scene, &command);
}

static void a_confirmation_is_handed_on(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(confirm(scene, "a", "city", SECTOR_GAS, 3, 9), COMMAND_OK);
    assert_int_equal(scene->times, 1);
    assert_int_equal(scene->asked.epoch, 7);
    assert_int_equal(scene->asked.sector, SECTOR_GAS);
    assert_int_equal(scene->asked.first_seq, 3);
    assert_int_equal(scene->asked.last_seq, 9);
}

static void what_names_nothing_is_unknown(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(confirm(scene, "a", "farm", SECTOR_GAS, 1, 2), COMMAND_UNKNOWN);
    assert_int_equal(confirm(scene, "b", "city", 0, 1, 2), COMMAND_UNKNOWN);
    assert_int_equal(confirm(scene, "c", "city", SECTOR_COUNT, 1, 2), COMMAND_UNKNOWN);
    assert_int_equal(confirm(scene, "d", "city", -5, 1, 2), COMMAND_UNKNOWN);
    assert_int_equal(confirm(scene, "e", "city", SECTOR_GAS, 0, 2), COMMAND_UNKNOWN);
    assert_int_equal(confirm(scene, "f", "city", SECTOR_GAS, 3, 2), COMMAND_UNKNOWN);
    assert_int_equal(scene->times, 0);
}

static void twice_is_done_once_and_answered_alike(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(confirm(scene, "a", "city", SECTOR_GAS, 1, 2), COMMAND_OK);
    scene->verdict.status = COMMAND_UNKNOWN;
    assert_int_equal(confirm(scene, "a", "city", SECTOR_GAS, 1, 2), COMMAND_OK);
    assert_int_equal(scene->times, 1);
    assert_int_equal(confirm(scene, "", "city", SECTOR_GAS, 1, 2), COMMAND_UNKNOWN);
    assert_int_equal(confirm(scene, "", "city", SECTOR_GAS, 1, 2), COMMAND_UNKNOWN);
    assert_int_equal(scene->times, 3); /* without an id nothing is known to come twice */
}

static void a_passing_answer_is_not_remembered(void **state)
{
    struct scene *scene = *state;
    scene->verdict = (struct command_verdict){COMMAND_REFUSED, "busy", true};
    assert_int_equal(confirm(scene, "a", "city", SECTOR_GAS, 1, 2), COMMAND_REFUSED);
    scene->verdict = (struct command_verdict){COMMAND_OK, "", false};
    assert_int_equal(confirm(scene, "a", "city", SECTOR_GAS, 1, 2), COMMAND_OK);
}

static void too_late_is_expired_where_the_clock_is_believed(void **state)
{
    struct scene *scene = *state;
    Lifeline__V1__Command command = LIFELINE__V1__COMMAND__INIT;
    Lifeline__V1__AckAlarm ack = LIFELINE__V1__ACK_ALARM__INIT;
    command.what_case = LIFELINE__V1__COMMAND__WHAT_ACK;
    command.ack = &ack;
    command.not_after_ms = 999999;
    assert_int_equal(answer(scene, &command), COMMAND_EXPIRED);
    command.not_after_ms = 1000000;
    assert_int_equal(answer(scene, &command), COMMAND_UNKNOWN); /* no such alarm */
    command.not_after_ms = 5;
    scene->world.clock_is_believed = false;
    assert_int_equal(answer(scene, &command), COMMAND_UNKNOWN);
}

static void an_alarm_is_acknowledged_by_somebody(void **state)
{
    struct scene *scene = *state;
    Lifeline__V1__Command command = LIFELINE__V1__COMMAND__INIT;
    Lifeline__V1__AckAlarm ack = LIFELINE__V1__ACK_ALARM__INIT;
    command.what_case = LIFELINE__V1__COMMAND__WHAT_ACK;
    command.ack = &ack;
    command.actor = (char *)(uintptr_t) "王五";
    ack.note = (char *)(uintptr_t) "去看了";
    ack.alarm = (char *)(uintptr_t) "not an id";
    assert_int_equal(answer(scene, &command), COMMAND_UNKNOWN);
    assert_int_equal(scene->times, 0);
    ack.alarm = (char *)(uintptr_t) "01ARYZ6S410000000000000000";
    scene->ack = COMMAND_ACK_BUSY;
    command.id = (char *)(uintptr_t) "one";
    assert_int_equal(answer(scene, &command), COMMAND_REFUSED);
    scene->ack = COMMAND_ACK_TAKEN; /* "busy" is not remembered, "taken" is */
    assert_int_equal(answer(scene, &command), COMMAND_OK);
    assert_int_equal(answer(scene, &command), COMMAND_OK);
    assert_int_equal(scene->times, 2);
    assert_string_equal(scene->acked, "01ARYZ6S410000000000000000 王五 去看了");
}

static void anything_else_is_refused(void **state)
{
    struct scene *scene = *state;
    Lifeline__V1__Command command = LIFELINE__V1__COMMAND__INIT;
    char id[COMMAND_ID_MAX + 2];
    command.id = (char *)(uintptr_t) "x";
    assert_int_equal(answer(scene, &command), COMMAND_REFUSED);
    memset(id, 'i', sizeof id);
    id[sizeof id - 1] = '\0';
    assert_int_equal(confirm(scene, id, "city", SECTOR_GAS, 1, 2), COMMAND_REFUSED);
    id[COMMAND_ID_MAX] = '\0';
    assert_int_equal(confirm(scene, id, "city", SECTOR_GAS, 1, 2), COMMAND_OK);
    assert_int_equal(scene->times, 1);
}

static void bytes_that_are_no_command_are_not_answered(void **state)
{
    struct scene *scene = *state;
    char id[200];
    uint8_t large[COMMAND_MAX + 1] = {0};
    static const uint8_t not_utf8[] = {0x0a, 2, 0xff, 0xfe};
    assert_int_equal(answer_bytes(scene, large, 1, id), 0);
    assert_int_equal(answer_bytes(scene, not_utf8, sizeof not_utf8, id), 0);
    large[0] = 0x0a; /* an id that fills all of it */
    large[1] = 0xfe;
    large[2] = 0x1f;
    memset(large + 3, 'i', sizeof large - 3);
    assert_int_equal(answer_bytes(scene, large, sizeof large, id), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_confirmation_is_handed_on),
        TEST(what_names_nothing_is_unknown),
        TEST(twice_is_done_once_and_answered_alike),
        TEST(a_passing_answer_is_not_remembered),
        TEST(too_late_is_expired_where_the_clock_is_believed),
        TEST(an_alarm_is_acknowledged_by_somebody),
        TEST(anything_else_is_refused),
        TEST(bytes_that_are_no_command_are_not_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
