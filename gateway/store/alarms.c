/* The store's part in alarms: every event of the lane on the disk at once, whatever `sync` says.
 *
 * Store thread; the lane and the settled queue are where others meet it. An event is known by (id,
 * step) wherever it goes, so that one that is written twice, or carried from memory to disk, is one
 * row. What an uplink owes is a row of its own, deleted when its broker has the event; what the
 * lane had to let go of is returned to it, the most severe first. Never publishes, never waits for
 * an uplink. A row whose CRC is wrong is not given to anybody. */
#include "gateway/store/internal.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "gateway/lane.h"
#include "gateway/log.h"
#include "gateway/store/alarms.h"
#include "proto/ulid.h"

enum {
    PENDING = 32,          /* events of one transaction */
    SETTLED = LANE_EVENTS, /* of one uplink, between two commits; half of them ask for one */
    RETURNED = 64,         /* events of one turn */
    DELETED = 200,         /* rows of one trim */
};

/* An event is known by this everywhere. */
struct alarm_key {
    char id[ALARM_ID_LENGTH + 1];
    uint32_t step;
};

struct settled {
    size_t count;
    struct alarm_key keys[SETTLED];
};

/* Where giving back is. */
struct cursor {
    bool behind;
    int rank;
    struct alarm_key last;
};

struct memory {
    struct memory *next;
    char *name;
    uint8_t *bytes;
    size_t length;
};

struct alarms {
    struct lane *lane;
    struct lane_event *pending; /* taken from the lane, not yet written */
    size_t pending_count;
    struct cursor cursors[STORE_UPLINKS];
    uint64_t owed[STORE_UPLINKS];
    struct settled writing[STORE_UPLINKS]; /* in this transaction */
    struct lane_event *scratch;
    bool moved;    /* what is in force may not be in this file */
    FILE *journal; /* LIFELINE_TEST_ALARMS: steps that are on disk, for the rigs in tests/ */
    struct memory *recalled; /* as it was at the start */
    /* under the mailbox mutex */
    bool rung; /* by the lane */
    struct settled settled[STORE_UPLINKS];
    struct memory *remembered, *remembering; /* to be written; in this transaction */
};

/* Reports and what no level is known of come last. */
static int rank_of(const struct lane_event *event)
{
    uint8_t level = event->level ? event->level : event->previous_level;
    return event->kind == LANE_ALARM && level ? level : LEVEL_COUNT;
}

static uint32_t crc_of(const char *id, uint32_t step, const void *bytes, size_t length)
{
    uLong crc = crc32(0, (const Bytef *)id, (uInt)strlen(id));
    crc = crc32(crc, (const Bytef *)&step, sizeof step);
    return (uint32_t)crc32(crc, bytes ? bytes : (const void *)"", (uInt)length);
}

static void free_memory(struct memory *memory)
{
    while (memory) {
        struct memory *next = memory->next;
        free(memory->name);
        free(memory->bytes);
        free(memory);
        memory = next;
    }
}

void alarms_free(struct store *store)
{
    struct alarms *alarms = store->alarms;
    if (!alarms)
        return;
    if (alarms->lane)
        lane_attach_store(alarms->lane, NULL, NULL);
    if (alarms->journal)
        fclose(alarms->journal);
    free(alarms->pending);
    free(alarms->scratch);
    free_memory(alarms->recalled);
    free_memory(alarms->remembered);
    free_memory(alarms->remembering);
    free(alarms);
    store->alarms = NULL;
}

/* ---- any thread ---- */

/* The lane has something; its mutex is held. */
static void ring(void *context)
{
    struct store *store = context;
    pthread_mutex_lock(&store->mutex);
    store->alarms->rung = store->commit = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}

bool store_alarm_settled(struct store *store, size_t uplink, const char *id, uint32_t step)
{
    pthread_mutex_lock(&store->mutex);
    struct settled *settled = &store->alarms->settled[uplink];
    bool fits = settled->count < SETTLED;
    if (fits) {
        struct alarm_key *key = &settled->keys[settled->count++];
        snprintf(key->id, sizeof key->id, "%s", id);
        key->step = step;
    }
    if (settled->count == SETTLED / 2) {
        store->commit = true;
        pthread_cond_signal(&store->wake);
    }
    pthread_mutex_unlock(&store->mutex);
    return fits;
}

