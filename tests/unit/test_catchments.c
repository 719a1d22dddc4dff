/* Catchments fed from samples: a storm on a fake clock gives the same report whether it is measured
 * in one go, over a reload, or over a restart; and in a pipeline with a store under it an event of
 * before a restart ends as one report in the lane, stored, with what was learned saved again. Also
 * maintenance windows over a restart. The arithmetic itself is test_runoff*.c. */
#include "gateway/flow/catchments.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "drivers/class.h"
#include "gateway/flow/pipeline.h"
#include "gateway/flow/reports.h"
#include "proto/report.h"

enum { MINUTE_MS = 60000, WAIT_MS = 10000 };

#define WALL_MS INT64_C(1784304000000)
#define MONO_MS INT64_C(1000000)

#define PARK                                                                                       \
    "catchments: [ { name: park, area: 10, rain: rain-1.rain,"                                     \
    " outfalls: [ { point: out-1.flow, base_flow: 0 } ], dry_gap: 2h%s } ]\n"

struct side {
    struct diagnostics *diagnostics;
    struct settings *settings;
    struct plan *plan;
    struct catchments *catchments;
};

struct world {
    struct side side;
    char folder[64];
    int64_t wall_ms;  /* at minute 0 */
    int64_t shift_ms; /* of the mono clock: another boot */
    double mm;
    int told;
    enum sector sector;
    struct runoff_event event;
    char id[RUNOFF_ID_MAX];
};

static void open_side(struct side *side, const char *folder, const char *more)
{
    static const char *const folders[] = {TESTS_DIR "/replay/wrong/profiles"};
    const struct settings_sources sources = {
        .profile_dirs = folders, .profile_dir_count = 1, .quantity = class_quantity};
    char text[1500];
    int length =
        snprintf(text, sizeof text,
                 "gateway: { id: gw-1, region: \"140502\", trusted_rtc: true }\nstore: { path: "
                 "%s/store.db }\n"
                 "lines: [ { name: plc, transport: tcp, host: h } ]\ndevices:\n"
                 "  - { name: rain-1, line: plc, unit: 1, profile: rain, every: 60s }\n"
                 "  - { name: out-1, line: plc, unit: 3, profile: flow, every: 60s,\n"
                 "      points: { flow: { alarms: { big: { above: { 4: 10 } } } } } }\n" PARK,
                 folder, more);
    assert_true(length > 0 && (size_t)length < sizeof text);
    side->diagnostics = diagnostics_new();
    side->settings =
        settings_parse(diagnostics_source(side->diagnostics, "gateway.yaml", text, strlen(text)),
                       &sources, side->diagnostics);
    if (!side->settings)
        fail_msg("%s", diagnostics_text(side->diagnostics));
    side->plan = plan_new(side->settings);
    side->catchments = catchments_new(side->settings, side->plan);
    assert_non_null(side->catchments);
}

static void close_side(struct side *side)
{
    catchments_free(side->catchments);
    plan_free(side->plan);
    settings_free(side->settings);
    diagnostics_free(side->diagnostics);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    snprintf(world->folder, sizeof world->folder, "/tmp/lifeline-catchments-XXXXXX");
    if (!mkdtemp(world->folder))
        return -1;
    open_side(&world->side, world->folder, "");
    world->wall_ms = WALL_MS;
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    char command[100];
    close_side(&world->side);
    snprintf(command, sizeof command, "rm -r %s", world->folder);
    int code = system(command);
    free(world);
    return code;
}

/* ---- weather ---- */

static void tell(void *context, enum sector sector, const struct runoff_event *event)
{
    struct world *world = context;
    world->told++;
    world->sector = sector;
    world->event = *event;
    snprintf(world->id, sizeof world->id, "%s", event->id);
}

static mono_time mono_at(const struct world *world, int minute)
{
    return (mono_time){(MONO_MS + world->shift_ms + (int64_t)minute * MINUTE_MS) * 1000000};
}

static void read_all(struct world *world, int minute, double m3_s)
{
    const struct side *side = &world->side;
    const wall_time wall = {world->wall_ms + (int64_t)minute * MINUTE_MS};
    for (uint32_t b = 0; b < side->plan->block_count; b++) {
        const struct plan_block *block = &side->plan->blocks[b];
        const struct profile *profile = side->settings->devices[block->device].profile;
        struct value values[8] = {0};
        for (uint16_t i = 0; i < block->point_count; i++) {
            const char *name = profile->points[block->points[i]].name;
            if (strcmp(name, "rain") == 0)
                values[i].steps = (int64_t)lround(world->mm * 10);
            else if (strcmp(name, "flow") == 0)
                values[i].steps = (int64_t)lround(m3_s * 360000);
        }
        const struct sample sample = {.points = block->point_count,
                                      .count = block->point_count,
                                      .mono = mono_at(world, minute),
                                      .wall = wall};
        catchments_sample(side->catchments, b, &sample, values);
    }
    if (catchments_due(side->catchments).ns <= mono_at(world, minute).ns)
        catchments_tick(side->catchments, mono_at(world, minute), wall, tell, world);
}

