#!/usr/bin/python3
"""The service under a real systemd: a fresh Debian, booted in a container of the machine's own kernel, on
its network. Installed, started, reloaded, hung, killed and stopped by systemctl, with a serial line on a
pty beside a TCP one; a subscriber outside counts what comes. DeviceAllow= is left to a board: no container
is given the cgroup of the devices."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from invariant import check_delivery          # noqa: E402
from packages import NAMES, TOP, package, run  # noqa: E402
from rig import Rig, free_port                # noqa: E402

SERVICE = "lifeline-gateway"
CONFIG, SECRET = "/etc/lifeline/gateway.yaml", "/etc/lifeline/secret/city"
JOURNAL = "/var/lib/lifeline/journal"
DIALOUT = 20
SENSORS = """gateway: { id: gw-140502-0001, region: "140502" }
store: { sync: 1s, segment: 1s }
lines:
  - { name: rs485-1, transport: rtu, device: %s, serial: 9600 8N1 }
  - { name: bus, transport: rtu-over-tcp, host: 127.0.0.1, port: %d }
devices:
  - { name: rain-roof, line: rs485-1, unit: 5, profile: xm9505-rain, every: 1s }
  - { name: gas, line: bus, unit: 1, profile: gas10, every: 1s }
"""
ONE_MORE = "  - { name: air, line: bus, unit: 2, profile: sht20, every: 1s }\n"
UPLINK = """uplinks:
  - { name: city, urls: ["mqtt://127.0.0.1:%d"], username: gw, password_file: /etc/lifeline/secret/city }
