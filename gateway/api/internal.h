/* What the files of the API share among themselves. Nobody else includes it. */
#ifndef LIFELINE_API_INTERNAL_H
#define LIFELINE_API_INTERNAL_H

#include <event2/http.h>
#include <jansson.h>

#include "gateway/api/api.h"

struct api {
    struct event_base *base;
    struct api_rooms rooms;
    struct evhttp *http;
};

/* socket.c: a listening descriptor, or -1 with the reason in why. */
int socket_listen(const char *path, char *why, size_t why_size);

/* Answers with JSON; takes the reference. NULL stands for "out of memory". */
void api_reply(struct evhttp_request *request, int code, json_t *body);

/* Answers {"error": text}. */
void api_error(struct evhttp_request *request, int code, const char *text);

#endif
