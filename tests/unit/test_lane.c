/* lane.c against a slow model that never forgets an event and looks through all of them: what is
 * next, who owes what, what is in force, what is let go of when it is full. Random, LIFELINE_SEED=n
 * to repeat one.
 *
 * Then cases of their own. Threads are in test_lane_threads.c, what a storm costs in the benchmark.
 */
#include "gateway/lane.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "drivers/clock.h"
#include "proto/ulid.h"

enum { RECORDS = 20000, OPEN = 300, READERS = 4, STEPS = 3000, RUNS = 10 };

enum safety { NEW, TAKEN, SAFE };

/* An event, in the order of n; one that was returned is another one. */
struct record {
    enum lane_kind kind;
    enum sector sector;
    uint32_t life; /* makes the id */
    uint32_t step;
    uint8_t level, previous_level;
    enum alarm_status status;
    size_t length;
    bool here, in_force; /* in the lane */
    bool owed[READERS], settled[READERS];
    enum safety safety;
};

static struct model {
    struct record records[RECORDS]; /* [n - 1] */
    size_t count, here;
    struct record *last[OPEN]; /* of each alarm; NULL or CLEARED: it is none */
    bool attached[READERS], behind[READERS], sectors[READERS][SECTOR_COUNT];
    uint32_t woken[READERS], store_woken;
    uint64_t versions[SECTOR_COUNT], events;
} m;

static struct lane *lane;
static struct lane_event scratch;
static uint64_t random_state;

static uint32_t below(uint32_t limit)
{
    random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ (z >> 31)) % limit);
}

static uint64_t n_of(const struct record *record)
{
    return (uint64_t)(record - m.records) + 1;
}

static void fill(struct lane_event *event, const struct record *record)
{
    event->n = n_of(record);
    event->kind = record->kind;
    event->sector = record->sector;
    ulid_first(event->id, record->life);
    event->step = record->step;
    event->level = record->level;
    event->previous_level = record->previous_level;
    event->status = record->status;
    event->at_ms = (int64_t)record->step * 1000;
    event->length = record->length;
    memset(event->bytes, (int)(record->step + record->life), record->length);
}

static void assert_is(const struct lane_event *event, const struct record *record)
{
    static struct lane_event expected;
    fill(&expected, record);
    assert_int_equal(event->n, expected.n);
    assert_int_equal(event->kind, expected.kind);
    assert_int_equal(event->sector, expected.sector);
    assert_string_equal(event->id, expected.id);
    assert_int_equal(event->step, expected.step);
    assert_int_equal(event->level, expected.level);
    assert_int_equal(event->previous_level, expected.previous_level);
    assert_int_equal(event->status, expected.status);
    assert_int_equal(event->at_ms, expected.at_ms);
    assert_int_equal(event->length, expected.length);
    assert_memory_equal(event->bytes, expected.bytes, expected.length);
}

/* ---- the model ---- */

static void leave(struct record *record)
{
    m.here -= record->here;
    record->here = false;
}

static void leave_if_done(struct record *record)
{
    bool owed = false;
    for (size_t r = 0; r < READERS; r++)
        owed |= record->owed[r];
    if (record->safety == SAFE && !owed && !record->in_force)
        leave(record);
}

/* Alarms in force do not count, however many they are. */
static bool is_full(void)
{
    size_t waiting = 0;
    for (size_t i = 0; m.here >= LANE_EVENTS && i < m.count; i++)
        waiting += m.records[i].here && !m.records[i].in_force;
    return waiting >= LANE_EVENTS;
}

static struct record *append(enum lane_kind kind, enum sector sector)
{
    bool full = is_full();
    for (size_t i = 0; full && i < m.count; i++) {
        struct record *record = &m.records[i];
        if (!record->here || record->safety != SAFE || record->in_force)
            continue;
        leave(record);
        full = is_full();
        for (size_t r = 0; r < READERS; r++)
            m.behind[r] |= record->owed[r];
    }
    struct record *record = &m.records[m.count++];
    *record = (struct record){.kind = kind, .sector = sector, .here = true};
    m.here++;
    return record;
}

