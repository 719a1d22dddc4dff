#!/usr/bin/python3
"""The service under a real systemd: a fresh Debian, booted in a container on the machine's own network, with
a cgroup of its own so that DeviceAllow= is in force. Installed, set up, started, reloaded, hung, killed and
stopped by systemctl; a sensor on a pty beside two behind a serial server; a subscriber outside decodes what comes.

Left to a board: a port of a driver's own. A pty stands for it, which DevicePolicy=closed always lets
through; that the ports' classes are let through, and others not, is asked of nodes without a device."""
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from invariant import check_delivery, check_open_rows  # noqa: E402
from packages import NAMES, TOP, package, run  # noqa: E402
from rig import Rig, free_port, now_ms         # noqa: E402

SERVICE = "lifeline-gateway"
CONFIG, SECRET = "/etc/lifeline/gateway.yaml", "/etc/lifeline/secret/city"
JOURNAL = "/var/lib/lifeline/journal"
DIALOUT = 20
SENSORS = """gateway: { id: sensors, region: "140502" }
lines:
  - { name: bus, transport: rtu-over-tcp, host: 127.0.0.1, port: %d }
  - { name: rs485-1, transport: rtu, device: %s, serial: 9600 8N1 }
devices:
  - { name: gas, line: bus, unit: 1, profile: gas10 }
  - { name: air, line: bus, unit: 2, profile: sht20 }
  - { name: rain-roof, line: rs485-1, unit: 5, profile: xm9505-rain }
"""
# A test does not wait for half a minute; the journal is what the store says it has.
HASTE = """[Service]
WatchdogSec=3
Environment=LIFELINE_TEST_JOURNAL=%s
""" % JOURNAL
HASTE_S = 3
BOOT_S = 120
# As the first process of a control group of its own, and gone with whoever began it.
APART = 'echo $$ >"$1/cgroup.procs"; shift; exec setpriv --pdeathsig KILL "$@"'
# What a process of the service gets when it opens each of the nodes: 0 or an errno.
OPENS = """
import os, sys
for name in sys.argv[2:]:
    kind, major, minor = name.split("-")
    os.mknod("/srv/" + name, 0o20600, os.makedev(int(major), int(minor)))
open("/sys/fs/cgroup" + sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
for name in sys.argv[2:]:
    kind = name.split("-")[0]
    try:
        os.close(os.open("/srv/" + name, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))
        print(kind, 0)
    except OSError as e:
        print(kind, e.errno)
"""
OPEN_NODES = {"ttyS-4-64": True, "null-1-3": True, "mem-1-1": False, "fuse-10-229": False, "hidraw-245-0": False}


