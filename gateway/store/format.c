/* The version of a store's tables: `user_version` in the head of the file holds it twice, so that a
 * bit that flips there is damage and not a later program. Store thread, and main() at the start; an
 * earlier store is brought to this version in the transaction that opens it, whole or not at all.
 * Left as they are: the times in column base_ms of rows of 0.2 and 0.3, which may be those of a
 * reading that is not the earliest; `query` may miss the ones before it at the edge of its window.
 * Never writes into a file of a later version. */
#include "gateway/store/internal.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "gateway/store/database.h"
#include "gateway/store/debts.h"
#include "gateway/store/format.h"

enum { USER_VERSION_AT = 60, USER_VERSION_BYTES = 4 };

#define WRITTEN(version) ((uint32_t)(version)*0x10001u)

/* From version i to i + 1. */
static bool (*const steps[FORMAT])(struct store *store) = {
    debts_vouch,
};

static bool is_later(uint32_t written)
{
    uint32_t version = written & 0xffff;
    return written == WRITTEN(version) && version > FORMAT;
}

/* The first column of the first row. */
static int ask(sqlite3 *db, const char *sql, int64_t *answer)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        *answer = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int format_read(sqlite3 *db, int *version)
{
    int64_t user_version = 0, tables = 0, others = 0;
    int rc = ask(db, "PRAGMA user_version", &user_version);
    uint32_t written = (uint32_t)user_version;
    if (rc == SQLITE_OK && is_later(written))
        return SQLITE_FORMAT;
    if (rc == SQLITE_OK)
        rc = ask(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (rc == SQLITE_OK)
        rc = ask(db,
                 "SELECT count(*) FROM sqlite_schema WHERE rootpage<2 OR type<>'table' AND"
                 " name NOT GLOB 'sqlite_autoindex_*'",
                 &others);
    if (rc != SQLITE_OK)
        return rc;
    if (written != WRITTEN(written & 0xffff) || others)
        return SQLITE_CORRUPT;
    *version = tables ? (int)(written & 0xffff) : FORMAT_EMPTY;
    return SQLITE_OK;
}

bool format_migrate(struct store *store, int version)
{
    bool ok = true;
    for (int v = version; ok && v >= 0 && v < FORMAT; v++)
        ok = steps[v](store);
    return ok && database_execute(store, "PRAGMA user_version=%d", (int)WRITTEN(FORMAT));
}

static uint32_t big_endian(const uint8_t bytes[4])
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* In the file, or in the newest copy of its first page that stands in the log, which counts. */
static void look_into_log(const char *path, uint32_t *written)
{
    enum { HEADER = 32, PAGE_SIZE_AT = 8, SALT_AT = 16, FRAME = 24, FRAME_SALT_AT = 8, SALT = 8 };
    char log[4200];
    uint8_t header[HEADER], frame[FRAME], bytes[USER_VERSION_BYTES];
    snprintf(log, sizeof log, "%s-wal", path);
    int fd = open(log, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (pread(fd, header, HEADER, 0) == HEADER) {
        off_t step = FRAME + (off_t)big_endian(header + PAGE_SIZE_AT);
        for (off_t at = HEADER; pread(fd, frame, FRAME, at) == FRAME &&
                                memcmp(frame + FRAME_SALT_AT, header + SALT_AT, SALT) == 0;
             at += step) {
            if (big_endian(frame) == 1 &&
                pread(fd, bytes, sizeof bytes, at + FRAME + USER_VERSION_AT) == sizeof bytes)
                *written = big_endian(bytes);
        }
    }
    close(fd);
}

bool format_is_later(const char *path)
{
    uint8_t bytes[USER_VERSION_BYTES];
    uint32_t written = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (pread(fd, bytes, sizeof bytes, USER_VERSION_AT) == sizeof bytes)
        written = big_endian(bytes);
    close(fd);
    look_into_log(path, &written);
    return is_later(written);
}