static struct memory *new_memory(const char *name, const uint8_t *bytes, size_t length)
{
    struct memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        return NULL;
    memory->name = strdup(name);
    memory->bytes = malloc(length + 1);
    memory->length = length;
    if (!memory->name || !memory->bytes) {
        free_memory(memory);
        return NULL;
    }
    memcpy(memory->bytes, bytes, length);
    return memory;
}

bool store_remember(struct store *store, const char *name, const uint8_t *bytes, size_t length)
{
    struct memory *memory = new_memory(name, bytes, length);
    if (!memory)
        return false;
    pthread_mutex_lock(&store->mutex);
    struct memory **at = &store->alarms->remembered, *stale;
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    stale = *at; /* a disk that takes nothing must not be owed the same twice */
    memory->next = stale ? stale->next : NULL;
    *at = memory;
    pthread_mutex_unlock(&store->mutex);
    if (stale)
        stale->next = NULL;
    free_memory(stale);
    return true;
}

bool store_recall(const struct store *store, size_t index, const char **name, const uint8_t **bytes,
                  size_t *length)
{
    const struct memory *memory = store->alarms->recalled;
    while (memory && index--)
        memory = memory->next;
    if (!memory)
        return false;
    *name = memory->name;
    *bytes = memory->bytes;
    *length = memory->length;
    return true;
}

/* ---- rows ---- */

bool alarms_read(sqlite3_stmt *s, struct lane_event *out)
{
    const char *id = (const char *)sqlite3_column_text(s, 0);
    int length = sqlite3_column_bytes(s, 9);
    const void *bytes = sqlite3_column_blob(s, 9);
    *out = (struct lane_event){
        .step = (uint32_t)sqlite3_column_int64(s, 1),
        .kind = (enum lane_kind)sqlite3_column_int(s, 2),
        .sector = (enum sector)sqlite3_column_int(s, 3),
        .level = (uint8_t)sqlite3_column_int(s, 4),
        .previous_level = (uint8_t)sqlite3_column_int(s, 5),
        .status = (enum alarm_status)sqlite3_column_int(s, 6),
        .at_ms = sqlite3_column_int64(s, 7),
        .length = (size_t)length,
    };
    if (!id || strlen(id) != ALARM_ID_LENGTH || !bytes || length > ALARM_EVENT_MAX ||
        out->sector <= SECTOR_UNSPECIFIED || out->sector >= SECTOR_COUNT ||
        out->level >= LEVEL_COUNT || out->previous_level >= LEVEL_COUNT)
        return false;
    memcpy(out->id, id, sizeof out->id);
    memcpy(out->bytes, bytes, out->length);
    return crc_of(out->id, out->step, out->bytes, out->length) ==
           (uint32_t)sqlite3_column_int64(s, 8);
}

static bool write_row(struct store *store, const struct lane_event *event)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_ALARM_PUT);
    sqlite3_bind_text(s, 1, event->id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, event->step);
    sqlite3_bind_int(s, 3, (int)event->kind);
    sqlite3_bind_int(s, 4, (int)event->sector);
    sqlite3_bind_int(s, 5, event->level);
    sqlite3_bind_int(s, 6, event->previous_level);
    sqlite3_bind_int(s, 7, (int)event->status);
    sqlite3_bind_int64(s, 8, event->at_ms);
    sqlite3_bind_int64(s, 9, crc_of(event->id, event->step, event->bytes, event->length));
    sqlite3_bind_blob(s, 10, event->bytes, (int)event->length, SQLITE_STATIC);
    sqlite3_bind_int(s, 11, rank_of(event));
    return database_run(store, STATEMENT_ALARM_PUT);
}

static bool write_open(struct store *store, const struct lane_event *event)
{
    enum statement statement =
        event->status == ALARM_STATUS_CLEARED ? STATEMENT_ALARM_CLOSE : STATEMENT_ALARM_OPEN;
    if (event->kind != LANE_ALARM)
        return true;
    sqlite3_stmt *s = database_statement(store, statement);
    sqlite3_bind_text(s, 1, event->id, -1, SQLITE_STATIC);
    if (statement == STATEMENT_ALARM_OPEN)
        sqlite3_bind_int64(s, 2, event->step);
    return database_run(store, statement);
}

