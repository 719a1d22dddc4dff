/* What can be saved out of a damaged database. The file is set aside and a new one begun at once,
 * with a new epoch; epochs, debts, Gaps and ids go over as far as they can be read or are known;
 * the rows that somebody is owed follow in slices between other work, each only if its CRC vouches
 * for it: by search, and where that misses one, page by page (comb.c). Until that is done the old
 * epochs count as elsewhere; what is missing then becomes a Gap. What nobody is owed any more stays
 * behind. Store thread, and main() at the start. Owns store->wreck, the connection to the damaged
 * file, which keeps what it holds, and believes nothing in it: whatever that is, the new file
 * stands. */
#include "gateway/store/internal.h"

#include <inttypes.h>
#include <string.h>

#include "gateway/boot.h"
#include "gateway/log.h"
#include "gateway/store/backlog.h"
#include "gateway/store/carry.h"
#include "gateway/store/comb.h"
#include "gateway/store/commit.h"
#include "gateway/store/database.h"
#include "gateway/store/epochs.h"
#include "gateway/store/gap.h"
#include "gateway/store/identity.h"
#include "gateway/store/recover.h"
#include "gateway/store/reserve.h"
#include "gateway/store/salvage.h"
#include "gateway/store/wreck.h"

enum {
    SLICE_MS = 20,
    SLICE_BYTES = 512 << 10,
    MISSES_MAX = 1000, /* in a row, before a stream is left to the comb */
    AGAIN_MS = 1000,
    UNREAD_MS = 10000, /* a disk that gives nothing back for so long has lost it */
};

#define SEQ_MAX ((UINT64_C(1) << 40) - 1)

/* ---- at a start: what the damaged file says of itself ---- */

/* Numbers that stand in the rows are better than a table that may be lost. */
static void find_last(struct store *store)
{
    for (size_t e = 0; e < store->epoch_count; e++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            uint64_t *last = &store->epochs[e].last_seq[sector];
            sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_BACK);
            sqlite3_bind_int64(s, 1, SEGMENT_ID(store->epochs[e].ordinal, sector, 0));
            sqlite3_bind_int64(s, 2, SEGMENT_ID(store->epochs[e].ordinal, sector + 1, 0) - 1);
            uint64_t seq =
                sqlite3_step(s) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) & SEQ_MAX : 0;
            sqlite3_reset(s);
            if (*last > SEQ_MAX)
                *last = 0;
            if (seq > *last)
                *last = seq;
        }
    }
}

/* What was owed cannot be told: that something may be missing is all that can be said of the
 * sectors that we have. Nothing older than that was kept. */
static void note_unknown(struct store *store)
{
    const struct settings *settings = store->settings;
    int64_t from_ms = store->started_ms - (int64_t)settings->store.retain_ms;
    for (size_t d = 0; d < settings->device_count; d++)
        commit_loss(&store->losing[settings->devices[d].sector][GAP_REASON_CORRUPT],
                    from_ms > 0 ? from_ms : 0, store->started_ms, 0);
}

/* False: not all that was owed can be told. */
static bool read_wreck(struct store *store, struct traces *traces)
{
    struct connection fresh;
    database_detach(store, &fresh);
    database_attach(store, &store->wreck);
    bool whole = recover_read_list(store, traces);
    find_last(store);
    whole &= backlog_salvage(store) && store->epoch_count > 0;
    recover_read_open(store, traces);
    database_detach(store, &store->wreck);
    database_attach(store, &fresh);
    return whole;
}

/* ---- the new file ---- */

static bool write_streams(struct store *store, const struct epoch *epoch)
{
    bool ok = true;
    for (int sector = 1; ok && sector < SECTOR_COUNT; sector++) {
        if (epoch->last_seq[sector])
            ok = database_execute(store, "INSERT OR REPLACE INTO stream VALUES(%u,%d,%lld,0)",
                                  epoch->ordinal, sector, (long long)epoch->last_seq[sector]);
    }
    return ok;
}

