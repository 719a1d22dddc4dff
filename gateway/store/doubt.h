/* Parcels without rows on which a broker ends the connection. */
#ifndef LIFELINE_DOUBT_H
#define LIFELINE_DOUBT_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/store/rest.h"
#include "proto/names.h"

struct debtor;
struct receipt;
struct store;

/* Of the Manifest of an (epoch, sector), or of the Gaps of a sector. */
struct doubt {
    bool on;          /* goes alone */
    struct rest rest; /* on: it ended a connection all alone */
};

/* What is in doubt and to be sent now. */
struct doubtful {
    struct doubt *doubt;
    bool gaps; /* otherwise a Manifest */
    size_t epoch;
    enum sector sector;
};

/* These two: of a parcel without rows; nothing happens for another. */
void doubt_blame(struct store *store, struct debtor *debtor, const struct receipt *receipt);
void doubt_clear(struct store *store, struct debtor *debtor, const struct receipt *receipt);
/* Another was at fault. */
void doubt_acquit(const struct store *store, struct debtor *debtor);
/* A fresh connection. */
void doubt_renew(const struct store *store, struct debtor *debtor);
bool doubt_due(const struct store *store, struct debtor *debtor, struct doubtful *out);

#endif
