/* Rows on which a broker ends the connection: found by sending alone, in halves, and set aside.
 * Store thread; memory only: a restart begins anew. All data that was in flight when the broker
 * itself ended a connection is suspected; which of it was at fault is not known, because
 * acknowledgements are lost with a connection. Suspects keep their turn, but are sent with nothing
 * else in flight: what comes through is cleared, and what ends the connection again is at fault,
 * and half of it is tried next. So an innocent row is never blamed for its neighbour.
 *
 * A link that cuts every connection after some bytes looks the same from here. What tells them
 * apart: a single row is set aside only after three trials, and these take turns. The first and the
 * third come first of all on their connection: a link that can carry the row, does. The second
 * waits until its connection has carried as many other bytes as the one on which the row failed: a
 * link that cuts before, never gets there, and the rest of the data goes on. Never drops a row: it
 * stays in the store for queries, and a Gap tells the uplink. */
#include "gateway/store/internal.h"

#include "gateway/log.h"
#include "gateway/store/backlog.h"
#include "gateway/store/fetch.h"
#include "gateway/store/receipt.h"
#include "gateway/store/resend.h"
#include "gateway/store/rest.h"
#include "gateway/store/suspect.h"

enum { TRIALS = 3 };

static bool holds(const struct suspect *s, uint64_t epoch, enum sector sector, uint64_t seq)
{
    return s->last_seq && s->epoch == epoch && s->sector == sector && s->first_seq <= seq &&
           seq <= s->last_seq;
}

static struct suspect *find(struct debtor *debtor, const struct receipt *receipt)
{
    for (size_t i = 0; i < SUSPECTS; i++) {
        if (holds(&debtor->suspects[i], receipt->epoch, receipt->sector, receipt->first_seq))
            return &debtor->suspects[i];
    }
    return NULL;
}

/* Where there is no place left it goes with the others once more. */
static void suspect(struct debtor *debtor, const struct receipt *receipt)
{
    for (size_t i = 0; i < SUSPECTS; i++) {
        if (debtor->suspects[i].last_seq)
            continue;
        debtor->suspects[i] = (struct suspect){.epoch = receipt->epoch,
                                               .sector = receipt->sector,
                                               .first_seq = receipt->first_seq,
                                               .last_seq = receipt->last_seq};
        return;
    }
}

/* The parcel was alone when the connection ended: nobody else was at fault. */
static void convict(struct debtor *debtor, struct suspect *convict, const struct receipt *receipt)
{
    convict->first_seq = receipt->first_seq;
    convict->last_seq = receipt->last_seq;
    convict->convicted = true;
    for (size_t i = 0; i < SUSPECTS; i++) {
        if (!debtor->suspects[i].convicted)
            debtor->suspects[i] = (struct suspect){0};
    }
}

static void end_trial(struct store *store, struct debtor *debtor, struct suspect *s,
                      const struct receipt *receipt)
{
    uint64_t reach = debtor->carried + receipt->length;
    if (!s->trials && debtor->carried)
        return; /* the first trial comes first of all */
    if (!s->trials || reach < s->reach)
        s->reach = reach;
    if (++s->trials < TRIALS)
        return;
    log_error("uplink %s: the broker ended %d connections on nothing but %s %llu; it is set aside, "
              "and a Gap says so",
              debtor->own->name, TRIALS, names_sector(s->sector), (unsigned long long)s->first_seq);
    size_t epoch = backlog_epoch(store, s->epoch);
    if (epoch < store->epoch_count)
        resend_never(store, debtor, epoch, s->sector, s->first_seq);
    *s = (struct suspect){0};
}

void suspect_blame(struct store *store, struct debtor *debtor, const struct receipt *receipt)
{
    struct suspect *s = find(debtor, receipt);
    if (!s && !receipt->alone)
        suspect(debtor, receipt);
    if (!s || !receipt->alone)
        return;
    if (!s->trials)
        log_warning("uplink %s: the broker ended the connection on nothing but %s %llu to %llu; %s",
                    debtor->own->name, names_sector(s->sector),
                    (unsigned long long)receipt->first_seq, (unsigned long long)receipt->last_seq,
                    receipt->rows > 1 ? "half of it is tried" : "it is tried again");
    convict(debtor, s, receipt);
    if (receipt->rows <= 1)
        end_trial(store, debtor, s, receipt);
}

