/* A running line goes over to another configuration, again and again, against a peer on a socket.
 *
 * Both configurations hold the same line at another index, with its devices between others, so that
 * every index and pointer moves; the one before is freed as soon as the line is bound, so that a
 * sanitizer sees who still looks at it. What a sample says, the counters, the pace and the
 * connection must not notice. The peer's register a holds a. */
#include "gateway/poll/line.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "config/settings_diff.h"
#include "drivers/class.h"
#include "drivers/plan_diff.h"
#include "tests/unit/transport_peer.h"

enum { NUMBER = 5, FAST_MS = 20, SLOW_MS = 60, ROUNDS = 60 };

static atomic_uint samples[2], wrong;
static struct peer peer;

void pipeline_submit(struct pipeline *pipeline, const struct sample *sample,
                     const struct value *values)
{
    (void)pipeline;
    bool good = sample->line == NUMBER && sample->block < 2 && sample->points == 3 &&
                sample->count == 3 && sample->sector == SECTOR_MANHOLE;
    for (int64_t i = 0; good && i < 3; i++) /* the second device stands at register 50 */
        good = values[i].steps == i + (sample->block ? 50 : 0);
    wrong += !good;
    samples[sample->block & 1]++;
}

bool pipeline_is_pressed(struct pipeline *pipeline)
{
    (void)pipeline;
    return false;
}

struct world {
    struct diagnostics *diagnostics;
    struct settings *settings;
    struct plan *plan;
    uint32_t line;
};

#define BEFORE                                                                                     \
    "gateway: { id: gw-1, region: \"140502\" }\n"                                                  \
    "lines:\n"                                                                                     \
    "  - { name: bus, transport: tcp, host: 127.0.0.1, port: %u }\n"                               \
    "devices:\n"                                                                                   \
    "  - { name: one, line: bus, unit: 1, profile: rs-dip-n01, sector: manhole, every: %ums }\n"   \
    "  - { name: two, line: bus, unit: 2, profile: rs-dip-n01, sector: manhole, every: %ums,"      \
    " base: 50 }\n"
#define AFTER                                                                                      \
    "gateway: { id: gw-1, region: \"140502\" }\n"                                                  \
    "lines:\n"                                                                                     \
    "  - { name: first, transport: tcp, host: 10.0.0.1 }\n"                                        \
    "  - { name: bus, transport: tcp, host: 127.0.0.1, port: %u }\n"                               \
    "devices:\n"                                                                                   \
    "  - { name: a, line: first, unit: 1, profile: press-level-a }\n"                              \
    "  - { name: one, line: bus, unit: 1, profile: rs-dip-n01, sector: manhole, every: %ums }\n"   \
    "  - { name: b, line: first, unit: 2, profile: gas10 }\n"                                      \
    "  - { name: two, line: bus, unit: 2, profile: rs-dip-n01, sector: manhole, every: %ums,"      \
    " base: 50 }\n"

/* The line has index 0, or 1 in the other configuration. */
static struct world load(uint32_t line, unsigned fast_ms, unsigned slow_ms)
{
    static const char *const folders[] = {SOURCE_DIR "/config/profiles"};
    const struct settings_sources sources = {
        .profile_dirs = folders, .profile_dir_count = 1, .quantity = class_quantity};
    struct world world = {.diagnostics = diagnostics_new(), .line = line};
    char text[2000];
    if (line == 0)
        snprintf(text, sizeof text, BEFORE, peer.port, fast_ms, slow_ms);
    else
        snprintf(text, sizeof text, AFTER, peer.port, fast_ms, slow_ms);
    world.settings =
        settings_parse(diagnostics_source(world.diagnostics, "gateway.yaml", text, strlen(text)),
                       &sources, world.diagnostics);
    if (!world.settings)
        fail_msg("%s", diagnostics_text(world.diagnostics));
    world.plan = plan_new(world.settings);
    assert_non_null(world.plan);
    return world;
}

static void unload(struct world *world)
{
    plan_free(world->plan);
    settings_free(world->settings);
    diagnostics_free(world->diagnostics);
}

static struct line *begin(const struct world *world)
{
    samples[0] = samples[1] = wrong = 0;
    struct line *line = line_new(world->settings, world->plan, world->line, NUMBER, NULL);
    assert_non_null(line);
    assert_true(line_start(line));
    return line;
}

static void rebind(struct line *line, struct world *from, const struct world *to)
{
    mono_time limit = clock_after_ms(clock_mono(), 5000);
    assert_true(settings_diff_same_line(from->settings, from->line, to->settings, to->line));
    assert_true(plan_diff_same_line(from->plan, from->line, to->plan, to->line));
    line_rebind(line, to->settings, to->plan, to->line);
    while (!line_is_bound(line)) {
        assert_true(clock_mono().ns < limit.ns);
        peer_sleep_ms(1);
    }
    unload(from);
}

static void end(struct line *line, struct world *world)
{
    line_stop(line);
    assert_true(line_join(line, clock_after_ms(clock_mono(), 10000)));
    line_free(line);
    unload(world);
    peer_stop(&peer);
}