/* Ten hours dry, 40 mm in 100 minutes, of which 1000 m³ flow out, then dry again. */
static void storm(struct world *world, int from, int to)
{
    for (int minute = from; minute < to; minute++) {
        bool rains = minute >= 600 && minute < 700;
        bool flows = minute >= 630 && minute < 730;
        if (rains)
            world->mm += 0.4;
        read_all(world, minute, flows ? 1000 / 6000.0 : 0);
    }
}

enum { STORM_ENDS = 1200, MIDDLE = 660 };

static void is_near(double value, double expected, double error)
{
    if (!(fabs(value - expected) <= error))
        fail_msg("%g is not %g", value, expected);
}

static void check_report(const struct world *world)
{
    assert_int_equal(world->told, 1);
    assert_int_equal(world->sector, SECTOR_SPONGE);
    is_near(world->event.rain_mm, 40, 0.01);
    is_near(world->event.rain_m3, 4000, 1);
    is_near(world->event.outflow_m3, 1000, 15);
    assert_true(world->event.has_captured);
    is_near(world->event.captured, 0.75, 0.005);
    is_near(world->event.peak_m3_s, 1000 / 6000.0, 1e-4);
    assert_true(world->event.rain_coverage > 0.99 && world->event.flow_coverage > 0.99);
}

static void a_storm_is_told_once(void **state)
{
    struct world *world = *state;
    storm(world, 0, MIDDLE);
    const char *name;
    struct runoff_now now;
    assert_true(catchments_look(world->side.catchments, 0, &name, &now));
    assert_string_equal(name, "park");
    assert_true(now.event && now.flow_known);
    is_near(now.rain_mm, 24, 0.9);
    assert_false(catchments_look(world->side.catchments, 1, &name, &now));
    storm(world, MIDDLE, STORM_ENDS);
    check_report(world);
    assert_int_equal(world->event.grade, RUNOFF_GRADE_A);
}

static void a_poll_that_fails_is_no_zero(void **state)
{
    struct world *world = *state;
    storm(world, 0, MIDDLE);
    const struct side *side = &world->side;
    for (uint32_t b = 0; b < side->plan->block_count; b++) {
        const struct sample sample = {
            .points = side->plan->blocks[b].point_count,
            .failure = QUALITY_TIMEOUT,
            .mono = clock_after_ms(mono_at(world, MIDDLE - 1), 30000),
            .wall = {world->wall_ms + (MIDDLE - 1) * INT64_C(60000) + 30000}};
        struct value values[8] = {0}; /* what stands there is of another sample */
        for (size_t v = 0; v < 8; v++)
            values[v].quality = QUALITY_GOOD;
        catchments_sample(side->catchments, b, &sample, values);
    }
    storm(world, MIDDLE, STORM_ENDS);
    check_report(world);
    assert_int_equal(world->event.grade, RUNOFF_GRADE_A);
}

static void a_reload_goes_on_with_the_same(void **state)
{
    struct world *world = *state;
    struct side before;
    storm(world, 0, MIDDLE);
    before = world->side;
    open_side(&world->side, world->folder, "");
    catchments_carry(world->side.catchments, before.catchments);
    close_side(&before);
    storm(world, MIDDLE, STORM_ENDS);
    check_report(world);
    assert_int_equal(world->event.grade, RUNOFF_GRADE_A);
}

static void one_that_was_changed_begins_anew(void **state)
{
    struct world *world = *state;
    struct side before;
    const char *name;
    struct runoff_now now;
    storm(world, 0, MIDDLE);
    before = world->side;
    open_side(&world->side, world->folder, ", area_error: 4");
    catchments_carry(world->side.catchments, before.catchments);
    close_side(&before);
    assert_true(catchments_look(world->side.catchments, 0, &name, &now));
    assert_false(now.event);
    storm(world, MIDDLE, STORM_ENDS);
    assert_int_equal(world->told, 1);
    is_near(world->event.rain_mm, 16, 0.5);
}

static size_t save(struct world *world, uint8_t bytes[RUNOFF_SAVE_MAX])
{
    size_t at = 0, length = 0, none;
    const char *name;
    assert_true(catchments_save(world->side.catchments, &at, &name, bytes, &length));
    assert_string_equal(name, "park");
    assert_true(length > 0);
    uint8_t *scratch = malloc(RUNOFF_SAVE_MAX);
    assert_false(catchments_save(world->side.catchments, &at, &name, scratch, &none));
    free(scratch);
    return length;
}

