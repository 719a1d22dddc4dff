/* What the tests of the honesty rules share: one world, and what its last event must say. */
#ifndef LIFELINE_RUNOFF_RULES_H
#define LIFELINE_RUNOFF_RULES_H

#include "tests/unit/runoff_world.h"

static struct world world;

static inline int fresh(void **state)
{
    (void)state;
    world_start(&world);
    return 0;
}

static inline int stale(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

/* Seven dry hours at that flow. */
static inline void dry(double m3_s)
{
    world_open(&world);
    world_run(&world, 7 * WORLD_HOUR, 0, m3_s);
}

/* 20 mm on 10 ha are 2000 m³, 500 of which flow out. */
static inline void rain(void)
{
    world_run(&world, 40, 0.5, 0);
    world_run(&world, 50, 0, 10 / 60.0);
}

static inline void end(void)
{
    world_run(&world, 9 * WORLD_HOUR, 0, 0);
    assert_int_equal(world.events, 1);
}

static inline void has(enum runoff_doubt_kind kind)
{
    if (world_doubt(&world, kind) == NULL) {
        world_show(&world.event);
        fail_msg("doubt %d is missing", (int)kind);
    }
}

static inline void has_not(enum runoff_doubt_kind kind)
{
    if (world_doubt(&world, kind) != NULL) {
        world_show(&world.event);
        fail_msg("doubt %d", (int)kind);
    }
}

static inline void graded(enum runoff_grade grade)
{
    bool has_number = grade < RUNOFF_GRADE_INSUFFICIENT || grade == RUNOFF_GRADE_IMPLAUSIBLE;
    if (world.event.grade != grade || world.event.has_captured != has_number) {
        world_show(&world.event);
        fail_msg("grade is not %s", runoff_grade_name(grade));
    }
    if (has_number)
        return;
    is_near(world.event.captured, 0, 0);
    is_near(world.event.uncertainty, 0, 0);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, fresh, stale)

#endif