class Machine:
    """A Debian with systemd as its first process."""

    def __init__(self, rig):
        self.rig, self.init = rig, None
        self.root = os.path.join(TOP, "build", "machine")
        shutil.rmtree(self.root, ignore_errors=True)
        made = run(os.path.join(TOP, "deploy", "debian-root"), self.root, "amd64", "systemd", "dbus", "udev",
                   "python3-minimal")
        rig.check("a fresh Debian with systemd", made.returncode == 0, made.stderr[-500:])
        with open("/proc/mounts", encoding="ascii") as f:
            groups = [line.split()[1] for line in f if line.split()[2] == "cgroup2"]
        self.group = os.path.join(groups[0], "lifeline-test-%d" % os.getpid()) if groups else None

    def boot(self, tty):
        """bpf() is what DeviceAllow= is made of, and a container does not have it unasked. A machine that
        boots no container tells nothing of the service: then the test is left out, and says so."""
        if not self.group:
            return self.left_out("no cgroup2 is mounted")
        try:
            os.mkdir(self.group)
        except OSError as e:
            return self.left_out("no cgroup of its own: %s" % e)
        nspawn = self.rig.spawn("machine", [
            "sh", "-c", APART, "sh", self.group, "systemd-nspawn", "--boot", "--directory", self.root,
            "--register=no", "--keep-unit", "--console=read-only", "--bind=%s:/dev/rs485" % tty,
            "--capability=CAP_BPF", "--system-call-filter=bpf"], UNIFIED_CGROUP_HIERARCHY="1")
        begun = time.monotonic()

        def is_up():
            if nspawn.poll() is not None:
                return True
            with open("/proc/%d/task/%d/children" % (nspawn.pid, nspawn.pid), encoding="ascii") as f:
                self.init = f.read().strip()
            return self.init and self.systemctl("is-system-running").stdout.strip() == "running"
        while not is_up() and time.monotonic() < begun + BOOT_S:
            time.sleep(0.2)
        if nspawn.poll() is not None or not is_up():
            return self.left_out(self.rig.log("machine")[-1500:])
        return self.rig.check("systemd boots (%.1f s)" % (time.monotonic() - begun), True)

    def left_out(self, why):
        print("skip %s: no systemd can be booted here: %s" % (self.rig.name, why), flush=True)
        return False

    def inside(self, *command):
        return run("nsenter", "-t", self.init, "-m", "-p", "-u", "-i", "-C", "/usr/bin/env", "-i",
                   "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC0",
                   "DEBIAN_FRONTEND=noninteractive", *command, stdin=subprocess.DEVNULL)

    def systemctl(self, *words):
        return self.inside("systemctl", "--no-pager", *words)

    def properties(self, *names):
        said = self.systemctl("show", SERVICE, *("-p" + name for name in names)).stdout
        found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        return [found.get(name) for name in names]

    def property(self, name):
        return self.properties(name)[0]

    def read(self, path):
        with open(self.root + path, encoding="utf-8") as f:
            return f.read()

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        with open(self.root + path, "w", encoding="utf-8") as f:
            os.fchmod(f.fileno(), mode)
            f.write(text)

    def journal(self):
        return self.inside("journalctl", "-u", SERVICE, "--no-pager", "-o", "cat").stdout

    def off(self):
        """Whatever happened before: nothing of it runs, nothing of it is left."""
        if self.group and os.path.isdir(self.group):
            with open(self.group + "/cgroup.kill", "w", encoding="ascii") as f:
                f.write("1")
            self.rig.end("machine", signal.SIGKILL, 20)
            for folder, _, _ in os.walk(self.group, topdown=False):
                for _ in range(50):
                    try:
                        os.rmdir(folder)
                        break
                    except OSError as e:
                        if e.errno != errno.EBUSY:
                            raise
                        time.sleep(0.1)     # a killed process is still ending
        shutil.rmtree(self.root, ignore_errors=True)


def devices(rig, since_ms=0):
    """Who measured something after that."""
    return {reading[0] for reading in rig.readings() if reading[2] > since_ms and reading[4] == "good"}


def comes(rig, what, names, seconds=20):
    """Something that each of them measures from now on arrives."""
    now = now_ms()
    if rig.wait(lambda: names <= devices(rig, now), seconds, what):
        rig.check(what, True)


def passwords(rig, word):
    """Of the gateway and of the city."""
    rig.write("passwords", "")
    for user, of in (("gw", word), ("city", "word")):
        subprocess.run(["mosquitto_passwd", "-b", rig.path("passwords"), user, of], check=True)


def broker(rig):
    rig.start_broker("password_file " + rig.path("passwords"), anonymous=False)


def installs(rig, machine):
    """By apt, with systemd there to be told; it would start, and has no configuration yet."""
    deb = shutil.copy(package(NAMES[0], "amd64"), machine.root + "/srv")
    done = machine.inside("apt-get", "install", "-y", "-q", "--no-install-recommends",
                          "/srv/" + os.path.basename(deb))
    rig.check("the package installs", done.returncode == 0, (done.stdout + done.stderr)[-800:])
    began = machine.systemctl("start", SERVICE)
    said = machine.properties("ConditionResult", "ActiveState", "UnitFileState")
    rig.check("no configuration: not started, no failure", began.returncode == 0 and
              said == ["no", "inactive", "enabled"], said)
    told = machine.systemctl("status", SERVICE).stdout
    rig.check("and systemd says why", "ConditionPathExists=%s was not met" % CONFIG in told, told)
    machine.write("/etc/systemd/system/%s.service.d/haste.conf" % SERVICE, HASTE)
    machine.systemctl("daemon-reload")


def sets_up(rig, machine, port):
    """Returns the configuration that setup wrote, in a hurry."""
    machine.write(SECRET, "rain\n", 0o600)
    done = machine.inside(
        "lifelinectl", "setup", "--id", "gw-140502-0001", "--region", "140502", "--line",
        "rtu-over-tcp://127.0.0.1:%d" % port, "--broker", "mqtt://127.0.0.1:%d" % rig.broker_port,
        "--username", "gw", "--password-file", SECRET, "--profile", "2=sht20")
    rig.check("lifelinectl setup finds the sensors", done.returncode == 0 and
              {"gas10", "sht20"} <= set(done.stdout.split()), done.stdout + done.stderr)
    config = re.sub(r"(profile: \S+)", r"\1, every: 1s", machine.read(CONFIG))
    config += "    spread: 1s\nstore: { sync: 1s, segment: 1s }\n"
    machine.write(CONFIG, config)
    return config


