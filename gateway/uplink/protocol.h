/* Which MQTT to speak to a broker: 5 where it can, 3.1.1 where it must. Pure.
 *
 * Only a broker that refuses 5 in so many words, or hangs up on it before and after it took 3.1.1,
 * is spoken to in 3.1.1: there a refusal by ACL looks like a delivery, so a broker that merely goes
 * down at the wrong moment must not lead there. */
#ifndef LIFELINE_PROTOCOL_H
#define LIFELINE_PROTOCOL_H

#include <stdbool.h>

struct protocol {
    bool is_5;      /* to be spoken now */
    bool knows_5;   /* this broker has taken 5 */
    bool refused_5; /* in so many words */
    bool took_311;  /* after a hang-up on 5, so that 5 is asked for once more */
    bool means_311; /* and hung up on 5 again */
};

/* How a connection, or an attempt at one, ended. */
enum protocol_end {
    PROTOCOL_END_USED,    /* it was accepted and used */
    PROTOCOL_END_VERSION, /* the broker refused the version */
    PROTOCOL_END_HUNG_UP, /* it closed before it answered CONNECT */
    PROTOCOL_END_OTHER,
};

/* A broker of which nothing is known. */
void protocol_start(struct protocol *protocol);

/* CONNACK 0. False: not to be used, ask for 5 once more. */
bool protocol_accepted(struct protocol *protocol);

/* Sets is_5 for the next attempt. */
void protocol_ended(struct protocol *protocol, enum protocol_end end);

#endif
