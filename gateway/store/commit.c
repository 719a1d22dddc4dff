/* One transaction: grown bodies, numbers for the closed ones, Gaps, what the uplinks owe.
 * Store thread (and main() before it starts). Changes memory before COMMIT only in ways that can be
 * taken back: a body whose transaction fails loses its number, and no uplink learns of it before.
 * Never sends anything, never waits for an uplink. */
#include "gateway/store/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/log.h"
#include "gateway/store/backlog.h"
#include "gateway/store/commit.h"
#include "gateway/store/database.h"
#include "gateway/store/gap.h"
#include "gateway/store/hold.h"
#include "gateway/store/media.h"
#include "gateway/store/reserve.h"

static struct epoch *current(struct store *store)
{
    return &store->epochs[store->epoch_count - 1];
}

void commit_loss(struct loss *loss, int64_t from_ms, int64_t to_ms, uint64_t readings)
{
    if (!loss->any || from_ms < loss->from_ms)
        loss->from_ms = from_ms;
    if (!loss->any || to_ms > loss->to_ms)
        loss->to_ms = to_ms;
    loss->any = true;
    loss->readings += readings;
}

static bool put_chunk(struct store *store, const struct body *body, uint32_t chunk)
{
    size_t at = (size_t)chunk * OPEN_CHUNK, left = body->length - at;
    sqlite3_stmt *s = database_statement(store, STATEMENT_OPEN_PUT);
    sqlite3_bind_int64(s, 1, OPEN_ID(body->part, chunk));
    sqlite3_bind_int64(s, 2, body->sector);
    sqlite3_bind_int64(s, 3, chunk ? 0 : body->first_ms);
    sqlite3_bind_int64(s, 4, chunk ? 0 : body->last_ms);
    sqlite3_bind_int64(s, 5, chunk ? 0 : body->readings);
    sqlite3_bind_int64(s, 6, chunk ? 0 : body->crc);
    sqlite3_bind_blob(s, 7, body->bytes + at, (int)(left < OPEN_CHUNK ? left : OPEN_CHUNK),
                      SQLITE_STATIC);
    return database_run(store, STATEMENT_OPEN_PUT);
}

bool commit_put_open(struct store *store, struct body *body)
{
    body->crc = database_crc(current(store)->number, body->sector, 0, body->bytes, body->length);
    bool ok = true;
    for (uint32_t chunk = 0; ok && (size_t)chunk * OPEN_CHUNK < body->length; chunk++)
        ok = put_chunk(store, body, chunk);
    return ok;
}

bool commit_reserve_row(struct store *store, size_t size)
{
    if (size <= store->row_capacity)
        return true;
    uint8_t *row = realloc(store->row, size);
    if (!row)
        return false;
    store->row = row;
    store->row_capacity = size;
    return true;
}

static bool close_body(struct store *store, struct body *body)
{
    if (!body->seq) {
        struct epoch *now = current(store);
        if (!backlog_number(store, body->sector, now->last_seq[body->sector] + 1))
            return false;
        body->seq = ++now->last_seq[body->sector];
        body->epoch = store->epoch_count - 1;
    }
    hold_body(store, body);
    const struct epoch *epoch = &store->epochs[body->epoch];
    if (!commit_reserve_row(store, body->length + SEGMENT_ROW_OVERHEAD))
        return false;
    size_t length =
        segment_row(body->seq, body->bytes, body->length, store->row, store->row_capacity);
    body->crc = database_crc(epoch->number, body->sector, body->seq, store->row, length);

    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_ADD);
    sqlite3_bind_int64(s, 1, SEGMENT_ID(epoch->ordinal, body->sector, body->seq));
    sqlite3_bind_int64(s, 2, body->first_ms);
    sqlite3_bind_int64(s, 3, body->last_ms);
    sqlite3_bind_int64(s, 4, body->readings);
    sqlite3_bind_int64(s, 5, body->crc);
    sqlite3_bind_blob(s, 6, store->row, (int)length, SQLITE_STATIC);
    if (!database_run(store, STATEMENT_SEGMENT_ADD))
        return false;

    s = database_statement(store, STATEMENT_OPEN_DELETE);
    sqlite3_bind_int64(s, 1, OPEN_ID(body->part, 0));
    sqlite3_bind_int64(s, 2, OPEN_ID(body->part, OPEN_CHUNKS - 1));
    if (!database_run(store, STATEMENT_OPEN_DELETE))
        return false;

    s = database_statement(store, STATEMENT_STREAM_SET);
    sqlite3_bind_int64(s, 1, epoch->ordinal);
    sqlite3_bind_int64(s, 2, body->sector);
    sqlite3_bind_int64(s, 3, (int64_t)body->seq);
    sqlite3_bind_int64(s, 4, body->last_ms);
    return database_run(store, STATEMENT_STREAM_SET);
}

