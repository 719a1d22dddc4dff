/* Manifests, put together part by part. */
#ifndef LIFELINE_MANIFEST_H
#define LIFELINE_MANIFEST_H

#include <stdbool.h>

struct debtor;
struct parcel;
struct store;

/* Part `parcel->part` of (parcel->epoch, parcel->sector); false: there is none. */
bool manifest_fetch(struct store *store, const struct debtor *debtor, struct parcel *parcel);

#endif
