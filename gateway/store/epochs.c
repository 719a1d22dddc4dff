/* The list of epochs in memory and, twice, in the database: table epoch, and keys "epoch ORDINAL"
 * of table meta, which lie on another page. Store thread, and main() at the start; inside the
 * caller's transaction. Where the lists differ the rows decide: each has the number in its CRC.
 * Never begins an epoch by itself. */
#include "gateway/store/internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "gateway/log.h"
#include "gateway/store/backlog.h"
#include "gateway/store/database.h"
#include "gateway/store/epochs.h"
#include "gateway/store/recover.h"

enum { ORDINAL_MAX = 32000 }; /* 15 bits of a row's id */

static const char copy_key[] = "epoch ";

size_t epochs_index(const struct store *store, uint32_t ordinal)
{
    size_t e = 0;
    while (e < store->epoch_count && store->epochs[e].ordinal != ordinal)
        e++;
    return e;
}

int64_t epochs_board(void)
{
    char id[64];
    int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, id, sizeof id);
    close(fd);
    return length > 0 ? (int64_t)crc32(0, (const Bytef *)id, (uInt)length) : 0;
}

bool epochs_may_begin(struct store *store, uint32_t ordinal)
{
    bool full = ordinal > ORDINAL_MAX;
    if (full)
        store->error = SQLITE_CANTOPEN;
    if (full && !store->full)
        log_error("store: this file has had %d epochs and takes no more; move it away",
                  ORDINAL_MAX);
    store->full = full;
    return !full;
}

/* ---- writing ---- */

bool epochs_append(struct store *store, uint32_t ordinal, uint64_t number)
{
    if (!backlog_add_epoch(store))
        return false;
    struct epoch *epochs = realloc(store->epochs, (store->epoch_count + 1) * sizeof *epochs);
    if (!epochs)
        return false;
    store->epochs = epochs;
    epochs[store->epoch_count++] = (struct epoch){.ordinal = ordinal, .number = number};
    return true;
}

bool epochs_write(struct store *store, uint32_t ordinal, uint64_t number)
{
    char key[32];
    sqlite3_stmt *s = database_statement(store, STATEMENT_EPOCH_ADD);
    sqlite3_bind_int64(s, 1, ordinal);
    sqlite3_bind_int64(s, 2, (int64_t)number);
    sqlite3_bind_int64(s, 3, epochs_board());
    snprintf(key, sizeof key, "%s%u", copy_key, ordinal);
    return database_run(store, STATEMENT_EPOCH_ADD) &&
           database_meta_set(store, key, (int64_t)number);
}

bool epochs_begin(struct store *store, uint32_t ordinal, uint64_t number)
{
    return epochs_write(store, ordinal, number) && epochs_append(store, ordinal, number);
}

bool epochs_delete(struct store *store, uint32_t ordinal)
{
    return database_execute(store,
                            "DELETE FROM epoch WHERE ordinal=%u; DELETE FROM meta WHERE"
                            " key='%s%u'",
                            ordinal, copy_key, ordinal);
}

bool epochs_rewrite(struct store *store)
{
    bool ok = database_execute(store, "DELETE FROM epoch; DELETE FROM meta WHERE key GLOB '%s*'",
                               copy_key);
    for (size_t e = 0; ok && e < store->epoch_count; e++)
        ok = epochs_write(store, store->epochs[e].ordinal, store->epochs[e].number);
    return ok;
}

/* ---- reading ---- */

static bool is_possible(int64_t ordinal, int64_t number)
{
    return ordinal >= 1 && ordinal <= ORDINAL_MAX && number >= 1 && !(number >> 53);
}

/* Remembers what is wrong with it: the other list may be read well after it. */
static bool is_whole(struct store *store, sqlite3_stmt *s)
{
    int rc = sqlite3_reset(s);
    if (rc != SQLITE_OK)
        store->error = rc & 0xff;
    return rc == SQLITE_OK;
}

