/* life.c against a slow model: a million random words of a rule, acknowledgements, restarts and
 * ends of rules, LIFELINE_SEED=n to repeat one.
 *
 * The model keeps no state but the log: what was wanted, what was told, when it flapped. Whatever
 * it needs to know it reads from there anew at every step. Beside it what must hold whatever the
 * model says: no RAISED behind a RAISED, steps up by one, no id twice, no level that was not
 * wanted, and after quiet everything CLEARED, once. */
#include "gateway/flow/life.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "proto/ulid.h"

enum { WORDS = 400, RUNS = 2600, HOUR_MS = 3600000 };

struct wish {
    int64_t at_ms;
    uint8_t level;
    bool maintained, gas;
};

struct told {
    enum alarm_status status;
    uint8_t level;
    uint32_t step;
    size_t wish; /* that made it */
};

/* An alarm that came back or got worse again, or an end that was held and did not come. */
struct turn {
    int64_t at_ms;
    bool counts;
};

struct model {
    struct wish wishes[WORDS + 1];
    struct told told[WORDS + 1];
    struct turn turns[2 * WORDS + 1];
    size_t wish_count, told_count, turn_count;
    int64_t cleared_ms; /* 0 = not known */
    int64_t eased_ms;   /* what was told last is that; 0 = it is not */
};

static uint64_t random_state;

static uint32_t below(uint32_t limit)
{
    random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ (z >> 31)) % limit);
}

/* ---- the model: what the log says ---- */

static const struct told *last(const struct model *m)
{
    return m->told_count ? &m->told[m->told_count - 1] : NULL;
}

static bool is_open(const struct model *m)
{
    return last(m) && last(m)->status != ALARM_STATUS_CLEARED;
}

static bool is_suppressed(const struct model *m)
{
    return is_open(m) && last(m)->status == ALARM_STATUS_SUPPRESSED;
}

static bool is_acked(const struct model *m)
{
    for (size_t i = m->told_count; i > 0; i--) {
        enum alarm_status status = m->told[i - 1].status;
        if (status == ALARM_STATUS_ACKED)
            return true;
        if (status == ALARM_STATUS_RAISED || status == ALARM_STATUS_ESCALATED ||
            m->told[i - 1].step == 1)
            return false;
    }
    return false;
}

/* The wish that began this life, or the one before now. */
static size_t first_wish(const struct model *m)
{
    size_t i = m->told_count;
    while (is_open(m) && i > 0 && m->told[i - 1].step > 1)
        i--;
    return is_open(m) && i > 0 ? m->told[i - 1].wish : m->wish_count - 1;
}

static bool is_silenced(const struct model *m)
{
    for (size_t i = m->wish_count; i > first_wish(m); i--) {
        const struct wish *wish = &m->wishes[i - 1];
        if (!wish->maintained)
            return i < m->wish_count;
        if (wish->gas && wish->level)
            return false;
    }
    return true;
}

/* As people know it, or of a suppressed one as it was before this wish. */
static uint8_t level_of(const struct model *m)
{
    if (!is_suppressed(m))
        return last(m)->level;
    for (size_t i = m->wish_count - 1; i > 0; i--) {
        if (m->wishes[i - 1].level)
            return m->wishes[i - 1].level;
    }
    return LEVEL_NONE;
}

static bool eases(const struct model *m, size_t i)
{
    uint8_t level = m->wishes[i].level;
    return !level || (!is_suppressed(m) && level > level_of(m));
}

static size_t last_change(const struct model *m)
{
    size_t i = m->told_count - 1;
    while (m->told[i].status == ALARM_STATUS_ACKED && i > 0)
        i--;
    return m->told[i].wish;
}

/* The wish since which its end is wanted without a break; wish_count: it is not. */
static size_t eases_since(const struct model *m)
{
    size_t since = m->wish_count;
    while (is_open(m) && since > last_change(m) + 1 && eases(m, since - 1))
        since--;
    return since;
}

static int64_t hold_ms(const struct model *m, int64_t now_ms)
{
    unsigned flaps = 0;
    int64_t at_ms = 0;
    for (size_t i = 0; i < m->turn_count && m->turns[i].at_ms <= now_ms; i++) {
        if (m->turns[i].counts)
            flaps = m->turns[i].at_ms - at_ms > HOUR_MS ? 1 : flaps + 1;
        at_ms = m->turns[i].at_ms;
    }
    if (flaps < 3 || now_ms - at_ms > HOUR_MS)
        return 0;
    int64_t hold = 60000;
    while (--flaps >= 3 && hold < HOUR_MS)
        hold *= 2;
    return hold > HOUR_MS ? HOUR_MS : hold;
}

/* When the end that is wanted comes; INT64_MAX: none is. */
static int64_t end_ms(const struct model *m)
{
    size_t since = eases_since(m);
    if (since == m->wish_count)
        return INT64_MAX;
    int64_t at_ms = m->wishes[since].at_ms;
    return at_ms + hold_ms(m, at_ms);
}

