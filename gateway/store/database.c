/* The SQLite side of the store: opening, pragmas, tables, and every statement's text in one place.
 * Runs in main() before the store thread starts and in that thread afterwards; owns the connection.
 * WAL + FULL + EXCLUSIVE on a single connection is what survives a power cut (anything less was
 * seen to lose rows); secure_delete off, or Debian's build writes zeros to flash at every delete.
 * Never talks to an uplink, never decides anything. */
#include "gateway/store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "gateway/log.h"
#include "gateway/watchdog.h"
#include "gateway/store/database.h"
#include "gateway/store/format.h"

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS epoch(ordinal INTEGER PRIMARY KEY, number INTEGER, machine "
    "INTEGER);"
    /* base_ms here and in segment: the time of the earliest reading, which the base_ms within the
       body need not be. */
    /* a body in chunks that fit a page: rewriting a row with overflow pages would free and take
       them anew, two more pages at every sync. What describes the body stands in its chunk 0. */
    "CREATE TABLE IF NOT EXISTS open(id INTEGER PRIMARY KEY, sector INTEGER, base_ms INTEGER,"
    " last_ms INTEGER, readings INTEGER, crc INTEGER, body BLOB);"
    "CREATE TABLE IF NOT EXISTS segment(id INTEGER PRIMARY KEY, base_ms INTEGER, last_ms INTEGER,"
    " readings INTEGER, crc INTEGER, row BLOB);"
    "CREATE TABLE IF NOT EXISTS stream(ordinal INTEGER, sector INTEGER, last_seq INTEGER,"
    " last_ms INTEGER, PRIMARY KEY(ordinal, sector)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS uplink(id INTEGER PRIMARY KEY, name TEXT UNIQUE,"
    " sectors INTEGER);"
    /* ranges, and with first_seq 0 a check over them */
    "CREATE TABLE IF NOT EXISTS unacked(uplink INTEGER, ordinal INTEGER, sector INTEGER,"
    " first_seq INTEGER, last_seq INTEGER, PRIMARY KEY(uplink, ordinal, sector, first_seq))"
    " WITHOUT ROWID;"
    /* AUTOINCREMENT: a Gap that grew is a new row, which an acknowledgement of the old one spares
     */
    "CREATE TABLE IF NOT EXISTS gap(id INTEGER PRIMARY KEY AUTOINCREMENT, uplink INTEGER,"
    " ordinal INTEGER, sector INTEGER, first_seq INTEGER, last_seq INTEGER, from_ms INTEGER,"
    " to_ms INTEGER, readings INTEGER, reason INTEGER,"
    " UNIQUE(uplink, ordinal, sector, first_seq, from_ms));"
    "CREATE TABLE IF NOT EXISTS device(ordinal INTEGER, id INTEGER, sector INTEGER, name TEXT,"
    " retired INTEGER, body BLOB, PRIMARY KEY(ordinal, id)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS point(ordinal INTEGER, device INTEGER, id INTEGER, name TEXT,"
    " meaning TEXT, retired INTEGER, body BLOB, PRIMARY KEY(ordinal, device, id)) WITHOUT ROWID;"
    /* events of alarms and reports, whole; of what is open the last step */
    "CREATE TABLE IF NOT EXISTS alarm(id TEXT, step INTEGER, kind INTEGER, sector INTEGER,"
    " level INTEGER, previous_level INTEGER, status INTEGER, at_ms INTEGER, crc INTEGER,"
    " body BLOB, rank INTEGER, PRIMARY KEY(id, step)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS alarm_open(id TEXT PRIMARY KEY, step INTEGER) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS alarm_owed(uplink INTEGER, rank INTEGER, id TEXT, step INTEGER,"
    " PRIMARY KEY(uplink, rank, id, step)) WITHOUT ROWID;"
    /* what rules have learned over days */
    "CREATE TABLE IF NOT EXISTS memory(name TEXT PRIMARY KEY, crc INTEGER, body BLOB)"
    " WITHOUT ROWID;";

static const char *const statement_text[STATEMENT_COUNT] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_ROLLBACK] = "ROLLBACK",
    [STATEMENT_META_GET] = "SELECT value FROM meta WHERE key=?1",
    [STATEMENT_META_SET] = "INSERT OR REPLACE INTO meta VALUES(?1,?2)",
    [STATEMENT_EPOCH_ADD] = "INSERT OR REPLACE INTO epoch VALUES(?1,?2,?3)",
    [STATEMENT_EPOCH_LIST] = "SELECT ordinal,number,machine FROM epoch ORDER BY ordinal",
    [STATEMENT_EPOCH_COPIES] = "SELECT key,value FROM meta WHERE key GLOB 'epoch *'",
    [STATEMENT_OPEN_PUT] =
        "INSERT INTO open VALUES(?1,?2,?3,?4,?5,?6,?7) ON CONFLICT(id) DO UPDATE SET"
        " sector=?2,base_ms=?3,last_ms=?4,readings=?5,crc=?6,body=?7",
    [STATEMENT_OPEN_LIST] =
        "SELECT id,sector,base_ms,last_ms,readings,crc,body FROM open ORDER BY id",
    [STATEMENT_OPEN_DELETE] = "DELETE FROM open WHERE id BETWEEN ?1 AND ?2",
    /* REPLACE: a commit whose outcome is in doubt is done again, with the same numbers */
    [STATEMENT_SEGMENT_ADD] = "INSERT OR REPLACE INTO segment VALUES(?1,?2,?3,?4,?5,?6)",
    [STATEMENT_SEGMENT_READ] =
        "SELECT id,base_ms,last_ms,readings,crc,row FROM segment WHERE id BETWEEN ?1 AND ?2"
        " ORDER BY id",
    [STATEMENT_SEGMENT_BACK] =
        "SELECT id,row,crc FROM segment WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC",
    [STATEMENT_SEGMENT_CORRECT] =
        "UPDATE segment SET base_ms=?2,last_ms=?3,crc=?4,row=?5 WHERE id=?1",
    /* without the row itself: a look must not fail because of a damaged blob */
    [STATEMENT_SEGMENT_LOOK] =
        "SELECT id,base_ms,last_ms,readings FROM segment WHERE id BETWEEN ?1 AND ?2"
        " ORDER BY id",
    [STATEMENT_SEGMENT_SUM] = "SELECT sum(readings) FROM segment WHERE id BETWEEN ?1 AND ?2",
    [STATEMENT_STREAM_SET] = "INSERT OR REPLACE INTO stream VALUES(?1,?2,?3,?4)",
    [STATEMENT_STREAM_CORRECT] = "UPDATE stream SET last_ms=?3 WHERE ordinal=?1 AND sector=?2",
    [STATEMENT_STREAM_LIST] = "SELECT ordinal,sector,last_seq,last_ms FROM stream",
    [STATEMENT_UPLINK_PUT] = "INSERT INTO uplink(name,sectors) VALUES(?1,?2) ON CONFLICT(name)"
                             " DO UPDATE SET sectors=?2",
    [STATEMENT_UPLINK_FIND] = "SELECT id,sectors FROM uplink WHERE name=?1",
    [STATEMENT_UPLINK_LIST] = "SELECT id,name FROM uplink",
    [STATEMENT_UPLINK_FORGET] = "DELETE FROM uplink WHERE id=?1",
    [STATEMENT_UNACKED_FORGET] = "DELETE FROM unacked WHERE uplink=?1",
    [STATEMENT_GAP_FORGET] = "DELETE FROM gap WHERE uplink=?1",
    [STATEMENT_UNACKED_CLEAR] = "DELETE FROM unacked WHERE uplink=?1 AND ordinal=?2 AND sector=?3",
    [STATEMENT_UNACKED_ADD] = "INSERT INTO unacked VALUES(?1,?2,?3,?4,?5)",
    [STATEMENT_UNACKED_LIST] =
        "SELECT ordinal,sector,first_seq,last_seq FROM unacked WHERE uplink=?1"
        " ORDER BY ordinal,sector,first_seq",
    [STATEMENT_GAP_ADD] =
        "INSERT OR REPLACE INTO gap(uplink,ordinal,sector,first_seq,last_seq,from_ms,to_ms,"
        "readings,reason) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)",
    /* One that was not handed out yet: the numbers that follow it, or a loss that goes on. It keeps
       its begin, by which receivers know it: what was sampled before that is another Gap. */
    [STATEMENT_GAP_GROW] =
        "UPDATE gap SET last_seq=?5,to_ms=max(to_ms,?7),readings=CASE WHEN readings=0 OR ?8=0 THEN "
        "0"
        " ELSE readings+?8 END WHERE uplink=?1 AND ordinal=?2 AND sector=?3 AND reason=?9 AND"
        " id>?10 AND from_ms<=?6 AND CASE WHEN ?4=0 THEN first_seq=0 AND to_ms>=?6-10000"
        " ELSE first_seq>0 AND last_seq=?4-1 END",
    [STATEMENT_GAP_CORRECT] =
        "UPDATE OR IGNORE gap SET"
        " from_ms=CASE WHEN from_ms BETWEEN ?3 AND ?4 THEN from_ms+?5 ELSE from_ms END,"
        " to_ms=CASE WHEN to_ms BETWEEN ?3 AND ?4 THEN to_ms+?5 ELSE to_ms END"
        " WHERE ordinal=?1 AND sector=?2",
    [STATEMENT_GAP_LIST] =
        "SELECT id,ordinal,sector,first_seq,last_seq,from_ms,to_ms,readings,reason FROM gap"
        " WHERE uplink=?1 AND id>?2 AND sector=?3 ORDER BY id",
    [STATEMENT_GAP_DELETE] =
        "DELETE FROM gap WHERE uplink=?1 AND id BETWEEN ?2 AND ?3 AND sector=?4",
    [STATEMENT_GAP_UNWANTED] = "DELETE FROM gap WHERE uplink=?1 AND sector=?2",
    [STATEMENT_DEVICE_FIND] =
        "SELECT id,retired,body FROM device WHERE ordinal=?1 AND sector=?2 AND name=?3",
    [STATEMENT_DEVICE_MAX] = "SELECT max(id) FROM device WHERE ordinal=?1",
    [STATEMENT_DEVICE_PUT] = "INSERT OR REPLACE INTO device VALUES(?1,?2,?3,?4,0,?5)",
    [STATEMENT_DEVICE_LIST] =
        "SELECT id,retired,body FROM device WHERE ordinal=?1 AND sector=?2 ORDER BY id",
    [STATEMENT_DEVICE_RETIRE] = "UPDATE device SET retired=1 WHERE ordinal=?1 AND id=?2",
    [STATEMENT_POINT_FIND] =
        "SELECT id,retired,body FROM point WHERE ordinal=?1 AND device=?2 AND name=?3"
        " AND meaning=?4",
    [STATEMENT_POINT_MAX] = "SELECT max(id) FROM point WHERE ordinal=?1",
    [STATEMENT_POINT_PUT] = "INSERT OR REPLACE INTO point VALUES(?1,?2,?3,?4,?5,0,?6)",
    [STATEMENT_POINT_LIST] =
        "SELECT id,retired,body FROM point WHERE ordinal=?1 AND device=?2 ORDER BY id",
    [STATEMENT_POINTS_RETIRE] = "UPDATE point SET retired=1 WHERE ordinal=?1 AND device=?2",
    [STATEMENT_POINT_RETIRE] =
        "UPDATE point SET retired=1 WHERE ordinal=?1 AND device=?2 AND id=?3",
    [STATEMENT_FREE_PAGES] = "PRAGMA freelist_count",
    [STATEMENT_SEGMENT_DELETE] = "DELETE FROM segment WHERE id=?1",
    [STATEMENT_PAGES] = "PRAGMA page_count",
    [STATEMENT_HISTORY_EPOCH] = "SELECT number FROM epoch WHERE ordinal=?1",
    [STATEMENT_HISTORY_LAST] =
        "SELECT id FROM segment WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1",
    /* a blob is read from its pages only where the CASE wants it */
    [STATEMENT_HISTORY_READ] =
        "SELECT id,base_ms,last_ms,crc,CASE WHEN last_ms>=?3 AND base_ms<?4 THEN row END"
        " FROM segment WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
    [STATEMENT_HISTORY_POINTS] =
        "SELECT d.id,d.sector,d.name,p.id,p.name,p.meaning FROM device d JOIN point p"
        " ON p.ordinal=d.ordinal AND p.device=d.id WHERE d.ordinal=?1 AND d.id>?2"
        " ORDER BY d.id,p.id",
    [STATEMENT_ALARM_PUT] =
        "INSERT OR REPLACE INTO alarm VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)",
    [STATEMENT_ALARM_OPEN] = "INSERT OR REPLACE INTO alarm_open VALUES(?1,?2)",
    [STATEMENT_ALARM_CLOSE] = "DELETE FROM alarm_open WHERE id=?1",
    [STATEMENT_ALARM_OPEN_LIST] = "SELECT alarm.* FROM alarm_open JOIN alarm USING(id,step)"
                                  " ORDER BY alarm_open.id",
    [STATEMENT_ALARM_OWE] = "INSERT OR IGNORE INTO alarm_owed VALUES(?1,?2,?3,?4)",
    [STATEMENT_ALARM_SETTLE] =
        "DELETE FROM alarm_owed WHERE uplink=?1 AND id=?2 AND step=?3 AND rank IN(1,2,3,4,5)",
    [STATEMENT_ALARM_FORGET] = "DELETE FROM alarm_owed WHERE uplink=?1",
    [STATEMENT_ALARM_OWED] = "SELECT count(*) FROM alarm_owed WHERE uplink=?1",
    [STATEMENT_ALARM_BACK] =
        "SELECT alarm.* FROM alarm_owed o JOIN alarm ON alarm.id=o.id AND alarm.step=o.step"
        " WHERE uplink=?1 AND (o.rank,o.id,o.step)>(?2,?3,?4) ORDER BY o.rank,o.id,o.step LIMIT ?5",
    [STATEMENT_ALARM_STEPS] = "SELECT id,step,kind,sector,level,previous_level,status,at_ms,crc,"
                              "CASE WHEN at_ms>=?3 AND at_ms<?4 THEN body END"
                              " FROM alarm WHERE (id,step)>(?1,?2) ORDER BY id,step",
    [STATEMENT_MEMORY_PUT] = "INSERT OR REPLACE INTO memory VALUES(?1,?2,?3)",
    [STATEMENT_MEMORY_LIST] = "SELECT name,crc,body FROM memory",
};

