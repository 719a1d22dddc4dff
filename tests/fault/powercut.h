/* A power cut without cutting power: `LD_PRELOAD=powercut.so`.
 *
 * Stands between a program and libc on the files below one folder, and counts the events that
 * change them: write, truncate (and fallocate), create, unlink, rename, mkdir, rmdir, fsync. Of all
 * that was not yet fsynced it knows how it was before. At a chosen event it makes the files what a
 * disk could hold after a cut at that moment, and kills the process. fsync itself is not passed on:
 * it is fast.
 *
 *   PC_DIR=FOLDER         what is watched; without it the library does nothing
 *   PC_CUT=N or A-B       the cut comes at event N, or at a random one of A to B
 *   PC_AIM=OP:SUFFIX      counts for PC_CUT only events of that kind (or `any`) on files that end
 * so: `any:store.db` with PC_CUT=1-50 cuts within a checkpoint PC_SEED=NUMBER        of all that is
 * random PC_MODE=drop          nothing unsynced survives prefix        what came before a random
 * moment does, the last write torn at a sector reorder       each 512-byte sector, each file's size
 * and each folder as it was at a moment of its own trash         the same, and what did not survive
 * holds garbage or its old bytes PC_TRACE=FILE         a line per event: number, kind, file,
 * offset, length PC_FAULT=N or A-B:ERROR[:once|COUNT|forever][:OP] instead of a cut: from the N-th
 * call on (of that OP: write, truncate, create, unlink, rename, mkdir, rmdir, fsync, read, open;
 * default all but read and open) calls fail with EIO, ENOSPC, EROFS, EDQUOT, EACCES, EMFILE, ENOMEM
 * or EINTR, or `short`: a write writes half. Once when not said. What a failed fsync should have
 * saved is never saved by a later one. PC_SWITCH=FILE        PC_FAULT counts and strikes only while
 * this file exists PC_NORMAL=1           turns synchronous=FULL in the text of sqlite3_exec() into
 * NORMAL, to see whether the rig would notice
 *
 * As pessimistic as POSIX allows: an entry of a folder is kept by fsync of the folder only, size
 * and data of a file by fsync or fdatasync of the file. One mercy: bytes that no unsynced write
 * touched stay as they are (what SQLite calls powersafe overwrite). Files `*-shm` are not watched,
 * and gone after a cut. stdio, which calls into libc from within, and writev() are not seen; a
 * writable shared mapping of a watched file ends the process, since it would make the result
 * worthless.
 *
 * powercut.c stands before libc; powercut_log.c knows what a cut would take. One lock around all.
 */
#ifndef LIFELINE_POWERCUT_H
#define LIFELINE_POWERCUT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum kind {
    KIND_WRITE,
    KIND_TRUNCATE,
    KIND_CREATE,
    KIND_UNLINK,
    KIND_RENAME,
    KIND_MKDIR,
    KIND_RMDIR,
    KIND_FSYNC,
    KIND_READ, /* these two are no events: they can be made to fail, not be cut at */
    KIND_OPEN,
    KIND_COUNT,
};

enum mode { MODE_DROP, MODE_PREFIX, MODE_REORDER, MODE_TRASH, MODE_COUNT };

/* A watched file. The descriptor is the library's own and stays open: an unlinked file can be
 * brought back, its inode is not given to another, and no POSIX lock is lost by closing it. */
struct file {
    struct file *next;
    dev_t device;
    ino_t inode;
    int fd;
    uint64_t id;
    bool doomed;     /* an fsync failed: some of its changes never reach the disk */
    off64_t survive; /* the size after the cut */
    char *name;
};

/* The libc behind us. */
struct real {
    int (*open)(const char *, int, ...);
    int (*openat)(int, const char *, int, ...);
    ssize_t (*read)(int, void *, size_t);
    ssize_t (*pread)(int, void *, size_t, off64_t);
    ssize_t (*write)(int, const void *, size_t);
    ssize_t (*pwrite)(int, const void *, size_t, off64_t);
    int (*ftruncate)(int, off64_t);
    int (*fallocate)(int, int, off64_t, off64_t);
    int (*posix_fallocate)(int, off64_t, off64_t);
    int (*rename)(const char *, const char *);
    int (*unlink)(const char *);
    int (*mkdir)(const char *, mode_t);
    int (*rmdir)(const char *);
    int (*fsync)(int);
    int (*fdatasync)(int);
    void *(*mmap)(void *, size_t, int, int, int, off64_t);
};
extern struct real powercut_real;

/* ---- powercut_watch.c ---- */

/* A short write, in place of an errno. */
enum { WATCH_SHORT = -1 };

extern uint64_t watch_events; /* so far */

void watch_begin(void);
bool watch_is_on(void);
void watch_refuse(const char *what, const char *value) __attribute__((noreturn));
void *watch_libc(const char *name);

bool watch_ends_with(const char *text, const char *suffix);
bool watch_is_ours(const char *path);
/* Of an open descriptor, canonical; path has PATH_MAX bytes. */
bool watch_path(int fd, char *path);
/* Of an entry that need not exist; true when it is ours. */
bool watch_entry(const char *path, char *out);
/* NULL: a socket, or not ours. */
struct file *watch_file(int fd);
struct file *watch_file_at(const char *path);
void watch_shm(const char *path);

/* What this call is to fail with; 0 = it is to be made. */
int watch_fault(enum kind kind, const char *name);
bool watch_may_fail(enum kind kind);

/* The change has been made; or, of an fsync, it is about to begin. Does not come back from a cut.
 */
void watch_event(enum kind kind, const char *name, int64_t offset, int64_t length);

/* ---- powercut_log.c ---- */

/* Makes the change and notes what was there before; `event` is the number it will have. Return what
 * libc returned. */
ssize_t log_write(struct file *file, uint64_t event, const void *bytes, size_t length,
                  off64_t offset);
int log_resize(struct file *file, uint64_t event, off64_t size);

/* An entry of a folder was changed; `file` is what stood at `path` before, or NULL. */
void log_entry(enum kind kind, uint64_t event, const char *path, const char *from,
               struct file *file);

off64_t log_size(const struct file *file);

/* An fsync of the file or of the folder that worked; one that did not. */
void log_settle_file(struct file *file);
void log_settle_folder(const char *path);
void log_doom(struct file *file);

/* Makes the disk what it could be after a cut now. */
void log_cut(struct file *files, enum mode mode, uint64_t seed);

#endif
