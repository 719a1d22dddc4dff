/* Room in the store: rows older than `retain` that every uplink has, and above `max_size` the
 * oldest rows whatever they are, with a Gap for every uplink that had not got them. Store thread,
 * once a minute, a slice of rows at a time so that a commit never waits long. Age counts only while
 * the clock is synchronised and no leap of it is in doubt: a clock in 2038 must not empty the
 * store. */
#include "gateway/store/internal.h"

#include "gateway/boot.h"
#include "gateway/clock_state.h"
#include "gateway/log.h"

enum { SLICE = 64, SLICES = 16, BELIEVED_MS = 3600 * 1000 };

struct oldest {
    size_t epoch;
    int sector;
    uint64_t seq;
    int64_t base_ms, last_ms;
    bool settled; /* by every uplink that wants it */
};

static bool is_settled(const struct store *store, size_t epoch, int sector, uint64_t seq)
{
    for (size_t u = 0; u < store->debtor_count; u++) {
        if (ranges_contains(&store->debtors[u].owed[epoch][sector].unacked, seq))
            return false;
    }
    return true;
}

static bool oldest_of(struct store *store, size_t epoch, int sector, struct oldest *out)
{
    uint32_t ordinal = store->epochs[epoch].ordinal;
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_LOOK);
    sqlite3_bind_int64(s, 1, SEGMENT_ID(ordinal, sector, 0));
    sqlite3_bind_int64(s, 2, SEGMENT_ID(ordinal, sector + 1, 0) - 1);
    bool any = sqlite3_step(s) == SQLITE_ROW;
    if (any)
        *out = (struct oldest){.epoch = epoch,
                               .sector = sector,
                               .seq = (uint64_t)sqlite3_column_int64(s, 0) & 0xffffffffff,
                               .base_ms = sqlite3_column_int64(s, 1),
                               .last_ms = sqlite3_column_int64(s, 2)};
    sqlite3_reset(s);
    if (any)
        out->settled = is_settled(store, epoch, sector, out->seq);
    return any;
}

/* The stream to cut next: settled rows before unsettled ones, then by age. */
static bool choose(struct store *store, struct oldest *best)
{
    bool found = false;
    for (size_t e = 0; e < store->epoch_count; e++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            struct oldest it;
            if (!oldest_of(store, e, sector, &it))
                continue;
            if (!found || (it.settled && !best->settled) ||
                (it.settled == best->settled && it.base_ms < best->base_ms))
                *best = it;
            found = true;
        }
    }
    return found;
}

/* Deletes one row; adds it to the loss when an uplink had not got it. */
static bool delete_row(struct store *store, const struct oldest *at, sqlite3_stmt *read,
                       uint64_t seq, struct gap *gap)
{
    if (!is_settled(store, at->epoch, at->sector, seq)) {
        if (!gap->first_seq)
            gap->first_seq = seq;
        gap->last_seq = seq;
        commit_loss(&gap->loss, sqlite3_column_int64(read, 1), sqlite3_column_int64(read, 2),
                    (uint64_t)sqlite3_column_int64(read, 3));
    }
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_DELETE);
    sqlite3_bind_int64(s, 1, sqlite3_column_int64(read, 0));
    return database_run(store, STATEMENT_SEGMENT_DELETE);
}

/* The Gap and what is owed without its numbers: on disk with the rows' end, in memory after it. */
static bool write_gap(struct store *store, const struct oldest *at, const struct gap *gap)
{
    return !gap->first_seq ||
           (backlog_gap(store, gap) &&
            backlog_write_without(store, at->epoch, gap->sector, gap->first_seq, gap->last_seq));
}

