/* What a reload asks of the store: ids for what is new, and uplinks that came, went or changed.
 * Store thread; one transaction, after which memory changes too, so that a disk that refuses leaves
 * all as it was. An uplink that stays as it is keeps its place with all that is in flight; any
 * other is read from the disk as at a start. Between here and the swap of the threads the uplink of
 * before still runs: its place is closed, so that it is given nothing that is not its own.
 * In memory, without the disk, it is refused: what the disk knows, ids that are retired and what an
 * uplink still owes, must not be guessed.
 * Never closes a segment (the pipeline does) and never touches what an uplink holds. */
#include "gateway/store/internal.h"

#include <string.h>

#include "config/settings_diff.h"
#include "gateway/store/adopt.h"
#include "gateway/store/announce.h"
#include "gateway/store/backlog.h"
#include "gateway/store/database.h"
#include "gateway/store/identity.h"
#include "gateway/store/postbox.h"

struct change {
    const struct settings *settings;
    struct debtor debtors[STORE_UPLINKS]; /* those that take a place; own NULL: it falls free */
    bool kept[STORE_UPLINKS];
    bool replaced[STORE_UPLINKS]; /* by a new connection, or none: that of before counts no more */
    size_t count;
};

void store_reload(struct store *store, const struct settings *settings, const size_t *uplinks)
{
    pthread_mutex_lock(&store->mutex);
    store->reload_settings = settings;
    store->reload_uplinks = uplinks;
    store->reload = STORE_RELOAD_PENDING;
    store->attention = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}

enum store_reload_state store_reloaded(struct store *store)
{
    pthread_mutex_lock(&store->mutex);
    enum store_reload_state state = store->reload;
    pthread_mutex_unlock(&store->mutex);
    return state;
}

bool adopt_is_asked(struct store *store)
{
    return store_reloaded(store) == STORE_RELOAD_PENDING;
}

static bool is_kept(const struct debtor *debtor, const struct settings_uplink *uplink)
{
    return debtor->own && strcmp(debtor->own->name, uplink->name) == 0 &&
           debtor->max_payload == uplink->max_payload &&
           memcmp(debtor->own->sectors, uplink->sectors, sizeof uplink->sectors) == 0;
}

static void find_change(struct store *store, struct change *change)
{
    *change = (struct change){.settings = store->reload_settings, .count = store->debtor_count};
    for (size_t place = 0; place < STORE_UPLINKS; place++)
        change->replaced[place] = true;
    for (size_t u = 0; u < change->settings->uplink_count; u++) {
        const struct settings_uplink *uplink = &change->settings->uplinks[u];
        size_t place = store->reload_uplinks[u];
        const struct debtor *debtor = &store->debtors[place];
        change->debtors[place].own = uplink;
        change->kept[place] = is_kept(debtor, uplink);
        change->replaced[place] =
            !change->kept[place] || !settings_diff_same_uplink(debtor->own, uplink);
        if (place >= change->count)
            change->count = place + 1;
    }
}

static bool write(struct store *store, struct change *change)
{
    bool ok = backlog_forget(store);
    for (size_t place = 0; ok && place < change->count; place++)
        ok = change->kept[place] || backlog_load_debtor(store, &change->debtors[place]);
    return ok && identity_register(store);
}

/* Memory follows the disk. */
static void take_over(struct store *store, struct change *change)
{
    for (size_t place = 0; place < change->count; place++) {
        struct debtor *debtor = &store->debtors[place];
        if (change->replaced[place])
            postbox_close(store, place);
        if (change->kept[place]) {
            debtor->own = change->debtors[place].own;
            continue;
        }
        change->debtors[place].generation = debtor->generation;
        backlog_free_debtor(debtor, store->epoch_count);
        *debtor = change->debtors[place];
    }
    store->debtor_count = change->count;
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        for (size_t u = 0; store->changed[sector] && u < store->debtor_count; u++)
            announce_again(store, &store->debtors[u], (enum sector)sector);
    }
}

static bool try(struct store *store)
{
    struct change change;
    const struct settings *before = store->settings;
    struct store_ids ids = store->ids;
    find_change(store, &change);
    store->ids = (struct store_ids){0};
    store->settings = change.settings;
    bool ok = database_run(store, STATEMENT_BEGIN) && write(store, &change) &&
              database_run(store, STATEMENT_COMMIT);
    if (ok) {
        identity_free(&ids, before);
        take_over(store, &change);
        return true;
    }
    database_run(store, STATEMENT_ROLLBACK);
    identity_free(&store->ids, store->settings);
    for (size_t place = 0; place < change.count; place++)
        backlog_free_debtor(&change.debtors[place], store->epoch_count);
    store->ids = ids;
    store->settings = before;
    return false;
}

void adopt_run(struct store *store, bool committed)
{
    bool ok = committed && !store->in_memory && try(store);
    pthread_mutex_lock(&store->mutex);
    store->reload = ok ? STORE_RELOAD_DONE : STORE_RELOAD_FAILED;
    pthread_mutex_unlock(&store->mutex);
}
