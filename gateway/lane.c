/* The alarm lane: one list of events in their order, and who still needs which.
 *
 * Any thread, under one mutex that is held for copies only. An entry is in the list while the store
 * has not made it safe, a reader owes it, or it is what is in force of its alarm. Entries come from
 * one block whose untouched pages cost nothing, those used last first; when it is full, from the
 * heap. Never waits, never writes, never publishes. */
#include "gateway/lane.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "gateway/tap.h"

enum {
    ENTRY_BYTES = 1024, /* of a usual event, head included; a longer one comes from the heap */
};

/* How far the store is with it. */
enum safety { SAFETY_NONE, SAFETY_TAKEN, SAFETY_STORED };

/* What is looked at while others are looked for comes first: one line of the cache. */
struct entry {
    struct entry *next, *previous;
    uint64_t n;
    uint32_t owed, settled; /* bits of readers */
    uint32_t step;
    enum sector sector;
    enum lane_kind kind;
    enum safety safety;
    uint8_t level, previous_level;
    bool in_force;
    bool on_heap;
    char id[ALARM_ID_LENGTH + 1];
    enum alarm_status status;
    int64_t at_ms;
    size_t length;
    uint8_t bytes[];
};

struct reader {
    bool attached, behind;
    bool sectors[SECTOR_COUNT];
    void (*wake)(void *);
    void *context;
};

struct lane {
    pthread_mutex_t mutex;
    struct entry *first, *last;
    uint64_t next_n;
    struct reader readers[LANE_READERS];
    void (*store_wake)(void *);
    void *store_context;
    uint8_t *block;
    struct entry *free; /* used before, the last one first */
    size_t fresh;       /* entries of the block that were never used begin here */
    uint64_t versions[SECTOR_COUNT];
    size_t in_force;
    struct tap tap;
    struct lane_status status;
};

struct lane *lane_new(void)
{
    struct lane *lane = calloc(1, sizeof *lane);
    if (!lane)
        return NULL;
    void *block = mmap(NULL, (size_t)LANE_EVENTS * ENTRY_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED) {
        free(lane);
        return NULL;
    }
    lane->block = block;
    lane->next_n = 1;
    pthread_mutex_init(&lane->mutex, NULL);
    return lane;
}

void lane_free(struct lane *lane)
{
    if (!lane)
        return;
    tap_open(&lane->tap, false);
    for (struct entry *entry = lane->first, *next; entry; entry = next) {
        next = entry->next;
        if (entry->on_heap)
            free(entry);
    }
    munmap(lane->block, (size_t)LANE_EVENTS * ENTRY_BYTES);
    pthread_mutex_destroy(&lane->mutex);
    free(lane);
}

/* ---- entries; the mutex is held ---- */

static struct entry *take_entry(struct lane *lane, size_t length)
{
    bool fits = sizeof(struct entry) + length <= ENTRY_BYTES;
    struct entry *entry = fits ? lane->free : NULL;
    bool on_heap = false;
    if (entry) {
        lane->free = entry->next;
    } else if (fits && lane->fresh < LANE_EVENTS) {
        entry = (struct entry *)(void *)(lane->block + lane->fresh++ * ENTRY_BYTES);
    } else {
        entry = malloc(sizeof *entry + length);
        on_heap = true;
    }
    if (!entry)
        return NULL;
    *entry = (struct entry){.on_heap = on_heap};
    lane->status.kept++;
    return entry;
}

static void drop(struct lane *lane, struct entry *entry)
{
    if (entry->previous)
        entry->previous->next = entry->next;
    else
        lane->first = entry->next;
    if (entry->next)
        entry->next->previous = entry->previous;
    else
        lane->last = entry->previous;
    lane->status.kept--;
    if (entry->on_heap) {
        free(entry);
        return;
    }
    entry->next = lane->free;
    lane->free = entry;
}

static bool is_needed(const struct entry *entry)
{
    return entry->safety != SAFETY_STORED || entry->owed || entry->in_force;
}

static void drop_if_done(struct lane *lane, struct entry *entry)
{
    if (!is_needed(entry))
        drop(lane, entry);
}

/* However many alarms are in force: they are no reason to let go of what waits. */
static bool is_full(const struct lane *lane)
{
    return lane->status.kept - lane->in_force >= LANE_EVENTS;
}

/* What is stored and not in force makes room, the oldest first: who owes it gets it back from the
 * store. */
