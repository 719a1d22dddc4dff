/* The daemon itself: whether it runs, whether we may talk to it, and whether all of it moves.
 *
 * One thread. Comes last among the examinations: what they found may be why it does not run. Owns
 * nothing. */
#include <errno.h>
#include <string.h>

#include "gateway/ctl/doctor.h"
#include "gateway/ctl/text.h"

/* What was found first that the daemon does not start with; NULL: nothing. */
static const char *what_stops(const json_t *findings)
{
    size_t index;
    json_t *finding;
    json_array_foreach(findings, index, finding)
    {
        if (json_is_true(json_object_get(finding, "stops")))
            return text_of(finding, "id");
    }
    return NULL;
}

static void is_down(struct doctor *doctor)
{
    const char *stops = what_stops(doctor->findings);
    doctor_finds(doctor, "daemon_down", DOCTOR_FAULT,
                 say("守护进程没有运行（%s：%s），线路和上行的状态因此没有检查",
                     "the daemon does not run (%s: %s); how its lines and uplinks do is not known"),
                 doctor->ctl->socket, say_errno(doctor->socket_error));
    if (stops)
        doctor_advises(doctor,
                       say("先解决上面的 %s，它使守护进程无法启动；然后 systemctl restart "
                           "lifeline-gateway",
                           "mend %s first, see above: it does not start with that; then systemctl "
                           "restart lifeline-gateway"),
                       stops);
    else
        doctor_advises(doctor,
                       say("systemctl enable --now lifeline-gateway；不成则看 journalctl -u "
                           "lifeline-gateway -n 20",
                           "systemctl enable --now lifeline-gateway; if that fails, see "
                           "journalctl -u lifeline-gateway -n 20"));
}

static void is_denied(struct doctor *doctor)
{
    doctor_finds(
        doctor, "api_denied", DOCTOR_FAULT,
        say("本用户无权使用守护进程的接口 %s", "this user may not use the daemon's API %s"),
        doctor->ctl->socket);
    doctor_advises(doctor, say("sudo usermod -aG lifeline $USER 后重新登录，或用 sudo 运行",
                               "sudo usermod -aG lifeline $USER and log in anew, or use sudo"));
}

static void is_stuck(struct doctor *doctor)
{
    doctor_finds(
        doctor, "daemon_hangs", DOCTOR_FAULT,
        say("守护进程在，但 %s 上没有应答", "the daemon is there, and does not answer on %s"),
        doctor->ctl->socket);
    doctor_advises(doctor,
                   say("systemctl restart lifeline-gateway；反复出现则看 dmesg（磁盘、USB）并报告 "
                       "journalctl -u lifeline-gateway",
                       "systemctl restart lifeline-gateway; if it comes again see dmesg (disk, "
                       "USB) and report journalctl -u lifeline-gateway"));
}

static void hangs(struct doctor *doctor)
{
    const json_t *watchdog = json_object_get(doctor->status, "watchdog");
    const json_t *hanging = json_object_get(watchdog, "hanging");
    size_t index;
    json_t *name;
    json_array_foreach(hanging, index, name)
    {
        doctor_finds(doctor, "thread_hangs", DOCTOR_FAULT,
                     say("守护进程的线程“%s”卡住了", "the daemon's thread \"%s\" hangs"),
                     json_string_value(name));
        doctor_advises(
            doctor, say("服务会自动重启；反复出现则看 dmesg（磁盘、USB）并报告 journalctl -u "
                        "lifeline-gateway",
                        "the service restarts by itself; if it comes again see dmesg (disk, USB) "
                        "and report journalctl -u lifeline-gateway"));
    }
}

void doctor_daemon(struct doctor *doctor)
{
    if (doctor->socket_error == EACCES)
        is_denied(doctor);
    else if (doctor->socket_error == ETIMEDOUT)
        is_stuck(doctor);
    else if (doctor->socket_error)
        is_down(doctor);
    hangs(doctor);
}
