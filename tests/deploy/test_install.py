#!/usr/bin/python3
"""A cabinet's life with the packages, in a fresh Debian of each architecture: install, configure and run
by the transcript in the README, as the service runs, and an independent subscriber decodes what comes. On
the machine's own architecture also an upgrade with a filled store and a changed configuration, remove, reinstall and purge."""
import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from invariant import check_delivery          # noqa: E402
from packages import NAMES, TOP, package, run, version  # noqa: E402
from rig import SECTORS, Rig, free_port                # noqa: E402
import transcript                             # noqa: E402

UNIT = "/lib/systemd/system/lifeline-gateway.service"
# What systemd itself does on a board: make the user, make the folders.
OLDER = "0.0.1"


class Board:
    """A Debian of its own, a broker and a subscriber in the city."""

    def __init__(self, arch):
        self.arch = arch
        self.rig = Rig("install-" + arch)
        self.root = os.path.join(TOP, "build", "board-" + arch)
        shutil.rmtree(self.root, ignore_errors=True)
        made = run(os.path.join(TOP, "deploy", "usb-stick"), arch)
        self.rig.check("a stick for a board without a network", made.returncode == 0, made.stderr[-500:])
        subprocess.run(["cp", "-a", os.path.join(TOP, "build", "debian-" + arch), self.root], check=True)
        self.mouth = "@lifeline-%d" % os.getpid()
        self.ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ears.bind("\0" + self.mouth[1:])
        self.ears.settimeout(60)

    def inside(self, *command, folder="/"):
        return run(os.path.join(TOP, "deploy", "in-root"), self.root, folder, *command)

    def give(self, deb):
        shutil.copy(deb, os.path.join(self.root, "srv"))
        return "/srv/" + os.path.basename(deb)

    def write(self, path, text, mode=0o644):
        with open(self.root + path, "w", encoding="utf-8") as f:
            os.fchmod(f.fileno(), mode)
            f.write(text)

    def exists(self, path):
        return os.path.lexists(self.root + path)

    def start(self, **environment):
        """As systemd starts it; waits for its READY=1."""
        native = ["native"] if self.arch == "amd64" else []
        process = self.rig.spawn("daemon", [
            "unshare", "--mount", "--propagation", "private", os.path.join(
                TOP, "tests", "deploy", "service.py"), self.root, self.root + UNIT, *native],
            NOTIFY_SOCKET=self.mouth, **environment)
        begun = time.monotonic()
        while "READY=1" not in self.ears.recv(4096).decode():
            assert process.poll() is None, self.rig.log("daemon")
        return time.monotonic() - begun

    def stop(self, sig=signal.SIGTERM):
        return self.rig.end("daemon", sig, 30)


def street(board):
    """What the deployer finds: the stick, a password, a broker."""
    rig = board.rig
    shutil.copytree(os.path.join(TOP, "build", "stick", board.arch), board.root + "/srv", dirs_exist_ok=True)
    os.makedirs(board.root + "/etc/lifeline/secret", mode=0o700)
    board.write("/etc/lifeline/secret/city", "rain\n", 0o600)
    rig.write("passwords", "")
    for user, word in (("gw", "rain"), ("city", "word")):
        subprocess.run(["mosquitto_passwd", "-b", rig.path("passwords"), user, word], check=True)
    broker(board)
    rig.subscribe(username="city", password="word")


def sensors(board, command, port):
    path = "/usr/share/doc/lifeline-sim/examples/sensors.yaml"
    with open(board.root + path, encoding="utf-8") as f:
        board.write(path, f.read().replace("4196", str(port)))
    board.rig.spawn("sim", [os.path.join(TOP, "deploy", "in-root"), board.root, "/"]
                    + command.removesuffix(" &").split())
    board.rig.wait_port(port, 30)


def by_the_readme(board):
    """Word for word, but for the two ports."""
    rig, port = board.rig, free_port()
    here = {":4196": ":%d" % port, ":1883": ":%d" % rig.broker_port}
    street(board)
    for command, answer in transcript.steps():
        for there, ours in here.items():
            command = command.replace(there, ours)
        if command.endswith(" &"):
            sensors(board, command, port)
            continue
        if command.startswith("systemctl "):     # there is none: as it would
            print("# start to READY=1: %.1f s" % board.start())
            rig.wait(lambda: len({(r[0], r[1]) for r in rig.readings()}) >= 5, 30,
                     "the subscriber decodes readings of every point")
            continue
        done = board.inside("sh", "-c", command, folder="/srv")
        rig.check("# " + command.split(" --")[0], done.returncode == 0 and
                  transcript.is_what_it_says(answer, done.stdout), (done.stdout, done.stderr))