static void a_restart_goes_on(void **state)
{
    struct world *world = *state;
    static uint8_t bytes[RUNOFF_SAVE_MAX];
    storm(world, 0, MIDDLE);
    size_t length = save(world, bytes);
    close_side(&world->side);
    open_side(&world->side, world->folder, "");
    catchments_load(world->side.catchments, "another", bytes, length);
    catchments_load(world->side.catchments, "park", bytes, length - 1);
    catchments_load(world->side.catchments, "park", bytes, length);
    world->shift_ms = -700000; /* the other boot's clock began later */
    storm(world, MIDDLE, STORM_ENDS);
    check_report(world);
    assert_int_equal(world->event.grade, RUNOFF_GRADE_A);
}

/* ---- in the pipeline ---- */

struct run {
    struct store *store;
    struct lane *lane;
    struct latest *latest;
    struct pipeline *pipeline;
};

static void begin(struct world *world, struct run *run)
{
    char why[200];
    run->store = store_open(world->side.settings, why, sizeof why);
    if (!run->store)
        fail_msg("%s", why);
    run->lane = lane_new();
    assert_true(store_use_lane(run->store, run->lane));
    run->latest = latest_new(world->side.plan);
    struct view *view =
        view_new(world->side.settings, world->side.plan, store_ids(run->store), run->latest, NULL);
    assert_non_null(view);
    run->pipeline = pipeline_new(run->store, run->lane, view);
    assert_non_null(run->pipeline);
    assert_true(store_start(run->store));
}

static void end(struct run *run)
{
    pipeline_stop(run->pipeline);
    assert_true(store_stop(run->store, clock_after_ms(clock_mono(), WAIT_MS)));
    pipeline_free(run->pipeline);
    store_free(run->store);
    lane_free(run->lane);
    latest_free(run->latest);
}

