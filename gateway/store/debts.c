/* Table unacked: what an uplink owes of each stream, as ranges of numbers, and a check over them.
 * Store thread, inside the caller's transaction; memory's copy is backlog.c's. A list that was
 * damaged is not believed: then all that is there of the stream is owed, and goes out twice rather
 * than not at all. Never reads a row of data, and never decides what was delivered. */
#include "gateway/store/internal.h"

#include "gateway/store/backlog.h"
#include "gateway/store/database.h"
#include "gateway/store/debts.h"
#include "gateway/store/epochs.h"
#include "gateway/store/ranges.h"

/* All that is there of a stream: better twice than not at all. A number without a row is damage in
 * the epoch in force, and owed too; in an older one it may be what was delivered before the file
 * was replaced. Behind a row that cannot be read nobody knows. */
static bool owe_stream(struct store *store, struct debtor *debtor, size_t e, int sector)
{
    const struct epoch *epoch = &store->epochs[e];
    struct owed *owed = &debtor->owed[e][sector];
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_LOOK);
    sqlite3_bind_int64(s, 1, SEGMENT_ID(epoch->ordinal, sector, 0));
    sqlite3_bind_int64(s, 2, SEGMENT_ID(epoch->ordinal, sector + 1, 0) - 1);
    const bool whole = e + 1 == store->epoch_count;
    struct range run = {1, 0};
    bool ok = true;
    int rc = SQLITE_DONE;
    while (ok && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        uint64_t seq = (uint64_t)sqlite3_column_int64(s, 0) & 0xffffffffff;
        if (seq != run.last + 1) {
            ok = ranges_add(&owed->unacked, run.first, run.last);
            run.first = seq;
        }
        run.last = seq;
        if (whole)
            break;
    }
    if (run.last && rc != SQLITE_DONE && run.last < epoch->last_seq[sector])
        run.last = epoch->last_seq[sector];
    ok = ok && ranges_add(&owed->unacked, run.first, run.last);
    owed->dirty |= ok;
    return (sqlite3_reset(s) == SQLITE_OK || run.last) && ok;
}

bool debts_owe(struct store *store, struct debtor *debtor, int sector)
{
    bool ok = true;
    for (size_t e = 0; ok && e < store->epoch_count; e++)
        ok = owe_stream(store, debtor, e, sector);
    return ok;
}

/* A check over the ranges of a stream, one after the other. On disk it is itself a row among them,
 * of number 0: a range that shrank, or is not there any more, would cost what it told of. */
static uint64_t check_begin(const struct debtor *debtor, uint32_t ordinal, int sector)
{
    static const uint8_t none[1];
    return UINT64_C(1) << 32 | /* it is there at all */
           database_crc(ordinal, (enum sector)sector, (uint64_t)debtor->row, none, 0);
}

static uint64_t check_range(uint64_t check, int sector, uint64_t first, uint64_t last)
{
    static const uint8_t none[1];
    check = database_crc(check, (enum sector)sector, first, none, 0);
    return UINT64_C(1) << 32 | database_crc(check, (enum sector)sector, last, none, 0);
}

/* One row of what the disk says of a stream. */
static bool read_range(const struct epoch *epoch, int sector, struct owed *owed, sqlite3_stmt *s)
{
    uint64_t first = (uint64_t)sqlite3_column_int64(s, 2);
    uint64_t last = (uint64_t)sqlite3_column_int64(s, 3);
    if (!first) {
        owed->said = last;
        return true;
    }
    owed->check = check_range(owed->check, sector, first, last);
    if (last > epoch->last_seq[sector]) /* numbers that never were */
        last = epoch->last_seq[sector];
    return first > last || ranges_add(&owed->unacked, first, last);
}

/* *doubt: what is owed of a stream was damaged, and is all of it now. */
static bool judge_unacked(struct store *store, struct debtor *debtor, int64_t known, bool *doubt)
{
    bool ok = true;
    for (size_t e = 0; ok && e < store->epoch_count; e++) {
        for (int sector = 1; ok && sector < SECTOR_COUNT; sector++) {
            const struct owed *owed = &debtor->owed[e][sector];
            if (!debtor->wanted[sector] || !(known >> sector & 1) || owed->said == owed->check ||
                (!store->epochs[e].last_seq[sector] && !owed->said))
                continue;
            *doubt = true;
            ok = owe_stream(store, debtor, e, sector);
        }
    }
    return ok;
}

