/* Whose rights count: those of the user who runs the daemon, not of the one who asks.
 *
 * One thread. Reads modes of files, the list of users and /proc; owns nothing. Never opens what it
 * judges. Access lists and mounts that are read-only are beyond it. */
#include "gateway/ctl/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SERVICE_USER "lifeline"
#define PORTS_GROUP  "dialout"

static bool is_in(const struct doctor_user *user, gid_t gid)
{
    for (int i = 0; i < user->group_count; i++) {
        if (user->groups[i] == gid)
            return true;
    }
    return false;
}

/* The service is given the ports' group by its unit, not by /etc/group. */
static void add_ports(struct doctor_user *user)
{
    const struct group *ports = getgrnam(PORTS_GROUP);
    if (ports && strcmp(user->name, SERVICE_USER) == 0 && !is_in(user, ports->gr_gid) &&
        user->group_count < DOCTOR_GROUPS_MAX)
        user->groups[user->group_count++] = ports->gr_gid;
}

void doctor_user_find(struct doctor_user *user, bool is_known, uid_t uid)
{
    const struct passwd *entry = is_known ? getpwuid(uid) : getpwnam(SERVICE_USER);
    user->uid = is_known ? uid : geteuid();
    if (!entry && !is_known)
        entry = getpwuid(user->uid);
    user->group_count = 0;
    if (!entry) {
        snprintf(user->name, sizeof user->name, "%u", (unsigned)user->uid);
        return;
    }
    user->uid = entry->pw_uid;
    snprintf(user->name, sizeof user->name, "%s", entry->pw_name);
    user->group_count = DOCTOR_GROUPS_MAX;
    if (getgrouplist(entry->pw_name, entry->pw_gid, user->groups, &user->group_count) < 0)
        user->group_count = DOCTOR_GROUPS_MAX;
    add_ports(user);
}

static bool may(const struct doctor_user *user, const struct stat *file, unsigned want)
{
    unsigned shift = user->uid == file->st_uid ? 6 : is_in(user, file->st_gid) ? 3 : 0;
    return user->uid == 0 || ((file->st_mode >> shift) & want) == want;
}

int doctor_user_denied(const struct doctor_user *user, const char *path, int want)
{
    struct stat file;
    char real[PATH_MAX];
    if (!realpath(path, real))
        return errno;
    for (char *slash = strchr(real + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool passes = stat(real, &file) == 0 && may(user, &file, X_OK);
        *slash = '/';
        if (!passes)
            return EACCES;
    }
    if (stat(real, &file) != 0)
        return errno;
    return may(user, &file, (unsigned)want) ? 0 : EACCES;
}

static bool has_open(const char *pid, const char *real)
{
    char folder[64], link[PATH_MAX], to[PATH_MAX];
    const struct dirent *entry;
    bool found = false;
    snprintf(folder, sizeof folder, "/proc/%.20s/fd", pid);
    DIR *fds = opendir(folder);
    while (fds && !found && (entry = readdir(fds)) != NULL) {
        snprintf(link, sizeof link, "%s/%s", folder, entry->d_name);
        ssize_t length = readlink(link, to, sizeof to - 1);
        to[length > 0 ? length : 0] = '\0';
        found = strcmp(to, real) == 0;
    }
    if (fds)
        closedir(fds);
    return found;
}

static void name_of(pid_t pid, char name[DOCTOR_NAME_MAX])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file || !fgets(name, DOCTOR_NAME_MAX, file))
        snprintf(name, DOCTOR_NAME_MAX, "?");
    name[strcspn(name, "\n")] = '\0';
    if (file)
        fclose(file);
}

pid_t doctor_user_holder(const char *path, pid_t except, char name[DOCTOR_NAME_MAX])
{
    char real[PATH_MAX];
    const struct dirent *entry;
    pid_t holder = 0;
    DIR *proc = realpath(path, real) ? opendir("/proc") : NULL;
    while (proc && !holder && (entry = readdir(proc)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && pid != except && pid != getpid() && has_open(entry->d_name, real))
            holder = pid;
    }
    if (proc)
        closedir(proc);
    if (holder)
        name_of(holder, name);
    return holder;
}
