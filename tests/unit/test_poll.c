/* poll.c against a device that exists only here: which requests it makes, and what becomes of a
 * point whose registers a device does not have.
 *
 * The asker, the ledger and the pipeline are replaced; every register holds its own address. The
 * random test prints its seed. */
#include "gateway/poll/poll.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "gateway/log.h"

enum { POINTS_MAX = 40, BLOCKS_MAX = 4, ADDRESSES = 200, REQUESTS_MAX = 64 };

/* ---- the device ---- */

static struct device {
    bool missing[ADDRESSES];
    bool silent;  /* about registers it does not have */
    bool refuses; /* everything */
    bool dead;
    struct transport_request requests[REQUESTS_MAX];
    unsigned tries[REQUESTS_MAX];
    size_t request_count;
} device;

static unsigned told; /* log lines */

void log_notice(const char *format, ...)
{
    (void)format;
    told++;
}

void asker_ask(struct asker *asker, const struct transport_request *request, uint32_t gap_ms,
               unsigned tries, uint16_t *registers, struct tally *tally, struct asked *out)
{
    bool missing = device.refuses;
    (void)asker, (void)gap_ms;
    assert_true(device.request_count < REQUESTS_MAX);
    device.tries[device.request_count] = tries;
    device.requests[device.request_count++] = *request;
    for (uint32_t i = request->address; i < (uint32_t)request->address + request->count; i++)
        missing |= device.missing[i];
    *out = (struct asked){.outcome = OUTCOME_OK, .round_trip_us = 1000, .busy_ns = 1000000};
    if (device.dead || (missing && device.silent)) {
        out->outcome = OUTCOME_TIMEOUT;
    } else if (missing) {
        out->outcome = OUTCOME_EXCEPTION;
        out->exception = 2;
    }
    tally_request(tally, out->outcome, out->round_trip_us);
    for (uint16_t i = 0; out->outcome == OUTCOME_OK && i < request->count; i++)
        registers[i] = (uint16_t)(request->address + i);
}

bool asker_is_up(const struct asker *asker)
{
    (void)asker;
    return true;
}

bool asker_is_interrupted(const struct asker *asker)
{
    (void)asker;
    return false;
}

struct transport_noise asker_noise(const struct asker *asker, uint8_t unit)
{
    (void)asker, (void)unit;
    return (struct transport_noise){0, 0};
}

/* ---- who listens ---- */

static struct {
    struct sample sample;
    struct value values[POINTS_MAX];
    uint32_t samples;
} heard[BLOCKS_MAX];
static uint64_t requests_told; /* to the ledger, of all devices */

void ledger_note(struct ledger *ledger, const struct ledger_block *polled)
{
    (void)ledger;
    requests_told += polled->requests->requests;
}

void ledger_poll(struct ledger *ledger, uint8_t unit, const struct tally *requests,
                 struct transport_noise noise, int64_t busy_ns, bool open, mono_time now)
{
    (void)ledger, (void)unit, (void)requests, (void)noise, (void)busy_ns, (void)open, (void)now;
}

void pipeline_submit(struct pipeline *pipeline, const struct sample *sample,
                     const struct value *values)
{
    (void)pipeline;
    heard[sample->block].sample = *sample;
    heard[sample->block].samples++;
    memcpy(heard[sample->block].values, values, sample->count * sizeof *values);
}

/* ---- the house ---- */

static struct profile profile;
static struct profile_point points[POINTS_MAX];
static struct settings_point settings_points[POINTS_MAX];
static struct settings_device devices[2];
static struct settings_line settings_lines[1] = {{.name = "line"}};
static struct settings settings = {
    .lines = settings_lines, .line_count = 1, .devices = devices, .device_count = 2};
static uint16_t indices[POINTS_MAX];
static struct plan_block blocks[BLOCKS_MAX];
static uint32_t read_blocks[BLOCKS_MAX] = {0, 1, 2, 3};
static struct plan_read read_plan;
static struct plan plan = {.blocks = blocks, .reads = &read_plan, .read_count = 1};
static struct poll *engine;