static void turn(struct model *m, int64_t at_ms, bool counts)
{
    m->turns[m->turn_count++] = (struct turn){at_ms, counts};
}

/* ---- the model: what is to be told ---- */

static struct life_step tell(struct model *m, enum alarm_status status, uint8_t level)
{
    bool begins = !is_open(m);
    struct life_step step = {
        .status = status,
        .level = level,
        .previous_level = begins || status == ALARM_STATUS_RAISED ? 0 : level_of(m),
        .step = begins ? 1 : last(m)->step + 1,
        .acked = !begins && is_acked(m),
    };
    if (status == ALARM_STATUS_RAISED || status == ALARM_STATUS_ESCALATED)
        step.acked = false;
    if (status == ALARM_STATUS_ACKED)
        step.acked = true;
    if (status == ALARM_STATUS_CLEARED)
        m->cleared_ms = m->wishes[m->wish_count - 1].at_ms;
    if (status != ALARM_STATUS_ACKED)
        m->eased_ms = status == ALARM_STATUS_EASED ? m->wishes[m->wish_count - 1].at_ms : 0;
    m->told[m->told_count++] = (struct told){status, level, step.step, m->wish_count - 1};
    return step;
}

static struct life_step expect(struct model *m, const struct wish *wish)
{
    const struct life_step nothing = {0};
    bool ended = m->wish_count > 0 && eases_since(m) < m->wish_count;
    m->wishes[m->wish_count++] = *wish;
    bool silenced = wish->maintained && is_silenced(m);
    enum alarm_status begin = silenced ? ALARM_STATUS_SUPPRESSED : ALARM_STATUS_RAISED;
    if (!is_open(m)) {
        if (!wish->level)
            return nothing;
        if (m->cleared_ms && wish->at_ms - m->cleared_ms <= 600000)
            turn(m, wish->at_ms, true);
        return tell(m, begin, wish->level);
    }
    bool shift = wish->level && silenced != is_suppressed(m);
    if (ended && (shift || !eases(m, m->wish_count - 1)))
        turn(m, wish->at_ms, false);
    if (shift)
        return tell(m, begin, wish->level);
    if (wish->level == level_of(m) || (is_suppressed(m) && wish->level))
        return nothing;
    if (!eases(m, m->wish_count - 1)) {
        if (m->eased_ms && wish->at_ms - m->eased_ms <= 600000)
            turn(m, wish->at_ms, true);
        return tell(m, ALARM_STATUS_ESCALATED, wish->level);
    }
    if (wish->at_ms < end_ms(m))
        return nothing;
    return tell(m, wish->level ? ALARM_STATUS_EASED : ALARM_STATUS_CLEARED, wish->level);
}

/* ---- both side by side ---- */

struct pair {
    struct life life;
    struct model model;
    int64_t now_ms, wall_ms;
    struct wish wish;
    uint32_t raised; /* without a CLEARED or SUPPRESSED since */
};

static char ids[RUNS * WORDS][ALARM_ID_LENGTH + 1];
static size_t id_count;

static void check_id(const struct pair *p, const struct life_step *step, const char *before)
{
    char first[ULID_LENGTH + 1];
    assert_true(ulid_is(p->life.id));
    if (step->step > 1) {
        assert_string_equal(p->life.id, before);
        return;
    }
    ulid_first(first, p->wall_ms);
    assert_memory_equal(p->life.id, first, 10); /* it sorts by time */
    memcpy(ids[id_count++], p->life.id, sizeof ids[0]);
}

static void compare(struct pair *p, bool told, const struct life_step *step,
                    const struct life_step *expected, const char *before)
{
    assert_int_equal(told, expected->status != ALARM_STATUS_UNSPECIFIED);
    if (!told)
        return;
    assert_int_equal(step->status, expected->status);
    assert_int_equal(step->level, expected->level);
    assert_int_equal(step->previous_level, expected->previous_level);
    assert_int_equal(step->step, expected->step);
    assert_int_equal(step->acked, expected->acked);
    if (step->status != ALARM_STATUS_ACKED && step->level)
        assert_int_equal(step->level, p->wish.level);
    p->raised += step->status == ALARM_STATUS_RAISED;
    assert_in_range(p->raised, 0, 1);
    if (step->status == ALARM_STATUS_CLEARED || step->status == ALARM_STATUS_SUPPRESSED)
        p->raised = 0;
    check_id(p, step, before);
}

static void wish_both(struct pair *p)
{
    const struct life_want want = {.level = p->wish.level,
                                   .maintained = p->wish.maintained,
                                   .never_hidden = p->wish.gas,
                                   .mono = {p->now_ms * 1000000},
                                   .wall = {p->wall_ms}};
    struct life_step step, expected;
    char before[ALARM_ID_LENGTH + 1];
    memcpy(before, p->life.id, sizeof before);
    p->wish.at_ms = p->now_ms;
    bool told = life_want(&p->life, &want, &step);
    expected = expect(&p->model, &p->wish);
    compare(p, told, &step, &expected, before);
    int64_t due = end_ms(&p->model);
    assert_int_equal(life_due(&p->life).ns, due == INT64_MAX ? due : due * 1000000);
}