static bool write_owed(struct store *store, const struct lane_event *event)
{
    for (size_t u = 0; u < store->debtor_count; u++) {
        const struct debtor *debtor = &store->debtors[u];
        if (!debtor->own || !debtor->wanted[event->sector] || event->settled >> u & 1)
            continue;
        sqlite3_stmt *s = database_statement(store, STATEMENT_ALARM_OWE);
        sqlite3_bind_int64(s, 1, debtor->row);
        sqlite3_bind_int(s, 2, rank_of(event));
        sqlite3_bind_text(s, 3, event->id, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 4, event->step);
        if (!database_run(store, STATEMENT_ALARM_OWE))
            return false;
    }
    return true;
}

static bool write_settled(struct store *store, size_t u)
{
    struct settled *settled = &store->alarms->writing[u];
    for (size_t i = 0; i < settled->count; i++) {
        sqlite3_stmt *s = database_statement(store, STATEMENT_ALARM_SETTLE);
        sqlite3_bind_int64(s, 1, store->debtors[u].row);
        sqlite3_bind_text(s, 2, settled->keys[i].id, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 3, settled->keys[i].step);
        if (!database_run(store, STATEMENT_ALARM_SETTLE))
            return false;
    }
    return true;
}

static bool write_memory(struct store *store)
{
    for (const struct memory *m = store->alarms->remembering; m; m = m->next) {
        sqlite3_stmt *s = database_statement(store, STATEMENT_MEMORY_PUT);
        sqlite3_bind_text(s, 1, m->name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 2, crc_of(m->name, 0, m->bytes, m->length));
        sqlite3_bind_blob(s, 3, m->bytes, (int)m->length, SQLITE_STATIC);
        if (!database_run(store, STATEMENT_MEMORY_PUT))
            return false;
    }
    return true;
}

/* ---- a transaction ---- */

bool alarms_wait(const struct store *store)
{
    struct store *own = (struct store *)(uintptr_t)store;
    const struct alarms *alarms = store->alarms;
    if (!alarms)
        return false;
    pthread_mutex_lock(&own->mutex);
    bool wait = alarms->rung || alarms->moved || alarms->pending_count || alarms->remembered ||
                alarms->remembering;
    for (size_t u = 0; u < STORE_UPLINKS; u++)
        wait |= alarms->settled[u].count || alarms->writing[u].count;
    pthread_mutex_unlock(&own->mutex);
    return wait;
}

/* The lane is asked without the mutex: it rings with its own held. */
static void take(struct store *store)
{
    struct alarms *alarms = store->alarms;
    pthread_mutex_lock(&store->mutex);
    alarms->rung = false;
    for (size_t u = 0; u < STORE_UPLINKS; u++) {
        if (alarms->writing[u].count || !alarms->settled[u].count)
            continue;
        struct settled *from = &alarms->settled[u], *to = &alarms->writing[u];
        memcpy(to->keys, from->keys, from->count * sizeof *from->keys);
        to->count = from->count;
        from->count = 0;
    }
    if (!alarms->remembering) {
        alarms->remembering = alarms->remembered;
        alarms->remembered = NULL;
    }
    pthread_mutex_unlock(&store->mutex);
    if (!alarms->pending_count)
        alarms->pending_count = lane_unstored(alarms->lane, alarms->pending, PENDING);
}

/* Nobody is owed these anew: it waits until the lane has none that is yet to be owed. */
static bool is_to_write_in_force(const struct alarms *alarms)
{
    return alarms->moved && alarms->pending_count < PENDING;
}

static bool write_in_force(struct store *store)
{
    struct lane_event *event = store->alarms->scratch;
    uint64_t after = 0;
    while (lane_read(store->alarms->lane, &after, event)) {
        if (!write_row(store, event) || !write_open(store, event))
            return false;
    }
    return true;
}

