/* The twin of a database: a small text file beside it, PATH-twin, that says again where its tables
 * begin, which numbers its epochs have, and how far each stream had come. A page of the card that
 * is lost with one of these in it would otherwise take every row with it, or have numbers given a
 * second time. It is replaced whole, by a rename, after the commit: a power cut in between leaves
 * one that knows less, never one that is wrong. Store thread, and main() at the start. Never
 * outweighs rows: where their CRC knows the epochs of the file and not those of the twin, it is
 * another file's. */
#include "gateway/store/internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "gateway/log.h"
#include "gateway/store/database.h"
#include "gateway/store/recover.h"
#include "gateway/store/twin.h"

enum { PAGE = 4096, NAME = 40, TEXT_MAX = 4 << 20, ROWS_MAX = 64 };

static const char title[] = "lifeline store twin 1\n";

/* One of them, as text and read. */
struct twin {
    char *text;
    size_t length;
    struct epoch *epochs; /* ascending by ordinal */
    int64_t (*newest_ms)[SECTOR_COUNT];
    size_t epoch_count;
    unsigned running;
};

static bool path_of(const struct store *store, const char *suffix, char *out, size_t size)
{
    return (size_t)snprintf(out, size, "%s-twin%s", store->settings->store.path, suffix) < size;
}

/* ---- writing ---- */

static void add_rows(FILE *out, sqlite3_stmt *s, const char *word, int columns)
{
    while (sqlite3_step(s) == SQLITE_ROW) {
        fputs(word, out);
        for (int i = 0; i < columns; i++)
            fprintf(out, " %s", (const char *)sqlite3_column_text(s, i));
        fputc('\n', out);
    }
    sqlite3_reset(s);
}

static bool compose(const struct store *store, bool running, struct twin *out)
{
    FILE *stream = open_memstream(&out->text, &out->length);
    sqlite3_stmt *tables = NULL;
    if (!stream)
        return false;
    fprintf(stream, "%srunning %d\n", title, running);
    (void)sqlite3_prepare_v2(store->db, "SELECT name,rootpage FROM sqlite_schema", -1, &tables,
                             NULL);
    add_rows(stream, tables, "table", 2);
    sqlite3_finalize(tables);
    for (size_t e = 0; e < store->epoch_count; e++)
        fprintf(stream, "epoch %u %" PRIu64 "\n", store->epochs[e].ordinal,
                store->epochs[e].number);
    add_rows(stream, store->statements[STATEMENT_STREAM_LIST], "stream", 4);
    fflush(stream);
    fprintf(stream, "check %lu\n", crc32(0, (const Bytef *)out->text, (uInt)out->length));
    return fclose(stream) == 0;
}

static void sync_folder(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd); /* where it fails the old one may come back, which is as well */
    close(fd);
}

static bool replace(const struct store *store, const struct twin *twin)
{
    char path[4096], fresh[4096];
    if (!path_of(store, "", path, sizeof path) || !path_of(store, ".new", fresh, sizeof fresh))
        return false;
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0)
        return false;
    bool ok = write(fd, twin->text, twin->length) == (ssize_t)twin->length && fsync(fd) == 0;
    close(fd);
    ok = ok && rename(fresh, path) == 0;
    if (ok)
        sync_folder(path);
    else
        unlink(fresh);
    return ok;
}

/* ---- reading ---- */

static void release(struct twin *twin)
{
    free(twin->text);
    free(twin->epochs);
    free(twin->newest_ms);
    *twin = (struct twin){0};
}

static size_t index_of(const struct twin *twin, uint64_t ordinal)
{
    size_t e = 0;
    while (e < twin->epoch_count && twin->epochs[e].ordinal != ordinal)
        e++;
    return e;
}

static bool load_text(const struct store *store, struct twin *twin)
{
    char path[4096];
    struct stat file;
    if (!path_of(store, "", path, sizeof path))
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = fstat(fd, &file) == 0 && file.st_size < TEXT_MAX &&
              (twin->text = calloc(1, (size_t)file.st_size + 1)) &&
              read(fd, twin->text, (size_t)file.st_size) == file.st_size;
    twin->length = ok ? (size_t)file.st_size : 0;
    close(fd);
    return ok;
}

/* Its last line vouches for the others. */
static bool is_sound(const struct twin *twin)
{
    static const char word[] = "\ncheck ";
    const char *last = memmem(twin->text, twin->length, word, sizeof word - 1);
    return last && strncmp(twin->text, title, sizeof title - 1) == 0 &&
           strtoul(last + sizeof word - 1, NULL, 10) ==
               crc32(0, (const Bytef *)twin->text, (uInt)(last + 1 - twin->text));
}

