/* Readings of a clock that was never set: held back from every uplink, and given their true times
 * when the clock is set before they were first handed out. Store thread, and main() at start. Owns
 * epoch.held and epoch.handed: from `held` on, and before `handed` where that is not 0, no uplink
 * has seen a row of the stream yet. The bytes of a row that somebody may have seen never change.
 *
 * The hold ends when the board has been up for CLOCK_HOLD_MS, however late the daemon started:
 * neither a restart nor an update may hold current readings back once more. From then on they go
 * out as they stand, but what nobody has asked for is still corrected: power and network often come
 * back together, and the broker with the time. Before the first of them is handed out the disk says
 * so, and then a start takes none for unseen. Rows of an earlier boot cannot be corrected.
 * Gaps of a stream that is held wait with it, and their times move with its rows. */
#include "gateway/store/internal.h"

#include <inttypes.h>
#include <string.h>

#include "gateway/boot.h"
#include "gateway/clock_state.h"
#include "gateway/log.h"
#include "gateway/store/commit.h"
#include "gateway/store/database.h"
#include "gateway/store/hold.h"
#include "gateway/store/media.h"

/* One transaction corrects no more than this, so that a commit never waits long behind it. */
enum { SLICE_ROWS = 64, SLICE_BYTES = 512 << 10 };

/* What is held is counted so often, and not at every turn of the store. */
enum { COUNT_MS = 1000 };

/* A clock that was not set yet may have been pushed to and fro by less than a step each time. */
enum { DRIFT_MS = 10000 };

struct corrected {
    uint64_t seq;
    uint32_t readings, crc;
};

struct slice {
    size_t epoch;
    enum sector sector;
    uint64_t next;   /* the number to look at next; 0 = the stream is through */
    int64_t last_ms; /* of the newest row that was looked at */
    /* of the newest row that was corrected: how its clock stood, and by how much it was moved */
    int64_t wall_minus_mono_ms, shift_ms;
    size_t bytes, count;
    struct corrected rows[SLICE_ROWS];
};

static bool is_young(void)
{
    return clock_mono_ms(clock_mono()) < CLOCK_HOLD_MS;
}

static bool is_ours(const struct segment_start *start)
{
    return start->clock == CLOCK_STATE_UNSET && start->boot == boot_id();
}

static int64_t last_id(const struct store *store, size_t epoch, int sector)
{
    return SEGMENT_ID(store->epochs[epoch].ordinal, sector + 1, 0) - 1;
}

static void release(struct epoch *epoch, int sector)
{
    epoch->held[sector] = epoch->handed[sector] = 0;
}

/* ---- at start ---- */

/* From the newest row back to where this boot begins. A damaged row belongs to none. */
static void find_held(struct store *store, size_t epoch, int sector)
{
    struct epoch *it = &store->epochs[epoch];
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_BACK);
    sqlite3_bind_int64(s, 1, SEGMENT_ID(it->ordinal, sector, 0));
    sqlite3_bind_int64(s, 2, last_id(store, epoch, sector));
    while (sqlite3_step(s) == SQLITE_ROW) {
        struct segment_start start;
        const uint8_t *row = sqlite3_column_blob(s, 1);
        size_t length = (size_t)sqlite3_column_bytes(s, 1);
        uint64_t seq = (uint64_t)sqlite3_column_int64(s, 0) & 0xffffffffff;
        if (database_crc(it->number, (enum sector)sector, seq, row, length) !=
                (uint32_t)sqlite3_column_int64(s, 2) ||
            !segment_row_start(row, length, &start))
            continue;
        if (start.boot != boot_id() || start.clock == CLOCK_STATE_RTC) /* no boot has both */
            break;
        if (is_ours(&start))
            it->held[sector] = seq;
    }
    sqlite3_reset(s);
}

static void find_all(struct store *store)
{
    for (size_t e = 0; e < store->epoch_count; e++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++)
            find_held(store, e, sector);
    }
}

