/* A scan through the history: its making and its end, its way between two threads, its lines.
 *
 * A scan belongs to one side at a time; only `lent` and what stands beside it lie under the store's
 * mutex. history_serve() runs in the store thread, history_open() and history_close() in a program
 * without a daemon, everything else wherever the asker lives. Never writes to the database. */
#include "gateway/store/history_parts.h"
#include "gateway/store/internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NUMBER_MAX = 48 };

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
    history_merge_leave(history);
    while (history->open) {
        struct history_row *row = history->open;
        history->open = row->next;
        history_row_free(row);
    }
    for (size_t i = 0; i < history->pattern_count; i++)
        free(history->patterns[i]);
    free(history->patterns);
    free(history->epochs);
    free(history->names);
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

uint64_t history_points(const struct history *history)
{
    return history->points;
}

const char *history_why(const struct history *history)
{
    return history->why;
}

/* ---- lines ---- */

/* steps / 10^decimals, exactly: the point goes between two digits. */
static void write_steps(int64_t steps, uint8_t decimals, char out[NUMBER_MAX])
{
    char digits[NUMBER_MAX];
    uint64_t number = steps < 0 ? -(uint64_t)steps : (uint64_t)steps;
    int least = decimals < SEGMENT_READ_DECIMALS_MAX ? decimals : SEGMENT_READ_DECIMALS_MAX;
    int length = snprintf(digits, sizeof digits, "%0*" PRIu64, least + 1, number);
    snprintf(out, NUMBER_MAX, "%s%.*s%s%s", steps < 0 ? "-" : "", length - least, digits,
             least ? "." : "", digits + length - least);
}

/* The shortest decimal number that is this float and no other. */
static void write_real(float real, char *out, size_t size)
{
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(out, size, "%.*g", digits, (double)real);
        if (strtof(out, NULL) == real)
            return;
    }
}

size_t history_line(const struct history_reading *reading, char out[HISTORY_LINE_MAX])
{
    char number[NUMBER_MAX] = "null", decimals[24] = "";
    enum quality quality = (enum quality)reading->value.quality;
    if (!reading->is_float)
        snprintf(decimals, sizeof decimals, "\"decimals\":%u,", reading->decimals);
    if (names_quality_usable(quality) && !reading->is_float)
        write_steps(reading->value.steps, reading->decimals, number);
    else if (names_quality_usable(quality) && isfinite(reading->value.real))
        write_real(reading->value.real, number, sizeof number);
    int length = snprintf(
        out, HISTORY_LINE_MAX, "{\"time_ms\":%" PRId64 ",%s,%s\"value\":%s,\"quality\":\"%s\"}\n",
        reading->time_ms, reading->what, decimals, number, names_quality(quality));
    return length < HISTORY_LINE_MAX ? (size_t)length : 0;
}

size_t history_last_line(const struct history *history, char out[HISTORY_LINE_MAX])
{
    bool failed = history->phase == HISTORY_PHASE_FAILED;
    int length = snprintf(out, HISTORY_LINE_MAX,
                          "{\"end\":true,\"points\":%" PRIu64 ",\"readings\":%" PRIu64
                          ",\"damaged_rows\":%" PRIu64 "%s%s%s%s}\n",
                          history->points, history->readings, history->corrupt,
                          history->incomplete ? ",\"incomplete\":true" : "",
                          failed ? ",\"error\":\"" : "", history->why, failed ? "\"" : "");
    return (size_t)length;
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
    case LOCK_READ:
    case LOCK_HELD:
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
