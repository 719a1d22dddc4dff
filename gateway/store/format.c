/* The version of a store's tables: `user_version` in the head of the file holds it twice, so that a
 * bit that flips there is damage and not a later program. Store thread, and main() at the start; an
 * earlier store is brought to this version in the transaction that opens it, whole or not at all.
 * Left as they are: the times in column base_ms of rows of 0.2 and 0.3, which may be those of a
 * reading that is not the earliest; `query` may miss the ones before it at the edge of its window.
 * Never writes into a file of a later version. */
#include "gateway/store/internal.h"

#include <fcntl.h>
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

bool format_is_later(const char *path)
{
    uint8_t bytes[USER_VERSION_BYTES];
    uint32_t written = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool read = pread(fd, bytes, sizeof bytes, USER_VERSION_AT) == sizeof bytes;
    close(fd);
    for (size_t i = 0; read && i < sizeof bytes; i++)
        written = written << 8 | bytes[i];
    return is_later(written);
}
