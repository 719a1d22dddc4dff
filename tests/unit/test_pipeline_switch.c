/* The pipeline goes over to another view while samples come, with a real store under it.
 *
 * What was submitted before belongs to the old view, however much of it still waits; what comes
 * after to the new one; nothing is lost between them. The newest values and the deadband's memory
 * are carried over; samples of a line that the new view does not know are counted as lost. And a
 * sample that waits while the clock is set is none of a set clock. */
#include "gateway/flow/pipeline.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "drivers/class.h"
#include "drivers/plan_diff.h"
#include "gateway/store/internal.h"
#include "tests/unit/true_clock.h"

enum { WAIT_MS = 10000, MANY = 3000, POINTS = 3 };

struct world {
    char folder[64];
    struct diagnostics *diagnostics;
    struct settings *settings;
    struct plan *plan;
    struct store *store;
    struct lane *lane;
    struct latest *latest[2];
    struct pipeline *pipeline;
};

/* The wall clock and the kernel's word on it. `sets_it`: between two looks of the pipeline. */
static atomic_llong wall_ahead_ms;
static atomic_bool synced, sets_it;

int clock_gettime(clockid_t clock, struct timespec *out)
{
    int result = true_clock(clock, out);
    if (clock == CLOCK_REALTIME)
        out->tv_sec += (time_t)(wall_ahead_ms / 1000);
    return result;
}

int adjtimex(struct timex *timex)
{
    char name[16] = "";
    if (sets_it && pthread_getname_np(pthread_self(), name, sizeof name) == 0 &&
        strcmp(name, "pipeline") == 0) {
        wall_ahead_ms = 0;
        synced = true;
    }
    timex->status = synced ? 0 : STA_UNSYNC;
    return synced ? TIME_OK : TIME_ERROR;
}

static const uint16_t first[] = {0, 1}, second[] = {2, 1};

static int set_up_still(void **state) /* the store's thread does not run yet */
{
    static const char *const folders[] = {SOURCE_DIR "/config/profiles"};
    const struct settings_sources sources = {
        .profile_dirs = folders, .profile_dir_count = 1, .quantity = class_quantity};
    struct world *world = calloc(1, sizeof *world);
    char text[2000], why[200];
    snprintf(world->folder, sizeof world->folder, "/tmp/lifeline-switch-XXXXXX");
    if (!mkdtemp(world->folder))
        return -1;
    snprintf(
        text, sizeof text,
        "gateway: { id: gw-1, region: \"140502\" }\nstore: { path: %s/store.db }\n"
        "lines: [ { name: a, transport: tcp, host: 10.0.0.1 },\n"
        "         { name: b, transport: tcp, host: 10.0.0.2 } ]\n"
        "devices: [ { name: one, line: a, unit: 1, profile: rs-dip-n01, every: 1ms },\n"
        "  { name: two, line: b, unit: 1, profile: rs-dip-n01, every: 1ms, points: {\n"
        "    tilt_x: { deadband: 1 }, tilt_y: { deadband: 1 }, tilt_z: { deadband: 1 } } } ]\n",
        world->folder);
    world->diagnostics = diagnostics_new();
    world->settings =
        settings_parse(diagnostics_source(world->diagnostics, "gateway.yaml", text, strlen(text)),
                       &sources, world->diagnostics);
    if (!world->settings)
        fail_msg("%s", diagnostics_text(world->diagnostics));
    world->plan = plan_new(world->settings);
    world->store = store_open(world->settings, why, sizeof why);
    if (!world->store)
        fail_msg("%s", why);
    world->lane = lane_new();
    assert_true(store_use_lane(world->store, world->lane));
    world->latest[0] = latest_new(world->plan);
    world->latest[1] = latest_new(world->plan);
    world->pipeline = pipeline_new(
        world->store, world->lane,
        view_new(world->settings, world->plan, store_ids(world->store), world->latest[0], first));
    *state = world;
    return 0;
}

static int set_up(void **state)
{
    if (set_up_still(state) != 0)
        return -1;
    assert_true(store_start(((struct world *)*state)->store));
    return 0;
}

