/* Room in the store: rows older than `retain` that every uplink has, and above `max_size` the
 * oldest rows whatever they are, with a Gap for every uplink that had not got them. Store thread,
 * once a minute and as soon as the quota is passed; slices of a few milliseconds, as many as are
 * needed, so that a commit never waits long. Age counts only while the clock is synchronised and no
 * leap of it is in doubt: a clock in 2038 must not empty the store. A row whose own time cannot be
 * believed (it lies in the future, or an earlier boot had no clock) is as old as the next one in
 * its stream that can be. Never deletes a row that is owed without a Gap in the same transaction.
 */
#include "gateway/store/internal.h"

#include "gateway/boot.h"
#include "gateway/clock_state.h"
#include "gateway/log.h"
#include "gateway/store/backlog.h"
#include "gateway/store/commit.h"
#include "gateway/store/database.h"
#include "gateway/store/forget.h"
#include "gateway/store/gap.h"
#include "gateway/store/hold.h"
#include "gateway/store/trim.h"

enum {
    PAGE = 4096,
    SLICE_MS = 10, /* between BEGIN and COMMIT */
    TURN_MS = 20,  /* then the mailbox is looked at */
    BELIEVED_MS = 3600 * 1000,
    LOG_MS = 60000,
    HEAD_BYTES = 48,   /* of a row: what stands before its blocks */
    SPARE_PERCENT = 1, /* of the quota, below it, so that not every commit trims */
};

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

/* A Gap of one row for those that had not got it, and before it of the numbers since the last one
 * that are owed and not there. */
static bool give_up(struct store *store, sqlite3_stmt *read, uint64_t seq, struct gap *gap)
{
    struct gap own = *gap;
    own.loss = (struct loss){0};
    commit_loss(&own.loss, sqlite3_column_int64(read, 1), sqlite3_column_int64(read, 2),
                (uint64_t)sqlite3_column_int64(read, 3));
    struct gap missing = own;
    missing.loss.readings = 0;
    missing.first_seq = gap->first_seq ? gap->last_seq + 1 : seq;
    missing.last_seq = seq - 1;
    own.first_seq = own.last_seq = gap->last_seq = seq;
    if (!gap->first_seq)
        gap->first_seq = seq;
    gap->loss.readings += own.loss.readings;
    return gap_of_all(store, &missing) && gap_of_all(store, &own);
}

/* Deletes one row; `gap` is of all that are owed in this cut. */
static bool delete_row(struct store *store, const struct oldest *at, sqlite3_stmt *read,
                       uint64_t seq, struct gap *gap)
{
    if (!is_settled(store, at->epoch, at->sector, seq) && !give_up(store, read, seq, gap))
        return false;
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_DELETE);
    sqlite3_bind_int64(s, 1, sqlite3_column_int64(read, 0));
    return database_run(store, STATEMENT_SEGMENT_DELETE);
}

/* When to stop. */
struct limit {
    uint64_t last; /* settled rows up to this number; 0 = whatever their number */
    uint64_t used; /* until no more bytes are used; last 0 */
    mono_time until;
};

static uint64_t pages(struct store *store, enum statement which)
{
    sqlite3_stmt *s = database_statement(store, which);
    uint64_t count = sqlite3_step(s) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    return count;
}

uint64_t trim_bytes(struct store *store)
{
    return pages(store, STATEMENT_PAGES) * PAGE;
}

uint64_t trim_used(struct store *store)
{
    return trim_bytes(store) - pages(store, STATEMENT_FREE_PAGES) * PAGE;
}

bool trim_is_due(struct store *store)
{
    return trim_used(store) > store->quota;
}

static bool is_enough(struct store *store, const struct oldest *at, const struct limit *limit,
                      uint64_t seq)
{
    if (clock_ms_between(clock_mono(), limit->until) <= 0)
        return true;
    if (limit->last)
        return seq > limit->last;
    /* rows that are owed only where nothing else is left */
    return trim_used(store) <= limit->used ||
           (at->settled && !is_settled(store, at->epoch, at->sector, seq));
}

