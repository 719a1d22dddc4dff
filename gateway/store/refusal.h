/* What a broker refuses by a reason code of one topic, data/ or history/ of a sector. */
#ifndef LIFELINE_REFUSAL_H
#define LIFELINE_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/store/ranges.h"
#include "gateway/store/rest.h"
#include "proto/names.h"

struct debtor;
struct parcel;
struct receipt;
struct store;

/* Of one topic. refusal.c says what becomes of it. */
struct refusal {
    struct rest rest;
    uint64_t epoch, first_seq, last_seq; /* rows that were refused; last 0 = none to be tried */
    bool guilty;  /* another message was taken since: it is one of these, the rest is over */
    uint64_t out; /* begin of the one message that is out to tell; 0 = none */
    uint64_t out_epoch;
    uint64_t beyond; /* end of the other message that was refused too */
    bool late;       /* the next other message is the newest */
    mono_time until; /* guilty: others wait so long at most */
};

/* Which rows of a topic may go now. */
struct refusal_ask {
    bool live;
    enum sector sector;
    uint64_t epoch, from, end; /* of [from, end) */
};

/* The next of these rows, and at most how many; false: none. */
bool refusal_next(struct debtor *debtor, const struct refusal_ask *ask, const struct ranges *unsent,
                  struct range *wanted, unsigned *rows);
/* A parcel of rows was handed out. */
void refusal_sent(struct debtor *debtor, const struct parcel *parcel);
/* It did not go out after all. */
void refusal_unsent(struct debtor *debtor, const struct receipt *receipt);
/* The broker's word on rows; refused ones are unsent again when this is called. */
void refusal_refused(struct store *store, struct debtor *debtor, const struct receipt *receipt);
void refusal_accepted(struct store *store, struct debtor *debtor, const struct receipt *receipt);
/* Nothing but what refusal_next() says may go of the sector. */
bool refusal_holds(const struct debtor *debtor, enum sector sector);
/* A topic of the sector is refused. */
bool refusal_is_on(const struct debtor *debtor, enum sector sector);

#endif