static bool take_line(struct twin *twin, const char *line)
{
    uint64_t at[4];
    (void)sscanf(line, "running %u", &twin->running);
    if (sscanf(line, "epoch %" SCNu64 " %" SCNu64, &at[0], &at[1]) == 2) {
        size_t more = twin->epoch_count + 1;
        struct epoch *epochs = realloc(twin->epochs, more * sizeof *epochs);
        twin->epochs = epochs ? epochs : twin->epochs;
        void *newest_ms = realloc(twin->newest_ms, more * sizeof *twin->newest_ms);
        twin->newest_ms = newest_ms ? newest_ms : twin->newest_ms;
        if (!epochs || !newest_ms)
            return false;
        memset(twin->newest_ms[more - 1], 0, sizeof *twin->newest_ms);
        epochs[more - 1] = (struct epoch){.ordinal = (uint32_t)at[0], .number = at[1]};
        twin->epoch_count = more;
    } else if (sscanf(line, "stream %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &at[0], &at[1],
                      &at[2], &at[3]) == 4) {
        size_t e = index_of(twin, at[0]);
        if (e < twin->epoch_count && at[1] > 0 && at[1] < SECTOR_COUNT) {
            twin->epochs[e].last_seq[at[1]] = at[2];
            twin->newest_ms[e][at[1]] = (int64_t)at[3];
        }
    }
    return true;
}

/* False: there is none, or none that can be believed. */
static bool load(const struct store *store, struct twin *twin)
{
    *twin = (struct twin){0};
    bool ok = load_text(store, twin) && is_sound(twin);
    for (const char *line = twin->text; ok && line; line = strchr(line, '\n')) {
        line += line != twin->text;
        ok = take_line(twin, line);
    }
    ok = ok && twin->epoch_count;
    if (!ok)
        release(twin);
    return ok;
}

void twin_write(const struct store *store, bool running)
{
    struct twin twin = {0}, before = {0};
    if (store->in_memory || !store->db || !store->epoch_count)
        return;
    bool ok = compose(store, running, &twin);
    bool same = ok && load_text(store, &before) && before.length == twin.length &&
                memcmp(before.text, twin.text, twin.length) == 0;
    if (!same && !(ok && replace(store, &twin)))
        log_warning("store: %s-twin cannot be written: it is what a damaged database is read with",
                    store->settings->store.path);
    release(&twin);
    release(&before);
}

/* ---- the two side by side ---- */

/* A row of that epoch has a CRC that knows this number. */
static bool is_vouched(struct store *store, const struct epoch *epoch)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_BACK);
    sqlite3_bind_int64(s, 1, SEGMENT_ID(epoch->ordinal, 0, 0));
    sqlite3_bind_int64(s, 2, SEGMENT_ID(epoch->ordinal + 1, 0, 0) - 1);
    bool found = false;
    for (int i = 0; i < ROWS_MAX && !found && sqlite3_step(s) == SQLITE_ROW; i++) {
        int64_t id = sqlite3_column_int64(s, 0);
        found =
            database_crc(epoch->number, (enum sector)(id >> 40 & 0xff), (uint64_t)id & 0xffffffffff,
                         sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1)) ==
            (uint32_t)sqlite3_column_int64(s, 2);
    }
    sqlite3_reset(s);
    return found;
}

/* None of its numbers is known there, and rows vouch for one that is. */
static bool is_foreign(struct store *store, const struct twin *twin, const struct epoch *epochs,
                       size_t count)
{
    bool vouched = false;
    for (size_t e = 0; e < count; e++) {
        for (size_t t = 0; t < twin->epoch_count; t++) {
            if (twin->epochs[t].number == epochs[e].number)
                return false;
        }
        vouched = vouched || is_vouched(store, &epochs[e]);
    }
    return vouched;
}

static bool has_row(struct store *store, const struct epoch *epoch, int sector)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_SEGMENT_LOOK);
    sqlite3_bind_int64(s, 1, SEGMENT_ID(epoch->ordinal, sector, epoch->last_seq[sector]));
    sqlite3_bind_int64(s, 2, SEGMENT_ID(epoch->ordinal, sector + 1, 0) - 1);
    bool there = sqlite3_step(s) == SQLITE_ROW;
    sqlite3_reset(s);
    return there;
}

/* The newest epoch has come as far as the twin says, by its streams or by its rows; those before
 * may be forgotten by now. */
