/* A scan through the history: its making and its end, and its way between two threads.
 *
 * A scan belongs to one side at a time; only `lent` and what stands beside it lie under the store's
 * mutex. history_serve() runs in the store thread, history_open() and history_close() in a program
 * without a daemon, everything else wherever the asker lives. Never writes to the database. */
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

struct history *history_new(const char *const *patterns, size_t count, int64_t since_ms,
                            int64_t until_ms)
{
    struct history *history = calloc(1, sizeof *history);
    if (!history)
        return NULL;
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

/* ---- with the store thread ---- */

void history_lend(struct store *store, struct history *history, void (*wake)(void *), void *context)
{
    pthread_mutex_lock(&store->mutex);
    struct history **at = &store->lent;
    while (*at)
        at = &(*at)->next;
    *at = history;
    history->next = NULL;
    history->wake = wake;
    history->context = context;
    history->lent = true;
    store->attention = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}

bool history_back(struct store *store, const struct history *history)
{
    pthread_mutex_lock(&store->mutex);
    bool back = !history->lent;
    pthread_mutex_unlock(&store->mutex);
    return back;
}

void history_abandon(struct store *store, struct history *history)
{
    pthread_mutex_lock(&store->mutex);
    struct history **at = &store->lent;
    while (*at && *at != history)
        at = &(*at)->next;
    bool waits = *at != NULL;
    if (waits)
        *at = history->next;
    bool in_hand = history->lent && !waits;
    history->abandoned = in_hand;
    pthread_mutex_unlock(&store->mutex);
    if (!in_hand)
        history_free(history);
}

void history_serve(struct store *store)
{
    pthread_mutex_lock(&store->mutex);
    struct history *history = store->lent;
    if (history)
        store->lent = history->next;
    pthread_mutex_unlock(&store->mutex);
    if (!history)
        return;
    history_fetch(store, history);
    pthread_mutex_lock(&store->mutex);
    store->attention = store->attention || store->lent;
    history->lent = false;
    bool abandoned = history->abandoned;
    if (!abandoned)
        history->wake(history->context);
    pthread_mutex_unlock(&store->mutex);
    if (abandoned)
        history_free(history);
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
