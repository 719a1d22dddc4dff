/* A line with its thread, against a peer on a real socket: polls, and the questions that others ask
 * between them.
 *
 * Settings and plan are put together by hand: one device with two registers. Samples end here
 * instead of in the pipeline; the peer's register a holds a. */
#include "gateway/poll/line.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/unit/transport_peer.h"

static atomic_uint samples, bad_samples;
static atomic_bool pressed;

void pipeline_submit(struct pipeline *pipeline, const struct sample *sample,
                     const struct value *values)
{
    (void)pipeline;
    samples++;
    bad_samples += sample->count != 2 || values[0].steps != 100 || values[1].steps != 101;
}

bool pipeline_is_pressed(struct pipeline *pipeline)
{
    (void)pipeline;
    return pressed;
}

static struct profile_point points[2];
static struct settings_point settings_points[2];
static struct profile profile = {.points = points, .point_count = 2, .max_registers = 125};
static struct settings_device device = {
    .name = "device", .unit = 7, .profile = &profile, .points = settings_points};
static struct settings_line settings_line;
static struct settings settings = {
    .lines = &settings_line, .line_count = 1, .devices = &device, .device_count = 1};
static const uint16_t indices[2] = {0, 1};
static const uint32_t read_blocks[1] = {0};
static struct plan_block block = {.unit = 7,
                                  .function = FUNCTION_HOLDING,
                                  .address = 100,
                                  .count = 2,
                                  .points = indices,
                                  .point_count = 2};
static struct plan_read read_plan = {
    .unit = 7, .function = FUNCTION_HOLDING, .blocks = read_blocks, .block_count = 1};
static struct plan plan = {
    .blocks = &block, .block_count = 1, .reads = &read_plan, .read_count = 1};
static struct peer peer;

static struct line *begin(uint32_t every_ms)
{
    for (uint16_t i = 0; i < 2; i++)
        points[i] = (struct profile_point){.function = FUNCTION_HOLDING,
                                           .address = (uint16_t)(100 + i),
                                           .type = REGISTER_U16,
                                           .mask = 0xffff,
                                           .scale = 1};
    samples = bad_samples = 0;
    pressed = false;
    peer_start(&peer, TRANSPORT_TCP, 1);
    settings_line = peer_line(&peer, 100);
    static char name[] = "line";
    settings_line.name = name;
    block.every_ms = read_plan.every_ms = device.every_ms = every_ms;
    struct line *line = line_new(&settings, &plan, 0, 0, NULL);
    assert_true(line_start(line));
    return line;
}

static void end(struct line *line)
{
    line_stop(line);
    assert_true(line_join(line, clock_after_ms(clock_mono(), 10000)));
    line_free(line);
    peer_stop(&peer);
}

static const struct line_question question = {
    .request = {.unit = 9, .function = FUNCTION_INPUT, .address = 300, .count = 3}};

static void wait_answer(struct line *line, uint32_t ticket, struct line_answer *answer)
{
    mono_time limit = clock_after_ms(clock_mono(), 5000);
    while (!line_answered(line, ticket, answer)) {
        assert_true(clock_mono().ns < limit.ns);
        peer_sleep_ms(1);
    }
}

static void polls_and_questions(void **state)
{
    (void)state;
    struct line *line = begin(20);
    struct line_answer answer;
    for (int i = 0; i < 20; i++) {
        uint32_t ticket = line_ask(line, &question);
        assert_int_not_equal(ticket, 0);
        wait_answer(line, ticket, &answer);
        assert_int_equal(answer.outcome, OUTCOME_OK);
        assert_int_equal(answer.registers[0], 300);
        assert_int_equal(answer.registers[2], 302);
        assert_int_equal(answer.frame_length, 15); /* MBAP included */
        assert_int_equal(answer.frame[7], FUNCTION_INPUT);
        assert_int_equal(answer.heard_length, 0);
        assert_false(line_answered(line, ticket, &answer)); /* once */
        peer_sleep_ms(10);
    }
    struct line_status status;
    struct line_device_status own;
    line_status(line, &status);
    assert_true(line_device_status(line, 0, &own));
    assert_false(line_device_status(line, 1, &own));
    assert_true(samples >= 5);
    assert_int_equal(bad_samples, 0);
    assert_int_equal(status.tally.good, status.tally.requests); /* questions are not counted */
    assert_true(status.tally.requests >= samples && status.tally.requests <= samples + 1);
    assert_true(status.open);
    end(line);
}