def starts(rig, machine):
    began = machine.systemctl("start", SERVICE)
    said = machine.properties("ActiveState", "Type", "NRestarts", "StatusText")
    rig.check("start returns with READY=1, and how it is", began.returncode == 0 and
              said == ["active", "notify", "0", "2 devices on 1 lines"], (began.stderr, said))
    comes(rig, "the subscriber decodes readings of both", set(devices_of(machine)))
    seen = machine.inside("lifelinectl", "status")
    rig.check("lifelinectl finds it", seen.returncode == 0 and "2 of 2 devices are well" in seen.stdout,
              seen.stdout + seen.stderr)
    status = machine.inside("cat", "/proc/%s/status" % machine.property("MainPID")).stdout
    user, group = (machine.inside("id", flag, "lifeline").stdout.strip() for flag in ("-u", "-g"))
    rig.check("it is the user lifeline, and in dialout", user != "0" and
              re.search(r"^Uid:(\s+%s){4}$" % user, status, re.M) and
              re.search(r"^Gid:(\s+%s){4}$" % group, status, re.M) and
              re.search(r"^Groups:.*\b%d\b" % DIALOUT, status, re.M), status)
    rig.check("no capability, no new privileges, the filter", re.search(r"^CapBnd:\s+0+$", status, re.M) and
              re.search(r"^NoNewPrivs:\s+1$", status, re.M) and re.search(r"^Seccomp:\s+2$", status, re.M), status)
    secret = os.stat(machine.root + SECRET)
    copy = machine.inside("stat", "-c", "%a %U", "/run/credentials/%s.service/secret_city" % SERVICE)
    rig.check("the secret is root's, its copy the daemon's", (secret.st_mode & 0o7777, secret.st_uid) == (0o600, 0)
              and machine.inside("setpriv", "--reuid", user, "--clear-groups", "cat", SECRET).returncode != 0
              and copy.returncode == 0, copy.stdout + copy.stderr)


def devices_of(machine):
    return re.findall(r"- \{ name: ([^,]+), line:", machine.read(CONFIG))


def reloads(rig, machine, config):
    """A line on a serial port more: its node is opened in the sandbox, by the user of the service."""
    pid, before = machine.property("MainPID"), set(devices_of(machine))
    more = config.replace("devices:\n", "  - { name: rs485-1, transport: rtu, device: /dev/rs485, "
                          "serial: 9600 8N1 }\ndevices:\n", 1)
    more = more.replace("uplinks:\n", "  - { name: rain-roof, line: rs485-1, unit: 5, profile: xm9505-rain, "
                        "every: 1s }\nuplinks:\n", 1)
    machine.write(CONFIG, more)
    done = machine.systemctl("reload", SERVICE)
    comes(rig, "reload: a sensor on a serial port more", before | {"rain-roof"})
    said = machine.properties("MainPID", "StatusText", "ActiveState")
    rig.check("by the same process, which says so", done.returncode == 0 and
              said == [pid, "3 devices on 2 lines", "active"], (done.stderr, said))
    machine.write(CONFIG, more.replace("xm9505-rain", "xm9505-snow"))
    machine.systemctl("reload", SERVICE)
    rig.wait(lambda: "reload refused" in machine.journal(), 10, "a wrong one is refused")
    rig.check("a wrong one is refused, at its place",
              re.search(r"gateway\.yaml:\d+:\d+: error: .*xm9505-snow", machine.journal()), machine.journal()[-800:])
    comes(rig, "and all three go on", before | {"rain-roof"})
    said = machine.properties("MainPID", "ActiveState") + [machine.property("StatusText")[:20]]
    rig.check("in the same process", said == [pid, "active", "3 devices on 2 lines"], said)
    machine.write(CONFIG, more)
    return before | {"rain-roof"}


def only_ports(rig, machine):
    """DeviceAllow= as the kernel has it: asked by a process that joins the service."""
    group = machine.property("ControlGroup")
    said = machine.inside("/usr/bin/python3", "-c", OPENS, group, *OPEN_NODES)
    got = dict(line.split() for line in said.stdout.splitlines())
    wrong = [node for node, allowed in OPEN_NODES.items()
             if (got.get(node.split("-")[0]) != str(errno.EPERM)) != allowed or node.split("-")[0] not in got]
    rig.check("serial ports may be opened, other devices not", not wrong, (wrong, got, said.stderr))
    allowed = set(re.findall(r"char-(\w+) rw", machine.systemctl("show", SERVICE, "-p", "DeviceAllow").stdout))
    rig.check("each usual driver of serial ports is among them",
              {"ttyS", "ttyAMA", "ttymxc", "ttyUSB", "ttyACM"} <= allowed and
              all(name.startswith("tty") for name in allowed), allowed)