static void make_room(struct lane *lane)
{
    struct entry *entry = lane->first;
    while (entry && is_full(lane)) {
        struct entry *next = entry->next;
        if (entry->safety == SAFETY_STORED && !entry->in_force) {
            for (size_t r = 0; r < LANE_READERS; r++)
                lane->readers[r].behind |= entry->owed >> r & 1;
            drop(lane, entry);
        }
        entry = next;
    }
}

static struct entry *append(struct lane *lane, const struct lane_event *event)
{
    make_room(lane);
    struct entry *entry = take_entry(lane, event->length);
    if (!entry)
        return NULL;
    entry->n = lane->next_n++;
    entry->kind = event->kind;
    entry->sector = event->sector;
    memcpy(entry->id, event->id, sizeof entry->id);
    entry->step = event->step;
    entry->level = event->level;
    entry->previous_level = event->previous_level;
    entry->status = event->status;
    entry->at_ms = event->at_ms;
    entry->length = event->length;
    memcpy(entry->bytes, event->bytes, event->length);
    entry->previous = lane->last;
    if (lane->last)
        lane->last->next = entry;
    else
        lane->first = entry;
    lane->last = entry;
    return entry;
}

static void copy_out(const struct entry *entry, struct lane_event *out)
{
    out->n = entry->n;
    out->kind = entry->kind;
    out->sector = entry->sector;
    memcpy(out->id, entry->id, sizeof out->id);
    out->step = entry->step;
    out->level = entry->level;
    out->previous_level = entry->previous_level;
    out->status = entry->status;
    out->at_ms = entry->at_ms;
    out->settled = entry->settled;
    out->length = entry->length;
    memcpy(out->bytes, entry->bytes, entry->length);
}

/* ---- what is in force; the mutex is held ---- */

static void count_up(struct lane *lane, const struct entry *entry, uint32_t step)
{
    if (entry->status != ALARM_STATUS_SUPPRESSED)
        lane->status.up[entry->level] += step;
}

/* The step before this one is no longer what is in force. */
static void supersede(struct lane *lane, const struct lane_event *event)
{
    for (struct entry *entry = lane->first; entry; entry = entry->next) {
        if (!entry->in_force || strcmp(entry->id, event->id) != 0)
            continue;
        entry->in_force = false;
        lane->in_force--;
        count_up(lane, entry, UINT32_MAX);
        drop_if_done(lane, entry);
        return;
    }
}

static void put_in_force(struct lane *lane, struct entry *entry)
{
    entry->in_force = true;
    lane->in_force++;
    count_up(lane, entry, 1);
}

/* ---- readers ---- */

static bool wants(const struct reader *reader, enum sector sector)
{
    return reader->attached && reader->sectors[sector];
}

void lane_attach(struct lane *lane, size_t reader, const bool sectors[SECTOR_COUNT],
                 void (*wake)(void *), void *context)
{
    uint32_t bit = UINT32_C(1) << reader;
    pthread_mutex_lock(&lane->mutex);
    struct reader *own = &lane->readers[reader];
    *own = (struct reader){.attached = true, .behind = true, .wake = wake, .context = context};
    memcpy(own->sectors, sectors, sizeof own->sectors);
    for (struct entry *entry = lane->first; entry; entry = entry->next) {
        if (entry->safety != SAFETY_STORED && wants(own, entry->sector))
            entry->owed |= bit & ~entry->settled;
    }
    pthread_mutex_unlock(&lane->mutex);
}

/* Whoever takes its place next has settled nothing. */
void lane_detach(struct lane *lane, size_t reader)
{
    uint32_t bit = UINT32_C(1) << reader;
    pthread_mutex_lock(&lane->mutex);
    lane->readers[reader] = (struct reader){0};
    for (struct entry *entry = lane->first, *next; entry; entry = next) {
        next = entry->next;
        entry->owed &= ~bit;
        entry->settled &= ~bit;
        drop_if_done(lane, entry);
    }
    pthread_mutex_unlock(&lane->mutex);
}

void lane_attach_store(struct lane *lane, void (*wake)(void *), void *context)
{
    pthread_mutex_lock(&lane->mutex);
    lane->store_wake = wake;
    lane->store_context = context;
    pthread_mutex_unlock(&lane->mutex);
}

