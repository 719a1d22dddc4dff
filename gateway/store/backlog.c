/* What each uplink owes: per (epoch, sector) the numbers that were not acknowledged, and Gaps.
 * Store thread. Owns the range sets; the copy on disk follows at the next commit, so that a crash
 * makes an uplink send twice, never not at all.
 * Never reads rows and never talks to an uplink. */
#include "gateway/store/internal.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/boot.h"
#include "gateway/log.h"
#include "gateway/store/announce.h"
#include "gateway/store/backlog.h"
#include "gateway/store/commit.h"
#include "gateway/store/database.h"
#include "gateway/store/debts.h"
#include "gateway/store/rest.h"
#include "gateway/store/suspect.h"

static size_t current(const struct store *store)
{
    return store->epoch_count - 1;
}

size_t backlog_epoch(const struct store *store, uint64_t number)
{
    size_t i = 0;
    while (i < store->epoch_count && store->epochs[i].number != number)
        i++;
    return i;
}

/* The row of an uplink and the sectors it was kept for, one bit each. */
static bool find_uplink(struct store *store, const char *name, int64_t *row, int64_t *sectors)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_UPLINK_FIND);
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    bool found = sqlite3_step(s) == SQLITE_ROW;
    if (found) {
        *row = sqlite3_column_int64(s, 0);
        *sectors = sqlite3_column_int64(s, 1);
    }
    sqlite3_reset(s);
    return found;
}

static int64_t wanted_sectors(const struct debtor *debtor)
{
    int64_t bits = 0;
    for (int sector = 1; sector < SECTOR_COUNT; sector++)
        bits |= (int64_t)debtor->wanted[sector] << sector;
    return bits;
}

/* What an uplink owed that the configuration no longer names is forgotten: named again, it is new.
 */
bool backlog_forget(struct store *store)
{
    bool ok = true;
    sqlite3_stmt *s = database_statement(store, STATEMENT_UPLINK_LIST);
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        bool named = false;
        for (size_t u = 0; u < store->settings->uplink_count; u++)
            named |= strcmp(store->settings->uplinks[u].name,
                            (const char *)sqlite3_column_text(s, 1)) == 0;
        if (named)
            continue;
        static const enum statement forget[] = {STATEMENT_UPLINK_FORGET, STATEMENT_UNACKED_FORGET,
                                                STATEMENT_GAP_FORGET, STATEMENT_ALARM_FORGET};
        for (size_t i = 0; ok && i < sizeof forget / sizeof *forget; i++) {
            sqlite3_bind_int64(database_statement(store, forget[i]), 1, sqlite3_column_int64(s, 0));
            ok = database_run(store, forget[i]);
        }
    }
    return sqlite3_reset(s) == SQLITE_OK && ok;
}

static bool forget_gaps(struct store *store, int64_t row, int sector)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_GAP_UNWANTED);
    sqlite3_bind_int64(s, 1, row);
    sqlite3_bind_int64(s, 2, sector);
    return database_run(store, STATEMENT_GAP_UNWANTED);
}

static void sum_readings(struct store *store, struct debtor *debtor)
{
    debtor->readings = 0;
    debtor->uncounted = false;
    for (size_t e = 0; e < store->epoch_count; e++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            const struct ranges *unacked = &debtor->owed[e][sector].unacked;
            for (size_t i = 0; i < unacked->count; i++) {
                uint32_t ordinal = store->epochs[e].ordinal;
                sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_SUM);
                sqlite3_bind_int64(s, 1, SEGMENT_ID(ordinal, sector, unacked->items[i].first));
                sqlite3_bind_int64(s, 2, SEGMENT_ID(ordinal, sector, unacked->items[i].last));
                if (sqlite3_step(s) == SQLITE_ROW)
                    debtor->readings += (uint64_t)sqlite3_column_int64(s, 0);
                sqlite3_reset(s);
            }
        }
    }
}

