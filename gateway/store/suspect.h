/* Rows on which a broker ends the connection. Numbers are those of rows (seq), inclusive. */
#ifndef LIFELINE_SUSPECT_H
#define LIFELINE_SUSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/store/ranges.h"
#include "gateway/store/store.h"

struct debtor;
struct receipt;

/* Rows that were in flight when the broker ended the connection. suspect.c says what becomes of
 * them. */
struct suspect {
    uint64_t epoch;
    enum sector sector;
    uint64_t first_seq, last_seq; /* last 0 = nobody */
    bool convicted;               /* ended a connection all alone: it is one of these */
    bool whole;      /* no row is at fault, the sector is refused; first_seq is tried next */
    unsigned trials; /* of a single row */
    uint64_t reach;  /* bytes that a connection carried up to its end with it; the least */
};

/* A parcel of a suspect that is to go alone. */
struct trial {
    struct suspect *suspect;
    enum parcel_kind kind;
    size_t epoch;
    struct range wanted;
    unsigned rows; /* at most */
};

/* As many as may be in flight, and a few single rows in their trials. */
enum { SUSPECTS = STORE_WINDOW + 4 };

void suspect_blame(struct store *store, struct debtor *debtor, const struct receipt *receipt);
/* A parcel was alone when the connection ended: no other one was at fault. */
void suspect_acquit(const struct store *store, struct debtor *debtor);
/* The broker lived through it. */
void suspect_clear(struct store *store, struct debtor *debtor, const struct receipt *receipt);
/* The broker ends the connection on anything of the sector. */
bool suspect_is_whole(const struct debtor *debtor, enum sector sector);
/* A fresh connection; after backlog_renew(). */
void suspect_renew(struct store *store, struct debtor *debtor);
/* What is to be sent now, alone; owed, and of an epoch within reach. False: nothing. */
bool suspect_due(const struct store *store, struct debtor *debtor, struct trial *out);
/* Ends the range in front of the next suspect. False: it begins with one. */
bool suspect_spare(const struct debtor *debtor, uint64_t epoch, enum sector sector,
                   struct range *range);

#endif
