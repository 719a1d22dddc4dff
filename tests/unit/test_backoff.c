/* backoff.c: one gateway alone, and a city of them that loses its broker at one moment.
 *
 * The city is a simulation: ten thousand gateways with a random generator each, a broker that is
 * away for a while and refuses, or is silent, meanwhile; every connect is counted in its second.
 * Pure; no clock, no socket. LIFELINE_SEED repeats a run. */
#include "gateway/uplink/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { CITY = 10000, SPREAD_MS = 60000, SECONDS = 1200 };

static uint64_t seed;

static uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void our_own_link_is_tried_again_soon(void **state)
{
    (void)state;
    struct backoff backoff = {0};
    for (uint32_t least_ms = 1000; least_ms <= 32000; least_ms *= 2) {
        struct backoff again = backoff;
        assert_int_equal(backoff_next(&again, BACKOFF_LINK, SPREAD_MS, 0), least_ms);
        uint32_t most_ms = backoff_next(&backoff, BACKOFF_LINK, SPREAD_MS, UINT64_MAX);
        assert_in_range(most_ms, least_ms + least_ms / 2 - 1, least_ms + least_ms / 2);
    }
    for (int i = 0; i < 300; i++) {
        uint32_t pause_ms = backoff_next(&backoff, BACKOFF_LINK, SPREAD_MS, random_bits(&seed));
        assert_in_range(pause_ms, 40000, BACKOFF_MAX_MS);
    }
}

static void a_broker_that_went_down_is_left_alone_for_its_share(void **state)
{
    (void)state;
    struct backoff backoff = {0};
    assert_int_equal(backoff_next(&backoff, BACKOFF_BROKER, SPREAD_MS, 0), 1000);
    backoff.failures = 0;
    uint32_t most_ms = backoff_next(&backoff, BACKOFF_BROKER, SPREAD_MS, UINT64_MAX);
    assert_in_range(most_ms, SPREAD_MS - 1, SPREAD_MS);
    assert_int_equal(backoff_next(&backoff, BACKOFF_BROKER, SPREAD_MS, 0), SPREAD_MS / 2);
    backoff.failures = 20; /* the doubling goes on underneath, whatever the spread */
    assert_in_range(backoff_next(&backoff, BACKOFF_BROKER, 1000, random_bits(&seed)), 40000, 60000);
    for (uint32_t spread_ms = 0; spread_ms <= 1001; spread_ms++) {
        backoff.failures = 0;
        uint32_t pause_ms = backoff_next(&backoff, BACKOFF_BROKER, spread_ms, random_bits(&seed));
        assert_in_range(pause_ms, 1000, 1500);
    }
}

static void who_took_our_place_is_not_fought(void **state)
{
    (void)state;
    struct backoff backoff = {0};
    for (int i = 0; i < 100; i++)
        assert_in_range(backoff_next(&backoff, BACKOFF_TAKEN, 0, random_bits(&seed)), 60000,
                        120000);
}

static void nobody_comes_twice_in_a_second(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t random = random_bits(&seed);
        struct backoff backoff = {.failures = (uint32_t)(random % 70)};
        enum backoff_cause cause = (enum backoff_cause)(random >> 8) % 3;
        uint32_t spread_ms = (uint32_t)(random >> 16) % 600001;
        uint32_t pause_ms = backoff_next(&backoff, cause, spread_ms, random_bits(&seed));
        assert_in_range(pause_ms, BACKOFF_MIN_MS, 900000);
        assert_in_range(backoff_step(random_bits(&seed)), 1000, 1500);
    }
}

/* Not before one row among thousands is found by halves, and then within minutes. */
static void hurrying_ends(void **state)
{
    enum { LONGEST_MS = 1000 + SPREAD_MS / 2, HALVES = 12, MINUTES = 10 };
    (void)state;
    struct backoff backoff = {0};
    uint32_t hurries = 0;
    for (uint32_t pause_ms; (pause_ms = backoff_hurry(&backoff, SPREAD_MS, random_bits(&seed)));) {
        assert_in_range(pause_ms, 1000, LONGEST_MS);
        assert_in_range(++hurries, 1, MINUTES * 60000 / LONGEST_MS);
    }
    assert_in_range(hurries, HALVES + 1, UINT32_MAX);
    assert_int_equal(backoff_next(&backoff, BACKOFF_LINK, SPREAD_MS, 0), BACKOFF_MIN_MS);
    assert_int_equal(backoff_hurry(&backoff, SPREAD_MS, 0), 0);
}

