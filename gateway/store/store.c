/* The store's front and its thread: the mailbox in, parcels out, one turn of work after another.
 * The mailbox, the postboxes of the uplinks and the published status lie under one mutex that is
 * never held over I/O; everything else belongs to the store thread alone.
 * Bodies that cannot be written stay in the queue and are tried again: nothing is dropped here. */
#include "gateway/store/internal.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/log.h"
#include "gateway/thread.h"
#include "gateway/watchdog.h"
#include "gateway/store/adopt.h"
#include "gateway/store/backlog.h"
#include "gateway/store/commit.h"
#include "gateway/store/database.h"
#include "gateway/store/hold.h"
#include "gateway/store/identity.h"
#include "gateway/store/media.h"
#include "gateway/store/postbox.h"
#include "gateway/store/reserve.h"
#include "gateway/store/salvage.h"
#include "gateway/store/trim.h"

enum {
    MAIL_MAX = 4 << 20,           /* bytes of bodies that may wait for a stalled disk */
    MAIL_PRESSING = MAIL_MAX / 4, /* more than that is not left until the next sync */
    RETRY_MS = 1000,              /* after a failed commit */
    SETTLE_MS = 5000,             /* acknowledgements alone reach the disk at most this late */
    TRIM_MS = 60000,
    GAUGE_MS = 10000,
    FLUSH_MS = 25000, /* a worn card may take that long; what lasts longer hangs */
};

static void publish_status(struct store *store);

struct store *store_open(const struct settings *settings, char *why, size_t why_size)
{
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->settings = settings;
    store->lock_fd = -1;
    store->started_ms = clock_wall().ms;
    store->mail_tail = &store->mail;
    store->debtor_count = settings->uplink_count;
    store->debtors = calloc(STORE_UPLINKS, sizeof *store->debtors);
    store->postboxes = calloc(STORE_UPLINKS, sizeof *store->postboxes);
    store->backlogs = calloc(STORE_UPLINKS, sizeof *store->backlogs);
    pthread_mutex_init(&store->mutex, NULL);
    thread_cond_init(&store->wake);
    const char *journal = getenv("LIFELINE_TEST_JOURNAL");
    if (journal)
        store->journal = fopen(journal, "ae");
    if (!store->debtors || !store->postboxes || !store->backlogs) {
        snprintf(why, why_size, "out of memory");
        store_free(store);
        return NULL;
    }
    for (size_t u = 0; u < store->debtor_count; u++) {
        store->debtors[u].own = &settings->uplinks[u];
        store->postboxes[u].ready_tail = &store->postboxes[u].ready;
    }
    if (!media_open(store, why, why_size)) {
        store_free(store);
        return NULL;
    }
    publish_status(store);
    return store;
}

const struct store_ids *store_ids(const struct store *store)
{
    return &store->ids;
}

void store_free(struct store *store)
{
    if (!store)
        return;
    alarms_free(store);
    salvage_stop(store);
    database_close(store);
    database_unlock(store);
    backlog_free(store);
    identity_free(&store->ids, store->settings);
    commit_free_bodies(store->mail);
    commit_free_bodies(store->spare);
    commit_free_bodies(store->queue);
    if (store->journal)
        fclose(store->journal);
    pthread_mutex_destroy(&store->mutex);
    pthread_cond_destroy(&store->wake);
    free(store->epochs);
    free(store->told);
    free(store->debtors);
    free(store->postboxes);
    free(store->backlogs);
    free(store->row);
    free(store->open_crc);
    free(store);
}

/* ---- the mailbox, any thread ---- */

/* The newest body of that part which may still be replaced. */
static struct body *find_open(struct store *store, uint32_t part)
{
    struct body *found = NULL;
    for (struct body *b = store->mail; b; b = b->next) {
        if (b->part == part)
            found = b->closed ? NULL : b;
    }
    return found;
}

static struct body *new_mail(struct store *store)
{
    struct body *body = store->spare;
    if (body)
        store->spare = body->next;
    else
        body = calloc(1, sizeof *body);
    if (body) {
        body->next = NULL;
        *store->mail_tail = body;
        store->mail_tail = &body->next;
    }
    return body;
}

static bool reserve_body(struct body *body, size_t size)
{
    if (size <= body->capacity)
        return true;
    size_t capacity = (size + 4095) & ~(size_t)4095;
    uint8_t *bytes = realloc(body->bytes, capacity);
    if (!bytes)
        return false;
    body->bytes = bytes;
    body->capacity = capacity;
    return true;
}

