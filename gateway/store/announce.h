/* Manifests before rows. */
#ifndef LIFELINE_ANNOUNCE_H
#define LIFELINE_ANNOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/names.h"

struct debtor;
struct doubtful;
struct parcel;
struct store;

/* A Manifest that is going out, part by part. */
struct announcement {
    size_t epoch;
    enum sector sector;
    uint32_t part; /* the next one; 0 = none is going out */
};

/* These two: true when the parcel holds the next part of a Manifest. */
bool announce_current(struct store *store, struct debtor *debtor, struct parcel *parcel);
bool announce_epoch(struct store *store, struct debtor *debtor, struct parcel *parcel, size_t epoch,
                    enum sector sector);
/* One that is in doubt, which the two above leave out; nothing else is in flight. */
bool announce_doubtful(struct store *store, struct debtor *debtor, struct parcel *parcel,
                       const struct doubtful *doubtful);
/* The Manifest in force is not what it was. */
void announce_again(struct store *store, struct debtor *debtor, enum sector sector);
/* A fresh connection was told nothing. */
void announce_renew(struct store *store, struct debtor *debtor);

#endif