static void a_small_fleet_hurries_by_steps(void **state)
{
    (void)state;
    struct backoff backoff = {0};
    for (int i = 0; i < BACKOFF_HURRIES; i++)
        assert_in_range(backoff_hurry(&backoff, 0, random_bits(&seed)), 1000, 1500);
}

/* Everybody loses the broker at 0; it refuses until `away_ms`. */
static void city(uint32_t away_ms)
{
    static uint32_t connects[SECONDS];
    uint32_t most = 0, last_ms = 0;
    memset(connects, 0, sizeof connects);
    for (int g = 0; g < CITY; g++) {
        struct backoff backoff = {0};
        uint32_t at_ms = 0;
        do {
            at_ms += backoff_next(&backoff, BACKOFF_BROKER, SPREAD_MS, random_bits(&seed));
            assert_in_range(at_ms / 1000, 0, SECONDS - 1);
            connects[at_ms / 1000]++;
        } while (at_ms < away_ms);
        last_ms = at_ms > last_ms ? at_ms : last_ms;
    }
    for (int s = 0; s < SECONDS; s++)
        most = connects[s] > most ? connects[s] : most;
    print_message("away %u ms: at most %u connects in a second, all back %u ms after it\n", away_ms,
                  most, last_ms - away_ms);
    assert_in_range(most, 1, 3 * CITY / (SPREAD_MS / 1000));
    assert_in_range(last_ms - away_ms, 0, 2 * SPREAD_MS);
}

static void a_city_comes_back_over_a_minute(void **state)
{
    (void)state;
    city(100);
    city(10000);
    city(600000);
}

/* A broker that dies every ten seconds, and is there again at once: who comes back sends what it
 * had in flight alone, and hurries if that is when it dies. */
static uint32_t most_connects(uint32_t alone_ms)
{
    enum { DEATH_MS = 10000, DEATHS = 30 };
    static uint32_t connects[SECONDS];
    uint32_t most = 0;
    memset(connects, 0, sizeof connects);
    for (int g = 0; g < CITY; g++) {
        struct backoff backoff = {0};
        uint32_t at_ms = 0, death_ms = 0;
        bool alone = false;
        while (death_ms <= DEATHS * DEATH_MS) {
            uint32_t pause_ms = alone ? backoff_hurry(&backoff, SPREAD_MS, random_bits(&seed)) : 0;
            if (pause_ms == 0)
                pause_ms = backoff_next(&backoff, BACKOFF_BROKER, SPREAD_MS, random_bits(&seed));
            at_ms = death_ms + pause_ms;
            assert_in_range(at_ms / 1000, 0, SECONDS - 1);
            connects[at_ms / 1000]++;
            death_ms = (at_ms / DEATH_MS + 1) * DEATH_MS;
            alone = death_ms - at_ms < alone_ms;
        }
    }
    for (int s = 0; s < SECONDS; s++)
        most = connects[s] > most ? connects[s] : most;
    print_message("alone for %u ms: at most %u connects in a second\n", alone_ms, most);
    return most;
}

/* A broker that acknowledges slowly leaves everybody alone for long. */
static void a_broker_that_dies_again_sees_no_herd(void **state)
{
    (void)state;
    static const uint32_t alone_ms[] = {1000, 4000, 10001};
    for (size_t i = 0; i < sizeof alone_ms / sizeof *alone_ms; i++)
        assert_in_range(most_connects(alone_ms[i]), 1, 4 * CITY / (SPREAD_MS / 1000));
}

int main(void)
{
    const char *given = getenv("LIFELINE_SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("LIFELINE_SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_own_link_is_tried_again_soon),
        cmocka_unit_test(a_broker_that_went_down_is_left_alone_for_its_share),
        cmocka_unit_test(who_took_our_place_is_not_fought),
        cmocka_unit_test(nobody_comes_twice_in_a_second),
        cmocka_unit_test(hurrying_ends),
        cmocka_unit_test(a_small_fleet_hurries_by_steps),
        cmocka_unit_test(a_city_comes_back_over_a_minute),
        cmocka_unit_test(a_broker_that_dies_again_sees_no_herd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