bool alarms_write(struct store *store)
{
    struct alarms *alarms = store->alarms;
    if (!alarms)
        return true;
    take(store);
    if (is_to_write_in_force(alarms) && !write_in_force(store))
        return false;
    for (size_t i = 0; i < alarms->pending_count; i++) {
        const struct lane_event *event = &alarms->pending[i];
        if (!write_row(store, event) || !write_open(store, event) || !write_owed(store, event))
            return false;
    }
    /* after the rows: one of them may have been settled meanwhile */
    for (size_t u = 0; u < store->debtor_count; u++) {
        if (!write_settled(store, u))
            return false;
    }
    return write_memory(store);
}

static void count_owed(struct store *store)
{
    for (size_t u = 0; u < store->debtor_count; u++) {
        sqlite3_stmt *s = database_statement(store, STATEMENT_ALARM_OWED);
        sqlite3_bind_int64(s, 1, store->debtors[u].row);
        if (sqlite3_step(s) == SQLITE_ROW)
            store->alarms->owed[u] = (uint64_t)sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
}

static void write_journal(const struct store *store)
{
    const struct alarms *alarms = store->alarms;
    if (!alarms->journal || store->in_memory)
        return;
    for (size_t i = 0; i < alarms->pending_count; i++)
        fprintf(alarms->journal, "%s %u\n", alarms->pending[i].id, alarms->pending[i].step);
    fflush(alarms->journal);
}

bool alarms_written(struct store *store)
{
    struct alarms *alarms = store->alarms;
    if (!alarms)
        return false;
    bool more = alarms->pending_count == PENDING, any = alarms->pending_count > 0;
    write_journal(store);
    if (any)
        lane_stored(alarms->lane, alarms->pending[alarms->pending_count - 1].n);
    alarms->moved = alarms->moved && !is_to_write_in_force(alarms);
    alarms->pending_count = 0;
    for (size_t u = 0; u < STORE_UPLINKS; u++) {
        if (!alarms->writing[u].count)
            continue; /* a page that nobody wrote to costs nothing */
        any = true;
        alarms->writing[u].count = 0;
    }
    free_memory(alarms->remembering);
    alarms->remembering = NULL;
    if (any)
        count_owed(store);
    return more;
}

uint64_t alarms_owed(const struct store *store, size_t uplink)
{
    return store->alarms ? store->alarms->owed[uplink] : 0;
}

/* ---- back to the lane ---- */

/* The next events that an uplink owes; *more: there may be others behind. False: the lane has no
 * room. */
static bool give_back(struct store *store, size_t u, bool *more)
{
    struct alarms *alarms = store->alarms;
    struct cursor *cursor = &alarms->cursors[u];
    const struct debtor *debtor = &store->debtors[u];
    const struct cursor from = *cursor; /* SQLite looks at it with every row */
    bool room = true;
    size_t count = 0;
    sqlite3_stmt *s = database_statement(store, STATEMENT_ALARM_BACK);
    sqlite3_bind_int64(s, 1, debtor->row);
    sqlite3_bind_int(s, 2, from.rank);
    sqlite3_bind_text(s, 3, from.last.id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 4, from.last.step);
    sqlite3_bind_int(s, 5, RETURNED);
    while (room && sqlite3_step(s) == SQLITE_ROW) {
        struct lane_event *event = alarms->scratch;
        count++;
        if (alarms_read(s, event)) {
            if (debtor->wanted[event->sector])
                room = lane_return(alarms->lane, u, event);
            else /* it takes the sector no more; where there is no room for the word, next time */
                (void)!store_alarm_settled(store, u, event->id, event->step);
        } else {
            store->corrupt++;
        }
        if (!room)
            break;
        cursor->rank = sqlite3_column_int(s, 10);
        snprintf(cursor->last.id, sizeof cursor->last.id, "%s",
                 (const char *)sqlite3_column_text(s, 0));
        cursor->last.step = (uint32_t)sqlite3_column_int64(s, 1);
    }
    sqlite3_reset(s);
    *more = room && count == RETURNED;
    return room;
}

bool alarms_serve(struct store *store)
{
    struct alarms *alarms = store->alarms;
    bool come_back = false;
    for (size_t u = 0; alarms && u < store->debtor_count; u++) {
        struct cursor *cursor = &alarms->cursors[u];
        bool more = false;
        if (lane_is_behind(alarms->lane, u))
            *cursor = (struct cursor){.behind = true};
        if (!cursor->behind || !store->debtors[u].own)
            continue;
        if (give_back(store, u, &more))
            cursor->behind = more;
        come_back |= more;
    }
    return come_back;
}

void alarms_moved(struct store *store)
{
    if (!store->alarms)
        return;
    store->alarms->moved = true;
    for (size_t u = 0; u < store->debtor_count; u++)
        store->alarms->cursors[u] = (struct cursor){.behind = true};
    count_owed(store);
}

/* ---- the start ---- */

/* The events that are in force, and what was learned. */
static bool restore(struct store *store)
{
    struct alarms *alarms = store->alarms;
    bool ok = true;
    sqlite3_stmt *s = database_statement(store, STATEMENT_ALARM_OPEN_LIST);
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        if (alarms_read(s, alarms->scratch))
            ok = lane_restore(alarms->lane, alarms->scratch);
        else
            store->corrupt++;
    }
    sqlite3_reset(s);
    s = database_statement(store, STATEMENT_MEMORY_LIST);
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(s, 0);
        const void *bytes = sqlite3_column_blob(s, 2);
        size_t length = (size_t)sqlite3_column_bytes(s, 2);
        if (!name || !bytes ||
            crc_of(name, 0, bytes, length) != (uint32_t)sqlite3_column_int64(s, 1))
            continue;
        struct memory *memory = new_memory(name, bytes, length);
        ok = memory != NULL;
        if (ok) {
            memory->next = alarms->recalled;
            alarms->recalled = memory;
        }
    }
    sqlite3_reset(s);
    return ok;
}