void hold_recover(struct store *store)
{
    if (database_meta(store, META_SYNCED_BOOT, 0) == (int64_t)boot_id())
        clock_state_remember(); /* and nothing was left to correct */
    else if (database_meta(store, META_HANDED_BOOT, 0) == (int64_t)boot_id())
        store->handed = true;
    else
        find_all(store);
}

/* ---- with every commit ---- */

void hold_body(struct store *store, struct body *body)
{
    struct segment_start start;
    if (!segment_start_of(body->bytes, body->length, &start) || !is_ours(&start))
        return;
    uint64_t *held = &store->epochs[body->epoch].held[body->sector];
    if (clock_state_was_set()) {
        int64_t base_ms = start.mono_ms + clock_state_wall_minus_mono_ms();
        segment_correct(body->bytes, base_ms);
        body->first_ms += base_ms - start.base_ms;
        body->last_ms += base_ms - start.base_ms;
    } else if (!*held) {
        *held = body->seq;
    }
}

/* ---- what uplinks may have ---- */

/* While the hold lasts, and while the true times are being written. */
static bool is_shut(void)
{
    return is_young() || clock_state_was_set();
}

bool hold_limit(const struct store *store, size_t epoch, enum sector sector, struct range *range)
{
    uint64_t held = store->epochs[epoch].held[sector];
    if (held && range->last >= held && is_shut())
        range->last = held - 1;
    return range->first <= range->last;
}

bool hold_gaps(const struct store *store, enum sector sector)
{
    bool held = false;
    for (size_t e = 0; e < store->epoch_count && !held; e++)
        held = !store->epochs[e].elsewhere && store->epochs[e].held[sector];
    return held && is_shut();
}

static bool write_handed(struct store *store)
{
    bool ok = database_run(store, STATEMENT_BEGIN) &&
              database_meta_set(store, META_HANDED_BOOT, (int64_t)boot_id()) &&
              database_run(store, STATEMENT_COMMIT);
    if (!ok)
        database_run(store, STATEMENT_ROLLBACK);
    return ok;
}

bool hold_hand_out(struct store *store, size_t at, enum sector sector, uint64_t first,
                   uint64_t last)
{
    struct epoch *epoch = &store->epochs[at];
    uint64_t *held = &epoch->held[sector], *handed = &epoch->handed[sector];
    if (!*held || last < *held)
        return true;
    if (!store->handed && !(store->handed = write_handed(store)))
        return false;
    if (first <= *held)
        *held = last + 1;
    else if (!*handed || first < *handed)
        *handed = first;
    if (*handed && *held >= *handed)
        release(epoch, (int)sector);
    return true;
}

/* ---- every turn ---- */

/* Copies the next row of the slice's stream into store->row. Returns its length, 0 when there is
 * none; *sound is false when the disk could not tell or the row is not what its CRC says. */
static size_t read_row(struct store *store, struct slice *slice, struct corrected *row, int64_t *id,
                       int64_t *first_ms, bool *sound)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_READ);
    const struct epoch *epoch = &store->epochs[slice->epoch];
    uint64_t handed = epoch->handed[slice->sector];
    sqlite3_bind_int64(s, 1, SEGMENT_ID(epoch->ordinal, slice->sector, slice->next));
    sqlite3_bind_int64(s, 2,
                       handed ? SEGMENT_ID(epoch->ordinal, slice->sector, handed) - 1
                              : last_id(store, slice->epoch, (int)slice->sector));
    int rc = sqlite3_step(s);
    size_t length = rc == SQLITE_ROW ? (size_t)sqlite3_column_bytes(s, 5) : 0;
    *sound = rc == SQLITE_DONE || (length && commit_reserve_row(store, length));
    if (length && *sound) {
        *id = sqlite3_column_int64(s, 0);
        row->seq = (uint64_t)*id & 0xffffffffff;
        row->readings = (uint32_t)sqlite3_column_int64(s, 3);
        *first_ms = sqlite3_column_int64(s, 1);
        slice->last_ms = sqlite3_column_int64(s, 2);
        memcpy(store->row, sqlite3_column_blob(s, 5), length);
        row->crc = (uint32_t)sqlite3_column_int64(s, 4);
    }
    sqlite3_reset(s);
    return *sound ? length : 0;
}

