/* Rows into parcels: live first, then Gaps, then what an uplink still owes from before; Manifests
 * in front of the rows that need them.
 * Store thread; the parcel is lent by its uplink. A row goes out as it was stored: its CRC is
 * checked, its bytes are appended.
 * Never keeps a parcel and never decides what was delivered. */
#include "gateway/store/internal.h"

#include <stdlib.h>

#include "gateway/log.h"
#include "gateway/store/announce.h"
#include "gateway/store/backlog.h"
#include "gateway/store/comb.h"
#include "gateway/store/database.h"
#include "gateway/store/doubt.h"
#include "gateway/store/epochs.h"
#include "gateway/store/fetch.h"
#include "gateway/store/gap.h"
#include "gateway/store/hold.h"
#include "gateway/store/refusal.h"
#include "gateway/store/rest.h"
#include "gateway/store/salvage.h"
#include "gateway/store/suspect.h"
#include "proto/batch.h"

enum {
    UNREAD_MS = 10000,
    UNASKED_MS = 60000, /* nobody asked for so long: nothing is known of that time */
};

/* Which rows into one parcel, and how many at most; at least one. */
struct order {
    enum parcel_kind kind;
    size_t epoch;
    enum sector sector;
    struct range wanted;
    size_t bytes;
    unsigned rows;
};

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

size_t fetch_limit(const struct debtor *debtor)
{
    size_t limit = debtor->max_payload, terms = debtor->terms.max_payload;
    return terms && terms < limit ? terms : limit;
}

static bool begin(struct store *store, struct parcel *parcel, enum parcel_kind kind, size_t epoch,
                  enum sector sector)
{
    parcel->kind = kind;
    parcel->sector = sector;
    parcel->epoch = store->epochs[epoch].number;
    parcel->first_seq = parcel->last_seq = parcel->readings = 0;
    parcel->first_gap = parcel->last_gap = 0;
    parcel->length = parcel->rows = 0;
    parcel->alone = false;
    if (!fetch_reserve(parcel, BATCH_HEAD_MAX))
        return false;
    parcel->length = batch_head(store->settings->gateway.id, parcel->epoch, sector, parcel->bytes,
                                parcel->capacity);
    parcel->head = parcel->length;
    return parcel->length > 0;
}

/* Numbers that should be there and are not, or one that its CRC disowns: from now on a Gap. Where
 * that cannot be written they are met again, by the next parcel. */
static void set_aside(struct store *store, size_t epoch, enum sector sector, struct range gone,
                      uint64_t readings)
{
    const struct gap gap = {.ordinal = store->epochs[epoch].ordinal,
                            .sector = sector,
                            .first_seq = gone.first,
                            .last_seq = gone.last,
                            .loss = {.readings = readings},
                            .reason = GAP_REASON_CORRUPT};
    if (!gap_of_all(store, &gap) || !gap_settle(store, epoch, sector, gone.first, gone.last)) {
        if (database_error(store) == SQLITE_CORRUPT) /* it is the list of Gaps that is damaged */
            (void)salvage_ask(store);
        gap_undo(store);
        return;
    }
    log_error("store: %s %llu to %llu cannot be read back; a Gap says so", names_sector(sector),
              (unsigned long long)gone.first, (unsigned long long)gone.last);
    store->corrupt += gone.last - gone.first + 1;
}

/* The disk or the memory, not the row: tried again with the next parcel. */
static void note_reading(struct store *store, bool ok)
{
    if (!ok && !store->unreadable)
        log_error("store: cannot read (%s)", sqlite3_errmsg(store->db));
    store->unreadable = !ok;
}

/* The disk has not given a number back for so long, while it took Gaps: as lost as a damaged row,
 * and so is the next one, if that is not to be had at once. */
static bool is_past_hope(struct owed *owed, uint64_t seq)
{
    mono_time now = clock_mono();
    if (owed->unread_seq != seq || clock_ms_between(owed->asked_at, now) >= UNASKED_MS) {
        owed->unread_seq = seq;
        owed->unread_at = now;
    }
    owed->asked_at = now;
    return clock_ms_between(owed->unread_at, now) >= UNREAD_MS;
}

/* Appends the row the statement stands on. False: it does not fit any more. */
static bool append_row(const struct order *order, sqlite3_stmt *s, struct parcel *parcel,
                       uint64_t seq, bool *corrupt)
{
    const uint8_t *row = sqlite3_column_blob(s, 5);
    size_t length = (size_t)sqlite3_column_bytes(s, 5);
    if (parcel->rows >= order->rows || (parcel->rows && parcel->length + length > order->bytes))
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
    parcel->rows++;
    return true;
}