def installed(board):
    rig = board.rig
    said = [board.inside(p, "--version").stdout.split() for p in
            ("lifelined", "lifelinectl", "lifeline-sim")]
    rig.check("its programs run there", [w[1:] for w in said] == [[version()]] * 3, said)
    rig.check("the service has its user", "dialout" in board.inside("id", "lifeline").stdout)
    secret = os.stat(board.root + "/etc/lifeline/secret")
    rig.check("secrets are root's", (secret.st_mode & 0o7777, secret.st_uid) == (0o700, 0))
    rig.check("no daemon without a configuration: systemd is told so",
              "ConditionPathExists=/etc/lifeline/gateway.yaml" in open(board.root + UNIT).read())
    rig.check("the manual is there", board.exists(
        "/usr/share/doc/lifeline-gateway/manual.zh-CN.md.gz"))


def broker(board):
    board.rig.start_broker("password_file " + board.rig.path("passwords"), anonymous=False)


def numbers(board):
    return {(b.epoch, sector, s.seq): s.SerializeToString()
            for _, sector, b, _, _ in board.rig.batches() for s in b.segments}


def resident_kib(pid, native):
    """Of an emulated program what lies where it was told to lie: all of qemu's own is above."""
    sum_kib, counts = 0, False
    with open("/proc/%d/smaps" % pid, encoding="utf-8") as f:
        for line in f:
            if mapping := re.match("([0-9a-f]+)-[0-9a-f]+ ", line):
                counts = native or int(mapping[1], 16) < 1 << 46
            elif counts and line.startswith("Rss:"):
                sum_kib += int(line.split()[1])
    return sum_kib


def runs(board):
    rig = board.rig
    with open("/proc/%d/status" % rig.processes["daemon"].pid, encoding="ascii") as f:
        status = f.read()
    rig.check("no root, no capability", re.search(r"^Uid:\s+999\s+999", status, re.M) and
              re.search(r"^CapBnd:\s+0+$", status, re.M), status)
    native = board.arch == "amd64"       # what qemu calls is not filtered
    print("# resident memory: %d KiB" % resident_kib(rig.processes["daemon"].pid, native))
    rig.check("no new privileges, and the system call filter", "NoNewPrivs:\t1" in status and
              ("Seccomp:\t2" in status or not native), status)
    rig.check("the watchdog is fed", any("WATCHDOG=1" in board.ears.recv(4096).decode()
                                         for _ in range(5)))


def older_package(board):
    """The same package under an older number, as one that is already on boards."""
    folder = tempfile.mkdtemp(prefix="lifeline-older-", dir="/tmp")
    subprocess.run(["dpkg-deb", "-R", package(NAMES[0], board.arch), folder], check=True)
    control = os.path.join(folder, "DEBIAN", "control")
    with open(control, encoding="utf-8") as f:
        text = f.read()
    with open(control, "w", encoding="utf-8") as f:
        f.write(re.sub(r"^Version: .*$", "Version: " + OLDER, text, flags=re.M))
    deb = "%s/root/%s_%s_%s.deb" % (board.root, NAMES[0], OLDER, board.arch)
    subprocess.run(["dpkg-deb", "-b", "--root-owner-group", folder, deb], check=True,
                   capture_output=True)
    shutil.rmtree(folder)
    return deb.removeprefix(board.root)