/* True also for a row that is not to be corrected: of a set clock, or damaged, which its reader
 * will find. */
static bool correct_row(struct store *store, struct slice *slice, struct corrected *row, int64_t id,
                        size_t length, int64_t first_ms)
{
    uint64_t epoch = store->epochs[slice->epoch].number;
    struct segment_start start;
    size_t body_length = length;
    const uint8_t *body = segment_row_body(store->row, &body_length);
    if (!body || !segment_start_of(body, body_length, &start) || !is_ours(&start) ||
        database_crc(epoch, slice->sector, row->seq, store->row, length) != row->crc)
        return true;
    int64_t base_ms = start.mono_ms + clock_state_wall_minus_mono_ms();
    segment_correct(store->row + (body - store->row), base_ms);
    row->crc = database_crc(epoch, slice->sector, row->seq, store->row, length);
    slice->wall_minus_mono_ms = start.base_ms - start.mono_ms;
    slice->shift_ms = base_ms - start.base_ms;
    slice->last_ms += slice->shift_ms;
    slice->rows[slice->count++] = *row;
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_CORRECT);
    sqlite3_bind_int64(s, 1, id);
    sqlite3_bind_int64(s, 2, first_ms + slice->shift_ms);
    sqlite3_bind_int64(s, 3, slice->last_ms);
    sqlite3_bind_int64(s, 4, row->crc);
    sqlite3_bind_blob(s, 5, store->row, (int)length, SQLITE_STATIC);
    return database_run(store, STATEMENT_SEGMENT_CORRECT);
}

/* With the last rows of a stream: what was noted of it by the same clock. */
static bool correct_gaps(struct store *store, const struct slice *slice)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_GAP_CORRECT);
    int64_t first_ms = slice->wall_minus_mono_ms - DRIFT_MS;
    sqlite3_bind_int64(s, 1, store->epochs[slice->epoch].ordinal);
    sqlite3_bind_int64(s, 2, slice->sector);
    sqlite3_bind_int64(s, 3, first_ms);
    sqlite3_bind_int64(s, 4, first_ms + clock_mono_ms(clock_mono()) + 2 * DRIFT_MS);
    sqlite3_bind_int64(s, 5, slice->shift_ms);
    return database_run(store, STATEMENT_GAP_CORRECT);
}

/* The newest row of the stream, whatever is corrected. */
static bool correct_stream(struct store *store, const struct slice *slice)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_STREAM_CORRECT);
    sqlite3_bind_int64(s, 1, store->epochs[slice->epoch].ordinal);
    sqlite3_bind_int64(s, 2, slice->sector);
    sqlite3_bind_int64(s, 3, slice->last_ms);
    return database_run(store, STATEMENT_STREAM_CORRECT);
}

static bool write_slice(struct store *store, struct slice *slice)
{
    struct corrected row;
    int64_t id = 0, first_ms = 0;
    bool sound = true;
    size_t length;
    while (slice->count < SLICE_ROWS && slice->bytes < SLICE_BYTES) {
        if (!(length = read_row(store, slice, &row, &id, &first_ms, &sound)))
            break;
        if (!correct_row(store, slice, &row, id, length, first_ms))
            return false;
        slice->bytes += length;
        slice->next = row.seq + 1;
    }
    const int64_t last_ms = slice->last_ms;
    if (sound && !read_row(store, slice, &row, &id, &first_ms, &sound) && sound)
        slice->next = 0;
    slice->last_ms = last_ms;
    return sound && (!slice->bytes || correct_stream(store, slice)) &&
           (slice->next || !slice->shift_ms || correct_gaps(store, slice));
}

