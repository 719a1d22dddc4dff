/* The daemon's API from the other side of the socket. */
#ifndef LIFELINE_CLIENT_H
#define LIFELINE_CLIENT_H

#include "gateway/ctl/ctl.h"

/* Asks once; the caller owns *body. Whatever goes wrong is said on stderr. */
enum ctl_exit client_ask(const struct ctl *ctl, const char *method, const char *path, json_t **body)
    __attribute__((warn_unused_result));

/* Hands over every event until Ctrl-C (CTL_FINE) or until the daemon ends. */
enum ctl_exit client_follow(const struct ctl *ctl, const char *path,
                            void (*event)(void *context, const json_t *body), void *context)
    __attribute__((warn_unused_result));

/* Hands over every line of an answer that streams, until it ends. Not found is a finding here. When
 * nobody answers at all *nobody is set, and nothing said. */
enum ctl_exit client_lines(const struct ctl *ctl, const char *path,
                           void (*line)(void *context, const char *line), void *context,
                           bool *nobody) __attribute__((warn_unused_result));

/* What has come of an answer, as a string. client_keep() is a curl_write_callback whose data is
 * one. The owner frees the text. */
struct client_text {
    char *text; /* NULL: nothing yet */
    size_t length;
};
size_t client_keep(char *bytes, size_t one, size_t count, void *kept);

/* Appends text to a path or query with everything that means something there escaped. */
void client_escape(FILE *path, const char *text);

#endif