/* One read of one block with points at these addresses, one register each. */
static void build(const uint16_t *addresses, size_t count)
{
    memset(&device, 0, sizeof device);
    memset(heard, 0, sizeof heard);
    told = 0;
    profile = (struct profile){.points = points, .point_count = count};
    for (size_t i = 0; i < count; i++) {
        points[i] = (struct profile_point){.function = FUNCTION_HOLDING,
                                           .address = addresses[i],
                                           .type = REGISTER_U16,
                                           .mask = 0xffff,
                                           .scale = 1};
        indices[i] = (uint16_t)i;
    }
    for (size_t i = 0; i < 2; i++)
        devices[i] = (struct settings_device){
            .name = "device", .unit = 3, .profile = &profile, .points = settings_points};
    blocks[0] = (struct plan_block){.unit = 3,
                                    .function = FUNCTION_HOLDING,
                                    .address = addresses[0],
                                    .count = (uint16_t)(addresses[count - 1] + 1 - addresses[0]),
                                    .every_ms = 1000,
                                    .points = indices,
                                    .point_count = (uint16_t)count};
    plan.block_count = 1;
    read_plan = (struct plan_read){.unit = 3,
                                   .function = FUNCTION_HOLDING,
                                   .every_ms = 1000,
                                   .blocks = read_blocks,
                                   .block_count = 1};
}

static struct polled poll_once(uint64_t tick)
{
    struct polled polled;
    if (!engine)
        engine = poll_new(&settings, &plan, 0, 0, NULL, NULL, NULL);
    device.request_count = 0;
    assert_true(poll_read(engine, 0, tick, false, true, &polled));
    return polled;
}

static void end(void)
{
    poll_free(engine);
    engine = NULL;
}

/* Every point that the device has is good and holds its address; of the others the failure. */
static bool all_right(enum quality failure)
{
    for (size_t i = 0; i < profile.point_count; i++) {
        const struct value *value = &heard[0].values[i];
        bool missing = device.missing[points[i].address];
        if (value->quality != (missing ? failure : QUALITY_GOOD) ||
            (!missing && value->steps != points[i].address))
            return false;
    }
    return true;
}

static void one_request_is_enough(void **state)
{
    (void)state;
    build((const uint16_t[]){10, 11, 14, 20}, 4);
    assert_int_equal(poll_once(0).answer, SCHEDULE_ANSWERED);
    assert_int_equal(device.request_count, 1);
    assert_int_equal(device.requests[0].address, 10);
    assert_int_equal(device.requests[0].count, 11);
    assert_true(all_right(QUALITY_EXCEPTION));
    end();
}

static void a_hole_is_found_in_one_poll(void **state)
{
    (void)state;
    build((const uint16_t[]){10, 11, 14, 20, 21, 22}, 6);
    device.missing[13] = true; /* nobody's point: bridging it was the mistake */
    poll_once(0);
    assert_true(all_right(QUALITY_EXCEPTION));
    assert_true(device.request_count <= 7);
    assert_int_equal(poll_holes(engine, 0), 1); /* the other gap can be bridged */
    assert_int_equal(told, 1);
    poll_once(1);
    assert_true(all_right(QUALITY_EXCEPTION));
    assert_int_equal(device.request_count, 2);
    for (size_t i = 0; i < device.request_count; i++) {
        uint16_t first = device.requests[i].address;
        assert_false(first <= 13 && 13 < first + device.requests[i].count);
    }
    end();
}

/* A point of the profile that this device does not have takes no other with it. */
static void a_missing_point_fails_alone(void **state)
{
    (void)state;
    build((const uint16_t[]){0, 1, 2, 3, 4, 5, 6, 7}, 8);
    device.missing[4] = device.missing[5] = true;
    poll_once(0);
    assert_true(all_right(QUALITY_EXCEPTION));
    poll_once(1);
    assert_true(all_right(QUALITY_EXCEPTION));
    assert_int_equal(device.request_count, 3);
    assert_int_equal(heard[0].sample.count, 8);
    assert_int_equal(told, 1);
    end();
}