/* -first: of a damaged file only, see wreck.h */
static const char *const suffixes[] = {"", "-wal", "-shm", "-first"};

uint64_t database_random(void)
{
    uint64_t number = 0;
    do {
        if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
            number = (uint64_t)clock_mono().ns ^ (uint64_t)clock_wall().ms << 20;
        number &= (UINT64_C(1) << 53) - 1;
    } while (number == 0);
    return number;
}

/* CRC-32 over the key (little-endian epoch, sector, seq) and the bytes: a row that landed under
 * another key is as wrong as one with a flipped bit. */
uint32_t database_crc(uint64_t epoch, enum sector sector, uint64_t seq, const uint8_t *bytes,
                      size_t length)
{
    uint64_t key[3] = {epoch, (uint64_t)sector, seq};
    uint8_t text[24];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(key[i / 8] >> (8 * (i % 8)));
    uLong crc = crc32(0, text, sizeof text);
    /* zlib makes 0 of no bytes, which a damaged row may well claim for its CRC */
    return (uint32_t)(bytes ? crc32(crc, bytes, (uInt)length) : crc);
}

sqlite3_stmt *database_statement(struct store *store, enum statement statement)
{
    sqlite3_stmt *s = store->statements[statement];
    sqlite3_reset(s);
    return s;
}

