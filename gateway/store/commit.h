/* One transaction: bodies, numbers, Gaps, what the uplinks owe. Times are wall milliseconds of
 * samples. False: not written. */
#ifndef LIFELINE_COMMIT_H
#define LIFELINE_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/names.h"

struct store;

/* One body on its way from the pipeline to the disk. */
struct body {
    struct body *next;
    uint32_t part;
    enum sector sector;
    int64_t first_ms, last_ms; /* of its earliest and its latest reading */
    uint32_t readings;
    bool closed;
    uint64_t seq; /* given by the transaction, under */
    size_t epoch; /* this one (index) */
    uint32_t crc;
    size_t length, capacity;
    uint8_t *bytes;
};

struct loss {
    bool any; /* a clock may stand at 0, or before it */
    uint64_t readings;
    int64_t from_ms, to_ms;
};

/* Numbers that were given and not committed are taken back. */
void commit_take_back(struct store *store);
/* LIFELINE_TEST_JOURNAL: the rows of an epoch that came to the disk from somewhere else. */
void commit_journal_epoch(struct store *store, size_t epoch);
bool commit_all(struct store *store, bool clean);
/* The same in two halves, inside somebody else's transaction: the statements, and after its COMMIT
 * what memory has to know. */
bool commit_write(struct store *store);
void commit_done(struct store *store);
/* A body that is still open, as it stands, under the epoch in force. */
bool commit_put_open(struct store *store, struct body *body);
/* What stands open on the disk from now on; is it this, as it was read there? */
void commit_note_open(struct store *store, const struct body *body);
bool commit_is_newest(const struct store *store, const struct body *body);
void commit_free_bodies(struct body *body);
/* From when on samples of the sector were still to be written when the disk was written last; 0 = a
 * sync ended whole. */
int64_t commit_behind(struct store *store, enum sector sector);
/* There are losses that no Gap on disk tells of yet. */
bool commit_losing(const struct store *store);
bool commit_reserve_row(struct store *store, size_t size);
void commit_loss(struct loss *loss, int64_t from_ms, int64_t to_ms, uint64_t readings);

#endif