/* No two have one number: the ordinal of one of them is damaged. */
static void remove_number(struct store *store, uint64_t number)
{
    size_t e = 0;
    while (e < store->epoch_count && store->epochs[e].number != number)
        e++;
    if (e == store->epoch_count)
        return;
    store->epoch_count--;
    memmove(&store->epochs[e], &store->epochs[e + 1],
            (store->epoch_count - e) * sizeof *store->epochs);
}

static bool has_number(const struct store *store, uint64_t number)
{
    for (size_t e = 0; e < store->epoch_count; e++) {
        if (store->epochs[e].number == number)
            return true;
    }
    return false;
}

static bool insert(struct store *store, uint32_t ordinal, uint64_t number)
{
    remove_number(store, number);
    if (!epochs_append(store, ordinal, number))
        return false;
    size_t e = store->epoch_count - 1;
    for (; e > 0 && store->epochs[e - 1].ordinal > ordinal; e--)
        store->epochs[e] = store->epochs[e - 1];
    store->epochs[e] = (struct epoch){.ordinal = ordinal, .number = number};
    return true;
}

/* A damaged ordinal stands where it stood, out of order. */
static bool read_table(struct store *store, struct epochs_found *out)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_EPOCH_LIST);
    bool ok = true;
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        int64_t ordinal = sqlite3_column_int64(s, 0), number = sqlite3_column_int64(s, 1);
        out->board = sqlite3_column_int64(s, 2);
        if (is_possible(ordinal, number) &&
            epochs_index(store, (uint32_t)ordinal) == store->epoch_count)
            ok = insert(store, (uint32_t)ordinal, (uint64_t)number);
        else
            out->doubt = true;
    }
    return is_whole(store, s) && ok;
}

/* A row of that epoch has the number in its CRC. Where the disk refuses, the transaction is over.
 */
static bool is_vouched(struct store *store, uint32_t ordinal, uint64_t number)
{
    enum { ROWS = 16 };
    bool found = false;
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_BACK);
    for (int sector = 1; !found && sector < SECTOR_COUNT; sector++) {
        const int64_t first = SEGMENT_ID(ordinal, sector, 0);
        sqlite3_bind_int64(s, 1, first);
        sqlite3_bind_int64(s, 2, SEGMENT_ID(ordinal, sector + 1, 0) - 1);
        for (int i = 0; !found && i < ROWS && sqlite3_step(s) == SQLITE_ROW; i++)
            found = database_crc(number, (enum sector)sector,
                                 (uint64_t)(sqlite3_column_int64(s, 0) - first),
                                 sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1)) ==
                    (uint32_t)sqlite3_column_int64(s, 2);
        sqlite3_reset(s);
    }
    return found;
}

/* What the copy says of an epoch; nothing is owed yet, so that they may change places. */
static bool take_copy(struct store *store, uint32_t ordinal, uint64_t number,
                      struct epochs_found *out)
{
    size_t e = epochs_index(store, ordinal);
    if (e < store->epoch_count && store->epochs[e].number == number)
        return true;
    out->doubt = true;
    bool vouched = is_vouched(store, ordinal, number);
    if (e == store->epoch_count)
        return (has_number(store, number) && !vouched) || insert(store, ordinal, number);
    /* what stands open knows its number, though not its ordinal */
    if (vouched || recover_is_open(store, number))
        store->epochs[e].number = number;
    return true;
}

static bool read_copy(struct store *store, size_t *count, struct epochs_found *out)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_EPOCH_COPIES);
    bool ok = true;
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(s, 0);
        int64_t ordinal = key ? strtol(key + strlen(copy_key), NULL, 10) : 0;
        int64_t number = sqlite3_column_int64(s, 1);
        ++*count;
        if (is_possible(ordinal, number))
            ok = take_copy(store, (uint32_t)ordinal, (uint64_t)number, out);
        else
            out->doubt = true;
    }
    return is_whole(store, s) && ok;
}

bool epochs_read(struct store *store, struct epochs_found *out)
{
    size_t copies = 0;
    *out = (struct epochs_found){.board = epochs_board()};
    bool table = read_table(store, out), copy = read_copy(store, &copies, out);
    out->single = copies == 0 && store->epoch_count > 0;
    out->doubt |= copies > 0 && copies != store->epoch_count;
    return table && copy;
}