/* Fills the parcel with rows of [first, last] of a stream, in order, up to the first that is
 * missing. */
static bool take(struct store *store, struct debtor *debtor, struct parcel *parcel,
                 const struct order *order)
{
    const size_t epoch = order->epoch;
    const enum sector sector = order->sector;
    const struct range wanted = order->wanted;
    struct owed *owed = &debtor->owed[epoch][sector];
    uint32_t ordinal = store->epochs[epoch].ordinal;
    if (!begin(store, parcel, order->kind, epoch, sector))
        return false;
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_READ);
    sqlite3_bind_int64(s, 1, SEGMENT_ID(ordinal, sector, wanted.first));
    sqlite3_bind_int64(s, 2, SEGMENT_ID(ordinal, sector, wanted.last));
    uint64_t expected = wanted.first, found = 0;
    bool corrupt = false;  /* the row itself, not what leads to it */
    uint64_t readings = 0; /* of the row that was read last */
    int rc = SQLITE_DONE;
    while (expected <= wanted.last && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        found = (uint64_t)sqlite3_column_int64(s, 0) & 0xffffffffff;
        readings = (uint64_t)sqlite3_column_int64(s, 3);
        if (found != expected || !append_row(order, s, parcel, found, &corrupt))
            break;
        expected++;
    }
    bool known = rc == SQLITE_ROW || rc == SQLITE_DONE || rc == SQLITE_CORRUPT;
    bool unread = rc == SQLITE_ROW && found == expected && !corrupt; /* no memory for it */
    bool lost = !corrupt || comb_key(store, s) != 0;
    sqlite3_reset(s);
    struct range gone = {expected, expected};
    if (rc == SQLITE_ROW && found > expected)
        gone.last = found - 1;
    else if (rc == SQLITE_DONE)
        gone.last = wanted.last;
    note_reading(store, known);
    if (parcel->first_seq) {
        if (parcel->first_seq <= owed->unread_seq && owed->unread_seq <= parcel->last_seq)
            owed->unread_seq = 0;
        return hold_hand_out(store, epoch, sector, parcel->first_seq, parcel->last_seq) &&
               ranges_remove(&owed->unsent, parcel->first_seq, parcel->last_seq);
    }
    if (rc == SQLITE_IOERR && is_past_hope(owed, expected)) {
        set_aside(store, epoch, sector, (struct range){expected, expected}, 0);
        owed->unread_seq = expected + 1;
    }
    if (known && !unread && expected <= wanted.last && !(lost && salvage_ask(store)))
        set_aside(store, epoch, sector, gone, corrupt ? readings : 0);
    return false;
}

static bool is_resting(const struct debtor *debtor, int sector)
{
    return !rest_is_over(&debtor->rests[sector], clock_mono());
}

/* Its rows wait for a Manifest that the broker may not take. */
static bool is_mute(const struct debtor *debtor, size_t epoch, int sector)
{
    const struct owed *owed = &debtor->owed[epoch][sector];
    return owed->unfit || owed->doubt.on;
}

static bool take_live(struct store *store, struct debtor *debtor, struct parcel *parcel)
{
    size_t now = store->epoch_count - 1;
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        struct order order = {PARCEL_LIVE,         now,       (enum sector)sector, {0},
                              fetch_limit(debtor), UINT32_MAX};
        uint64_t floor = live_floor(&store->recent[sector], store->epochs[now].last_seq[sector]);
        const struct refusal_ask ask = {true, order.sector, store->epochs[now].number, floor,
                                        UINT64_MAX};
        if (is_resting(debtor, sector) || is_mute(debtor, now, sector) ||
            !refusal_next(debtor, &ask, &debtor->owed[now][sector].unsent, &order.wanted,
                          &order.rows) ||
            !hold_limit(store, now, order.sector, &order.wanted) ||
            !suspect_spare(debtor, store->epochs[now].number, order.sector, &order.wanted))
            continue;
        if (take(store, debtor, parcel, &order))
            return true;
    }
    return false;
}