enum { COUNT_UNKNOWN = -1 };

static const char *count_key(const struct debtor *debtor, char *out, size_t size)
{
    snprintf(out, size, "readings %lld", (long long)debtor->row);
    return out;
}

/* The readings that are owed once the transaction at hand is done: adding them up at a start would
 * mean to read a page of every row. */
static bool write_count(struct store *store, const struct debtor *debtor)
{
    uint64_t readings = debtor->readings;
    for (const struct body *b = store->queue; b != store->beyond; b = b->next)
        readings += b->seq && debtor->wanted[b->sector] ? b->readings : 0;
    char key[40];
    return database_meta_set(store, count_key(debtor, key, sizeof key), (int64_t)readings);
}

static void read_count(struct store *store, struct debtor *debtor)
{
    char key[40];
    int64_t readings = database_meta(store, count_key(debtor, key, sizeof key), COUNT_UNKNOWN);
    if (readings >= 0)
        debtor->readings = (uint64_t)readings;
    else
        sum_readings(store, debtor);
}

bool backlog_load_debtor(struct store *store, struct debtor *debtor)
{
    const struct settings_uplink *settings = debtor->own;
    int64_t known = 0;
    if (!debtor->owed)
        debtor->owed = calloc(store->epoch_count + 1, sizeof *debtor->owed);
    if (!debtor->owed || !settings)
        return debtor->owed != NULL;
    debtor->max_payload = settings->max_payload;
    for (int sector = 1; sector < SECTOR_COUNT; sector++)
        debtor->wanted[sector] = settings->sectors[sector];
    bool doubt = false;
    if (find_uplink(store, settings->name, &debtor->row, &known) &&
        !debts_read(store, debtor, known, &doubt))
        return false;
    if (doubt)
        log_error("store: what is owed to %s cannot be believed; all that is there is sent again",
                  settings->name);
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        if (debtor->wanted[sector] && !(known >> sector & 1) && !debts_owe(store, debtor, sector))
            return false;
        if (!debtor->wanted[sector] && (known >> sector & 1) &&
            !forget_gaps(store, debtor->row, sector))
            return false;
    }
    sqlite3_stmt *s = database_statement(store, STATEMENT_UPLINK_PUT);
    sqlite3_bind_text(s, 1, settings->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, wanted_sectors(debtor));
    if (known != wanted_sectors(debtor) && !database_run(store, STATEMENT_UPLINK_PUT))
        return false;
    bool same = known == wanted_sectors(debtor) && !doubt;
    find_uplink(store, settings->name, &debtor->row, &known);
    if (same)
        read_count(store, debtor);
    else
        sum_readings(store, debtor);
    backlog_renew(store, debtor);
    return true;
}

void backlog_count_unknown(struct store *store)
{
    for (size_t u = 0; u < store->debtor_count; u++) {
        if (store->debtors[u].uncounted)
            sum_readings(store, &store->debtors[u]);
    }
}

static bool owes_any(const struct store *store, const struct debtor *debtor)
{
    for (size_t e = 0; e < store->epoch_count; e++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            if (debtor->owed[e][sector].unacked.count)
                return true;
        }
    }
    return false;
}

void backlog_less(const struct store *store, struct debtor *debtor, uint64_t readings)
{
    debtor->readings -= readings < debtor->readings ? readings : debtor->readings;
    if (debtor->uncounted && !owes_any(store, debtor)) {
        debtor->readings = 0;
        debtor->uncounted = false;
    }
}

void backlog_count(struct store *store)
{
    for (size_t u = 0; u < store->debtor_count; u++)
        sum_readings(store, &store->debtors[u]);
}

/* Of a damaged file: what cannot be read is owed. False: some of that may be of rows that are not
 * there any more. */