static bool has_streams(struct store *store, const struct twin *twin)
{
    struct epoch left = twin->epochs[twin->epoch_count - 1];
    sqlite3_stmt *s = database_statement(store, STATEMENT_STREAM_LIST);
    while (sqlite3_step(s) == SQLITE_ROW) {
        int64_t sector = sqlite3_column_int64(s, 1);
        if (sqlite3_column_int64(s, 0) == left.ordinal && sector > 0 && sector < SECTOR_COUNT &&
            (uint64_t)sqlite3_column_int64(s, 2) >= left.last_seq[sector])
            left.last_seq[sector] = 0;
    }
    sqlite3_reset(s);
    bool ok = true;
    for (int sector = 1; sector < SECTOR_COUNT; sector++)
        ok = ok && (!left.last_seq[sector] || has_row(store, &left, sector));
    return ok;
}

bool twin_agrees(struct store *store)
{
    struct twin twin;
    if (!load(store, &twin))
        return true;
    struct epoch *epochs = calloc(twin.epoch_count, sizeof *epochs);
    size_t count = 0;
    bool newest = false, differs = false;
    sqlite3_stmt *s = database_statement(store, STATEMENT_EPOCH_LIST);
    while (epochs && sqlite3_step(s) == SQLITE_ROW) {
        size_t e = index_of(&twin, (uint64_t)sqlite3_column_int64(s, 0));
        if (e == twin.epoch_count)
            continue;
        epochs[count] = (struct epoch){.ordinal = twin.epochs[e].ordinal,
                                       .number = (uint64_t)sqlite3_column_int64(s, 1)};
        differs |= epochs[count].number != twin.epochs[e].number;
        newest |= e + 1 == twin.epoch_count;
        if (++count == twin.epoch_count)
            break;
    }
    sqlite3_reset(s);
    bool agrees = !epochs || (newest && !differs && has_streams(store, &twin)) ||
                  is_foreign(store, &twin, epochs, count);
    free(epochs);
    release(&twin);
    if (!agrees)
        log_error("store: the database has lost epochs or numbers that it had");
    return agrees;
}

bool twin_was_running(const struct store *store)
{
    struct twin twin;
    bool running = load(store, &twin) && twin.running;
    release(&twin);
    return running;
}

static int by_ordinal(const void *a, const void *b)
{
    const struct epoch *left = a, *right = b;
    return (left->ordinal > right->ordinal) - (left->ordinal < right->ordinal);
}

/* What the file says of an epoch that the twin knows, or of one of its time, is not believed. */
static void drop_known(struct store *store, const struct twin *twin)
{
    size_t kept = 0;
    for (size_t e = 0; e < store->epoch_count; e++) {
        bool known = store->epochs[e].ordinal <= twin->epochs[twin->epoch_count - 1].ordinal;
        for (size_t t = 0; t < twin->epoch_count; t++)
            known |= store->epochs[e].number == twin->epochs[t].number;
        if (!known)
            store->epochs[kept++] = store->epochs[e];
    }
    store->epoch_count = kept;
}

static bool take_epoch(struct store *store, const struct epoch *epoch, const int64_t *newest_ms,
                       struct traces *traces, const uint64_t *read_seq)
{
    if (!recover_append_epoch(store, epoch->ordinal, epoch->number))
        return false;
    uint64_t *last_seq = store->epochs[store->epoch_count - 1].last_seq;
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        bool further = read_seq && read_seq[sector] > epoch->last_seq[sector];
        last_seq[sector] = further ? read_seq[sector] : epoch->last_seq[sector];
        if (newest_ms[sector] > traces->newest_ms[sector])
            traces->newest_ms[sector] = newest_ms[sector];
    }
    return true;
}

bool twin_complete(struct store *store, struct traces *traces)
{
    struct twin twin;
    if (!load(store, &twin))
        return true;
    bool ok = true;
    struct epoch *read = calloc(store->epoch_count + 1, sizeof *read);
    size_t count = store->epoch_count;
    if (!read || is_foreign(store, &twin, store->epochs, store->epoch_count))
        goto out;
    if (count)
        memcpy(read, store->epochs, count * sizeof *read);
    drop_known(store, &twin);
    for (size_t t = 0; ok && t < twin.epoch_count; t++) {
        const uint64_t *read_seq = NULL;
        for (size_t e = 0; e < count; e++) {
            if (read[e].ordinal == twin.epochs[t].ordinal)
                read_seq = read[e].last_seq;
        }
        ok = take_epoch(store, &twin.epochs[t], twin.newest_ms[t], traces, read_seq);
    }
    qsort(store->epochs, store->epoch_count, sizeof *store->epochs, by_ordinal);
out:
    free(read);
    release(&twin);
    return ok;
}

/* ---- the first page ---- */

