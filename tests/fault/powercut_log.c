/* What a power cut would take: every change below PC_DIR that no fsync has settled, in order, with
 * the bytes that were there before. A cut first undoes all of it, which leaves what is surely on
 * the disk, and then does again what this disk, in this mode, happened to have written.
 * Runs under the lock of powercut.c, in whatever thread made the change; owns the list of changes.
 * Never decides when the cut comes. */
#include "tests/fault/powercut.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512 };
#define WHOLE UINT64_MAX /* the size of a file, or a folder, in place of a sector's number */

enum fate {
    FATE_PENDING,
    FATE_DOOMED,  /* its fsync failed */
    FATE_SETTLED, /* kept in the list only because a doomed one lies beneath it */
};

struct change {
    struct change *next, *previous;
    enum kind kind;
    enum fate fate;
    uint64_t event;
    struct file *file;
    off64_t offset, old_size, new_size;
    size_t old_length, new_length;
    uint8_t *old, *new;
    char *path, *from;
};

/* How this disk was caught; drawn at the cut. */
struct disk {
    enum mode mode;
    uint64_t seed, first, last; /* events */
    uint64_t until;             /* prefix: the event that is torn */
};

static struct change *oldest, *newest;

static struct change *append(enum kind kind, uint64_t event, struct file *file)
{
    struct change *change = calloc(1, sizeof *change);
    if (!change)
        abort();
    change->kind = kind;
    change->event = event;
    change->file = file;
    change->previous = newest;
    *(newest ? &newest->next : &oldest) = change;
    newest = change;
    return change;
}

static void discard(struct change *change)
{
    *(change->previous ? &change->previous->next : &oldest) = change->next;
    *(change->next ? &change->next->previous : &newest) = change->previous;
    free(change->old);
    free(change->new);
    free(change->path);
    free(change->from);
    free(change);
}

off64_t log_size(const struct file *file)
{
    struct stat64 status;
    return fstat64(file->fd, &status) == 0 ? status.st_size : 0;
}

static void keep_old(struct change *change, off64_t offset, size_t length)
{
    change->offset = offset;
    change->old = malloc(length + 1);
    if (!change->old)
        abort();
    ssize_t n = powercut_real.pread(change->file->fd, change->old, length, offset);
    change->old_length = n > 0 ? (size_t)n : 0;
}

ssize_t log_write(struct file *file, uint64_t event, const void *bytes, size_t length,
                  off64_t offset)
{
    struct change *change = append(KIND_WRITE, event, file);
    change->old_size = log_size(file);
    keep_old(change, offset, length);
    ssize_t n = powercut_real.pwrite(file->fd, bytes, length, offset);
    if (n <= 0) {
        discard(change);
        return n;
    }
    change->new = malloc((size_t)n);
    if (!change->new)
        abort();
    memcpy(change->new, bytes, (size_t)n);
    change->new_length = (size_t)n;
    change->new_size = offset + n > change->old_size ? offset + n : change->old_size;
    return n;
}

int log_resize(struct file *file, uint64_t event, off64_t size)
{
    struct change *change = append(KIND_TRUNCATE, event, file);
    change->old_size = log_size(file);
    change->new_size = size;
    keep_old(change, size, size < change->old_size ? (size_t)(change->old_size - size) : 0);
    int rc = powercut_real.ftruncate(file->fd, size);
    if (rc != 0)
        discard(change);
    return rc;
}

void log_entry(enum kind kind, uint64_t event, const char *path, const char *from,
               struct file *file)
{
    struct change *change = append(kind, event, file);
    change->path = strdup(path);
    change->from = from ? strdup(from) : NULL;
}

static bool is_data(const struct change *change)
{
    return change->kind == KIND_WRITE || change->kind == KIND_TRUNCATE;
}

void log_settle_file(struct file *file)
{
    for (struct change *change = oldest, *next; change; change = next) {
        next = change->next;
        if (!is_data(change) || change->file != file || change->fate != FATE_PENDING)
            continue;
        if (file->doomed)
            change->fate = FATE_SETTLED;
        else
            discard(change);
    }
}

static bool lies_in(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && path[length] == '/' &&
           !strchr(path + length + 1, '/');
}

void log_settle_folder(const char *path)
{
    for (struct change *change = oldest, *next; change; change = next) {
        next = change->next;
        if (!is_data(change) && lies_in(change->path, path))
            discard(change);
    }
}

void log_doom(struct file *file)
{
    for (struct change *change = oldest; change; change = change->next) {
        if (is_data(change) && change->file == file && change->fate == FATE_PENDING) {
            change->fate = FATE_DOOMED;
            file->doomed = true;
        }
    }
}

/* ---- the cut ---- */

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t hash(const struct disk *disk, uint64_t a, uint64_t b)
{
    return mix(mix(mix(disk->seed) ^ a) ^ b);
}

static uint64_t hash_of_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    uint64_t h = 0;
    for (const char *p = path; p < slash; p++)
        h = mix(h ^ (uint8_t)*p);
    return h;
}

/* The last event that this sector, size or folder knows of. */
static uint64_t horizon(const struct disk *disk, uint64_t owner, uint64_t sector)
{
    uint64_t h = hash(disk, owner, sector);
    switch (disk->mode) {
    case MODE_DROP:
    case MODE_COUNT:
        return 0;
    case MODE_PREFIX:
        return disk->until;
    case MODE_REORDER:
    case MODE_TRASH:
        break;
    }
    if (h & 1)
        return h & 2 ? disk->last : 0;
    return disk->first + (h >> 2) % (disk->last - disk->first + 1);
}

