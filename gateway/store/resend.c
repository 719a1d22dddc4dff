/* What was sent once and is owed still: again at once, again after a while, or never.
 * Store thread. What waits is a part of what is unacknowledged: rows that the platform has not
 * confirmed, and rows that the broker did not take (misfits). The while is 10 min and doubles.
 * Never decides which: receipt.c, refusal.c and suspect.c do. */
#include "gateway/store/internal.h"

#include "gateway/log.h"
#include "gateway/store/backlog.h"
#include "gateway/store/commit.h"
#include "gateway/store/database.h"
#include "gateway/store/gap.h"
#include "gateway/store/receipt.h"
#include "gateway/store/resend.h"

enum { AGAIN_MS = 600000, AGAIN_MAX_MS = 6 * 3600000, MISFIT_TIMES = 3 };

/* Adds to `to` what [first, last] and `of` have in common. */
static bool add_common(struct ranges *to, const struct ranges *of, uint64_t first, uint64_t last)
{
    struct range part;
    for (uint64_t from = first; from <= last && ranges_next(of, from, &part) && part.first <= last;
         from = part.last + 1) {
        if (!ranges_add(to, part.first, part.last < last ? part.last : last))
            return false;
    }
    return true;
}

void resend_part(struct store *store, struct debtor *debtor, const struct receipt *receipt,
                 bool now)
{
    size_t e = backlog_epoch(store, receipt->epoch);
    if (e == store->epoch_count || !receipt->first_seq)
        return;
    struct owed *owed = &debtor->owed[e][receipt->sector];
    /* without memory it is sent after the next connect */
    if (!add_common(now ? &owed->unsent : &owed->waiting, &owed->unacked, receipt->first_seq,
                    receipt->last_seq))
        return;
    if (now || debtor->again_at.ns)
        return;
    debtor->again_ms = debtor->again_ms ? debtor->again_ms : AGAIN_MS;
    debtor->again_at = clock_after_ms(clock_mono(), debtor->again_ms);
}

void resend_due(struct store *store, struct debtor *debtor)
{
    if (!debtor->again_at.ns || clock_ms_between(debtor->again_at, clock_mono()) < 0)
        return;
    for (size_t e = 0; e < store->epoch_count; e++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            struct owed *owed = &debtor->owed[e][sector];
            for (size_t i = 0; i < owed->waiting.count; i++) {
                struct range part = owed->waiting.items[i];
                if (!add_common(&owed->unsent, &owed->unacked, part.first, part.last))
                    return; /* no memory; the next turn tries again */
            }
            owed->waiting.count = 0;
        }
    }
    debtor->again_at.ns = 0;
    debtor->again_ms = debtor->again_ms * 2 < AGAIN_MAX_MS ? debtor->again_ms * 2 : AGAIN_MAX_MS;
}

/* A Gap first: where it cannot be written, the row is still owed. */
void resend_never(struct store *store, struct debtor *debtor, size_t epoch, enum sector sector,
                  uint64_t seq)
{
    struct gap gap = {.ordinal = store->epochs[epoch].ordinal,
                      .sector = sector,
                      .first_seq = seq,
                      .last_seq = seq,
                      .reason = GAP_REASON_REFUSED};
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_LOOK);
    sqlite3_bind_int64(s, 1, SEGMENT_ID(gap.ordinal, sector, seq));
    sqlite3_bind_int64(s, 2, SEGMENT_ID(gap.ordinal, sector, seq));
    if (sqlite3_step(s) == SQLITE_ROW)
        commit_loss(&gap.loss, sqlite3_column_int64(s, 1), sqlite3_column_int64(s, 2),
                    (uint64_t)sqlite3_column_int64(s, 3));
    sqlite3_reset(s);
    struct owed *owed = &debtor->owed[epoch][sector];
    if (!gap_of_one(store, debtor, &gap) || !ranges_remove(&owed->unacked, seq, seq) ||
        !ranges_remove(&owed->unsent, seq, seq) || !ranges_remove(&owed->waiting, seq, seq))
        return;
    owed->dirty = true;
    debtor->set_aside++;
    store->gaps++;
    backlog_less(store, debtor, gap.loss.readings);
}

static bool is_misfit(const struct misfit *m, const struct receipt *receipt)
{
    return m->times && m->epoch == receipt->epoch && m->sector == receipt->sector &&
           receipt->first_seq <= m->seq && m->seq <= receipt->last_seq;
}

static bool is_owed(const struct store *store, const struct debtor *debtor, const struct misfit *m)
{
    size_t e = backlog_epoch(store, m->epoch);
    return e < store->epoch_count && ranges_contains(&debtor->owed[e][m->sector].unacked, m->seq);
}

/* NULL: all places are taken. Who has one keeps it, or of very many none would come to its end. */
static struct misfit *note_misfit(const struct store *store, struct debtor *debtor,
                                  const struct receipt *receipt)
{
    struct misfit *place = NULL;
    for (size_t i = 0; i < MISFITS; i++) {
        struct misfit *m = &debtor->misfits[i];
        if (is_misfit(m, receipt)) {
            m->times++;
            return m;
        }
        if (!place && (!m->times || !is_owed(store, debtor, m)))
            place = m;
    }
    if (place)
        *place = (struct misfit){receipt->epoch, receipt->sector, receipt->first_seq, 1};
    return place;
}

/* Another broker of the list may take it, or this one another day; so not at the first time. */
void resend_misfit(struct store *store, struct debtor *debtor, const struct receipt *receipt,
                   const char *why)
{
    size_t e = backlog_epoch(store, receipt->epoch);
    if (e == store->epoch_count)
        return;
    struct misfit *misfit = receipt->rows == 1 ? note_misfit(store, debtor, receipt) : NULL;
    struct owed *owed = &debtor->owed[e][receipt->sector];
    if (!misfit || misfit->times < MISFIT_TIMES) {
        if (ranges_remove(&owed->unsent, receipt->first_seq, receipt->last_seq))
            resend_part(store, debtor, receipt, false);
        return;
    }
    log_error("uplink %s: %s %llu is %s; it is set aside, and a Gap says so", debtor->own->name,
              names_sector(receipt->sector), (unsigned long long)receipt->first_seq, why);
    *misfit = (struct misfit){0};
    resend_never(store, debtor, e, receipt->sector, receipt->first_seq);
}

void resend_fits(struct debtor *debtor, const struct receipt *receipt)
{
    for (size_t i = 0; i < MISFITS; i++) {
        if (is_misfit(&debtor->misfits[i], receipt))
            debtor->misfits[i] = (struct misfit){0};
    }
}
