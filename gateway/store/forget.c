/* What nobody needs any more: epochs without a row, a debt or a Gap, with their ids; Gaps of
 * sectors that an uplink no longer wants. Store thread, after trimming; one transaction, which
 * finds nothing to do in most minutes. Keeps the epoch in force and the one before, of which
 * `state` tells. Never deletes a row of data. */
#include "gateway/store/internal.h"

#include <string.h>

#include "gateway/log.h"
#include "gateway/store/backlog.h"
#include "gateway/store/commit.h"
#include "gateway/store/database.h"
#include "gateway/store/epochs.h"
#include "gateway/store/forget.h"

static bool has_row(struct store *store, const char *format, uint32_t ordinal)
{
    sqlite3_stmt *s = NULL;
    bool found = true; /* what cannot be read is kept */
    char *sql = sqlite3_mprintf(format, (long long)SEGMENT_ID(ordinal, 0, 0),
                                (long long)SEGMENT_ID(ordinal + 1, 0, 0) - 1, ordinal);
    if (sql && sqlite3_prepare_v2(store->db, sql, -1, &s, NULL) == SQLITE_OK)
        found = sqlite3_step(s) != SQLITE_DONE;
    sqlite3_finalize(s);
    sqlite3_free(sql);
    return found;
}

static bool is_owed(const struct store *store, size_t e)
{
    for (size_t u = 0; u < store->debtor_count; u++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            if (store->debtors[u].owed[e][sector].unacked.count)
                return true;
        }
    }
    return false;
}

static bool is_needed(struct store *store, size_t e)
{
    uint32_t ordinal = store->epochs[e].ordinal;
    if (store->epochs[e].elsewhere || is_owed(store, e) ||
        has_row(store, "SELECT 1 FROM segment WHERE id BETWEEN %lld AND %lld LIMIT 1", ordinal) ||
        has_row(store, "SELECT 1 FROM gap WHERE %lld<%lld AND ordinal=%u LIMIT 1", ordinal))
        return true;
    for (const struct body *b = store->queue; b; b = b->next) {
        if (b->seq && b->epoch == e)
            return true;
    }
    return false;
}

bool forget_delete(struct store *store, uint32_t ordinal)
{
    return epochs_delete(store, ordinal) &&
           database_execute(store,
                            "DELETE FROM stream WHERE ordinal=%u; DELETE FROM unacked WHERE"
                            " ordinal=%u; DELETE FROM device WHERE ordinal=%u;"
                            "DELETE FROM point WHERE ordinal=%u",
                            ordinal, ordinal, ordinal, ordinal);
}

/* Out of every list; what stands behind moves up. */
static void close_up(struct store *store, size_t e)
{
    size_t behind = store->epoch_count - e - 1;
    for (size_t u = 0; u < store->debtor_count; u++) {
        struct debtor *debtor = &store->debtors[u];
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            ranges_free(&debtor->owed[e][sector].unacked);
            ranges_free(&debtor->owed[e][sector].unsent);
            ranges_free(&debtor->owed[e][sector].waiting);
        }
        memmove(&debtor->owed[e], &debtor->owed[e + 1], behind * sizeof *debtor->owed);
        if (debtor->announcing.epoch == e)
            debtor->announcing.part = 0;
        else if (debtor->announcing.epoch > e)
            debtor->announcing.epoch--;
    }
    memmove(&store->epochs[e], &store->epochs[e + 1], behind * sizeof *store->epochs);
    for (struct body *b = store->queue; b; b = b->next) {
        if (b->seq && b->epoch > e)
            b->epoch--;
    }
    store->epoch_count--;
}

static bool forget_epoch(struct store *store, size_t e)
{
    bool ok = database_run(store, STATEMENT_BEGIN) &&
              forget_delete(store, store->epochs[e].ordinal) &&
              database_run(store, STATEMENT_COMMIT);
    if (ok)
        close_up(store, e);
    else
        database_run(store, STATEMENT_ROLLBACK);
    return ok;
}

void forget_run(struct store *store)
{
    for (size_t e = 0; e + 2 < store->epoch_count;) {
        if (is_needed(store, e) || !forget_epoch(store, e))
            e++;
    }
    /* a statement that fails is tried again in a minute */
    (void)database_execute(store, "DELETE FROM gap WHERE EXISTS(SELECT 1 FROM uplink WHERE"
                                  " uplink.id=gap.uplink AND (sectors>>gap.sector&1)=0)");
}
