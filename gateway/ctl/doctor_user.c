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

/* "Groups:\t20 104 \n" and the second number of "Gid:\t104\t104\t104\t104\n". */
static void read_groups(struct doctor_user *user, const char *line)
{
    bool is_list = strncmp(line, "Groups:", strlen("Groups:")) == 0;
    if (!is_list && strncmp(line, "Gid:", strlen("Gid:")) != 0)
        return;
    char *end;
    const char *at = strchr(line, ':') + 1;
    for (unsigned i = 0; user->group_count < DOCTOR_GROUPS_MAX; i++, at = end) {
        unsigned long group = strtoul(at, &end, 10);
        if (end == at)
            return;
        if (is_list || i == 1)
            user->groups[user->group_count++] = (gid_t)group;
    }
}

/* What a process has may be less than /etc/group says: it got them when it began. */
static bool has_groups(struct doctor_user *user, pid_t pid)
{
    char path[64], line[4096];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *status = fopen(path, "re");
    while (status && fgets(line, sizeof line, status))
        read_groups(user, line);
    if (status)
        fclose(status);
    return user->group_count > 0;
}

void doctor_user_find(struct doctor_user *user, pid_t pid, uid_t uid)
{
    bool is_known = pid > 0;
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
    if (is_known && has_groups(user, pid))
        return;
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
        return errno == EACCES && user->uid != geteuid() ? DOCTOR_NOT_KNOWN : errno;
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

void doctor_user_passes_over(struct doctor *doctor, const char *path)
{
    if (!doctor->passed_over_count++)
        snprintf(doctor->passed_over, sizeof doctor->passed_over, "%s", path);
}

void doctor_user_passed_over(struct doctor *doctor)
{
    if (!doctor->passed_over_count)
        return;
    doctor_finds(doctor, "not_examined", DOCTOR_WARNING,
                 say("本用户无权查看 %s 等 %zu 处，这些没有检查",
                     "this user may not look at %s (in all %zu): that was not examined"),
                 doctor->passed_over, doctor->passed_over_count);
    doctor_advises(doctor, say("用 sudo lifelinectl doctor 再查", "sudo lifelinectl doctor"));
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
