/* What became of what was sent: shapes for it, and what follows for what is owed. */
#ifndef LIFELINE_RECEIPT_H
#define LIFELINE_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/names.h"

struct debtor;
struct store;

enum receipt_kind {
    RECEIPT_SETTLED,
    RECEIPT_SENT,
    RECEIPT_CONFIRMED,
    RECEIPT_REFUSED,
    RECEIPT_FORBIDDEN, /* refused, and the topic is at fault */
    RECEIPT_HEARD,     /* a Manifest was acknowledged */
    RECEIPT_UNHEARD,   /* or refused */
    RECEIPT_TOO_LARGE,
    RECEIPT_BLAMED,
};

/* What an uplink says of a parcel it sent. */
struct receipt {
    enum receipt_kind kind;
    enum sector sector;
    uint64_t epoch, first_seq, last_seq, readings;
    int64_t first_gap, last_gap;
    size_t length;
    uint32_t rows;
    bool alone, live;
};

/* A row that the broker did not take: too large, or refused while others were taken. */
struct misfit {
    uint64_t epoch;
    enum sector sector;
    uint64_t seq;
    unsigned times; /* 0 = nobody */
};

enum { MISFITS = 64 };

void receipt_read(struct store *store, struct debtor *debtor, const struct receipt *receipt);

#endif
