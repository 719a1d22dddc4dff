/* Where an uplink and the store thread meet: parcels to be filled and filled ones, and what the
 * broker said of them. */
#ifndef LIFELINE_POSTBOX_H
#define LIFELINE_POSTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/store/receipt.h"
#include "gateway/store/store.h"

enum { STORE_RECEIPTS = 4 * STORE_WINDOW };

struct postbox { /* of one uplink; under the mailbox mutex */
    void (*wake)(void *);
    void *context;
    uint64_t generation;
    bool renewed, closed; /* closed: nothing is filled, no word counts, until the next attach */
    bool filling;         /* one of its parcels is with the store thread */
    struct parcel *waiting, *ready, **ready_tail;
    struct receipt receipts[STORE_RECEIPTS];
    size_t receipt_count;
    struct store_terms terms;
    int64_t room, most; /* granted since the last turn, and of one parcel */
};

/* The store thread's half; the other is in store.h. */
void postbox_read(struct store *store, size_t uplink);
void postbox_serve(struct store *store, size_t uplink);
void postbox_close(struct store *store, size_t uplink);

#endif
