/* Where the store writes: to the disk, or, while the disk refuses, into a bounded database in
 * memory under an epoch of its own; and the way there and back. Store thread, and main() at the
 * start. Owns the choice of the database and the mode that `state` shows. In memory nothing of the
 * sick disk is held, not even the lock, so that it can be unmounted, checked and mounted again
 * under the running daemon. Never drops a number that was committed: what is on the disk stays owed
 * while it is out of reach.
 */
#include "gateway/store/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "gateway/boot.h"
#include "gateway/log.h"
#include "gateway/store/alarms.h"
#include "gateway/store/announce.h"
#include "gateway/store/backlog.h"
#include "gateway/store/carry.h"
#include "gateway/store/commit.h"
#include "gateway/store/database.h"
#include "gateway/store/epochs.h"
#include "gateway/store/forget.h"
#include "gateway/store/identity.h"
#include "gateway/store/lock.h"
#include "gateway/store/media.h"
#include "gateway/store/recover.h"
#include "gateway/store/reserve.h"
#include "gateway/store/salvage.h"
#include "gateway/store/trim.h"

enum {
    MEMORY_PAGES = 2048,    /* 8 MiB */
    MEMORY_QUOTA = 6 << 20, /* the rest is for what one commit brings */
    RETURN_FIRST_MS = 1000,
    RETURN_MAX_MS = 60000,
    FLAP_MS = 3600 * 1000, /* a shorter stay on the disk makes the next pause longer, up to this */
    EVICTIONS = 8,         /* before a commit that found no room gives up */
    START_ATTEMPTS = 3,
    REPLACE_PAUSE_MS = 600000, /* a board that damages every file is not to wear its card out */
    READER_MS = 2000,          /* a command line that reads the store has that long to go */
};

static bool is_read_only(const struct store *store)
{
    struct statvfs fs;
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", store->settings->store.path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[1] = '\0';
    return statvfs(slash ? folder : ".", &fs) == 0 && (fs.f_flag & ST_RDONLY);
}

static enum store_mode mode_of(const struct store *store, int rc)
{
    return rc == SQLITE_READONLY || is_read_only(store) ? STORE_MODE_READ_ONLY : STORE_MODE_MEMORY;
}

/* It is the file, not the disk. */
static bool is_damaged(int rc)
{
    switch (rc) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* tables that are not ours */
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return true;
    }
    return false;
}

static int64_t twice(int64_t ms, int64_t most)
{
    return 2 * ms < most ? 2 * ms : most;
}

static void schedule_return(struct store *store)
{
    store->return_at = clock_after_ms(clock_mono(), store->return_ms);
    store->return_ms = twice(store->return_ms, RETURN_MAX_MS);
}

/* Every stay costs an epoch: a disk that takes what was kept and refuses the next commit is tried
 * ever more seldom. */
static void schedule_first_return(struct store *store)
{
    bool short_stay = clock_ms_between(store->arrived_at, clock_mono()) < FLAP_MS;
    store->flap_ms =
        store->flap_ms && short_stay ? twice(store->flap_ms, FLAP_MS) : RETURN_FIRST_MS;
    store->return_ms = store->flap_ms;
    schedule_return(store);
}

/* The first transaction in memory. The uplinks and the ids are those of the disk, where it told
 * them. */
static bool begin_in_memory(struct store *store)
{
    bool first = !store->epoch_count;
    uint32_t ordinal = first ? 1 : store->epochs[store->epoch_count - 1].ordinal + 1;
    return database_run(store, STATEMENT_BEGIN) &&
           epochs_begin(store, ordinal, database_random()) &&
           (first ? backlog_load(store) && identity_register(store)
                  : backlog_register(store) && identity_repeat(store)) &&
           database_number_gaps(store) && database_run(store, STATEMENT_COMMIT);
}

/* The database in memory becomes the store's; the disk's connection is gone already. */
static bool enter_memory(struct store *store)
{
    size_t before = store->epoch_count;
    commit_take_back(store);
    if (database_open_memory(store, MEMORY_PAGES) != SQLITE_OK || !begin_in_memory(store)) {
        database_disconnect(store);
        store->epoch_count = before; /* what the list had room for stays there */
        return false;
    }
    for (size_t e = 0; e < before; e++)
        store->epochs[e].elsewhere = true;
    backlog_moved(store);
    store->in_memory = true;
    store->falls++;
    store->quota = MEMORY_QUOTA;
    memset(store->recent, 0, sizeof store->recent);
    return true;
}

