/* life.c: every transition by name, flapping and how it is forgotten, maintenance in every state,
 * over a restart, while the wall clock jumps.
 *
 * What a step looks like is written as "escalated 2 from 3". The million random steps against a
 * slow model are in test_life_model.c. */
#include "gateway/flow/life.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proto/ulid.h"

enum { MINUTE = 60, HOUR = 3600 };

/* How a level is wanted. */
enum { PLAIN = 0, MAINTAINED = 1, GAS = 2 };

struct world {
    struct life life;
    int64_t wall_ms;
    uint32_t step;
};

static void spell(const struct life_step *step, char out[64])
{
    snprintf(out, 64, "%s %u from %u%s", names_alarm_status(step->status), step->level,
             step->previous_level, step->acked ? " acked" : "");
}

static mono_time at(double s)
{
    return (mono_time){(int64_t)((1000 + s) * 1e9)};
}

static void check(struct world *world, bool told, const struct life_step *step, const char *said)
{
    char got[64] = "";
    if (told) {
        spell(step, got);
        world->step = step->step == 1 ? 1 : world->step + 1;
        assert_int_equal(step->step, world->step);
        assert_int_equal(world->life.step, step->step);
        assert_true(ulid_is(world->life.id));
    }
    assert_string_equal(got, said);
}

static void want(struct world *world, double s, uint8_t level, unsigned how, const char *said)
{
    const struct life_want wanted = {.level = level,
                                     .maintained = how & MAINTAINED,
                                     .never_hidden = how & GAS,
                                     .mono = at(s),
                                     .wall = {world->wall_ms}};
    struct life_step step;
    check(world, life_want(&world->life, &wanted, &step), &step, said);
}

static void ack(struct world *world, const char *said)
{
    struct life_step step;
    check(world, life_ack(&world->life, &step), &step, said);
}

static void end(struct world *world, double s, const char *said)
{
    struct life_step step;
    check(world, life_end(&world->life, at(s), (wall_time){world->wall_ms}, &step), &step, said);
}

static void due(const struct world *world, double s)
{
    assert_int_equal(life_due(&world->life).ns, s < 0 ? INT64_MAX : at(s).ns);
}

/* ---- an alarm ---- */

static void every_transition(void **state)
{
    (void)state;
    struct world w = {0};
    want(&w, 0, 0, PLAIN, "");
    ack(&w, "");
    end(&w, 0, "");
    want(&w, 1, 3, PLAIN, "raised 3 from 0");
    want(&w, 2, 3, PLAIN, "");
    want(&w, 3, 2, PLAIN, "escalated 2 from 3");
    want(&w, 4, 1, PLAIN, "escalated 1 from 2");
    want(&w, 5, 4, PLAIN, "eased 4 from 1");
    ack(&w, "acked 4 from 4 acked");
    ack(&w, "");
    want(&w, 6, 4, PLAIN, "");
    want(&w, 7, 0, PLAIN, "cleared 0 from 4 acked");
    want(&w, 8, 0, PLAIN, "");
    ack(&w, "");
    due(&w, -1);
}

static void worse_after_an_acknowledgement_is_to_be_acknowledged_anew(void **state)
{
    (void)state;
    struct world w = {0};
    want(&w, 0, 3, PLAIN, "raised 3 from 0");
    ack(&w, "acked 3 from 3 acked");
    want(&w, 1, 4, PLAIN, "eased 4 from 3 acked");
    want(&w, 2, 2, PLAIN, "escalated 2 from 4");
    ack(&w, "acked 2 from 2 acked");
    want(&w, 3, 3, PLAIN, "eased 3 from 2 acked");
    want(&w, 4, 0, PLAIN, "cleared 0 from 3 acked");
    want(&w, HOUR, 3, PLAIN, "raised 3 from 0");
}

static void each_life_has_an_id_of_its_own(void **state)
{
    (void)state;
    struct world w = {.wall_ms = 1469918176385};
    char first[ALARM_ID_LENGTH + 1];
    want(&w, 0, 3, PLAIN, "raised 3 from 0");
    memcpy(first, w.life.id, sizeof first);
    assert_memory_equal(first, "01ARYZ6S41", 10);
    w.wall_ms += 60000;
    want(&w, 60, 1, PLAIN, "escalated 1 from 3");
    assert_string_equal(w.life.id, first);
    want(&w, 120, 0, PLAIN, "cleared 0 from 1");
    assert_string_equal(w.life.id, first);
    want(&w, 121, 3, PLAIN, "raised 3 from 0");
    assert_true(strcmp(first, w.life.id) < 0);
}