static bool is_pending(const struct record *record, size_t reader, const struct lane_skip *skip)
{
    bool busy =
        record->kind == LANE_ALARM ? skip->alarms[record->sector] : skip->reports[record->sector];
    for (size_t i = 0; i < skip->count; i++)
        busy |= skip->busy[i] == n_of(record);
    return record->here && record->owed[reader] && !busy;
}

static unsigned severity(const struct record *record)
{
    if (record->kind == LANE_REPORT)
        return 9;
    return record->status == ALARM_STATUS_CLEARED ? record->previous_level : record->level;
}

static const struct record *model_next(size_t reader, const struct lane_skip *skip)
{
    const struct record *worst = NULL, *found = NULL;
    for (const struct record *record = m.records; record < m.records + m.count; record++) {
        if (is_pending(record, reader, skip) && (!worst || severity(record) < severity(worst)))
            worst = record;
    }
    for (const struct record *record = m.records; worst && record < m.records + m.count; record++) {
        if (record->life == worst->life && is_pending(record, reader, skip) &&
            (!found || record->step < found->step))
            found = record;
    }
    return found;
}

/* ---- both side by side ---- */

static void note_wake(void *context)
{
    ++*(uint32_t *)context;
}

static void next_step(struct record *record, const struct record *before)
{
    bool begins = !before || before->level == 0;
    record->life = begins ? (uint32_t)m.count : before->life;
    record->step = begins ? 1 : before->step + 1;
    record->previous_level = begins ? 0 : before->level;
    record->level = (uint8_t)(begins || below(3) ? 1 + below(4) : 0);
    record->status = record->level == 0 ? ALARM_STATUS_CLEARED
                     : below(5) == 0    ? ALARM_STATUS_SUPPRESSED
                     : begins           ? ALARM_STATUS_RAISED
                                        : ALARM_STATUS_ESCALATED;
}

static void model_put_alarm(void)
{
    size_t open = below(OPEN);
    struct record *before = m.last[open];
    struct record *record = append(LANE_ALARM, (enum sector)(1 + open % (SECTOR_COUNT - 1)));
    next_step(record, before);
    if (before && before->in_force) {
        before->in_force = false;
        leave_if_done(before);
    }
    record->in_force = record->level > 0;
    m.last[open] = record;
    m.versions[record->sector]++;
}

static void model_put_report(void)
{
    struct record *record = append(LANE_REPORT, (enum sector)(1 + below(SECTOR_COUNT - 1)));
    record->life = (uint32_t)m.count;
    record->step = 1;
}

static void put(void)
{
    uint32_t woken[READERS], store_woken = m.store_woken;
    memcpy(woken, m.woken, sizeof woken);
    if (below(15))
        model_put_alarm();
    else
        model_put_report();
    struct record *record = &m.records[m.count - 1];
    record->length = below(8) ? 400 + below(300) : 1 + below(ALARM_EVENT_MAX);
    fill(&scratch, record);
    scratch.n = 0;
    assert_true(lane_put(lane, &scratch));
    assert_int_equal(scratch.n, m.count);
    for (size_t r = 0; r < READERS; r++) {
        record->owed[r] = m.attached[r] && m.sectors[r][record->sector];
        assert_int_equal(m.woken[r], woken[r] + record->owed[r]);
    }
    assert_int_equal(m.store_woken, store_woken + 1);
    m.events++;
}

static void attach(size_t reader)
{
    if (m.attached[reader])
        return;
    for (size_t s = 0; s < SECTOR_COUNT; s++)
        m.sectors[reader][s] = below(4) > 0;
    m.attached[reader] = m.behind[reader] = true;
    for (size_t i = 0; i < m.count; i++) {
        struct record *record = &m.records[i];
        if (record->here && record->safety != SAFE && m.sectors[reader][record->sector])
            record->owed[reader] = true;
    }
    lane_attach(lane, reader, m.sectors[reader], note_wake, &m.woken[reader]);
}

static void detach(size_t reader)
{
    m.attached[reader] = m.behind[reader] = false;
    for (size_t i = 0; i < m.count; i++) {
        struct record *record = &m.records[i];
        record->owed[reader] = record->settled[reader] = false;
        leave_if_done(record);
    }
    lane_detach(lane, reader);
}