/* A statement that finds no memory, also one that only reads, ends the transaction that it is in.
 * What follows would be written one by one, and without it. */
static bool is_cut_off(struct store *store)
{
    if (store->begun != store->db || !sqlite3_get_autocommit(store->db))
        return false;
    if (!store->error)
        store->error = SQLITE_NOMEM;
    return true;
}

bool database_run(struct store *store, enum statement statement)
{
    sqlite3_stmt *s = store->statements[statement];
    bool begins = statement == STATEMENT_BEGIN, undoes = statement == STATEMENT_ROLLBACK;
    if (undoes && sqlite3_get_autocommit(store->db)) {
        store->begun = NULL;
        return true;
    }
    if (!begins && !undoes && is_cut_off(store))
        return false;
    int rc = sqlite3_step(s);
    bool ok = rc == SQLITE_DONE || rc == SQLITE_ROW;
    sqlite3_reset(s);
    if (!ok || begins)
        store->error = ok ? SQLITE_OK : sqlite3_errcode(store->db) & 0xff;
    if (ok && begins)
        store->begun = store->db;
    else if (begins || undoes || (ok && statement == STATEMENT_COMMIT))
        store->begun = NULL;
    watchdog_beat(); /* many statements may make up one turn; each of them alone must end */
    return ok;
}