bool salvage_write(struct store *store, size_t epochs)
{
    bool ok = backlog_register(store) && database_number_gaps(store) &&
              database_meta_set(store, "salvage", store->wreck_stamp) &&
              /* what of it was handed out, nobody can tell any more */
              database_meta_set(store, META_HANDED_BOOT, (int64_t)boot_id());
    for (size_t e = 0; ok && e < epochs; e++) {
        const struct epoch *epoch = &store->epochs[e];
        ok = epochs_write(store, epoch->ordinal, epoch->number) && write_streams(store, epoch);
        const struct carry carry = {&store->wreck, epoch->ordinal, epoch->ordinal};
        if (ok && store->wreck.db)
            ok = carry_readable(store, &carry);
    }
    if (ok && store->wreck.db)
        ok = carry_alarms(store, &store->wreck, true);
    backlog_mark(store);
    return ok && backlog_write(store);
}

/* A file that had too many of them cannot be replaced: what is saved under one more would not be
 * found again. */
static bool may_begin(struct store *store)
{
    return epochs_may_begin(store, store->epochs[store->epoch_count - 1].ordinal + 1);
}

static bool begin_epoch(struct store *store)
{
    uint32_t before = store->epochs[store->epoch_count - 1].ordinal;
    return may_begin(store) && epochs_begin(store, before + 1, database_random()) &&
           carry_identity(store, &(struct carry){NULL, before, before + 1}) &&
           database_meta_set(store, "clean", 0);
}

/* ---- a damaged file, set aside and replaced ---- */

int salvage_replace(struct store *store)
{
    database_abandon(store);
    salvage_stop(store);
    store->wreck_stamp = database_set_aside(store);
    (void)reserve_release(store); /* what is saved wants room */
    int rc = database_open(store);
    if (rc == SQLITE_OK)
        wreck_open(store, store->wreck_stamp, &store->wreck);
    return rc;
}

void salvage_begin(struct store *store)
{
    store->salvaging = store->wreck.db != NULL;
    store->salvage_at = (struct salvage_place){0};
    store->carried_now = 0;
    for (size_t e = 0; e + 1 < store->epoch_count; e++)
        store->epochs[e].elsewhere = store->salvaging;
}

/* Where the log is what is damaged, the file is as it was once: what was open then may be closed
 * now, and delivered. */
static void keep_newest(struct store *store, struct body **at)
{
    while (*at) {
        struct body *body = *at;
        if (commit_is_newest(store, body)) {
            body->closed = false; /* here nothing is closed */
            at = &body->next;
            continue;
        }
        *at = body->next;
        body->next = NULL;
        commit_free_bodies(body);
    }
}

/* What stands open in the damaged file, as it stands. The pipeline has it too, but writes it again
 * only when it grows. */
static struct body *read_open(struct store *store)
{
    struct connection fresh;
    struct body *queue = store->queue;
    struct loss losing[SECTOR_COUNT][GAP_REASON_DISK + 1];
    struct traces traces = {0};
    memcpy(losing, store->losing, sizeof losing);
    database_detach(store, &fresh);
    database_attach(store, &store->wreck);
    store->queue = NULL;
    recover_read_open(store, &traces);
    struct body *open = store->queue;
    store->queue = queue;
    database_detach(store, &store->wreck);
    database_attach(store, &fresh);
    memcpy(store->losing, losing, sizeof losing); /* what is damaged there, is whole in memory */
    keep_newest(store, &open);
    return open;
}

static bool write_open(struct store *store, struct body *open)
{
    bool ok = true;
    for (; ok && open; open = open->next)
        ok = commit_put_open(store, open);
    return ok;
}

/* While it runs: memory knows what is owed. */
int salvage_running(struct store *store)
{
    store->damaged = false;
    if (!may_begin(store))
        return store->error;
    commit_take_back(store);
    int rc = salvage_replace(store);
    if (rc != SQLITE_OK)
        return rc;
    size_t before = store->epoch_count;
    struct body *open = store->wreck.db ? read_open(store) : NULL;
    bool ok = database_run(store, STATEMENT_BEGIN) && salvage_write(store, before) &&
              identity_repeat(store) && begin_epoch(store) && identity_repeat(store) &&
              write_open(store, open) && database_run(store, STATEMENT_COMMIT);
    for (const struct body *b = open; ok && b; b = b->next)
        commit_note_open(store, b);
    commit_free_bodies(open);
    if (!ok) {
        rc = database_error(store);
        store->epoch_count = before;
        return rc;
    }
    backlog_written(store);
    backlog_moved(store);
    memset(store->recent, 0, sizeof store->recent);
    salvage_begin(store);
    return SQLITE_OK;
}