static bool salvage_debtor(struct store *store, struct debtor *debtor)
{
    int64_t known = 0;
    debtor->max_payload = debtor->own->max_payload;
    for (int sector = 1; sector < SECTOR_COUNT; sector++)
        debtor->wanted[sector] = debtor->own->sectors[sector];
    bool doubt = false, ok = find_uplink(store, debtor->own->name, &debtor->row, &known) &&
                             debts_read(store, debtor, known, &doubt);
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        if (debtor->wanted[sector] && (!ok || !(known >> sector & 1)))
            (void)debts_owe(store, debtor, sector);
        for (size_t e = 0; e < store->epoch_count; e++) {
            struct ranges *unacked = &debtor->owed[e][sector].unacked;
            /* a list with numbers that never were costs a Gap too many, nothing else */
            if (!ranges_remove(unacked, 0, 0) ||
                !ranges_remove(unacked, store->epochs[e].last_seq[sector] + 1, UINT64_MAX))
                continue;
        }
    }
    backlog_renew(store, debtor);
    return ok && !doubt;
}

bool backlog_salvage(struct store *store)
{
    bool whole = true;
    for (size_t u = 0; u < store->debtor_count && store->epoch_count; u++) {
        if (store->debtors[u].own && !salvage_debtor(store, &store->debtors[u]))
            whole = false;
    }
    return whole;
}

void backlog_moved(struct store *store)
{
    for (size_t u = 0; u < store->debtor_count; u++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++)
            store->debtors[u].gaps[sector] = (struct gap_cursor){.pending = true};
    }
}

bool backlog_load(struct store *store)
{
    bool ok = backlog_forget(store);
    for (size_t u = 0; ok && u < store->debtor_count; u++)
        ok = backlog_load_debtor(store, &store->debtors[u]);
    return ok;
}

bool backlog_add_epoch(struct store *store)
{
    for (size_t u = 0; u < store->debtor_count; u++) {
        struct debtor *debtor = &store->debtors[u];
        struct owed(*owed)[SECTOR_COUNT] =
            realloc(debtor->owed, (store->epoch_count + 1) * sizeof *owed);
        if (!owed)
            return false;
        memset(owed[store->epoch_count], 0, sizeof *owed);
        debtor->owed = owed;
    }
    return true;
}

bool backlog_register(struct store *store)
{
    bool ok = true;
    for (size_t u = 0; ok && u < store->debtor_count; u++) {
        struct debtor *debtor = &store->debtors[u];
        int64_t known = 0;
        if (!debtor->own)
            continue;
        sqlite3_stmt *s = database_statement(store, STATEMENT_UPLINK_PUT);
        sqlite3_bind_text(s, 1, debtor->own->name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 2, wanted_sectors(debtor));
        ok = database_run(store, STATEMENT_UPLINK_PUT) &&
             find_uplink(store, debtor->own->name, &debtor->row, &known);
    }
    return ok;
}

void backlog_mark(struct store *store)
{
    for (size_t u = 0; u < store->debtor_count; u++) {
        for (size_t e = 0; e < store->epoch_count; e++) {
            for (int sector = 1; sector < SECTOR_COUNT; sector++)
                store->debtors[u].owed[e][sector].dirty = true;
        }
    }
}

bool backlog_number(struct store *store, enum sector sector, uint64_t seq)
{
    for (size_t u = 0; u < store->debtor_count; u++) {
        struct owed *owed = &store->debtors[u].owed[current(store)][sector];
        if (!store->debtors[u].wanted[sector])
            continue;
        if (!ranges_add(&owed->unacked, seq, seq))
            return false;
        owed->dirty = true;
    }
    return true;
}

/* Age runs on monotonic time: a step of the wall clock makes no reading old or new. What was
 * sampled in another boot is old. */
static bool is_fresh(const struct store *store, const struct body *body)
{
    struct segment_start start;
    if (!segment_start_of(body->bytes, body->length, &start) || start.boot != boot_id())
        return false;
    int64_t age_ms = clock_mono_ms(clock_mono()) - start.mono_ms;
    return age_ms <= (int64_t)store->settings->store.segment_ms + LIVE_MS;
}

