/* The postboxes of the uplinks: empty parcels in, filled ones out, and what the broker said of
 * them. The first half is called by the uplinks' threads, the second by the store thread; a postbox
 * lies under the store's mutex, which is never held over I/O. Owns no parcel: each belongs to
 * whoever was handed it last. Never reads a row and never decides what is owed. */
#include "gateway/store/internal.h"

#include <string.h>

enum { HISTORY_RESERVE = 2 /* parcels kept free of history: one for live, one for alarms */ };

/* ---- any thread ---- */

void store_attach(struct store *store, size_t uplink, void (*wake)(void *), void *context)
{
    pthread_mutex_lock(&store->mutex);
    struct postbox *box = &store->postboxes[uplink];
    box->wake = wake;
    box->context = context;
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

uint64_t store_renew(struct store *store, size_t uplink)
{
    pthread_mutex_lock(&store->mutex);
    struct postbox *box = &store->postboxes[uplink];
    uint64_t generation = ++box->generation;
    box->renewed = true;
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

static void receipt(struct store *store, size_t uplink, const struct parcel *parcel, bool refused)
{
    pthread_mutex_lock(&store->mutex);
    struct postbox *box = &store->postboxes[uplink];
    /* a full box can only be a store that hangs: what is not noted is sent again after the next
     * connect */
    if (box->receipt_count < STORE_RECEIPTS)
        box->receipts[box->receipt_count++] = (struct receipt){
            parcel->epoch,     parcel->first_seq, parcel->last_seq, parcel->readings,
            parcel->first_gap, parcel->last_gap,  parcel->sector,   refused};
    store->attention = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}

void store_settle(struct store *store, size_t uplink, const struct parcel *parcel)
{
    receipt(store, uplink, parcel, false);
}

void store_refuse(struct store *store, size_t uplink, const struct parcel *parcel)
{
    receipt(store, uplink, parcel, true);
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

/* What the uplinks said since the last turn. Takes the mutex only to copy. */
void postbox_read(struct store *store, size_t u)
{
    struct postbox *box = &store->postboxes[u];
    struct receipt receipts[STORE_RECEIPTS];
    pthread_mutex_lock(&store->mutex);
    size_t count = box->receipt_count;
    memcpy(receipts, box->receipts, count * sizeof *receipts);
    box->receipt_count = 0;
    bool renewed = box->renewed;
    box->renewed = false;
    store->debtors[u].generation = box->generation;
    pthread_mutex_unlock(&store->mutex);
    for (size_t i = 0; i < count; i++)
        backlog_receipt(store, &store->debtors[u], &receipts[i]);
    if (renewed)
        backlog_renew(store, &store->debtors[u]);
}

static struct parcel *take_waiting(struct store *store, size_t u, size_t *left)
{
    struct postbox *box = &store->postboxes[u];
    pthread_mutex_lock(&store->mutex);
    struct parcel *parcel = box->waiting;
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
            filled = fetch_data(store, debtor, parcel, left <= HISTORY_RESERVE);
        return_parcel(store, u, parcel, filled);
        if (!filled)
            return;
    }
}
