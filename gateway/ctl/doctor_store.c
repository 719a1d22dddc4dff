/* The store: its folder, the disk below it, what lies beside it, and how the daemon gets on with
 * it.
 *
 * One thread. Asks the file system and the daemon's status; never opens the store. Owns nothing. */
#include <errno.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "gateway/ctl/doctor.h"
#include "gateway/ctl/text.h"
#include "gateway/store/format.h"

enum { SIZE_TEXT = 32 };

/* Less than this, and SQLite has no room for a commit and its log. */
static const uint64_t FULL_BYTES = 8 << 20;

static void folder(struct doctor *doctor, const char *path)
{
    struct stat found;
    int error = doctor_user_denied(&doctor->user, path, R_OK | W_OK);
    if (error == DOCTOR_NOT_KNOWN)
        doctor_user_passes_over(doctor, path);
    if (!error || error == DOCTOR_NOT_KNOWN)
        return;
    bool there = stat(path, &found) == 0;
    doctor_finds(
        doctor, error == ENOENT ? "store_folder_missing" : "store_folder_denied", DOCTOR_FAULT,
        say("存储目录 %s 不能由用户 %s 写入：%s", "the store's folder %s cannot be written "
                                                  "by user %s: %s"),
        path, doctor->user.name, say_errno(error));
    if (there)
        doctor_advises(doctor, "chown %s: %s; chmod 750 %s", doctor->user.name, path, path);
    else
        doctor_advises(doctor, "install -d -o %s -m 750 %s", doctor->user.name, path);
}

static void own_file(struct doctor *doctor, const char *path, const char *all)
{
    struct stat found;
    int error = stat(path, &found) == 0 ? doctor_user_denied(&doctor->user, path, R_OK | W_OK) : 0;
    if (!error || error == DOCTOR_NOT_KNOWN)
        return;
    doctor_finds(
        doctor, "store_denied", DOCTOR_FAULT,
        say("用户 %s 无权读写存储文件 %s（属主 %u，权限 %04o），读数只在内存里",
            "user %s may not use the store %s (owner %u, mode %04o): readings stay in memory"),
        doctor->user.name, path, (unsigned)found.st_uid, found.st_mode & 07777U);
    doctor_advises(doctor, "chown %s: %s", doctor->user.name, all);
}

/* What lies beside it is named after it, without its .db. */
static int stem_of(const char *path)
{
    size_t length = strlen(path);
    return (int)(length > 3 && strcmp(path + length - 3, ".db") == 0 ? length - 3 : length);
}

/* As when somebody once ran the daemon as root: any one of these keeps it out. */
static void own_files(struct doctor *doctor, const char *path)
{
    static const char *const ends[] = {".db-wal", ".lock"};
    char all[PATH_MAX], file[PATH_MAX];
    size_t before = json_array_size(doctor->findings);
    snprintf(all, sizeof all, "%.*s*", stem_of(path), path);
    own_file(doctor, path, all);
    for (size_t i = 0; i < 2 && json_array_size(doctor->findings) == before; i++) {
        snprintf(file, sizeof file, "%.*s%s", stem_of(path), path, ends[i]);
        own_file(doctor, file, all);
    }
}

static void disk_full(struct doctor *doctor, const char *path, uint64_t left, bool no_inodes)
{
    char size[SIZE_TEXT];
    if (no_inodes)
        doctor_finds(doctor, "disk_full", DOCTOR_FAULT,
                     say("%s 所在的磁盘没有空闲的 inode 了", "the disk of %s has no free inode"),
                     path);
    else
        doctor_finds(doctor, "disk_full", DOCTOR_FAULT,
                     say("%s 所在的磁盘已满，只剩 %s", "the disk of %s is full: %s are left"), path,
                     text_bytes((json_int_t)left, size, sizeof size));
    doctor_advises(doctor,
                   say("用 df -h 和 du -xh 找出并清理大文件（journalctl --vacuum-size=50M）；"
                       "读数先存在内存里，断电会丢失",
                       "find what takes the room with df -h and du -xh (journalctl "
                       "--vacuum-size=50M); until then readings are in memory and go with the "
                       "power"));
}

static void disk(struct doctor *doctor, const char *path)
{
    struct statvfs fs;
    struct stat file;
    char left_text[SIZE_TEXT], needed_text[SIZE_TEXT];
    bool is_new = stat(doctor->settings->store.path, &file) != 0;
    if ((is_new && errno != ENOENT) || statvfs(path, &fs) != 0)
        return;
    uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize, quota = doctor->settings->store.max_size;
    uint64_t used = is_new ? 0 : (uint64_t)file.st_size;
    uint64_t needed = quota > used ? quota - used : 0;
    if (fs.f_flag & ST_RDONLY) {
        doctor_finds(doctor, "disk_read_only", DOCTOR_FAULT,
                     say("%s 所在的文件系统是只读的", "the file system of %s is read-only"), path);
        doctor_advises(doctor,
                       say("dmesg 看有无读写错误：有则换存储卡；没有则 mount -o remount,rw，并检查 "
                           "/etc/fstab",
                           "see dmesg for I/O errors: change the card if there are; else mount -o "
                           "remount,rw and look at /etc/fstab"));
    } else if (left < FULL_BYTES || (fs.f_files && !fs.f_favail)) {
        disk_full(doctor, path, left, left >= FULL_BYTES);
    } else if (left < needed) {
        doctor_finds(doctor, "disk_small", DOCTOR_WARNING,
                     say("%s 所在的磁盘剩 %s，而存储还可能增长 %s",
                         "the disk of %s has %s left, and the store may grow by %s"),
                     path, text_bytes((json_int_t)left, left_text, sizeof left_text),
                     text_bytes((json_int_t)needed, needed_text, sizeof needed_text));
        doctor_advises(doctor, say("清理磁盘，或把 store.max_size 调小",
                                   "make room, or make store.max_size smaller"));
    }
}