/* The mutex is held: a reader that detaches is woken no more. */
static void wake_all(const struct lane *lane, uint32_t readers)
{
    for (size_t r = 0; r < LANE_READERS; r++) {
        if (readers >> r & 1)
            lane->readers[r].wake(lane->readers[r].context);
    }
    if (lane->store_wake)
        lane->store_wake(lane->store_context);
}

static uint32_t takers(const struct lane *lane, enum sector sector)
{
    uint32_t readers = 0;
    for (size_t r = 0; r < LANE_READERS; r++)
        readers |= wants(&lane->readers[r], sector) ? UINT32_C(1) << r : 0;
    return readers;
}

bool lane_put(struct lane *lane, struct lane_event *event)
{
    pthread_mutex_lock(&lane->mutex);
    struct entry *entry = append(lane, event);
    if (entry) {
        event->n = entry->n;
        entry->owed = takers(lane, event->sector);
        if (event->kind == LANE_ALARM)
            supersede(lane, event);
        if (event->kind == LANE_ALARM && event->status != ALARM_STATUS_CLEARED)
            put_in_force(lane, entry);
        lane->versions[event->sector] += event->kind == LANE_ALARM;
        lane->status.events++;
        if (event->kind == LANE_ALARM)
            tap_put(&lane->tap, event);
        wake_all(lane, entry->owed);
    } else {
        lane->status.lost++;
    }
    pthread_mutex_unlock(&lane->mutex);
    return entry != NULL;
}

static bool is_next(const struct entry *entry, size_t reader, const struct lane_skip *skip)
{
    const bool *sectors = entry->kind == LANE_ALARM ? skip->alarms : skip->reports;
    if (!(entry->owed >> reader & 1) || sectors[entry->sector])
        return false;
    for (size_t i = 0; i < skip->count; i++) {
        if (skip->busy[i] == entry->n)
            return false;
    }
    return true;
}

/* Of alarms the level, that was left or that is in force; reports come after them. */
static unsigned rank(const struct entry *entry)
{
    uint8_t level = entry->level ? entry->level : entry->previous_level;
    return entry->kind == LANE_ALARM && level ? level : LEVEL_COUNT;
}

bool lane_next(struct lane *lane, size_t reader, const struct lane_skip *skip,
               struct lane_event *out)
{
    const struct entry *best = NULL, *found = NULL;
    pthread_mutex_lock(&lane->mutex);
    for (const struct entry *entry = lane->first; entry; entry = entry->next) {
        if ((!best || rank(entry) < rank(best)) && is_next(entry, reader, skip))
            best = entry;
    }
    found = best;
    /* its alarm may have said something before; what the store has returned stands behind */
    for (const struct entry *entry = best ? lane->first : NULL; entry; entry = entry->next) {
        if (entry->step < found->step && is_next(entry, reader, skip) &&
            strcmp(entry->id, best->id) == 0)
            found = entry;
    }
    if (found)
        copy_out(found, out);
    pthread_mutex_unlock(&lane->mutex);
    return found != NULL;
}

bool lane_settle(struct lane *lane, size_t reader, uint64_t n)
{
    uint32_t bit = UINT32_C(1) << reader;
    bool noted = false;
    pthread_mutex_lock(&lane->mutex);
    struct entry *entry = lane->first;
    while (entry && entry->n != n)
        entry = entry->next;
    if (entry && entry->owed & bit) {
        noted = entry->safety != SAFETY_NONE;
        entry->owed &= ~bit;
        entry->settled |= bit;
        drop_if_done(lane, entry);
    } else if (!entry) {
        noted = true; /* it was let go of, and the store has it */
    }
    pthread_mutex_unlock(&lane->mutex);
    return noted;
}

bool lane_is_behind(struct lane *lane, size_t reader)
{
    pthread_mutex_lock(&lane->mutex);
    bool behind = lane->readers[reader].behind;
    lane->readers[reader].behind = false;
    pthread_mutex_unlock(&lane->mutex);
    return behind;
}

static struct entry *find(const struct lane *lane, const struct lane_event *event)
{
    struct entry *entry = lane->first;
    while (entry && (entry->step != event->step || strcmp(entry->id, event->id) != 0))
        entry = entry->next;
    return entry;
}