static enum gap_reason reason(const struct store *store)
{
    return store->mode == STORE_MODE_OK ? GAP_REASON_QUOTA : GAP_REASON_DISK;
}

static void tell(struct store *store, uint64_t readings)
{
    store->dropped += readings;
    if (clock_ms_between(clock_mono(), store->dropped_at) > 0)
        return;
    log_warning("store: %s, %llu readings dropped unsent; Gaps say so",
                reason(store) == GAP_REASON_QUOTA ? "above max_size" : "no room",
                (unsigned long long)store->dropped);
    store->dropped = 0;
    store->dropped_at = clock_after_ms(clock_mono(), LOG_MS);
}

/* Rows of one stream from its oldest on, at least one. */
static bool cut(struct store *store, const struct oldest *at, struct limit limit)
{
    uint32_t ordinal = store->epochs[at->epoch].ordinal;
    struct gap gap = {
        .ordinal = ordinal, .sector = (enum sector)at->sector, .reason = reason(store)};
    mono_time until = clock_after_ms(clock_mono(), SLICE_MS);
    if (clock_ms_between(until, limit.until) > 0)
        limit.until = until;
    bool ok = database_run(store, STATEMENT_BEGIN);
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_LOOK);
    sqlite3_bind_int64(s, 1, SEGMENT_ID(ordinal, at->sector, at->seq));
    sqlite3_bind_int64(s, 2, SEGMENT_ID(ordinal, at->sector + 1, 0) - 1);
    uint64_t last = 0;
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        uint64_t seq = (uint64_t)sqlite3_column_int64(s, 0) & 0xffffffffff;
        if (last && is_enough(store, at, &limit, seq))
            break;
        ok = delete_row(store, at, s, seq, &gap);
        last = seq;
    }
    /* what is owed without what the Gaps tell of: on disk with the rows' end, in memory after it;
       the disk may not even know yet that the rest was delivered. A number that is owed and was
       not found stays: nothing tells of it */
    ok = sqlite3_reset(s) == SQLITE_OK && ok &&
         backlog_write_without(store, at->epoch, gap.sector, gap.first_seq, gap.last_seq) &&
         database_run(store, STATEMENT_COMMIT);
    if (!ok) {
        database_run(store, STATEMENT_ROLLBACK);
        gap_undo(store);
    }
    if (!ok || !gap.first_seq)
        return ok && last;
    /* without memory the numbers are met again, found missing, and become a Gap once more */
    if (gap_settle(store, at->epoch, gap.sector, gap.first_seq, gap.last_seq))
        tell(store, gap.loss.readings);
    return last != 0;
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
    if (believed && !hold_is_on(store) && clock_ms_between(clock_mono(), store->believed_at) <= 0 &&
        write_belief(store))
        store->believed_at = clock_after_ms(clock_mono(), BELIEVED_MS);
    return believed;
}

/* How a row begins, without the pages of its body. */
static bool read_start(struct store *store, int64_t id, struct segment_start *out)
{
    uint8_t head[HEAD_BYTES];
    sqlite3_blob *blob = NULL;
    bool ok = sqlite3_blob_open(store->db, "main", "segment", "row", id, 0, &blob) == SQLITE_OK;
    int length = ok ? sqlite3_blob_bytes(blob) : 0;
    if (length > HEAD_BYTES)
        length = HEAD_BYTES;
    ok = ok && sqlite3_blob_read(blob, head, length, 0) == SQLITE_OK &&
         segment_row_start(head, (size_t)length, out);
    sqlite3_blob_close(blob);
    return ok;
}

enum age { AGE_YOUNG, AGE_OLD, AGE_UNKNOWN };