static bool put(struct store *store, uint32_t part, enum sector sector,
                const struct segment *segment, bool closed)
{
    size_t size = segment_size(segment);
    struct body *body = find_open(store, part);
    if (body)
        store->mail_bytes -= body->length;
    else if (store->mail_bytes + size > MAIL_MAX || !(body = new_mail(store)))
        return false;
    body->part = part;
    body->sector = sector;
    body->seq = 0;
    body->closed = false;
    body->length = 0;
    body->readings = 0;
    if (!reserve_body(body, size))
        return false;
    body->length = segment_encode(segment, body->bytes, body->capacity);
    body->first_ms = segment_first_ms(segment);
    body->last_ms = segment_last_ms(segment);
    body->readings = segment_readings(segment);
    body->closed = closed;
    store->mail_bytes += body->length;
    return true;
}

bool store_put(struct store *store, uint32_t part, enum sector sector,
               const struct segment *segment, bool closed)
{
    pthread_mutex_lock(&store->mutex);
    bool ok = put(store, part, sector, segment, closed);
    if (store->mail_bytes > MAIL_PRESSING && !store->commit) {
        store->commit = true;
        pthread_cond_signal(&store->wake);
    }
    pthread_mutex_unlock(&store->mutex);
    return ok;
}

bool store_is_pressed(struct store *store)
{
    pthread_mutex_lock(&store->mutex);
    bool pressed = store->mail_bytes > MAIL_MAX / 2;
    pthread_mutex_unlock(&store->mutex);
    return pressed;
}

void store_commit(struct store *store)
{
    pthread_mutex_lock(&store->mutex);
    store->commit = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}

void store_lost(struct store *store, enum sector sector, enum gap_reason reason, int64_t from_ms,
                int64_t to_ms, uint64_t readings)
{
    pthread_mutex_lock(&store->mutex);
    commit_loss(&store->lost[sector][reason], from_ms, to_ms, readings);
    pthread_mutex_unlock(&store->mutex);
}

void store_status(struct store *store, struct store_status *out)
{
    pthread_mutex_lock(&store->mutex);
    *out = store->status;
    pthread_mutex_unlock(&store->mutex);
}

void store_backlog(struct store *store, size_t uplink, struct store_backlog *out)
{
    pthread_mutex_lock(&store->mutex);
    *out = store->backlogs[uplink];
    pthread_mutex_unlock(&store->mutex);
}

/* ---- the store thread ---- */

/* For store_confirm(). The mutex is held. */
static void tell_epochs(struct store *store)
{
    if (store->told_count != store->epoch_count) {
        struct epoch *told = realloc(store->told, store->epoch_count * sizeof *told);
        if (!told)
            return;
        store->told = told;
        store->told_count = store->epoch_count;
    }
    memcpy(store->told, store->epochs, store->told_count * sizeof *store->told);
}

static void publish_status(struct store *store)
{
    struct store_status status = store->status; /* written by this thread only */
    status.mode = store->mode;
    status.gaps = store->gaps;
    status.corrupt = store->corrupt;
    status.failed_commits = store->failures;
    status.failovers = store->falls;
    status.carried = store->carried;
    status.quota_bytes = store->quota;
    hold_report(store, &status);
    status.epoch = store->epochs[store->epoch_count - 1].number;
    status.previous_epoch =
        store->epoch_count > 1 ? store->epochs[store->epoch_count - 2].number : 0;
    status.bytes = trim_bytes(store);
    if (clock_ms_between(clock_mono(), store->gauge_at) <= 0) {
        gauge_read(store, &status);
        store->gauge_at = clock_after_ms(clock_mono(), GAUGE_MS);
    }
    for (size_t u = 0; u < store->debtor_count; u++) {
        struct store_backlog backlog;
        backlog_report(store, u, &backlog);
        pthread_mutex_lock(&store->mutex);
        store->backlogs[u] = backlog;
        pthread_mutex_unlock(&store->mutex);
    }
    pthread_mutex_lock(&store->mutex);
    tell_epochs(store);
    store->status = status;
    pthread_mutex_unlock(&store->mutex);
}

/* True when a newer copy of the same open segment stands behind it. */
static bool is_superseded(const struct body *body)
{
    for (const struct body *b = body->next; b && !body->closed; b = b->next) {
        if (b->part == body->part)
            return true;
    }
    return false;
}

/* While the disk refuses, the queue holds one copy of an open segment, not one a try. The mutex is
 * held. */
static void drop_superseded(struct store *store)
{
    struct body **at = &store->queue;
    while (*at) {
        struct body *body = *at;
        if (!is_superseded(body)) {
            at = &body->next;
            continue;
        }
        *at = body->next;
        store->mail_bytes -= body->length;
        body->next = store->spare;
        store->spare = body;
    }
}

