/* What the power-cut library was told to do, which files it is about, and when: the environment,
 * the list of watched files, the count of events, the calls that are to fail, the moment of
 * the cut. Under the lock of powercut.c, but for the environment, which is read once. Never calls
 * what powercut.c stands before: it has libc's own in powercut_real. */
#include "tests/fault/powercut.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHM_MAX = 8 };
#define FOR_EVER UINT64_MAX

/* Calls of one kind on some files, counted; what is meant are those from `first` on. */
struct aim {
    int kind; /* KIND_COUNT = any */
    const char *suffix;
    uint64_t first, count, seen;
};

struct real powercut_real;

static char folder[PATH_MAX]; /* "" = not in use */
static size_t folder_length;
static struct file *files;
static uint64_t file_count, seed;
uint64_t watch_events;
static enum mode mode;
static struct aim cut_at, fault_at;
static int fault_error;
static const char *fault_switch;
static int trace_fd = -1;
static char *shm[SHM_MAX];

static const char *const kind_names[KIND_COUNT] = {
    "write", "truncate", "create", "unlink", "rename", "mkdir", "rmdir", "fsync", "read", "open",
};

/* ---- the environment ---- */

void watch_refuse(const char *what, const char *value)
{
    fprintf(stderr, "powercut: %s is wrong: %s\n", what, value);
    _exit(99);
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

/* "7" or "3-40": a random number of it. Returns what stands behind. */
static char *read_range(const char *what, char *text, uint64_t *out)
{
    char *end;
    uint64_t a = strtoull(text, &end, 10), b = a;
    if (end == text)
        watch_refuse(what, text);
    if (*end == '-')
        b = strtoull(end + 1, &end, 10);
    if (!a || b < a)
        watch_refuse(what, text);
    *out = a + mix(seed + 1) % (b - a + 1);
    return end;
}

static int read_kind(const char *what, const char *text, size_t length)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (strlen(kind_names[kind]) == length && strncmp(kind_names[kind], text, length) == 0)
            return kind;
    }
    if (length == 3 && strncmp(text, "any", 3) == 0)
        return KIND_COUNT;
    watch_refuse(what, text);
}

static int read_error(const char *text)
{
    static const struct {
        const char *name;
        int error;
    } errors[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EROFS", EROFS},
                  {"EDQUOT", EDQUOT}, {"EACCES", EACCES}, {"EMFILE", EMFILE},
                  {"ENOMEM", ENOMEM}, {"EINTR", EINTR},   {"short", WATCH_SHORT}};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (strcmp(errors[i].name, text) == 0)
            return errors[i].error;
    }
    watch_refuse("PC_FAULT", text);
}

static void read_fault(char *text)
{
    char *rest = read_range("PC_FAULT", text, &fault_at.first);
    fault_at.kind = KIND_COUNT;
    fault_at.count = 1;
    if (*rest++ != ':')
        watch_refuse("PC_FAULT", text);
    for (int i = 0; rest; i++) {
        char *word = strsep(&rest, ":"), *end;
        if (i == 0)
            fault_error = read_error(word);
        else if (strcmp(word, "forever") == 0)
            fault_at.count = FOR_EVER;
        else if (strcmp(word, "once") == 0)
            fault_at.count = 1;
        else if (*word >= '0' && *word <= '9')
            fault_at.count = strtoull(word, &end, 10);
        else
            fault_at.kind = read_kind("PC_FAULT", word, strlen(word));
    }
}