static void nobody_notices(void **state)
{
    (void)state;
    peer_start(&peer, TRANSPORT_TCP, 1);
    struct world now = load(0, FAST_MS, SLOW_MS);
    struct line *line = begin(&now);
    mono_time begun = clock_mono();
    for (int i = 0; i < ROUNDS; i++) {
        struct world next = i % 2 ? load(0, FAST_MS, SLOW_MS) : load(1, FAST_MS, SLOW_MS);
        peer_sleep_ms(i % 7 * 5);
        rebind(line, &now, &next);
        now = next;
    }
    int64_t took_ms = clock_ms_between(begun, clock_mono());
    struct line_status status;
    struct line_device_status device;
    line_status(line, &status);
    assert_int_equal(wrong, 0);
    assert_int_equal(status.devices, 2);
    assert_int_equal(status.silent, 0);
    assert_int_equal(status.tally.good, status.tally.requests);
    assert_in_range(status.tally.good, samples[0] + samples[1], samples[0] + samples[1] + 1);
    assert_in_range(samples[0], (uint64_t)took_ms / FAST_MS - 5, (uint64_t)took_ms / FAST_MS + 3);
    assert_in_range(samples[1], (uint64_t)took_ms / SLOW_MS - 3, (uint64_t)took_ms / SLOW_MS + 3);
    assert_true(line_device_status(line, 0, &device));
    assert_in_range(device.tally.good, samples[0], samples[0] + 1);
    assert_true(line_device_status(line, 1, &device));
    assert_in_range(device.tally.good, samples[1], samples[1] + 1);
    assert_false(line_device_status(line, 2, &device));
    assert_int_equal(peer.connections, 1);
    end(line, &now);
}

/* A device that is wanted is found by its place, before and after; one poll of an hour's period. */
static void wishes_find_their_device(void **state)
{
    (void)state;
    enum { HOUR_MS = 3600000 };
    peer_start(&peer, TRANSPORT_TCP, 1);
    struct world now = load(1, HOUR_MS, HOUR_MS);
    struct line *line = begin(&now);
    for (int i = 0; i < 6; i++) {
        unsigned before[2];
        struct world next = i % 2 ? load(1, HOUR_MS, HOUR_MS) : load(0, HOUR_MS, HOUR_MS);
        rebind(line, &now, &next);
        now = next;
        for (int wait = 0; wait < 500 && (samples[0] == 0 || samples[1] == 0); wait++)
            peer_sleep_ms(10); /* all are asked once at start */
        before[0] = samples[0];
        before[1] = samples[1];
        line_poll_now(line, 1);
        line_poll_now(line, 7); /* of no device */
        for (int wait = 0; wait < 500 && samples[1] == before[1]; wait++)
            peer_sleep_ms(10);
        assert_int_equal(samples[1], before[1] + 1);
        assert_int_equal(samples[0], before[0]);
    }
    assert_int_equal(wrong, 0);
    end(line, &now);
}

/* A line that is told to finish still takes the answer that is on its way. */
static void the_poll_under_way_is_finished(void **state)
{
    (void)state;
    peer_start(&peer, TRANSPORT_TCP, 1);
    peer.behaviour = PEER_LATE;
    peer.delay_ms = 100;
    struct world now = load(0, SLOW_MS, 3600000);
    struct line *line = begin(&now);
    for (int wait = 0; wait < 500 && peer.requests == 0; wait++)
        peer_sleep_ms(1);
    line_finish(line);
    assert_true(line_join(line, clock_after_ms(clock_mono(), 10000)));
    assert_int_equal(samples[0] + samples[1], peer.requests);
    assert_int_equal(wrong, 0);
    end(line, &now);
}

/* What a plan carries over: by device and meaning, wherever it stands. */
static void blocks_are_found_again(void **state)
{
    (void)state;
    uint32_t from[8];
    peer.port = 502;
    struct world a = load(0, FAST_MS, SLOW_MS), b = load(1, SLOW_MS, FAST_MS);
    const struct plan_of before = {a.settings, a.plan}, after = {b.settings, b.plan};
    plan_diff_carry(&before, &after, from);
    for (size_t i = 0; i < b.plan->block_count; i++) {
        const char *name = b.settings->devices[b.plan->blocks[i].device].name;
        uint32_t wanted = strcmp(name, "one") == 0   ? 0
                          : strcmp(name, "two") == 0 ? 1
                                                     : PLAN_DIFF_NONE;
        assert_int_equal(from[i], wanted);
    }
    assert_false(plan_diff_same_line(a.plan, 0, b.plan, 1)); /* other periods */
    b.settings->profiles[0]->points[0].decimals ^= 1;
    b.settings->profiles[1]->points[0].decimals ^= 1;
    b.settings->profiles[2]->points[0].decimals ^= 1;
    plan_diff_carry(&before, &after, from);
    for (size_t i = 0; i < b.plan->block_count; i++)
        assert_int_equal(from[i], PLAN_DIFF_NONE);
    unload(&a);
    unload(&b);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_notices),
        cmocka_unit_test(wishes_find_their_device),
        cmocka_unit_test(the_poll_under_way_is_finished),
        cmocka_unit_test(blocks_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
