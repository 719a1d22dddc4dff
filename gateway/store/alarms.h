/* Events of alarms, and reports, on the disk: written at once, kept until every uplink has them,
 * and read again when somebody owes them or asks. Store thread; the functions for others are in
 * store.h. */
#ifndef LIFELINE_STORE_ALARMS_H
#define LIFELINE_STORE_ALARMS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ALARM_STEPS_UNTOLD = 16 }; /* at most, of one alarm, when a life is cut off */

struct lane_event;
struct store;

void alarms_free(struct store *store);

/* There is something for the next transaction. */
bool alarms_wait(const struct store *store);
/* In the transaction of a commit; false: SQLite refused. */
bool alarms_write(struct store *store) __attribute__((warn_unused_result));
/* After its COMMIT; true when more wait than one transaction takes. */
bool alarms_written(struct store *store);

/* Gives back to the lane what uplinks owe and it does not have; true when there is more. */
bool alarms_serve(struct store *store);
/* Another file is the store's now: what is owed there is given back, what is in force is written
 * there with the next commit. */
void alarms_moved(struct store *store);

/* Deletes alarms that began before then, have ended and are owed by nobody, some at a time. */
void alarms_trim(struct store *store, int64_t before_ms);
/* Room at any cost: the oldest that ended, delivered ones first. False: there is none. */
bool alarms_shrink(struct store *store);

/* The event of a row of the table, its columns in their order. False: it is damaged. */
bool alarms_read(sqlite3_stmt *s, struct lane_event *out) __attribute__((warn_unused_result));

/* So many events an uplink owes. */
uint64_t alarms_owed(const struct store *store, size_t uplink);

#endif
