/* The simulator's wire, on a socket pair and a made-up clock.
 *
 * When a request counts as heard and each part of the reply leaves, to the nanosecond; what stays
 * unanswered; requests in bulk; late answers; the counters of blocks; the journal's lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/sim/sim_frame.c"
#include "drivers/sim/sim_scenario.c"
#include "drivers/sim/sim_scenario_read.c"
#include "drivers/sim/sim_span.c"
#include "drivers/sim/sim_value.c"
#include "drivers/sim/sim_units.c"
#include "drivers/sim/sim_fault.c"
#include "drivers/sim/sim_journal.c"
#include "drivers/sim/sim_wire.c"

enum { POINTS = 10 };

static char names[3][8] = {"line", "device", "p"};
static struct profile_point points[POINTS];
static struct profile profile = {
    .name = names[1], .max_registers = 125, .points = points, .point_count = POINTS};
static struct settings_point point_settings[POINTS];
static struct settings_device device = {
    .name = names[1], .unit = 1, .profile = &profile, .points = point_settings};
static struct settings_line line = {
    .name = names[0], .serial = {9600, 8, 'N', 1}, .timeout_ms = 300};
static struct settings settings = {
    .lines = &line, .line_count = 1, .devices = &device, .device_count = 1};
static struct sim_stage stage;
static struct sim_service service;
static struct sim_wire *wire;
static int peer;

static void start(enum transport_kind transport)
{
    int ends[2];
    line.transport = transport;
    for (uint16_t i = 0; i < POINTS; i++)
        points[i] = (struct profile_point){.name = names[2],
                                           .function = FUNCTION_HOLDING,
                                           .address = i,
                                           .type = REGISTER_U16,
                                           .mask = 0xffff,
                                           .scale = 1};
    stage = (struct sim_stage){0};
    service = (struct sim_service){
        .settings = &line, .units = sim_units_new(&settings, 0), .stage = &stage};
    if (transport == TRANSPORT_RTU)
        service.pace = sim_frame_pace(&line.serial, 4);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    wire = sim_wire_new(ends[0], &service);
    peer = ends[1];
}

static void stop(void)
{
    sim_wire_free(wire);
    sim_units_free(service.units);
    close(peer);
}

static void say(const uint8_t *bytes, size_t length, int64_t now_ns)
{
    assert_int_equal(write(peer, bytes, length), (ssize_t)length);
    assert_true(sim_wire_read(wire, now_ns));
    assert_true(sim_wire_run(wire, now_ns));
}

static size_t hear(uint8_t *bytes, size_t room)
{
    ssize_t got = read(peer, bytes, room);
    return got > 0 ? (size_t)got : 0;
}

static size_t rtu_read(uint8_t *frame, uint8_t unit, uint16_t address, uint8_t count)
{
    uint8_t pdu[] = {3, (uint8_t)(address >> 8), (uint8_t)address, 0, count};
    return sim_frame_wrap_rtu(frame, unit, pdu, sizeof pdu);
}

static size_t tcp_read(uint8_t *frame, uint16_t transaction, uint8_t unit, uint8_t count)
{
    uint8_t pdu[] = {3, 0, 0, 0, count};
    return sim_frame_wrap_tcp(frame, transaction, unit, pdu, sizeof pdu);
}

/* Runs the wire from one due moment to the next until nothing is due; the last moment. */
static int64_t run_out(int64_t now_ns)
{
    for (int64_t next; (next = sim_wire_next_ns(wire)) != INT64_MAX; now_ns = next) {
        assert_true(next >= now_ns);
        assert_true(sim_wire_run(wire, next));
    }
    return now_ns;
}

static void a_reply_takes_its_line_time(void **state)
{
    (void)state;
    uint8_t frame[SIM_FRAME_MAX], reply[300];
    start(TRANSPORT_RTU);
    int64_t char_ns = service.pace.char_ns, begin = 1000000000;
    say(frame, rtu_read(frame, 1, 0, 10), begin);
    int64_t heard = begin + 8 * char_ns + service.pace.silence_ns;
    assert_int_equal(sim_wire_next_ns(wire), heard);
    assert_true(sim_wire_run(wire, heard));
    assert_int_equal(hear(reply, sizeof reply), 0);
    int64_t first = heard + service.pace.turnaround_ns + char_ns;
    assert_int_equal(sim_wire_next_ns(wire), first);
    assert_true(sim_wire_run(wire, first - 1));
    assert_int_equal(hear(reply, sizeof reply), 0);
    assert_true(sim_wire_run(wire, first));
    assert_int_equal(hear(reply, sizeof reply), 1);
    int64_t last = run_out(first);
    assert_int_equal(last, first + 24 * char_ns);
    assert_int_equal(hear(reply + 1, sizeof reply - 1), 24);
    assert_int_equal(sim_frame_crc(reply, 25), 0);
    stop();
}

