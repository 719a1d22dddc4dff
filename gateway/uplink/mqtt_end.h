/* How a connection ended, and who is to blame, out of what the broker, the socket and the library
 * said of it. Pure. */
#ifndef LIFELINE_MQTT_END_H
#define LIFELINE_MQTT_END_H

#include <stdbool.h>

enum mqtt_fault {
    MQTT_FAULT_LINK,   /* no way to the broker, or nothing was heard any more */
    MQTT_FAULT_BROKER, /* it closed, refused, or is no broker */
    MQTT_FAULT_OWN,    /* a file of ours, or its certificate */
    MQTT_FAULT_TAKEN,  /* another client came with our id */
};

/* How a connection, or the attempt at one, ended. */
struct mqtt_end {
    enum mqtt_fault fault;
    bool hung_up;     /* the peer closed or spoke no MQTT (and not that TLS failed) */
    bool over_packet; /* it may have done so over something that it was sent */
    char why[160];
};

/* What is known when it is over. */
struct mqtt_last {
    int rc;    /* MOSQ_ERR_..., of the library's last call */
    int error; /* its errno; 0 = none */
    bool version_5;
    bool connected;        /* the broker had accepted us */
    int refusal;           /* in CONNACK or DISCONNECT: a reason code; 0 = none */
    const char *moved;     /* where to, says the broker; "" = nowhere */
    const char *complaint; /* about its certificate; "" = none */
    const char *said;      /* the library's last word on an error; "" = none */
};

void mqtt_end_explain(const struct mqtt_last *last, struct mqtt_end *out);

/* Of an error of the socket. */
enum mqtt_fault mqtt_end_fault_of(int error);

/* Why a broker refused, in its protocol's words. */
const char *mqtt_reason(bool version_5, int reason);

#endif