static bool fall(struct store *store, int rc, const char *why)
{
    database_abandon(store);
    salvage_stop(store);
    store->damaged = false;
    database_unlock(store);
    schedule_first_return(store);
    if (!enter_memory(store))
        return false;
    store->mode = mode_of(store, rc);
    log_error("store: the disk cannot be used (%s); readings are kept in memory, %d MiB of them,"
              " until it can",
              why, MEMORY_PAGES * 4 / 1024);
    return true;
}

/* ---- the way back ---- */

/* The file whose epochs are in the list is still there: nobody changed the card meanwhile. A return
 * whose commit was in doubt has left its epoch there too. */
static bool is_same_disk(struct store *store)
{
    size_t e = 0;
    bool same = store->known;
    sqlite3_stmt *s = database_statement(store, STATEMENT_EPOCH_LIST);
    while (sqlite3_step(s) == SQLITE_ROW) {
        same = same && e < store->epoch_count &&
               store->epochs[e].ordinal == (uint32_t)sqlite3_column_int64(s, 0) &&
               store->epochs[e].number == (uint64_t)sqlite3_column_int64(s, 1);
        e++;
    }
    return sqlite3_reset(s) == SQLITE_OK && same && e + 1 >= store->epoch_count;
}

/* Rows of a commit that was reported as failed and reached the disk all the same: their readings
 * are in the epoch that began in memory. */
static bool delete_doubtful(struct store *store)
{
    bool ok = database_execute(store, "DELETE FROM open");
    for (size_t e = 0; ok && e + 1 < store->epoch_count; e++) {
        const struct epoch *epoch = &store->epochs[e];
        for (int sector = 1; ok && sector < SECTOR_COUNT; sector++)
            ok = database_execute(
                store,
                "DELETE FROM segment WHERE id>%lld AND id<%lld;"
                "UPDATE stream SET last_seq=%lld WHERE ordinal=%u AND sector=%d AND last_seq>%lld",
                (long long)SEGMENT_ID(epoch->ordinal, sector, epoch->last_seq[sector]),
                (long long)SEGMENT_ID(epoch->ordinal, sector + 1, 0),
                (long long)epoch->last_seq[sector], epoch->ordinal, sector,
                (long long)epoch->last_seq[sector]);
    }
    return ok;
}

static bool write_epoch_in_force(struct store *store, struct connection *memory, uint32_t ordinal)
{
    const struct epoch *now = &store->epochs[store->epoch_count - 1];
    const struct carry carry = {memory, ordinal, now->ordinal};
    backlog_mark(store);
    if (!epochs_may_begin(store, now->ordinal) || !epochs_write(store, now->ordinal, now->number) ||
        !carry_alarms(store, memory, false) || !carry_epoch(store, &carry))
        return false;
    store->carried_now = store->copied;
    return backlog_write(store) && database_meta_set(store, "clean", 0) &&
           (!store->handed || database_meta_set(store, META_HANDED_BOOT, (int64_t)boot_id())) &&
           database_execute(store, "DELETE FROM meta WHERE key GLOB 'behind *'");
}

/* Back on the disk that was left. */
static int merge(struct store *store, struct connection *memory)
{
    const struct epoch *now = &store->epochs[store->epoch_count - 1];
    int64_t rows[STORE_UPLINKS];
    for (size_t u = 0; u < store->debtor_count; u++)
        rows[u] = store->debtors[u].row;
    bool ok =
        database_run(store, STATEMENT_BEGIN) &&
        (store->wreck.db ? salvage_write(store, store->epoch_count - 1) : delete_doubtful(store)) &&
        backlog_register(store) && write_epoch_in_force(store, memory, now->ordinal) &&
        /* ids of what is retired: never to be given again */
        carry_identity(store, &(struct carry){NULL, now[-1].ordinal, now->ordinal}) &&
        database_run(store, STATEMENT_COMMIT);
    if (ok) {
        backlog_written(store);
        return SQLITE_OK;
    }
    for (size_t u = 0; u < store->debtor_count; u++)
        store->debtors[u].row = rows[u];
    return database_error(store);
}

