/* Rows into parcels: live first, then Gaps, then what an uplink still owes from before; Manifests
 * in front of the rows that need them.
 * Store thread; the parcel is lent by its uplink. A row goes out as it was stored: its CRC is
 * checked, its bytes are appended.
 * Never keeps a parcel and never decides what was delivered. */
#include "gateway/store/internal.h"

#include <stdlib.h>

#include "gateway/log.h"
#include "proto/batch.h"

/* Where live begins in a sector: the oldest number that closed less than LIVE_MS ago. */
static uint64_t live_floor(const struct recent *recent, uint64_t newest)
{
    mono_time now = clock_mono();
    uint64_t floor = newest + 1;
    uint32_t have = recent->count < RECENT ? recent->count : RECENT;
    for (uint32_t i = 1; i <= have; i++) {
        uint32_t at = (recent->count - i) % RECENT;
        if (clock_ms_between(recent->closed[at], now) > LIVE_MS)
            break;
        floor = recent->seq[at];
    }
    return floor;
}

bool fetch_reserve(struct parcel *parcel, size_t size)
{
    if (size <= parcel->capacity)
        return true;
    size_t capacity = (size + 4095) & ~(size_t)4095;
    uint8_t *bytes = realloc(parcel->bytes, capacity);
    if (!bytes)
        return false;
    parcel->bytes = bytes;
    parcel->capacity = capacity;
    return true;
}

static bool begin(struct store *store, struct parcel *parcel, enum parcel_kind kind, size_t epoch,
                  enum sector sector)
{
    parcel->kind = kind;
    parcel->sector = sector;
    parcel->epoch = store->epochs[epoch].number;
    parcel->first_seq = parcel->last_seq = parcel->readings = 0;
    parcel->first_gap = parcel->last_gap = 0;
    parcel->length = 0;
    if (!fetch_reserve(parcel, BATCH_HEAD_MAX))
        return false;
    parcel->length = batch_head(store->settings->gateway.id, parcel->epoch, sector, parcel->bytes,
                                parcel->capacity);
    return parcel->length > 0;
}

/* Numbers that should be there and are not, or that their CRC disowns: from now on a Gap. */
static void set_aside(struct store *store, size_t epoch, enum sector sector, uint64_t first,
                      uint64_t last, uint64_t readings)
{
    const struct gap gap = {.ordinal = store->epochs[epoch].ordinal,
                            .sector = sector,
                            .first_seq = first,
                            .last_seq = last,
                            .loss = {.readings = readings},
                            .reason = GAP_REASON_CORRUPT};
    log_error("store: %s %llu to %llu cannot be read back; a Gap says so", names_sector(sector),
              (unsigned long long)first, (unsigned long long)last);
    store->corrupt += last - first + 1;
    /* where either fails the numbers are met again */
    if (backlog_gap(store, &gap) && !backlog_drop(store, epoch, sector, first, last, readings))
        return;
}

/* The disk or the memory, not the row: tried again with the next parcel. */
static void note_reading(struct store *store, bool ok)
{
    if (!ok && !store->unreadable)
        log_error("store: cannot read (%s)", sqlite3_errmsg(store->db));
    store->unreadable = !ok;
}

/* Appends the row the statement stands on. False: it does not fit any more. */
static bool append_row(const struct debtor *debtor, sqlite3_stmt *s, struct parcel *parcel,
                       uint64_t seq, bool *corrupt)
{
    const uint8_t *row = sqlite3_column_blob(s, 5);
    size_t length = (size_t)sqlite3_column_bytes(s, 5);
    if (parcel->first_seq && parcel->length + length > debtor->max_payload)
        return false;
    *corrupt = database_crc(parcel->epoch, parcel->sector, seq, row, length) !=
               (uint32_t)sqlite3_column_int64(s, 4);
    if (*corrupt || !fetch_reserve(parcel, parcel->length + length))
        return false;
    size_t used = batch_append(row, length, parcel->bytes, parcel->length, parcel->capacity);
    if (!used)
        return false;
    parcel->length = used;
    parcel->readings += (uint64_t)sqlite3_column_int64(s, 3);
    if (!parcel->first_seq)
        parcel->first_seq = seq;
    parcel->last_seq = seq;
    return true;
}

/* Fills the parcel with rows of [first, last] of a stream, in order, up to the first that is
 * missing. */
static bool take(struct store *store, struct debtor *debtor, struct parcel *parcel, size_t epoch,
                 enum sector sector, enum parcel_kind kind, struct range wanted)
{
    uint32_t ordinal = store->epochs[epoch].ordinal;
    if (!begin(store, parcel, kind, epoch, sector))
        return false;
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_READ);
    sqlite3_bind_int64(s, 1, SEGMENT_ID(ordinal, sector, wanted.first));
    sqlite3_bind_int64(s, 2, SEGMENT_ID(ordinal, sector, wanted.last));
    uint64_t expected = wanted.first;
    bool corrupt = false;
    uint64_t readings = 0; /* of the row that was read last */
    int rc = SQLITE_DONE;
    while (expected <= wanted.last && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        uint64_t seq = (uint64_t)sqlite3_column_int64(s, 0) & 0xffffffffff;
        readings = (uint64_t)sqlite3_column_int64(s, 3);
        if (seq != expected || !append_row(debtor, s, parcel, seq, &corrupt))
            break;
        expected++;
    }
    uint64_t missing_to = wanted.last;
    if (rc == SQLITE_ROW && !parcel->first_seq && !corrupt)
        missing_to = ((uint64_t)sqlite3_column_int64(s, 0) & 0xffffffffff) - 1;
    sqlite3_reset(s);
    note_reading(store, rc == SQLITE_ROW || rc == SQLITE_DONE || rc == SQLITE_CORRUPT);
    if (parcel->first_seq)
        return ranges_remove(&debtor->owed[epoch][sector].unsent, parcel->first_seq,
                             parcel->last_seq);
    if (corrupt || rc == SQLITE_CORRUPT)
        set_aside(store, epoch, sector, expected, expected, readings);
    else if ((rc == SQLITE_DONE || rc == SQLITE_ROW) && missing_to >= expected)
        set_aside(store, epoch, sector, expected, missing_to, 0);
    return false;
}