bool commit_losing(const struct store *store)
{
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        for (int reason = 1; reason <= GAP_REASON_DISK; reason++) {
            if (store->losing[sector][reason].any)
                return true;
        }
    }
    return false;
}

static bool write_losses(struct store *store)
{
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        for (int reason = 1; reason <= GAP_REASON_DISK; reason++) {
            const struct loss *loss = &store->losing[sector][reason];
            const struct gap gap = {current(store)->ordinal, (enum sector)sector, 0, 0, *loss,
                                    (enum gap_reason)reason};
            if (!loss->any)
                continue;
            if (!gap_of_all(store, &gap))
                return false;
            store->gaps++;
        }
    }
    return true;
}

static const char *behind_key(enum sector sector, char *out, size_t size)
{
    snprintf(out, size, "behind %s", names_sector(sector));
    return out;
}

int64_t commit_behind(struct store *store, enum sector sector)
{
    char key[40];
    return database_meta(store, behind_key(sector, key, sizeof key), 0);
}

/* A sync of several transactions can be cut between them: then the disk says from when on something
 * is missing. */
static bool write_behind(struct store *store)
{
    int64_t from_ms[SECTOR_COUNT] = {0};
    for (const struct body *b = store->beyond; b; b = b->next) {
        if (!from_ms[b->sector] || b->first_ms < from_ms[b->sector])
            from_ms[b->sector] = b->first_ms;
    }
    bool ok = true;
    for (int sector = 1; ok && sector < SECTOR_COUNT; sector++) {
        char key[40];
        if (from_ms[sector] || store->behind[sector])
            ok = database_meta_set(store, behind_key((enum sector)sector, key, sizeof key),
                                   from_ms[sector]);
        store->behind[sector] |= from_ms[sector] != 0;
    }
    return ok;
}

bool commit_write(struct store *store)
{
    for (struct body *b = store->queue; b != store->beyond; b = b->next) {
        if (b->length && !(b->closed ? close_body(store, b) : commit_put_open(store, b)))
            return false;
    }
    return alarms_write(store) && write_behind(store) && write_losses(store) &&
           backlog_write(store);
}

/* LIFELINE_TEST_JOURNAL: what is on disk from now on, for the rigs in tests/. */
static void write_journal(struct store *store)
{
    if (!store->journal || store->in_memory)
        return;
    for (const struct body *b = store->queue; b != store->beyond; b = b->next) {
        if (b->length) /* one that found no memory has no row either */
            fprintf(store->journal, "%" PRIu64 " %s %u %" PRIu64 " %u %08x %s\n",
                    store->epochs[b->closed ? b->epoch : store->epoch_count - 1].number,
                    names_sector(b->sector), b->part, b->seq, b->readings, b->crc,
                    b->closed ? "closed" : "open");
    }
    fflush(store->journal);
}

void commit_journal_epoch(struct store *store, size_t epoch)
{
    if (!store->journal)
        return;
    const struct epoch *it = &store->epochs[epoch];
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_READ);
    sqlite3_bind_int64(s, 1, SEGMENT_ID(it->ordinal, 0, 0));
    sqlite3_bind_int64(s, 2, SEGMENT_ID(it->ordinal + 1, 0, 0) - 1);
    while (sqlite3_step(s) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(s, 0);
        fprintf(store->journal, "%" PRIu64 " %s 0 %" PRId64 " %" PRId64 " %08x closed\n",
                it->number, names_sector((enum sector)(id >> 40 & 0xff)), id & 0xffffffffff,
                (int64_t)sqlite3_column_int64(s, 3), (unsigned)sqlite3_column_int64(s, 4));
    }
    sqlite3_reset(s);
    fflush(store->journal);
}