static void silence_ends_a_frame(void **state)
{
    (void)state;
    uint8_t frame[2 * SIM_FRAME_MAX], reply[300];
    start(TRANSPORT_RTU);
    int64_t char_ns = service.pace.char_ns, now = 0;
    size_t length = rtu_read(frame, 1, 0, 1);
    say(frame, 3, now); /* two pieces within the silence are one frame */
    say(frame + 3, length - 3, now + 6 * char_ns);
    now = run_out(now);
    assert_int_equal(hear(reply, sizeof reply), 7);
    say(frame, 3, now); /* beyond it they are two broken ones */
    now = run_out(now);
    say(frame + 3, length - 3, now);
    now = run_out(now);
    assert_int_equal(hear(reply, sizeof reply), 0);
    length += rtu_read(frame + length, 1, 0, 1); /* two requests in one breath are none */
    say(frame, length, now);
    now = run_out(now);
    assert_int_equal(hear(reply, sizeof reply), 0);
    length = rtu_read(frame, 9, 0, 1); /* nor does an absent unit answer, */
    say(frame, length, now);
    now = run_out(now);
    assert_int_equal(hear(reply, sizeof reply), 0);
    length = rtu_read(frame, 1, 0, 1); /* and the request after it is heard */
    say(frame, length, now);
    run_out(now);
    assert_int_equal(hear(reply, sizeof reply), 7);
    stop();
}

static void many_tcp_requests_at_once_are_all_answered(void **state)
{
    (void)state;
    uint8_t frame[12], reply[300];
    start(TRANSPORT_TCP);
    for (uint16_t i = 0; i < 200; i++)
        assert_int_equal(write(peer, frame, tcp_read(frame, i, 1, 1)), 12);
    uint16_t answers = 0;
    for (int turn = 0; turn < 1000 && answers < 200; turn++) {
        if (sim_wire_wants_read(wire))
            assert_true(sim_wire_read(wire, turn));
        assert_true(sim_wire_run(wire, turn));
        while (read(peer, reply, 11) == 11)
            assert_int_equal(reply[0] << 8 | reply[1], answers++);
    }
    assert_int_equal(answers, 200);
    stop();
}

/* More than the queue holds, and then nothing more comes that would wake the wire. */
static void what_found_the_queue_full_is_answered_too(void **state)
{
    (void)state;
    uint8_t frame[12], reply[500];
    start(TRANSPORT_TCP);
    for (uint16_t i = 0; i < QUEUE_MAX + 8; i++)
        assert_int_equal(write(peer, frame, tcp_read(frame, i, 1, 1)), 12);
    assert_true(sim_wire_read(wire, 0));
    assert_true(sim_wire_run(wire, 0));
    assert_int_equal(hear(reply, sizeof reply), (QUEUE_MAX + 8) * 11);
    stop();
}

static void a_flood_is_forgotten_after_a_silence(void **state)
{
    (void)state;
    uint8_t noise[700], frame[SIM_FRAME_MAX], reply[300];
    start(TRANSPORT_RTU);
    memset(noise, 0x55, sizeof noise);
    assert_int_equal(write(peer, noise, sizeof noise), sizeof noise);
    for (int i = 0; i < 5; i++)
        assert_true(sim_wire_read(wire, 0));
    int64_t now = run_out(0);
    assert_int_equal(hear(reply, sizeof reply), 0);
    say(frame, rtu_read(frame, 1, 0, 1), now);
    run_out(now);
    assert_int_equal(hear(reply, sizeof reply), 7);
    stop();
}

static void a_late_answer_comes_after_the_next(void **state)
{
    (void)state;
    uint8_t frame[12], reply[300];
    struct sim_fault late = {
        .kind = SIM_FAULT_LATE, .for_ms = 1, .device = SIM_FAULT_ANY, .delay_ms = 500, .every = 1};
    start(TRANSPORT_TCP);
    stage.faults = (struct sim_faults){&late, 1};
    say(frame, tcp_read(frame, 1, 1, 1), 0);
    say(frame, tcp_read(frame, 2, 1, 1), 2000000);
    assert_int_equal(hear(reply, sizeof reply), 11);
    assert_int_equal(reply[1], 2);
    assert_int_equal(sim_wire_next_ns(wire), 500000000);
    run_out(2000000);
    assert_int_equal(hear(reply, sizeof reply), 11);
    assert_int_equal(reply[1], 1);
    stop();
}

