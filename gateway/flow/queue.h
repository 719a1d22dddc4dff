/* A bounded ring of samples from the lines to the pipeline. Any number of writers, one reader.
 *
 * A sample is the answer to one request. What does not fit is refused: the caller says what becomes
 * of it. Nothing is allocated after queue_new(). */
#ifndef LIFELINE_QUEUE_H
#define LIFELINE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/clock.h"
#include "proto/value.h"

struct sample {
    uint32_t block;  /* its place among the blocks of its line */
    uint16_t line;   /* the line's number, the same over a reload */
    uint16_t points; /* of the block */
    uint16_t count;  /* of values; 0 when the poll failed */
    uint8_t failure; /* enum quality of a failed poll; QUALITY_GOOD when there are values */
    uint8_t sector;
    mono_time mono; /* the moment of the reply, or of giving up */
    wall_time wall;
};

struct queue;

struct queue *queue_new(size_t bytes);
void queue_free(struct queue *queue);

/* Bytes that a sample of so many values takes. */
size_t queue_cost(uint32_t values);

/* False when it is full. */
bool queue_push(struct queue *queue, const struct sample *sample, const struct value *values)
    __attribute__((warn_unused_result));

/* Waits until there is a sample, or until the deadline, or until queue_wake(); false when there is
 * none. values must have room for as many as any block has. */
bool queue_pop(struct queue *queue, mono_time deadline, struct sample *sample,
               struct value *values);

/* Bytes that wait. */
size_t queue_used(struct queue *queue);

/* Samples that were ever pushed. */
uint64_t queue_pushed(struct queue *queue);

/* Gives it so many bytes, or as many as what waits in it needs; false without memory. */
bool queue_resize(struct queue *queue, size_t bytes) __attribute__((warn_unused_result));

/* Makes a waiting queue_pop() return. */
void queue_wake(struct queue *queue);

#endif