def restarts(rig, machine, names):
    """Hung: systemd aborts it after WatchdogSec=. Killed: at once. Both come back after RestartSec=2."""
    for how, sig, limit, what in (("it hangs", "STOP", HASTE_S + 10, "watchdog"),
                                  ("it is killed", "KILL", 10, "signal")):
        before, pid = (int(n) for n in machine.properties("NRestarts", "MainPID"))
        begun = time.monotonic()
        machine.systemctl("kill", "--kill-who=main", "--signal=" + sig, SERVICE)

        def anew():
            n, now, state = machine.properties("NRestarts", "MainPID", "ActiveState")
            return int(n) == before + 1 and int(now) not in (0, pid) and state == "active"
        if rig.wait(anew, limit, "%s: started anew" % how):
            rig.check("%s: started anew after %.0f s" % (how, time.monotonic() - begun),
                      ("Failed with result '%s'" % what) in machine.journal(), machine.journal()[-800:])
        comes(rig, "%s: and all sensors are read again" % how, names)


def takes_a_new_secret(rig, machine, names):
    """The daemon's copy is that of its start."""
    rig.end("mosquitto")
    passwords(rig, "snow")
    machine.write(SECRET, "snow\n", 0o600)
    broker(rig)
    rig.wait(lambda: "not authorized" in machine.journal().lower() or
             "bad user" in machine.journal().lower(), 20, "a new password: the old one is refused")
    machine.systemctl("restart", SERVICE)
    comes(rig, "a new password is used after a restart", names)


def stops(rig, machine):
    """What is stored has arrived, each row once and in order: over a hang, a kill and a restart."""
    stored = shutil.copy(machine.root + JOURNAL, rig.path("stored.log"))
    time.sleep(3)
    machine.systemctl("stop", SERVICE)
    said = machine.properties("ActiveState", "Result", "ExecMainStatus")
    rig.check("stop: exit 0", said == ["inactive", "success", "0"], said)
    rig.wait(lambda: not list(rig.states())[-1][0].online, 5, "the broker sees it offline")
    rig.check("the broker sees it offline", not list(rig.states())[-1][0].online)
    rig.store_journal = stored
    first, _ = check_delivery(rig)
    rig.check("all under one epoch", len({epoch for epoch, _, _ in first}) == 1)
    rig.store_journal = shutil.copy(machine.root + JOURNAL, stored)
    check_open_rows(rig)


def lacks_its_secrets(rig, machine):
    """Somebody tidied up: it measures and keeps what it cannot send."""
    shutil.rmtree(machine.root + os.path.dirname(SECRET))
    machine.systemctl("start", SERVICE)
    said = machine.properties("ActiveState", "NRestarts")
    rig.check("it starts without a folder of secrets", said == ["active", "0"], said)
    machine.systemctl("stop", SERVICE)


def goes(rig, machine):
    """What the packages' scripts tell a systemd that is there."""
    deb = "/srv/" + os.path.basename(package(NAMES[0], "amd64"))
    machine.systemctl("start", SERVICE)
    pid = machine.property("MainPID")
    done = machine.inside("apt-get", "install", "-y", "-q", "--reinstall", deb)
    said = machine.properties("ActiveState", "NRestarts", "Result")
    now = machine.property("MainPID")
    rig.check("an upgrade starts it anew", done.returncode == 0 and said == ["active", "0", "success"] and
              now not in ("0", pid), (said, pid, now, done.stderr[-300:]))
    for how in ("remove", "purge"):
        done = machine.inside("apt-get", how, "-y", "-q", NAMES[0])
        said = machine.properties("ActiveState", "MainPID", "LoadState")
        rig.check("%s: it ends, and systemd knows it no more" % how, done.returncode == 0 and
                  said[:2] == ["inactive", "0"] and (how == "remove" or said[2] in ("not-found", "masked")),
                  (said, done.stderr[-300:]))
    left = [path for path in ("/var/lib/lifeline", "/etc/lifeline", "/etc/systemd/system/multi-user.target.wants/"
                              + SERVICE + ".service") if os.path.lexists(machine.root + path)]
    rig.check("purge: nothing is left", not left, left)