static void ack_both(struct pair *p)
{
    struct model *m = &p->model;
    struct life_step step, expected = {0};
    if (is_open(m) && !is_suppressed(m) && !is_acked(m))
        expected = tell(m, ALARM_STATUS_ACKED, level_of(m));
    bool told = life_ack(&p->life, &step);
    compare(p, told, &step, &expected, p->life.id);
}

static void end_both(struct pair *p)
{
    struct model *m = &p->model;
    struct life_step step, expected = {0};
    p->wish = (struct wish){.at_ms = p->now_ms};
    m->wishes[m->wish_count++] = p->wish;
    if (is_open(m))
        expected = tell(m, ALARM_STATUS_CLEARED, LEVEL_NONE);
    bool told =
        life_end(&p->life, (mono_time){p->now_ms * 1000000}, (wall_time){p->wall_ms}, &step);
    compare(p, told, &step, &expected, p->life.id);
}

/* Nothing is known any more but the step that was told last. */
static void restart_both(struct pair *p)
{
    struct model *m = &p->model;
    if (!m->told_count)
        return;
    struct told was = *last(m);
    struct alarm_event event = {.step = was.step, .level = was.level, .status = was.status};
    memcpy(event.id, p->life.id, sizeof event.id);
    bool acked = is_acked(m);
    memset(&p->life, 0xee, sizeof p->life);
    life_restore(&p->life, &event, acked);
    m->turn_count = 0;
    m->cleared_ms = m->eased_ms = 0;
    m->told[0] = (struct told){ALARM_STATUS_ACKED, was.level, 1, 0};
    m->told[1] = (struct told){was.status, was.level, was.step, 0};
    if (!acked || was.status == ALARM_STATUS_CLEARED)
        m->told[0].status = ALARM_STATUS_ESCALATED;
    m->told_count = 2;
    m->wishes[0] = (struct wish){.at_ms = p->now_ms, .level = was.level};
    m->wish_count = 1;
}

static void quiet_both(struct pair *p)
{
    uint32_t cleared = 0;
    p->wish = (struct wish){0};
    bool open = is_open(&p->model);
    for (int i = 0; i < 3; i++) {
        p->now_ms += HOUR_MS + 1;
        size_t told = p->model.told_count;
        wish_both(p);
        cleared += (uint32_t)(p->model.told_count - told);
    }
    assert_int_equal(cleared, open);
    assert_false(p->life.open);
}

/* ---- at random ---- */

static void next_moment(struct pair *p, uint32_t hurry)
{
    static const uint32_t reaches[] = {2000, 70000, 620000, 4000000};
    int64_t due = end_ms(&p->model), now_ms = p->now_ms + 1;
    now_ms += below(reaches[below(20) ? hurry : below(4)]);
    if (due != INT64_MAX && due > p->now_ms && below(3) == 0)
        now_ms = due - (below(2) == 0);
    if (below(20) == 0) /* where it stops to count, and where it is forgotten */
        now_ms = (below(2) ? p->model.cleared_ms : p->model.eased_ms) + 600000 + below(2);
    if (below(20) == 0 && p->model.turn_count)
        now_ms = p->model.turns[p->model.turn_count - 1].at_ms + HOUR_MS + below(2);
    p->now_ms = now_ms > p->now_ms ? now_ms : p->now_ms + 1;
    p->wall_ms += below(50) ? 1000 : (int64_t)below(2000000000) - 1000000000;
}

static void next_wish(struct pair *p, uint32_t calm)
{
    p->wish.level = (uint8_t)(below(2) ? 0 : 1 + below(4));
    if (below(calm) == 0)
        p->wish.maintained = !p->wish.maintained;
    p->wish.gas = p->wish.level && below(6) == 0;
}

static void one_run(void)
{
    static struct pair p;
    p = (struct pair){.now_ms = 1000 + below(100000000), .wall_ms = 1700000000000};
    uint32_t hurry = below(4), calm = 2 + below(200), odd = 20 + below(500);
    for (int i = 0; i < WORDS - 8; i++) {
        next_moment(&p, hurry);
        if (below(odd) == 0)
            end_both(&p);
        else if (below(odd) == 0)
            restart_both(&p);
        else if (below(12) == 0)
            ack_both(&p);
        if (below(3))
            next_wish(&p, calm);
        if (p.model.wish_count < WORDS - 6)
            wish_both(&p);
    }
    quiet_both(&p);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void a_million_steps(void **state)
{
    (void)state;
    const char *seed = getenv("LIFELINE_SEED");
    random_state = seed ? strtoull(seed, NULL, 10) : (uint64_t)(clock_mono().ns ^ getpid());
    print_message("LIFELINE_SEED=%" PRIu64 "\n", random_state);
    for (int i = 0; i < RUNS; i++)
        one_run();
    print_message("%zu alarms\n", id_count);
    qsort(ids, id_count, sizeof ids[0], by_text);
    for (size_t i = 1; i < id_count; i++)
        assert_string_not_equal(ids[i - 1], ids[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_million_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
