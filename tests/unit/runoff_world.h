/* A catchment with a weather of its own, for the tests of runoff*.c: rain counters and outfalls
 * that are read each minute on a fake clock. */
#ifndef LIFELINE_RUNOFF_WORLD_H
#define LIFELINE_RUNOFF_WORLD_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "gateway/flow/runoff.h"

enum { WORLD_MINUTE_MS = 60000, WORLD_HOUR = 60, WORLD_DAY = 1440 };

/* 2026-07-18T00:00:00 in China. */
#define WORLD_WALL_MS INT64_C(1784304000000)

struct world {
    struct catchment catchment;
    struct catchment_gauge gauges[CATCHMENT_GAUGES_MAX];
    struct catchment_outfall outfalls[CATCHMENT_OUTFALLS_MAX];
    struct runoff *runoff;
    int64_t mono_ms, wall_ms;
    double mm[CATCHMENT_GAUGES_MAX]; /* counters */
    double m3_s[CATCHMENT_OUTFALLS_MAX];
    bool rain_dead[CATCHMENT_GAUGES_MAX], flow_dead[CATCHMENT_OUTFALLS_MAX];
    size_t events;
    struct runoff_event event; /* the last */
};

/* 10 ha, one gauge, one outfall without base flow: 1 mm of rain is 100 m³. */
static inline void world_start(struct world *world)
{
    static char name[] = "park";
    static char *const gauges[] = {"rain-1.rain", "rain-2.rain", "rain-3.rain"};
    static char *const outfalls[] = {"out-1.flow", "out-2.flow", "out-3.flow"};
    memset(world, 0, sizeof *world);
    world->catchment = (struct catchment){
        .name = name,
        .area_ha = 10,
        .gauges = world->gauges,
        .gauge_count = 1,
        .outfalls = world->outfalls,
        .outfall_count = 1,
        .outfalls_total = 1,
        .dry_gap_ms = 6 * 3600 * 1000,
        .flow_error_percent = 10,
        .rain_error_percent = 5,
        .area_error_percent = 3,
    };
    for (size_t i = 0; i < 3; i++) {
        world->gauges[i] = (struct catchment_gauge){
            .name = gauges[i], .every_ms = 60000, .to_mm = 1, .wrap_mm = 6553.6};
        world->outfalls[i] =
            (struct catchment_outfall){.name = outfalls[i], .every_ms = 60000, .to_m3_s = 1};
    }
    world->mono_ms = 1000000;
    world->wall_ms = WORLD_WALL_MS;
}

/* When the catchment is as the test wants it. */
static inline void world_open(struct world *world)
{
    world->runoff = runoff_new(&world->catchment);
    assert_non_null(world->runoff);
}

static inline void world_close(struct world *world)
{
    runoff_free(world->runoff);
}

static inline mono_time world_mono(const struct world *world)
{
    return (mono_time){world->mono_ms * 1000000};
}

static inline wall_time world_wall(const struct world *world)
{
    return (wall_time){world->wall_ms};
}

/* So long later everything is read once. */
static inline void world_step(struct world *world, int64_t ms)
{
    world->mono_ms += ms;
    world->wall_ms += ms;
    mono_time mono = world_mono(world);
    wall_time wall = world_wall(world);
    for (size_t i = 0; i < world->catchment.gauge_count; i++)
        runoff_rain(world->runoff, i, world->mm[i], !world->rain_dead[i], mono, wall);
    for (size_t i = 0; i < world->catchment.outfall_count; i++)
        runoff_flow(world->runoff, i, world->m3_s[i], !world->flow_dead[i], mono, wall);
    const struct runoff_event *event = runoff_tick(world->runoff, mono, wall);
    if (event != NULL) {
        world->events++;
        world->event = *event;
    }
}

/* So many minutes, with so much rain in each and that flow at every outfall. */
static inline void world_run(struct world *world, int minutes, double mm_min, double m3_s)
{
    for (int i = 0; i < minutes; i++) {
        for (size_t g = 0; g < world->catchment.gauge_count; g++)
            world->mm[g] = fmod(world->mm[g] + mm_min, world->gauges[g].wrap_mm);
        for (size_t o = 0; o < world->catchment.outfall_count; o++)
            world->m3_s[o] = m3_s;
        world_step(world, WORLD_MINUTE_MS);
    }
}

static inline const char *world_doubt(const struct world *world, enum runoff_doubt_kind kind)
{
    for (size_t i = 0; i < world->event.doubt_count; i++) {
        if (world->event.doubts[i].kind == kind)
            return world->event.doubts[i].text;
    }
    return NULL;
}

static inline void world_show(const struct runoff_event *event)
{
    print_message("%s grade %s %.0f min: %.2f mm %.1f m3, out %.2f of %.2f m3 (base %.2f, below "
                  "%.2f, back %.2f, not known %.2f), %s %.4f +- %.4f, coverage %.3f %.3f, peak "
                  "%.4f lag %.1f min\n",
                  event->id, runoff_grade_name(event->grade),
                  (double)(event->to_ms - event->from_ms) / 60000, event->rain_mm, event->rain_m3,
                  event->outflow_m3, event->gross_m3, event->base_m3, event->below_base_m3,
                  event->reverse_m3, event->not_known_m3, event->has_captured ? "captured" : "none",
                  event->captured, event->uncertainty, event->rain_coverage, event->flow_coverage,
                  event->peak_m3_s, (double)event->lag_ms / 60000);
    for (size_t i = 0; i < event->doubt_count; i++)
        print_message("    %s\n", event->doubts[i].text);
}

static inline void is_near(double value, double expected, double error)
{
    if (!(fabs(value - expected) <= error))
        fail_msg("%g is not %g", value, expected);
}

#endif