static void settle(size_t reader, struct record *record)
{
    bool noted = !record->here;
    if (record->here && record->owed[reader]) {
        noted = record->safety != NEW;
        record->owed[reader] = false;
        record->settled[reader] = true;
        leave_if_done(record);
    }
    assert_int_equal(lane_settle(lane, reader, n_of(record)), noted);
}

static void tell_next(size_t reader)
{
    struct lane_skip skip = {.count = below(LANE_BUSY + 1)};
    for (size_t i = 0; i < skip.count; i++) {
        const struct record *busy = model_next(reader, &(struct lane_skip){.count = 0});
        skip.busy[i] = busy && i == 0 ? n_of(busy) : 1 + below((uint32_t)m.count + 1);
    }
    for (size_t s = 0; s < SECTOR_COUNT; s++) {
        skip.alarms[s] = below(8) == 0;
        skip.reports[s] = below(8) == 0;
    }
    const struct record *next = model_next(reader, &skip);
    assert_int_equal(lane_next(lane, reader, &skip, &scratch), next != NULL);
    if (!next)
        return;
    assert_is(&scratch, next);
    if (below(4))
        settle(reader, &m.records[scratch.n - 1]);
}

static void take_and_store(void)
{
    static struct lane_event events[16];
    size_t expected = 0, count = 1 + below(16);
    size_t taken = lane_unstored(lane, events, count);
    for (size_t i = 0; i < m.count && expected < count; i++) {
        struct record *record = &m.records[i];
        if (!record->here || record->safety != NEW)
            continue;
        assert_true(expected < taken);
        assert_is(&events[expected], record);
        for (size_t r = 0; r < READERS; r++)
            assert_int_equal(events[expected].settled >> r & 1, record->settled[r]);
        record->safety = TAKEN;
        expected++;
    }
    assert_int_equal(taken, expected);
    if (!taken || below(3) == 0)
        return; /* safe with the next ones */
    uint64_t up_to = events[taken - 1].n;
    for (size_t i = 0; i < up_to; i++) {
        struct record *record = &m.records[i];
        if (record->here && record->safety == TAKEN) {
            record->safety = SAFE;
            leave_if_done(record);
        }
    }
    lane_stored(lane, up_to);
}

/* One of the stored ones; the store returns the newest copy that there is. */
static void give_back(size_t reader)
{
    struct record *record = &m.records[below((uint32_t)m.count)];
    for (struct record *other = record + 1; other < m.records + m.count; other++) {
        if (other->life == record->life && other->step == record->step)
            record = other;
    }
    if (record->safety != SAFE || !m.sectors[reader][record->sector])
        return;
    fill(&scratch, record);
    bool room = record->here || (m.attached[reader] && !is_full());
    if (!record->here && room) {
        struct record *copy = append(record->kind, record->sector);
        *copy = *record;
        copy->here = true;
        memset(copy->settled, 0, sizeof copy->settled);
        memset(copy->owed, 0, sizeof copy->owed);
        record = copy;
    }
    bool wakes = room && m.attached[reader] && !record->settled[reader];
    record->owed[reader] |= wakes;
    uint32_t woken = m.woken[reader] + wakes;
    assert_int_equal(lane_return(lane, reader, &scratch), room);
    assert_int_equal(m.woken[reader], woken);
}

static void look_at_all(void)
{
    uint64_t after = 0;
    uint32_t up[LEVEL_COUNT] = {0};
    struct lane_status status;
    for (size_t i = 0; i < m.count; i++) {
        const struct record *record = &m.records[i];
        if (!record->in_force)
            continue;
        assert_true(lane_read(lane, &after, &scratch));
        assert_is(&scratch, record);
        assert_int_equal(after, n_of(record));
        up[record->level] += record->status != ALARM_STATUS_SUPPRESSED;
    }
    assert_false(lane_read(lane, &after, &scratch));
    lane_status(lane, &status);
    assert_int_equal(status.events, m.events);
    assert_int_equal(status.lost, 0);
    assert_int_equal(status.kept, m.here);
    assert_memory_equal(status.up, up, sizeof up);
    for (size_t s = 1; s < SECTOR_COUNT; s++)
        assert_int_equal(lane_version(lane, (enum sector)s), m.versions[s]);
}

