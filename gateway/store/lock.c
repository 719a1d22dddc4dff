/* store.lock: one process at a time has the store, the daemon or a command line that reads it.
 *
 * Runs wherever a store is opened. flock() on a file beside the store, so that it goes with the
 * process however that ends; the file itself stays. Owns nothing: the descriptor is the caller's.
 * Never waits: who has it is said instead, as far as /proc/locks tells. */
#include "gateway/store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/store/lock.h"

enum { COMM_BYTES = 32 };

/* The process that has the flock on this file; 0 when it is not told. */
static int holder_of(int fd)
{
    struct stat file;
    char line[256];
    int holder = 0, pid;
    unsigned long long inode;
    FILE *locks = fstat(fd, &file) == 0 ? fopen("/proc/locks", "re") : NULL;
    while (locks && !holder && fgets(line, sizeof line, locks)) {
        if (sscanf(line, "%*d: FLOCK %*s %*s %d %*[^:]:%*[^:]:%llu", &pid, &inode) == 2 &&
            inode == (unsigned long long)file.st_ino && pid > 0)
            holder = pid;
    }
    if (locks)
        fclose(locks);
    return holder;
}

/* True: it only reads, and will be gone soon. */
static bool tell_holder(int fd, const char *path, char *why, size_t why_size)
{
    char name[64], comm[COMM_BYTES] = "";
    int pid = holder_of(fd);
    if (!pid) {
        snprintf(why, why_size, "%s is in use by another process", path);
        return false;
    }
    snprintf(name, sizeof name, "/proc/%d/comm", pid);
    FILE *file = fopen(name, "re");
    if (file && fgets(comm, sizeof comm, file))
        comm[strcspn(comm, "\n")] = '\0';
    if (file)
        fclose(file);
    snprintf(why, why_size, "%s is in use by process %d (%s)", path, pid, comm);
    return strcmp(comm, "lifelinectl") == 0;
}

enum lock_result lock_take(const char *path, int *fd, char *why, size_t why_size)
{
    size_t stem = strlen(path);
    char lock[4096];
    if (stem > 3 && strcmp(path + stem - 3, ".db") == 0)
        stem -= 3;
    snprintf(lock, sizeof lock, "%.*s.lock", (int)stem, path);
    *fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    int error = errno;
    if (*fd < 0) /* a disk that takes no new file may have one from before, and that will do */
        *fd = open(lock, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) {
        snprintf(why, why_size, "cannot create %s: %s", lock, strerror(error));
        return LOCK_FAILED;
    }
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
        return LOCK_TAKEN;
    enum lock_result result = LOCK_FAILED;
    if (errno == EWOULDBLOCK)
        result = tell_holder(*fd, path, why, why_size) ? LOCK_BY_READER : LOCK_BY_OTHER;
    else /* a disk, or a share, that cannot: nobody else is known to have it */
        snprintf(why, why_size, "cannot lock %s: %s", lock, strerror(errno));
    close(*fd);
    *fd = -1;
    return result;
}
