/* The first transaction of a start: which epoch is in force, what a crash left open, what it took.
 * Runs in main() before the store thread starts; one transaction, so that a power cut inside it
 * leaves the file as it was found.
 * Never drops a row that its CRC vouches for. */
#include "gateway/store/internal.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/log.h"
#include "gateway/store/backlog.h"
#include "gateway/store/carry.h"
#include "gateway/store/commit.h"
#include "gateway/store/database.h"
#include "gateway/store/epochs.h"
#include "gateway/store/hold.h"
#include "gateway/store/identity.h"
#include "gateway/store/recover.h"

/* Over all epochs. */
static bool read_streams(struct store *store, struct traces *traces)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_STREAM_LIST);
    while (sqlite3_step(s) == SQLITE_ROW) {
        size_t e = epochs_index(store, (uint32_t)sqlite3_column_int64(s, 0));
        int64_t sector = sqlite3_column_int64(s, 1);
        if (e == store->epoch_count || sector < 1 || sector >= SECTOR_COUNT)
            continue;
        store->epochs[e].last_seq[sector] = (uint64_t)sqlite3_column_int64(s, 2);
        if (sqlite3_column_int64(s, 3) > traces->newest_ms[sector])
            traces->newest_ms[sector] = sqlite3_column_int64(s, 3);
    }
    return sqlite3_reset(s) == SQLITE_OK;
}

/* A row says with its CRC that its number was given: where the table of streams does not know of
 * it, or claims what no number can be, what it says of the epoch in force is worth nothing, and
 * *doubt asks for a new one. */
static void raise_last(struct store *store, size_t e, enum sector sector, bool *doubt)
{
    enum { ROWS = 64 };
    struct epoch *epoch = &store->epochs[e];
    uint64_t *last = &epoch->last_seq[sector];
    bool wrong = *last >= UINT64_C(1) << 40;
    if (wrong)
        *last = 0;
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_BACK);
    sqlite3_bind_int64(s, 1, SEGMENT_ID(epoch->ordinal, sector, *last + 1));
    sqlite3_bind_int64(s, 2, SEGMENT_ID(epoch->ordinal, sector + 1, 0) - 1);
    for (int i = 0; i < ROWS && sqlite3_step(s) == SQLITE_ROW; i++) {
        uint64_t seq =
            (uint64_t)(sqlite3_column_int64(s, 0) - SEGMENT_ID(epoch->ordinal, sector, 0));
        if (database_crc(epoch->number, sector, seq, sqlite3_column_blob(s, 1),
                         (size_t)sqlite3_column_bytes(s, 1)) !=
            (uint32_t)sqlite3_column_int64(s, 2))
            continue;
        *last = seq;
        wrong = true;
        break;
    }
    sqlite3_reset(s);
    if (wrong && e + 1 == store->epoch_count)
        *doubt = true;
}

static bool append_chunk(struct body *body, const uint8_t *bytes, size_t length)
{
    uint8_t *grown = realloc(body->bytes, body->length + length + 1);
    if (!grown)
        return false;
    memcpy(grown + body->length, bytes, length);
    body->bytes = grown;
    body->length += length;
    body->capacity = body->length + 1;
    return true;
}

/* Takes the open bodies into store->queue, chunk by chunk, as closed ones. */
static bool read_open(struct store *store)
{
    struct body **tail = &store->queue, *body = NULL;
    sqlite3_stmt *s = database_statement(store, STATEMENT_OPEN_LIST);
    bool ok = true;
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(s, 0), sector = sqlite3_column_int64(s, 1);
        if (sector < 1 || sector >= SECTOR_COUNT)
            continue;
        if (id % OPEN_CHUNKS == 0) {
            body = *tail = calloc(1, sizeof *body);
            ok = body != NULL;
            if (!ok)
                break;
            tail = &body->next;
            *body = (struct body){.part = (uint32_t)(id / OPEN_CHUNKS),
                                  .sector = (enum sector)sector,
                                  .first_ms = sqlite3_column_int64(s, 2),
                                  .last_ms = sqlite3_column_int64(s, 3),
                                  .readings = (uint32_t)sqlite3_column_int64(s, 4),
                                  .crc = (uint32_t)sqlite3_column_int64(s, 5),
                                  .closed = true};
        }
        if (body)
            ok = append_chunk(body, sqlite3_column_blob(s, 6), (size_t)sqlite3_column_bytes(s, 6));
    }
    return sqlite3_reset(s) == SQLITE_OK && ok;
}

bool recover_is_open(struct store *store, uint64_t number)
{
    bool found = false;
    struct body *queue = store->queue;
    store->queue = NULL;
    (void)read_open(store); /* as far as it goes: the start reads it again */
    for (const struct body *b = store->queue; b && !found; b = b->next)
        found = database_crc(number, b->sector, 0, b->bytes, b->length) == b->crc;
    commit_free_bodies(store->queue);
    store->queue = queue;
    return found;
}

/* Of the part that lags most the newest sample is where the sector stops being whole. */
static void trace_open(struct traces *traces, const struct body *body)
{
    int64_t *newest_ms = &traces->newest_ms[body->sector];
    int64_t *whole_ms = &traces->whole_ms[body->sector];
    if (body->last_ms > *newest_ms)
        *newest_ms = body->last_ms;
    if (!*whole_ms || body->last_ms < *whole_ms)
        *whole_ms = body->last_ms;
}