static int64_t ask_file(const struct world *world, const char *sql)
{
    char path[100];
    sqlite3 *db;
    sqlite3_stmt *s;
    snprintf(path, sizeof path, "%s/store.db", world->folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t answer = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return answer;
}

static void wake(void *context)
{
    (void)context;
}

static void a_report_reaches_the_lane_and_the_store(void **state)
{
    struct world *world = *state;
    static uint8_t bytes[RUNOFF_SAVE_MAX];
    static struct lane_event event;
    static uint8_t kept[REPORT_MAX];
    struct run run;
    int minute = 700;
    storm(world, 0, minute);
    for (; !world->told; minute++)
        storm(world, minute, minute + 1);
    close_side(&world->side); /* the same storm again, so that it would be told just now */
    open_side(&world->side, world->folder, "");
    world->told = 0;
    world->wall_ms = clock_wall().ms - (int64_t)(minute - 1) * MINUTE_MS - 5000;
    storm(world, 0, minute - 1);
    assert_int_equal(world->told, 0);
    size_t length = save(world, bytes);
    begin(world, &run);
    assert_true(
        store_remember(run.store, "runoff/park", bytes, length / 2)); /* the newest counts */
    assert_true(store_remember(run.store, "runoff/park", bytes, length));
    assert_true(store_remember(run.store, "nonsense", bytes, 3));
    assert_true(store_stop(run.store, clock_after_ms(clock_mono(), WAIT_MS)));
    pipeline_free(run.pipeline);
    store_free(run.store);
    lane_free(run.lane);
    latest_free(run.latest);

    begin(world, &run);
    bool sectors[SECTOR_COUNT];
    memset(sectors, true, sizeof sectors);
    lane_attach(run.lane, 0, sectors, wake, NULL);
    assert_true(pipeline_start(run.pipeline));
    const struct lane_skip skip = {0};
    mono_time limit = clock_after_ms(clock_mono(), WAIT_MS);
    while (!lane_next(run.lane, 0, &skip, &event)) {
        assert_true(clock_mono().ns < limit.ns);
        usleep(5000);
    }
    assert_int_equal(event.kind, LANE_REPORT);
    assert_int_equal(event.sector, SECTOR_SPONGE);
    assert_int_equal(event.step, 1);
    assert_int_equal(strlen(event.id), ALARM_ID_LENGTH);
    struct report_runoff report;
    struct report_memory *memory = report_unpack_runoff(event.bytes, event.length, &report);
    assert_non_null(memory);
    assert_string_equal(report.gateway, "gw-1");
    assert_string_equal(report.catchment, "park");
    is_near(report.rain_mm, 40, 0.01);
    is_near(report.captured, 0.75, 0.005);
    report_free(memory);
    end(&run);
    assert_int_equal(ask_file(world, "SELECT count(*) FROM alarm WHERE kind=2"), 1);
    assert_int_equal(ask_file(world, "SELECT count(*) FROM memory WHERE name='runoff/park'"), 1);
    assert_int_equal(ask_file(world, "SELECT count(*) FROM alarm_open"), 0);
    assert_int_equal(ask_file(world, "SELECT count(*) FROM memory WHERE name='report/0'"), 1);

    begin(world, &run); /* it is not told again */
    lane_attach(run.lane, 0, sectors, wake, NULL);
    assert_true(pipeline_start(run.pipeline));
    while (!pipeline_report(run.pipeline, 0, kept, sizeof kept)) {
        assert_true(clock_mono().ns < limit.ns);
        usleep(5000);
    }
    assert_memory_equal(kept, event.bytes, event.length);
    assert_int_equal(pipeline_report(run.pipeline, 1, kept, sizeof kept), 0);
    struct pipeline_catchment now;
    assert_true(pipeline_catchment(run.pipeline, 0, &now));
    assert_string_equal(now.name, "park");
    assert_false(pipeline_catchment(run.pipeline, 1, &now));
    end(&run);
    assert_int_equal(ask_file(world, "SELECT count(*) FROM alarm WHERE kind=2"), 1);
}

static void the_newest_reports_are_kept(void **state)
{
    (void)state;
    struct reports *reports = reports_new();
    uint8_t out[4] = {0};
    assert_int_equal(reports_read(reports, 0, out, sizeof out), 0);
    for (int i = 0; i < REPORTS_KEPT + 7; i++) {
        int at = (i * 31) % (REPORTS_KEPT + 7); /* in any order */
        const uint8_t bytes[] = {(uint8_t)at, 1};
        reports_add(reports, at, bytes, sizeof bytes);
    }
    for (size_t i = 0; i < REPORTS_KEPT; i++) {
        assert_int_equal(reports_read(reports, i, out, sizeof out), 2);
        assert_int_equal(out[0], i + 7);
    }
    assert_int_equal(reports_read(reports, REPORTS_KEPT, out, sizeof out), 0);
    assert_int_equal(reports_read(reports, 0, out, 1), 0);
    reports_free(reports);
}

static void submit_flow(const struct world *world, struct run *run, double m3_h)
{
    for (uint32_t b = 0; b < world->side.plan->block_count; b++) {
        const struct plan_block *block = &world->side.plan->blocks[b];
        struct value values[8] = {0};
        if (block->device != 1)
            continue;
        for (uint16_t i = 0; i < block->point_count; i++)
            values[i] = (struct value){.steps = block->points[i] ? 0 : lround(m3_h * 100),
                                       .quality = QUALITY_GOOD};
        const struct sample sample = {.block = block->of_line,
                                      .points = block->point_count,
                                      .count = block->point_count,
                                      .sector = SECTOR_SPONGE,
                                      .mono = clock_mono(),
                                      .wall = clock_wall()};
        pipeline_submit(run->pipeline, &sample, values);
    }
}

static void a_maintenance_window_survives(void **state)
{
    struct world *world = *state;
    static struct lane_event event;
    const struct lane_skip skip = {0};
    bool sectors[SECTOR_COUNT];
    memset(sectors, true, sizeof sectors);
    struct run run;
    begin(world, &run);
    assert_true(pipeline_start(run.pipeline));
    struct desk_order order = {
        .kind = DESK_MAINTAIN, .device = "out-1", .until = clock_after_ms(clock_mono(), 3600000)};
    assert_true(pipeline_order(run.pipeline, &order));
    end(&run);
    assert_int_equal(ask_file(world, "SELECT length(body) FROM memory"
                                     " WHERE name='maintenance/out-1'"),
                     8);
    assert_int_equal(ask_file(world, "SELECT count(*) FROM memory WHERE name LIKE 'maint%'"), 1);

    begin(world, &run); /* what is up in it is not told as an alarm */
    lane_attach(run.lane, 0, sectors, wake, NULL);
    assert_true(pipeline_start(run.pipeline));
    submit_flow(world, &run, 50);
    mono_time limit = clock_after_ms(clock_mono(), WAIT_MS);
    while (!lane_next(run.lane, 0, &skip, &event)) {
        assert_true(clock_mono().ns < limit.ns);
        usleep(5000);
    }
    assert_int_equal(event.status, ALARM_STATUS_SUPPRESSED);
    end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_storm_is_told_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_poll_that_fails_is_no_zero, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reload_goes_on_with_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_was_changed_begins_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_restart_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_report_reaches_the_lane_and_the_store, set_up, tear_down),
        cmocka_unit_test(the_newest_reports_are_kept),
        cmocka_unit_test_setup_teardown(a_maintenance_window_survives, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
