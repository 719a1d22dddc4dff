/* GET /v1/history?point=PATTERN&since_ms=T&until_ms=T: stored readings, one JSON object a line.
 *
 *     {"time_ms":1795000000000,"device":"well-017","point":"tilt_x","unit":"°","decimals":2,
 *      "value":1.25,"quality":"good"}                               (each in one line)
 *     {"end":true,"points":1,"readings":3600,"damaged_rows":0}      the last; else it was cut short
 *
 * Main thread. Owns nothing; scan.c has the scan. Never writes to the store. */
#include "gateway/api/scan.h"

#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>

#include "gateway/api/history_line.h"

enum { PATTERNS_MAX = 1024 }; /* more do not fit a request's headers */

static enum scan_step fill(void *what, struct evbuffer *chunk)
{
    struct history *history = what;
    char line[HISTORY_LINE_MAX];
    struct history_reading reading;
    while (evbuffer_get_length(chunk) < SCAN_CHUNK_BYTES) {
        switch (history_next(history, &reading)) {
        case HISTORY_READING:
            evbuffer_add(chunk, line, history_line(&reading, line));
            break;
        case HISTORY_FETCH:
            return SCAN_FETCH;
        case HISTORY_END:
        case HISTORY_FAILED:
            evbuffer_add(chunk, line, history_line_last(history, line));
            return SCAN_END;
        }
    }
    return SCAN_FULL;
}

static const char *missing(const void *what)
{
    const struct history_end end = history_end(what);
    return end.points || end.why ? NULL : "no point matches";
}

static const struct scan_kind kind = {fill, missing};

static struct history *scan_of(const struct evkeyvalq *query, const struct scan_span *span)
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
    return history_new(patterns, count, span->since_ms, span->until_ms);
}

void history_answer(struct api *api, struct evhttp_request *request, const char *name)
{
    struct evkeyvalq query;
    struct scan_span span;
    (void)name;
    if (!api_parse(request, &query))
        return;
    if (scan_span(request, &query, clock_wall().ms - HISTORY_SINCE_MS, &span)) {
        struct history *history = scan_of(&query, &span);
        scan_begin(api, request, &kind, history, history ? history_loan(history) : NULL);
    }
    evhttp_clear_headers(&query);
}
