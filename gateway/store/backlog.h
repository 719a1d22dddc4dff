/* What each uplink owes, in memory; the disk follows at the next commit. False: no memory, or the
 * database refused. Epochs are meant by their index in store->epochs. */
#ifndef LIFELINE_BACKLOG_H
#define LIFELINE_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/clock.h"
#include "gateway/store/announce.h"
#include "gateway/store/doubt.h"
#include "gateway/store/ranges.h"
#include "gateway/store/receipt.h"
#include "gateway/store/refusal.h"
#include "gateway/store/rest.h"
#include "gateway/store/store.h"
#include "gateway/store/suspect.h"

struct body;

/* What one uplink still owes of one (epoch, sector). */
struct owed {
    struct ranges unacked; /* kept on disk */
    struct ranges unsent;  /* of those, not in flight */
    struct ranges waiting; /* of those, sent and to be sent again some day */
    bool dirty;            /* unacked differs from what is on disk */
    bool announced;        /* its Manifest was handed out on this connection */
    bool unfit;            /* or is larger than the broker takes: nothing goes without it */
    struct doubt doubt;    /* of its Manifest: likewise */
    uint64_t oldest_seq;   /* whose sample time is oldest_ms */
    int64_t oldest_ms;
    uint64_t unread_seq; /* that the disk does not give back, since */
    mono_time unread_at, asked_at;
    uint64_t check, said; /* while it is read: of the ranges, and what the disk says */
};

struct gap_cursor {
    int64_t row;  /* gaps up to this one are in flight */
    bool pending; /* there may be some above it */
};

struct debtor {
    const struct settings_uplink *own; /* NULL: nobody has this place */
    int64_t row;                       /* in table uplink */
    bool wanted[SECTOR_COUNT];
    size_t max_payload;
    struct owed (*owed)[SECTOR_COUNT]; /* [epoch index][sector] */
    struct gap_cursor gaps[SECTOR_COUNT];
    uint64_t readings; /* unsettled */
    bool uncounted;    /* more than are owed: some went that could not be counted */
    uint64_t losing;   /* of these, in Gaps that gap_settle() has not ended yet */
    unsigned turn;     /* the sector whose history went last */
    struct announcement announcing;
    struct rest rests[SECTOR_COUNT];          /* the broker ends connections on its data */
    struct refusal refusals[2][SECTOR_COUNT]; /* of history and of live rows: [live] */
    struct rest gap_rests[SECTOR_COUNT];      /* Gaps were refused */
    struct rest unheard[SECTOR_COUNT];        /* of its Manifest */
    struct suspect suspects[SUSPECTS];
    struct doubt gap_doubts[SECTOR_COUNT];
    bool alone;                 /* nothing else is to be sent before the word on it */
    bool taken[SECTOR_COUNT];   /* something was acknowledged since connections end */
    bool failing[SECTOR_COUNT]; /* a row failed a trial, and none was acknowledged since */
    struct misfit misfits[MISFITS];
    uint64_t carried; /* bytes delivered on this connection */
    bool tried;       /* a row had one of its trials on it */
    uint64_t set_aside;
    mono_time again_at; /* what waits is sent again; 0 = nothing waits */
    int64_t again_ms;
    struct store_terms terms;
    int64_t room, most;  /* bytes of history, and of one parcel of it */
    uint64_t generation; /* parcels of an older connection are not filled */
};

/* When the newest segments of a stream were closed: they are live for a while. */
enum { RECENT = 64, LIVE_MS = 30000 };
struct recent {
    uint64_t seq[RECENT];
    mono_time closed[RECENT];
    uint32_t count; /* ever */
};

bool backlog_load(struct store *store);
/* The same for one place, out of what is on disk. */
bool backlog_load_debtor(struct store *store, struct debtor *debtor);
void backlog_free_debtor(struct debtor *debtor, size_t epochs);
/* Removes from disk what the settings do not name any more. */
bool backlog_forget(struct store *store);
/* Room for one more epoch. */
bool backlog_add_epoch(struct store *store);
/* Out of a damaged file. False: not all that was owed can be told. */
bool backlog_salvage(struct store *store);
/* Gaps have other row numbers now. */
void backlog_moved(struct store *store);
/* Counts the unsettled readings anew; only where they are not known: */
void backlog_count(struct store *store);
void backlog_count_unknown(struct store *store);
/* So many readings are not owed any more. */
void backlog_less(const struct store *store, struct debtor *debtor, uint64_t readings);
/* Everything that is owed is to be written at the next commit. */
void backlog_mark(struct store *store);
/* The uplinks in another database, which numbers their rows itself. */
bool backlog_register(struct store *store);
bool backlog_number(struct store *store, enum sector sector, uint64_t seq);
void backlog_committed(struct store *store, const struct body *body);
/* Tells the disk what is owed of a stream as if these numbers were not; memory stays as it is. */
bool backlog_write_without(struct store *store, size_t epoch, enum sector sector,
                           uint64_t first_seq, uint64_t last_seq);
bool backlog_write(struct store *store);
void backlog_written(struct store *store);
bool backlog_dirty(const struct store *store);
/* As epochs_index(), by number. */
size_t backlog_epoch(const struct store *store, uint64_t number);
void backlog_renew(struct store *store, struct debtor *debtor);
void backlog_report(struct store *store, size_t uplink, struct store_backlog *out);
void backlog_free(struct store *store);

#endif
