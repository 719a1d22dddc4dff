/* What the files of the store share among themselves. Nobody else includes it. */
#ifndef LIFELINE_STORE_INTERNAL_H
#define LIFELINE_STORE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>

#include "gateway/store/gauge.h"
#include "gateway/store/history.h"
#include "gateway/clock_state.h"
#include "gateway/store/ranges.h"
#include "gateway/store/store.h"

/* Every statement, prepared once; the texts are in database.c. */
enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_META_GET,
    STATEMENT_META_SET,
    STATEMENT_EPOCH_ADD,
    STATEMENT_EPOCH_LIST,
    STATEMENT_OPEN_PUT,
    STATEMENT_OPEN_LIST,
    STATEMENT_OPEN_DELETE,
    STATEMENT_SEGMENT_ADD,
    STATEMENT_SEGMENT_READ,
    STATEMENT_SEGMENT_BACK,
    STATEMENT_SEGMENT_CORRECT,
    STATEMENT_SEGMENT_LOOK,
    STATEMENT_SEGMENT_SUM,
    STATEMENT_SEGMENT_DELETE,
    STATEMENT_STREAM_SET,
    STATEMENT_STREAM_CORRECT,
    STATEMENT_STREAM_LIST,
    STATEMENT_UPLINK_PUT,
    STATEMENT_UPLINK_FIND,
    STATEMENT_UPLINK_LIST,
    STATEMENT_UPLINK_FORGET,
    STATEMENT_UNACKED_FORGET,
    STATEMENT_GAP_FORGET,
    STATEMENT_UNACKED_CLEAR,
    STATEMENT_UNACKED_ADD,
    STATEMENT_UNACKED_LIST,
    STATEMENT_GAP_ADD,
    STATEMENT_GAP_GROW,
    STATEMENT_GAP_CORRECT,
    STATEMENT_GAP_LIST,
    STATEMENT_GAP_DELETE,
    STATEMENT_GAP_UNWANTED,
    STATEMENT_DEVICE_FIND,
    STATEMENT_DEVICE_MAX,
    STATEMENT_DEVICE_PUT,
    STATEMENT_DEVICE_LIST,
    STATEMENT_DEVICE_RETIRE,
    STATEMENT_POINT_FIND,
    STATEMENT_POINT_MAX,
    STATEMENT_POINT_PUT,
    STATEMENT_POINT_LIST,
    STATEMENT_POINT_RETIRE,
    STATEMENT_POINTS_RETIRE,
    STATEMENT_PAGES,
    STATEMENT_FREE_PAGES,
    STATEMENT_HISTORY_EPOCH,
    STATEMENT_HISTORY_LAST,
    STATEMENT_HISTORY_READ,
    STATEMENT_HISTORY_POINTS,
    STATEMENT_COUNT,
};

/* An epoch of this store. Rows are keyed by its ordinal, which is small and grows with time. */
struct epoch {
    uint32_t ordinal;
    uint64_t number;
    uint64_t last_seq[SECTOR_COUNT];
    bool elsewhere;                /* its rows are on a disk that is out of reach */
    uint64_t held[SECTOR_COUNT];   /* the first number that hold.c may correct; 0 = none */
    uint64_t handed[SECTOR_COUNT]; /* before this one; 0 = up to the newest */
};

/* What one uplink still owes of one (epoch, sector). */
struct owed {
    struct ranges unacked; /* kept on disk */
    struct ranges unsent;  /* of those, not in flight */
    struct ranges waiting; /* of those, sent and to be sent again some day */
    bool dirty;            /* unacked differs from what is on disk */
    bool announced;        /* its Manifest was handed out on this connection */
    uint64_t oldest_seq;   /* whose sample time is oldest_ms */
    int64_t oldest_ms;
};

/* A Manifest that is going out, part by part. */
struct announcement {
    size_t epoch;
    enum sector sector;
    uint32_t part; /* the next one; 0 = none is going out */
};

/* A sector of which the broker refused something. */
struct rest {
    bool on;
    bool probing; /* one parcel is out to try */
    mono_time until;
    int64_t pause_ms;
};

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

/* A row that is larger than the broker takes. */
struct misfit {
    uint64_t epoch;
    enum sector sector;
    uint64_t seq;
    unsigned times; /* 0 = nobody */
};