/* What is owed of a stream and is not live any more. */
static bool find_history(struct store *store, struct debtor *debtor, struct order *order)
{
    const struct epoch *epoch = &store->epochs[order->epoch];
    struct range *range = &order->wanted;
    uint64_t floor = UINT64_MAX;
    if (order->epoch == store->epoch_count - 1)
        floor = live_floor(&store->recent[order->sector], epoch->last_seq[order->sector]);
    const struct refusal_ask ask = {false, order->sector, epoch->number, 0, floor};
    if (is_resting(debtor, (int)order->sector) ||
        !refusal_next(debtor, &ask, &debtor->owed[order->epoch][order->sector].unsent, range,
                      &order->rows) ||
        !hold_limit(store, order->epoch, order->sector, range) ||
        !suspect_spare(debtor, epoch->number, order->sector, range))
        return false;
    if (range->last >= floor)
        range->last = floor - 1;
    return range->first < floor;
}

/* As much as may go into one parcel of history. */
static size_t history_bytes(const struct debtor *debtor)
{
    int64_t most = (int64_t)fetch_limit(debtor);
    if (!debtor->terms.window)
        return (size_t)most;
    if (most > debtor->most)
        most = debtor->most;
    return (size_t)(most < debtor->room ? most : debtor->room);
}

static bool take_history(struct store *store, struct debtor *debtor, struct parcel *parcel)
{
    for (size_t e = 0; e < store->epoch_count; e++) {
        if (store->epochs[e].elsewhere)
            continue;
        for (int i = 1; i < SECTOR_COUNT; i++) {
            /* the turn goes round, so that no sector waits for another's backlog */
            int sector = 1 + (int)((debtor->turn + (unsigned)i) % (SECTOR_COUNT - 1));
            struct order order = {PARCEL_HISTORY,        e,         (enum sector)sector, {0},
                                  history_bytes(debtor), UINT32_MAX};
            if (!find_history(store, debtor, &order))
                continue;
            if (announce_epoch(store, debtor, parcel, e, order.sector))
                return true;
            if (!is_mute(debtor, e, sector) && take(store, debtor, parcel, &order)) {
                debtor->turn = (unsigned)sector - 1;
                return true;
            }
        }
    }
    return false;
}

bool fetch_turn(const struct store *store, const struct debtor *debtor, struct trial *trial)
{
    enum sector sector = trial->suspect->sector;
    const struct epoch *epoch = &store->epochs[trial->epoch];
    const struct ranges *unsent = &debtor->owed[trial->epoch][sector].unsent;
    struct range *wanted = &trial->wanted, next;
    bool live =
        trial->epoch == store->epoch_count - 1 &&
        ranges_next(unsent, live_floor(&store->recent[sector], epoch->last_seq[sector]), &next) &&
        wanted->first <= next.first && next.first <= wanted->last;
    trial->kind = live ? PARCEL_LIVE : PARCEL_HISTORY;
    if (!live &&
        (!ranges_next(unsent, 0, &next) || next.first < wanted->first || wanted->last < next.first))
        return false;
    wanted->first = next.first;
    wanted->last = next.last < wanted->last ? next.last : wanted->last;
    return true;
}

/* Rows on which the broker may have ended a connection, with nothing else in flight. */
static bool take_suspect(struct store *store, struct debtor *debtor, struct parcel *parcel,
                         const struct trial *trial)
{
    struct suspect *suspect = trial->suspect;
    struct order order = {trial->kind,   trial->epoch,        suspect->sector,
                          trial->wanted, fetch_limit(debtor), trial->rows};
    if (announce_epoch(store, debtor, parcel, order.epoch, order.sector))
        return true;
    if (is_mute(debtor, order.epoch, (int)order.sector) || !take(store, debtor, parcel, &order))
        return false;
    parcel->alone = debtor->alone = true;
    debtor->tried |= suspect->trials > 0;
    return true;
}

static struct batch_gap read_gap(const struct store *store, sqlite3_stmt *s, size_t epoch)
{
    return (struct batch_gap){
        .epoch = store->epochs[epoch].number,
        .sector = (enum sector)sqlite3_column_int64(s, 2),
        .first_seq = (uint64_t)sqlite3_column_int64(s, 3),
        .last_seq = (uint64_t)sqlite3_column_int64(s, 4),
        .from_ms = sqlite3_column_int64(s, 5),
        .to_ms = sqlite3_column_int64(s, 6),
        .readings = (uint64_t)sqlite3_column_int64(s, 7),
        .reason = (enum gap_reason)sqlite3_column_int64(s, 8),
    };
}

