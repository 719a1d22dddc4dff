/* Serial ports: whether the one that a line names is there, may be used and is nobody else's.
 *
 * One thread. Looks at the file system and at /proc; never opens a port, which would move its
 * control lines. Owns nothing. */
#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/ctl/doctor.h"
#include "gateway/ctl/port_name.h"

enum { NAMES_MAX = 400 };

static void add_ports(char out[NAMES_MAX], const char *folder, const char *names)
{
    char pattern[64];
    glob_t found;
    size_t used = strlen(out);
    snprintf(pattern, sizeof pattern, "%s/%s", folder, names);
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t j = 0; j < found.gl_pathc && used < NAMES_MAX / 2; j++)
        used += (size_t)snprintf(out + used, NAMES_MAX - used, " %.150s", found.gl_pathv[j]);
    globfree(&found);
}

/* The ports that come and go, by the names that stay the same where there are such. */
static void list_ports(char out[NAMES_MAX])
{
    out[0] = '\0';
    for (size_t i = 0; PORT_NAME_FOLDERS[i] && !out[0]; i++)
        add_ports(out, PORT_NAME_FOLDERS[i], "*");
    if (!out[0])
        add_ports(out, "/dev", "ttyUSB*");
    if (!out[0])
        add_ports(out, "/dev", "ttyACM*");
    if (!out[0])
        snprintf(out, NAMES_MAX, " %s", say("（无）", "(none)"));
}

static void missing(struct doctor *doctor, const struct settings_line *line)
{
    char names[NAMES_MAX];
    list_ports(names);
    doctor_finds(doctor, "port_missing", DOCTOR_FAULT,
                 say("线路 %s 的串口 %s 不存在", "line %s: its port %s does not exist"), line->name,
                 line->device);
    doctor_advises(doctor,
                   say("检查 USB 转换器是否插好（dmesg | tail），再核对名称；现有的 USB 串口：%s",
                       "see whether the adapter is plugged in (dmesg | tail), and its name; USB "
                       "ports there are:%s"),
                   names);
}

/* A right that lasts: what is set on a port by hand is gone with the next boot or plug. */
static void advise_rule(struct doctor *doctor, const struct settings_line *line)
{
    char real[PATH_MAX];
    const char *name = realpath(line->device, real) ? strrchr(real, '/') + 1 : line->device;
    doctor_advises(doctor,
                   say("在 /etc/udev/rules.d/71-ports.rules 写一行 KERNEL==\"%s\", "
                       "GROUP=\"dialout\", MODE=\"0660\"，然后 udevadm control --reload; udevadm "
                       "trigger",
                       "write KERNEL==\"%s\", GROUP=\"dialout\", MODE=\"0660\" into "
                       "/etc/udev/rules.d/71-ports.rules, then udevadm control --reload; udevadm "
                       "trigger"),
                   name);
}

static void denied(struct doctor *doctor, const struct settings_line *line, const struct stat *port)
{
    const struct group *group = getgrgid(port->st_gid);
    const char *name = group ? group->gr_name : "?";
    doctor_finds(doctor, "port_denied", DOCTOR_FAULT,
                 say("线路 %s：用户 %s 无权读写串口 %s（组 %s，权限 %04o）",
                     "line %s: user %s may not use port %s (group %s, mode %04o)"),
                 line->name, doctor->user.name, line->device, name, port->st_mode & 07777U);
    if (strcmp(name, "dialout") != 0 || (port->st_mode & 060) != 060)
        advise_rule(doctor, line);
    else
        doctor_advises(doctor,
                       say("usermod -aG dialout %s，然后重启服务",
                           "usermod -aG dialout %s; then restart the service"),
                       doctor->user.name);
}

/* The simulator has both ends of its pseudo terminal open. */
static bool is_other_end(const char *name)
{
    return strcmp(name, "lifeline-sim") == 0;
}

static void held(struct doctor *doctor, const struct settings_line *line)
{
    char name[DOCTOR_NAME_MAX];
    pid_t pid = doctor_user_holder(line->device, doctor->daemon, name);
    if (!pid || is_other_end(name))
        return;
    doctor_finds(doctor, "port_held", DOCTOR_FAULT,
                 say("线路 %s 的串口 %s 被进程 %d（%s）打开着",
                     "line %s: its port %s is open in process %d (%s)"),
                 line->name, line->device, (int)pid, name);
    doctor_advises(doctor,
                   say("两个主站会互相打断：停掉进程 %d；若是登录终端，systemctl disable --now "
                       "serial-getty@串口名",
                       "two masters talk into each other: end process %d; of a login, systemctl "
                       "disable --now serial-getty@PORT"),
                   (int)pid);
}

static void moves(struct doctor *doctor, const struct settings_line *line)
{
    char lasting[PATH_MAX];
    if (!port_name_lasting(PORT_NAME_FOLDERS, line->device, lasting, sizeof lasting))
        return;
    doctor_finds(doctor, "port_moves", DOCTOR_WARNING,
                 say("线路 %s 的串口名 %s 重启后可能是另一只转换器，读数会记到别的设备名下",
                     "line %s: after a boot %s may be another adapter, whose sensors would come "
                     "under these names"),
                 line->name, line->device);
    doctor_advises(doctor,
                   say("配置里改为 device: %s，然后 systemctl reload lifeline-gateway",
                       "write device: %s in the configuration, then systemctl reload "
                       "lifeline-gateway"),
                   lasting);
}

void doctor_ports(struct doctor *doctor)
{
    for (size_t l = 0; l < doctor->settings->line_count; l++) {
        const struct settings_line *line = &doctor->settings->lines[l];
        struct stat port;
        if (line->transport != TRANSPORT_RTU)
            continue;
        if (stat(line->device, &port) != 0) {
            missing(doctor, line);
        } else if (!S_ISCHR(port.st_mode)) {
            doctor_finds(doctor, "port_no_port", DOCTOR_FAULT,
                         say("线路 %s：%s 不是串口", "line %s: %s is no serial port"), line->name,
                         line->device);
            doctor_advises(doctor, say("在配置里改正 device", "correct its device in the "
                                                              "configuration"));
        } else {
            if (doctor_user_denied(&doctor->user, line->device, R_OK | W_OK) > 0)
                denied(doctor, line, &port);
            held(doctor, line);
            moves(doctor, line);
        }
    }
}
