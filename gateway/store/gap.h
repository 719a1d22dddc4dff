/* Gaps of one uplink or of all. gap.c says who is told what. */
#ifndef LIFELINE_GAP_H
#define LIFELINE_GAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/store/commit.h"
#include "proto/names.h"

struct debtor;
struct store;

/* A Gap before it is a row for each uplink that is told of it. */
struct gap {
    uint32_t ordinal;
    enum sector sector;
    uint64_t first_seq, last_seq; /* 0 = never numbered */
    struct loss loss;
    enum gap_reason reason;
};

bool gap_of_one(struct store *store, struct debtor *debtor, const struct gap *gap);

/* For every uplink, or of numbers for those that owe them. The loss is taken for that of any part:
 * who knows it gives one number at a time. */
bool gap_of_all(struct store *store, const struct gap *gap);

/* After numbers' Gap is written: nobody owes them any more. False: no memory. */
bool gap_settle(struct store *store, size_t epoch, enum sector sector, uint64_t first_seq,
                uint64_t last_seq);

/* It was not written: they are owed still. */
void gap_undo(struct store *store);

#endif