/* On a bus a sensor does one thing after the other; its neighbour does not wait for it. */
static void on_a_bus_a_late_sensor_keeps_its_order(void **state)
{
    (void)state;
    uint8_t frame[SIM_FRAME_MAX], reply[300];
    struct sim_fault late = {
        .kind = SIM_FAULT_LATE, .device = SIM_FAULT_ANY, .delay_ms = 500, .every = 1};
    start(TRANSPORT_RTU);
    stage.faults = (struct sim_faults){&late, 1};
    say(frame, rtu_read(frame, 1, 0, 1), 0);
    int64_t now = 100000000;
    assert_true(sim_wire_run(wire, now)); /* the frame has ended */
    stage.faults = (struct sim_faults){0};
    say(frame, rtu_read(frame, 1, 0, 2), now);
    now += 100000000;
    assert_true(sim_wire_run(wire, now));
    assert_int_equal(hear(reply, sizeof reply), 0);
    run_out(now);
    assert_int_equal(hear(reply, sizeof reply), 7 + 9);
    assert_int_equal(reply[2], 2);
    assert_int_equal(reply[7 + 2], 4);
    stop();
}

static struct sim_fault fault_now;

static void strike_with(enum sim_fault_kind kind)
{
    fault_now = (struct sim_fault){.kind = kind,
                                   .device = SIM_FAULT_ANY,
                                   .code = EXCEPTION_ADDRESS,
                                   .address = 2,
                                   .count = 2,
                                   .every = 1};
    stage.faults = (struct sim_faults){&fault_now, 1};
}

/* Two whole frames to one question on a bus: whose come, at which time, and that they differ. */
static void two_answer_a_question(void **state)
{
    (void)state;
    static const struct {
        enum sim_fault_kind kind;
        uint8_t units[2];
    } cases[] = {{SIM_FAULT_TWIN, {1, 1}}, {SIM_FAULT_FOREIGN, {2, 1}}};
    for (size_t i = 0; i < 2; i++) {
        uint8_t frame[SIM_FRAME_MAX], reply[300];
        start(TRANSPORT_RTU);
        strike_with(cases[i].kind);
        const struct sim_frame_pace *pace = &service.pace;
        say(frame, rtu_read(frame, 1, 0, 2), 0);
        int64_t now = 0, first = 0;
        size_t heard = 0;
        for (int64_t next; (next = sim_wire_next_ns(wire)) != INT64_MAX; now = next) {
            assert_true(sim_wire_run(wire, next));
            heard += hear(reply + heard, sizeof reply - heard);
            first = heard == 9 ? next : first;
        }
        assert_int_equal(heard, 18);
        assert_int_equal(first, 17 * pace->char_ns + pace->silence_ns + pace->turnaround_ns);
        assert_int_equal(now, first + pace->silence_ns + 9 * pace->char_ns);
        for (size_t j = 0; j < 2; j++) {
            assert_int_equal(sim_frame_crc(reply + 9 * j, 9), 0);
            assert_int_equal(reply[9 * j], cases[i].units[j]);
        }
        assert_memory_not_equal(reply + 3, reply + 12, 4);
        stop();
    }
}

static void two_answer_on_tcp_too(void **state)
{
    (void)state;
    uint8_t frame[12], reply[300];
    start(TRANSPORT_TCP);
    strike_with(SIM_FAULT_TWIN);
    for (uint16_t i = 0; i < QUEUE_MAX; i++)
        assert_int_equal(write(peer, frame, tcp_read(frame, i, 1, 1)), 12);
    assert_true(sim_wire_read(wire, 0));
    assert_true(sim_wire_run(wire, 0));
    for (uint16_t i = 0; i < 2 * QUEUE_MAX; i++) {
        assert_int_equal(read(peer, reply, 11), 11);
        assert_int_equal(reply[1], i / 2);
    }
    stop();
}

static void noise_stands_before_a_whole_answer(void **state)
{
    (void)state;
    uint8_t frame[SIM_FRAME_MAX], reply[300];
    start(TRANSPORT_RTU);
    strike_with(SIM_FAULT_NOISE);
    say(frame, rtu_read(frame, 1, 0, 2), 0);
    run_out(0);
    assert_int_equal(hear(reply, sizeof reply), 9 + sizeof NOISE);
    assert_memory_equal(reply, NOISE, sizeof NOISE);
    assert_int_equal(sim_frame_crc(reply + sizeof NOISE, 9), 0);
    stop();
}

