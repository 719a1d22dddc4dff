/* retry.c: an uplink to which this and that happens, and a city of ten thousand that loses its
 * first broker, with a word or without, and comes to the second.
 *
 * Each test is a story of ends; looked at are the next broker and the pause before it. The cities
 * are simulations in which every connect to the second is counted in its second.
 * Pure; no clock, no socket. LIFELINE_SEED repeats a run. */
#include "gateway/uplink/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { CITY = 10000, SPREAD_MS = 60000, QUARTER_MS = SPREAD_MS / 4, SECONDS = 120 };

static const struct retry_end refused = {.cause = BACKOFF_BROKER};
static const struct retry_end unheard = {.cause = BACKOFF_LINK};
static const struct retry_end ended = {.cause = BACKOFF_BROKER, .was_up = true};
static const struct retry_end steady_ended = {
    .cause = BACKOFF_BROKER, .was_up = true, .steady = true};
static const struct retry_end fell_silent = {.cause = BACKOFF_LINK, .was_up = true, .steady = true};
static const struct retry_end narrowing = {
    .cause = BACKOFF_BROKER, .was_up = true, .narrowing = true};

static uint64_t seed;

static uint64_t random_bits(void)
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* The longest pause that may follow, and on a copy, so that the story goes on as it did. */
static uint32_t most_ms(const struct retry *retry, struct retry_end end)
{
    struct retry copy = *retry;
    return retry_after(&copy, &end, SPREAD_MS, UINT64_MAX);
}

static void to_another_over_a_quarter(void **state)
{
    (void)state;
    struct retry retry;
    retry_start(&retry, 2);
    assert_in_range(most_ms(&retry, ended), QUARTER_MS - 1, QUARTER_MS);
    (void)retry_after(&retry, &ended, SPREAD_MS, random_bits());
    assert_int_equal(retry.route.url, 1);
    retry_steady(&retry); /* from the second, when it is lost, to the first */
    assert_in_range(most_ms(&retry, steady_ended), QUARTER_MS - 1, QUARTER_MS);
    (void)retry_after(&retry, &steady_ended, SPREAD_MS, random_bits());
    assert_int_equal(retry.route.url, 0);
}

static void a_hurried_pause_has_waited_for_its_cause(void **state)
{
    (void)state;
    struct retry retry;
    retry_start(&retry, 1);
    assert_in_range(most_ms(&retry, narrowing), SPREAD_MS / 2, SPREAD_MS / 2 + 1000);
    (void)retry_after(&retry, &narrowing, SPREAD_MS, random_bits());
    assert_int_equal(retry.route.url, 0);
    struct retry_end silent = {.cause = BACKOFF_LINK, .was_up = true};
    assert_in_range(most_ms(&retry, silent), 1499, 1500); /* our own link, later on */
}

/* A broker that does not take back whom it sent away in a hurry is down, not poisoned. */
static void who_is_refused_does_not_hurry_on(void **state)
{
    (void)state;
    static const struct retry_end *const refusals[] = {&refused, &unheard};
    for (size_t i = 0; i < 2; i++) {
        struct retry retry;
        retry_start(&retry, 1);
        (void)retry_after(&retry, &narrowing, SPREAD_MS, random_bits());
        assert_in_range(most_ms(&retry, *refusals[i]), SPREAD_MS - 1, SPREAD_MS);
        (void)retry_after(&retry, refusals[i], SPREAD_MS, random_bits());
        assert_in_range(most_ms(&retry, narrowing), SPREAD_MS, 3 * SPREAD_MS / 2); /* no hurry */
        retry_steady(&retry);
        assert_in_range(most_ms(&retry, narrowing), SPREAD_MS / 2, SPREAD_MS / 2 + 1000);
    }
}

static void what_is_taken_back_hurries_on(void **state)
{
    (void)state;
    struct retry retry;
    retry_start(&retry, 1);
    for (int i = 0; i < BACKOFF_HURRIES; i++) {
        if (i == 3) /* asked in another way first */
            (void)retry_after(&retry, &(struct retry_end){.cause = BACKOFF_BROKER, .again = true},
                              SPREAD_MS, random_bits());
        assert_in_range(most_ms(&retry, narrowing), SPREAD_MS / 2, SPREAD_MS / 2 + 1000);
        (void)retry_after(&retry, &narrowing, SPREAD_MS, random_bits());
    }
    assert_in_range(most_ms(&retry, narrowing), SPREAD_MS - 1, SPREAD_MS);
}

/* All lose the first broker at 0 in the given way, and find it dead until they are at the second.
 */
static void city(const char *what, const struct retry_end *loss, const struct retry_end *failure,
                 uint32_t within_ms)
{
    static uint32_t arrivals[SECONDS];
    uint32_t most = 0, last_ms = 0;
    memset(arrivals, 0, sizeof arrivals);
    for (int g = 0; g < CITY; g++) {
        struct retry retry;
        retry_start(&retry, 2);
        if (loss->steady)
            retry_steady(&retry);
        uint32_t at_ms = retry_after(&retry, loss, SPREAD_MS, random_bits());
        while (retry.route.url == 0)
            at_ms += retry_after(&retry, failure, SPREAD_MS, random_bits());
        assert_in_range(at_ms / 1000, 0, SECONDS - 1);
        arrivals[at_ms / 1000]++;
        last_ms = at_ms > last_ms ? at_ms : last_ms;
    }
    for (int s = 0; s < SECONDS; s++)
        most = arrivals[s] > most ? arrivals[s] : most;
    print_message("%s: at most %u in a second at the second broker, all within %u ms\n", what, most,
                  last_ms);
    assert_in_range(most, 1, 2 * CITY / (QUARTER_MS / 1000));
    assert_in_range(last_ms, 0, within_ms);
}

static void a_city_moves_to_the_second(void **state)
{
    (void)state;
    city("a crash", &steady_ended, &refused, SPREAD_MS + 1500);
    city("a crash, soon after the connect", &ended, &refused, QUARTER_MS + 1500);
    city("silence", &fell_silent, &unheard, 3 * QUARTER_MS / 2 + 1500);
    city("a crash while all had a suspicion", &narrowing, &refused,
         SPREAD_MS / 2 + QUARTER_MS + 1500);
}

int main(void)
{
    const char *given = getenv("LIFELINE_SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("LIFELINE_SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(to_another_over_a_quarter),
        cmocka_unit_test(a_hurried_pause_has_waited_for_its_cause),
        cmocka_unit_test(who_is_refused_does_not_hurry_on),
        cmocka_unit_test(what_is_taken_back_hurries_on),
        cmocka_unit_test(a_city_moves_to_the_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