void backlog_committed(struct store *store, const struct body *body)
{
    if (body->epoch == current(store) && is_fresh(store, body)) {
        struct recent *recent = &store->recent[body->sector];
        recent->seq[recent->count % RECENT] = body->seq;
        recent->closed[recent->count % RECENT] = clock_mono();
        recent->count++;
    }
    for (size_t u = 0; u < store->debtor_count; u++) {
        struct debtor *debtor = &store->debtors[u];
        if (!debtor->wanted[body->sector])
            continue;
        debtor->readings += body->readings;
        /* without memory it is sent after the next connect */
        if (!ranges_add(&debtor->owed[body->epoch][body->sector].unsent, body->seq, body->seq))
            continue;
    }
}

bool backlog_write_without(struct store *store, size_t epoch, enum sector sector,
                           uint64_t first_seq, uint64_t last_seq)
{
    struct ranges rest = {0};
    bool ok = true;
    for (size_t u = 0; ok && u < store->debtor_count; u++) {
        const struct debtor *debtor = &store->debtors[u];
        const struct owed *owed = &debtor->owed[epoch][sector];
        struct range part;
        char key[40];
        if (!owed->dirty &&
            (!ranges_next(&owed->unacked, first_seq, &part) || part.first > last_seq))
            continue; /* the disk knows it */
        ok = ranges_copy(&rest, &owed->unacked) && ranges_remove(&rest, first_seq, last_seq) &&
             debts_write(store, debtor, store->epochs[epoch].ordinal, (int)sector, &rest) &&
             /* until the next commit writes it again: a cut in between has it added up anew */
             database_meta_set(store, count_key(debtor, key, sizeof key), COUNT_UNKNOWN);
    }
    ranges_free(&rest);
    return ok;
}

static bool write_debtor(struct store *store, const struct debtor *debtor)
{
    bool dirty = false;
    for (size_t e = 0; e < store->epoch_count; e++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            const struct owed *owed = &debtor->owed[e][sector];
            dirty |= owed->dirty;
            if (owed->dirty &&
                !debts_write(store, debtor, store->epochs[e].ordinal, sector, &owed->unacked))
                return false;
        }
    }
    return !dirty || write_count(store, debtor);
}

bool backlog_write(struct store *store)
{
    bool ok = true;
    for (size_t u = 0; ok && u < store->debtor_count; u++)
        ok = write_debtor(store, &store->debtors[u]);
    return ok;
}

void backlog_written(struct store *store)
{
    for (size_t u = 0; u < store->debtor_count; u++) {
        for (size_t e = 0; e < store->epoch_count; e++) {
            for (int sector = 1; sector < SECTOR_COUNT; sector++)
                store->debtors[u].owed[e][sector].dirty = false;
        }
    }
}

bool backlog_dirty(const struct store *store)
{
    for (size_t u = 0; u < store->debtor_count; u++) {
        for (size_t e = 0; e < store->epoch_count; e++) {
            for (int sector = 1; sector < SECTOR_COUNT; sector++) {
                if (store->debtors[u].owed[e][sector].dirty)
                    return true;
            }
        }
    }
    return false;
}

/* All that is owed is to be sent again. The numbers of bodies that are not committed yet are among
 * the unacked ones: they are not to be sent before they are. */
