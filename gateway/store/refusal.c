/* A broker that refuses: the topic, or one message of it?
 * Store thread; memory only: a connection begins anew. After a refusal the topic rests (rest.c) and
 * then its oldest row is tried; but at once after each message that is refused a single row goes:
 * the first of several, and after one that was alone another, in turns the next one that was not
 * tried yet and the newest: behind many bad ones in a row is a good one. When that is refused too,
 * or the reason speaks of the topic, the topic is refused, and all of it stays. When it is taken,
 * the rest is over: what was refused is at fault, and is sent in halves until one row is found.
 * That one waits as a row that is too large does, and has as many trials (resend.c); everything
 * else goes on. So nothing is set aside for an access list, nor for a quota that all messages
 * exceed. Messages that were in flight with the refused one can only speak for the topic, never
 * against it. Never looks at Gaps. */
#include "gateway/store/refusal.h"

#include "gateway/log.h"
#include "gateway/store/backlog.h"
#include "gateway/store/internal.h"
#include "gateway/store/receipt.h"
#include "gateway/store/resend.h"

enum { SEARCH_MS = 10000 };

static uint64_t later_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static bool is_out(const struct refusal *r, const struct receipt *receipt)
{
    return r->out && receipt->first_seq == r->out && receipt->epoch == r->out_epoch;
}

/* The half of what is at fault that is to be tried. */
static bool next_half(const struct refusal *r, const struct refusal_ask *ask,
                      const struct ranges *unsent, struct range *wanted, unsigned *rows)
{
    if (r->out || ask->epoch != r->epoch ||
        !ranges_next(unsent, later_of(ask->from, r->first_seq), wanted) ||
        wanted->first > r->last_seq)
        return false;
    if (wanted->last > r->last_seq)
        wanted->last = r->last_seq;
    *rows = (unsigned)((r->last_seq - r->first_seq + 2) / 2);
    return true;
}

/* The newest row of [from, end). */
static bool find_newest(const struct ranges *unsent, uint64_t from, uint64_t end,
                        struct range *wanted)
{
    for (size_t i = unsent->count; i-- > 0;) {
        const struct range *range = &unsent->items[i];
        uint64_t newest = range->last < end ? range->last : end - 1;
        if (newest < range->first)
            continue;
        *wanted = (struct range){newest, newest};
        return newest >= from;
    }
    return false;
}

/* A row to tell: the first of several that were refused, which keeps their order; else one that was
 * not refused, and after the last the first. */
static bool next_other(struct refusal *r, const struct refusal_ask *ask,
                       const struct ranges *unsent, struct range *wanted, unsigned *rows)
{
    if (!r->last_seq || r->out)
        return false;
    *rows = 1;
    if (r->last_seq > r->first_seq)
        return ask->epoch == r->epoch &&
               ranges_next(unsent, later_of(ask->from, r->first_seq), wanted) &&
               wanted->first <= r->last_seq;
    if (ask->epoch != r->epoch)
        return ranges_next(unsent, ask->from, wanted);
    if (r->late && find_newest(unsent, later_of(ask->from, r->last_seq + 1), ask->end, wanted))
        return true;
    uint64_t after = later_of(r->last_seq, r->beyond) + 1;
    if (ranges_next(unsent, later_of(ask->from, after), wanted) && wanted->first < ask->end)
        return true;
    r->beyond = 0;
    return ranges_next(unsent, later_of(ask->from, r->last_seq + 1), wanted);
}

bool refusal_next(struct debtor *debtor, const struct refusal_ask *ask, const struct ranges *unsent,
                  struct range *wanted, unsigned *rows)
{
    struct refusal *r = &debtor->refusals[ask->live][ask->sector];
    mono_time now = clock_mono();
    if (r->guilty && clock_ms_between(r->until, now) >= 0)
        *r = (struct refusal){0}; /* they went another way, or no word comes */
    if (r->guilty)
        return next_half(r, ask, unsent, wanted, rows);
    if (!rest_is_over(&r->rest, now))
        return next_other(r, ask, unsent, wanted, rows);
    if (r->rest.on)
        *rows = 1;
    return ranges_next(unsent, ask->from, wanted);
}