/* An empty database with our tables where the twin says. */
static sqlite3 *build_model(const struct twin *twin)
{
    sqlite3 *db = NULL;
    char name[NAME], sql[160];
    unsigned root;
    bool ok = sqlite3_open(":memory:", &db) == SQLITE_OK &&
              sqlite3_exec(db, "PRAGMA page_size=4096", NULL, NULL, NULL) == SQLITE_OK &&
              sqlite3_exec(db, database_schema(), NULL, NULL, NULL) == SQLITE_OK &&
              sqlite3_exec(db, "PRAGMA writable_schema=ON", NULL, NULL, NULL) == SQLITE_OK;
    for (const char *line = twin->text; ok && line; line = strchr(line, '\n')) {
        line += line != twin->text;
        if (sscanf(line, "table %39[a-z0-9_] %u", name, &root) != 2)
            continue;
        snprintf(sql, sizeof sql, "UPDATE sqlite_schema SET rootpage=%u WHERE name='%s'", root,
                 name);
        ok = sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
    }
    if (!ok) {
        sqlite3_close(db);
        db = NULL;
    }
    return db;
}

/* That page as it must be; what it counts (pages, free ones, changes) is left to be found out. */
static bool first_page(sqlite3 *model, uint8_t *page)
{
    sqlite3_int64 size = 0;
    uint8_t *bytes = sqlite3_serialize(model, "main", &size, 0);
    bool ok = bytes && size >= PAGE && bytes[100] == 13; /* a leaf: all of the schema is in it */
    if (ok)
        memcpy(page, bytes, PAGE);
    sqlite3_free(bytes);
    page[18] = page[19] = 2; /* with a log */
    page[95] = (uint8_t)~page[27];
    return ok;
}

static bool is_same_row(sqlite3_stmt *a, sqlite3_stmt *b)
{
    for (int i = 0; i < 3; i++) {
        const char *one = (const char *)sqlite3_column_text(a, i);
        const char *other = (const char *)sqlite3_column_text(b, i);
        if ((one || other) && (!one || !other || strcmp(one, other) != 0))
            return false;
    }
    return true;
}

static bool is_same_schema(sqlite3 *a, sqlite3 *b)
{
    static const char text[] = "SELECT name,rootpage,sql FROM sqlite_schema ORDER BY rowid";
    sqlite3_stmt *one = NULL, *other = NULL;
    bool same = sqlite3_prepare_v2(a, text, -1, &one, NULL) == SQLITE_OK &&
                sqlite3_prepare_v2(b, text, -1, &other, NULL) == SQLITE_OK;
    int rc = SQLITE_ROW;
    while (same && rc == SQLITE_ROW) {
        rc = sqlite3_step(one);
        same = sqlite3_step(other) == rc && (rc != SQLITE_ROW || is_same_row(one, other));
    }
    sqlite3_finalize(one);
    sqlite3_finalize(other);
    return same && rc == SQLITE_DONE;
}

/* As SQLite sees it, its log included. */
static bool reads_as(const char *path, sqlite3 *model)
{
    sqlite3 *db = NULL;
    bool same =
        sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK;
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    same = same &&
           sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA query_only=ON", NULL, NULL,
                        NULL) == SQLITE_OK &&
           is_same_schema(db, model);
    sqlite3_close(db);
    return same;
}

/* Bytes of its head that never change while the file lives. */
static bool is_same_head(const uint8_t *page, const uint8_t *right)
{
    return memcmp(page, right, 24) == 0 && memcmp(page + 44, right + 44, 4) == 0 &&
           memcmp(page + 52, right + 52, 8) == 0;
}

static void put_first(const char *path, const uint8_t *old, const uint8_t *right)
{
    char kept[4200];
    snprintf(kept, sizeof kept, "%s-first", path);
    int beside = open(kept, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = beside >= 0 && fd >= 0 && write(beside, old, PAGE) == PAGE && fsync(beside) == 0 &&
              pwrite(fd, right, PAGE, 0) == PAGE && fsync(fd) == 0;
    if (beside >= 0)
        close(beside);
    if (fd >= 0)
        close(fd);
    if (ok)
        log_notice("store: the first page of %s is put right, the old one kept as %s", path, kept);
}

void twin_mend(const struct store *store, int64_t stamp)
{
    char path[4096];
    struct twin twin;
    uint8_t right[PAGE], old[PAGE] = {0};
    snprintf(path, sizeof path, "%s.corrupt-%lld", store->settings->store.path, (long long)stamp);
    if (!load(store, &twin))
        return;
    sqlite3 *model = build_model(&twin);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool whole = fd >= 0 && pread(fd, old, PAGE, 0) == PAGE;
    if (fd >= 0)
        close(fd);
    if (model && fd >= 0 && first_page(model, right) &&
        !((!whole || is_same_head(old, right)) && reads_as(path, model)))
        put_first(path, old, right);
    sqlite3_close(model);
    release(&twin);
}