/* Bodies and losses of the mailbox become the store's own. */
static void take_mail(struct store *store)
{
    struct body **tail = &store->queue;
    while (*tail)
        tail = &(*tail)->next;
    pthread_mutex_lock(&store->mutex);
    *tail = store->mail;
    store->mail = NULL;
    store->mail_tail = &store->mail;
    drop_superseded(store);
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        for (int reason = 1; reason <= GAP_REASON_DISK; reason++) {
            struct loss *loss = &store->lost[sector][reason];
            if (loss->any)
                commit_loss(&store->losing[sector][reason], loss->from_ms, loss->to_ms,
                            loss->readings);
            *loss = (struct loss){0};
        }
    }
    pthread_mutex_unlock(&store->mutex);
}

static void recycle_written(struct store *store)
{
    pthread_mutex_lock(&store->mutex);
    while (store->queue != store->beyond) {
        struct body *body = store->queue;
        store->queue = body->next;
        store->mail_bytes -= body->length;
        store->status.readings += body->closed ? body->readings : 0;
        store->row_bytes += body->closed ? body->length : 0;
        body->next = store->spare;
        store->spare = body;
    }
    store->status.commits++;
    pthread_mutex_unlock(&store->mutex);
}

/* There is more to do, but not in this turn. */
static void come_back(struct store *store)
{
    pthread_mutex_lock(&store->mutex);
    store->attention = true;
    pthread_mutex_unlock(&store->mutex);
}

static void trim(struct store *store)
{
    if (clock_ms_between(clock_mono(), store->trim_at) > 0)
        return;
    if (trim_run(store))
        come_back(store);
    else
        store->trim_at = clock_after_ms(clock_mono(), TRIM_MS);
}

static bool commit(struct store *store, bool clean)
{
    take_mail(store);
    store->retry_at = clock_after_ms(clock_mono(), SETTLE_MS);
    if (!store->queue && !clean && !backlog_dirty(store) && !commit_losing(store) &&
        !alarms_wait(store))
        return true;
    bool ok;
    do {
        ok = commit_all(store, clean);
        if (ok)
            recycle_written(store);
        if (ok && trim_is_due(store)) { /* between portions, so that a flood cannot pass it */
            store->trim_at = clock_mono();
            trim(store);
        }
        watchdog_beat();
    } while (ok && (store->queue || store->more_alarms));
    if (!ok)
        store->retry_at = clock_after_ms(clock_mono(), RETRY_MS);
    return ok;
}

/* Sleeps until somebody wants something or the time has come. Returns true when it is to commit. */
static bool wait_for_work(struct store *store, bool *stop)
{
    pthread_mutex_lock(&store->mutex);
    while (!store->commit && !store->stop && !store->attention &&
           thread_wait(&store->wake, &store->mutex, store->retry_at))
        ;
    bool now = store->commit && !store->failing;
    store->commit = store->attention = false;
    *stop = store->stop;
    pthread_mutex_unlock(&store->mutex);
    return now || clock_ms_between(clock_mono(), store->retry_at) <= 0;
}

static void *run(void *argument)
{
    struct store *store = argument;
    bool stop = false;
    pthread_setname_np(pthread_self(), "store");
    watchdog_join(FLUSH_MS, "store");
    while (!stop) {
        watchdog_beat();
        bool due = wait_for_work(store, &stop);
        for (size_t u = 0; u < store->debtor_count; u++)
            postbox_read(store, u);
        if (due && !stop)
            commit(store, false);
        if (!stop && adopt_is_asked(store))
            adopt_run(store, commit(store, false));
        if (store->in_memory && clock_ms_between(clock_mono(), store->return_at) <= 0)
            media_return(store);
        if (!stop && hold_run(store))
            come_back(store);
        if (!stop)
            media_replace(store);
        if (!stop && salvage_run(store))
            come_back(store);
        reserve_look(store);
        trim(store);
        if (!stop && alarms_serve(store))
            come_back(store);
        for (size_t u = 0; u < store->debtor_count && !stop; u++)
            postbox_serve(store, u);
        if (store->damaged && !store->failing)
            come_back(store);
        if (!stop)
            loan_serve(store);
        publish_status(store);
    }
    take_mail(store);
    if (store->in_memory)
        media_return(store);
    commit(store, true);
    publish_status(store);
    return NULL;
}

bool store_start(struct store *store)
{
    store->running = thread_start(&store->thread, 0, run, store);
    return store->running;
}

bool store_stop(struct store *store, mono_time deadline)
{
    if (!store->running)
        return true;
    pthread_mutex_lock(&store->mutex);
    store->stop = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
    store->running = !thread_join(store->thread, deadline);
    return !store->running;
}
