/* The store from inside: what its thread owns, and what the mailbox mutex guards. Each file beside
 * this one has its own header with its shapes and functions; here are those that make up the store.
 * Nobody outside of it includes this.
 *
 * Throughout: X_ms is wall time or a length of time, mono_time what waiting goes by; an epoch is
 * meant by its index in `epochs` (size_t epoch) or by its ordinal, which keys rows. */
#ifndef LIFELINE_STORE_INTERNAL_H
#define LIFELINE_STORE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>

#include "gateway/clock_state.h"
#include "gateway/store/alarms.h"
#include "gateway/store/backlog.h"
#include "gateway/store/commit.h"
#include "gateway/store/database.h"
#include "gateway/store/gauge.h"
#include "gateway/store/loan.h"
#include "gateway/store/postbox.h"
#include "gateway/store/salvage.h"
#include "gateway/store/store.h"
#include "gateway/store/wal.h"

/* An epoch of this store. Rows are keyed by its ordinal, which is small and grows with time. */
struct epoch {
    uint32_t ordinal;
    uint64_t number;
    uint64_t last_seq[SECTOR_COUNT];
    bool elsewhere;                /* its rows are on a disk that is out of reach */
    uint64_t held[SECTOR_COUNT];   /* the first number that hold.c may correct; 0 = none */
    uint64_t handed[SECTOR_COUNT]; /* before this one; 0 = up to the newest */
};

struct store {
    const struct settings *settings;
    struct store_ids ids;
    bool changed[SECTOR_COUNT]; /* by the newest identity_register() */

    /* the store thread's own */
    int lock_fd;         /* held while the store is ours */
    enum wal_state log;  /* of the file as it was found, until it is read */
    sqlite3 *db, *begun; /* the one that has a transaction, as far as we know */
    sqlite3_stmt *statements[STATEMENT_COUNT];
    struct epoch *epochs; /* ascending; the last is in force */
    size_t epoch_count;
    struct debtor *debtors;
    size_t debtor_count; /* places that were ever taken */
    struct recent recent[SECTOR_COUNT];
    bool behind[SECTOR_COUNT]; /* the disk says that older samples are still to come */
    struct body *queue;        /* taken from the mailbox, not yet committed */
    struct body *beyond;       /* the first that is not part of this transaction */
    uint8_t *row;              /* scratch for one row */
    size_t row_capacity;
    uint32_t *open_crc; /* of what stands open on the disk; one a part */
    size_t open_parts;
    int64_t untold;        /* steps of alarms that may have been told without having been stored */
    struct alarms *alarms; /* NULL: nobody watches */
    bool more_alarms;      /* than the last transaction took */
    bool failing;
    int error; /* of the last statement that failed since BEGIN */
    enum store_mode mode;
    bool in_memory; /* the database is the bounded one in memory */
    bool known;     /* the epochs of the disk are in the list, and what is owed of them */
    unsigned falls; /* into memory */
    mono_time return_at, room_at;
    int64_t return_ms;       /* back-off */
    mono_time arrived_at;    /* on the disk, from memory */
    int64_t flap_ms;         /* the first pause, longer after each short stay */
    int64_t started_ms;      /* wall */
    struct connection wreck; /* a damaged file, while rows are saved out of it */
    int64_t wreck_stamp;     /* its name */
    bool salvaging;
    bool damaged;         /* the file is to be replaced */
    bool full;            /* it takes no more epochs, and the log said so */
    mono_time replace_at; /* not before */
    struct salvage_place salvage_at;
    uint64_t carried, carried_now; /* segments */
    uint64_t copied;               /* rows of one table, by carry.c */
    uint64_t quota;                /* bytes of the database in use */
    bool unreadable;               /* the last read failed for want of disk or memory */
    uint64_t corrupt, gaps, failures;
    uint64_t dropped; /* readings, unsent, since the log said so last */
    mono_time dropped_at;
    mono_time retry_at, trim_at, gauge_at, held_at, believed_at;
    struct clock_trust trust;
    bool handed;       /* the disk says so of rows of this boot whose clock is not set */
    bool hold_is_over; /* and the log said so */
    struct gauge gauge;
    uint64_t row_bytes;                                    /* of closed rows since start */
    FILE *journal;                                         /* LIFELINE_TEST_JOURNAL */
    struct loss losing[SECTOR_COUNT][GAP_REASON_DISK + 1]; /* taken, not yet committed */

    /* the mailbox */
    pthread_t thread;
    bool running;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool commit, stop, attention;
    struct body *mail, **mail_tail, *spare;
    struct loan *lent; /* scans that wait for a slice, longest first */
    size_t mail_bytes;
    struct loss lost[SECTOR_COUNT][GAP_REASON_DISK + 1];
    struct postbox *postboxes;
    struct store_status status;
    struct store_backlog *backlogs;
    struct epoch *told; /* a copy of the epochs */
    size_t told_count;
    enum store_reload_state reload; /* these three are reload.c's */
    const struct settings *reload_settings;
    const size_t *reload_uplinks;
};

/* loan.c: the next slice of a scan that was lent; more may wait */
void loan_serve(struct store *store);

/* gauge.c: flash, rates, hours left */
void gauge_read(struct store *store, struct store_status *out);

#endif
