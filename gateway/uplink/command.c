/* Commands: unpack, judge, do, pack the reply.
 * Runs in its uplink's thread; owns the memory of the latest answers. Only AckAlarm and Confirm are
 * known, and neither is signed: whatever else comes is refused. Hostile bytes are ordinary here.
 * Never publishes, never touches the store itself, never logs. */
#include "gateway/uplink/command.h"

#include <stdlib.h>
#include <string.h>

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"
#include "proto/ulid.h"

enum { REMEMBERED = 32 };

struct answer {
    char id[COMMAND_ID_MAX + 1];
    struct command_verdict verdict;
};

struct commands {
    struct answer answers[REMEMBERED];
    size_t next;
};

struct commands *command_new(void)
{
    return calloc(1, sizeof(struct commands));
}

void command_free(struct commands *commands)
{
    free(commands);
}

static const struct answer *recall(const struct commands *commands, const char *id)
{
    for (size_t i = 0; i < REMEMBERED && id[0]; i++) {
        if (strcmp(commands->answers[i].id, id) == 0)
            return &commands->answers[i];
    }
    return NULL;
}

static void remember(struct commands *commands, const char *id,
                     const struct command_verdict *verdict)
{
    if (!id[0] || verdict->passing)
        return;
    struct answer *answer = &commands->answers[commands->next++ % REMEMBERED];
    memcpy(answer->id, id, strlen(id) + 1);
    answer->verdict = *verdict;
}

static struct command_verdict confirm(const struct command_world *world,
                                      const Lifeline__V1__Confirm *message)
{
    const struct command_confirm confirm = {message->epoch, (enum sector)message->sector,
                                            message->first_seq, message->last_seq};
    if (strcmp(message->uplink, world->uplink) != 0)
        return (struct command_verdict){COMMAND_UNKNOWN, "this is not that uplink", false};
    /* proto3 enums are open: any number may stand there */
    if ((int)message->sector <= 0 || (int)message->sector >= SECTOR_COUNT)
        return (struct command_verdict){COMMAND_UNKNOWN, "no such sector", false};
    if (!confirm.first_seq || confirm.last_seq < confirm.first_seq)
        return (struct command_verdict){COMMAND_UNKNOWN, "no range of numbers", false};
    return world->confirm(world->context, &confirm);
}

static struct command_verdict ack(const struct command_world *world,
                                  const Lifeline__V1__Command *command)
{
    const struct command_ack_order order = {command->ack->alarm, command->actor,
                                            command->ack->note};
    if (!ulid_is(order.alarm))
        return (struct command_verdict){COMMAND_UNKNOWN, "that is no id of an alarm", false};
    switch (world->ack(world->context, &order)) {
    case COMMAND_ACK_TAKEN:
        return (struct command_verdict){COMMAND_OK, "", false};
    case COMMAND_ACK_BUSY:
        return (struct command_verdict){COMMAND_REFUSED, "busy, ask again", true};
    case COMMAND_ACK_UNKNOWN:
        break;
    }
    return (struct command_verdict){COMMAND_UNKNOWN, "no such alarm is up", true};
}

static struct command_verdict judge(const struct command_world *world,
                                    const Lifeline__V1__Command *command)
{
    if (command->not_after_ms && world->clock_is_believed && world->now_ms > command->not_after_ms)
        return (struct command_verdict){COMMAND_EXPIRED, "came after not_after_ms", false};
    switch (command->what_case) {
    case LIFELINE__V1__COMMAND__WHAT_CONFIRM:
        return confirm(world, command->confirm);
    case LIFELINE__V1__COMMAND__WHAT_ACK:
        return ack(world, command);
    case LIFELINE__V1__COMMAND__WHAT__NOT_SET:
    case _LIFELINE__V1__COMMAND__WHAT__CASE_IS_INT_SIZE:
        break;
    }
    return (struct command_verdict){COMMAND_REFUSED, "only AckAlarm and Confirm are taken", false};
}

size_t command_answer(struct commands *commands, const uint8_t *bytes, size_t length,
                      const struct command_world *world, uint8_t reply[COMMAND_REPLY_MAX])
{
    ProtobufCMessage *message =
        message_unpack(&lifeline__v1__command__descriptor, bytes, length, COMMAND_MAX);
    if (!message)
        return 0;
    Lifeline__V1__Command *command = (Lifeline__V1__Command *)message;
    struct command_verdict verdict = {COMMAND_REFUSED, "id is longer than 64 bytes", false};
    bool id_fits = strlen(command->id) <= COMMAND_ID_MAX;
    const struct answer *before = id_fits ? recall(commands, command->id) : NULL;
    if (before) {
        verdict = before->verdict;
    } else if (id_fits) {
        verdict = judge(world, command);
        remember(commands, command->id, &verdict);
    }
    Lifeline__V1__CommandReply out = LIFELINE__V1__COMMAND_REPLY__INIT;
    if (id_fits)
        out.id = command->id;
    out.status = (Lifeline__V1__ReplyStatus)verdict.status;
    out.text = (char *)(uintptr_t)verdict.text; /* packing only reads it */
    size_t packed = message_pack(&out.base, reply, COMMAND_REPLY_MAX);
    message_free(message);
    return packed;
}
