/* The session: a connection to one of an uplink's brokers, whichever can be had; lost, sought and
 * found again. One an uplink, in its thread; nothing here blocks.
 *
 *     pause -> name -> TCP, TLS, CONNECT -> up -> lost -> pause ... */
#ifndef LIFELINE_SESSION_H
#define LIFELINE_SESSION_H

#include <poll.h>

#include "gateway/uplink/mqtt.h"

struct session;

/* Called from session_begin(), session_service() and session_leave(). */
struct session_handlers {
    bool (*will)(void *context, struct mqtt_message *out); /* for a CONNECT; false: there is none */
    void (*up)(void *context);                             /* session_mqtt() is there */
    /* It goes after this. True: what was being sent may have ended it, and less of it will be sent
     * next; so that is not to wait long. */
    bool (*down)(void *context, bool over_packet);
    void (*acknowledged)(void *context, int mid, int reason);
    void (*subscribed)(void *context, int mid, int reason);
    void (*message)(void *context, const struct mqtt_incoming *message);
};

struct session *session_new(const struct settings *settings, const struct settings_uplink *own,
                            const struct session_handlers *handlers, void *context);
void session_free(struct session *session);

/* The uplink is what it was, its settings lie elsewhere now. Between two turns. */
void session_rebind(struct session *session, const struct settings_uplink *own);

/* One turn: begin what is due, wait with poll(), service what it said. */
enum { SESSION_FDS = 2 };

void session_begin(struct session *session);
void session_wait(const struct session *session, struct pollfd fds[SESSION_FDS], int *timeout_ms);
void session_service(struct session *session, const struct pollfd fds[SESSION_FDS]);

/* The connection while it is up, or NULL; and whether it is MQTT 5. */
struct mqtt *session_mqtt(const struct session *session);
bool session_is_5(const struct session *session);

/* The broker does not do its work: to be lost and sought anew. */
void session_give_up(struct session *session, const char *why);

/* A better broker than this one is there again: say goodbye, then session_leave() for it. */
bool session_may_return(const struct session *session);
void session_leave(struct session *session);

/* ---- any thread ---- */

struct session_status {
    bool connected;
    uint8_t mqtt_version; /* 5 or 4 (3.1.1), of the connection */
    size_t url;           /* index of the one in use */
    mono_time since;      /* of the connection, or of its loss */
    uint64_t connects;
    char why[160];      /* the last failure; "" while connected */
    char last_why[160]; /* likewise, and still while connected */
};

void session_status(struct session *session, struct session_status *out);

#endif