static void tell(struct store *store, bool ok)
{
    if (ok == !store->failing)
        return;
    store->failing = !ok;
    if (ok)
        log_notice("store: writing again");
    else
        log_error("store: cannot write (%s); readings wait in memory", sqlite3_errmsg(store->db));
}

/* By its CRC; without memory for that nothing is believed. */
void commit_note_open(struct store *store, const struct body *body)
{
    if (body->part >= store->open_parts && !body->closed) {
        size_t parts = (size_t)body->part + 1;
        uint32_t *crc = realloc(store->open_crc, parts * sizeof *crc);
        if (!crc)
            return;
        memset(crc + store->open_parts, 0, (parts - store->open_parts) * sizeof *crc);
        store->open_crc = crc;
        store->open_parts = parts;
    }
    if (body->part < store->open_parts)
        store->open_crc[body->part] = body->closed ? 0 : body->crc;
}

bool commit_is_newest(const struct store *store, const struct body *body)
{
    return body->part < store->open_parts && store->open_crc[body->part] == body->crc;
}

void commit_done(struct store *store)
{
    write_journal(store);
    store->more_alarms = alarms_written(store);
    memset(store->losing, 0, sizeof store->losing);
    if (!store->beyond)
        memset(store->behind, 0, sizeof store->behind);
    backlog_written(store);
    reserve_committed(store);
    for (const struct body *b = store->queue; b != store->beyond; b = b->next) {
        if (b->length)
            commit_note_open(store, b);
        if (b->closed && b->length)
            backlog_committed(store, b);
    }
}

void commit_take_back(struct store *store)
{
    for (struct body *b = store->queue; b; b = b->next) {
        if (!b->seq)
            continue;
        uint64_t *last_seq = &store->epochs[b->epoch].last_seq[b->sector];
        if (*last_seq >= b->seq)
            *last_seq = b->seq - 1;
        for (size_t u = 0; u < store->debtor_count; u++) {
            struct owed *owed = &store->debtors[u].owed[b->epoch][b->sector];
            /* without memory the number is met as missing, and becomes a Gap */
            if (ranges_remove(&owed->unacked, b->seq, b->seq))
                owed->dirty = true;
        }
        b->seq = 0;
    }
}

static int try(struct store *store, bool clean)
{
    bool ok = database_run(store, STATEMENT_BEGIN) && commit_write(store) &&
              (!clean || database_meta_set(store, "clean", 1)) &&
              database_run(store, STATEMENT_COMMIT);
    int rc = ok ? SQLITE_OK : database_error(store);
    if (!ok && store->db)
        database_run(store, STATEMENT_ROLLBACK);
    return rc;
}

/* As many bodies as a transaction takes, at least one. */
static void take_portion(struct store *store)
{
    size_t bytes = 0, limit = reserve_portion(store);
    struct body *b = store->queue;
    while (b && (b == store->queue || bytes + b->length <= limit)) {
        bytes += b->length;
        b = b->next;
    }
    store->beyond = b;
}

bool commit_all(struct store *store, bool clean)
{
    unsigned attempt = 0;
    int rc;
    take_portion(store);
    while ((rc = try(store, clean && !store->beyond)) != SQLITE_OK) {
        /* what may have been written is written again, with the same numbers; what has found no
           room is not there, and whoever makes room must not count with its numbers */
        if (rc == SQLITE_FULL)
            commit_take_back(store);
        if (!media_rescue(store, rc, attempt++))
            break;
        if (rc == SQLITE_FULL)
            take_portion(store);
    }
    if (rc != SQLITE_OK)
        commit_take_back(store);
    tell(store, rc == SQLITE_OK);
    if (rc == SQLITE_OK)
        commit_done(store);
    return rc == SQLITE_OK;
}

void commit_free_bodies(struct body *body)
{
    while (body) {
        struct body *next = body->next;
        free(body->bytes);
        free(body);
        body = next;
    }
}