void suspect_clear(struct debtor *debtor, const struct receipt *receipt)
{
    struct suspect *s = find(debtor, receipt);
    if (!s)
        return;
    s->first_seq = receipt->last_seq + 1;
    if (s->first_seq > s->last_seq)
        *s = (struct suspect){0};
}

/* It was trimmed or set aside meanwhile, or its epoch is gone. */
static bool is_over(const struct store *store, const struct debtor *debtor, const struct suspect *s)
{
    struct range owed;
    size_t epoch = backlog_epoch(store, s->epoch);
    return epoch == store->epoch_count ||
           !ranges_next(&debtor->owed[epoch][s->sector].unacked, s->first_seq, &owed) ||
           owed.first > s->last_seq;
}

static void forget_those_over(const struct store *store, struct debtor *debtor)
{
    for (size_t i = 0; i < SUSPECTS; i++) {
        struct suspect *s = &debtor->suspects[i];
        if (s->last_seq && is_over(store, debtor, s))
            *s = (struct suspect){0};
    }
}

void suspect_renew(struct store *store, struct debtor *debtor)
{
    debtor->carried = 0;
    debtor->tried = false;
    forget_those_over(store, debtor);
    for (size_t i = 0; i < SUSPECTS; i++) {
        struct suspect *s = &debtor->suspects[i];
        s->is_out = false;
        if (!s->trials)
            continue;
        struct owed *owed = &debtor->owed[backlog_epoch(store, s->epoch)][s->sector];
        if (!ranges_remove(&owed->unsent, s->first_seq, s->first_seq))
            continue; /* without memory it goes with the others once more */
    }
}

/* A row in its trials has lost its turn: others do not wait for it. */
static bool is_tried_now(const struct debtor *debtor, const struct suspect *s)
{
    bool first = s->trials % 2 == 0 && !debtor->tried;
    return s->trials && (first || debtor->carried >= s->reach);
}

bool suspect_due(const struct store *store, struct debtor *debtor, struct trial *out)
{
    mono_time now = clock_mono();
    forget_those_over(store, debtor);
    out->suspect = NULL;
    for (size_t i = 0; i < SUSPECTS; i++) {
        struct suspect *s = &debtor->suspects[i];
        size_t epoch = s->last_seq ? backlog_epoch(store, s->epoch) : 0;
        if (!s->last_seq || !rest_is_over(&debtor->rests[s->sector], now) ||
            store->epochs[epoch].elsewhere)
            continue;
        struct trial trial = {s, PARCEL_HISTORY, epoch, {s->first_seq, s->last_seq}, UINT32_MAX};
        if (s->convicted)
            trial.rows =
                s->last_seq > s->first_seq ? (unsigned)((s->last_seq - s->first_seq + 1) / 2) : 1;
        if (is_tried_now(debtor, s)) {
            *out = trial;
            return true;
        }
        if (!s->trials && !out->suspect && fetch_turn(store, debtor, &trial))
            *out = trial;
    }
    return out->suspect;
}

bool suspect_is_out(const struct debtor *debtor)
{
    for (size_t i = 0; i < SUSPECTS; i++) {
        if (debtor->suspects[i].is_out)
            return true;
    }
    return false;
}

bool suspect_spare(const struct debtor *debtor, uint64_t epoch, enum sector sector,
                   struct range *range)
{
    for (size_t i = 0; i < SUSPECTS; i++) {
        const struct suspect *s = &debtor->suspects[i];
        if (s->trials)
            continue;
        if (holds(s, epoch, sector, range->first))
            return false;
        if (s->last_seq && s->epoch == epoch && s->sector == sector &&
            range->first < s->first_seq && s->first_seq <= range->last)
            range->last = s->first_seq - 1;
    }
    return true;
}