/* Reads a wreck into an empty store as recover_read() does a sound file, and begins an epoch;
 * inside the transaction of the new file. What stood open is numbered in the new epoch only: of the
 * old one the wreck may have lost the newest rows, and their numbers were given. */
bool salvage_load(struct store *store)
{
    struct traces traces = {0};
    if (!store->wreck.db || !read_wreck(store, &traces))
        note_unknown(store);
    if (!store->epoch_count)
        return recover_read(store) && begin_epoch(store);
    store->known = true;
    recover_note_crash(store, &traces);
    return salvage_write(store, store->epoch_count) && begin_epoch(store) && commit_write(store);
}

static bool has_no(struct store *store, enum statement list)
{
    sqlite3_stmt *s = database_statement(store, list);
    bool none = sqlite3_step(s) == SQLITE_DONE;
    sqlite3_reset(s);
    return none;
}

/* A death, or a disk that refused, came between the setting aside and the first commit after. One
 * list of epochs that is empty may be damage: the file beside may be long since saved. */
int salvage_find(struct store *store, bool *found)
{
    bool empty = has_no(store, STATEMENT_EPOCH_LIST) && has_no(store, STATEMENT_EPOCH_COPIES);
    int64_t stamp = empty ? database_newest_aside(store) : 0;
    *found = stamp != 0;
    if (!stamp)
        return SQLITE_OK;
    store->wreck_stamp = stamp;
    wreck_open(store, stamp, &store->wreck);
    return store->wreck.db ? SQLITE_OK : SQLITE_CANTOPEN;
}

/* It is the new file that cannot be written, for now: the damaged one stays to be saved. */
static bool is_refused(int rc)
{
    return rc == SQLITE_FULL || rc == SQLITE_IOERR || rc == SQLITE_READONLY ||
           rc == SQLITE_CANTOPEN;
}

int salvage_starting(struct store *store)
{
    int rc = salvage_replace(store);
    return rc == SQLITE_OK ? salvage_into_empty(store) : rc;
}

/* At a start. Where the damaged file cannot be made use of, the next attempt is an empty one. */
int salvage_into_empty(struct store *store)
{
    int rc = SQLITE_OK;
    bool ok = database_run(store, STATEMENT_BEGIN) && salvage_load(store) &&
              identity_register(store) && database_run(store, STATEMENT_COMMIT);
    if (ok) {
        commit_done(store);
        salvage_begin(store);
    } else {
        rc = database_error(store);
        database_run(store, STATEMENT_ROLLBACK);
        salvage_stop(store);
        recover_forget(store);
        identity_free(&store->ids, store->settings);
        if (!is_refused(rc))
            rc = recover_run(store);
    }
    commit_free_bodies(store->queue);
    store->queue = NULL;
    return rc;
}

/* ---- the rows, in slices ---- */

/* The next number at or behind the place that some uplink is owed; false: none is left. */
static bool next_owed(struct store *store, struct salvage_place *at, struct range *out)
{
    for (; at->epoch + 1 < store->epoch_count; at->epoch++, at->sector = 1, at->seq = 0) {
        for (; at->sector < SECTOR_COUNT; at->sector++, at->seq = 0) {
            bool any = false;
            for (size_t u = 0; u < store->debtor_count; u++) {
                struct range range;
                if (!ranges_next(&store->debtors[u].owed[at->epoch][at->sector].unacked, at->seq,
                                 &range))
                    continue;
                if (!any || range.first < out->first)
                    *out = range;
                any = true;
            }
            if (any && at->misses < MISSES_MAX)
                return true;
            at->misses = 0;
        }
    }
    return false;
}

bool salvage_put(struct store *store, sqlite3_stmt *row, int64_t id)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_ADD);
    sqlite3_bind_int64(s, 1, id);
    for (int i = 1; i < 6; i++)
        sqlite3_bind_value(s, i + 1, sqlite3_column_value(row, i));
    bool ok = database_run(store, STATEMENT_SEGMENT_ADD);
    sqlite3_clear_bindings(s);
    return ok;
}