static void begin(void)
{
    memset(&m, 0, sizeof m);
    lane = lane_new();
    assert_non_null(lane);
    lane_attach_store(lane, note_wake, &m.store_woken);
}

/* `slow`: of the store and of the readers; at 0 the lane stays nearly empty, at 30 it fills up. */
static void one_run(uint32_t slow)
{
    begin();
    for (int i = 0; i < STEPS && m.count < RECORDS - 40; i++) {
        size_t reader = below(READERS);
        for (uint32_t puts = below(2 + slow / 10); puts > 0; puts--)
            put();
        if (below(1 + slow) < 4)
            tell_next(reader);
        if (below(1 + slow) < 3)
            take_and_store();
        if (below(200) == 0)
            detach(reader);
        if (below(50) == 0)
            attach(reader);
        if (m.count && below(10) == 0)
            give_back(reader);
        if (m.count && below(50) == 0)
            settle(reader, &m.records[below((uint32_t)m.count)]);
        if (below(100) == 0)
            look_at_all();
        if (below(20) == 0) {
            assert_int_equal(lane_is_behind(lane, reader), m.behind[reader]);
            m.behind[reader] = false;
        }
    }
    look_at_all();
    lane_free(lane);
}

static void as_the_model_says(void **state)
{
    (void)state;
    const char *seed = getenv("LIFELINE_SEED");
    random_state = seed ? strtoull(seed, NULL, 10) : (uint64_t)(clock_mono().ns ^ getpid());
    print_message("LIFELINE_SEED=%" PRIu64 "\n", random_state);
    for (uint32_t run = 0; run < RUNS; run++)
        one_run(run * 4);
}

/* ---- cases ---- */

static void make(uint32_t life, uint32_t step, uint8_t previous_level, uint8_t level)
{
    scratch = (struct lane_event){.kind = LANE_ALARM,
                                  .sector = SECTOR_GAS,
                                  .step = step,
                                  .level = level,
                                  .previous_level = previous_level,
                                  .status = level ? ALARM_STATUS_RAISED : ALARM_STATUS_CLEARED,
                                  .length = 600};
    ulid_first(scratch.id, life);
}

static void put_one(uint32_t life, uint32_t step, uint8_t previous_level, uint8_t level)
{
    make(life, step, previous_level, level);
    assert_true(lane_put(lane, &scratch));
}

static void begin_with_reader(void)
{
    static const bool all[SECTOR_COUNT] = {[SECTOR_GAS] = true, [SECTOR_SPONGE] = true};
    begin();
    lane_attach(lane, 0, all, note_wake, &m.woken[0]);
}

static void assert_next(uint32_t life, uint32_t step)
{
    const struct lane_skip skip = {0};
    char id[ALARM_ID_LENGTH + 1];
    ulid_first(id, life);
    assert_true(lane_next(lane, 0, &skip, &scratch));
    assert_string_equal(scratch.id, id);
    assert_int_equal(scratch.step, step);
    (void)lane_settle(lane, 0, scratch.n);
}

/* Yellow, then red and cleared since: of the red alarm, all from its begin; the yellow one last. */
static void the_most_severe_alarm_goes_first_from_its_begin(void **state)
{
    (void)state;
    begin_with_reader();
    put_one(1, 1, 0, LEVEL_YELLOW);
    put_one(2, 1, 0, LEVEL_BLUE);
    put_one(3, 1, 0, LEVEL_BLUE);
    put_one(2, 2, LEVEL_BLUE, LEVEL_RED);
    put_one(3, 2, LEVEL_BLUE, LEVEL_ORANGE);
    put_one(3, 3, LEVEL_ORANGE, LEVEL_NONE);
    assert_next(2, 1);
    assert_next(2, 2);
    assert_next(3, 1);
    assert_next(3, 2);
    assert_next(3, 3);
    assert_next(1, 1);
    lane_free(lane);
}