def life(board):
    """The older one runs, its broker goes, its store fills; upgrade; all that was owed arrives."""
    rig = board.rig
    board.stop()
    done = board.inside("sh", "-c", "dpkg -r lifeline-sim lifeline-gateway && dpkg -i "
                        + older_package(board))
    rig.check("an older version is there", done.returncode == 0, done.stderr[-500:])
    config = "/etc/lifeline/gateway.yaml"
    with open(board.root + config, encoding="utf-8") as f:
        ours = re.sub(r"(profile: \S+)", r"\1, every: 1s", f.read())
    ours += "    spread: 1s\nstore: { segment: 1s }\n"
    board.write(config, ours)
    rig.end("mosquitto")
    board.start(LIFELINE_TEST_JOURNAL="/var/lib/lifeline/journal")
    time.sleep(6)
    board.stop()
    owed = board.inside("lifelinectl", "query", "*", "--since", "5s", "--csv").stdout.count("\n")
    rig.check("its store is filled (%d rows of the last 5 s)" % owed, owed > 10)
    done = board.inside("sh", "-c", "dpkg -iGE *.deb", folder="/srv")
    rig.check("the upgrade asks nothing", done.returncode == 0 and "downgrade" not in done.stderr,
              done.stderr[-500:])
    with open(board.root + config, encoding="utf-8") as f:
        rig.check("the configuration is the deployer's", f.read() == ours)
    broker(board)
    before = set(numbers(board))
    board.start(LIFELINE_TEST_JOURNAL="/var/lib/lifeline/journal")
    rig.wait(lambda: len(set(numbers(board)) - before) >= 6, 30, "what was owed is delivered by the new version")
    # what is stored by now; the segments that the stop closes may wait for the next start
    rig.store_journal = shutil.copy(board.root + "/var/lib/lifeline/journal", rig.path("stored.log"))
    time.sleep(3)
    board.stop()
    check_delivery(rig)
    of_long_ago(board)
    for how in ("remove", "purge"):
        done = board.inside("apt-get", how, "-y", "-q", NAMES[0])
        kept = [p for p in ("/etc/lifeline/gateway.yaml", "/etc/lifeline/secret/city",
                            "/var/lib/lifeline/store.db") if board.exists(p)]
        rig.check("%s: %s" % (how, "the programs go, what is the deployer's stays" if how == "remove"
                              else "nothing is left"), done.returncode == 0 and
                  not board.exists("/usr/sbin/lifelined") and len(kept) == (3 if how == "remove" else 0),
                  (done.stderr[-300:], kept))
        if how == "remove":
            epochs = {key[0] for key in numbers(board)}
            board.inside("dpkg", "-i", board.give(package(NAMES[0], board.arch)))
            board.start()
            rig.wait(lambda: len(numbers(board)) > 0, 20, "reinstalled, it runs")
            time.sleep(3)
            board.stop()
            rig.check("and goes on in the same store", {key[0] for key in numbers(board)} == epochs)


def of_long_ago(board):
    """A store that 0.3 left: what it owed arrives, and nothing else of it."""
    rig, path = board.rig, board.root + "/var/lib/lifeline/store.db"
    owner = os.stat(path)
    for old in (path, path + "-wal"):
        if os.path.exists(old):
            os.unlink(old)
    with contextlib.closing(sqlite3.connect(path)) as db, \
            open(os.path.join(TOP, "tests", "replay", "earlier", "0.3", "store.sql"), encoding="utf-8") as f:
        db.executescript(f.read())
        epoch = db.execute("SELECT number FROM epoch").fetchone()[0]
        owed = {(epoch, sector, seq) for sector, first, last in db.execute(
            "SELECT sector,first_seq,last_seq FROM unacked") for seq in range(first, last + 1)}
        last = dict(db.execute("SELECT sector,last_seq FROM stream"))
    os.chown(path, owner.st_uid, owner.st_gid)
    board.start()
    names = {name: number for number, name in enumerate(SECTORS)}
    rig.wait(lambda: owed <= {(e, names[sector], seq) for e, sector, seq in numbers(board)}, 30,
             "what a store of 0.3 owed arrives")
    time.sleep(3)
    board.stop()
    arrived = {(e, names[sector], seq) for e, sector, seq in numbers(board)}
    rig.check("and nothing else of it", owed == {
        key for key in arrived if key[0] == epoch and key[2] <= last[key[1]]}, (len(owed), len(arrived)))


def main(arch):
    board = Board(arch)
    by_the_readme(board)
    installed(board)
    runs(board)
    if arch == "amd64":
        life(board)
    else:
        board.rig.check("SIGTERM: exit 0", board.stop() == 0)
    board.rig.end("sim")
    board.rig.finish()


if __name__ == "__main__":
    for machine in sys.argv[1:] or ["amd64", "arm64", "armhf"]:
        main(machine)
