/* The store: every reading safe in SQLite before it is sent, and what each uplink still owes.
 *
 * One thread owns the only connection. The pipeline puts open segments in, uplinks hand empty
 * parcels over and get them back filled; nobody else touches the database.
 *
 *     pipeline ── store_put, store_commit ──> [ store thread ] ── parcels ──> uplink
 *                                                   ^─────── store_settle ───────┘
 */
#ifndef LIFELINE_STORE_H
#define LIFELINE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/settings.h"
#include "drivers/clock.h"
#include "proto/names.h"
#include "proto/segment.h"

struct store;

/* Ids that stand on the wire, by the indices of the settings. */
struct store_ids {
    uint32_t *device; /* [device] */
    uint32_t **point; /* [device][point of the profile] */
};

/* Opens or creates the database, closes what a crash left open, notes a Gap for it, gives ids to
 * new devices and points. A file that is no database is set aside and a new one, with a new epoch,
 * begun. NULL with the reason in why. */
struct store *store_open(const struct settings *settings, char *why, size_t why_size);
const struct store_ids *store_ids(const struct store *store);

/* Starts the thread; false when it cannot. */
bool store_start(struct store *store) __attribute__((warn_unused_result));

/* Commits all that was put, marks the end clean and ends the thread. False when the disk hangs past
 * the deadline: the thread is left behind and the store must not be freed. */
bool store_stop(struct store *store, mono_time deadline);
void store_free(struct store *store);

/* ---- pipeline side ---- */

/* Hands over the present state of an open segment; one that is put again before it was written
 * replaces the older copy. `closed` gives it its number: it must not grow afterwards. False when
 * the mailbox is full (the disk has stalled): nothing was taken, try again later. */
bool store_put(struct store *store, uint32_t part, enum sector sector,
               const struct segment *segment, bool closed) __attribute__((warn_unused_result));

/* True while half of the mailbox is taken: nobody should hurry now. */
bool store_is_pressed(struct store *store);

/* Everything put so far goes to disk now. */
void store_commit(struct store *store);

/* Readings that never got a number. */
void store_lost(struct store *store, enum sector sector, enum gap_reason reason, int64_t from_ms,
                int64_t to_ms, uint64_t readings);

/* ---- alarms: before store_start() ---- */

struct lane;

/* Events of the lane go to the disk at once, and until every uplink has them; those of alarms that
 * were open when the store was last written are in force in the lane afterwards. The lane must
 * outlive the store. False without memory. */
bool store_use_lane(struct store *store, struct lane *lane) __attribute__((warn_unused_result));

/* After a power cut or a crash: so many numbers of steps are to be left out in an alarm that goes
 * on, for they may have been told without having been stored. */
uint32_t store_untold(const struct store *store);

/* What was remembered under that number; false: no more. */
bool store_recall(const struct store *store, size_t index, const char **name, const uint8_t **bytes,
                  size_t *length);

/* ---- alarms: any thread ---- */

/* The uplink's broker has this event (lane_settle() said that the store is to be told). False: too
 * many wait; ask again. */
bool store_alarm_settled(struct store *store, size_t uplink, const char *id, uint32_t step)
    __attribute__((warn_unused_result));

/* Written with the next commit, in the place of what had that name. False without memory. */
bool store_remember(struct store *store, const char *name, const uint8_t *bytes, size_t length)
    __attribute__((warn_unused_result));

/* ---- uplink side ---- */

/* An uplink has no more parcels than this. */
enum { STORE_WINDOW = 16 };

enum parcel_kind { PARCEL_EMPTY, PARCEL_LIVE, PARCEL_HISTORY, PARCEL_MANIFEST };

/* A payload on its way. Belongs to whoever was handed it last: uplink -> store_fetch -> store ->
 * store_collect -> uplink. */
struct parcel {
    struct parcel *next;
    uint64_t generation; /* of the connection it was fetched for */
    enum parcel_kind kind;
    enum sector sector;
    uint64_t epoch;
    uint64_t first_seq, last_seq; /* both 0 in a parcel of Gaps */
    int64_t first_gap, last_gap;  /* Gaps: their row numbers */
    uint64_t readings;
    uint32_t rows;
    bool alone;           /* is to be sent with nothing else in flight; the store sees to it */
    uint32_t part, parts; /* of a Manifest */
    uint32_t parts_ever;  /* the most that this uplink was ever given of the sector */
    uint8_t *bytes;
    size_t head; /* data: bytes of header fields before the first row */
    size_t length, capacity;
    /* the uplink's own notes */
    int mid;
    uint64_t order;
    int64_t sent_ms, ahead;
    int64_t overtaken_ms; /* when a later one was acknowledged first; 0 = none was */
};

/* An uplink has a place of its own here, 0 to STORE_UPLINKS - 1; at start that is its index in the
 * settings, and over a reload it keeps it. What follows asks for it as `uplink`. */
enum { STORE_UPLINKS = 32 };

/* `wake` is called by the store thread whenever store_collect() has something. After a reload that
 * replaced the uplink of a place nothing is filled and no word of it counts until the next one
 * attaches here. */
void store_attach(struct store *store, size_t uplink, void (*wake)(void *), void *context);

/* Its thread has ended: the store lets go of its parcels. False: the store thread is filling one of
 * them now; ask again. */
bool store_detach(struct store *store, size_t uplink) __attribute__((warn_unused_result));

/* What the next connection allows; to be called before store_renew(). */
struct store_terms {
    size_t max_payload; /* 0 = as configured */
    size_t window;      /* parcels that will be lent; 0 = many, and room for any history */
};