static bool survives(const struct disk *disk, const struct change *change, uint64_t sector)
{
    if (change->fate != FATE_PENDING)
        return change->fate == FATE_SETTLED;
    uint64_t owner = is_data(change) ? change->file->id : hash_of_folder(change->path);
    return change->event <= horizon(disk, owner, sector);
}

static void put(const struct file *file, const void *bytes, size_t length, off64_t offset)
{
    if (powercut_real.pwrite(file->fd, bytes, length, offset) != (ssize_t)length)
        abort();
}

static void resize(const struct file *file, off64_t size)
{
    if (powercut_real.ftruncate(file->fd, size) != 0)
        abort();
}

static void undo(const struct change *change)
{
    if (change->old_length)
        put(change->file, change->old, change->old_length, change->offset);
    resize(change->file, change->old_size);
}

/* The write that was under way: some sectors of it, and no more of the size than they need. */
static void tear(const struct disk *disk, struct change *change)
{
    size_t sectors = change->new_length / SECTOR + 1;
    size_t kept = hash(disk, change->event, WHOLE) % (sectors + 1) * SECTOR;
    size_t aligned = kept - (size_t)(change->offset % SECTOR);
    if (kept < (size_t)(change->offset % SECTOR))
        aligned = 0;
    if (aligned < change->new_length)
        change->new_length = aligned;
    off64_t end = change->offset + (off64_t)change->new_length;
    change->new_size = end > change->old_size ? end : change->old_size;
}

static void put_garbage(const struct disk *disk, const struct change *change, off64_t offset,
                        size_t length)
{
    uint8_t bytes[SECTOR];
    uint64_t sector = (uint64_t)offset / SECTOR;
    if (disk->mode != MODE_TRASH || hash(disk, change->file->id, ~sector) & 1)
        return;
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)hash(disk, sector, i + (uint64_t)offset);
    put(change->file, bytes, length, offset);
}

/* Sector by sector; what a truncation took away is a sector of zeros. */
static void redo(const struct disk *disk, const struct change *change)
{
    static const uint8_t zeros[SECTOR];
    bool write = change->kind == KIND_WRITE;
    size_t length = write ? change->new_length : change->old_length;
    for (size_t at = 0, step; at < length; at += step) {
        off64_t offset = change->offset + (off64_t)at;
        step = SECTOR - (size_t)(offset % SECTOR);
        if (step > length - at)
            step = length - at;
        if (survives(disk, change, (uint64_t)offset / SECTOR))
            put(change->file, write ? change->new + at : zeros, step, offset);
        else if (write && change->fate == FATE_PENDING)
            put_garbage(disk, change, offset, step);
    }
    if (survives(disk, change, WHOLE))
        change->file->survive = change->new_size;
}

static void copy_file(const struct file *file, const char *path)
{
    uint8_t bytes[1 << 14];
    int fd = powercut_real.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    off64_t at = 0;
    ssize_t n;
    while (fd >= 0 && (n = powercut_real.pread(file->fd, bytes, sizeof bytes, at)) > 0) {
        if (powercut_real.pwrite(fd, bytes, (size_t)n, at) != n)
            abort();
        at += n;
    }
    if (fd < 0)
        abort();
    close(fd);
}

/* What cannot be undone was never there: nothing to say. */
static void undo_entry(const struct change *change)
{
    switch (change->kind) {
    case KIND_CREATE:
        powercut_real.unlink(change->path);
        return;
    case KIND_RENAME:
        powercut_real.rename(change->path, change->from);
        break;
    case KIND_UNLINK:
        break;
    case KIND_MKDIR:
        powercut_real.rmdir(change->path);
        return;
    case KIND_RMDIR:
        powercut_real.mkdir(change->path, 0750);
        return;
    case KIND_WRITE:
    case KIND_TRUNCATE:
    case KIND_FSYNC:
    case KIND_READ:
    case KIND_OPEN:
    case KIND_COUNT:
        return;
    }
    if (change->file)
        copy_file(change->file, change->path);
}

void log_cut(struct file *files, enum mode mode, uint64_t seed)
{
    if (!oldest)
        return;
    struct disk disk = {.mode = mode, .seed = seed, .first = newest->event, .last = newest->event};
    for (struct change *change = newest; change; change = change->previous) {
        if (change->fate == FATE_PENDING)
            disk.first = change->event;
    }
    disk.until = disk.first + hash(&disk, WHOLE, 0) % (disk.last - disk.first + 1);
    for (struct change *change = newest; change; change = change->previous) {
        if (is_data(change))
            undo(change);
        if (change->kind == KIND_WRITE && change->fate == FATE_PENDING && mode == MODE_PREFIX &&
            change->event == disk.until)
            tear(&disk, change);
    }
    for (struct file *file = files; file; file = file->next)
        file->survive = log_size(file);
    for (struct change *change = oldest; change; change = change->next) {
        if (is_data(change))
            redo(&disk, change);
    }
    for (struct change *change = oldest; change; change = change->next) {
        if (is_data(change))
            resize(change->file, change->file->survive);
    }
    for (struct change *change = newest; change; change = change->previous) {
        if (!is_data(change) && !survives(&disk, change, WHOLE))
            undo_entry(change);
    }
}
