/* A store for the unit tests, driven through store.h by hand: no line, no broker, a real SQLite
 * file in a folder of its own under /tmp. */
#ifndef LIFELINE_STORE_WORLD_H
#define LIFELINE_STORE_WORLD_H

#include <sqlite3.h>

#include "gateway/boot.h"
#include "tests/unit/store_folder.h"

enum { WAIT_MS = 5000 };

struct world {
    char folder[FOLDER_SIZE], path[PATH_SIZE];
    struct settings_uplink uplink;
    struct settings settings;
    struct store *store;
    uint64_t generation;
};

static inline struct segment *new_segment(void)
{
    static const struct segment_column column = {.point = 1};
    static const struct segment_block block = {1, 1, &column};
    struct segment *segment = segment_new(&block, 1);
    const struct segment_start start = {.base_ms = clock_wall().ms,
                                        .mono_ms = clock_mono_ms(clock_mono()),
                                        .clock = CLOCK_STATE_SYNCED,
                                        .boot = boot_id()};
    segment_reset(segment, &start);
    return segment;
}

static inline void add(struct segment *segment, int64_t steps)
{
    const struct value value = {.steps = steps};
    assert_true(segment_add(segment, 0, clock_wall().ms, &value));
}

static inline void open_store(struct world *world)
{
    char why[200];
    world->store = store_open(&world->settings, why, sizeof why);
    if (!world->store)
        fail_msg("%s", why);
    assert_true(store_start(world->store));
    world->generation = store_renew(world->store, 0);
}

static inline void close_store(struct world *world)
{
    assert_true(store_stop(world->store, clock_after_ms(clock_mono(), WAIT_MS)));
    store_free(world->store);
    world->store = NULL;
}

static inline int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    if (!folder_make(world->folder, world->path, &world->settings, &world->uplink))
        return -1;
    for (int sector = 1; sector < SECTOR_COUNT; sector++)
        world->uplink.sectors[sector] = true;
    *state = world;
    return 0;
}

static inline int tear_down(void **state)
{
    struct world *world = *state;
    if (world->store) /* a test has failed */
        close_store(world);
    folder_remove(world->folder);
    free(world);
    return 0;
}

/* Puts one segment of these readings, closed, and commits. */
static inline void put_closed(struct world *world, enum sector sector, int64_t steps, int count)
{
    struct segment *segment = new_segment();
    for (int i = 0; i < count; i++)
        add(segment, steps + i);
    assert_true(store_put(world->store, 0, sector, segment, true));
    store_commit(world->store);
    segment_free(segment);
}

static inline void ask(struct world *world, struct parcel *parcel)
{
    parcel->generation = world->generation;
    store_fetch(world->store, 0, parcel);
}

static inline struct parcel *collect(struct world *world, int64_t patience_ms)
{
    mono_time until = clock_after_ms(clock_mono(), patience_ms);
    struct parcel *parcel;
    while (!(parcel = store_collect(world->store, 0)) && clock_mono().ns < until.ns)
        usleep(1000);
    return parcel;
}

/* One parcel asked for and received; several are lent, since the last two are kept for live data.
 */
static inline struct parcel *receive(struct world *world, struct parcel parcels[LENT],
                                     int64_t patience_ms)
{
    for (int i = 0; i < LENT; i++)
        ask(world, &parcels[i]);
    return collect(world, patience_ms);
}

static inline void free_parcels(struct parcel *parcels, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(parcels[i].bytes);
}

static inline void end_of(struct world *world, enum sector sector, uint64_t last, uint64_t settled)
{
    struct store_backlog backlog;
    mono_time until = clock_after_ms(clock_mono(), WAIT_MS);
    do {
        store_backlog(world->store, 0, &backlog);
    } while (
        (backlog.ends[sector].last_seq != last || backlog.ends[sector].settled_seq != settled) &&
        clock_mono().ns < until.ns);
    assert_int_equal(backlog.ends[sector].last_seq, last);
    assert_int_equal(backlog.ends[sector].settled_seq, settled);
}

/* By another connection, past the store: the answer of the last of these statements. */
static inline int64_t ask_file(const struct world *world, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    int64_t answer = 0;
    assert_int_equal(sqlite3_open_v2(world->path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
    while (*sql) {
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, &sql), SQLITE_OK);
        int rc = sqlite3_step(s);
        assert_true(rc == SQLITE_ROW || rc == SQLITE_DONE);
        answer = sqlite3_column_int64(s, 0);
        sqlite3_finalize(s);
    }
    sqlite3_close(db);
    return answer;
}

#endif