/* Bodies that their CRC disowns become a loss. */
static void judge_open(struct store *store, struct traces *traces)
{
    uint64_t epoch = store->epochs[store->epoch_count - 1].number;
    struct body **at = &store->queue;
    while (*at) {
        struct body *body = *at;
        if (database_crc(epoch, body->sector, 0, body->bytes, body->length) == body->crc) {
            trace_open(traces, body);
            at = &body->next;
            continue;
        }
        commit_loss(&store->losing[body->sector][GAP_REASON_CORRUPT], body->first_ms, body->last_ms,
                    body->readings);
        *at = body->next;
        free(body->bytes);
        free(body);
    }
}

/* Readings between the last commit and the death are gone; how many, nobody knows. A sector without
 * a stored reading cannot have lost one that it could name, unless a sync was cut in its middle. */
void recover_note_crash(struct store *store, const struct traces *traces)
{
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        int64_t newest_ms = traces->newest_ms[sector], from_ms = traces->whole_ms[sector];
        int64_t behind_ms = commit_behind(store, (enum sector)sector);
        store->behind[sector] = behind_ms != 0; /* the commit that notes the Gap clears it */
        if (!from_ms)
            from_ms = newest_ms;
        if (behind_ms && (!from_ms || behind_ms < from_ms))
            from_ms = behind_ms;
        /* the clock may stand in 1970 now: what is gone was sampled until a sync later at least */
        int64_t to_ms =
            (newest_ms > from_ms ? newest_ms : from_ms) + (int64_t)store->settings->store.sync_ms;
        if (to_ms < store->started_ms)
            to_ms = store->started_ms;
        if (from_ms)
            commit_loss(&store->losing[sector][GAP_REASON_CRASH], from_ms, to_ms, 0);
    }
}

bool recover_read_list(struct store *store, struct traces *traces)
{
    struct epochs_found found;
    bool whole = epochs_read(store, &found);
    whole &= read_streams(store, traces);
    if (!whole)
        log_warning("store: the list of epochs can be read in part only");
    return whole;
}

void recover_read_open(struct store *store, struct traces *traces)
{
    if (!store->epoch_count)
        return;
    if (!read_open(store))
        log_warning("store: what was open can be read in part only");
    judge_open(store, traces);
}

static bool begin_next(struct store *store, bool doubt)
{
    uint32_t last = store->epochs[store->epoch_count - 1].ordinal;
    log_notice("store: %s; a new epoch begins",
               doubt ? "the numbers of this one are in doubt" : "this is another board");
    return epochs_may_begin(store, last + 1) && epochs_begin(store, last + 1, database_random()) &&
           carry_identity(store, &(struct carry){NULL, last, last + 1});
}

bool recover_read(struct store *store)
{
    struct traces traces = {0};
    struct epochs_found found;
    store->beyond = NULL;
    if (!epochs_read(store, &found) || ((found.doubt || found.single) && !epochs_rewrite(store)) ||
        (!store->epoch_count && !epochs_begin(store, 1, database_random())))
        return false;
    if (!read_streams(store, &traces))
        return false;
    bool doubt = found.doubt || store->log == WAL_BROKEN;
    for (size_t e = 0; e < store->epoch_count; e++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++)
            raise_last(store, e, (enum sector)sector, &doubt);
    }
    if (!backlog_load(store) || !read_open(store))
        return false;
    hold_recover(store);
    judge_open(store, &traces);
    bool was_cut = database_meta(store, "clean", 1) != 1 || store->log != WAL_NONE;
    if (was_cut)
        recover_note_crash(store, &traces);
    /* another cut may come before a step of this life is stored */
    store->untold = was_cut ? database_meta(store, "untold", 0) + ALARM_STEPS_UNTOLD : 0;
    store->known = true;
    /* what stood open is numbered in the epoch that is in force now, not in one that is in doubt */
    if ((found.board != epochs_board() || doubt) && !begin_next(store, doubt))
        return false;
    /* a disowned body is not among those that are closed now */
    return database_meta_set(store, "untold", store->untold) &&
           database_execute(store, "DELETE FROM open") && commit_write(store);
}

void recover_forget(struct store *store)
{
    backlog_free(store);
    free(store->epochs);
    store->epochs = NULL;
    store->epoch_count = 0;
    store->known = false;
    commit_free_bodies(store->queue);
    store->queue = NULL;
    memset(store->losing, 0, sizeof store->losing);
}

int recover_run(struct store *store)
{
    bool ok = database_run(store, STATEMENT_BEGIN) && recover_read(store) &&
              identity_register(store) && database_meta_set(store, "clean", 0) &&
              database_run(store, STATEMENT_COMMIT);
    int rc = ok ? SQLITE_OK : database_error(store);
    if (ok) {
        commit_done(store);
    } else {
        recover_forget(store);
        identity_free(&store->ids, store->settings);
    }
    commit_free_bodies(store->queue);
    store->queue = NULL;
    return rc;
}