/* Of the row the statement stands on. */
static enum age age_of(struct store *store, sqlite3_stmt *s, int64_t now_ms, int64_t before_ms)
{
    struct segment_start start;
    int64_t last_ms = sqlite3_column_int64(s, 2);
    if (last_ms > now_ms)
        return AGE_UNKNOWN;
    if (last_ms >= before_ms)
        return AGE_YOUNG;
    if (!read_start(store, sqlite3_column_int64(s, 0), &start) || start.clock != CLOCK_STATE_UNSET)
        return AGE_OLD;
    if (start.boot != boot_id())
        return AGE_UNKNOWN;
    last_ms += start.mono_ms - start.base_ms + clock_state_wall_minus_mono_ms();
    return last_ms < before_ms ? AGE_OLD : AGE_YOUNG;
}

/* The newest row of the stream that is old, with nothing young or owed before it; 0 = none. */
static uint64_t last_old(struct store *store, const struct oldest *at, mono_time until)
{
    const int64_t now_ms = clock_wall().ms;
    const int64_t before_ms = now_ms - (int64_t)store->settings->store.retain_ms;
    const uint32_t ordinal = store->epochs[at->epoch].ordinal;
    enum age age = AGE_UNKNOWN;
    uint64_t last = 0;
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_LOOK);
    sqlite3_bind_int64(s, 1, SEGMENT_ID(ordinal, at->sector, at->seq));
    sqlite3_bind_int64(s, 2, SEGMENT_ID(ordinal, at->sector + 1, 0) - 1);
    while (age != AGE_YOUNG && clock_ms_between(clock_mono(), until) > 0 &&
           sqlite3_step(s) == SQLITE_ROW) {
        uint64_t seq = (uint64_t)sqlite3_column_int64(s, 0) & 0xffffffffff;
        if (!is_settled(store, at->epoch, at->sector, seq))
            break;
        age = age_of(store, s, now_ms, before_ms);
        if (age == AGE_OLD)
            last = seq;
    }
    sqlite3_reset(s);
    return last;
}

/* Settled rows beyond their age. True: there is more. */
static bool trim_age(struct store *store, mono_time until)
{
    struct limit limit = {.until = until};
    if (!is_believed(store) || clock_wall().ms <= (int64_t)store->settings->store.retain_ms)
        return false;
    alarms_trim(store, clock_wall().ms - (int64_t)store->settings->store.retain_ms);
    for (size_t e = 0; e < store->epoch_count; e++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            struct oldest at;
            while (oldest_of(store, e, sector, &at) &&
                   (limit.last = last_old(store, &at, until)) != 0) {
                if (!cut(store, &at, limit))
                    return false;
                if (clock_ms_between(clock_mono(), until) <= 0)
                    return true;
            }
        }
    }
    return false;
}

/* Down to so many bytes. False: there is nothing left to delete. */
static bool shrink(struct store *store, uint64_t used, mono_time until)
{
    const struct limit limit = {.used = used, .until = until};
    while (trim_used(store) > used && clock_ms_between(clock_mono(), until) > 0) {
        struct oldest at;
        bool any = choose(store, &at);
        if (any ? !cut(store, &at, limit) : !alarms_shrink(store))
            return false;
    }
    return true;
}

bool trim_run(struct store *store)
{
    mono_time until = clock_after_ms(clock_mono(), TURN_MS);
    uint64_t target = store->quota - store->quota / 100 * SPARE_PERCENT;
    bool more = trim_age(store, until);
    if (trim_is_due(store))
        more |= shrink(store, target, until) && trim_used(store) > target;
    if (!more && !store->in_memory)
        forget_run(store);
    return more;
}

bool trim_make_room(struct store *store, size_t bytes)
{
    uint64_t used = trim_used(store), total = trim_bytes(store);
    uint64_t target = total > bytes ? total - bytes : 0;
    /* what is free already was not enough: then it is the row at hand that does not fit */
    if (used <= target)
        target = used > bytes ? used - bytes : 0;
    return used > 0 && shrink(store, target, clock_after_ms(clock_mono(), 10 * TURN_MS)) &&
           trim_used(store) < used;
}