void store_terms(struct store *store, size_t uplink, const struct store_terms *terms);

/* A fresh connection: whatever was handed out and not settled is to be sent again. Returns the
 * generation that its parcels carry; older ones come back PARCEL_EMPTY or are to be thrown away. */
uint64_t store_renew(struct store *store, size_t uplink);

/* Hands over an empty parcel, to be filled as soon as there is something to send. In this order:
 * the Manifests of the epoch in force, once a connection and again when they have changed; live
 * data; Gaps and history, behind the Manifest of its own epoch. Parcels are to be published in the
 * order in which they are collected. */
void store_fetch(struct store *store, size_t uplink, struct parcel *parcel);

/* The next parcel that is ready, or NULL. */
struct parcel *store_collect(struct store *store, size_t uplink);

/* So many bytes of history more may be filled, in parcels of at most `parcel`, or one row. A
 * connection begins with room for STORE_ROOM, as one parcel. */
enum { STORE_ROOM = 4 << 10 };
void store_room(struct store *store, size_t uplink, int64_t bytes, int64_t parcel);

/* What became of a parcel that was collected; the parcel stays the uplink's.
 * Settled: acknowledged with success. */
void store_settle(struct store *store, size_t uplink, const struct parcel *parcel);

/* The broker has it, and its numbers are owed until store_confirm(); Gaps are settled. What is not
 * confirmed is sent again after the next connection or a long pause. */
void store_sent(struct store *store, size_t uplink, const struct parcel *parcel);

/* The broker refused it: the data stays. The topic rests until the next connection, or a pause
 * that grows from 10 s to 10 min and ends with one parcel to try; unless another row of it is
 * taken: then the one that is at fault is found, and set aside as one that is too large. For a
 * Manifest: it rests. */
void store_refuse(struct store *store, size_t uplink, const struct parcel *parcel);

/* The same for a reason that speaks of the topic: it rests, and no row is at fault. */
void store_forbid(struct store *store, size_t uplink, const struct parcel *parcel);

/* Larger than the broker takes: tried again after the next connection or a long pause; the third
 * time a row is set aside, with a Gap. */
void store_too_large(struct store *store, size_t uplink, const struct parcel *parcel);

/* It was in flight when the broker ended the connection. One that was alone has done it; of others
 * every one is to be told, and they go alone on the next connection. */
void store_blame(struct store *store, size_t uplink, const struct parcel *parcel);

/* The platform has these numbers (inclusive). UNKNOWN: no such epoch, or none of them was ever
 * given. BUSY: nothing was taken, ask again. */
enum store_confirmed { STORE_CONFIRMED, STORE_CONFIRM_UNKNOWN, STORE_CONFIRM_BUSY };
enum store_confirmed store_confirm(struct store *store, size_t uplink, uint64_t epoch,
                                   enum sector sector, uint64_t first_seq, uint64_t last_seq)
    __attribute__((warn_unused_result));

/* ---- reload ---- */

/* The store thread registers what is new and retires what is gone, in one transaction; ids stay
 * what they are. uplinks: the place of each uplink of the settings; one that kept its place, name,
 * sectors and payload is not touched, every other must be detached. Both must last until
 * store_reloaded() is not STORE_RELOAD_PENDING, and the settings longer when it is done: then
 * store_ids() are those of the new settings, and Manifests that changed go out again. Of the
 * settings before nothing is needed any more. */
void store_reload(struct store *store, const struct settings *settings, const size_t *uplinks);

enum store_reload_state {
    STORE_RELOAD_NONE,
    STORE_RELOAD_PENDING,
    STORE_RELOAD_DONE,
    STORE_RELOAD_FAILED, /* the disk refuses; nothing has changed */
};

enum store_reload_state store_reloaded(struct store *store);

/* ---- for state and status ---- */

struct store_end {
    uint64_t last_seq, settled_seq;
};

struct store_backlog {
    uint64_t readings; /* numbered and not settled */
    int64_t oldest_ms; /* 0 = none */
    bool refused[SECTOR_COUNT];
    uint64_t set_aside; /* rows that the broker would not take, since start */
    uint64_t alarms;    /* events of alarms and reports that are owed */
    struct store_end ends[SECTOR_COUNT];
    struct store_end previous_ends[SECTOR_COUNT];
};

enum store_mode {
    STORE_MODE_OK = 1,
    STORE_MODE_MEMORY = 2,
    STORE_MODE_READ_ONLY = 3,
    STORE_MODE_FULL = 4
};

struct store_status {
    enum store_mode mode;
    uint64_t epoch, previous_epoch;
    uint64_t bytes, quota_bytes;
    uint64_t commits, failed_commits;
    uint64_t readings;        /* in segments closed since start */
    uint64_t flash_bytes;     /* written to disk since start, as the process counts them */
    uint64_t flash_bytes_day; /* at the rate of the last day; 0 = not known yet */
    char card_name[32];       /* the flash under the store; "" = none that we know of */
    uint64_t card_bytes;      /* 0 = not known */
    int card_worn_percent;    /* as it says itself; -1 = it does not */
    double card_years;   /* left at that rate (card.h says how that is counted); -1 = not known */
    uint64_t hours_left; /* until the quota is full at the present rate; 0 = not known */
    uint64_t corrupt, gaps;
    uint64_t failovers; /* times that the disk was left for memory */
    uint64_t carried;   /* segments saved from memory or out of a damaged file */
    uint64_t held;      /* readings that wait for the clock to be set */
    int64_t held_ms;    /* no longer than this */
};

void store_status(struct store *store, struct store_status *out);
void store_backlog(struct store *store, size_t uplink, struct store_backlog *out);

#endif