bool lane_return(struct lane *lane, size_t reader, const struct lane_event *event)
{
    uint32_t bit = UINT32_C(1) << reader;
    pthread_mutex_lock(&lane->mutex);
    struct reader *own = &lane->readers[reader];
    struct entry *entry = find(lane, event);
    bool ok = entry != NULL;
    if (!entry && own->attached && !is_full(lane)) {
        entry = append(lane, event);
        if (entry)
            entry->safety = SAFETY_STORED;
    }
    if (entry && own->attached) {
        ok = true;
        entry->owed |= bit & ~entry->settled; /* the store may not have heard yet */
        if (entry->owed & bit)
            own->wake(own->context);
    }
    pthread_mutex_unlock(&lane->mutex);
    return ok;
}

/* ---- the store ---- */

size_t lane_unstored(struct lane *lane, struct lane_event *out, size_t count)
{
    size_t taken = 0;
    pthread_mutex_lock(&lane->mutex);
    for (struct entry *entry = lane->first; entry && taken < count; entry = entry->next) {
        if (entry->safety != SAFETY_NONE)
            continue;
        copy_out(entry, &out[taken++]);
        entry->safety = SAFETY_TAKEN;
    }
    pthread_mutex_unlock(&lane->mutex);
    return taken;
}

void lane_stored(struct lane *lane, uint64_t up_to)
{
    pthread_mutex_lock(&lane->mutex);
    for (struct entry *entry = lane->first, *next; entry; entry = next) {
        next = entry->next;
        if (entry->n <= up_to && entry->safety == SAFETY_TAKEN) {
            entry->safety = SAFETY_STORED;
            drop_if_done(lane, entry);
        }
    }
    pthread_mutex_unlock(&lane->mutex);
}

/* ---- what is in force ---- */

bool lane_restore(struct lane *lane, const struct lane_event *event)
{
    pthread_mutex_lock(&lane->mutex);
    struct entry *entry = append(lane, event);
    if (entry) {
        entry->safety = SAFETY_STORED;
        put_in_force(lane, entry);
        lane->versions[event->sector]++;
    }
    pthread_mutex_unlock(&lane->mutex);
    return entry != NULL;
}

bool lane_read(struct lane *lane, uint64_t *after, struct lane_event *out)
{
    pthread_mutex_lock(&lane->mutex);
    const struct entry *entry = lane->first;
    while (entry && (entry->n <= *after || !entry->in_force))
        entry = entry->next;
    if (entry) {
        copy_out(entry, out);
        *after = entry->n;
    }
    pthread_mutex_unlock(&lane->mutex);
    return entry != NULL;
}

bool lane_find(struct lane *lane, const char *id, struct lane_event *out)
{
    pthread_mutex_lock(&lane->mutex);
    const struct entry *entry = lane->first;
    while (entry && (!entry->in_force || strcmp(entry->id, id) != 0))
        entry = entry->next;
    if (entry)
        copy_out(entry, out);
    pthread_mutex_unlock(&lane->mutex);
    return entry != NULL;
}

void lane_list(struct lane *lane, enum sector sector, uint8_t level,
               void (*take)(void *context, const uint8_t *bytes, size_t length), void *context)
{
    pthread_mutex_lock(&lane->mutex);
    for (const struct entry *entry = lane->first; entry; entry = entry->next) {
        if (entry->in_force && entry->sector == sector && entry->level == level &&
            entry->status != ALARM_STATUS_SUPPRESSED)
            take(context, entry->bytes, entry->length);
    }
    pthread_mutex_unlock(&lane->mutex);
}

uint64_t lane_version(struct lane *lane, enum sector sector)
{
    pthread_mutex_lock(&lane->mutex);
    uint64_t version = lane->versions[sector];
    pthread_mutex_unlock(&lane->mutex);
    return version;
}

uint64_t lane_listen(struct lane *lane, bool on)
{
    pthread_mutex_lock(&lane->mutex);
    uint64_t newest = lane->next_n - 1;
    tap_open(&lane->tap, on);
    pthread_mutex_unlock(&lane->mutex);
    return newest;
}

bool lane_hear(struct lane *lane, struct lane_event *out, uint64_t *missed)
{
    pthread_mutex_lock(&lane->mutex);
    bool any = tap_take(&lane->tap, out, missed);
    pthread_mutex_unlock(&lane->mutex);
    return any;
}

void lane_status(struct lane *lane, struct lane_status *out)
{
    pthread_mutex_lock(&lane->mutex);
    *out = lane->status;
    pthread_mutex_unlock(&lane->mutex);
}
