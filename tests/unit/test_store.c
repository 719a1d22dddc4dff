/* The store's promises, driven through store.h by hand: no line, no broker, a real SQLite file.
 * A child process that dies without store_stop() is the crash. What was committed is handed out,
 * closed, once; numbers and epoch go on; a refusal rests its sector; what was in flight is handed
 * out again after store_renew(), byte for byte. Each test has its own folder under /tmp. */
#include "gateway/store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "gateway/boot.h"
#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"

enum { LENT = 8, WAIT_MS = 5000 };

struct world {
    char folder[64], path[96];
    struct settings_uplink uplink;
    struct settings settings;
    struct store *store;
    uint64_t generation;
};

static struct segment *new_segment(void)
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

static void add(struct segment *segment, int64_t steps)
{
    const struct value value = {.steps = steps};
    assert_true(segment_add(segment, 0, clock_wall().ms, &value));
}

static void open_store(struct world *world)
{
    char why[200];
    world->store = store_open(&world->settings, why, sizeof why);
    if (!world->store)
        fail_msg("%s", why);
    assert_true(store_start(world->store));
    world->generation = store_renew(world->store, 0);
}

static void close_store(struct world *world)
{
    assert_true(store_stop(world->store, clock_after_ms(clock_mono(), WAIT_MS)));
    store_free(world->store);
    world->store = NULL;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    snprintf(world->folder, sizeof world->folder, "/tmp/lifeline-store-XXXXXX");
    if (!mkdtemp(world->folder))
        return -1;
    snprintf(world->path, sizeof world->path, "%s/store.db", world->folder);
    world->uplink.name = (char *)"city";
    world->uplink.max_payload = 1 << 17;
    for (int sector = 1; sector < SECTOR_COUNT; sector++)
        world->uplink.sectors[sector] = true;
    world->settings.gateway.id = (char *)"gw-1";
    world->settings.gateway.region = (char *)"140502";
    world->settings.store.path = world->path;
    world->settings.store.segment_ms = 60000;
    world->settings.store.max_size = 64 << 20;
    world->settings.uplinks = &world->uplink;
    world->settings.uplink_count = 1;
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    static const char *const names[] = {"store.db", "store.db-wal", "store.lock"};
    char path[200];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", world->folder, names[i]);
        unlink(path);
    }
    rmdir(world->folder);
    free(world);
    return 0;
}

/* Puts one segment of these readings, closed, and commits. */
static void put_closed(struct world *world, enum sector sector, int64_t steps, int count)
{
    struct segment *segment = new_segment();
    for (int i = 0; i < count; i++)
        add(segment, steps + i);
    assert_true(store_put(world->store, 0, sector, segment, true));
    store_commit(world->store);
    segment_free(segment);
}

static void ask(struct world *world, struct parcel *parcel)
{
    parcel->generation = world->generation;
    store_fetch(world->store, 0, parcel);
}

static struct parcel *collect(struct world *world, int64_t patience_ms)
{
    mono_time until = clock_after_ms(clock_mono(), patience_ms);
    struct parcel *parcel;
    while (!(parcel = store_collect(world->store, 0)) && clock_mono().ns < until.ns)
        usleep(1000);
    return parcel;
}

/* One parcel asked for and received; several are lent, since the last two are kept for live data.
 */
static struct parcel *receive(struct world *world, struct parcel parcels[LENT], int64_t patience_ms)
{
    for (int i = 0; i < LENT; i++)
        ask(world, &parcels[i]);
    return collect(world, patience_ms);
}

static Lifeline__V1__DataBatch *decode(const struct parcel *parcel)
{
    ProtobufCMessage *message = message_unpack(&lifeline__v1__data_batch__descriptor, parcel->bytes,
                                               parcel->length, parcel->length);
    assert_non_null(message);
    return (Lifeline__V1__DataBatch *)message;
}

static void free_parcels(struct parcel *parcels, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(parcels[i].bytes);
}

static void end_of(struct world *world, enum sector sector, uint64_t last, uint64_t settled)
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

