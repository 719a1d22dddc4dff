/* The postboxes of the uplinks: empty parcels in, filled ones out, and what the broker said of
 * them. The first half is called by the uplinks' threads, the second by the store thread; a postbox
 * lies under the store's mutex, which is never held over I/O. Owns no parcel: each belongs to
 * whoever was handed it last. Never reads a row and never decides what is owed. */
#include "gateway/store/internal.h"

#include <string.h>

#include "gateway/store/backlog.h"
#include "gateway/store/fetch.h"
#include "gateway/store/postbox.h"
#include "gateway/store/receipt.h"
#include "gateway/store/resend.h"

/* ---- any thread ---- */

void store_attach(struct store *store, size_t uplink, void (*wake)(void *), void *context)
{
    pthread_mutex_lock(&store->mutex);
    struct postbox *box = &store->postboxes[uplink];
    box->wake = wake;
    box->context = context;
    box->closed = false;
    if (!box->ready)
        box->ready_tail = &box->ready;
    pthread_mutex_unlock(&store->mutex);
}

bool store_detach(struct store *store, size_t uplink)
{
    pthread_mutex_lock(&store->mutex);
    struct postbox *box = &store->postboxes[uplink];
    bool free = !box->filling;
    if (free) {
        box->wake = NULL;
        box->waiting = box->ready = NULL;
        box->ready_tail = &box->ready;
    }
    pthread_mutex_unlock(&store->mutex);
    return free;
}

void store_terms(struct store *store, size_t uplink, const struct store_terms *terms)
{
    pthread_mutex_lock(&store->mutex);
    store->postboxes[uplink].terms = *terms;
    pthread_mutex_unlock(&store->mutex);
}

void store_room(struct store *store, size_t uplink, int64_t bytes, int64_t parcel)
{
    pthread_mutex_lock(&store->mutex);
    store->postboxes[uplink].room += bytes;
    store->postboxes[uplink].most = parcel;
    store->attention = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}

uint64_t store_renew(struct store *store, size_t uplink)
{
    pthread_mutex_lock(&store->mutex);
    struct postbox *box = &store->postboxes[uplink];
    uint64_t generation = ++box->generation;
    box->renewed = !box->closed;
    box->room = box->most = STORE_ROOM;
    store->attention = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
    return generation;
}

void store_fetch(struct store *store, size_t uplink, struct parcel *parcel)
{
    parcel->kind = PARCEL_EMPTY;
    pthread_mutex_lock(&store->mutex);
    struct parcel **at = &store->postboxes[uplink].waiting;
    while (*at)
        at = &(*at)->next;
    parcel->next = NULL;
    *at = parcel;
    store->attention = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}

struct parcel *store_collect(struct store *store, size_t uplink)
{
    pthread_mutex_lock(&store->mutex);
    struct postbox *box = &store->postboxes[uplink];
    struct parcel *parcel = box->ready;
    if (parcel) {
        box->ready = parcel->next;
        if (!box->ready)
            box->ready_tail = &box->ready;
        parcel->next = NULL;
    }
    pthread_mutex_unlock(&store->mutex);
    return parcel;
}

/* The mutex is held. */
static void note(struct store *store, size_t uplink, const struct receipt *receipt)
{
    struct postbox *box = &store->postboxes[uplink];
    /* a full box can only be a store that hangs: what is not noted is sent again after the next
     * connect */
    if (!box->closed && box->receipt_count < STORE_RECEIPTS)
        box->receipts[box->receipt_count++] = *receipt;
    store->attention = true;
    pthread_cond_signal(&store->wake);
}

static void tell(struct store *store, size_t uplink, const struct parcel *parcel,
                 enum receipt_kind kind)
{
    const struct receipt receipt = {.kind = kind,
                                    .sector = parcel->sector,
                                    .epoch = parcel->epoch,
                                    .first_seq = parcel->first_seq,
                                    .last_seq = parcel->last_seq,
                                    .readings = parcel->readings,
                                    .first_gap = parcel->first_gap,
                                    .last_gap = parcel->last_gap,
                                    .length = parcel->length,
                                    .rows = parcel->rows,
                                    .alone = parcel->alone,
                                    .live = parcel->kind == PARCEL_LIVE};
    pthread_mutex_lock(&store->mutex);
    note(store, uplink, &receipt);
    pthread_mutex_unlock(&store->mutex);
}

void store_settle(struct store *store, size_t uplink, const struct parcel *parcel)
{
    tell(store, uplink, parcel, parcel->kind == PARCEL_MANIFEST ? RECEIPT_HEARD : RECEIPT_SETTLED);
}

void store_sent(struct store *store, size_t uplink, const struct parcel *parcel)
{
    tell(store, uplink, parcel, RECEIPT_SENT);
}

void store_refuse(struct store *store, size_t uplink, const struct parcel *parcel)
{
    tell(store, uplink, parcel,
         parcel->kind == PARCEL_MANIFEST ? RECEIPT_UNHEARD : RECEIPT_REFUSED);
}

