/* Batches on which a broker ends the connection: halved, then sent alone, then set aside.
 * Store thread; memory only: a restart begins anew. Blamed is the first batch in flight when the
 * broker itself ended a connection on which it had acknowledged something.
 *
 * A link that cuts every connection after some bytes looks the same from here. What tells them
 * apart: a row is set aside only after three trials in which nothing else was in flight, and these
 * take turns. The first and the third come first of all on their connection: a link that can carry
 * the row, does. The second waits until its connection has carried as many other bytes as the one
 * on which the row failed: a link that cuts before, never gets there, and the rest of the data goes
 * on. Never drops a row: it stays in the store for queries, and a Gap tells the uplink. */
#include "gateway/store/internal.h"

#include "gateway/log.h"

enum { CLOSES = 3, TRIALS = 3 };

static struct suspect *find(struct debtor *debtor, uint64_t epoch, enum sector sector, uint64_t seq)
{
    for (size_t i = 0; i < SUSPECTS; i++) {
        struct suspect *s = &debtor->suspects[i];
        if (s->last_seq && s->epoch == epoch && s->sector == sector && s->first_seq <= seq &&
            seq <= s->last_seq)
            return s;
    }
    return NULL;
}

/* Where an acknowledgement was lost with the connection, an innocent is blamed: it does not push
 * the others out, and is cleared as soon as it comes through. */
static struct suspect *find_or_make(struct debtor *debtor, const struct receipt *receipt)
{
    struct suspect *place = find(debtor, receipt->epoch, receipt->sector, receipt->first_seq);
    if (place)
        return place;
    for (size_t i = 0; i < SUSPECTS; i++) {
        struct suspect *s = &debtor->suspects[i];
        if (!s->alone && (!place || s->closes < place->closes))
            place = s;
    }
    if (place)
        *place = (struct suspect){.epoch = receipt->epoch,
                                  .sector = receipt->sector,
                                  .first_seq = receipt->first_seq,
                                  .last_seq = receipt->last_seq,
                                  .rows = receipt->rows};
    return place;
}

static void end_trial(struct store *store, struct debtor *debtor, struct suspect *s,
                      const struct receipt *receipt)
{
    uint64_t reach = debtor->carried + receipt->length;
    if (!s->trials || reach < s->reach)
        s->reach = reach;
    if (++s->trials < TRIALS)
        return;
    log_error("uplink %s: the broker ended %u connections on %s %llu; it is set aside, and a Gap "
              "says so",
              debtor->own->name, CLOSES + s->trials, names_sector(s->sector),
              (unsigned long long)s->first_seq);
    size_t epoch = backlog_epoch(store, s->epoch);
    if (epoch < store->epoch_count)
        resend_never(store, debtor, epoch, s->sector, s->first_seq);
    *s = (struct suspect){0};
}

void suspect_blame(struct store *store, struct debtor *debtor, const struct receipt *receipt)
{
    struct suspect *s = find_or_make(debtor, receipt);
    if (!s)
        return;
    if (s->alone) {
        if (receipt->alone)
            end_trial(store, debtor, s, receipt);
        return;
    }
    if (++s->closes < CLOSES)
        return;
    log_warning("uplink %s: the broker ended %d connections on %s %llu to %llu; %s",
                debtor->own->name, CLOSES, names_sector(s->sector),
                (unsigned long long)receipt->first_seq, (unsigned long long)receipt->last_seq,
                receipt->rows > 1 ? "half of it is tried" : "it is tried alone");
    s->closes = 0;
    s->alone = receipt->rows <= 1;
    s->rows = receipt->rows > 1 ? receipt->rows / 2 : 1;
    s->first_seq = receipt->first_seq;
    if (s->alone)
        s->last_seq = s->first_seq;
}

void suspect_clear(struct debtor *debtor, const struct receipt *receipt)
{
    struct suspect *s = find(debtor, receipt->epoch, receipt->sector, receipt->first_seq);
    if (!s)
        return;
    s->closes = 0;
    s->first_seq = receipt->last_seq + 1;
    if (s->first_seq > s->last_seq)
        *s = (struct suspect){0};
}

/* It was trimmed or set aside meanwhile, or its epoch is gone. */
static bool is_over(const struct store *store, const struct debtor *debtor, const struct suspect *s)
{
    size_t epoch = backlog_epoch(store, s->epoch);
    return epoch == store->epoch_count ||
           !ranges_contains(&debtor->owed[epoch][s->sector].unacked, s->first_seq);
}

static void forget_those_over(const struct store *store, struct debtor *debtor)
{
    for (size_t i = 0; i < SUSPECTS; i++) {
        struct suspect *s = &debtor->suspects[i];
        if (s->last_seq && s->alone && is_over(store, debtor, s))
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
        if (!s->last_seq || !s->alone)
            continue;
        struct owed *owed = &debtor->owed[backlog_epoch(store, s->epoch)][s->sector];
        if (!ranges_remove(&owed->unsent, s->first_seq, s->first_seq))
            continue; /* without memory it goes with the others once more */
    }
}

struct suspect *suspect_due(const struct store *store, struct debtor *debtor)
{
    forget_those_over(store, debtor);
    for (size_t i = 0; i < SUSPECTS; i++) {
        struct suspect *s = &debtor->suspects[i];
        if (!s->last_seq || !s->alone || debtor->rests[s->sector].on ||
            store->epochs[backlog_epoch(store, s->epoch)].elsewhere)
            continue;
        bool first = s->trials % 2 == 0 && !debtor->tried;
        if (first || (s->trials && debtor->carried >= s->reach))
            return s;
    }
    return NULL;
}

bool suspect_is_out(const struct debtor *debtor)
{
    for (size_t i = 0; i < SUSPECTS; i++) {
        if (debtor->suspects[i].is_out)
            return true;
    }
    return false;
}

unsigned suspect_rows(const struct debtor *debtor, uint64_t epoch, enum sector sector,
                      uint64_t first_seq)
{
    for (size_t i = 0; i < SUSPECTS; i++) {
        const struct suspect *s = &debtor->suspects[i];
        if (s->last_seq && s->epoch == epoch && s->sector == sector && s->first_seq <= first_seq &&
            first_seq <= s->last_seq)
            return s->rows;
    }
    return UINT32_MAX;
}
