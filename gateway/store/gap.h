/* Gaps of one uplink or of all. gap.c says who is told what. */
#ifndef LIFELINE_GAP_H
#define LIFELINE_GAP_H

#include "gateway/store/internal.h"

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
