/* The store's promises, driven through store.h by hand: no line, no broker, a real SQLite file.
 * A child process that dies without store_stop() is the crash. What was committed is handed out,
 * closed, once; numbers and epoch go on; a refusal rests its sector; what was in flight is handed
 * out again after store_renew(), byte for byte. Each test has its own folder under /tmp. */
#include <sys/wait.h>
#include <sqlite3.h>

#include "tests/unit/store_world.h"

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
    store_forbid(world->store, 0, parcel);
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
    for (struct parcel *p = receive(world, parcels, WAIT_MS); p; p = collect(world, 1500)) {
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
    for (struct parcel *p = receive(world, parcels, WAIT_MS); p; p = collect(world, 1500)) {
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
    for (struct parcel *p = receive(world, parcels, WAIT_MS); p; p = collect(world, 1500)) {
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
    /* a row that is not there makes the file a damaged one: another epoch is in force */
    struct store_backlog backlog;
    store_backlog(world->store, 0, &backlog);
    assert_int_equal(backlog.previous_ends[SECTOR_GAS].last_seq, 5);
    assert_int_equal(backlog.previous_ends[SECTOR_GAS].settled_seq, 5);
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