int64_t database_meta(struct store *store, const char *key, int64_t otherwise)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_META_GET);
    sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
    int64_t value = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : otherwise;
    sqlite3_reset(s);
    return value;
}

bool database_meta_set(struct store *store, const char *key, int64_t value)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_META_SET);
    sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, value);
    return database_run(store, STATEMENT_META_SET);
}

bool database_execute(struct store *store, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *sql = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    bool ok =
        sql && !is_cut_off(store) && sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_free(sql);
    return ok;
}

static void make_folder(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    if (mkdir(folder, 0750) != 0)
        return; /* it is there, or opening the file will say what is wrong */
}

/* What a file brings along must not act: no views, no triggers. */
static void disarm(sqlite3 *db)
{
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
}

static int prepare_statements(struct store *store)
{
    int rc = SQLITE_OK;
    for (int i = 0; rc == SQLITE_OK && i < STATEMENT_COUNT; i++)
        rc = sqlite3_prepare_v3(store->db, statement_text[i], -1, SQLITE_PREPARE_PERSISTENT,
                                &store->statements[i], NULL);
    return rc;
}

/* The tables of an empty or an earlier store become this version's in one transaction; in one of
 * this version that lacks a table there is one again. */
static int bring_up(struct store *store, const char *path, int version)
{
    int rc = sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(store->db, schema, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = prepare_statements(store);
    if (rc == SQLITE_OK && version != FORMAT && !format_migrate(store, version))
        rc = database_error(store);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
    if (rc == SQLITE_OK && version != FORMAT && version != FORMAT_EMPTY)
        log_notice("store: %s was an earlier version's; its tables have format %d now", path,
                   FORMAT);
    return rc;
}

static int prepare(struct store *store, const char *path, const char *pragmas)
{
    int version = FORMAT_EMPTY;
    int rc = sqlite3_open_v2(
        path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        disarm(store->db);
        rc = sqlite3_exec(store->db, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK)
        rc = format_read(store->db, &version);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(store->db, pragmas, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = bring_up(store, path, version);
    if (rc != SQLITE_OK)
        database_abandon(store);
    return rc & 0xff;
}

static bool name_aside(const char *path, int64_t stamp, const char *suffix, char *out, size_t size)
{
    return (size_t)snprintf(out, size, "%s.corrupt-%lld%s", path, (long long)stamp, suffix) < size;
}

/* The newest damaged file below that number; 0: there is none. By number: as text the names sort
 * otherwise once the clock has been in the past. */
static int64_t newest_below(const char *path, int64_t below)
{
    enum { DIGITS_MAX = 18 };
    char pattern[4096];
    glob_t found;
    int64_t newest = 0;
    snprintf(pattern, sizeof pattern, "%s.corrupt-*[0-9]", path);
    if (glob(pattern, 0, NULL, &found) != 0)
        return 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *digits = strrchr(found.gl_pathv[i], '-') + 1;
        size_t length = strspn(digits, "0123456789");
        int64_t stamp = strtoll(digits, NULL, 10);
        if (!digits[length] && length <= DIGITS_MAX && stamp < below && stamp > newest)
            newest = stamp;
    }
    globfree(&found);
    return newest;
}

int64_t database_newest_aside(const struct store *store)
{
    return newest_below(store->settings->store.path, INT64_MAX);
}

/* Damaged files are worth two copies, not the card: the one just made and the one before. */
static void remove_old(const char *path, int64_t stamp)
{
    int64_t old = newest_below(path, stamp);
    while (old && (old = newest_below(path, old))) {
        for (size_t k = 0; k < sizeof suffixes / sizeof *suffixes; k++) {
            char name[4200];
            if (name_aside(path, old, suffixes[k], name, sizeof name))
                unlink(name);
        }
    }
}

static void move_aside(const char *path, int64_t stamp, const char *suffix)
{
    char from[4200], to[4200];
    snprintf(from, sizeof from, "%s%s", path, suffix);
    if (name_aside(path, stamp, suffix, to, sizeof to) && access(to, F_OK) != 0 &&
        rename(from, to) == 0)
        log_error("store: %s is damaged, kept as %s", from, to);
}

int64_t database_set_aside(const struct store *store)
{
    const char *path = store->settings->store.path;
    int64_t stamp = clock_wall().ms, newest = newest_below(path, INT64_MAX);
    if (stamp <= newest)
        stamp = newest + 1;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        move_aside(path, stamp, suffixes[i]);
    remove_old(path, stamp);
    return stamp;
}

/* A log without its file, which a new one would throw away: after a death in the middle of that it
 * follows its file; or somebody has moved the file alone. */
static void finish_aside(const struct store *store)
{
    const char *path = store->settings->store.path;
    if (access(path, F_OK) == 0 || errno != ENOENT)
        return;
    int64_t stamp = database_newest_aside(store);
    for (size_t i = 1; i < sizeof suffixes / sizeof *suffixes; i++)
        move_aside(path, stamp ? stamp : clock_wall().ms, suffixes[i]);
}

int database_open(struct store *store)
{
    make_folder(store->settings->store.path);
    finish_aside(store);
    enum wal_state log = wal_look(store->settings->store.path);
    if (log > store->log) /* an attempt that failed may have written over what was wrong */
        store->log = log;
    return prepare(store, store->settings->store.path,
                   "PRAGMA journal_mode=WAL;"
                   "PRAGMA synchronous=FULL;"
                   "PRAGMA secure_delete=OFF;"
                   "PRAGMA temp_store=MEMORY;"
                   "PRAGMA cache_size=-256;"
                   "PRAGMA journal_size_limit=4194304;");
}

int database_open_memory(struct store *store, int pages)
{
    char pragmas[200];
    snprintf(pragmas, sizeof pragmas,
             "PRAGMA page_size=4096;PRAGMA max_page_count=%d;PRAGMA secure_delete=OFF;"
             "PRAGMA temp_store=MEMORY;",
             pages);
    return prepare(store, ":memory:", pragmas);
}

void database_disconnect(struct store *store)
{
    if (store->begun == store->db)
        store->begun = NULL;
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        sqlite3_finalize(store->statements[i]);
        store->statements[i] = NULL;
    }
    sqlite3_close(store->db);
    store->db = NULL;
}

void database_unlock(struct store *store)
{
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    store->lock_fd = -1;
}

void database_close(struct store *store)
{
    database_disconnect(store);
    database_unlock(store);
}

void database_abandon(struct store *store)
{
    if (store->db)
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    database_disconnect(store);
}

int database_checkpoint(struct store *store)
{
    return sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) &
           0xff;
}