void store_forbid(struct store *store, size_t uplink, const struct parcel *parcel)
{
    tell(store, uplink, parcel,
         parcel->kind == PARCEL_MANIFEST ? RECEIPT_UNHEARD : RECEIPT_FORBIDDEN);
}

void store_too_large(struct store *store, size_t uplink, const struct parcel *parcel)
{
    tell(store, uplink, parcel, RECEIPT_TOO_LARGE);
}

void store_blame(struct store *store, size_t uplink, const struct parcel *parcel)
{
    tell(store, uplink, parcel, RECEIPT_BLAMED);
}

enum store_confirmed store_confirm(struct store *store, size_t uplink, uint64_t epoch,
                                   enum sector sector, uint64_t first_seq, uint64_t last_seq)
{
    const struct receipt receipt = {.kind = RECEIPT_CONFIRMED,
                                    .sector = sector,
                                    .epoch = epoch,
                                    .first_seq = first_seq,
                                    .last_seq = last_seq};
    enum store_confirmed result = STORE_CONFIRM_UNKNOWN;
    pthread_mutex_lock(&store->mutex);
    for (size_t e = 0; e < store->told_count; e++) {
        if (store->told[e].number == epoch && first_seq <= store->told[e].last_seq[sector])
            result = STORE_CONFIRMED;
    }
    const struct postbox *box = &store->postboxes[uplink];
    /* half of the box is for what the broker says */
    if (result == STORE_CONFIRMED && (box->closed || box->receipt_count > STORE_RECEIPTS / 2))
        result = STORE_CONFIRM_BUSY;
    if (result == STORE_CONFIRMED)
        note(store, uplink, &receipt);
    pthread_mutex_unlock(&store->mutex);
    return result;
}

/* ---- the store thread ---- */

static void give_back(struct postbox *box, struct parcel *parcel)
{
    parcel->next = NULL;
    *box->ready_tail = parcel;
    box->ready_tail = &parcel->next;
    if (box->wake)
        box->wake(box->context);
}

void postbox_close(struct store *store, size_t u)
{
    struct postbox *box = &store->postboxes[u];
    pthread_mutex_lock(&store->mutex);
    box->closed = true;
    box->receipt_count = 0;
    box->renewed = false;
    pthread_mutex_unlock(&store->mutex);
}

/* What the uplinks said since the last turn. Takes the mutex only to copy. */
void postbox_read(struct store *store, size_t u)
{
    struct postbox *box = &store->postboxes[u];
    struct debtor *debtor = &store->debtors[u];
    struct receipt receipts[STORE_RECEIPTS];
    pthread_mutex_lock(&store->mutex);
    size_t count = box->receipt_count;
    memcpy(receipts, box->receipts, count * sizeof *receipts);
    box->receipt_count = 0;
    bool renewed = box->renewed;
    box->renewed = false;
    int64_t room = box->room;
    box->room = 0;
    debtor->generation = box->generation;
    debtor->terms = box->terms;
    debtor->most = box->most;
    pthread_mutex_unlock(&store->mutex);
    for (size_t i = 0; i < count; i++)
        receipt_read(store, debtor, &receipts[i]);
    if (renewed)
        backlog_renew(store, debtor);
    debtor->room = renewed ? room : debtor->room + room;
    resend_due(store, debtor);
}

static struct parcel *take_waiting(struct store *store, size_t u, size_t *left)
{
    struct postbox *box = &store->postboxes[u];
    pthread_mutex_lock(&store->mutex);
    struct parcel *parcel = box->closed ? NULL : box->waiting;
    *left = 0;
    for (struct parcel *p = parcel; p; p = p->next)
        (*left)++;
    if (parcel)
        box->waiting = parcel->next;
    box->filling = parcel != NULL;
    pthread_mutex_unlock(&store->mutex);
    return parcel;
}

static void return_parcel(struct store *store, size_t u, struct parcel *parcel, bool filled)
{
    struct postbox *box = &store->postboxes[u];
    pthread_mutex_lock(&store->mutex);
    box->filling = false;
    if (filled) {
        give_back(box, parcel);
    } else {
        parcel->next = box->waiting;
        box->waiting = parcel;
    }
    pthread_mutex_unlock(&store->mutex);
}

/* Parcels kept free of history: one for live, one for alarms; fewer where there are few. */
static size_t reserve(const struct debtor *debtor)
{
    size_t window = debtor->terms.window;
    return !window || window > 3 ? 2 : window > 1 ? 1 : 0;
}

/* Fills parcels until there is nothing to send or none is left. */
void postbox_serve(struct store *store, size_t u)
{
    struct debtor *debtor = &store->debtors[u];
    size_t left;
    struct parcel *parcel;
    while ((parcel = take_waiting(store, u, &left))) {
        bool filled = true;
        if (parcel->generation > debtor->generation)
            filled = false; /* of a connection that the next turn will hear of */
        else if (parcel->generation < debtor->generation)
            parcel->kind = PARCEL_EMPTY;
        else
            filled = fetch_data(store, debtor, parcel, left <= reserve(debtor),
                                debtor->terms.window && left >= debtor->terms.window);
        return_parcel(store, u, parcel, filled);
        if (!filled)
            return;
    }
}
