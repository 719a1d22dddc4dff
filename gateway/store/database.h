/* The SQLite side: the connection, its statements, keys of rows.
 *
 * What returns int returns the result of SQLite. What returns bool is false when SQLite refused or
 * memory ran out; database_error() tells which, and the caller rolls back. */
#ifndef LIFELINE_DATABASE_H
#define LIFELINE_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/names.h"

struct store;

/* Every statement, prepared once; the texts are in database.c. */
enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_META_GET,
    STATEMENT_META_SET,
    STATEMENT_EPOCH_ADD,
    STATEMENT_EPOCH_LIST,
    STATEMENT_EPOCH_COPIES,
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
    STATEMENT_ALARM_PUT,
    STATEMENT_ALARM_OPEN,
    STATEMENT_ALARM_CLOSE,
    STATEMENT_ALARM_OPEN_LIST,
    STATEMENT_ALARM_OWE,
    STATEMENT_ALARM_SETTLE,
    STATEMENT_ALARM_FORGET,
    STATEMENT_ALARM_OWED,
    STATEMENT_ALARM_BACK,
    STATEMENT_ALARM_STEPS,
    STATEMENT_MEMORY_PUT,
    STATEMENT_MEMORY_LIST,
    STATEMENT_COUNT,
};

/* A database with its prepared statements. */
struct connection {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
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

/* What is told of SQLITE_FORMAT, for which SQLite has no words. */
#define DATABASE_LATER                                                                             \
    "a later version of lifelined wrote it; install that again, or move it away, then its -wal"

/* The result of SQLite; the connection is closed again when it is not SQLITE_OK. An earlier
 * version's store is brought to this one's; SQLITE_FORMAT: a later one's, and nothing is done. */
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
/* What can be read of it; out->db is NULL when it cannot be opened. */
void database_open_damaged(const char *path, struct connection *out);
void database_close_damaged(struct connection *damaged);
/* The first bytes of a database that has our tables, and nothing in them. */
bool database_first_page(uint8_t *out, size_t size);
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

#endif