"""
# So that a test need not wait for half a minute; the journal is what the store says it has.
HASTE = """[Service]
WatchdogSec=3
TimeoutAbortSec=1
Environment=LIFELINE_TEST_JOURNAL=%s
""" % JOURNAL


class Machine:
    """A Debian with systemd as its first process."""

    def __init__(self, rig):
        self.rig, self.init = rig, None
        self.root = os.path.join(TOP, "build", "machine")
        shutil.rmtree(self.root, ignore_errors=True)
        made = run(os.path.join(TOP, "deploy", "debian-root"), self.root, "amd64", "systemd", "udev")
        rig.check("a fresh Debian with systemd", made.returncode == 0, made.stderr[-500:])
        deb = shutil.copy(package(NAMES[0], "amd64"), os.path.join(self.root, "srv"))
        done = run(os.path.join(TOP, "deploy", "in-root"), self.root, "/", "apt-get", "install", "-y", "-q",
                   "/srv/" + os.path.basename(deb))
        rig.check("the package installs", done.returncode == 0, done.stderr[-500:])

    def boot(self, tty):
        nspawn = self.rig.spawn("machine", [
            "systemd-nspawn", "--boot", "--directory", self.root, "--register=no", "--keep-unit",
            "--console=read-only", "--bind=%s:/dev/rs485" % tty])
        children = "/proc/%d/task/%d/children" % (nspawn.pid, nspawn.pid)

        def is_up():
            with open(children, encoding="ascii") as f:
                self.init = f.read().strip()
            return self.init and self.inside("systemctl", "is-system-running").stdout.strip() in (
                "running", "degraded")
        begun = time.monotonic()
        if self.rig.wait(is_up, 60, "systemd is up"):
            print("# booted in %.1f s" % (time.monotonic() - begun))

    def inside(self, *command):
        return run("nsenter", "-t", self.init, "-m", "-p", "-u", "-i", "-C", *command)

    def systemctl(self, *words):
        return self.inside("systemctl", *words)

    def property(self, name):
        return self.systemctl("show", "-P", name, SERVICE).stdout.strip()

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        with open(self.root + path, "w", encoding="utf-8") as f:
            os.fchmod(f.fileno(), mode)
            f.write(text)

    def off(self):
        if self.init:
            self.systemctl("poweroff", "--force", "--force")
        self.rig.end("machine", signal.SIGTERM, 20)
        shutil.rmtree(self.root, ignore_errors=True)


def devices(rig):
    return {reading[0] for reading in rig.readings()}


def newest(rig):
    return max((reading[2] for reading in rig.readings()), default=0)


def comes(rig, what, seconds=20):
    """Something that was sampled from now on arrives."""
    now = int(time.time() * 1000)
    rig.check(what, rig.wait(lambda: newest(rig) > now, seconds, what + ": nothing came"))


def passwords(rig, word):
    """Of the gateway and of the city."""
    for user, of in (("gw", word), ("city", "word")):
        subprocess.run(["mosquitto_passwd", "-b", rig.write("passwords", "") if user == "gw" else
                        rig.path("passwords"), user, of], check=True)


def broker(rig):
    rig.start_broker("password_file " + rig.path("passwords"), anonymous=False)


def starts(rig, machine, config):
    machine.systemctl("start", SERVICE)
    rig.check("no configuration: it is not started, and systemd says why",
              machine.property("ConditionResult") == "no" and machine.property("ActiveState") == "inactive")
    machine.write(CONFIG, config)
    machine.write(SECRET, "rain\n", 0o600)
    machine.inside("sh", "-c", "mkdir -p /run/systemd/system/%s.service.d; cat >/run/systemd/system/"
                   "%s.service.d/haste.conf <<'END'\n%sEND\nsystemctl daemon-reload" % (SERVICE, SERVICE, HASTE))
    done = machine.systemctl("start", SERVICE)
    said = [machine.property(name) for name in ("ActiveState", "Type", "NRestarts", "StatusText")]
    rig.check("it starts, and says how it is", done.returncode == 0 and
              said == ["active", "notify", "0", "2 devices on 2 lines"], (done.stderr, said))
    rig.wait(lambda: {"rain-roof", "gas"} <= devices(rig), 20,
             "readings of the serial line and of the other")
    rig.check("both lines are read", {"rain-roof", "gas"} <= devices(rig), devices(rig))
    status = machine.inside("cat", "/proc/%s/status" % machine.property("MainPID")).stdout
    user = machine.inside("id", "-u", "lifeline").stdout.strip()
    rig.check("its user, no capability, no new privileges, the filter",
              re.search(r"^Uid:\s+%s\s" % user, status, re.M) and re.search(r"^CapBnd:\s+0+$", status, re.M)
              and "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status, status)
    seen = machine.inside("lifelinectl", "status")
    rig.check("lifelinectl finds it", seen.returncode == 0 and "2 of 2 devices are well" in seen.stdout,
              seen.stdout + seen.stderr)


def reloads(rig, machine, config):
    pid = machine.property("MainPID")
    machine.write(CONFIG, config.replace("uplinks:", ONE_MORE + "uplinks:"))
    machine.systemctl("reload", SERVICE)
    rig.wait(lambda: "air" in devices(rig), 20, "reload: a device more")
    machine.write(CONFIG, config.replace("gas10", "gas11"))
    machine.systemctl("reload", SERVICE)
    comes(rig, "a wrong one changes nothing")
    said = machine.property("StatusText")
    journal = machine.inside("journalctl", "-u", SERVICE, "--no-pager", "-o", "cat").stdout
    rig.check("and it is said where it is wrong", "gateway.yaml:8:" in journal, journal[-800:])
    rig.check("by the same process, with all three", said == "3 devices on 2 lines" and
              machine.property("MainPID") == pid, said)
    machine.write(CONFIG, config.replace("uplinks:", ONE_MORE + "uplinks:"))


def restarts(rig, machine):
    for how, sig in (("hangs", "STOP"), ("is killed", "KILL")):
        before = int(machine.property("NRestarts"))
        machine.inside("sh", "-c", "kill -%s %s" % (sig, machine.property("MainPID")))
        rig.wait(lambda: int(machine.property("NRestarts")) > before and
                 machine.property("ActiveState") == "active", 30, "it %s: started anew" % how)
        comes(rig, "it %s: started anew, and sensors are read" % how)


def takes_a_new_secret(rig, machine):
    rig.end("mosquitto")
    passwords(rig, "snow")
    machine.write(SECRET, "snow\n", 0o600)
    machine.systemctl("restart", SERVICE)
    broker(rig)
    comes(rig, "a new password, after a restart", 40)


def stops(rig, machine):
    stored = shutil.copy(machine.root + JOURNAL, rig.path("stored.log"))
    time.sleep(3)
    machine.systemctl("stop", SERVICE)
    said = [machine.property(name) for name in ("ActiveState", "Result", "ExecMainStatus")]
    rig.check("it stops", said == ["inactive", "success", "0"], said)
    rig.wait(lambda: not list(rig.states())[-1][0].online, 5, "and says goodbye")
    rig.store_journal = stored
    check_delivery(rig)


def rules(rig, machine):
    """Read by udev itself; an adapter that they would name cannot be had here."""
    said = machine.inside("udevadm", "test", "/sys/class/tty/ptmx")
    lines = [line for line in (said.stdout + said.stderr).splitlines() if "lifeline" in line]
    rig.check("udev reads its rules, and has nothing to say",
              lines and all("Reading rules file" in line for line in lines), lines or said.stderr[-500:])


def main():
    rig = Rig("systemd")
    sensors = SENSORS % (rig.path("tty"), free_port())
    rig.start_sim(rig.write("sensors.yaml", sensors + ONE_MORE))
    tty = os.path.realpath(rig.path("tty"))
    os.chown(tty, 0, DIALOUT)
    os.chmod(tty, 0o660)
    passwords(rig, "rain")
    broker(rig)
    rig.subscribe(username="city", password="word")
    machine = Machine(rig)
    try:
        machine.boot(tty)
        config = sensors.replace(rig.path("tty"), "/dev/rs485") + UPLINK % rig.broker_port
        starts(rig, machine, config)
        reloads(rig, machine, config)
        restarts(rig, machine)
        takes_a_new_secret(rig, machine)
        rules(rig, machine)
        stops(rig, machine)
    finally:
        machine.off()
    rig.end("sim")
    rig.finish()


if __name__ == "__main__":
    main()