static void who_refuses_everything_is_not_divided_for_ever(void **state)
{
    (void)state;
    build((const uint16_t[]){0, 1, 2, 3, 4, 5, 6, 7}, 8);
    device.refuses = true;
    assert_int_equal(poll_once(0).answer, SCHEDULE_ANSWERED);
    assert_int_equal(heard[0].sample.count, 0);
    assert_int_equal(heard[0].sample.failure, QUALITY_EXCEPTION);
    assert_int_equal(poll_holes(engine, 0), 0);
    poll_once(1);
    assert_int_equal(device.request_count, 1);
    device.refuses = false;
    poll_once(2);
    assert_int_equal(device.request_count, 1);
    assert_true(all_right(QUALITY_EXCEPTION));
    end();
}

static void a_unit_silent_about_a_gap_is_found_out(void **state)
{
    (void)state;
    build((const uint16_t[]){0, 1, 5, 6, 12}, 5);
    device.missing[3] = true;
    device.silent = true;
    uint64_t tick = 0;
    while (
        poll_holes(engine ? engine : (engine = poll_new(&settings, &plan, 0, 0, NULL, NULL, NULL)),
                   0) == 0) {
        poll_once(tick++);
        assert_true(tick < 5);
    }
    assert_true(all_right(QUALITY_TIMEOUT));
    poll_once(tick);
    assert_int_equal(device.request_count, 3);
    end();
}

static void a_dead_unit_costs_one_request(void **state)
{
    (void)state;
    build((const uint16_t[]){0, 1, 5, 6, 12}, 5);
    poll_once(0);
    device.dead = true;
    for (uint64_t tick = 1; tick < 20; tick++) {
        assert_int_equal(poll_once(tick).answer, SCHEDULE_SILENT);
        assert_int_equal(device.request_count, 1);
        assert_int_equal(heard[0].sample.failure, QUALITY_TIMEOUT);
    }
    device.dead = false;
    device.missing[3] = true;
    poll_once(20);
    assert_true(poll_holes(engine, 0) > 0);
    device.dead = true; /* and when it is asked in parts, two: one may be silent alone */
    poll_once(21);
    assert_int_equal(device.request_count, 2);
    assert_int_equal(heard[0].sample.failure, QUALITY_TIMEOUT);
    end();
}

/* A register that it does not have, and is silent about: the others are read on, and it costs next
 * to nothing. */
static void a_silent_part_is_asked_seldom(void **state)
{
    (void)state;
    for (uint16_t hole = 0; hole < 3; hole += 2) {
        build((const uint16_t[]){0, 5, 10}, 3);
        uint64_t tick = 0;
        device.missing[3] = device.missing[7] = true;
        poll_once(tick++);
        assert_int_equal(poll_holes(engine, 0), 2);
        device.silent = true;
        device.missing[3] = device.missing[7] = false;
        device.missing[points[hole].address] = true;
        for (int i = 0; i < 4; i++)
            poll_once(tick++);
        size_t asked = 0;
        for (int i = 0; i < 128; i++) {
            assert_int_equal(poll_once(tick++).answer, SCHEDULE_ANSWERED);
            assert_true(all_right(QUALITY_TIMEOUT));
            asked += device.request_count;
        }
        assert_in_range(asked, 2 * 128 + 1, 2 * 128 + 4);
        device.missing[points[hole].address] = false;
        for (int i = 0; i < 70; i++)
            poll_once(tick++);
        assert_true(all_right(QUALITY_TIMEOUT));
        assert_int_equal(device.request_count, 3);
        end();
    }
}