def adapter(machine, name, driver, interface):
    """A sysfs with an adapter in port 3 of the hub in port 1 of bus 1; returns its places."""
    sys_, port = "/srv/" + name, "/sys/devices/platform/usb/usb1/1-1/1-1.3"
    part = "%s/1-1.3:1.%s" % (port, int(interface))
    serial = part + "/ttyUSB0"
    tty = serial + "/tty/ttyUSB0"
    for place, bus, of, says in (
            (port, "bus/usb", "usb", {"uevent": "DEVTYPE=usb_device\nDRIVER=usb", "idVendor": "0403",
                                      "idProduct": "6001"}),
            (part, "bus/usb", driver, {"uevent": "DEVTYPE=usb_interface\nDRIVER=" + driver,
                                       "bInterfaceNumber": interface, "bInterfaceClass": "ff"}),
            (serial, "bus/usb-serial", driver, {"uevent": "DRIVER=" + driver, "latency_timer": "16"}),
            (tty, "class/tty", None, {"uevent": "MAJOR=188\nMINOR=0\nDEVNAME=ttyUSB0", "dev": "188:0"})):
        here = place.replace("/sys", sys_, 1)
        for file, text in says.items():
            machine.write("%s/%s" % (here, file), text + "\n")
        links = [("subsystem", "/sys/" + bus)] + ([("driver", "/sys/%s/drivers/%s" % (bus, of))] if of else [])
        for link, target in links:
            os.makedirs(machine.root + target.replace("/sys", sys_, 1), exist_ok=True)
            os.symlink(target, "%s%s/%s" % (machine.root, here, link))
    os.symlink("../../../ttyUSB0", "%s%s/device" % (machine.root, tty.replace("/sys", sys_, 1)))
    return sys_, serial, tty


def names_adapters(rig, machine):
    """udev itself, on a sysfs of files: Debian 12 has no `udevadm verify`, and here is no USB."""
    for name, driver, interface, link in (("ftdi", "ftdi_sio", "00", "lifeline/rs485-1-1.3"),
                                          ("second", "ftdi_sio", "01", "lifeline/rs485-1-1.3-01"),
                                          ("wch", "ch341-uart", "00", "lifeline/rs485-1-1.3"),
                                          ("modem", "option", "00", None)):
        sys_, serial, tty = adapter(machine, name, driver, interface)
        said = ""
        for place in (serial, tty):
            done = machine.inside("unshare", "--mount", "sh", "-c", "mount --bind %s /sys; "
                                  "SYSTEMD_DEVICE_VERIFY_SYSFS=0 exec udevadm test -a add %s" % (sys_, place))
            said += done.stdout + done.stderr
        links = re.findall(r"/dev/(lifeline/\S+)", "".join(re.findall(r"^DEVLINKS=.*$", said, re.M)))
        spared = "ID_MM_DEVICE_IGNORE=1" in said
        timer = "1" if "latency_timer' writing '1'" in said else "16"    # a test writes nothing
        wrong = [line for line in said.splitlines() if "lifeline-rs485.rules" in line and
                 re.search(r"invalid|unknown|failed|ignor", line, re.I)]
        rig.check("udev: %s, %s" % (driver + " " + interface, link or "left alone"), not wrong and
                  (links, spared, timer) == ([link] if link else [], bool(link), "1" if driver == "ftdi_sio" else "16"),
                  (links, spared, timer, wrong, re.findall(".*latency.*", said), said[:600]))


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rig = Rig("systemd")
    port = free_port()
    machine = Machine(rig)
    try:
        rig.start_sim(rig.write("sensors.yaml", SENSORS % (port, rig.path("tty"))))
        tty = os.path.realpath(rig.path("tty"))
        os.chown(tty, 0, DIALOUT)
        os.chmod(tty, 0o660)
        passwords(rig, "rain")
        broker(rig)
        rig.subscribe(username="city", password="word")
        if machine.boot(tty):
            installs(rig, machine)
            config = sets_up(rig, machine, port)
            starts(rig, machine)
            names = reloads(rig, machine, config)
            only_ports(rig, machine)
            restarts(rig, machine, names)
            takes_a_new_secret(rig, machine, names)
            names_adapters(rig, machine)
            stops(rig, machine)
            lacks_its_secrets(rig, machine)
            goes(rig, machine)
    finally:
        machine.off()
    rig.end("sim")
    rig.finish()


if __name__ == "__main__":
    main()
