#!/usr/bin/python3
"""Starts what a unit starts, as systemd would, where there is no systemd: service.py ROOT UNIT [native]

Reads User=, SupplementaryGroups=, UMask=, LimitNOFILE=, StateDirectory=, RuntimeDirectory=,
LoadCredential=, SystemCallFilter= and ExecStart= of the unit and does them by hand: its user with no
capability left, nothing writable but its own folders, copies of the secrets, no system call that the
filter does not have (`native` only: of an emulated program the calls would be qemu's). Becomes the
program. Root only, in a mount namespace of its own."""
import ctypes
import glob
import os
import resource
import subprocess
import sys

PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP, CAP_LAST = 38, 24, 40


def calls(names):
    """The system calls of names and @groups."""
    found = set()
    for name in names:
        if not name.startswith("@"):
            found.add(name)
            continue
        said = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], check=True,
                              capture_output=True, text=True).stdout.split("\n")[1:]
        words = [line.strip() for line in said if line.strip() and not line.strip().startswith("#")]
        found |= calls(words)
    return found


def filter_of(lines):
    import seccomp
    allowed = set()
    for line in lines:
        names = calls(line.lstrip("~").split())
        allowed = allowed - names if line.startswith("~") else allowed | names
    rules = seccomp.SyscallFilter(seccomp.ERRNO(1))
    for name in sorted(allowed):
        try:
            rules.add_rule(seccomp.ALLOW, name)
        except RuntimeError:
            pass                        # another architecture's
    return rules


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def folder(path, owner, mode):
    os.makedirs(path, exist_ok=True)
    os.chown(path, owner.pw_uid, owner.pw_gid)
    os.chmod(path, mode)


class Entry:
    def __init__(self, root, name):
        fields = next(line.split(":") for line in open(root + "/etc/passwd", encoding="utf-8")
                      if line.startswith(name + ":"))
        self.pw_uid, self.pw_gid = int(fields[2]), int(fields[3])


def group(root, name):
    return int(next(line.split(":")[2] for line in open(root + "/etc/group", encoding="utf-8")
                    if line.startswith(name + ":")))


def main(root, unit, native):
    settings = {}
    for line in open(unit, encoding="utf-8"):
        if "=" in line and not line.startswith("#"):
            key, _, value = line.strip().partition("=")
            settings.setdefault(key, []).append(value)
    one = {key: values[-1] for key, values in settings.items()}
    user = Entry(root, one["User"])
    groups = [user.pw_gid] + [group(root, g) for g in one["SupplementaryGroups"].split()]
    state, runtime = "/var/lib/" + one["StateDirectory"], "/run/" + one["RuntimeDirectory"]
    name, _, source = one["LoadCredential"].partition(":")
    handed = "/run/credentials/" + os.path.basename(unit)

    folder(root + state, user, int(one["StateDirectoryMode"], 8))
    folder(root + runtime, user, 0o755)
    folder(root + handed, user, 0o500)
    for secret in glob.glob(root + source + "/*"):
        copy = "%s%s/%s_%s" % (root, handed, name, os.path.basename(secret))
        subprocess.run(["cp", "--no-preserve=mode", secret, copy], check=True)
        os.chown(copy, user.pw_uid, user.pw_gid)
        os.chmod(copy, 0o400)
    mount("--bind", root, root)
    for writable in (state, runtime):
        mount("--bind", root + writable, root + writable)
    mount("-o", "remount,ro,bind", root)
    mount("-t", "proc", "proc", root + "/proc")
    mount("--bind", "/dev", root + "/dev")
    rules = filter_of(settings["SystemCallFilter"]) if native else None

    os.chroot(root)
    os.chdir("/")
    files = int(one["LimitNOFILE"])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    os.umask(int(one["UMask"], 8))
    libc = ctypes.CDLL(None)
    for capability in range(CAP_LAST + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups(groups)
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    environment = {k: v for k, v in os.environ.items() if k in ("NOTIFY_SOCKET",) or k.startswith("LIFELINE_")}
    environment |= {"CREDENTIALS_DIRECTORY": handed, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                    "WATCHDOG_USEC": "%d" % (int(one["WatchdogSec"]) * 1000000)}
    if rules:
        rules.load()
    command = one["ExecStart"].split()
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "native" in sys.argv[3:])