enum { SUSPECTS = 4, MISFITS = 8 };

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
    uint64_t losing;   /* of these, in Gaps that gap_settle() has not ended yet */
    unsigned turn;     /* the sector whose history went last */
    struct announcement announcing;
    struct rest rests[SECTOR_COUNT];   /* of data */
    struct rest unheard[SECTOR_COUNT]; /* of its Manifest */
    struct suspect suspects[SUSPECTS];
    struct misfit misfits[MISFITS];
    uint64_t carried; /* bytes delivered on this connection */
    bool tried;       /* a suspect was sent alone on it */
    uint64_t set_aside;
    mono_time again_at; /* what waits is sent again; 0 = nothing waits */
    int64_t again_ms;
    struct store_terms terms;
    int64_t room, most;  /* bytes of history, and of one parcel of it */
    uint64_t generation; /* parcels of an older connection are not filled */
};

/* One body on its way from the pipeline to the disk. */
struct body {
    struct body *next;
    uint32_t part;
    enum sector sector;
    int64_t first_ms, last_ms; /* of its earliest and its latest reading */
    uint32_t readings;
    bool closed;
    uint64_t seq; /* given by the transaction, under */
    size_t epoch; /* this one (index) */
    uint32_t crc;
    size_t length, capacity;
    uint8_t *bytes;
};

struct loss {
    bool any; /* a clock may stand at 0, or before it */
    uint64_t readings;
    int64_t from_ms, to_ms;
};

/* What a file tells of the end of each sector's sampling; 0 = nothing was stored. */
struct traces {
    int64_t newest_ms[SECTOR_COUNT]; /* the newest stored sample */
    int64_t whole_ms[SECTOR_COUNT];  /* up to here nothing can be missing */
};

/* A database with its prepared statements. */
struct connection {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
};

/* How far rows were saved out of a damaged file. */
struct salvage_place {
    size_t epoch;
    int sector;
    uint64_t seq;
    unsigned misses; /* in a row */
};

enum { STORE_RECEIPTS = 4 * STORE_WINDOW };

enum receipt_kind {
    RECEIPT_SETTLED,
    RECEIPT_SENT,
    RECEIPT_CONFIRMED,
    RECEIPT_REFUSED,
    RECEIPT_UNHEARD, /* a Manifest was refused */
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
    bool alone;
};

/* A Gap as it is noted for every uplink that wants the sector. */
struct gap {
    uint32_t ordinal;
    enum sector sector;
    uint64_t first_seq, last_seq; /* 0 = never numbered */
    struct loss loss;
    enum gap_reason reason;
};

struct postbox { /* of one uplink; under the mailbox mutex */
    void (*wake)(void *);
    void *context;
    uint64_t generation;
    bool renewed, closed; /* closed: nothing is filled, no word counts, until the next attach */
    bool filling;         /* one of its parcels is with the store thread */
    struct parcel *waiting, *ready, **ready_tail;
    struct receipt receipts[STORE_RECEIPTS];
    size_t receipt_count;
    struct store_terms terms;
    int64_t room, most; /* granted since the last turn, and of one parcel */
};

/* When the newest segments of a stream were closed: they are live for a while. */
enum { RECENT = 64, LIVE_MS = 30000 };
struct recent {
    uint64_t seq[RECENT];
    mono_time closed[RECENT];
    uint32_t count; /* ever */
};

struct store {
    const struct settings *settings;
    struct store_ids ids;
    bool changed[SECTOR_COUNT]; /* by the newest identity_register() */

