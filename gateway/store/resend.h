/* What was sent once and is owed still. */
#ifndef LIFELINE_RESEND_H
#define LIFELINE_RESEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/names.h"

struct debtor;
struct receipt;
struct store;

/* Of these numbers, those that are owed are to be sent once more: now, or after a while. */
void resend_part(struct store *store, struct debtor *debtor, const struct receipt *receipt,
                 bool now);
/* A row that the broker did not take waits likewise; the third time it is never sent again. `why`:
 * for the log. Of several rows: they wait. */
void resend_misfit(struct store *store, struct debtor *debtor, const struct receipt *receipt,
                   const char *why);
/* It took them. */
void resend_fits(struct debtor *debtor, const struct receipt *receipt);
/* What waited long enough is to be sent again. */
void resend_due(struct store *store, struct debtor *debtor);
/* This uplink never gets the row: a Gap of its own says so. */
void resend_never(struct store *store, struct debtor *debtor, size_t epoch, enum sector sector,
                  uint64_t seq);

#endif
