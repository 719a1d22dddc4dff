/* Manifests and Gaps on which a broker ends the connection, as some do on a topic that is not
 * allowed.
 * Store thread; memory only: a restart begins anew. Those that were in flight when the broker
 * itself ended a connection go alone, as rows do (suspect.c). What ends the connection again is
 * refused: it is tried after a pause, and the pause doubles (rest.c). Until it is acknowledged,
 * nothing goes that needs the Manifest; all else goes on. Never sets anything aside. */
#include "gateway/store/internal.h"

#include "gateway/log.h"
#include "gateway/store/backlog.h"
#include "gateway/store/doubt.h"
#include "gateway/store/hold.h"
#include "gateway/store/receipt.h"
#include "gateway/store/suspect.h"

static struct doubt *find(const struct store *store, struct debtor *debtor,
                          const struct receipt *receipt)
{
    if (receipt->first_seq)
        return NULL;
    if (receipt->last_gap)
        return &debtor->gap_doubts[receipt->sector];
    size_t epoch = backlog_epoch(store, receipt->epoch);
    return epoch < store->epoch_count ? &debtor->owed[epoch][receipt->sector].doubt : NULL;
}

void doubt_blame(struct store *store, struct debtor *debtor, const struct receipt *receipt)
{
    struct doubt *doubt = find(store, debtor, receipt);
    if (!doubt)
        return;
    doubt->on = true;
    if (!receipt->alone)
        return;
    if (!doubt->rest.on)
        log_warning("uplink %s: the broker ends the connection on the %s of %s; that counts as "
                    "refused, and %s in the store",
                    debtor->own->name, receipt->last_gap ? "gaps" : "manifest",
                    names_sector(receipt->sector),
                    receipt->last_gap ? "they stay" : "its data stays");
    rest_refused(&doubt->rest, clock_mono());
    suspect_acquit(store, debtor);
}

static bool is_half_out(const struct debtor *debtor, size_t epoch, int sector)
{
    return debtor->announcing.part && debtor->announcing.epoch == epoch &&
           (int)debtor->announcing.sector == sector;
}

void doubt_clear(struct store *store, struct debtor *debtor, const struct receipt *receipt)
{
    struct doubt *doubt = find(store, debtor, receipt);
    size_t epoch = backlog_epoch(store, receipt->epoch);
    if (!doubt || !doubt->on ||
        (!receipt->last_gap && is_half_out(debtor, epoch, (int)receipt->sector)))
        return;
    if (doubt->rest.on)
        log_notice("uplink %s: %s is accepted again (%s)", debtor->own->name,
                   names_sector(receipt->sector), receipt->last_gap ? "gaps" : "manifest");
    *doubt = (struct doubt){0};
}

static void acquit(struct doubt *doubt)
{
    if (!doubt->rest.on)
        *doubt = (struct doubt){0};
}

void doubt_acquit(const struct store *store, struct debtor *debtor)
{
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        acquit(&debtor->gap_doubts[sector]);
        for (size_t e = 0; e < store->epoch_count; e++)
            acquit(&debtor->owed[e][sector].doubt);
    }
}

void doubt_renew(const struct store *store, struct debtor *debtor)
{
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        rest_unsent(&debtor->gap_doubts[sector].rest);
        for (size_t e = 0; e < store->epoch_count; e++)
            rest_unsent(&debtor->owed[e][sector].doubt.rest);
    }
}

/* Of the epoch in force it goes in any case, of another one only before rows. */
static bool is_manifest_due(const struct store *store, const struct debtor *debtor, size_t epoch,
                            int sector)
{
    const struct owed *owed = &debtor->owed[epoch][sector];
    bool rows = owed->unsent.count && !store->epochs[epoch].elsewhere &&
                rest_is_over(&debtor->rests[sector], clock_mono());
    bool begins =
        (rows || epoch == store->epoch_count - 1) && rest_is_over(&owed->doubt.rest, clock_mono());
    return owed->doubt.on && !owed->announced && debtor->wanted[sector] &&
           (begins || is_half_out(debtor, epoch, sector));
}

static bool are_gaps_due(const struct store *store, const struct debtor *debtor, int sector)
{
    const struct doubt *doubt = &debtor->gap_doubts[sector];
    return doubt->on && debtor->room > 0 && debtor->gaps[sector].pending &&
           debtor->wanted[sector] && rest_is_over(&doubt->rest, clock_mono()) &&
           rest_is_over(&debtor->gap_rests[sector], clock_mono()) &&
           rest_is_over(&debtor->rests[sector], clock_mono()) &&
           !hold_gaps(store, (enum sector)sector);
}

bool doubt_due(const struct store *store, struct debtor *debtor, struct doubtful *out)
{
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        for (size_t e = store->epoch_count; e-- > 0;) {
            if (!is_manifest_due(store, debtor, e, sector))
                continue;
            *out = (struct doubtful){&debtor->owed[e][sector].doubt, false, e, (enum sector)sector};
            return true;
        }
        if (are_gaps_due(store, debtor, sector)) {
            *out = (struct doubtful){&debtor->gap_doubts[sector], true, 0, (enum sector)sector};
            return true;
        }
    }
    return false;
}
