/* A store with one uplink for the unit tests of what is owed: its thread does not run, its postbox
 * is read and served by hand, one turn at a time. Files lie under /tmp. */
#ifndef LIFELINE_DEBTOR_WORLD_H
#define LIFELINE_DEBTOR_WORLD_H

#include "gateway/store/internal.h"
#include "tests/unit/store_folder.h"

enum { ROWS = 6 };

struct world {
    char folder[FOLDER_SIZE], path[PATH_SIZE];
    struct settings_uplink uplink;
    struct settings settings;
    struct store *store;
    struct debtor *debtor;
    uint64_t generation;
    struct parcel parcels[LENT];
    struct parcel *in_flight[LENT]; /* in the order in which they were sent */
    size_t count;
    int64_t most;                        /* of a parcel; 0 = as a connection begins */
    size_t max_payload;                  /* 0 = whatever */
    uint64_t delivered, gap_first, gaps; /* numbers of gas that arrived, one bit each */
};

static inline void start(struct world *world)
{
    char why[200];
    world->store = store_open(&world->settings, why, sizeof why);
    if (!world->store)
        fail_msg("%s", why);
    world->debtor = &world->store->debtors[0];
}

/* The process dies, and another begins: what was not committed is gone. */
static inline void die(struct world *world)
{
    store_free(world->store);
    start(world);
}

static inline int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    if (!folder_make(world->folder, world->path, &world->settings, &world->uplink))
        return -1;
    world->uplink.sectors[SECTOR_GAS] = world->uplink.sectors[SECTOR_HEAT] = true;
    start(world);
    *state = world;
    return 0;
}

static inline int tear_down(void **state)
{
    struct world *world = *state;
    store_free(world->store);
    folder_remove(world->folder);
    for (size_t i = 0; i < LENT; i++)
        free(world->parcels[i].bytes);
    free(world);
    return 0;
}

/* The store is opened anew, with a device of one point under a title of so many bytes. */
static inline void open_with_device(struct world *world, size_t title_length)
{
    static char title[1000];
    static struct settings_line line = {.name = (char *)"line"};
    static struct profile_point point = {
        .name = (char *)"level", .quantity = (char *)"level", .unit = (char *)"m"};
    static struct profile profile = {.name = (char *)"made-up", .points = &point, .point_count = 1};
    static struct settings_point settings;
    static struct settings_device device = {.name = (char *)"well",
                                            .title = title,
                                            .profile = &profile,
                                            .points = &settings,
                                            .sector = SECTOR_GAS};
    memset(title, 'x', title_length);
    title[title_length] = '\0';
    world->settings.lines = &line;
    world->settings.line_count = 1;
    world->settings.devices = &device;
    world->settings.device_count = 1;
    die(world);
}

/* The store thread's turn at the mailbox. */
static inline void commit_mail(struct store *store)
{
    store->queue = store->mail;
    store->mail = NULL;
    store->mail_tail = &store->mail;
    assert_true(commit_all(store, false));
    commit_free_bodies(store->queue);
    store->queue = NULL;
}

/* A row of one reading, in the table and owed; as the commit would do it. */
static inline void put_at(struct world *world, enum sector sector, int64_t t_ms)
{
    static const struct segment_column column = {.point = 1};
    static const struct segment_block block = {1, 1, &column};
    struct segment *segment = segment_new(&block, 1);
    const struct segment_start start = {.base_ms = t_ms, .clock = CLOCK_STATE_SYNCED};
    const struct value value = {.steps = 5};
    segment_reset(segment, &start);
    assert_true(segment_add(segment, 0, t_ms, &value));
    assert_true(store_put(world->store, 0, sector, segment, true));
    segment_free(segment);
    commit_mail(world->store);
}

static inline void put(struct world *world, enum sector sector)
{
    put_at(world, sector, 1000);
}