static void what_is_returned_goes_before_later_steps(void **state)
{
    (void)state;
    begin_with_reader();
    put_one(1, 2, LEVEL_BLUE, LEVEL_RED);
    make(1, 1, 0, LEVEL_BLUE);
    assert_true(lane_return(lane, 0, &scratch));
    assert_next(1, 1);
    assert_next(1, 2);
    lane_free(lane);
}

static void what_is_settled_is_not_owed_again(void **state)
{
    (void)state;
    begin_with_reader();
    put_one(1, 1, 0, LEVEL_RED);
    assert_int_equal(lane_unstored(lane, &scratch, 1), 1);
    lane_stored(lane, 1);
    assert_next(1, 1);
    make(1, 1, 0, LEVEL_RED);
    assert_true(lane_return(lane, 0, &scratch));
    assert_false(lane_next(lane, 0, &(struct lane_skip){.count = 0}, &scratch));
    lane_free(lane);
}

/* What is stored goes first, the oldest of it; what is not stored stays, however much it is. */
static void what_is_let_go_of_when_it_is_full(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    static struct lane_event events[16];
    struct lane_status status;
    begin_with_reader();
    assert_true(lane_is_behind(lane, 0));
    for (uint32_t i = 1; i <= LANE_EVENTS - 2; i += 2) {
        put_one(i, 1, 0, LEVEL_BLUE);
        put_one(i, 2, LEVEL_BLUE, LEVEL_NONE);
    }
    assert_int_equal(lane_unstored(lane, events, 10), 10);
    lane_stored(lane, events[9].n);
    for (uint32_t i = 0; i < MANY; i++) /* in force: no reason to let go of anything */
        put_one(20000 + i, 1, 0, LEVEL_BLUE);
    put_one(LANE_EVENTS - 1, 1, 0, LEVEL_BLUE);
    put_one(LANE_EVENTS - 1, 2, LEVEL_BLUE, LEVEL_NONE);
    assert_false(lane_is_behind(lane, 0));
    for (uint32_t i = 0; i < 10; i++) {
        put_one(10000 + i, 2, LEVEL_YELLOW, LEVEL_NONE);
        lane_status(lane, &status);
        assert_int_equal(status.kept, LANE_EVENTS + MANY);
        assert_int_equal(lane_is_behind(lane, 0), true);
    }
    put_one(10010, 2, LEVEL_YELLOW, LEVEL_NONE); /* from the heap */
    lane_status(lane, &status);
    assert_int_equal(status.kept, LANE_EVENTS + MANY + 1);
    assert_false(lane_is_behind(lane, 0));
    make(1, 1, 0, LEVEL_BLUE);
    assert_false(lane_return(lane, 0, &scratch));
    for (uint32_t i = 0; i < 11; i++)
        assert_next(10000 + i, 2);
    assert_next(11, 1);
    lane_free(lane);
}

static void restored_is_in_force_and_owed_by_nobody(void **state)
{
    (void)state;
    uint64_t after = 0, version;
    begin_with_reader();
    version = lane_version(lane, SECTOR_GAS);
    make(7, 3, LEVEL_BLUE, LEVEL_ORANGE);
    assert_true(lane_restore(lane, &scratch));
    assert_true(lane_version(lane, SECTOR_GAS) > version);
    assert_false(lane_next(lane, 0, &(struct lane_skip){.count = 0}, &scratch));
    assert_int_equal(lane_unstored(lane, &scratch, 1), 0);
    assert_true(lane_read(lane, &after, &scratch));
    assert_int_equal(scratch.step, 3);
    put_one(7, 4, LEVEL_ORANGE, LEVEL_NONE);
    after = 0;
    assert_false(lane_read(lane, &after, &scratch));
    lane_free(lane);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_model_says),
        cmocka_unit_test(the_most_severe_alarm_goes_first_from_its_begin),
        cmocka_unit_test(what_is_returned_goes_before_later_steps),
        cmocka_unit_test(what_is_settled_is_not_owed_again),
        cmocka_unit_test(what_is_let_go_of_when_it_is_full),
        cmocka_unit_test(restored_is_in_force_and_owed_by_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