static void a_hole_is_refused_or_silent(void **state)
{
    (void)state;
    uint8_t frame[SIM_FRAME_MAX], reply[300];
    start(TRANSPORT_RTU);
    strike_with(SIM_FAULT_HOLE);
    say(frame, rtu_read(frame, 1, 0, 2), 0);
    int64_t now = run_out(0);
    assert_int_equal(hear(reply, sizeof reply), 9);
    say(frame, rtu_read(frame, 1, 0, 3), now);
    now = run_out(now);
    assert_int_equal(hear(reply, sizeof reply), 5);
    assert_int_equal(reply[1], 0x83);
    assert_int_equal(reply[2], EXCEPTION_ADDRESS);
    fault_now.silent = true;
    say(frame, rtu_read(frame, 1, 3, 1), now);
    now = run_out(now);
    assert_int_equal(hear(reply, sizeof reply), 0);
    say(frame, rtu_read(frame, 1, 4, 6), now);
    run_out(now);
    assert_int_equal(hear(reply, sizeof reply), 17);
    stop();
}

/* The exception code of an RTU answer; 0 when it has registers. */
static uint8_t refused(uint8_t function, uint16_t address, uint16_t count)
{
    struct sim_request request = {
        .unit = 1, .function = function, .address = address, .count = count};
    struct sim_answer answer;
    uint8_t pdu[SIM_FRAME_PDU_MAX];
    (void)sim_units_answer(service.units, &request, 0, pdu, &answer);
    return answer.exception;
}

static void what_cannot_be_read_is_refused(void **state)
{
    (void)state;
    start(TRANSPORT_TCP);
    assert_int_equal(refused(3, 0, 10), 0);
    assert_int_equal(refused(3, 9, 100), 0); /* one register of it is a point's */
    assert_int_equal(refused(3, 10, 1), 2);
    assert_int_equal(refused(4, 0, 1), 2);
    assert_int_equal(refused(3, 0, 0), 3);
    assert_int_equal(refused(3, 0, 126), 3);
    assert_int_equal(refused(6, 0, 1), 1);
    profile.max_registers = 5;
    assert_int_equal(refused(3, 0, 6), 3);
    profile.max_registers = 125;
    stop();
}

static void each_block_counts_for_itself(void **state)
{
    (void)state;
    start(TRANSPORT_TCP);
    for (uint32_t round = 1; round <= 50; round++) {
        for (uint16_t address = 0; address < POINTS; address++) {
            struct sim_request request = {
                .unit = 1, .function = 3, .address = (uint16_t)(address * 7 % POINTS), .count = 1};
            struct sim_answer answer;
            uint8_t pdu[SIM_FRAME_PDU_MAX];
            assert_int_equal(sim_units_answer(service.units, &request, 0, pdu, &answer), 4);
            assert_int_equal(answer.moment.counter, round);
        }
    }
    stop();
}

static void the_journal_holds_what_was_sent(void **state)
{
    (void)state;
    char path[] = "/tmp/test_sim_wire.XXXXXX", text[1000] = "", want[200];
    uint8_t frame[12], reply[300];
    int fd = mkstemp(path);
    start(TRANSPORT_TCP);
    stage.journal = sim_journal_open(path);
    say(frame, tcp_read(frame, 1, 1, 1), 0);
    assert_int_equal(hear(reply, sizeof reply), 11);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    snprintf(want, sizeof want,
             "\"line\":\"line\",\"device\":\"device\",\"unit\":1,\"function\":3,\"address\":0,"
             "\"count\":1,\"held_us\":0,\"counter\":1,\"points\":{\"p\":%d}}\n",
             reply[9] << 8 | reply[10]);
    assert_non_null(strstr(text, want));
    sim_journal_close(stage.journal);
    close(fd);
    unlink(path);
    stop();
}