/* After the COMMIT. */
static void take_over(struct store *store, const struct slice *slice)
{
    struct epoch *epoch = &store->epochs[slice->epoch];
    if (slice->next)
        epoch->held[slice->sector] = slice->next;
    else
        release(epoch, (int)slice->sector);
    for (size_t u = 0; u < store->debtor_count; u++) {
        if (store->debtors[u].owed)
            store->debtors[u].owed[slice->epoch][slice->sector].oldest_seq = 0; /* moved */
    }
    for (size_t i = 0; store->journal && i < slice->count; i++)
        fprintf(store->journal, "%" PRIu64 " %s 0 %" PRIu64 " %u %08x corrected\n", epoch->number,
                names_sector(slice->sector), slice->rows[i].seq, slice->rows[i].readings,
                slice->rows[i].crc);
    if (store->journal)
        fflush(store->journal);
}

/* The first one from there on that is held, and within reach; false when there is none. */
static bool find_stream(const struct store *store, struct slice *at)
{
    for (; at->epoch < store->epoch_count; at->epoch++, at->sector = 0) {
        while (!store->epochs[at->epoch].elsewhere && ++at->sector < SECTOR_COUNT) {
            at->next = store->epochs[at->epoch].held[at->sector];
            if (at->next)
                return true;
        }
    }
    return false;
}

/* The result of SQLite. */
static int correct(struct store *store, struct slice *slice)
{
    bool ok = database_run(store, STATEMENT_BEGIN) && write_slice(store, slice) &&
              database_run(store, STATEMENT_COMMIT);
    int rc = ok ? SQLITE_OK : database_error(store);
    if (ok)
        take_over(store, slice);
    else if (store->db)
        database_run(store, STATEMENT_ROLLBACK);
    return rc;
}

bool hold_is_on(const struct store *store)
{
    for (size_t e = 0; e < store->epoch_count; e++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            if (store->epochs[e].held[sector])
                return true;
        }
    }
    return false;
}

bool hold_run(struct store *store)
{
    struct slice slice;
    unsigned attempt = 0;
    int rc;
    if (!hold_is_on(store) || store->failing)
        return false;
    if (!clock_state_was_set()) {
        if (!is_young() && !store->hold_is_over)
            log_warning("the clock was not set in time: readings go out with the time it shows");
        store->hold_is_over = !is_young();
        return false;
    }
    do { /* a disk that fails now is left as it is when a commit fails, and what it has can wait */
        slice = (struct slice){0};
        if (!find_stream(store, &slice))
            return false;
        rc = correct(store, &slice);
    } while (rc != SQLITE_OK && rc != SQLITE_CORRUPT && media_rescue(store, rc, attempt++));
    if (rc == SQLITE_CORRUPT && !is_young()) /* nobody waits for it for ever */
        release(&store->epochs[slice.epoch], (int)slice.sector);
    if (rc != SQLITE_OK)
        return false;
    if (!hold_is_on(store))
        log_notice("the clock is set: readings from before have their true time now");
    return find_stream(store, &(struct slice){0});
}

/* Readings within reach; thousands of rows. */
static uint64_t count_held(struct store *store)
{
    struct slice at = {0};
    uint64_t readings = 0;
    while (find_stream(store, &at)) {
        sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_SUM);
        sqlite3_bind_int64(s, 1, SEGMENT_ID(store->epochs[at.epoch].ordinal, at.sector, at.next));
        sqlite3_bind_int64(s, 2, last_id(store, at.epoch, (int)at.sector));
        if (sqlite3_step(s) == SQLITE_ROW)
            readings += (uint64_t)sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
    return readings;
}

void hold_report(struct store *store, struct store_status *out)
{
    int64_t left_ms = CLOCK_HOLD_MS - clock_mono_ms(clock_mono());
    if (!is_shut() || !find_stream(store, &(struct slice){0})) {
        out->held = 0;
    } else if (clock_ms_between(clock_mono(), store->held_at) <= 0) {
        out->held = count_held(store);
        store->held_at = clock_after_ms(clock_mono(), COUNT_MS);
    }
    out->held_ms = out->held && left_ms > 0 ? left_ms : 0;
}