/* What the store holds while it reads another disk. */
struct luggage {
    struct epoch *epochs;
    size_t epoch_count;
    struct debtor *debtors;
    struct body *queue;
    struct loss losing[SECTOR_COUNT][GAP_REASON_DISK + 1];
};

static void pack(struct store *store, struct luggage *luggage)
{
    luggage->epochs = store->epochs;
    luggage->epoch_count = store->epoch_count;
    memcpy(luggage->debtors, store->debtors, store->debtor_count * sizeof *store->debtors);
    luggage->queue = store->queue;
    memcpy(luggage->losing, store->losing, sizeof store->losing);
    store->epochs = NULL;
    store->epoch_count = 0;
    for (size_t u = 0; u < store->debtor_count; u++)
        store->debtors[u] = (struct debtor){.own = store->debtors[u].own};
    store->queue = NULL;
}

static void unpack(struct store *store, struct luggage *luggage)
{
    store->epochs = luggage->epochs;
    store->epoch_count = luggage->epoch_count;
    memcpy(store->debtors, luggage->debtors, store->debtor_count * sizeof *store->debtors);
    store->queue = luggage->queue;
    memcpy(store->losing, luggage->losing, sizeof store->losing);
    luggage->epochs = NULL;
    luggage->epoch_count = 0;
    luggage->queue = NULL;
    memset(luggage->debtors, 0, store->debtor_count * sizeof *store->debtors);
}

/* What is owed of the epoch in force goes from the luggage into the list as it was read. */
static void join_debts(struct store *store, struct luggage *luggage)
{
    size_t from = luggage->epoch_count - 1, to = store->epoch_count - 1;
    for (size_t u = 0; u < store->debtor_count; u++) {
        struct debtor *here = &store->debtors[u], *there = &luggage->debtors[u];
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            struct owed empty = here->owed[to][sector];
            here->owed[to][sector] = there->owed[from][sector];
            there->owed[from][sector] = empty;
        }
    }
}

/* What is owed is as it was read; what is known of the connection is as it was. */
static void keep_connection(struct debtor *here, struct debtor *before)
{
    const struct debtor read = *here;
    *here = *before;
    *before = (struct debtor){.owed = before->owed}; /* what is left there is freed */
    here->row = read.row;
    here->owed = read.owed;
    here->announcing = (struct announcement){0};
}

/* A commit of this return that was reported as failed and reached the disk has left the epoch in
 * force there: it comes again, whole. What a crash took is noted there already. */
static bool undo_return(struct store *store, uint64_t number)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_EPOCH_LIST);
    uint32_t ordinal = 0;
    while (sqlite3_step(s) == SQLITE_ROW) {
        if ((uint64_t)sqlite3_column_int64(s, 1) == number)
            ordinal = (uint32_t)sqlite3_column_int64(s, 0);
    }
    sqlite3_reset(s);
    if (ordinal)
        store->log = WAL_NONE;
    return !ordinal || (forget_delete(store, ordinal) && database_meta_set(store, "clean", 1) &&
                        database_execute(store,
                                         "DELETE FROM open; DELETE FROM gap WHERE ordinal=%u;"
                                         "DELETE FROM segment WHERE id>=%lld AND id<%lld",
                                         ordinal, (long long)SEGMENT_ID(ordinal, 0, 0),
                                         (long long)SEGMENT_ID(ordinal + 1, 0, 0)));
}

static bool read_other_disk(struct store *store, struct luggage *luggage, struct connection *memory)
{
    const struct epoch *carried = &luggage->epochs[luggage->epoch_count - 1];
    if (!database_run(store, STATEMENT_BEGIN) || !undo_return(store, carried->number) ||
        !(store->wreck.db ? salvage_load(store) : recover_read(store)))
        return false;
    uint32_t ordinal = store->epochs[store->epoch_count - 1].ordinal + 1;
    if (!epochs_append(store, ordinal, carried->number))
        return false;
    struct epoch *now = &store->epochs[store->epoch_count - 1];
    memcpy(now->last_seq, carried->last_seq, sizeof now->last_seq);
    memcpy(now->held, carried->held, sizeof now->held);
    memcpy(now->handed, carried->handed, sizeof now->handed);
    join_debts(store, luggage);
    if (write_epoch_in_force(store, memory, carried->ordinal) &&
        database_run(store, STATEMENT_COMMIT))
        return true;
    join_debts(store, luggage);
    return false;
}