static void what_is_closed_is_handed_out_and_settled(void **state)
{
    struct world *world = *state;
    struct parcel parcels[LENT] = {0};
    open_store(world);
    put_closed(world, SECTOR_GAS, 100, 3);
    struct parcel *parcel = receive(world, parcels, WAIT_MS);
    assert_non_null(parcel);
    assert_int_equal(parcel->kind, PARCEL_LIVE);
    Lifeline__V1__DataBatch *batch = decode(parcel);
    assert_string_equal(batch->gateway, "gw-1");
    assert_int_equal(batch->sector, SECTOR_GAS);
    assert_int_equal(batch->n_segments, 1);
    assert_int_equal(batch->segments[0]->seq, 1);
    assert_int_equal(batch->segments[0]->blocks[0]->columns[0]->n_steps, 3);
    message_free(&batch->base);
    end_of(world, SECTOR_GAS, 1, 0);
    store_settle(world->store, 0, parcel);
    end_of(world, SECTOR_GAS, 1, 1);
    close_store(world);
    open_store(world); /* settled is settled after a restart */
    end_of(world, SECTOR_GAS, 1, 1);
    close_store(world);
    free_parcels(parcels, LENT);
}

static void in_flight_is_sent_again_byte_for_byte(void **state)
{
    struct world *world = *state;
    struct parcel parcels[LENT] = {0}, again[LENT] = {0};
    open_store(world);
    put_closed(world, SECTOR_WATER, 1, 50);
    struct parcel *first = receive(world, parcels, WAIT_MS);
    assert_non_null(first);
    world->generation = store_renew(world->store, 0);
    struct parcel *second = NULL;
    do { /* the older parcels come back empty first */
        second = second == NULL ? receive(world, again, WAIT_MS) : collect(world, WAIT_MS);
        assert_non_null(second);
    } while (second->kind == PARCEL_EMPTY);
    assert_int_equal(second->length, first->length);
    assert_memory_equal(second->bytes, first->bytes, first->length);
    close_store(world);
    free_parcels(parcels, LENT);
    free_parcels(again, LENT);
}

static void a_refused_sector_rests_and_others_go_on(void **state)
{
    struct world *world = *state;
    struct parcel parcels[LENT] = {0};
    open_store(world);
    put_closed(world, SECTOR_GAS, 1, 1);
    struct parcel *parcel = receive(world, parcels, WAIT_MS);
    assert_non_null(parcel);
    store_refuse(world->store, 0, parcel);
    put_closed(world, SECTOR_GAS, 2, 1);
    put_closed(world, SECTOR_HEAT, 3, 1);
    parcel = collect(world, WAIT_MS);
    assert_non_null(parcel);
    assert_int_equal(parcel->sector, SECTOR_HEAT);
    assert_null(collect(world, 100));
    struct store_backlog backlog;
    store_backlog(world->store, 0, &backlog);
    assert_true(backlog.refused[SECTOR_GAS]);
    assert_int_equal(backlog.ends[SECTOR_GAS].settled_seq, 0);
    close_store(world);
    free_parcels(parcels, LENT);
}

static void a_crash_loses_only_what_was_not_committed(void **state)
{
    struct world *world = *state;
    pid_t child = fork();
    if (child == 0) {
        struct segment *segment = new_segment();
        open_store(world);
        put_closed(world, SECTOR_GAS, 1, 4);
        add(segment, 10);
        if (!store_put(world->store, 1, SECTOR_GAS, segment, false))
            _exit(1);
        store_commit(world->store);
        struct store_status status;
        do { /* both bodies may have gone into one commit */
            store_status(world->store, &status);
        } while (status.commits == 0 || status.readings < 4);
        usleep(200000);
        add(segment, 11);
        if (!store_put(world->store, 1, SECTOR_GAS, segment, false)) /* never committed */
            _exit(1);
        _exit(0);
    }
    int code;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);

    struct parcel parcels[LENT] = {0};
    uint64_t readings = 0, gaps = 0;
    open_store(world);
    end_of(world, SECTOR_GAS, 2, 0);
    for (struct parcel *p = receive(world, parcels, WAIT_MS); p; p = collect(world, 300)) {
        Lifeline__V1__DataBatch *batch = decode(p);
        for (size_t i = 0; i < batch->n_segments; i++)
            readings += batch->segments[i]->blocks[0]->columns[0]->n_steps;
        for (size_t i = 0; i < batch->n_gaps; i++) {
            assert_int_equal(batch->gaps[i]->reason, GAP_REASON_CRASH);
            assert_int_equal(batch->gaps[i]->first_seq, 0);
            gaps++;
        }
        message_free(&batch->base);
    }
    assert_int_equal(readings, 5);
    assert_int_equal(gaps, 1);
    close_store(world);
    free_parcels(parcels, LENT);
}

