/* Rows into parcels. False: nothing to send now; a parcel is filled whole or stays empty. */
#ifndef LIFELINE_FETCH_H
#define LIFELINE_FETCH_H

#include <stdbool.h>
#include <stddef.h>

struct debtor;
struct parcel;
struct store;

/* idle: nothing of this uplink is in flight. */
bool fetch_data(struct store *store, struct debtor *debtor, struct parcel *parcel, bool live_only,
                bool idle);
size_t fetch_limit(const struct debtor *debtor); /* bytes of a payload */
bool fetch_reserve(struct parcel *parcel, size_t size);

#endif
