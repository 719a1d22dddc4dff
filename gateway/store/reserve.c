/* Room on the disk: a reserve file for the moment when there is none left, and the size that the
 * database may reach. Store thread, and main() at the start; owns the file PATH-reserve.
 * When a commit finds the disk full the reserve is removed, so that the log can be written back;
 * the database then stays as large as it is, and the oldest rows make way for new ones (trim.c)
 * until the reserve can be made again. Two things keep the reserve sufficient: new pages never wait
 * in the log for long, and while the disk is full transactions are small. Never chooses rows to
 * delete. */
#include "gateway/store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "gateway/log.h"
#include "gateway/store/database.h"
#include "gateway/store/reserve.h"
#include "gateway/store/trim.h"

enum {
    PAGE = 4096,
    RESERVE = 256 << 10,
    MARGIN = 256 << 10,      /* free beyond the reserve, before the disk counts as not full */
    UNWRITTEN = 96 << 10,    /* new pages in the log only: they must fit into the reserve */
    PORTION = 1 << 20,       /* of bodies in a transaction */
    PORTION_FULL = 64 << 10, /* while the disk is full */
    LOOK_MS = 5000,
};

static void reserve_path(const struct store *store, char *path, size_t size)
{
    snprintf(path, size, "%s-reserve", store->settings->store.path);
}

/* False: there is no room for it. A file system that cannot reserve is taken as it is. */
static bool make(const struct store *store)
{
    char path[4096];
    struct stat it;
    reserve_path(store, path, sizeof path);
    if (stat(path, &it) == 0 && it.st_size == RESERVE && it.st_blocks * 512 >= RESERVE)
        return true;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    int error = fd < 0 ? errno : posix_fallocate(fd, 0, RESERVE);
    if (!error && fsync(fd) != 0)
        error = errno;
    if (fd >= 0)
        close(fd);
    if (error != ENOSPC && error != EDQUOT)
        return true;
    unlink(path);
    return false;
}

static sqlite3_int64 limit_pages(const struct store *store)
{
    uint64_t quota = store->settings->store.max_size;
    return (sqlite3_int64)((quota + quota / 16) / PAGE) + 4 * PORTION / PAGE;
}

static void set_sizes(struct store *store, bool full)
{
    sqlite3_int64 pages = full ? (sqlite3_int64)(trim_bytes(store) / PAGE) : limit_pages(store);
    /* where neither can be set the disk itself is the limit */
    (void)database_execute(store, "PRAGMA max_page_count=%lld; PRAGMA wal_autocheckpoint=%d", pages,
                           full ? 8 : 1000);
}

static void write_back(struct store *store)
{
    /* what does not go now goes with a later one */
    (void)sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static void enter_full(struct store *store)
{
    char path[4096];
    reserve_path(store, path, sizeof path);
    unlink(path);
    write_back(store);
    set_sizes(store, true);
    store->mode = STORE_MODE_FULL;
    store->room_at = clock_after_ms(clock_mono(), LOOK_MS);
    log_error("store: the disk is full; the oldest readings make way for new ones");
}

void reserve_prepare(struct store *store)
{
    bool was_full = store->mode == STORE_MODE_FULL;
    store->mode = STORE_MODE_OK;
    if (was_full) {
        set_sizes(store, true);
        store->mode = STORE_MODE_FULL;
    } else if (make(store)) {
        set_sizes(store, false);
    } else {
        enter_full(store);
    }
}

bool reserve_release(const struct store *store)
{
    char path[4096];
    reserve_path(store, path, sizeof path);
    return unlink(path) == 0;
}

void reserve_look(struct store *store)
{
    struct statvfs fs;
    if (store->mode != STORE_MODE_FULL || clock_ms_between(clock_mono(), store->room_at) > 0)
        return;
    store->room_at = clock_after_ms(clock_mono(), LOOK_MS);
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", store->settings->store.path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[1] = '\0';
    if (statvfs(slash ? folder : ".", &fs) != 0 ||
        (uint64_t)fs.f_bavail * fs.f_frsize < RESERVE + MARGIN || !make(store))
        return;
    store->mode = STORE_MODE_OK;
    set_sizes(store, false);
    store->trim_at = clock_mono();
    log_notice("store: there is room on the disk again");
}

/* The database reached its own limit, not that of the disk. */
static bool is_own_limit(struct store *store)
{
    return (sqlite3_int64)(trim_bytes(store) / PAGE) + 2 * PORTION / PAGE >= limit_pages(store);
}

bool reserve_relieve(struct store *store)
{
    size_t wanted = reserve_portion(store) * 2;
    if (store->mode == STORE_MODE_FULL || is_own_limit(store))
        return trim_make_room(store, wanted);
    enter_full(store);
    /* an empty store needs none, and gets none */
    (void)trim_make_room(store, reserve_portion(store) * 2);
    return true;
}

size_t reserve_portion(const struct store *store)
{
    return store->mode == STORE_MODE_FULL ? PORTION_FULL : PORTION;
}

void reserve_committed(struct store *store)
{
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0;
    if (store->in_memory)
        return;
    if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        !file || !file->pMethods || file->pMethods->xFileSize(file, &size) != SQLITE_OK)
        return;
    if ((int64_t)trim_bytes(store) - size > UNWRITTEN)
        write_back(store);
}