static void an_orderly_end_is_no_crash(void **state)
{
    struct world *world = *state;
    struct parcel parcels[LENT] = {0};
    open_store(world);
    struct store_status before, after;
    store_status(world->store, &before);
    put_closed(world, SECTOR_GAS, 1, 1);
    end_of(world, SECTOR_GAS, 1, 0);
    close_store(world);
    open_store(world);
    store_status(world->store, &after);
    assert_int_equal(before.epoch, after.epoch);
    put_closed(world, SECTOR_GAS, 2, 1);
    end_of(world, SECTOR_GAS, 2, 0); /* numbers go on */
    for (struct parcel *p = receive(world, parcels, WAIT_MS); p; p = collect(world, 300)) {
        Lifeline__V1__DataBatch *batch = decode(p);
        assert_int_equal(batch->n_gaps, 0);
        message_free(&batch->base);
    }
    close_store(world);
    free_parcels(parcels, LENT);
}

static void what_was_never_numbered_is_a_gap(void **state)
{
    struct world *world = *state;
    struct parcel parcels[LENT] = {0};
    open_store(world);
    store_lost(world->store, SECTOR_BRIDGE, GAP_REASON_OVERLOAD, 1000, 1000, 7);
    store_lost(world->store, SECTOR_BRIDGE, GAP_REASON_OVERLOAD, 5000, 6000, 3);
    store_commit(world->store);
    struct parcel *parcel = receive(world, parcels, WAIT_MS);
    assert_non_null(parcel);
    assert_int_equal(parcel->kind, PARCEL_HISTORY);
    Lifeline__V1__DataBatch *batch = decode(parcel);
    assert_int_equal(batch->n_gaps, 1);
    assert_int_equal(batch->gaps[0]->from_ms, 1000);
    assert_int_equal(batch->gaps[0]->to_ms, 6000);
    assert_int_equal(batch->gaps[0]->readings, 10);
    assert_int_equal(batch->gaps[0]->reason, GAP_REASON_OVERLOAD);
    message_free(&batch->base);
    store_settle(world->store, 0, parcel);
    world->generation = store_renew(world->store, 0);
    struct parcel more[LENT] = {0};
    for (struct parcel *p = receive(world, more, 300); p; p = collect(world, 300))
        assert_int_equal(p->kind, PARCEL_EMPTY); /* a settled Gap is not sent again */
    close_store(world);
    free_parcels(parcels, LENT);
    free_parcels(more, LENT);
}

/* A person, or a dying card: one row is not what its CRC says, another is gone. */
static void damage(const struct world *world)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(world->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "UPDATE segment SET row=zeroblob(9) WHERE (id & 255)=2;"
                                  "DELETE FROM segment WHERE (id & 255)=4",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
}

static void what_cannot_be_read_back_is_a_gap(void **state)
{
    struct world *world = *state;
    struct parcel parcels[LENT] = {0};
    bool data[7] = {false}, gap[7] = {false};
    open_store(world);
    for (int i = 1; i <= 5; i++) {
        put_closed(world, SECTOR_GAS, i, i);
        end_of(world, SECTOR_GAS, (uint64_t)i, 0);
    }
    close_store(world);
    damage(world);
    open_store(world);
    for (struct parcel *p = receive(world, parcels, WAIT_MS); p; p = collect(world, 300)) {
        Lifeline__V1__DataBatch *batch = decode(p);
        for (size_t i = 0; i < batch->n_segments; i++)
            data[batch->segments[i]->seq] = true;
        for (size_t i = 0; i < batch->n_gaps; i++) {
            assert_int_equal(batch->gaps[i]->reason, GAP_REASON_CORRUPT);
            assert_int_equal(batch->gaps[i]->first_seq, batch->gaps[i]->last_seq);
            gap[batch->gaps[i]->first_seq] = true;
        }
        message_free(&batch->base);
        store_settle(world->store, 0, p);
        ask(world, p);
    }
    for (int seq = 1; seq <= 5; seq++) {
        assert_int_equal(gap[seq], seq == 2 || seq == 4);
        assert_int_equal(data[seq], !gap[seq]);
    }
    end_of(world, SECTOR_GAS, 5, 5);
    struct store_status status;
    store_status(world->store, &status);
    assert_int_equal(status.corrupt, 2);
    close_store(world);
    free_parcels(parcels, LENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_closed_is_handed_out_and_settled),
        TEST(in_flight_is_sent_again_byte_for_byte),
        TEST(a_refused_sector_rests_and_others_go_on),
        TEST(a_crash_loses_only_what_was_not_committed),
        TEST(an_orderly_end_is_no_crash),
        TEST(what_was_never_numbered_is_a_gap),
        TEST(what_cannot_be_read_back_is_a_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