/* What the damaged file answered is no word on what it holds: the disk or the memory refused, and
 * is asked again at this place. */
static bool is_refusal(struct salvage_place *at, int rc)
{
    mono_time now = clock_mono();
    if (rc != SQLITE_NOMEM && rc != SQLITE_IOERR && rc != SQLITE_CANTOPEN) {
        at->refused = false;
        return false;
    }
    if (!at->refused)
        at->refused_at = now;
    at->refused = true;
    if (rc != SQLITE_NOMEM && clock_ms_between(at->refused_at, now) >= UNREAD_MS)
        return false;
    at->again_at = clock_after_ms(now, AGAIN_MS);
    return true;
}

static bool is_waiting(const struct salvage_place *at)
{
    return clock_ms_between(clock_mono(), at->again_at) > 0;
}

/* Rows of one range, as far as time, size and the damage allow. False: the new file refuses. */
static bool copy_range(struct store *store, struct salvage_place *at, struct range wanted,
                       mono_time until)
{
    uint32_t ordinal = store->epochs[at->epoch].ordinal;
    sqlite3_stmt *s = store->wreck.statements[STATEMENT_SEGMENT_READ];
    sqlite3_bind_int64(s, 1, SEGMENT_ID(ordinal, at->sector, wanted.first));
    sqlite3_bind_int64(s, 2, SEGMENT_ID(ordinal, at->sector, wanted.last));
    bool ok = true;
    int rc = SQLITE_OK;
    size_t bytes = 0;
    at->seq = wanted.first;
    while (ok && bytes < SLICE_BYTES && clock_ms_between(clock_mono(), until) > 0 &&
           (rc = sqlite3_step(s)) == SQLITE_ROW) {
        uint64_t seq = (uint64_t)sqlite3_column_int64(s, 0) & SEQ_MAX;
        if (seq < at->seq) { /* a tree that goes backwards */
            rc = SQLITE_CORRUPT;
            break;
        }
        bool sound = comb_key(store, s) == sqlite3_column_int64(s, 0);
        at->missed |= seq > at->seq || !sound;
        at->misses = 0;
        at->seq = seq + 1;
        bytes += (size_t)sqlite3_column_bytes(s, 5);
        if (!sound)
            continue;
        ok = salvage_put(store, s, sqlite3_column_int64(s, 0));
        store->carried_now++;
    }
    sqlite3_reset(s);
    if (is_refusal(at, rc))
        return ok;
    if (rc == SQLITE_DONE) {
        at->missed |= at->seq <= wanted.last;
        at->seq = wanted.last + 1;
    } else if (rc != SQLITE_ROW && rc != SQLITE_OK) {
        at->missed = true;
        at->seq++; /* around the broken page, number by number */
        at->misses++;
    }
    return ok;
}

/* The next pages of the damaged file. */
static bool comb_pages(struct store *store, struct salvage_place *at, bool *more, mono_time until)
{
    sqlite3_stmt *s = store->wreck.statements[STATEMENT_PAGES];
    int rc = sqlite3_step(s);
    int64_t pages = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    size_t bytes = 0;
    bool ok = true;
    sqlite3_reset(s);
    *more = is_refusal(at, rc);
    while (ok && at->page < pages && bytes < SLICE_BYTES &&
           clock_ms_between(clock_mono(), until) > 0) {
        ok = comb_page(store, at->page + 1, &bytes, &rc);
        if (is_refusal(at, rc))
            break;
        at->page++;
    }
    *more |= at->page < pages;
    return ok;
}

/* The first numbers of the range that are not in the new file; false: all are there. */
static bool find_missing(struct store *store, const struct salvage_place *at, struct range wanted,
                         struct range *out)
{
    uint32_t ordinal = store->epochs[at->epoch].ordinal;
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_LOOK);
    sqlite3_bind_int64(s, 1, SEGMENT_ID(ordinal, at->sector, wanted.first));
    sqlite3_bind_int64(s, 2, SEGMENT_ID(ordinal, at->sector, wanted.last));
    *out = wanted;
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        uint64_t seq = (uint64_t)sqlite3_column_int64(s, 0) & SEQ_MAX;
        if (seq > out->first) {
            out->last = seq - 1;
            break;
        }
        out->first = seq + 1;
    }
    sqlite3_reset(s);
    return (rc == SQLITE_ROW || rc == SQLITE_DONE) && out->first <= out->last;
}

