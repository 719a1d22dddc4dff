/* The API's unix socket file: bound for root and its group, never stolen from a daemon that lives.
 *
 * Runs in main() while it starts. Owns nothing: the descriptor is the caller's. A file that nobody
 * listens on is a dead daemon's and is replaced; any other file is left alone. Never waits. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/api/internal.h"

enum { SOCKET_MODE = 0660, FOLDER_MODE = 0755, BACKLOG = 128 };

/* Makes every missing folder above the file; what cannot be made shows at bind(). */
static void make_folders(const char *path)
{
    char folder[sizeof((struct sockaddr_un *)0)->sun_path];
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        if (slash > path)
            (void)mkdir(folder, FOLDER_MODE);
    }
}

/* A socket that refuses a connection has no process behind it any more. */
static bool is_stale(const struct sockaddr_un *address)
{
    struct stat file;
    if (lstat(address->sun_path, &file) != 0 || !S_ISSOCK(file.st_mode))
        return false;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return false;
    bool refused = connect(probe, (const struct sockaddr *)address, sizeof *address) != 0 &&
                   errno == ECONNREFUSED;
    close(probe);
    return refused;
}

int socket_listen(const char *path, char *why, size_t why_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct sockaddr *bound = (const struct sockaddr *)&address;
    if (strlen(path) >= sizeof address.sun_path) {
        snprintf(why, why_size, "api: the path of the socket is too long: %.200s", path);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        goto failed;
    make_folders(path);
    /* The file is born with the descriptor's mode: there is no moment at which others may enter. */
    if (fchmod(fd, SOCKET_MODE) != 0)
        goto failed;
    int status = bind(fd, bound, sizeof address);
    if (status != 0 && errno == EADDRINUSE) {
        if (!is_stale(&address)) {
            snprintf(why, why_size, "api socket %s: another process has it", path);
            close(fd);
            return -1;
        }
        (void)unlink(path);
        status = bind(fd, bound, sizeof address);
    }
    /* Once more: the umask may have taken the group's right to write. */
    if (status == 0 && chmod(path, SOCKET_MODE) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
failed:
    snprintf(why, why_size, "api socket %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}
