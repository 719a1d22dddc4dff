/* Readings of a clock that was never set: held back, and corrected when it is. */
#ifndef LIFELINE_HOLD_H
#define LIFELINE_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/names.h"

struct body;
struct range;
struct store;
struct store_status;

void hold_recover(struct store *store);
/* A body that is about to become a row, its number given: corrected, or held back from here on. */
void hold_body(struct store *store, struct body *body);
/* Cuts off what is held back; false when that is all of it. */
bool hold_limit(const struct store *store, size_t epoch, enum sector sector, struct range *range);
/* The same of the sector's Gaps: true when they wait. */
bool hold_gaps(const struct store *store, enum sector sector);
/* Rows that leave the store now stay as they are. False: the disk could not be told. */
bool hold_hand_out(struct store *store, size_t epoch, enum sector sector, uint64_t first,
                   uint64_t last);
bool hold_is_on(const struct store *store);
/* Corrects a slice of what is held when the clock is set. True when there is more to correct. */
bool hold_run(struct store *store);
void hold_report(struct store *store, struct store_status *out);

#endif