/* What is owed and nowhere. False: that cannot be written; it is met when its turn comes. */
static bool give_up(struct store *store, struct salvage_place *at, struct range wanted)
{
    struct range missing;
    at->seq = wanted.last + 1;
    if (!find_missing(store, at, wanted, &missing))
        return true;
    at->seq = missing.last + 1;
    const struct gap gap = {.ordinal = store->epochs[at->epoch].ordinal,
                            .sector = (enum sector)at->sector,
                            .first_seq = missing.first,
                            .last_seq = missing.last,
                            .reason = GAP_REASON_CORRUPT};
    if (!gap_of_all(store, &gap) ||
        !gap_settle(store, at->epoch, gap.sector, missing.first, missing.last)) {
        gap_undo(store);
        return false;
    }
    log_error("store: %s %" PRIu64 " to %" PRIu64 " are nowhere in the damaged file; a Gap says so",
              names_sector(gap.sector), missing.first, missing.last);
    store->corrupt += missing.last - missing.first + 1;
    return true;
}

static void finish(struct store *store)
{
    salvage_stop(store);
    for (size_t e = 0; e + 1 < store->epoch_count; e++)
        store->epochs[e].elsewhere = false;
    backlog_count(store);
    store->carried += store->carried_now;
    log_notice("store: %" PRIu64 " segments that were owed are saved from the damaged file,"
               " which is kept; delivered ones are in there only",
               store->carried_now);
    /* otherwise the next start does it once more, and finds nothing new */
    (void)database_meta_set(store, "salvage", 0);
}

/* *more: this stage is not over. */
static bool run_stage(struct store *store, struct salvage_place *at, bool *more, mono_time until)
{
    struct range wanted = {0};
    bool ok = true;
    if (at->stage == SALVAGE_COMB)
        return comb_pages(store, at, more, until);
    while (ok && !is_waiting(at) && clock_ms_between(clock_mono(), until) > 0 &&
           (*more = next_owed(store, at, &wanted)))
        ok = at->stage == SALVAGE_SEARCH ? copy_range(store, at, wanted, until)
                                         : give_up(store, at, wanted);
    return ok;
}

/* False: there is none. */
static bool next_stage(struct salvage_place *at)
{
    if (at->stage == SALVAGE_MISSING || !at->missed)
        return false;
    *at = (struct salvage_place){.stage = at->stage + 1, .missed = true, .page = 1};
    return true;
}

bool salvage_run(struct store *store)
{
    if (!store->salvaging || store->in_memory || store->failing || is_waiting(&store->salvage_at))
        return false;
    mono_time until = clock_after_ms(clock_mono(), SLICE_MS);
    struct salvage_place at = store->salvage_at;
    uint64_t carried = store->carried_now;
    /* Gaps are on disk before memory forgets what they are of: each by itself */
    bool together = at.stage != SALVAGE_MISSING, more = true;
    bool ok = (!together || database_run(store, STATEMENT_BEGIN)) &&
              run_stage(store, &at, &more, until) &&
              (!together || database_run(store, STATEMENT_COMMIT));
    if (!ok) {
        /* the next commit finds out what is wrong with the disk */
        if (store->db)
            database_run(store, STATEMENT_ROLLBACK);
        store->carried_now = carried;
        return false;
    }
    more = more || next_stage(&at);
    store->salvage_at = at;
    if (!more)
        finish(store);
    return more;
}

bool salvage_ask(struct store *store)
{
    if (store->in_memory || !may_begin(store))
        return false;
    store->damaged |= !store->salvaging && clock_ms_between(clock_mono(), store->replace_at) <= 0;
    return true;
}

void salvage_resume(struct store *store)
{
    int64_t stamp = database_meta(store, "salvage", 0);
    if (!stamp || store->wreck.db)
        return;
    wreck_open(store, stamp, &store->wreck);
    salvage_begin(store);
}

void salvage_stop(struct store *store)
{
    struct connection other;
    store->salvaging = false;
    if (!store->wreck.db)
        return;
    database_detach(store, &other);
    database_attach(store, &store->wreck);
    database_abandon(store);
    database_attach(store, &other);
}
