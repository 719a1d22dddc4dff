/* Rows into parcels. False: nothing to send now; a parcel is filled whole or stays empty. */
#ifndef LIFELINE_FETCH_H
#define LIFELINE_FETCH_H

#include <stdbool.h>
#include <stddef.h>

struct debtor;
struct parcel;
struct store;
struct trial;

/* idle: nothing of this uplink is in flight. */
bool fetch_data(struct store *store, struct debtor *debtor, struct parcel *parcel, bool live_only,
                bool idle);

/* Whether the next number of its stream, live or else the oldest, is one of the wanted: from there
 * on, and as what. */
bool fetch_turn(const struct store *store, const struct debtor *debtor, struct trial *trial);
size_t fetch_limit(const struct debtor *debtor); /* bytes of a payload */
bool fetch_reserve(struct parcel *parcel, size_t size);

#endif
