/* The pace of history on simulated links: a link carries so many bytes a second with so much delay,
 * and whatever may be in flight is in flight. What counts is how long an acknowledgement takes, how
 * soon that is so, and that a fast link is used.
 * No clock, no socket. */
#include "gateway/uplink/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

enum { PIECES = 1024 };

struct link {
    int64_t bytes_s, delay_ms; /* there and back */
    int64_t now_us, free_us;   /* the line is busy until then */
    struct pace pace;
    struct piece {
        int64_t bytes, ahead, sent_us, back_us;
    } pieces[PIECES];
    unsigned first, last;
    int64_t in_flight, carried, slowest_ms;
};

static void start(struct link *link, int64_t bytes_s, int64_t delay_ms)
{
    *link = (struct link){.bytes_s = bytes_s, .delay_ms = delay_ms};
    pace_start(&link->pace);
    pace_round_trip(&link->pace, delay_ms);
}

static void fill(struct link *link)
{
    while (link->in_flight < link->pace.window && link->last - link->first < PIECES) {
        struct piece *piece = &link->pieces[link->last++ % PIECES];
        int64_t room = link->pace.window - link->in_flight, most = pace_parcel(&link->pace);
        piece->bytes = room < most ? room : most;
        link->in_flight += piece->bytes;
        piece->ahead = link->in_flight;
        piece->sent_us = link->now_us;
        if (link->free_us < link->now_us)
            link->free_us = link->now_us;
        link->free_us += piece->bytes * 1000000 / link->bytes_s;
        piece->back_us = link->free_us + link->delay_ms * 1000;
    }
}

/* Runs for so long; `slowest_ms` is of the last half of it. */
static void run(struct link *link, int64_t ms)
{
    int64_t end_us = link->now_us + ms * 1000, half_us = link->now_us + ms * 500;
    link->slowest_ms = 0;
    for (fill(link); link->pieces[link->first % PIECES].back_us <= end_us; fill(link)) {
        const struct piece *piece = &link->pieces[link->first++ % PIECES];
        link->now_us = piece->back_us;
        link->in_flight -= piece->bytes;
        link->carried += piece->bytes;
        int64_t took_ms = (piece->back_us - piece->sent_us) / 1000;
        if (link->now_us > half_us && took_ms > link->slowest_ms)
            link->slowest_ms = took_ms;
        const struct pace_sample sample = {piece->bytes, piece->ahead, piece->sent_us / 1000,
                                           link->now_us / 1000};
        pace_acknowledged(&link->pace, &sample);
    }
    link->now_us = end_us;
}

static void begins_with_4_KiB(void **state)
{
    struct pace pace;
    (void)state;
    pace_start(&pace);
    assert_int_equal(pace.window, 4096);
    assert_int_equal(pace.aim_ms, 200);
}

static void acknowledgements_take_a_fifth_of_a_second(void **state)
{
    static const int64_t bits_s[] = {64000, 128000, 512000, 2000000, 8000000};
    static const int64_t delays_ms[] = {0, 20, 80};
    struct link link;
    (void)state;
    for (size_t r = 0; r < sizeof bits_s / sizeof *bits_s; r++) {
        for (size_t d = 0; d < sizeof delays_ms / sizeof *delays_ms; d++) {
            start(&link, bits_s[r] / 8, delays_ms[d]);
            run(&link, 20000);
            /* or less, where the link takes all that a near broker is given */
            assert_true(link.slowest_ms >= 120 || link.pace.window == PACE_NEAR_MAX);
            assert_true(link.slowest_ms <= 420);
            assert_true(link.carried > bits_s[r] / 8 * 20 / 2);
        }
    }
}

static void loopback_is_used_to_the_full_at_once(void **state)
{
    struct link link;
    (void)state;
    start(&link, 1000000000, 0);
    run(&link, 100);
    assert_int_equal(link.pace.window, PACE_NEAR_MAX);
    assert_true(link.slowest_ms <= 1);
}

/* An alarm waits behind what is in flight: 10 ms are promised for all of its way. */
static void on_a_lan_an_alarm_does_not_wait_long(void **state)
{
    struct link link;
    (void)state;
    start(&link, 100000000 / 8, 1);
    run(&link, 10000);
    assert_true(link.slowest_ms <= 6);
    assert_true(link.carried > (int64_t)10 * 100000000 / 8 * 9 / 10);
}

static void a_long_way_is_no_slow_link(void **state)
{
    struct link link;
    (void)state;
    start(&link, 1000000, 600);
    run(&link, 60000);
    assert_int_equal(link.pace.window, PACE_MAX); /* bounded by memory */
    assert_true(link.carried > 60 * 200000);
    start(&link, 8000, 2000);
    run(&link, 60000);
    assert_in_range(link.slowest_ms, 2000, 2300);
    assert_true(link.carried > 60 * 2000);
}

static void a_link_that_changes_is_followed(void **state)
{
    struct link link;
    (void)state;
    start(&link, 1000000, 20);
    run(&link, 5000);
    link.bytes_s = 8000;
    run(&link, 60000); /* what was under way needs up to 25 s */
    run(&link, 20000);
    assert_in_range(link.slowest_ms, 120, 420);
    link.bytes_s = 1000000;
    run(&link, 4000);
    assert_true(link.pace.window > 100000);
}

static void what_does_not_fill_the_window_widens_nothing(void **state)
{
    struct pace pace;
    (void)state;
    pace_start(&pace);
    for (int i = 0; i < 100; i++) {
        const struct pace_sample sample = {10, 10, i * 100, i * 100 + 50};
        pace_acknowledged(&pace, &sample);
    }
    assert_int_equal(pace.window, 4096);
}

static void never_below_a_row_nor_above_the_memory(void **state)
{
    struct pace pace;
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    pace_start(&pace);
    for (int64_t i = 0, now = 0; i < 100000; i++, now += rand() % 100) {
        const struct pace_sample sample = {rand() % 65536, rand() % (1 << 20),
                                           now - rand() % 100000, now + rand() % 10 - 5};
        pace_acknowledged(&pace, &sample);
        assert_in_range(pace.window, PACE_MIN, PACE_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_with_4_KiB),
        cmocka_unit_test(acknowledgements_take_a_fifth_of_a_second),
        cmocka_unit_test(loopback_is_used_to_the_full_at_once),
        cmocka_unit_test(on_a_lan_an_alarm_does_not_wait_long),
        cmocka_unit_test(a_long_way_is_no_slow_link),
        cmocka_unit_test(a_link_that_changes_is_followed),
        cmocka_unit_test(what_does_not_fill_the_window_widens_nothing),
        cmocka_unit_test(never_below_a_row_nor_above_the_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