/* Up to SLICE rows of one stream from its oldest on; before_ms 0 = whatever their age. */
static bool cut(struct store *store, const struct oldest *at, int64_t before_ms)
{
    uint32_t ordinal = store->epochs[at->epoch].ordinal;
    struct gap gap = {.ordinal = ordinal,
                      .sector = (enum sector)at->sector,
                      .reason = store->in_memory ? GAP_REASON_DISK : GAP_REASON_QUOTA};
    bool ok = database_run(store, STATEMENT_BEGIN);
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_LOOK);
    sqlite3_bind_int64(s, 1, SEGMENT_ID(ordinal, at->sector, at->seq));
    sqlite3_bind_int64(s, 2, SEGMENT_ID(ordinal, at->sector, at->seq + SLICE - 1));
    uint64_t last = 0;
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        uint64_t seq = (uint64_t)sqlite3_column_int64(s, 0) & 0xffffffffff;
        if (before_ms && (sqlite3_column_int64(s, 2) >= before_ms ||
                          !is_settled(store, at->epoch, at->sector, seq)))
            break;
        ok = delete_row(store, at, s, seq, &gap);
        last = seq;
    }
    ok = sqlite3_reset(s) == SQLITE_OK && ok && write_gap(store, at, &gap) &&
         database_run(store, STATEMENT_COMMIT);
    if (!ok)
        database_run(store, STATEMENT_ROLLBACK);
    if (!ok || !gap.first_seq)
        return ok && last;
    /* without memory the numbers are met again, found missing, and become a Gap once more */
    if (backlog_drop(store, at->epoch, (enum sector)at->sector, gap.first_seq, gap.last_seq,
                     gap.loss.readings))
        log_warning("store: above max_size, %s %llu to %llu dropped unsent; a Gap says so",
                    names_sector((enum sector)at->sector), (unsigned long long)gap.first_seq,
                    (unsigned long long)gap.last_seq);
    return last != 0;
}

static uint64_t used_bytes(struct store *store)
{
    uint64_t pages[2] = {0};
    static const enum statement which[2] = {STATEMENT_PAGES, STATEMENT_FREE_PAGES};
    for (int i = 0; i < 2; i++) {
        sqlite3_stmt *s = database_statement(store, which[i]);
        if (sqlite3_step(s) == SQLITE_ROW)
            pages[i] = (uint64_t)sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
    return (pages[0] - pages[1]) * 4096;
}

/* The next start, perhaps of the board, goes on from here. */
static bool write_belief(struct store *store)
{
    bool ok = database_run(store, STATEMENT_BEGIN) &&
              database_meta_set(store, META_BELIEVED_MS, store->trust.wall_ms) &&
              database_meta_set(store, META_SYNCED_BOOT, (int64_t)boot_id()) &&
              database_run(store, STATEMENT_COMMIT);
    if (!ok)
        database_run(store, STATEMENT_ROLLBACK);
    return ok;
}

static bool is_believed(struct store *store)
{
    struct clock_trust *trust = &store->trust;
    if (store->in_memory || /* what was believed is known by the disk */
        clock_state_now(store->settings->gateway.trusted_rtc) != CLOCK_STATE_SYNCED)
        return false;
    if (!trust->wall_ms)
        trust->wall_ms = database_meta(store, META_BELIEVED_MS, 0);
    bool believed = clock_trust_age(trust, clock_wall(), clock_mono());
    if (believed && clock_ms_between(clock_mono(), store->believed_at) <= 0 && write_belief(store))
        store->believed_at = clock_after_ms(clock_mono(), BELIEVED_MS);
    return believed;
}

static void trim_age(struct store *store)
{
    int64_t before_ms = clock_wall().ms - (int64_t)store->settings->store.retain_ms;
    if (!is_believed(store) || before_ms <= 0)
        return;
    for (size_t e = 0; e < store->epoch_count; e++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            struct oldest at;
            if (oldest_of(store, e, sector, &at) && at.settled && at.last_ms < before_ms)
                cut(store, &at, before_ms);
        }
    }
}

void trim_run(struct store *store)
{
    trim_age(store);
    struct oldest at;
    for (int i = 0; i < SLICES && used_bytes(store) > store->quota; i++) {
        if (!choose(store, &at) || !cut(store, &at, 0))
            return;
    }
}

bool trim_evict(struct store *store)
{
    struct oldest at;
    return choose(store, &at) && cut(store, &at, 0);
}
