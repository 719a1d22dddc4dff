/* What the broker, or the platform, said of what was sent: what is owed grows less, a sector rests,
 * a row is sent again or never.
 * Store thread. Changes memory; what is owed reaches the disk with the next commit.
 * Never fills a parcel. */
#include "gateway/store/internal.h"

#include "gateway/log.h"
#include "gateway/store/backlog.h"
#include "gateway/store/database.h"
#include "gateway/store/doubt.h"
#include "gateway/store/receipt.h"
#include "gateway/store/refusal.h"
#include "gateway/store/resend.h"
#include "gateway/store/rest.h"
#include "gateway/store/suspect.h"

static void delete_gaps(struct store *store, const struct debtor *debtor,
                        const struct receipt *receipt)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_GAP_DELETE);
    sqlite3_bind_int64(s, 1, debtor->row);
    sqlite3_bind_int64(s, 2, receipt->first_gap);
    sqlite3_bind_int64(s, 3, receipt->last_gap);
    sqlite3_bind_int64(s, 4, receipt->sector);
    /* a Gap that stays although it was delivered is delivered again, under the same identity */
    (void)database_run(store, STATEMENT_GAP_DELETE);
}

static void settle(struct store *store, struct debtor *debtor, const struct receipt *receipt)
{
    size_t e = backlog_epoch(store, receipt->epoch);
    if (e == store->epoch_count || !receipt->first_seq)
        return;
    struct owed *owed = &debtor->owed[e][receipt->sector];
    if (!ranges_remove(&owed->unacked, receipt->first_seq, receipt->last_seq) ||
        !ranges_remove(&owed->unsent, receipt->first_seq, receipt->last_seq) ||
        !ranges_remove(&owed->waiting, receipt->first_seq, receipt->last_seq))
        return; /* no memory: it is sent twice */
    owed->dirty = true;
    backlog_less(store, debtor, receipt->readings);
}

/* The broker has it. */
static void deliver(struct store *store, struct debtor *debtor, const struct receipt *receipt)
{
    debtor->carried += receipt->length;
    if (rest_accepted(&debtor->rests[receipt->sector]))
        log_notice("uplink %s: %s is accepted again", debtor->own->name,
                   names_sector(receipt->sector));
    if (receipt->first_seq) {
        suspect_clear(store, debtor, receipt);
        resend_fits(debtor, receipt);
        refusal_accepted(store, debtor, receipt);
    }
    doubt_clear(store, debtor, receipt);
    if (receipt->last_gap) {
        (void)rest_accepted(&debtor->gap_rests[receipt->sector]);
        delete_gaps(store, debtor, receipt);
    }
    if (receipt->kind == RECEIPT_SETTLED)
        settle(store, debtor, receipt);
    else
        resend_part(store, debtor, receipt, false);
}

static void refuse(struct store *store, struct debtor *debtor, const struct receipt *receipt)
{
    doubt_clear(store, debtor, receipt);
    resend_part(store, debtor, receipt, true);
    if (receipt->first_seq) {
        suspect_clear(store, debtor, receipt); /* it survived it */
        refusal_refused(store, debtor, receipt);
    }
    if (receipt->last_gap) {
        rest_refused(&debtor->gap_rests[receipt->sector], clock_mono());
        debtor->gaps[receipt->sector] = (struct gap_cursor){.pending = true};
    }
}

/* The readings of what is owed still among the numbers that a platform confirmed. */
static uint64_t count_owed(struct store *store, const struct epoch *epoch,
                           const struct ranges *unacked, const struct receipt *receipt)
{
    uint64_t readings = 0;
    struct range part;
    for (uint64_t from = receipt->first_seq;
         ranges_next(unacked, from, &part) && part.first <= receipt->last_seq;
         from = part.last + 1) {
        uint64_t last = part.last < receipt->last_seq ? part.last : receipt->last_seq;
        sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_SUM);
        sqlite3_bind_int64(s, 1, SEGMENT_ID(epoch->ordinal, receipt->sector, part.first));
        sqlite3_bind_int64(s, 2, SEGMENT_ID(epoch->ordinal, receipt->sector, last));
        if (sqlite3_step(s) == SQLITE_ROW)
            readings += (uint64_t)sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
    return readings;
}

static void confirm(struct store *store, struct debtor *debtor, const struct receipt *receipt)
{
    size_t e = backlog_epoch(store, receipt->epoch);
    if (e == store->epoch_count)
        return;
    const struct epoch *epoch = &store->epochs[e];
    struct receipt known = *receipt;
    if (known.last_seq > epoch->last_seq[receipt->sector])
        known.last_seq = epoch->last_seq[receipt->sector];
    known.readings = count_owed(store, epoch, &debtor->owed[e][receipt->sector].unacked, &known);
    debtor->uncounted |= epoch->elsewhere; /* what is out of reach has no readings */
    settle(store, debtor, &known);
    debtor->again_ms = 0; /* somebody listens: the next pause is the shortest */
}

static void too_large(struct store *store, struct debtor *debtor, const struct receipt *receipt)
{
    rest_unsent(&debtor->rests[receipt->sector]);
    refusal_unsent(debtor, receipt);
    resend_misfit(store, debtor, receipt, "larger than the broker takes");
}

void receipt_read(struct store *store, struct debtor *debtor, const struct receipt *receipt)
{
    debtor->alone = debtor->alone && !receipt->alone;
    switch (receipt->kind) {
    case RECEIPT_SETTLED:
    case RECEIPT_SENT:
        deliver(store, debtor, receipt);
        break;
    case RECEIPT_CONFIRMED:
        confirm(store, debtor, receipt);
        break;
    case RECEIPT_REFUSED:
    case RECEIPT_FORBIDDEN:
        refuse(store, debtor, receipt);
        break;
    case RECEIPT_HEARD:
        doubt_clear(store, debtor, receipt);
        break;
    case RECEIPT_UNHEARD:
        doubt_clear(store, debtor, receipt);
        rest_refused(&debtor->unheard[receipt->sector], clock_mono());
        break;
    case RECEIPT_TOO_LARGE:
        too_large(store, debtor, receipt);
        break;
    case RECEIPT_BLAMED:
        if (receipt->first_seq)
            suspect_blame(store, debtor, receipt);
        else
            doubt_blame(store, debtor, receipt);
        break;
    }
}