/* Neighbouring Gaps of one stream, oldest first. */
static bool take_gaps_of(struct store *store, struct debtor *debtor, struct parcel *parcel,
                         enum sector sector)
{
    struct gap_cursor *cursor = &debtor->gaps[sector];
    sqlite3_stmt *s = database_statement(store, STATEMENT_GAP_LIST);
    sqlite3_bind_int64(s, 1, debtor->row);
    sqlite3_bind_int64(s, 2, cursor->row);
    sqlite3_bind_int64(s, 3, sector);
    uint32_t of = 0; /* the epoch of the first */
    int rc;
    parcel->last_gap = 0;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        int64_t row = sqlite3_column_int64(s, 0);
        uint32_t ordinal = (uint32_t)sqlite3_column_int64(s, 1);
        size_t e = epochs_index(store, ordinal);
        if (e == store->epoch_count)
            continue;
        if (of && (of != ordinal || parcel->length + BATCH_GAP_MAX > history_bytes(debtor)))
            break;
        if ((!of && !begin(store, parcel, PARCEL_HISTORY, e, sector)) ||
            !fetch_reserve(parcel, parcel->length + BATCH_GAP_MAX))
            break;
        of = ordinal;
        const struct batch_gap gap = read_gap(store, s, e);
        parcel->length +=
            batch_gap(&gap, parcel->bytes + parcel->length, parcel->capacity - parcel->length);
        if (!parcel->first_gap)
            parcel->first_gap = row;
        parcel->last_gap = row;
        cursor->row = row;
    }
    sqlite3_reset(s);
    if (rc == SQLITE_DONE)
        cursor->pending = false;
    return parcel->last_gap != 0;
}

static bool take_gaps(struct store *store, struct debtor *debtor, struct parcel *parcel)
{
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        if (debtor->gaps[sector].pending && debtor->wanted[sector] &&
            !debtor->gap_doubts[sector].on && !is_resting(debtor, sector) &&
            rest_is_over(&debtor->gap_rests[sector], clock_mono()) &&
            !hold_gaps(store, (enum sector)sector) &&
            take_gaps_of(store, debtor, parcel, (enum sector)sector))
            return true;
    }
    return false;
}

/* What there is none of any more is not in doubt. */
static bool take_doubtful(struct store *store, struct debtor *debtor, struct parcel *parcel,
                          const struct doubtful *doubtful)
{
    bool filled = doubtful->gaps ? take_gaps_of(store, debtor, parcel, doubtful->sector)
                                 : announce_doubtful(store, debtor, parcel, doubtful);
    if (!filled) {
        *doubtful->doubt = (struct doubt){0};
        return false;
    }
    rest_sent(&doubtful->doubt->rest);
    parcel->alone = debtor->alone = true;
    return true;
}

static bool take_any(struct store *store, struct debtor *debtor, struct parcel *parcel,
                     bool live_only, bool idle)
{
    if (debtor->alone)
        return false;
    if (announce_current(store, debtor, parcel))
        return true;
    struct trial trial;
    struct doubtful doubtful;
    bool unsure = doubt_due(store, debtor, &doubtful);
    bool due = !unsure && suspect_due(store, debtor, &trial);
    if ((unsure || due) && !idle)
        return false;
    /* one that cannot be read now holds nobody else up */
    return (unsure && take_doubtful(store, debtor, parcel, &doubtful)) ||
           (due && take_suspect(store, debtor, parcel, &trial)) ||
           take_live(store, debtor, parcel) ||
           (!live_only && (debtor->room > 0 || !debtor->terms.window) &&
            (take_gaps(store, debtor, parcel) || take_history(store, debtor, parcel)));
}

static void note_sent(struct debtor *debtor, const struct parcel *parcel)
{
    rest_sent(&debtor->rests[parcel->sector]);
    if (parcel->last_gap)
        rest_sent(&debtor->gap_rests[parcel->sector]);
    else
        refusal_sent(debtor, parcel);
}

bool fetch_data(struct store *store, struct debtor *debtor, struct parcel *parcel, bool live_only,
                bool idle)
{
    parcel->kind = PARCEL_EMPTY;
    parcel->first_seq = parcel->last_seq = 0;
    parcel->first_gap = parcel->last_gap = 0;
    parcel->alone = false;
    uint64_t corrupt;
    do { /* what was set aside makes way for the next; one that cannot be read may take seconds */
        corrupt = store->corrupt;
        if (take_any(store, debtor, parcel, live_only, idle)) {
            if (parcel->kind != PARCEL_MANIFEST)
                note_sent(debtor, parcel);
            if (parcel->kind == PARCEL_HISTORY)
                debtor->room -= (int64_t)parcel->length;
            return true;
        }
    } while (store->corrupt != corrupt && !store->unreadable);
    parcel->kind = PARCEL_EMPTY;
    return false;
}
