/* Opens a damaged file. Store thread, and main() at the start.
 * Without its first page nothing of a file can be found, and that page is written at every
 * checkpoint. What it says is known: the tables are made in one order, so their roots stand at the
 * same pages in every file; all else of it matters only to who writes.
 * Never believes anything in the file, and never takes a disk that refuses for damage. */
#include "gateway/store/internal.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "gateway/log.h"
#include "gateway/store/database.h"
#include "gateway/store/wreck.h"

enum {
    PAGE_BYTES = 4096,
    /* in the header of the file */
    WRITE_VERSION_AT = 18,
    READ_VERSION_AT = 19,
    WITH_LOG = 2,
    CHANGES_AT = 24,   /* where this differs from the one at 92, */
    VALID_FOR_AT = 92, /* SQLite goes by the size of the file */
};

static bool make_first_page(uint8_t page[PAGE_BYTES])
{
    if (!database_first_page(page, PAGE_BYTES))
        return false;
    page[WRITE_VERSION_AT] = page[READ_VERSION_AT] = WITH_LOG;
    memset(page + CHANGES_AT, 1, 4);
    memset(page + VALID_FOR_AT, 0, 4);
    return true;
}

/* One that is there whole was kept before a power cut, and the file has the new page since. */
static bool keep(const char *path, const uint8_t page[PAGE_BYTES])
{
    char name[4200];
    snprintf(name, sizeof name, "%s-first", path);
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return false;
    bool ok = lseek(fd, 0, SEEK_END) == PAGE_BYTES ||
              (pwrite(fd, page, PAGE_BYTES, 0) == PAGE_BYTES && fsync(fd) == 0);
    return close(fd) == 0 && ok;
}

static bool replace_first_page(const char *path)
{
    uint8_t fresh[PAGE_BYTES], damaged[PAGE_BYTES];
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool ok = fd >= 0 && pread(fd, damaged, PAGE_BYTES, 0) == PAGE_BYTES &&
              make_first_page(fresh) && keep(path, damaged) &&
              pwrite(fd, fresh, PAGE_BYTES, 0) == PAGE_BYTES && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    if (ok)
        log_notice(
            "store: no way leads from the first page of %s to its epochs and rows; it is replaced",
            path);
    return ok;
}

/* SQLITE_ROW: there is a way to its epochs and its rows. */
static int look(const struct connection *wreck)
{
    sqlite3_stmt *s = wreck->statements[STATEMENT_EPOCH_LIST];
    int rc;
    if (!s || !wreck->statements[STATEMENT_SEGMENT_READ]) {
        rc = sqlite3_errcode(wreck->db) & 0xff;
        /* the next one found its table, and has wiped out why this one did not */
        return rc ? rc : SQLITE_ERROR;
    }
    rc = sqlite3_step(s);
    sqlite3_reset(s);
    return rc & 0xff;
}

static bool is_damage(int rc)
{
    return rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT || rc == SQLITE_ERROR || rc == SQLITE_DONE;
}

void wreck_open(const struct store *store, int64_t stamp, struct connection *out)
{
    char path[4100];
    snprintf(path, sizeof path, "%s.corrupt-%lld", store->settings->store.path, (long long)stamp);
    database_open_damaged(path, out);
    if (!out->db || !is_damage(look(out)) || !replace_first_page(path))
        return;
    database_close_damaged(out);
    database_open_damaged(path, out);
}
