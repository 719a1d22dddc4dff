/* Which Manifest goes out when: those of the epoch in force before anything else, that of another
 * epoch before its first row, and then the one in force again, because the broker retains the last.
 * Store thread. What was announced is remembered per connection; the parts of a Manifest follow
 * each other without anything in between. Rows whose Manifest the broker cannot take do not go, nor
 * those of one that is in doubt.
 * Never packs a Manifest (manifest.c does), never looks at rows. */
#include "gateway/store/internal.h"

#include "gateway/log.h"
#include "gateway/store/announce.h"
#include "gateway/store/backlog.h"
#include "gateway/store/doubt.h"
#include "gateway/store/manifest.h"
#include "gateway/store/rest.h"

/* Even one point is too much for a broker that takes very little. */
static bool fits(const struct debtor *debtor, const struct parcel *parcel)
{
    return !debtor->terms.max_payload || parcel->length <= debtor->terms.max_payload;
}

/* Fills the parcel with the part that is due. False: there is nothing to announce. */
static bool next_part(struct store *store, struct debtor *debtor, struct parcel *parcel)
{
    struct announcement *at = &debtor->announcing;
    if (!at->part)
        return false;
    parcel->epoch = store->epochs[at->epoch].number;
    parcel->sector = at->sector;
    parcel->part = at->part;
    bool filled = manifest_fetch(store, debtor, parcel);
    debtor->owed[at->epoch][at->sector].unfit = filled && !fits(debtor, parcel);
    filled = filled && fits(debtor, parcel);
    bool last = !filled || parcel->part == parcel->parts;
    at->part = last ? 0 : at->part + 1;
    if (debtor->owed[at->epoch][at->sector].unfit)
        log_warning("uplink %s: a manifest of %zu bytes for %s is larger than the broker takes "
                    "(%zu); its data stays in the store",
                    debtor->own->name, parcel->length, names_sector(at->sector),
                    debtor->terms.max_payload);
    if (last) {
        debtor->owed[at->epoch][at->sector].announced = true;
        if (filled && at->epoch != store->epoch_count - 1)
            debtor->owed[store->epoch_count - 1][at->sector].announced = false;
    }
    return filled;
}

bool announce_epoch(struct store *store, struct debtor *debtor, struct parcel *parcel, size_t epoch,
                    enum sector sector)
{
    if (debtor->owed[epoch][sector].announced || debtor->owed[epoch][sector].doubt.on)
        return false;
    debtor->announcing = (struct announcement){.epoch = epoch, .sector = sector, .part = 1};
    return next_part(store, debtor, parcel);
}

bool announce_current(struct store *store, struct debtor *debtor, struct parcel *parcel)
{
    const struct announcement *at = &debtor->announcing;
    if (at->part && debtor->owed[at->epoch][at->sector].doubt.on)
        return false; /* its other parts come first, alone */
    if (next_part(store, debtor, parcel))
        return true;
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        struct rest *unheard = &debtor->unheard[sector];
        if (unheard->on && rest_is_over(unheard, clock_mono())) {
            announce_again(store, debtor, (enum sector)sector);
            rest_sent(unheard);
        }
        if (debtor->wanted[sector] &&
            announce_epoch(store, debtor, parcel, store->epoch_count - 1, (enum sector)sector))
            return true;
    }
    return false;
}

bool announce_doubtful(struct store *store, struct debtor *debtor, struct parcel *parcel,
                       const struct doubtful *doubtful)
{
    struct announcement *at = &debtor->announcing;
    if (!at->part || at->epoch != doubtful->epoch || at->sector != doubtful->sector)
        *at = (struct announcement){doubtful->epoch, doubtful->sector, 1};
    return next_part(store, debtor, parcel);
}

void announce_again(struct store *store, struct debtor *debtor, enum sector sector)
{
    size_t now = store->epoch_count - 1;
    debtor->owed[now][sector].announced = false;
    rest_unsent(&debtor->owed[now][sector].doubt.rest);
    if (debtor->announcing.epoch == now && debtor->announcing.sector == sector)
        debtor->announcing.part = 0;
}

void announce_renew(struct store *store, struct debtor *debtor)
{
    debtor->announcing.part = 0;
    for (size_t e = 0; e < store->epoch_count; e++) {
        for (int sector = 1; sector < SECTOR_COUNT; sector++)
            debtor->owed[e][sector].announced = false;
    }
}
