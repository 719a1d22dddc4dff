/* window.c against a plain list of all its samples: lowest, highest and sum are exactly those of
 * the slots that are not older than the span, and so never of less than the span nor of more than
 * one slot beyond it. Random spans, gaps, equal times, long silence. Pure; no clock. LIFELINE_SEED
 * repeats a run. */
#include "drivers/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { LIVES = 3000, SAMPLES = 300 };

struct sample {
    int64_t ns;
    double value, increase;
};

struct range {
    bool has;
    double low, high, sum;
};

static int64_t random_below(int64_t limit)
{
    return ((int64_t)rand() * RAND_MAX + rand()) % limit;
}

static void include(struct range *range, const struct sample *sample)
{
    if (!range->has || sample->value < range->low)
        range->low = sample->value;
    if (!range->has || sample->value > range->high)
        range->high = sample->value;
    range->sum += sample->increase;
    range->has = true;
}

/* Of those that are `ns` old at most. */
static struct range not_older(const struct sample *samples, size_t count, int64_t now, int64_t ns)
{
    struct range range = {0};
    for (size_t i = 0; i < count; i++) {
        if (now - samples[i].ns <= ns)
            include(&range, &samples[i]);
    }
    return range;
}

/* By the words of the header. */
static struct range by_slots(const struct sample *samples, size_t count, int64_t now,
                             int64_t span_ms)
{
    struct range range = {0};
    int64_t slot = span_ms / WINDOW_SLOTS + (span_ms % WINDOW_SLOTS ? 1 : 0);
    slot = (slot > 0 ? slot : 1) * 1000000;
    for (size_t i = 0; i < count; i++) {
        int64_t end = samples[0].ns + ((samples[i].ns - samples[0].ns) / slot + 1) * slot;
        if (now - end < span_ms * 1000000)
            include(&range, &samples[i]);
    }
    return range;
}

static void check(const struct window *window, const struct sample *samples, size_t count,
                  int64_t now)
{
    struct range got = {.sum = window_sum(window)};
    got.has = window_range(window, &got.low, &got.high);
    const struct range due = by_slots(samples, count, now, window->span_ms);
    assert_int_equal(got.has, due.has);
    assert_true(got.low == due.low && got.high == due.high && got.sum == due.sum);
    int64_t span = window->span_ms * 1000000, slot = window->width_ms * 1000000;
    const struct range least = not_older(samples, count, now, span);
    const struct range most = not_older(samples, count, now, span + slot);
    assert_true(least.sum <= got.sum && got.sum <= most.sum);
    assert_true(!least.has || (got.has && got.low <= least.low && got.high >= least.high));
    assert_true(!got.has || (most.has && most.low <= got.low && most.high >= got.high));
    assert_int_equal(window_is_full(window, (mono_time){now}),
                     count > 0 && now - samples[0].ns >= span);
}

static int64_t random_gap(int64_t span_ms)
{
    int64_t span = span_ms * 1000000, slot = span / WINDOW_SLOTS + 1000000;
    switch (rand() % 8) {
    case 0:
        return 0;
    case 1:
        return span + random_below(2 * slot) - (span > slot ? slot : 0); /* about to leave */
    case 2:
        return random_below(10 * span + 1);
    case 3:
        return slot; /* every slot in use */
    case 4:
        return slot - 1000000;
    default:
        return random_below(2 * slot);
    }
}

static void one_life(int64_t span_ms)
{
    static struct sample samples[SAMPLES];
    struct window window;
    int64_t now = random_below(INT64_C(1000000000000000));
    window_start(&window, span_ms);
    check(&window, samples, 0, now);
    bool steady = rand() % 4 == 0;
    size_t count = 1 + (size_t)rand() % SAMPLES;
    for (size_t i = 0; i < count; i++) {
        now += steady ? (window.width_ms * 1000000) : random_gap(span_ms);
        samples[i] = (struct sample){now, rand() % 2001 * 0.25 - 250, rand() % 100 * 0.25};
        window_add(&window, (mono_time){now}, samples[i].value, samples[i].increase);
        check(&window, samples, i + 1, now);
        if (rand() % 8 == 0) {
            now += random_gap(span_ms);
            window_age(&window, (mono_time){now});
            check(&window, samples, i + 1, now);
        }
    }
}

static void it_agrees_with_a_list(void **state)
{
    (void)state;
    const char *given = getenv("LIFELINE_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    static const int64_t spans[] = {1,    2,     63,      64,      65,       127,
                                    1000, 60000, 3600000, 7200000, 43200000, 86400000};
    for (int life = 0; life < LIVES; life++)
        one_life(life % 2 ? spans[(size_t)rand() % (sizeof spans / sizeof *spans)]
                          : 1 + random_below(1000000));
}