/* One at a time; polls go on while somebody asks without a pause. */
static void questions_leave_room_for_polls(void **state)
{
    (void)state;
    struct line *line = begin(0);
    struct line_answer answer;
    uint32_t ticket = line_ask(line, &question);
    assert_int_not_equal(ticket, 0);
    unsigned before = samples;
    for (int i = 0; i < 300; i++) {
        wait_answer(line, ticket, &answer);
        ticket = line_ask(line, &question);
        assert_int_not_equal(ticket, 0);
    }
    assert_true(samples - before >= 300);
    wait_answer(line, ticket, &answer);
    peer.behaviour = PEER_MUTE;
    ticket = line_ask(line, &question);
    assert_int_equal(line_ask(line, &question), 0);
    line_forget(line, ticket);
    peer.behaviour = PEER_GOOD;
    mono_time limit = clock_after_ms(clock_mono(), 5000);
    uint32_t next;
    while ((next = line_ask(line, &question)) == 0) {
        assert_true(clock_mono().ns < limit.ns);
        peer_sleep_ms(1);
    }
    assert_int_not_equal(next, ticket);
    assert_false(line_answered(line, ticket, &answer));
    end(line);
}

static void who_is_pressed_is_not_hurried(void **state)
{
    (void)state;
    struct line *line = begin(0);
    peer_sleep_ms(100);
    assert_true(samples > 10);
    pressed = true;
    peer_sleep_ms(20);
    unsigned before = samples;
    peer_sleep_ms(100);
    assert_int_equal(samples, before);
    pressed = false;
    peer_sleep_ms(100);
    assert_true(samples > before + 10);
    end(line);
}

static void wait_samples(unsigned count)
{
    mono_time limit = clock_after_ms(clock_mono(), 10000);
    while (samples < count) {
        assert_true(clock_mono().ns < limit.ns);
        peer_sleep_ms(1);
    }
}

static void a_wish_is_heard_at_once(void **state)
{
    (void)state;
    struct line *line = begin(60000);
    wait_samples(1);
    peer_sleep_ms(50);
    assert_int_equal(samples, 1);
    line_poll_now(line, 0);
    wait_samples(2);
    end(line);
}

static void an_alarm_boosts_until_it_is_over(void **state)
{
    (void)state;
    peer.behaviour = PEER_GOOD;
    struct line *line = begin(60000);
    wait_samples(1);
    line_boost(line, 0, 20);
    wait_samples(6);
    line_boost(line, 0, 0);
    peer_sleep_ms(100); /* the one under way */
    unsigned before = samples;
    peer_sleep_ms(200);
    assert_int_equal(samples, before);
    line_boost(line, 7, 20); /* there is no such device */
    peer_sleep_ms(100);
    assert_int_equal(samples, before);
    end(line);
}

static void the_end_waits_for_nobody(void **state)
{
    (void)state;
    peer.behaviour = PEER_GOOD;
    struct line *line = begin(10);
    peer.behaviour = PEER_MUTE;
    struct line_question slow = question;
    slow.request.timeout_ms = 60000;
    peer_sleep_ms(50);
    assert_int_not_equal(line_ask(line, &slow), 0);
    peer_sleep_ms(300);
    mono_time before = clock_mono();
    end(line);
    assert_true(clock_ms_between(before, clock_mono()) < 5000);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(polls_and_questions),
        cmocka_unit_test(an_alarm_boosts_until_it_is_over),
        cmocka_unit_test(questions_leave_room_for_polls),
        cmocka_unit_test(who_is_pressed_is_not_hurried),
        cmocka_unit_test(a_wish_is_heard_at_once),
        cmocka_unit_test(the_end_waits_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