/* What the exchange held the line, whoever spoke; a mute sensor only listens. */
static void the_journal_says_how_long_the_line_was_held(void **state)
{
    (void)state;
    static const struct {
        enum sim_fault_kind kind;
        int characters, silences, turnarounds;
    } cases[] = {
        {SIM_FAULT_NONE, 8 + 9, 2, 1},     {SIM_FAULT_LATE, 8 + 9, 2, 1},
        {SIM_FAULT_MUTE, 8, 1, 0},         {SIM_FAULT_EXCEPTION, 8 + 5, 2, 1},
        {SIM_FAULT_SHORT, 8 + 6, 2, 1},    {SIM_FAULT_NOISE, 8 + 3 + 9, 2, 1},
        {SIM_FAULT_FOREIGN, 8 + 18, 3, 1}, {SIM_FAULT_TWIN, 8 + 18, 3, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[] = "/tmp/test_sim_wire.XXXXXX", text[1000] = "", want[50];
        uint8_t frame[SIM_FRAME_MAX];
        int fd = mkstemp(path);
        start(TRANSPORT_RTU);
        strike_with(cases[i].kind);
        stage.journal = sim_journal_open(path);
        say(frame, rtu_read(frame, 1, 0, 2), 0);
        run_out(0);
        assert_true(read(fd, text, sizeof text - 1) > 0);
        int64_t held_ns = cases[i].characters * service.pace.char_ns +
                          cases[i].silences * service.pace.silence_ns +
                          cases[i].turnarounds * service.pace.turnaround_ns;
        snprintf(want, sizeof want, "\"held_us\":%" PRId64 ",\"", held_ns / 1000);
        if (strstr(text, want) == NULL)
            fail_msg("%s: no %s in %s", sim_fault_name(cases[i].kind), want, text);
        sim_journal_close(stage.journal);
        close(fd);
        unlink(path);
        stop();
    }
}

/* Sixty times as fast, since its own start; other registers go on as ever. */
static void a_scenario_rules_values_and_silence(void **state)
{
    static const char text[] = "scenario: test\ntitle: { zh: z, en: e }\nlasts: 1h\ntargets:\n"
                               "  - { sector: manhole, quantity: tilt, nth: 2,\n"
                               "      curve: [[0s, 0], [100s, 100]], silent: [[2m, 150s]] }\n";
    static char quantity[] = "tilt";
    (void)state;
    uint8_t frame[SIM_FRAME_MAX], reply[300];
    struct diagnostics *diagnostics = diagnostics_new();
    const int64_t begin = 5000000000;
    start(TRANSPORT_TCP);
    for (int i = 0; i < POINTS; i++)
        points[i].quantity = quantity;
    device.sector = SECTOR_MANHOLE;
    struct sim_scenario *scenario = sim_scenario_parse(
        diagnostics_source(diagnostics, "test.yaml", text, strlen(text)), &settings, diagnostics);
    assert_non_null(scenario);
    sim_units_follow(service.units, scenario);
    stage.scenario = scenario;
    stage.scenario_start_ns = begin;
    stage.speed = 60;
    uint16_t last = 0;
    for (uint16_t i = 0; i < 4; i++) {
        /* 0, 60, 120 and 180 s: the third in the silence. */
        int64_t now = begin + i * INT64_C(1000000000);
        say(frame, tcp_read(frame, i, 1, 2), now);
        run_out(now);
        size_t length = hear(reply, sizeof reply);
        assert_int_equal(length, i == 2 ? 0 : 13);
        if (i == 2)
            continue;
        assert_int_equal(reply[11] << 8 | reply[12], i == 0 ? 0 : i == 1 ? 60 : 100);
        uint16_t other = (uint16_t)(reply[9] << 8 | reply[10]);
        assert_true(i == 0 || other != last);
        last = other;
    }
    device.sector = SECTOR_UNSPECIFIED;
    stop();
    sim_scenario_free(scenario);
    diagnostics_free(diagnostics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_takes_its_line_time),
        cmocka_unit_test(silence_ends_a_frame),
        cmocka_unit_test(many_tcp_requests_at_once_are_all_answered),
        cmocka_unit_test(what_found_the_queue_full_is_answered_too),
        cmocka_unit_test(a_flood_is_forgotten_after_a_silence),
        cmocka_unit_test(a_late_answer_comes_after_the_next),
        cmocka_unit_test(on_a_bus_a_late_sensor_keeps_its_order),
        cmocka_unit_test(two_answer_a_question),
        cmocka_unit_test(two_answer_on_tcp_too),
        cmocka_unit_test(noise_stands_before_a_whole_answer),
        cmocka_unit_test(a_hole_is_refused_or_silent),
        cmocka_unit_test(what_cannot_be_read_is_refused),
        cmocka_unit_test(each_block_counts_for_itself),
        cmocka_unit_test(the_journal_holds_what_was_sent),
        cmocka_unit_test(the_journal_says_how_long_the_line_was_held),
        cmocka_unit_test(a_scenario_rules_values_and_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
