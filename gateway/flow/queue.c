/* The ring between the line threads and the pipeline thread: one mutex, records of their own
 * length. Lines write, the pipeline reads; owns its memory, allocated once. A record never wraps:
 * where the end is too near, the rest is marked as skipped. The reader is woken only when it waits,
 * so a busy pipeline costs the lines no system call. Never drops anything by itself. */
#include "gateway/flow/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/thread.h"

struct record {
    uint32_t size; /* of the whole record, a multiple of HEAD */
    bool skip;     /* only fills the end of the ring */
    struct sample sample;
};

/* Bytes of a record that hold its size and whether it is skipped: so much fits always. */
enum { HEAD = 8 };

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    bool waiting, woken;
    size_t capacity, head, used; /* head: where the oldest record begins */
    uint8_t *bytes;
    uint64_t pushed;
};

static size_t aligned(size_t bytes)
{
    return (bytes + HEAD - 1) / HEAD * HEAD;
}

size_t queue_cost(uint32_t values)
{
    return aligned(sizeof(struct record) + values * sizeof(struct value));
}

struct queue *queue_new(size_t bytes)
{
    struct queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    queue->capacity = aligned(bytes);
    queue->bytes = malloc(queue->capacity);
    pthread_mutex_init(&queue->mutex, NULL);
    thread_cond_init(&queue->filled);
    if (!queue->bytes) {
        queue_free(queue);
        return NULL;
    }
    return queue;
}

void queue_free(struct queue *queue)
{
    if (!queue)
        return;
    pthread_cond_destroy(&queue->filled);
    pthread_mutex_destroy(&queue->mutex);
    free(queue->bytes);
    free(queue);
}

static void write_record(struct queue *queue, size_t at, const struct record *record,
                         const struct value *values)
{
    memcpy(queue->bytes + at, record, sizeof *record);
    if (record->sample.count)
        memcpy(queue->bytes + at + sizeof *record, values, record->sample.count * sizeof *values);
    queue->used += record->size;
}

static bool push(struct queue *queue, const struct sample *sample, const struct value *values)
{
    struct record record = {.size = (uint32_t)queue_cost(sample->count), .sample = *sample};
    size_t tail = (queue->head + queue->used) % queue->capacity;
    size_t to_end = queue->capacity - tail;
    size_t skipped = record.size > to_end ? to_end : 0;
    if (queue->used + skipped + record.size > queue->capacity)
        return false;
    if (skipped) {
        /* the end may be shorter than a record */
        struct record skip = {.size = (uint32_t)to_end, .skip = true};
        memcpy(queue->bytes + tail, &skip, HEAD);
        queue->used += skipped;
        tail = 0;
    }
    write_record(queue, tail, &record, values);
    return true;
}

bool queue_push(struct queue *queue, const struct sample *sample, const struct value *values)
{
    pthread_mutex_lock(&queue->mutex);
    bool ok = push(queue, sample, values);
    queue->pushed += ok;
    bool waiting = queue->waiting;
    pthread_mutex_unlock(&queue->mutex);
    if (waiting)
        pthread_cond_signal(&queue->filled);
    return ok;
}

static void advance(struct queue *queue, size_t size)
{
    queue->head = (queue->head + size) % queue->capacity;
    queue->used -= size;
    if (!queue->used)
        queue->head = 0; /* an idle queue stays in the same few pages of memory */
}

static bool pop(struct queue *queue, struct sample *sample, struct value *values)
{
    struct record record;
    if (!queue->used)
        return false;
    memcpy(&record, queue->bytes + queue->head, HEAD);
    if (record.skip)
        advance(queue, record.size);
    memcpy(&record, queue->bytes + queue->head, sizeof record);
    *sample = record.sample;
    if (sample->count)
        memcpy(values, queue->bytes + queue->head + sizeof record, sample->count * sizeof *values);
    advance(queue, record.size);
    return true;
}

static void wait_filled(struct queue *queue, mono_time deadline)
{
    queue->waiting = true;
    while (!queue->used && !queue->woken && thread_wait(&queue->filled, &queue->mutex, deadline))
        ;
    queue->waiting = false;
    queue->woken = false;
}

bool queue_pop(struct queue *queue, mono_time deadline, struct sample *sample, struct value *values)
{
    pthread_mutex_lock(&queue->mutex);
    if (!queue->used && deadline.ns > clock_mono().ns)
        wait_filled(queue, deadline);
    bool ok = pop(queue, sample, values);
    pthread_mutex_unlock(&queue->mutex);
    return ok;
}

size_t queue_used(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    size_t used = queue->used;
    pthread_mutex_unlock(&queue->mutex);
    return used;
}

uint64_t queue_pushed(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    uint64_t pushed = queue->pushed;
    pthread_mutex_unlock(&queue->mutex);
    return pushed;
}

/* Moves the records to the front of another memory, without the ends that were skipped. */
static bool resize(struct queue *queue, size_t capacity)
{
    uint8_t *bytes = malloc(capacity);
    size_t used = 0;
    if (!bytes)
        return false;
    while (queue->used) {
        struct record record;
        memcpy(&record, queue->bytes + queue->head, HEAD);
        if (!record.skip) {
            memcpy(bytes + used, queue->bytes + queue->head, record.size);
            used += record.size;
        }
        advance(queue, record.size);
    }
    free(queue->bytes);
    queue->bytes = bytes;
    queue->capacity = capacity;
    queue->head = 0;
    queue->used = used;
    return true;
}

bool queue_resize(struct queue *queue, size_t bytes)
{
    pthread_mutex_lock(&queue->mutex);
    size_t capacity = bytes > HEAD ? aligned(bytes) : HEAD;
    if (capacity < queue->used)
        capacity = queue->used;
    bool ok = capacity == queue->capacity || resize(queue, capacity);
    pthread_mutex_unlock(&queue->mutex);
    return ok;
}

void queue_wake(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->woken = true;
    pthread_mutex_unlock(&queue->mutex);
    pthread_cond_signal(&queue->filled);
}
