/* A disk that fails on demand: a VFS of SQLite in front of the real one, for tests of the store.
 * What it breaks is one number an operation; room is counted in bytes of growth. */
#ifndef LIFELINE_FAULTY_DISK_H
#define LIFELINE_FAULTY_DISK_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <sqlite3.h>

/* Every field may be changed while a store runs. */
static struct {
    atomic_int open, read, write, sync; /* the result of SQLite that the operation fails with */
    atomic_int spared;                  /* so many of them go well before */
    atomic_int times;                   /* that many failures, then none; below 0 = for ever */
    atomic_llong room;                  /* bytes by which files may still grow */
    atomic_int failures;                /* so far */
    atomic_llong bad_from, bad_to;      /* a sector of the database that gives nothing back */
    const char *reserve;                /* a file whose room counts once it is gone */
    long long reserve_bytes;
} disk;

struct faulty_file {
    sqlite3_file base;
    sqlite3_file *real;
    bool is_database; /* not its log */
};

static inline void disk_heal(void)
{
    disk.open = disk.read = disk.write = disk.sync = SQLITE_OK;
    disk.times = -1;
    disk.spared = 0;
    disk.room = LLONG_MAX;
    disk.failures = 0;
    disk.bad_from = disk.bad_to = 0;
    disk.reserve = NULL;
}

static inline int disk_fault(const atomic_int *operation)
{
    int rc = *operation;
    if (rc == SQLITE_OK || disk.times == 0)
        return SQLITE_OK;
    if (disk.spared > 0) {
        disk.spared--;
        return SQLITE_OK;
    }
    if (disk.times > 0)
        disk.times--;
    disk.failures++;
    return rc;
}

static inline sqlite3_file *real_file(sqlite3_file *file)
{
    return ((struct faulty_file *)file)->real;
}

static inline int disk_close(sqlite3_file *file)
{
    sqlite3_file *real = real_file(file);
    int rc = real->pMethods ? real->pMethods->xClose(real) : SQLITE_OK;
    sqlite3_free(real);
    return rc;
}

static inline int disk_read(sqlite3_file *file, void *to, int count, sqlite3_int64 at)
{
    int rc = disk_fault(&disk.read);
    if (((struct faulty_file *)file)->is_database && at < disk.bad_to && at + count > disk.bad_from)
        rc = SQLITE_IOERR_READ;
    return rc ? rc : real_file(file)->pMethods->xRead(real_file(file), to, count, at);
}

static inline int disk_write(sqlite3_file *file, const void *from, int count, sqlite3_int64 at)
{
    sqlite3_int64 size = 0;
    sqlite3_file *real = real_file(file);
    int rc = disk_fault(&disk.write);
    if (rc)
        return rc;
    real->pMethods->xFileSize(real, &size);
    sqlite3_int64 growth = at + count > size ? at + count - size : 0;
    if (growth > disk.room && disk.reserve && access(disk.reserve, F_OK) != 0) {
        disk.room += disk.reserve_bytes;
        disk.reserve = NULL;
    }
    if (growth > disk.room) {
        disk.failures++;
        return SQLITE_FULL;
    }
    if (disk.room != LLONG_MAX)
        disk.room -= growth;
    return real->pMethods->xWrite(real, from, count, at);
}

static inline int disk_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    sqlite3_int64 before = 0;
    sqlite3_file *real = real_file(file);
    real->pMethods->xFileSize(real, &before);
    if (disk.room != LLONG_MAX && before > size)
        disk.room += before - size;
    return real->pMethods->xTruncate(real, size);
}

static inline int disk_sync(sqlite3_file *file, int flags)
{
    int rc = disk_fault(&disk.sync);
    return rc ? rc : real_file(file)->pMethods->xSync(real_file(file), flags);
}

static inline int disk_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real_file(file)->pMethods->xFileSize(real_file(file), size);
}

static inline int disk_lock(sqlite3_file *file, int level)
{
    return real_file(file)->pMethods->xLock(real_file(file), level);
}

static inline int disk_unlock(sqlite3_file *file, int level)
{
    return real_file(file)->pMethods->xUnlock(real_file(file), level);
}

static inline int disk_is_locked(sqlite3_file *file, int *out)
{
    return real_file(file)->pMethods->xCheckReservedLock(real_file(file), out);
}

static inline int disk_control(sqlite3_file *file, int operation, void *argument)
{
    return real_file(file)->pMethods->xFileControl(real_file(file), operation, argument);
}

static inline int disk_sector(sqlite3_file *file)
{
    return real_file(file)->pMethods->xSectorSize(real_file(file));
}

static inline int disk_character(sqlite3_file *file)
{
    return real_file(file)->pMethods->xDeviceCharacteristics(real_file(file));
}

static inline int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                            int *out_flags)
{
    static const sqlite3_io_methods methods = {
        1,
        disk_close,
        disk_read,
        disk_write,
        disk_truncate,
        disk_sync,
        disk_size,
        disk_lock,
        disk_unlock,
        disk_is_locked,
        disk_control,
        disk_sector,
        disk_character,
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
    };
    sqlite3_vfs *real = vfs->pAppData;
    struct faulty_file *it = (struct faulty_file *)file;
    file->pMethods = NULL;
    int rc = disk_fault(&disk.open);
    if (rc)
        return rc;
    it->is_database = flags & SQLITE_OPEN_MAIN_DB;
    it->real = sqlite3_malloc(real->szOsFile);
    if (!it->real)
        return SQLITE_NOMEM;
    memset(it->real, 0, (size_t)real->szOsFile);
    rc = real->xOpen(real, name, it->real, flags, out_flags);
    if (rc != SQLITE_OK) {
        sqlite3_free(it->real);
        return rc;
    }
    file->pMethods = &methods;
    return SQLITE_OK;
}

/* From now on every database of this process lies on it. */
static inline void disk_install(void)
{
    static sqlite3_vfs vfs;
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    vfs = *real;
    vfs.zName = "faulty";
    vfs.szOsFile = sizeof(struct faulty_file);
    vfs.pAppData = real;
    vfs.pNext = NULL;
    vfs.xOpen = disk_open;
    disk_heal();
    sqlite3_vfs_register(&vfs, 1);
}

#endif