static bool take_live(struct store *store, struct debtor *debtor, struct parcel *parcel)
{
    size_t now = store->epoch_count - 1;
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        struct range range;
        uint64_t floor = live_floor(&store->recent[sector], store->epochs[now].last_seq[sector]);
        if (!debtor->refused[sector] &&
            ranges_next(&debtor->owed[now][sector].unsent, floor, &range) &&
            hold_limit(store, now, (enum sector)sector, &range) &&
            take(store, debtor, parcel, now, (enum sector)sector, PARCEL_LIVE, range))
            return true;
    }
    return false;
}

static bool take_history(struct store *store, struct debtor *debtor, struct parcel *parcel)
{
    for (size_t e = 0; e < store->epoch_count; e++) {
        uint64_t floor = UINT64_MAX;
        if (store->epochs[e].elsewhere)
            continue;
        for (int i = 1; i < SECTOR_COUNT; i++) {
            /* the turn goes round, so that no sector waits for another's backlog */
            int sector = 1 + (int)((debtor->turn + (unsigned)i) % (SECTOR_COUNT - 1));
            struct range range;
            if (debtor->refused[sector] ||
                !ranges_next(&debtor->owed[e][sector].unsent, 0, &range) ||
                !hold_limit(store, e, (enum sector)sector, &range))
                continue;
            if (e == store->epoch_count - 1)
                floor = live_floor(&store->recent[sector], store->epochs[e].last_seq[sector]);
            if (range.first >= floor)
                continue;
            if (range.last >= floor)
                range.last = floor - 1;
            if (announce_epoch(store, debtor, parcel, e, (enum sector)sector))
                return true;
            if (take(store, debtor, parcel, e, (enum sector)sector, PARCEL_HISTORY, range)) {
                debtor->turn = (unsigned)sector - 1;
                return true;
            }
        }
    }
    return false;
}

/* Neighbouring Gaps of one stream, oldest first. */
static bool take_gaps(struct store *store, struct debtor *debtor, struct parcel *parcel)
{
    if (!debtor->gaps_pending)
        return false;
    sqlite3_stmt *s = database_statement(store, STATEMENT_GAP_LIST);
    sqlite3_bind_int64(s, 1, debtor->row);
    sqlite3_bind_int64(s, 2, debtor->gap_cursor);
    uint32_t stream = 0;
    bool full = false;
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        int64_t row = sqlite3_column_int64(s, 0);
        uint32_t ordinal = (uint32_t)sqlite3_column_int64(s, 1);
        enum sector sector = (enum sector)sqlite3_column_int64(s, 2);
        size_t e = recover_epoch_index(store, ordinal);
        if (e == store->epoch_count || debtor->refused[sector] || !debtor->wanted[sector])
            continue;
        full = stream && (stream != ordinal * SECTOR_COUNT + sector ||
                          parcel->length + BATCH_GAP_MAX > debtor->max_payload);
        if (full)
            break;
        if (!stream && !begin(store, parcel, PARCEL_HISTORY, e, sector))
            break;
        stream = ordinal * SECTOR_COUNT + sector;
        const struct batch_gap gap = {
            .epoch = store->epochs[e].number,
            .sector = sector,
            .first_seq = (uint64_t)sqlite3_column_int64(s, 3),
            .last_seq = (uint64_t)sqlite3_column_int64(s, 4),
            .from_ms = sqlite3_column_int64(s, 5),
            .to_ms = sqlite3_column_int64(s, 6),
            .readings = (uint64_t)sqlite3_column_int64(s, 7),
            .reason = (enum gap_reason)sqlite3_column_int64(s, 8),
        };
        if (!fetch_reserve(parcel, parcel->length + BATCH_GAP_MAX))
            break;
        parcel->length +=
            batch_gap(&gap, parcel->bytes + parcel->length, parcel->capacity - parcel->length);
        if (!parcel->first_gap)
            parcel->first_gap = row;
        parcel->last_gap = row;
        debtor->gap_cursor = row;
    }
    sqlite3_reset(s);
    if (rc == SQLITE_DONE)
        debtor->gaps_pending = false;
    return parcel->last_gap != 0;
}

static bool take_any(struct store *store, struct debtor *debtor, struct parcel *parcel,
                     bool live_only)
{
    return announce_current(store, debtor, parcel) || take_live(store, debtor, parcel) ||
           (!live_only &&
            (take_gaps(store, debtor, parcel) || take_history(store, debtor, parcel)));
}

bool fetch_data(struct store *store, struct debtor *debtor, struct parcel *parcel, bool live_only)
{
    parcel->kind = PARCEL_EMPTY;
    parcel->first_seq = parcel->last_seq = 0;
    parcel->first_gap = parcel->last_gap = 0;
    uint64_t corrupt;
    do { /* what was set aside makes way for the next */
        corrupt = store->corrupt;
        if (take_any(store, debtor, parcel, live_only))
            return true;
    } while (store->corrupt != corrupt);
    parcel->kind = PARCEL_EMPTY;
    return false;
}