/* On a disk that this process has not read: the one it could not read at its start, or another. It
 * is read as at a start, and the epoch in force continues behind its last one. */
static int take_over(struct store *store, struct connection *memory)
{
    struct luggage luggage = {
        .debtors = calloc(store->debtor_count + 1, sizeof *luggage.debtors),
    };
    if (!luggage.debtors)
        return SQLITE_NOMEM;
    bool known = store->known;
    pack(store, &luggage);
    bool ok = read_other_disk(store, &luggage, memory);
    int rc = ok ? SQLITE_OK : database_error(store);
    if (ok) {
        commit_done(store);
        memcpy(store->losing, luggage.losing, sizeof store->losing);
        struct body *read = store->queue;
        store->queue = luggage.queue;
        luggage.queue = read;
        for (struct body *b = store->queue; b; b = b->next)
            b->epoch = store->epoch_count - 1;
        for (size_t u = 0; u < store->debtor_count; u++)
            keep_connection(&store->debtors[u], &luggage.debtors[u]);
        backlog_count(store);
    } else {
        recover_forget(store);
        unpack(store, &luggage);
        store->known = known;
    }
    for (size_t u = 0; u < store->debtor_count; u++)
        backlog_free_debtor(&luggage.debtors[u], luggage.epoch_count);
    commit_free_bodies(luggage.queue);
    free(luggage.debtors);
    free(luggage.epochs);
    return rc;
}

/* The disk is the store's database again. */
static void arrive(struct store *store)
{
    store->in_memory = false;
    store->mode = STORE_MODE_OK;
    store->log = WAL_NONE;
    store->quota = store->settings->store.max_size;
    store->arrived_at = clock_mono();
    store->carried += store->carried_now;
    store->trim_at = clock_mono();
    for (size_t e = 0; e < store->epoch_count; e++)
        store->epochs[e].elsewhere = false;
    backlog_moved(store);
    backlog_count_unknown(store);
    alarms_moved(store);
    if (store->wreck.db)
        salvage_begin(store);
    else
        salvage_resume(store);
    commit_journal_epoch(store, store->epoch_count - 1);
    log_notice("store: back on the disk, with all that was kept in memory");
}

static int return_to_disk(struct store *store, struct connection *memory)
{
    int rc = database_open(store);
    if (rc == SQLITE_OK)
        rc = database_checkpoint(store);
    int64_t before = store->wreck_stamp;
    bool found = false;
    if (rc == SQLITE_OK)
        rc = salvage_find(store, &found);
    if (rc != SQLITE_OK)
        return rc;
    bool same = found ? store->known && store->wreck_stamp == before : is_same_disk(store);
    return same ? merge(store, memory) : take_over(store, memory);
}

bool media_return(struct store *store)
{
    struct connection memory, disk;
    char why[256];
    if (lock_take(store->settings->store.path, &store->lock_fd, why, sizeof why) != LOCK_TAKEN) {
        store->mode = mode_of(store, SQLITE_CANTOPEN);
        schedule_return(store);
        return false;
    }
    database_detach(store, &memory);
    int rc = return_to_disk(store, &memory);
    if (is_damaged(rc)) {
        rc = salvage_replace(store);
        if (rc == SQLITE_OK)
            rc = store->known ? merge(store, &memory) : take_over(store, &memory);
    }
    if (rc != SQLITE_OK) {
        database_abandon(store);
        salvage_stop(store);
        database_unlock(store);
        database_attach(store, &memory);
        store->mode = mode_of(store, rc);
        schedule_return(store);
        return false;
    }
    database_detach(store, &disk);
    database_attach(store, &memory);
    database_disconnect(store);
    database_attach(store, &disk);
    arrive(store);
    reserve_prepare(store);
    return true;
}

/* ---- when a commit fails ---- */

