/* The alarm lane: events on their way from the pipeline to the store and to every uplink, at once
 * and side by side, and the events that are in force now. Any thread.
 *
 *     pipeline ── lane_put ──> [ lane ] ── lane_next ──> each uplink, most severe first
 *                                 ├─── lane_unstored ──> the store
 *                                 └─── lane_read ──────> whoever wants to see what is up
 *
 * Nobody waits for anybody. An event stays until it is stored, every uplink that is owed it has
 * settled it, and a later step of its alarm is here. LANE_EVENTS are kept without allocating; when
 * more than that wait beside those in force, those that are stored already are let go of first, and
 * the store returns them to those that owe them when there is room. */
#ifndef LIFELINE_LANE_H
#define LIFELINE_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/alarm.h"

enum {
    LANE_EVENTS = 2048,
    LANE_BUSY = 8,
    LANE_READERS = 32, /* STORE_UPLINKS; an uplink's place in the store is its number here */
};

struct lane;

enum lane_kind { LANE_ALARM = 1, LANE_REPORT = 2 };

/* A copy of one event. */
struct lane_event {
    uint64_t n; /* order within this run of the daemon, from 1 */
    enum lane_kind kind;
    enum sector sector;
    char id[ALARM_ID_LENGTH + 1]; /* (id, step) is what it is known by everywhere */
    uint32_t step;
    uint8_t level, previous_level;
    enum alarm_status status;
    int64_t at_ms;
    uint32_t settled; /* bit of each reader whose broker has it */
    size_t length;
    uint8_t bytes[ALARM_EVENT_MAX]; /* the message */
};

struct lane *lane_new(void);
void lane_free(struct lane *lane);

/* A reader is there, with the sectors it takes; wake is called when there is something. It owes
 * what the store has not made safe yet; the rest the store returns. */
void lane_attach(struct lane *lane, size_t reader, const bool sectors[SECTOR_COUNT],
                 void (*wake)(void *), void *context);
void lane_detach(struct lane *lane, size_t reader);

/* The store's own wake. */
void lane_attach_store(struct lane *lane, void (*wake)(void *), void *context);

/* From the pipeline. Fills in n. False without memory: then it is counted as lost. */
bool lane_put(struct lane *lane, struct lane_event *event) __attribute__((warn_unused_result));

/* What is not to be told now. */
struct lane_skip {
    uint64_t busy[LANE_BUSY]; /* numbers of events in flight */
    size_t count;
    bool alarms[SECTOR_COUNT], reports[SECTOR_COUNT]; /* of these sectors */
};

/* The next event that the reader owes: of the most severe alarm that any of them is of, its
 * earliest. False: there is none. */
bool lane_next(struct lane *lane, size_t reader, const struct lane_skip *skip,
               struct lane_event *out);

/* The reader's broker has it. True: the store has taken it as owed, and is to be told. */
bool lane_settle(struct lane *lane, size_t reader, uint64_t n);

/* From the store: an event of before, which this reader owes. True when it is in the lane now, or
 * was there already; false when there is no room: later. */
bool lane_return(struct lane *lane, size_t reader, const struct lane_event *event)
    __attribute__((warn_unused_result));

/* Events that this reader owed were let go of since the last call, or it has just attached: the
 * store is to return them. */
bool lane_is_behind(struct lane *lane, size_t reader);

/* For the store: the first `count` events that it has not taken, in their order, and who has
 * settled them by now; from then on they are taken. lane_stored() when they are safe. */
size_t lane_unstored(struct lane *lane, struct lane_event *out, size_t count);
void lane_stored(struct lane *lane, uint64_t up_to);

/* What is in force: the last event of each alarm that is not CLEARED, the next one after
 * number *after, which is 0 at first; false at the end. */
bool lane_read(struct lane *lane, uint64_t *after, struct lane_event *out);

/* An open alarm of a life before: in force, owed by nobody, stored. False without memory. */
bool lane_restore(struct lane *lane, const struct lane_event *event);

/* The one of that id, if it is in force. */
bool lane_find(struct lane *lane, const char *id, struct lane_event *out);

/* Those of one sector and level that are not suppressed, as they were packed; called under the
 * lane's mutex: be quick, and call nothing of the lane. */
void lane_list(struct lane *lane, enum sector sector, uint8_t level,
               void (*take)(void *context, const uint8_t *bytes, size_t length), void *context);

/* Goes up with every change of what is in force in a sector. */
uint64_t lane_version(struct lane *lane, enum sector sector);

/* ---- every step as it happens, for one listener ---- */

/* From now on, or no longer. Returns the number of the newest event: what is in force up to it is
 * not heard. */
uint64_t lane_listen(struct lane *lane, bool on);

/* The next event; false: there is none now. *missed goes up by what was not taken in time. */
bool lane_hear(struct lane *lane, struct lane_event *out, uint64_t *missed);

struct lane_status {
    uint64_t events; /* put since start */
    uint64_t lost;   /* for want of memory */
    size_t kept;
    uint32_t up[LEVEL_COUNT]; /* by level, faults of devices too, without suppressed ones */
};

void lane_status(struct lane *lane, struct lane_status *out);

#endif