/* What could not be read was put aside, one file for each time. */
static void damaged(struct doctor *doctor)
{
    char pattern[PATH_MAX];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s.corrupt-*[0-9]", doctor->settings->store.path);
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    doctor_finds(doctor, "store_damaged", DOCTOR_WARNING,
                 say("存储损坏过，旁边有坏文件 %zu 个，最近的是 %s",
                     "the store was damaged: files put aside: %zu, the last is %s"),
                 found.gl_pathc, found.gl_pathv[found.gl_pathc - 1]);
    doctor_advises(
        doctor, say("能读出的已经取出；换工业级 SD 卡或 eMMC，检查供电；确认平台数据后可删除坏文件",
                    "what could be read was taken over; use an industrial SD card or eMMC, look "
                    "at the power supply; delete the file once the platform has its data"));
    globfree(&found);
}

static void later(struct doctor *doctor, const char *path)
{
    if (!format_is_later(path))
        return;
    doctor_finds(doctor, "store_later", DOCTOR_FAULT,
                 say("存储 %s 是更新版本的程序写的，本版本不动它，读数只在内存里",
                     "a later version wrote the store %s: this one leaves it alone, readings "
                     "are in memory only"),
                 path);
    doctor_advises(
        doctor,
        say("装回新版本；或在服务运行时先后移走 store.db 和 store.db-wal，它会新建一个并写入内存里"
            "的读数，旧文件里未送达的数据留在其中",
            "install that version again; or, while the service runs, move store.db away and then "
            "store.db-wal: it makes a new one and writes what it has in memory, what the old one "
            "owes stays in it"));
}

static const struct {
    const char *mode, *id;
    struct words what, advice;
} modes[] = {
    {"memory",
     "store_in_memory",
     {"守护进程写不了存储，读数只在内存里，断电就会丢失",
      "the daemon cannot write its store: readings are in memory only and go with the power"},
     {"看上面的磁盘和目录问题，以及 journalctl -u lifeline-gateway；恢复后会自动写回",
      "see what is said of disk and folder, and journalctl -u lifeline-gateway; it goes back by "
      "itself"}},
    {"read_only",
     "store_read_only",
     {"存储只读：守护进程只能读出旧数据", "the store is read-only: the daemon only reads old data"},
     {"检查存储目录的权限和文件系统是否只读",
      "look at the folder's rights and at its file system"}},
    {"full",
     "store_full",
     {"存储已满：最旧的数据会被删除，形成缺口",
      "the store is full: the oldest data is deleted and leaves gaps"},
     {"让上行恢复，或清理磁盘、调大 store.max_size",
      "get the uplink going, or make room and store.max_size larger"}},
};

static void mode(struct doctor *doctor)
{
    const char *now = text_of(json_object_get(doctor->status, "store"), "mode");
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(now, modes[i].mode) == 0) {
            doctor_finds(doctor, modes[i].id, DOCTOR_FAULT, "%s", say_words(modes[i].what));
            doctor_advises(doctor, "%s", say_words(modes[i].advice));
        }
    }
}

static void holder(struct doctor *doctor, const char *path)
{
    char lock[PATH_MAX], name[DOCTOR_NAME_MAX];
    snprintf(lock, sizeof lock, "%.*s.lock", stem_of(path), path);
    bool is_down = doctor->socket_error && doctor->socket_error != ETIMEDOUT;
    pid_t pid = is_down ? doctor_user_holder(lock, 0, name) : 0;
    if (!pid)
        return;
    doctor_finds(doctor, "store_held", DOCTOR_STOPS,
                 say("存储 %s 被进程 %d（%s）占用", "the store %s is held by process %d (%s)"),
                 path, (int)pid, name);
    doctor_advises(doctor,
                   say("两个守护进程不能共用一个存储：停掉进程 %d，或用 --socket 指出它的接口",
                       "no two daemons share a store: end process %d, or name its API with "
                       "--socket"),
                   (int)pid);
}

void doctor_store(struct doctor *doctor)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", doctor->settings->store.path);
    const char *path = dirname(copy);
    folder(doctor, path);
    own_files(doctor, doctor->settings->store.path);
    disk(doctor, path);
    damaged(doctor);
    later(doctor, doctor->settings->store.path);
    mode(doctor);
    holder(doctor, doctor->settings->store.path);
}
