/* queue.c: four writers, one reader, a ring that is too small.
 * Every sample that was taken comes out once, whole, in the order of its writer; what did not fit
 * was refused, so that taken + refused is what was written. Deadlines and queue_wake() end a wait.
 * Under TSan too. */
#include "gateway/flow/queue.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <cmocka.h>

enum { WRITERS = 4, SAMPLES = 20000, VALUES_MAX = 50 };

struct writer {
    pthread_t thread;
    struct queue *queue;
    uint32_t number;
    uint32_t refused;
};

static atomic_int writing;

/* The values say who wrote them and which sample it was. */
static void *write_all(void *argument)
{
    struct writer *writer = argument;
    struct value values[VALUES_MAX];
    unsigned seed = writer->number;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        struct sample sample = {.block = writer->number,
                                .count = (uint16_t)(rand_r(&seed) % (VALUES_MAX + 1)),
                                .mono = {i}};
        for (uint16_t v = 0; v < sample.count; v++)
            values[v] = (struct value){.steps = (int64_t)i * WRITERS + writer->number};
        writer->refused += !queue_push(writer->queue, &sample, values);
    }
    atomic_fetch_sub(&writing, 1);
    return NULL;
}

static void all_that_was_taken_comes_out_once(void **state)
{
    (void)state;
    struct queue *queue = queue_new(8000);
    struct writer writers[WRITERS] = {0};
    int64_t newest[WRITERS];
    uint32_t taken[WRITERS] = {0};
    atomic_store(&writing, WRITERS);
    for (uint32_t w = 0; w < WRITERS; w++) {
        newest[w] = -1;
        writers[w] = (struct writer){.queue = queue, .number = w};
        assert_int_equal(pthread_create(&writers[w].thread, NULL, write_all, &writers[w]), 0);
    }
    struct sample sample;
    struct value values[VALUES_MAX];
    for (;;) {
        bool last = atomic_load(&writing) == 0;
        if (!queue_pop(queue, clock_after_ms(clock_mono(), 10), &sample, values)) {
            if (last)
                break;
            continue;
        }
        assert_in_range(sample.block, 0, WRITERS - 1);
        assert_true(sample.mono.ns > newest[sample.block]);
        newest[sample.block] = sample.mono.ns;
        taken[sample.block]++;
        for (uint16_t v = 0; v < sample.count; v++)
            assert_int_equal(values[v].steps, sample.mono.ns * WRITERS + sample.block);
    }
    uint32_t all = 0;
    for (uint32_t w = 0; w < WRITERS; w++) {
        pthread_join(writers[w].thread, NULL);
        assert_int_equal(taken[w] + writers[w].refused, SAMPLES);
        all += taken[w];
    }
    assert_true(all > 0);
    queue_free(queue);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct queue *queue = queue_new(4 * queue_cost(10));
    struct value values[10] = {0};
    struct sample sample = {.count = 10}, out;
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < 4; i++)
            assert_true(queue_push(queue, &sample, values));
        assert_false(queue_push(queue, &sample, values));
        for (int i = 0; i < 4; i++)
            assert_true(queue_pop(queue, (mono_time){0}, &out, values));
        assert_false(queue_pop(queue, (mono_time){0}, &out, values));
    }
    queue_free(queue);
}

/* Longer or shorter, with records of all lengths on both sides of the ring's end. */
static void another_size_loses_nothing(void **state)
{
    (void)state;
    struct queue *queue = queue_new(8 * queue_cost(10));
    struct value values[10] = {0};
    int64_t in = 0, out_next = 0;
    struct sample out;
    for (int round = 0; round < 2000; round++) {
        struct sample sample = {.count = (uint16_t)(round % 11), .mono = {in}};
        for (int i = 0; i < sample.count; i++)
            values[i].steps = in + i;
        in += queue_push(queue, &sample, values);
        if (round % 3 != 0 && queue_pop(queue, (mono_time){0}, &out, values)) {
            assert_int_equal(out.mono.ns, out_next++);
            for (int i = 0; i < out.count; i++)
                assert_int_equal(values[i].steps, out.mono.ns + i);
        }
        if (round % 7 == 0)
            assert_true(queue_resize(queue, (size_t)(round % 5) * queue_cost(10)));
        if (round % 7 == 3)
            assert_true(queue_resize(queue, 8 * queue_cost(10)));
    }
    while (queue_pop(queue, (mono_time){0}, &out, values))
        assert_int_equal(out.mono.ns, out_next++);
    assert_int_equal(out_next, in);
    assert_int_equal(queue_pushed(queue), (uint64_t)in);
    assert_true(in > 1000);
    queue_free(queue);
}

static void *wake_up(void *queue)
{
    queue_wake(queue);
    return NULL;
}

static void a_wait_ends(void **state)
{
    (void)state;
    struct queue *queue = queue_new(1000);
    struct sample out;
    struct value value;
    mono_time begin = clock_mono();
    assert_false(queue_pop(queue, clock_after_ms(begin, 20), &out, &value));
    assert_true(clock_ms_between(begin, clock_mono()) >= 20);
    pthread_t thread;
    begin = clock_mono();
    assert_int_equal(pthread_create(&thread, NULL, wake_up, queue), 0);
    assert_false(queue_pop(queue, clock_after_ms(begin, 60000), &out, &value));
    assert_true(clock_ms_between(begin, clock_mono()) < 30000);
    pthread_join(thread, NULL);
    queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_was_taken_comes_out_once),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(another_size_loses_nothing),
        cmocka_unit_test(a_wait_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