/* What is said before its time (a clock that two threads read) counts in the newest slot. */
static void an_earlier_time_is_taken_for_now(void **state)
{
    (void)state;
    struct window window;
    window_start(&window, 64000);
    window_add(&window, (mono_time){INT64_C(5000000000)}, 5, 1);
    window_add(&window, (mono_time){INT64_C(9000000000)}, 6, 1);
    window_add(&window, (mono_time){INT64_C(1000000000)}, 7, 1);
    double low = 0, high = 0;
    assert_true(window_range(&window, &low, &high));
    assert_true(low == 5 && high == 7 && window_sum(&window) == 3);
    for (int i = 0; i < 200; i++)
        window_add(&window, (mono_time){INT64_C(1000000000) * -i}, 7, 1);
    assert_true(window_sum(&window) == 203 && window.count == 2);
    window_age(&window, (mono_time){INT64_C(5000000000) + INT64_C(65000000000)});
    assert_true(window_range(&window, &low, &high) && low == 6 && high == 7);
}

static void started_anew_it_knows_nothing(void **state)
{
    (void)state;
    struct window window;
    window_start(&window, 1000);
    window_add(&window, (mono_time){INT64_C(7000000000)}, 5, 1);
    window_start(&window, 1000);
    double low, high;
    assert_false(window_range(&window, &low, &high));
    assert_true(window_sum(&window) == 0);
    assert_false(window_is_full(&window, (mono_time){INT64_C(99000000000)}));
}

/* ---- over a restart ---- */

#define WALL_MS INT64_C(1782835200000)

static size_t save_some(struct window *window, uint8_t bytes[WINDOW_SAVE_MAX])
{
    window_start(window, 6400000);
    for (int minute = 0; minute < 100; minute++)
        window_add(window, (mono_time){minute * INT64_C(60000000000)}, minute, 0.5);
    return window_save(window, (mono_time){INT64_C(6000000000000)}, (wall_time){WALL_MS}, bytes,
                       WINDOW_SAVE_MAX);
}

static void it_goes_on_after_a_restart(void **state)
{
    (void)state;
    struct window window, next;
    uint8_t bytes[WINDOW_SAVE_MAX];
    size_t length = save_some(&window, bytes);
    assert_true(length > 0);
    /* five minutes later, on the clock of another boot */
    window_start(&next, 6400000);
    assert_true(window_load(&next, (mono_time){INT64_C(20000000000)}, (wall_time){WALL_MS + 300000},
                            bytes, length));
    window_age(&window, (mono_time){INT64_C(6300000000000)});
    double low, high, next_low, next_high;
    for (int minute = 0; minute < 120; minute++) {
        int64_t ns = minute * INT64_C(60000000000);
        window_add(&window, (mono_time){INT64_C(6300000000000) + ns}, minute, 0.25);
        window_add(&next, (mono_time){INT64_C(20000000000) + ns}, minute, 0.25);
        assert_true(window_range(&window, &low, &high));
        assert_true(window_range(&next, &next_low, &next_high));
        assert_true(low == next_low && high == next_high);
        assert_true(window_sum(&window) == window_sum(&next));
    }
}

/* Every length, and every byte changed: nothing is taken that is no window. */
static void hostile_bytes_are_harmless(void **state)
{
    (void)state;
    struct window window, next, fresh;
    uint8_t bytes[WINDOW_SAVE_MAX], other_bytes[WINDOW_SAVE_MAX];
    size_t length = save_some(&window, bytes);
    const mono_time now = {INT64_C(20000000000)};
    const wall_time wall = {WALL_MS};
    window_start(&fresh, 6400000);
    for (size_t cut = 0; cut < length; cut++) {
        next = fresh;
        assert_false(window_load(&next, now, wall, bytes, cut));
        assert_memory_equal(&next, &fresh, sizeof next);
    }
    for (size_t i = 0; i < length; i++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1 << bit);
            next = fresh;
            if (window_load(&next, now, wall, bytes, length)) {
                assert_true(next.count <= WINDOW_SLOTS + 1 && window_sum(&next) >= 0);
                assert_true(next.origin.ns <= now.ns);
                window_add(&next, now, 1, 1);
            }
            bytes[i] ^= (uint8_t)(1 << bit);
        }
    }
    enum { FIRST_SLOT = 18, SLOT = 32 };
    memcpy(other_bytes, bytes, length);
    memcpy(other_bytes + FIRST_SLOT + SLOT, bytes + FIRST_SLOT, 8); /* two of one number */
    next = fresh;
    assert_false(window_load(&next, now, wall, other_bytes, length));
    assert_true(window_load(&next, now, wall, bytes, length));
    struct window other;
    window_start(&other, 6400001);
    assert_false(window_load(&other, now, wall, bytes, length));
    assert_false(window_load(&next, now, (wall_time){WALL_MS - 6000001}, bytes, length));
    struct window none;
    window_start(&none, 1000);
    assert_int_equal(window_save(&none, now, wall, bytes, sizeof bytes), 0);
    assert_int_equal(window_save(&window, now, wall, bytes, length - 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_a_list),
        cmocka_unit_test(an_earlier_time_is_taken_for_now),
        cmocka_unit_test(started_anew_it_knows_nothing),
        cmocka_unit_test(it_goes_on_after_a_restart),
        cmocka_unit_test(hostile_bytes_are_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
