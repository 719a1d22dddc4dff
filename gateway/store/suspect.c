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

#include <string.h>

#include "gateway/log.h"
#include "gateway/store/backlog.h"
#include "gateway/store/doubt.h"
#include "gateway/store/fetch.h"
#include "gateway/store/hold.h"
#include "gateway/store/receipt.h"
#include "gateway/store/refusal.h"
#include "gateway/store/resend.h"
#include "gateway/store/rest.h"
#include "gateway/store/suspect.h"

enum { TRIALS = 3 };

static bool holds(const struct suspect *s, uint64_t epoch, enum sector sector, uint64_t seq)
{
    return s->last_seq && !s->whole && s->epoch == epoch && s->sector == sector &&
           s->first_seq <= seq && seq <= s->last_seq;
}

static struct suspect *find(struct debtor *debtor, const struct receipt *receipt)
{
    for (size_t i = 0; i < SUSPECTS; i++) {
        if (holds(&debtor->suspects[i], receipt->epoch, receipt->sector, receipt->first_seq))
            return &debtor->suspects[i];
    }
    return NULL;
}

static struct suspect *find_whole(struct debtor *debtor, enum sector sector)
{
    for (size_t i = 0; i < SUSPECTS; i++) {
        if (debtor->suspects[i].whole && debtor->suspects[i].sector == sector)
            return &debtor->suspects[i];
    }
    return NULL;
}

bool suspect_is_whole(const struct debtor *debtor, enum sector sector)
{
    for (size_t i = 0; i < SUSPECTS; i++) {
        if (debtor->suspects[i].whole && debtor->suspects[i].sector == sector)
            return true;
    }
    return false;
}