/* After a failed fsync the kernel holds pages for clean that are not on the disk. Only a fresh
 * start from what the log can prove is to be trusted, written back and synced as a whole. */
static bool reopen(struct store *store)
{
    database_abandon(store);
    bool ok = database_open(store) == SQLITE_OK && database_checkpoint(store) == SQLITE_OK;
    store->log = WAL_NONE; /* our own, and memory knows what is in it */
    return ok;
}

void media_replace(struct store *store)
{
    if (!store->damaged || store->failing || store->in_memory)
        return;
    log_error("store: a row that was written cannot be found, the file is replaced; what was"
              " delivered stays in the damaged one");
    store->replace_at = clock_after_ms(clock_mono(), REPLACE_PAUSE_MS);
    int rc = salvage_running(store);
    if (rc == SQLITE_OK) {
        alarms_moved(store);
        reserve_prepare(store);
    } else if (!fall(store, rc, sqlite3_errstr(rc))) {
        store->failing = true;
    }
}

bool media_rescue(struct store *store, int rc, unsigned attempt)
{
    char why[200];
    snprintf(why, sizeof why, "%s", store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(rc));
    store->failures++;
    if (store->in_memory)
        return rc == SQLITE_FULL && attempt < EVICTIONS &&
               trim_make_room(store, 2 * reserve_portion(store));
    if (rc == SQLITE_NOMEM && store->db)
        return false;
    if (rc == SQLITE_FULL && attempt < EVICTIONS && reserve_relieve(store))
        return true;
    if (is_damaged(rc) && attempt == 0) {
        rc = salvage_running(store);
        if (rc != SQLITE_OK)
            return fall(store, rc, why);
        alarms_moved(store);
        reserve_prepare(store);
        return true;
    }
    if (rc != SQLITE_FULL && attempt == 0 && reopen(store)) {
        reserve_prepare(store);
        log_warning("store: a commit failed (%s); the database was opened anew", why);
        return true;
    }
    return fall(store, rc, why);
}

/* ---- the start ---- */

static int open_disk(struct store *store, char *why, size_t why_size)
{
    int rc = SQLITE_OK;
    for (int attempt = 0; attempt < START_ATTEMPTS; attempt++) {
        bool found = false;
        rc = database_open(store);
        if (rc == SQLITE_OK)
            rc = salvage_find(store, &found);
        if (rc == SQLITE_OK)
            rc = found ? salvage_into_empty(store) : recover_run(store);
        if (is_damaged(rc))
            rc = salvage_starting(store);
        if (rc == SQLITE_OK) {
            store->log = WAL_NONE;
            reserve_prepare(store);
            salvage_resume(store);
            return rc;
        }
        snprintf(why, why_size, "%s: %s", store->settings->store.path,
                 rc == SQLITE_FORMAT ? DATABASE_LATER : sqlite3_errstr(rc));
        database_abandon(store);
        if (rc != SQLITE_FULL || !reserve_release(store))
            return rc;
    }
    return rc;
}

static enum lock_result take_lock(struct store *store, char *why, size_t why_size)
{
    const struct timespec pause = {.tv_nsec = 50000000};
    mono_time until = clock_after_ms(clock_mono(), READER_MS);
    enum lock_result result;
    while ((result = lock_take(store->settings->store.path, &store->lock_fd, why, why_size)) ==
               LOCK_BY_READER &&
           clock_ms_between(clock_mono(), until) > 0)
        nanosleep(&pause, NULL);
    return result;
}

bool media_open(struct store *store, char *why, size_t why_size)
{
    store->quota = store->settings->store.max_size;
    store->mode = STORE_MODE_OK;
    int rc = SQLITE_CANTOPEN;
    switch (take_lock(store, why, why_size)) {
    case LOCK_BY_OTHER:
        return false;
    case LOCK_TAKEN:
        rc = open_disk(store, why, why_size);
        break;
    case LOCK_BY_READER: /* who only reads must not keep the gateway from its work */
    case LOCK_FAILED:
        break;
    }
    if (rc == SQLITE_OK)
        return true;
    char trouble[256];
    snprintf(trouble, sizeof trouble, "%s", why);
    if (fall(store, rc, trouble))
        return true;
    snprintf(why, why_size, "out of memory");
    return false;
}
