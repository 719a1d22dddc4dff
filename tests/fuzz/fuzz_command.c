/* libFuzzer target: any bytes as a command from the platform.
 *
 * One thread. Nothing may crash or leak; what is answered is a CommandReply with a status, and only
 * ranges of sectors that exist are handed on. */
#include <stdint.h>
#include <stdlib.h>

#include "gateway/uplink/command.h"
#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"
#include "proto/ulid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct command_verdict take(void *context, const struct command_confirm *confirm)
{
    (void)context;
    if (confirm->sector <= SECTOR_UNSPECIFIED || confirm->sector >= SECTOR_COUNT ||
        !confirm->first_seq || confirm->first_seq > confirm->last_seq)
        abort();
    return (struct command_verdict){COMMAND_OK, "", confirm->first_seq % 2 == 0};
}

static enum command_ack take_alarm(void *context, const struct command_ack_order *order)
{
    (void)context;
    if (!ulid_is(order->alarm) || !order->actor || !order->note)
        abort();
    return COMMAND_ACK_TAKEN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct command_world world = {"city", size % 2 == 0, 1000, take, take_alarm, NULL};
    uint8_t reply[COMMAND_REPLY_MAX];
    struct commands *commands = command_new();
    for (int twice = 0; commands && twice < 2; twice++) {
        size_t length = command_answer(commands, data, size, &world, reply);
        if (!length)
            continue;
        ProtobufCMessage *message =
            message_unpack(&lifeline__v1__command_reply__descriptor, reply, length, sizeof reply);
        if (!message || !((Lifeline__V1__CommandReply *)message)->status)
            abort();
        message_free(message);
    }
    command_free(commands);
    return 0;
}
