/* The library that stands between a program and libc: looks at every call that changes or
 * saves a file below PC_DIR. How to use it stands in powercut.h.
 * Runs in whatever thread makes the call, under one lock, which it owns, so that events have one
 * order.
 * Never changes what the program asked for, but for PC_FAULT, PC_NORMAL and the end. */
#include "tests/fault/powercut.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Taken by every call below. The lock is held only when there is something to watch. */
static bool enter(void)
{
    pthread_once(&once, watch_begin);
    return watch_is_on() && pthread_mutex_lock(&lock) == 0;
}

static void leave(void)
{
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

/* ---- libc's calls ---- */

static int open_watched(int at, const char *name, int flags, mode_t permission)
{
    struct stat64 status;
    char path[PATH_MAX];
    bool existed = fstatat64(at, name, &status, 0) == 0;
    int fd = powercut_real.openat(at, name, flags & ~O_TRUNC, permission);
    if (fd < 0 || !watch_path(fd, path))
        return fd;
    if (watch_ends_with(path, "-shm"))
        watch_shm(path);
    struct file *file = watch_file(fd);
    if (!file) {
        if (flags & O_TRUNC && powercut_real.ftruncate(fd, 0) != 0)
            return fd; /* a device or a pipe */
        return fd;
    }
    int error = watch_fault(KIND_OPEN, path);
    if (!error && !existed)
        error = watch_fault(KIND_CREATE, path);
    if (error && error != WATCH_SHORT) {
        close(fd);
        if (!existed)
            powercut_real.unlink(path);
        return fail(error);
    }
    if (!existed) {
        log_entry(KIND_CREATE, watch_events + 1, path, NULL, NULL);
        watch_event(KIND_CREATE, path, 0, 0);
    } else if (flags & O_TRUNC && log_size(file)) {
        log_resize(file, watch_events + 1, 0);
        watch_event(KIND_TRUNCATE, path, 0, 0);
    }
    return fd;
}

static int do_open(int at, const char *name, int flags, mode_t permission)
{
    if (!enter())
        return powercut_real.openat(at, name, flags, permission);
    int fd = flags & O_DIRECTORY ? powercut_real.openat(at, name, flags, permission)
                                 : open_watched(at, name, flags, permission);
    leave();
    return fd;
}

static mode_t permission_of(int flags, va_list list)
{
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

#define OPEN(function)                                                                             \
    int function(const char *path, int flags, ...)                                                 \
    {                                                                                              \
        va_list list;                                                                              \
        va_start(list, flags);                                                                     \
        mode_t permission = permission_of(flags, list);                                            \
        va_end(list);                                                                              \
        return do_open(AT_FDCWD, path, flags, permission);                                         \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(function)                                                                           \
    int function(int at, const char *path, int flags, ...)                                         \
    {                                                                                              \
        va_list list;                                                                              \
        va_start(list, flags);                                                                     \
        mode_t permission = permission_of(flags, list);                                            \
        va_end(list);                                                                              \
        return do_open(at, path, flags, permission);                                               \
    }
OPENAT(openat)
OPENAT(openat64)

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);

int __open_2(const char *path, int flags)
{
    return do_open(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
    return do_open(AT_FDCWD, path, flags, 0);
}

int creat(const char *path, mode_t permission)
{
    return do_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, permission);
}

int creat64(const char *path, mode_t permission)
{
    return do_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, permission);
}

static ssize_t write_watched(struct file *file, const void *bytes, size_t length, off64_t offset)
{
    int error = watch_fault(KIND_WRITE, file->name);
    if (error && error != WATCH_SHORT)
        return fail(error);
    if (error == WATCH_SHORT && length > 1)
        length /= 2;
    ssize_t n = log_write(file, watch_events + 1, bytes, length, offset);
    if (n > 0)
        watch_event(KIND_WRITE, file->name, offset, n);
    return n;
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    if (!enter())
        return powercut_real.write(fd, bytes, length);
    struct file *file = watch_file(fd);
    ssize_t n;
    if (file) {
        bool append = fcntl(fd, F_GETFL) & O_APPEND;
        off64_t offset = append ? log_size(file) : lseek64(fd, 0, SEEK_CUR);
        n = write_watched(file, bytes, length, offset);
        if (n > 0)
            lseek64(fd, offset + n, SEEK_SET);
    }
    leave();
    return file ? n : powercut_real.write(fd, bytes, length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
    if (!enter())
        return powercut_real.pwrite(fd, bytes, length, offset);
    struct file *file = watch_file(fd);
    ssize_t n = file ? write_watched(file, bytes, length, offset) : 0;
    leave();
    return file ? n : powercut_real.pwrite(fd, bytes, length, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    return pwrite64(fd, bytes, length, offset);
}

/* Reading is watched only while it may fail. */
static bool read_fails(int fd)
{
    bool fails = false;
    if (!enter())
        return false;
    if (watch_may_fail(KIND_READ)) {
        struct file *file = watch_file(fd);
        int error = file ? watch_fault(KIND_READ, file->name) : 0;
        fails = error > 0;
        errno = error;
    }
    leave();
    return fails;
}

ssize_t read(int fd, void *bytes, size_t length)
{
    return read_fails(fd) ? -1 : powercut_real.read(fd, bytes, length);
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t offset)
{
    return read_fails(fd) ? -1 : powercut_real.pread(fd, bytes, length, offset);
}

ssize_t pread(int fd, void *bytes, size_t length, off_t offset)
{
    return pread64(fd, bytes, length, offset);
}

static int resize_watched(struct file *file, off64_t size)
{
    int error = watch_fault(KIND_TRUNCATE, file->name);
    if (error)
        return fail(error);
    int rc = log_resize(file, watch_events + 1, size);
    if (rc == 0)
        watch_event(KIND_TRUNCATE, file->name, size, 0);
    return rc;
}

int ftruncate64(int fd, off64_t size)
{
    if (!enter())
        return powercut_real.ftruncate(fd, size);
    struct file *file = watch_file(fd);
    int rc = file ? resize_watched(file, size) : 0;
    leave();
    return file ? rc : powercut_real.ftruncate(fd, size);
}

int ftruncate(int fd, off_t size)
{
    return ftruncate64(fd, size);
}

/* Of an allocation only the size is of interest: blocks without bytes are zeros before and after.
 */
int fallocate64(int fd, int how, off64_t offset, off64_t length)
{
    if (!enter())
        return powercut_real.fallocate(fd, how, offset, length);
    struct file *file = watch_file(fd);
    int rc = 0;
    if (file && how == 0 && offset + length > log_size(file))
        rc = resize_watched(file, offset + length);
    else if (file && how != 0)
        rc = fail(EOPNOTSUPP);
    leave();
    return file ? rc : powercut_real.fallocate(fd, how, offset, length);
}

int fallocate(int fd, int how, off_t offset, off_t length)
{
    return fallocate64(fd, how, offset, length);
}

int posix_fallocate64(int fd, off64_t offset, off64_t length)
{
    int before = errno;
    int error = fallocate64(fd, 0, offset, length) == 0 ? 0 : errno;
    errno = before;
    return error;
}

int posix_fallocate(int fd, off_t offset, off_t length)
{
    return posix_fallocate64(fd, offset, length);
}

/* A call that changes an entry: made, noted and counted. */
static int change_entry(enum kind kind, const char *path, const char *from, int made(const char *))
{
    int error = watch_fault(kind, path);
    if (error)
        return fail(error);
    struct file *file = kind == KIND_UNLINK || kind == KIND_RENAME ? watch_file_at(path) : NULL;
    struct file *moved = from ? watch_file_at(from) : NULL;
    int rc = from ? powercut_real.rename(from, path) : made(path);
    if (rc != 0)
        return rc;
    log_entry(kind, watch_events + 1, path, from, file);
    if (moved) {
        free(moved->name);
        moved->name = strdup(path);
    }
    watch_event(kind, path, 0, 0);
    return rc;
}

int rename(const char *from, const char *to)
{
    char source[PATH_MAX], target[PATH_MAX];
    if (!enter())
        return powercut_real.rename(from, to);
    int rc = watch_entry(from, source) && watch_entry(to, target)
                 ? change_entry(KIND_RENAME, target, source, NULL)
                 : powercut_real.rename(from, to);
    leave();
    return rc;
}

static int make_folder(const char *path)
{
    return powercut_real.mkdir(path, 0750);
}

#define ENTRY(kind, path, made, otherwise)                                                         \
    char entry[PATH_MAX];                                                                          \
    if (!enter())                                                                                  \
        return otherwise;                                                                          \
    int rc = watch_entry(path, entry) ? change_entry(kind, entry, NULL, made) : otherwise;         \
    leave();                                                                                       \
    return rc

int unlink(const char *path)
{
    ENTRY(KIND_UNLINK, path, powercut_real.unlink, powercut_real.unlink(path));
}

int rmdir(const char *path)
{
    ENTRY(KIND_RMDIR, path, powercut_real.rmdir, powercut_real.rmdir(path));
}

int mkdir(const char *path, mode_t permission)
{
    ENTRY(KIND_MKDIR, path, make_folder, powercut_real.mkdir(path, permission));
}

static int sync_watched(struct file *file, const char *path)
{
    int error = watch_fault(KIND_FSYNC, path);
    if (error > 0) {
        if (file)
            log_doom(file);
        return fail(error);
    }
    watch_event(KIND_FSYNC, path, 0, 0);
    if (file)
        log_settle_file(file);
    else
        log_settle_folder(path);
    return 0;
}

static int sync_any(int fd, int otherwise(int))
{
    struct stat64 status;
    char path[PATH_MAX];
    if (fstat64(fd, &status) != 0)
        return -1;
    bool is_folder = S_ISDIR(status.st_mode) && watch_path(fd, path) && watch_is_ours(path);
    struct file *file = is_folder ? NULL : watch_file(fd);
    return is_folder || file ? sync_watched(file, file ? file->name : path) : otherwise(fd);
}

int fsync(int fd)
{
    if (!enter())
        return powercut_real.fsync(fd);
    int rc = sync_any(fd, powercut_real.fsync);
    leave();
    return rc;
}

int fdatasync(int fd)
{
    if (!enter())
        return powercut_real.fdatasync(fd);
    int rc = sync_any(fd, powercut_real.fdatasync);
    leave();
    return rc;
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
    bool writable = fd >= 0 && protection & PROT_WRITE && flags & MAP_SHARED;
    if (enter()) {
        if (writable && watch_file(fd))
            watch_refuse("a writable mapping of a watched file", "it cannot be followed");
        leave();
    }
    return powercut_real.mmap(address, length, protection, flags, fd, offset);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    return mmap64(address, length, protection, flags, fd, offset);
}

/* ---- SQLite ---- */

int sqlite3_exec(sqlite3 *db, const char *sql, int row(void *, int, char **, char **),
                 void *context, char **message)
{
    static int (*real_exec)(sqlite3 *, const char *, int (*)(void *, int, char **, char **), void *,
                            char **);
    static const char full[] = "synchronous=FULL";
    pthread_once(&once, watch_begin);
    if (!real_exec)
        real_exec = watch_libc("sqlite3_exec");
    const char *at = getenv("PC_NORMAL") && sql ? strstr(sql, full) : NULL;
    char *changed = NULL;
    if (at && asprintf(&changed, "%.*ssynchronous=NORMAL%s", (int)(at - sql), sql,
                       at + sizeof full - 1) < 0)
        abort();
    int rc = real_exec(db, changed ? changed : sql, row, context, message);
    free(changed);
    return rc;
}