void refusal_sent(struct debtor *debtor, const struct parcel *parcel)
{
    struct refusal *r = &debtor->refusals[parcel->kind == PARCEL_LIVE][parcel->sector];
    if (!parcel->first_seq)
        return;
    if (r->guilty || !rest_is_over(&r->rest, clock_mono())) {
        r->out = parcel->first_seq;
        r->out_epoch = parcel->epoch;
        return;
    }
    if (r->rest.on)
        r->late = !r->late;
    rest_sent(&r->rest);
    r->last_seq = r->out = 0;
}

void refusal_unsent(struct debtor *debtor, const struct receipt *receipt)
{
    struct refusal *r = &debtor->refusals[receipt->live][receipt->sector];
    if (is_out(r, receipt))
        r->out = 0;
    rest_unsent(&r->rest);
}

/* Which row it is, is known. */
static void find(struct store *store, struct debtor *debtor, struct refusal *r, enum sector sector)
{
    const struct receipt receipt = {.sector = sector,
                                    .epoch = r->epoch,
                                    .first_seq = r->first_seq,
                                    .last_seq = r->last_seq,
                                    .rows = 1};
    *r = (struct refusal){.late = r->late}; /* which may have told: the next one is bad too */
    resend_misfit(store, debtor, &receipt, "refused by the broker, which takes others");
}

static void accuse(struct refusal *r, const struct receipt *receipt)
{
    r->epoch = receipt->epoch;
    r->first_seq = receipt->first_seq;
    r->last_seq = receipt->last_seq;
    r->out = 0;
}

void refusal_refused(struct store *store, struct debtor *debtor, const struct receipt *receipt)
{
    struct refusal *r = &debtor->refusals[receipt->live][receipt->sector];
    mono_time now = clock_mono();
    bool told = is_out(r, receipt);
    if (receipt->kind == RECEIPT_FORBIDDEN) {
        rest_refused(&r->rest, now);
        r->last_seq = r->out = 0;
        r->guilty = false;
    } else if (told && (r->guilty || r->last_seq > r->first_seq)) {
        accuse(r, receipt);
        r->until = clock_after_ms(now, SEARCH_MS);
        if (r->guilty && receipt->rows == 1)
            find(store, debtor, r, receipt->sector);
    } else if (told) {
        if (!r->late)
            r->beyond = receipt->last_seq;
        r->last_seq = r->out = 0;
    } else if (!r->guilty && (!r->rest.on || r->rest.probing)) {
        rest_refused(&r->rest, now);
        accuse(r, receipt);
    }
}

void refusal_accepted(struct store *store, struct debtor *debtor, const struct receipt *receipt)
{
    struct refusal *r = &debtor->refusals[receipt->live][receipt->sector];
    if (r->guilty) {
        if (!is_out(r, receipt))
            return;
        r->out = 0;
        r->first_seq = receipt->last_seq + 1;
        r->until = clock_after_ms(clock_mono(), SEARCH_MS);
        if (r->first_seq > r->last_seq)
            *r = (struct refusal){0};
    } else if (r->rest.on && r->last_seq) {
        bool several = r->last_seq > r->first_seq;
        if (several && is_out(r, receipt))
            r->first_seq = receipt->last_seq + 1;
        r->rest = (struct rest){0};
        r->out = 0;
        r->guilty = true;
        r->until = clock_after_ms(clock_mono(), SEARCH_MS);
        if (!several)
            find(store, debtor, r, receipt->sector);
    } else if (rest_accepted(&r->rest)) {
        *r = (struct refusal){0};
        log_notice("uplink %s: %s is accepted again", debtor->own->name,
                   names_sector(receipt->sector));
    }
}

bool refusal_holds(const struct debtor *debtor, enum sector sector)
{
    for (int live = 0; live < 2; live++) {
        const struct refusal *r = &debtor->refusals[live][sector];
        if (r->guilty || !rest_is_over(&r->rest, clock_mono()))
            return true;
    }
    return false;
}

bool refusal_is_on(const struct debtor *debtor, enum sector sector)
{
    return debtor->refusals[false][sector].rest.on || debtor->refusals[true][sector].rest.on;
}
