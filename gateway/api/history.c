/* GET /v1/history?point=PATTERN&since_ms=T&until_ms=T: stored readings, one JSON object a line.
 *
 *     {"time_ms":1795000000000,"device":"well-017","point":"tilt_x","unit":"°","decimals":2,
 *      "value":1.25,"quality":"good"}                               (each in one line)
 *     {"end":true,"points":1,"readings":3600,"damaged_rows":0}      the last; else it was cut short
 *
 * Main thread. The store thread fetches slice by slice; between two of them, and while the client
 * has not taken the last chunk, nothing moves: a slow client costs a chunk and what one scan may
 * hold, and one that goes away ends its scan. Never waits, never writes to the store. */
#include "gateway/api/internal.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "config/scalar.h"
#include "gateway/api/history_line.h"

enum {
    SCANS_MAX = 4,
    PATTERNS_MAX = 1024,     /* more do not fit a request's headers */
    CHUNK_BYTES = 64 * 1024, /* unsent to a client, at most a line more */
    INPUT_BYTES = 1024,      /* while it is answered it has nothing more to say */
    WRITE_SECONDS = 60,      /* for a chunk; then it is gone */
};

struct scan {
    LIST_ENTRY(scan) link;
    struct scans *scans;
    struct evhttp_request *request;
    struct history *history;
    bool lent;    /* the store has it */
    bool begun;   /* the status has gone out */
    bool writing; /* the client has not taken the last chunk */
};

struct scans {
    struct api *api;
    int wake_fd;
    struct event *woken;
    LIST_HEAD(, scan) scans;
    size_t count;
};

static void on_wake(evutil_socket_t fd, short what, void *context);

struct scans *history_scans_new(struct api *api)
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
    history_scans_free(scans);
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
    history_abandon(scans->api->rooms.store, scan->history);
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

void history_scans_free(struct scans *scans)
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
        if (!scan->lent || !history_back(scans->api->rooms.store, scan->history))
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

/* Lines into the chunk until it is full or the scan needs the store again. */
static enum history_step fill(struct scan *scan, struct evbuffer *chunk)
{
    char line[HISTORY_LINE_MAX];
    struct history_reading reading;
    enum history_step step = HISTORY_READING;
    while (step == HISTORY_READING && evbuffer_get_length(chunk) < CHUNK_BYTES) {
        step = history_next(scan->history, &reading);
        if (step == HISTORY_READING)
            evbuffer_add(chunk, line, history_line(&reading, line));
    }
    if (step == HISTORY_END || step == HISTORY_FAILED)
        evbuffer_add(chunk, line, history_line_last(scan->history, line));
    return step;
}

static void end(struct scan *scan, enum history_step step)
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
    if (step == HISTORY_END)
        api_error(request, HTTP_NOTFOUND, "no point matches");
    else
        api_error(request, HTTP_INTERNAL, "out of memory");
}

/* Goes on until the client or the store has to do something. */
static void pump(struct scan *scan)
{
    struct evbuffer *chunk = evbuffer_new();
    enum history_step step = chunk ? fill(scan, chunk) : HISTORY_FAILED;
    bool over = step == HISTORY_END || step == HISTORY_FAILED;
    bool unknown = !scan->begun && step == HISTORY_END && history_end(scan->history).points == 0;
    if (chunk && evbuffer_get_length(chunk) && !unknown) {
        if (!scan->begun)
            begin_reply(scan);
        scan->writing = !over;
        evhttp_send_reply_chunk_with_cb(scan->request, chunk, over ? NULL : on_written, scan);
    }
    if (chunk)
        evbuffer_free(chunk);
    if (over) {
        end(scan, step);
    } else if (step == HISTORY_FETCH) {
        scan->lent = true;
        history_lend(scan->scans->api->rooms.store, scan->history, wake, scan->scans);
    }
}

/* A time of the query; false when it is no number. */
static bool time_of(const struct evkeyvalq *query, const char *key, int64_t otherwise, int64_t *out)
{
    const char *text = evhttp_find_header(query, key);
    *out = otherwise;
    return !text || scalar_integer(text, out);
}

static struct history *scan_of(const struct evkeyvalq *query, int64_t since_ms, int64_t until_ms)
{
    const char *patterns[PATTERNS_MAX];
    const struct evkeyval *entry;
    size_t count = 0;
    TAILQ_FOREACH(entry, query, next)
    {
        if (strcmp(entry->key, "point") == 0 && count < PATTERNS_MAX)
            patterns[count++] = entry->value;
    }
    if (count == 0)
        patterns[count++] = "*";
    return history_new(patterns, count, since_ms, until_ms);
}

static void start(struct scans *scans, struct evhttp_request *request, struct scan *scan)
{
    const struct timeval patience = {.tv_sec = WRITE_SECONDS};
    struct evhttp_connection *connection = evhttp_request_get_connection(request);
    struct bufferevent *stream = evhttp_connection_get_bufferevent(connection);
    scan->scans = scans;
    scan->request = request;
    LIST_INSERT_HEAD(&scans->scans, scan, link);
    scans->count++;
    evhttp_connection_set_closecb(connection, on_close, scan);
    bufferevent_set_timeouts(stream, NULL, &patience);
    bufferevent_setwatermark(stream, EV_READ, 0, INPUT_BYTES);
    pump(scan);
}

void history_answer(struct api *api, struct evhttp_request *request, const char *name)
{
    struct evkeyvalq query;
    int64_t since_ms, until_ms;
    (void)name;
    if (!api_parse(request, &query))
        return;
    if (!time_of(&query, "since_ms", clock_wall().ms - HISTORY_SINCE_MS, &since_ms) ||
        !time_of(&query, "until_ms", INT64_MAX, &until_ms)) {
        evhttp_clear_headers(&query);
        api_error(request, HTTP_BADREQUEST, "since_ms and until_ms are milliseconds, UTC");
        return;
    }
    struct scan *scan = api->scans->count < SCANS_MAX ? calloc(1, sizeof *scan) : NULL;
    if (scan)
        scan->history = scan_of(&query, since_ms, until_ms);
    evhttp_clear_headers(&query);
    if (scan && scan->history) {
        start(api->scans, request, scan);
        return;
    }
    free(scan);
    api_error(request, HTTP_SERVUNAVAIL, "too many scans at once");
}