/* Where there is no place left it goes with the others once more. */
static void suspect(struct debtor *debtor, const struct receipt *receipt)
{
    bool trouble = false;
    for (size_t i = 0; i < SUSPECTS; i++)
        trouble |= debtor->suspects[i].last_seq != 0;
    if (!trouble) {
        memset(debtor->taken, 0, sizeof debtor->taken);
        memset(debtor->failing, 0, sizeof debtor->failing);
    }
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

void suspect_acquit(const struct store *store, struct debtor *debtor)
{
    doubt_acquit(store, debtor);
    for (size_t i = 0; i < SUSPECTS; i++) {
        if (!debtor->suspects[i].convicted)
            debtor->suspects[i] = (struct suspect){0};
    }
}

/* Some brokers end the connection on a topic that is not allowed. So no row is set aside before
 * another one of its sector is acknowledged: where two fail, or one fails all its trials, with no
 * such word between, the sector rests as after a refusal (rest.c). Then one row goes alone after
 * each pause, always another one, until one is acknowledged. A row in its trials stays in them. */
static void rest_sector(struct debtor *debtor, struct suspect *s, const struct receipt *receipt)
{
    struct suspect *whole = s;
    for (size_t i = 0; i < SUSPECTS && whole->trials; i++) {
        if (!debtor->suspects[i].last_seq)
            whole = &debtor->suspects[i];
    }
    if (!whole->whole)
        log_warning("uplink %s: the broker ends the connection on all that is sent of %s; that "
                    "counts as refused, and its data stays in the store",
                    debtor->own->name, names_sector(receipt->sector));
    *whole = (struct suspect){.epoch = receipt->epoch,
                              .sector = receipt->sector,
                              .first_seq = receipt->last_seq + 1,
                              .last_seq = UINT64_MAX,
                              .convicted = true,
                              .whole = true};
    rest_refused(&debtor->rests[receipt->sector], clock_mono());
}

static void end_trial(struct store *store, struct debtor *debtor, struct suspect *s,
                      const struct receipt *receipt)
{
    uint64_t reach = debtor->carried + receipt->length;
    if (!s->trials && debtor->carried)
        return; /* the first trial comes first of all */
    if (!s->trials || reach < s->reach)
        s->reach = reach;
    debtor->failing[s->sector] |= !s->trials;
    if (++s->trials < TRIALS)
        return;
    if (!debtor->taken[s->sector]) {
        rest_sector(debtor, s, receipt);
        return;
    }
    log_error("uplink %s: the broker ended %d connections on nothing but %s %llu; it is set aside, "
              "and a Gap says so",
              debtor->own->name, TRIALS, names_sector(s->sector), (unsigned long long)s->first_seq);
    debtor->taken[s->sector] = false; /* each one needs a word of its own */
    size_t epoch = backlog_epoch(store, s->epoch);
    if (epoch < store->epoch_count)
        resend_never(store, debtor, epoch, s->sector, s->first_seq);
    *s = (struct suspect){0};
}

void suspect_blame(struct store *store, struct debtor *debtor, const struct receipt *receipt)
{
    struct suspect *whole = find_whole(debtor, receipt->sector);
    struct suspect *s = whole && receipt->alone ? whole : find(debtor, receipt);
    if (!s && !receipt->alone)
        suspect(debtor, receipt);
    if (!s || !receipt->alone)
        return;
    s->convicted = true;
    suspect_acquit(store, debtor);
    if (s->whole || (!s->trials && debtor->failing[s->sector])) {
        rest_sector(debtor, s, receipt);
        return;
    }
    s->first_seq = receipt->first_seq;
    s->last_seq = receipt->last_seq;
    if (!s->trials)
        log_warning("uplink %s: the broker ended the connection on nothing but %s %llu to %llu; %s",
                    debtor->own->name, names_sector(s->sector),
                    (unsigned long long)receipt->first_seq, (unsigned long long)receipt->last_seq,
                    receipt->rows > 1 ? "half of it is tried" : "it is tried again");
    if (receipt->rows <= 1)
        end_trial(store, debtor, s, receipt);
}

/* It was trimmed or set aside meanwhile, or its epoch is gone. */
static bool is_over(const struct store *store, const struct debtor *debtor, const struct suspect *s)
{
    struct range owed;
    size_t epoch = backlog_epoch(store, s->epoch);
    return epoch == store->epoch_count ||
           !ranges_next(&debtor->owed[epoch][s->sector].unacked, s->whole ? 0 : s->first_seq,
                        &owed) ||
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

/* A row in its trials has lost its turn: others do not wait for it. */
static void pass_over(struct store *store, struct debtor *debtor)
{
    for (size_t i = 0; i < SUSPECTS; i++) {
        const struct suspect *s = &debtor->suspects[i];
        if (!s->trials || suspect_is_whole(debtor, s->sector))
            continue;
        struct owed *owed = &debtor->owed[backlog_epoch(store, s->epoch)][s->sector];
        if (!ranges_remove(&owed->unsent, s->first_seq, s->first_seq))
            continue; /* without memory it goes with the others once more */
    }
}

void suspect_clear(struct store *store, struct debtor *debtor, const struct receipt *receipt)
{
    struct suspect *s = find(debtor, receipt), *whole = find_whole(debtor, receipt->sector);
    debtor->failing[receipt->sector] = false;
    debtor->taken[receipt->sector] = true;
    if (s)
        s->first_seq = receipt->last_seq + 1;
    if (s && s->first_seq > s->last_seq)
        *s = (struct suspect){0};
    if (!whole)
        return;
    *whole = (struct suspect){0};
    forget_those_over(store, debtor);
    pass_over(store, debtor);
}

void suspect_renew(struct store *store, struct debtor *debtor)
{
    debtor->carried = 0;
    debtor->tried = false;
    forget_those_over(store, debtor);
    pass_over(store, debtor);
}

static bool is_tried_now(const struct debtor *debtor, const struct suspect *s)
{
    bool first = s->trials % 2 == 0 && !debtor->tried;
    return s->trials && (first || debtor->carried >= s->reach);
}

/* A row of a sector that is refused: the next one, and after the last the first. */
static bool is_whole_due(const struct store *store, struct debtor *debtor, struct suspect *s,
                         struct trial *trial)
{
    if (!s->whole)
        return false;
    const struct ranges *unsent = &debtor->owed[trial->epoch][s->sector].unsent;
    trial->rows = 1;
    if (!ranges_next(unsent, s->first_seq, &trial->wanted) &&
        !ranges_next(unsent, 0, &trial->wanted))
        return false;
    (void)fetch_turn(store, debtor, trial);
    return hold_limit(store, trial->epoch, s->sector, &trial->wanted);
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
            refusal_holds(debtor, s->sector) || store->epochs[epoch].elsewhere ||
            debtor->owed[epoch][s->sector].doubt.on ||
            s->whole != suspect_is_whole(debtor, s->sector))
            continue;
        struct trial trial = {s, PARCEL_HISTORY, epoch, {s->first_seq, s->last_seq}, UINT32_MAX};
        if (s->convicted)
            trial.rows =
                s->last_seq > s->first_seq ? (unsigned)((s->last_seq - s->first_seq + 1) / 2) : 1;
        if (is_tried_now(debtor, s) || is_whole_due(store, debtor, s, &trial)) {
            *out = trial;
            return true;
        }
        if (!s->trials && !s->whole && !out->suspect && fetch_turn(store, debtor, &trial))
            *out = trial;
    }
    return out->suspect;
}

bool suspect_spare(const struct debtor *debtor, uint64_t epoch, enum sector sector,
                   struct range *range)
{
    for (size_t i = 0; i < SUSPECTS; i++) {
        const struct suspect *s = &debtor->suspects[i];
        if (s->trials || s->whole)
            continue;
        if (holds(s, epoch, sector, range->first))
            return false;
        if (s->last_seq && s->epoch == epoch && s->sector == sector &&
            range->first < s->first_seq && s->first_seq <= range->last)
            range->last = s->first_seq - 1;
    }
    return true;
}