bool debts_read(struct store *store, struct debtor *debtor, int64_t known, bool *doubt)
{
    for (size_t e = 0; e < store->epoch_count; e++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++)
            debtor->owed[e][sector].check = check_begin(debtor, store->epochs[e].ordinal, sector);
    }
    sqlite3_stmt *s = database_statement(store, STATEMENT_UNACKED_LIST);
    sqlite3_bind_int64(s, 1, debtor->row);
    bool ok = true;
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        size_t e = epochs_index(store, (uint32_t)sqlite3_column_int64(s, 0));
        int64_t sector = sqlite3_column_int64(s, 1);
        if (e == store->epoch_count || sector <= 0 || sector >= SECTOR_COUNT)
            continue;
        struct owed *owed = &debtor->owed[e][sector];
        if (debtor->wanted[sector])
            ok = read_range(&store->epochs[e], (int)sector, owed, s);
        else
            owed->dirty = true; /* not read: wiped by the next write */
    }
    return sqlite3_reset(s) == SQLITE_OK && ok && judge_unacked(store, debtor, known, doubt);
}

static bool add_range(struct store *store, const struct debtor *debtor, uint32_t ordinal,
                      int sector, struct range range)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_UNACKED_ADD);
    sqlite3_bind_int64(s, 1, debtor->row);
    sqlite3_bind_int64(s, 2, ordinal);
    sqlite3_bind_int64(s, 3, sector);
    sqlite3_bind_int64(s, 4, (int64_t)range.first);
    sqlite3_bind_int64(s, 5, (int64_t)range.last);
    return database_run(store, STATEMENT_UNACKED_ADD);
}

bool debts_write(struct store *store, const struct debtor *debtor, uint32_t ordinal, int sector,
                 const struct ranges *unacked)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_UNACKED_CLEAR);
    sqlite3_bind_int64(s, 1, debtor->row);
    sqlite3_bind_int64(s, 2, ordinal);
    sqlite3_bind_int64(s, 3, sector);
    bool ok = database_run(store, STATEMENT_UNACKED_CLEAR);
    uint64_t check = check_begin(debtor, ordinal, sector);
    for (size_t i = 0; ok && i < unacked->count; i++) {
        const struct range *range = &unacked->items[i];
        check = check_range(check, sector, range->first, range->last);
        ok = add_range(store, debtor, ordinal, sector, *range);
    }
    return ok && add_range(store, debtor, ordinal, sector, (struct range){0, check});
}

static sqlite3_stmt *look(struct store *store, const char *sql)
{
    sqlite3_stmt *s = NULL;
    return sqlite3_prepare_v2(store->db, sql, -1, &s, NULL) == SQLITE_OK ? s : NULL;
}

/* Any at all: from then on each list had one, and one without is damage. */
static bool has_checks(struct store *store, bool *found)
{
    sqlite3_stmt *s = look(store, "SELECT 1 FROM unacked WHERE first_seq=0");
    int rc = s ? sqlite3_step(s) : SQLITE_ERROR;
    *found = rc == SQLITE_ROW;
    return sqlite3_finalize(s) == SQLITE_OK && s;
}

static bool vouch(struct store *store, const struct debtor *debtor, uint32_t ordinal, int sector)
{
    uint64_t check = check_begin(debtor, ordinal, sector);
    sqlite3_stmt *s = look(store, "SELECT first_seq,last_seq FROM unacked WHERE uplink=?1 AND"
                                  " ordinal=?2 AND sector=?3 ORDER BY first_seq");
    sqlite3_bind_int64(s, 1, debtor->row);
    sqlite3_bind_int64(s, 2, ordinal);
    sqlite3_bind_int64(s, 3, sector);
    while (s && sqlite3_step(s) == SQLITE_ROW)
        check = check_range(check, sector, (uint64_t)sqlite3_column_int64(s, 0),
                            (uint64_t)sqlite3_column_int64(s, 1));
    return sqlite3_finalize(s) == SQLITE_OK && s &&
           add_range(store, debtor, ordinal, sector, (struct range){0, check});
}

bool debts_vouch(struct store *store)
{
    bool found;
    if (!has_checks(store, &found) || found)
        return found;
    sqlite3_stmt *s = look(store, "SELECT uplink.id,ordinal,sector FROM uplink,stream");
    bool ok = s;
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        const struct debtor debtor = {.row = sqlite3_column_int64(s, 0)};
        ok = vouch(store, &debtor, (uint32_t)sqlite3_column_int64(s, 1), sqlite3_column_int(s, 2));
    }
    return sqlite3_finalize(s) == SQLITE_OK && ok;
}
