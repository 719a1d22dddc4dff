/* Gaps: what an uplink will never get, one row a Gap until it is delivered.
 * Store thread; the rows lie on disk and go out with fetch.c, memory keeps only how many readings
 * are on their way out of the backlog.
 * Never deletes a reading, and never tells an uplink of numbers that it has. */
#include "gateway/store/internal.h"

#include "gateway/store/backlog.h"
#include "gateway/store/database.h"
#include "gateway/store/epochs.h"
#include "gateway/store/gap.h"

static void bind_gap(sqlite3_stmt *s, const struct debtor *debtor, const struct gap *gap)
{
    sqlite3_bind_int64(s, 1, debtor->row);
    sqlite3_bind_int64(s, 2, gap->ordinal);
    sqlite3_bind_int64(s, 3, gap->sector);
    sqlite3_bind_int64(s, 4, (int64_t)gap->first_seq);
    sqlite3_bind_int64(s, 5, (int64_t)gap->last_seq);
    sqlite3_bind_int64(s, 6, gap->loss.from_ms);
    sqlite3_bind_int64(s, 7, gap->loss.to_ms);
    sqlite3_bind_int64(s, 8, (int64_t)gap->loss.readings);
    sqlite3_bind_int64(s, 9, gap->reason);
}

/* A Gap that the last one only continues makes that longer; *grown says so. */
static bool grow_gap(struct store *store, const struct debtor *debtor, const struct gap *gap,
                     bool *grown)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_GAP_GROW);
    bind_gap(s, debtor, gap);
    sqlite3_bind_int64(s, 10, debtor->gaps[gap->sector].row);
    bool ok = database_run(store, STATEMENT_GAP_GROW);
    *grown = ok && sqlite3_changes(store->db) > 0;
    return ok;
}

bool gap_of_one(struct store *store, struct debtor *debtor, const struct gap *gap)
{
    bool grown;
    if (!grow_gap(store, debtor, gap, &grown))
        return false;
    bind_gap(database_statement(store, STATEMENT_GAP_ADD), debtor, gap);
    if (!grown && !database_run(store, STATEMENT_GAP_ADD))
        return false;
    debtor->gaps[gap->sector].pending = true;
    return true;
}

/* A Gap of numbers is one only for those that this uplink owes; what it has is not lost to it. */
static bool gap_of_owed(struct store *store, struct debtor *debtor, const struct gap *gap)
{
    size_t epoch = epochs_index(store, gap->ordinal);
    struct range part;
    struct gap own = *gap;
    for (uint64_t from = gap->first_seq;
         epoch < store->epoch_count && from <= gap->last_seq &&
         ranges_next(&debtor->owed[epoch][gap->sector].unacked, from, &part) &&
         part.first <= gap->last_seq;
         from = own.last_seq + 1) {
        own.first_seq = part.first;
        own.last_seq = part.last < gap->last_seq ? part.last : gap->last_seq;
        if (!gap_of_one(store, debtor, &own))
            return false;
        debtor->losing += own.loss.readings;
        debtor->uncounted |= !own.loss.readings;
    }
    return true;
}

bool gap_of_all(struct store *store, const struct gap *gap)
{
    for (size_t u = 0; u < store->debtor_count; u++) {
        struct debtor *debtor = &store->debtors[u];
        if (debtor->wanted[gap->sector] &&
            !(gap->first_seq ? gap_of_owed(store, debtor, gap) : gap_of_one(store, debtor, gap)))
            return false;
    }
    return true;
}

void gap_undo(struct store *store)
{
    for (size_t u = 0; u < store->debtor_count; u++)
        store->debtors[u].losing = 0;
}

bool gap_settle(struct store *store, size_t epoch, enum sector sector, uint64_t first_seq,
                uint64_t last_seq)
{
    for (size_t u = 0; u < store->debtor_count; u++) {
        struct debtor *debtor = &store->debtors[u];
        struct owed *owed = &debtor->owed[epoch][sector];
        if (!debtor->wanted[sector])
            continue;
        if (!ranges_remove(&owed->unacked, first_seq, last_seq) ||
            !ranges_remove(&owed->unsent, first_seq, last_seq) ||
            !ranges_remove(&owed->waiting, first_seq, last_seq))
            return false;
        owed->dirty = true;
        backlog_less(store, debtor, debtor->losing);
        debtor->losing = 0;
    }
    store->gaps++;
    return true;
}
