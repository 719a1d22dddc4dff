/* Is what came first from a broker a CONNACK, or does somebody else live there? Pure. */
#ifndef LIFELINE_CONNACK_H
#define LIFELINE_CONNACK_H

#include <stddef.h>
#include <stdint.h>

enum connack_verdict {
    CONNACK_FINE,
    CONNACK_MORE,  /* not all of it has come yet */
    CONNACK_ALIEN, /* no broker speaks so */
};

/* A CONNACK longer than this is nobody's. */
enum { CONNACK_MAX = 1024 };

/* Judges the first bytes of a connection: MQTT 3.1.1 and 5. */
enum connack_verdict connack_judge(const uint8_t *bytes, size_t length);

#endif