/* A body of so many readings that is still open. */
static inline void put_open(struct world *world, int readings)
{
    static const struct segment_column column = {.point = 1};
    static const struct segment_block block = {1, 1, &column};
    struct segment *segment = segment_new(&block, 1);
    const struct segment_start start = {.base_ms = 9000, .clock = CLOCK_STATE_SYNCED};
    const struct value value = {.steps = 7};
    segment_reset(segment, &start);
    for (int i = 0; i < readings; i++)
        assert_true(segment_add(segment, 0, 9000 + 1000 * i, &value));
    assert_true(store_put(world->store, 3, SECTOR_GAS, segment, false));
    segment_free(segment);
    commit_mail(world->store);
}

static inline void turn(struct world *world)
{
    postbox_read(world->store, 0);
    postbox_serve(world->store, 0);
}

/* A connection begins; all parcels are lent anew. */
static inline void connect(struct world *world, size_t window)
{
    struct store_terms terms = {.window = window, .max_payload = world->max_payload};
    while (store_collect(world->store, 0))
        ;
    assert_true(store_detach(world->store, 0));
    store_attach(world->store, 0, NULL, NULL);
    store_terms(world->store, 0, &terms);
    world->generation = store_renew(world->store, 0);
    world->count = 0;
    if (world->most)
        store_room(world->store, 0, 0, world->most);
    for (size_t i = 0; i < window; i++) {
        world->parcels[i].generation = world->generation;
        store_fetch(world->store, 0, &world->parcels[i]);
    }
    turn(world);
}

static inline void collect(struct world *world)
{
    struct parcel *parcel;
    while ((parcel = store_collect(world->store, 0)))
        world->in_flight[world->count++] = parcel;
}

static inline void note(struct world *world, const struct parcel *parcel)
{
    Lifeline__V1__DataBatch *batch = decode(parcel);
    for (size_t i = 0; i < batch->n_segments && parcel->sector == SECTOR_GAS; i++)
        world->delivered |= UINT64_C(1) << (batch->segments[i]->seq & 63);
    for (size_t i = 0; i < batch->n_gaps; i++) {
        assert_int_equal(batch->gaps[i]->reason, GAP_REASON_REFUSED);
        assert_int_equal(batch->gaps[i]->readings, 1);
        assert_int_equal(batch->gaps[i]->first_seq, batch->gaps[i]->last_seq);
        world->gap_first = batch->gaps[i]->first_seq;
        world->gaps++;
    }
    message_free(&batch->base);
}

static inline void lend_again(struct world *world, struct parcel *parcel)
{
    parcel->generation = world->generation;
    store_fetch(world->store, 0, parcel);
    store_room(world->store, 0, (int64_t)parcel->length, STORE_ROOM);
}

static inline bool holds(const struct parcel *parcel, uint64_t seq)
{
    return parcel->sector == SECTOR_GAS && parcel->first_seq <= seq && seq <= parcel->last_seq;
}

/* The broker ends the connection; whose acknowledgement is on its way does not get it any more. */
static inline void end_connection(struct world *world)
{
    for (size_t i = 0; i < world->count; i++)
        store_blame(world->store, 0, world->in_flight[i]);
}

/* The broker takes what it is sent, in order, until there is no more; false when it ended the
 * connection on that number. `budget`: the link ends after so many bytes. */
static inline bool deliver(struct world *world, uint64_t poison, size_t budget)
{
    for (collect(world); world->count; turn(world), collect(world)) {
        struct parcel *parcel = world->in_flight[0];
        bool dies = (poison && holds(parcel, poison)) || parcel->length > budget;
        if (dies) {
            end_connection(world);
            return false;
        }
        if (parcel->alone)
            assert_int_equal(world->count, 1);
        budget -= parcel->length;
        note(world, parcel);
        store_settle(world->store, 0, parcel);
        memmove(world->in_flight, world->in_flight + 1, --world->count * sizeof *world->in_flight);
        lend_again(world, parcel);
    }
    return true;
}

/* Everything is acknowledged until there is no more. */
static inline void accept_all(struct world *world)
{
    for (collect(world); world->count; turn(world), collect(world)) {
        for (size_t i = 0; i < world->count; i++) {
            store_settle(world->store, 0, world->in_flight[i]);
            lend_again(world, world->in_flight[i]);
        }
        world->count = 0;
    }
}

#endif
