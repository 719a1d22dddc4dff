/* Commands from the platform: judged, done, answered. Their bytes come from outside. */
#ifndef LIFELINE_COMMAND_H
#define LIFELINE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/names.h"

enum {
    COMMAND_MAX = 4096, /* bytes; longer ones are not read */
    COMMAND_ID_MAX = 64,
    COMMAND_REPLY_MAX = 256,
};

/* The same numbers as on the wire. */
enum command_status {
    COMMAND_OK = 1,
    COMMAND_UNKNOWN = 2,
    COMMAND_REFUSED = 3,
    COMMAND_EXPIRED = 4,
};

struct command_verdict {
    enum command_status status;
    const char *text; /* for people; a constant */
    bool passing;     /* another time the answer may be another: not remembered */
};

struct command_confirm {
    uint64_t epoch;
    enum sector sector;
    uint64_t first_seq, last_seq;
};

/* A person takes an alarm. */
struct command_ack_order {
    const char *alarm; /* its id */
    const char *actor, *note;
};

enum command_ack { COMMAND_ACK_TAKEN, COMMAND_ACK_UNKNOWN, COMMAND_ACK_BUSY };

/* Who is asked; confirm() is only called with a sector that exists and a range that is one, ack()
 * with an id that can be one. */
struct command_world {
    const char *uplink;
    bool clock_is_believed;
    int64_t now_ms;
    struct command_verdict (*confirm)(void *context, const struct command_confirm *confirm);
    enum command_ack (*ack)(void *context, const struct command_ack_order *order);
    void *context;
};

struct commands;

/* Remembers the latest answers, so that a command that comes twice is answered alike. NULL without
 * memory. */
struct commands *command_new(void);
void command_free(struct commands *commands);

/* Returns the length of the CommandReply in `reply`, or 0 when the bytes are no Command: then there
 * is nobody to answer. */
size_t command_answer(struct commands *commands, const uint8_t *bytes, size_t length,
                      const struct command_world *world, uint8_t reply[COMMAND_REPLY_MAX]);

#endif