static void a_rule_that_is_gone_ends_it(void **state)
{
    (void)state;
    struct world w = {0};
    want(&w, 0, 2, PLAIN, "raised 2 from 0");
    end(&w, 1, "cleared 0 from 2");
    end(&w, 2, "");
    want(&w, 3, 2, MAINTAINED, "suppressed 2 from 0");
    end(&w, 4, "cleared 0 from 2");
}

static void the_wall_clock_decides_nothing(void **state)
{
    (void)state;
    struct world w = {.wall_ms = 1700000000000};
    want(&w, 0, 3, PLAIN, "raised 3 from 0");
    assert_int_equal(w.life.raised_ms, 1700000000000);
    w.wall_ms = 1000; /* back to 1970 */
    want(&w, 10, 2, PLAIN, "escalated 2 from 3");
    w.wall_ms = 1900000000000;
    want(&w, 20, 0, PLAIN, "cleared 0 from 2");
    assert_int_equal(w.life.raised_ms, 1700000000000);
    assert_int_equal(w.life.cleared_ms, 1900000000000);
    w.wall_ms = -5;
    want(&w, 30, 4, PLAIN, "raised 4 from 0");
    assert_memory_equal(w.life.id, "0000000000", 10);
}

/* ---- flapping ---- */

/* Raised and cleared until `flaps` of them have counted. Returns when it was cleared. */
static double flap(struct world *w, uint32_t flaps)
{
    double s = 0;
    want(w, s, 3, PLAIN, "raised 3 from 0");
    while (w->life.flaps < flaps) {
        want(w, s += 1, 0, PLAIN, w->life.flaps <= 2 ? "cleared 0 from 3" : "");
        if (w->life.flaps > 2)
            want(w, s += (60 << (w->life.flaps - 3)), 0, PLAIN, "cleared 0 from 3");
        want(w, s += 1, 3, PLAIN, "raised 3 from 0");
    }
    return s;
}

static void from_the_third_on_the_end_waits(void **state)
{
    (void)state;
    struct world w = {0};
    double s = flap(&w, 3);
    assert_true(s == 6);
    due(&w, -1);
    want(&w, 10, 0, PLAIN, "");
    due(&w, 70);
    want(&w, 69.999, 0, PLAIN, "");
    ack(&w, "acked 3 from 3 acked");
    due(&w, 70);
    want(&w, 70, 0, PLAIN, "cleared 0 from 3 acked");
    due(&w, -1);
    want(&w, 71, 3, PLAIN, "raised 3 from 0");
    want(&w, 72, 4, PLAIN, "");
    due(&w, 72 + 120);
    want(&w, 100, 0, PLAIN, "");
    due(&w, 72 + 120);
    want(&w, 72 + 120, 4, PLAIN, "eased 4 from 3");
    want(&w, 193, 0, PLAIN, "");
    due(&w, 193 + 120);
}

static void what_is_held_does_not_come_when_it_is_wanted_again(void **state)
{
    (void)state;
    struct world w = {0};
    (void)flap(&w, 3);
    want(&w, 10, 0, PLAIN, "");
    want(&w, 60, 3, PLAIN, "");
    due(&w, -1);
    want(&w, 65, 0, PLAIN, "");
    due(&w, 125);
    want(&w, 66, 1, PLAIN, "escalated 1 from 3");
    due(&w, -1);
    want(&w, 67, 2, PLAIN, "");
    due(&w, 127);
}

static void it_waits_an_hour_at_most(void **state)
{
    (void)state;
    struct world w = {0};
    double s = flap(&w, 9);
    want(&w, s + 1, 0, PLAIN, "");
    due(&w, s + 1 + HOUR);
    want(&w, s + 1 + HOUR, 0, PLAIN, "cleared 0 from 3");
}

static void only_what_comes_back_soon_counts(void **state)
{
    (void)state;
    struct world w = {0};
    for (int i = 0; i < 20; i++) {
        want(&w, i * 700, 3, PLAIN, "raised 3 from 0");
        want(&w, i * 700 + 99, 0, PLAIN, "cleared 0 from 3"); /* 601 s before the next */
    }
    want(&w, 20 * 700 - 1, 3, PLAIN, "raised 3 from 0"); /* 600 s */
    assert_int_equal(w.life.flaps, 1);
}

