/* Batches on which a broker ends the connection. Numbers are those of rows (seq), inclusive. */
#ifndef LIFELINE_SUSPECT_H
#define LIFELINE_SUSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/names.h"

struct debtor;
struct receipt;
struct store;

/* A batch that was first in flight when the broker ended the connection. suspect.c says what
 * becomes of it. */
struct suspect {
    uint64_t epoch;
    enum sector sector;
    uint64_t first_seq, last_seq; /* last 0 = nobody */
    unsigned rows;                /* of a batch that begins among them, at most */
    unsigned closes;              /* in a row */
    bool alone;                   /* one row, kept out of everything else */
    bool is_out;                  /* and in flight now */
    unsigned trials;
    uint64_t reach; /* bytes that a connection carried up to its end with it; the least */
};

enum { SUSPECTS = 4 };

void suspect_blame(struct store *store, struct debtor *debtor, const struct receipt *receipt);
/* It came through. */
void suspect_clear(struct debtor *debtor, const struct receipt *receipt);
/* A fresh connection; after backlog_renew(). */
void suspect_renew(struct store *store, struct debtor *debtor);
/* The one whose turn it is to be sent alone, or NULL; owed, and of an epoch within reach. */
struct suspect *suspect_due(const struct store *store, struct debtor *debtor);
bool suspect_is_out(const struct debtor *debtor); /* nothing else is to be sent */
/* The most rows of a batch that begins with this number. */
unsigned suspect_rows(const struct debtor *debtor, uint64_t epoch, enum sector sector,
                      uint64_t first_seq);

#endif