bool store_use_lane(struct store *store, struct lane *lane)
{
    struct alarms *alarms = calloc(1, sizeof *alarms);
    if (!alarms)
        return false;
    store->alarms = alarms;
    alarms->lane = lane;
    const char *journal = getenv("LIFELINE_TEST_ALARMS");
    if (journal)
        alarms->journal = fopen(journal, "ae");
    alarms->pending = malloc(PENDING * sizeof *alarms->pending);
    alarms->scratch = malloc(sizeof *alarms->scratch);
    if (!alarms->pending || !alarms->scratch || !restore(store)) {
        alarms_free(store);
        return false;
    }
    count_owed(store);
    lane_attach_store(lane, ring, store);
    return true;
}

uint32_t store_untold(const struct store *store)
{
    return (uint32_t)store->untold;
}

/* ---- room ---- */

#define IS_OWED                                                                                    \
    "EXISTS(SELECT 1 FROM uplink JOIN alarm_owed o ON o.uplink=uplink.id AND o.rank=alarm.rank"    \
    " AND o.id=alarm.id AND o.step=alarm.step)"

/* What is no longer there is owed by nobody; what fails now is tried again in a minute. */
static void forget_owed(struct store *store)
{
    (void)database_execute(store, "DELETE FROM alarm_owed WHERE NOT EXISTS(SELECT 1 FROM alarm"
                                  " WHERE alarm.id=alarm_owed.id AND alarm.step=alarm_owed.step)");
}

void alarms_trim(struct store *store, int64_t before_ms)
{
    /* ids begin with their time; what fails now is tried again in a minute */
    char oldest[ULID_LENGTH + 1];
    ulid_first(oldest, before_ms);
    (void)database_execute(store,
                           "DELETE FROM alarm WHERE (id,step) IN (SELECT id,step FROM alarm WHERE"
                           " id<%Q AND id NOT IN (SELECT id FROM alarm_open) AND NOT " IS_OWED
                           " LIMIT %d)",
                           oldest, DELETED);
    forget_owed(store);
}

bool alarms_shrink(struct store *store)
{
    static const char *const which[] = {"AND NOT " IS_OWED, ""};
    for (size_t i = 0; i < 2; i++) {
        if (!database_execute(store,
                              "DELETE FROM alarm WHERE (id,step) IN (SELECT id,step FROM alarm"
                              " WHERE id NOT IN (SELECT id FROM alarm_open) %s LIMIT %d)",
                              which[i], DELETED))
            return false;
        int deleted = sqlite3_changes(store->db);
        if (deleted && i) {
            log_error("store: no room; %d steps of ended alarms are dropped unsent", deleted);
            forget_owed(store);
        }
        if (deleted)
            return true;
    }
    return false;
}
