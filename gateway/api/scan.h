/* Answers that come out of the store line by line: what a scan is to the API. */
#ifndef LIFELINE_API_SCAN_H
#define LIFELINE_API_SCAN_H

#include "gateway/api/internal.h"
#include "gateway/store/loan.h"

struct evbuffer;

enum { SCAN_CHUNK_BYTES = 64 * 1024 }; /* unsent to a client, at most a line more */

enum scan_step {
    SCAN_FULL,  /* the chunk */
    SCAN_FETCH, /* the store is to fetch more */
    SCAN_END,   /* the last line is in the chunk */
};

struct scan_kind {
    /* Lines into the chunk until it is full or more has to be fetched; the last one begins with
     * {"end": and says what is missing of the others. */
    enum scan_step (*fill)(void *what, struct evbuffer *chunk);
    /* At the end of one that had no line but the last: why it is "not found"; NULL: it is an answer
     */
    const char *(*missing)(const void *what);
};

/* Takes `what` over, which the loan frees; NULL stands for "out of memory". Answers. */
void scan_begin(struct api *api, struct evhttp_request *request, const struct scan_kind *kind,
                void *what, struct loan *loan);

struct scan_span {
    int64_t since_ms, until_ms;
};

/* since_ms and until_ms of the query, since_ms as given here where it is not there; false: they are
 * no numbers, and that has been answered. */
bool scan_span(struct evhttp_request *request, const struct evkeyvalq *query, int64_t since_ms,
               struct scan_span *out) __attribute__((warn_unused_result));

#endif
