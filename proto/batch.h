/* A DataBatch by appending: the header first, then rows of the store and gaps, in any order.
 *
 *     used = batch_head(gateway, epoch, sector, out, capacity);
 *     used = batch_append(row, row_length, out, used, capacity);  ... 0 = full or not a row
 *     n = batch_gap(&gap, row, sizeof(row));  ... a row like any other
 *
 * Rows are whole `segments` and `gaps` fields, tag and length included (segment_row(),
 * batch_gap()). A bare Segment appended would parse without error into nonsense, so batch_append()
 * refuses it. */
#ifndef LIFELINE_BATCH_H
#define LIFELINE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/names.h"

struct batch_gap {
    uint64_t epoch;
    enum sector sector;
    uint64_t first_seq; /* first = last = 0: readings that were never numbered */
    uint64_t last_seq;
    int64_t from_ms;
    int64_t to_ms;
    uint64_t readings; /* 0 = unknown */
    enum gap_reason reason;
};

/* More than any header needs with an id of 32 characters. */
#define BATCH_HEAD_MAX 64

/* More than batch_gap() ever writes. */
#define BATCH_GAP_MAX 96

/* The header fields. Returns their length, or 0 when the capacity is too small. */
size_t batch_head(const char *gateway, uint64_t epoch, enum sector sector, uint8_t *out,
                  size_t capacity);

/* A DataBatch.gaps field. Returns its length, or 0 when the capacity is too small. */
size_t batch_gap(const struct batch_gap *gap, uint8_t *out, size_t capacity);

/* True when the bytes are one or more whole `segments` or `gaps` fields and nothing else. */
bool batch_rows_valid(const uint8_t *rows, size_t length);

/* Appends rows behind the used bytes of out. Returns the new used, or 0, with nothing changed, when
 * they do not fit or are not whole rows. */
size_t batch_append(const uint8_t *rows, size_t length, uint8_t *out, size_t used, size_t capacity);

#endif
