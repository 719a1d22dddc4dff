/* Answers out of the store: one JSON object a line, for as long as it takes.
 *
 * Main thread. The store thread fetches slice by slice; between two of them, and while the client
 * has not taken the last chunk, nothing moves: a slow client costs a chunk and what one scan may
 * hold, and one that goes away ends its scan. What is scanned knows scan_kind, nobody here. Never
 * waits, never writes to the store. */
#include "gateway/api/scan.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "config/scalar.h"

enum {
    SCANS_MAX = 4,
    INPUT_BYTES = 1024, /* while it is answered it has nothing more to say */
    WRITE_SECONDS = 60, /* for a chunk; then it is gone */
};

struct scan {
    LIST_ENTRY(scan) link;
    struct scans *scans;
    struct evhttp_request *request;
    const struct scan_kind *kind;
    void *what;
    struct loan *loan; /* its way to the store */
    bool lent;         /* the store has it */
    bool begun;        /* the status has gone out */
    bool writing;      /* the client has not taken the last chunk */
};

struct scans {
    struct api *api;
    int wake_fd;
    struct event *woken;
    LIST_HEAD(, scan) scans;
    size_t count;
};

static void on_wake(evutil_socket_t fd, short what, void *context);

struct scans *scans_new(struct api *api)
{
    struct scans *scans = calloc(1, sizeof *scans);
    if (!scans)
        return NULL;
    scans->api = api;
    LIST_INIT(&scans->scans);
    scans->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (scans->wake_fd >= 0)
        scans->woken = event_new(api->base, scans->wake_fd, EV_READ | EV_PERSIST, on_wake, scans);
    if (scans->woken && event_add(scans->woken, NULL) == 0)
        return scans;
    scans_free(scans);
    return NULL;
}

/* The store thread calls it. */
static void wake(void *context)
{
    const struct scans *scans = context;
    uint64_t one = 1;
    if (write(scans->wake_fd, &one, sizeof one) < 0)
        return; /* the counter is full: it is awake already */
}

static void forget(struct scan *scan)
{
    struct scans *scans = scan->scans;
    LIST_REMOVE(scan, link);
    loan_abandon(scans->api->rooms.store, scan->loan);
    free(scan);
    if (--scans->count == 0)
        malloc_trim(0); /* a scan takes what a small daemon does not keep */
}

/* libevent has let go of the connection; the request is ours until it is ended. */
static void on_close(struct evhttp_connection *connection, void *context)
{
    struct scan *scan = context;
    (void)connection;
    evhttp_send_reply_end(scan->request);
    forget(scan);
}

void scans_free(struct scans *scans)
{
    if (!scans)
        return;
    while (!LIST_EMPTY(&scans->scans)) {
        struct scan *scan = LIST_FIRST(&scans->scans);
        struct evhttp_connection *connection = evhttp_request_get_connection(scan->request);
        evhttp_connection_set_closecb(connection, NULL, NULL);
        evhttp_connection_free(connection);
        forget(scan);
    }
    if (scans->woken)
        event_free(scans->woken);
    if (scans->wake_fd >= 0)
        close(scans->wake_fd);
    free(scans);
}

static void pump(struct scan *scan);

static void on_written(struct evhttp_connection *connection, void *context)
{
    struct scan *scan = context;
    (void)connection;
    scan->writing = false;
    if (!scan->lent)
        pump(scan);
}

static void on_wake(evutil_socket_t fd, short what, void *context)
{
    struct scans *scans = context;
    struct scan *scan = LIST_FIRST(&scans->scans), *next;
    uint64_t count;
    (void)what;
    if (read(fd, &count, sizeof count) < 0)
        return;
    for (; scan; scan = next) {
        next = LIST_NEXT(scan, link);
        if (!scan->lent || !loan_back(scans->api->rooms.store, scan->loan))
            continue;
        scan->lent = false;
        if (!scan->writing)
            pump(scan);
    }
}

static void begin_reply(struct scan *scan)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(scan->request);
    evhttp_add_header(headers, "Content-Type", "application/x-ndjson");
    evhttp_add_header(headers, "Cache-Control", "no-store");
    /* its time-outs are not those of a connection that rests */
    evhttp_add_header(headers, "Connection", "close");
    evhttp_send_reply_start(scan->request, HTTP_OK, NULL);
    scan->begun = true;
}

static void end(struct scan *scan, const char *missing)
{
    struct evhttp_request *request = scan->request;
    bool begun = scan->begun;
    evhttp_connection_set_closecb(evhttp_request_get_connection(request), NULL, NULL);
    forget(scan);
    if (begun) {
        evhttp_send_reply_end(request);
        return;
    }
    evhttp_add_header(evhttp_request_get_output_headers(request), "Connection", "close");
    if (missing)
        api_error(request, HTTP_NOTFOUND, missing);
    else
        api_error(request, HTTP_INTERNAL, "out of memory");
}

/* Goes on until the client or the store has to do something. */
static void pump(struct scan *scan)
{
    struct evbuffer *chunk = evbuffer_new();
    enum scan_step step = chunk ? scan->kind->fill(scan->what, chunk) : SCAN_END;
    bool over = step == SCAN_END;
    const char *missing = over && chunk && !scan->begun ? scan->kind->missing(scan->what) : NULL;
    if (chunk && evbuffer_get_length(chunk) && !missing) {
        if (!scan->begun)
            begin_reply(scan);
        scan->writing = !over;
        evhttp_send_reply_chunk_with_cb(scan->request, chunk, over ? NULL : on_written, scan);
    }
    if (chunk)
        evbuffer_free(chunk);
    if (over) {
        end(scan, missing);
    } else if (step == SCAN_FETCH) {
        scan->lent = true;
        loan_lend(scan->scans->api->rooms.store, scan->loan, wake, scan->scans);
    }
}

/* A time of the query; false when it is no number. */
static bool time_of(const struct evkeyvalq *query, const char *key, int64_t otherwise, int64_t *out)
{
    const char *text = evhttp_find_header(query, key);
    *out = otherwise;
    return !text || scalar_integer(text, out);
}

bool scan_span(struct evhttp_request *request, const struct evkeyvalq *query, int64_t since_ms,
               struct scan_span *out)
{
    if (time_of(query, "since_ms", since_ms, &out->since_ms) &&
        time_of(query, "until_ms", INT64_MAX, &out->until_ms))
        return true;
    api_error(request, HTTP_BADREQUEST, "since_ms and until_ms are milliseconds, UTC");
    return false;
}

void scan_begin(struct api *api, struct evhttp_request *request, const struct scan_kind *kind,
                void *what, struct loan *loan)
{
    const struct timeval patience = {.tv_sec = WRITE_SECONDS};
    struct scans *scans = api->scans;
    struct scan *scan = what && scans->count < SCANS_MAX ? calloc(1, sizeof *scan) : NULL;
    if (!scan) {
        if (what)
            loan->free(loan);
        api_error(request, HTTP_SERVUNAVAIL, "too many scans at once");
        return;
    }
    struct evhttp_connection *connection = evhttp_request_get_connection(request);
    struct bufferevent *stream = evhttp_connection_get_bufferevent(connection);
    *scan =
        (struct scan){.scans = scans, .request = request, .kind = kind, .what = what, .loan = loan};
    LIST_INSERT_HEAD(&scans->scans, scan, link);
    scans->count++;
    evhttp_connection_set_closecb(connection, on_close, scan);
    bufferevent_set_timeouts(stream, NULL, &patience);
    bufferevent_setwatermark(stream, EV_READ, 0, INPUT_BYTES);
    pump(scan);
}