static void stop(struct world *world)
{
    if (!world->store)
        return;
    pipeline_stop(world->pipeline);
    assert_true(store_stop(world->store, clock_after_ms(clock_mono(), WAIT_MS)));
    pipeline_free(world->pipeline);
    store_free(world->store);
    lane_free(world->lane);
    world->store = NULL;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    char command[100];
    stop(world);
    latest_free(world->latest[0]);
    latest_free(world->latest[1]);
    plan_free(world->plan);
    settings_free(world->settings);
    diagnostics_free(world->diagnostics);
    snprintf(command, sizeof command, "rm -r %s", world->folder);
    int code = system(command);
    free(world);
    return code;
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

static void submit(struct world *world, uint16_t line, int64_t steps)
{
    const struct sample sample = {.line = line,
                                  .points = POINTS,
                                  .count = POINTS,
                                  .sector = SECTOR_BRIDGE,
                                  .mono = clock_mono(),
                                  .wall = clock_wall()};
    const struct value values[POINTS] = {{.steps = steps}, {.steps = steps}, {.steps = steps}};
    pipeline_submit(world->pipeline, &sample, values);
}

/* Until so many are dealt with. */
static struct pipeline_status wait_samples(struct world *world, uint64_t count)
{
    mono_time limit = clock_after_ms(clock_mono(), WAIT_MS);
    struct pipeline_status status;
    do {
        assert_true(clock_mono().ns < limit.ns);
        pipeline_status(world->pipeline, &status);
    } while (status.readings / POINTS + status.skipped + status.overload / POINTS < count);
    return status;
}

static void go_over(struct world *world, const uint32_t *from)
{
    struct view *view =
        view_new(world->settings, world->plan, store_ids(world->store), world->latest[1], second);
    assert_non_null(view);
    pipeline_switch(world->pipeline, view, from);
}

static void wait_over(struct world *world)
{
    mono_time limit = clock_after_ms(clock_mono(), WAIT_MS);
    struct view *old;
    while (!(old = pipeline_switched(world->pipeline)))
        assert_true(clock_mono().ns < limit.ns);
    assert_ptr_equal(old->latest, world->latest[0]);
    view_free(old);
}

static void nothing_is_lost_between_two_views(void **state)
{
    struct world *world = *state;
    static const uint32_t from[] = {0, 1};
    for (int i = 0; i < MANY; i++)
        submit(world, 0, i); /* all of it waits: the thread has not begun */
    go_over(world, from);
    assert_true(pipeline_start(world->pipeline));
    wait_over(world);
    for (int i = 0; i < MANY; i++)
        submit(world, 2, i);
    struct pipeline_status status = wait_samples(world, 2 * MANY);
    assert_int_equal(status.readings + status.skipped, 2 * MANY * POINTS);
    assert_int_equal(status.overload, 0);
    submit(world, 0, 1); /* of a line that is gone */
    submit(world, 7, 1);
    status = wait_samples(world, 2 * MANY + 2);
    assert_int_equal(status.overload, 2 * POINTS);
}

static void what_is_known_is_carried_over(void **state)
{
    struct world *world = *state;
    static const uint32_t from[] = {PLAN_DIFF_NONE, 1};
    struct sample sample;
    struct value values[POINTS];
    mono_time good;
    assert_true(pipeline_start(world->pipeline));
    submit(world, 0, 5);
    submit(world, 1, 300);
    wait_samples(world, 2);
    go_over(world, from);
    wait_over(world);
    assert_false(latest_get(world->latest[1], 0, &sample, values, &good)); /* it is another one */
    assert_true(latest_get(world->latest[1], 1, &sample, values, &good));
    assert_int_equal(values[2].steps, 300);
    assert_int_equal(latest_version(world->latest[1], 1), 1);
    submit(world, 1, 350); /* within the deadband of 1.00 */
    struct pipeline_status status = wait_samples(world, 3);
    assert_int_equal(status.skipped, 1);
    submit(world, 1, 450);
    status = wait_samples(world, 4);
    assert_int_equal(status.skipped, 1);
}

/* A deadband that is new has nothing to compare with: its first sample is kept, even near zero. */
static void a_new_deadband_begins_with_a_sample(void **state)
{
    struct world *world = *state;
    static const uint32_t from[] = {PLAN_DIFF_NONE, 0}; /* the one without is the one with it now */
    assert_true(pipeline_start(world->pipeline));
    submit(world, 0, 50);
    wait_samples(world, 1);
    go_over(world, from);
    wait_over(world);
    submit(world, 1, 50);
    assert_int_equal(wait_samples(world, 2).skipped, 0);
    submit(world, 1, 60);
    assert_int_equal(wait_samples(world, 3).skipped, 1);
}

/* As many segments of such a size as the store's mailbox takes. */
static void fill_mailbox(struct world *world, size_t size)
{
    enum { PUTS_MAX = 10000, PART = 10 };
    static const struct segment_column column = {.point = 1};
    static const struct segment_block block = {1, 1, &column};
    const struct segment_start start = {.base_ms = clock_wall().ms, .clock = CLOCK_STATE_SYNCED};
    struct segment *segment = segment_new(&block, 1);
    segment_reset(segment, &start);
    do {
        assert_true(segment_add(segment, 0, start.base_ms, &(struct value){.steps = 1}));
    } while (segment_size(segment) < size);
    for (int puts = 0; store_put(world->store, PART, SECTOR_GAS, segment, true); puts++)
        assert_in_range(puts, 0, PUTS_MAX);
    segment_free(segment);
}

/* As long as the store takes no segment, what is open belongs to the old view, which stays until
 * the next sync; also where the store took its time to say so, and no sample comes any more. */
static void a_full_store_keeps_the_old_view(void **state)
{
    static const uint32_t from[] = {0, 1};
    struct world *world = *state;
    fill_mailbox(world, 20000);
    fill_mailbox(world, 1);
    submit(world, 0, 1);
    go_over(world, from);
    pthread_mutex_lock(&world->store->mutex);
    assert_true(pipeline_start(world->pipeline));
    wait_samples(world, 1);
    usleep(200000);
    pthread_mutex_unlock(&world->store->mutex);
    usleep(200000);
    assert_null(pipeline_switched(world->pipeline));
    assert_true(store_start(world->store));
    wait_over(world);
    stop(world);
    assert_int_equal(ask_file(world, "SELECT sum(readings) FROM segment WHERE (id>>40&255)<>1"),
                     POINTS);
}

/* It was read in 1970, and nobody may call that SYNCED: then nothing would correct it any more. */
static void a_sample_is_older_than_the_clock_that_was_set(void **state)
{
    struct world *world = *state;
    const int64_t now_ms = clock_wall().ms;
    wall_ahead_ms = -now_ms;
    submit(world, 0, 1);
    sets_it = true;
    assert_true(pipeline_start(world->pipeline));
    wait_samples(world, 1);
    stop(world);
    assert_in_range(ask_file(world, "SELECT base_ms FROM segment"), now_ms - WAIT_MS,
                    now_ms + WAIT_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_lost_between_two_views, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_known_is_carried_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_deadband_begins_with_a_sample, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_store_keeps_the_old_view, set_up_still, tear_down),
        cmocka_unit_test_setup_teardown(a_sample_is_older_than_the_clock_that_was_set, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