static void an_hour_without_flapping_forgets(void **state)
{
    (void)state;
    struct world w = {0};
    double s = flap(&w, 3);
    want(&w, s + HOUR, 0, PLAIN, "");
    due(&w, s + HOUR + 60);
    want(&w, s + HOUR + 1, 3, PLAIN, ""); /* that was some more of it */
    want(&w, s + HOUR + 1 + HOUR, 0, PLAIN, "");
    due(&w, s + 2 * HOUR + 1 + 60);
    want(&w, s + 2 * HOUR + 2, 3, PLAIN, "");
    want(&w, s + 3 * HOUR + 2.002, 0, PLAIN, "cleared 0 from 3");
    want(&w, s + 3 * HOUR + 3, 3, PLAIN, "raised 3 from 0");
    assert_int_equal(w.life.flaps, 1);
}

static void a_sensor_that_never_rests_is_told_rarely(void **state)
{
    (void)state;
    struct world w = {0};
    uint32_t told = 0;
    for (int s = 0; s < 24 * HOUR; s += 10) { /* on and off every ten seconds for a day */
        const struct life_want wanted = {.level = s / 10 % 2 ? 0 : 3, .mono = at(s)};
        struct life_step step;
        told += life_want(&w.life, &wanted, &step);
    }
    assert_in_range(told, 7, 7);
}

static void a_level_that_never_rests_is_told_rarely(void **state)
{
    (void)state;
    struct world w = {0};
    uint32_t told = 0;
    for (int s = 0; s < 24 * HOUR; s += 10) { /* worse and better every ten seconds for a day */
        const struct life_want wanted = {.level = s / 10 % 2 ? 3 : 2, .mono = at(s)};
        struct life_step step;
        told += life_want(&w.life, &wanted, &step);
    }
    assert_in_range(told, 7, 7);
}

static void only_what_gets_worse_again_soon_counts(void **state)
{
    (void)state;
    struct world w = {0};
    want(&w, 0, 2, PLAIN, "raised 2 from 0");
    for (int i = 1; i < 20; i++) {
        want(&w, i * 700, 3, PLAIN, "eased 3 from 2");
        want(&w, i * 700 + 601, 2, PLAIN, "escalated 2 from 3");
    }
    want(&w, 20 * 700, 3, PLAIN, "eased 3 from 2");
    ack(&w, "acked 3 from 3 acked");
    want(&w, 20 * 700 + 600, 2, PLAIN, "escalated 2 from 3");
    assert_int_equal(w.life.flaps, 1);
    want(&w, 20 * 700 + 601, 1, PLAIN, "escalated 1 from 2"); /* that is no coming back */
    assert_int_equal(w.life.flaps, 1);
}

/* ---- maintenance ---- */

static void maintenance_in_every_state(void **state)
{
    (void)state;
    struct world w = {0};
    want(&w, 0, 0, MAINTAINED, "");
    want(&w, 1, 3, MAINTAINED, "suppressed 3 from 0");
    want(&w, 2, 1, MAINTAINED, "");
    ack(&w, "");
    want(&w, 3, 1, PLAIN, "raised 1 from 0");
    ack(&w, "acked 1 from 1 acked");
    want(&w, 4, 1, MAINTAINED, "suppressed 1 from 1 acked");
    want(&w, 5, 2, PLAIN, "raised 2 from 0");
    want(&w, 6, 0, MAINTAINED, "cleared 0 from 2");
    want(&w, 7, 4, MAINTAINED, "suppressed 4 from 0");
    want(&w, 8, 2, MAINTAINED, "");
    want(&w, 9, 0, MAINTAINED, "cleared 0 from 2");
    want(&w, 10, 0, PLAIN, "");
}

static void maintenance_while_an_end_is_held(void **state)
{
    (void)state;
    struct world w = {0};
    (void)flap(&w, 3);
    want(&w, 10, 0, PLAIN, "");
    want(&w, 20, 0, MAINTAINED, "");
    due(&w, 70);
    want(&w, 30, 4, MAINTAINED, "suppressed 4 from 3");
    due(&w, -1);
    want(&w, 40, 0, MAINTAINED, ""); /* nobody is told that it flaps, but it still does */
    due(&w, 100);
    want(&w, 50, 0, PLAIN, "");
    want(&w, 60, 3, MAINTAINED, "");
    due(&w, -1);
    want(&w, 70, 0, PLAIN, "");
    want(&w, 80, 2, PLAIN, "raised 2 from 0");
}