static void read_environment(void)
{
    static const char *const modes[MODE_COUNT] = {"drop", "prefix", "reorder", "trash"};
    char *text;
    if ((text = getenv("PC_SEED")))
        seed = strtoull(text, NULL, 0);
    if ((text = getenv("PC_AIM"))) {
        char *colon = strchr(text, ':');
        cut_at.kind = read_kind("PC_AIM", text, colon ? (size_t)(colon - text) : strlen(text));
        cut_at.suffix = colon ? colon + 1 : NULL;
    } else {
        cut_at.kind = KIND_COUNT;
    }
    if ((text = getenv("PC_CUT")) && *read_range("PC_CUT", text, &cut_at.first))
        watch_refuse("PC_CUT", text);
    if ((text = getenv("PC_FAULT")))
        read_fault(strdup(text));
    fault_switch = getenv("PC_SWITCH");
    if ((text = getenv("PC_MODE"))) {
        while (mode < MODE_COUNT && strcmp(modes[mode], text) != 0)
            mode++;
        if (mode == MODE_COUNT)
            watch_refuse("PC_MODE", text);
    }
    if ((text = getenv("PC_TRACE")))
        trace_fd = powercut_real.open(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

void *watch_libc(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function)
        watch_refuse("libc", name);
    return function;
}

void watch_begin(void)
{
    powercut_real = (struct real){
        .open = watch_libc("open64"),
        .openat = watch_libc("openat64"),
        .read = watch_libc("read"),
        .pread = watch_libc("pread64"),
        .write = watch_libc("write"),
        .pwrite = watch_libc("pwrite64"),
        .ftruncate = watch_libc("ftruncate64"),
        .fallocate = watch_libc("fallocate64"),
        .posix_fallocate = watch_libc("posix_fallocate64"),
        .rename = watch_libc("rename"),
        .unlink = watch_libc("unlink"),
        .mkdir = watch_libc("mkdir"),
        .rmdir = watch_libc("rmdir"),
        .fsync = watch_libc("fsync"),
        .fdatasync = watch_libc("fdatasync"),
        .mmap = watch_libc("mmap64"),
    };
    const char *text = getenv("PC_DIR");
    if (!text)
        return;
    if (!realpath(text, folder))
        watch_refuse("PC_DIR", text);
    folder_length = strlen(folder);
    read_environment();
}

bool watch_is_on(void)
{
    return folder_length > 0;
}

/* ---- which files are ours ---- */

bool watch_ends_with(const char *text, const char *suffix)
{
    size_t length = strlen(text), wanted = strlen(suffix);
    return length >= wanted && strcmp(text + length - wanted, suffix) == 0;
}

bool watch_is_ours(const char *path)
{
    return folder_length && strncmp(path, folder, folder_length) == 0 &&
           (path[folder_length] == '/' || !path[folder_length]) && !watch_ends_with(path, "-shm");
}

bool watch_path(int fd, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
    return length > 0;
}

/* Of an entry that need not exist: its folder made canonical, its name behind it. */
bool watch_entry(const char *path, char *out)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    if (!folder_length || !realpath(parent, out))
        return false;
    size_t length = strlen(out);
    snprintf(out + length, PATH_MAX - length, "/%s", slash ? slash + 1 : path);
    return watch_is_ours(out);
}

static struct file *known(const struct stat64 *status)
{
    struct file *file = files;
    while (file && (file->device != status->st_dev || file->inode != status->st_ino))
        file = file->next;
    return file;
}

static struct file *add_file(const char *open_path, const char *path, const struct stat64 *status)
{
    struct file *file = calloc(1, sizeof *file);
    if (!file)
        abort();
    file->device = status->st_dev;
    file->inode = status->st_ino;
    file->id = ++file_count;
    file->name = strdup(path);
    file->fd = powercut_real.open(open_path, O_RDWR | O_CLOEXEC);
    if (file->fd < 0)
        watch_refuse("a file that cannot be opened", path);
    file->next = files;
    files = file;
    return file;
}

/* The lock is held. NULL: a socket, or not ours. */
struct file *watch_file(int fd)
{
    struct stat64 status;
    char path[PATH_MAX], link[64];
    if (!folder_length || fstat64(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return NULL;
    struct file *file = known(&status);
    if (file || !watch_path(fd, path) || !watch_is_ours(path))
        return file;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return add_file(link, path, &status);
}

struct file *watch_file_at(const char *path)
{
    struct stat64 status;
    if (stat64(path, &status) != 0 || !S_ISREG(status.st_mode))
        return NULL;
    struct file *file = known(&status);
    return file ? file : add_file(path, path, &status);
}

/* ---- watch_events ---- */

static bool hits(struct aim *aim, enum kind kind, const char *name)
{
    if (!aim->first || (aim->kind != KIND_COUNT && aim->kind != (int)kind) ||
        (aim->kind == KIND_COUNT && kind >= KIND_READ) ||
        (aim->suffix && !watch_ends_with(name, aim->suffix)))
        return false;
    aim->seen++;
    return aim->seen >= aim->first && aim->seen - aim->first < aim->count;
}

bool watch_may_fail(enum kind kind)
{
    return fault_error && fault_at.kind == (int)kind;
}

int watch_fault(enum kind kind, const char *name)
{
    if (!fault_error || (fault_switch && access(fault_switch, F_OK) != 0) ||
        !hits(&fault_at, kind, name))
        return 0;
    return fault_error == WATCH_SHORT && kind != KIND_WRITE ? 0 : fault_error;
}

static void trace(enum kind kind, const char *name, int64_t offset, int64_t length)
{
    char line[PATH_MAX + 100];
    int n = snprintf(line, sizeof line, "%llu %s %s %lld %lld\n", (unsigned long long)watch_events,
                     kind_names[kind], name, (long long)offset, (long long)length);
    if (powercut_real.write(trace_fd, line, (size_t)n) != n)
        abort();
}

void watch_event(enum kind kind, const char *name, int64_t offset, int64_t length)
{
    watch_events++;
    if (trace_fd >= 0)
        trace(kind, name, offset, length);
    cut_at.count = 1;
    if (!hits(&cut_at, kind, name))
        return;
    log_cut(files, mode, seed);
    for (int i = 0; i < SHM_MAX && shm[i]; i++)
        powercut_real.unlink(shm[i]);
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

void watch_shm(const char *path)
{
    int i = 0;
    while (i < SHM_MAX && shm[i] && strcmp(shm[i], path) != 0)
        i++;
    if (i < SHM_MAX && !shm[i])
        shm[i] = strdup(path);
}