void backlog_renew(struct store *store, struct debtor *debtor)
{
    for (size_t e = 0; e < store->epoch_count; e++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            struct owed *owed = &debtor->owed[e][sector];
            owed->unread_seq = 0;
            if (ranges_copy(&owed->unsent, &owed->unacked))
                owed->waiting.count = 0;
        }
    }
    for (const struct body *b = store->queue; b; b = b->next) {
        struct ranges *unsent = &debtor->owed[b->epoch][b->sector].unsent;
        if (b->seq && !ranges_remove(unsent, b->seq, b->seq))
            continue;
    }
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        if (suspect_is_whole(debtor, (enum sector)sector))
            rest_unsent(&debtor->rests[sector]);
        else
            debtor->rests[sector] = (struct rest){0};
        debtor->unheard[sector] = debtor->gap_rests[sector] = (struct rest){0};
        debtor->refusals[0][sector] = debtor->refusals[1][sector] = (struct refusal){0};
        debtor->gaps[sector] = (struct gap_cursor){.pending = true};
    }
    debtor->turn = 0;
    debtor->again_at.ns = debtor->again_ms = 0;
    debtor->alone = false;
    announce_renew(store, debtor);
    doubt_renew(store, debtor);
    suspect_renew(store, debtor);
}

static struct store_end end_of(const struct epoch *epoch, const struct owed *owed, int sector)
{
    struct range first;
    struct store_end end = {epoch->last_seq[sector], epoch->last_seq[sector]};
    if (ranges_next(&owed->unacked, 0, &first))
        end.settled_seq = first.first - 1;
    return end;
}

/* When the oldest number that is owed of a stream was sampled; looked up when it changes. */
static int64_t oldest_of(struct store *store, size_t epoch, int sector, struct owed *owed)
{
    struct range first;
    if (!ranges_next(&owed->unacked, 0, &first))
        return 0;
    if (first.first != owed->oldest_seq && !store->epochs[epoch].elsewhere) {
        sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_LOOK);
        int64_t id = SEGMENT_ID(store->epochs[epoch].ordinal, sector, first.first);
        sqlite3_bind_int64(s, 1, id);
        sqlite3_bind_int64(s, 2, id);
        owed->oldest_seq = first.first;
        owed->oldest_ms = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 1) : 0;
        sqlite3_reset(s);
    }
    return owed->oldest_ms;
}

void backlog_report(struct store *store, size_t uplink, struct store_backlog *out)
{
    const struct debtor *debtor = &store->debtors[uplink];
    *out = (struct store_backlog){.readings = debtor->readings,
                                  .set_aside = debtor->set_aside,
                                  .alarms = alarms_owed(store, uplink)};
    size_t now = current(store);
    for (size_t e = 0; e <= now; e++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            int64_t oldest_ms = oldest_of(store, e, sector, &debtor->owed[e][sector]);
            if (oldest_ms && (!out->oldest_ms || oldest_ms < out->oldest_ms))
                out->oldest_ms = oldest_ms;
            const struct owed *owed = &debtor->owed[e][sector];
            out->refused[sector] |= (owed->unfit || owed->doubt.rest.on) && oldest_ms;
        }
    }
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        out->refused[sector] |= debtor->rests[sector].on || debtor->gap_rests[sector].on ||
                                debtor->gap_doubts[sector].rest.on ||
                                refusal_is_on(debtor, (enum sector)sector);
        if (!debtor->wanted[sector])
            continue;
        out->ends[sector] = end_of(&store->epochs[now], &debtor->owed[now][sector], sector);
        if (now)
            out->previous_ends[sector] =
                end_of(&store->epochs[now - 1], &debtor->owed[now - 1][sector], sector);
    }
}

void backlog_free_debtor(struct debtor *debtor, size_t epochs)
{
    for (size_t e = 0; debtor->owed && e < epochs; e++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            ranges_free(&debtor->owed[e][sector].unacked);
            ranges_free(&debtor->owed[e][sector].unsent);
            ranges_free(&debtor->owed[e][sector].waiting);
        }
    }
    free(debtor->owed);
    *debtor = (struct debtor){.own = debtor->own};
}

void backlog_free(struct store *store)
{
    for (size_t u = 0; u < store->debtor_count; u++)
        backlog_free_debtor(&store->debtors[u], store->epoch_count);
}