static void gas_is_never_hidden(void **state)
{
    (void)state;
    struct world w = {0};
    want(&w, 0, 2, MAINTAINED | GAS, "raised 2 from 0");
    want(&w, 1, 3, MAINTAINED,
         "eased 3 from 2"); /* it stays told, or each sample might change it */
    want(&w, 2, 1, MAINTAINED | GAS, "escalated 1 from 3");
    want(&w, 3, 0, MAINTAINED, "cleared 0 from 1");
    want(&w, 4, 3, MAINTAINED, "suppressed 3 from 0");
    want(&w, 5, 2, MAINTAINED | GAS, "raised 2 from 0");
    want(&w, 6, 2, MAINTAINED, "");
    want(&w, 7, 2, PLAIN, "");
    want(&w, 8, 2, MAINTAINED, "suppressed 2 from 2"); /* another window */
}

/* ---- a restart ---- */

static struct alarm_event stored(const struct world *w, enum alarm_status status, uint8_t level)
{
    struct alarm_event event = {.step = w->life.step,
                                .level = level,
                                .status = status,
                                .raised_ms = w->life.raised_ms,
                                .actor = ""};
    memcpy(event.id, w->life.id, sizeof event.id);
    return event;
}

static void restart(struct world *w, enum alarm_status status, uint8_t level, bool acked)
{
    struct alarm_event last = stored(w, status, level);
    memset(&w->life, 0xee, sizeof w->life);
    life_restore(&w->life, &last, acked);
    assert_string_equal(w->life.id, last.id);
}

static void restored_in_every_state(void **state)
{
    (void)state;
    struct world w = {.wall_ms = 1700000000000};
    want(&w, 0, 3, PLAIN, "raised 3 from 0");
    restart(&w, ALARM_STATUS_RAISED, 3, false);
    want(&w, 1, 3, PLAIN, "");
    assert_int_equal(w.life.raised_ms, 1700000000000);
    want(&w, 2, 2, PLAIN, "escalated 2 from 3");
    restart(&w, ALARM_STATUS_ESCALATED, 2, false);
    ack(&w, "acked 2 from 2 acked");
    restart(&w, ALARM_STATUS_ACKED, 2, true);
    ack(&w, "");
    want(&w, 3, 3, PLAIN, "eased 3 from 2 acked");
    restart(&w, ALARM_STATUS_EASED, 3, true);
    want(&w, 4, 3, MAINTAINED, "suppressed 3 from 3 acked");
    restart(&w, ALARM_STATUS_SUPPRESSED, 3, true);
    want(&w, 5, 3, MAINTAINED, "");
    want(&w, 6, 2, PLAIN, "raised 2 from 0");
    restart(&w, ALARM_STATUS_RAISED, 2, false);
    want(&w, 7, 0, PLAIN, "cleared 0 from 2");
    restart(&w, ALARM_STATUS_CLEARED, 0, false);
    due(&w, -1);
    want(&w, 8, 0, PLAIN, "");
    want(&w, 9, 3, PLAIN, "raised 3 from 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_transition),
        cmocka_unit_test(worse_after_an_acknowledgement_is_to_be_acknowledged_anew),
        cmocka_unit_test(each_life_has_an_id_of_its_own),
        cmocka_unit_test(a_rule_that_is_gone_ends_it),
        cmocka_unit_test(the_wall_clock_decides_nothing),
        cmocka_unit_test(from_the_third_on_the_end_waits),
        cmocka_unit_test(what_is_held_does_not_come_when_it_is_wanted_again),
        cmocka_unit_test(it_waits_an_hour_at_most),
        cmocka_unit_test(only_what_comes_back_soon_counts),
        cmocka_unit_test(an_hour_without_flapping_forgets),
        cmocka_unit_test(a_sensor_that_never_rests_is_told_rarely),
        cmocka_unit_test(a_level_that_never_rests_is_told_rarely),
        cmocka_unit_test(only_what_gets_worse_again_soon_counts),
        cmocka_unit_test(maintenance_in_every_state),
        cmocka_unit_test(maintenance_while_an_end_is_held),
        cmocka_unit_test(gas_is_never_hidden),
        cmocka_unit_test(restored_in_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
