/* A damaged file page by page: every page that holds rows is read by itself, as if it were the
 * whole table, so that it does not matter which page leads to it, or what stands in the keys. What
 * a row is, its CRC says. Store thread; part of salvage.c, and slower than a search. Changes the
 * damaged file only inside transactions that it undoes: it is in there that the table begins at
 * another page. Never believes a key. */
#include "gateway/store/internal.h"

#include "gateway/store/backlog.h"
#include "gateway/store/comb.h"
#include "gateway/store/database.h"
#include "gateway/store/epochs.h"
#include "gateway/store/ranges.h"
#include "gateway/store/salvage.h"

enum {
    ROWS_MAX = 400, /* more do not fit a page */
    PAGE_BYTES = 4096,
    LOCAL_MIN = 440, /* bytes of a row that overflows its page, and yet stand in it */
};

#define SEQ_MAX ((UINT64_C(1) << 40) - 1)

static bool is_owed(const struct store *store, size_t epoch, int sector, uint64_t seq)
{
    for (size_t u = 0; u < store->debtor_count; u++) {
        if (ranges_contains(&store->debtors[u].owed[epoch][sector].unacked, seq))
            return true;
    }
    return false;
}

/* The row vouches for this key. */
static bool is_key(const struct store *store, sqlite3_stmt *row, int64_t id, bool owed)
{
    size_t epoch = epochs_index(store, (uint32_t)(id >> 48));
    int sector = (int)(id >> 40 & 0xff);
    uint64_t seq = (uint64_t)id & SEQ_MAX;
    return id > 0 && epoch < store->epoch_count && sector > 0 && sector < SECTOR_COUNT &&
           (!owed || is_owed(store, epoch, sector, seq)) &&
           database_crc(store->epochs[epoch].number, (enum sector)sector, seq,
                        sqlite3_column_blob(row, 5), (size_t)sqlite3_column_bytes(row, 5)) ==
               (uint32_t)sqlite3_column_int64(row, 4);
}

int64_t comb_key(const struct store *store, sqlite3_stmt *row)
{
    int64_t id = sqlite3_column_int64(row, 0);
    if (is_key(store, row, id, false))
        return id;
    for (int bit = 0; bit < 63; bit++) {
        if (is_key(store, row, id ^ (INT64_C(1) << bit), true))
            return id ^ (INT64_C(1) << bit);
    }
    return 0;
}

/* Inside a transaction that is undone again the table begins at this page. */
static int turn_to(struct store *store, int64_t page)
{
    char sql[240];
    snprintf(sql, sizeof sql,
             "PRAGMA query_only=OFF; BEGIN;"
             "DELETE FROM sqlite_schema WHERE name<>'segment';"
             "UPDATE sqlite_schema SET rootpage=%lld; PRAGMA writable_schema=RESET;"
             "PRAGMA writable_schema=ON",
             (long long)page);
    return sqlite3_exec(store->wreck.db, sql, NULL, NULL, NULL);
}

static bool is_there(struct store *store, int64_t id)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_LOOK);
    sqlite3_bind_int64(s, 1, id);
    sqlite3_bind_int64(s, 2, id);
    bool there = sqlite3_step(s) == SQLITE_ROW;
    sqlite3_reset(s);
    return there;
}

static bool put_missing(struct store *store, sqlite3_stmt *row)
{
    int64_t id = comb_key(store, row);
    size_t epoch = epochs_index(store, (uint32_t)(id >> 48));
    if (!id || !is_owed(store, epoch, (int)(id >> 40 & 0xff), (uint64_t)id & SEQ_MAX) ||
        is_there(store, id))
        return true;
    store->carried_now++;
    return salvage_put(store, row, id);
}

/* A page that leads to others would give all of theirs, which are read when it is their turn: it
 * ends where it has given more than a page can hold. */
bool comb_page(struct store *store, int64_t page, size_t *bytes, int *rc)
{
    sqlite3_stmt *s = store->wreck.statements[STATEMENT_SEGMENT_READ];
    bool ok = true;
    size_t local = 0;
    *rc = turn_to(store, page);
    bool there = *rc == SQLITE_OK;
    sqlite3_bind_int64(s, 1, INT64_MIN);
    sqlite3_bind_int64(s, 2, INT64_MAX);
    for (int i = 0; ok && there && i < ROWS_MAX && (*rc = sqlite3_step(s)) == SQLITE_ROW; i++) {
        size_t length = (size_t)sqlite3_column_bytes(s, 5);
        *bytes += length;
        local += length < LOCAL_MIN ? length : LOCAL_MIN;
        if (local > PAGE_BYTES)
            break;
        ok = put_missing(store, s);
    }
    sqlite3_reset(s);
    (void)sqlite3_exec(store->wreck.db, "ROLLBACK", NULL, NULL, NULL);
    return ok;
}