/* Two devices and three periods in one read. */
static void each_block_in_its_own_period(void **state)
{
    (void)state;
    build((const uint16_t[]){0, 1, 2, 3}, 4);
    devices[1].base = 40;
    devices[0].retries = 1;
    static const struct {
        uint32_t device;
        uint16_t address, count, first;
        uint32_t every_ms;
    } wanted[] = {{0, 0, 2, 0, 1000}, {0, 2, 2, 2, 3000}, {1, 40, 4, 0, 6000}};
    for (size_t i = 0; i < 3; i++) {
        blocks[i] = blocks[0];
        blocks[i].of_line = (uint32_t)i;
        blocks[i].device = wanted[i].device;
        blocks[i].address = wanted[i].address;
        blocks[i].count = blocks[i].point_count = wanted[i].count;
        blocks[i].points = indices + wanted[i].first;
        blocks[i].every_ms = wanted[i].every_ms;
    }
    plan.block_count = read_plan.block_count = 3;
    requests_told = 0;
    for (uint64_t tick = 0; tick < 12; tick++) {
        poll_once(tick);
        assert_int_equal(device.request_count, 1);
        assert_int_equal(device.requests[0].count, tick % 6 == 0 ? 44 : tick % 3 == 0 ? 4 : 2);
        assert_int_equal(device.tries[0], 2);
    }
    assert_int_equal(heard[0].samples, 12);
    assert_int_equal(heard[1].samples, 4);
    assert_int_equal(heard[2].samples, 2);
    assert_int_equal(requests_told, 12 + 2); /* of device 0, and of device 1 */
    assert_int_equal(heard[1].values[1].steps, 3);
    assert_int_equal(heard[2].values[3].steps, 43);
    /* A period that was left out for want of time is not a block left out. */
    poll_once(14);
    assert_int_equal(heard[1].samples, 5);
    assert_int_equal(heard[2].samples, 3);
    struct polled polled;
    device.request_count = 0;
    assert_true(poll_read(engine, 0, 15, true, true, &polled));
    assert_int_equal(heard[2].samples, 4);
    assert_int_equal(device.request_count, 1);
    end();
}

static void random_holes(void **state)
{
    (void)state;
    unsigned seed = (unsigned)clock_wall().ms;
    print_message("seed %u\n", seed);
    for (int trial = 0; trial < 3000; trial++) {
        uint16_t addresses[POINTS_MAX], at = (uint16_t)(rand_r(&seed) % 20);
        size_t count = 2 + (size_t)rand_r(&seed) % 20;
        for (size_t i = 0; i < count; i++) {
            addresses[i] = at;
            at = (uint16_t)(at + 1 + (rand_r(&seed) % 3 == 0 ? rand_r(&seed) % 5 : 0));
        }
        build(addresses, count);
        for (int i = rand_r(&seed) % 5; i > 0; i--)
            device.missing[addresses[0] + rand_r(&seed) % (at - addresses[0])] = true;
        bool any = false;
        for (size_t i = 0; i < count; i++)
            any |= !device.missing[addresses[i]];
        poll_once(0);
        poll_once(1);
        if (any)
            assert_true(all_right(QUALITY_EXCEPTION));
        else
            assert_int_equal(heard[0].sample.failure, QUALITY_EXCEPTION);
        poll_once(2);
        size_t settled = device.request_count;
        assert_true(settled <= (size_t)poll_holes(engine, 0) + 1);
        poll_once(3);
        assert_int_equal(device.request_count, settled);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request_is_enough),
        cmocka_unit_test(a_hole_is_found_in_one_poll),
        cmocka_unit_test(a_missing_point_fails_alone),
        cmocka_unit_test(who_refuses_everything_is_not_divided_for_ever),
        cmocka_unit_test(a_unit_silent_about_a_gap_is_found_out),
        cmocka_unit_test(a_dead_unit_costs_one_request),
        cmocka_unit_test(a_silent_part_is_asked_seldom),
        cmocka_unit_test(each_block_in_its_own_period),
        cmocka_unit_test(random_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