void database_detach(struct store *store, struct connection *out)
{
    out->db = store->db;
    memcpy(out->statements, store->statements, sizeof out->statements);
    memset(store->statements, 0, sizeof store->statements);
    store->db = NULL;
}

void database_attach(struct store *store, struct connection *in)
{
    store->db = in->db;
    memcpy(store->statements, in->statements, sizeof in->statements);
    *in = (struct connection){0};
}

void database_open_damaged(const char *path, struct connection *out)
{
    if (sqlite3_open_v2(path, &out->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        sqlite3_close(out->db);
        out->db = NULL;
        return;
    }
    sqlite3_db_config(out->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    disarm(out->db);
    /* each says of itself whether it can read; a file that is shorter than it says can be read
       only with a schema that may be written */
    (void)sqlite3_exec(out->db,
                       "PRAGMA writable_schema=ON;"
                       "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-256;"
                       "PRAGMA query_only=ON",
                       NULL, NULL, NULL);
    for (int i = 0; i < STATEMENT_COUNT; i++)
        (void)sqlite3_prepare_v2(out->db, statement_text[i], -1, &out->statements[i], NULL);
}

void database_close_damaged(struct connection *damaged)
{
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(damaged->statements[i]);
    sqlite3_close(damaged->db);
    *damaged = (struct connection){0};
}

bool database_first_page(uint8_t *out, size_t size)
{
    sqlite3 *db = NULL;
    sqlite3_int64 length = 0;
    unsigned char *image = NULL;
    if (sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ==
            SQLITE_OK &&
        sqlite3_exec(db, "PRAGMA page_size=4096", NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_exec(db, schema, NULL, NULL, NULL) == SQLITE_OK)
        image = sqlite3_serialize(db, "main", &length, 0);
    bool ok = image && length >= (sqlite3_int64)size;
    if (ok)
        memcpy(out, image, size);
    sqlite3_free(image);
    sqlite3_close(db);
    return ok;
}

bool database_number_gaps(struct store *store)
{
    long long base = (long long)(1 + (database_random() & 0xfffff)) << 40;
    return database_execute(store, "INSERT OR REPLACE INTO sqlite_sequence VALUES('gap',%lld)",
                            base);
}

int database_error(const struct store *store)
{
    int rc = sqlite3_errcode(store->db) & 0xff;
    if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE)
        rc = store->error; /* another statement came after */
    return rc ? rc : SQLITE_NOMEM;
}

/* A write-ahead log that a crash has left. */
static int has_log(const char *path)
{
    char log[4096];
    struct stat file;
    snprintf(log, sizeof log, "%s-wal", path);
    return stat(log, &file) == 0 && file.st_size > 0;
}

bool database_read_only(struct store *store, char *why, size_t why_size)
{
    int version;
    const char *path = store->settings->store.path;
    int rc = sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) /* an empty log of our own goes when we go, a crash's stays */
        rc = sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log(path), NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(store->db,
                          "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-256;"
                          "PRAGMA query_only=ON; SELECT count(*) FROM epoch",
                          NULL, NULL, NULL);
    if (rc == SQLITE_OK && format_read(store->db, &version) == SQLITE_FORMAT) {
        snprintf(why, why_size, "cannot read %s: %s", path, DATABASE_LATER);
        return false;
    }
    for (int i = 0; rc == SQLITE_OK && i < STATEMENT_COUNT; i++)
        (void)sqlite3_prepare_v2(store->db, statement_text[i], -1, &store->statements[i], NULL);
    if (rc != SQLITE_OK)
        snprintf(why, why_size, "cannot read %s: %s", path,
                 store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(rc));
    return rc == SQLITE_OK;
}
