/* The files of the deployer: configuration, profiles, passwords and private keys.
 *
 * One thread. Looks at names, owners and modes for the user who runs the daemon, and at what the
 * loader says; never at what is inside a secret. Owns nothing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/ctl/doctor.h"
#include "gateway/uplink/secret.h"

enum { MESSAGE_MAX = 512 };

/* The first error, with its place: of all that the loader says the line that has it. */
static void first_error(struct diagnostics *diagnostics, char out[MESSAGE_MAX])
{
    const char *text = diagnostics ? diagnostics_text(diagnostics) : "";
    const char *mark = strstr(text, ": error: "), *line = mark;
    while (line && line > text && line[-1] != '\n')
        line--;
    snprintf(out, MESSAGE_MAX, "%.*s", line ? (int)strcspn(line, "\n") : 0, line ? line : "");
}

/* What is not there is not denied. */
static bool readable(struct doctor *doctor, const char *path)
{
    int error = doctor_user_denied(&doctor->user, path, R_OK);
    if (!error || error == ENOENT || error == DOCTOR_NOT_KNOWN)
        return true;
    doctor_finds(doctor, "config_denied", DOCTOR_STOPS,
                 say("用户 %s 不能读取 %s：%s", "user %s cannot read %s: %s"), doctor->user.name,
                 path, say_errno(error));
    doctor_advises(doctor,
                   say("让它及其上级目录对 %s 可读：chgrp %s %s; chmod g+r %s，目录还要 g+x",
                       "make it and the folders above it readable for %s: chgrp %s %s; chmod g+r "
                       "%s, folders g+x, too"),
                   doctor->user.name, doctor->user.name, path, path);
    return false;
}

void doctor_configuration(struct doctor *doctor)
{
    char message[MESSAGE_MAX];
    const char *file = doctor->ctl->config;
    bool can_read = readable(doctor, file);
    for (size_t i = 0; i < doctor->ctl->profiles.count; i++)
        can_read = readable(doctor, doctor->ctl->profiles.dirs[i]) && can_read;
    if (doctor->settings || !can_read)
        return;
    if (access(file, R_OK) != 0 && errno == EACCES) {
        doctor_user_passes_over(doctor, file);
        return;
    }
    first_error(doctor->setup.diagnostics, message);
    doctor_finds(doctor, "config_wrong", DOCTOR_STOPS,
                 say("配置文件 %s 无法加载：%s", "the configuration %s does not load: %s"), file,
                 message);
    doctor_advises(doctor,
                   say("修改后用 lifelinectl check %s 检查，它列出全部错误；还没有配置时用 "
                       "lifelinectl setup 生成",
                       "mend it and try lifelinectl check %s, which shows all that is wrong; where "
                       "there is none yet, lifelinectl setup writes one"),
                   file);
}

/* What systemd hands over is root's own and read for the daemon. */
static bool is_handed_over(const char *path)
{
    return strncmp(path, SECRET_FOLDER "/", sizeof SECRET_FOLDER) == 0 &&
           !strchr(path + sizeof SECRET_FOLDER, '/');
}

static void unreadable(struct doctor *doctor, const struct settings_uplink *uplink,
                       const char *path, int error)
{
    bool is_missing = error == ENOENT;
    doctor_finds(doctor, is_missing ? "secret_missing" : "secret_denied", DOCTOR_FAULT,
                 say("上行 %s 的 %s 不能由用户 %s 读取：%s",
                     "uplink %s: its %s cannot be read by user %s: %s"),
                 uplink->name, path, doctor->user.name, say_errno(error));
    if (is_missing)
        doctor_advises(doctor,
                       say("把密码或私钥写入该文件并 chmod 600，然后重启服务：systemctl restart "
                           "lifeline-gateway",
                           "put the password or the private key there, chmod 600, and restart the "
                           "service: systemctl restart lifeline-gateway"));
    else
        doctor_advises(doctor,
                       say("放到 " SECRET_FOLDER "/ 下由 systemd 转交，或 chown %s %s",
                           "put it into " SECRET_FOLDER "/, which systemd hands over, or chown %s "
                           "%s"),
                       doctor->user.name, path);
}

static void secret(struct doctor *doctor, const struct settings_uplink *uplink, const char *path)
{
    struct stat file;
    if (!path)
        return;
    int error = stat(path, &file) == 0 ? 0 : errno;
    bool handed = is_handed_over(path);
    if (error == EACCES && handed)
        return;
    if (!error && (file.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        doctor_finds(doctor, "secret_open", handed ? DOCTOR_FAULT : DOCTOR_STOPS,
                     say("上行 %s 的 %s 其他人也能读取（权限 %04o）",
                         "uplink %s: its %s can be read by others than its owner (mode %04o)"),
                     uplink->name, path, file.st_mode & 07777U);
        doctor_advises(doctor,
                       say("chmod 600 %s；密码可能已泄露，最好更换",
                           "chmod 600 %s; others may know it by now, a new one is better"),
                       path);
        return;
    }
    if (!handed && error != ENOENT)
        error = doctor_user_denied(&doctor->user, path, R_OK);
    if (error == DOCTOR_NOT_KNOWN)
        doctor_user_passes_over(doctor, path);
    else if (error)
        unreadable(doctor, uplink, path, error);
}

void doctor_secrets(struct doctor *doctor)
{
    for (size_t u = 0; u < doctor->settings->uplink_count; u++) {
        const struct settings_uplink *uplink = &doctor->settings->uplinks[u];
        secret(doctor, uplink, uplink->password_file);
        secret(doctor, uplink, uplink->key);
    }
}