    /* the store thread's own */
    int lock_fd; /* held while the store is ours */
    sqlite3 *db;
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
    bool failing;
    enum store_mode mode;
    bool in_memory; /* the database is the bounded one in memory */
    bool known;     /* the epochs of the disk are in the list, and what is owed of them */
    unsigned falls; /* into memory */
    mono_time return_at, room_at;
    int64_t return_ms;       /* back-off */
    int64_t started_ms;      /* wall */
    struct connection wreck; /* a damaged file, while rows are saved out of it */
    int64_t wreck_stamp;     /* its name */
    bool salvaging;
    struct salvage_place salvage_at;
    uint64_t carried, carried_now; /* segments */
    uint64_t copied;               /* rows of one table, by carry.c */
    uint64_t quota;                /* bytes of the database in use */
    bool unreadable;               /* the last read failed for want of disk or memory */
    uint64_t corrupt, gaps, failures;
    uint64_t dropped; /* readings, unsent, since the log said so last */
    mono_time dropped_at;
    mono_time retry_at, trim_at, gauge_at, believed_at;
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
    struct history *lent; /* scans that wait for a slice, longest first */
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

/* Keys in table meta: the last wall time that was believed, and the boot in which it was, with
 * nothing held any more; the boot in which something was handed out that had been held. */
#define META_BELIEVED_MS "believed_ms"
#define META_SYNCED_BOOT "synced_boot"
#define META_HANDED_BOOT "handed_boot"

/* rowid of a segment: streams lie side by side in one B-tree */
#define SEGMENT_ID(ordinal, sector, seq)                                                           \
    (((int64_t)(ordinal) << 48) | ((int64_t)(sector) << 40) | (int64_t)(seq))

/* rowid of a chunk of an open body */
enum { OPEN_CHUNK = 4000, OPEN_CHUNKS = 1024 };
#define OPEN_ID(part, chunk) ((int64_t)(part)*OPEN_CHUNKS + (chunk))

/* database.c */
/* The result of SQLite; the connection is closed again when it is not SQLITE_OK. */
int database_open(struct store *store);
int database_open_memory(struct store *store, int pages);
/* What is in the log is not written back: the disk has just failed. */
void database_abandon(struct store *store);
void database_disconnect(struct store *store);
void database_unlock(struct store *store);
void database_close(struct store *store); /* both */
/* All of the log into the database, and both synced. */
int database_checkpoint(struct store *store);
void database_detach(struct store *store, struct connection *out);
void database_attach(struct store *store, struct connection *in);
bool database_execute(struct store *store, const char *format, ...);
/* Why the last statement failed; what was no error of SQLite is want of memory. */
int database_error(const struct store *store);
/* Keeps a damaged file, and says under which number; the connection is closed. */
int64_t database_set_aside(const struct store *store);
int64_t database_newest_aside(const struct store *store);
/* What can be read of it; nothing is changed in it. */
void database_open_wreck(const struct store *store, int64_t stamp, struct connection *out);
/* Gaps in a new database have row numbers of their own, so that an acknowledgement that was on its
 * way over the change never meets another's row. */
bool database_number_gaps(struct store *store);
sqlite3_stmt *database_statement(struct store *store, enum statement statement);
/* Runs a statement that returns no row; parameters bound before. */
bool database_run(struct store *store, enum statement statement);
uint32_t database_crc(uint64_t epoch, enum sector sector, uint64_t seq, const uint8_t *bytes,
                      size_t length);
int64_t database_meta(struct store *store, const char *key, int64_t otherwise);
bool database_meta_set(struct store *store, const char *key, int64_t value);
uint64_t database_random(void);

/* An existing store as it is, for somebody who only looks: nothing is created, upgraded, recovered
 * or replaced. database_close() in either case. */
bool database_read_only(struct store *store, char *why, size_t why_size);

/* lock.c: store.db -> store.lock, beside it; whoever has it is said. LOCK_READ: a lifelinectl */
enum lock_result { LOCK_TAKEN, LOCK_READ, LOCK_HELD, LOCK_FAILED };
enum lock_result lock_take(const char *path, int *fd, char *why, size_t why_size)
    __attribute__((warn_unused_result));

/* history.c: the next slice of a scan that was lent; more may wait */
void history_serve(struct store *store);

/* recover.c: the first transaction of a start */
/* Where an epoch stands in store->epochs; epoch_count when it is not there. */
size_t recover_epoch_index(const struct store *store, uint32_t ordinal);
/* A whole start; the result of SQLite. After a failure the store is empty. */
int recover_run(struct store *store);
/* Reads what the disk holds into an empty store and closes what a crash left open; inside a
 * transaction. */
bool recover_read(struct store *store);
void recover_forget(struct store *store);
/* The same of a damaged file, as far as it goes. */
void recover_read_list(struct store *store, struct traces *traces);
void recover_read_open(struct store *store, struct traces *traces);
void recover_note_crash(struct store *store, const struct traces *traces);
bool recover_write_epoch(struct store *store, uint32_t ordinal, uint64_t number);
bool recover_append_epoch(struct store *store, uint32_t ordinal, uint64_t number);
/* Both: an epoch begins. */
bool recover_begin_epoch(struct store *store, uint32_t ordinal, uint64_t number);

/* media.c: from the disk into memory and back */
/* At the start. False: another process has the store, or there is no memory. */
bool media_open(struct store *store, char *why, size_t why_size);
/* Tries the disk; true when the store is back on it. */
bool media_return(struct store *store);
/* After a failed commit; true when another try is worth it. */
bool media_rescue(struct store *store, int rc, unsigned attempt);

/* carry.c: rows from one database into another */
struct carry {
    struct connection *from;
    uint32_t ordinal, to; /* as the epoch is called there and here */
};
bool carry_epoch(struct store *store, const struct carry *carry);
bool carry_identity(struct store *store, const struct carry *carry);
/* Ids and Gaps out of a damaged file. */
bool carry_readable(struct store *store, const struct carry *carry);

/* salvage.c: a damaged file is set aside, and what can be saved goes into a new one. These return
 * the result of SQLite, OK with the store on the new file. */
int salvage_starting(struct store *store);
int salvage_into_empty(struct store *store);
/* *found: the file is empty, beside a damaged one that nothing was saved from yet. */
int salvage_find(struct store *store, bool *found);
int salvage_running(struct store *store);
int salvage_replace(struct store *store);
bool salvage_load(struct store *store);
bool salvage_write(struct store *store, size_t epochs);
void salvage_begin(struct store *store);
bool salvage_run(struct store *store); /* the next slice of rows; true when there are more */
/* Goes on with what a restart interrupted. */
void salvage_resume(struct store *store);
void salvage_stop(struct store *store);

/* commit.c: bodies, numbers, gaps, ranges into one transaction */
/* Numbers that were given and not committed are taken back. */
void commit_take_back(struct store *store);
/* LIFELINE_TEST_JOURNAL: the rows of an epoch that came to the disk from somewhere else. */
void commit_journal_epoch(struct store *store, size_t epoch);
bool commit_all(struct store *store, bool clean);
/* The same in two halves, inside somebody else's transaction: the statements, and after its COMMIT
 * what memory has to know. */
bool commit_write(struct store *store);
void commit_done(struct store *store);
void commit_free_bodies(struct body *body);
/* From when on samples of the sector were still to be written when the disk was written last; 0 = a
 * sync ended whole. */
int64_t commit_behind(struct store *store, enum sector sector);
/* There are losses that no Gap on disk tells of yet. */
bool commit_losing(const struct store *store);
bool commit_reserve_row(struct store *store, size_t size);
void commit_loss(struct loss *loss, int64_t from_ms, int64_t to_ms, uint64_t readings);

/* backlog.c: what each uplink owes */
bool backlog_load(struct store *store);
/* The same for one place, out of what is on disk. */
bool backlog_load_debtor(struct store *store, struct debtor *debtor);
void backlog_free_debtor(struct debtor *debtor, size_t epochs);
/* Removes from disk what the settings do not name any more. */
bool backlog_forget(struct store *store);
/* Room for one more epoch. */
bool backlog_add_epoch(struct store *store);
void backlog_salvage(struct store *store);
/* Gaps have other row numbers now. */
void backlog_moved(struct store *store);
/* Counts the unsettled readings anew. */
void backlog_count(struct store *store);
/* Everything that is owed is to be written at the next commit. */
void backlog_mark(struct store *store);
/* The uplinks in another database, which numbers their rows itself. */
bool backlog_register(struct store *store);
bool backlog_number(struct store *store, enum sector sector, uint64_t seq);
void backlog_committed(struct store *store, const struct body *body);
/* Writes what is owed of a stream as if these numbers were not, and leaves memory as it is. */
bool backlog_write_without(struct store *store, size_t epoch, enum sector sector,
                           uint64_t first_seq, uint64_t last_seq);
bool backlog_write(struct store *store);
void backlog_written(struct store *store);
bool backlog_dirty(const struct store *store);
/* As recover_epoch_index(), by number. */
size_t backlog_epoch(const struct store *store, uint64_t number);
void backlog_renew(struct store *store, struct debtor *debtor);
void backlog_report(struct store *store, size_t uplink, struct store_backlog *out);
void backlog_free(struct store *store);

/* postbox.c: what the uplinks said since the last turn, and parcels for them */
void postbox_read(struct store *store, size_t uplink);
void postbox_serve(struct store *store, size_t uplink);
void postbox_close(struct store *store, size_t uplink);

/* hold.c: readings of a clock that was never set */
void hold_recover(struct store *store);
/* A body that is about to become a row, its number given: corrected, or held back from here on. */
void hold_body(struct store *store, struct body *body);
/* Cuts off what is held back; false when that is all of it. */
bool hold_limit(const struct store *store, size_t epoch, enum sector sector, struct range *range);
/* The same of the sector's Gaps: true when they wait. */
bool hold_gaps(const struct store *store, enum sector sector);
/* Rows that leave the store now stay as they are. False: the disk could not be told. */
bool hold_hand_out(struct store *store, size_t epoch, enum sector sector, uint64_t first,
                   uint64_t last);
bool hold_is_on(const struct store *store);
/* Corrects a slice of what is held when the clock is set. True when there is more to correct. */
bool hold_run(struct store *store);
void hold_report(struct store *store, struct store_status *out);

/* resend.c */
/* Of these numbers, those that are owed are to be sent once more: now, or after a while. */
void resend_part(struct store *store, struct debtor *debtor, const struct receipt *receipt,
                 bool now);
/* What waited long enough is to be sent again. */
void resend_due(struct store *store, struct debtor *debtor);
/* This uplink never gets the row: a Gap of its own says so. */
void resend_never(struct store *store, struct debtor *debtor, size_t epoch, enum sector sector,
                  uint64_t seq);

/* receipt.c: what became of what was sent */
void receipt_read(struct store *store, struct debtor *debtor, const struct receipt *receipt);

/* rest.c: when a refused sector is tried again. Pure. */
bool rest_is_over(const struct rest *rest, mono_time now);
void rest_refused(struct rest *rest, mono_time now);
void rest_sent(struct rest *rest);
/* It did not go out after all: another may. */
void rest_unsent(struct rest *rest);
/* True when it had been on: the sector is back. */
bool rest_accepted(struct rest *rest);

/* suspect.c: batches on which a broker ends the connection */
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

/* fetch.c: rows into parcels. idle: nothing of this uplink is in flight. */
bool fetch_data(struct store *store, struct debtor *debtor, struct parcel *parcel, bool live_only,
                bool idle);
size_t fetch_limit(const struct debtor *debtor); /* bytes of a payload */
bool fetch_reserve(struct parcel *parcel, size_t size);

/* announce.c: Manifests before rows. True: the parcel holds the next part of one. */
bool announce_current(struct store *store, struct debtor *debtor, struct parcel *parcel);
bool announce_epoch(struct store *store, struct debtor *debtor, struct parcel *parcel, size_t epoch,
                    enum sector sector);
/* The Manifest in force is not what it was. */
void announce_again(struct store *store, struct debtor *debtor, enum sector sector);
/* A fresh connection was told nothing. */
void announce_renew(struct store *store, struct debtor *debtor);

/* manifest.c: part `parcel->part` of (parcel->epoch, parcel->sector); false: there is none */
bool manifest_fetch(struct store *store, const struct debtor *debtor, struct parcel *parcel);

/* identity.c: ids of devices and points */
bool identity_register(struct store *store);
/* The same ids in another database. */
bool identity_repeat(struct store *store);
void identity_free(struct store_ids *ids, const struct settings *settings);

/* gauge.c: flash, rates, hours left */
void gauge_read(struct store *store, struct store_status *out);

/* reload.c: does what store_reload() asked for; `committed`: nothing waits to be written */
bool reload_is_asked(struct store *store);
void reload_run(struct store *store, bool committed);

/* trim.c: age and quota */
/* A slice of the work; true when there is more. */
bool trim_run(struct store *store);
/* Free pages at once, by the oldest rows. False when there is nothing to gain. */
bool trim_make_room(struct store *store, size_t bytes);
/* More is used than the quota allows. */
bool trim_is_due(struct store *store);
uint64_t trim_bytes(struct store *store); /* of the database, free pages and all */
uint64_t trim_used(struct store *store);  /* without them */

/* forget.c: epochs that nobody needs any more */
void forget_run(struct store *store);
bool forget_delete(struct store *store, uint32_t ordinal);

/* reserve.c: when the disk is full */
/* After the database was opened: its sizes, and the reserve file. */
void reserve_prepare(struct store *store);
/* Gives the reserve up at a start that finds no room; false when there was none. */
bool reserve_release(const struct store *store);
/* A commit found no room. True: there may be some now. */
bool reserve_relieve(struct store *store);
/* Bytes of bodies that one transaction takes. */
size_t reserve_portion(const struct store *store);
void reserve_committed(struct store *store);
/* Now and then: is there room again? */
void reserve_look(struct store *store);

#endif
