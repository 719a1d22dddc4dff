/* A scan through the history: its making and its end.
 *
 * A scan belongs to one side at a time, loan.h says how; history_open() and history_close() run in
 * a program without a daemon, everything else wherever the asker lives. Never writes to the
 * database, not even to mend what a crash left. */
#include "gateway/store/history_parts.h"
#include "gateway/store/internal.h"
#include "gateway/store/database.h"
#include "gateway/store/lock.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool history_fail(struct history *history, const char *why)
{
    history->phase = HISTORY_PHASE_FAILED;
    snprintf(history->why, sizeof history->why, "%s", why);
    return false;
}

static void fetch(struct store *store, struct loan *loan)
{
    history_fetch(store, (struct history *)loan);
}

static void release(struct loan *loan)
{
    history_free((struct history *)loan);
}

struct loan *history_loan(struct history *history)
{
    return &history->loan;
}

struct history *history_new(const char *const *patterns, size_t count, int64_t since_ms,
                            int64_t until_ms)
{
    struct history *history = calloc(1, sizeof *history);
    if (!history)
        return NULL;
    history->loan = (struct loan){.fetch = fetch, .free = release};
    history->since_ms = since_ms;
    history->until_ms = until_ms;
    history->patterns = calloc(count + 1, sizeof *history->patterns);
    for (size_t i = 0; history->patterns && i < count; i++) {
        history->patterns[i] = strdup(patterns[i]);
        if (!history->patterns[i])
            break;
        history->pattern_count++;
    }
    if (history->patterns && history->pattern_count == count)
        return history;
    history_free(history);
    return NULL;
}

void history_free(struct history *history)
{
    if (!history)
        return;
    history_merge_drop(history);
    while (history->open) {
        struct history_row *row = history->open;
        history->open = row->next;
        history_row_free(row);
    }
    for (size_t i = 0; i < history->pattern_count; i++)
        free(history->patterns[i]);
    free(history->patterns);
    free(history->epochs);
    free(history->heap);
    free(history);
}

struct history_row *history_row_new(int64_t base_ms, const uint8_t *body, size_t length)
{
    struct history_row *row = malloc(sizeof *row + length);
    if (!row)
        return NULL;
    *row = (struct history_row){.base_ms = base_ms, .length = length};
    memcpy(row->bytes, body, length);
    return row;
}

void history_row_free(struct history_row *row)
{
    free(row->cursors);
    free(row);
}

struct history_end history_end(const struct history *history)
{
    return (struct history_end){
        .points = history->points,
        .readings = history->readings,
        .damaged_rows = history->corrupt,
        .incomplete = history->incomplete,
        .why = history->phase == HISTORY_PHASE_FAILED ? history->why : NULL,
    };
}

/* ---- without a daemon ---- */

enum history_open history_open(const struct settings *settings, struct store **out, char *why,
                               size_t why_size)
{
    const char *path = settings->store.path;
    struct store *store = NULL;
    enum history_open result = HISTORY_NO_STORE;
    *out = NULL;
    if (access(path, F_OK) != 0) {
        snprintf(why, why_size, "there is no store at %s", path);
        return HISTORY_NO_STORE;
    }
    store = calloc(1, sizeof *store);
    if (!store) {
        snprintf(why, why_size, "out of memory");
        return HISTORY_NO_STORE;
    }
    store->settings = settings;
    switch (lock_take(path, &store->lock_fd, why, why_size)) {
    case LOCK_TAKEN:
        if (database_read_only(store, why, why_size))
            result = HISTORY_OPENED;
        break;
    case LOCK_BY_READER:
    case LOCK_BY_OTHER:
        result = HISTORY_IN_USE;
        break;
    case LOCK_FAILED:
        break;
    }
    if (result == HISTORY_OPENED)
        *out = store;
    else
        history_close(store);
    return result;
}

void history_close(struct store *store)
{
    database_close(store);
    free(store);
}
